//! `SignedHeaders`: which headers of the request the signature covers.

use wide::u8x16;

use crate::bytes::{find, is_lower_token, same, text};
use crate::denial::Denial;
use crate::head::{HEADERS_MAX, Head};
use crate::marked::Marked;
use crate::mechanism::Mechanism;
use crate::names::is_before;
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
    /// A list of which nothing is found yet.
    pub(crate) fn new(list: &'a [u8], mechanism: Mechanism) -> Self {
        Self { list, mechanism, order: [0; HEADERS_MAX], order_len: 0 }
    }

    /// Finds the listed headers in the request and makes sure that nothing is left out that must be signed.
    ///
    /// The list must be as AWS's documentation has it: lower-case names, sorted, each once, `host` among
    /// them and every `x-amz-*` header of the request too, and in OUTSCALE's spelling every `x-osc-*`. A listed header must be in the request: neither
    /// its absence nor a query parameter of its name stands for it.
    pub(crate) fn resolve(&mut self, head: &Head<'a>, spelling: Spelling) -> Result<(), Denial> {
        let mut has_host = false;
        let mut previous: &[u8] = b"";
        for name in names(self.list, self.mechanism) {
            if !is_before(previous, name) || !self.find(head, name) {
                return Err(self.refusal(previous, name));
            }
            has_host |= name == b"host";
            previous = name;
        }
        // Each name has a line at least, so that most lists are seen to be short enough.
        if self.order_len > SIGNED_HEADERS_MAX && self.names().count() > SIGNED_HEADERS_MAX {
            return Err(self.malformed());
        }
        let mut is_signed = [false; HEADERS_MAX];
        for line in &self.order[..self.order_len] {
            is_signed[usize::from(line & !REPEATED)] = true;
        }
        let mut unsigned: Vec<String> = Vec::new();
        if !has_host {
            unsigned.push("host".to_owned());
        }
        for (index, is_signed) in is_signed.iter().enumerate().take(head.tags().len()) {
            let name = head.name(index);
            if !is_signed && is_own(name, spelling) {
                let name = text(name).to_ascii_lowercase();
                if !unsigned.contains(&name) {
                    unsigned.push(name);
                }
            }
        }
        if unsigned.is_empty() {
            return Ok(());
        }
        Err(Denial::headers_not_signed(unsigned.join(", ")))
    }

    /// Adds the lines of a name, which is behind all that were added; whether there are any. As a call, since the loop
    /// over the names would have too few registers with it.
    #[inline(never)]
    fn find(&mut self, head: &Head<'a>, name: &[u8]) -> bool {
        let before = self.order_len;
        head.for_each_of(name, |index| {
            let repeated = if self.order_len > before { REPEATED } else { 0 };
            self.order[self.order_len] = index as u8 | repeated; // HEADERS_MAX is 128
            self.order_len += 1;
        });
        self.order_len > before
    }

    /// Why a listed name is refused: as one that may not stand behind `previous`, or as one that the request has not.
    #[cold]
    fn refusal(&self, previous: &[u8], name: &[u8]) -> Denial {
        let is_beyond = |before: usize| before >= SIGNED_HEADERS_MAX;
        let too_many = self.names().position(|other| other == name).is_some_and(is_beyond);
        if previous >= name || !is_lower_token(name) || too_many {
            return self.malformed();
        }
        let what = format!("the header '{}' is not in the request", text(name));
        self.mechanism.malformed_signed_headers(&what)
    }

    fn malformed(&self) -> Denial {
        let what = "expecting at most 100 lower-case header names, sorted and separated by ';'";
        self.mechanism.malformed_signed_headers(what)
    }

    /// The signed names, in lower case, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        names(self.list, self.mechanism)
    }

    /// Writes the names with `;` between, which is the list as it was sent unless that is escaped.
    pub(crate) fn write_list(&self, out: &mut impl Sink) {
        if self.mechanism == Mechanism::Header || find(self.list, 0, b'%') == self.list.len() {
            return out.write([self.list]);
        }
        for (index, name) in self.names().enumerate() {
            out.write([if index > 0 { b";" } else { b"" }, name]);
        }
    }

    /// The signed header lines: position in the head, and the name, unless that is the name of the line before.
    pub(crate) fn lines(&self, head: &Head<'a>) -> impl Iterator<Item = (usize, Option<&'a [u8]>)> {
        let mut rest = self.list;
        self.order[..self.order_len].iter().map(move |line| {
            let index = usize::from(line & !REPEATED);
            if line & REPEATED != 0 {
                return (index, None);
            }
            // In the list it is as long as in the head.
            let (name, after) = rest.split_at_checked(head.name(index).len()).unwrap_or_default();
            rest = match after {
                [b'%', _, _, rest @ ..] | [_, rest @ ..] => rest,
                [] => after,
            };
            (index, Some(name))
        })
    }
}

/// Splits a list at `;`, in a query also at `%3B`. Any other escape there gives an empty name.
#[inline(always)]
fn names(list: &[u8], mechanism: Mechanism) -> Names<'_, impl Fn(u8x16) -> u8x16> {
    // In a header a percent sign is a byte of a name.
    let escape = if mechanism == Mechanism::Query { b'%' } else { b';' };
    let separators = Marked::new(list, move |bytes| same(bytes, b';') | same(bytes, escape));
    Names { list, separators, start: Some(0) }
}

struct Names<'a, M> {
    list: &'a [u8],
    separators: Marked<'a, M>,
    start: Option<usize>,
}

impl<'a, M: Fn(u8x16) -> u8x16> Iterator for Names<'a, M> {
    type Item = &'a [u8];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.start?;
        let end = self.separators.at_or_after(start);
        self.start = match self.list.get(end..)? {
            [b';', ..] => Some(end + 1),
            [] => None,
            [b'%', b'3', b'B' | b'b', ..] => Some(end + 3),
            [_, ..] => {
                self.start = None;
                return Some(b"");
            }
        };
        self.list.get(start..end)
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
