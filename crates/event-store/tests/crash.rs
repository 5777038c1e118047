//! A process killed while it appends and makes checkpoints: whatever it acknowledged is there, and the
//! chain is whole.
//!
//! A killed process leaves the kernel's cache, so this proves nothing about a loss of power; the tests
//! in `power_cut.rs` do.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use event_store::conformance::{batch, event, release, take};
use event_store::{Batch, EventLog, Position, SledLog, SledOptions, verify};
use futures::future::join_all;
use uuid::Uuid;

const DIR: &str = "EVENT_STORE_CRASH_DIR";
const KEY: [u8; 32] = [7; 32];
const ROUNDS: usize = 5;
const ACKNOWLEDGED_PER_ROUND: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let path = dir.path().to_owned();
        let more = tokio::task::spawn_blocking(move || append_until_killed(&path)).await.unwrap();
        assert!(more.len() >= ACKNOWLEDGED_PER_ROUND);
        acknowledged.extend(more);

        let options = SledOptions::new(dir.path()).checkpoint_key(KEY);
        let log = SledLog::open(options).await.unwrap();
        let verified = verify(&log, None).await.unwrap();
        assert_eq!(verified.head, log.head());
        for &(first, last, command_id) in &acknowledged {
            let events = log.read(Position(first - 1), (last - first + 1) as usize).await.unwrap();
            assert_eq!(events.len(), 3);
            assert!(events.iter().all(|event| event.command_id == command_id));
            assert!(events[2].ends_batch());
        }
        println!("round {round}: {} acknowledged, {} events", acknowledged.len(), verified.events);
    }
}

/// Starts this test's other half, and kills it under way. Gives what it acknowledged.
fn append_until_killed(dir: &Path) -> Vec<(u64, u64, Uuid)> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "appends_until_killed", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let (mut acknowledged, mut line) = (Vec::new(), String::new());
    // Also what it said between the decision to kill it and its end; but for half a line.
    while lines.read_line(&mut line).unwrap() > 0 {
        let words: Vec<_> = line.split_whitespace().collect();
        if let (["acknowledged", first, last, command], true) = (&words[..], line.ends_with('\n')) {
            let command = command.parse().unwrap();
            acknowledged.push((first.parse().unwrap(), last.parse().unwrap(), command));
            if acknowledged.len() == ACKNOWLEDGED_PER_ROUND {
                child.kill().unwrap();
            }
        }
        line.clear();
    }
    child.wait().unwrap();
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the half that is killed; run by the test above"]
async fn appends_until_killed() {
    let dir = env::var_os(DIR).unwrap();
    let options = SledOptions::new(dir).checkpoint_key(KEY);
    let log = Arc::new(SledLog::open(options).await.unwrap());
    let checkpoints = Arc::clone(&log);
    tokio::spawn(async move {
        loop {
            checkpoints.checkpoint().await.unwrap();
        }
    });
    let writers = (0..16).map(|_| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let name = Uuid::new_v4().to_string();
            for n in 0_u64.. {
                let payload = "x".repeat((n % 40 * 50) as usize);
                let events = [&*name, "everybody", &*name].map(|stream| event(stream, &payload));
                let claims = if n % 2 == 0 { vec![take(&name)] } else { vec![release(&name)] };
                let command = Batch { claims, ..batch(events) };
                let id = command.command_id;
                let at = log.append(command).await.unwrap();
                let line = format!("acknowledged {} {} {id}\n", at.first, at.last);
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
        })
    });
    join_all(writers).await;
}
