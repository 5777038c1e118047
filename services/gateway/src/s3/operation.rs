//! Which requests are S3 at all.
//!
//! What goes on bears the upstream's credential, which may do more there than its buckets need:
//! S3 servers have their own administration, metrics and other protocols on the same port, told
//! apart by path, query and method. So only what is known to be an operation on buckets and
//! objects goes on.

use domain::BucketName;
use http::{Method, StatusCode};

use super::error_xml::S3Error;
use super::target::{Resource, Target, authenticates};

/// The parameters of `ListBuckets` (S3 API reference), the one operation on the service.
const SERVICE_PARAMETERS: [&str; 5] =
    ["bucket-region", "continuation-token", "max-buckets", "prefix", "x-id"];

/// The parameters and sub-resources of operations on buckets and objects (S3 API reference).
/// `session` is not among them: it makes a credential.
const PARAMETERS: [&str; 57] = [
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "continuation-token",
    "cors",
    "delete",
    "delimiter",
    "encoding-type",
    "encryption",
    "fetch-owner",
    "id",
    "intelligent-tiering",
    "inventory",
    "key-marker",
    "legal-hold",
    "lifecycle",
    "list-type",
    "location",
    "logging",
    "marker",
    "max-keys",
    "max-parts",
    "max-uploads",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "part-number-marker",
    "partNumber",
    "policy",
    "policyStatus",
    "prefix",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "retention",
    "select",
    "select-type",
    "start-after",
    "tagging",
    "upload-id-marker",
    "uploadId",
    "uploads",
    "version-id-marker",
    "versionId",
    "versioning",
    "versions",
    "website",
    "x-id",
];

/// What `POST` may do to a bucket and to an object.
const POST_TO_BUCKET: [&str; 1] = ["delete"];
const POST_TO_OBJECT: [&str; 4] = ["restore", "select", "uploadId", "uploads"];

/// Refuses what is no operation on buckets and objects.
///
/// # Errors
/// `MethodNotAllowed`, `InvalidBucketName` or `InvalidArgument`; `AccessDenied` for a bucket that is
/// reserved.
pub(crate) fn check(method: &Method, target: &Target, reserved: &[String]) -> Result<(), S3Error> {
    let names = query_names(target)?;
    let resource = target.resource();
    let (bucket, known, posts) = match resource {
        Resource::Service => (None, &SERVICE_PARAMETERS[..], &[][..]),
        Resource::Bucket(bucket) => (Some(bucket), &PARAMETERS[..], &POST_TO_BUCKET[..]),
        Resource::Object(bucket) => (Some(bucket), &PARAMETERS[..], &POST_TO_OBJECT[..]),
    };
    bucket.map_or(Ok(()), |bucket| check_bucket(bucket, reserved))?;
    let is_allowed = match *method {
        Method::GET | Method::HEAD => true,
        Method::PUT | Method::DELETE => bucket.is_some(),
        Method::POST => names.iter().any(|name| posts.contains(&name.as_str())),
        _ => false,
    };
    if !is_allowed {
        return Err(method_not_allowed(method, resource));
    }
    let unknown = names.iter().find(|name| !known.contains(&name.as_str()) && !is_header(name));
    unknown.map_or(Ok(()), |name| {
        Err(S3Error::invalid_argument("This query parameter is not supported.", name))
    })
}

/// Refuses what is no name of a bucket.
///
/// # Errors
/// `InvalidBucketName`; `AccessDenied` for a bucket that is reserved.
pub(crate) fn check_bucket(bucket: &str, reserved: &[String]) -> Result<(), S3Error> {
    if BucketName::parse(bucket).is_err() {
        let message = "The specified bucket is not valid.";
        return Err(S3Error::new(StatusCode::BAD_REQUEST, "InvalidBucketName", message)
            .with("BucketName", bucket));
    }
    if reserved.iter().any(|reserved| reserved == bucket) {
        return Err(S3Error::access_denied());
    }
    Ok(())
}

/// The method cannot be used on what the target names.
pub(crate) fn method_not_allowed(method: &Method, resource: Resource<'_>) -> S3Error {
    let message = "The specified method is not allowed against this resource.";
    S3Error::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
        .with("Method", method.as_str())
        .with("ResourceType", resource.type_name())
}

/// The names in the query less those of authentication; those of headers are in lower case.
///
/// # Errors
/// `InvalidArgument` if a name is given twice: which one counts, each server says differently.
fn query_names(target: &Target) -> Result<Vec<String>, S3Error> {
    let mut names: Vec<String> = vec![];
    for name in target.query_names().filter(|name| !authenticates(name)) {
        let mut name = String::from_utf8(name).map_err(|_| S3Error::invalid_uri())?;
        if name.get(..HEADER.len()).is_some_and(|start| start.eq_ignore_ascii_case(HEADER)) {
            name.make_ascii_lowercase();
        }
        if names.contains(&name) {
            return Err(S3Error::invalid_argument(
                "This query parameter is given more than once.",
                &name,
            ));
        }
        names.push(name);
    }
    Ok(names)
}

const HEADER: &str = "x-amz-";

/// Whether this, in lower case, names a header: who signs a URL may put those of S3 into its query.
fn is_header(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(HEADER) else { return false };
    let of_names = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    match rest.strip_prefix("meta-") {
        Some(rest) => rest.bytes().all(|byte| of_names(byte) || matches!(byte, b'_' | b'.')),
        // Another credential, and the name of another service's operation.
        None if matches!(rest, "s3session-token" | "target") => false,
        None => !rest.is_empty() && rest.bytes().all(of_names),
    }
}

