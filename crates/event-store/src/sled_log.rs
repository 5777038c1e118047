//! The log on one machine's disk, in sled 0.34.7, used only in the ways that are known to hold.
//!
//! One thread owns the database and commits in groups: it applies what has queued up as one atomic
//! sled batch, flushes, and then calls `fdatasync` on sled's file itself, because sled's own flush on
//! Linux is a `sync_file_range`, which survives a crash of the process and not a loss of power. Only
//! then is anything acknowledged or visible. There is no linger: the time that the disk takes is the
//! window in which the next group gathers.
//!
//! Never used: `flush_async` (its futures deadlock), transactions (flushing within one deadlocks),
//! compression (opening becomes sixty times slower). Any error or panic on the way to the disk fails
//! the log for good: after a failed `fsync` the kernel may have dropped what it could not write, and
//! a second call would say that all is well. Reading goes on until the process ends, up to what was
//! durable. What the kernel dropped is a matter of opening again: see `files.rs`.
//!
//! A full disk is no such error. Room is made before a group is numbered; without it the group is
//! refused, reading goes on, and so does appending once there is room again.

mod anchor;
mod checkpoint;
mod committer;
mod files;
mod import;
mod offline;
mod open;
mod room;

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use uuid::Uuid;
use zeroize::Zeroizing;

use self::checkpoint::Checkpoints;
use self::files::Files;
pub use self::import::{ImportError, import};
use crate::archive::ExportError;
use crate::index::Index;

use crate::log::{READ_EVENTS_MAX, not_none};
use crate::tail::{self, FrameSource, State, Tail};
use crate::{
    AppendError, Appended, Batch, CheckpointError, Clock, EventLog, Fault, FaultKind, Head,
    Position, ReadError, StoredFrame, Subscription, SystemClock, Verified,
};

/// Makes durable whatever was written to sled's file before: in production an `fdatasync`.
pub type SyncFn = Box<dyn FnMut() -> io::Result<()> + Send>;

/// Makes room on the disk for a group of so many bytes, and tells whether there is: in production by
/// taking blocks of the file system ahead of sled's file.
pub type RoomFn = Box<dyn FnMut(u64) -> io::Result<bool> + Send>;

/// What [`SledOptions::reserve_bytes`] is unless it is given.
pub const RESERVE_BYTES: u64 = 64 << 20;

/// How many commands wait for the committer before `append` waits too.
const QUEUE_COMMANDS_MAX: usize = 4096;

/// How many frames are kept in memory: more than sled has in a leaf, which is at most 17.
const LAST_FRAMES: usize = 64;

/// What a [`SledLog`] is opened with.
pub struct SledOptions {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    sync: Option<SyncFn>,
    room: Option<RoomFn>,
    reserve_bytes: u64,
    checkpoint_key: Option<Zeroizing<[u8; 32]>>,
}

impl SledOptions {
    /// The log in `dir`, by the machine's clock. Makes the folder and the log if there is none.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            clock: Arc::new(SystemClock),
            sync: None,
            room: None,
            reserve_bytes: RESERVE_BYTES,
            checkpoint_key: None,
        }
    }

    /// Takes the events' times from another clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Calls `sync` in place of `fdatasync` before a group is acknowledged: for tests of what
    /// happens when it fails, or takes its time.
    pub fn sync(mut self, sync: SyncFn) -> Self {
        self.sync = Some(sync);
        self
    }

    /// Leaves so many bytes of the disk free: with less, appends are refused as
    /// [`AppendError::Full`]. By default [`RESERVE_BYTES`], which is enough to open and close the log.
    pub fn reserve_bytes(mut self, reserve_bytes: u64) -> Self {
        self.reserve_bytes = reserve_bytes;
        self
    }

    /// Makes and uses checkpoints, authenticated with this key (HMAC-SHA256): opening the log then
    /// reads what follows the last one, and not the whole log. Without a key none is made or used.
    ///
    /// A checkpoint that is not whole, of another log or epoch or key, or at odds with the log is not
    /// used: the whole log is read, as without. So a key may be changed at any time.
    pub fn checkpoint_key(mut self, key: [u8; 32]) -> Self {
        self.checkpoint_key = Some(Zeroizing::new(key));
        self
    }

    /// Calls `room` before a group is written, in place of looking at the disk: for tests of what
    /// happens when it is full.
    pub fn room(mut self, room: RoomFn) -> Self {
        self.room = Some(room);
        self
    }
}

