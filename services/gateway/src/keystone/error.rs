//! Keystone's errors, and how RGW and Swift read them.
//!
//! RGW tells its client `SignatureDoesNotMatch` for 401 and `InvalidAccessKeyId` for 404, and goes by the number for
//! all others: 403 is `AccessDenied`, and 5xx a failure of the server's, after which clients try again. It does so for
//! whatever is asked, also where its own token is wrong, for which a client cannot do anything: so that is 403 where a
//! signature is asked about. Swift tells its client `SignatureDoesNotMatch` whatever it is. Neither gets a new token
//! for a status.

use std::borrow::Cow;

use http::StatusCode;
use serde_json::{Value, json};

use crate::management::frame::Refusal;
use crate::request::BodyError;
use crate::s3::S3Error;

/// A refusal, as Keystone would put it.
///
/// Source: OpenStack Identity API v3, and `keystone.exception`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct KeystoneError {
    pub(super) status: StatusCode,
    /// For the access log: S3's, of a signature.
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    /// After how many seconds asking again may help, where that is known.
    retry_after: Option<u32>,
    /// What may be done in place of what was tried.
    pub(super) allow: Option<&'static str>,
}

impl KeystoneError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let (code, message) = (Cow::Borrowed(code), message.into());
        Self { status, code, message, retry_after: None, allow: None }
    }

    /// Nothing is served here.
    pub(super) fn not_served() -> Self {
        let message = "Keystone's API is not served here.";
        Self::new(StatusCode::NOT_FOUND, "NotServed", message)
    }

    pub(super) fn no_such_route() -> Self {
        let message = "The resource could not be found.";
        Self::new(StatusCode::NOT_FOUND, "NoSuchRoute", message)
    }

    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        let message = "The method is not allowed for the requested URL.";
        let error = Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message);
        Self { allow: Some(allow), ..error }
    }

    pub(super) fn content_type() -> Self {
        let message = "The body must be of the type application/json, in UTF-8.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    pub(super) fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MalformedRequest", message)
    }

    /// A field is not there, or not what it must be.
    pub(super) fn field(name: &str, why: &str) -> Self {
        Self::malformed(format!("{name} {why}."))
    }

    /// There is no token.
    pub(super) fn no_token() -> Self {
        let message = "The request you have made requires authentication.";
        Self::new(StatusCode::UNAUTHORIZED, "NoToken", message)
    }

    /// The token is none, or no longer, of a request about tokens and the like: 401, after which clients get a new one.
    pub(super) fn wrong_token() -> Self {
        let message = "The request you have made requires authentication.";
        Self::new(StatusCode::UNAUTHORIZED, "WrongToken", message)
    }

    /// The same of a request that asks about a signature: for 401, RGW would tell its client that the signature is
    /// wrong. Whoever asks gets a new token when it knows that its token ends.
    pub(super) fn wrong_token_of_service() -> Self {
        let message = "X-Auth-Token is not that of a service here, or no longer.";
        Self::new(StatusCode::FORBIDDEN, "WrongToken", message)
    }

    /// Login and password, or what else was asked for with them, are not right: which of them is not told.
    pub(super) fn not_signed_in() -> Self {
        let message = "The request you have made requires authentication.";
        Self::new(StatusCode::UNAUTHORIZED, "NotSignedIn", message)
    }

    /// Too many wrong passwords.
    pub(super) fn pause(seconds: u32) -> Self {
        let message = "Too many wrong passwords: try again later.";
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyWrongPasswords", message);
        Self { retry_after: Some(seconds), ..error }
    }

    /// The token asked about is none.
    pub(super) fn no_such_token() -> Self {
        let message = "Could not find token.";
        Self::new(StatusCode::NOT_FOUND, "NoSuchToken", message)
    }

    /// Tokens are kept nowhere, and so cannot be ended one by one.
    pub(super) fn not_revocable() -> Self {
        let message = "Tokens cannot be revoked: they end by themselves, or with the password.";
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotRevocable", message)
    }

    /// No secret access key is told.
    pub(super) fn no_secrets() -> Self {
        let message = "You are not authorized to perform the requested action: \
                       identity:ec2_get_credential.";
        Self::new(StatusCode::FORBIDDEN, "SecretNotTold", message)
    }

    pub(super) fn too_many() -> Self {
        let message = "Too many requests: try again later.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", message)
    }

    /// A signature is not what was said of it.
    pub(super) fn wrong_signature(message: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "SignatureDoesNotMatch", message)
    }

    /// What auth says against a signature, or that it says nothing.
    pub(super) fn of_signature(denial: &S3Error) -> Self {
        let status = match denial.code() {
            // Whatever else is wrong with a signature, such as its region: the client must sign otherwise.
            "SignatureDoesNotMatch"
            | "AuthorizationHeaderMalformed"
            | "AuthorizationQueryParametersError" => StatusCode::UNAUTHORIZED,
            "InvalidAccessKeyId" => StatusCode::NOT_FOUND,
            "SlowDown" | "ServiceUnavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "InternalError" => StatusCode::INTERNAL_SERVER_ERROR,
            "RequestHeaderSectionTooLarge" | "InvalidURI" => StatusCode::BAD_REQUEST,
            // The signature may well be right: the time is not, or the user is locked.
            _ => StatusCode::FORBIDDEN,
        };
        Self {
            code: denial.code().to_owned().into(),
            retry_after: denial.retry_after(),
            ..Self::new(status, "", denial.message().to_owned())
        }
    }

    /// The document that says so.
    pub(super) fn document(&self) -> Value {
        let title = self.status.canonical_reason().unwrap_or_default();
        json!({ "error": { "code": self.status.as_u16(), "message": self.message, "title": title } })
    }
}

impl Refusal for KeystoneError {
    fn internal() -> Self {
        let message = "An unexpected error prevented the server from fulfilling your request.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    fn code(&self) -> Cow<'static, str> {
        self.code.clone()
    }

    fn retry_after(&self) -> Option<u32> {
        self.retry_after
    }
}

impl From<BodyError> for KeystoneError {
    fn from(error: BodyError) -> Self {
        let status = match error {
            BodyError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::BrokenOff => StatusCode::BAD_REQUEST,
            BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
        };
        Self::new(status, "MalformedRequest", format!("{error}."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rgw_and_swift_are_told_by_the_status() {
        for (code, expected) in [
            ("SignatureDoesNotMatch", 401),
            ("AuthorizationHeaderMalformed", 401),
            ("InvalidAccessKeyId", 404),
            ("AccessDenied", 403),
            ("RequestTimeTooSkewed", 403),
            ("InvalidToken", 403),
            ("AuthorizationQueryParametersError", 401),
            ("SlowDown", 503),
            ("ServiceUnavailable", 503),
            ("InternalError", 500),
            ("RequestHeaderSectionTooLarge", 400),
            ("SomethingNew", 403),
        ] {
            let denial = S3Error::new(StatusCode::IM_A_TEAPOT, code, "why").after(7);
            let error = KeystoneError::of_signature(&denial);
            assert_eq!((error.status.as_u16(), error.retry_after), (expected, Some(7)), "{code}");
            assert_eq!(error.code(), code);
            let document = error.document();
            assert_eq!(document["error"]["code"], expected);
            assert_eq!(document["error"]["message"], "why");
            assert!(document["error"]["title"].is_string(), "{document}");
        }
    }
}
