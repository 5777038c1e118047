//! OUTSCALE's errors: what identity and auth refuse, in OUTSCALE's words.

use std::borrow::Cow;

use api::error::v1::Reason;
use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use tonic::{Code, Status};

use crate::request::BodyError;
use crate::s3::S3Error;

/// A refusal, as OUTSCALE would put it.
///
/// Source: the error table of `osc_sdk_python`; types and numbers that it does not have (those of
/// authentication, of limits and of the server) are as the API's documentation shows them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct OscError {
    pub(super) status: StatusCode,
    /// A number, as text.
    pub(super) code: &'static str,
    /// OUTSCALE's `Type`.
    pub(super) kind: &'static str,
    pub(super) details: Cow<'static, str>,
    /// After how many seconds asking again may help, where that is known.
    pub(super) retry_after: Option<u32>,
}

impl OscError {
    fn new(
        status: StatusCode,
        code: &'static str,
        kind: &'static str,
        details: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, code, kind, details: details.into(), retry_after: None }
    }

    /// Who asks is not known.
    pub(super) fn unauthenticated(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "1", "AccessDenied", details)
    }

    /// Who asks may not.
    pub(super) fn forbidden(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "4", "AccessDenied", details)
    }

    pub(super) fn no_such_call(call: &str) -> Self {
        let details = format!("The call {} does not exist.", shortened(call));
        Self::new(StatusCode::NOT_FOUND, "5011", "InvalidResource", details)
    }

    pub(super) fn method_not_allowed() -> Self {
        let details = "Calls are made by POST.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "2", "MethodNotAllowed", details)
    }

    pub(super) fn content_type() -> Self {
        let details = "The request's body must be of the type application/json, in UTF-8.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "3000", "InvalidParameter", details)
    }

    pub(super) fn malformed(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "3000", "InvalidParameter", details)
    }

    pub(super) fn unknown_parameter(name: &str) -> Self {
        let details = format!("The parameter {} is not one of this call.", shortened(name));
        Self::new(StatusCode::BAD_REQUEST, "3001", "InvalidParameter", details)
    }

    pub(super) fn missing_parameter(name: &str) -> Self {
        let details = format!("The parameter {name} is required.");
        Self::new(StatusCode::BAD_REQUEST, "7000", "MissingParameter", details)
    }

    /// A parameter is of another type.
    pub(super) fn of_type(name: &str) -> Self {
        let details = format!("The parameter type of {name} is unknown.");
        Self::new(StatusCode::BAD_REQUEST, "4108", "InvalidParameterType", details)
    }

    /// A parameter has a value that is not of its form.
    pub(super) fn value(name: &str, why: &str) -> Self {
        Self::invalid_value(format!("{name} {why}."))
    }

    fn invalid_value(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "4047", "InvalidParameterValue", details)
    }

    pub(super) fn no_such_user() -> Self {
        let details = "The user does not exist.";
        Self::new(StatusCode::BAD_REQUEST, "5075", "InvalidResource", details)
    }

    pub(super) fn no_such_key() -> Self {
        let details = "The access key does not exist.";
        Self::new(StatusCode::BAD_REQUEST, "5027", "InvalidResource", details)
    }

    fn conflict(code: &'static str, details: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, code, "ResourceConflict", details)
    }

    /// A status that OUTSCALE's clients wait upon and try again.
    pub(super) fn throttling() -> Self {
        let details = "Too many requests: try again later.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "5", "RequestLimitExceeded", details)
    }

    pub(super) fn internal() -> Self {
        let details = "An internal error occurred.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "2000", "InternalError", details)
    }

    /// Something behind the gateway is away: asking again may well help.
    fn unavailable() -> Self {
        let details = "The service is not available for now.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "10", "ServiceUnavailable", details)
    }

    /// What auth says against a signature.
    pub(super) fn of_signature(denial: &S3Error) -> Self {
        let error = match denial.code() {
            "InvalidAccessKeyId" | "InvalidToken" => {
                Self::unauthenticated("The access key is not valid.")
            }
            "SignatureDoesNotMatch" => Self::unauthenticated("The signature is not right."),
            "RequestTimeTooSkewed" => {
                Self::unauthenticated("The request was signed too long ago, or in the future.")
            }
            // After too many wrong signatures.
            "SlowDown" => Self::throttling(),
            "ServiceUnavailable" => Self::unavailable(),
            "InternalError" => Self::internal(),
            _ => Self::unauthenticated(denial.message().to_owned()),
        };
        Self { retry_after: denial.retry_after(), ..error }
    }

    /// What identity says against a call.
    pub(super) fn of_status(status: &Status) -> Self {
        let said = || status.message().to_owned();
        let Some(reason) = api::reason(status) else { return Self::of_code(status) };
        match reason {
            Reason::NoSuchUser => Self::no_such_user(),
            Reason::NoSuchAccessKey => Self::no_such_key(),
            Reason::NoSuchAccount => Self::new(
                StatusCode::BAD_REQUEST,
                "5000",
                "InvalidResource",
                "The account does not exist.",
            ),
            Reason::UserNameTaken => Self::conflict("9022", "The user name is taken."),
            Reason::KeyLimit => {
                Self::new(StatusCode::BAD_REQUEST, "10005", "TooManyResources", said())
            }
            Reason::UserHasKeys => Self::conflict("9085", "The user still has access keys."),
            Reason::EtagMismatch
            | Reason::RevisionConflict
            | Reason::RequestIdReused
            | Reason::SecretShredded => Self::conflict("9000", said()),
            Reason::LifetimesLonger => {
                Self::new(StatusCode::BAD_REQUEST, "6003", "InvalidState", said())
            }
            Reason::TooManyRequests | Reason::TooManyWrongPasswords => Self::throttling(),
            Reason::WrongPassword => {
                Self::unauthenticated("The login or the password is not right.")
            }
            Reason::CallerNotAllowed => Self::forbidden("You are not allowed to make this call."),
            Reason::RootUser => Self::forbidden(said()),
            Reason::InvalidPageToken => Self::value("NextPageToken", "is not one of this list"),
            Reason::InvalidField
            | Reason::TimeInPast
            | Reason::ExpiryRequired
            | Reason::LifetimeTooLong => Self::invalid_value(said()),
            Reason::Unspecified
            | Reason::InvalidToken
            | Reason::MissingToken
            | Reason::UnknownAdminToken
            | Reason::UnknownCertificate
            | Reason::Internal
            | Reason::LogCorrupt => {
                tracing::error!(?reason, message = status.message(), "identity refuses us");
                Self::internal()
            }
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
            Code::InvalidArgument | Code::OutOfRange => {
                Self::invalid_value(status.message().to_owned())
            }
            Code::FailedPrecondition => Self::new(
                StatusCode::BAD_REQUEST,
                "6003",
                "InvalidState",
                status.message().to_owned(),
            ),
            Code::NotFound => Self::new(
                StatusCode::BAD_REQUEST,
                "5000",
                "InvalidResource",
                status.message().to_owned(),
            ),
            Code::AlreadyExists | Code::Aborted => {
                Self::conflict("9000", status.message().to_owned())
            }
            Code::PermissionDenied => Self::forbidden("You are not allowed to make this call."),
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
    pub(super) fn document(&self, request_id: &str) -> Bytes {
        let error = json!({ "Code": self.code, "Type": self.kind, "Details": self.details });
        let context = json!({ "RequestId": request_id });
        json!({ "Errors": [error], "ResponseContext": context }).to_string().into()
    }
}

impl From<BodyError> for OscError {
    fn from(error: BodyError) -> Self {
        let details = format!("{error}.");
        match error {
            BodyError::TooLarge => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "3000", "InvalidParameter", details)
            }
            BodyError::BrokenOff => Self::malformed(details),
            BodyError::TooSlow => {
                Self::new(StatusCode::REQUEST_TIMEOUT, "3000", "InvalidParameter", details)
            }
        }
    }
}

impl From<Status> for OscError {
    fn from(status: Status) -> Self {
        Self::of_status(&status)
    }
}

/// As much of a name that somebody made up as is worth repeating.
fn shortened(name: &str) -> String {
    const CHARS_MAX: usize = 64;
    name.chars().filter(|c| !c.is_control()).take(CHARS_MAX).collect()
}
