//! Keys that the keystore holds and that are no access key's.

use std::fmt;

use crate::aead::{KEY_BYTES, Key};

/// A key that is no access key's, such as the one that signs the log: 32 random bytes.
///
/// Its name has a slash, which an access key ID never has.
pub struct ReservedKey(Key);

impl ReservedKey {
    pub(crate) fn from_key(key: Key) -> Self {
        Self(key)
    }

    /// The bytes. The one word to search for in review.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.expose()
    }
}

impl fmt::Debug for ReservedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReservedKey(redacted)")
    }
}

/// Whether no access key can have this name.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.contains('/')
}
