//! The file that data keys stand in, so that they can be destroyed.
//!
//! ```text
//! header   2 x 512 bytes   see `header.rs`
//! slot     256 bytes       see `slot.rs`; all zero when free
//! …
//! ```
//!
//! A slot never crosses a 512-byte sector, so that a write torn by a loss of power damages that slot
//! only. To shred is to overwrite a slot with zeros, in place: that is why data keys stand in a file
//! of their own and not in a database, which writes anew and keeps the old for a while. (What copies
//! on write below us, as some file systems and every SSD does, keeps the wrapped key a while longer;
//! then destroying the key-encryption key after a rotation is what makes sure.)
//!
//! One thread writes: it takes what has queued up, writes it, calls `fdatasync` once, and answers.
//!
//! **On a full disk** no data key is made, and all else goes on: the file grows by many free slots at
//! a time, with room on the disk for each, so that whatever is in it can be written over.
//!
//! **To rewrap** is to write each data key beside the old, sync, and overwrite the old, some hundred at
//! a time: a crash leaves a copy at the most, which opening overwrites.
//!
//! **What is read is what the disk has.** When the kernel cannot write a page it says so once, and then
//! holds it for clean: a process that ends over that leaves, for the next one to read, what no sync
//! writes and what is gone with the power, such as a shredding. Nobody can ask which pages these are. So
//! opening writes the whole file over with what is read of it, and syncs, before it answers anything;
//! it does so each time, since 256 bytes a key cost less than to be wrong about when it is needed.
//!
//! **A damaged slot** (torn, or changed) is counted and left as it is: nobody else's key is lost by
//! it, and whether its key is missed is for the caller to say, who knows which keys there should be.
//! [`Keystore::scrub`] then overwrites it, since a shredding that was torn leaves one behind.

mod backup;
mod disk;
mod header;
mod index;
mod slot;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use uuid::Uuid;

pub use self::backup::Backup;
use self::disk::{Calls, Disk, write_again};
use self::header::{HEADER_BYTES, HEADERS, Header};
use self::index::Index;
use self::slot::Wrapped;
use self::writer::{Change, ChangeKind, Writer};
use crate::reserved::is_reserved;
use crate::{DataKey, Error, Keyring, ReservedKey};

/// The longest access key ID that has room in a slot, in bytes.
pub const ACCESS_KEY_ID_BYTES_MAX: usize = 128;

/// How many changes wait for the writer before the next one waits to be queued.
const QUEUE_CHANGES_MAX: usize = 4096;

/// The data keys of all access keys, and reserved keys, in memory wrapped as they are in the file.
///
/// Dropping it waits for the changes under way, and blocks the thread meanwhile.
pub struct Keystore {
    shared: Arc<Shared>,
    changes: Mutex<Option<mpsc::Sender<Change>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the writer and everybody else share.
struct Shared {
    id: Uuid,
    keyring: Keyring,
    index: Mutex<Index>,
    failed: watch::Sender<Option<Arc<str>>>,
}

impl Keystore {
    /// Opens a keystore, or makes it (mode 0600 on Unix), and tries every data key in it.
    ///
    /// # Errors
    /// [`Error::NoSuchKek`] when the ring lacks the key that the keystore, or any data key in it, is
    /// wrapped with; [`Error::NotAKeystore`]; [`Error::InUse`], after which retrying is safe;
    /// [`Error::Io`], [`Error::Random`]. Nothing is changed then.
    pub async fn open(path: impl AsRef<Path>, keyring: Keyring) -> Result<Self, Error> {
        let path = path.as_ref().to_owned();
        let opened = spawn_blocking(move || Self::open_blocking(&path, keyring, Calls::system()));
        let opened = opened.await;
        opened.unwrap_or_else(|panic| Err(Error::Unavailable(panic.to_string().into())))
    }

