//! HTTP on a listener, by TLS or in the clear: so many connections, heads of bounded size and time, and
//! an end.
//!
//! Whoever begins with HTTP/2's preface is spoken to by HTTP/2, and everybody else by HTTP/1.1. (The
//! builder of hyper-util that does the same waits for the preface for ever.)

mod connection;
mod under_way;
mod unread;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use rpc::{Agreed, HttpsServer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tower::Service;

use self::connection::Http;
use crate::body::BoxError;
use crate::config::Limits;

/// How long to wait before accepting again when it failed, for want of file descriptors say.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// The longest that a TLS handshake may take, also where a head may take longer.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    /// What its TLS is; none in the clear.
    pub(crate) tls: Option<Agreed>,
}

/// Where to serve, and to how many at once.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) listener: TcpListener,
    /// In the clear if not given.
    pub(crate) tls: Option<HttpsServer>,
    pub(crate) connections_max: usize,
    /// The whole answer, head and body, to a connection's first request when hyper cannot read it.
    pub(crate) unreadable: fn(StatusCode) -> Vec<u8>,
}

/// Serves `service_of` each client until `shutdown`, then lets requests under way end for as long as
/// the limits say.
pub(crate) async fn serve<S, B>(
    port: Port,
    limits: &Limits,
    shutdown: &CancellationToken,
    service_of: impl Fn(Client) -> S + Send + Sync + 'static,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let Port { listener, tls, connections_max, unreadable } = port;
    let http = Arc::new(Http::new(limits, unreadable, shutdown.clone()));
    let service_of = Arc::new(service_of);
    let handshake_timeout = limits.head_timeout.min(HANDSHAKE_TIMEOUT);
    let free = Arc::new(Semaphore::new(connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &free) => accepted,
        };
        let (stream, address, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let (http, service_of, tls) = (Arc::clone(&http), Arc::clone(&service_of), tls.clone());
        connections.spawn(async move {
            let _permit = permit;
            let ended = match tls {
                None => http.serve(stream, service_of(Client { address, tls: None })).await,
                Some(tls) => {
                    let shaken = time::timeout(handshake_timeout, tls.accept(stream));
                    let shaken = tokio::select! {
                        () = http.shutdown.cancelled() => return,
                        shaken = shaken => shaken.unwrap_or(Err(io::ErrorKind::TimedOut.into())),
                    };
                    match shaken {
                        Ok(stream) => {
                            let client = Client { address, tls: Agreed::on(&stream) };
                            tracing::debug!(tls = ?client.tls, "a connection has begun");
                            http.serve(stream, service_of(client)).await
                        }
                        Err(error) => Err(error.into()),
                    }
                }
            };
            if let Err(error) = ended {
                tracing::debug!(error, "a connection broke off");
            }
        });
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if time::timeout(limits.drain_timeout, drained).await.is_err() {
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
