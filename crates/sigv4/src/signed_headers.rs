//! `SignedHeaders`: which headers of the request the signature covers.

use crate::bytes::{find, is_lower_token, is_plain_list, text};
use crate::denial::Denial;
use crate::head::{HEADERS_MAX, Head};
use crate::mechanism::Mechanism;
use crate::sink::Sink;
use crate::spelling::Spelling;

/// A signature may cover 100 header names.
pub const SIGNED_HEADERS_MAX: usize = 100;

/// Marks a header line that has the same name as the one before it in [`SignedHeaders::order`].
const REPEATED: u8 = 0x80;

/// The list of signed names, each found in the request.
#[derive(Clone)]
pub(crate) struct SignedHeaders<'a> {
    list: &'a [u8],
    mechanism: Mechanism,
    /// Positions in the head, in the order of the list; repeated names in the order received.
    order: [u8; HEADERS_MAX],
    order_len: usize,
}

impl<'a> SignedHeaders<'a> {
    /// Finds the listed headers in the request and makes sure that nothing is left out that must be signed.
    ///
    /// The list must be as AWS's documentation has it: lower-case names, sorted, each once, `host` among
    /// them and every `x-amz-*` header of the request too, and in OUTSCALE's spelling every `x-osc-*`. A listed header must be in the request: neither
    /// its absence nor a query parameter of its name stands for it.
    pub(crate) fn resolve(
        head: &Head<'a>,
        list: &'a [u8],
        mechanism: Mechanism,
        spelling: Spelling,
    ) -> Result<Self, Denial> {
        let mut signed = Self { list, mechanism, order: [0; HEADERS_MAX], order_len: 0 };
        let lines = Lines::of(head, spelling);
        let mut is_signed = 0_u128;
        let mut has_host = false;
        let is_plain = is_plain_list(list);
        let mut previous: &[u8] = b"";
        for (count, name) in names(list, mechanism).enumerate() {
            let is_name = if is_plain { !name.is_empty() } else { is_lower_token(name) };
            if !is_name || name <= previous || count == SIGNED_HEADERS_MAX {
                return Err(mechanism.malformed_signed_headers(
                    "expecting at most 100 lower-case header names, sorted and separated by ';'",
                ));
            }
            let mut repeated = 0;
            for index in lines.named(head, name) {
                signed.order[signed.order_len] = index as u8 | repeated; // HEADERS_MAX is 128
                signed.order_len += 1;
                is_signed |= 1 << index;
                repeated = REPEATED;
            }
            if repeated == 0 {
                let what = format!("the header '{}' is not in the request", text(name));
                return Err(mechanism.malformed_signed_headers(&what));
            }
            has_host |= name == b"host";
            previous = name;
        }
        if has_host && lines.own & !is_signed == 0 {
            return Ok(signed);
        }
        let mut unsigned: Vec<String> = Vec::new();
        if !has_host {
            unsigned.push("host".to_owned());
        }
        for index in ones(lines.own & !is_signed) {
            let name = text(head.name(index)).to_ascii_lowercase();
            if !unsigned.contains(&name) {
                unsigned.push(name);
            }
        }
        Err(Denial::headers_not_signed(unsigned.join(", ")))
    }

    /// The signed names, in lower case, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        names(self.list, self.mechanism)
    }

    /// Writes the names with `;` between, which is the list as it was sent unless that is escaped.
    pub(crate) fn write_list(&self, out: &mut impl Sink) {
        if find(self.list, 0, b'%') == self.list.len() {
            return out.write(self.list);
        }
        for (index, name) in self.names().enumerate() {
            if index > 0 {
                out.push(b';');
            }
            out.write(name);
        }
    }

    /// The signed header lines: position in the head, and whether the name is that of the line before.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, bool)> {
        self.order[..self.order_len]
            .iter()
            .map(|line| (usize::from(line & !REPEATED), line & REPEATED != 0))
    }
}

/// The header lines of a request, so that those of one name are found without looking at all.
struct Lines {
    /// The first line of each hash of a name, counted from 1; 0 if there is none.
    first: [u8; HASHES],
    /// The next line of the same hash, counted from 1; 0 if there is none.
    next: [u8; HEADERS_MAX],
    /// Lines that must be signed, each a bit.
    own: u128,
}

const HASHES: usize = 32;

impl Lines {
    fn of(head: &Head<'_>, spelling: Spelling) -> Self {
        let mut lines = Self { first: [0; HASHES], next: [0; HEADERS_MAX], own: 0 };
        for index in (0..head.headers_len()).rev() {
            let name = head.name(index);
            let first = &mut lines.first[hash(name)];
            lines.next[index] = *first;
            *first = index as u8 + 1; // HEADERS_MAX is 128
            if is_own(name, spelling) {
                lines.own |= 1 << index;
            }
        }
        lines
    }

    /// The positions of the header lines with this name, which is given in lower case.
    fn named(&self, head: &Head<'_>, name: &[u8]) -> impl Iterator<Item = usize> {
        let mut line = self.first[hash(name)];
        let of_hash = std::iter::from_fn(move || {
            let index = usize::from(line).checked_sub(1)?;
            line = self.next[index];
            Some(index)
        });
        of_hash.filter(|index| head.name(*index).eq_ignore_ascii_case(name))
    }
}

/// A number for a name, the same in either case.
fn hash(name: &[u8]) -> usize {
    let last = name.last().map_or(0, |byte| usize::from(byte | 0x20));
    (name.len() * 7 + last) % HASHES
}

/// The positions of the ones, the lowest first.
fn ones(mut mask: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let index = (mask != 0).then(|| mask.trailing_zeros() as usize)?;
        mask &= mask - 1;
        Some(index)
    })
}

/// Splits a list at `;`, in a query also at `%3B`. Any other escape there gives an empty name.
#[inline]
fn names(list: &[u8], mechanism: Mechanism) -> Names<'_> {
    // In a header a percent sign is a byte of a name.
    let has_escapes = mechanism == Mechanism::Query && find(list, 0, b'%') < list.len();
    Names { rest: Some(list), has_escapes }
}

struct Names<'a> {
    rest: Option<&'a [u8]>,
    has_escapes: bool,
}

impl<'a> Iterator for Names<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let list = self.rest?;
        let mut end = find(list, 0, b';');
        if self.has_escapes {
            end = find(&list[..end], 0, b'%');
        }
        let (name, after) = list.split_at(end);
        self.rest = match after {
            [b';', after @ ..] | [b'%', b'3', b'B' | b'b', after @ ..] => Some(after),
            [] => None,
            [_, ..] => {
                self.rest = None;
                return Some(b"".as_slice());
            }
        };
        Some(name)
    }
}

const AMZ: &[u8; 6] = b"x-amz-";
const OSC: &[u8; 6] = b"x-osc-";

/// Whether the service, or a server that takes `_` in a header's name for `-` as CGI does, would read this
/// header as one of its own.
fn is_own(name: &[u8], spelling: Spelling) -> bool {
    begins(name, AMZ) || (spelling == Spelling::Osc4 && begins(name, OSC))
}

fn begins(name: &[u8], with: &[u8; 6]) -> bool {
    let same = |(byte, wanted): (&u8, &u8)| {
        byte.to_ascii_lowercase() == *wanted || (*wanted == b'-' && *byte == b'_')
    };
    matches!(name, [b'x' | b'X', ..]) && name.len() >= with.len() && name.iter().zip(with).all(same)
}
