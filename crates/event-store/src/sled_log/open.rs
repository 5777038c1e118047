//! Opening: the lock, sled's own recovery, the log's identity, the check of the whole chain.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::anchor::Anchor;
use super::checkpoint::{Checkpoint, Checkpoints};
use super::committer::Committer;
use super::files::{Files, SLED_LOCK_WAIT};
use super::room::Room;
use super::{
    Inner, LAST_FRAMES, OpenError, QUEUE_COMMANDS_MAX, RoomFn, SledLog, SledOptions, SyncFn, key,
    stored,
};
use crate::index::Index;
use crate::tail::Tail;
use crate::verify::{Known, Verifier, same_hash, trusted};
use crate::{
    Clock, EPOCH_MAX, Fault, FaultKind, Head, Position, Recorded, StoredFrame, SystemClock,
};

const CACHE_BYTES: u64 = 64 << 20;
/// What sled writes to `conf`, with the settings that it has here, and its checksum.
const SETTINGS: &[u8] =
    b"segment_size: 524288\nuse_compression: false\nversion: 0.34\n\x76\x19\x51\xc1";
pub(super) const EVENTS: &str = "events";
/// In sled's default tree: version 1, log ID (16 bytes), epoch (u64, little endian).
const IDENTITY: &str = "log";
const IDENTITY_VERSION: u8 = 1;

pub(super) fn open(options: SledOptions) -> Result<SledLog, OpenError> {
    let SledOptions { dir, clock, sync, room, reserve_bytes, checkpoint_key } = options;
    make_folder(&dir).map_err(|source| io_error(&dir, source))?;
    let in_use = lock_folder(&dir)?;
    let files = Files::open(&dir, in_use)?;
    let Files { events, database, .. } = &files;
    let mut file_sync = files.sync()?;
    let (anchor, recorded) = Anchor::open(&dir).map_err(|source| io_error(&dir, source))?;
    let (log_id, epoch) = match identity(database)? {
        Some(identity) => identity,
        None if events.is_empty() => {
            check_length(&dir, Position::START, recorded.as_slice())?;
            create(database, &mut file_sync, &dir)?
        }
        None => return Err(OpenError::NoIdentity(dir)),
    };
    sync_folders(&dir)?; // sled has made files, also when the log is not new
    let checkpoints = checkpoint_key.map(|key| Checkpoints {
        dir: dir.clone(),
        key,
        log_id,
        epoch,
        reserve_bytes,
        copying: tokio::sync::Mutex::default(),
        last: Mutex::new(Some(Position::START)),
    });
    let verifier = read(&dir, log_id, events, recorded, checkpoints.as_ref())?;
    let sequencer = verifier.finish(clock)?;
    let tail = Tail::new(sequencer.head());
    let last = events.iter().rev().take(LAST_FRAMES);
    let last: Result<VecDeque<_>, _> =
        last.map(|entry| stored(sequencer.head().position, entry)).collect();
    let last = Mutex::new(last?.into_iter().rev().collect());
    let (events, database) = (events.clone(), database.clone());
    let inner = Arc::new(Inner {
        log_id,
        epoch,
        tail,
        files: RwLock::new(Some(files)),
        last,
        checkpoints: checkpoints.map(Arc::new),
    });
    let (sender, receiver) = mpsc::channel(QUEUE_COMMANDS_MAX);
    let sync = sync.unwrap_or(file_sync);
    let room = match room {
        Some(room) => room,
        None => room_of(&dir, reserve_bytes)?,
    };
    let committer = Committer {
        inner: Arc::clone(&inner),
        events,
        database,
        sequencer,
        sync,
        room,
        full: false,
        anchor,
    };
    let committer = committer.start(receiver).map_err(|source| io_error(&dir, source))?;
    Ok(SledLog {
        inner,
        requests: Mutex::new(Some(sender)),
        committer: Mutex::new(Some(committer)),
    })
}

/// Reads and checks the log: what follows its checkpoint, or all of it when there is the least doubt.
fn read(
    dir: &Path,
    log_id: Uuid,
    events: &sled::Tree,
    recorded: Option<Head>,
    checkpoints: Option<&Checkpoints>,
) -> Result<Verifier<Index>, OpenError> {
    let mut recorded = Vec::from_iter(recorded);
    match checkpoints.map(Checkpoints::read) {
        None | Some(Ok(None)) => {}
        Some(Err(reason)) => {
            tracing::warn!(%reason, "event log's checkpoint is not used; the whole log is read");
        }
        Some(Ok(Some(checkpoint))) => {
            // Only a log with this key can have written it, after the events were durable: the log
            // was once as it says, and one that no longer is must be refused below.
            let head = checkpoint.head;
            recorded.push(head);
            match resume(dir, checkpoint, events, &recorded) {
                Ok(verifier) => {
                    checkpoints.into_iter().for_each(|checkpoints| checkpoints.start_at(head));
                    return Ok(verifier);
                }
                Err(reason) => {
                    tracing::warn!(
                        %reason,
                        "event log does not continue its checkpoint; the whole log is read"
                    );
                }
            }
        }
    }
    let mut verifier = Verifier::new(log_id, Index::default());
    scan(&mut verifier, events, &recorded)?;
    verifier.verified()?;
    check_length(dir, verifier.head().position, &recorded)?;
    Ok(verifier)
}

