//! Access key IDs as the table keeps them.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

const INLINE_BYTES_MAX: usize = 22;

/// An access key ID in 24 bytes, without a further allocation for those of 22 bytes or fewer: all
/// that Claviger makes, though not all that can be imported.
#[derive(Clone)]
pub(crate) enum KeyId {
    Inline { len: u8, bytes: [u8; INLINE_BYTES_MAX] },
    Boxed(Box<[u8]>),
}

impl KeyId {
    pub(crate) fn new(text: &str) -> Self {
        let mut bytes = [0; INLINE_BYTES_MAX];
        match bytes.get_mut(..text.len()) {
            Some(start) => {
                start.copy_from_slice(text.as_bytes());
                Self::Inline { len: text.len() as u8, bytes } // 22 at most
            }
            None => Self::Boxed(text.as_bytes().into()),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Self::Boxed(bytes) => bytes,
        }
    }
}

// Looked up by the bytes alone, so that equality and hash must be theirs.
impl Borrow<[u8]> for KeyId {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq for KeyId {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for KeyId {}

impl Hash for KeyId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_any_length_reads_back_and_takes_24_bytes() {
        for len in [0, 1, 20, 22, 23, 128] {
            let text = "A".repeat(len);
            assert_eq!(KeyId::new(&text).as_bytes(), text.as_bytes());
        }
        assert_eq!(size_of::<KeyId>(), 24);
    }
}