    fn open_blocking(path: &Path, keyring: Keyring, calls: Calls) -> Result<Self, Error> {
        let io_error = |source| Error::Io { path: path.to_owned(), source: Arc::new(source) };
        if !path.try_exists().map_err(io_error)? {
            create_file(path, &Header::new(&keyring)?).map_err(io_error)?;
        }
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        }
        // Nothing is written to what is none of ours.
        let (header, header_stale) = read_header(&mut &file, path, &keyring)?;
        // What an earlier process wrote, or named, and did not sync is found here, and answered upon.
        let read = |take: &mut dyn FnMut(Vec<u8>)| write_again(&file, take).map_err(io_error);
        let mut index = Index::read(read, header.id, &keyring)?;
        sync_folder(path).map_err(io_error)?;
        // Written last in any case, it also tells that what came before is durable.
        index.header_stale = header_stale || !index.stale.is_empty();
        if !index.damaged.is_empty() {
            tracing::error!(slots = ?index.damaged, "keystore has damaged slots; the others are well");
        }
        let copies = index.copies.clone();
        let index = Mutex::new(index);
        let failed = watch::Sender::new(None);
        let shared = Arc::new(Shared { id: header.id, keyring, index, failed });
        let (sender, receiver) = mpsc::channel(QUEUE_CHANGES_MAX);
        let mut writer = Writer { shared: Arc::clone(&shared), disk: Disk { file, calls } };
        writer.clear_all(&copies).map_err(io_error)?;
        let writer = writer.start(receiver).map_err(io_error)?;
        Ok(Self { shared, changes: Mutex::new(Some(sender)), writer: Mutex::new(Some(writer)) })
    }

    /// Makes the data key of an access key, durable before it is given.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::IdLength`], [`Error::Reserved`], [`Error::Full`]: nothing was
    /// changed. [`Error::Random`]: retrying is safe. [`Error::Unavailable`]: it may or may not be
    /// there after opening again, and is then nobody's: see [`Self::ids`].
    pub async fn create(&self, access_key_id: &str) -> Result<DataKey, Error> {
        refuse_reserved(access_key_id)?;
        self.create_any(access_key_id).await
    }

    async fn create_any(&self, name: &str) -> Result<DataKey, Error> {
        check_length(name)?;
        let data_key = DataKey::random()?;
        let kek = self.shared.keyring.primary();
        let wrapped = Wrapped::wrap(&data_key, kek, self.shared.id, name)?;
        self.change(ChangeKind::Create(name.into(), wrapped)).await?;
        Ok(data_key)
    }

    /// A key that is no access key's, such as `claviger/log-signing`: made and durable when it is
    /// first asked for, the same ever after. It cannot be shredded.
    ///
    /// `name` has a slash, and at most [`ACCESS_KEY_ID_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`Error::NotReserved`], [`Error::IdLength`]; [`Error::ReservedKeyLost`] when it is not there
    /// but may have been; [`Error::Random`], [`Error::Full`], after which retrying is safe;
    /// [`Error::Unavailable`], after which it is the same whether it was made or not.
    pub async fn reserved_key(&self, name: &str) -> Result<ReservedKey, Error> {
        if !is_reserved(name) {
            return Err(Error::NotReserved);
        }
        if let Some(key) = self.get_any(name) {
            return Ok(ReservedKey::from_key(key.into_key()));
        }
        let slots = self.damaged();
        if slots > 0 {
            return Err(Error::ReservedKeyLost { name: name.into(), slots });
        }
        let key = match self.create_any(name).await {
            // Somebody was first: what exists is durable when that is answered, and stays.
            Err(Error::Exists) => self.get_any(name).ok_or_else(|| self.shared.unavailable())?,
            made => made?,
        };
        Ok(ReservedKey::from_key(key.into_key()))
    }

    /// The data key of an access key; none if it never had one or it was shredded. Never blocks.
    pub fn get(&self, access_key_id: &str) -> Option<DataKey> {
        refuse_reserved(access_key_id).ok()?;
        self.get_any(access_key_id)
    }

