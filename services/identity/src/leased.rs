//! Streams that end also when their client does not read them.
//!
//! A stream is asked for its next message only when its client takes messages. One that a client
//! leaves unread would last, with all that it holds, for as long as the connection does. Here a task
//! looks at each stream from outside, and lets go of what feeds it when its term is over.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::Stream;
use futures::stream::BoxStream;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// How many exports of one kind are under way at most.
pub(crate) const EXPORTS_MAX: usize = 2;
/// How long an export lasts of which its client takes nothing.
pub(crate) const EXPORT_UNREAD_MAX: Duration = Duration::from_secs(30);

/// How long a stream lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Term {
    /// Up to this instant.
    Until(Instant),
    /// Until its client has taken nothing for so long, though there was something.
    Unread(Duration),
}

/// A stream that lasts for its term at most. See the module.
pub(crate) struct Leased<T> {
    shared: Arc<Mutex<Shared<T>>>,
    _term: AbortOnDropHandle<()>,
}

struct Shared<T> {
    /// None once it is over.
    source: Option<BoxStream<'static, T>>,
    /// Makes the last message of a stream whose term is over.
    last: Option<Box<dyn FnOnce() -> T + Send>>,
    /// Since when the client could take what is next; none while it waits for it.
    left_since: Option<Instant>,
    waker: Option<Waker>,
}

impl<T: Send + 'static> Leased<T> {
    /// Gives what `source` does, until it ends or its term does. `last` is then the last message, as
    /// soon as the client takes it; it is not called if the source ended by itself.
    pub(crate) fn new(
        source: impl Stream<Item = T> + Send + 'static,
        term: Term,
        last: impl FnOnce() -> T + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            source: Some(Box::pin(source)),
            last: Some(Box::new(last)),
            left_since: Some(Instant::now()),
            waker: None,
        }));
        let over = over(Arc::clone(&shared), term);
        Self { shared, _term: AbortOnDropHandle::new(tokio::spawn(over)) }
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
            Poll::Pending => {
                shared.left_since = None;
                shared.waker = Some(context.waker().clone());
            }
            Poll::Ready(Some(_)) => shared.left_since = Some(Instant::now()),
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

/// Waits until the term is over, and lets go of the source.
async fn over<T>(shared: Arc<Mutex<Shared<T>>>, term: Term) {
    match term {
        Term::Until(end) => tokio::time::sleep_until(end).await,
        Term::Unread(limit) => loop {
            let left_since = lock(&shared).left_since;
            let end = left_since.unwrap_or_else(Instant::now) + limit;
            tokio::time::sleep_until(end).await;
            let still = lock(&shared).left_since;
            if still.is_some_and(|since| since + limit <= Instant::now()) {
                break;
            }
        },
    }
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
    use futures::{FutureExt, StreamExt, stream};

    use super::*;

    const TERM: Duration = Duration::from_secs(30);

    /// Counts up from 0 for ever, or is silent from some message on; tells whether it is held still.
    fn counting(term: Term, silent_from: u64) -> (Leased<u64>, std::sync::Weak<()>) {
        let held = Arc::new(());
        let is_held = Arc::downgrade(&held);
        let numbers = stream::unfold((0, held), move |(number, held)| async move {
            if number >= silent_from {
                std::future::pending::<()>().await;
            }
            Some((number, (number + 1, held)))
        });
        (Leased::new(numbers, term, || u64::MAX), is_held)
    }

    #[tokio::test(start_paused = true)]
    async fn what_feeds_a_stream_is_let_go_of_though_nobody_reads() {
        for term in [Term::Until(Instant::now() + TERM), Term::Unread(TERM)] {
            let (mut numbers, held) = counting(term, u64::MAX);
            assert_eq!(numbers.next().await, Some(0));
            tokio::time::sleep(TERM - Duration::from_millis(1)).await;
            assert_eq!(held.strong_count(), 1);
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert_eq!(held.strong_count(), 0);
            assert_eq!(numbers.next().await, Some(u64::MAX), "the last message");
            assert_eq!(numbers.next().await, None);
            assert_eq!(numbers.next().await, None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_told_that_the_time_is_over() {
        let (mut numbers, _) = counting(Term::Until(Instant::now() + TERM), 1);
        assert_eq!(numbers.next().await, Some(0));
        assert_eq!(numbers.next().await, Some(u64::MAX));
        assert_eq!(numbers.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_read_slowly_or_has_nothing_to_tell_is_not_unread() {
        let (mut numbers, held) = counting(Term::Unread(TERM), 5);
        for number in 0..5 {
            assert_eq!(numbers.next().await, Some(number));
            tokio::time::sleep(TERM * 3 / 4).await;
        }
        assert_eq!(tokio::time::timeout(TERM * 5, numbers.next()).await.ok(), None);
        assert_eq!(held.strong_count(), 1);
        drop(numbers);
        assert_eq!(held.strong_count(), 0, "also when its client is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_ends_by_itself_has_no_other_last_message() {
        let term = Term::Unread(TERM);
        let mut numbers = Leased::new(stream::iter([1, 2]), term, || u64::MAX);
        assert_eq!(numbers.next().now_or_never(), Some(Some(1)));
        assert_eq!(numbers.next().now_or_never(), Some(Some(2)));
        assert_eq!(numbers.next().now_or_never(), Some(None));
        assert_eq!(numbers.next().now_or_never(), Some(None));
        let mut unread = Leased::new(stream::iter([1]), term, || u64::MAX);
        tokio::time::sleep(TERM * 2).await;
        assert_eq!(unread.next().await, Some(u64::MAX), "also if never read at all");
        assert_eq!(unread.next().await, None);
    }
}
