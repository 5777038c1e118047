//! Objects that anybody may read, as the configuration says.

use http::request::Parts;
use uuid::Uuid;

use super::operations::Operation;
use super::signed::Signed;
use super::target::Target;
use super::verify::{Payload, Verified};
use crate::BucketPattern;

/// Parameters that only say which of an object's bytes are meant. Older versions, and answers with other
/// headers than the object's own, are for those who sign.
const PARAMETERS: [&[u8]; 2] = [b"partNumber", b"x-id"];

/// The buckets whose objects anybody may read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Anonymous(Vec<BucketPattern>);

impl Anonymous {
    pub(crate) fn new(buckets: &[BucketPattern]) -> Self {
        Self(buckets.to_vec())
    }

    /// Whether this request needs no signature: it reads an object of such a bucket, and bears not the least
    /// sign of one. Whatever looks signed is verified.
    pub(crate) fn allow(&self, head: &Parts, target: &Target, has_body: bool) -> bool {
        let Some(bucket) = target.resource().bucket() else { return false };
        let reads = || {
            let is_copy = head.headers.contains_key("x-amz-copy-source");
            let operation = Operation::of(&head.method, target, is_copy);
            matches!(operation.name, "GetObject" | "HeadObject")
        };
        self.0.iter().any(|pattern| pattern.matches(bucket))
            && !has_body
            && reads()
            && target.query_names().all(|name| PARAMETERS.contains(&name.as_slice()))
            && Signed::of(head).is_none()
    }
}

/// What is verified of a request that nobody signed: no header of S3's own goes on.
pub(crate) fn nobody() -> Verified {
    Verified {
        account_id: Uuid::nil(),
        user_id: String::new(),
        access_key_id: String::new(),
        signed_headers: vec![],
        payload: Payload::Unsigned,
        is_version_2: false,
        sign_time: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::host::Domains;

    #[track_caller]
    fn check(request: &str, headers: &[(&'static str, &'static str)], expected: bool) {
        let (method, uri) = request.split_once(' ').expect("a method");
        let mut request_ = http::Request::builder().method(method).uri(uri).header("host", "s3");
        for (name, value) in headers {
            request_ = request_.header(*name, *value);
        }
        let (head, ()) = request_.body(()).expect("a request").into_parts();
        let domains = Domains::new(["s3"]).expect("valid");
        let target = Target::parse(&head.uri, &head.headers, &domains).expect("a target");
        let patterns = ["public-*", "www"].map(|text| BucketPattern::parse(text).expect("one"));
        let anonymous = Anonymous::new(&patterns);
        assert_eq!(anonymous.allow(&head, &target, false), expected, "{request} {headers:?}");
        assert!(!anonymous.allow(&head, &target, true), "{request} with a body");
        assert!(!Anonymous::default().allow(&head, &target, false), "{request} by nothing");
    }

    #[test]
    fn only_objects_are_read_and_only_without_a_signature() {
        for allowed in [
            "GET /www/k",
            "HEAD /www/k",
            "GET /public-a/k/../k%2F",
            "GET /www/k?partNumber=1&x-id=GetObject",
        ] {
            check(allowed, &[("range", "bytes=0-9"), ("origin", "https://x.test")], true);
        }
        for refused in [
            "GET /",
            "GET /www",
            "GET /www/",
            "GET /www?list-type=2",
            "HEAD /www",
            "GET /private/k",
            "GET /WWW/k",
            "PUT /www/k",
            "POST /www/k?uploads",
            "DELETE /www/k",
            "OPTIONS /www/k",
            "GET /www/k?acl",
            "GET /www/k?tagging",
            "GET /www/k?uploadId=x",
            "GET /www/k?attributes",
            "GET /www/k?torrent",
            "GET /www/k?versionId=1",
            "GET /www/k?response-content-type=text/html",
            "GET /www/k?X-Amz-Signature=x",
            "GET /www/k?x-amz-acl=x",
            "GET /www/k?Signature=x",
        ] {
            check(refused, &[], false);
        }
        for name in ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"]
        {
            check("GET /www/k", &[(name, "")], false);
        }
    }
}
