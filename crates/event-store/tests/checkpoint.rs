//! Opening a log from its checkpoint: the same log as from zero, and no fault that it hides.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use event_store::conformance::{START_MS, batch, event, event_at, take};
use event_store::{
    AppendError, Batch, CheckpointError, EventLog, Fault, FaultKind, Head, ManualClock, OpenError,
    Position, SledLog, SledOptions, verify,
};

const KEY: [u8; 32] = [7; 32];

fn options(dir: &Path) -> SledOptions {
    SledOptions::new(dir).clock(Arc::new(ManualClock::new(START_MS))).checkpoint_key(KEY)
}

async fn open(dir: &Path) -> SledLog {
    SledLog::open(options(dir)).await.unwrap()
}

async fn open_error(options: SledOptions) -> OpenError {
    SledLog::open(options).await.err().expect("the log does not open")
}

/// Twenty events with a checkpoint after the tenth; gives both heads.
async fn filled(dir: &Path) -> (Head, Head) {
    let log = open(dir).await;
    append(&log, 10).await;
    let checkpoint = log.checkpoint().await.unwrap();
    assert_eq!(checkpoint, log.head());
    append(&log, 10).await;
    log.close().await;
    (checkpoint, log.head())
}

async fn append(log: &SledLog, events: u64) {
    for n in 0..events {
        log.append(batch([event("user/1", &n.to_string())])).await.unwrap();
    }
}

/// Changes what is stored under a position.
fn damage(dir: &Path, position: u64) {
    let config = sled::Config::new().path(dir).flush_every_ms(None);
    let database = (0..1000)
        .find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            config.open().ok()
        })
        .expect("the database opens");
    let events = database.open_tree("events").unwrap();
    events.insert(position.to_be_bytes(), b"damaged").unwrap();
    database.flush().unwrap();
}

fn is_fault_at(error: &OpenError, position: u64) -> bool {
    matches!(error, OpenError::Fault(Fault { position: Position(at), .. }) if *at == position)
}

/// A log whose third event cannot be read opens if, and only if, its checkpoint is used.
async fn is_used(dir: &Path) -> bool {
    let copied = tempfile::tempdir().unwrap();
    copy(dir, copied.path());
    damage(copied.path(), 3);
    match SledLog::open(options(copied.path())).await {
        Ok(_) => true,
        Err(error) => {
            assert!(is_fault_at(&error, 3), "{error}");
            false
        }
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
async fn a_log_opened_from_its_checkpoint_knows_what_it_knew() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let before = Batch { claims: vec![take("alice")], ..batch([event_at("user/1", 0, "a")]) };
    let first = log.append(before.clone()).await.unwrap();
    log.checkpoint().await.unwrap();
    let after = Batch { claims: vec![take("bob")], ..batch([event_at("user/1", 1, "b")]) };
    let second = log.append(after.clone()).await.unwrap();
    log.close().await;
    let head = log.head();
    drop(log);

    let log = open(dir.path()).await;
    assert_eq!(log.head(), head);
    for (command, at) in [(before, first), (after, second)] {
        let again = log.append(command).await.unwrap();
        assert_eq!((again.first, again.duplicate), (at.first, true));
    }
    for name in ["alice", "bob"] {
        let taking = Batch { claims: vec![take(name)], ..batch([event("user/2", "c")]) };
        let error = log.append(taking).await.unwrap_err();
        assert!(matches!(error, AppendError::ClaimTaken { .. }), "{error}");
    }
    let error = log.append(batch([event_at("user/1", 1, "c")])).await.unwrap_err();
    assert!(matches!(error, AppendError::Conflict { .. }), "{error}");
    log.append(batch([event_at("user/1", 2, "c")])).await.unwrap();
    verify(&log, None).await.unwrap();
}

#[tokio::test]
async fn only_what_follows_a_checkpoint_is_read() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    assert!(is_used(dir.path()).await);
    let file = fs::metadata(dir.path().join("checkpoint")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert!(!dir.path().join("checkpoint.new").exists());

    // Verifying reads everything, whatever a checkpoint says.
    damage(dir.path(), 3);
    drop(open(dir.path()).await);
    let error = SledLog::verify_offline(dir.path(), None).await.unwrap_err();
    assert!(is_fault_at(&error, 3), "{error}");
}

#[tokio::test]
async fn a_fault_after_the_checkpoint_is_found() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    damage(dir.path(), 15);
    let error = open_error(options(dir.path())).await;
    assert!(is_fault_at(&error, 15), "{error}");
    damage(dir.path(), 10); // where the checkpoint was made
    let error = open_error(options(dir.path())).await;
    assert!(is_fault_at(&error, 10), "{error}");
}

