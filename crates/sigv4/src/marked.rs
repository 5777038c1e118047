//! Positions of the bytes that matter to a parser, found 64 bytes at a time.
//!
//! A text of many short tokens is looked at once, and not once for each token: what was seen of a stretch of it is
//! kept as a mask, in which the next position costs an instruction or two.

use wide::u8x16;

use crate::bytes::{LANES, mask_of_few, same};

/// How many bytes a mask tells of.
const WINDOW: usize = 64;

/// The positions in `bytes` of those that `marks` marks with ones, in order.
pub(crate) struct Marked<'a, M> {
    bytes: &'a [u8],
    marks: M,
    /// Where the window begins that `mask` tells of: a multiple of its size.
    start: usize,
    mask: u64,
}

impl<'a, M: Fn(u8x16) -> u8x16> Marked<'a, M> {
    /// Looks at the first window.
    #[inline(always)]
    pub(crate) fn new(bytes: &'a [u8], marks: M) -> Self {
        let mask = window(bytes, 0, &marks);
        Self { bytes, marks, start: 0, mask }
    }

    /// The first position at or after `from`, which must be no less than in the call before; the length if there is
    /// none.
    #[inline(always)]
    pub(crate) fn at_or_after(&mut self, from: usize) -> usize {
        let mut from = from;
        loop {
            let in_window = from.wrapping_sub(self.start);
            if in_window < WINDOW {
                let found = self.mask >> in_window;
                if found != 0 {
                    return from + found.trailing_zeros() as usize;
                }
                from = self.start + WINDOW;
            }
            if from >= self.bytes.len() {
                return self.bytes.len();
            }
            self.start = from / WINDOW * WINDOW;
            self.mask = window(self.bytes, self.start, &self.marks);
        }
    }
}

/// The marks of 64 bytes, or of as many as there are, the first one in the lowest bit. As a call, which is one in 64
/// bytes, so that the loops around it keep their registers.
#[inline(never)]
fn window(bytes: &[u8], start: usize, marks: &impl Fn(u8x16) -> u8x16) -> u64 {
    let rest = &bytes[start..];
    if let Some(window) = rest.first_chunk::<WINDOW>() {
        let mut mask = 0;
        for (lane, chunk) in window.as_chunks::<LANES>().0.iter().enumerate() {
            mask |= u64::from(marks(u8x16::new(*chunk)).to_bitmask()) << (lane * LANES);
        }
        return mask;
    }
    let (chunks, few) = rest.as_chunks::<LANES>();
    let mut mask = 0;
    for (lane, chunk) in chunks.iter().enumerate() {
        mask |= u64::from(marks(u8x16::new(*chunk)).to_bitmask()) << (lane * LANES);
    }
    if !few.is_empty() {
        mask |= u64::from(mask_of_few(bytes, few.len(), marks)) << (chunks.len() * LANES);
    }
    mask
}

/// The pieces of `bytes` between bytes that are `separator`; one piece if there are none.
#[inline]
pub(crate) fn split(bytes: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut separators = Marked::new(bytes, move |bytes| same(bytes, separator));
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let start = next?;
        let end = separators.at_or_after(start);
        next = (end < bytes.len()).then_some(end + 1);
        Some(&bytes[start..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn marked_bytes_are_found_in_order(
            bytes in proptest::collection::vec(0u8..20, 0..300),
            steps in proptest::collection::vec(0usize..90, 0..20),
        ) {
            let mut marked = Marked::new(&bytes, |bytes| same(bytes, 7));
            let mut from = 0;
            for step in steps {
                from += step;
                let rest = bytes.get(from..).unwrap_or_default();
                let slow = rest.iter().position(|byte| *byte == 7);
                prop_assert_eq!(marked.at_or_after(from), slow.map_or(bytes.len(), |at| from + at));
            }
        }

        #[test]
        fn pieces_are_those_between_separators(bytes in proptest::collection::vec(0u8..4, 0..200), byte in 0u8..4) {
            prop_assert!(split(&bytes, byte).eq(bytes.split(|&b| b == byte)));
        }
    }
}
