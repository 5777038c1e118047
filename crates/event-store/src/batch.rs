//! What a command asks of the log: its events and claims, all recorded or none.

use bytes::Bytes;
use uuid::Uuid;

use crate::{AppendError, Label, Position, Revision, StreamId};

/// The most bytes of one event: payload and sealed part together.
///
/// sled moves larger pages into files of their own, which our `fdatasync` would not cover.
pub const EVENT_BYTES_MAX: usize = 4096;
/// The most events in one batch.
pub const EVENTS_PER_BATCH_MAX: usize = 512;
/// The most bytes of all events of one batch.
pub const BATCH_BYTES_MAX: usize = 1 << 20;
/// The most claims taken and released by one batch.
pub const CLAIMS_PER_BATCH_MAX: usize = 32;
/// The most bytes of the kinds and keys of one batch's claims; they all stand in its first event.
pub const CLAIM_BYTES_PER_BATCH_MAX: usize = 1536;

/// What a frame has besides texts, payload and sealed part, at most.
const FRAME_FIXED_BYTES: usize = 320;

/// Who did it and how: stands in every event, for the audit.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Actor {
    /// Who signed the request, such as an ARN.
    pub principal: Label<256>,
    /// Through which door: `grpc`, `rest`, `iam`, `osc`, `ontap`, `cli`.
    pub facade: Label<32>,
    /// The client's network address.
    pub source_address: Label<64>,
    /// The request's ID, as told to the client.
    pub request_id: Label<128>,
}

/// What a stream must look like before the batch, for its events to be recorded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// Anything.
    Any,
    /// Exactly this many events; [`Revision::NONE`] when it must not exist.
    Revision(Revision),
}

/// One event to record. The log does not look into payload or sealed part.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The stream that it is appended to.
    pub stream: StreamId,
    /// What the stream must look like **before the batch**: the same for each of a batch's events
    /// in one stream.
    pub expected: Expected,
    /// Which event it is; the caller's numbers.
    pub event_type: u32,
    /// Which version of its payload's schema; the caller's numbers.
    pub schema_version: u16,
    /// What happened; with `sealed` at most [`EVENT_BYTES_MAX`] bytes.
    pub payload: Bytes,
    /// The encrypted part. The chain holds only its hash, so that it can be dropped later.
    pub sealed: Option<Bytes>,
}

/// A name that one holder at a time has in the whole log, such as a user name in an account.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Claim {
    /// What is claimed, such as `user-name`.
    pub kind: Label<32>,
    /// Which one; what makes it unique (such as the account's ID) is part of it.
    pub key: Label<192>,
}

/// Takes or releases a [`Claim`]; a batch's are applied in order.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum ClaimOp {
    /// Refused while it is held, by any account.
    Take(Claim),
    /// Refused unless the batch's account holds it.
    Release(Claim),
}

impl ClaimOp {
    /// What is taken or released.
    pub fn claim(&self) -> &Claim {
        match self {
            Self::Take(claim) | Self::Release(claim) => claim,
        }
    }
}

/// All that one command records: every event and every claim, or nothing.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Names the command. Appending it again within 24 hours gives the first outcome.
    pub command_id: Uuid,
    /// A digest of the command, so that an ID used for two commands is noticed.
    pub command_digest: [u8; 32],
    /// Whose it is; holds the claims that are taken.
    pub account: Uuid,
    /// Who did it.
    pub actor: Actor,
    /// 1 to [`EVENTS_PER_BATCH_MAX`] events.
    pub events: Vec<NewEvent>,
    /// Up to [`CLAIMS_PER_BATCH_MAX`] claims.
    pub claims: Vec<ClaimOp>,
}

impl Batch {
    /// Checks what can be checked without the log.
    ///
    /// # Errors
    /// [`AppendError::Empty`] or [`AppendError::TooLarge`]; trying again gets the same answer.
    pub fn check_limits(&self) -> Result<(), AppendError> {
        if self.events.is_empty() {
            return Err(AppendError::Empty);
        }
        let within = |what, size, size_max| {
            if size > size_max {
                return Err(AppendError::TooLarge { what, size, size_max });
            }
            Ok(())
        };
        within("events of the batch", self.events.len(), EVENTS_PER_BATCH_MAX)?;
        within("claims of the batch", self.claims.len(), CLAIMS_PER_BATCH_MAX)?;
        let claim_bytes = self.claims.iter().map(ClaimOp::claim);
        let claim_bytes =
            claim_bytes.map(|claim| claim.kind.as_str().len() + claim.key.as_str().len());
        within("bytes of the batch's claims", claim_bytes.sum(), CLAIM_BYTES_PER_BATCH_MAX)?;
        for event in &self.events {
            within("bytes of an event", event.bytes(), EVENT_BYTES_MAX)?;
        }
        let bytes = self.events.iter().map(NewEvent::bytes).sum();
        within("bytes of the batch", bytes, BATCH_BYTES_MAX)
    }

    /// What its frames come to, or a little more.
    pub(crate) fn frame_bytes(&self) -> usize {
        let Actor { principal, facade, source_address, request_id } = &self.actor;
        let actor = principal.as_str().len()
            + facade.as_str().len()
            + source_address.as_str().len()
            + request_id.as_str().len();
        let claims = self.claims.iter().map(ClaimOp::claim);
        let claims = claims.map(|claim| claim.kind.as_str().len() + claim.key.as_str().len() + 16);
        let fixed = FRAME_FIXED_BYTES + actor;
        let events = self.events.iter();
        let events = events.map(|event| event.bytes() + event.stream.as_str().len() + fixed);
        events.sum::<usize>() + claims.sum::<usize>()
    }
}

impl NewEvent {
    /// What counts towards [`EVENT_BYTES_MAX`].
    fn bytes(&self) -> usize {
        self.payload.len() + self.sealed.as_ref().map_or(0, Bytes::len)
    }
}

/// Where a batch stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Appended {
    /// Its first event.
    pub first: Position,
    /// Its last event.
    pub last: Position,
    /// When, in milliseconds since 1970 UTC: the time in its events.
    pub time_ms: u64,
    /// The command was recorded before, and this is where.
    pub duplicate: bool,
}
