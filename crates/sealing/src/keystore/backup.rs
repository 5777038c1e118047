//! A keystore taken away while it is used, and put back.
//!
//! An image is a keystore file: a header under the primary key, then the slots of all keys in the
//! order of their names, none free and none damaged, and one more that ends it:
//!
//! ```text
//!   0  state      1   2: end of an image
//!   1  zero       1
//!   2  kek        8   ID of the key-encryption key that vouches for it
//!  10  nonce     12
//!  22  check     16   AES-256-GCM's tag over nothing; authenticated are the keystore's ID, how many
//!                     slots came before, and the SHA-256 of all that came before
//!  38  zeros    214
//! 252  crc32c     4   of everything before it, little endian
//! ```
//!
//! So a restored image is known to be whole, and as it was made. Where a keystore is opened, the slot
//! that ends an image is a free one: an image that was merely copied into place serves as well.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::header::{HEADER_BYTES, HEADERS, Header};
use super::index::Name;
use super::slot::{Check, SLOT_BYTES, Slot, Wrapped};
use super::{Keystore, beside, private, read_padded, sync_folder};
use crate::aead::canonical;
use crate::{Error, KeyEncryptionKey, Keyring};

/// How many keys are looked up at a time, and held in memory.
const KEYS_AT_ONCE: usize = if cfg!(test) { 8 } else { 512 };

/// What a backup has become.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backup {
    /// How many keys are in it, reserved ones too.
    pub keys: u64,
    /// How many data keys were shredded while it was taken: so many of the keys in it, at the most,
    /// are gone from the keystore already. If none, it has no key that was shredded before it ended.
    pub shredded_meanwhile: u64,
}

impl Keystore {
    /// Writes an image of the keystore, while it is used. Blocks as long as `sink` does, and holds a
    /// few hundred keys in memory; nobody waits for it. A keystore that has failed gives what it knows to
    /// be durable.
    ///
    /// In it is each key that was there all the while, and none that was shredded before this began.
    /// Of those made or shredded meanwhile, each may be in it or not: see
    /// [`Backup::shredded_meanwhile`]. So take it after the log's, which then finds all its keys; and
    /// keep it for a shorter time than erasure is promised in, as it opens what is shredded later.
    ///
    /// It opens with the keys of the ring that [`Self::remaining`] says are needed: with the primary
    /// alone, once all is rewrapped.
    ///
    /// # Errors
    /// [`Error::Image`] when the sink fails, [`Error::Random`]: what was written is no image, and
    /// retrying is safe.
    pub fn backup(&self, sink: impl Write) -> Result<Backup, Error> {
        let io_error = |source| Error::Image(Arc::new(source));
        let shared = &self.shared;
        let primary = shared.keyring.primary();
        let mut sink = Digesting::new(BufWriter::new(sink));
        let shredded_before = shared.index().shredded;
        let header = Header::under(primary, shared.id)?.encode();
        for _ in 0..HEADERS {
            sink.write(&header).map_err(io_error)?;
        }
        let (mut keys, mut last) = (0, None);
        loop {
            let slots = self.slots_after(last.as_deref());
            for (id, wrapped) in &slots {
                sink.write(&wrapped.encode(id)).map_err(io_error)?;
            }
            keys += slots.len() as u64;
            match slots.into_iter().next_back() {
                Some((id, _)) => last = Some(id),
                None => break,
            }
        }
        let end = end(primary, shared.id, keys, sink.digest())?;
        sink.write(&end).map_err(io_error)?;
        sink.inner.flush().map_err(io_error)?;
        let shredded_meanwhile = shared.index().shredded - shredded_before;
        Ok(Backup { keys, shredded_meanwhile })
    }

    /// The next few keys in the order of their names, as they are wrapped now.
    fn slots_after(&self, last: Option<&str>) -> Vec<(Name, Wrapped)> {
        let index = self.shared.index();
        let after = last.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = index.entries.range::<str, _>((after, Bound::Unbounded));
        let durable = entries.filter(|(_, entry)| entry.durable).take(KEYS_AT_ONCE);
        durable.map(|(id, entry)| (id.clone(), entry.wrapped.clone())).collect()
    }

