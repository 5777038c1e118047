//! Any bytes are a head or none; a head that is written again from its parts is the same head.
//!
//! `cargo xtask fuzz head`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sigv4::Head;

fuzz_target!(|raw: &[u8]| {
    let Ok(head) = Head::parse(raw) else { return };
    let mut target = head.path().to_vec();
    if !head.query().is_empty() {
        target.push(b'?');
        target.extend_from_slice(head.query());
    }
    let method = std::str::from_utf8(head.method()).expect("a method is ASCII");
    let mut buffer = Vec::new();
    match Head::from_parts(&mut buffer, method, &target, head.headers()) {
        Ok(again) => {
            assert_eq!(again.method(), head.method());
            assert_eq!((again.path(), again.query()), (head.path(), head.query()));
            assert!(again.headers().eq(head.headers()));
        }
        // A space after each colon and CRLF for LF may make a head too large that was just not.
        Err(error) => assert!(raw.len() > 64_000, "{error}"),
    }
});
