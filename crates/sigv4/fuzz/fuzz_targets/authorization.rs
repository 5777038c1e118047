//! Whatever an `Authorization` header says, in a request that is else in order, and however it is cut into two.
//!
//! `cargo xtask fuzz authorization`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sigv4::{DateKey, Expected, Head, authenticate};

fuzz_target!(|value: &[u8]| {
    let headers: [(&[u8], &[u8]); 5] = [
        (b"host", b"s3.example.com"),
        (b"x-amz-acl", b"private"),
        (b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD"),
        (b"x-amz-date", b"20130524T000000Z"),
        (b"authorization", value),
    ];
    let mut buffer = Vec::new();
    let Ok(head) = Head::from_parts(&mut buffer, "PUT", b"/bucket/key?a=b", headers) else {
        return;
    };
    let expected =
        Expected { accepts_osc4: value.len() % 2 == 0, ..Expected::s3("us-east-1", 1_369_353_600) };
    match authenticate(&head, &expected) {
        // Nobody has this key: no text that is not made with it is its signature.
        Ok(request) => {
            let key = DateKey::derive(b"a secret that no input holds", &request.scope().date());
            assert!(!request.is_signed_by(&key.signing_key_of(request.scope())));
            assert!(request.signed_headers().any(|name| name == "x-amz-acl"));
        }
        Err(denial) => assert!(matches!(denial.code.http_status(), 400 | 403)),
    }
});
