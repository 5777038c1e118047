//! Where canonical text goes: into a vector to be shown, or into a hash.

use sha2::{Digest, Sha256};

/// Where canonical text goes.
pub(crate) trait Sink {
    fn write(&mut self, piece: &[u8]);
    fn push(&mut self, byte: u8);
}

impl Sink for Vec<u8> {
    fn write(&mut self, piece: &[u8]) {
        self.extend_from_slice(piece);
    }

    fn push(&mut self, byte: u8) {
        self.push(byte);
    }
}

const BUFFER_BYTES: usize = 512;

/// SHA-256 behind a buffer, since most pieces are much smaller than its blocks.
pub(crate) struct BufferedSha256 {
    sha256: Sha256,
    buffer: [u8; BUFFER_BYTES],
    len: usize,
}

impl Sink for BufferedSha256 {
    #[inline]
    fn write(&mut self, piece: &[u8]) {
        if let Some(free) = self.buffer[self.len..].get_mut(..piece.len()) {
            free.copy_from_slice(piece);
            self.len += piece.len();
            return;
        }
        self.sha256.update(&self.buffer[..self.len]);
        self.len = 0;
        if piece.len() > self.buffer.len() {
            self.sha256.update(piece);
        } else {
            self.buffer[..piece.len()].copy_from_slice(piece);
            self.len = piece.len();
        }
    }

    #[inline]
    fn push(&mut self, byte: u8) {
        self.write(&[byte]);
    }
}

impl BufferedSha256 {
    pub(crate) fn new() -> Self {
        Self { sha256: Sha256::new(), buffer: [0; BUFFER_BYTES], len: 0 }
    }

    pub(crate) fn finish(mut self) -> [u8; 32] {
        self.sha256.update(&self.buffer[..self.len]);
        self.sha256.finalize().into()
    }
}
