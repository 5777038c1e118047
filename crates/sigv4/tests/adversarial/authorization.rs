//! The form of the `Authorization` header.

use sigv4::ErrorCode;

use crate::server::{GET, sign};
use crate::{check, check_accepted, check_malformed, with};

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
