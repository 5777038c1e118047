//! What must be known to accept a batch: streams' revisions, claims, recent commands. In memory,
//! filled from the log's events alone, the same for every backend.

use std::collections::{BTreeMap, HashMap, VecDeque};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    AppendError, Appended, Batch, Claim, ClaimOp, Expected, FaultKind, Position, Recorded,
    Revision, StreamId,
};

pub(crate) use self::stored::COUNTS_BYTES;

/// How long a command ID is remembered, in milliseconds of the events' times.
pub const COMMAND_MEMORY_MS: u64 = 24 * 60 * 60 * 1000;
/// The most command IDs that are remembered: above this, the oldest are forgotten sooner.
pub const COMMANDS_REMEMBERED_MAX: usize = 10_000_000;

/// 128 bits of SHA-256 stand for a name: a tenth of the memory, and nobody can make two alike.
pub(crate) type Key = [u8; 16];

/// The state that batches are checked against.
///
/// Holds nothing but plain values, so that a copy for a checkpoint is a copy of memory.
#[derive(Clone, Debug, Default)]
#[cfg_attr(test, derive(PartialEq))]
pub(crate) struct Index {
    // Trees, though no order is asked for: they take less memory than hash maps, and half the time and
    // memory again when they are filled in order, as from a checkpoint.
    revisions: BTreeMap<Key, Revision>,
    claims: BTreeMap<Key, Uuid>,
    commands: HashMap<Uuid, Command>,
    /// Oldest first.
    remembered: VecDeque<(u64, Uuid)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Command {
    digest: Key,
    first: Position,
    len: u32,
    time_ms: u64,
}

impl Index {
    /// The outcome of a command that was recorded before, as of `now_ms`.
    pub(crate) fn duplicate(
        &self,
        batch: &Batch,
        now_ms: u64,
    ) -> Result<Option<Appended>, AppendError> {
        let Some(command) = self.commands.get(&batch.command_id) else { return Ok(None) };
        if command.time_ms.saturating_add(COMMAND_MEMORY_MS) <= now_ms {
            return Ok(None);
        }
        if command.digest != first_half(&batch.command_digest) {
            return Err(AppendError::CommandReused { command_id: batch.command_id });
        }
        let last = Position(command.first.0 + u64::from(command.len) - 1);
        let Command { first, time_ms, .. } = *command;
        Ok(Some(Appended { first, last, time_ms, duplicate: true }))
    }

    /// Whether a batch may be recorded. Changes nothing.
    pub(crate) fn check(&self, batch: &Batch) -> Result<(), AppendError> {
        let conflict = |stream: &StreamId, expected| match self.revision(stream) {
            actual if actual == expected => Ok(()),
            actual => Err(AppendError::Conflict { stream: stream.clone(), expected, actual }),
        };
        for event in &batch.events {
            if let Expected::Revision(expected) = event.expected {
                conflict(&event.stream, expected)?;
            }
        }
        let mut within = HashMap::new();
        for op in &batch.claims {
            let claim = op.claim();
            let key = claim_key(claim);
            let holder =
                within.get(&key).copied().unwrap_or_else(|| self.claims.get(&key).copied());
            match (op, holder) {
                (ClaimOp::Take(_), Some(holder)) => {
                    return Err(AppendError::ClaimTaken { claim: claim.clone(), holder });
                }
                (ClaimOp::Take(_), None) => within.insert(key, Some(batch.account)),
                (ClaimOp::Release(_), Some(holder)) if holder == batch.account => {
                    within.insert(key, None)
                }
                (ClaimOp::Release(_), _) => {
                    return Err(AppendError::ClaimNotHeld { claim: claim.clone() });
                }
            };
        }
        Ok(())
    }

    /// Takes in an event that is recorded, in order.
    ///
    /// # Errors
    /// The contradiction to the events before it, with which it can never have been recorded.
    pub(crate) fn apply(&mut self, event: &Recorded) -> Result<(), FaultKind> {
        let revision = self.revisions.entry(stream_key(&event.stream)).or_default();
        if event.revision != revision.next() {
            let expected = revision.next();
            return Err(FaultKind::Revision { expected, found: event.revision });
        }
        *revision = event.revision;
        for op in &event.claims {
            let claim = op.claim();
            let key = claim_key(claim);
            let consistent = match op {
                ClaimOp::Take(_) => self.claims.insert(key, event.account).is_none(),
                ClaimOp::Release(_) => self.claims.remove(&key) == Some(event.account),
            };
            if !consistent {
                return Err(contradiction(claim));
            }
        }
        if event.batch_index == 0 {
            self.remember(event);
        }
        Ok(())
    }

    /// The revision of a stream.
    pub(crate) fn revision(&self, stream: &StreamId) -> Revision {
        self.revisions.get(&stream_key(stream)).copied().unwrap_or_default()
    }

    fn remember(&mut self, event: &Recorded) {
        while let Some(&(time_ms, command_id)) = self.remembered.front() {
            let old = time_ms.saturating_add(COMMAND_MEMORY_MS) <= event.time_ms;
            if !old && self.remembered.len() < COMMANDS_REMEMBERED_MAX {
                break;
            }
            self.remembered.pop_front();
            self.commands.remove(&command_id);
        }
        let digest = first_half(&event.command_digest);
        let (first, len, time_ms) = (event.position, event.batch_len, event.time_ms);
        self.commands.insert(event.command_id, Command { digest, first, len, time_ms });
        self.remembered.push_back((event.time_ms, event.command_id));
    }
}

pub(crate) fn stream_key(stream: &StreamId) -> Key {
    first_half(&Sha256::digest(stream.as_str()).into())
}

pub(crate) fn claim_key(claim: &Claim) -> Key {
    // No control character stands in a label, so NUL parts them.
    let hash = Sha256::new().chain_update(claim.kind.as_str()).chain_update([0]);
    first_half(&hash.chain_update(claim.key.as_str()).finalize().into())
}

/// Of a claim that is taken while it is held, or released by who does not hold it.
pub(crate) fn contradiction(claim: &Claim) -> FaultKind {
    FaultKind::Claim { kind: claim.kind.as_str().into(), key: claim.key.as_str().into() }
}

fn first_half(digest: &[u8; 32]) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&digest[..16]);
    key
}

mod stored;
#[cfg(test)]
mod tests;
