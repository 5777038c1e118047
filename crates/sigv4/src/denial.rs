//! Why a request is not accepted, in the words of S3.

use std::borrow::Cow;
use std::fmt;

use crate::bytes::{hex, text};
use crate::head::HeadError;

/// The answer to a request that is not accepted: what becomes the XML error document.
///
/// Holds only what the client itself sent and what the server tells everyone: never a secret, a derived
/// key or the signature that would have been right. Text is not escaped for XML.
#[derive(Clone, Eq, PartialEq)]
pub struct Denial {
    /// The S3 error code.
    pub code: ErrorCode,
    /// The sentence for people.
    pub message: Cow<'static, str>,
    /// Further elements of the error document, name and text, in order.
    pub details: Vec<(&'static str, String)>,
}

/// The S3 error codes that authentication answers with.
///
/// Source: Amazon S3 API reference, "Error responses", and what S3 was seen to answer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorCode {
    /// No credentials, a date out of bounds, unsigned headers, or a decision of the caller.
    AccessDenied,
    /// The `Authorization` header cannot be used.
    AuthorizationHeaderMalformed,
    /// The `X-Amz-...` query parameters cannot be used.
    AuthorizationQueryParametersError,
    /// A checksum that the client gave is not that of the body.
    BadDigest,
    /// The head is not HTTP.
    BadRequest,
    /// The body is larger than it may be.
    EntityTooLarge,
    /// The body is smaller than it may be.
    EntityTooSmall,
    /// The session token has ended.
    ExpiredToken,
    /// The body ends too early, is longer than announced, or its chunks cannot be told apart.
    IncompleteBody,
    /// Nobody has this access key ID, or it may not be used.
    InvalidAccessKeyId,
    /// One header or parameter has a value that is not understood.
    InvalidArgument,
    /// A chunk before the last one is too small.
    InvalidChunkSizeError,
    /// The policy of a form is not one.
    InvalidPolicyDocument,
    /// The request does not go together.
    InvalidRequest,
    /// The session token is not one.
    InvalidToken,
    /// The request target cannot be read.
    InvalidUri,
    /// A form cannot be read.
    MalformedPostRequest,
    /// What follows the last chunk is not the trailer that was announced.
    MalformedTrailerError,
    /// The fields of a form before the file are too big.
    MaxPostPreDataLengthExceeded,
    /// The length of the body was not given.
    MissingContentLength,
    /// The head or one of its parts is too big.
    RequestHeaderSectionTooLarge,
    /// The request was signed too long ago or in the future.
    RequestTimeTooSkewed,
    /// The signature is not the one of this request and this key.
    SignatureDoesNotMatch,
    /// The client is to wait: a decision of the caller.
    SlowDown,
    /// The body has another SHA-256 than the one that is signed.
    XAmzContentSha256Mismatch,
}

