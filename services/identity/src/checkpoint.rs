//! The write model in a file, so that a start reads only what the log recorded since.
//!
//! ```text
//! header   one record: version, log, epoch, head, time, and how many records of each kind follow
//! records  accounts, where accounts' events stand, users, former users, who held former access keys,
//!          buckets, revisions of their streams, admin tokens, commands
//! end      SHA-256 of all before it (32 bytes), and its Ed25519 signature (64)
//! ```
//!
//! A record is its length (4 bytes, little endian) and a value in the postcard format. Everything
//! stands in one order: the same model makes the same bytes, whether it was replayed from the first
//! event or from another checkpoint, and the digest says so. A checkpoint of another version, log or
//! epoch, or one that was changed, is not used: the log is read from the start, as it always can be.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc;
use std::{panic, thread};

use anyhow::{Context, ensure};
use event_store::{Hash, Head, Position};
use sealing::{SignedCheckpoint, SigningKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::model::{Model, Snapshot};

/// To be raised whenever what is written changes; a test tells when that is.
const VERSION: u32 = 5;
/// The longest record, in bytes: far more than a user with all its access keys and tags, or the
/// places of an account's events, comes to.
const RECORD_BYTES_MAX: u32 = 1 << 30;
/// How much is read and written at once.
const PIECE_BYTES: usize = 1 << 20;
/// How many pieces wait to be hashed.
const PIECES_WAITING: usize = 4;
const DIGEST_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;

/// Which log a checkpoint is of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct LogIdentity {
    pub(crate) log_id: Uuid,
    pub(crate) epoch: u64,
}

/// What stands first in a checkpoint.
#[derive(Debug, Deserialize, Serialize)]
struct Header {
    version: u32,
    log: LogIdentity,
    position: Position,
    hash: [u8; 32],
    time_ms: u64,
    counts: [u64; 9],
}

/// SHA-256 of a model: two that are the same have the same.
#[cfg(test)]
pub(crate) fn digest(log: LogIdentity, snapshot: &Snapshot) -> io::Result<[u8; DIGEST_BYTES]> {
    let mut writer = Writer { sink: io::sink(), hash: Sha256::new() };
    writer.all(log, snapshot)?;
    Ok(writer.hash.finalize().into())
}

/// Writes a checkpoint in the place of the last one.
///
/// # Errors
/// If the disk says no. The last one is then still there.
pub(crate) fn write(
    path: &Path,
    log: LogIdentity,
    snapshot: &Snapshot,
    key: &SigningKey,
) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    let mut writer =
        Writer { sink: BufWriter::with_capacity(PIECE_BYTES, file), hash: Sha256::new() };
    writer.all(log, snapshot)?;
    let Writer { mut sink, hash } = writer;
    let digest: [u8; DIGEST_BYTES] = hash.finalize().into();
    sink.write_all(&digest)?;
    let head = snapshot.head;
    sink.write_all(&statement(log, head, snapshot.time_ms, digest).sign(key))?;
    sink.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// A checkpoint whose signature was checked. It may be of another log.
#[derive(Debug)]
pub(crate) struct Signed {
    log: LogIdentity,
    model: Model,
}

impl Signed {
    /// The model.
    ///
    /// # Errors
    /// If it is not of this log and epoch.
    pub(crate) fn model_of(self, log: LogIdentity) -> anyhow::Result<Model> {
        ensure!(self.log == log, "it is of another log or epoch");
        Ok(self.model)
    }
}

/// Reads a checkpoint; `None` if there is none.
///
/// # Errors
/// If it is of no use, and why.
pub(crate) fn read(path: &Path, public_key: &[u8; 32]) -> anyhow::Result<Option<Signed>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let end_bytes = (DIGEST_BYTES + SIGNATURE_BYTES) as u64;
    let covered_bytes = file.metadata()?.len().checked_sub(end_bytes).context("it is too short")?;
    // What is read is hashed on another core while it is decoded. Nobody is given any of it before
    // its signature was checked.
    let (decoded, digest) = thread::scope(|scope| {
        let (copies, pieces) = mpsc::sync_channel::<Vec<u8>>(PIECES_WAITING);
        let hashing = scope.spawn(move || {
            let hash = pieces.iter().fold(Sha256::new(), Sha256::chain_update);
            <[u8; DIGEST_BYTES]>::from(hash.finalize())
        });
        let source = Copying { source: (&file).take(covered_bytes), copies };
        let decoded = Reader::new(source).all();
        let digest = hashing.join().unwrap_or_else(|cause| panic::resume_unwind(cause));
        (decoded, digest)
    });
    let (header, snapshot) = decoded?;
    let (mut found, mut signature) = ([0; DIGEST_BYTES], [0; SIGNATURE_BYTES]);
    file.read_exact(&mut found)?;
    file.read_exact(&mut signature)?;
    ensure!(found == digest, "its digest is wrong");
    statement(header.log, snapshot.head, header.time_ms, digest)
        .verify(public_key, &signature)
        .context("its signature is wrong")?;
    Ok(Some(Signed { log: header.log, model: Model::from(snapshot) }))
}

