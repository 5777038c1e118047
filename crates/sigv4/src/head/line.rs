//! The lines of a head, one after the other.

use std::ops::Range;

use wide::u8x16;

use super::{HeadError, METHOD_BYTES_MAX, PARAMETERS_MAX, TARGET_BYTES_MAX};
use crate::bytes::{at_most, find, find_no_word, is_hex, is_space, is_token, same};
use crate::marked::Marked;

/// Where a name stands in a head, and where its value does.
type NameAndValue = (Range<usize>, Range<usize>);

/// What is left of a head, and where its control bytes are.
pub(super) struct Lines<'a, M> {
    raw: &'a [u8],
    /// Where the next line starts.
    at: usize,
    controls: Marked<'a, M>,
}

/// The lines of `raw`, which looks at all of it once for control bytes (below 0x20, and DEL).
#[inline(always)]
pub(super) fn lines(raw: &[u8]) -> Lines<'_, impl Fn(u8x16) -> u8x16> {
    let controls = Marked::new(raw, |bytes| at_most(bytes, 0x1f) | same(bytes, 0x7f));
    Lines { raw, at: 0, controls }
}

impl<M: Fn(u8x16) -> u8x16> Lines<'_, M> {
    /// Reads `METHOD SP target [SP HTTP/version]`; gives method and target.
    pub(super) fn request(&mut self) -> Result<(Range<usize>, Range<usize>), HeadError> {
        let raw = self.raw;
        let method_len = find(raw, 0, b' ');
        if method_len > METHOD_BYTES_MAX || method_len == raw.len() || !is_token(&raw[..method_len])
        {
            return Err(HeadError::Malformed);
        }
        let end = self.controls.at_or_after(method_len);
        self.at = after_line(raw, end)?;
        let rest = &raw[method_len + 1..end];
        let target_len = find(rest, 0, b' ');
        if let Some(version) = rest.get(target_len + 1..) {
            let is_version = |v: &[u8]| v.iter().all(|b| b.is_ascii_digit() || *b == b'.');
            if !version.strip_prefix(b"HTTP/").is_some_and(is_version) {
                return Err(HeadError::Malformed);
            }
        }
        Ok((0..method_len, method_len + 1..method_len + 1 + target_len))
    }

    /// Reads `name: value`; gives both, or `None` at the end of the head.
    #[inline(always)]
    pub(super) fn header(&mut self) -> Result<Option<NameAndValue>, HeadError> {
        let (raw, at) = (self.raw, self.at);
        // Where the next line starts does not hang on where this name ends: the CPU looks at lines side by side.
        let mut end = self.controls.at_or_after(at);
        while raw.get(end) == Some(&b'\t') {
            end = self.controls.at_or_after(end + 1);
        }
        self.at = after_line(raw, end)?;
        let mut name = at..find_no_word(raw, at);
        if raw.get(name.end) != Some(&b':') || name.is_empty() {
            match odd_name(raw, at)? {
                Some(end) => name.end = end,
                None => return Ok(None),
            }
        }
        let mut start = name.end + 1;
        if raw.get(start) == Some(&b' ') {
            start += 1;
        }
        Ok(Some((name, trimmed(raw, start..end))))
    }
}

/// Checks a request target; gives the length of its path.
pub(super) fn check_target(target: &[u8]) -> Result<usize, HeadError> {
    if target.len() > TARGET_BYTES_MAX {
        return Err(HeadError::TooLarge { bytes_max: TARGET_BYTES_MAX });
    }
    if target.first() != Some(&b'/') {
        return Err(HeadError::Target);
    }
    let mut marked = Marked::new(target, |bytes| {
        at_most(bytes, b' ')
            | same(bytes, 0x7f)
            | same(bytes, b'#')
            | same(bytes, b'%')
            | same(bytes, b'?')
    });
    let mut path_len = target.len();
    let mut at = marked.at_or_after(0);
    while at < target.len() {
        let next = match &target[at..] {
            [b'%', high, low, ..] if is_hex(*high) && is_hex(*low) => at + 3,
            [b'?', ..] => {
                path_len = path_len.min(at);
                at + 1
            }
            _ => return Err(HeadError::Target),
        };
        at = marked.at_or_after(next);
    }
    if target[path_len..].iter().filter(|&&byte| byte == b'&').count() >= PARAMETERS_MAX {
        return Err(HeadError::TooManyParameters { parameters_max: PARAMETERS_MAX });
    }
    Ok(path_len)
}

/// Where a name ends that does not look like most, before a colon; `None` at the blank line, or the end, of a head.
#[cold]
fn odd_name(raw: &[u8], at: usize) -> Result<Option<usize>, HeadError> {
    if at == raw.len() {
        return Ok(None);
    }
    if let Ok(end) = after_line(raw, at) {
        // The blank line: a body does not belong here.
        return if end < raw.len() { Err(HeadError::Malformed) } else { Ok(None) };
    }
    let end = find(raw, at, b':');
    if end == raw.len() || !is_token(&raw[at..end]) {
        return Err(HeadError::Malformed);
    }
    Ok(Some(end))
}

/// The position after the line break at `end`, or the end itself if that is the end of the head.
#[inline(always)]
fn after_line(raw: &[u8], end: usize) -> Result<usize, HeadError> {
    match (raw.get(end), raw.get(end + 1)) {
        (Some(b'\r'), Some(b'\n')) => Ok(end + 2),
        (Some(b'\n'), _) => Ok(end + 1),
        (None, _) => Ok(end),
        (Some(_), _) => Err(HeadError::Malformed),
    }
}

/// Leaves out spaces and tabs at both ends, which are no part of a value (RFC 9110 section 5.6.3).
#[inline(always)]
fn trimmed(raw: &[u8], range: Range<usize>) -> Range<usize> {
    match &raw[range.clone()] {
        [first, .., last] if !is_space(*first) && !is_space(*last) => range,
        value => {
            let start = value.iter().position(|byte| !is_space(*byte)).unwrap_or(value.len());
            let end =
                value.iter().rposition(|byte| !is_space(*byte)).map_or(start, |last| last + 1);
            range.start + start..range.start + end
        }
    }
}
