//! Export and import: what comes back is what was there, in the next epoch, or nothing comes back.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use event_store::archive::{self, ArchiveError, ImportError, LINE_BYTES_MAX, LineError};
use event_store::conformance::{START_MS, batch, event, event_at, release, take};
use event_store::{
    AppendError, Batch, EPOCH_MAX, EventLog, Fault, FaultKind, ManualClock, NewEvent, OpenError,
    OtherEpoch, Position, Recorded, SledLog, SledOptions, frame, verify,
};
use futures::TryStreamExt;

fn options(dir: &Path) -> SledOptions {
    SledOptions::new(dir).clock(Arc::new(ManualClock::new(START_MS)))
}

async fn open(dir: &Path) -> Arc<dyn EventLog> {
    Arc::new(SledLog::open(options(dir)).await.unwrap())
}

/// Eight events: a batch of three with claims, three of one, and two with sealed parts, of which the
/// first is dropped.
async fn filled(dir: &Path) -> Vec<Recorded> {
    let log = open(dir).await;
    let three = [event_at("user/1", 0, "1"), event("key/1", "2"), event("user/1", "\"3\" \\ ä")];
    let claims = vec![take("alice"), take("bob")];
    log.append(Batch { claims, ..batch(three) }).await.unwrap();
    for n in 0..3 {
        let claims = if n == 1 { vec![release("bob")] } else { vec![] };
        let event = event_at("user/2", n, "x");
        log.append(Batch { claims, ..batch([event]) }).await.unwrap();
    }
    for sealed in ["dropped ciphertext", "kept ciphertext"] {
        let sealed = Some(sealed.into());
        log.append(batch([NewEvent { sealed, ..event("key/1", "y") }])).await.unwrap();
    }
    log.close().await;
    drop(log);
    change(dir, 7, |bytes| frame::without_sealed(bytes.into()).unwrap().to_vec());
    let log = open(dir).await;
    let events = log.read(Position::START, 100).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.sealed_hash.is_some()).count(), 2);
    assert_eq!(events.iter().filter(|event| event.sealed.is_some()).count(), 1);
    log.close().await;
    events
}

fn change(dir: &Path, position: u64, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let config = sled::Config::new().path(dir).flush_every_ms(None);
    let database = (0..1000)
        .find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            config.open().ok()
        })
        .expect("the database opens");
    let events = database.open_tree("events").unwrap();
    let bytes = events.get(position.to_be_bytes()).unwrap().unwrap();
    events.insert(position.to_be_bytes(), change(bytes.to_vec())).unwrap();
    database.flush().unwrap();
}

async fn exported(dir: &Path) -> String {
    let log = open(dir).await;
    let mut bytes = Vec::new();
    assert_eq!(archive::export(Arc::clone(&log), &mut bytes).await.unwrap(), log.head());
    log.close().await;
    String::from_utf8(bytes).unwrap()
}

/// Imports what must be refused; nothing is left behind.
fn refused(text: impl AsRef<[u8]>) -> ImportError {
    let parent = tempfile::tempdir().unwrap();
    let error = archive::import(text.as_ref(), options(&parent.path().join("log"))).unwrap_err();
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0, "nothing is left: {error}");
    error
}

fn line_error(error: ImportError) -> (u64, LineError) {
    let ImportError::Archive(ArchiveError::Line { line, kind }) = error else {
        panic!("not about a line: {error}");
    };
    (line, kind)
}

