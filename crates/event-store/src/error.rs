//! What can go wrong, told apart by what the caller may do about it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use crate::frame::FrameError;
use crate::{Claim, Hash, Position, Revision, StreamId};

/// Why a batch was not recorded, or may not have been.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// Another writer was first. Reading again, deciding again and retrying is safe.
    #[error("stream {stream} is at revision {actual}, not {expected}")]
    Conflict {
        /// Which stream.
        stream: StreamId,
        /// What the batch said.
        expected: Revision,
        /// What it is.
        actual: Revision,
    },
    /// Somebody holds what the batch would take. Asking again gets the same answer until released.
    #[error("{} {} is taken", claim.kind, claim.key)]
    ClaimTaken {
        /// Which claim.
        claim: Claim,
        /// The account that holds it.
        holder: Uuid,
    },
    /// The batch's account does not hold what the batch would release.
    #[error("{} {} is not held by the account", claim.kind, claim.key)]
    ClaimNotHeld {
        /// Which claim.
        claim: Claim,
    },
    /// The command ID was used for another command within the last 24 hours.
    #[error("command {command_id} was used before, for another command")]
    CommandReused {
        /// Which ID.
        command_id: Uuid,
    },
    /// The batch has no event.
    #[error("batch has no event")]
    Empty,
    /// Over a limit; nothing was recorded.
    #[error("{what}: {size}, more than {size_max}")]
    TooLarge {
        /// What is over its limit.
        what: &'static str,
        /// What it is.
        size: usize,
        /// What it may be.
        size_max: usize,
    },
    /// The disk has no room. Nothing was recorded; retrying is safe, and helps once there is room.
    #[error("event log has no room on its disk; nothing was recorded")]
    Full,
    /// The log is closed or has failed. Nothing was recorded; retrying there is no use, and safe once
    /// it has been opened again.
    #[error("event log is unavailable: {0}")]
    Unavailable(Arc<str>),
    /// The log failed under way: the batch may or may not be recorded. Once the log has been opened
    /// again, appending with the same command ID is safe and tells.
    #[error("event log failed and the outcome is unknown: {0}")]
    OutcomeUnknown(Arc<str>),
}

/// Why there is no new checkpoint. The log goes on as before, and retrying is safe.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The log was opened without a key to make checkpoints with; retrying is no use.
    #[error("event log was opened without a checkpoint key")]
    NoKey,
    /// The disk has no room for it.
    #[error("event log has no room on its disk for a checkpoint")]
    Full,
    /// The log is closed or has failed.
    #[error("event log is unavailable: {0}")]
    Unavailable(Arc<str>),
    /// The file system said no.
    #[error("cannot write a checkpoint in {}", .path.display())]
    Io {
        /// The log's folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// Why events cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The reader has seen more than there is: it followed another log, or this one before a restore.
    #[error("position {after} is after the log's head {head}")]
    AheadOfLog {
        /// Where the reader would go on.
        after: Position,
        /// Where the log ends.
        head: Position,
    },
    /// What is stored is not what was written.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The log is closed or has failed. Retrying is safe, once it has been opened again.
    #[error("event log is unavailable: {0}")]
    Unavailable(Arc<str>),
}

/// The first place where a log is not what was written, and how.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("event log is damaged at position {position}: {kind}")]
pub struct Fault {
    /// Which event.
    pub position: Position,
    /// What is wrong with it.
    pub kind: FaultKind,
}

/// What is wrong with a stored event.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FaultKind {
    /// Its frame does not decode.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It is not there, though later ones are.
    #[error("event is missing")]
    Missing,
    /// It says that it stands elsewhere.
    #[error("event says that it stands at position {0}")]
    Position(Position),
    /// It is not chained to the event before it.
    #[error("previous hash is {found}, and should be {expected}")]
    Chain {
        /// The hash of the event before.
        expected: Hash,
        /// What the event says.
        found: Hash,
    },
    /// It is not the next event of its stream.
    #[error("revision is {found}, and should be {expected}")]
    Revision {
        /// The stream's next revision.
        expected: Revision,
        /// What the event says.
        found: Revision,
    },
    /// It is earlier than the event before it.
    #[error("time goes backwards by {0} ms")]
    Time(u64),
    /// It is not the next event of its batch, or the log ends within one.
    #[error("batch is not whole")]
    Batch,
    /// It takes what is held, or releases what is not.
    #[error("claim of {kind} {key} contradicts an earlier one")]
    Claim {
        /// The claim's kind.
        kind: Box<str>,
        /// The claim's key.
        key: Box<str>,
    },
}
