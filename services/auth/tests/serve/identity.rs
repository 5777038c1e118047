//! An identity that tells what the test wants it to.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use api::identity::v1 as pb;
use api::identity::v1::credential_feed_service_server::{
    CredentialFeedService, CredentialFeedServiceServer,
};
use api::identity::v1::watch_credentials_response::Message;
use rpc::{Callers, Role, ServerTls};
use sigv4::{Date, DateKey, PrivateKey, verify_version_2};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};

type Feed = Result<pb::WatchCredentialsResponse, Status>;
type Messages = Box<dyn Iterator<Item = Message> + Send>;

/// Clones are the same identity.
#[derive(Clone, Default)]
pub(crate) struct FakeIdentity {
    state: Arc<Mutex<State>>,
    derived: Arc<AtomicUsize>,
    watches: watch::Sender<usize>,
    reported: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    /// Makes what each watch begins with.
    beginning: Option<Arc<dyn Fn() -> Messages + Send + Sync>>,
    feeds: Vec<mpsc::UnboundedSender<Feed>>,
    /// Secrets by access key, for older days.
    secrets: HashMap<String, (u32, String)>,
    older_days_fail: bool,
    /// What was reported.
    uses: Vec<pb::UseRecord>,
    lockouts: Vec<pb::LockoutRecord>,
    reports_fail: bool,
}

impl FakeIdentity {
    /// Serves on a port of its own, and tells its URI.
    pub(crate) async fn serve(&self, callers: &Callers, tls: Option<ServerTls>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("has one");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let service = CredentialFeedServiceServer::new(self.clone());
        let guard = callers.guard(|caller| caller.role == Role::Service);
        let mut routes = rpc::routes(&[]).expect("decodes");
        routes.add_service(InterceptedService::new(service, guard));
        let server = rpc::Server {
            listener,
            tls,
            services: &[],
            ready: watch::channel(true).1,
            shutdown: CancellationToken::new(),
        };
        tokio::spawn(server.serve(routes));
        format!("{scheme}://{address}")
    }

    /// Sets what the next watch begins with.
    pub(crate) fn begin_with(&self, messages: Vec<Message>) {
        self.begin_with_all(move || Box::new(messages.clone().into_iter()));
    }

    /// Sets what makes that with which the next watch begins, when it begins: it may be more than fits in memory.
    pub(crate) fn begin_with_all(&self, make: impl Fn() -> Messages + Send + Sync + 'static) {
        self.state().beginning = Some(Arc::new(make));
    }

    /// Sends a message to everyone who watches.
    pub(crate) fn send(&self, message: Message) {
        let message = pb::WatchCredentialsResponse { message: Some(message) };
        self.state().feeds.retain(|feed| feed.send(Ok(message.clone())).is_ok());
    }

    /// Ends all watches, as a server does that stops.
    pub(crate) fn end_watches(&self) {
        for feed in self.state().feeds.drain(..) {
            feed.send(Err(Status::unavailable("stopping"))).ok();
        }
    }

    /// Waits until there have been so many watches.
    pub(crate) async fn watched(&self, times: usize) {
        let mut watches = self.watches.subscribe();
        watches.wait_for(|watched| *watched >= times).await.expect("lives");
    }

    /// Makes a secret known for older days.
    pub(crate) fn know_secret(&self, access_key_id: &str, generation: u32, secret: &str) {
        self.state().secrets.insert(access_key_id.into(), (generation, secret.into()));
    }

    /// Whether date keys of older days are refused with UNAVAILABLE.
    pub(crate) fn fail_older_days(&self, fail: bool) {
        self.state().older_days_fail = fail;
    }

    /// Whether reports are refused with UNAVAILABLE.
    pub(crate) fn fail_reports(&self, fail: bool) {
        self.state().reports_fail = fail;
    }

    /// Waits until so many uses were reported, and takes them.
    pub(crate) async fn uses(&self, count: usize) -> Vec<pb::UseRecord> {
        let mut reported = self.reported.subscribe();
        reported.wait_for(|_| self.state().uses.len() >= count).await.expect("lives");
        std::mem::take(&mut self.state().uses)
    }

    /// Waits until so many lock-outs were reported, and takes them.
    pub(crate) async fn lockouts(&self, count: usize) -> Vec<pb::LockoutRecord> {
        let mut reported = self.reported.subscribe();
        reported.wait_for(|_| self.state().lockouts.len() >= count).await.expect("lives");
        std::mem::take(&mut self.state().lockouts)
    }

    /// How often what is not fed was asked for.
    pub(crate) fn derived(&self) -> usize {
        self.derived.load(Ordering::Acquire)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("unpoisoned")
    }
}

