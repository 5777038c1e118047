//! Headers that mean something to S3 and are not signed.

use sigv4::ErrorCode;

use crate::server::{GET, PRESIGNED, sign};
use crate::{NOT_SIGNED, and, check, check_accepted, with};

#[test]
fn every_amz_header_must_be_signed() {
    for template in [GET, PRESIGNED] {
        for header in [
            "x-amz-acl: public-read",
            "X-AMZ-Tagging: a=b",
            "x-amz-copy-source: /other/secret",
            "x-amz-security-token: t",
            "x-amz-storage-class: GLACIER",
            "x-amz-object-lock-mode: GOVERNANCE",
            "x-amz-server-side-encryption-customer-key: k",
            "x-amz-:",
            // Servers that hand headers on as CGI does take these for the above.
            "x_amz_acl: public-read",
            "X_Amz-Copy_Source: /other/secret",
            "x-amz_copy-source: /other/secret",
        ] {
            let raw = and(template, header);
            let name = header.split(':').next().unwrap().to_ascii_lowercase();
            let denial = check(&raw, ErrorCode::AccessDenied, NOT_SIGNED);
            assert_eq!(denial.details, [("HeadersNotSigned", name)]);
        }
        check_accepted(&sign(&and(template, "x-amzn-trace-id: Root=1")));
        check_accepted(&sign(&and(template, "Content-Type: text/plain")));
    }
}

#[test]
fn all_that_is_not_signed_is_named_at_once() {
    let raw = and(&and(GET, "x-amz-b: 1"), "x-amz-a: 2");
    let denial = check(&with(&raw, "=host;", "="), ErrorCode::AccessDenied, NOT_SIGNED);
    assert_eq!(denial.details[0].1, "host, x-amz-a, x-amz-b");
}
