//! What a body is said to be.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};

use super::contract::Rpc;
use super::problem::Problem;

/// Whether a body is said to be JSON, in UTF-8 and as it is; a change may be said to be a merge patch
/// (RFC 7396).
///
/// # Errors
/// 415.
pub(crate) fn check(rpc: &Rpc, headers: &HeaderMap) -> Result<(), Problem> {
    let patch = rpc.verb == Method::PATCH;
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let known = match (types.next(), types.next()) {
        (Some(value), None) => value.to_str().is_ok_and(|value| is_json(value, patch)),
        _ => false,
    };
    if !known {
        return Err(Problem::unsupported_media_type("the body must be application/json"));
    }
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    if encodings.any(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::unsupported_media_type("the body must not be compressed"));
    }
    Ok(())
}

fn is_json(value: &str, patch: bool) -> bool {
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let is_json = essence.eq_ignore_ascii_case("application/json")
        || patch && essence.eq_ignore_ascii_case("application/merge-patch+json");
    is_json && parts.filter(|part| !part.is_empty()).all(is_utf8)
}

/// Whether a parameter is `charset=utf-8`: JSON has no other.
fn is_utf8(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    name.trim().eq_ignore_ascii_case("charset")
        && value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_from_the_rest() {
        for (value, post, patch) in [
            ("application/json", true, true),
            ("Application/JSON; charset=UTF-8", true, true),
            ("application/json;charset=\"utf-8\";", true, true),
            ("application/merge-patch+json", false, true),
            ("application/json; charset=latin1", false, false),
            ("application/json; boundary=x", false, false),
            ("application/x-www-form-urlencoded", false, false),
            ("text/json", false, false),
            ("application/jsonx", false, false),
            ("", false, false),
        ] {
            assert_eq!((is_json(value, false), is_json(value, true)), (post, patch), "{value}");
        }
    }
}
