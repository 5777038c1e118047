//! Answers that clients of HTTP/2 do not read.
//!
//! A client of HTTP/1.1 that does not read keeps our socket from being written to, which the socket notices.
//! One of HTTP/2 may keep one answer from being sent and read on all others. hyper does not ask for the next
//! piece of such an answer, so nothing that is asked can notice: somebody else must.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::AbortHandle;

use super::under_way::Turn;
use crate::body::BoxError;

/// A response's body, whose request is under way until it ends or is given up.
#[derive(Debug)]
pub(super) struct Answer<B> {
    shared: Arc<Mutex<Shared<B>>>,
    watch: Option<AbortHandle>,
}

#[derive(Debug)]
struct Shared<B> {
    /// None once it was given up.
    body: Option<(B, Turn)>,
    /// How often a piece was asked for.
    asked: u64,
    /// Whether a piece is waited for: then it is not the client that is slow.
    is_waited_for: bool,
}

impl<B: Body + Send + Unpin + 'static> Answer<B> {
    /// The body is given up, and all that hangs on it, when nobody has asked for its next piece for
    /// `unread_max`.
    pub(super) fn new(body: B, mut turn: Turn, unread_max: Option<Duration>) -> Self {
        turn.answer();
        let has_ended = body.is_end_stream();
        let shared = Shared { body: Some((body, turn)), asked: 0, is_waited_for: false };
        let shared = Arc::new(Mutex::new(shared));
        let watch = unread_max.filter(|_| !has_ended).map(|limit| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let mut seen = 0;
                loop {
                    tokio::time::sleep(limit).await;
                    let mut shared = lock(&shared);
                    if std::mem::replace(&mut seen, shared.asked) == shared.asked
                        && !shared.is_waited_for
                    {
                        // What hangs on it may take its time to end.
                        let body = shared.body.take();
                        drop(shared);
                        drop(body);
                        return;
                    }
                }
            })
            .abort_handle()
        });
        Self { shared, watch }
    }
}

impl<B> Drop for Answer<B> {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
            // The watch may hold the body until it is told.
            let body = lock(&self.shared).body.take();
            drop(body);
        }
    }
}

fn lock<B>(shared: &Mutex<Shared<B>>) -> std::sync::MutexGuard<'_, Shared<B>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B> Body for Answer<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut shared = lock(&self.shared);
        let Some((body, _)) = &mut shared.body else {
            return Poll::Ready(Some(Err("the client did not read it in time".into())));
        };
        let polled = Pin::new(body).poll_frame(cx);
        shared.asked += 1;
        shared.is_waited_for = polled.is_pending();
        polled.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.shared).body.as_ref().is_some_and(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let shared = lock(&self.shared);
        shared.body.as_ref().map_or_else(SizeHint::default, |(body, _)| body.size_hint())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, StreamBody};

    use super::*;
    use crate::body::full;
    use crate::listener::under_way::UnderWay;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn what_nobody_reads_is_given_up() {
        let under_way = UnderWay::default();
        let mut answer = Answer::new(full("hello"), under_way.begin(), Some(LIMIT));
        under_way.none_for(Duration::ZERO).await;
        assert!(!answer.is_end_stream());
        assert!(answer.frame().await.expect("a frame").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_waits_for_is_not() {
        let under_way = UnderWay::default();
        let late = async {
            tokio::time::sleep(10 * LIMIT).await;
            Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"late")))
        };
        let body = StreamBody::new(Box::pin(futures::stream::once(late)));
        let answer = Answer::new(body, under_way.begin(), Some(LIMIT));
        assert_eq!(answer.collect().await.expect("whole").to_bytes(), "late");
        under_way.none_for(Duration::ZERO).await;
    }
}
