//! Connections as they come in: so many, and none that only sits there.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// The most connections to one port; further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 4096;
/// How long a connection may take to say that it speaks HTTP/2.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);
/// Length of the client's connection preface (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;
/// After a failed accept, such as for want of file descriptors, before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections for ever.
pub(crate) fn connections(
    listener: TcpListener,
) -> impl futures::Stream<Item = io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    futures::stream::unfold((listener, places), |(listener, places)| async move {
        // Never closed, so that there always is a place in the end.
        let place = Arc::clone(&places).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = Connection::new(stream, place);
                    return Some((Ok(connection), (listener, places)));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

/// A connection that is closed unless it begins with a preface soon.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Runs until the preface has been read.
    waiting: Option<(Pin<Box<Sleep>>, usize)>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        // Small answers must not wait for acknowledgements. If it cannot be set they do.
        let _ = stream.set_nodelay(true);
        let timeout = Box::pin(tokio::time::sleep(PREFACE_TIMEOUT));
        Self { stream, waiting: Some((timeout, PREFACE_BYTES)), _place: place }
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let Some((timeout, missing)) = &mut self.waiting else { return polled };
        *missing = missing.saturating_sub(buffer.filled().len() - before);
        if *missing == 0 {
            self.waiting = None;
        } else if timeout.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn pair() -> (TcpStream, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let mut connections = Box::pin(connections(listener));
        let (client, server) = tokio::join!(TcpStream::connect(address), connections.next());
        (client.expect("connects"), server.expect("comes in").expect("is accepted"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_or_half_of_it_is_closed() {
        for said in ["", "PRI * HTTP/2.0"] {
            let (mut client, mut server) = pair().await;
            client.write_all(said.as_bytes()).await.expect("written");
            let mut heard = vec![];
            let error = server.read_to_end(&mut heard).await.expect_err("is closed");
            assert_eq!(
                (error.kind(), heard.as_slice()),
                (io::ErrorKind::TimedOut, said.as_bytes())
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_begun_may_be_silent() {
        let (mut client, mut server) = pair().await;
        client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("written");
        let mut preface = [0; PREFACE_BYTES];
        server.read_exact(&mut preface).await.expect("read");
        let silence = tokio::time::timeout(Duration::from_secs(3600), server.read_u8());
        assert!(silence.await.is_err(), "still open after an hour");
    }
}
