//! An identity that knows whose buckets are, and nothing else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use api::error::v1::Reason;
use api::identity::v1::bucket_service_server::{BucketService, BucketServiceServer};
use api::identity::v1::watch_buckets_response::Message;
use api::identity::v1::{
    Bucket, BucketRecord, BucketRecords, BucketsComplete, BucketsHeartbeat, ClaimBucketRequest,
    ClaimBucketResponse, GetBucketRequest, GetBucketResponse, ListBucketsRequest,
    ListBucketsResponse, ReleaseBucketRequest, ReleaseBucketResponse, TransferBucketRequest,
    TransferBucketResponse, WatchBucketsRequest, WatchBucketsResponse,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};

/// Claims as identity does, and remembers what it was asked. What it claims by itself, its watches tell at
/// their beginning only.
#[derive(Clone)]
pub(crate) struct FakeBuckets {
    pub(crate) address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// Names of buckets and accounts.
    owners: BTreeMap<String, String>,
    asked: Vec<String>,
    /// Said instead of an answer.
    refuses: Option<Status>,
    /// Whether watches tell nothing.
    silent: bool,
}

impl FakeBuckets {
    pub(crate) async fn start(owners: &[(&str, &str)], silent: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let owners = owners.iter().map(|(bucket, owner)| ((*bucket).into(), (*owner).into()));
        let shared = Shared { owners: owners.collect(), silent, ..Shared::default() };
        let shared = Arc::new(Mutex::new(shared));
        let service = BucketServiceServer::new(Service(Arc::clone(&shared)));
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Self { address, shared }
    }

    /// From now on it says this, or answers.
    pub(crate) fn refuses(&self, status: Option<Status>) {
        lock(&self.shared).refuses = status;
    }

    pub(crate) fn owner(&self, bucket: &str) -> Option<String> {
        lock(&self.shared).owners.get(bucket).cloned()
    }

    /// What it was asked since the last time, watches apart.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.shared).asked)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().expect("not poisoned")
}

struct Service(Arc<Mutex<Shared>>);

/// The account of a user, who has the same number.
fn account_of(metadata: &MetadataMap) -> String {
    let user = metadata.get("claviger-acting-user").expect("acts for a user");
    assert_eq!(metadata.get("claviger-facade").expect("says").to_str().ok(), Some("s3"));
    assert!(metadata.contains_key("x-request-id"));
    user.to_str().expect("text").to_owned()
}

fn name_in(account: &str) -> String {
    format!("accounts/{account}")
}

fn bucket(name: &str, account: &str) -> Option<Bucket> {
    Some(Bucket {
        name: format!("buckets/{name}"),
        bucket_name: name.to_owned(),
        account: name_in(account),
        region: "us-east-1".to_owned(),
        create_time: Some(prost_types::Timestamp { seconds: 1_767_268_800, nanos: 0 }),
    })
}

impl Service {
    fn asked(&self, what: String) -> Result<MutexGuard<'_, Shared>, Status> {
        let mut shared = lock(&self.0);
        shared.asked.push(what);
        match &shared.refuses {
            Some(status) => Err(status.clone()),
            None => Ok(shared),
        }
    }
}

#[tonic::async_trait]
impl BucketService for Service {
    type WatchBucketsStream = BoxStream<'static, Result<WatchBucketsResponse, Status>>;

    async fn claim_bucket(
        &self,
        request: Request<ClaimBucketRequest>,
    ) -> Result<Response<ClaimBucketResponse>, Status> {
        let account = account_of(request.metadata());
        let request = request.into_inner();
        assert_eq!(request.parent, name_in(&account));
        let asked = request.bucket.expect("a bucket");
        assert_eq!(asked.region, "us-east-1");
        let name = asked.bucket_name;
        let mut shared = self.asked(format!("claim {name}"))?;
        match shared.owners.get(&name) {
            Some(owner) if *owner == account => {
                Err(api::status(Code::AlreadyExists, Reason::BucketAlreadyOwned, "owned"))
            }
            Some(_) => Err(api::status(Code::AlreadyExists, Reason::BucketAlreadyExists, "taken")),
            None => {
                shared.owners.insert(name.clone(), account.clone());
                let bucket = bucket(&name, &account);
                Ok(Response::new(ClaimBucketResponse { bucket, position: 10 }))
            }
        }
    }

