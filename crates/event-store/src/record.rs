//! What the log gives back.

use bytes::Bytes;
use uuid::Uuid;

use crate::{Actor, ClaimOp, Hash, Position, Revision, StreamId};

/// One event as it stands in the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recorded {
    /// Its place in the log.
    pub position: Position,
    /// The hash of the event before it, or [`genesis`] for the first.
    pub prev_hash: Hash,
    /// The hash of this event: of everything here but the sealed part, which `sealed_hash` stands for.
    pub hash: Hash,
    /// When it was recorded, in milliseconds since 1970 UTC; never less than in the event before.
    pub time_ms: u64,
    /// The account that it belongs to.
    pub account: Uuid,
    /// The stream that it belongs to.
    pub stream: StreamId,
    /// Its place in the stream.
    pub revision: Revision,
    /// Which event it is.
    pub event_type: u32,
    /// Which version of its payload's schema.
    pub schema_version: u16,
    /// The command that it came of.
    pub command_id: Uuid,
    /// That command's digest.
    pub command_digest: [u8; 32],
    /// Its place in its batch, from 0.
    pub batch_index: u32,
    /// How many events its batch has.
    pub batch_len: u32,
    /// Who did it.
    pub actor: Actor,
    /// All claims of the batch, in its first event; empty in the others.
    pub claims: Vec<ClaimOp>,
    /// What happened.
    pub payload: Bytes,
    /// The encrypted part; none if it never had one, or if it was dropped.
    pub sealed: Option<Bytes>,
    /// The hash of the encrypted part, also after it was dropped.
    pub sealed_hash: Option<Hash>,
}

impl Recorded {
    /// Whether its batch ends here: where a reader may stop without seeing half a command.
    pub fn ends_batch(&self) -> bool {
        self.batch_index + 1 == self.batch_len
    }

    /// About how many bytes it takes in memory.
    pub fn memory_bytes(&self) -> usize {
        let sealed = self.sealed.as_ref().map_or(0, Bytes::len);
        let claims = size_of_val(self.claims.as_slice());
        size_of::<Self>() + self.stream.as_str().len() + self.payload.len() + sealed + claims
    }
}

/// The last event and what stands for the whole log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    /// The last event's place; [`Position::START`] of an empty log.
    pub position: Position,
    /// The last event's hash; [`genesis`] of an empty log.
    pub hash: Hash,
}

/// What the first event of the log is chained to, so that no other log's events can be put there.
pub fn genesis(log_id: Uuid) -> Hash {
    let mut bytes = b"claviger/log/1\0".to_vec();
    bytes.extend_from_slice(log_id.as_bytes());
    Hash::of(&bytes)
}
