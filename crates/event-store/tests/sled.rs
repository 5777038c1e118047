//! The log in sled passes the suite, and keeps its promises when the disk or the process does not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;
use event_store::conformance::{Backend, START_MS, batch, event};
use event_store::{
    AppendError, EPOCH_MAX, EventLog, Fault, FaultKind, Head, ManualClock, OpenError, Position,
    ReadError, SledLog, SledOptions, SyncFn, Verified,
};
use futures::StreamExt;
use futures::future::{BoxFuture, join_all};

struct Sled {
    clock: Arc<ManualClock>,
    dir: tempfile::TempDir,
}

fn sled_backend() -> Sled {
    Sled { clock: Arc::new(ManualClock::new(START_MS)), dir: tempfile::tempdir().unwrap() }
}

impl Backend for Sled {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn EventLog>, Fault>> {
        Box::pin(async move {
            let options = SledOptions::new(self.dir.path());
            let options = options.clock(self.clock.clone()).checkpoint_key([7; 32]);
            match SledLog::open(options).await {
                Ok(log) => Ok(Arc::new(log) as Arc<dyn EventLog>),
                Err(OpenError::Fault(fault)) => Err(fault),
                Err(other) => panic!("{other:?}"),
            }
        })
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn tamper(&self, change: &mut dyn FnMut(&mut BTreeMap<u64, Bytes>)) {
        let database = sled_of(self.dir.path());
        let tree = database.open_tree("events").unwrap();
        let mut frames = BTreeMap::new();
        for entry in &tree {
            let (key, value) = entry.unwrap();
            let position = u64::from_be_bytes(key.as_ref().try_into().unwrap());
            frames.insert(position, Bytes::copy_from_slice(&value));
        }
        change(&mut frames);
        tree.clear().unwrap();
        for (position, frame) in frames {
            tree.insert(position.to_be_bytes(), frame.as_ref()).unwrap();
        }
        database.flush().unwrap();
    }
}

event_store::conformance_tests!(sled_backend());

/// sled's threads may hold on to a database for a moment after it was closed.
fn sled_of(dir: &Path) -> sled::Db {
    let config = sled::Config::new().path(dir).flush_every_ms(None);
    (0..1000)
        .find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            config.open().ok()
        })
        .expect("the database opens")
}

async fn open(dir: &Path) -> SledLog {
    SledLog::open(SledOptions::new(dir)).await.unwrap()
}

async fn open_with_sync(dir: &Path, sync: SyncFn) -> SledLog {
    SledLog::open(SledOptions::new(dir).sync(sync)).await.unwrap()
}

