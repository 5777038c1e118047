//! Bodies on their way through: counted, and not waited for without end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Any error.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Any body.
pub(crate) type BoxBody = UnsyncBoxBody<Bytes, BoxError>;

/// A body of no bytes.
pub(crate) fn empty() -> BoxBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body of these bytes.
pub(crate) fn full(bytes: impl Into<Bytes>) -> BoxBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Any body, as one of them.
pub(crate) fn boxed<B>(body: B) -> BoxBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// A body stood still for too long.
#[derive(Debug, thiserror::Error)]
#[error("the body stood still for {0:?}")]
pub(crate) struct Stalled(pub(crate) Duration);

/// A body broke off.
#[derive(Debug, thiserror::Error)]
#[error("the body broke off")]
pub(crate) struct BrokenOff(#[source] pub(crate) BoxError);

/// How many bytes have gone through. Clones share one count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count(Arc<AtomicU64>);

impl Count {
    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A body whose bytes are counted, and that fails if it is waited for too long.
///
/// The time runs only while somebody waits for the body: a reader that is slow itself does not
/// make it fail.
#[derive(Debug)]
pub(crate) struct Watched<B> {
    inner: B,
    count: Count,
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
    waiting: bool,
}

impl<B> Watched<B> {
    pub(crate) fn new(inner: B, count: Count, limit: Duration) -> Self {
        Self { inner, count, limit, sleep: Box::pin(sleep(limit)), waiting: false }
    }
}

impl<B> Body for Watched<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
            if !this.waiting {
                this.waiting = true;
                this.sleep.as_mut().reset(Instant::now() + this.limit);
            }
            ready!(this.sleep.as_mut().poll(cx));
            return Poll::Ready(Some(Err(Stalled(this.limit).into())));
        };
        this.waiting = false;
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => {
                this.count.add(frame.data_ref().map_or(0, Bytes::len));
                Ok(frame)
            }
            Err(error) => Err(BrokenOff(error.into()).into()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A body that can be broken off from elsewhere.
#[derive(Debug)]
pub(crate) struct Cut<B> {
    inner: B,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<B> Cut<B> {
    /// Breaks off when `cut` is cancelled.
    pub(crate) fn new(inner: B, cut: CancellationToken) -> Self {
        Self { inner, cut: Box::pin(cut.cancelled_owned()) }
    }
}

impl<B> Body for Cut<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err("nobody wants the body any more".into())));
        }
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Never has anything to say.
    struct Silent;

    impl Body for Silent {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_silent_body_fails_in_the_end() {
        let mut body = Watched::new(Silent, Count::default(), Duration::from_millis(1));
        let error = body.frame().await.expect("a frame").expect_err("an error");
        assert!(error.is::<Stalled>());
    }

    #[tokio::test]
    async fn bytes_are_counted() {
        let count = Count::default();
        let body = Watched::new(full("hello"), count.clone(), Duration::MAX / 4);
        body.collect().await.expect("whole");
        assert_eq!(count.bytes(), 5);
    }
}
