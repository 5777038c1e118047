//! OUTSCALE's spelling: what its own SDK signed is accepted where it may be, and nowhere else.

use sha2::{Digest, Sha256};
use sigv4::{DateKey, Denial, ErrorCode, Expected, Head, Spelling, authenticate};

/// 2015-08-30T12:36:00Z.
const NOW: i64 = 1_440_938_160;
const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const BODY: &[u8] = b"{\"UserName\": \"bob\"}";

/// Signed by osc-sdk-python 0.42.0, its clock standing at [`NOW`].
const READ_ACCESS_KEYS: &str = "POST /api/v1/ReadAccessKeys HTTP/1.1\r\n\
    Host: api.eu-west-2.outscale.com\r\n\
    Content-Type: application/json; charset=utf-8\r\n\
    X-Osc-Date: 20150830T123600Z\r\n\
    Authorization: OSC4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20150830/eu-west-2/api/osc4_request, \
    SignedHeaders=content-type;host;x-osc-date, \
    Signature=b25afb48ca14f6ea28eca9a6616b9f9846b496356dfd9863c337cfa68d36fce1\r\n\r\n";

fn verdict(head: &str, body: &[u8], accepts_osc4: bool) -> Result<(), Denial> {
    let head = Head::parse(head.as_bytes())?;
    let body: [u8; 64] = hex::encode(Sha256::digest(body)).into_bytes().try_into().unwrap();
    let expected = Expected::service("eu-west-2", "api", NOW, &body);
    let request = authenticate(&head, &Expected { accepts_osc4, ..expected })?;
    let scope = request.scope();
    let date_key = DateKey::derive_spelled(scope.spelling(), SECRET, &scope.date());
    let is_signed = request.is_signed_by(&date_key.signing_key_of(scope));
    if is_signed { Ok(()) } else { Err(request.signature_does_not_match()) }
}

fn check(head: &str, body: &[u8], expected: Result<(), ErrorCode>) {
    let found = verdict(head, body, true);
    assert_eq!(found.as_ref().map(|_| ()).map_err(|denial| denial.code), expected, "{found:?}");
}

#[test]
fn what_outscales_sdk_signs_is_accepted_with_its_body_and_where_it_may_be() {
    check(READ_ACCESS_KEYS, BODY, Ok(()));
    check(READ_ACCESS_KEYS, b"{}", Err(ErrorCode::SignatureDoesNotMatch));
    let refused = verdict(READ_ACCESS_KEYS, BODY, false).unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidArgument);
}

#[test]
fn the_words_of_one_spelling_are_none_of_the_other() {
    use ErrorCode::{AccessDenied, AuthorizationHeaderMalformed, SignatureDoesNotMatch};
    for (given, in_its_place, expected) in [
        ("OSC4-HMAC", "AWS4-HMAC", AuthorizationHeaderMalformed),
        ("osc4_request", "aws4_request", AuthorizationHeaderMalformed),
        ("X-Osc-Date", "X-Amz-Date", AccessDenied),
        ("content-type;host;x-osc-date", "content-type;host", AccessDenied),
        ("X-Osc-Date: 2015", "X-Osc-Target: a\r\nX-Osc-Date: 2015", AccessDenied),
        ("X-Osc-Date: 2015", "X-Amz-Meta: a\r\nX-Osc-Date: 2015", AccessDenied),
        ("Host: api", "Host: API", SignatureDoesNotMatch),
        ("Signature=b2", "Signature=b3", SignatureDoesNotMatch),
    ] {
        let head = READ_ACCESS_KEYS.replace(given, in_its_place);
        assert_ne!(head, READ_ACCESS_KEYS, "{given}");
        check(&head, BODY, Err(expected));
    }
}

#[test]
fn its_date_keys_are_those_of_an_independent_signer() {
    let date = sigv4::Date::parse(b"20150830").unwrap();
    let key = DateKey::derive_spelled(Spelling::Osc4, SECRET, &date);
    // HMAC-SHA-256 by Python's hmac of the date, with "OSC4" and the secret.
    let expected = "b2ab548b8316166c0ca9496d948222ab12ba5d9b68b307dd57378e439cba59b5";
    assert_eq!(hex::encode(key.expose()), expected);
    assert_ne!(key.expose(), DateKey::derive(SECRET, &date).expose());
}
