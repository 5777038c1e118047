//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

use super::under_way::UnderWay;
use super::unread::Answer;
use crate::body::BoxError;
use crate::config::Limits;
use crate::socket::{Socket, Unreadable};

/// The most bytes of a request's head: hyper answers 431 beyond it. Above the limit that S3's own
/// error tells, so that moderate excess is told in full. As each connection may hold an unfinished head, it also bounds the memory that all of them take: this,
/// and as much for the last read.
const HEAD_BYTES_MAX: usize = 72 << 10;

/// The most requests under way on one connection of HTTP/2.
const STREAMS_MAX: u32 = 100;
/// How many bytes of a body, and of all bodies of a connection, a client may send by HTTP/2 that have not
/// been read yet: they are kept in memory.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// How many bytes of each answer are kept that a client of HTTP/2 has not read yet.
const SEND_BUFFER_BYTES_MAX: usize = 64 << 10;
/// How often a client of HTTP/2 is asked whether it is still there, and how long it may take to answer.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// How connections are served.
pub(super) struct Http {
    one: http1::Builder,
    two: http2::Builder<TokioExecutor>,
    head_timeout: Duration,
    idle_timeout: Duration,
    unreadable: fn(StatusCode) -> Vec<u8>,
    pub(super) shutdown: CancellationToken,
}

impl Http {
    pub(super) fn new(
        limits: &Limits,
        unreadable: fn(StatusCode) -> Vec<u8>,
        shutdown: CancellationToken,
    ) -> Self {
        let mut one = http1::Builder::new();
        // No half-closed clients: a client that goes away looks like one, and the request that nobody
        // waits for any more would go on upstream.
        one.timer(TokioTimer::new())
            .header_read_timeout(limits.head_timeout)
            .max_header_size(HEAD_BYTES_MAX)
            .max_buf_size(HEAD_BYTES_MAX);
        let mut two = http2::Builder::new(TokioExecutor::new());
        two.timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEAD_BYTES_MAX as u32)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
            .keep_alive_interval(KEEPALIVE.0)
            .keep_alive_timeout(KEEPALIVE.1);
        let (head_timeout, idle_timeout) = (limits.head_timeout, limits.idle_timeout);
        Self { one, two, head_timeout, idle_timeout, unreadable, shutdown }
    }

    /// Serves one connection until its client or the shutdown ends it.
    ///
    /// # Errors
    /// If it broke off, or said what HTTP has no answer to.
    pub(super) async fn serve<S, B>(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        service: S,
    ) -> Result<(), BoxError>
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let asked = Arc::new(AtomicBool::new(false));
        let unreadable = Unreadable { asked: Arc::clone(&asked), answer: self.unreadable };
        let mut socket = Socket::new(stream, self.idle_timeout, unreadable);
        let is_http2 = tokio::select! {
            () = self.shutdown.cancelled() => return Ok(()),
            begun = time::timeout(self.head_timeout, socket.begins_with_http2()) => begun??,
        };
        let under_way = UnderWay::default();
        let turns = under_way.clone();
        let unread_max = is_http2.then_some(self.idle_timeout);
        let service = service_fn(move |request| {
            asked.store(true, Ordering::Relaxed);
            let (service, turn) = (service.clone(), turns.begin());
            async move {
                let response = service.oneshot(with_host(request)).await?;
                Ok::<_, Infallible>(response.map(|body| Answer::new(body, turn, unread_max)))
            }
        });
        let io = TokioIo::new(socket);
        if is_http2 {
            self.until_the_end(self.two.serve_connection(io, service), Some(under_way)).await
        } else {
            self.until_the_end(self.one.serve_connection(io, service), None).await
        }
    }

    /// Lets a connection end by itself. One of HTTP/2, whose requests are told, is asked to end when
    /// it has had none for as long as a head may take, and cut off if it does not, or if its client
    /// is only there to give up what it asks for. (Of HTTP/1.1 hyper does as much.)
    async fn until_the_end<C>(
        &self,
        connection: C,
        under_way: Option<UnderWay>,
    ) -> Result<(), BoxError>
    where
        C: GracefulConnection<Error: Into<BoxError>>,
    {
        let mut connection = pin!(connection);
        let (mut was_idle, mut is_draining) = (false, false);
        loop {
            let idle = async {
                match &under_way {
                    Some(under_way) => under_way.none_for(self.head_timeout).await,
                    None => std::future::pending().await,
                }
            };
            let flooding = async {
                match &under_way {
                    Some(under_way) => under_way.given_up_too_often().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ended = connection.as_mut() => return ended.map_err(Into::into),
                () = self.shutdown.cancelled(), if !is_draining => is_draining = true,
                () = flooding => return Err("its client gives up most of its requests".into()),
                () = idle => {
                    if std::mem::replace(&mut was_idle, true) {
                        return Err("it did not end when asked to".into());
                    }
                }
            }
            connection.as_mut().graceful_shutdown();
        }
    }
}

/// With the host in the header of that name, which HTTP/2 has in `:authority` (RFC 9113 section 8.3.1), and
/// which is what clients sign. Where both are given and differ, the request has two hosts, and is refused
/// as such.
fn with_host(mut request: Request<Incoming>) -> Request<Incoming> {
    if request.version() == Version::HTTP_2
        && let Some(authority) = request.uri().authority()
        && request.headers().get(HOST).is_none_or(|host| host != authority.as_str())
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().append(HOST, host);
    }
    request
}
