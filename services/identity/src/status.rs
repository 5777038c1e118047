//! The one place that names a gRPC code.

use api::error::v1::Reason;
use domain::Refusal;
use tonic::{Code, Status};

use crate::error::Error;

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let (code, reason) = match &error {
            Error::Refused(refusal) => refused(refusal),
            Error::InvalidField { field, description } => {
                return api::invalid_field(field, description);
            }
            Error::InvalidPageToken => (Code::InvalidArgument, Reason::InvalidPageToken),
            Error::NoSuchAccount => (Code::NotFound, Reason::NoSuchAccount),
            Error::NoSuchUser => (Code::NotFound, Reason::NoSuchUser),
            Error::NoSuchAccessKey => (Code::NotFound, Reason::NoSuchAccessKey),
            Error::NoSuchAdminToken => (Code::NotFound, Reason::NoSuchAdminToken),
            Error::UserNameTaken => (Code::AlreadyExists, Reason::UserNameTaken),
            Error::AccessKeyIdTaken => (Code::AlreadyExists, Reason::AccessKeyIdTaken),
            Error::AdminTokenNameTaken => (Code::AlreadyExists, Reason::AdminTokenNameTaken),
            Error::NotAllowed => (Code::PermissionDenied, Reason::CallerNotAllowed),
            Error::UnknownAdminToken => (Code::Unauthenticated, Reason::UnknownAdminToken),
            Error::WrongPassword => (Code::Unauthenticated, Reason::WrongPassword),
            Error::TooManyWrongPasswords { .. } => {
                (Code::ResourceExhausted, Reason::TooManyWrongPasswords)
            }
            Error::OtherEpoch { .. } => (Code::InvalidArgument, Reason::OtherEpoch),
            Error::ReadTimeInFuture => (Code::InvalidArgument, Reason::ReadTimeOutOfRange),
            Error::StorageFull => (Code::ResourceExhausted, Reason::StorageFull),
            Error::TooManyRequests => (Code::ResourceExhausted, Reason::TooManyRequests),
            Error::EtagMismatch => (Code::Aborted, Reason::EtagMismatch),
            Error::Conflict => (Code::Aborted, Reason::RevisionConflict),
            Error::RequestIdReused => (Code::AlreadyExists, Reason::RequestIdReused),
            Error::SecretShredded => (Code::FailedPrecondition, Reason::SecretShredded),
            Error::DataKeyMissing => (Code::FailedPrecondition, Reason::DataKeyMissing),
            Error::SignatureVersion2Off => (Code::FailedPrecondition, Reason::SignatureVersion2Off),
            Error::LogUnavailable => (Code::Unavailable, Reason::EventLogUnavailable),
            Error::Behind { .. } => (Code::Unavailable, Reason::ReadModelBehind),
            Error::TooManyWatches => (Code::ResourceExhausted, Reason::TooManyWatches),
            Error::TooManyExports => (Code::ResourceExhausted, Reason::TooManyExports),
            Error::ExportEnded | Error::WatchEnded => (Code::Unavailable, Reason::WatchEnded),
            Error::LogCorrupt { .. } => (Code::DataLoss, Reason::LogCorrupt),
            Error::Internal => (Code::Internal, Reason::Internal),
        };
        api::status(code, reason, error.to_string())
    }
}

fn refused(refusal: &Refusal) -> (Code, Reason) {
    match refusal {
        Refusal::NoSuchUser => (Code::NotFound, Reason::NoSuchUser),
        Refusal::NoSuchAccessKey => (Code::NotFound, Reason::NoSuchAccessKey),
        Refusal::KeyLimit { .. } => (Code::ResourceExhausted, Reason::KeyLimit),
        Refusal::UserHasKeys { .. } => (Code::FailedPrecondition, Reason::UserHasKeys),
        Refusal::RootUser => (Code::FailedPrecondition, Reason::RootUser),
        Refusal::ExpiryInPast => (Code::InvalidArgument, Reason::TimeInPast),
        Refusal::Expired => (Code::FailedPrecondition, Reason::AccessKeyExpired),
        Refusal::NoGracePeriod => (Code::FailedPrecondition, Reason::NoGracePeriod),
        Refusal::GracePeriodTooLong { .. } => (Code::InvalidArgument, Reason::InvalidField),
        Refusal::NoSuchAccount => (Code::NotFound, Reason::NoSuchAccount),
        Refusal::AccountHasUsers { .. } => (Code::FailedPrecondition, Reason::AccountHasUsers),
        Refusal::AccountHasBuckets { .. } => (Code::FailedPrecondition, Reason::AccountHasBuckets),
        Refusal::NoSuchBucket => (Code::NotFound, Reason::NoSuchBucket),
        Refusal::BucketOwned => (Code::AlreadyExists, Reason::BucketAlreadyOwned),
        Refusal::BucketExists => (Code::AlreadyExists, Reason::BucketAlreadyExists),
        Refusal::BucketLimit { .. } => (Code::ResourceExhausted, Reason::BucketLimit),
        Refusal::BucketOwnerChanged => (Code::Aborted, Reason::BucketOwnerChanged),
        Refusal::LifetimesLonger { .. } => (Code::FailedPrecondition, Reason::LifetimesLonger),
        Refusal::SlotTaken { .. } => (Code::AlreadyExists, Reason::SlotTaken),
        Refusal::ExpiryBeforeStart | Refusal::StartTooFar { .. } => {
            (Code::InvalidArgument, Reason::InvalidField)
        }
        Refusal::ExpiryRequired { .. } => (Code::InvalidArgument, Reason::ExpiryRequired),
        Refusal::LifetimeTooLong { .. } => (Code::InvalidArgument, Reason::LifetimeTooLong),
        Refusal::NotDeleted => (Code::FailedPrecondition, Reason::NotDeleted),
        Refusal::NoSuchAdminToken => (Code::NotFound, Reason::NoSuchAdminToken),
        // Ids are made here and never twice: whoever meets one again met another writer.
        Refusal::AccountExists | Refusal::UserExists | Refusal::AdminTokenExists => {
            (Code::Aborted, Reason::RevisionConflict)
        }
    }
}
