//! The fields of a form become the headers of the object's upload.

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use quick_xml::de::from_str;
use serde::Deserialize;

use super::parts::Fields;
use crate::s3::error_xml::S3Error;

/// The fields that are headers of `PutObject`, beside those of S3 itself (S3 API reference, "POST Object").
const HEADERS: [&str; 7] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-type",
    "expires",
];

/// The fields of S3's own that are about the form, and not about the object.
const OF_THE_FORM: [&str; 7] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-content-sha256",
    "x-amz-target",
];

/// The headers that a form's fields ask for. The policy has allowed each of them.
///
/// # Errors
/// `InvalidArgument` for a value that no header can have; `MalformedXML` for tags that are none.
pub(super) fn headers(fields: &Fields) -> Result<HeaderMap, S3Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = name.to_ascii_lowercase();
        let (header, value) = match name.as_str() {
            "acl" => ("x-amz-acl", value.clone()),
            "tagging" => ("x-amz-tagging", tagging(value)?),
            name if HEADERS.contains(&name) => (name, value.clone()),
            name if is_of_object(name) => (name, value.clone()),
            _ => continue,
        };
        let invalid = || {
            let message = "A field of the form cannot be a header.";
            S3Error::invalid_argument(message, header)
        };
        let header_name = HeaderName::try_from(header).map_err(|_| invalid())?;
        let is_text = !value.bytes().any(|byte| byte.is_ascii_control());
        let value =
            HeaderValue::from_str(&value).or_else(|_| HeaderValue::from_bytes(value.as_bytes()));
        headers.insert(header_name, value.ok().filter(|_| is_text).ok_or_else(invalid)?);
    }
    Ok(headers)
}

/// Whether a field in lower case is a header of S3's own that concerns the object. An underscore stands in
/// user metadata only: some servers read it as a hyphen.
fn is_of_object(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("x-amz-") else { return false };
    // A form's file is its own: nothing is copied.
    let copies = rest.starts_with("copy-source");
    !copies && !OF_THE_FORM.contains(&name) && (rest.starts_with("meta-") || !rest.contains('_'))
}

#[derive(Deserialize)]
struct Tagging {
    #[serde(rename = "TagSet")]
    set: TagSet,
}

#[derive(Deserialize)]
struct TagSet {
    #[serde(rename = "Tag", default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "Value")]
    value: String,
}

/// A form has its tags in XML, a header in the form of a query.
fn tagging(xml: &str) -> Result<String, S3Error> {
    let tagging: Tagging = from_str(xml).map_err(|_| {
        let message = "The XML you provided was not well-formed or did not validate against our \
                       published schema";
        S3Error::new(http::StatusCode::BAD_REQUEST, "MalformedXML", message)
    })?;
    let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let tags = tagging.set.tags.iter();
    let tags = tags.map(|tag| format!("{}={}", escape(&tag.key), escape(&tag.value)));
    Ok(tags.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fields: &[(&str, &str)], expected: Option<&[(&str, &str)]>) {
        let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let found = headers(&fields).ok();
        let expected = expected.map(|lines| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                let name: HeaderName = name.parse().expect("a name");
                headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
            }
            headers
        });
        assert_eq!(found, expected, "{fields:?}");
    }

    #[test]
    fn what_concerns_the_object_becomes_a_header_and_nothing_else_does() {
        check(
            &[
                ("key", "k"),
                ("acl", "private"),
                ("Content-Type", "text/plain"),
                ("X-Amz-Meta-A_b", "é"),
                ("x-amz-storage-class", "STANDARD"),
                ("x-amz-server-side-encryption", "AES256"),
                ("success_action_status", "201"),
                ("policy", "e30="),
                ("bucket", "b"),
                ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
                ("x-amz-credential", "x"),
                ("x-amz-date", "x"),
                ("x-amz-signature", "x"),
                ("x-amz-security-token", "x"),
                ("x-amz-content-sha256", "x"),
                ("x-amz-copy_source", "/b/k"),
                ("X-Amz-Copy-Source", "/b/k"),
                ("x-amz-copy-source-range", "bytes=0-1"),
                ("x-ignore-me", "x"),
                ("host", "x"),
                ("content-length", "5"),
                ("transfer-encoding", "chunked"),
            ],
            Some(&[
                ("x-amz-acl", "private"),
                ("content-type", "text/plain"),
                ("x-amz-meta-a_b", "é"),
                ("x-amz-storage-class", "STANDARD"),
                ("x-amz-server-side-encryption", "AES256"),
            ]),
        );
        check(&[("x-amz-meta-a", "a\r\nx: y")], None);
        check(&[("Content-Type", "a\0b")], None);
        check(&[("x-amz-meta-a b", "a")], None);
    }

    #[test]
    fn tags_become_a_query() {
        let tagging = "<Tagging><TagSet><Tag><Key>a b</Key><Value>c&amp;d=é</Value></Tag>\
                       <Tag><Key>e</Key><Value></Value></Tag></TagSet></Tagging>";
        check(&[("tagging", tagging)], Some(&[("x-amz-tagging", "a%20b=c%26d%3D%C3%A9&e=")]));
        check(&[("tagging", "<Tagging><TagSet/></Tagging>")], Some(&[("x-amz-tagging", "")]));
        check(&[("tagging", "a=b")], None);
        check(&[("tagging", "<Tagging></Tagging>")], None);
    }
}