#[tokio::test]
async fn a_log_comes_back_whole_in_the_next_epoch_and_goes_on() {
    let (dir, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let events = filled(dir.path()).await;
    let text = exported(dir.path()).await;
    let to = parent.path().join("deeper").join("log");
    let verified = archive::import(text.as_bytes(), options(&to)).unwrap();
    assert_eq!((verified.events, verified.sealed_dropped), (8, 1));
    assert_eq!(archive::verify(text.as_bytes()).unwrap().1, verified);
    assert_eq!(SledLog::verify_offline(&to, None).await.unwrap().verified, verified);
    assert_eq!(fs::read_dir(to.parent().unwrap()).unwrap().count(), 1, "nothing beside it");

    let (old, log) = (open(dir.path()).await, open(&to).await);
    assert_eq!((log.log_id(), log.head()), (old.log_id(), old.head()));
    assert_eq!((old.epoch(), log.epoch()), (1, 2));
    assert_eq!(log.read(Position::START, 100).await.unwrap(), events);
    let seen = old.head().position.in_epoch(old.epoch());
    let refusal = Position::parse_in_epoch(seen, log.epoch()).unwrap_err();
    assert_eq!(refusal, OtherEpoch { found: 1, current: 2 });

    // It knows its streams, claims and commands, and goes on.
    let taking = |name| Batch { claims: vec![take(name)], ..batch([event("user/3", "z")]) };
    let error = log.append(taking("alice")).await.unwrap_err();
    assert!(matches!(error, AppendError::ClaimTaken { .. }), "{error}");
    assert_eq!(log.append(taking("bob")).await.unwrap().first, Position(9));
    let first = &events[0];
    let again = Batch {
        command_id: first.command_id,
        command_digest: first.command_digest,
        ..batch([event("user/1", "1")])
    };
    assert!(log.append(again).await.unwrap().duplicate);
    log.append(batch([event_at("user/2", 3, "z")])).await.unwrap();
    verify(&*log, None).await.unwrap();
    log.close().await;
    drop(log);

    let text = exported(&to).await;
    let third = parent.path().join("third");
    assert_eq!(archive::import(text.as_bytes(), options(&third)).unwrap().events, 10);
    assert_eq!(open(&third).await.epoch(), 3);
}

#[tokio::test]
async fn lines_are_for_people_too() {
    let dir = tempfile::tempdir().unwrap();
    let events = filled(dir.path()).await;
    let text = exported(dir.path()).await;
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 10);
    let head = &events[7];
    assert_eq!(lines[0]["format"], "claviger-log/1");
    assert_eq!(lines[0]["epoch"], 1);
    assert_eq!(lines[0]["head_position"], 8);
    assert_eq!(lines[0]["head_hash"], head.hash.to_string());
    for (line, event) in lines[1..].iter().zip(&events) {
        assert_eq!(line["position"], event.position.0);
        assert_eq!(line["time"], "2027-01-15T08:00:00.000Z");
        assert_eq!(line["account"], event.account.to_string());
        assert_eq!(line["stream"], event.stream.as_str());
        assert_eq!(line["revision"], event.revision.0);
        assert_eq!(line["event_type"], event.event_type);
        assert_eq!(line["command_id"], event.command_id.to_string());
        assert_eq!(line["actor"]["principal"], event.actor.principal.as_str());
        assert_eq!(line["hash"], event.hash.to_string());
        assert_eq!(line["previous_hash"], event.prev_hash.to_string());
    }
    assert_eq!(lines[9]["end"]["hash"], head.hash.to_string());

    // As a tool may write it that keeps values and not bytes.
    let rewritten = lines.iter().map(|line| format!("{line} \n")).collect::<String>();
    assert_eq!(archive::verify(rewritten.as_bytes()).unwrap().1.events, 8);
}

#[tokio::test]
async fn an_empty_log_comes_back_too() {
    let (dir, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open(dir.path()).await;
    let log_id = log.log_id();
    log.close().await;
    let text = exported(dir.path()).await;
    assert_eq!(archive::import(text.as_bytes(), options(parent.path())).unwrap().events, 0);
    let log = open(parent.path()).await;
    assert_eq!((log.log_id(), log.epoch(), log.head().position), (log_id, 2, Position::START));
    log.append(batch([event("user/1", "a")])).await.unwrap();
}

#[tokio::test]
async fn any_changed_byte_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let text = exported(dir.path()).await;
    let mut bytes = text.clone().into_bytes();
    for at in 0..bytes.len() {
        bytes[at] ^= 1;
        assert!(archive::verify(&bytes[..]).is_err(), "byte {at} of {text}");
        bytes[at] ^= 1;
    }
    archive::verify(&bytes[..]).unwrap();
}

