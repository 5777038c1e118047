//! IAM's errors: what identity and auth refuse, in IAM's words.

use std::borrow::Cow;

use api::error::v1::Reason;
use bytes::Bytes;
use http::StatusCode;
use tonic::{Code, Status};

use crate::request::BodyError;
use crate::s3::S3Error;
use crate::xml::Document;

/// A refusal, as IAM would put it.
///
/// Source: IAM API reference, "Common Errors", and the errors of each action.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct IamError {
    pub(crate) status: StatusCode,
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: Cow<'static, str>,
    /// After how many seconds asking again may help, where that is known.
    pub(crate) retry_after: Option<u32>,
}

impl IamError {
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, code: code.into(), message: message.into(), retry_after: None }
    }

    pub(crate) fn malformed_input(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MalformedInput", message)
    }

    pub(crate) fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationError", message)
    }

    pub(crate) fn no_such_entity(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NoSuchEntity", message)
    }

    pub(crate) fn invalid_action(action: &str, version: &str) -> Self {
        let message = format!("Could not find operation {action} for version {version}");
        Self::new(StatusCode::BAD_REQUEST, "InvalidAction", message)
    }

    /// A code that AWS's SDKs wait upon and try again.
    pub(crate) fn throttling() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Throttling", "Rate exceeded")
    }

    pub(crate) fn internal() -> Self {
        let message = "The request processing has failed because of an unknown error, exception or \
                       failure.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", message)
    }

    /// Something behind the gateway is away: asking again may well help.
    pub(crate) fn unavailable() -> Self {
        let message = "The request has failed due to a temporary failure of the server.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    /// What auth says against a signature.
    pub(crate) fn of_signature(denial: &S3Error) -> Self {
        let forbidden = |code, message: &str| {
            Self::new(StatusCode::FORBIDDEN, code, Cow::Owned(message.to_owned()))
        };
        let incomplete = |message: &str| {
            Self::new(
                StatusCode::BAD_REQUEST,
                "IncompleteSignature",
                Cow::Owned(message.to_owned()),
            )
        };
        let error = match denial.code() {
            "InvalidAccessKeyId" | "InvalidToken" => forbidden(
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
            ),
            "SignatureDoesNotMatch" => forbidden(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check \
                 your AWS Secret Access Key and signing method. Consult the service documentation for \
                 details.",
            ),
            "RequestTimeTooSkewed" => forbidden("SignatureDoesNotMatch", "Signature expired."),
            // A locked user, or no signature at all: auth says which by its words alone.
            "AccessDenied" => forbidden("AccessDenied", denial.message()),
            // After too many wrong signatures.
            "SlowDown" => Self::throttling(),
            "ServiceUnavailable" => Self::unavailable(),
            "InternalError" => Self::internal(),
            _ => incomplete(denial.message()),
        };
        Self { retry_after: denial.retry_after(), ..error }
    }

    /// What identity says against a call. `what` is what the request named.
    pub(crate) fn of_status(status: &Status, what: &Named<'_>) -> Self {
        let conflict = |code, message: String| Self::new(StatusCode::CONFLICT, code, message);
        let Named { user, access_key, caller, action } = *what;
        let Some(reason) = api::reason(status) else { return Self::of_code(status) };
        match reason {
            Reason::NoSuchUser => {
                Self::no_such_entity(format!("The user with name {user} cannot be found."))
            }
            Reason::NoSuchAccessKey => Self::no_such_entity(format!(
                "The Access Key with id {access_key} cannot be found."
            )),
            Reason::NoSuchAccount => Self::no_such_entity("The account cannot be found."),
            Reason::UserNameTaken => {
                conflict("EntityAlreadyExists", format!("User with name {user} already exists."))
            }
            Reason::KeyLimit => {
                let why = status.message();
                let message = format!("Cannot exceed quota for AccessKeysPerUser: {why}");
                conflict("LimitExceeded", message)
            }
            Reason::UserHasKeys => conflict(
                "DeleteConflict",
                "Cannot delete entity, must delete access keys first.".to_owned(),
            ),
            Reason::EtagMismatch | Reason::RevisionConflict => conflict(
                "ConcurrentModification",
                "The request was rejected because multiple requests to change this object were \
                 submitted simultaneously. Wait a few minutes and submit your request again."
                    .to_owned(),
            ),
            Reason::RequestIdReused | Reason::SecretShredded => {
                conflict("EntityTemporarilyUnmodifiable", status.message().to_owned())
            }
            Reason::TooManyRequests => Self::throttling(),
            Reason::CallerNotAllowed => Self::new(
                StatusCode::FORBIDDEN,
                "AccessDenied",
                format!("User: {caller} is not authorized to perform: iam:{action}"),
            ),
            Reason::RootUser => {
                Self::new(StatusCode::FORBIDDEN, "AccessDenied", status.message().to_owned())
            }
            Reason::InvalidField
            | Reason::InvalidPageToken
            | Reason::ExpiryRequired
            | Reason::LifetimeTooLong => Self::validation(status.message().to_owned()),
            Reason::Unspecified
            | Reason::InvalidToken
            | Reason::MissingToken
            | Reason::UnknownAdminToken
            | Reason::WrongPassword
            | Reason::TooManyWrongPasswords
            | Reason::UnknownCertificate
            | Reason::Internal
            | Reason::LogCorrupt => {
                tracing::error!(?reason, message = status.message(), "identity refuses us");
                Self::internal()
            }
            Reason::TimeInPast
            | Reason::AccessKeyExpired
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
            | Reason::LifetimesLonger
            | Reason::SlotTaken
            | Reason::AccessKeyIdTaken
            | Reason::NotDeleted
            | Reason::OtherEpoch
            | Reason::StorageFull
            | Reason::AdminTokenNameTaken
            | Reason::NoSuchAdminToken
            | Reason::ReadTimeOutOfRange
            | Reason::DataKeyMissing
            | Reason::TooManyWatches
            | Reason::TooManyExports => Self::of_code(status),
        }
    }

    fn of_code(status: &Status) -> Self {
        match status.code() {
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
                Self::new(StatusCode::BAD_REQUEST, "InvalidInput", status.message().to_owned())
            }
            Code::NotFound => Self::no_such_entity(status.message().to_owned()),
            Code::AlreadyExists | Code::Aborted => Self::new(
                StatusCode::CONFLICT,
                "ConcurrentModification",
                status.message().to_owned(),
            ),
            Code::PermissionDenied => {
                Self::new(StatusCode::FORBIDDEN, "AccessDenied", status.message().to_owned())
            }
            Code::Ok
            | Code::Unauthenticated
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss => {
                tracing::error!(code = ?status.code(), message = status.message(), "identity refuses us");
                Self::internal()
            }
            Code::Unknown
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Unavailable => {
                tracing::warn!(code = ?status.code(), message = status.message(), "identity is away");
                Self::unavailable()
            }
        }
    }

    /// The document that says so.
    pub(crate) fn document(&self, namespace: &str, request_id: &str) -> Bytes {
        let mut document = Document::new();
        document.open_in("ErrorResponse", namespace);
        document.open("Error");
        document.text("Type", if self.status.is_server_error() { "Receiver" } else { "Sender" });
        document.text("Code", &self.code);
        document.text("Message", &self.message);
        document.close();
        document.text("RequestId", request_id);
        document.finish()
    }
}

impl From<BodyError> for IamError {
    fn from(error: BodyError) -> Self {
        let message = format!("{error}.");
        match error {
            BodyError::TooLarge => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
            }
            BodyError::BrokenOff => Self::malformed_input(message),
            BodyError::TooSlow => Self::new(StatusCode::REQUEST_TIMEOUT, "RequestTimeout", message),
        }
    }
}

/// What a request named, for messages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Named<'a> {
    pub(crate) user: &'a str,
    pub(crate) access_key: &'a str,
    /// Who asked, and for which action.
    pub(crate) caller: &'a str,
    pub(crate) action: &'a str,
}
