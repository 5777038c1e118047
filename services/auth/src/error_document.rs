//! S3's error document, for those who hand it to a client as it is.
//!
//! The gateway makes its own; this is for proxies, which cannot.

use std::fmt::Write as _;

use api::auth::v1::Denied;
use uuid::Uuid;

/// What the document says of the request that it answers.
#[derive(Clone, Debug)]
pub(crate) struct About<'a> {
    /// The path, as sent.
    pub(crate) resource: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) host_id: &'a str,
}

/// What an answer is known by.
pub(crate) fn id() -> String {
    Uuid::new_v4().simple().to_string().to_uppercase()
}

/// The document for a denial.
pub(crate) fn of(denied: &Denied, about: &About<'_>) -> String {
    let details = denied.details.iter().map(|detail| (&*detail.name, &*detail.value));
    let elements = [("Code", &*denied.code), ("Message", &*denied.message)]
        .into_iter()
        .chain(details.filter(|(name, _)| is_name(name)))
        .chain([
            ("Resource", about.resource),
            ("RequestId", about.request_id),
            ("HostId", about.host_id),
        ]);
    let mut document = String::with_capacity(512);
    document.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    for (name, text) in elements {
        // Writing to a String does not fail.
        let _ = write!(document, "<{name}>");
        escape(text, &mut document);
        let _ = write!(document, "</{name}>");
    }
    document.push_str("</Error>");
    document
}

/// Whether this may name an element: a letter, then letters, digits, `-` and `_`.
fn is_name(text: &str) -> bool {
    let other = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(other)
}

/// Writes text so that it stays text. Characters that XML 1.0 does not have, which can stand in what a client
/// sends, are replaced.
fn escape(text: &str, document: &mut String) {
    for c in text.chars() {
        match c {
            '&' => document.push_str("&amp;"),
            '<' => document.push_str("&lt;"),
            '>' => document.push_str("&gt;"),
            '"' => document.push_str("&quot;"),
            '\'' => document.push_str("&apos;"),
            // A parser would turn it into a line feed.
            '\r' => document.push_str("&#13;"),
            '\t' | '\n' => document.push(c),
            '\u{FFFE}' | '\u{FFFF}' => document.push(char::REPLACEMENT_CHARACTER),
            _ if c.is_ascii_control() => document.push(char::REPLACEMENT_CHARACTER),
            _ => document.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use api::auth::v1::Detail;

    use super::*;

    #[test]
    fn a_document_has_its_elements_in_order_and_whatever_a_client_sends_stays_text() {
        let detail = |name: &str, value: &str| Detail { name: name.into(), value: value.into() };
        let denied = Denied {
            code: "SignatureDoesNotMatch".into(),
            message: "No <match>.".into(),
            details: vec![
                detail("StringToSign", "AWS4-HMAC-SHA256\n1\r"),
                detail("not a name>", "x"),
                detail("", "x"),
                detail("X-Amz-Expires", "'5'\u{ffff}"),
            ],
            ..Denied::default()
        };
        let about = About { resource: "/b/k?&\0", request_id: "R1", host_id: "H1" };
        assert_eq!(
            of(&denied, &about),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SignatureDoesNotMatch</Code>\
             <Message>No &lt;match&gt;.</Message><StringToSign>AWS4-HMAC-SHA256\n1&#13;</StringToSign>\
             <X-Amz-Expires>&apos;5&apos;\u{fffd}</X-Amz-Expires><Resource>/b/k?&amp;\u{fffd}</Resource>\
             <RequestId>R1</RequestId><HostId>H1</HostId></Error>"
        );
    }
}
