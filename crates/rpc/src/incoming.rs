//! Connections as they come in: so many, and none that only sits there.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use opentelemetry::metrics::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

use crate::{CertifiedName, ServerTls};

/// The most connections to one port; further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 4096;
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may take to say that it speaks HTTP/2.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);
/// Length of the client's connection preface (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;
/// After a failed accept, such as for want of file descriptors, before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections for ever, those by TLS once their handshake is done. Handshakes go on side by
/// side, and end with the stream.
pub(crate) fn connections(
    source: impl Into<Source>,
    tls: Option<ServerTls>,
) -> impl futures::Stream<Item = io::Result<Connection>> {
    let failed = telemetry::meter()
        .u64_counter("claviger.rpc.handshakes.failed")
        .with_description("TLS handshakes that were refused or broken off.")
        .build();
    if let Some(tls) = &tls {
        tls.tell_expiry();
    }
    let incoming = Incoming { source: source.into(), tls, handshakes: JoinSet::new(), failed };
    futures::stream::unfold(incoming, |mut incoming| async move {
        Some((Ok(incoming.next().await), incoming))
    })
}

/// Where connections come from.
pub(crate) enum Source {
    /// The port itself.
    Port(Port),
    /// Whoever accepts them and hands them out.
    Handed(mpsc::Receiver<Handed>),
}

impl From<TcpListener> for Source {
    fn from(listener: TcpListener) -> Self {
        Self::Port(Port::new(listener))
    }
}

impl Source {
    /// The next connection. Nothing is lost if it is dropped before.
    async fn next(&mut self) -> (TcpStream, Place) {
        match self {
            Self::Port(port) => port.accept().await,
            Self::Handed(handed) => loop {
                // Nobody hands out any more once the server stops.
                let Some(Handed { stream, place }) = handed.recv().await else {
                    std::future::pending().await
                };
                match TcpStream::from_std(stream) {
                    Ok(stream) => return (stream, place),
                    Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
                }
            },
        }
    }
}

/// A connection on its way to another runtime.
pub(crate) struct Handed {
    pub(crate) stream: std::net::TcpStream,
    pub(crate) place: Place,
}

/// What a connection takes up for as long as it lasts.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    /// Counts the connections of one worker.
    pub(crate) load: Option<Arc<()>>,
}

/// A listening port, with so many places.
pub(crate) struct Port {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

struct Incoming {
    source: Source,
    tls: Option<ServerTls>,
    /// Those under way; each has a place already.
    handshakes: JoinSet<Option<Connection>>,
    failed: Counter<u64>,
}

impl Incoming {
    async fn next(&mut self) -> Connection {
        loop {
            let (stream, place) = tokio::select! {
                Some(ended) = self.handshakes.join_next() => match ended {
                    Ok(Some(connection)) => return connection,
                    Ok(None) | Err(_) => continue,
                },
                accepted = self.source.next() => accepted,
            };
            // Small answers must not wait for acknowledgements. If it cannot be set they do.
            let _ = stream.set_nodelay(true);
            let address = stream.peer_addr().ok();
            match &self.tls {
                None => {
                    let peer = Peer { address, certificate: None };
                    return Connection::new(Stream::Plain(stream), peer, place);
                }
                Some(tls) => {
                    let (tls, failed) = (tls.clone(), self.failed.clone());
                    self.handshakes.spawn(handshake(tls, stream, address, place, failed));
                }
            }
        }
    }
}

impl Port {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }

    /// When there is a place, accepts a connection. Nothing is lost if it is dropped before.
    pub(crate) async fn accept(&self) -> (TcpStream, Place) {
        loop {
            // Never closed, so that there always is a place in the end.
            let Ok(permit) = Arc::clone(&self.places).acquire_owned().await else {
                std::future::pending().await
            };
            match self.listener.accept().await {
                Ok((stream, _)) => return (stream, Place { _permit: permit, load: None }),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn handshake(
    tls: ServerTls,
    stream: TcpStream,
    address: Option<SocketAddr>,
    place: Place,
    failed: Counter<u64>,
) -> Option<Connection> {
    let done = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await;
    match done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok((stream, names)) => {
            let peer = Peer { address, certificate: names.map(Into::into) };
            Some(Connection::new(Stream::Tls(Box::new(stream)), peer, place))
        }
        Err(error) => {
            failed.add(1, &[]);
            let source_address = address.map(|address| address.ip().to_string());
            // Whoever connects and goes away again is most likely a probe.
            if error.kind() == io::ErrorKind::UnexpectedEof {
                tracing::debug!(source_address, "a connection ended within its TLS handshake");
            } else {
                tracing::info!(
                    target: "claviger::audit",
                    %error,
                    source_address,
                    "TLS handshake refused or failed",
                );
            }
            None
        }
    }
}

/// Who is at the other end of a connection. In the extensions of each request.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// From where.
    pub address: Option<SocketAddr>,
    /// Whom the certificate stands for that it showed, which an authority of the configuration has
    /// made; none if it showed none.
    pub certificate: Option<Arc<[CertifiedName]>>,
}

/// A connection that is closed unless it begins with a preface soon.
pub(crate) struct Connection {
    stream: Stream,
    peer: Peer,
    /// Runs until the preface has been read.
    waiting: Option<(Pin<Box<Sleep>>, usize)>,
    _place: Place,
}

/// What bytes go through.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
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

impl Connection {
    fn new(stream: Stream, peer: Peer, place: Place) -> Self {
        let timeout = Box::pin(tokio::time::sleep(PREFACE_TIMEOUT));
        Self { stream, peer, waiting: Some((timeout, PREFACE_BYTES)), _place: place }
    }

    /// Who is at its other end.
    pub(crate) fn peer(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = either!(&mut self.stream, stream => Pin::new(stream).poll_read(cx, buffer));
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

// Not vectored: else h2 writes each message of 256 bytes or more by itself, where it now gathers those of
// less than 1024, as most answers are, and writes them at once. Larger ones take two writes for one.
impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(&mut self.stream, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut self.stream, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut self.stream, stream => Pin::new(stream).poll_shutdown(cx))
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
        let mut connections = Box::pin(connections(listener, None));
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

    #[tokio::test]
    async fn answers_are_gathered() {
        let (_client, server) = pair().await;
        assert!(!server.is_write_vectored(), "h2 would write each by itself");
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
