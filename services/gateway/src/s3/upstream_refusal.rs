//! An upstream that refuses the gateway is not one that refuses the client.
//!
//! If the upstream's credential is wrong, its error document speaks of the gateway's signature and
//! access key, not of the client's: the client must neither see it nor be told to look for a fault.

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use http_body_util::{BodyExt, Limited};

use super::error_xml::S3Error;
use crate::body::BoxError;

/// Error documents are small.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;

/// The codes by which S3 servers say that they do not know who is asking.
const CODES: [&str; 12] = [
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidSecurity",
    "InvalidToken",
    "MissingSecurityHeader",
    "NotSignedUp",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "XAmzContentSHA256Mismatch",
    "XMinioInvalidAccessKeyId",
];

/// Whether a response of this status may be such a refusal.
pub(crate) fn is_possible(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// The document, if it is meant for the client.
///
/// # Errors
/// `ServiceUnavailable` if it is meant for us, or does not come whole.
pub(crate) async fn examine(
    body: impl Body<Data = Bytes, Error = BoxError>,
) -> Result<Bytes, S3Error> {
    let document = Limited::new(body, DOCUMENT_BYTES_MAX).collect().await.map_err(|error| {
        tracing::warn!(%error, "the upstream's error document did not come whole");
        S3Error::unavailable()
    })?;
    let document = document.to_bytes();
    match code(&document).and_then(|code| CODES.iter().find(|known| **known == code)) {
        Some(code) => {
            tracing::error!(code, "the upstream does not accept the gateway's credential");
            Err(S3Error::unavailable())
        }
        None => Ok(document),
    }
}

/// What stands in the first `Code` element.
fn code(document: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(document).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    Some(rest.split_once('<')?.0.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::full;

    #[tokio::test]
    async fn only_what_is_meant_for_the_client_goes_on() {
        let check = async |document: &'static str, passes: bool| {
            assert_eq!(examine(full(document)).await.is_ok(), passes, "{document}");
        };
        check("", true).await;
        check("no XML", true).await;
        check("<Error><Code>AccessDenied</Code></Error>", true).await;
        check("<Error><Code>MalformedXML</Code></Error>", true).await;
        check("<Error><Code>SignatureDoesNotMatch</Code></Error>", false).await;
        check("<Error>\n<Code> InvalidAccessKeyId </Code></Error>", false).await;
    }
}
