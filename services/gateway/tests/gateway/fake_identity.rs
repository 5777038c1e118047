//! An identity that says what it is told to say, about events.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use api::identity::v1::event_service_server::{EventService, EventServiceServer};
use api::identity::v1::{
    ExportLogRequest, ExportLogResponse, GetCheckpointRequest, GetCheckpointResponse,
    ListEventsRequest, ListEventsResponse, VerifyLogRequest, VerifyLogResponse, WatchEventsRequest,
    WatchEventsResponse,
};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

/// Refuses lists with a status, and breaks watches off with it after an event. Without one it never
/// answers a list.
#[derive(Clone)]
pub(crate) struct FakeIdentity {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    says: Mutex<Option<Status>>,
    asked: Mutex<Vec<MetadataMap>>,
}

impl FakeIdentity {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let service = EventServiceServer::new(Service(Arc::clone(&shared)));
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Self { address, shared }
    }

    pub(crate) fn says(&self, status: Status) {
        *self.shared.says.lock().expect("not poisoned") = Some(status);
    }

    /// What each call said of itself.
    pub(crate) fn asked(&self) -> Vec<MetadataMap> {
        self.shared.asked.lock().expect("not poisoned").clone()
    }
}

struct Service(Arc<Shared>);

impl Service {
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