    fn get_any(&self, name: &str) -> Option<DataKey> {
        let index = self.shared.index();
        let entry = index.entries.get(name).filter(|entry| entry.durable)?;
        // Opened when the keystore was, or wrapped here: with a key that is in the ring.
        entry.wrapped.unwrap(&self.shared.keyring, self.shared.id, name).ok()
    }

    /// Destroys the data key of an access key: durably overwritten before this answers. Idempotent:
    /// `false` when there was none.
    ///
    /// # Errors
    /// [`Error::Reserved`]: nothing was changed; nor by [`Error::Full`], which only file systems that
    /// copy on write give here. [`Error::Unavailable`]: it may or may not be gone after opening
    /// again; shredding it then, also once more, is safe.
    pub async fn shred(&self, access_key_id: &str) -> Result<bool, Error> {
        refuse_reserved(access_key_id)?;
        self.change(ChangeKind::Shred(access_key_id.into())).await.map(|slots| slots > 0)
    }

    /// Overwrites damaged slots, and says how many. To be called once it is known that no key is missed.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; retrying is safe after opening again.
    pub async fn scrub(&self) -> Result<usize, Error> {
        self.change(ChangeKind::Scrub).await
    }

    /// Wraps with the ring's primary key whatever is wrapped with another, the header last, and says
    /// how many data keys that were. After it the other keys are needed for nothing here, and may be
    /// destroyed.
    ///
    /// Other changes go on meanwhile: it is done for some hundred data keys at a time. What is done
    /// stays done, also when this is dropped or the process ends; calling it again does the rest.
    ///
    /// # Errors
    /// [`Error::Random`], [`Error::Full`]: retrying is safe. [`Error::Unavailable`]: retrying is safe
    /// after opening again, with both keys.
    pub async fn rewrap(&self) -> Result<usize, Error> {
        let mut rewrapped = 0;
        loop {
            match self.change(ChangeKind::Rewrap).await? {
                0 => return Ok(rewrapped),
                more => rewrapped += more,
            }
        }
    }

    /// How much [`Self::rewrap`] has to do still: so many data keys, and one more while the header is
    /// to be written. Zero means that the primary key alone opens the keystore, for good.
    pub fn remaining(&self) -> usize {
        let index = self.shared.index();
        index.stale.len() + usize::from(index.header_stale)
    }

    /// The access keys that have a data key, in order. Reserved keys are not among them.
    pub fn ids(&self) -> impl Iterator<Item = Box<str>> + use<> {
        self.sweep(|_| false).1.into_iter()
    }

    /// How many access keys have a data key.
    pub fn data_keys(&self) -> usize {
        self.sweep(|_| true).0
    }

    /// Goes through the access keys that have a data key, in order: how many are known, and which are
    /// not. For sweeping those that no event tells of. Nothing is changed meanwhile, so `is_known`
    /// must be quick.
    pub fn sweep(&self, is_known: impl Fn(&str) -> bool) -> (usize, Vec<Box<str>>) {
        let index = self.shared.index();
        let durable = index.entries.iter().filter(|(id, entry)| entry.durable && !is_reserved(id));
        let (mut known, mut unknown) = (0, Vec::new());
        for (id, _) in durable {
            if is_known(id) {
                known += 1;
            } else {
                unknown.push(id.as_str().into());
            }
        }
        (known, unknown)
    }

    /// The keys that it is opened with.
    pub fn keyring(&self) -> &Keyring {
        &self.shared.keyring
    }

    /// How many slots are damaged: whose keys they hold cannot be said.
    pub fn damaged(&self) -> usize {
        self.shared.index().damaged.len()
    }

    /// Resolves with the reason when the keystore has failed; never when it has not. The process
    /// should then end and start again: the keystore takes no more changes.
    pub fn failed(&self) -> impl Future<Output = Arc<str>> + Send + 'static {
        let mut failed = self.shared.failed.subscribe();
        async move {
            loop {
                if let Some(reason) = &*failed.borrow_and_update() {
                    return Arc::clone(reason);
                }
                if failed.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        }
    }

