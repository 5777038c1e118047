//! The one thread that writes to the database.

use std::fmt::Display;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::anchor::Anchor;
use super::{Command, Copied, Inner, Request, RoomFn, SyncFn, key};
use crate::sequencer::{Sequenced, Sequencer};
use crate::tail::State;
use crate::{AppendError, Appended, Recorded, StoredFrame};

/// The most commands in one group.
const GROUP_COMMANDS_MAX: usize = 512;
/// A group takes no more commands once their events come to this many bytes.
const GROUP_BYTES_MAX: usize = 1 << 20;

/// How long a group is held open, at most, for those who were just answered to ask again: they would else
/// wait while a group of a few is written. A lone writer is never held up.
const GATHER: Duration = Duration::from_micros(200);

/// With fewer events since the last checkpoint, closing makes none.
const CHECKPOINT_EVENTS_MIN: u64 = 10_000;

/// Writes, makes durable, publishes and answers.
pub(super) struct Committer {
    pub(super) inner: Arc<Inner>,
    pub(super) events: sled::Tree,
    pub(super) database: sled::Db,
    pub(super) sequencer: Sequencer,
    pub(super) sync: SyncFn,
    pub(super) room: RoomFn,
    /// The last group found no room.
    pub(super) full: bool,
    pub(super) anchor: Anchor,
}

type Answer = Result<Appended, AppendError>;
type Reply = oneshot::Sender<Answer>;

/// What has queued up: commands in order, and the bytes that their events come to.
#[derive(Default)]
struct Gathered {
    commands: Vec<Command>,
    bytes: usize,
    copies: Vec<oneshot::Sender<Copied>>,
}

/// Commands that become durable together.
#[derive(Default)]
struct Group {
    batch: sled::Batch,
    events: Vec<Arc<Recorded>>,
    frames: Vec<StoredFrame>,
    answers: Vec<(Reply, Answer)>,
}

impl Gathered {
    fn take(&mut self, request: Request) {
        let command = match request {
            Request::Append(command) => command,
            Request::Copy(reply) => return self.copies.push(reply),
        };
        // What is over its limits is refused, and must not take the others' room.
        if command.batch.check_limits().is_ok() {
            self.bytes += command.batch.frame_bytes();
        }
        self.commands.push(command);
    }

    /// What waits now, as far as there is room for it.
    fn take_queued(&mut self, requests: &mut mpsc::Receiver<Request>) {
        while !self.is_full()
            && let Ok(request) = requests.try_recv()
        {
            self.take(request);
        }
    }

    fn is_short_of(&self, expected: usize) -> bool {
        !self.is_full() && self.commands.len() < expected
    }

    fn is_full(&self) -> bool {
        self.commands.len() >= GROUP_COMMANDS_MAX || self.bytes >= GROUP_BYTES_MAX
    }
}