fn resume(
    dir: &Path,
    Checkpoint { head, index }: Checkpoint,
    events: &sled::Tree,
    recorded: &[Head],
) -> Result<Verifier<Index>, OpenError> {
    let event = trusted(head, frame_at(events, head.position)?)?;
    let mut verifier = Verifier::after(&event, index)?;
    scan(&mut verifier, events, recorded)?;
    verifier.verified()?;
    check_length(dir, verifier.head().position, recorded)?;
    Ok(verifier)
}

/// Reads what follows the head of `verifier`, and checks it, also against what was `recorded` of it.
fn scan(
    verifier: &mut Verifier<impl Known>,
    events: &sled::Tree,
    recorded: &[Head],
) -> Result<(), OpenError> {
    scan_with(verifier, events, recorded, |_, _| Ok(()))
}

/// Does what [`scan`] does, and gives each event that was checked to `take`, with its frame.
pub(super) fn scan_with<E: From<OpenError>>(
    verifier: &mut Verifier<impl Known>,
    events: &sled::Tree,
    recorded: &[Head],
    mut take: impl FnMut(&Recorded, &StoredFrame) -> Result<(), E>,
) -> Result<(), E> {
    let fault = |fault: Fault| E::from(fault.into());
    let start = verifier.head().position;
    for head in recorded.iter().filter(|head| (Position(1)..=start).contains(&head.position)) {
        let frame = frame_at(events, head.position).map_err(fault)?;
        trusted(*head, frame).map_err(fault)?;
    }
    for entry in events.range(key(start.next())..) {
        let frame = stored(verifier.head().position, entry).map_err(fault)?;
        let event = verifier.push(frame.clone()).map_err(fault)?;
        let found = verifier.head();
        for head in recorded.iter().filter(|head| head.position == found.position) {
            same_hash(*head, found).map_err(fault)?;
        }
        take(&event, &frame)?;
    }
    Ok(())
}

/// The frame at a position, if there is one.
pub(super) fn frame_at(
    events: &sled::Tree,
    position: Position,
) -> Result<Option<StoredFrame>, Fault> {
    let unreadable = |_| Fault { position, kind: FaultKind::Missing };
    let bytes = events.get(key(position)).map_err(unreadable)?;
    Ok(bytes.map(|bytes| StoredFrame { position, bytes: Bytes::copy_from_slice(&bytes) }))
}

/// Refuses a log that ends before what was `recorded` of it.
pub(super) fn check_length(dir: &Path, head: Position, recorded: &[Head]) -> Result<(), OpenError> {
    match recorded.iter().map(|recorded| recorded.position).max() {
        Some(recorded) if recorded > head => {
            Err(OpenError::Shortened { dir: dir.to_owned(), head, recorded })
        }
        Some(_) | None => Ok(()),
    }
}

/// Locks the folder for this log, until the file is dropped.
///
/// sled locks its own file too, but its threads may hold on to it for a moment after it is closed: the
/// lock here tells another process from that.
pub(super) fn lock_folder(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|source| io_error(dir, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(io_error(dir, source)),
    }
}

/// Opens sled. If it finds itself corrupt, moves its newest snapshot aside and tries once more.
pub(super) fn open_database(dir: &Path) -> Result<sled::Db, OpenError> {
    remove_torn_settings(dir).map_err(|source| io_error(dir, source))?;
    match try_open(dir) {
        Err(TryOpen::Damaged(reason)) => {
            let moved = move_snapshots_aside(dir).map_err(|source| io_error(dir, source))?;
            if moved.is_empty() {
                return Err(OpenError::Database(reason));
            }
            tracing::warn!(%reason, ?moved, "event log's snapshot is damaged and was moved aside");
            try_open(dir).map_err(|error| match error {
                TryOpen::Damaged(reason) => OpenError::Database(reason),
                TryOpen::Final(error) => error,
            })
        }
        Err(TryOpen::Final(error)) => Err(error),
        Ok(database) => Ok(database),
    }
}

enum TryOpen {
    /// sled's files are not as sled left them; its snapshot may be to blame.
    Damaged(String),
    /// Trying again would not help.
    Final(OpenError),
}

