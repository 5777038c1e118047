//! What a request names beside its target: the object that a copy is of. And what no key may be.

use domain::BucketName;
use http::{HeaderMap, StatusCode};

use super::error_xml::S3Error;
use super::target::{Resource, Target, decode};

/// The header that names what is copied, and one that is like it in other kinds of buckets.
const COPY_SOURCE: &str = "x-amz-copy-source";
const RENAME_SOURCE: &str = "x-amz-rename-source";

/// The buckets that a request copies from, by header and by query, where who signs a URL may put headers.
///
/// # Errors
/// `InvalidArgument` if a source cannot be read in one way only; `NotImplemented` for access points.
pub(crate) fn buckets(headers: &HeaderMap, target: &Target) -> Result<Vec<BucketName>, S3Error> {
    let mut buckets = vec![];
    for name in [COPY_SOURCE, RENAME_SOURCE] {
        let mut values = headers.get_all(name).iter();
        if let Some(value) = values.next() {
            // Of two, one server takes the first and another the last.
            let text = value.to_str().ok().filter(|_| values.next().is_none());
            buckets.push(bucket(text.ok_or_else(invalid)?)?);
        }
        if let Some(value) = target.query_value(name) {
            let text = String::from_utf8(value).map_err(|_| invalid())?;
            buckets.push(bucket(&text)?);
        }
    }
    Ok(buckets)
}

/// The bucket in `bucket/key?versionId=…`, `/bucket/key` or either in percent-encoding.
///
/// There are servers that decode first and split then, and such that do it the other way: the bucket must be the same
/// for all of them.
fn bucket(source: &str) -> Result<BucketName, S3Error> {
    if source.starts_with("arn:") {
        return Err(S3Error::not_implemented("Copies from access points are not implemented."));
    }
    let path = source.split_once('?').map_or(source, |(path, _)| path);
    let decoded = String::from_utf8(decode(path)).map_err(|_| invalid())?;
    let without_slash = decoded.strip_prefix('/').unwrap_or(&decoded);
    let (name, key) = without_slash.split_once('/').ok_or_else(invalid)?;
    let name = BucketName::parse(name).map_err(|_| invalid())?;
    // A name holds nothing that is ever escaped, so it stands in the source as it is.
    let spelled = path.strip_prefix('/').or_else(|| strip_escaped_slash(path)).unwrap_or(path);
    if !spelled.starts_with(name.as_str()) || key.is_empty() || climbs(key) {
        return Err(invalid());
    }
    Ok(name)
}

fn strip_escaped_slash(path: &str) -> Option<&str> {
    path.strip_prefix("%2F").or_else(|| path.strip_prefix("%2f"))
}

/// Refuses a key that climbs out of its bucket by `..`, as S3 does (S3 user guide, "Naming Amazon S3 objects", on relative
/// path elements): a store that made a path of it, or a proxy before it, would read another bucket.
///
/// # Errors
/// `InvalidURI`.
pub(crate) fn refuse_climbing(target: &Target) -> Result<(), S3Error> {
    let Resource::Object(bucket) = target.resource() else { return Ok(()) };
    let path = target.onward.path();
    let key = path.get(bucket.len() + 2..).unwrap_or_default();
    match String::from_utf8(decode(key)) {
        Ok(key) if !climbs(&key) => Ok(()),
        Ok(_) | Err(_) => Err(S3Error::invalid_uri()),
    }
}

/// Whether a decoded key is above where it begins, at some point.
fn climbs(key: &str) -> bool {
    let mut depth = 0_usize;
    for segment in key.split('/') {
        match segment {
            // Two slashes are one to whoever reads paths so.
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => return true,
            },
            _ => depth += 1,
        }
    }
    false
}

