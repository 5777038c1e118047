//! OUTSCALE's errors: what identity and auth refuse, in OUTSCALE's words.

use std::borrow::Cow;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use tonic::Status;
use tonic_types::StatusExt;

use crate::identity::Refused;
use crate::management::frame::Refusal;
use crate::request::BodyError;
use crate::s3::S3Error;

/// A refusal, as OUTSCALE would put it.
///
/// Source: the error table of `osc_sdk_python`; types and numbers that it does not have (those of
/// authentication, of limits and of the server) are as the API's documentation shows them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct OscError {
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

    /// A user's name has characters that none has.
    pub(super) fn invalid_name(parameter: &str) -> Self {
        let why = "may only have letters, digits, and any of _+=,.@-";
        Self { code: "4043", ..Self::value(parameter, why) }
    }

    /// A parameter is too long, or too short.
    pub(super) fn length(parameter: &str, why: &str) -> Self {
        Self { code: "4106", ..Self::value(parameter, why) }
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
        match Refused::of(status) {
            // Whoever asks is a user of it.
            Refused::NoSuchUser | Refused::NoSuchAccount => Self::no_such_user(),
            Refused::NoSuchAccessKey => Self::no_such_key(),
            Refused::UserNameTaken => Self::conflict("9022", "The user name is taken."),
            Refused::AccessKeyIdTaken => Self::conflict("9009", said()),
            Refused::KeyLimit => {
                Self::new(StatusCode::BAD_REQUEST, "10005", "TooManyResources", said())
            }
            Refused::UserHasKeys => Self::conflict("9002", "The user still has access keys."),
            Refused::Changed
            | Refused::RequestIdReused
            | Refused::SecretGone
            | Refused::SlotTaken
            | Refused::Conflict => Self::conflict("9002", said()),
            Refused::LifetimesLonger => {
                Self::new(StatusCode::BAD_REQUEST, "6003", "InvalidState", said())
            }
            Refused::TooManyRequests | Refused::TooManyWrongPasswords => Self::throttling(),
            Refused::WrongPassword => {
                Self::unauthenticated("The login or the password is not right.")
            }
            Refused::NotAllowed => Self::forbidden("You are not allowed to make this call."),
            Refused::RootUser => Self::forbidden(said()),
            Refused::InvalidPageToken => Self::value("NextPageToken", "is not one of this list"),
            Refused::InvalidField => Self::of_field(status),
            Refused::TimeInPast
            | Refused::ExpiryRequired
            | Refused::LifetimeTooLong
            | Refused::Invalid => Self::invalid_value(said()),
            // Nobody shows a token here, and of what there is not identity tells what it is.
            Refused::UnknownAdminToken | Refused::NotFound | Refused::Internal => Self::internal(),
            Refused::Away => Self::unavailable(),
        }
    }

    /// A field that identity finds wrong, by the number that OUTSCALE has for it.
    fn of_field(status: &Status) -> Self {
        let details = status.get_details_bad_request();
        let violation = details.and_then(|details| details.field_violations.into_iter().next());
        let code = match violation.as_ref().map(|violation| violation.field.as_str()) {
            Some("user.user_name") => "4043",
            Some("user.email") => "4020",
            _ => "4047",
        };
        Self { code, ..Self::invalid_value(status.message().to_owned()) }
    }

    /// The document that says so.
    pub(super) fn document(&self, request_id: &str) -> Bytes {
        let error = json!({ "Code": self.code, "Type": self.kind, "Details": self.details });
        let context = json!({ "RequestId": request_id });
        json!({ "Errors": [error], "ResponseContext": context }).to_string().into()
    }
}

impl Refusal for OscError {
    fn internal() -> Self {
        Self::internal()
    }

    fn code(&self) -> Cow<'static, str> {
        Cow::Borrowed(self.kind)
    }

    fn retry_after(&self) -> Option<u32> {
        self.retry_after
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