fn try_open(dir: &Path) -> Result<sled::Db, TryOpen> {
    let config = sled::Config::new()
        .path(dir)
        .mode(sled::Mode::HighThroughput)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None);
    let until = Instant::now() + SLED_LOCK_WAIT;
    // sled also panics over files that it cannot make sense of.
    let opened = loop {
        match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Err(sled::Error::Io(error))) if error.to_string().contains("acquire lock") => {
                if Instant::now() > until {
                    return Err(TryOpen::Final(OpenError::InUse(dir.to_owned())));
                }
                thread::sleep(Duration::from_millis(5));
            }
            opened => break opened,
        }
    };
    match opened {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(sled::Error::Io(source))) => Err(TryOpen::Final(io_error(dir, source))),
        Ok(Err(error @ (sled::Error::Corruption { .. } | sled::Error::ReportableBug(_)))) => {
            Err(TryOpen::Damaged(error.to_string()))
        }
        Ok(Err(error @ (sled::Error::Unsupported(_) | sled::Error::CollectionNotFound(_)))) => {
            Err(TryOpen::Final(database_error(error)))
        }
        Err(_) => Err(TryOpen::Damaged("database panicked while opening".to_owned())),
    }
}

/// Renames half-written snapshots and the newest whole one; sled recovers from its log without them.
fn move_snapshots_aside(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut snapshots = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if name.starts_with("snap.") {
            snapshots.push(path);
        }
    }
    snapshots.sort(); // their names end in the place in sled's log, in hexadecimal
    let is_half_written = |path: &PathBuf| path.extension() == Some(OsStr::new("generating"));
    let (mut aside, whole): (Vec<_>, Vec<_>) = snapshots.into_iter().partition(is_half_written);
    aside.extend(whole.into_iter().next_back());
    for path in &aside {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        fs::rename(path, dir.join(format!("aside-{}-{name}", SystemClock.now_ms())))?;
    }
    Ok(aside)
}

/// Removes sled's settings when they are what a loss of power in the making of a log leaves of them:
/// sled syncs them never, and would not open. It writes them anew, and they are always the same.
fn remove_torn_settings(dir: &Path) -> io::Result<()> {
    let path = dir.join("conf");
    let settings = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        settings => settings?,
    };
    let is_torn = settings != SETTINGS
        && settings.len() <= SETTINGS.len()
        && settings.iter().zip(SETTINGS).all(|(found, whole)| *found == 0 || found == whole);
    if is_torn { fs::remove_file(path) } else { Ok(()) }
}

pub(super) fn identity(database: &sled::Db) -> Result<Option<(Uuid, u64)>, OpenError> {
    let Some(value) = database.get(IDENTITY).map_err(database_error)? else { return Ok(None) };
    let unknown = || OpenError::Database("log's identity is malformed".to_owned());
    let (&version, rest) = value.split_first().ok_or_else(unknown)?;
    let (id, epoch) = rest.split_first_chunk().ok_or_else(unknown)?;
    if version != IDENTITY_VERSION {
        return Err(unknown());
    }
    let epoch = u64::from_le_bytes(epoch.try_into().map_err(|_| unknown())?);
    if !(1..=EPOCH_MAX).contains(&epoch) {
        return Err(unknown());
    }
    Ok(Some((Uuid::from_bytes(*id), epoch)))
}

/// Gives a new log its identity, durably: nothing is appended before.
fn create(database: &sled::Db, sync: &mut SyncFn, dir: &Path) -> Result<(Uuid, u64), OpenError> {
    let (log_id, epoch) = (Uuid::new_v4(), 1);
    write_identity(database, sync, dir, log_id, epoch)?;
    Ok((log_id, epoch))
}

/// Writes a log's identity, and makes it durable with all that was written before.
pub(super) fn write_identity(
    database: &sled::Db,
    sync: &mut SyncFn,
    dir: &Path,
    log_id: Uuid,
    epoch: u64,
) -> Result<(), OpenError> {
    let mut value = vec![IDENTITY_VERSION];
    value.extend_from_slice(log_id.as_bytes());
    value.extend_from_slice(&epoch.to_le_bytes());
    database.insert(IDENTITY, value).map_err(database_error)?;
    database.flush().map_err(database_error)?;
    sync().map_err(|source| io_error(dir, source))
}

pub(super) fn room_of(dir: &Path, reserve_bytes: u64) -> Result<RoomFn, OpenError> {
    let room = Room::of(dir, reserve_bytes).map_err(|source| io_error(dir, source))?;
    Ok(Box::new(move |bytes| room.make(bytes)))
}

/// Makes a folder, and those that lead to it, each durable in the one above.
fn make_folder(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(above) = dir.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_folder(above)?;
    }
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let above = fs::canonicalize(dir)?;
    above.parent().map_or(Ok(()), |above| File::open(above)?.sync_all())
}

/// Makes the names of the files durable, the folder's own name included.
pub(super) fn sync_folders(dir: &Path) -> Result<(), OpenError> {
    let path = fs::canonicalize(dir).map_err(|source| io_error(dir, source))?;
    let files = [path.join("conf")];
    let folders = [path.join("blobs"), path.clone()];
    let all = files.into_iter().chain(folders).chain(path.parent().map(Path::to_owned));
    all.into_iter()
        .filter(|path| path.exists())
        .try_for_each(|path| File::open(path)?.sync_all())
        .map_err(|source| io_error(dir, source))
}

pub(super) fn io_error(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io { path: path.to_owned(), source }
}

pub(super) fn database_error(error: sled::Error) -> OpenError {
    OpenError::Database(error.to_string())
}