fn invalid() -> S3Error {
    let message = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey";
    S3Error::new(StatusCode::BAD_REQUEST, "InvalidArgument", message)
        .with("ArgumentName", COPY_SOURCE)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::s3::host::Domains;

    fn target(uri: &str) -> Target {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("s3"));
        let domains = Domains::new(["s3"]).expect("valid");
        Target::parse(&uri.parse().expect("a URI"), &headers, &domains).expect("a target")
    }

    #[test]
    fn the_bucket_of_a_source_is_the_same_for_whoever_reads_it() {
        for source in [
            "mine/key",
            "/mine/key",
            "mine/a%20b/c?versionId=x%2Fy",
            "mine%2Fkey",
            "%2Fmine%2Fkey",
            "%2fmine/key",
            "mine/a/../b",
            "mine/%c3%a9",
            "mine//key",
        ] {
            let found = bucket(source).map(|name| name.to_string());
            assert_eq!(found, Ok("mine".to_owned()), "{source}");
        }
        for source in [
            "",
            "/",
            "mine",
            "mine/",
            "/mine",
            "//mine/key",
            "%2F/mine/key",
            "/%2Fmine/key",
            "mi%6ee/key",
            "%6dine/key",
            "Mine/key",
            "tenant:mine/key",
            "mine%252Ftheirs/key",
            "mine/../theirs/key",
            "mine/a/../../theirs/key",
            "mine/%2e%2e/theirs/key",
            "mine%2F..%2Ftheirs%2Fkey",
            "mine/./../theirs/key",
            "mine//../theirs/key",
            "mine?x/key",
            "../theirs/key",
            "mine/%ff",
            "mine,theirs/key",
        ] {
            let found = bucket(source);
            assert_eq!(found.as_ref().map_err(S3Error::code), Err("InvalidArgument"), "{source}");
        }
        let arn = "arn:aws:s3:us-east-1:123456789012:accesspoint/ap/object/key";
        assert_eq!(bucket(arn).as_ref().map_err(S3Error::code), Err("NotImplemented"));
    }

    #[test]
    fn sources_are_found_wherever_they_may_stand() {
        let check =
            |headers: &[(&'static str, &'static str)], uri: &str, expected: Option<&[&str]>| {
                let mut map = HeaderMap::new();
                for (name, value) in headers {
                    map.append(*name, HeaderValue::from_static(value));
                }
                let found = buckets(&map, &target(uri)).ok();
                let found: Option<Vec<_>> =
                    found.as_ref().map(|found| found.iter().map(BucketName::as_str).collect());
                assert_eq!(found.as_deref(), expected, "{headers:?} {uri}");
            };
        check(&[], "/b/k", Some(&[]));
        check(&[("x-amz-copy-source", "one/k")], "/b/k", Some(&["one"]));
        check(&[("x-amz-rename-source", "one/k")], "/b/k", Some(&["one"]));
        check(&[], "/b/k?X-Amz-Copy-Source=%2Fone%2Fk", Some(&["one"]));
        check(&[], "/b/k?x%2Damz-copy-source=one%252Fk", Some(&["one"]));
        let both = "/b/k?x-amz-copy-source=two/k";
        check(&[("x-amz-copy-source", "one/k")], both, Some(&["one", "two"]));
        check(&[("x-amz-copy-source", "one/k"), ("x-amz-copy-source", "two/k")], "/b/k", None);
        check(&[("x-amz-copy-source", "one")], "/b/k", None);
        check(&[], "/b/k?x-amz-copy-source", None);
    }

    #[test]
    fn no_key_climbs_out_of_its_bucket() {
        for fine in
            ["/b", "/b/", "/b/k", "/b/a/..", "/b/a/../b/%2e%2e/c", "/b/...", "/b/..a", "/b//a"]
        {
            assert!(refuse_climbing(&target(fine)).is_ok(), "{fine}");
        }
        for bad in [
            "/b/..",
            "/b/../c/k",
            "/b/%2e%2e/c/k",
            "/b/a/../../c",
            "/b/./../c",
            "/b//../c",
            "/b/a%2F..%2F..%2Fc",
        ] {
            let refused = refuse_climbing(&target(bad)).expect_err("is refused");
            assert_eq!(refused.code(), "InvalidURI", "{bad}");
        }
    }
}
