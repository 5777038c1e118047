//! Why no verdict was reached. The only place here that names a `Code`.

use api::error::v1::Reason;
use read_model::NotApplied;
use tonic::{Code, Status};

/// Why no verdict was reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Error {
    /// The caller sent something other than an S3 request. Sending it again gets the same answer.
    #[error("{field}: {description}")]
    Invalid { field: &'static str, description: &'static str },
    /// There is no read model yet. Retrying is safe.
    #[error("read model is empty")]
    Empty,
    /// The position asked for was not applied in time. Retrying is safe.
    #[error("read model is behind the position asked for")]
    Behind,
    /// The position asked for is not of the epoch that the read model is in. Sending it again gets
    /// the same answer, unless it is of an epoch that the read model has yet to enter.
    #[error(
        "min_position: the position is of epoch {found}, before a restore; the read \
         model's is {current}"
    )]
    OtherEpoch { found: u64, current: u64 },
    /// Identity has not been heard for too long.
    #[error("read model is stale")]
    Stale,
    /// Identity could not be asked for keys that are not fed. Retrying is safe.
    #[error("keys for that signature are not at hand")]
    NoKeys,
    /// Too many questions wait for what is not there yet. Retrying a little later is safe.
    #[error("too many questions wait for an answer")]
    Overloaded,
}

impl Error {
    /// How metrics name it.
    pub(crate) fn outcome(self) -> &'static str {
        match self {
            Self::Invalid { .. } => "INVALID_FIELD",
            Self::Empty => "READ_MODEL_EMPTY",
            Self::Behind => "READ_MODEL_BEHIND",
            Self::OtherEpoch { .. } => "OTHER_EPOCH",
            Self::Stale => "READ_MODEL_STALE",
            Self::NoKeys => "DATE_KEYS_UNAVAILABLE",
            Self::Overloaded => "OVERLOADED",
        }
    }
}

impl From<NotApplied> for Error {
    fn from(reason: NotApplied) -> Self {
        match reason {
            NotApplied::Behind { .. } => Self::Behind,
            NotApplied::OtherEpoch { found, current } => Self::OtherEpoch { found, current },
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let (code, reason) = match error {
            Error::Invalid { field, description } => return api::invalid_field(field, description),
            Error::OtherEpoch { .. } => (Code::InvalidArgument, Reason::OtherEpoch),
            Error::Empty => (Code::Unavailable, Reason::ReadModelEmpty),
            Error::Behind => (Code::Unavailable, Reason::ReadModelBehind),
            Error::Stale => (Code::Unavailable, Reason::ReadModelStale),
            Error::NoKeys => (Code::Unavailable, Reason::DateKeysUnavailable),
            Error::Overloaded => (Code::ResourceExhausted, Reason::Overloaded),
        };
        api::status(code, reason, error.to_string())
    }
}