impl ErrorCode {
    /// The code as it stands in the error document.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDenied",
            Self::AuthorizationHeaderMalformed => "AuthorizationHeaderMalformed",
            Self::AuthorizationQueryParametersError => "AuthorizationQueryParametersError",
            Self::BadDigest => "BadDigest",
            Self::BadRequest => "BadRequest",
            Self::EntityTooLarge => "EntityTooLarge",
            Self::EntityTooSmall => "EntityTooSmall",
            Self::ExpiredToken => "ExpiredToken",
            Self::IncompleteBody => "IncompleteBody",
            Self::InvalidAccessKeyId => "InvalidAccessKeyId",
            Self::InvalidArgument => "InvalidArgument",
            Self::InvalidChunkSizeError => "InvalidChunkSizeError",
            Self::InvalidPolicyDocument => "InvalidPolicyDocument",
            Self::InvalidRequest => "InvalidRequest",
            Self::InvalidToken => "InvalidToken",
            Self::InvalidUri => "InvalidURI",
            Self::MalformedPostRequest => "MalformedPOSTRequest",
            Self::MalformedTrailerError => "MalformedTrailerError",
            Self::MaxPostPreDataLengthExceeded => "MaxPostPreDataLengthExceededError",
            Self::MissingContentLength => "MissingContentLength",
            Self::RequestHeaderSectionTooLarge => "RequestHeaderSectionTooLarge",
            Self::RequestTimeTooSkewed => "RequestTimeTooSkewed",
            Self::SignatureDoesNotMatch => "SignatureDoesNotMatch",
            Self::SlowDown => "SlowDown",
            Self::XAmzContentSha256Mismatch => "XAmzContentSHA256Mismatch",
        }
    }

    /// The HTTP status that goes with it: 400, 403, 411 or 503.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::AccessDenied
            | Self::InvalidAccessKeyId
            | Self::RequestTimeTooSkewed
            | Self::SignatureDoesNotMatch => 403,
            Self::MissingContentLength => 411,
            Self::AuthorizationHeaderMalformed
            | Self::AuthorizationQueryParametersError
            | Self::BadDigest
            | Self::BadRequest
            | Self::EntityTooLarge
            | Self::EntityTooSmall
            | Self::ExpiredToken
            | Self::IncompleteBody
            | Self::InvalidArgument
            | Self::InvalidChunkSizeError
            | Self::InvalidPolicyDocument
            | Self::InvalidRequest
            | Self::InvalidToken
            | Self::InvalidUri
            | Self::MalformedPostRequest
            | Self::MalformedTrailerError
            | Self::MaxPostPreDataLengthExceeded
            | Self::RequestHeaderSectionTooLarge
            | Self::XAmzContentSha256Mismatch => 400,
            Self::SlowDown => 503,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Denial {
    /// A denial without details.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: Vec::new() }
    }

    /// Adds an element to the error document.
    #[must_use]
    pub fn with(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.details.push((name, text.into()));
        self
    }

    /// 403 `AccessDenied`, with a reason that the client may see, such as `Access Denied`.
    #[must_use]
    pub fn access_denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::AccessDenied, message)
    }

    /// 403 `InvalidAccessKeyId`: for a key that is unknown, inactive, expired or deleted alike.
    #[must_use]
    pub fn invalid_access_key_id(access_key_id: &str) -> Self {
        let message = "The AWS Access Key Id you provided does not exist in our records.";
        Self::new(ErrorCode::InvalidAccessKeyId, message).with("AWSAccessKeyId", access_key_id)
    }

    /// 503 `SlowDown`: for a client that is to ask again later.
    #[must_use]
    pub fn slow_down() -> Self {
        Self::new(ErrorCode::SlowDown, "Please reduce your request rate.")
    }

    /// 400 `InvalidToken`: a session token that is unknown, of another key, missing or not wanted.
    #[must_use]
    pub fn invalid_token() -> Self {
        let message = "The provided token is malformed or otherwise invalid.";
        Self::new(ErrorCode::InvalidToken, message)
    }

    /// 400 `ExpiredToken`: a session token that was good once.
    #[must_use]
    pub fn expired_token() -> Self {
        Self::new(ErrorCode::ExpiredToken, "The provided token has expired.")
    }

    /// 403 `SignatureDoesNotMatch` without diagnostics, for those who sent no whole request.
    #[must_use]
    pub fn signature_does_not_match() -> Self {
        let message = "The request signature we calculated does not match the signature you provided. \
                       Check your key and signing method.";
        Self::new(ErrorCode::SignatureDoesNotMatch, message)
    }

    /// 400 `XAmzContentSHA256Mismatch`: the body does not have the SHA-256 that is signed.
    #[must_use]
    pub fn content_sha256_mismatch(signed: &[u8; 32], computed: &[u8; 32]) -> Self {
        let message =
            "The provided 'x-amz-content-sha256' header does not match what was computed.";
        let shown = |hash| text(&hex(hash));
        Self::new(ErrorCode::XAmzContentSha256Mismatch, message)
            .with("ClientComputedContentSHA256", shown(signed))
            .with("S3ComputedContentSHA256", shown(computed))
    }

    pub(crate) fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    pub(crate) fn invalid_argument(message: &'static str, name: &str, value: String) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
            .with("ArgumentName", name)
            .with("ArgumentValue", value)
    }

    /// Signature Version 2 is known and not spoken, and 4A only where it is expected.
    pub(crate) fn unsupported_mechanism() -> Self {
        Self::invalid_request(
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        )
    }

    pub(crate) fn headers_not_signed(names: String) -> Self {
        let message = "There were headers present in the request which were not signed";
        Self::access_denied(message).with("HeadersNotSigned", names)
    }
}

/// Leaves out the texts of the details, which may hold a session token: they are for the client, not for logs.
impl fmt::Debug for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details: Vec<_> = self.details.iter().map(|(name, _)| name).collect();
        f.debug_struct("Denial")
            .field("code", &self.code)
            .field("message", &self.message)
            .field("details", &details)
            .finish()
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Denial {}

impl From<HeadError> for Denial {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::TooLarge { bytes_max: max } => Self::new(
                ErrorCode::RequestHeaderSectionTooLarge,
                "Your request header section exceeds the maximum allowed size.",
            )
            .with("MaxSizeAllowed", max.to_string()),
            HeadError::TooManyHeaders { .. } | HeadError::TooManyParameters { .. } => Self::new(
                ErrorCode::RequestHeaderSectionTooLarge,
                format!("Your request has too many parts: {error}."),
            ),
            HeadError::Target => {
                Self::new(ErrorCode::InvalidUri, "Couldn't parse the specified URI.")
            }
            HeadError::Malformed => {
                Self::new(ErrorCode::BadRequest, "An error occurred when parsing the HTTP request.")
            }
        }
    }
}
