//! Reading allocates nothing.

#![allow(unsafe_code, reason = "a global allocator cannot be written without it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use read_model::{
    AccessKeyRecord, Change, NotApplied, ReadModel, SecretRecord, Table, UserRecord, position,
};
use sigv4::DateKey;
use tokio::time::Instant;

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const POSITION: u64 = 1 << 48 | 7;

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

fn model(not_before_ms: Option<i64>) -> ReadModel {
    let secret = |generation| SecretRecord {
        generation,
        expires_at_ms: None,
        date_keys: vec![(100, DateKey::from_bytes([1; 32]))],
    };
    let user = UserRecord {
        user_id: [1; 16],
        account_id: [2; 16],
        account_number: "123456789012".into(),
        user_name: "alice".into(),
        root: false,
        locked: false,
    };
    let key = AccessKeyRecord {
        access_key_id: ID.into(),
        user_id: [1; 16],
        active: true,
        not_before_ms,
        expires_at_ms: Some(2000),
        secrets: vec![secret(2), secret(1)],
    };
    let table = Table::new();
    table.apply(Change { users: vec![user], access_keys: vec![key], ..Change::default() });
    table.advance(POSITION);
    let model = ReadModel::new();
    model.replace(table);
    model
}

/// All that one request reads, its position first: whether it could be used.
fn read(model: &ReadModel, position: u64, now_ms: i64) -> Result<bool, NotApplied> {
    let waiting = pin!(model.wait_for(position, Instant::now()));
    let Poll::Ready(held) = waiting.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("nothing is waited for");
    };
    held?;
    let table = model.table();
    let table = table.as_ref().expect("is there");
    position::applied(Some(table.position()), position)?;
    let keys = table.pin();
    assert!(keys.access_key("AKIAUNKNOWN").is_none());
    let key = keys.access_key(ID).expect("is known");
    for secret in key.live_secrets(now_ms) {
        assert!(key.signing_key(secret.generation(), 100, "us-east-1", "s3").is_none());
        assert!(secret.date_key(100).is_some());
    }
    assert!(!key.user().is_locked() && key.user().profile().user_name == "alice");
    Ok(key.is_usable(now_ms))
}

#[test]
fn a_request_is_looked_up_without_allocating() {
    for not_before_ms in [None, Some(1000)] {
        let model = model(not_before_ms);
        // The first read of a thread makes its place among the readers.
        assert_eq!(read(&model, 0, 1000), Ok(true));
        let before = ALLOCATIONS.get();
        for position in [0, POSITION - 1, POSITION] {
            assert_eq!(read(&model, position, 999), Ok(not_before_ms.is_none()));
            assert_eq!(read(&model, position, 1000), Ok(true));
            assert_eq!(read(&model, position, 2000), Ok(false));
        }
        let other = Err(NotApplied::OtherEpoch { found: 1, current: 2 });
        assert_eq!(read(&model, 7, 1000), other);
        assert_eq!(ALLOCATIONS.get(), before);
    }
}