/// Why a log cannot be opened. No event was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open. Retrying is safe.
    #[error("event log in {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// There is no log here.
    #[error("no event log in {}", .0.display())]
    NotFound(PathBuf),
    /// The log's events are there, and its identity is not: it was tampered with, or is no log of ours.
    #[error("event log in {} does not say which log it is", .0.display())]
    NoIdentity(PathBuf),
    /// What is stored is not what was written. Restore a backup.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The log ends before what was acknowledged: its files are damaged. Restore a backup.
    #[error("event log in {} ends at {}, though {recorded} was recorded", .dir.display(), .head)]
    Shortened {
        /// The log's folder.
        dir: PathBuf,
        /// Where it ends.
        head: Position,
        /// Where it ended before, at least.
        recorded: Position,
    },
    /// The file system said no.
    #[error("cannot open the event log in {}", .path.display())]
    Io {
        /// The log's folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The database said no, also after a half-written snapshot was moved aside.
    #[error("cannot open the event log's database: {0}")]
    Database(String),
}

/// An [`EventLog`] in a folder. Use one in one process; its files are locked.
///
/// Closing it makes a checkpoint if it has a key for that and many events came since the last one.
/// Dropping it waits for the group under way, like `close`, and blocks the thread meanwhile.
pub struct SledLog {
    inner: Arc<Inner>,
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    committer: Mutex<Option<JoinHandle<()>>>,
}

/// What readers and the committer share.
struct Inner {
    log_id: Uuid,
    epoch: u64,
    tail: Tail,
    /// None once closed: the files' lock goes with it. One that has failed has them still, to be read.
    files: RwLock<Option<Files>>,
    /// The last frames of the log, for when sled does not give them any more: it does not read a leaf
    /// that is to be split, as the last one often is, once it cannot write.
    last: Mutex<VecDeque<StoredFrame>>,
    /// None without a key.
    checkpoints: Option<Arc<Checkpoints>>,
}

/// What the committer is asked for.
enum Request {
    Append(Command),
    /// The state between two groups.
    Copy(oneshot::Sender<Copied>),
}

/// What verifying a log that no process has open found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VerifiedOffline {
    /// Which log it is.
    pub log_id: Uuid,
    /// How many times it was restored, plus 1.
    pub epoch: u64,
    /// What it came to.
    pub verified: Verified,
}

struct Copied {
    index: Index,
    head: Head,
    time_ms: u64,
}

/// A batch on its way to the committer.
struct Command {
    batch: Batch,
    reply: oneshot::Sender<Result<Appended, AppendError>>,
}

impl SledLog {
    /// Opens a log, or makes it, and checks it: as a whole, or what follows its last checkpoint, see
    /// [`SledOptions::checkpoint_key`].
    ///
    /// When sled finds itself corrupt, a snapshot of its own that a crash left half-written is moved
    /// aside, once; sled then recovers from its log.
    ///
    /// # Errors
    /// [`OpenError`]; retrying is safe and helps only against [`OpenError::InUse`].
    pub async fn open(options: SledOptions) -> Result<Self, OpenError> {
        off_runtime(move || open::open(options)).await
    }

    /// Checks a log that no process has open, without making one: all of it, or what follows `since`
    /// as [`crate::verify`] does. No event is changed; sled recovers its own files, as whenever it is
    /// opened, so give it a copy where nothing at all may be.
    ///
    /// # Errors
    /// [`OpenError::Fault`] with the first thing that is wrong; [`OpenError::Shortened`] also when the
    /// log ends before `since`; the others as for [`Self::open`].
    pub async fn verify_offline(
        dir: &Path,
        since: Option<Head>,
    ) -> Result<VerifiedOffline, OpenError> {
        Self::verify_offline_with(dir, since, |_| ()).await
    }

