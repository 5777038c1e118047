//! The log in memory: for tests, and wherever nothing must outlive the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::future::{self, BoxFuture};
use uuid::Uuid;

use crate::index::Index;
use crate::log::{READ_EVENTS_MAX, not_none};
use crate::sequencer::{Sequenced, Sequencer};
use crate::tail::{self, FrameSource, State, Tail};
use crate::verify::Verifier;
use crate::{
    AppendError, Appended, Batch, CheckpointError, Clock, EventLog, Fault, Head, Position,
    ReadError, StoredFrame, Subscription,
};

/// Frames by position: what a [`MemoryLog`] keeps in place of a disk.
pub type MemoryFrames = Arc<Mutex<BTreeMap<u64, Bytes>>>;

/// An [`EventLog`] in memory. Durable for as long as its frames are held.
pub struct MemoryLog(Arc<Inner>);

struct Inner {
    log_id: Uuid,
    frames: MemoryFrames,
    sequencer: Mutex<Sequencer>,
    tail: Tail,
}

impl MemoryLog {
    /// An empty log.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let log_id = Uuid::new_v4();
        Self::over(log_id, MemoryFrames::default(), Sequencer::new(log_id, clock))
    }

    /// The log that stands in `frames`, checked as a whole.
    ///
    /// # Errors
    /// [`Fault`] when it is not what was written.
    pub fn open(log_id: Uuid, frames: MemoryFrames, clock: Arc<dyn Clock>) -> Result<Self, Fault> {
        let mut verifier = Verifier::new(log_id, Index::default());
        for (&position, bytes) in &*lock(&frames) {
            verifier.push(StoredFrame { position: Position(position), bytes: bytes.clone() })?;
        }
        Ok(Self::over(log_id, frames, verifier.finish(clock)?))
    }

    /// What stands in this log's place of a disk.
    pub fn stored(&self) -> MemoryFrames {
        Arc::clone(&self.0.frames)
    }

    fn over(log_id: Uuid, frames: MemoryFrames, sequencer: Sequencer) -> Self {
        let tail = Tail::new(sequencer.head());
        Self(Arc::new(Inner { log_id, frames, sequencer: Mutex::new(sequencer), tail }))
    }
}

impl Inner {
    fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        // Held to the end: events are published in the order of their positions.
        let mut sequencer = lock(&self.sequencer);
        match self.tail.state() {
            State::Open => {}
            State::Closed => return Err(AppendError::Unavailable("log is closed".into())),
            State::Failed(reason) => return Err(AppendError::Unavailable(reason)),
        }
        match sequencer.sequence(batch)? {
            Sequenced::Before(appended) => Ok(appended),
            Sequenced::New(appended, frames) => {
                let (events, bytes): (Vec<_>, Vec<_>) = frames.into_iter().unzip();
                lock(&self.frames).extend((appended.first.0..).zip(bytes));
                self.tail.publish(events);
                Ok(appended)
            }
        }
    }
}

impl FrameSource for Inner {
    fn frames(
        self: Arc<Self>,
        after: Position,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<StoredFrame>, ReadError>> {
        let head = self.tail.head().position;
        if after > head {
            return Box::pin(future::err(ReadError::AheadOfLog { after, head }));
        }
        if after == head {
            return Box::pin(future::ok(Vec::new()));
        }
        let stored = lock(&self.frames);
        let range = stored.range(after.next().0..=head.0).take(limit.min(READ_EVENTS_MAX));
        let frames = range.map(|(&position, bytes)| StoredFrame {
            position: Position(position),
            bytes: bytes.clone(),
        });
        Box::pin(future::ready(not_none(after, limit, frames.collect())))
    }

    fn tail(&self) -> &Tail {
        &self.tail
    }
}

impl EventLog for MemoryLog {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move { self.0.append(batch) })
    }

    fn frames(
        &self,
        after: Position,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredFrame>, ReadError>> {
        Arc::clone(&self.0).frames(after, limit)
    }

    fn head(&self) -> Head {
        self.0.tail.head()
    }

    fn subscribe(&self, after: Position) -> Subscription {
        tail::subscribe(Arc::clone(&self.0), after)
    }

    /// There is nothing that it would spare.
    fn checkpoint(&self) -> BoxFuture<'_, Result<Head, CheckpointError>> {
        Box::pin(future::ok(self.head()))
    }

    fn log_id(&self) -> Uuid {
        self.0.log_id
    }

    fn epoch(&self) -> u64 {
        1
    }

    fn failed(&self) -> BoxFuture<'static, Arc<str>> {
        self.0.tail.failed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.0.tail.end(State::Closed) })
    }
}

/// What a panicking thread left is whole: each lock is held over infallible changes only.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
