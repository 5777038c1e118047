//! BucketService: which account a bucket belongs to.

mod watch;

use std::ops::Bound;
use std::pin::Pin;
use std::sync::Arc;

use api::identity::v1::bucket_service_server::BucketService;
use api::identity::v1::{
    ClaimBucketRequest, ClaimBucketResponse, GetBucketRequest, GetBucketResponse,
    ListBucketsRequest, ListBucketsResponse, ReleaseBucketRequest, ReleaseBucketResponse,
    TransferBucketRequest, TransferBucketResponse, WatchBucketsRequest, WatchBucketsResponse,
};
use domain::{Bucket, BucketName, BucketRegion, Refusal};
use futures::Stream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use self::watch::Watches;
use crate::caller::Call;
use crate::command::CommandKey;
use crate::error::Error;
use crate::writer::{Begun, Writer};
use crate::{answer, page, render, resource};

/// Buckets that are looked at for one page: where few of them are of the region that is asked for, a
/// page is short.
const LOOKED_AT_MAX: usize = 10_000;

pub(crate) struct Buckets {
    writer: Arc<Writer>,
    watches: Watches,
}

impl Buckets {
    pub(crate) fn new(writer: Arc<Writer>, shutdown: CancellationToken) -> Self {
        Self { watches: Watches::new(Arc::clone(&writer), shutdown), writer }
    }
}

#[tonic::async_trait]
impl BucketService for Buckets {
    type WatchBucketsStream =
        Pin<Box<dyn Stream<Item = Result<WatchBucketsResponse, Status>> + Send>>;

    async fn claim_bucket(
        &self,
        request: Request<ClaimBucketRequest>,
    ) -> Result<Response<ClaimBucketResponse>, Status> {
        let call = Call::of(&self.writer, &request)?;
        Ok(Response::new(claim(&self.writer, &call, request.into_inner()).await?))
    }

    async fn release_bucket(
        &self,
        request: Request<ReleaseBucketRequest>,
    ) -> Result<Response<ReleaseBucketResponse>, Status> {
        let call = Call::of(&self.writer, &request)?;
        Ok(Response::new(release(&self.writer, &call, request.into_inner()).await?))
    }

    async fn get_bucket(
        &self,
        request: Request<GetBucketRequest>,
    ) -> Result<Response<GetBucketResponse>, Status> {
        let call = Call::of(&self.writer, &request)?;
        let request = request.into_inner();
        let name = resource::bucket("name", &request.name)?;
        self.writer.applied(request.min_position).await?;
        let model = self.writer.model();
        let bucket =
            model.buckets().get(&name).ok_or(Refusal::NoSuchBucket).map_err(Error::from)?;
        call.sees_buckets(bucket.account)?;
        Ok(Response::new(GetBucketResponse {
            bucket: Some(render::bucket(&name, bucket)),
            position: self.writer.told(model.position()),
        }))
    }

    async fn list_buckets(
        &self,
        request: Request<ListBucketsRequest>,
    ) -> Result<Response<ListBucketsResponse>, Status> {
        let call = Call::of(&self.writer, &request)?;
        let request = request.into_inner();
        self.writer.applied(request.min_position).await?;
        Ok(Response::new(list(&self.writer, &call, &request)?))
    }

    async fn transfer_bucket(
        &self,
        request: Request<TransferBucketRequest>,
    ) -> Result<Response<TransferBucketResponse>, Status> {
        let call = Call::of(&self.writer, &request)?;
        call.manages_all()?;
        Ok(Response::new(transfer(&self.writer, &call, request.into_inner()).await?))
    }

    async fn watch_buckets(
        &self,
        request: Request<WatchBucketsRequest>,
    ) -> Result<Response<Self::WatchBucketsStream>, Status> {
        // A gateway watches for itself, and so for nobody.
        let call = if Call::is_of_gateway_itself(&request) {
            None
        } else {
            let call = Call::of(&self.writer, &request)?;
            call.reads_all()?;
            Some(call)
        };
        Ok(Response::new(Box::pin(self.watches.begin(call)?)))
    }
}

async fn claim(
    writer: &Arc<Writer>,
    call: &Call,
    mut request: ClaimBucketRequest,
) -> Result<ClaimBucketResponse, Error> {
    let key = CommandKey::new(&call.principal(), &mut request)?;
    let outcome = match writer.begin(key).await? {
        Begun::Recorded(outcome) => outcome,
        Begun::Fresh(fresh) => {
            let account = resource::account(&writer.model(), call, "parent", &request.parent)?;
            call.claims_buckets(account)?;
            let asked = request.bucket.ok_or_else(|| Error::invalid("bucket", "is missing"))?;
            let name = BucketName::parse(&asked.bucket_name)
                .map_err(|error| Error::invalid("bucket.bucket_name", error.to_string()))?;
            let region = region("bucket.region", &asked.region)?;
            writer.claim_bucket(call, fresh, account, name, region).await?
        }
    };
    let bucket = answer::changed_bucket(writer, outcome).await?;
    Ok(ClaimBucketResponse { bucket: Some(bucket), position: writer.told(outcome.last) })
}

