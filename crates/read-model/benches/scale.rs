//! The table with a million access keys, and with ten: memory, look-ups, and pauses while it grows.
//!
//! `cargo xtask bench bytes-1m` and so on, or `cargo bench -p read-model --bench scale`.
//!
//! Each size is a process of its own, whose memory (`VmRSS`, with the binary's allocator) is read before
//! and after. A pause is the CPU time that one insertion or one look-up takes of its thread, so that it is
//! none to have waited for a CPU; the longest by the clock is told too. What the machine itself takes counts as
//! CPU time as well, when it finds the memory that is touched first or a guest is not run. So the longest is told
//! of a control too, without a table: one thread fills as much new memory, another reads what it has.

use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use measure::{Goal, Row, memory_bytes, quantile, ratios, take_turns, thread_cpu};
use read_model::{AccessKeyRecord, Change, SecretRecord, Table, UserRecord};
use sigv4::DateKey;

/// As in the binary, so that memory is counted as there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PART: &str = "CLAVIGER_BENCH_PART";
const ID_BYTES: usize = 20;
/// Access keys of one user where users are not to count.
const KEYS_OF_ONE_USER: usize = 1000;
/// What a key may take while all is loaded, and a control beside it, with room to spare.
const BYTES_OF_A_KEY_MAX: u64 = 1000;
const CALLS: u32 = 1000;
/// Bytes of what a control fills at a time.
const BLOCK: usize = 4096;
/// Of what a control reads: 64 MiB.
const BLOCKS_READ: usize = 16 << 10;

const MIB: u64 = 1 << 20;

/// A size and its rows.
struct Size {
    part: &'static str,
    keys: usize,
    bytes: Row,
    bytes_with_user: Row,
    random: Row,
    hot: Row,
    written: Row,
    tail: Row,
    update: Row,
    insert: Row,
    lookup: Row,
    lookup_clock: Row,
    control_memory: Row,
    control_read: Row,
}

const fn row(id: &'static str, what: &'static str, unit: &'static str, goal: Goal) -> Row {
    Row { id, what, unit, goal }
}

const BYTES: Goal = Goal::AtMost(200.0);
const PAUSE: Goal = Goal::AtMost(1.0);
const TOLD: Goal = Goal::Told;

const SIZES: [Size; 2] = [
    Size {
        part: "1m",
        keys: 1_000_000,
        bytes: row("bytes-1m", "memory a key, 1M keys (RSS)", " B", BYTES),
        bytes_with_user: row("bytes-user-1m", "the same, each with its own user", " B", TOLD),
        random: row("lookup-random-1m", "random look-up, 1M keys", " ns", TOLD),
        hot: row("lookup-hot-1m", "look-up of one key, 1M keys", " ns", TOLD),
        written: row("lookup-written-1m", "random look-up, 1,000 changes/s / none", " x", TOLD),
        tail: row("lookup-tail-1m", "p99.9 of look-ups meanwhile (clock)", " ns", TOLD),
        update: row("update-1m", "replacing an access key, 1M keys", " ns", TOLD),
        insert: row("growth-insert-1m", "longest insertion, up to 1M (CPU)", " ms", PAUSE),
        lookup: row("growth-lookup-1m", "longest look-up meanwhile (CPU)", " ms", PAUSE),
        lookup_clock: row("growth-clock-1m", "longest look-up meanwhile (clock)", " ms", TOLD),
        control_memory: row(
            "growth-memory-1m",
            "longest filling of 4 KiB, no table (CPU)",
            " ms",
            TOLD,
        ),
        control_read: row("growth-read-1m", "longest read meanwhile, no table (CPU)", " ms", TOLD),
    },
    Size {
        part: "10m",
        keys: 10_000_000,
        bytes: row("bytes-10m", "memory a key, 10M keys (RSS)", " B", BYTES),
        bytes_with_user: row("bytes-user-10m", "the same, each with its own user", " B", TOLD),
        random: row("lookup-random-10m", "random look-up, 10M keys", " ns", TOLD),
        hot: row("lookup-hot-10m", "look-up of one key, 10M keys", " ns", TOLD),
        written: row("lookup-written-10m", "random look-up, 1,000 changes/s / none", " x", TOLD),
        tail: row("lookup-tail-10m", "p99.9 of look-ups meanwhile (clock)", " ns", TOLD),
        update: row("update-10m", "replacing an access key, 10M keys", " ns", TOLD),
        insert: row("growth-insert-10m", "longest insertion, up to 10M (CPU)", " ms", PAUSE),
        lookup: row("growth-lookup-10m", "longest look-up meanwhile (CPU)", " ms", PAUSE),
        lookup_clock: row("growth-clock-10m", "longest look-up meanwhile (clock)", " ms", TOLD),
        control_memory: row(
            "growth-memory-10m",
            "longest filling of 4 KiB, no table (CPU)",
            " ms",
            TOLD,
        ),
        control_read: row("growth-read-10m", "longest read meanwhile, no table (CPU)", " ms", TOLD),
    },
];

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    for size in &SIZES {
        match std::env::var(PART).as_deref() {
            Ok(part) if part == format!("keys-{}", size.part) => keys(size),
            Ok(part) if part == format!("users-{}", size.part) => users(size),
            Ok(part) if part == format!("growth-{}", size.part) => growth(size),
            Ok(_) => {}
            Err(_) => run(size),
        }
    }
}

