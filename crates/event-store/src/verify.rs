//! Proves that a log is what was written: frames, positions, chain, revisions, times, batches.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::index::{self, Index};
use crate::log::decode_at;
use crate::sequencer::Sequencer;
use crate::{
    ClaimOp, Clock, EventLog, Fault, FaultKind, Head, Position, ReadError, Recorded, Revision,
    StoredFrame, genesis,
};

/// How many frames are read at once.
const CHUNK_FRAMES: usize = 1024;

/// What a log came to, or the part of it that was checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verified {
    /// The last event; its hash stands for the whole log.
    pub head: Head,
    /// How many events were checked.
    pub events: u64,
    /// How many of them had a sealed part that was dropped.
    pub sealed_dropped: u64,
}

/// Walks a log up to the head that it has at the start of the walk: from its first event, or from
/// what `since` says is trusted.
///
/// With `since`, the event there must have that hash, which stands for everything before it; only
/// what follows is read. Checksums, positions, chain, times and batches are checked as ever. Revisions
/// and claims are checked against each other within what follows, and not against what came before.
///
/// # Errors
/// [`ReadError::Fault`] with the first thing that is wrong, at `since` itself
/// [`FaultKind::Chain`]; [`ReadError::AheadOfLog`] when the log ends before `since`;
/// [`ReadError::Unavailable`] when the log cannot be read, after which retrying is safe.
pub async fn verify(log: &dyn EventLog, since: Option<Head>) -> Result<Verified, ReadError> {
    verify_with(log, since, |_| ()).await
}

/// Does what [`verify`] does, and tells `on_progress` how far it has come: after each 1,024 events or
/// so, and at the end.
///
/// # Errors
/// As [`verify`].
pub async fn verify_with(
    log: &dyn EventLog,
    since: Option<Head>,
    on_progress: impl FnMut(Head) + Send,
) -> Result<Verified, ReadError> {
    verify_piece(log, since, log.head().position, on_progress).await
}

/// Does what [`verify`] does up to `until`, or a little further, where a batch ends: a piece of a
/// long log. What it comes to is what to trust for the next piece.
///
/// # Errors
/// As [`verify`].
pub async fn verify_until(
    log: &dyn EventLog,
    since: Option<Head>,
    until: Position,
) -> Result<Verified, ReadError> {
    verify_piece(log, since, until, |_| ()).await
}

async fn verify_piece(
    log: &dyn EventLog,
    since: Option<Head>,
    until: Position,
    on_progress: impl FnMut(Head) + Send,
) -> Result<Verified, ReadError> {
    let end = log.head();
    let origin = Head { position: Position::START, hash: genesis(log.log_id()) };
    let since = since.unwrap_or(origin);
    if since.position > end.position {
        return Err(ReadError::AheadOfLog { after: since.position, head: end.position });
    }
    if since.position > Position::START {
        let frames = log.frames(Position(since.position.0 - 1), 1).await?;
        let event = trusted(since, frames.into_iter().next())?;
        return walk(log, Verifier::after(&event, TailIndex::default())?, end, until, on_progress)
            .await;
    }
    same_hash(since, origin)?;
    walk(log, Verifier::new(log.log_id(), Index::default()), end, until, on_progress).await
}

async fn walk(
    log: &dyn EventLog,
    mut verifier: Verifier<impl Known>,
    end: Head,
    until: Position,
    mut on_progress: impl FnMut(Head) + Send,
) -> Result<Verified, ReadError> {
    let whole = |verifier: &Verifier<_>| {
        let position = verifier.head().position;
        position == end.position || position >= until && verifier.verified().is_ok()
    };
    while !whole(&verifier) {
        let after = verifier.head().position;
        // Beyond `until` only to the end of its batch, event by event.
        let left = usize::try_from(until.min(end.position).0.saturating_sub(after.0))
            .unwrap_or(CHUNK_FRAMES);
        let frames = log.frames(after, left.clamp(1, CHUNK_FRAMES)).await?;
        for frame in frames {
            verifier.push(frame)?;
        }
        on_progress(verifier.head());
    }
    let verified = verifier.verified()?;
    if verified.head.position == end.position {
        same_hash(end, verified.head)?;
    }
    Ok(verified)
}

/// Decodes the event that stands where `since` says, and refuses any but that one.
pub(crate) fn trusted(since: Head, stored: Option<StoredFrame>) -> Result<Recorded, Fault> {
    let missing = Fault { position: since.position, kind: FaultKind::Missing };
    let event = decode_at(since.position, stored.ok_or(missing)?)?;
    same_hash(since, Head { position: event.position, hash: event.hash })?;
    Ok(event)
}

/// Refuses an event that is not the one that is expected there.
pub(crate) fn same_hash(expected: Head, found: Head) -> Result<(), Fault> {
    if found.hash == expected.hash {
        return Ok(());
    }
    let kind = FaultKind::Chain { expected: expected.hash, found: found.hash };
    Err(Fault { position: expected.position, kind })
}

/// What events are checked against, besides the one before.
pub(crate) trait Known: Send {
    /// Takes in the next event.
    ///
    /// # Errors
    /// The contradiction to the events before it, with which it can never have been recorded.
    fn apply(&mut self, event: &Recorded) -> Result<(), FaultKind>;
}

/// Everything before.
impl Known for Index {
    fn apply(&mut self, event: &Recorded) -> Result<(), FaultKind> {
        self.apply(event)
    }
}