    async fn release_bucket(
        &self,
        request: Request<ReleaseBucketRequest>,
    ) -> Result<Response<ReleaseBucketResponse>, Status> {
        let account = account_of(request.metadata());
        let request = request.into_inner();
        assert_eq!(request.account, name_in(&account));
        let name = request.name.strip_prefix("buckets/").expect("a name").to_owned();
        let mut shared = self.asked(format!("release {name}"))?;
        let owner = shared.owners.remove(&name);
        assert_eq!(owner, Some(account), "released by whom it is not");
        Ok(Response::new(ReleaseBucketResponse { position: 11 }))
    }

    async fn get_bucket(
        &self,
        request: Request<GetBucketRequest>,
    ) -> Result<Response<GetBucketResponse>, Status> {
        let account = account_of(request.metadata());
        let name = request.into_inner().name;
        let name = name.strip_prefix("buckets/").expect("a name");
        let shared = self.asked(format!("get {name}"))?;
        match shared.owners.get(name) {
            Some(owner) if *owner == account => {
                let bucket = bucket(name, &account);
                Ok(Response::new(GetBucketResponse { bucket, position: 9 }))
            }
            Some(_) => {
                Err(api::status(Code::PermissionDenied, Reason::CallerNotAllowed, "another's"))
            }
            None => Err(api::status(Code::NotFound, Reason::NoSuchBucket, "nobody's")),
        }
    }

    async fn list_buckets(
        &self,
        request: Request<ListBucketsRequest>,
    ) -> Result<Response<ListBucketsResponse>, Status> {
        let account = account_of(request.metadata());
        let request = request.into_inner();
        assert_eq!(request.parent, name_in(&account));
        let shared = self.asked(format!("list {}", request.page_token))?;
        let own = shared.owners.iter().filter(|(_, owner)| **owner == account);
        let names = own.map(|(name, _)| name.as_str());
        let names = names.filter(|name| name.starts_with(&request.prefix));
        let mut names: Vec<_> = names.filter(|name| **name > *request.page_token).collect();
        let size = usize::try_from(request.page_size).expect("a size");
        let more = names.len() > size;
        names.truncate(size);
        let next_page_token = names.last().filter(|_| more).map(|name| (*name).to_owned());
        Ok(Response::new(ListBucketsResponse {
            buckets: names.iter().filter_map(|name| bucket(name, &account)).collect(),
            next_page_token: next_page_token.unwrap_or_default(),
        }))
    }

    async fn transfer_bucket(
        &self,
        _: Request<TransferBucketRequest>,
    ) -> Result<Response<TransferBucketResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn watch_buckets(
        &self,
        request: Request<WatchBucketsRequest>,
    ) -> Result<Response<Self::WatchBucketsStream>, Status> {
        assert!(!request.metadata().contains_key("claviger-acting-user"), "for itself");
        let shared = lock(&self.0);
        if shared.silent {
            return Ok(Response::new(stream::pending().boxed()));
        }
        let records = shared.owners.iter().map(|(name, owner)| BucketRecord {
            bucket_name: name.clone(),
            account_id: owner.parse::<uuid::Uuid>().expect("a UUID").as_bytes().to_vec(),
        });
        let begin = [
            Message::Snapshot(BucketRecords { buckets: records.collect() }),
            Message::SnapshotComplete(BucketsComplete { position: 5 }),
        ];
        let heartbeats = stream::unfold((), |()| async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            Some((Message::Heartbeat(BucketsHeartbeat { position: 5 }), ()))
        });
        let first = Message::Heartbeat(BucketsHeartbeat { position: 5 });
        let messages = stream::iter(begin.into_iter().chain([first])).chain(heartbeats);
        let messages = messages.map(|message| Ok(WatchBucketsResponse { message: Some(message) }));
        Ok(Response::new(messages.boxed()))
    }
}
