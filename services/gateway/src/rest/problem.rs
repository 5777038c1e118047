//! Problem documents: every answer here that is not what was asked for.
//!
//! Source: RFC 9457; `google/rpc/code.proto` for what each code of gRPC is in HTTP.

use std::borrow::Cow;

use api::error::v1::Reason;
use http::StatusCode;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::field::Violation;
use crate::management::frame::Refusal;
use crate::request::BodyError;
use crate::s3::S3Error;

/// Why there is no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// For programs: a reason of the contracts without its prefix, such as `NO_SUCH_USER`, or one of this
    /// interface.
    pub(crate) reason: Cow<'static, str>,
    /// For people.
    detail: Cow<'static, str>,
    violations: Vec<Violation>,
    /// After how many seconds asking again may help.
    pub(crate) retry_after: Option<u32>,
    /// The methods that a path can be asked for by.
    pub(crate) allow: Option<String>,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        reason: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (reason, detail) = (reason.into(), detail.into());
        Self { status, reason, detail, violations: vec![], retry_after: None, allow: None }
    }

    fn after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NO_SUCH_ROUTE", "there is nothing at this path")
    }

    pub(crate) fn method_not_allowed(allow: String) -> Self {
        let detail = format!("this path is asked for by {allow}");
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", detail);
        Self { allow: Some(allow), ..problem }
    }

    pub(crate) fn unauthenticated(
        reason: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, reason, detail)
    }

    pub(crate) fn cross_origin() -> Self {
        let detail = "a page of another site asks for it";
        Self::new(StatusCode::FORBIDDEN, "CROSS_ORIGIN", detail)
    }

    pub(crate) fn unsupported_media_type(detail: &'static str) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail)
    }

    pub(crate) fn too_many_requests() -> Self {
        let detail = "too many requests are under way";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_REQUESTS", detail).after(1)
    }

    pub(crate) fn internal() -> Self {
        let detail = "the server failed in a way it did not foresee";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", detail)
    }

    pub(crate) fn unavailable() -> Self {
        let detail = "what is behind the gateway gives no answer";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", detail).after(1)
    }

    pub(crate) fn stopping() -> Self {
        let detail = "the gateway is stopping: resume where this ends, or start again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "WATCH_ENDED", detail).after(1)
    }

    /// What auth says against a signature.
    pub(crate) fn of_signature(denial: &S3Error) -> Self {
        let (reason, detail) = (screaming(denial.code()), denial.message().to_owned());
        let problem = match denial.code() {
            "ServiceUnavailable" => Self::unavailable(),
            "InternalError" => Self::internal(),
            "SlowDown" => {
                let detail = "too many signatures were wrong";
                Self::new(StatusCode::TOO_MANY_REQUESTS, "LOCKED_OUT", detail)
            }
            // Of a locked user; of what is no signature, auth says why not.
            "AccessDenied" if denial.message() == S3Error::access_denied().message() => {
                Self::new(StatusCode::FORBIDDEN, reason, detail)
            }
            "RequestHeaderSectionTooLarge" => {
                Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, reason, detail)
            }
            _ => Self::unauthenticated(reason, detail),
        };
        match denial.retry_after() {
            Some(seconds) => problem.after(seconds),
            None => problem,
        }
    }

    /// What identity says against a call.
    pub(crate) fn of_status(status: &Status) -> Self {
        let reason = api::reason(status);
        let told = reason.map_or("", |reason| reason.as_str_name()).trim_start_matches("REASON_");
        let client_to_blame =
            matches!(reason, Some(Reason::UnknownAdminToken | Reason::WrongPassword));
        // The gateway itself is not let in.
        let is_ours = status.code() == Code::Unauthenticated && !client_to_blame;
        let http = if is_ours { StatusCode::INTERNAL_SERVER_ERROR } else { http_of(status.code()) };
        if http.is_server_error() {
            let (code, message) = (status.code(), status.message());
            tracing::warn!(?code, reason = told, message, "identity gives no answer");
        }
        let mut problem = match (reason, http) {
            (_, StatusCode::INTERNAL_SERVER_ERROR) if status.code() != Code::DataLoss => {
                return Self::internal();
            }
            // tonic's own words, on the way to identity.
            (None, StatusCode::SERVICE_UNAVAILABLE) => return Self::unavailable(),
            (None, StatusCode::GATEWAY_TIMEOUT) => {
                let detail = "no answer came in time: what was asked for may or may not be done";
                return Self::new(http, "DEADLINE_EXCEEDED", detail);
            }
            (None, StatusCode::NOT_IMPLEMENTED) => {
                return Self::new(http, "UNIMPLEMENTED", "identity does not know this call yet");
            }
            (None, http) => Self::new(http, screaming(&format!("{:?}", status.code())), ""),
            (Some(_), http) => Self::new(http, told.to_owned(), ""),
        };
        problem.detail = Cow::Owned(status.message().to_owned());
        problem.retry_after = retry_after(reason, http);
        let violations = status.get_details_bad_request().map(|it| it.field_violations);
        problem.violations = violations
            .unwrap_or_default()
            .into_iter()
            .map(|it| Violation::new(camel(&it.field), it.description))
            .collect();
        problem
    }

    /// The document.
    pub(crate) fn document(&self, request_id: &str) -> Value {
        let title = self.status.canonical_reason().unwrap_or_default();
        let mut document = json!({
            "type": "about:blank",
            "title": title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "instance": format!("urn:uuid:{request_id}"),
            "reason": self.reason,
        });
        if !self.violations.is_empty() {
            let violations = self.violations.iter();
            let violations =
                violations.map(|it| json!({ "field": it.field, "description": it.description }));
            document["violations"] = violations.collect();
        }
        document
    }
}

