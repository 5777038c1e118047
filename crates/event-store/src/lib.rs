//! The append-only log: what was recorded, in one order, chained, durable.
//!
//! An [`EventLog`] records [`Batch`]es, all of a batch or nothing, and gives back [`Recorded`] events.
//! It does not know what they mean. Positions are gapless and given by one sequencer; a command that
//! is appended again gets its first outcome; each event is chained to the one before by SHA-256, so
//! that [`verify`] finds whatever is not as it was written.
//!
//! * [`MemoryLog`]: for tests.
//! * [`SledLog`]: one machine; group commit, and an `fdatasync` before anything is acknowledged. Opening
//!   it reads what follows its last checkpoint.
//!
//! A log goes elsewhere, and comes back, as an [`archive`]; it is then in its next epoch, and positions
//! from before are refused: see [`Position::in_epoch`].
//!
//! Every backend passes the `conformance` suite (feature of that name).

pub mod archive;
pub mod frame;
pub mod payload;

mod batch;
mod clock;
mod epoch;
mod error;
mod ids;
mod index;
mod log;
mod memory;
mod record;
mod sequencer;
mod sled_log;
mod tail;
mod verify;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use batch::{
    Actor, Appended, BATCH_BYTES_MAX, Batch, CLAIM_BYTES_PER_BATCH_MAX, CLAIMS_PER_BATCH_MAX,
    Claim, ClaimOp, EVENT_BYTES_MAX, EVENTS_PER_BATCH_MAX, Expected, NewEvent,
};
pub use clock::{Clock, ManualClock, SystemClock};
pub use epoch::{EPOCH_MAX, OtherEpoch, POSITION_MAX};
pub use error::{AppendError, CheckpointError, Fault, FaultKind, ReadError};
pub use ids::{Hash, Label, Position, Revision, StreamId, TextError};
pub use index::{COMMAND_MEMORY_MS, COMMANDS_REMEMBERED_MAX};
pub use log::{EventLog, READ_EVENTS_MAX, StoredFrame, Subscription};
pub use memory::{MemoryFrames, MemoryLog};
pub use payload::PayloadError;
pub use record::{Head, Recorded, genesis};
pub use sled_log::{
    OpenError, RESERVE_BYTES, RoomFn, SledLog, SledOptions, SyncFn, VerifiedOffline,
};
pub use verify::{Verified, verify, verify_until, verify_with};
