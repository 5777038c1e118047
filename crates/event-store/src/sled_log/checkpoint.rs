//! What the log knows of its events, written beside it, so that opening it reads only what follows.
//!
//! ```text
//! magic      17   "claviger/index/1\n": format and version
//! log ID     16
//! epoch      u64  this and all numbers little endian
//! position   u64  the last event that is taken in
//! hash       32   that event's
//! index           see `index::stored`
//! crc32c     u32  of everything before: tells damage from another key
//! mac        32   HMAC-SHA256 of everything before the checksum
//! ```
//!
//! Nobody without the key can make one. Only who has the log's machine can change what lies before a
//! checkpoint without opening the log noticing; verifying it does.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::room::has_room;
use crate::index::{COUNTS_BYTES, Index};
use crate::{CheckpointError, Hash, Head, Position};

const FILE: &str = "checkpoint";
const NEW_FILE: &str = "checkpoint.new";
const MAGIC: &[u8; 17] = b"claviger/index/1\n";
/// The part of the magic that all versions share.
const FORMAT_BYTES: usize = 15;
const HEAD_BYTES: usize = MAGIC.len() + 16 + 8 + 8 + 32;
const SEAL_BYTES: usize = 4 + 32;
/// How much is read, written and hashed at once.
const BUFFER_BYTES: usize = 1 << 16;

/// The checkpoints of one log.
pub(super) struct Checkpoints {
    pub(super) dir: PathBuf,
    pub(super) key: Zeroizing<[u8; 32]>,
    pub(super) log_id: Uuid,
    pub(super) epoch: u64,
    pub(super) reserve_bytes: u64,
    /// Held while the index is copied and written: there is one copy at a time.
    pub(super) copying: tokio::sync::Mutex<()>,
    /// Up to where it is written; none once the log is closed. Held while writing.
    pub(super) last: Mutex<Option<Position>>,
}

/// The state right after `head`.
pub(super) struct Checkpoint {
    pub(super) head: Head,
    pub(super) index: Index,
}

/// Why a checkpoint is of no use. The log has all that it says.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is of another format or version")]
    Format,
    #[error("is damaged")]
    Damaged,
    #[error("was made with another key")]
    Key,
    #[error("is of another log")]
    Log,
    #[error("is of epoch {0}")]
    Epoch(u64),
}

