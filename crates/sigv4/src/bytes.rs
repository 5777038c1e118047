//! Byte classes and scanning: the inner loops of every parser here.

use wide::{i16x8, u8x16};

/// May stand unencoded in a canonical path or query: `A-Z a-z 0-9 - . _ ~` (RFC 3986 section 2.3).
const UNRESERVED: u8 = 1;
/// May stand in a method or header name (RFC 9110 section 5.6.2, `token`).
const TOKEN: u8 = 2;
/// A hexadecimal digit of either case.
const HEX: u8 = 4;
/// May stand in a part of a credential scope: graphic ASCII but a slash.
const PART: u8 = 8;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let byte = i as u8;
        let mut class = 0;
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            class |= UNRESERVED;
        }
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.')
            || matches!(byte, b'^' | b'_' | b'`' | b'|' | b'~')
        {
            class |= TOKEN;
        }
        if byte.is_ascii_hexdigit() {
            class |= HEX;
        }
        if byte.is_ascii_graphic() && byte != b'/' {
            class |= PART;
        }
        table[i] = class;
        i += 1;
    }
    table
}

fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

pub(crate) fn is_unreserved(byte: u8) -> bool {
    is(byte, UNRESERVED)
}

/// Whether `name` can be a method or a header name.
pub(crate) fn is_token(name: &[u8]) -> bool {
    // No early end: the loads do not wait for one another.
    !name.is_empty() && name.iter().fold(TOKEN, |all, &byte| all & CLASSES[usize::from(byte)]) != 0
}

/// Whether all are graphic ASCII and none is a slash.
pub(crate) fn is_part(text: &[u8]) -> bool {
    text.iter().fold(PART, |all, &byte| all & CLASSES[usize::from(byte)]) != 0
}

pub(crate) fn is_hex(byte: u8) -> bool {
    is(byte, HEX)
}

/// Whether `name` can be a header name in `SignedHeaders`: a token without upper-case letters.
pub(crate) fn is_lower_token(name: &[u8]) -> bool {
    is_token(name) && !name.iter().fold(false, |any, byte| any | byte.is_ascii_uppercase())
}

/// The value of a hexadecimal digit of either case; of no meaning for other bytes.
pub(crate) fn hex_value(digit: u8) -> u8 {
    (digit & 15) + 9 * (digit >> 6)
}

/// Lower-case hexadecimal of 32 bytes.
pub(crate) fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    let digit = |value: u8| value + if value < 10 { b'0' } else { b'a' - 10 };
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = digit(byte >> 4);
        pair[1] = digit(byte & 15);
    }
    text
}

/// The 32 bytes that 64 lower-case hexadecimal digits stand for.
pub(crate) fn unhex(text: &[u8]) -> Option<[u8; 32]> {
    let text: &[u8; 64] = text.try_into().ok()?;
    let is_digit = |digits: &[u8; LANES]| {
        let digits = u8x16::new(*digits);
        at_most(digits - u8x16::splat(b'0'), 9) | at_most(digits - u8x16::splat(b'a'), 5)
    };
    let [a, b, c, d] = text.as_chunks().0 else { return None };
    let is_hex = (is_digit(a) & is_digit(b) & is_digit(c) & is_digit(d)).all();
    let halves = [u8x16::narrow_i16x8(pairs(a), pairs(b)), u8x16::narrow_i16x8(pairs(c), pairs(d))];
    let mut bytes = [0; 32];
    for (bytes, half) in bytes.as_chunks_mut().0.iter_mut().zip(halves) {
        *bytes = half.to_array();
    }
    is_hex.then_some(bytes)
}

/// The eight bytes that 16 hexadecimal digits stand for; of no meaning for other bytes.
#[inline(always)]
fn pairs(digits: &[u8; LANES]) -> i16x8 {
    let digits = std::array::from_fn(|at| i16::from_le_bytes([digits[2 * at], digits[2 * at + 1]]));
    let digits = i16x8::new(digits);
    // As hex_value has it, in each half: none of the sums is more than 15.
    let letters = (digits >> 6) & i16x8::splat(0x0101);
    let values = (digits & i16x8::splat(0x0f0f)) + letters + (letters << 3);
    ((values << 4) | (values >> 8)) & i16x8::splat(0xff)
}

/// How many bytes are looked at at a time: most of the work of a parser is to look for the next separator.
pub(crate) const LANES: usize = 16;

/// The first position at or after `from` of a byte that `marks` marks with ones; the length if there is none.
#[inline(always)]
fn find_marked(bytes: &[u8], from: usize, marks: impl Fn(u8x16) -> u8x16) -> usize {
    let mut at = from;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let found = marks(u8x16::new(*chunk)).to_bitmask();
        if found != 0 {
            return at + found.trailing_zeros() as usize;
        }
        at += LANES;
    }
    let few = bytes.len().saturating_sub(at);
    let found = if few == 0 { 0 } else { mask_of_few(bytes, few, marks) };
    if found == 0 { bytes.len() } else { at + found.trailing_zeros() as usize }
}