fn database_holds(dir: &Path, text: &str) -> bool {
    let bytes = fs::read(dir.join("db")).unwrap();
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_or_visible_before_it_is_written_and_synced() {
    let dir = tempfile::tempdir().unwrap();
    let (reached, at_sync) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let sync = Box::new(move || {
        reached.send(()).unwrap();
        released.recv().unwrap()
    });
    let log = Arc::new(open_with_sync(dir.path(), sync).await);
    let mut subscription = log.subscribe(Position::START);
    let appending = tokio::spawn({
        let log = Arc::clone(&log);
        async move { log.append(batch([event("user/1", "first-payload")])).await }
    });
    tokio::task::spawn_blocking(move || at_sync.recv().unwrap()).await.unwrap();
    // The group stands still between write and sync.
    assert!(database_holds(dir.path(), "first-payload"), "written before it is synced");
    assert!(!appending.is_finished());
    assert_eq!(log.head().position, Position::START);
    assert!(log.read(Position::START, 10).await.unwrap().is_empty());
    assert!(futures::poll!(subscription.next()).is_pending());
    release.send(Ok(())).unwrap();
    assert_eq!(appending.await.unwrap().unwrap().last, Position(1));
    assert_eq!(subscription.next().await.unwrap().unwrap().position, Position(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_group_was_synced_and_groups_share_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let syncs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&syncs);
    let sync = Box::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(2)); // a disk, so that groups gather
        Ok(())
    });
    let log = Arc::new(open_with_sync(dir.path(), sync).await);
    for n in 1..=10 {
        log.append(batch([event("user/1", "x")])).await.unwrap();
        assert_eq!(syncs.load(Ordering::SeqCst), n, "one writer: one sync each");
    }
    let writers = (0..64).map(|writer| {
        let (log, syncs) = (Arc::clone(&log), Arc::clone(&syncs));
        tokio::spawn(async move {
            for _ in 0..10 {
                let before = syncs.load(Ordering::SeqCst);
                log.append(batch([event(&format!("user/{writer}"), "x")])).await.unwrap();
                assert!(syncs.load(Ordering::SeqCst) > before, "synced since it was sent");
            }
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    assert!(syncs.load(Ordering::SeqCst) - 10 < 320, "{syncs:?} syncs for 640 appends");

    // What changes nothing is not synced.
    let before = syncs.load(Ordering::SeqCst);
    log.append(batch([])).await.unwrap_err();
    assert_eq!(syncs.load(Ordering::SeqCst), before);
}

/// A loss of power, at its worst: all that was written since the last sync is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_synced_is_enough_to_have_all_that_was_acknowledged() {
    let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let counts = Arc::new(Mutex::new(Vec::new()));
    let sync = {
        let (from, to) = (dir.path().to_owned(), copies.path().to_owned());
        let (acknowledged, counts) = (Arc::clone(&acknowledged), Arc::clone(&counts));
        Box::new(move || {
            // This sync is the last; what it covers is acknowledged later, or never.
            let mut counts = counts.lock().unwrap();
            copy(&from, &to.join(counts.len().to_string()));
            counts.push(acknowledged.load(Ordering::SeqCst));
            Ok(())
        })
    };
    let log = Arc::new(open_with_sync(dir.path(), sync).await);
    let writers = (0..4).map(|writer| {
        let (log, acknowledged) = (Arc::clone(&log), Arc::clone(&acknowledged));
        tokio::spawn(async move {
            for n in 0..20 {
                let payload = "x".repeat(n * 200);
                let events = (0..n + 1).map(|_| event(&format!("user/{writer}"), &payload));
                let at = log.append(batch(events)).await.unwrap();
                acknowledged.fetch_max(at.last.0 as usize, Ordering::SeqCst);
            }
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    log.close().await;
    let mut after: Vec<_> = counts.lock().unwrap().clone();
    after.remove(0);
    after.push(acknowledged.load(Ordering::SeqCst));
    for (copied, acknowledged) in after.into_iter().enumerate() {
        // Acknowledged when the next sync began: all by what this one covers.
        let log = open(&copies.path().join(copied.to_string())).await;
        assert!(log.head().position.0 >= acknowledged as u64, "{acknowledged} at sync {copied}");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

#[tokio::test]
async fn a_failed_sync_fails_the_log_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&fails);
    let sync = Box::new(move || match asked.load(Ordering::SeqCst) {
        true => Err(std::io::Error::other("disk is gone")),
        false => Ok(()),
    });
    let log = open_with_sync(dir.path(), sync).await;
    let failed = log.failed();
    let mut subscription = log.subscribe(Position(1));
    log.append(batch([event("user/1", "a")])).await.unwrap();
    fails.store(true, Ordering::SeqCst);
    let command = batch([event("user/1", "b")]);
    let error = log.append(command.clone()).await.unwrap_err();
    assert!(matches!(&error, AppendError::OutcomeUnknown(why) if why.contains("disk is gone")));
    assert!(failed.await.contains("disk is gone"));
    // Also once the disk is back: what it lost cannot be known.
    fails.store(false, Ordering::SeqCst);
    let error = log.append(batch([event("user/1", "c")])).await.unwrap_err();
    assert!(matches!(&error, AppendError::Unavailable(why) if why.contains("disk is gone")));
    assert_eq!(log.head().position, Position(1), "what is not durable is not visible");
    let told = subscription.next().await.unwrap();
    assert!(matches!(told, Err(ReadError::Unavailable(_))));
    assert!(subscription.next().await.is_none());
    drop(log);

    // Opened again, the same command tells what became of it.
    let log = open(dir.path()).await;
    let again = log.append(command).await.unwrap();
    assert_eq!(again.first, Position(2));
    assert_eq!(log.head().position, Position(2));
}

#[tokio::test]
async fn a_log_that_has_failed_is_read_until_it_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&fails);
    let sync = Box::new(move || match asked.load(Ordering::SeqCst) {
        true => Err(std::io::Error::other("disk is gone")),
        false => Ok(()),
    });
    let log = open_with_sync(dir.path(), sync).await;
    for n in 0..100 {
        log.append(batch([event("user/1", &n.to_string())])).await.unwrap();
    }
    fails.store(true, Ordering::SeqCst);
    log.append(batch([event("user/1", "lost")])).await.unwrap_err();
    assert!(log.failed().await.contains("disk is gone"));
    for after in [0, 50, 99, 100] {
        let events = log.read(Position(after), 1000).await.unwrap();
        assert_eq!(events.len() as u64, 100 - after, "what is not durable is not given");
    }
    let events: Vec<_> = log.subscribe(Position::START).collect().await;
    assert_eq!(events.iter().filter(|event| event.is_ok()).count(), 100);
    assert!(matches!(events.last(), Some(Err(ReadError::Unavailable(_)))));
    assert!(matches!(SledLog::open(SledOptions::new(dir.path())).await, Err(OpenError::InUse(_))));
    log.close().await;
    assert!(matches!(log.read(Position::START, 1).await, Err(ReadError::Unavailable(_))));
    assert!(!dir.path().join("closed").exists(), "it is not known to be as it should be");
    assert!(open(dir.path()).await.head().position >= Position(100));
}

#[tokio::test]
async fn a_panic_in_the_committer_fails_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_with_sync(dir.path(), Box::new(|| panic!("bug"))).await;
    let failed = log.failed();
    let error = log.append(batch([event("user/1", "a")])).await.unwrap_err();
    assert!(matches!(error, AppendError::OutcomeUnknown(_)), "{error}");
    assert!(failed.await.contains("bug"));
    let error = log.append(batch([event("user/1", "b")])).await.unwrap_err();
    assert!(matches!(error, AppendError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn closing_records_what_is_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(open(dir.path()).await);
    let batches = (0..100).map(|n| log.append(batch([event("user/1", &n.to_string())])));
    let mut appends = Box::pin(join_all(batches));
    assert!(futures::poll!(&mut appends).is_pending());
    log.close().await;
    let outcomes = appends.await;
    let recorded = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(recorded, 100, "each was sent before closing");
    assert!(matches!(log.read(Position::START, 1).await, Err(ReadError::Unavailable(_))));
    // The files are free, though the closed log is still held.
    let again = open(dir.path()).await;
    assert_eq!(again.head().position, Position(100));
}

#[tokio::test]
async fn a_log_in_use_is_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let error = SledLog::open(SledOptions::new(dir.path())).await.err().unwrap();
    assert!(matches!(error, OpenError::InUse(_)), "{error:?}");
    assert!(error.to_string().contains("in use by another process"), "{error}");
    drop(log);
    open(dir.path()).await;
}

fn snapshots(dir: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let is_snapshot =
        |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("snap.");
    names.filter(is_snapshot).collect()
}

async fn a_log_of(dir: &Path, events: u64) {
    let log = open(dir).await;
    for n in 0..events {
        log.append(batch([event("user/1", &n.to_string())])).await.unwrap();
    }
    log.close().await;
    drop(log);
    drop(open(dir).await); // sled writes its snapshot when it opens
}

#[tokio::test]
async fn a_half_written_snapshot_is_moved_aside() {
    let dir = tempfile::tempdir().unwrap();
    a_log_of(dir.path(), 50).await;
    fs::write(dir.path().join("snap.FFFFFFFFFFFFFFF0.generating"), b"half").unwrap();
    assert_eq!(open(dir.path()).await.head().position, Position(50));
    assert!(!dir.path().join("snap.FFFFFFFFFFFFFFF0.generating").exists());
}

#[tokio::test]
async fn a_damaged_snapshot_is_moved_aside() {
    for damage in [Vec::new(), b"garbage".to_vec(), vec![0; 500]] {
        let dir = tempfile::tempdir().unwrap();
        a_log_of(dir.path(), 50).await;
        let snapshots = snapshots(dir.path());
        assert!(!snapshots.is_empty(), "sled has written one");
        for snapshot in snapshots {
            fs::write(snapshot, &damage).unwrap();
        }
        let log = open(dir.path()).await;
        assert_eq!(log.head().position, Position(50));
        let aside = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(aside.into_iter().any(|name| name.to_str().unwrap().starts_with("aside-")));
        log.append(batch([event("user/1", "on")])).await.unwrap();
    }
}

#[tokio::test]
async fn a_log_is_verified_without_being_made_or_changed() {
    let dir = tempfile::tempdir().unwrap();
    let error = SledLog::verify_offline(dir.path(), None).await.unwrap_err();
    assert!(matches!(error, OpenError::NotFound(_)));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    a_log_of(dir.path(), 5).await;
    let found = SledLog::verify_offline(dir.path(), None).await.unwrap();
    let log = open(dir.path()).await;
    assert_eq!((found.log_id, found.epoch), (log.log_id(), log.epoch()));
    assert_eq!((found.verified.events, found.verified.head), (5, log.head()));

    for _ in 0..5 {
        log.append(batch((0..512).map(|_| event("user/1", "x")))).await.unwrap();
    }
    let head = log.head();
    drop(log);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let on_progress = move |head: Head| told.lock().unwrap().push(head);
    SledLog::verify_offline_with(dir.path(), None, on_progress).await.unwrap();
    let seen = seen.lock().unwrap();
    let positions: Vec<_> = seen.iter().map(|head| head.position.0).collect();
    assert_eq!(positions, [1024, 2048, 2565]);
    assert_eq!(seen.last(), Some(&head));
}

#[tokio::test]
async fn a_log_is_verified_offline_since_a_trusted_head() {
    let dir = tempfile::tempdir().unwrap();
    a_log_of(dir.path(), 5).await;
    let log = open(dir.path()).await;
    let events = log.read(Position::START, 10).await.unwrap();
    let head_at = |n: usize| Head { position: events[n - 1].position, hash: events[n - 1].hash };
    log.close().await;
    drop(log);
    let verify = async |since| SledLog::verify_offline(dir.path(), Some(since)).await;
    assert_eq!(verify(head_at(3)).await.unwrap().verified.events, 2);
    assert_eq!(
        verify(head_at(5)).await.unwrap().verified,
        Verified { head: head_at(5), events: 0, sealed_dropped: 0 }
    );
    let error = verify(Head { position: Position(3), ..head_at(4) }).await.unwrap_err();
    assert!(matches!(
        error,
        OpenError::Fault(Fault { position: Position(3), kind: FaultKind::Chain { .. } })
    ));
    let error = verify(Head { position: Position(6), ..head_at(5) }).await.unwrap_err();
    assert!(matches!(error, OpenError::Shortened { head: Position(5), recorded: Position(6), .. }));

    let damage = |position: u64| {
        let tree = sled_of(dir.path()).open_tree("events").unwrap();
        tree.insert(position.to_be_bytes(), b"damaged").unwrap();
    };
    damage(2);
    assert_eq!(verify(head_at(3)).await.unwrap().verified.events, 2, "only what follows is read");
    assert!(SledLog::verify_offline(dir.path(), None).await.is_err());
    damage(4);
    let error = verify(head_at(3)).await.unwrap_err();
    assert!(matches!(error, OpenError::Fault(Fault { position: Position(4), .. })), "{error}");
}

/// sled forgets what it cannot read. Wherever a bit flips, that is not taken for a whole log.
#[tokio::test]
async fn a_flipped_bit_never_shortens_the_log_unnoticed() {
    let dir = tempfile::tempdir().unwrap();
    a_log_of(dir.path(), 40).await;
    let written = {
        let bytes = fs::read(dir.path().join("db")).unwrap();
        bytes.iter().rposition(|byte| *byte != 0).unwrap()
    };
    let mut refused = 0;
    for place in (0..written).step_by((written / 40).max(1)) {
        let damaged = tempfile::tempdir().unwrap();
        copy(dir.path(), damaged.path());
        let path = damaged.path().join("db");
        let mut bytes = fs::read(&path).unwrap();
        bytes[place] ^= 1;
        fs::write(&path, bytes).unwrap();
        match SledLog::open(SledOptions::new(damaged.path())).await {
            Ok(log) => assert_eq!(log.head().position, Position(40), "bit {place}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0, "some bits matter");
    let emptied = tempfile::tempdir().unwrap();
    copy(dir.path(), emptied.path());
    for entry in fs::read_dir(emptied.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && path.file_name().unwrap() != "anchor" {
            fs::remove_file(path).unwrap();
        }
    }
    let error = SledLog::open(SledOptions::new(emptied.path())).await.err().unwrap();
    let OpenError::Shortened { recorded, .. } = error else { panic!("{error:?}") };
    assert_eq!(recorded, Position(40));
}

#[tokio::test]
async fn events_without_an_identity_are_no_log() {
    let dir = tempfile::tempdir().unwrap();
    a_log_of(dir.path(), 5).await;
    let database = sled_of(dir.path());
    database.remove("log").unwrap();
    drop(database);
    let error = SledLog::open(SledOptions::new(dir.path())).await.err().unwrap();
    assert!(matches!(error, OpenError::NoIdentity(_)), "{error:?}");
}

#[tokio::test]
async fn a_log_in_no_possible_epoch_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    a_log_of(dir.path(), 5).await;
    let set_epoch = |epoch: u64| {
        let database = sled_of(dir.path());
        let mut identity = database.get("log").unwrap().unwrap().to_vec();
        identity[17..].copy_from_slice(&epoch.to_le_bytes());
        database.insert("log", identity).unwrap();
    };
    for epoch in [0, EPOCH_MAX + 1] {
        set_epoch(epoch);
        let error = SledLog::open(SledOptions::new(dir.path())).await.err().unwrap();
        assert!(matches!(&error, OpenError::Database(why) if why.contains("identity")), "{error}");
    }
    set_epoch(EPOCH_MAX);
    assert_eq!(open(dir.path()).await.epoch(), EPOCH_MAX);
}

#[tokio::test]
async fn a_log_under_another_identity_does_not_verify() {
    let dir = tempfile::tempdir().unwrap();
    a_log_of(dir.path(), 5).await;
    let database = sled_of(dir.path());
    let mut identity = database.get("log").unwrap().unwrap().to_vec();
    identity[1] ^= 1;
    database.insert("log", identity).unwrap();
    drop(database);
    let error = SledLog::open(SledOptions::new(dir.path())).await.err().unwrap();
    let OpenError::Fault(Fault { position, kind: FaultKind::Chain { .. } }) = error else {
        panic!("not another chain: {error:?}");
    };
    assert_eq!(position, Position(1));
}
