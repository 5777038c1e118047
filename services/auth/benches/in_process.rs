//! Verification alone, without a server: against the cryptography that it cannot do without.
//!
//! `cargo xtask bench verify-hot` and so on, or `cargo bench -p auth --bench in_process`.
//!
//! * bare crypto: SHA-256 of the same canonical request, and HMAC of its string to sign from the midstate
//!   of the signing key.
//! * hot: one access key, used before. random: a million access keys, in no order, each used before on
//!   that day. first use: the same, whose signing key has to be derived from the date key first.
//!
//! What is called is auth's own `verify`; a look-up in the table is part of it. The access key IDs are put
//! into one and the same head, since a head that comes from a socket is in the CPU's cache too.

#![allow(unsafe_code, reason = "a global allocator cannot be written without it")]

#[allow(unreachable_pub)]
mod typical;

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::hint::black_box;

use auth::in_process::{verifies, verifies_string_to_sign};
use measure::{Goal, Row, ratios, take_turns};
use read_model::{AccessKeyRecord, Change, SecretRecord, Table, UserRecord};
use sha2::{Digest, Sha256};
use sigv4::{Date, DateKey, Expected, Head, Signature, SigningKey, StringToSign, authenticate};
use typical::{REGION, get_object};

const HOT: Row = Row {
    id: "verify-hot",
    what: "whole verification / bare crypto, hot key",
    unit: " x",
    goal: Goal::AtMost(2.0),
};
const RANDOM: Row = Row {
    id: "verify-random",
    what: "the same, random among 1M keys",
    unit: " x",
    goal: Goal::AtMost(2.8),
};
const FIRST: Row = Row {
    id: "verify-first-use",
    what: "the same, key not used before that day",
    unit: " x",
    goal: Goal::Told,
};
const STRING_TO_SIGN: Row = Row {
    id: "string-to-sign",
    what: "string-to-sign verification / its HMAC",
    unit: " x",
    goal: Goal::AtMost(1.35),
};
const ALLOCATIONS: Row = Row {
    id: "allocations",
    what: "allocations a verification, warm",
    unit: "",
    goal: Goal::AtMost(0.0),
};
const TIME: Row =
    Row { id: "verify-time", what: "whole verification, hot key", unit: " ns", goal: Goal::Told };

const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// 2013-05-24T00:00:00Z.
const NOW_SECONDS: i64 = 1_369_353_600;
const TODAY: u32 = (NOW_SECONDS / 86_400) as u32;
const ID_BYTES: usize = 20;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let (rounds, keys) = if measure::is_quick() { (9, 100_000) } else { (61, 1_000_000) };
    let subject = Subject::new(keys);
    hot(&subject, rounds);
    random(&subject, rounds);
}

/// The request that is verified, and who may have signed it.
struct Subject {
    table: Table,
    /// In no order.
    ids: Vec<[u8; ID_BYTES]>,
    head: Vec<u8>,
    /// Where the access key ID stands in the head.
    id_at: usize,
    canonical: Vec<u8>,
    string_to_sign: StringToSign,
    signature: Signature,
    signing_key: SigningKey,
}

impl Subject {
    fn new(keys: usize) -> Self {
        let date_key = date_key(TODAY);
        let signing_key = date_key.signing_key(REGION, "s3");
        let ids = ids(keys);
        let (table, first) = (table(&ids), ids[0]);
        let first = std::str::from_utf8(&first).expect("is ASCII").to_owned();
        let head = get_object(&first, SECRET, NOW_SECONDS);
        let parsed = Head::parse(head.as_bytes()).expect("is a head");
        let request = authenticate(&parsed, &expected()).expect("is complete");
        let (string_to_sign, canonical) = (request.string_to_sign(), request.canonical_request());
        let signature = signing_key.sign(&string_to_sign);
        let id_at = head.find(&first).expect("is there");
        let head = head.into_bytes();
        Self { table, ids, head, id_at, canonical, string_to_sign, signature, signing_key }
    }

    fn head_of(&self, id: &[u8; ID_BYTES]) -> Vec<u8> {
        let mut head = self.head.clone();
        self.put(&mut head, id);
        head
    }

    fn put(&self, head: &mut [u8], id: &[u8; ID_BYTES]) {
        head[self.id_at..self.id_at + ID_BYTES].copy_from_slice(id);
    }

    /// The whole verification of a raw head.
    fn verify(&self, head: &[u8]) -> bool {
        verifies(&self.table, head, REGION, NOW_SECONDS)
    }

    /// The whole verification of a string to sign.
    fn verify_string_to_sign(&self, text: &[u8], signature: &[u8], id: &str) -> bool {
        verifies_string_to_sign(&self.table, id, text, signature, REGION, NOW_SECONDS)
    }

    fn bare_crypto(&self) -> (impl Sized + use<>, bool) {
        (Sha256::digest(black_box(&self.canonical)), self.bare_mac())
    }