/// Whatever is changed in it, the log opens as without it.
#[tokio::test]
async fn a_damaged_checkpoint_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let (_, head) = filled(dir.path()).await;
    let path = dir.path().join("checkpoint");
    let whole = fs::read(&path).unwrap();
    assert!(is_used(dir.path()).await);
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let places = (0..whole.len()).step_by(whole.len() / 12).chain([whole.len() - 1]);
    let mut others: Vec<_> = places.map(flipped).collect();
    others.extend([vec![], whole[..50].to_vec(), whole[..whole.len() - 1].to_vec()]);
    others.push([&whole[..], b"x"].concat());
    // Counts for which there is not memory enough.
    let mut huge = whole.clone();
    huge[81..105].fill(0xff);
    others.push(huge);
    for other in others {
        fs::write(&path, other).unwrap();
        assert!(!is_used(dir.path()).await);
    }
    let log = open(dir.path()).await;
    assert_eq!(log.head(), head);
    log.checkpoint().await.unwrap();
    drop(log);
    assert!(is_used(dir.path()).await, "a new one takes its place");
}

#[tokio::test]
async fn another_logs_checkpoint_or_one_of_another_key_is_not_used() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(dir.path()).await;
    filled(other.path()).await;
    fs::copy(other.path().join("checkpoint"), dir.path().join("checkpoint")).unwrap();
    assert!(!is_used(dir.path()).await);
    let log = SledLog::open(options(dir.path()).checkpoint_key([8; 32])).await.unwrap();
    log.checkpoint().await.unwrap();
    drop(log);
    assert!(!is_used(dir.path()).await);
}

/// The log that was there when the checkpoint was made is not there any more.
#[tokio::test]
async fn a_log_that_ends_before_its_checkpoint_or_is_not_that_log_is_refused() {
    let (dir, older) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open(dir.path()).await;
    append(&log, 5).await;
    drop(log);
    copy(dir.path(), older.path());
    let log = open(dir.path()).await;
    append(&log, 5).await;
    log.checkpoint().await.unwrap();
    drop(log);
    let checkpoint = dir.path().join("checkpoint");
    fs::copy(&checkpoint, older.path().join("checkpoint")).unwrap();
    let error = open_error(options(older.path())).await;
    let OpenError::Shortened { head, recorded, .. } = error else { panic!("{error:?}") };
    assert_eq!((head, recorded), (Position(5), Position(10)));

    // It went on without the checkpoint, another way.
    let log = SledLog::open(SledOptions::new(older.path())).await.unwrap();
    append(&log, 8).await;
    drop(log);
    let error = open_error(options(older.path())).await;
    assert!(is_fault_at(&error, 10), "{error}");
    assert!(matches!(error, OpenError::Fault(Fault { kind: FaultKind::Chain { .. }, .. })));
}

/// The anchor may be older than the checkpoint, after a loss of power, or younger.
#[tokio::test]
async fn the_anchor_is_compared_before_and_after_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    append(&log, 4).await;
    drop(log);
    let early = fs::read(dir.path().join("anchor")).unwrap();
    let log = open(dir.path()).await;
    append(&log, 6).await;
    log.checkpoint().await.unwrap();
    append(&log, 5).await;
    drop(log);
    assert!(is_used(dir.path()).await, "with an anchor that is younger");
    let late = fs::read(dir.path().join("anchor")).unwrap();
    fs::write(dir.path().join("anchor"), &early).unwrap();
    assert!(is_used(dir.path()).await, "with an anchor that is older");
    for (anchor, at) in [(early, 4), (late, 15)] {
        fs::write(dir.path().join("anchor"), forged(anchor)).unwrap();
        let error = open_error(options(dir.path())).await;
        assert!(is_fault_at(&error, at), "{error}");
    }
}