async fn release(
    writer: &Arc<Writer>,
    call: &Call,
    mut request: ReleaseBucketRequest,
) -> Result<ReleaseBucketResponse, Error> {
    let key = CommandKey::new(&call.principal(), &mut request)?;
    let outcome = match writer.begin(key).await? {
        Begun::Recorded(outcome) => outcome,
        Begun::Fresh(fresh) => {
            let name = resource::bucket("name", &request.name)?;
            let account = {
                let model = writer.model();
                let owner = model.buckets().get(&name).map(|bucket| bucket.account);
                let owner = owner.ok_or(Refusal::NoSuchBucket)?;
                call.claims_buckets(owner)?;
                match request.account.as_str() {
                    "" => owner,
                    account => resource::account(&model, call, "account", account)?,
                }
            };
            writer.release_bucket(call, fresh, account, name).await?
        }
    };
    Ok(ReleaseBucketResponse { position: writer.told(outcome.last) })
}

async fn transfer(
    writer: &Arc<Writer>,
    call: &Call,
    mut request: TransferBucketRequest,
) -> Result<TransferBucketResponse, Error> {
    let key = CommandKey::new(&call.principal(), &mut request)?;
    let outcome = match writer.begin(key).await? {
        Begun::Recorded(outcome) => outcome,
        Begun::Fresh(fresh) => {
            let name = resource::bucket("name", &request.name)?;
            let (from, to) = {
                let model = writer.model();
                let source = &request.source_account;
                let from = resource::account(&model, call, "source_account", source)?;
                (from, resource::account(&model, call, "account", &request.account)?)
            };
            writer.transfer_bucket(call, fresh, name, from, to).await?
        }
    };
    let bucket = answer::changed_bucket(writer, outcome).await?;
    Ok(TransferBucketResponse { bucket: Some(bucket), position: writer.told(outcome.last) })
}

fn list(
    writer: &Writer,
    call: &Call,
    request: &ListBucketsRequest,
) -> Result<ListBucketsResponse, Error> {
    let ListBucketsRequest { parent, prefix, region, .. } = request;
    if prefix.len() > BucketName::LEN_MAX {
        return Err(Error::invalid("prefix", "must be at most 63 characters"));
    }
    let region = self::region("region", region)?;
    let size = page::size(request.page_size)?;
    let model = writer.model();
    let account = match resource::account_or_all(&model, call, "parent", parent)? {
        Some(account) => {
            call.sees_buckets(account)?;
            Some(account)
        }
        None => {
            call.reads_all()?;
            None
        }
    };
    let of = account.map(render::account_name).unwrap_or_default();
    let region_name = region.as_ref().map_or("", BucketRegion::as_str);
    let list = format!("buckets/{of}?{prefix}&{region_name}");
    let after = page::cursor(&list, &request.page_token)?;
    let from = match &after {
        Some(after) => Bound::Excluded(after.as_str()),
        None => Bound::Included(prefix.as_str()),
    };
    let buckets: Box<dyn Iterator<Item = (&BucketName, &Bucket)>> = match account {
        Some(account) => Box::new(model.buckets().from(account, from)),
        None => Box::new(model.buckets().all_from(from)),
    };
    let mut buckets = buckets.take_while(|(name, _)| name.as_str().starts_with(prefix)).peekable();
    let (mut found, mut last) = (vec![], None);
    for _ in 0..LOOKED_AT_MAX {
        if found.len() == size {
            break;
        }
        let Some((name, bucket)) = buckets.next() else { break };
        last = Some(name);
        if region.is_none() || bucket.region == region {
            found.push(render::bucket(name, bucket));
        }
    }
    let more = last.filter(|_| buckets.peek().is_some());
    let next_page_token = more.map(|last| page::token(&list, last.as_str())).unwrap_or_default();
    Ok(ListBucketsResponse { buckets: found, next_page_token })
}

/// A region that may be left out.
fn region(field: &'static str, text: &str) -> Result<Option<BucketRegion>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let region = BucketRegion::parse(text);
    region.map(Some).map_err(|error| Error::invalid(field, error.to_string()))
}
