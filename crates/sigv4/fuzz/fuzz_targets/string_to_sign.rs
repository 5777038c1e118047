//! A string to sign is four exact lines, or none; what is read is written again to the byte.
//!
//! `cargo xtask fuzz string_to_sign`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sigv4::{Expected, StringToSign};

fuzz_target!(|text: &[u8]| {
    let Some((timestamp, scope, string_to_sign)) = StringToSign::parse(text) else { return };
    assert_eq!(string_to_sign.as_bytes(), text);
    let expected = Expected::s3("us-east-1", 1_369_353_600);
    if expected.check_scope(&scope, timestamp, sigv4::Mechanism::Header).is_ok() {
        assert_eq!((scope.region(), scope.service()), ("us-east-1", "s3"));
        assert_eq!(scope.date(), timestamp.date());
    }
    let _ = (expected.check_skew(timestamp), expected.check_expiry(timestamp, u32::MAX));
});
