//! Where canonical text goes: into a vector to be shown, or into a hash.

use sha2::block_api::compress256;

use crate::key::{SHA256_INITIAL, write_state};

/// Where canonical text goes.
pub(crate) trait Sink {
    /// Writes pieces one after the other.
    fn write<const N: usize>(&mut self, pieces: [&[u8]; N]);
}

impl Sink for Vec<u8> {
    fn write<const N: usize>(&mut self, pieces: [&[u8]; N]) {
        pieces.iter().for_each(|piece| self.extend_from_slice(piece));
    }
}

/// Most canonical requests fit, and are then hashed in one go.
const BLOCKS: usize = 12;

/// SHA-256 behind a buffer of whole blocks, since most pieces are much smaller than one.
pub(crate) struct BufferedSha256 {
    state: [u32; 8],
    blocks: [[u8; 64]; BLOCKS],
    len: usize,
    /// Bytes that were hashed already: whole blocks.
    hashed: u64,
}

impl Sink for BufferedSha256 {
    #[inline(always)]
    fn write<const N: usize>(&mut self, pieces: [&[u8]; N]) {
        let len = pieces.iter().map(|piece| piece.len()).sum();
        match self.blocks.as_flattened_mut()[self.len..].get_mut(..len) {
            Some(mut free) => {
                for piece in pieces {
                    let (now, later) = free.split_at_mut(piece.len());
                    copy(piece, now);
                    free = later;
                }
                self.len += len;
            }
            None => pieces.iter().for_each(|piece| self.write_over(piece)),
        }
    }
}

impl BufferedSha256 {
    pub(crate) fn new() -> Self {
        Self { state: SHA256_INITIAL, blocks: [[0; 64]; BLOCKS], len: 0, hashed: 0 }
    }

    /// Writes what the buffer has no room for.
    #[cold]
    fn write_over(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let free = &mut self.blocks.as_flattened_mut()[self.len..];
            let (now, later) = piece.split_at(piece.len().min(free.len()));
            free[..now.len()].copy_from_slice(now);
            self.len += now.len();
            piece = later;
            if self.len == 64 * BLOCKS {
                self.hash(BLOCKS);
            }
        }
    }

    fn hash(&mut self, blocks: usize) {
        compress256(&mut self.state, &self.blocks[..blocks]);
        self.hashed += 64 * blocks as u64;
        self.len = 0;
    }

    /// The hash, of the padded message (FIPS 180-4 section 5.1.1).
    pub(crate) fn finish(&mut self) -> [u8; 32] {
        let bits = (self.hashed + self.len as u64) * 8;
        self.write([&[0x80]]);
        if self.len > 64 * BLOCKS - 8 {
            self.blocks.as_flattened_mut()[self.len..].fill(0);
            self.hash(BLOCKS);
        }
        let used = (self.len + 8).div_ceil(64);
        let text = self.blocks[..used].as_flattened_mut();
        text[self.len..64 * used - 8].fill(0);
        text[64 * used - 8..].copy_from_slice(&bits.to_be_bytes());
        self.hash(used);
        let mut digest = [0; 32];
        write_state(&self.state, &mut digest);
        digest
    }
}

/// Copies `from` to `to`, which is as long. Short pieces, as most are, without a call.
#[inline(always)]
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    /// By the first and the last `N` bytes, which together are all.
    #[inline(always)]
    fn ends<const N: usize>(from: &[u8], to: &mut [u8]) -> bool {
        let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else {
            return false;
        };
        if let Some(to) = to.first_chunk_mut() {
            *to = *first;
        }
        if let Some(to) = to.last_chunk_mut() {
            *to = *last;
        }
        true
    }
    let done = match from.len() {
        8..=16 => ends::<8>(from, to),
        17..=32 => ends::<16>(from, to),
        33..=64 => ends::<32>(from, to),
        65..=128 => ends::<64>(from, to),
        4..=7 => ends::<4>(from, to),
        2..=3 => ends::<2>(from, to),
        0..=1 => ends::<1>(from, to) | from.is_empty(),
        _ => false,
    };
    if !done {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    proptest! {
        #[test]
        fn pieces_of_any_length_are_hashed_as_one_text(
            lens in proptest::collection::vec(prop_oneof![0usize..70, 0usize..2000], 0..40),
            seed: u8,
        ) {
            let (mut hash, mut text) = (BufferedSha256::new(), vec![]);
            for (at, len) in lens.into_iter().enumerate() {
                let piece: Vec<u8> = (0..len).map(|i| (i * 7 + at) as u8 ^ seed).collect();
                hash.write([&piece, &[seed]]);
                text.extend_from_slice(&piece);
                text.push(seed);
            }
            let expected: [u8; 32] = Sha256::digest(&text).into();
            prop_assert_eq!(hash.finish(), expected);
        }
    }

    #[test]
    fn texts_about_the_buffers_size_are_hashed() {
        for len in (0..200).chain(64 * BLOCKS - 80..64 * BLOCKS + 80) {
            let text: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut hash = BufferedSha256::new();
            text.iter().for_each(|byte| hash.write([&[*byte]]));
            let expected: [u8; 32] = Sha256::digest(&text).into();
            assert_eq!(hash.finish(), expected, "{len}");
        }
    }
}
