//! The one place where a batch gets its positions: checks, numbers, chains and encodes.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::index::Index;
use crate::{
    AppendError, Appended, Batch, Clock, Fault, FaultKind, Hash, Head, Position, Recorded,
    Revision, frame, genesis,
};

/// Gives positions to batches, one after the other, as if each that it accepts were recorded.
pub(crate) struct Sequencer {
    index: Index,
    head: Head,
    time_ms: u64,
    clock: Arc<dyn Clock>,
}

/// What a sequencer makes of a batch that it does not refuse.
pub(crate) enum Sequenced {
    /// To be stored, in order, all or nothing.
    New(Appended, Vec<(Arc<Recorded>, Bytes)>),
    /// Was stored before.
    Before(Appended),
}

impl Sequencer {
    /// Of an empty log.
    pub(crate) fn new(log_id: Uuid, clock: Arc<dyn Clock>) -> Self {
        let head = Head { position: Position::START, hash: genesis(log_id) };
        Self::resume(Index::default(), head, 0, clock)
    }

    /// Of a log that ends at `head`, which was recorded at `time_ms`; `index` is of all its events.
    pub(crate) fn resume(index: Index, head: Head, time_ms: u64, clock: Arc<dyn Clock>) -> Self {
        Self { index, head, time_ms, clock }
    }

    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// The time of the last event, in milliseconds since 1970 UTC.
    pub(crate) fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// What is known of all events up to the head.
    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// Takes in an event that is recorded, in order, and checked to be chained to the one before.
    pub(crate) fn recorded(&mut self, event: &Recorded) -> Result<(), FaultKind> {
        self.index.apply(event)?;
        self.head = Head { position: event.position, hash: event.hash };
        self.time_ms = event.time_ms;
        Ok(())
    }

    /// Whether a batch may be recorded, or was before. Changes nothing.
    pub(crate) fn check(&self, batch: &Batch) -> Result<Option<Appended>, AppendError> {
        self.check_at(batch, self.now_ms())
    }

    /// Checks a batch and, if it may be recorded, encodes it.
    pub(crate) fn sequence(&mut self, batch: Batch) -> Result<Sequenced, AppendError> {
        let time_ms = self.now_ms();
        if let Some(appended) = self.check_at(&batch, time_ms)? {
            return Ok(Sequenced::Before(appended));
        }
        let first = self.head.position.next();
        let frames = self.encode(batch, time_ms).map_err(|fault| {
            // Only a mistake in this file leads here; the log must then not go on.
            AppendError::Unavailable(fault.to_string().into())
        })?;
        let last = self.head.position;
        Ok(Sequenced::New(Appended { first, last, time_ms, duplicate: false }, frames))
    }

    fn now_ms(&self) -> u64 {
        self.clock.now_ms().max(self.time_ms)
    }

    fn check_at(&self, batch: &Batch, time_ms: u64) -> Result<Option<Appended>, AppendError> {
        batch.check_limits()?;
        if let Some(appended) = self.index.duplicate(batch, time_ms)? {
            return Ok(Some(appended));
        }
        self.index.check(batch).map(|()| None)
    }

    fn encode(&mut self, batch: Batch, time_ms: u64) -> Result<Vec<(Arc<Recorded>, Bytes)>, Fault> {
        let batch_len = u32::try_from(batch.events.len()).unwrap_or(u32::MAX); // within its limit
        let mut claims = batch.claims;
        let mut frames = Vec::with_capacity(batch.events.len());
        for (event, batch_index) in batch.events.into_iter().zip(0..) {
            let position = self.head.position.next();
            let mut recorded = Recorded {
                position,
                prev_hash: self.head.hash,
                hash: Hash([0; 32]), // set by `frame::encode`
                time_ms,
                account: batch.account,
                revision: self.next_revision(&event.stream),
                stream: event.stream,
                event_type: event.event_type,
                schema_version: event.schema_version,
                command_id: batch.command_id,
                command_digest: batch.command_digest,
                batch_index,
                batch_len,
                actor: batch.actor.clone(),
                claims: std::mem::take(&mut claims),
                payload: event.payload,
                sealed: event.sealed,
                sealed_hash: None,
            };
            let bytes = frame::encode(&mut recorded);
            self.recorded(&recorded).map_err(|kind| Fault { position, kind })?;
            frames.push((Arc::new(recorded), bytes));
        }
        Ok(frames)
    }

    fn next_revision(&self, stream: &crate::StreamId) -> Revision {
        self.index.revision(stream).next()
    }
}