    fn bare_mac(&self) -> bool {
        self.signing_key.verify(black_box(&self.string_to_sign), black_box(&self.signature))
    }
}

fn hot(subject: &Subject, rounds: usize) {
    let head = subject.head_of(&subject.ids[0]);
    let id = std::str::from_utf8(&subject.ids[0]).expect("is ASCII");
    let (text, hex) = (subject.string_to_sign.as_bytes(), subject.signature.to_hex());
    let mut verify = || assert!(subject.verify(black_box(&head)));
    let mut string_to_sign =
        || assert!(subject.verify_string_to_sign(black_box(text), black_box(&hex), id));
    verify(); // keeps the signing key
    string_to_sign();
    if ALLOCATIONS.is_wanted() {
        let before = ALLOCATED.get();
        (0..1000).for_each(|_| verify());
        let whole = (ALLOCATED.get() - before) as f64 / 1000.0;
        (0..1000).for_each(|_| string_to_sign());
        let both = (ALLOCATED.get() - before) as f64 / 1000.0;
        ALLOCATIONS.tell(&[whole, both - whole]);
    }
    let [whole, crypto, of_string, mac] = take_turns(
        rounds,
        400,
        [
            &mut verify,
            &mut || _ = black_box(subject.bare_crypto()),
            &mut string_to_sign,
            &mut || _ = black_box(subject.bare_mac()),
        ],
    );
    if HOT.is_wanted() {
        HOT.tell(&ratios(&whole, &crypto));
    }
    if TIME.is_wanted() {
        TIME.tell(&whole);
    }
    if STRING_TO_SIGN.is_wanted() {
        STRING_TO_SIGN.tell(&ratios(&of_string, &mac));
    }
}

fn random(subject: &Subject, rounds: usize) {
    if !RANDOM.is_wanted() && !FIRST.is_wanted() {
        return;
    }
    const CALLS: u32 = 400;
    // A part that was used before, spread over the whole table, and a part that is new in each round.
    let (used, unused) = subject.ids.split_at(subject.ids.len() * 3 / 4);
    let mut head = subject.head.clone();
    for id in used {
        subject.put(&mut head, id);
        assert!(subject.verify(&head));
    }
    let mut used = used.iter().cycle();
    let mut unused = unused.iter();
    let mut first_head = subject.head.clone();
    let [random, first, crypto] = take_turns(
        rounds.min(unused.len() / CALLS as usize - 1),
        CALLS,
        [
            &mut || {
                subject.put(&mut head, used.next().expect("begins again"));
                assert!(subject.verify(black_box(&head)));
            },
            &mut || {
                subject.put(&mut first_head, unused.next().expect("there are as many as rounds"));
                assert!(subject.verify(black_box(&first_head)));
            },
            &mut || _ = black_box(subject.bare_crypto()),
        ],
    );
    if RANDOM.is_wanted() {
        RANDOM.tell(&ratios(&random, &crypto));
    }
    if FIRST.is_wanted() {
        FIRST.tell(&ratios(&first, &crypto));
    }
}

fn expected() -> Expected<'static> {
    Expected::s3(REGION, NOW_SECONDS)
}

fn date_key(day: u32) -> DateKey {
    DateKey::derive(SECRET, &Date::from_unix_seconds(i64::from(day) * 86_400))
}

/// So many different access key IDs.
fn ids(count: usize) -> Vec<[u8; ID_BYTES]> {
    // Odd, so that it maps the numbers onto each other; where an ID stands in the table is random anyway.
    let scattered = (0..count as u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let id = |n| format!("AKIA{n:016X}").into_bytes().try_into().expect("has 20 bytes");
    scattered.map(id).collect()
}

/// Each of a user of its own, with the date keys of three days.
fn table(ids: &[[u8; ID_BYTES]]) -> Table {
    let table = Table::new();
    let days = [TODAY - 1, TODAY, TODAY + 1].map(|day| (day, date_key(day)));
    for (n, id) in ids.iter().enumerate() {
        let mut user_id = [0; 16];
        user_id[..8].copy_from_slice(&n.to_be_bytes());
        let user = UserRecord {
            user_id,
            account_id: [2; 16],
            account_number: "123456789012".into(),
            user_name: format!("user-{n:08}"),
            root: false,
            locked: false,
        };
        let secret = SecretRecord { generation: 1, expires_at_ms: None, date_keys: days.to_vec() };
        let key = AccessKeyRecord {
            access_key_id: String::from_utf8(id.to_vec()).expect("is ASCII"),
            user_id,
            active: true,
            not_before_ms: None,
            expires_at_ms: None,
            secrets: vec![secret],
        };
        table.apply(Change { users: vec![user], access_keys: vec![key], ..Change::default() });
    }
    table
}

/// The binary's allocator, which counts what each thread asks of it.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: all that is asked is passed on unchanged to the allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread may allocate while it ends.
        let _ = ALLOCATED.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are those that the allocator asks for.
        unsafe { mimalloc::MiMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { mimalloc::MiMalloc.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
