//! What is kept of a request that is accepted allocates nothing; and how other tests tell what stays in
//! memory.

#![allow(unsafe_code, reason = "a global allocator cannot be written without it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use read_model::LockoutMode;

use crate::lockout::Lockouts;
use crate::source::Source;
use crate::uses::{Use, Uses};
use crate::verify::Now;

/// Counts the allocations of each thread, and the bytes of those that it has not freed.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static LIVE_BYTES: Cell<isize> = const { Cell::new(0) };
}

/// How many bytes this thread has allocated and not freed; less than none if it frees what others have
/// allocated.
pub(crate) fn live_bytes() -> isize {
    LIVE_BYTES.get()
}

// SAFETY: all that is asked is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread may allocate while it ends.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        let _ = LIVE_BYTES.try_with(|live| live.set(live.get() + layout.size().cast_signed()));
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let _ = LIVE_BYTES.try_with(|live| live.set(live.get() - layout.size().cast_signed()));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_right_signature_is_taken_note_of_without_allocating() {
    let (uses, lockouts) = (Uses::default(), Lockouts::default());
    let address = [192, 0, 2, 1].into();
    let before = ALLOCATIONS.get();
    for second in 0..200_u64 {
        let unix_ms = i64::try_from(second * 1000).unwrap_or_default();
        let now = Now { unix_ms, monotonic: Duration::from_secs(second) };
        for mode in [LockoutMode::Off, LockoutMode::PerSource, LockoutMode::PerKey] {
            let id = ["AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE"][second as usize % 2];
            if let Some(place) = lockouts.place(mode, id, Some(Source::of(address))) {
                assert!(lockouts.locked_out(place, now).is_none());
                lockouts.succeed(place, now);
            }
            let used = Use {
                access_key_id: id,
                generation: 1,
                address: Some(address),
                user_agent: b"aws-cli/2.0",
                region: "us-east-1",
                service: "s3",
            };
            uses.note(&used, now);
        }
    }
    assert_eq!(ALLOCATIONS.get(), before);
    let other = String::from("x");
    assert!(ALLOCATIONS.get() > before, "they are counted: {other}");
}