/// Whether the value of the parameter that is so named in a query, undecoded, may be shown to whoever reads
/// logs: it is one of S3's own, and authenticates nobody.
pub(crate) fn is_plain_parameter(name: &str) -> bool {
    PARAMETERS.contains(&name) || SERVICE_PARAMETERS.contains(&name)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::s3::host::Domains;

    #[track_caller]
    fn check_at(host: &'static str, request: &str, code: Option<&str>) {
        let (method, uri) = request.split_once(' ').expect("a method");
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static(host));
        let domains = Domains::new(["s3"]).expect("valid");
        let target = Target::parse(&uri.parse().expect("a URI"), &headers, &domains);
        let reserved = ["minio".to_owned()];
        let method = method.parse().expect("a method");
        let found = check(&method, &target.expect("a target"), &reserved);
        assert_eq!(found.as_ref().err().map(S3Error::code), code, "{request}");
    }

    #[track_caller]
    fn check_path(request: &str, code: Option<&str>) {
        check_at("s3", request, code);
    }

    #[test]
    fn the_service_lists_buckets_and_does_nothing_else() {
        check_path("GET /", None);
        check_path("HEAD /", None);
        check_path("GET /?x-id=ListBuckets&max-buckets=5&prefix=a&continuation-token=t", None);
        check_path("GET /?X-Amz-Date=1&x-amz-user-agent=aws-sdk-js", None);
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            check_path(&format!("{method} /"), Some("MethodNotAllowed"));
            check_path(&format!("{method} /?delete"), Some("MethodNotAllowed"));
        }
        for query in ["Action=ListUsers", "acl", "list-type=2", "events=x", "session"] {
            check_path(&format!("GET /?{query}"), Some("InvalidArgument"));
        }
    }

    #[test]
    fn the_first_segment_is_a_bucket_that_is_not_reserved() {
        for bucket in ["abc", "a-b", "a.b", "0a0", "1.2.3", "minio2", &"a".repeat(63)] {
            check_path(&format!("GET /{bucket}"), None);
            check_path(&format!("PUT /{bucket}/%2e%2e/k%2F"), None);
        }
        for bucket in [
            "",
            "ab",
            "v1",
            "abC",
            "a_b",
            "-abc",
            "abc-",
            ".abc",
            "abc.",
            "a..b",
            "1.2.3.4",
            "bkt%2Fa",
            "%61bc",
            "a%2Eb",
            "tenant:abc",
            "a;b",
            "..",
            "_admin",
            &"a".repeat(64),
        ] {
            check_path(&format!("GET /{bucket}/k"), Some("InvalidBucketName"));
        }
        check_path("GET //", Some("InvalidBucketName"));
        check_path("GET /minio/admin/v3/info", Some("AccessDenied"));
        check_path("GET /minio", Some("AccessDenied"));
        check_at("minio.s3", "GET /admin/v3/info", Some("AccessDenied"));
        check_at("abc.s3", "GET /minio/admin", None);
        check_at("abc.s3", "POST /", Some("MethodNotAllowed"));
        check_at("a_b.s3", "GET /k", Some("InvalidBucketName"));
    }

    #[test]
    fn post_is_for_what_s3_posts() {
        for post in ["/abc?delete", "/abc/k?uploads", "/abc/k?uploadId=1", "/abc/k?restore"] {
            check_path(&format!("POST {post}"), None);
        }
        check_path("POST /abc/k?select&select-type=2", None);
        for post in ["/abc", "/abc/", "/abc?uploads", "/abc/k", "/abc/k?delete", "/abc/k?acl"] {
            check_path(&format!("POST {post}"), Some("MethodNotAllowed"));
        }
    }

    #[test]
    fn only_known_parameters_go_on() {
        for parameter in PARAMETERS {
            check_path(&format!("GET /abc/k?{parameter}=1"), None);
        }
        assert!(PARAMETERS.is_sorted() && SERVICE_PARAMETERS.is_sorted());
        // As the SDKs for JavaScript and Go put headers into the URLs that they sign.
        for hoisted in [
            "x-amz-acl=private",
            "X-Amz-Checksum-Crc32=AAAAAA%3D%3D",
            "x-amz-sdk-checksum-algorithm=CRC32",
            "x-amz-checksum-mode=ENABLED",
            "x-amz-meta-a_b.c=1",
            "x-amz-server-side-encryption-customer-key-MD5=x",
            "X-Amz-Content-Sha256=UNSIGNED-PAYLOAD",
        ] {
            check_path(&format!("PUT /abc/k?x-id=PutObject&{hoisted}"), None);
        }
        for unknown in [
            "Policy",
            "session",
            "torrent",
            "events=s3:ObjectCreated",
            "lambdaArn=x",
            "rgwx-uid=x",
            "AWSAccessKeyId=x",
            "Signature=x",
            "acl%00",
            "acl+",
            "=x",
            "x-amz-",
            "x-amz-s3session-token=x",
            "X-Amz-Target=x",
            "x-amz-a_b",
            "x-minio-extract=true",
            "acl;policy",
        ] {
            check_path(&format!("GET /abc/k?{unknown}"), Some("InvalidArgument"));
        }
    }

    #[test]
    fn no_parameter_is_given_twice() {
        for query in
            ["prefix=a&prefix=b", "prefix&prefix", "prefix=a&pre%66ix=a", "x-amz-acl=a&X-Amz-ACL=b"]
        {
            check_path(&format!("GET /abc?{query}"), Some("InvalidArgument"));
        }
        check_path("GET /abc?&&prefix=a&&delimiter=/&", None);
    }
}
