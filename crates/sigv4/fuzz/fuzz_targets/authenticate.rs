//! Any bytes get a verdict, and a request that is fit to be verified is verified by its own signature only.
//!
//! `cargo xtask fuzz authenticate`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use sigv4::{DateKey, Expected, Head, StringToSign, authenticate};

fuzz_target!(|raw: &[u8]| {
    let Ok(head) = Head::parse(raw) else { return };
    let expected = Expected::s3("us-east-1", 1_369_353_600);
    let request = match authenticate(&head, &expected) {
        Ok(request) => request,
        Err(denial) => {
            assert!(matches!(denial.code.http_status(), 400 | 403));
            return;
        }
    };
    let scope = request.scope();
    let key = DateKey::derive(b"secret", &scope.date()).signing_key("us-east-1", "s3");
    let string_to_sign = request.string_to_sign();
    let signature = key.sign(&string_to_sign);
    assert!(key.verify(&string_to_sign, &signature));
    assert_eq!(request.is_signed_by(&key), request.signature().to_hex() == signature.to_hex());

    // The hash that is made piece by piece is that of the text that is shown.
    let digest = Sha256::digest(request.canonical_request());
    let again = StringToSign::new(request.timestamp(), scope, &digest.into());
    assert_eq!(again.as_bytes(), string_to_sign.as_bytes());
    assert!(StringToSign::parse(string_to_sign.as_bytes()).is_some());
    assert!(request.signed_headers().any(|name| name == "host"));
    assert_eq!(request.signature_does_not_match().details.len(), 6);
    let _ = request.session_token();
});