    /// Does what [`Self::verify_offline`] does, and tells `on_progress` how far it has come: after each
    /// 1,024 events or so, and at the end.
    ///
    /// # Errors
    /// As [`Self::verify_offline`].
    pub async fn verify_offline_with(
        dir: &Path,
        since: Option<Head>,
        on_progress: impl FnMut(Head) + Send + 'static,
    ) -> Result<VerifiedOffline, OpenError> {
        let dir = dir.to_owned();
        off_runtime(move || offline::verify(&dir, since, on_progress)).await
    }

    /// Writes the archive (see [`crate::archive`]) of a log that no process has open, and gives up to
    /// where it goes. Chain, times and batches are checked on the way. No event is changed; for sled's
    /// own files see [`Self::verify_offline`].
    ///
    /// # Errors
    /// [`ExportError`]; what was written is then no whole archive. Starting over is safe.
    pub async fn export_offline(
        dir: &Path,
        sink: impl io::Write + Send + 'static,
    ) -> Result<Head, ExportError> {
        let dir = dir.to_owned();
        off_runtime(move || offline::export(&dir, sink)).await
    }

    /// Asks the committer; none when it is gone.
    async fn send(&self, request: Request) -> Option<()> {
        let requests = lock(&self.requests).clone()?;
        requests.send(request).await.ok()
    }

    /// Why nothing more is appended.
    fn why_unavailable(&self) -> Arc<str> {
        match self.inner.tail.state() {
            State::Failed(reason) => reason,
            State::Open | State::Closed => "log is closed".into(),
        }
    }
}

async fn off_runtime<T: Send + 'static, E: From<OpenError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => Err(OpenError::Database(panic.to_string()).into()),
    }
}

impl EventLog for SledLog {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            let (reply, outcome) = oneshot::channel();
            let unavailable = || AppendError::Unavailable(self.why_unavailable());
            let sent = self.send(Request::Append(Command { batch, reply })).await;
            sent.ok_or_else(unavailable)?;
            outcome.await.unwrap_or_else(|_| {
                Err(AppendError::OutcomeUnknown("committer ended without an answer".into()))
            })
        })
    }

    fn frames(
        &self,
        after: Position,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredFrame>, ReadError>> {
        Arc::clone(&self.inner).frames(after, limit)
    }

    fn head(&self) -> Head {
        self.inner.tail.head()
    }

    fn subscribe(&self, after: Position) -> Subscription {
        tail::subscribe(Arc::clone(&self.inner), after)
    }

    fn checkpoint(&self) -> BoxFuture<'_, Result<Head, CheckpointError>> {
        Box::pin(async move {
            let checkpoints = self.inner.checkpoints.clone().ok_or(CheckpointError::NoKey)?;
            let _copying = checkpoints.copying.lock().await;
            let unavailable = || CheckpointError::Unavailable(self.why_unavailable());
            let (reply, copied) = oneshot::channel();
            self.send(Request::Copy(reply)).await.ok_or_else(unavailable)?;
            let Copied { index, head, time_ms } = copied.await.map_err(|_| unavailable())?;
            let writer = Arc::clone(&checkpoints);
            let written = spawn_blocking(move || writer.write(&index, head, time_ms)).await;
            match written {
                Ok(written) => written.map(|()| head),
                Err(panic) => Err(CheckpointError::Unavailable(panic.to_string().into())),
            }
        })
    }

    fn log_id(&self) -> Uuid {
        self.inner.log_id
    }

    fn epoch(&self) -> u64 {
        self.inner.epoch
    }

    fn failed(&self) -> BoxFuture<'static, Arc<str>> {
        self.inner.tail.failed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            lock(&self.requests).take();
            let committer = lock(&self.committer).take();
            match committer {
                // The committer catches its panics; there is nothing to learn from joining.
                Some(committer) => drop(spawn_blocking(|| committer.join()).await),
                None => self.inner.tail.ended().await,
            }
            // By now only one that has failed has its files.
            let inner = Arc::clone(&self.inner);
            drop(spawn_blocking(move || inner.let_go()).await);
        })
    }
}

impl Drop for SledLog {
    fn drop(&mut self) {
        lock(&self.requests).take();
        if let Some(committer) = lock(&self.committer).take() {
            // The committer catches its panics; there is nothing to learn from joining.
            drop(committer.join());
        }
        self.inner.let_go();
    }
}

