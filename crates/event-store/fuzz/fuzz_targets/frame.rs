//! `cargo xtask fuzz frame`: any bytes decode to an error or an event, never to a panic.
#![no_main]

use bytes::Bytes;
use event_store::frame::{decode, without_sealed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    drop(decode(Bytes::copy_from_slice(body)));
    // With a checksum that fits, so that the parser behind it is reached.
    let mut frame = vec![1];
    frame.extend_from_slice(body);
    frame.extend_from_slice(&crc32c::crc32c(&frame).to_le_bytes());
    let frame = Bytes::from(frame);
    if let Ok(event) = decode(frame.clone()) {
        let dropped = decode(without_sealed(frame).expect("it decodes")).expect("it still does");
        assert_eq!(dropped.hash, event.hash);
        assert_eq!(dropped.sealed_hash, event.sealed_hash);
    }
});
