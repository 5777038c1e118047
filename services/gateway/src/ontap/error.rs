//! ONTAP's errors.

mod refused;
mod s3_user;

use std::borrow::Cow;

use http::StatusCode;
use serde_json::{Value, json};

pub(crate) use self::refused::{Doing, To};
use crate::management::frame::Refusal;
use crate::request::BodyError;

/// A refusal, as ONTAP would put it.
///
/// Source: ONTAP automation, "Interpret an API response"; ONTAP REST API reference, "Manage S3 users".
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct OntapError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: Cow<'static, str>,
    /// The parameter or field that is wrong.
    pub(crate) target: Option<String>,
}

impl OntapError {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, code, message: message.into(), target: None }
    }

    pub(crate) fn bad(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn at(mut self, target: &str) -> Self {
        // As long as what it repeats may be.
        self.target = Some(target.chars().take(64).collect());
        self
    }

    pub(crate) fn invalid(
        message: impl Into<Cow<'static, str>>,
        target: Option<&'static str>,
    ) -> Self {
        let error = Self::bad("2", message);
        match target {
            Some(target) => error.at(target),
            None => error,
        }
    }

    /// A value is not of its field's form. It is told only where that is no secret.
    pub(crate) fn bad_value(field: &str, value: &str) -> Self {
        let field: String = field.chars().take(64).collect();
        let value: String = value.chars().take(64).collect();
        let message = format!("The value \"{value}\" is invalid for field \"{field}\".");
        Self::bad("262197", message).at(&field)
    }

    pub(crate) fn bad_form(field: &'static str, form: &str) -> Self {
        Self::bad("262197", format!("The value of field \"{field}\" {form}.")).at(field)
    }

    pub(crate) fn unexpected(argument: &str) -> Self {
        let argument: String = argument.chars().take(64).collect();
        Self::bad("262179", format!("Unexpected argument \"{argument}\".")).at(&argument)
    }

    pub(crate) fn cannot_be_set(field: &str) -> Self {
        let message = format!("Field \"{field}\" cannot be set in this operation.");
        Self::bad("262196", message).at(field)
    }

    pub(crate) fn twice(field: &str) -> Self {
        let field: String = field.chars().take(64).collect();
        Self::bad("262188", format!("Field \"{field}\" was specified twice.")).at(&field)
    }

    pub(crate) fn no_entry(target: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "4", "entry doesn't exist").at(target)
    }

    pub(crate) fn method(method: &http::Method) -> Self {
        let message = format!("The operation {method} is not supported on this resource.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "3", message)
    }

    pub(crate) fn media_type() -> Self {
        let message = "The request's body must be of the type application/json, in UTF-8.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "2", message)
    }

    /// A browser would show a password that it remembers to whichever page makes it ask.
    pub(crate) fn cross_origin() -> Self {
        Self::new(StatusCode::FORBIDDEN, "6", "A page of another site asks for this change.")
    }

    pub(crate) fn not_authorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "6691623", "User is not authorized.")
    }

    pub(crate) fn no_permission(resource: &str) -> Self {
        let message = format!(
            "The user does not have permission to access the requested resource \"{resource}\"."
        );
        Self::new(StatusCode::FORBIDDEN, "92406096", message)
    }

    pub(crate) fn too_many() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "8", "Too many requests are under way.")
    }

    pub(crate) fn internal() -> Self {
        let message = "Internal error. The operation configuration is not correct.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "92406097", message)
    }

    /// Something behind the gateway is away: asking again may well help.
    pub(crate) fn unavailable() -> Self {
        let message = "The service is temporarily not available. Retry the operation.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "393271", message)
    }

    /// The document that says so.
    pub(crate) fn document(&self) -> Value {
        let mut error = json!({ "message": self.message, "code": self.code });
        if let Some(target) = &self.target {
            error["target"] = json!(target);
        }
        json!({ "error": error })
    }
}

impl Refusal for OntapError {
    fn internal() -> Self {
        Self::internal()
    }

    fn code(&self) -> Cow<'static, str> {
        Cow::Borrowed(self.code)
    }

    fn retry_after(&self) -> Option<u32> {
        None
    }
}

impl From<BodyError> for OntapError {
    fn from(error: BodyError) -> Self {
        let message = format!("{error}.");
        match error {
            BodyError::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "2", message),
            BodyError::BrokenOff => Self::bad("2", message),
            BodyError::TooSlow => Self::new(StatusCode::REQUEST_TIMEOUT, "2", message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_ontaps() {
        let error = OntapError::no_entry("uuid").document();
        let expected = json!({"message": "entry doesn't exist", "code": "4", "target": "uuid"});
        assert_eq!(error, json!({ "error": expected }));
    }
}