/// Runs each part that is asked for in a process of its own.
fn run(size: &Size) {
    let keys = vec![&size.bytes, &size.random, &size.hot, &size.written, &size.tail, &size.update];
    let growth = [&size.insert, &size.lookup, &size.lookup_clock];
    for (part, rows) in [
        ("keys", keys),
        ("users", vec![&size.bytes_with_user]),
        ("growth", [&growth[..], &[&size.control_memory, &size.control_read]].concat()),
    ] {
        let rows: Vec<_> = rows.into_iter().filter(|row| row.is_wanted()).collect();
        if rows.is_empty() {
            continue;
        }
        let (needed, free) = (size.keys as u64 * BYTES_OF_A_KEY_MAX, measure::free_memory_bytes());
        let reason = if measure::is_quick() && size.keys > 1_000_000 {
            "takes long".to_owned()
        } else if free < needed {
            format!("needs {} MiB of memory, {} are free", needed / MIB, free / MIB)
        } else {
            let mut command = Command::new(std::env::current_exe().expect("is known"));
            command.arg("--bench").env(PART, format!("{part}-{}", size.part));
            assert!(command.status().expect("starts").success(), "{part} failed");
            continue;
        };
        rows.iter().for_each(|row| row.skip(&reason));
    }
}

/// Memory of access keys alone, and look-ups among them.
fn keys(size: &Size) {
    let before = memory_bytes("VmRSS");
    let table = Table::new();
    (0..size.keys).for_each(|n| insert(&table, n, n / KEYS_OF_ONE_USER));
    tell(&size.bytes, &[(memory_bytes("VmRSS") - before) as f64 / size.keys as f64]);

    let rounds = if measure::is_quick() { 9 } else { 41 };
    let (stop, write) = (AtomicBool::new(false), AtomicBool::new(false));
    let numbers = std::cell::Cell::new(0_u64);
    let next = || {
        let n = numbers.get();
        numbers.set(n + 1);
        // Odd, so that each is met once in 2^64; modulo the size it is as good as random.
        (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16) as usize % size.keys
    };
    let look = |n: usize| {
        let id = id(n);
        let id = std::str::from_utf8(&id).expect("is ASCII");
        assert!(black_box(&table).pin().access_key(black_box(id)).is_some());
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0;
            while !stop.load(Ordering::Acquire) {
                if write.load(Ordering::Acquire) {
                    n = (n + 7919) % size.keys;
                    insert(&table, n, n / KEYS_OF_ONE_USER);
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        let [bare, random, hot] = take_turns(
            rounds,
            CALLS,
            [&mut || _ = black_box(id(next())), &mut || look(next()), &mut || look(4711)],
        );
        let net = |of: &[f64]| of.iter().zip(&bare).map(|(of, bare)| of - bare).collect::<Vec<_>>();
        tell(&size.random, &net(&random));
        tell(&size.hot, &net(&hot));
        // In turns of their own, long enough for the writer to be heard of.
        let (mut quiet, mut written) = (vec![], vec![]);
        for _ in 0..rounds {
            for (on, taken) in [(false, &mut quiet), (true, &mut written)] {
                write.store(on, Ordering::Release);
                thread::sleep(Duration::from_millis(2));
                let [times] = take_turns(1, 20 * CALLS, [&mut || look(next())]);
                taken.extend(times);
            }
        }
        tell(&size.written, &ratios(&written, &quiet));
        let mut tails = vec![];
        for _ in 0..rounds {
            let time = |_| {
                let (n, start) = (next(), Instant::now());
                look(n);
                start.elapsed().as_nanos() as f64
            };
            let times: Vec<_> = (0..20 * CALLS).map(time).collect();
            tails.push(quantile(&times, 0.999));
        }
        tell(&size.tail, &tails);
        stop.store(true, Ordering::Release);
        let mut replace = || {
            let n = next();
            insert(&table, n, n / KEYS_OF_ONE_USER);
        };
        let mut make = || {
            let n = next();
            black_box((user(n / KEYS_OF_ONE_USER), key(n, n / KEYS_OF_ONE_USER)));
        };
        let [replaced, made] = take_turns(rounds, CALLS, [&mut replace, &mut make]);
        let net = replaced.iter().zip(&made).map(|(replaced, made)| replaced - made);
        tell(&size.update, &net.collect::<Vec<_>>());
    });
}

/// Memory of access keys whose users have one each.
fn users(size: &Size) {
    let before = memory_bytes("VmRSS");
    let table = Table::new();
    (0..size.keys).for_each(|n| insert(&table, n, n));
    let bytes = memory_bytes("VmRSS") - before;
    tell(&size.bytes_with_user, &[bytes as f64 / size.keys as f64]);
    eprintln!("at most {} B a key while loading", memory_bytes("VmHWM") / size.keys as u64);
    drop(black_box(table));
}

/// The longest insertion while a table grows from nothing, and the longest look-up meanwhile.
fn growth(size: &Size) {
    let (before, started) = (memory_bytes("VmRSS"), Instant::now());
    let done = AtomicBool::new(false);
    let table = Table::new();
    insert(&table, 0, 0);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut longest, mut longest_clock, mut n) = (Duration::ZERO, Duration::ZERO, 0);
            while !done.load(Ordering::Acquire) {
                n = (n + 7919) % table.len();
                let id = id(n);
                let id = std::str::from_utf8(&id).expect("is ASCII");
                let (clock, cpu) = (Instant::now(), thread_cpu());
                black_box(table.pin().access_key(id).is_some());
                longest = longest.max(thread_cpu().saturating_sub(cpu));
                longest_clock = longest_clock.max(clock.elapsed());
            }
            (longest, longest_clock)
        });
        let mut inserts: Vec<(Duration, usize)> = vec![];
        for n in 1..size.keys {
            let (user, key) = (user(n), key(n, n));
            let cpu = thread_cpu();
            table.apply(Change { users: vec![user], access_keys: vec![key], ..Change::default() });
            let took = thread_cpu().saturating_sub(cpu);
            if took > Duration::from_micros(200) {
                inserts.push((took, n));
            }
        }
        done.store(true, Ordering::Release);
        let (lookup, clock) = reader.join().expect("does not panic");
        inserts.sort_unstable();
        inserts.reverse();
        eprintln!("longest insertions: {:?}", &inserts[..inserts.len().min(12)]);
        let insert = inserts.first().map_or(0.2, |(took, _)| ms(*took));
        tell(&size.insert, &[insert]);
        tell(&size.lookup, &[ms(lookup)]);
        tell(&size.lookup_clock, &[ms(clock)]);
    });
    // The table stays: its memory would not be new.
    let grown = memory_bytes("VmRSS") - before;
    control(size, grown as usize / BLOCK, started.elapsed());
    drop(black_box(table));
}