/// An anchor that tells of other events at its positions.
fn forged(mut anchor: Vec<u8>) -> Vec<u8> {
    for slot in anchor.chunks_mut(64) {
        slot[20] ^= 1;
        let crc = crc32c::crc32c(&slot[..40]);
        slot[40..44].copy_from_slice(&crc.to_le_bytes());
    }
    anchor
}

#[tokio::test]
async fn without_a_key_there_is_no_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let log = SledLog::open(SledOptions::new(dir.path())).await.unwrap();
    append(&log, 3).await;
    assert!(matches!(log.checkpoint().await, Err(CheckpointError::NoKey)));
    for _ in 0..20 {
        log.append(batch((0..512).map(|_| event("user/1", "x")))).await.unwrap();
    }
    log.close().await;
    assert!(!dir.path().join("checkpoint").exists());
    drop(log);

    let log = open(dir.path()).await;
    log.checkpoint().await.unwrap();
    drop(log);
    damage(dir.path(), 3);
    let error = open_error(SledOptions::new(dir.path())).await;
    assert!(is_fault_at(&error, 3), "one that is there is not used: {error}");
}

#[tokio::test]
async fn closing_makes_a_checkpoint_when_much_was_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    append(&log, 5).await;
    drop(log);
    assert!(!dir.path().join("checkpoint").exists());
    let log = open(dir.path()).await;
    for _ in 0..20 {
        log.append(batch((0..512).map(|_| event("user/1", "x")))).await.unwrap();
    }
    log.close().await;
    assert!(matches!(log.checkpoint().await, Err(CheckpointError::Unavailable(_))));
    let made = fs::read(dir.path().join("checkpoint")).unwrap();
    drop(log);
    assert!(is_used(dir.path()).await);

    let log = open(dir.path()).await;
    append(&log, 5).await;
    drop(log);
    assert_eq!(fs::read(dir.path().join("checkpoint")).unwrap(), made, "there was little new");
}

#[tokio::test]
async fn a_full_disk_costs_no_more_than_the_new_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let before = fs::read(dir.path().join("checkpoint")).unwrap();
    let room = Box::new(|_| Ok(true));
    let log = SledLog::open(options(dir.path()).reserve_bytes(u64::MAX).room(room)).await.unwrap();
    append(&log, 5).await;
    assert!(matches!(log.checkpoint().await, Err(CheckpointError::Full)));
    append(&log, 5).await;
    log.close().await;
    assert_eq!(fs::read(dir.path().join("checkpoint")).unwrap(), before);
    drop(log);
    assert!(is_used(dir.path()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_are_made_while_appending_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(open(dir.path()).await);
    let writers = (0..4).map(|writer| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            for n in 0..50 {
                let claims = vec![take(&format!("{writer}/{n}"))];
                let events = (0..3).map(|_| event(&format!("user/{writer}"), "x"));
                log.append(Batch { claims, ..batch(events) }).await.unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut last = Position::START;
    while writers.iter().any(|writer| !writer.is_finished()) {
        let (one, other) = tokio::join!(log.checkpoint(), log.checkpoint());
        let (one, other) = (one.unwrap().position, other.unwrap().position);
        assert!(last <= one && one <= other);
        last = other;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let head = log.head();
    log.close().await;
    let log = open(dir.path()).await;
    assert_eq!(log.head(), head);
    let taking = Batch { claims: vec![take("3/49")], ..batch([event("user/9", "x")]) };
    assert!(matches!(log.append(taking).await, Err(AppendError::ClaimTaken { .. })));
    verify(&log, None).await.unwrap();
}