fn statement(
    log: LogIdentity,
    head: Head,
    time_ms: u64,
    digest: [u8; DIGEST_BYTES],
) -> SignedCheckpoint {
    SignedCheckpoint {
        log_id: log.log_id,
        epoch: log.epoch,
        position: head.position.0,
        hash: head.hash.0,
        time_ms,
        model_digest: Some(digest),
    }
}

/// Writes records, and hashes them.
struct Writer<W> {
    sink: W,
    hash: Sha256,
}

impl<W: Write> Writer<W> {
    fn all(&mut self, log: LogIdentity, snapshot: &Snapshot) -> io::Result<()> {
        let Snapshot {
            head,
            time_ms,
            accounts,
            account_events,
            users,
            former_users,
            former_access_keys,
            buckets,
            bucket_revisions,
            admin_tokens,
            commands,
        } = snapshot;
        let counts = [
            accounts.len(),
            account_events.len(),
            users.len(),
            former_users.len(),
            former_access_keys.len(),
            buckets.len(),
            bucket_revisions.len(),
            admin_tokens.len(),
            commands.len(),
        ];
        self.record(&Header {
            version: VERSION,
            log,
            position: head.position,
            hash: head.hash.0,
            time_ms: *time_ms,
            counts: counts.map(|count| count as u64),
        })?;
        self.records(accounts)?;
        self.records(account_events)?;
        self.records(users)?;
        self.records(former_users)?;
        self.records(former_access_keys)?;
        self.records(buckets)?;
        self.records(bucket_revisions)?;
        self.records(admin_tokens)?;
        self.records(commands)
    }

    fn records(&mut self, values: &[impl Serialize]) -> io::Result<()> {
        values.iter().try_for_each(|value| self.record(value))
    }

    fn record(&mut self, value: &impl Serialize) -> io::Result<()> {
        let bytes = postcard::to_stdvec(value).map_err(io::Error::other)?;
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= RECORD_BYTES_MAX);
        let length = length.ok_or_else(|| io::Error::other("a record is too long"))?.to_le_bytes();
        for part in [&length, bytes.as_slice()] {
            self.hash.update(part);
            self.sink.write_all(part)?;
        }
        Ok(())
    }
}

/// Passes on what it reads, and a copy of it.
struct Copying<R> {
    source: R,
    copies: mpsc::SyncSender<Vec<u8>>,
}

impl<R: Read> Read for Copying<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.copies.send(buffer[..read].to_vec()).map_err(io::Error::other)?;
        Ok(read)
    }
}

/// Reads records.
struct Reader<R> {
    source: BufReader<R>,
    bytes: Vec<u8>,
}

impl<R: Read> Reader<R> {
    fn new(source: R) -> Self {
        Self { source: BufReader::with_capacity(PIECE_BYTES, source), bytes: Vec::new() }
    }

    /// Reads all that there is.
    fn all(mut self) -> anyhow::Result<(Header, Snapshot)> {
        let header: Header = self.record()?;
        ensure!(header.version == VERSION, "it is of version {}", header.version);
        let [
            accounts,
            account_events,
            users,
            former_users,
            former_keys,
            buckets,
            bucket_revisions,
            admin_tokens,
            commands,
        ] = header.counts;
        let snapshot = Snapshot {
            head: Head { position: header.position, hash: Hash(header.hash) },
            time_ms: header.time_ms,
            accounts: self.records(accounts)?,
            account_events: self.records(account_events)?,
            users: self.records(users)?,
            former_users: self.records(former_users)?,
            former_access_keys: self.records(former_keys)?,
            buckets: self.records(buckets)?,
            bucket_revisions: self.records(bucket_revisions)?,
            admin_tokens: self.records(admin_tokens)?,
            commands: self.records(commands)?,
        };
        ensure!(self.source.fill_buf()?.is_empty(), "something follows it");
        Ok((header, snapshot))
    }

    fn records<T: DeserializeOwned>(&mut self, count: u64) -> anyhow::Result<Vec<T>> {
        (0..count).map(|_| self.record()).collect()
    }

    fn record<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let mut length = [0; 4];
        self.source.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        ensure!(length <= RECORD_BYTES_MAX, "a record is too long");
        // Grows with what there is, whatever the length says.
        self.bytes.clear();
        let read = self.source.by_ref().take(length.into()).read_to_end(&mut self.bytes)?;
        ensure!(read as u64 == u64::from(length), "it ends too early");
        let (value, rest) = postcard::take_from_bytes(&self.bytes)?;
        ensure!(rest.is_empty(), "a record is too long");
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