impl Checkpoints {
    /// Reads the checkpoint, if there is one.
    pub(super) fn read(&self) -> Result<Option<Checkpoint>, Unusable> {
        let file = match File::open(self.dir.join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let length = file.metadata()?.len();
        let body = length.checked_sub(SEAL_BYTES as u64).ok_or(Unusable::Damaged)?;
        let mut sealing = Sealing { inner: file.take(body), crc: 0, mac: self.mac() };
        let mut input = BufReader::with_capacity(BUFFER_BYTES, &mut sealing);
        let mut start = [0; HEAD_BYTES];
        input.read_exact(&mut start).map_err(|_| Unusable::Damaged)?;
        if start[..MAGIC.len()] != MAGIC[..] {
            let is_ours = start[..FORMAT_BYTES] == MAGIC[..FORMAT_BYTES];
            return Err(if is_ours { Unusable::Format } else { Unusable::Damaged });
        }
        // Before memory is taken for what the counts say.
        let counts = Index::read_counts(&mut input).map_err(|_| Unusable::Damaged)?;
        let expected = Index::bytes_of(counts);
        if expected.and_then(|rest| rest.checked_add((HEAD_BYTES + COUNTS_BYTES) as u64))
            != Some(body)
        {
            return Err(Unusable::Damaged);
        }
        let index = Index::read(counts, &mut input)?;
        let Sealing { inner, crc, mac } = sealing;
        let mut seal = [0; SEAL_BYTES];
        inner.into_inner().read_exact(&mut seal)?;
        let (found_crc, found_mac) = seal.split_at(4);
        if found_crc != crc.to_le_bytes() {
            return Err(Unusable::Damaged);
        }
        mac.verify_slice(found_mac).map_err(|_| Unusable::Key)?;
        self.of_this_log(&start[MAGIC.len()..], index).map(Some)
    }

    fn of_this_log(&self, fields: &[u8], index: Index) -> Result<Checkpoint, Unusable> {
        let (log_id, fields) = fields.split_first_chunk().ok_or(Unusable::Damaged)?;
        let (epoch, fields) = fields.split_first_chunk().ok_or(Unusable::Damaged)?;
        let (position, hash) = fields.split_first_chunk().ok_or(Unusable::Damaged)?;
        if Uuid::from_bytes(*log_id) != self.log_id {
            return Err(Unusable::Log);
        }
        let epoch = u64::from_le_bytes(*epoch);
        if epoch != self.epoch {
            return Err(Unusable::Epoch(epoch));
        }
        let position = Position(u64::from_le_bytes(*position));
        let hash = Hash(hash.try_into().map_err(|_| Unusable::Damaged)?);
        Ok(Checkpoint { head: Head { position, hash }, index })
    }

    /// Writes a checkpoint in place of the last one, unless that one is later or there is no event
    /// yet. Blocks.
    pub(super) fn write(
        &self,
        index: &Index,
        head: Head,
        time_ms: u64,
    ) -> Result<(), CheckpointError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            _ if head.position == Position::START => return Ok(()),
            None => return Err(CheckpointError::Unavailable("log is closed".into())),
            Some(position) if position > head.position => return Ok(()),
            Some(_) => {}
        }
        let new = self.dir.join(NEW_FILE);
        let written = self.write_to(&new, index, head, time_ms);
        if written.is_err() {
            // It may never have been made.
            drop(fs::remove_file(new));
        }
        written?;
        *last = Some(head.position);
        Ok(())
    }

    fn write_to(
        &self,
        new: &Path,
        index: &Index,
        head: Head,
        time_ms: u64,
    ) -> Result<(), CheckpointError> {
        let bytes = index.stored_bytes_max().saturating_add(BUFFER_BYTES as u64);
        let failed = |source: io::Error| {
            use io::ErrorKind::{QuotaExceeded, StorageFull};
            if matches!(source.kind(), StorageFull | QuotaExceeded) {
                return CheckpointError::Full;
            }
            CheckpointError::Io { path: self.dir.clone(), source }
        };
        if !has_room(&self.dir, bytes, self.reserve_bytes).map_err(failed)? {
            return Err(CheckpointError::Full);
        }
        let write = || {
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).mode(0o600).open(new)?;
            let sealing = Sealing { inner: &file, crc: 0, mac: self.mac() };
            let mut out = BufWriter::with_capacity(BUFFER_BYTES, sealing);
            out.write_all(MAGIC)?;
            out.write_all(self.log_id.as_bytes())?;
            out.write_all(&self.epoch.to_le_bytes())?;
            out.write_all(&head.position.0.to_le_bytes())?;
            out.write_all(&head.hash.0)?;
            index.write(time_ms, &mut out)?;
            let Sealing { crc, mac, .. } = out.into_inner()?;
            (&file).write_all(&crc.to_le_bytes())?;
            (&file).write_all(&mac.finalize().into_bytes())?;
            file.sync_all()?;
            fs::rename(new, self.dir.join(FILE))?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(failed)
    }

    /// Says that there is one up to `head`.
    pub(super) fn start_at(&self, head: Head) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(head.position);
    }

    /// Waits for one that is being written, and allows no more.
    pub(super) fn close(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How many events came since the last one, up to `head`.
    pub(super) fn events_since(&self, head: Position) -> u64 {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        head.0.saturating_sub(last.unwrap_or(head).0)
    }

    fn mac(&self) -> Hmac<Sha256> {
        let mut block = Zeroizing::new([0; 64]); // zeros after a short key change nothing
        block[..32].copy_from_slice(&*self.key);
        Hmac::new((&*block).into())
    }
}

/// Passes bytes on, and sums them up.
struct Sealing<T> {
    inner: T,
    crc: u32,
    mac: Hmac<Sha256>,
}

impl<T> Sealing<T> {
    fn take_in(&mut self, bytes: &[u8]) {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.mac.update(bytes);
    }
}

impl<T: Read> Read for Sealing<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.take_in(&buffer[..read]);
        Ok(read)
    }
}

impl<T: Write> Write for Sealing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.take_in(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
