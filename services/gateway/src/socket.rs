//! A client's socket that is not written to for ever, and not closed into the client's face.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// With what a client begins that speaks HTTP/2 (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much is still read, and thrown away, after the last byte was written.
const LINGER_BYTES_MAX: usize = 8 << 20;
/// For how long.
const LINGER_MAX: Duration = Duration::from_secs(1);

/// A client's socket.
///
/// Closing a socket with something unread makes the kernel send a reset, upon which the client's
/// kernel throws away the answer that it has not read yet. A client that is refused in the middle
/// of an upload should see why, so what it still sends is read for a moment after the answer.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    stream: S,
    /// What has been read to see what the client speaks, and how much of it has been given out.
    start: ([u8; PREFACE.len()], std::ops::Range<usize>),
    write_timeout: Duration,
    /// Runs while the client does not read what we write.
    stalled: Option<Pin<Box<Sleep>>>,
    lingering: Option<Linger>,
    unreadable: Unreadable,
    /// What is said in place of what hyper said, and how much of it has been written.
    said: Option<(Vec<u8>, usize)>,
}

/// What to answer to a first request that hyper cannot read: hyper says a status and nothing more,
/// which no client of a dialect understands.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    /// Whether a request has been read: what is written until then are hyper's own words.
    pub(crate) asked: Arc<AtomicBool>,
    /// The whole answer for the status that hyper chose.
    pub(crate) answer: fn(StatusCode) -> Vec<u8>,
}

#[derive(Debug)]
struct Linger {
    end: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(crate) fn new(stream: S, write_timeout: Duration, unreadable: Unreadable) -> Self {
        let start = ([0; PREFACE.len()], 0..0);
        Self {
            stream,
            start,
            write_timeout,
            stalled: None,
            lingering: None,
            unreadable,
            said: None,
        }
    }

    /// Waits for a client's first bytes, and says whether it speaks HTTP/2: to such a client, what
    /// hyper says is said in its own words.
    pub(crate) async fn begins_with_http2(&mut self) -> io::Result<bool> {
        let (start, unread) = &mut self.start;
        while unread.end < PREFACE.len() && PREFACE.starts_with(&start[unread.clone()]) {
            match self.stream.read(&mut start[unread.end..]).await? {
                0 => break,
                more => unread.end += more,
            }
        }
        let is_http2 = start == PREFACE;
        if is_http2 {
            self.unreadable.asked.store(true, Ordering::Relaxed);
        }
        Ok(is_http2)
    }

    /// Whether these are hyper's own words, which are then replaced.
    fn replaces(&mut self, head: &[u8]) -> bool {
        if self.unreadable.asked.load(Ordering::Relaxed) {
            return false;
        }
        let answer = self.unreadable.answer;
        self.said.get_or_insert_with(|| {
            // `HTTP/1.1 431 ...`
            let status = head.get(9..12).and_then(|status| StatusCode::from_bytes(status).ok());
            (answer(status.unwrap_or(StatusCode::BAD_REQUEST)), 0)
        });
        true
    }

    /// Writes what is said in place of hyper's words.
    fn poll_said(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((said, written)) = &mut self.said
            && *written < said.len()
        {
            let more = Pin::new(&mut self.stream).poll_write(cx, &said[*written..]);
            if let Poll::Ready(Ok(more)) = &more {
                *written += more;
            }
            if ready!(self.watch(cx, more))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Watches over a write.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let limit = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (start, unread) = &mut self.start;
        if unread.start < unread.end {
            let piece = unread.start..unread.end.min(unread.start + buf.remaining());
            unread.start = piece.end;
            buf.put_slice(&start[piece]);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.replaces(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.replaces(bufs.first().map_or(&[], |first| first)) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_said(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_said(cx))?;
        let this = &mut *self;
        let linger = match &mut this.lingering {
            Some(linger) => linger,
            None => {
                ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
                this.lingering.insert(Linger {
                    end: Box::pin(sleep(LINGER_MAX)),
                    bytes_left: LINGER_BYTES_MAX,
                })
            }
        };
        let mut scratch = [0; 16 << 10];
        while linger.bytes_left > 0 && linger.end.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf)) {
                Ok(()) if buf.filled().is_empty() => break,
                Ok(()) => linger.bytes_left = linger.bytes_left.saturating_sub(buf.filled().len()),
                Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