/// The marks of the last bytes, one to 16 of them, the first one of these in the lowest bit.
#[inline(always)]
pub(crate) fn mask_of_few(bytes: &[u8], few: usize, marks: impl Fn(u8x16) -> u8x16) -> u32 {
    let mask = |chunk: &[u8; LANES]| marks(u8x16::new(*chunk)).to_bitmask();
    // The last whole chunk, less what is before them; or what there is, filled up.
    match bytes.last_chunk() {
        Some(chunk) => mask(chunk) >> (LANES - few),
        None => mask(&filled_up(&bytes[bytes.len() - few..])) & ((1 << few) - 1),
    }
}

/// Less than a chunk, with zeros behind it.
#[cold]
fn filled_up(bytes: &[u8]) -> [u8; LANES] {
    let mut chunk = [0; LANES];
    chunk[..bytes.len()].copy_from_slice(bytes);
    chunk
}

/// Ones where a byte is no more than `max`.
#[inline(always)]
pub(crate) fn at_most(bytes: u8x16, max: u8) -> u8x16 {
    bytes.min(u8x16::splat(max)).simd_eq(bytes)
}

/// Ones where a byte is this.
#[inline(always)]
pub(crate) fn same(bytes: u8x16, byte: u8) -> u8x16 {
    bytes.simd_eq(u8x16::splat(byte))
}

/// The first position at or after `from` of `byte`; the length if there is none.
#[inline]
pub(crate) fn find(bytes: &[u8], from: usize, byte: u8) -> usize {
    find_marked(bytes, from, |bytes| same(bytes, byte))
}

/// The first position at or after `from` of a byte that is none of `A-Z a-z 0-9 - _`; the length if there
/// is none.
#[inline]
pub(crate) fn find_no_word(bytes: &[u8], from: usize) -> usize {
    find_marked(bytes, from, |bytes| {
        let letter = at_most((bytes | u8x16::splat(0x20)) - u8x16::splat(b'a'), 25);
        let digit = at_most(bytes - u8x16::splat(b'0'), 9);
        !(letter | digit | same(bytes, b'-') | same(bytes, b'_'))
    })
}

/// Ones where a byte is one of `A-Z a-z 0-9 - . _ ~`.
#[inline(always)]
pub(crate) fn unreserved(bytes: u8x16) -> u8x16 {
    let letter = at_most((bytes | u8x16::splat(0x20)) - u8x16::splat(b'a'), 25);
    let digit = at_most(bytes - u8x16::splat(b'0'), 9);
    letter | digit | same(bytes, b'-') | same(bytes, b'.') | same(bytes, b'_') | same(bytes, b'~')
}

/// Whether it is a space or a tab.
#[inline(always)]
pub(crate) fn is_space(byte: u8) -> bool {
    // Not by `matches!`, of which the compiler makes a table of bits.
    (byte == b' ') | (byte == b'\t')
}

/// Trims spaces and tabs, which HTTP does not count as part of a value (RFC 9110 section 5.6.3).
#[inline(always)]
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_space(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_space(*last)
    {
        bytes = rest;
    }
    bytes
}

/// Caller's text for a message or a detail; what is not UTF-8 becomes U+FFFD.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hex_is_lower_case_and_reads_back() {
        let bytes: [u8; 32] = std::array::from_fn(|i| (i * 9) as u8);
        assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        assert_eq!(unhex(&hex(&bytes).to_ascii_uppercase()), None);
        assert_eq!(unhex(&hex(&bytes)[1..]), None);
    }

    proptest! {
        #[test]
        fn what_is_looked_for_is_found(bytes in proptest::collection::vec(0u8.., 0..60), from in 0usize..70) {
            type Find = fn(&[u8], usize) -> usize;
            type Is = fn(u8) -> bool;
            let finders: [(Find, Is); 2] = [
                (find_no_word, |b| !b.is_ascii_alphanumeric() && b != b'-' && b != b'_'),
                (|bytes, from| find_marked(bytes, from, |bytes| !unreserved(bytes)), |b| !is_unreserved(b)),
            ];
            let rest = bytes.get(from..).unwrap_or_default();
            for (find, is) in finders {
                let slow = rest.iter().position(|&b| is(b)).map_or(bytes.len(), |at| at + from);
                prop_assert_eq!(find(&bytes, from), slow);
            }
        }

        #[test]
        fn digits_are_hexadecimal_in_lower_case_alone(bytes: [u8; 32], at in 0usize..64, other: u8) {
            let mut text = hex(&bytes);
            prop_assert_eq!(unhex(&text), Some(bytes));
            let right = text[at];
            text[at] = other;
            let is_digit = other.is_ascii_digit() || (b'a'..=b'f').contains(&other);
            prop_assert_eq!(unhex(&text).is_some(), is_digit);
            prop_assert_eq!(unhex(&text) == Some(bytes), other == right);
        }

        #[test]
        fn separators_are_found(bytes in proptest::collection::vec(0u8..4, 0..40), byte in 0u8..4) {
            let at = bytes.iter().position(|&b| b == byte).unwrap_or(bytes.len());
            prop_assert_eq!(find(&bytes, 0, byte), at);
        }
    }
}
