//! Which mechanism carries the credentials, and what the `Authorization` header says.

use sigv4::ErrorCode;

use crate::server::{GET, NOW, PRESIGNED, sign, verdict};
use crate::{
    MISSING, ONLY_ONE, UNSUPPORTED, and, check, check_accepted, check_malformed, check_query, with,
};

#[test]
fn a_request_without_credentials_is_anonymous() {
    let raw = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let denial = check(raw, ErrorCode::AccessDenied, "Access Denied");
    assert_eq!(denial.code.http_status(), 403);
}

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
fn a_credential_in_the_query_does_not_open_the_door_for_an_unsigned_body() {
    // CVE-2026-41145 in MinIO: the signature was not asked for in this combination.
    let raw = "PUT /b/k?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request \
               HTTP/1.1\r\nHost: h\r\nx-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n\r\n";
    check_query(raw, MISSING);
}

#[test]
fn the_authorization_header_has_a_scheme_and_components() {
    let of = |value: &str| {
        let (before, rest) = GET.split_once("AWS4-HMAC-SHA256").unwrap();
        format!("{before}{value}{}", &rest[rest.find("\r\n").unwrap()..])
    };
    let message = "Authorization header is invalid -- one and only one ' ' (space) required.";
    for value in ["", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256\tCredential=a"] {
        let denial = check(&of(value), ErrorCode::InvalidArgument, message);
        assert_eq!(denial.details[0], ("ArgumentName", "Authorization".to_owned()));
    }
    for value in ["Basic dXNlcjpwYXNz", "aws4-hmac-sha256 Credential=a", "AWS4-HMAC-SHA512 x=y"] {
        let denial =
            check(&of(value), ErrorCode::InvalidArgument, "Unsupported Authorization Type");
        assert_eq!(denial.details[1].1, value.split(' ').next().unwrap());
    }
    check_malformed(
        &of(&format!("AWS4-HMAC-SHA256 {}", "x".repeat(8192))),
        "it is longer than 8192 bytes.",
    );
    for (components, what) in [
        ("SignedHeaders=host, Signature=0", "missing Credential."),
        ("Credential=a, Signature=0", "missing SignedHeaders."),
        ("Credential=a, SignedHeaders=host", "missing Signature."),
        (
            "Credential=a, Credential=b",
            "the authorization component \"Credential=b\" is malformed.",
        ),
        ("Credential=a, Signature=", "the authorization component \"Signature=\" is malformed."),
        ("Credential=a,, Signature=0", "the authorization component \"\" is malformed."),
        ("credential=a", "the authorization component \"credential=a\" is malformed."),
        ("Credential", "the authorization component \"Credential\" is malformed."),
        ("Credential=a, Extra=1", "the authorization component \"Extra=1\" is malformed."),
    ] {
        check_malformed(&of(&format!("AWS4-HMAC-SHA256 {components}")), what);
    }
}

#[test]
fn spaces_and_order_of_components_are_free() {
    let tight = with(GET, ", ", ",");
    check_accepted(&sign(&tight));
    check_accepted(&sign(&with(GET, ", ", " ,\t ")));
    let (scope, rest) = ("Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request", "");
    let moved = with(&tight, &format!("{scope},"), rest);
    check_accepted(&sign(&with(&moved, "=SIGNATURE", &format!("=SIGNATURE,{scope}"))));
}

#[test]
fn the_credential_must_be_for_this_service_and_region() {
    let scope = "/20130524/us-east-1/s3/aws4_request";
    let shape = "the Credential is mal-formed; expecting \
                 \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".";
    let date = |date: &str| {
        format!(
            "incorrect date format \"{date}\". This date in the credential must be in the format \"yyyyMMdd\"."
        )
    };
    for (by, what) in [
        ("/us-east-1/s3/aws4_request", shape.to_owned()),
        ("/20130524/us-east-1/s3", shape.to_owned()),
        (
            "/20130524/us-east-1/iam/aws4_request",
            "incorrect service \"iam\". This endpoint belongs to \"s3\".".to_owned(),
        ),
        (
            "/20130524/us-east-1/s3/aws4_requestX",
            "incorrect terminal \"aws4_requestX\". This endpoint uses \"aws4_request\".".to_owned(),
        ),
        ("/2013-05-24/us-east-1/s3/aws4_request", date("2013-05-24")),
        ("/20130231/us-east-1/s3/aws4_request", date("20130231")),
        ("/20130524/us-east-1/x/s3/aws4_request", date("us-east-1")),
        (
            "/20130524/eu-west-2/s3/aws4_request",
            "the region 'eu-west-2' is wrong; expecting 'us-east-1'".to_owned(),
        ),
        ("/20130524//s3/aws4_request", "the region '' is wrong; expecting 'us-east-1'".to_owned()),
        (
            "/20130524/*/s3/aws4_request",
            "the region '*' is wrong; expecting 'us-east-1'".to_owned(),
        ),
    ] {
        check_malformed(&with(GET, scope, by), &what);
        let query = |text: &str| text.replace('/', "%2F");
        let message = format!("Error parsing the X-Amz-Credential parameter; {what}");
        check_query(&with(PRESIGNED, &query(scope), &query(by)), &message);
    }
    let denial = verdict(with(GET, "us-east-1", "eu-west-2").as_bytes(), NOW).unwrap_err();
    assert_eq!(denial.details, [("Region", "us-east-1".to_owned())]);
    let denial = verdict(with(PRESIGNED, "us-east-1", "eu-west-2").as_bytes(), NOW).unwrap_err();
    assert_eq!(denial.details, [("Region", "us-east-1".to_owned())]);
}

#[test]
fn an_access_key_id_may_have_slashes_and_at_most_128_bytes() {
    for template in [GET, PRESIGNED] {
        for id in ["team/a/KEY", &"A".repeat(128)] {
            let raw = sign(&with(template, "AKIAIOSFODNN7EXAMPLE", id));
            let message = "The AWS Access Key Id you provided does not exist in our records.";
            let denial = check(&raw, ErrorCode::InvalidAccessKeyId, message);
            assert_eq!(denial.details, [("AWSAccessKeyId", id.to_owned())]);
        }
    }
    let too_long = with(GET, "AKIAIOSFODNN7EXAMPLE", &"A".repeat(129));
    assert!(verdict(too_long.as_bytes(), NOW).unwrap_err().message.contains("mal-formed"));
    let too_long = with(PRESIGNED, "AKIAIOSFODNN7EXAMPLE", &"A".repeat(9000));
    assert!(verdict(too_long.as_bytes(), NOW).unwrap_err().message.contains("mal-formed"));
}
