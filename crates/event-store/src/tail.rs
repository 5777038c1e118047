//! The end of the log in memory: tells subscribers what is new, and spares them reading it back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream;
use tokio::sync::watch;

use crate::log::decode_all;
use crate::{Head, Position, ReadError, Recorded, StoredFrame, Subscription};

/// How many of the last events are kept; at most 7 KiB each.
const TAIL_EVENTS_MAX: usize = 4096;
/// How many events a subscriber takes at once, and of how many bytes, or one event: all that it keeps.
/// Those that it has from here are shared, but it may be the last to keep them.
const CHUNK_EVENTS_MAX: usize = 96;
const CHUNK_BYTES: usize = 64 << 10;

/// Whether the log goes on.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Open,
    Closed,
    Failed(Arc<str>),
}

/// What is durable, and the last of it.
#[derive(Debug)]
pub(crate) struct Tail {
    recent: Mutex<VecDeque<Arc<Recorded>>>,
    status: watch::Sender<(Head, State)>,
}

/// Reads frames back from where they are stored.
pub(crate) trait FrameSource: Send + Sync + 'static {
    fn frames(
        self: Arc<Self>,
        after: Position,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<StoredFrame>, ReadError>>;

    fn tail(&self) -> &Tail;
}

/// What the tail can say to a reader at some position.
enum Next {
    Events(VecDeque<Arc<Recorded>>),
    ReadLog,
    Wait,
    End(Option<ReadError>),
}

impl Tail {
    pub(crate) fn new(head: Head) -> Self {
        Self { recent: Mutex::default(), status: watch::Sender::new((head, State::Open)) }
    }

    pub(crate) fn head(&self) -> Head {
        self.status.borrow().0
    }

    /// Makes events visible that are durable and follow the last ones.
    pub(crate) fn publish(&self, events: impl IntoIterator<Item = Arc<Recorded>>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.extend(events);
        let Some(last) = recent.back() else { return };
        let head = Head { position: last.position, hash: last.hash };
        let surplus = recent.len().saturating_sub(TAIL_EVENTS_MAX);
        recent.drain(..surplus);
        drop(recent);
        self.status.send_modify(|status| status.0 = head);
    }

    /// Says that nothing more will come. What failed stays failed.
    pub(crate) fn end(&self, state: State) {
        self.status.send_if_modified(|(_, current)| {
            let ends = matches!(current, State::Open);
            if ends {
                *current = state;
            }
            ends
        });
    }

    pub(crate) fn state(&self) -> State {
        self.status.borrow().1.clone()
    }

    /// Resolves with the reason once the log has failed.
    pub(crate) fn failed(&self) -> BoxFuture<'static, Arc<str>> {
        let mut status = self.status.subscribe();
        Box::pin(async move {
            let failed = status.wait_for(|(_, state)| matches!(state, State::Failed(_))).await;
            match failed.map(|status| status.1.clone()) {
                Ok(State::Failed(reason)) => reason,
                Ok(State::Open | State::Closed) | Err(_) => std::future::pending().await,
            }
        })
    }

    /// Resolves once nothing more will come.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut status = self.status.subscribe();
        async move { drop(status.wait_for(|(_, state)| !matches!(state, State::Open)).await) }
    }

    fn next(&self, after: Position) -> Next {
        let (head, state) = self.status.borrow().clone();
        if after > head.position {
            return Next::End(Some(ReadError::AheadOfLog { after, head: head.position }));
        }
        if after == head.position {
            return match state {
                State::Open => Next::Wait,
                State::Closed => Next::End(None),
                State::Failed(reason) => Next::End(Some(ReadError::Unavailable(reason))),
            };
        }
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let first = recent.front().map_or(u64::MAX, |event| event.position.0);
        match after.next().0.checked_sub(first).map(usize::try_from) {
            Some(Ok(skip)) => {
                // `publish` adds events before it raises the head: those beyond are not out yet.
                let out = usize::try_from(head.position.0 - after.0).unwrap_or(usize::MAX);
                Next::Events(chunk_of(recent.iter().skip(skip).take(out).map(Arc::clone)))
            }
            Some(Err(_)) | None => Next::ReadLog,
        }
    }
}

/// Follows a log after `after`; see [`crate::EventLog::subscribe`].
pub(crate) fn subscribe(source: Arc<impl FrameSource>, after: Position) -> Subscription {
    let status = source.tail().status.subscribe();
    let start = Some((source, status, after, VecDeque::new()));
    stream::unfold(start, |reader| async move {
        let (source, mut status, after, mut chunk) = reader?;
        loop {
            if let Some(event) = VecDeque::pop_front(&mut chunk) {
                let event: Arc<Recorded> = event;
                let after = event.position;
                return Some((Ok(event), Some((source, status, after, chunk))));
            }
            // Seen before asking, so that whatever comes after the answer wakes the wait below.
            status.borrow_and_update();
            match source.tail().next(after) {
                Next::Events(events) => chunk = events,
                Next::ReadLog => match Arc::clone(&source).frames(after, CHUNK_EVENTS_MAX).await {
                    Ok(frames) => match decode_all(after, frames) {
                        // What does not fit is read again.
                        Ok(events) => chunk = chunk_of(events.into_iter().map(Arc::new)),
                        Err(error) => return Some((Err(error), None)),
                    },
                    Err(error) => return Some((Err(error), None)),
                },
                Next::Wait => drop(status.changed().await),
                Next::End(None) => return None,
                Next::End(Some(error)) => return Some((Err(error), None)),
            }
        }
    })
    .boxed()
}

/// The first of these events that a subscriber keeps at once.
fn chunk_of(events: impl Iterator<Item = Arc<Recorded>>) -> VecDeque<Arc<Recorded>> {
    let mut bytes = 0;
    let fits = |event: &Arc<Recorded>| {
        let is_first = bytes == 0;
        bytes += event.memory_bytes();
        is_first || bytes <= CHUNK_BYTES
    };
    events.take(CHUNK_EVENTS_MAX).take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{Actor, Hash, Revision, StreamId};

    fn events(count: u64, payload_bytes: usize) -> impl Iterator<Item = Arc<Recorded>> {
        (1..=count).map(move |position| {
            Arc::new(Recorded {
                position: Position(position),
                prev_hash: Hash([0; 32]),
                hash: Hash([0; 32]),
                time_ms: 0,
                account: uuid::Uuid::nil(),
                stream: StreamId::parse("user/1").expect("a name"),
                revision: Revision(position),
                event_type: 1,
                schema_version: 1,
                command_id: uuid::Uuid::nil(),
                command_digest: [0; 32],
                batch_index: 0,
                batch_len: 1,
                actor: Actor::default(),
                claims: vec![],
                payload: Bytes::from(vec![0; payload_bytes]),
                sealed: None,
                sealed_hash: None,
            })
        })
    }

    #[test]
    fn a_subscriber_keeps_few_events_and_few_bytes() {
        assert_eq!(chunk_of(events(1000, 10)).len(), CHUNK_EVENTS_MAX);
        assert_eq!(chunk_of(events(3, 10)).len(), 3);
        assert_eq!(chunk_of(events(1000, 7 << 10)).len(), 8);
        assert_eq!(chunk_of(events(1000, CHUNK_BYTES)).len(), 1, "one in any case");
        assert_eq!(chunk_of(events(0, 0)).len(), 0);
    }
}
