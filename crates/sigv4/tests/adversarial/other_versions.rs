//! Signature Version 2 and 4A, and one algorithm's name with another's credential.

use sigv4::ErrorCode;

use crate::server::{GET, NOW, PRESIGNED, verdict};
use crate::{UNSUPPORTED, check, with};

#[test]
fn signature_version_2_and_4a_are_refused_by_name() {
    let header =
        |value: &str| format!("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: {value}\r\n\r\n");
    for raw in [
        header("AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg="),
        header("AWS4-ECDSA-P256-SHA256 Credential=a/20130524/s3/aws4_request"),
        "GET /?AWSAccessKeyId=A&Signature=b&Expires=1 HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        "GET /?%41WSAccessKeyId=A HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        with(PRESIGNED, "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
    ] {
        check(&raw, ErrorCode::InvalidRequest, UNSUPPORTED);
    }
}

#[test]
fn an_algorithm_of_one_version_does_not_go_with_a_credential_of_another() {
    let of_4a = "AKIAIOSFODNN7EXAMPLE/20130524/s3/aws4_request";
    let raw = with(GET, "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request", of_4a);
    assert!(verdict(raw.as_bytes(), NOW).is_err());
    for scheme in [
        "AWS4-HMAC-SHA1",
        "AWS4-HMAC",
        "AWS4-ECDSA-P256-SHA256 ",
        "AWS4",
        "AWS4-X509-RSA-SHA256",
        "OSC4-HMAC-SHA256",
    ] {
        let raw = with(GET, "AWS4-HMAC-SHA256", scheme);
        assert!(verdict(raw.as_bytes(), NOW).is_err(), "{scheme}");
        let raw = with(PRESIGNED, "AWS4-HMAC-SHA256", scheme.trim_end());
        assert!(verdict(raw.as_bytes(), NOW).is_err(), "{scheme}");
    }
    // Without a space this was an anonymous request to some servers.
    let raw = with(GET, "AWS4-HMAC-SHA256 ", "AWS");
    assert!(verdict(raw.as_bytes(), NOW).is_err());
}
