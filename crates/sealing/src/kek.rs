//! The keys that wrap data keys: where they come from, and more than one of them.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize, Zeroizing};

use crate::aead::{KEY_BYTES, Key, NONCE_BYTES, Nonce, canonical};
use crate::{Error, Secret};

const BLOB_VERSION: u8 = 1;
/// More than any form of a key; what is longer is none.
const KEY_FILE_BYTES_MAX: usize = 128;
/// How many different bytes a key has at least. Of 32 random bytes, fewer than nine are different
/// about once in 10^33 times.
const DIFFERENT_BYTES_MIN: usize = 9;

/// Names a key-encryption key without telling it: the first 8 bytes of a SHA-256 of it.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct KekId(pub [u8; 8]);

impl fmt::Display for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KekId({self})")
    }
}

/// The keys of a ring, the primary first, as an error names them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KekIds(pub Box<[KekId]>);

impl fmt::Display for KekIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.0.iter().map(KekId::to_string).collect();
        f.write_str(&ids.join(", "))
    }
}

/// A key-encryption key: 32 bytes that wrap data keys, kept apart from log and keystore.
pub struct KeyEncryptionKey {
    key: Key,
    id: KekId,
}

impl KeyEncryptionKey {
    /// A new one, of the operating system's random numbers.
    ///
    /// # Errors
    /// [`Error::Random`]; retrying is safe.
    pub fn generate() -> Result<Self, Error> {
        Key::random().map(Self::from_key)
    }

    /// Reads one from a file, as [`Self::from_content`] does.
    ///
    /// # Errors
    /// [`Error::Exposed`] when, on Unix, group or others may read the file; [`Error::Io`];
    /// [`Error::KeyFormat`], [`Error::WeakKey`].
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let io_error = |source| Error::Io { path: path.to_owned(), source: Arc::new(source) };
        let mut file = File::open(path).map_err(io_error)?;
        refuse_exposed(path, &file)?;
        // Read into room that never grows: a vector that grows leaves copies behind.
        let mut bytes = Zeroizing::new([0; KEY_FILE_BYTES_MAX]);
        let mut length = 0;
        while length < bytes.len() {
            match file.read(&mut bytes[length..]).map_err(io_error)? {
                0 => break,
                read => length += read,
            }
        }
        Self::from_content(&path.display().to_string(), &bytes[..length])
    }

    /// Reads one from an environment variable, as [`Self::from_text`] does.
    ///
    /// # Errors
    /// [`Error::KeyFormat`], also when the variable is not set; [`Error::WeakKey`].
    pub fn from_env(variable: &str) -> Result<Self, Error> {
        let text = Zeroizing::new(std::env::var(variable).unwrap_or_default());
        Self::from_text(&format!("variable {variable}"), &text)
    }

    /// Reads one from what a file holds: 32 raw bytes, or what [`Self::from_text`] reads.
    ///
    /// `origin` names the file in errors, which never repeat what is in it.
    ///
    /// # Errors
    /// [`Error::KeyFormat`]; [`Error::WeakKey`] when the bytes are plainly not random.
    pub fn from_content(origin: &str, content: &[u8]) -> Result<Self, Error> {
        match Key::from_slice(content) {
            // A key half as long, in hexadecimal, or a pass phrase: random bytes are neither.
            Some(_) if content.iter().all(|byte| (b' '..=b'~').contains(byte)) => {
                let why = "32 characters of text are not 32 random bytes";
                Err(Error::WeakKey { origin: origin.to_owned(), why })
            }
            Some(key) => Self::checked(origin, key),
            None => Self::parse(origin, content),
        }
    }

    /// Reads one from text: 64 hexadecimal digits or 44 characters of base64, with or without a
    /// newline.
    ///
    /// `origin` says in errors where the text is from; they never repeat it.
    ///
    /// # Errors
    /// [`Error::KeyFormat`]; [`Error::WeakKey`] when the bytes are plainly not random.
    pub fn from_text(origin: &str, text: &str) -> Result<Self, Error> {
        Self::parse(origin, text.as_bytes())
    }

    fn parse(origin: &str, text: &[u8]) -> Result<Self, Error> {
        let key = parse(text).ok_or_else(|| Error::KeyFormat { origin: origin.to_owned() })?;
        Self::checked(origin, key)
    }

    /// Refuses what nobody drew at random: zeros, one byte again and again, a few in turn.
    fn checked(origin: &str, key: Key) -> Result<Self, Error> {
        let mut seen = [false; 256];
        key.expose().iter().for_each(|&byte| seen[usize::from(byte)] = true);
        let different = seen.iter().filter(|&&seen| seen).count();
        seen.zeroize();
        if different < DIFFERENT_BYTES_MIN {
            let why = "its bytes are too few different ones to be random";
            return Err(Error::WeakKey { origin: origin.to_owned(), why });
        }
        Ok(Self::from_key(key))
    }

    /// Which key it is.
    pub fn id(&self) -> KekId {
        self.id
    }

    /// The key in hexadecimal, to be written where [`Self::from_file`] reads it.
    pub fn expose_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.key.expose()))
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn from_key(key: Key) -> Self {
        let id = KekId(key.fingerprint("claviger/kek-id/1"));
        Self { key, id }
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyEncryptionKey({}, redacted)", self.id)
    }
}

