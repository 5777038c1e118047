//! Accepting a request allocates nothing.

#![allow(unsafe_code, reason = "a global allocator cannot be written without it")]

mod server;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use server::chunks::{SEED, Signer, announced, chain};
use server::{GET, NOW, PRESIGNED, SECRET, sign};
use sigv4::{ChunkedBody, DateKey, Expected, Head, authenticate};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all that is asked is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn check(raw: &str) {
    let before = ALLOCATIONS.get();
    let head = Head::parse(raw.as_bytes()).unwrap();
    let request = authenticate(&head, &Expected::s3("us-east-1", NOW)).unwrap();
    let scope = request.scope();
    let date_key = DateKey::derive(SECRET.as_bytes(), &scope.date());
    let is_signed = request.is_signed_by(&date_key.signing_key(scope.region(), scope.service()));
    let names = request.signed_headers().count();
    assert_eq!(ALLOCATIONS.get(), before, "{raw}");
    assert!(is_signed && names > 0);
}

#[test]
fn a_header_signature_is_verified_without_allocating() {
    check(&sign(GET));
}

#[test]
fn a_presigned_url_is_verified_without_allocating() {
    check(&sign(PRESIGNED));
}

#[test]
fn many_parameters_and_headers_are_verified_without_allocating() {
    let query: String = (0..100).map(|i| format!("&k%20{}=v+{i}", i * 37 % 100)).collect();
    let headers: String = (10..90).map(|i| format!("x-amz-meta-{i}: a   b{i}\r\n")).collect();
    let names: String = (10..90).map(|i| format!(";x-amz-meta-{i}")).collect();
    let raw = GET
        .replace("versionId=3", &format!("versionId=3{query}"))
        .replace("Accept: */*\r\n", &headers)
        .replace(";x-amz-date", &format!(";x-amz-date{names}"));
    check(&sign(&raw));
}

#[test]
fn a_head_is_rebuilt_without_allocating_once_the_buffer_has_grown() {
    let headers = [("host", "h"), ("accept", "*/*")];
    let headers = headers.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let mut buffer = Vec::new();
    Head::from_parts(&mut buffer, "GET", b"/a", headers).unwrap();
    let before = ALLOCATIONS.get();
    Head::from_parts(&mut buffer, "GET", b"/b", headers).unwrap();
    assert_eq!(ALLOCATIONS.get(), before);
}

#[test]
fn a_body_in_chunks_is_verified_without_allocating() {
    let mut signer = Signer::new();
    let line = "x-amz-checksum-crc64nvme:";
    let mut wire = Vec::new();
    for size in [8192, 20_000, 1] {
        wire.extend([signer.chunk(&vec![0; size]).as_slice(), b"\r\n"].concat());
    }
    wire.extend(signer.chunk(b""));
    let value = "WwrwPwsEAEc="; // of that many zeros, by another program
    let signature = signer.trailer(&format!("{line}{value}\n"));
    wire.extend(format!("{line}{value}\r\nx-amz-trailer-signature:{signature}\r\n\r\n").bytes());
    let mode = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
    let announced = announced(mode, 28_193, Some(line.trim_end_matches(':'))).unwrap();
    let chain = chain(SEED);
    let before = ALLOCATIONS.get();
    let mut body = ChunkedBody::new(announced, Some(chain)).unwrap();
    let mut pieces = 0;
    for mut read in wire.chunks(1000) {
        while body.read(&mut read).unwrap().is_some() {
            pieces += 1;
        }
    }
    let proof = body.finish().unwrap();
    assert_eq!(ALLOCATIONS.get(), before);
    assert_eq!((proof.decoded_bytes(), pieces > 30), (28_193, true));
}