/// The same without a table: the longest filling of a block, and the longest reading of one meanwhile.
fn control(size: &Size, blocks: usize, time: Duration) {
    let block = || Box::new(black_box([1_u8; BLOCK]));
    let known: Vec<_> = (0..BLOCKS_READ).map(|_| block()).collect();
    let end = Instant::now() + time;
    // As long as the table took, since a guest is not run every now and then.
    let read_to_the_end = || {
        let (mut longest, mut n) = (Duration::ZERO, 0);
        while Instant::now() < end {
            n = (n + 7919) % BLOCKS_READ;
            longest = longest.max(cpu_of(|| known[n][0]));
        }
        longest
    };
    thread::scope(|scope| {
        let reader = scope.spawn(read_to_the_end);
        let mut filled = Vec::with_capacity(blocks);
        let longest = (0..blocks).map(|_| cpu_of(|| filled.push(block()))).max();
        read_to_the_end();
        tell(&size.control_memory, &[ms(longest.unwrap_or_default())]);
        tell(&size.control_read, &[ms(reader.join().expect("does not panic"))]);
    });
}

fn cpu_of<T>(call: impl FnOnce() -> T) -> Duration {
    let before = thread_cpu();
    black_box(call());
    thread_cpu().saturating_sub(before)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn tell(row: &Row, rounds: &[f64]) {
    if row.is_wanted() {
        row.tell(rounds);
    }
}

fn insert(table: &Table, n: usize, of: usize) {
    let users = vec![user(of)];
    table.apply(Change { users, access_keys: vec![key(n, of)], ..Change::default() });
}

fn user(n: usize) -> UserRecord {
    UserRecord {
        user_id: user_id(n),
        account_id: [2; 16],
        account_number: "123456789012".into(),
        user_name: format!("user-{n:08}"),
        root: false,
        locked: false,
    }
}

/// With the date keys of three days.
fn key(n: usize, of: usize) -> AccessKeyRecord {
    let date_key = |day: u32| (day, DateKey::from_bytes([day as u8; 32]));
    let date_keys = vec![date_key(20_000), date_key(20_001), date_key(20_002)];
    AccessKeyRecord {
        access_key_id: String::from_utf8(id(n).to_vec()).expect("is ASCII"),
        user_id: user_id(of),
        active: true,
        not_before_ms: None,
        expires_at_ms: None,
        secrets: vec![SecretRecord { generation: 1, expires_at_ms: None, date_keys }],
    }
}

/// As a UUID of version 7: the time in front, random bits behind.
fn user_id(n: usize) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&(n as u64 / 100).to_be_bytes());
    id[8..].copy_from_slice(&(n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id
}

/// Different for each number.
fn id(n: usize) -> [u8; ID_BYTES] {
    let mut id = *b"AKIA0000000000000000";
    let scattered = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for (place, byte) in id[4..].iter_mut().enumerate() {
        *byte = b'A' + ((scattered >> (4 * place)) & 0xf) as u8; // 16 letters
    }
    id
}
