//! The one thread that writes to the keystore's file.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::disk::Disk;
use super::header::{HEADER_BYTES, HEADERS, Header};
use super::index::{Entry, Name};
use super::slot::{SLOT_BYTES, Wrapped};
use crate::Error;

/// The most changes that become durable together.
const GROUP_CHANGES_MAX: usize = 512;
/// How many data keys are wrapped anew in one change. Few in tests, so that there are several.
pub(super) const REWRAPPED_MAX: usize = if cfg!(test) { 8 } else { 512 };
/// By how many slots the file grows when none is free: 256 KiB.
pub(super) const GROWTH_SLOTS: u64 = 1024;

/// A change on its way to the writer.
pub(super) struct Change {
    pub(super) kind: ChangeKind,
    pub(super) reply: Reply,
}

/// Answers with how many slots were changed.
type Reply = oneshot::Sender<Result<usize, Error>>;

pub(super) enum ChangeKind {
    Create(Name, Wrapped),
    Shred(Name),
    Scrub,
    Rewrap,
}

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) disk: Disk,
}

/// What has been written and not made durable yet.
#[derive(Default)]
struct Group {
    written: bool,
    created: Vec<Name>,
    answers: Vec<(Reply, Result<usize, Error>)>,
}

impl Writer {
    /// Starts the thread. It ends when every sender is gone, or when the keystore has failed.
    pub(super) fn start(self, changes: mpsc::Receiver<Change>) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name("keystore-writer".into()).spawn(move || self.work(changes))
    }

    fn work(mut self, mut changes: mpsc::Receiver<Change>) {
        let run = catch_unwind(AssertUnwindSafe(|| self.run(&mut changes)));
        let reason: Arc<str> = match run {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("write or sync failed: {error}").into(),
            Err(panic) => describe(panic.as_ref()),
        };
        tracing::error!(%reason, "keystore failed; it takes no more changes");
        self.shared.failed.send_replace(Some(Arc::clone(&reason)));
        changes.close();
        // Those that were in the failed group find their senders gone, and say the same.
        while let Some(Change { reply, .. }) = changes.blocking_recv() {
            drop(reply.send(Err(Error::Unavailable(Arc::clone(&reason)))));
        }
    }

    fn run(&mut self, changes: &mut mpsc::Receiver<Change>) -> io::Result<()> {
        while let Some(first) = changes.blocking_recv() {
            let mut group = Group::default();
            self.apply(&mut group, first)?;
            while group.answers.len() < GROUP_CHANGES_MAX {
                let Ok(change) = changes.try_recv() else { break };
                self.apply(&mut group, change)?;
            }
            if group.written {
                self.disk.sync()?;
            }
            self.settle(group);
        }
        Ok(())
    }

    /// Gives out what is durable now, and answers.
    fn settle(&self, group: Group) {
        let mut index = self.shared.index();
        for id in &group.created {
            if let Some(entry) = index.entries.get_mut(id) {
                entry.durable = true;
            }
        }
        drop(index);
        for (reply, answer) in group.answers {
            drop(reply.send(answer)); // whoever asked may have gone
        }
    }

    fn apply(&mut self, group: &mut Group, Change { kind, reply }: Change) -> io::Result<()> {
        let answer = match kind {
            ChangeKind::Create(id, wrapped) => self.create(group, id, wrapped)?,
            ChangeKind::Shred(id) => self.shred(&id)?,
            ChangeKind::Scrub => Ok(self.scrub()?),
            ChangeKind::Rewrap => self.rewrap()?,
        };
        group.written |= matches!(answer, Ok(1..));
        group.answers.push((reply, answer));
        Ok(())
    }

    fn create(
        &mut self,
        group: &mut Group,
        id: Name,
        wrapped: Wrapped,
    ) -> io::Result<Result<usize, Error>> {
        if self.shared.index().entries.contains_key(&id) {
            return Ok(Err(Error::Exists));
        }
        let Some(slot) = self.put(&wrapped.encode(&id))? else { return Ok(Err(Error::Full)) };
        let entry = Entry { slot, wrapped, durable: false };
        self.shared.index().entries.insert(id.clone(), entry);
        group.created.push(id);
        Ok(Ok(1))
    }

    fn shred(&mut self, id: &str) -> io::Result<Result<usize, Error>> {
        let slot = self.shared.index().entries.get(id).map(|entry| entry.slot);
        let Some(slot) = slot else { return Ok(Ok(0)) };
        if !self.disk.write(slot_at(slot), &[0; SLOT_BYTES])? {
            return Ok(Err(Error::Full));
        }
        // Nobody is given the key from here on, though it is not durably gone yet.
        let mut index = self.shared.index();
        index.entries.remove(id);
        index.stale.remove(id);
        index.shredded += 1;
        index.free.push(slot);
        Ok(Ok(1))
    }

    fn scrub(&mut self) -> io::Result<usize> {
        let damaged = std::mem::take(&mut self.shared.index().damaged);
        damaged.iter().try_for_each(|&slot| self.clear(slot))?;
        Ok(damaged.len())
    }

    /// Wraps some data keys anew, and the header when no data key is left; says how many data keys.
    ///
    /// Each is written beside the old, and the old over only when the new is durable. The overwriting
    /// is durable with the group, as a shredding is; if the process ends before, opening sees to it.
    fn rewrap(&mut self) -> io::Result<Result<usize, Error>> {
        let mut new = match self.wrap_anew() {
            Ok(new) if new.is_empty() => return self.rewrap_header(),
            Ok(new) => new.into_iter(),
            // Nothing has been written: no copy is left that shredding would not reach.
            Err(error) => return Ok(Err(error)),
        };
        let mut written = Vec::with_capacity(new.len());
        for (id, wrapped) in &mut new {
            let Some(slot) = self.put(&wrapped.encode(&id))? else { break };
            written.push((id, Entry { slot, wrapped, durable: true }));
        }
        if written.is_empty() {
            return Ok(Err(Error::Full));
        }
        self.disk.sync()?;
        let rewrapped = written.len();
        for (id, entry) in written {
            let old = {
                let mut index = self.shared.index();
                index.stale.remove(&id);
                index.entries.insert(id, entry)
            };
            old.map_or(Ok(()), |old| self.clear(old.slot))?;
        }
        Ok(Ok(rewrapped))
    }

    fn wrap_anew(&self) -> Result<Vec<(Name, Wrapped)>, Error> {
        let Shared { id: store, keyring, .. } = &*self.shared;
        let some: Vec<(Name, Wrapped)> = {
            let index = self.shared.index();
            let some = index.stale.iter().take(REWRAPPED_MAX);
            let some = some.filter_map(|id| Some((id, &index.entries.get(id)?.wrapped)));
            some.map(|(id, wrapped)| (id.clone(), wrapped.clone())).collect()
        };
        let anew = some.into_iter().map(|(id, wrapped)| {
            let data_key = wrapped.unwrap(keyring, *store, &id)?;
            let wrapped = Wrapped::wrap(&data_key, keyring.primary(), *store, &id)?;
            Ok((id, wrapped))
        });
        anew.collect()
    }

    fn rewrap_header(&mut self) -> io::Result<Result<usize, Error>> {
        if !self.shared.index().header_stale {
            return Ok(Ok(0));
        }
        let header = match Header::under(self.shared.keyring.primary(), self.shared.id) {
            Ok(header) => header.encode(),
            Err(error) => return Ok(Err(error)),
        };
        for copy in 0..HEADERS {
            self.overwrite((copy * HEADER_BYTES) as u64, &header)?;
            self.disk.sync()?; // so that the other is whole while one is written
        }
        self.shared.index().header_stale = false;
        Ok(Ok(0))
    }

    /// Overwrites slots, durably.
    pub(super) fn clear_all(&mut self, slots: &[u64]) -> io::Result<()> {
        slots.iter().try_for_each(|&slot| self.clear(slot))?;
        if slots.is_empty() { Ok(()) } else { self.disk.sync() }
    }

    fn clear(&mut self, slot: u64) -> io::Result<()> {
        self.overwrite(slot_at(slot), &[0; SLOT_BYTES])?;
        self.shared.index().free.push(slot);
        Ok(())
    }

    fn overwrite(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        if self.disk.write(at, bytes)? { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    /// Writes to a free slot and gives its number; none when there is no room.
    fn put(&mut self, bytes: &[u8; SLOT_BYTES]) -> io::Result<Option<u64>> {
        let Some(slot) = self.take_slot()? else { return Ok(None) };
        if self.disk.write(slot_at(slot), bytes)? {
            return Ok(Some(slot));
        }
        self.shared.index().free.push(slot);
        Ok(None)
    }

    /// The number of a slot to write to, of a file that grows if need be; none when it cannot.
    fn take_slot(&mut self) -> io::Result<Option<u64>> {
        let (free, slots) = {
            let mut index = self.shared.index();
            (index.free.pop(), index.slots)
        };
        if free.is_some() {
            return Ok(free);
        }
        if !self.disk.grow(slot_at(slots), GROWTH_SLOTS * SLOT_BYTES as u64)? {
            return Ok(None);
        }
        let mut index = self.shared.index();
        index.slots = slots + GROWTH_SLOTS;
        index.free.extend((slots..slots + GROWTH_SLOTS).rev()); // the first are taken first
        Ok(index.free.pop())
    }
}

/// Where a slot begins in the file.
fn slot_at(slot: u64) -> u64 {
    (HEADERS * HEADER_BYTES) as u64 + slot * SLOT_BYTES as u64
}

fn describe(panic: &(dyn Any + Send)) -> Arc<str> {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("writer panicked: {}", text.unwrap_or("no message")).into()
}
