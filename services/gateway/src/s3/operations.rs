//! What a request does, by S3's own names: from method, resource and query, whether it is allowed or not.
//!
//! Names are those of the API reference, and those of server access logs (`REST.GET.OBJECT`; user guide,
//! "Amazon S3 server access log format").

use http::Method;

use super::target::{Resource, Target};

/// An operation by its names, of which there are so many and no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Operation {
    /// Such as `GetObject`; `Unknown` of what is none.
    pub(crate) name: &'static str,
    /// Such as `REST.GET.OBJECT`; `-` of what is none.
    pub(crate) logged: &'static str,
}

impl Operation {
    pub(crate) const UNKNOWN: Self = Self { name: "Unknown", logged: "-" };

    /// What this request does; `is_copy` if it names a source to copy from.
    pub(crate) fn of(method: &Method, target: &Target, is_copy: bool) -> Self {
        let names: Vec<Vec<u8>> = target.query_names().collect();
        let has = |wanted: &str| names.iter().any(|name| name == wanted.as_bytes());
        let rows = match target.resource() {
            _ if *method == Method::OPTIONS => {
                return Self { name: "Preflight", logged: "REST.OPTIONS.PREFLIGHT" };
            }
            Resource::Service => SERVICE,
            Resource::Bucket(_) => BUCKET,
            Resource::Object(_) if is_copy && *method == Method::PUT => COPY,
            Resource::Object(_) => OBJECT,
        };
        let found = rows.iter().find(|(wanted, parameters, ..)| {
            *wanted == method.as_str() && parameters.iter().all(|parameter| has(parameter))
        });
        found.map_or(Self::UNKNOWN, |&(_, _, name, logged)| Self { name, logged })
    }
}