impl FrameSource for Inner {
    fn frames(
        self: Arc<Self>,
        after: Position,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<StoredFrame>, ReadError>> {
        Box::pin(async move {
            let head = self.tail.head().position;
            if after > head {
                return Err(ReadError::AheadOfLog { after, head });
            }
            let limit = limit.min(READ_EVENTS_MAX);
            let read = spawn_blocking(move || self.frames_blocking(after, head, limit));
            read.await.unwrap_or_else(|panic| Err(ReadError::Unavailable(panic.to_string().into())))
        })
    }

    fn tail(&self) -> &Tail {
        &self.tail
    }
}

impl Inner {
    fn frames_blocking(
        &self,
        after: Position,
        head: Position,
        limit: usize,
    ) -> Result<Vec<StoredFrame>, ReadError> {
        if after == head {
            return Ok(Vec::new());
        }
        // Whoever closes waits for this: there is nobody left to use sled's files then.
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        let Some(Files { events, .. }) = &*files else {
            return Err(ReadError::Unavailable("log is closed".into()));
        };
        let mut frames: Vec<StoredFrame> = Vec::new();
        for entry in events.range(key(after.next())..=key(head)).take(limit) {
            match (stored(after, entry), self.tail.state()) {
                (Ok(frame), _) => frames.push(frame),
                // Where sled reads it may write, and after a failed write it does not.
                (Err(_), State::Failed(reason)) => {
                    let read = frames.last().map_or(after, |frame| frame.position);
                    frames.extend(self.last_after(read, head, limit - frames.len()));
                    if frames.is_empty() {
                        return Err(ReadError::Unavailable(reason));
                    }
                    break;
                }
                (Err(fault), State::Open | State::Closed) => return Err(fault.into()),
            }
        }
        not_none(after, limit, frames)
    }

    /// Frames from memory that follow directly; none if they are not there.
    fn last_after(&self, after: Position, head: Position, limit: usize) -> Vec<StoredFrame> {
        let last = lock(&self.last);
        let there = last.iter().skip_while(|frame| frame.position <= after);
        let there = there.take_while(|frame| frame.position <= head).take(limit);
        match there.clone().next() {
            Some(first) if first.position == after.next() => there.cloned().collect(),
            Some(_) | None => Vec::new(),
        }
    }

    /// Keeps frames that are durable and follow the last ones.
    fn keep_last(&self, frames: impl IntoIterator<Item = StoredFrame>) {
        let mut last = lock(&self.last);
        last.extend(frames);
        let surplus = last.len().saturating_sub(LAST_FRAMES);
        last.drain(..surplus);
    }

    /// Closes the files of a log that has not failed.
    fn close(&self) {
        self.end(|files| {
            if let Err(error) = files.close() {
                tracing::warn!(%error, "event log is not known to be closed in order");
            }
        });
    }

    /// Closes the files, if they are open still, of a log of which nothing is known any more.
    fn let_go(&self) {
        self.end(drop);
    }

    fn end(&self, end: impl FnOnce(Files)) {
        let files = self.files.write().unwrap_or_else(PoisonError::into_inner).take();
        // sled syncs once more as it goes, and panics if that fails.
        let ended = catch_unwind(AssertUnwindSafe(|| files.map(end)));
        if ended.is_err() {
            tracing::error!("event log's database could not be closed");
        }
    }
}

fn key(position: Position) -> [u8; 8] {
    position.0.to_be_bytes()
}

/// Makes a frame of what sled's iterator gives; `near` is where it stands, as far as is known.
fn stored(
    near: Position,
    entry: sled::Result<(sled::IVec, sled::IVec)>,
) -> Result<StoredFrame, Fault> {
    let unreadable = || Fault { position: near.next(), kind: FaultKind::Missing };
    let (key, bytes) = entry.map_err(|_| unreadable())?;
    let key = key.as_ref().try_into().map_err(|_| unreadable())?;
    let position = Position(u64::from_be_bytes(key));
    Ok(StoredFrame { position, bytes: Bytes::copy_from_slice(&bytes) })
}

/// What a panicking thread left is whole: each lock is held over infallible changes only.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