impl From<Violation> for Problem {
    fn from(violation: Violation) -> Self {
        let Violation { field, description } = &violation;
        if field.is_empty() {
            let detail = description.clone();
            return Self::new(StatusCode::BAD_REQUEST, "MALFORMED_REQUEST", detail);
        }
        let detail = format!("{field}: {description}");
        let problem = Self::new(StatusCode::BAD_REQUEST, "INVALID_FIELD", detail);
        Self { violations: vec![violation], ..problem }
    }
}

impl Refusal for Problem {
    fn internal() -> Self {
        Self::internal()
    }

    fn code(&self) -> Cow<'static, str> {
        self.reason.clone()
    }

    fn retry_after(&self) -> Option<u32> {
        self.retry_after
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let (status, reason) = match error {
            BodyError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE"),
            BodyError::BrokenOff => (StatusCode::BAD_REQUEST, "MALFORMED_REQUEST"),
            BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "BODY_TOO_SLOW"),
        };
        Self::new(status, reason, error.to_string())
    }
}

/// As `google/rpc/code.proto` has it, but for what tonic names so itself: a connection that broke, and a
/// time that is over.
fn http_of(code: Code) -> StatusCode {
    match code {
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unknown | Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded | Code::Cancelled => StatusCode::GATEWAY_TIMEOUT,
        Code::Ok | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// How long to wait; none where waiting does not help.
fn retry_after(reason: Option<Reason>, status: StatusCode) -> Option<u32> {
    match (reason, status) {
        (Some(Reason::KeyLimit), _) => None,
        // Pauses begin with a minute.
        (Some(Reason::TooManyWrongPasswords), _) => Some(60),
        (Some(Reason::StorageFull), _) => Some(30),
        (_, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => Some(1),
        _ => None,
    }
}

/// `SignatureDoesNotMatch` as the reasons are spelled: `SIGNATURE_DOES_NOT_MATCH`.
fn screaming(name: &str) -> String {
    let mut text = String::new();
    let mut before = None;
    for c in name.chars() {
        if c.is_ascii_uppercase() && before.is_some_and(|c: char| !c.is_ascii_uppercase()) {
            text.push('_');
        }
        text.push(c.to_ascii_uppercase());
        before = Some(c);
    }
    text
}

/// `user.user_name` as JSON spells it: `user.userName`.
fn camel(path: &str) -> String {
    let mut text = String::new();
    let mut after_underscore = false;
    for c in path.chars() {
        match c {
            '_' => after_underscore = true,
            c if after_underscore => {
                text.push(c.to_ascii_uppercase());
                after_underscore = false;
            }
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests;
