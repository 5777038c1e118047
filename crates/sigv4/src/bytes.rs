//! Byte classes and scanning: the inner loops of every parser here.

/// May stand unencoded in a canonical path or query: `A-Z a-z 0-9 - . _ ~` (RFC 3986 section 2.3).
const UNRESERVED: u8 = 1;
/// May stand in a method or header name (RFC 9110 section 5.6.2, `token`).
const TOKEN: u8 = 2;
/// A hexadecimal digit of either case.
const HEX: u8 = 4;
/// An upper-case letter.
const UPPER: u8 = 8;
/// May stand in a request target as it is: no control, no space, no `#` and no `%`.
const TARGET: u8 = 16;
/// A slash, which stands in a canonical path as it is.
const SLASH: u8 = 32;

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
        if byte.is_ascii_uppercase() {
            class |= UPPER;
        }
        if byte == b'/' {
            class |= SLASH;
        }
        if byte > b' ' && byte != 0x7f && byte != b'#' && byte != b'%' {
            class |= TARGET;
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

pub(crate) fn is_unreserved_or_slash(byte: u8) -> bool {
    is(byte, UNRESERVED | SLASH)
}

/// Whether `name` can be a method or a header name.
pub(crate) fn is_token(name: &[u8]) -> bool {
    // No early end: the loads do not wait for one another.
    !name.is_empty() && name.iter().fold(TOKEN, |all, &byte| all & CLASSES[usize::from(byte)]) != 0
}

pub(crate) fn is_target(byte: u8) -> bool {
    is(byte, TARGET)
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
    // No early end, so that the compiler can look at many digits at a time.
    let is_hex = text.iter().fold(true, |is_hex, digit| {
        is_hex & (digit.is_ascii_digit() | matches!(digit, b'a'..=b'f'))
    });
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = hex_value(pair[0]) << 4 | hex_value(pair[1]);
    }
    is_hex.then_some(bytes)
}

const ONES: u64 = u64::MAX / 255;
const HIGH: u64 = ONES << 7;

/// The first position at or after `from` of a byte that `marks` marks; the length if there is none.
///
/// Looks at eight bytes at a time: most of the work of a parser is to look for the next separator.
/// `marks` sets the high bit of the bytes that are meant, and perhaps of bytes after the first of them.
#[inline]
fn find_marked(bytes: &[u8], from: usize, marks: impl Fn(u64) -> u64) -> usize {
    let mut at = from;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let found = marks(u64::from_le_bytes(*chunk)) & HIGH;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let is_marked = |byte: u8| marks(u64::from(byte)) & 0x80 != 0;
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|&byte| is_marked(byte)).unwrap_or(rest.len())
}

/// Marks the bytes that are zero. A borrow reaches only bytes above the first, so that the first is right.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word
}

/// The first position at or after `from` of `byte`; the length if there is none.
#[inline]
pub(crate) fn find(bytes: &[u8], from: usize, byte: u8) -> usize {
    find_marked(bytes, from, |word| zeros(word ^ (ONES * u64::from(byte))))
}

/// The first position at or after `from` of a control byte (below 0x20, or DEL); the length if none.
pub(crate) fn find_control(bytes: &[u8], from: usize) -> usize {
    find_marked(bytes, from, |word| {
        word.wrapping_sub(ONES * 0x20) & !word | zeros(word ^ (ONES * 0x7f))
    })
}

/// The pieces of `bytes` between bytes that are `separator`; one piece if there are none.
pub(crate) fn split(bytes: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let (piece, after) = bytes.split_at(find(bytes, 0, separator));
        rest = after.get(1..);
        Some(piece)
    })
}

/// Trims spaces and tabs, which HTTP does not count as part of a value (RFC 9110 section 5.6.3).
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
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
        fn the_first_control_byte_is_found(bytes: Vec<u8>, from in 0usize..40) {
            let from = from.min(bytes.len());
            let slow = bytes[from..].iter().position(|&b| b < 0x20 || b == 0x7f);
            prop_assert_eq!(find_control(&bytes, from), slow.map_or(bytes.len(), |at| at + from));
        }

        #[test]
        fn separators_are_found(bytes in proptest::collection::vec(0u8..4, 0..40), byte in 0u8..4) {
            let at = bytes.iter().position(|&b| b == byte).unwrap_or(bytes.len());
            prop_assert_eq!(find(&bytes, 0, byte), at);
            prop_assert!(split(&bytes, byte).eq(bytes.split(|&b| b == byte)));
        }
    }
}
