//! Streams that end also when their client does not read them.
//!
//! A stream is asked for its next message only when its client takes messages. One that a client
//! leaves unread would last, with all that it holds, for as long as the connection does. Here a task
//! looks at each stream from outside, and lets go of what feeds it when its time is over.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::Stream;
use futures::stream::BoxStream;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

/// A stream that lasts for some time at most. See the module.
pub(crate) struct Leased<T> {
    shared: Arc<Mutex<Shared<T>>>,
    _end: AbortOnDropHandle<()>,
}

struct Shared<T> {
    /// None once it is over.
    source: Option<BoxStream<'static, T>>,
    /// Makes the last message of a stream whose time is over.
    last: Option<Box<dyn FnOnce() -> T + Send>>,
    waker: Option<Waker>,
}

impl<T: Send + 'static> Leased<T> {
    /// Gives what `source` does, until it ends or `end` comes. `last` is then the last message, as
    /// soon as the client takes it; it is not called if the source ended by itself.
    pub(crate) fn new(
        source: impl Stream<Item = T> + Send + 'static,
        end: Instant,
        last: impl FnOnce() -> T + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            source: Some(Box::pin(source)),
            last: Some(Box::new(last)),
            waker: None,
        }));
        let over = over(Arc::clone(&shared), end);
        Self { shared, _end: AbortOnDropHandle::new(tokio::spawn(over)) }
    }
}

impl<T> Stream for Leased<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut shared = lock(&self.shared);
        let Some(source) = &mut shared.source else {
            return Poll::Ready(shared.last.take().map(|last| last()));
        };
        let polled = source.as_mut().poll_next(context);
        match &polled {
            Poll::Pending => shared.waker = Some(context.waker().clone()),
            Poll::Ready(Some(_)) => {}
            Poll::Ready(None) => (shared.source, shared.last) = (None, None),
        }
        polled
    }
}

impl<T> Drop for Leased<T> {
    fn drop(&mut self) {
        // Not only when the task is.
        lock(&self.shared).source = None;
    }
}

/// Waits until the time is over, and lets go of the source.
async fn over<T>(shared: Arc<Mutex<Shared<T>>>, end: Instant) {
    sleep_until(end).await;
    let (source, waker) = {
        let mut shared = lock(&shared);
        (shared.source.take(), shared.waker.take())
    };
    drop(source);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// What a panicking thread left is dropped with the stream that it polled.
fn lock<T>(shared: &Mutex<Shared<T>>) -> MutexGuard<'_, Shared<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{FutureExt, StreamExt, stream};

    use super::*;

    const TIME: Duration = Duration::from_secs(30);

    /// Counts up from 0 for ever, or is silent from some message on; tells whether it is held still.
    fn counting(silent_from: u64) -> (Leased<u64>, std::sync::Weak<()>) {
        let held = Arc::new(());
        let is_held = Arc::downgrade(&held);
        let numbers = stream::unfold((0, held), move |(number, held)| async move {
            if number >= silent_from {
                std::future::pending::<()>().await;
            }
            Some((number, (number + 1, held)))
        });
        (Leased::new(numbers, Instant::now() + TIME, || u64::MAX), is_held)
    }

    #[tokio::test(start_paused = true)]
    async fn what_feeds_a_stream_is_let_go_of_though_nobody_reads() {
        let (mut numbers, held) = counting(u64::MAX);
        assert_eq!(numbers.next().await, Some(0));
        tokio::time::sleep(TIME - Duration::from_millis(1)).await;
        assert_eq!(held.strong_count(), 1);
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(held.strong_count(), 0);
        assert_eq!(numbers.next().await, Some(u64::MAX), "the last message");
        assert_eq!(numbers.next().await, None);
        assert_eq!(numbers.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_told_that_the_time_is_over() {
        let (mut numbers, _) = counting(1);
        assert_eq!(numbers.next().await, Some(0));
        assert_eq!(numbers.next().await, Some(u64::MAX));
        assert_eq!(numbers.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_ends_by_itself_has_no_other_last_message() {
        let end = Instant::now() + TIME;
        let mut numbers = Leased::new(stream::iter([1, 2]), end, || u64::MAX);
        assert_eq!(numbers.next().now_or_never(), Some(Some(1)));
        assert_eq!(numbers.next().now_or_never(), Some(Some(2)));
        assert_eq!(numbers.next().now_or_never(), Some(None));
        assert_eq!(numbers.next().now_or_never(), Some(None));
    }
}
