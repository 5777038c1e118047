//! The text whose HMAC is the signature.

use std::fmt;

use crate::bytes::{hex, unhex};
use crate::credential::Scope;
use crate::date::Timestamp;
use crate::sink::copy;
use crate::spelling::Spelling;

/// Room for the longest text, 218 bytes with the longest scope, and the padding of SHA-256 behind it.
const BLOCKS: usize = 4;

/// Algorithm, timestamp, credential scope and the hash of the canonical request, a line each.
///
/// Lives on the stack and holds no secret. Source: AWS, "Create a signed AWS API request", step 3.
#[derive(Clone)]
pub struct StringToSign {
    /// The text, then what SHA-256 puts behind it when one block (the key of HMAC) went before.
    blocks: [[u8; 64]; BLOCKS],
    len: usize,
}

impl StringToSign {
    /// Puts the text together.
    #[must_use]
    pub fn new(
        timestamp: Timestamp,
        scope: &Scope<'_>,
        canonical_request_sha256: &[u8; 32],
    ) -> Self {
        let mut made = Self { blocks: [[0; 64]; BLOCKS], len: 0 };
        // A scope bounds the length of its parts, so that this fits.
        let mut write = |piece: &[u8]| {
            copy(piece, &mut made.blocks.as_flattened_mut()[made.len..made.len + piece.len()]);
            made.len += piece.len();
        };
        write(scope.algorithm().as_bytes());
        write(b"\n");
        write(timestamp.as_bytes());
        write(b"\n");
        scope.write(&mut write);
        write(b"\n");
        write(&hex(canonical_request_sha256));
        made.pad();
        made
    }

    /// Takes apart a text in AWS's spelling that someone else made: its timestamp, its scope and the text as it is kept.
    ///
    /// `None` if it is not exactly the four lines that [`StringToSign::new`] writes. Whether scope and time
    /// are the right ones is checked by [`Expected`](crate::Expected).
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<(Timestamp, Scope<'_>, Self)> {
        // All lines but that of the scope, which has no line break in it, are of one length.
        let rest = text.strip_prefix(Spelling::Aws4.algorithm().as_bytes())?;
        let (timestamp, rest) = rest.strip_prefix(b"\n")?.split_at_checked(16)?;
        let (rest, sha256) = rest.strip_prefix(b"\n")?.split_last_chunk::<64>()?;
        let timestamp = Timestamp::parse(timestamp)?;
        let scope = Scope::parse(rest.strip_suffix(b"\n")?)?;
        unhex(sha256)?;
        // Each line has but one spelling, so that the text is what would be written, and as long at most.
        let mut string_to_sign = Self { blocks: [[0; 64]; BLOCKS], len: text.len() };
        string_to_sign.blocks.as_flattened_mut()[..text.len()].copy_from_slice(text);
        string_to_sign.pad();
        Some((timestamp, scope, string_to_sign))
    }

    /// Writes what SHA-256 puts behind the text (FIPS 180-4 section 5.1.1).
    fn pad(&mut self) {
        let len = self.len;
        let out = self.blocks.as_flattened_mut();
        out[len] = 0x80;
        let used = (len + 9).div_ceil(64) * 64;
        let bits = (64 + len as u64) * 8;
        out[used - 8..used].copy_from_slice(&bits.to_be_bytes());
    }

    /// The text, in ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.blocks.as_flattened()[..self.len]
    }

    /// The text padded as the rest of a message that began with one block.
    pub(crate) fn padded_after_block(&self) -> &[[u8; 64]] {
        &self.blocks[..(self.len + 9).div_ceil(64)]
    }
}

impl fmt::Debug for StringToSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StringToSign({:?})", String::from_utf8_lossy(self.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_that_is_read_is_padded_as_one_that_is_put_together(
            seconds in 0i64..4_000_000_000,
            region in "[a-z0-9-]{1,64}",
            service in "[a-z0-9-]{1,32}",
            digest: [u8; 32],
        ) {
            let timestamp = Timestamp::from_unix_seconds(seconds);
            let scope = Scope::new(timestamp.date(), &region, &service).expect("is one");
            let made = StringToSign::new(timestamp, &scope, &digest);
            let (read_timestamp, read_scope, read) =
                StringToSign::parse(made.as_bytes()).expect("is one");
            prop_assert_eq!((read_timestamp, read_scope), (timestamp, scope));
            prop_assert_eq!(read.padded_after_block(), made.padded_after_block());
            prop_assert_eq!(read.as_bytes(), made.as_bytes());
        }
    }
}