/// A method, the parameters that must be there, and both names. The first that fits counts.
type Row = (&'static str, &'static [&'static str], &'static str, &'static str);

const SERVICE: &[Row] = &[("GET", &[], "ListBuckets", "REST.GET.SERVICE")];

#[rustfmt::skip]
const BUCKET: &[Row] = &[
    ("GET", &["accelerate"], "GetBucketAccelerateConfiguration", "REST.GET.ACCELERATE"),
    ("GET", &["acl"], "GetBucketAcl", "REST.GET.ACL"),
    ("GET", &["analytics", "id"], "GetBucketAnalyticsConfiguration", "REST.GET.ANALYTICS"),
    ("GET", &["analytics"], "ListBucketAnalyticsConfigurations", "REST.GET.ANALYTICS"),
    ("GET", &["cors"], "GetBucketCors", "REST.GET.CORS"),
    ("GET", &["encryption"], "GetBucketEncryption", "REST.GET.ENCRYPTION"),
    ("GET", &["intelligent-tiering", "id"], "GetBucketIntelligentTieringConfiguration", "REST.GET.INTELLIGENT_TIERING"),
    ("GET", &["intelligent-tiering"], "ListBucketIntelligentTieringConfigurations", "REST.GET.INTELLIGENT_TIERING"),
    ("GET", &["inventory", "id"], "GetBucketInventoryConfiguration", "REST.GET.INVENTORY"),
    ("GET", &["inventory"], "ListBucketInventoryConfigurations", "REST.GET.INVENTORY"),
    ("GET", &["lifecycle"], "GetBucketLifecycleConfiguration", "REST.GET.LIFECYCLE"),
    ("GET", &["location"], "GetBucketLocation", "REST.GET.LOCATION"),
    ("GET", &["logging"], "GetBucketLogging", "REST.GET.LOGGING_STATUS"),
    ("GET", &["metrics", "id"], "GetBucketMetricsConfiguration", "REST.GET.METRICS"),
    ("GET", &["metrics"], "ListBucketMetricsConfigurations", "REST.GET.METRICS"),
    ("GET", &["notification"], "GetBucketNotificationConfiguration", "REST.GET.NOTIFICATION"),
    ("GET", &["object-lock"], "GetObjectLockConfiguration", "REST.GET.OBJECT_LOCK_CONFIGURATION"),
    ("GET", &["ownershipControls"], "GetBucketOwnershipControls", "REST.GET.OWNERSHIP_CONTROLS"),
    ("GET", &["policy"], "GetBucketPolicy", "REST.GET.BUCKETPOLICY"),
    ("GET", &["policyStatus"], "GetBucketPolicyStatus", "REST.GET.POLICY_STATUS"),
    ("GET", &["publicAccessBlock"], "GetPublicAccessBlock", "REST.GET.PUBLIC_ACCESS_BLOCK"),
    ("GET", &["replication"], "GetBucketReplication", "REST.GET.REPLICATION"),
    ("GET", &["requestPayment"], "GetBucketRequestPayment", "REST.GET.REQUEST_PAYMENT"),
    ("GET", &["tagging"], "GetBucketTagging", "REST.GET.TAGGING"),
    ("GET", &["uploads"], "ListMultipartUploads", "REST.GET.UPLOADS"),
    ("GET", &["versioning"], "GetBucketVersioning", "REST.GET.VERSIONING"),
    ("GET", &["versions"], "ListObjectVersions", "REST.GET.BUCKETVERSIONS"),
    ("GET", &["website"], "GetBucketWebsite", "REST.GET.WEBSITE"),
    ("GET", &["list-type"], "ListObjectsV2", "REST.GET.BUCKET"),
    ("GET", &[], "ListObjects", "REST.GET.BUCKET"),
    ("HEAD", &[], "HeadBucket", "REST.HEAD.BUCKET"),
    ("PUT", &["accelerate"], "PutBucketAccelerateConfiguration", "REST.PUT.ACCELERATE"),
    ("PUT", &["acl"], "PutBucketAcl", "REST.PUT.ACL"),
    ("PUT", &["analytics"], "PutBucketAnalyticsConfiguration", "REST.PUT.ANALYTICS"),
    ("PUT", &["cors"], "PutBucketCors", "REST.PUT.CORS"),
    ("PUT", &["encryption"], "PutBucketEncryption", "REST.PUT.ENCRYPTION"),
    ("PUT", &["intelligent-tiering"], "PutBucketIntelligentTieringConfiguration", "REST.PUT.INTELLIGENT_TIERING"),
    ("PUT", &["inventory"], "PutBucketInventoryConfiguration", "REST.PUT.INVENTORY"),
    ("PUT", &["lifecycle"], "PutBucketLifecycleConfiguration", "REST.PUT.LIFECYCLE"),
    ("PUT", &["logging"], "PutBucketLogging", "REST.PUT.LOGGING_STATUS"),
    ("PUT", &["metrics"], "PutBucketMetricsConfiguration", "REST.PUT.METRICS"),
    ("PUT", &["notification"], "PutBucketNotificationConfiguration", "REST.PUT.NOTIFICATION"),
    ("PUT", &["object-lock"], "PutObjectLockConfiguration", "REST.PUT.OBJECT_LOCK_CONFIGURATION"),
    ("PUT", &["ownershipControls"], "PutBucketOwnershipControls", "REST.PUT.OWNERSHIP_CONTROLS"),
    ("PUT", &["policy"], "PutBucketPolicy", "REST.PUT.BUCKETPOLICY"),
    ("PUT", &["publicAccessBlock"], "PutPublicAccessBlock", "REST.PUT.PUBLIC_ACCESS_BLOCK"),
    ("PUT", &["replication"], "PutBucketReplication", "REST.PUT.REPLICATION"),
    ("PUT", &["requestPayment"], "PutBucketRequestPayment", "REST.PUT.REQUEST_PAYMENT"),
    ("PUT", &["tagging"], "PutBucketTagging", "REST.PUT.TAGGING"),
    ("PUT", &["versioning"], "PutBucketVersioning", "REST.PUT.VERSIONING"),
    ("PUT", &["website"], "PutBucketWebsite", "REST.PUT.WEBSITE"),
    ("PUT", &[], "CreateBucket", "REST.PUT.BUCKET"),
    ("POST", &["delete"], "DeleteObjects", "REST.POST.MULTI_OBJECT_DELETE"),
    ("POST", &[], "PostObject", "REST.POST.OBJECT"),
    ("DELETE", &["analytics"], "DeleteBucketAnalyticsConfiguration", "REST.DELETE.ANALYTICS"),
    ("DELETE", &["cors"], "DeleteBucketCors", "REST.DELETE.CORS"),
    ("DELETE", &["encryption"], "DeleteBucketEncryption", "REST.DELETE.ENCRYPTION"),
    ("DELETE", &["intelligent-tiering"], "DeleteBucketIntelligentTieringConfiguration", "REST.DELETE.INTELLIGENT_TIERING"),
    ("DELETE", &["inventory"], "DeleteBucketInventoryConfiguration", "REST.DELETE.INVENTORY"),
    ("DELETE", &["lifecycle"], "DeleteBucketLifecycle", "REST.DELETE.LIFECYCLE"),
    ("DELETE", &["metrics"], "DeleteBucketMetricsConfiguration", "REST.DELETE.METRICS"),
    ("DELETE", &["ownershipControls"], "DeleteBucketOwnershipControls", "REST.DELETE.OWNERSHIP_CONTROLS"),
    ("DELETE", &["policy"], "DeleteBucketPolicy", "REST.DELETE.BUCKETPOLICY"),
    ("DELETE", &["publicAccessBlock"], "DeletePublicAccessBlock", "REST.DELETE.PUBLIC_ACCESS_BLOCK"),
    ("DELETE", &["replication"], "DeleteBucketReplication", "REST.DELETE.REPLICATION"),
    ("DELETE", &["tagging"], "DeleteBucketTagging", "REST.DELETE.TAGGING"),
    ("DELETE", &["website"], "DeleteBucketWebsite", "REST.DELETE.WEBSITE"),
    ("DELETE", &[], "DeleteBucket", "REST.DELETE.BUCKET"),
];

#[rustfmt::skip]
const OBJECT: &[Row] = &[
    ("GET", &["acl"], "GetObjectAcl", "REST.GET.ACL"),
    ("GET", &["attributes"], "GetObjectAttributes", "REST.GET.OBJECT_ATTRIBUTES"),
    ("GET", &["legal-hold"], "GetObjectLegalHold", "REST.GET.LEGAL_HOLD"),
    ("GET", &["retention"], "GetObjectRetention", "REST.GET.RETENTION"),
    ("GET", &["tagging"], "GetObjectTagging", "REST.GET.OBJECT_TAGGING"),
    ("GET", &["uploadId"], "ListParts", "REST.GET.UPLOAD"),
    ("GET", &[], "GetObject", "REST.GET.OBJECT"),
    ("HEAD", &[], "HeadObject", "REST.HEAD.OBJECT"),
    ("PUT", &["acl"], "PutObjectAcl", "REST.PUT.ACL"),
    ("PUT", &["legal-hold"], "PutObjectLegalHold", "REST.PUT.LEGAL_HOLD"),
    ("PUT", &["retention"], "PutObjectRetention", "REST.PUT.RETENTION"),
    ("PUT", &["tagging"], "PutObjectTagging", "REST.PUT.OBJECT_TAGGING"),
    ("PUT", &["partNumber", "uploadId"], "UploadPart", "REST.PUT.PART"),
    ("PUT", &[], "PutObject", "REST.PUT.OBJECT"),
    ("POST", &["uploads"], "CreateMultipartUpload", "REST.POST.UPLOADS"),
    ("POST", &["uploadId"], "CompleteMultipartUpload", "REST.POST.UPLOAD"),
    ("POST", &["restore"], "RestoreObject", "REST.POST.RESTORE"),
    ("POST", &["select"], "SelectObjectContent", "REST.POST.OBJECT_SELECT"),
    ("DELETE", &["tagging"], "DeleteObjectTagging", "REST.DELETE.OBJECT_TAGGING"),
    ("DELETE", &["uploadId"], "AbortMultipartUpload", "REST.DELETE.UPLOAD"),
    ("DELETE", &[], "DeleteObject", "REST.DELETE.OBJECT"),
];

const COPY: &[Row] = &[
    ("PUT", &["partNumber", "uploadId"], "UploadPartCopy", "REST.COPY.PART"),
    ("PUT", &[], "CopyObject", "REST.COPY.OBJECT"),
];

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::s3::host::Domains;

    #[track_caller]
    fn check_at(host: &'static str, request: &str, is_copy: bool, expected: &str) {
        let (method, uri) = request.split_once(' ').expect("a method");
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static(host));
        let domains = Domains::new(["s3"]).expect("valid");
        let target = Target::parse(&uri.parse().expect("a URI"), &headers, &domains);
        let method = method.parse().expect("a method");
        let found = Operation::of(&method, &target.expect("a target"), is_copy);
        assert_eq!(format!("{} {}", found.name, found.logged), expected, "{request}");
    }

    #[track_caller]
    fn check(request: &str, expected: &str) {
        check_at("s3", request, false, expected);
    }

    #[test]
    fn operations_have_the_names_that_s3_gives_them() {
        check("GET /", "ListBuckets REST.GET.SERVICE");
        check("GET /?max-buckets=5&x-id=ListBuckets", "ListBuckets REST.GET.SERVICE");
        check("GET /b", "ListObjects REST.GET.BUCKET");
        check("GET /b?prefix=acl&delimiter=/", "ListObjects REST.GET.BUCKET");
        check("GET /b/?list-type=2&prefix=a", "ListObjectsV2 REST.GET.BUCKET");
        check("GET /b?versions&prefix=a", "ListObjectVersions REST.GET.BUCKETVERSIONS");
        check("GET /b?p%6Flicy", "GetBucketPolicy REST.GET.BUCKETPOLICY");
        check("GET /b?inventory&id=1", "GetBucketInventoryConfiguration REST.GET.INVENTORY");
        check("GET /b?inventory", "ListBucketInventoryConfigurations REST.GET.INVENTORY");
        check("HEAD /b", "HeadBucket REST.HEAD.BUCKET");
        check("PUT /b", "CreateBucket REST.PUT.BUCKET");
        check("DELETE /b", "DeleteBucket REST.DELETE.BUCKET");
        check("POST /b?delete", "DeleteObjects REST.POST.MULTI_OBJECT_DELETE");
        check("POST /b", "PostObject REST.POST.OBJECT");
        check("GET /b/k", "GetObject REST.GET.OBJECT");
        check("GET /b/k?X-Amz-Signature=0&versionId=1", "GetObject REST.GET.OBJECT");
        check("HEAD /b/k?partNumber=1", "HeadObject REST.HEAD.OBJECT");
        check("PUT /b/k", "PutObject REST.PUT.OBJECT");
        check("PUT /b/k?partNumber=1&uploadId=x", "UploadPart REST.PUT.PART");
        check("PUT /b/k?tagging", "PutObjectTagging REST.PUT.OBJECT_TAGGING");
        check("POST /b/k?uploads", "CreateMultipartUpload REST.POST.UPLOADS");
        check("POST /b/k?uploadId=x", "CompleteMultipartUpload REST.POST.UPLOAD");
        check("GET /b/k?uploadId=x", "ListParts REST.GET.UPLOAD");
        check("DELETE /b/k?uploadId=x", "AbortMultipartUpload REST.DELETE.UPLOAD");
        check("DELETE /b/k?versionId=x", "DeleteObject REST.DELETE.OBJECT");
        check("OPTIONS /b/k", "Preflight REST.OPTIONS.PREFLIGHT");
        check_at("b.s3", "GET /", false, "ListObjects REST.GET.BUCKET");
        check_at("b.s3", "GET /k", false, "GetObject REST.GET.OBJECT");
        check_at("s3", "PUT /b/k", true, "CopyObject REST.COPY.OBJECT");
        check_at("s3", "PUT /b/k?uploadId=x&partNumber=2", true, "UploadPartCopy REST.COPY.PART");
        check_at("s3", "GET /b/k", true, "GetObject REST.GET.OBJECT");
        for none in ["POST /", "DELETE /", "PATCH /b/k", "POST /b/k", "POST /b/k?acl"] {
            check(none, "Unknown -");
        }
    }

    #[test]
    fn every_name_is_of_its_form_and_none_is_hidden_by_one_before() {
        for rows in [SERVICE, BUCKET, OBJECT, COPY] {
            for (n, (method, parameters, name, logged)) in rows.iter().enumerate() {
                let verb = if rows == COPY { "COPY" } else { method };
                assert!(logged.starts_with(&format!("REST.{verb}.")), "{name} {logged}");
                let before = rows[..n].iter().filter(|(before, ..)| before == method);
                for (_, fewer, other, _) in before {
                    let hides = fewer.iter().all(|parameter| parameters.contains(parameter));
                    assert!(!hides, "{other} hides {name}");
                }
            }
        }
    }
}
