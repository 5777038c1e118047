//! An identity that says what it is told to say.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use api::identity::v1::event_service_server::{EventService, EventServiceServer};
use api::identity::v1::{
    ExportLogRequest, ExportLogResponse, GetCheckpointRequest, GetCheckpointResponse,
    ListEventsRequest, ListEventsResponse, VerifyLogRequest, VerifyLogResponse, WatchEventsRequest,
    WatchEventsResponse,
};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use http_body_util::{BodyExt, Full};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tonic::{Request, Response, Status};

/// Refuses calls with a status, and breaks watches off with it after an event. Without one it never answers.
#[derive(Clone)]
pub(crate) struct FakeIdentity {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    says: Mutex<Option<Status>>,
    asked: Mutex<Vec<MetadataMap>>,
    /// Whether what it says is no message.
    nonsense: AtomicBool,
}

impl FakeIdentity {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let service = Service(Arc::clone(&shared));
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(EventServiceServer::new(service.clone()))
                .add_service(Accounts(service.clone()))
                .add_service(Users(service.clone()))
                .add_service(AccessKeys(service.clone()))
                .add_service(Passwords(service))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Self { address, shared }
    }

    pub(crate) fn says(&self, status: Status) {
        *self.shared.says.lock().expect("not poisoned") = Some(status);
    }

    /// Answers calls that are not about events with what is no message.
    pub(crate) fn says_nonsense(&self) {
        self.shared.nonsense.store(true, Ordering::Relaxed);
    }

    /// What each call said of itself.
    pub(crate) fn asked(&self) -> Vec<MetadataMap> {
        self.shared.asked.lock().expect("not poisoned").clone()
    }
}

#[derive(Clone)]
struct Service(Arc<Shared>);

/// Services all of whose calls are answered alike.
macro_rules! alike {
    ($($service:ident = $name:literal),+ $(,)?) => {$(
        #[derive(Clone)]
        struct $service(Service);

        impl NamedService for $service {
            const NAME: &'static str = $name;
        }

        impl tower::Service<http::Request<Body>> for $service {
            type Response = http::Response<Body>;
            type Error = Infallible;
            type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: http::Request<Body>) -> Self::Future {
                let service = self.0.clone();
                Box::pin(async move { Ok(service.respond(request).await) })
            }
        }
    )+};
}

alike! {
    Accounts = "claviger.identity.v1.AccountService",
    Users = "claviger.identity.v1.UserService",
    AccessKeys = "claviger.identity.v1.AccessKeyService",
    Passwords = "claviger.identity.v1.AuthenticationService",
}

impl Service {
    async fn respond(&self, request: http::Request<Body>) -> http::Response<Body> {
        if !self.0.nonsense.load(Ordering::Relaxed) {
            let metadata = MetadataMap::from_headers(request.headers().clone());
            return self.answer(&metadata).await.into_http();
        }
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        // Three bytes that begin a number that does not end.
        let frame = Full::new(bytes::Bytes::from_static(&[0, 0, 0, 0, 3, 0xff, 0xff, 0xff]));
        let body = frame.with_trailers(std::future::ready(Some(Ok(trailers))));
        let response = http::Response::builder().header("content-type", "application/grpc");
        response.body(Body::new(body)).expect("a response")
    }

    async fn answer(&self, metadata: &MetadataMap) -> Status {
        self.0.asked.lock().expect("not poisoned").push(metadata.clone());
        let status = self.0.says.lock().expect("not poisoned").clone();
        match status {
            Some(status) => status,
            None => std::future::pending().await,
        }
    }
}

#[tonic::async_trait]
impl EventService for Service {
    type WatchEventsStream = BoxStream<'static, Result<WatchEventsResponse, Status>>;
    type ExportLogStream = BoxStream<'static, Result<ExportLogResponse, Status>>;

    async fn list_events(
        &self,
        request: Request<ListEventsRequest>,
    ) -> Result<Response<ListEventsResponse>, Status> {
        Err(self.answer(request.metadata()).await)
    }

    async fn watch_events(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let status = self.answer(request.metadata()).await;
        let event = WatchEventsResponse { resume_position: 7, ..WatchEventsResponse::default() };
        Ok(Response::new(stream::iter([Ok(event), Err(status)]).boxed()))
    }

    async fn get_checkpoint(
        &self,
        _: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn verify_log(
        &self,
        _: Request<VerifyLogRequest>,
    ) -> Result<Response<VerifyLogResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn export_log(
        &self,
        _: Request<ExportLogRequest>,
    ) -> Result<Response<Self::ExportLogStream>, Status> {
        Err(Status::unimplemented(""))
    }
}
