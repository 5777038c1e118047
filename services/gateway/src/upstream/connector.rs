//! Connections to an upstream, by TLS or in the clear.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rpc::{ClientStream, HttpsClient};
use tokio::net::TcpStream;
use tower::{Service, ServiceExt};

use crate::body::BoxError;

/// Connects, within bounded time.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    tls: Option<HttpsClient>,
    timeout: Duration,
}

/// What bytes go through.
///
/// It ends by a reset, and never as if all had been said: there are stores that take the end of a connection for
/// that of an upload, and would keep what was broken off.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<ClientStream>>),
}

impl Connector {
    /// By TLS if there is one. `timeout` is for all of a connection's beginning, with its handshake.
    pub(crate) fn new(tls: Option<HttpsClient>, timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(timeout));
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        tcp.enforce_http(tls.is_none());
        Self { tcp, tls, timeout }
    }

    async fn connect(self, uri: Uri) -> Result<Stream, BoxError> {
        let host = uri.host().unwrap_or_default().to_owned();
        let stream = self.tcp.oneshot(uri).await?;
        stream.inner().set_zero_linger()?;
        match &self.tls {
            None => Ok(Stream::Plain(stream)),
            Some(tls) => {
                let stream = tls.connect(&host, stream.into_inner()).await?;
                Ok(Stream::Tls(Box::new(TokioIo::new(stream))))
            }
        }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Stream, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (this, timeout) = (self.clone(), self.timeout);
        Box::pin(async move {
            let connected = tokio::time::timeout(timeout, this.connect(uri)).await;
            connected.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        })
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// Does the same with either kind of stream.
macro_rules! either {
    ($stream:expr, $it:ident => $work:expr) => {
        match $stream {
            Stream::Plain($it) => $work,
            Stream::Tls($it) => $work,
        }
    };
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        either!(&mut *self, stream => Pin::new(stream).poll_read(cx, buffer))
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(&mut *self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(&mut *self, stream => Pin::new(stream).poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        either!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // a reset is all that is said at the end
    }
}
