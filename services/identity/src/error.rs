//! Why a request failed. Told apart here, made a status in `status.rs`.

use domain::Refusal;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The domain said no; asking again gets the same answer.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A field of the request is not of its form.
    #[error("{field}: {description}")]
    InvalidField { field: &'static str, description: String },
    /// The page token was not made here for this list.
    #[error("page_token: was not made for this list")]
    InvalidPageToken,
    #[error("no such account")]
    NoSuchAccount,
    #[error("no such user")]
    NoSuchUser,
    #[error("no such access key")]
    NoSuchAccessKey,
    #[error("no such admin token")]
    NoSuchAdminToken,
    #[error("the account has a user of this name, in this or another case")]
    UserNameTaken,
    #[error("the access key ID is or was in use")]
    AccessKeyIdTaken,
    #[error("an admin token has this name, in this or another case")]
    AdminTokenNameTaken,
    /// The caller is known and may not do this, or not there.
    #[error("the caller may not make this call")]
    NotAllowed,
    /// What a gateway's client showed as an admin token is none, or none any more.
    #[error("the admin token is not known, or was revoked, or has expired")]
    UnknownAdminToken,
    /// The login or the password is wrong; which of them is not told.
    #[error("the login or the password is wrong")]
    WrongPassword,
    /// Too many wrong passwords came for this login from this address.
    #[error("too many wrong passwords; try again in {seconds} s")]
    TooManyWrongPasswords { seconds: u64 },
    /// The position was told before the log was restored.
    #[error(
        "{field}: the position is of epoch {of}, before or after a restore; the log's is {log}"
    )]
    OtherEpoch { field: &'static str, of: u64, log: u64 },
    #[error("read_time: lies in the future")]
    ReadTimeInFuture,
    /// The disk is full: nothing was recorded.
    #[error("there is no room on the disk; nothing was recorded")]
    StorageFull,
    /// Too many commands of the caller wait for one user, account or admin token.
    #[error("too many requests of the caller wait for the same; try again when some are answered")]
    TooManyRequests,
    /// The client saw another state than there is.
    #[error("the resource has changed since its etag was read")]
    EtagMismatch,
    /// Another writer was first. Retrying is safe.
    #[error("another writer was first")]
    Conflict,
    /// The request id stands for another request.
    #[error("the request id was used before, for another request")]
    RequestIdReused,
    /// The secret that a repeated request asks for can no longer be told.
    #[error("the secret cannot be told again: what it was of is gone")]
    SecretShredded,
    /// The access key is there, and its data key is not: the keystore is an older one, or damaged.
    #[error(
        "the keystore lacks the data key of the access key: put the log's own keystore back, or \
         replace the access key"
    )]
    DataKeyMissing,
    /// It is off by default, and was not turned on.
    #[error("signature version 2 is off")]
    SignatureVersion2Off,
    /// The log gave no answer: the write may or may not have been recorded.
    #[error("the event log is unavailable; the outcome is unknown")]
    LogUnavailable,
    /// The log has not reached the position asked for in time.
    #[error("the log is at position {head}, not yet at {asked}")]
    Behind { asked: u64, head: u64 },
    /// The caller, or all callers together, watch as much as they may.
    #[error(
        "too many watches are under way, of this caller or in all: end one, or try again later"
    )]
    TooManyWatches,
    /// As many exports are under way as may be.
    #[error("too many exports are under way: try again when one has ended")]
    TooManyExports,
    /// The server is stopping, or the client has not read for too long.
    #[error("the export has ended before it was whole; start again, and read it without a pause")]
    ExportEnded,
    /// The server is stopping or the watcher too slow.
    #[error("the stream has ended; go on after the last position received")]
    WatchEnded,
    /// The log is not as it was written.
    #[error("the log is broken at position {position}")]
    LogCorrupt { position: u64 },
    /// Not foreseen. The cause was logged where it arose; it is not the client's.
    #[error("internal error")]
    Internal,
}

impl Error {
    /// A field is not of its form.
    pub(crate) fn invalid(field: &'static str, description: impl Into<String>) -> Self {
        Self::InvalidField { field, description: description.into() }
    }
}
