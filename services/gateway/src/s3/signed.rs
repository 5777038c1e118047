//! Whether a request looks signed, and how. What its signature is worth, auth says.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::target;

/// Headers that only come with a signature, beside `Authorization`.
const HEADERS: [&str; 4] =
    ["x-amz-content-sha256", "x-amz-date", "x-amz-s3session-token", "x-amz-security-token"];

/// Parameters of URLs that are signed by Signature Version 2.
const VERSION_2: [&str; 3] = ["awsaccesskeyid", "signature", "expires"];

/// How a request looks signed, in the words of S3's access logs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Signed {
    /// `SigV4`, `SigV4A`, `SigV2`, or `-` where it cannot be told.
    pub(crate) version: &'static str,
    /// `AuthHeader`, `QueryString`, or `-`.
    pub(crate) by: &'static str,
}

impl Signed {
    /// None if there is not the least sign of a signature, right or wrong.
    pub(crate) fn of(head: &Parts) -> Option<Self> {
        if head.headers.contains_key(AUTHORIZATION) {
            return Some(Self { version: version(&head.headers), by: "AuthHeader" });
        }
        let names = head.uri.query().unwrap_or_default().split('&');
        let names = names.filter(|parameter| !parameter.is_empty()).map(target::name);
        let mut by_query = None;
        for name in names.map(|name| name.to_ascii_lowercase()) {
            if VERSION_2.iter().any(|known| known.as_bytes() == name) {
                by_query = by_query.or(Some("SigV2"));
            } else if target::authenticates(&name) {
                by_query = Some("SigV4");
            }
        }
        if let Some(version) = by_query {
            return Some(Self { version, by: "QueryString" });
        }
        let is_there = |name: &&str| head.headers.contains_key(*name);
        HEADERS.iter().any(is_there).then_some(Self { version: "-", by: "-" })
    }
}

fn version(headers: &HeaderMap) -> &'static str {
    let value = headers.get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
    match value.split(|byte| *byte == b' ').next() {
        Some(b"AWS4-HMAC-SHA256") => "SigV4",
        Some(b"AWS4-ECDSA-P256-SHA256") => "SigV4A",
        Some(b"AWS") => "SigV2",
        Some(_) | None => "-",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        target: &str,
        headers: &[(&'static str, &'static str)],
        expected: Option<(&str, &str)>,
    ) {
        let mut request = http::Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        let found = Signed::of(&head).map(|signed| (signed.version, signed.by));
        assert_eq!(found, expected, "{target} {headers:?}");
    }

    #[test]
    fn the_least_sign_of_a_signature_counts() {
        check("/b/k", &[], None);
        check("/b/k?versionId=1&x-id=GetObject&prefix=Signature", &[("range", "bytes=0-1")], None);
        check("/b/k", &[("authorization", "AWS4-HMAC-SHA256 x")], Some(("SigV4", "AuthHeader")));
        check("/b/k", &[("authorization", "AWS a:b")], Some(("SigV2", "AuthHeader")));
        check("/b/k", &[("authorization", "")], Some(("-", "AuthHeader")));
        check("/b/k", &[("authorization", "Bearer x")], Some(("-", "AuthHeader")));
        let v4a = "AWS4-ECDSA-P256-SHA256 x";
        check("/b/k", &[("authorization", v4a)], Some(("SigV4A", "AuthHeader")));
        for query in ["X-Amz-Signature", "x-amz-credential=", "a&X%2dAmz-Date=1", "X-AMZ-EXPIRES=1"]
        {
            check(&format!("/b/k?{query}"), &[], Some(("SigV4", "QueryString")));
        }
        for query in ["AWSAccessKeyId=a", "a=1&signature=x", "Expires"] {
            check(&format!("/b/k?{query}"), &[], Some(("SigV2", "QueryString")));
        }
        for name in HEADERS {
            check("/b/k", &[(name, "x")], Some(("-", "-")));
        }
    }
}
