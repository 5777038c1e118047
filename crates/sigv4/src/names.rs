//! Names of headers, which are the same in either case.

use wide::u8x16;

use crate::bytes::{LANES, at_most};

/// A number for a name, the same in either case, that few names of one request have in common.
#[inline(always)]
pub(crate) const fn tag(name: &[u8]) -> u8 {
    let (Some(first), Some(last)) = (name.first(), name.last()) else { return 0 };
    (name.len() as u8).wrapping_mul(37) ^ (*first | 0x20).wrapping_mul(3) ^ (*last | 0x20)
}

/// Whether a name that was sent, in ASCII, is `lower` but for its case.
#[inline(always)]
pub(crate) fn is_same(sent: &[u8], lower: &[u8]) -> bool {
    if sent.len() != lower.len() {
        return false;
    }
    // By the first and the last bytes, which together are all.
    match sent.len() {
        8..=16 => {
            let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
            let is_same = |sent, lower| lowered(word(sent)) == word(lower);
            ends(sent)
                .zip(ends(lower))
                .is_some_and(|(sent, lower)| is_same(sent.0, lower.0) & is_same(sent.1, lower.1))
        }
        17..=32 => ends(sent).zip(ends(lower)).is_some_and(|(sent, lower)| {
            let differ = |sent: &[u8; LANES], lower: &[u8; LANES]| {
                let sent = u8x16::new(*sent);
                let is_upper = at_most(sent - u8x16::splat(b'A'), 25);
                (sent | (is_upper & u8x16::splat(0x20))) ^ u8x16::new(*lower)
            };
            (differ(sent.0, lower.0) | differ(sent.1, lower.1)) == u8x16::splat(0)
        }),
        4..=7 => {
            let word = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
            let is_same = |sent, lower| lowered(word(sent)) == word(lower);
            ends(sent)
                .zip(ends(lower))
                .is_some_and(|(sent, lower)| is_same(sent.0, lower.0) & is_same(sent.1, lower.1))
        }
        _ => sent.iter().zip(lower).all(|(sent, lower)| sent.to_ascii_lowercase() == *lower),
    }
}

/// The first and the last `N` bytes.
#[inline(always)]
fn ends<const N: usize>(name: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
    name.first_chunk().zip(name.last_chunk())
}

/// Eight letters in lower case, and what else is ASCII as it is.
fn lowered(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // The highest bit of each byte says whether it is no less than `A`, and more than `Z`.
    let from_a = word + ONES * (0x80 - b'A' as u64);
    let after_z = word + ONES * (0x80 - b'Z' as u64 - 1);
    word | (from_a & !after_z & ONES << 7) >> 2
}

/// Whether one name stands before another in the order of bytes.
#[inline(always)]
pub(crate) fn is_before(a: &[u8], b: &[u8]) -> bool {
    let (first_of_a, first_of_b) = (prefix(a), prefix(b));
    first_of_a < first_of_b || (first_of_a == first_of_b && a < b)
}

/// The first eight bytes, or zeros after fewer, as a number that is ordered as they are.
#[inline(always)]
fn prefix(name: &[u8]) -> u64 {
    match name.first_chunk() {
        Some(first) => u64::from_be_bytes(*first),
        None => {
            let of_bytes = name.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            // Of no bytes zero.
            of_bytes.unbounded_shl(64 - 8 * name.len() as u32)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_are_the_same_in_either_case(sent in "[a-zA-Z0-9!#_~^-]{0,40}", other in "[a-zA-Z0-9_-]{0,3}") {
            let check = |lower: &str| {
                let is_its = sent.to_ascii_lowercase() == lower;
                prop_assert_eq!(is_same(sent.as_bytes(), lower.as_bytes()), is_its, "{} {}", &sent, lower);
                prop_assert!(!is_its || tag(sent.as_bytes()) == tag(lower.as_bytes()));
                Ok(())
            };
            let lower = sent.to_ascii_lowercase();
            check(&lower)?;
            check(&sent)?;
            check(&other)?;
            for at in 0..lower.len() {
                let mut changed = lower.clone().into_bytes();
                changed[at] ^= 0x20;
                check(&String::from_utf8_lossy(&changed))?;
            }
        }

        #[test]
        fn order_is_that_of_bytes(a in proptest::collection::vec(0u8..3, 0..12), b in proptest::collection::vec(0u8..3, 0..12)) {
            prop_assert_eq!(is_before(&a, &b), a < b);
        }
    }
}
