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
        let mut blocks = [[0; 64]; BLOCKS];
        let out = blocks.as_flattened_mut();
        let mut len = 0;
        // A scope bounds the length of its parts, so that this fits.
        let mut write = |piece: &[u8]| {
            copy(piece, &mut out[len..len + piece.len()]);
            len += piece.len();
        };
        write(scope.algorithm().as_bytes());
        write(b"\n");
        write(timestamp.as_str().as_bytes());
        write(b"\n");
        scope.write(&mut write);
        write(b"\n");
        write(&hex(canonical_request_sha256));
        out[len] = 0x80;
        let used = (len + 9).div_ceil(64) * 64;
        let bits = (64 + len as u64) * 8;
        out[used - 8..used].copy_from_slice(&bits.to_be_bytes());
        Self { blocks, len }
    }

    /// Takes apart a text in AWS's spelling that someone else made: its timestamp, its scope and the text as it is kept.
    ///
    /// `None` if it is not exactly the four lines that [`StringToSign::new`] writes. Whether scope and time
    /// are the right ones is checked by [`Expected`](crate::Expected).
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<(Timestamp, Scope<'_>, Self)> {
        let mut lines = text.split(|&byte| byte == b'\n');
        let algorithm = lines.next()?;
        let timestamp = Timestamp::parse(lines.next()?)?;
        let scope = Scope::parse(lines.next()?)?;
        let digest = unhex(lines.next()?)?;
        if algorithm != Spelling::Aws4.algorithm().as_bytes() || lines.next().is_some() {
            return None;
        }
        let string_to_sign = Self::new(timestamp, &scope, &digest);
        Some((timestamp, scope, string_to_sign))
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
