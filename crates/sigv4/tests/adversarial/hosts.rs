//! Which host a request is for.

use sigv4::ErrorCode;

use crate::server::{GET, PRESIGNED, sign};
use crate::{MISMATCH, NOT_SIGNED, and, check, with};

#[test]
fn the_host_is_always_signed() {
    let raw = with(GET, "SignedHeaders=host;", "SignedHeaders=");
    let denial = check(&raw, ErrorCode::AccessDenied, NOT_SIGNED);
    assert_eq!(denial.details, [("HeadersNotSigned", "host".to_owned())]);
    let raw = with(
        &and(PRESIGNED, "x-amz-acl: private"),
        "SignedHeaders=host",
        "SignedHeaders=x-amz-acl",
    );
    let denial = check(&raw, ErrorCode::AccessDenied, NOT_SIGNED);
    assert_eq!(denial.details, [("HeadersNotSigned", "host".to_owned())]);
}

#[test]
fn there_is_one_host_and_it_is_the_signed_one() {
    for template in [GET, PRESIGNED] {
        let raw = sign(template);
        for host in
            ["other.example.com", "s3.example.com:80", "S3.example.com", "s3.example.com.", ""]
        {
            check(&with(&raw, "s3.example.com", host), ErrorCode::SignatureDoesNotMatch, MISMATCH);
        }
        for second in ["Host: s3.example.com", "host: other", "HOST:"] {
            let message = "The header 'host' was given more than once.";
            check(&and(&raw, second), ErrorCode::InvalidRequest, message);
        }
    }
}
