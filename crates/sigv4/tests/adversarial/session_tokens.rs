//! Session tokens.

use sigv4::{ErrorCode, Expected, Head, authenticate};

use crate::server::{GET, NOW, PRESIGNED, sign};
use crate::{MISMATCH, NOT_SIGNED, ONLY_ONE, and, check, check_accepted, with};

#[test]
fn a_session_token_is_one_and_readable() {
    let token = |value: &str| {
        with(PRESIGNED, "&X-Amz-Date", &format!("&X-Amz-Security-Token={value}&X-Amz-Date"))
    };
    check_accepted(&sign(&token("a%2Fb%2B%3D%3D")));
    let head = sign(&token("a%2Fb%2B%3D%3D"));
    let head = Head::parse(head.as_bytes()).unwrap();
    let request = authenticate(&head, &Expected::s3("us-east-1", NOW)).unwrap();
    assert_eq!(request.session_token().as_deref(), Some("a/b+=="));
    let message = "The provided token is malformed or otherwise invalid.";
    for raw in [token("a%00"), token("%C3%A9"), and(&token("a"), "x-amz-security-token: a")] {
        check(&raw, ErrorCode::InvalidToken, message);
    }
    let unreadable = and(GET, "x-amz-security-token: a b");
    check(&unreadable, ErrorCode::InvalidToken, message);
}

#[test]
fn a_session_token_is_signed_where_it_stands_and_stands_once() {
    let signed = sign(&with(
        &and(GET, "x-amz-security-token: t"),
        ";x-amz-date",
        ";x-amz-date;x-amz-security-token",
    ));
    check_accepted(&signed);
    check(&with(&signed, "token: t", "token: u"), ErrorCode::SignatureDoesNotMatch, MISMATCH);
    check(&and(&sign(GET), "x-amz-security-token: t"), ErrorCode::AccessDenied, NOT_SIGNED);
    let message = "The header 'x-amz-security-token' was given more than once.";
    check(&and(&signed, "X-Amz-Security-Token: t"), ErrorCode::InvalidRequest, message);
    // In the query of a request that is signed in its header it is another mechanism.
    check(
        &with(GET, "versionId=3", "X-Amz-Security-Token=t"),
        ErrorCode::InvalidArgument,
        ONLY_ONE,
    );
    let presigned = sign(&with(PRESIGNED, "&X-Amz-Date", "&X-Amz-Security-Token=t&X-Amz-Date"));
    check_accepted(&presigned);
    for other in ["&X-Amz-Security-Token=u", "&X-Amz-Security-Token=", ""] {
        let raw = with(&presigned, "&X-Amz-Security-Token=t", other);
        check(&raw, ErrorCode::SignatureDoesNotMatch, MISMATCH);
    }
}
