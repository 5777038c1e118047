//! Durable appends, each acknowledged after an `fdatasync`, against the disk's own limit.
//!
//! `cargo bench -p event-store --bench append` prints, of rounds taken in turn, the median rates and
//! their ratios. The disk's speed changes by the minute; the ratios are what counts.
//!
//! * raw: one thread, `write` of a frame's worth of bytes to a file opened with `O_APPEND`, `fdatasync`.
//! * 1: one writer appending to a [`SledLog`], the next after the last is acknowledged.
//! * 16, 64, 256: so many such writers at once.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_store::conformance::{batch, event};
use event_store::{EventLog, SledLog, SledOptions};
use futures::future::join_all;

/// As in the binary. With the system's, a third of the committer's work is to ask for memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WRITERS: [usize; 4] = [1, 16, 64, 256];
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(1500);
const PAYLOAD_BYTES: usize = 300;
/// What an event of `PAYLOAD_BYTES` comes to as a frame.
const FRAME_BYTES: usize = 600;

fn main() {
    let dir = tempfile::Builder::new().prefix("bench-").tempdir_in(target()).expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut raw_file = OpenOptions::new().create(true).append(true).open(dir.path().join("raw"));
    let raw_file = raw_file.as_mut().expect("a file");
    let options = SledOptions::new(dir.path().join("log"));
    let log = runtime.block_on(SledLog::open(options)).expect("a log");
    let log: Arc<dyn EventLog> = Arc::new(log);

    let (mut raw_rates, mut rates) = (Vec::new(), WRITERS.map(|_| Vec::new()));
    for round in 0..=ROUNDS {
        let raw = per_second(|until| raw(raw_file, until));
        let measured = WRITERS.map(|writers| {
            per_second(|until| runtime.block_on(append_by(Arc::clone(&log), writers, until)))
        });
        // The first round warms up.
        if round > 0 {
            raw_rates.push(raw);
            rates.iter_mut().zip(measured).for_each(|(rates, rate)| rates.push(rate));
        }
    }
    runtime.block_on(log.close());

    let ratios = |above: &[f64], below: &[f64]| {
        median(above.iter().zip(below).map(|(above, below)| above / below).collect())
    };
    println!("goals: 1 writer 0.6 x raw, 64 writers 15 x one");
    println!("raw  {:>9.0}/s", median(raw_rates.clone()));
    for (writers, measured) in WRITERS.into_iter().zip(&rates) {
        let (above_raw, above_one) = (ratios(measured, &raw_rates), ratios(measured, &rates[0]));
        let rate = median(measured.clone());
        println!("{writers:<4} {rate:>9.0}/s  {above_raw:>6.2} x raw  {above_one:>6.2} x one");
    }
}

/// Where the build goes, so that it is the same disk as everything else and not one in memory.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

fn per_second(work: impl FnOnce(Instant) -> usize) -> f64 {
    let start = Instant::now();
    let done = work(start + ROUND);
    done as f64 / start.elapsed().as_secs_f64()
}

fn raw(file: &mut std::fs::File, until: Instant) -> usize {
    let mut done = 0;
    while Instant::now() < until {
        file.write_all(&[b'x'; FRAME_BYTES]).expect("a write");
        file.sync_data().expect("a sync");
        done += 1;
    }
    done
}

async fn append(log: Arc<dyn EventLog>, writer: usize, until: Instant) -> usize {
    let (stream, payload) = (format!("user/{writer}"), "x".repeat(PAYLOAD_BYTES));
    let mut done = 0;
    while Instant::now() < until {
        log.append(batch([event(&stream, &payload)])).await.expect("an append");
        done += 1;
    }
    done
}

async fn append_by(log: Arc<dyn EventLog>, writers: usize, until: Instant) -> usize {
    let writers = (0..writers).map(|writer| tokio::spawn(append(Arc::clone(&log), writer, until)));
    let done = join_all(writers).await.into_iter().map(|done| done.expect("a writer ends"));
    done.sum()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
