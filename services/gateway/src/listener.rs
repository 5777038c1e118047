//! HTTP/1.1 on a listener: so many connections, heads of bounded size and time, and an end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

use crate::body::BoxError;
use crate::config::Limits;
use crate::socket::{Socket, Unreadable};

/// The most bytes of a request's head: hyper answers 431 beyond it. Above the limit that S3's own
/// error tells, so that moderate excess is told in full. As each connection may hold an unfinished head, it also bounds the memory that all of them take: this,
/// and as much for the last read.
const BUFFER_BYTES_MAX: usize = 72 << 10;

/// How long to wait before accepting again when it failed, for want of file descriptors say.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves `service_of` so many clients at once, until `shutdown`, then lets requests under way end for as long
/// as the limits say. `unreadable` is the whole answer, head and body, to a connection's first request
/// when hyper cannot read it.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    limits: &Limits,
    connections_max: usize,
    shutdown: &CancellationToken,
    unreadable: fn(StatusCode) -> Vec<u8>,
    service_of: impl Fn(SocketAddr) -> S,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut http = http1::Builder::new();
    // No half-closed clients: a client that goes away looks like one, and the request that nobody
    // waits for any more would go on upstream.
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_header_size(BUFFER_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    let free = Arc::new(Semaphore::new(connections_max));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &free) => accepted,
        };
        let (stream, client, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let unreadable = Unreadable { asked: Arc::default(), answer: unreadable };
        let asked = Arc::clone(&unreadable.asked);
        let service = service_of(client).map_request(move |request| {
            asked.store(true, Ordering::Relaxed);
            request
        });
        let service = TowerToHyperService::new(service);
        let socket = TokioIo::new(Socket::new(stream, limits.idle_timeout, unreadable));
        let connection = graceful.watch(http.serve_connection(socket, service));
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke off");
            }
            drop(permit);
        });
    }
    drop(listener);
    if time::timeout(limits.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests under way were cut off after the drain timeout");
    }
    connections.shutdown().await;
}

/// When there is room for one more, accepts a connection.
async fn accept(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(free).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, client) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, client, permit))
}
