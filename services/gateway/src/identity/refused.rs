//! What identity says against a call, as far as the vendors' dialects tell it apart.

use api::error::v1::Reason;
use tonic::{Code, Status};

/// Why identity does not do what it was asked. Each dialect has its words for each of them; a reason that is
/// new gets its place in [`of`](Self::of).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    NoSuchAccount,
    NoSuchUser,
    NoSuchAccessKey,
    UserNameTaken,
    /// Somebody has or had an access key of that id.
    AccessKeyIdTaken,
    /// The user has as many access keys as it may have.
    KeyLimit,
    SlotTaken,
    UserHasKeys,
    /// Somebody else changed it at the same time.
    Changed,
    RequestIdReused,
    /// It was done, but the secret that was made cannot be told again.
    SecretGone,
    RootUser,
    NotAllowed,
    UnknownAdminToken,
    WrongPassword,
    TooManyWrongPasswords,
    TooManyRequests,
    InvalidField,
    InvalidPageToken,
    TimeInPast,
    ExpiryRequired,
    LifetimeTooLong,
    /// There are access keys that live for longer than is to be allowed.
    LifetimesLonger,
    /// Another thing is wrong with the request, or with how things stand.
    Invalid,
    NotFound,
    Conflict,
    /// Something is wrong with identity, or with how the gateway asks it.
    Internal,
    /// It is away, or has no room: asking again may well help.
    Away,
}

impl Refused {
    /// What a status comes to; what is our own fault goes to the log, as the client is not told.
    pub(crate) fn of(status: &Status) -> Self {
        let reason = api::reason(status);
        let refused =
            reason.map_or_else(|| Self::of_code(status.code()), |it| Self::why(it, status));
        let (code, message) = (status.code(), status.message());
        if refused == Self::Internal {
            tracing::error!(?code, ?reason, message, "identity refuses us");
        }
        if refused == Self::Away {
            tracing::warn!(?code, ?reason, message, "identity is away");
        }
        refused
    }

    fn why(reason: Reason, status: &Status) -> Self {
        match reason {
            Reason::NoSuchAccount => Self::NoSuchAccount,
            Reason::NoSuchUser => Self::NoSuchUser,
            Reason::NoSuchAccessKey => Self::NoSuchAccessKey,
            Reason::UserNameTaken => Self::UserNameTaken,
            Reason::AccessKeyIdTaken => Self::AccessKeyIdTaken,
            Reason::KeyLimit => Self::KeyLimit,
            Reason::SlotTaken => Self::SlotTaken,
            Reason::UserHasKeys => Self::UserHasKeys,
            Reason::EtagMismatch | Reason::RevisionConflict => Self::Changed,
            Reason::RequestIdReused => Self::RequestIdReused,
            Reason::SecretShredded | Reason::DataKeyMissing => Self::SecretGone,
            Reason::RootUser => Self::RootUser,
            Reason::CallerNotAllowed => Self::NotAllowed,
            Reason::UnknownAdminToken => Self::UnknownAdminToken,
            Reason::WrongPassword => Self::WrongPassword,
            Reason::TooManyWrongPasswords => Self::TooManyWrongPasswords,
            Reason::TooManyRequests => Self::TooManyRequests,
            Reason::InvalidField => Self::InvalidField,
            Reason::InvalidPageToken => Self::InvalidPageToken,
            Reason::TimeInPast => Self::TimeInPast,
            Reason::ExpiryRequired => Self::ExpiryRequired,
            Reason::LifetimeTooLong => Self::LifetimeTooLong,
            Reason::LifetimesLonger => Self::LifetimesLonger,
            Reason::Unspecified
            | Reason::InvalidToken
            | Reason::MissingToken
            | Reason::UnknownCertificate
            | Reason::Internal
            | Reason::LogCorrupt => Self::Internal,
            Reason::AccessKeyExpired
            | Reason::NoGracePeriod
            | Reason::EventLogUnavailable
            | Reason::ReadModelBehind
            | Reason::ReadModelStale
            | Reason::ReadModelEmpty
            | Reason::WatchEnded
            | Reason::StreamEnded
            | Reason::Overloaded
            | Reason::SignatureVersion2Off
            | Reason::DateKeysUnavailable
            | Reason::AccountHasUsers
            | Reason::NoSuchBucket
            | Reason::BucketAlreadyOwned
            | Reason::BucketAlreadyExists
            | Reason::BucketLimit
            | Reason::BucketOwnerChanged
            | Reason::AccountHasBuckets
            | Reason::NotDeleted
            | Reason::OtherEpoch
            | Reason::StorageFull
            | Reason::AdminTokenNameTaken
            | Reason::NoSuchAdminToken
            | Reason::ReadTimeOutOfRange
            | Reason::TooManyWatches
            | Reason::TooManyExports => Self::of_code(status.code()),
        }
    }

    fn of_code(code: Code) -> Self {
        match code {
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => Self::Invalid,
            Code::NotFound => Self::NotFound,
            Code::AlreadyExists | Code::Aborted => Self::Conflict,
            Code::PermissionDenied => Self::NotAllowed,
            // The gateway itself is not let in.
            Code::Unauthenticated
            | Code::Ok
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss => Self::Internal,
            // Unknown is how tonic names a connection that broke.
            Code::Unknown
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Unavailable => Self::Away,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_counts_for_more_than_a_code() {
        let check = |status: Status, expected| {
            assert_eq!(Refused::of(&status), expected, "{status:?}");
        };
        check(api::status(Code::NotFound, Reason::NoSuchUser, ""), Refused::NoSuchUser);
        check(api::status(Code::Unauthenticated, Reason::InvalidToken, ""), Refused::Internal);
        check(api::status(Code::ResourceExhausted, Reason::StorageFull, ""), Refused::Away);
        check(api::status(Code::Unavailable, Reason::Overloaded, ""), Refused::Away);
        check(Status::unauthenticated(""), Refused::Internal);
        check(Status::unimplemented(""), Refused::Internal);
        check(Status::unknown("transport error"), Refused::Away);
        check(Status::resource_exhausted(""), Refused::Away);
        check(Status::permission_denied(""), Refused::NotAllowed);
        check(Status::already_exists(""), Refused::Conflict);
        check(Status::not_found(""), Refused::NotFound);
        check(Status::out_of_range(""), Refused::Invalid);
    }
}
