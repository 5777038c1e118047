//! What a body is said to be.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
pub(crate) const JSON: &str = "application/json";

/// Whether a body is said to be of one of these types, in UTF-8.
pub(crate) fn is_one_of(headers: &HeaderMap, types: &[&str]) -> bool {
    let mut said = headers.get_all(CONTENT_TYPE).iter();
    match (said.next(), said.next()) {
        (Some(value), None) => value.to_str().is_ok_and(|value| is_named(value, types)),
        _ => false,
    }
}

/// Whether a body is said to be something else than it would be if it were read as it is.
pub(crate) fn is_encoded(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    encodings.any(|encoding| !encoding.eq_ignore_ascii_case(b"identity"))
}

fn is_named(value: &str, types: &[&str]) -> bool {
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    types.iter().any(|known| essence.eq_ignore_ascii_case(known))
        && parts.filter(|part| !part.is_empty()).all(is_utf8)
}

/// Whether a parameter is `charset=utf-8`.
fn is_utf8(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    name.trim().eq_ignore_ascii_case("charset")
        && value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_told_from_the_rest() {
        for (value, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json;charset=\"utf-8\";", true),
            ("application/merge-patch+json", true),
            ("application/json; charset=latin1", false),
            ("application/json; boundary=x", false),
            ("application/json; x", false),
            ("application/x-www-form-urlencoded", false),
            ("text/json", false),
            ("application/jsonx", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(value).expect("a value"));
            let types = [JSON, "application/merge-patch+json"];
            assert_eq!(is_one_of(&headers, &types), expected, "{value}");
            headers.append(CONTENT_TYPE, HeaderValue::from_static(JSON));
            assert!(!is_one_of(&headers, &types), "{value}, twice");
        }
        assert!(!is_one_of(&HeaderMap::new(), &[JSON]));
    }

    #[test]
    fn what_is_compressed_is_encoded() {
        let mut headers = HeaderMap::new();
        assert!(!is_encoded(&headers));
        headers.append(CONTENT_ENCODING, HeaderValue::from_static("Identity"));
        assert!(!is_encoded(&headers));
        headers.append(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(is_encoded(&headers));
    }
}
