//! Percent encoding as Signature Version 4 wants it: every byte has one spelling.
//!
//! Canonical text has `A-Z a-z 0-9 - . _ ~` as they are and all else as `%XX` in upper case. What came on
//! the wire is decoded and encoded again, so that `%7e`, `%7E` and `~` are the same.

use std::cmp::Ordering;

use crate::bytes::{hex_value, is_unreserved, same, unreserved};
use crate::marked::Marked;
use crate::sink::Sink;

/// Which part of the request target is encoded: they differ in two characters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    /// `/` stays, `%2F` stays `%2F` (it is no separator), and `+` is a plus sign.
    Path,
    /// `/` becomes `%2F`, and `+` is a space, as in every HTML form and as S3 reads it.
    Query,
}

/// One canonical character: 1 or 3 bytes.
#[derive(Clone, Copy)]
struct Unit {
    text: [u8; 3],
    len: u8,
}

impl Unit {
    fn literal(byte: u8) -> Self {
        Self { text: [byte, 0, 0], len: 1 }
    }

    fn escaped(byte: u8) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let (high, low) = (DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]);
        Self { text: [b'%', high, low], len: 3 }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.len)]
    }
}

/// Takes one character off `raw` and gives its canonical form.
fn next_unit(raw: &mut &[u8], part: Part) -> Option<Unit> {
    let (&first, rest) = raw.split_first()?;
    let (byte, rest) = match rest {
        [high, low, rest @ ..] if first == b'%' => (hex_value(*high) << 4 | hex_value(*low), rest),
        _ if first == b'+' && part == Part::Query => (b' ', rest),
        _ => (first, rest),
    };
    *raw = rest;
    let is_literal = is_unreserved(byte) || (first == b'/' && part == Part::Path);
    Some(if is_literal { Unit::literal(byte) } else { Unit::escaped(byte) })
}

/// Writes the canonical form of `raw`, whose escapes have been checked.
pub(crate) fn encode(mut raw: &[u8], part: Part, out: &mut impl Sink) {
    let slash = if part == Part::Path { b'/' } else { b'.' };
    let mut reserved = Marked::new(raw, |bytes| !(unreserved(bytes) | same(bytes, slash)));
    let len = raw.len();
    loop {
        let plain_end = reserved.at_or_after(len - raw.len());
        let (plain, rest) = raw.split_at(plain_end - (len - raw.len()));
        raw = rest;
        match next_unit(&mut raw, part) {
            Some(unit) => out.write([plain, unit.as_bytes()]),
            None => return out.write([plain]),
        }
    }
}

/// Writes `raw` with everything escaped that is not unreserved, its escapes too.
pub(crate) fn encode_again(raw: &[u8], out: &mut impl Sink) {
    for &byte in raw {
        let unit = if is_unreserved(byte) { Unit::literal(byte) } else { Unit::escaped(byte) };
        out.write([unit.as_bytes()]);
    }
}

/// Compares the canonical forms of two query names or values, byte by byte.
pub(crate) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let is_common = |(a, b): &(&u8, &u8)| a == b && is_unreserved(**a);
    let common = a.iter().zip(b).take_while(is_common).count();
    let (mut a, mut b) = (&a[common..], &b[common..]);
    loop {
        let units = (next_unit(&mut a, Part::Query), next_unit(&mut b, Part::Query));
        let order = match &units {
            (Some(a), Some(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Some(_), None) => Ordering::Greater,
            (None, Some(_)) => Ordering::Less,
            (None, None) => return Ordering::Equal,
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// The bytes that a query name or value stands for.
pub(crate) fn decoded(mut raw: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let unit = next_unit(&mut raw, Part::Query)?;
        Some(match unit.text {
            [b'%', high, low] if unit.len == 3 => hex_value(high) << 4 | hex_value(low),
            [byte, ..] => byte,
        })
    })
}

/// The bytes that a query name or value stands for, as far as they fit.
pub(crate) fn decode<'b>(value: &[u8], buffer: &'b mut [u8]) -> &'b [u8] {
    let mut len = 0;
    for (slot, byte) in buffer.iter_mut().zip(decoded(value)) {
        *slot = byte;
        len += 1;
    }
    &buffer[..len]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(raw: &str, part: Part, canonical: &str) {
        let mut text = Vec::new();
        encode(raw.as_bytes(), part, &mut text);
        assert_eq!(String::from_utf8_lossy(&text), canonical);
    }

    #[test]
    fn a_path_keeps_its_slashes_and_dots() {
        check("/a//b/./../c/", Part::Path, "/a//b/./../c/");
        check("/%2e%2E/", Part::Path, "/../");
    }

    #[test]
    fn an_escaped_slash_in_a_path_is_no_separator() {
        check("/bucket/a%2fb", Part::Path, "/bucket/a%2Fb");
    }

    #[test]
    fn a_plus_sign_is_itself_in_a_path_and_a_space_in_a_query() {
        check("/a+b%2Bc", Part::Path, "/a%2Bb%2Bc");
        check("a+b%2Bc%20", Part::Query, "a%20b%2Bc%20");
    }

    #[test]
    fn every_byte_has_one_spelling() {
        check("/%7e~%41 é*!'()", Part::Path, "/~~A%20%C3%A9%2A%21%27%28%29");
        check("a/b=c%3d", Part::Query, "a%2Fb%3Dc%3D");
    }

    proptest! {
        #[test]
        fn order_is_that_of_the_canonical_text(a: Vec<u8>, b: Vec<u8>) {
            let canonical = |raw: &[u8]| {
                let mut text = Vec::new();
                encode(raw, Part::Query, &mut text);
                text
            };
            prop_assert_eq!(compare(&a, &b), canonical(&a).cmp(&canonical(&b)));
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
        }
    }
}
