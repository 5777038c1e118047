//! How long a cold auth takes until it is ready, with a million access keys and with ten, each with a user of its own
//! and three date keys.
//!
//! `cargo xtask bench feed-1m` and so on, or `cargo bench -p auth --bench feed`.
//!
//! The feed comes over gRPC from an identity that makes it up as it goes, in the same process: what a real one takes is in
//! the row `load`.

#[allow(dead_code, unreachable_pub)]
#[path = "../tests/serve/harness.rs"]
mod harness;
#[allow(dead_code, unreachable_pub)]
#[path = "../tests/serve/identity.rs"]
mod identity;

use std::time::Instant;

use api::identity::v1::watch_credentials_response::Message;
use api::identity::v1::{AccessKeyRecord, CredentialRecords, UserRecord};
use auth::Config;
use harness::{
    ADMIN_TOKEN, Harness, ID, SERVICE_TOKEN, access_key, complete, records, signed, user,
};
use identity::FakeIdentity;
use measure::{Goal, Row};
use rpc::{Callers, Known, Target, Token};
use tonic_health::ServingStatus;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As identity tells of them at once.
const RECORDS: usize = 1000;
/// What a key takes while it is loaded, with room to spare.
const BYTES_OF_A_KEY_MAX: u64 = 900;
const MIB: u64 = 1 << 20;

const ROWS: [(usize, Row); 2] = [
    (
        1_000_000,
        Row {
            id: "feed-1m",
            what: "cold auth to ready, 1M keys of a feed that is made up",
            unit: " s",
            goal: Goal::AtMost(10.0),
        },
    ),
    (10_000_000, Row { id: "feed-10m", what: "the same, 10M keys", unit: " s", goal: Goal::Told }),
];

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("starts");
    for (keys, row) in ROWS.iter().filter(|(_, row)| row.is_wanted()) {
        let (needed, free) = (*keys as u64 * BYTES_OF_A_KEY_MAX, measure::free_memory_bytes());
        if measure::is_quick() && *keys > 1_000_000 {
            row.skip("takes long");
        } else if free < needed {
            row.skip(&format!("needs {} MiB of memory, {} are free", needed / MIB, free / MIB));
        } else {
            let rounds = if *keys > 1_000_000 { 3 } else { 5 };
            let seconds: Vec<_> = (0..rounds).map(|_| runtime.block_on(load(*keys))).collect();
            row.tell(&seconds);
        }
    }
}

/// Seconds until an auth is ready that knows nothing yet.
async fn load(keys: usize) -> f64 {
    let token = |text| Token::parse(text).expect("is one");
    let known = |text| Known::by_token(token(text));
    let callers = Callers { operators: known(ADMIN_TOKEN), services: known(SERVICE_TOKEN) };
    let identity = FakeIdentity::default();
    identity.begin_with_all(move || {
        let first = records(vec![user()], vec![access_key(ID)]);
        let others = (0..keys / RECORDS).map(|part| some(part * RECORDS));
        let snapshot = std::iter::once(first).chain(others).map(Message::Snapshot);
        Box::new(snapshot.chain([complete(10)]))
    });
    let target = Target::in_the_clear(identity.serve(&callers, None).await, token(SERVICE_TOKEN));
    let caller = Target::in_the_clear(String::new(), token(SERVICE_TOKEN));
    let start = Instant::now();
    let auth = Harness::of(identity, Config::new(target, callers), caller).await;
    auth.wait_for_health(ServingStatus::Serving).await;
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(auth.ask(&signed(ID, harness::SECRET), 10).await, Ok(1), "all was loaded");
    auth.shutdown.cancel();
    auth.served.await.expect("does not panic").expect("ends well");
    seconds
}

/// Users and their access keys from this number on.
fn some(from: usize) -> CredentialRecords {
    let (numbers, template) = (from..from + RECORDS, access_key(ID)); // whose date keys are derived once
    let user_id = |number: usize| {
        let scattered = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // As of version 7: the time in front, random bits behind.
        [(number as u64 / 100).to_be_bytes(), scattered.to_be_bytes()].concat()
    };
    let user = |number| UserRecord {
        user_id: user_id(number),
        user_name: format!("user-{number:08}"),
        ..user()
    };
    let key = |number| AccessKeyRecord {
        user_id: user_id(number),
        access_key_id: format!("AKIA{:016X}", (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        ..template.clone()
    };
    records(numbers.clone().map(user).collect(), numbers.map(key).collect())
}
