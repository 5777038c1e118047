//! Opening a log from zero and from its checkpoint, and what making a checkpoint costs.
//!
//! `cargo bench -p event-store --bench open` prints medians of rounds taken in turn, for a log of
//! `EVENT_STORE_BENCH_EVENTS` events (200,000 unless given), each in a stream of its own.
//!
//! * sled: sled's own opening, which nobody can spare.
//! * zero: the whole log read, checked and indexed.
//! * checkpoint: the index read, with no event after it.
//! * tail: the index read, and a hundredth of the events after it read, checked and indexed.
//! * crash: the index read, of a log that was not closed in order: what is read of it is first written
//!   again, all of it.
//! * write: a checkpoint made, from the call to its durable file.
//! * append: the slowest of ten events, one after the other, each durable.
//! * pause: the same while a checkpoint is made; the index is copied between two of them.

use std::env;
use std::path::Path;
use std::time::{Duration, Instant};

use event_store::conformance::{batch, event};
use event_store::{EventLog, SledLog, SledOptions};

const EVENTS_PER_BATCH: u64 = 500;
const PAYLOAD_BYTES: usize = 300;
const ROUNDS: usize = 5;
const KEY: [u8; 32] = [7; 32];

#[tokio::main]
async fn main() {
    let events = env::var("EVENT_STORE_BENCH_EVENTS").ok();
    let events = events.map_or(200_000, |events| events.parse().expect("a number"));
    let dir = tempfile::Builder::new().prefix("bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    let dir = dir.expect("a folder");
    let log = open(dir.path(), true).await;
    fill(&log, 0..events).await;
    log.checkpoint().await.expect("a checkpoint");
    log.close().await;
    drop(log);

    let names = ["sled", "zero", "checkpoint", "tail", "crash", "write", "append", "pause"];
    let mut seconds = [const { Vec::new() }; 8];
    for round in 0..ROUNDS as u64 {
        let sled = sled_alone(dir.path());
        let (zero, _) = opened(dir.path(), false).await;
        let (_, log) = opened(dir.path(), true).await;
        let start = Instant::now();
        log.checkpoint().await.expect("a checkpoint");
        let write = start.elapsed();
        log.close().await;
        drop(log);
        let (checkpoint, log) = opened(dir.path(), true).await;

        append(&log).await; // the first one finds room
        let append = slowest(&log).await;
        let (made, pause) = tokio::join!(log.checkpoint(), slowest(&log));
        made.expect("a checkpoint");

        let from = events + round * (events / 100);
        fill(&log, from..from + events / 100).await;
        log.close().await;
        drop(log);
        let (tail, log) = opened(dir.path(), true).await;
        log.checkpoint().await.expect("a checkpoint");
        log.close().await;
        drop(log);
        std::fs::remove_file(dir.path().join("closed")).expect("it was closed in order");
        let (crash, log) = opened(dir.path(), true).await;
        drop(log);
        let measured = [sled, zero, checkpoint, tail, crash, write, append, pause];
        seconds.iter_mut().zip(measured).for_each(|(all, one)| all.push(one.as_secs_f64()));
    }

    let medians = seconds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds[ROUNDS / 2]
    });
    let file = std::fs::metadata(dir.path().join("checkpoint")).expect("a checkpoint");
    let database = std::fs::metadata(dir.path().join("db")).expect("a database").len();
    println!("{events} events and streams, checkpoint of {} bytes, {database} in all", file.len());
    for (name, seconds) in names.into_iter().zip(medians) {
        println!("{name:<11}{:>9.1} ms  {:>5.2} x zero", seconds * 1e3, seconds / medians[1]);
    }
}

async fn opened(dir: &Path, with_key: bool) -> (Duration, SledLog) {
    let start = Instant::now();
    let log = open(dir, with_key).await;
    (start.elapsed(), log)
}

async fn open(dir: &Path, with_key: bool) -> SledLog {
    let options = SledOptions::new(dir);
    let options = if with_key { options.checkpoint_key(KEY) } else { options };
    SledLog::open(options).await.expect("a log")
}

async fn fill(log: &SledLog, streams: std::ops::Range<u64>) {
    let payload = "x".repeat(PAYLOAD_BYTES);
    let mut streams = streams.map(|n| event(&format!("user/{n}"), &payload)).peekable();
    while streams.peek().is_some() {
        let events = streams.by_ref().take(EVENTS_PER_BATCH as usize);
        log.append(batch(events)).await.expect("an append");
    }
}

async fn slowest(log: &SledLog) -> Duration {
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        slowest = slowest.max(append(log).await);
    }
    slowest
}

async fn append(log: &SledLog) -> Duration {
    let start = Instant::now();
    log.append(batch([event("user/0", "x")])).await.expect("an append");
    start.elapsed()
}

fn sled_alone(dir: &Path) -> Duration {
    loop {
        // sled's threads may hold on to it for a moment after it was closed.
        let start = Instant::now();
        if let Ok(database) = sled::Config::new().path(dir).flush_every_ms(None).open() {
            database.open_tree("events").expect("the events");
            return start.elapsed();
        }
    }
}
