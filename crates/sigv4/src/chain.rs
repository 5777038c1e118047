//! The chain of signatures over the chunks of a body, which begins with that of the head.

use std::fmt;

use crate::bytes::hex;
use crate::credential::Scope;
use crate::date::Timestamp;
use crate::key::{Signature, SigningKey};

/// SHA-256 of nothing, which stands in the string to sign of each chunk.
const EMPTY_SHA256: &[u8; 64] = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// Room for timestamp and the longest scope, a line each.
const PREFIX_BYTES_MAX: usize = 16 + 1 + 119 + 1;
/// Room for the longest string to sign.
const TEXT_BYTES_MAX: usize = 24 + 1 + PREFIX_BYTES_MAX + 3 * 65;

/// What the signatures of the chunks of one body are checked by: a signing key, and the signature before.
///
/// Source: Amazon S3 API reference, "Signature calculations for the Authorization header: transferring payload in
/// multiple chunks" and "... including trailing headers".
#[derive(Clone)]
pub struct SignatureChain {
    key: SigningKey,
    /// Timestamp and scope, a line each.
    prefix: [u8; PREFIX_BYTES_MAX],
    prefix_len: usize,
    previous: Signature,
}

impl SignatureChain {
    /// Begins with the signature of the head, which must have been verified with `key`, `scope` and `timestamp`.
    #[must_use]
    pub fn new(
        key: SigningKey,
        timestamp: Timestamp,
        scope: &Scope<'_>,
        head_signature: Signature,
    ) -> Self {
        let mut prefix = [0; PREFIX_BYTES_MAX];
        let mut prefix_len = 0;
        // A scope bounds the length of its parts, so that this fits.
        let mut write = |piece: &[u8]| {
            prefix[prefix_len..prefix_len + piece.len()].copy_from_slice(piece);
            prefix_len += piece.len();
        };
        write(timestamp.as_str().as_bytes());
        write(b"\n");
        scope.write(&mut write);
        write(b"\n");
        Self { key, prefix, prefix_len, previous: head_signature }
    }

    /// Whether `signature` is that of the next chunk, which has this SHA-256; if so, it is the one before the next.
    pub(crate) fn is_chunk_signed(&mut self, sha256: &[u8; 32], signature: Signature) -> bool {
        let last = [EMPTY_SHA256.as_slice(), b"\n", &hex(sha256)];
        self.is_signed("AWS4-HMAC-SHA256-PAYLOAD\n", &last, signature)
    }

    /// Whether `signature` is that of the trailer, whose text has this SHA-256.
    pub(crate) fn is_trailer_signed(&mut self, sha256: &[u8; 32], signature: Signature) -> bool {
        self.is_signed("AWS4-HMAC-SHA256-TRAILER\n", &[&hex(sha256)], signature)
    }

    fn is_signed(&mut self, algorithm: &str, last: &[&[u8]], signature: Signature) -> bool {
        let mut text = [0; TEXT_BYTES_MAX];
        let mut len = 0;
        let mut write = |piece: &[u8]| {
            text[len..len + piece.len()].copy_from_slice(piece);
            len += piece.len();
        };
        write(algorithm.as_bytes());
        write(&self.prefix[..self.prefix_len]);
        write(&self.previous.to_hex());
        write(b"\n");
        last.iter().for_each(|piece| write(piece));
        self.previous = signature;
        self.key.verify_text(&text[..len], &signature)
    }
}

impl fmt::Debug for SignatureChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignatureChain(redacted)")
    }
}