#[tokio::test]
async fn each_field_says_what_the_frame_says() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let text = exported(dir.path()).await;
    let lines: Vec<_> = text.lines().collect();
    let fields = [
        ("time", "2027-01-15T08:00:00.000Z", "2027-01-15T08:00:00.001Z"),
        ("account", "00000acc0\"", "00000acc1\""),
        ("stream", "\"user/2\"", "\"user/3\""),
        ("revision", "\"revision\":2", "\"revision\":3"),
        ("event_type", "\"event_type\":7", "\"event_type\":8"),
        ("schema_version", "\"schema_version\":1", "\"schema_version\":2"),
        ("actor", "user/alice", "user/mallory"),
        (
            "command_id",
            "\"command_id\":\"",
            "\"command_id\":\"00000000-0000-4000-8000-000000000000\",\"x\":\"",
        ),
        ("hash", "\"hash\":\"", "\"hash\":\"00\",\"x\":\""),
        ("previous_hash", "\"previous_hash\":\"", "\"previous_hash\":\"00\",\"y\":\""),
    ];
    for (field, from, to) in fields {
        let mut lines = lines.clone();
        let forged = lines[5].replacen(from, to, 1);
        assert_ne!(forged, lines[5], "{field}");
        lines[5] = &forged;
        let (line, kind) = line_error(refused(lines.join("\n") + "\n"));
        assert_eq!(line, 6);
        assert!(matches!(kind, LineError::Differs(found) if found == field), "{field}: {kind}");
    }
}

#[tokio::test]
async fn a_truncated_archive_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let text = exported(dir.path()).await;
    for end in (0..text.len()).step_by(131).chain(text.match_indices('\n').map(|(at, _)| at)) {
        let cut = archive::verify(&text.as_bytes()[..end]).unwrap_err();
        assert!(matches!(cut, ArchiveError::Truncated { .. }), "at {end}: {cut}");
    }
    let after_five: usize = text.split_inclusive('\n').take(6).map(str::len).sum();
    let cut = refused(&text[..after_five]);
    assert!(matches!(cut, ImportError::Archive(ArchiveError::Truncated { lines: 6 })), "{cut}");
    // With an end of its own it still is not what its first line says.
    let mended = format!("{}{}", &text[..after_five], text.lines().last().unwrap());
    let (line, kind) = line_error(refused(mended + "\n"));
    assert!(line == 7 && matches!(kind, LineError::End), "{line}: {kind}");
}

#[tokio::test]
async fn lines_out_of_order_missing_or_twice_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let text = exported(dir.path()).await;
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let with = |change: &dyn Fn(&mut Vec<&str>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        refused(lines.concat())
    };
    let fault = |position, kind| Fault { position: Position(position), kind };
    let is = |error: ImportError, expected: Fault| {
        let ImportError::Archive(ArchiveError::Fault(fault)) = error else {
            panic!("no fault: {error}");
        };
        assert_eq!(fault, expected);
    };
    is(with(&|lines| lines.swap(4, 5)), fault(4, FaultKind::Missing));
    is(with(&|lines| drop(lines.drain(4..5))), fault(4, FaultKind::Missing));
    is(with(&|lines| lines.insert(4, lines[4])), fault(5, FaultKind::Missing));
    // The end in the middle of a batch, and after one.
    is(with(&|lines| lines.swap(3, 9)), fault(3, FaultKind::Batch));
    assert!(matches!(line_error(with(&|lines| lines.swap(5, 9))), (6, LineError::End)));
    let trailing = line_error(with(&|lines| lines.push("\n")));
    assert!(matches!(trailing, (11, LineError::Trailing)));
    let (line, kind) = line_error(with(&|lines| drop(lines.drain(..1))));
    assert!(line == 1 && matches!(kind, LineError::Malformed(_)), "{kind}");
}

#[tokio::test]
async fn another_format_a_long_line_and_a_last_epoch_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let text = exported(dir.path()).await;
    let newer = text.replacen("claviger-log/1", "claviger-log/2", 1);
    assert!(matches!(line_error(refused(newer)), (1, LineError::Format(_))));
    let long = text.replacen(
        "\"stream\"",
        &format!("\"x\":\"{}\",\"stream\"", "x".repeat(LINE_BYTES_MAX)),
        1,
    );
    assert!(matches!(line_error(refused(long)), (2, LineError::TooLong)));
    let endless = io::BufReader::new(io::repeat(b'x'));
    assert!(matches!(
        archive::verify(endless).unwrap_err(),
        ArchiveError::Line { line: 1, kind: LineError::TooLong }
    ));
    let last = text.replace("\"epoch\":1", &format!("\"epoch\":{EPOCH_MAX}"));
    archive::verify(last.as_bytes()).unwrap();
    assert!(matches!(refused(last), ImportError::NoEpochLeft));
    let beyond = text.replace("\"epoch\":1", &format!("\"epoch\":{}", EPOCH_MAX + 1));
    assert!(matches!(line_error(refused(beyond)), (1, LineError::Field("epoch"))));
}

