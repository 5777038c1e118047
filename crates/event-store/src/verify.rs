//! Proves that a log is what was written: frames, positions, chain, revisions, times, batches.

use std::sync::Arc;

use uuid::Uuid;

use crate::log::decode_at;
use crate::sequencer::Sequencer;
use crate::{
    Clock, EventLog, Fault, FaultKind, Head, Position, ReadError, Recorded, StoredFrame,
    SystemClock,
};

/// How many frames are read at once.
const CHUNK_FRAMES: usize = 1024;

/// What a whole log came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verified {
    /// The last event; its hash stands for the whole log.
    pub head: Head,
    /// How many events there are.
    pub events: u64,
    /// How many of them had a sealed part that was dropped.
    pub sealed_dropped: u64,
}

/// Walks a log from its first event to the head that it has at the start of the walk.
///
/// # Errors
/// [`ReadError::Fault`] with the first thing that is wrong; [`ReadError::Unavailable`] when the log
/// cannot be read, after which retrying is safe.
pub async fn verify(log: &dyn EventLog) -> Result<Verified, ReadError> {
    let end = log.head().position;
    let mut verifier = Verifier::new(log.log_id(), Arc::new(SystemClock));
    while verifier.head().position < end {
        let after = verifier.head().position;
        let left = usize::try_from(end.0 - after.0).unwrap_or(CHUNK_FRAMES);
        let frames = log.frames(after, left.min(CHUNK_FRAMES)).await?;
        for frame in frames {
            verifier.push(frame)?;
        }
    }
    Ok(verifier.verified()?)
}

/// Takes in a log frame by frame: checks it, and keeps what is needed to go on writing.
pub(crate) struct Verifier {
    sequencer: Sequencer,
    /// How many events of the batch are still to come, and its last event so far.
    open: Option<(u32, Recorded)>,
    sealed_dropped: u64,
}

impl Verifier {
    pub(crate) fn new(log_id: Uuid, clock: Arc<dyn Clock>) -> Self {
        Self { sequencer: Sequencer::new(log_id, clock), open: None, sealed_dropped: 0 }
    }

    pub(crate) fn head(&self) -> Head {
        self.sequencer.head()
    }

    /// Checks the next frame.
    pub(crate) fn push(&mut self, stored: StoredFrame) -> Result<(), Fault> {
        let position = self.head().position.next();
        let event = decode_at(position, stored)?;
        self.check(event).map_err(|kind| Fault { position, kind })
    }

    fn check(&mut self, event: Recorded) -> Result<(), FaultKind> {
        let expected = self.head().hash;
        if event.prev_hash != expected {
            return Err(FaultKind::Chain { expected, found: event.prev_hash });
        }
        if let Some(by_ms) =
            self.sequencer.time_ms().checked_sub(event.time_ms).filter(|&by| by > 0)
        {
            return Err(FaultKind::Time(by_ms));
        }
        if !self.continues_batch(&event) {
            return Err(FaultKind::Batch);
        }
        self.sequencer.recorded(&event)?;
        self.sealed_dropped += u64::from(event.sealed.is_none() && event.sealed_hash.is_some());
        let left = event.batch_len - event.batch_index - 1; // not negative, see `continues_batch`
        self.open = (left > 0).then_some((left, event));
        Ok(())
    }

    /// Whether an event is the next of the batch that is open, or the first of a new one.
    fn continues_batch(&self, event: &Recorded) -> bool {
        match &self.open {
            None => event.batch_index == 0 && event.batch_len > 0,
            Some((left, last)) => {
                event.batch_len == last.batch_len
                    && event.batch_index == last.batch_len - left
                    && event.command_id == last.command_id
                    && event.command_digest == last.command_digest
                    && event.time_ms == last.time_ms
                    && event.claims.is_empty()
            }
        }
    }

    /// What the whole log came to.
    pub(crate) fn verified(&self) -> Result<Verified, Fault> {
        let head = self.head();
        match &self.open {
            Some(_) => Err(Fault { position: head.position.next(), kind: FaultKind::Batch }),
            None => {
                let Position(events) = head.position;
                Ok(Verified { head, events, sealed_dropped: self.sealed_dropped })
            }
        }
    }

    /// Goes over from reading to writing.
    pub(crate) fn finish(self) -> Result<Sequencer, Fault> {
        self.verified().map(|_| self.sequencer)
    }
}
