//! More than one way of authentication in one request, or one twice.

use sigv4::ErrorCode;

use crate::server::{GET, PRESIGNED, sign};
use crate::{ONLY_ONE, and, check, check_accepted, check_query, with};

#[test]
fn a_request_without_credentials_is_anonymous() {
    let raw = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let denial = check(raw, ErrorCode::AccessDenied, "Access Denied");
    assert_eq!(denial.code.http_status(), 403);
}

#[test]
fn two_mechanisms_are_refused() {
    for raw in [
        with(GET, "versionId=3", "X-Amz-Signature=0"),
        with(GET, "versionId=3", "X-Amz-Security-Token=0"),
        with(GET, "versionId=3", "X-Amz-Credentia%6c=0"),
        with(GET, "versionId=3", "Signature=0"),
        with(PRESIGNED, "/a%20key?", "/a%20key?AWSAccessKeyId=0&"),
        and(PRESIGNED, "Authorization: AWS4-HMAC-SHA256 x"),
        and(PRESIGNED, "authorization:"),
        and(GET, "authorization: AWS4-HMAC-SHA256 x"),
    ] {
        check(&raw, ErrorCode::InvalidArgument, ONLY_ONE);
    }
}

#[test]
fn parameter_names_in_another_case_are_only_parameters() {
    let raw = "GET /?x-amz-signature=0&X-AMZ-CREDENTIAL=1 HTTP/1.1\r\nHost: h\r\n\r\n";
    check(raw, ErrorCode::AccessDenied, "Access Denied");
    check_accepted(&sign(&with(GET, "versionId=3", "x-amz-signature=0&signature=1")));
}

#[test]
fn what_authentication_reads_may_be_given_once() {
    for header in [
        "host: s3.example.com",
        "HOST: other",
        "x-amz-date: 20130524T000000Z",
        "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD",
    ] {
        let name = header.split(':').next().unwrap().to_ascii_lowercase();
        let message = format!("The header '{name}' was given more than once.");
        check(&and(GET, header), ErrorCode::InvalidRequest, &message);
    }
    let message = "Query-string authentication takes each X-Amz- parameter only once.";
    for parameter in
        ["X-Amz-Signature=0", "X-Amz-Date=0", "X-Amz-%43redential=0", "X-Amz-SignedHeaders=host"]
    {
        check_query(&with(PRESIGNED, "/a%20key?", &format!("/a%20key?{parameter}&")), message);
    }
}
