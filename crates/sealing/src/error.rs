//! What can go wrong, told apart by what the caller may do about it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::kek::{KekId, KekIds};

/// Why something could not be sealed, opened, kept or shredded. No variant holds a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The ciphertext was made with another key or context, or was changed. Retrying is no use.
    #[error("sealed bytes do not open with this key and context")]
    Opening,
    /// The bytes are not of a form that this version knows. Retrying is no use.
    #[error("sealed bytes are malformed")]
    Malformed,
    /// The signature is not of this public key over this statement. Retrying is no use.
    #[error("signature is not of this key over this statement")]
    Signature,
    /// The machine gives no random numbers. Retrying is safe.
    #[error("no random numbers: {0}")]
    Random(Arc<str>),
    /// The key-encryption key's text or file is not 32 bytes, nor 64 hexadecimal digits, nor base64.
    #[error(
        "{origin} holds no key: it must be 32 raw bytes, 64 hexadecimal digits or 44 of base64"
    )]
    KeyFormat {
        /// The file or variable.
        origin: String,
    },
    /// The key-encryption key is 32 bytes, and not of the kind that chance gives. Make a new one.
    #[error("{origin} holds no random key: {why}; make one, such as with `openssl rand -hex 32`")]
    WeakKey {
        /// The file or variable.
        origin: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The same key-encryption key was put into a ring twice.
    #[error("key-encryption key {0} is given twice; each file or variable must hold another")]
    DuplicateKek(KekId),
    /// Others than the owner may read the file.
    #[error("{} may be read by others than its owner (mode {mode:o}); chmod 600 it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The ring has not the key that something is wrapped with. Safe to retry with it in the ring.
    #[error(
        "key-encryption key {needed} is not in the ring, which has {ring}; \
         the keystore or file needs it"
    )]
    NoSuchKek {
        /// Which key.
        needed: KekId,
        /// Which keys there are.
        ring: KekIds,
    },
    /// The file is no keystore, or its header was changed.
    #[error("{} is not a keystore: {why}", path.display())]
    NotAKeystore {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// The bytes are no image of a keystore, or not all of one. Take another; nothing was changed.
    #[error("not a whole image of a keystore: {0}")]
    NotAnImage(&'static str),
    /// An image could not be written or read. The keystore is as it was; retrying is safe.
    #[error("image of a keystore cannot be written or read: {0}")]
    Image(#[source] Arc<io::Error>),
    /// A keystore would be put where there is something. Remove it first, if it is not needed.
    #[error("{} is there already, and is not written over", .0.display())]
    FileExists(PathBuf),
    /// Another process has the keystore open. Retrying is safe.
    #[error("keystore {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The access key ID is empty or longer than [`crate::ACCESS_KEY_ID_BYTES_MAX`].
    #[error("access key ID has {0} bytes; it must have 1 to 128")]
    IdLength(usize),
    /// The name is a reserved key's, which no access key has and which is never shredded.
    #[error("names with a slash are of reserved keys, not of access keys")]
    Reserved,
    /// The name could be an access key's: a reserved key's has a slash.
    #[error("a reserved key's name has a slash, so that no access key has it")]
    NotReserved,
    /// The reserved key may stand in a slot that is damaged: making it anew could lose it for ever.
    /// Put a backup back, or [`crate::Keystore::scrub`] once it is known that none is missed.
    #[error("reserved key {name} is not there, and {slots} damaged slots could hold it")]
    ReservedKeyLost {
        /// The key's name.
        name: Box<str>,
        /// How many slots are damaged.
        slots: usize,
    },
    /// The access key has a data key already.
    #[error("access key has a data key already")]
    Exists,
    /// The disk is full, or the quota used up. Nothing was changed; retrying is safe once there is
    /// room.
    #[error("no room for the keystore on its disk; nothing was changed")]
    Full,
    /// The file system said no, before anything was changed.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: Arc<io::Error>,
    },
    /// The keystore is closed, or has failed and takes no more changes; what was asked for may or
    /// may not have been done. Open it again, and look.
    #[error("keystore is unavailable: {0}")]
    Unavailable(Arc<str>),
}