/// Key-encryption keys: what is new is wrapped with the first, what is old is opened with any.
#[derive(Debug)]
pub struct Keyring {
    primary: KeyEncryptionKey,
    others: Vec<KeyEncryptionKey>,
}

impl Keyring {
    /// A ring of one key.
    pub fn new(primary: KeyEncryptionKey) -> Self {
        Self { primary, others: Vec::new() }
    }

    /// Adds a key that was the primary one before.
    ///
    /// # Errors
    /// [`Error::DuplicateKek`] when it is in the ring already: then a file or variable has the wrong
    /// key in it.
    pub fn with(mut self, other: KeyEncryptionKey) -> Result<Self, Error> {
        if self.ids().any(|id| id == other.id) {
            return Err(Error::DuplicateKek(other.id));
        }
        self.others.push(other);
        Ok(self)
    }

    /// The key that new things are wrapped with.
    pub fn primary(&self) -> &KeyEncryptionKey {
        &self.primary
    }

    /// Which keys are in the ring, the primary first.
    pub fn ids(&self) -> impl Iterator<Item = KekId> + '_ {
        self.keys().map(KeyEncryptionKey::id)
    }

    pub(crate) fn get(&self, id: KekId) -> Result<&KeyEncryptionKey, Error> {
        let missing = || Error::NoSuchKek { needed: id, ring: KekIds(self.ids().collect()) };
        self.keys().find(|key| key.id == id).ok_or_else(missing)
    }

    fn keys(&self) -> impl Iterator<Item = &KeyEncryptionKey> {
        std::iter::once(&self.primary).chain(&self.others)
    }

    /// Seals a file that a process must keep, directly under the primary key.
    ///
    /// `purpose` says what it is for, such as `dev/state`: it opens under the same purpose only.
    ///
    /// # Errors
    /// [`Error::Random`]; retrying is safe.
    pub fn seal(&self, purpose: &str, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let (nonce, ciphertext) = self.primary.key.seal(plaintext, &blob_aad(purpose))?;
        let head: [&[u8]; 4] = [&[BLOB_VERSION], &self.primary.id.0, &nonce, &ciphertext];
        Ok(head.concat())
    }

    /// Opens what [`Self::seal`] made, if the key that sealed it is in the ring.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::NoSuchKek`], or [`Error::Opening`] when it was sealed for
    /// another purpose or was changed.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Secret, Error> {
        let (&version, rest) = sealed.split_first().ok_or(Error::Malformed)?;
        let (id, rest) = rest.split_first_chunk().ok_or(Error::Malformed)?;
        let (nonce, ciphertext) =
            rest.split_first_chunk::<NONCE_BYTES>().ok_or(Error::Malformed)?;
        if version != BLOB_VERSION {
            return Err(Error::Malformed);
        }
        let nonce: &Nonce = nonce;
        self.get(KekId(*id))?.key.open(nonce, ciphertext, &blob_aad(purpose))
    }
}

fn blob_aad(purpose: &str) -> Vec<u8> {
    canonical([b"claviger/blob/1", purpose.as_bytes()])
}

/// Reads hexadecimal or base64 with or without a newline at the end.
fn parse(text: &[u8]) -> Option<Key> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let mut key = Zeroizing::new([0; KEY_BYTES + 1]);
    if hex::decode_to_slice(text, &mut key[..KEY_BYTES]).is_ok() {
        return Key::from_slice(&key[..KEY_BYTES]);
    }
    // base64 wants room for whole groups of three bytes
    let length = STANDARD.decode_slice(text, &mut key[..]).ok()?;
    Key::from_slice(&key[..length])
}

#[cfg(unix)]
fn refuse_exposed(path: &Path, file: &File) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = file.metadata();
    let metadata =
        metadata.map_err(|source| Error::Io { path: path.to_owned(), source: Arc::new(source) })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::Exposed { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_exposed(_: &Path, _: &File) -> Result<(), Error> {
    Ok(())
}

#[cfg(test)]
mod tests;