#[tokio::test]
async fn a_log_is_imported_only_where_there_is_none() {
    let (dir, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(dir.path()).await;
    let text = exported(dir.path()).await;
    let to = parent.path().join("log");
    archive::import(text.as_bytes(), options(&to)).unwrap();
    let error = archive::import(text.as_bytes(), options(&to)).unwrap_err();
    assert!(matches!(&error, ImportError::Occupied(path) if *path == to), "{error}");
    assert!(error.to_string().contains("not empty"), "{error}");
    assert_eq!(open(&to).await.epoch(), 2, "it is as it was");
    let file = parent.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = archive::import(text.as_bytes(), options(&file)).unwrap_err();
    assert!(matches!(error, ImportError::Occupied(_)), "{error}");
}

#[tokio::test]
async fn what_a_crash_left_of_an_import_is_in_nobodys_way_and_one_under_way_is() {
    let (dir, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(dir.path()).await;
    let text = exported(dir.path()).await;
    let left = parent.path().join("log.importing");
    copy(dir.path(), &left);
    let to = parent.path().join("log");
    let other = fs::File::options().write(true).open(left.join("lock")).unwrap();
    other.lock().unwrap();
    let error = archive::import(text.as_bytes(), options(&to)).unwrap_err();
    assert!(matches!(error, ImportError::Open(OpenError::InUse(_))), "{error}");
    assert!(left.join("db").exists(), "it is the other's");
    drop(other);
    archive::import(text.as_bytes(), options(&to)).unwrap();
    assert!(!left.exists());
    assert_eq!(open(&to).await.epoch(), 2);
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_behind() {
    let (dir, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(dir.path()).await;
    let text = exported(dir.path()).await;
    let full = options(&parent.path().join("log")).reserve_bytes(u64::MAX);
    let error = archive::import(text.as_bytes(), full).unwrap_err();
    assert!(matches!(error, ImportError::Full), "{error}");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_checkpoint_of_the_epoch_before_is_not_used() {
    let (dir, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(dir.path()).await;
    let log = SledLog::open(options(dir.path()).checkpoint_key([7; 32])).await.unwrap();
    log.checkpoint().await.unwrap();
    drop(log);
    let to = parent.path().join("log");
    archive::import(exported(dir.path()).await.as_bytes(), options(&to)).unwrap();
    fs::copy(dir.path().join("checkpoint"), to.join("checkpoint")).unwrap();
    change(&to, 1, |_| b"damaged".to_vec());
    let error = SledLog::open(options(&to).checkpoint_key([7; 32])).await.err().unwrap();
    assert!(matches!(error, OpenError::Fault(Fault { position: Position(1), .. })), "{error}");
}

/// A file that is written to from another thread.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_closed_log_is_exported_as_an_open_one() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let text = exported(dir.path()).await;
    let sink = Shared::default();
    let head = SledLog::export_offline(dir.path(), sink.clone()).await.unwrap();
    assert_eq!(head.position, Position(8));
    assert_eq!(String::from_utf8(sink.0.lock().unwrap().clone()).unwrap(), text);

    let log = open(dir.path()).await;
    let error = SledLog::export_offline(dir.path(), io::sink()).await.unwrap_err();
    assert!(matches!(error, archive::ExportError::Open(OpenError::InUse(_))), "{error}");
    log.close().await;
    drop(log);
    change(dir.path(), 5, |_| b"damaged".to_vec());
    let sink = Shared::default();
    SledLog::export_offline(dir.path(), sink.clone()).await.unwrap_err();
    let half = archive::verify(&sink.0.lock().unwrap()[..]).unwrap_err();
    assert!(matches!(half, ArchiveError::Truncated { .. }), "{half}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_ends_where_the_log_did_when_it_began() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    for n in 0..600 {
        log.append(batch([event("user/1", &n.to_string())])).await.unwrap();
    }
    let mut lines = archive::lines(Arc::clone(&log));
    let mut text = lines.try_next().await.unwrap().unwrap();
    while let Some(line) = lines.try_next().await.unwrap() {
        text.push_str(&line);
        log.append(batch([event("user/1", "later")])).await.unwrap();
    }
    let (header, verified) = archive::verify(text.as_bytes()).unwrap();
    assert_eq!((verified.events, header.head.position), (600, Position(600)));
    assert_eq!((header.log_id, header.epoch), (log.log_id(), 1));
    assert!(log.head().position > Position(1000));
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
