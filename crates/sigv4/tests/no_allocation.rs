//! Accepting a request allocates nothing.

#![allow(unsafe_code, reason = "a global allocator cannot be written without it")]

mod server;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use server::{GET, NOW, PRESIGNED, SECRET, sign};
use sigv4::{DateKey, Expected, Head, authenticate};

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
