//! Serves connections by HTTP/2.
//!
//! As tonic's own server does, but for one thing: a call is begun by the task of its connection as soon as
//! it is read, not when its own task has its first turn. Else what waits for a processor would count as
//! nothing, and nothing would be refused before it has waited.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use futures::{Stream, StreamExt};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prost::bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{BoxError, Service};

use crate::Peer;
use crate::incoming::Connection;

/// The most bytes of all header fields of a call.
const HEADER_BYTES_MAX: u32 = 32 << 10;
/// The most calls under way on one connection, as HTTP/2 tells its other end, which keeps more to itself:
/// no connection alone can take all places that there are.
const CALLS_PER_CONNECTION_MAX: u32 = 256;
/// After this a connection is asked to reconnect, so that calls spread over new replicas.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(30 * 60);
/// How often the other end is asked whether it is still there, and how long it may take to answer.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// How many bytes may be sent to a stream, and to a connection, that have not been read yet.
const WINDOW_BYTES: u32 = 1 << 20;

/// Serves connections until `shutdown`, and then until all their calls have ended. `service` must always be
/// ready.
pub(crate) async fn serve<S, B>(
    connections: impl Stream<Item = io::Result<Connection>>,
    service: S,
    shutdown: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = BoxError>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let served = TaskTracker::new();
    {
        let mut connections = pin!(connections);
        loop {
            let connection = tokio::select! {
                () = shutdown.cancelled() => break,
                connection = connections.next() => connection,
            };
            match connection {
                Some(Ok(connection)) => {
                    let at_once = AtOnce { service: service.clone(), peer: connection.peer() };
                    served.spawn(serve_one(connection, at_once, shutdown.clone()));
                }
                Some(Err(_)) => {}
                None => break,
            }
        }
        // No longer accepted: who comes now is refused by the system, and goes elsewhere.
    }
    served.close();
    served.wait().await;
}

async fn serve_one<S, B>(connection: Connection, service: AtOnce<S>, shutdown: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = BoxError>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (interval, timeout) = KEEPALIVE;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_concurrent_streams(CALLS_PER_CONNECTION_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(interval)
        .keep_alive_timeout(timeout);
    let mut served = pin!(builder.serve_connection(TokioIo::new(connection), service));
    let mut told = pin!(async {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(CONNECTION_AGE_MAX) => {}
        }
    });
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = &mut told => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        // A peer that went away, most likely.
        tracing::debug!(%error, "a connection broke");
    }
}

/// Begins a call as soon as it is read.
struct AtOnce<S> {
    service: S,
    peer: Peer,
}

impl<S, B> hyper::service::Service<Request<Incoming>> for AtOnce<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = BoxError> + Clone,
    S::Future: Future<Output = Result<Response<B>, BoxError>>,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = S::Future;

    fn call(&self, mut request: Request<Incoming>) -> S::Future {
        request.extensions_mut().insert(self.peer.clone());
        let mut service = self.service.clone();
        // It always is; but it must have been asked.
        let _ = service.poll_ready(&mut Context::from_waker(Waker::noop()));
        service.call(request)
    }
}
