//! A server with the one access key of AWS's documentation, asked by the tests for its verdict.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod chunks;
pub(crate) mod meaning;
pub(crate) mod post;

use sigv4::{DateKey, Denial, Expected, Head, authenticate};

/// 2013-05-24T00:00:00Z, the instant of AWS's examples.
pub(crate) const NOW: i64 = 1_369_353_600;
pub(crate) const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// What the server says to a raw head at an instant.
pub(crate) fn verdict(raw: &[u8], now: i64) -> Result<(), Denial> {
    let head = Head::parse(raw)?;
    let request = authenticate(&head, &Expected::s3("us-east-1", now))?;
    if request.access_key_id() != ACCESS_KEY_ID {
        return Err(Denial::invalid_access_key_id(request.access_key_id()));
    }
    let scope = request.scope();
    let date_key = DateKey::derive(SECRET.as_bytes(), &scope.date());
    if request.is_signed_by(&date_key.signing_key(scope.region(), scope.service())) {
        Ok(())
    } else {
        Err(request.signature_does_not_match())
    }
}

/// Whether the server accepts a head that was accepted before some bits of it changed, which it may only if it
/// still means the same.
pub(crate) fn is_accepted_in_another_meaning(raw: &[u8], changed: &[u8]) -> bool {
    if verdict(changed, NOW).is_err() {
        return false;
    }
    let head = Head::parse(raw).unwrap();
    let request = authenticate(&head, &Expected::s3("us-east-1", NOW)).unwrap();
    let signed: Vec<_> = request.signed_headers().map(str::to_owned).collect();
    meaning::meaning(raw, &signed) != meaning::meaning(changed, &signed)
}

/// Puts the right signature in place of `SIGNATURE` in a head that is fit to be signed at [`NOW`].
pub(crate) fn sign(template: &str) -> String {
    let unsigned = template.replace("SIGNATURE", &"0".repeat(64));
    let head = Head::parse(unsigned.as_bytes()).unwrap();
    let request = authenticate(&head, &Expected::s3("us-east-1", NOW)).unwrap();
    let date_key = DateKey::derive(SECRET.as_bytes(), &request.scope().date());
    let signature = date_key.signing_key("us-east-1", "s3").sign(&request.string_to_sign());
    template.replace("SIGNATURE", std::str::from_utf8(&signature.to_hex()).unwrap())
}

/// A signed GET, as a template for [`sign`].
pub(crate) const GET: &str = "GET /bucket/a%20key?versionId=3 HTTP/1.1\r\n\
    Host: s3.example.com\r\n\
    Accept: */*\r\n\
    x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n\
    x-amz-date: 20130524T000000Z\r\n\
    Authorization: AWS4-HMAC-SHA256 \
    Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
    SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=SIGNATURE\r\n\r\n";

/// A presigned GET, as a template for [`sign`].
pub(crate) const PRESIGNED: &str = "GET /bucket/a%20key?X-Amz-Algorithm=AWS4-HMAC-SHA256\
    &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
    &X-Amz-Date=20130524T000000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host\
    &X-Amz-Signature=SIGNATURE HTTP/1.1\r\n\
    Host: s3.example.com\r\n\
    Accept: */*\r\n\r\n";
