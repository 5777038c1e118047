//! Dates and times read back, in each of their forms; hashes and signatures too.
//!
//! `cargo xtask fuzz times`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sigv4::{Date, PayloadMode, Signature, Timestamp};

fuzz_target!(|text: &[u8]| {
    if let Some(timestamp) = Timestamp::parse_http_date(text) {
        assert_eq!(Timestamp::parse(timestamp.as_str().as_bytes()), Some(timestamp));
        assert_eq!(Timestamp::from_unix_seconds(timestamp.unix_seconds()), timestamp);
    }
    if let Some(timestamp) = Timestamp::parse(text) {
        assert_eq!(timestamp.as_str().as_bytes(), text);
    }
    if let Some(date) = Date::parse(text) {
        assert_eq!(date.as_str().as_bytes(), text);
        assert_eq!(Date::from_unix_seconds(date.start_unix_seconds()), date);
    }
    if let Some(PayloadMode::Sha256(hash)) = PayloadMode::parse(text) {
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex.as_bytes(), text);
        assert_eq!(Signature::from_hex(text).to_hex(), text);
    }
});