    /// Puts a keystore back from an image, and says how many keys are in it. Blocks.
    ///
    /// Before the file has its name, the image is known to be whole and unchanged, and each key in it
    /// to open. What was shredded since it was taken must then be shredded again.
    ///
    /// # Errors
    /// [`Error::FileExists`]: nothing is ever written over, nor is what a restore that was cut short
    /// has left beside it. [`Error::NotAnImage`] when it is cut short, changed or nothing of the
    /// kind; [`Error::NoSuchKek`]; [`Error::Image`] when the reader fails. There is no file then, and
    /// retrying is safe. [`Error::Io`] when the disk fails; look whether there is one.
    pub fn restore(
        image: impl Read,
        path: impl AsRef<Path>,
        keyring: &Keyring,
    ) -> Result<u64, Error> {
        let path = path.as_ref();
        let io_error = |source| Error::Io { path: path.to_owned(), source: Arc::new(source) };
        refuse_existing(path)?;
        let new = beside(path, ".restored");
        let file = match private().write(true).create_new(true).open(&new) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::FileExists(new));
            }
            file => file.map_err(io_error)?,
        };
        let restored = copy_checked(image, &file, keyring, io_error).and_then(|keys| {
            file.sync_all().map_err(io_error)?;
            name(&new, path)?;
            Ok(keys)
        });
        // It has the other name now, or is no keystore.
        drop(fs::remove_file(&new));
        let keys = restored?;
        sync_folder(path).map_err(io_error)?;
        Ok(keys)
    }
}

/// Gives a file a second name, unless something has it.
fn name(new: &Path, path: &Path) -> Result<(), Error> {
    match fs::hard_link(new, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Error::FileExists(path.to_owned()))
        }
        // Where there are no hard links, to look and then rename is the next best.
        Err(_) => {
            refuse_existing(path)?;
            let renamed = fs::rename(new, path);
            renamed.map_err(|source| Error::Io { path: path.to_owned(), source: Arc::new(source) })
        }
    }
}

fn refuse_existing(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(Error::FileExists(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::Io { path: path.to_owned(), source: Arc::new(source) }),
    }
}

/// Copies an image without its end, and checks all of it.
fn copy_checked(
    image: impl Read,
    file: &File,
    keyring: &Keyring,
    io_error: impl Fn(io::Error) -> Error,
) -> Result<u64, Error> {
    let broken = |why| Err(Error::NotAnImage(why));
    let reading = |source| Error::Image(Arc::new(source));
    let mut image = BufReader::new(image);
    let mut file = Digesting::new(BufWriter::new(file));
    let mut store = None;
    for _ in 0..HEADERS {
        let mut bytes = [0; HEADER_BYTES];
        read_padded(&mut image, &mut bytes).map_err(reading)?;
        let header = Header::decode(&bytes).map_err(Error::NotAnImage)?;
        if !header.opens_with(keyring.get(header.kek)?) {
            return broken("its header was changed");
        }
        if store.replace(header.id).is_some_and(|store| store != header.id) {
            return broken("its headers are of two keystores");
        }
        file.write(&bytes).map_err(&io_error)?;
    }
    let Some(store) = store else { return broken("it is empty") };
    let mut keys = 0;
    let mut bytes = [0; SLOT_BYTES];
    let vouched = loop {
        if read_padded(&mut image, &mut bytes).map_err(reading)? < SLOT_BYTES {
            return broken("it is cut short");
        }
        let (id, wrapped) = match Slot::decode(&bytes) {
            Slot::Used { id, wrapped } => (id, wrapped),
            Slot::End(check) => {
                break check.is_of_nothing(keyring, &aad(store, keys, file.digest()));
            }
            Slot::Free | Slot::Damaged => return broken("it is damaged"),
        };
        match wrapped.unwrap(keyring, store, &id) {
            Ok(_) => {}
            Err(error @ Error::NoSuchKek { .. }) => return Err(error),
            Err(_) => return broken("a key in it was changed"),
        }
        file.write(&bytes).map_err(&io_error)?;
        keys += 1;
    };
    if !vouched? {
        return broken("keys are missing in it, or it was changed");
    }
    if read_padded(&mut image, &mut [0]).map_err(reading)? > 0 {
        return broken("there is more after its end");
    }
    file.inner.flush().map_err(&io_error)?;
    Ok(keys)
}

/// The slot that ends an image, and vouches for it.
fn end(
    kek: &KeyEncryptionKey,
    store: Uuid,
    keys: u64,
    digest: [u8; 32],
) -> Result<[u8; SLOT_BYTES], Error> {
    Ok(Check::of_nothing(kek, &aad(store, keys, digest))?.encode_end())
}

fn aad(store: Uuid, keys: u64, digest: [u8; 32]) -> Vec<u8> {
    canonical([b"claviger/keystore-image/1", store.as_bytes(), &keys.to_le_bytes(), &digest])
}

/// Keeps the digest of what goes through it.
struct Digesting<W> {
    inner: W,
    sha256: Sha256,
}

impl<W: Write> Digesting<W> {
    fn new(inner: W) -> Self {
        Self { inner, sha256: Sha256::new() }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sha256.update(bytes);
        self.inner.write_all(bytes)
    }

    fn digest(&self) -> [u8; 32] {
        self.sha256.clone().finalize().into()
    }
}

#[cfg(test)]
mod tests;