/// Nothing: for who needs the chain alone, in constant memory.
impl Known for () {
    fn apply(&mut self, _: &Recorded) -> Result<(), FaultKind> {
        Ok(())
    }
}

/// What the events of a log's tail say themselves of streams and claims.
#[derive(Default)]
pub(crate) struct TailIndex {
    revisions: HashMap<index::Key, Revision>,
    /// Who holds a claim, or that nobody does.
    holders: HashMap<index::Key, Option<Uuid>>,
}

impl Known for TailIndex {
    fn apply(&mut self, event: &Recorded) -> Result<(), FaultKind> {
        let before = self.revisions.insert(index::stream_key(&event.stream), event.revision);
        // A stream's first event here may have any revision but that of a stream that has none.
        let expected = before.map_or(event.revision.max(Revision(1)), Revision::next);
        if event.revision != expected {
            return Err(FaultKind::Revision { expected, found: event.revision });
        }
        for op in &event.claims {
            let claim = op.claim();
            let (allowed, after) = match op {
                ClaimOp::Take(_) => (None, Some(event.account)),
                ClaimOp::Release(_) => (Some(event.account), None),
            };
            let before = self.holders.insert(index::claim_key(claim), after);
            if before.is_some_and(|holder| holder != allowed) {
                return Err(index::contradiction(claim));
            }
        }
        Ok(())
    }
}

/// Takes in a log frame by frame: checks it, and keeps what is needed to go on writing.
pub(crate) struct Verifier<K> {
    known: K,
    head: Head,
    time_ms: u64,
    open: Option<OpenBatch>,
    events: u64,
    sealed_dropped: u64,
}

/// A batch that has events still to come.
struct OpenBatch {
    next_index: u32,
    len: u32,
    command_id: Uuid,
    command_digest: [u8; 32],
    time_ms: u64,
}

impl<K: Known> Verifier<K> {
    /// Of a log from its first event.
    pub(crate) fn new(log_id: Uuid, known: K) -> Self {
        let head = Head { position: Position::START, hash: genesis(log_id) };
        Self { known, head, time_ms: 0, open: None, events: 0, sealed_dropped: 0 }
    }

    /// Of what follows `event`, which is trusted; `known` is what holds right after it.
    pub(crate) fn after(event: &Recorded, known: K) -> Result<Self, Fault> {
        let head = Head { position: event.position, hash: event.hash };
        if event.batch_index >= event.batch_len {
            return Err(Fault { position: event.position, kind: FaultKind::Batch });
        }
        let (time_ms, open) = (event.time_ms, OpenBatch::left_by(event));
        Ok(Self { known, head, time_ms, open, events: 0, sealed_dropped: 0 })
    }

    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// Checks the next frame and gives what it holds.
    pub(crate) fn push(&mut self, stored: StoredFrame) -> Result<Recorded, Fault> {
        let position = self.head.position.next();
        let event = decode_at(position, stored)?;
        self.check(&event).map_err(|kind| Fault { position, kind })?;
        Ok(event)
    }

    fn check(&mut self, event: &Recorded) -> Result<(), FaultKind> {
        let expected = self.head.hash;
        if event.prev_hash != expected {
            return Err(FaultKind::Chain { expected, found: event.prev_hash });
        }
        if let Some(by_ms) = self.time_ms.checked_sub(event.time_ms).filter(|&by| by > 0) {
            return Err(FaultKind::Time(by_ms));
        }
        if !self.continues_batch(event) {
            return Err(FaultKind::Batch);
        }
        self.known.apply(event)?;
        self.head = Head { position: event.position, hash: event.hash };
        self.time_ms = event.time_ms;
        self.open = OpenBatch::left_by(event);
        self.events += 1;
        self.sealed_dropped += u64::from(event.sealed.is_none() && event.sealed_hash.is_some());
        Ok(())
    }

    /// Whether an event is the next of the batch that is open, or the first of a new one.
    fn continues_batch(&self, event: &Recorded) -> bool {
        match &self.open {
            None => event.batch_index == 0 && event.batch_len > 0,
            Some(open) => {
                event.batch_len == open.len
                    && event.batch_index == open.next_index
                    && event.command_id == open.command_id
                    && event.command_digest == open.command_digest
                    && event.time_ms == open.time_ms
                    && event.claims.is_empty()
            }
        }
    }

    /// What all of it came to.
    pub(crate) fn verified(&self) -> Result<Verified, Fault> {
        let Self { head, events, sealed_dropped, .. } = *self;
        match &self.open {
            Some(_) => Err(Fault { position: head.position.next(), kind: FaultKind::Batch }),
            None => Ok(Verified { head, events, sealed_dropped }),
        }
    }
}

impl Verifier<Index> {
    /// Goes over from reading to writing.
    pub(crate) fn finish(self, clock: Arc<dyn Clock>) -> Result<Sequencer, Fault> {
        self.verified()?;
        Ok(Sequencer::resume(self.known, self.head, self.time_ms, clock))
    }
}

impl OpenBatch {
    /// What is still to come of the batch of an event, which is within it.
    fn left_by(event: &Recorded) -> Option<Self> {
        (!event.ends_batch()).then(|| Self {
            next_index: event.batch_index + 1,
            len: event.batch_len,
            command_id: event.command_id,
            command_digest: event.command_digest,
            time_ms: event.time_ms,
        })
    }
}

#[cfg(test)]
mod tests;