    async fn change(&self, kind: ChangeKind) -> Result<usize, Error> {
        let (reply, outcome) = oneshot::channel();
        let changes = lock(&self.changes).clone().ok_or_else(|| self.shared.unavailable())?;
        changes.send(Change { kind, reply }).await.map_err(|_| self.shared.unavailable())?;
        drop(changes);
        outcome.await.unwrap_or_else(|_| Err(self.shared.unavailable()))
    }
}

impl Drop for Keystore {
    fn drop(&mut self) {
        lock(&self.changes).take();
        if let Some(writer) = lock(&self.writer).take() {
            // The writer catches its panics; there is nothing to learn from joining.
            drop(writer.join());
        }
    }
}

impl Shared {
    fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }

    fn unavailable(&self) -> Error {
        let reason = self.failed.borrow().clone();
        Error::Unavailable(reason.unwrap_or_else(|| "it is closed or has failed".into()))
    }
}

/// Reads the header, from whichever of its copies is whole and of a key that is in the ring, and says
/// whether one of them is to be written anew.
fn read_header(
    file: &mut impl Read,
    path: &Path,
    keyring: &Keyring,
) -> Result<(Header, bool), Error> {
    let not_a_keystore = |why| Error::NotAKeystore { path: path.to_owned(), why };
    let mut found = [const { None }; HEADERS];
    for found in &mut found {
        let mut bytes = [0; HEADER_BYTES];
        let read = read_padded(file, &mut bytes);
        read.map_err(|source| Error::Io { path: path.to_owned(), source: Arc::new(source) })?;
        let header = Header::decode(&bytes).map_err(not_a_keystore);
        *found = Some(header.and_then(|header| match keyring.get(header.kek)? {
            kek if header.opens_with(kek) => Ok(header),
            _ => Err(not_a_keystore("its header was changed")),
        }));
    }
    let [first, second] = found.map(|found| found.unwrap_or(Err(not_a_keystore("it is empty"))));
    let current = |header: &Header| header.kek == keyring.primary().id();
    match (first, second) {
        (Ok(first), Ok(second)) if first.id != second.id => {
            Err(not_a_keystore("its headers are of two keystores"))
        }
        (Ok(first), Ok(second)) => {
            let stale = !current(&first) || !current(&second);
            Ok((first, stale))
        }
        (Ok(header), Err(_)) | (Err(_), Ok(header)) => Ok((header, true)),
        // A key that is missing says more than a sector that is damaged.
        (Err(Error::NotAKeystore { .. }), Err(error)) | (Err(error), Err(_)) => Err(error),
    }
}

fn check_length(access_key_id: &str) -> Result<(), Error> {
    match access_key_id.len() {
        1..=ACCESS_KEY_ID_BYTES_MAX => Ok(()),
        length => Err(Error::IdLength(length)),
    }
}

fn refuse_reserved(access_key_id: &str) -> Result<(), Error> {
    if is_reserved(access_key_id) { Err(Error::Reserved) } else { Ok(()) }
}

/// Makes the file under another name first: what has the name is whole.
fn create_file(path: &Path, header: &Header) -> io::Result<()> {
    let new = beside(path, ".new");
    let mut file = private().write(true).create(true).truncate(true).open(&new)?;
    for _ in 0..HEADERS {
        file.write_all(&header.encode())?;
    }
    file.sync_all()?;
    fs::rename(new, path)?;
    sync_folder(path)
}

/// How a file is made that only its owner may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A file in the same folder.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Makes a file's name durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Fills `bytes`, with zeros where the file ends, and says how many were read.
fn read_padded(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    bytes.fill(0);
    let mut length = 0;
    while length < bytes.len() {
        match file.read(&mut bytes[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

/// What a panicking thread left is whole: each lock is held over infallible changes only.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