/// The date key of a day, counted from 1970-01-01.
pub(crate) fn date_key(secret: &str, day: u32) -> pb::DateKey {
    let date = Date::from_unix_seconds(i64::from(day) * 86_400);
    pb::DateKey { day, key: DateKey::derive(secret.as_bytes(), &date).expose().to_vec() }
}

#[tonic::async_trait]
impl CredentialFeedService for FakeIdentity {
    type WatchCredentialsStream = Pin<Box<dyn Stream<Item = Feed> + Send>>;

    async fn watch_credentials(
        &self,
        _: Request<pb::WatchCredentialsRequest>,
    ) -> Result<Response<Self::WatchCredentialsStream>, Status> {
        let (feed, changes) = mpsc::unbounded_channel();
        let mut state = self.state();
        state.feeds.push(feed);
        let beginning = state.beginning.clone();
        drop(state);
        let beginning = beginning.into_iter().flat_map(|make| make());
        let beginning =
            beginning.map(|message| Ok(pb::WatchCredentialsResponse { message: Some(message) }));
        self.watches.send_modify(|watched| *watched += 1);
        let stream = tokio_stream::iter(beginning).chain(UnboundedReceiverStream::new(changes));
        Ok(Response::new(Box::pin(stream)))
    }

    async fn derive_date_keys(
        &self,
        request: Request<pb::DeriveDateKeysRequest>,
    ) -> Result<Response<pb::DeriveDateKeysResponse>, Status> {
        self.derived.fetch_add(1, Ordering::AcqRel);
        let pb::DeriveDateKeysRequest { access_key_id, day, .. } = request.into_inner();
        let state = self.state();
        if state.older_days_fail {
            return Err(Status::unavailable("not now"));
        }
        let Some((generation, secret)) = state.secrets.get(&access_key_id) else {
            return Err(Status::not_found("no such access key"));
        };
        let (generation, date_key) = (*generation, Some(date_key(secret, day)));
        let record = pb::DateKeyRecord { access_key_id, generation, date_key };
        Ok(Response::new(pb::DeriveDateKeysResponse { date_keys: vec![record] }))
    }

    async fn derive_public_keys(
        &self,
        request: Request<pb::DerivePublicKeysRequest>,
    ) -> Result<Response<pb::DerivePublicKeysResponse>, Status> {
        self.derived.fetch_add(1, Ordering::AcqRel);
        let id = request.into_inner().access_key_id;
        let state = self.state();
        if state.older_days_fail {
            return Err(Status::unavailable("not now"));
        }
        let Some((generation, secret)) = state.secrets.get(&id) else {
            return Err(Status::not_found("no such access key"));
        };
        let key = PrivateKey::derive(&id, secret.as_bytes()).and_then(|key| key.public_key());
        let public_key = key.expect("has one").to_bytes().to_vec();
        let record = pb::PublicKeyRecord { generation: *generation, public_key };
        Ok(Response::new(pb::DerivePublicKeysResponse { public_keys: vec![record] }))
    }

    async fn verify_signature_version2(
        &self,
        request: Request<pb::VerifySignatureVersion2Request>,
    ) -> Result<Response<pb::VerifySignatureVersion2Response>, Status> {
        self.derived.fetch_add(1, Ordering::AcqRel);
        let request = request.into_inner();
        let state = self.state();
        if state.older_days_fail {
            return Err(Status::failed_precondition("it is off"));
        }
        let Some((generation, secret)) = state.secrets.get(&request.access_key_id) else {
            return Err(Status::not_found("no such access key"));
        };
        let signature = request.signature.as_slice().try_into().expect("20 bytes");
        let is_right = verify_version_2(secret.as_bytes(), &request.string_to_sign, signature);
        let generation = is_right.then_some(*generation);
        Ok(Response::new(pb::VerifySignatureVersion2Response { generation }))
    }

    async fn report_use(
        &self,
        request: Request<pb::ReportUseRequest>,
    ) -> Result<Response<pb::ReportUseResponse>, Status> {
        let mut state = self.state();
        if state.reports_fail {
            return Err(Status::unavailable("not now"));
        }
        state.uses.extend(request.into_inner().uses);
        drop(state);
        self.reported.send_modify(|reported| *reported += 1);
        Ok(Response::new(pb::ReportUseResponse {}))
    }

    async fn report_lockout(
        &self,
        request: Request<pb::ReportLockoutRequest>,
    ) -> Result<Response<pb::ReportLockoutResponse>, Status> {
        let mut state = self.state();
        if state.reports_fail {
            return Err(Status::unavailable("not now"));
        }
        state.lockouts.extend(request.into_inner().lockouts);
        drop(state);
        self.reported.send_modify(|reported| *reported += 1);
        Ok(Response::new(pb::ReportLockoutResponse {}))
    }
}