impl Committer {
    /// Starts the thread. It ends when every sender is gone, or when the log has failed.
    pub(super) fn start(self, requests: mpsc::Receiver<Request>) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name("log-committer".into()).spawn(move || self.work(requests))
    }

    fn work(mut self, mut requests: mpsc::Receiver<Request>) {
        let inner = Arc::clone(&self.inner);
        let run = catch_unwind(AssertUnwindSafe(|| self.run(&mut requests)));
        let reason = match run {
            Ok(Ok(())) => None,
            Ok(Err(reason)) => Some(reason),
            Err(panic) => Some(describe(panic.as_ref())),
        };
        if let Some(reason) = &reason {
            tracing::error!(%reason, "event log failed; it takes no more appends");
            inner.tail.end(State::Failed(Arc::clone(reason)));
            requests.close();
            while let Some(request) = requests.blocking_recv() {
                if let Request::Append(Command { reply, .. }) = request {
                    drop(reply.send(Err(AppendError::Unavailable(Arc::clone(reason)))));
                }
            }
        } else if catch_unwind(AssertUnwindSafe(|| self.checkpoint_at_end())).is_err() {
            tracing::error!("event log's checkpoint could not be written at closing");
        }
        if let Some(checkpoints) = &inner.checkpoints {
            checkpoints.close();
        }
        drop(self);
        if reason.is_none() {
            inner.close();
            inner.tail.end(State::Closed);
        }
    }

    fn run(&mut self, requests: &mut mpsc::Receiver<Request>) -> Result<(), Arc<str>> {
        let mut expected = 1;
        while let Some(first) = requests.blocking_recv() {
            let mut gathered = Gathered::default();
            gathered.take(first);
            gathered.take_queued(requests);
            let start = Instant::now();
            while gathered.is_short_of(expected) && start.elapsed() < GATHER {
                thread::yield_now();
                gathered.take_queued(requests);
            }
            let copies = mem::take(&mut gathered.copies);
            // Before anything is numbered: what was numbered must be written.
            match self.make_room(gathered.bytes) {
                Ok(true) => {
                    let answers = self.record(gathered)?;
                    expected = answers.len() + requests.len();
                    for (reply, answer) in answers {
                        drop(reply.send(answer)); // whoever asked may have gone
                    }
                }
                Ok(false) => self.refuse(gathered),
                Err(reason) => {
                    let unavailable = AppendError::Unavailable(Arc::clone(&reason));
                    for Command { reply, .. } in gathered.commands {
                        drop(reply.send(Err(unavailable.clone())));
                    }
                    return Err(reason);
                }
            }
            // All that is numbered is durable here.
            for reply in copies {
                drop(reply.send(self.copy()));
            }
        }
        Ok(())
    }

    fn copy(&self) -> Copied {
        let start = Instant::now();
        let (index, head) = (self.sequencer.index().clone(), self.sequencer.head());
        let took_ms = start.elapsed().as_secs_f64() * 1000.0;
        tracing::debug!(took_ms, position = head.position.0, "copied the index for a checkpoint");
        Copied { index, head, time_ms: self.sequencer.time_ms() }
    }

    /// So that the next opening is quick, when enough has come that it would not be.
    fn checkpoint_at_end(&self) {
        let Some(checkpoints) = &self.inner.checkpoints else { return };
        let head = self.sequencer.head();
        if checkpoints.events_since(head.position) < CHECKPOINT_EVENTS_MIN {
            return;
        }
        let (index, time_ms) = (self.sequencer.index(), self.sequencer.time_ms());
        if let Err(error) = checkpoints.write(index, head, time_ms) {
            tracing::warn!(%error, "event log is closed without a new checkpoint");
        }
    }

    fn make_room(&mut self, bytes: usize) -> Result<bool, Arc<str>> {
        if bytes == 0 {
            return Ok(true);
        }
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let has_room = (self.room)(bytes).map_err(|error| failed("making room", &error))?;
        match (has_room, mem::replace(&mut self.full, !has_room)) {
            (false, false) => tracing::error!("event log's disk is full; appends are refused"),
            (true, true) => tracing::info!("event log's disk has room again"),
            _ => {}
        }
        Ok(has_room)
    }

    fn record(
        &mut self,
        Gathered { commands, .. }: Gathered,
    ) -> Result<Vec<(Reply, Answer)>, Arc<str>> {
        let mut group = Group::default();
        for command in commands {
            self.take(&mut group, command)?;
        }
        self.commit(group)
    }

    /// Answers without recording anything: what was recorded before is told, and what would be
    /// refused with room enough is refused as it would be.
    fn refuse(&self, Gathered { commands, .. }: Gathered) {
        for Command { batch, reply } in commands {
            let before = self.sequencer.check(&batch);
            drop(reply.send(before.and_then(|before| before.ok_or(AppendError::Full))));
        }
    }

    /// Adds a command to the group. It is answered with the group, also when refused: by then, what
    /// it was refused for can be read.
    fn take(
        &mut self,
        group: &mut Group,
        Command { batch, reply }: Command,
    ) -> Result<(), Arc<str>> {
        let answer = match self.sequencer.sequence(batch) {
            Ok(Sequenced::Before(appended)) => Ok(appended),
            Ok(Sequenced::New(appended, frames)) => {
                for (event, frame) in frames {
                    group.batch.insert(&key(event.position), frame.as_ref());
                    group.frames.push(StoredFrame { position: event.position, bytes: frame });
                    group.events.push(event);
                }
                Ok(appended)
            }
            Err(AppendError::Unavailable(reason)) => return Err(reason),
            Err(refusal) => Err(refusal),
        };
        group.answers.push((reply, answer));
        Ok(())
    }

    fn commit(&mut self, mut group: Group) -> Result<Vec<(Reply, Answer)>, Arc<str>> {
        if !group.events.is_empty() {
            if let Err(reason) = self.store(mem::take(&mut group.batch), &group.frames) {
                for (reply, _) in group.answers {
                    drop(reply.send(Err(AppendError::OutcomeUnknown(Arc::clone(&reason)))));
                }
                return Err(reason);
            }
            self.inner.keep_last(group.frames);
            self.inner.tail.publish(group.events);
        }
        Ok(group.answers)
    }

    fn store(&mut self, batch: sled::Batch, frames: &[StoredFrame]) -> Result<(), Arc<str>> {
        // One event is written whole or not at all by itself. A batch's mark goes to the disk on its own
        // first, for which a lone writer would wait.
        let written = match frames {
            [frame] => self.events.insert(key(frame.position), frame.bytes.as_ref()).map(drop),
            _ => self.events.apply_batch(batch),
        };
        written.map_err(|error| failed("write", &error))?;
        // sled leaves it to whoever comes by next to finish the splitting of a leaf. A log that has
        // failed would not be read across that place.
        for frame in frames {
            self.events.get(key(frame.position)).map_err(|error| failed("write", &error))?;
        }
        self.database.flush().map_err(|error| failed("flush", &error))?;
        (self.sync)().map_err(|error| failed("sync", &error))?;
        self.anchor.write(self.sequencer.head()).map_err(|error| failed("anchor", &error))
    }
}

fn failed(what: &str, error: &dyn Display) -> Arc<str> {
    format!("{what} failed: {error}").into()
}

fn describe(panic: &(dyn std::any::Any + Send)) -> Arc<str> {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("committer panicked: {}", text.unwrap_or("no message")).into()
}
