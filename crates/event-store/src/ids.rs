//! The names and numbers that a log is addressed by.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Place in the whole log: gapless, 1 for the first event; 0 stands before it.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
pub struct Position(pub u64);

impl Position {
    /// Before the first event: what a reader gives that has seen nothing.
    pub const START: Self = Self(0);

    /// The place right after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Place in one stream: gapless, 1 for its first event; 0 for a stream that has none yet.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
pub struct Revision(pub u64);

impl Revision {
    /// Of a stream that has no event yet.
    pub const NONE: Self = Self(0);

    /// The place right after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A SHA-256: of an event and so of all before it, or of a sealed part.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads what `Display` writes: 64 lowercase hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let digits: [u8; 64] = text.as_bytes().try_into().ok()?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(hash))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// Why a text is no [`StreamId`] or [`Label`]. Giving it again gets the same answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TextError {
    /// Nothing stands where something must.
    #[error("text is empty")]
    Empty,
    /// More bytes than its kind may hold.
    #[error("text has {bytes} bytes, more than {bytes_max}")]
    TooLong {
        /// What it has.
        bytes: usize,
        /// What it may have.
        bytes_max: usize,
    },
    /// A control character, or in a stream's name anything but visible ASCII.
    #[error("text holds a character that it may not hold")]
    Character,
}

/// A stream's name, such as `user/0198c0de-…`: 1 to 128 visible ASCII characters.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamId(Box<str>);

impl StreamId {
    /// The longest name, in bytes.
    pub const BYTES_MAX: usize = 128;

    /// Reads a name.
    ///
    /// # Errors
    /// [`TextError`] when it is empty, too long, or holds anything but visible ASCII.
    pub fn parse(name: impl Into<Box<str>>) -> Result<Self, TextError> {
        let name = name.into();
        if name.is_empty() {
            return Err(TextError::Empty);
        }
        if name.len() > Self::BYTES_MAX {
            return Err(TextError::TooLong { bytes: name.len(), bytes_max: Self::BYTES_MAX });
        }
        if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TextError::Character);
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A short text of at most `BYTES_MAX` bytes of UTF-8 and no control character; may be empty.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Label<const BYTES_MAX: usize>(Box<str>);

impl<const BYTES_MAX: usize> Label<BYTES_MAX> {
    /// Reads a text.
    ///
    /// # Errors
    /// [`TextError`] when it is too long or holds a control character.
    pub fn parse(text: impl Into<Box<str>>) -> Result<Self, TextError> {
        let text = text.into();
        if text.len() > BYTES_MAX {
            return Err(TextError::TooLong { bytes: text.len(), bytes_max: BYTES_MAX });
        }
        if text.chars().any(char::is_control) {
            return Err(TextError::Character);
        }
        Ok(Self(text))
    }

    /// Takes what fits of a text, without its control characters: for what a client sends and
    /// nothing depends on, such as its own request ID.
    pub fn truncated(text: &str) -> Self {
        let mut kept = String::with_capacity(text.len().min(BYTES_MAX));
        for character in text.chars().filter(|character| !character.is_control()) {
            if kept.len() + character.len_utf8() > BYTES_MAX {
                break;
            }
            kept.push(character);
        }
        Self(kept.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const BYTES_MAX: usize> fmt::Display for Label<BYTES_MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_name_is_visible_ascii_within_its_bound() {
        assert!(StreamId::parse("user/1").is_ok());
        assert_eq!(StreamId::parse(""), Err(TextError::Empty));
        assert_eq!(StreamId::parse("user 1"), Err(TextError::Character));
        assert_eq!(StreamId::parse("benutzer/ä"), Err(TextError::Character));
        assert!(StreamId::parse("x".repeat(128)).is_ok());
        assert_eq!(
            StreamId::parse("x".repeat(129)),
            Err(TextError::TooLong { bytes: 129, bytes_max: 128 })
        );
    }

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let hash = Hash::of(b"x");
        assert_eq!(Hash::parse(&hash.to_string()), Some(hash));
        for other in ["", "0", &hash.to_string().to_uppercase(), &format!("{hash}0")] {
            assert_eq!(Hash::parse(other), None);
        }
    }

    #[test]
    fn a_truncated_label_is_always_a_label() {
        let long = "a\nä".repeat(40);
        let label = Label::<16>::truncated(&long);
        assert_eq!(Label::parse(label.as_str()), Ok(label.clone()));
        assert_eq!(label.as_str(), "aäaäaäaäaäa");
        assert_eq!(Label::<16>::parse("a\nb"), Err(TextError::Character));
    }
}
