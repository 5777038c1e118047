//! Object tags: what S3 lets them be, and the header that carries them.

use crate::percent;
use s3s::dto::Tag;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use std::collections::BTreeMap;

/// The tags of an object by key.
pub(crate) type Tags = BTreeMap<String, String>;

const TAGS_MAX: usize = 10;
const KEY_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 256;

/// Reads the `x-amz-tagging` header, a form such as `colour=blue&size=l`.
///
/// # Errors
/// `InvalidArgument` if it is no form, else what [`collect`] says.
pub(crate) fn parse_header(header: &str) -> S3Result<Tags> {
    let pairs = header.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        percent::decode_form(key)
            .zip(percent::decode_form(value))
            .ok_or_else(|| s3_error!(InvalidArgument, "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates."))
    });
    collect(pairs)
}

/// Reads the tag set of a `PutObjectTagging` body.
///
/// # Errors
/// `MalformedXML` if a tag lacks its key, else what [`collect`] says.
pub(crate) fn parse_set(tags: Vec<Tag>) -> S3Result<Tags> {
    collect(tags.into_iter().map(|tag| match tag.key {
        Some(key) => Ok((key, tag.value.unwrap_or_default())),
        None => Err(s3_error!(MalformedXML)),
    }))
}

/// Checks tags against S3's rules.
///
/// # Errors
/// `InvalidTag` for a key or value S3 refuses, `BadRequest` for more than ten tags.
fn collect(pairs: impl Iterator<Item = S3Result<(String, String)>>) -> S3Result<Tags> {
    let mut tags = Tags::new();
    for pair in pairs {
        let (key, value) = pair?;
        if key.is_empty() || !allowed(&key, KEY_CHARS_MAX) || key.starts_with("aws:") {
            return Err(s3_error!(InvalidTag, "The TagKey you have provided is invalid"));
        }
        if !allowed(&value, VALUE_CHARS_MAX) {
            return Err(s3_error!(InvalidTag, "The TagValue you have provided is invalid"));
        }
        if tags.insert(key, value).is_some() {
            return Err(s3_error!(InvalidTag, "Cannot provide multiple Tags with the same key"));
        }
    }
    if tags.len() > TAGS_MAX {
        let code = S3ErrorCode::Custom("BadRequest".into());
        let mut error = S3Error::with_message(code, "Object tags cannot be greater than 10");
        error.set_status_code(http::StatusCode::BAD_REQUEST);
        return Err(error);
    }
    Ok(tags)
}

fn allowed(text: &str, chars_max: usize) -> bool {
    text.chars().count() <= chars_max
        && text.chars().all(|c| c.is_alphanumeric() || " +-=._:/@".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: Result<&[(&str, &str)], &str>) {
        let tags = parse_header(header).map_err(|error| error.code().as_str().to_owned());
        let expected = expected
            .map(|pairs| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect::<Tags>());
        assert_eq!(tags, expected.map_err(str::to_owned), "{header}");
    }

    #[test]
    fn tags_follow_s3s_rules() {
        check("", Ok(&[]));
        check("colour=blue&size=", Ok(&[("colour", "blue"), ("size", "")]));
        check("a%20key=%C3%A9+%2F&flag", Ok(&[("a key", "é /"), ("flag", "")]));
        check("=v", Err("InvalidTag"));
        check("a=1&a=2", Err("InvalidTag"));
        check("aws:x=1", Err("InvalidTag"));
        check("a=%3C", Err("InvalidTag"));
        check("a=%C3", Err("InvalidArgument"));
        check(&format!("{}=1", "k".repeat(129)), Err("InvalidTag"));
        check(&format!("k={}", "v".repeat(257)), Err("InvalidTag"));
        check("a=&b=&c=&d=&e=&f=&g=&h=&i=&j=&k=", Err("BadRequest"));
    }
}
