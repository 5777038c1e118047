//! A signature that nobody with the key has made, whatever it is put on.

use sigv4::{DateKey, ErrorCode, Expected, Head, authenticate};

use crate::server::{GET, NOW, PRESIGNED, SECRET, sign};
use crate::{MISMATCH, and, check, with};

#[test]
fn no_combination_of_method_and_payload_lets_a_guessed_signature_in() {
    let hash = "0a".repeat(32);
    for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"] {
        for payload in [
            "UNSIGNED-PAYLOAD",
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            &hash,
        ] {
            for signature in ["0".repeat(64), "5f".repeat(32)] {
                let header =
                    with(&with(GET, "UNSIGNED-PAYLOAD", payload), "GET ", &format!("{method} "));
                let header = with(&header, "SIGNATURE", &signature);
                check(&header, ErrorCode::SignatureDoesNotMatch, MISMATCH);
                let query = and(
                    &with(PRESIGNED, "GET ", &format!("{method} ")),
                    &format!("x-amz-content-sha256: {payload}"),
                );
                let query = with(
                    &with(&query, "=host", "=host;x-amz-content-sha256"),
                    "SIGNATURE",
                    &signature,
                );
                check(&query, ErrorCode::SignatureDoesNotMatch, MISMATCH);
            }
        }
    }
}

#[test]
fn an_upper_case_signature_does_not_match() {
    let signed = sign(GET);
    let signature = &signed[signed.find("Signature=").unwrap() + 10..][..64];
    let raw = signed.replace(signature, &signature.to_ascii_uppercase());
    check(&raw, ErrorCode::SignatureDoesNotMatch, MISMATCH);
}

#[test]
fn a_key_of_another_secret_day_region_or_service_does_not_fit() {
    let raw = sign(GET);
    let head = Head::parse(raw.as_bytes()).unwrap();
    let request = authenticate(&head, &Expected::s3("us-east-1", NOW)).unwrap();
    let day = |offset: i64| sigv4::Date::from_unix_seconds(NOW + offset * 86_400);
    let key = |secret: &str, offset, region, service| {
        DateKey::derive(secret.as_bytes(), &day(offset)).signing_key(region, service)
    };
    assert!(request.is_signed_by(&key(SECRET, 0, "us-east-1", "s3")));
    assert!(!request.is_signed_by(&key("other", 0, "us-east-1", "s3")));
    assert!(!request.is_signed_by(&key(SECRET, -1, "us-east-1", "s3")));
    assert!(!request.is_signed_by(&key(SECRET, 0, "us-east-2", "s3")));
    assert!(!request.is_signed_by(&key(SECRET, 0, "us-east-1", "iam")));
}

#[test]
fn a_preflight_is_not_let_in_either() {
    let raw = with(GET, "GET ", "OPTIONS ");
    check(&raw.replace("SIGNATURE", &"5f".repeat(32)), ErrorCode::SignatureDoesNotMatch, MISMATCH);
}
