//! Reading a whole log back, against a bare loop over the same database.
//!
//! `cargo bench -p event-store --bench replay` prints, of rounds taken in turn, the median rates and
//! their ratios.
//!
//! * bare: sled's own iterator, each frame decoded and inserted into a map by its position.
//! * read: the same map filled through [`EventLog::read`].
//! * follow: the same map filled through [`EventLog::subscribe`].
//! * open: opening the log, which checks the whole chain and builds the index.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use event_store::conformance::{batch, event};
use event_store::{EventLog, Position, READ_EVENTS_MAX, SledLog, SledOptions, frame};
use futures::StreamExt;

const EVENTS: u64 = 200_000;
const EVENTS_PER_BATCH: u64 = 500;
const PAYLOAD_BYTES: usize = 300;
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    let dir = tempfile::Builder::new().prefix("bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    let dir = dir.expect("a folder");
    fill(dir.path()).await;
    let mut seconds = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        let bare = bare(dir.path());
        let start = Instant::now();
        let log = open(dir.path()).await;
        let opened = start.elapsed();
        let measured = [bare, read(&log).await, follow(&log).await, opened];
        log.close().await;
        seconds.iter_mut().zip(measured).for_each(|(all, one)| all.push(one.as_secs_f64()));
    }
    let medians = seconds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds[ROUNDS / 2]
    });
    for (name, seconds) in ["bare", "read", "follow", "open"].into_iter().zip(medians) {
        let (rate, ratio) = (EVENTS as f64 / seconds, medians[0] / seconds);
        println!("{name:<8}{rate:>9.0} events/s  {ratio:>5.2} x bare");
    }
}

async fn open(dir: &Path) -> Arc<dyn EventLog> {
    Arc::new(SledLog::open(SledOptions::new(dir)).await.expect("a log"))
}

async fn fill(dir: &Path) {
    let log = open(dir).await;
    let payload = "x".repeat(PAYLOAD_BYTES);
    for n in 0..EVENTS / EVENTS_PER_BATCH {
        let events = (0..EVENTS_PER_BATCH).map(|m| event(&format!("user/{n}-{m}"), &payload));
        log.append(batch(events)).await.expect("an append");
    }
    log.close().await;
}

fn bare(dir: &Path) -> Duration {
    let database = loop {
        // sled's threads may hold on to it for a moment after it was closed.
        if let Ok(database) = sled::Config::new().path(dir).flush_every_ms(None).open() {
            break database;
        }
    };
    let events = database.open_tree("events").expect("the events");
    let start = Instant::now();
    let mut all = HashMap::new();
    for entry in &events {
        let (_, frame) = entry.expect("a frame");
        let event = frame::decode(Bytes::copy_from_slice(&frame)).expect("an event");
        all.insert(event.position, event);
    }
    assert_eq!(all.len() as u64, EVENTS);
    start.elapsed()
}

async fn read(log: &Arc<dyn EventLog>) -> Duration {
    let start = Instant::now();
    let (mut all, mut after) = (HashMap::new(), Position::START);
    while after < log.head().position {
        let events = log.read(after, READ_EVENTS_MAX).await.expect("events");
        after = events.last().map_or(after, |event| event.position);
        all.extend(events.into_iter().map(|event| (event.position, event)));
    }
    assert_eq!(all.len() as u64, EVENTS);
    start.elapsed()
}

async fn follow(log: &Arc<dyn EventLog>) -> Duration {
    let start = Instant::now();
    let (mut all, mut events) = (HashMap::new(), log.subscribe(Position::START));
    while (all.len() as u64) < EVENTS {
        let event = events.next().await.expect("an event").expect("an event");
        all.insert(event.position, event);
    }
    start.elapsed()
}
