//! An upstream that refuses the gateway is not one that refuses the client.
//!
//! If the upstream's credential is wrong, its error document speaks of the gateway's signature and
//! access key, not of the client's: the client must neither see it nor be told to look for a fault.

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use quick_xml::Reader;
use quick_xml::events::Event;

use super::error_xml::S3Error;
use crate::body::BoxError;

/// Error documents are small.
const DOCUMENT_BYTES_MAX: usize = 64 << 10;

/// Longer than any code of S3's.
const CODE_CHARS_MAX: usize = 64;

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
    status.is_client_error() || status.is_server_error()
}

/// The document, if it is meant for the client.
///
/// # Errors
/// `ServiceUnavailable` if it is meant for us, cannot be read, or does not come whole.
pub(crate) async fn examine(
    headers: &HeaderMap,
    body: impl Body<Data = Bytes, Error = BoxError>,
    access_key_id: &str,
) -> Result<Bytes, S3Error> {
    if headers.contains_key(CONTENT_ENCODING) {
        tracing::warn!("the upstream's error document is encoded");
        return Err(S3Error::unavailable());
    }
    let document = Limited::new(body, DOCUMENT_BYTES_MAX).collect().await.map_err(|error| {
        tracing::warn!(%error, "the upstream's error document did not come whole");
        S3Error::unavailable()
    })?;
    let document = document.to_bytes();
    match about_us(&document, access_key_id) {
        None => Ok(document),
        Some(why) => {
            tracing::error!(why, "the upstream does not accept the gateway's credential");
            Err(S3Error::unavailable())
        }
    }
}

/// The code that a document tells, of letters and digits as they all are; empty if it tells none.
pub(crate) fn code(document: &[u8]) -> String {
    let elements = std::str::from_utf8(document).ok().and_then(|text| elements(text).ok());
    let code = elements.unwrap_or_default().into_iter().find(|(name, _)| name == "Code");
    let code = code.map(|(_, text)| text).unwrap_or_default();
    code.chars().filter(char::is_ascii_alphanumeric).take(CODE_CHARS_MAX).collect()
}

/// Why a document is not meant for the client, if it is not: a code, or what is wrong with it.
fn about_us(document: &[u8], access_key_id: &str) -> Option<&'static str> {
    let Ok(text) = std::str::from_utf8(document) else { return Some("not UTF-8") };
    if text.contains(access_key_id) {
        return Some("it names the access key");
    }
    let Ok(elements) = elements(text) else {
        // What a client makes of it cannot be said, only what it cannot find in it.
        return CODES.into_iter().find(|code| text.contains(code));
    };
    elements.iter().find_map(|(name, text)| match name.as_str() {
        "Code" => CODES.into_iter().find(|code| *code == text.trim()),
        _ if text.contains(access_key_id) => Some("it names the access key"),
        _ => None,
    })
}

/// Local name and text of all elements; an element's text is that before, between and after what
/// stands in it.
fn elements(document: &str) -> Result<Vec<(String, String)>, quick_xml::Error> {
    let mut reader = Reader::from_str(document);
    let (mut open, mut closed) = (vec![], vec![]);
    loop {
        let mut add = |text: &str| {
            if let Some((_, all)) = open.last_mut() {
                String::push_str(all, text);
            }
        };
        match reader.read_event()? {
            Event::Start(start) => {
                let name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
                open.push((name, String::new()));
            }
            Event::End(_) => closed.extend(open.pop()),
            Event::Text(text) => add(&text.decode()?),
            Event::CData(text) => add(&text.decode()?),
            Event::GeneralRef(reference) => {
                let name = reference.decode()?;
                match reference.resolve_char_ref()? {
                    Some(c) => add(c.encode_utf8(&mut [0; 4])),
                    None => add(quick_xml::escape::resolve_xml_entity(&name).unwrap_or_default()),
                }
            }
            Event::Eof => {
                closed.append(&mut open);
                return Ok(closed);
            }
            Event::Empty(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::body::full;

    async fn passes(headers: &HeaderMap, document: impl Into<Bytes>) -> bool {
        examine(headers, full(document), "AKIAUPSTREAM").await.is_ok()
    }

    #[tokio::test]
    async fn only_what_is_meant_for_the_client_goes_on() {
        let check = async |document: &'static str, expected: bool| {
            assert_eq!(passes(&HeaderMap::new(), document).await, expected, "{document}");
        };
        check("", true).await;
        check("no XML", true).await;
        check("<Error><Code>AccessDenied</Code></Error>", true).await;
        check("<Error><Code>MalformedXML</Code></Error>", true).await;
        check("<Error><Code>NoSuchKey</Code><Key>SignatureDoesNotMatch</Key></Error>", true).await;
        check("<Error><Code>SignatureDoesNotMatch</Code></Error>", false).await;
        check("<Error>\n<Code> InvalidAccessKeyId </Code></Error>", false).await;
        check("<e:Error xmlns:e='x'><e:Code a='b'>InvalidAccessKeyId</e:Code></e:Error>", false)
            .await;
        check("<Error><Code>X</Code><In><Code>ExpiredToken</Code></In></Error>", false).await;
        check("<Error><Code><![CDATA[ExpiredToken]]></Code></Error>", false).await;
        check("<Error><Code>Expired<!-- -->To&#107;en</Code></Error>", false).await;
        check("<Error><Code>ExpiredToken", false).await;
        check("<Error></x><Code>ExpiredToken</Code>", false).await;
        check("<Error><Code>NoSuchKey</Code><Id>AKIAUPSTREAM</Id></Error>", false).await;
        check("<Error><Id>AKIA&#85;PSTREAM</Id></Error>", false).await;
        check("{\"id\": \"AKIAUPSTREAM\"}", false).await;
    }

    #[test]
    fn a_document_tells_its_code() {
        for (document, expected) in [
            ("<Error><Code>NoSuchKey</Code><Key>x</Key></Error>", "NoSuchKey"),
            ("<Error><Code> No Such\nKey\" </Code></Error>", "NoSuchKey"),
            ("<Error/>", ""),
            ("", ""),
            ("<Error><Code>", ""),
        ] {
            assert_eq!(code(document.as_bytes()), expected, "{document}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_does_not_go_on() {
        let mut encoded = HeaderMap::new();
        encoded.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(!passes(&encoded, "<Error/>").await);
        assert!(!passes(&HeaderMap::new(), &b"\xff\xfe<\0"[..]).await);
        assert!(passes(&HeaderMap::new(), vec![b' '; DOCUMENT_BYTES_MAX]).await);
        assert!(!passes(&HeaderMap::new(), vec![b' '; DOCUMENT_BYTES_MAX + 1]).await);
    }
}
