//! The head of an HTTP request as it stood on the wire, borrowed and checked.

mod lenient;
mod line;

use std::fmt;
use std::ops::Range;

use wide::u8x16;

use crate::bytes::{LANES, is_token, same};
use crate::names::{is_same, tag};

use line::{check_target, lines};

/// A whole head may hold 64 KiB minus one byte, so that every position in it fits 16 bits.
pub const HEAD_BYTES_MAX: usize = 65_535;
/// A request target (path and query) may hold 16 KiB.
pub const TARGET_BYTES_MAX: usize = 16_384;
/// A head may have 128 header lines.
pub const HEADERS_MAX: usize = 128;
/// A query may have 128 parameters.
pub const PARAMETERS_MAX: usize = 128;
/// A method may hold 32 bytes.
const METHOD_BYTES_MAX: usize = 32;

/// The head of a request as it stood on the wire: method, target and headers in order.
///
/// Borrows the bytes and allocates nothing. Once parsed, the method and the header names are tokens, the
/// target starts with `/` and has no control byte, space, `#` or broken percent escape, and no header
/// value has a control byte other than a tab, so that what follows need not look again.
#[derive(Clone)]
pub struct Head<'a> {
    raw: &'a [u8],
    method: Span,
    path: Span,
    query: Span,
    headers: [Header; HEADERS_MAX],
    headers_len: usize,
    /// Of each header's name, so that those of one name are found without looking at all.
    tags: [u8; HEADERS_MAX],
}

/// A piece of the raw head.
#[derive(Clone, Copy, Default)]
struct Span {
    start: u16,
    len: u16,
}

/// Where a header line's name and trimmed value stand in the raw head.
#[derive(Clone, Copy, Default)]
struct Header {
    name: Span,
    value: Span,
}

impl Span {
    /// Positions fit 16 bits because [`Head::parse`] refuses more than [`HEAD_BYTES_MAX`] first.
    fn new(range: Range<usize>) -> Self {
        Self { start: range.start as u16, len: (range.end - range.start) as u16 }
    }

    fn of(self, raw: &[u8]) -> &[u8] {
        let start = usize::from(self.start);
        &raw[start..start + usize::from(self.len)]
    }
}

impl<'a> Head<'a> {
    /// Reads a request line and header lines, ended by CRLF or LF, with or without the blank line after.
    ///
    /// The HTTP version may be missing, as it is when the head was rebuilt from HTTP/2; `:authority` must
    /// then have become `host`. A folded header line is refused (RFC 9112 section 5.2).
    ///
    /// # Errors
    /// A [`HeadError`], which becomes the answer that S3 gives by `Denial::from`. Parsing it again
    /// gets the same error.
    #[inline]
    pub fn parse(raw: &'a [u8]) -> Result<Self, HeadError> {
        let mut parsed = Ok(Self {
            raw,
            method: Span::default(),
            path: Span::default(),
            query: Span::default(),
            headers: [Header::default(); HEADERS_MAX],
            headers_len: 0,
            tags: [0; HEADERS_MAX],
        });
        // In place: a head is a kilobyte, and moving it takes a part of the time.
        if let Ok(head) = &mut parsed
            && let Err(error) = head.read()
        {
            parsed = Err(error);
        }
        parsed
    }

    fn read(&mut self) -> Result<(), HeadError> {
        let raw = self.raw;
        if raw.len() > HEAD_BYTES_MAX {
            return Err(HeadError::TooLarge { bytes_max: HEAD_BYTES_MAX });
        }
        let mut lines = lines(raw);
        let (method, target) = lines.request()?;
        let path_len = check_target(&raw[target.clone()])?;
        let path = target.start..target.start + path_len;
        let query = (path.end + 1).min(target.end)..target.end;
        (self.method, self.path) = (Span::new(method), Span::new(path));
        self.query = Span::new(query);
        let mut len = 0;
        while let Some((name, value)) = lines.header()? {
            if len >= HEADERS_MAX {
                return Err(HeadError::TooManyHeaders { headers_max: HEADERS_MAX });
            }
            self.tags[len] = tag(&raw[name.clone()]);
            self.headers[len] = Header { name: Span::new(name), value: Span::new(value) };
            len += 1;
        }
        self.headers_len = len;
        Ok(())
    }

    /// Makes a head of parts: writes them to `buffer` in wire form (see [`write_head`]) and parses that.
    ///
    /// A buffer that is used again allocates only until it has grown to the size of the heads it sees.
    ///
    /// # Errors
    /// As [`Head::parse`]; [`HeadError::Malformed`] also when a part could not stand on the wire.
    pub fn from_parts<'h>(
        buffer: &'a mut Vec<u8>,
        method: &str,
        target: &[u8],
        headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
    ) -> Result<Self, HeadError> {
        buffer.clear();
        write_head(buffer, method, target, headers)?;
        Self::parse(buffer)
    }

    /// The method, such as `GET`; case kept.
    #[must_use]
    pub fn method(&self) -> &'a [u8] {
        self.method.of(self.raw)
    }

    /// The path as it was sent, percent escapes included; starts with `/`.
    ///
    /// Whoever acts on a verdict must act on these very bytes: never on a normalised or decoded path.
    #[must_use]
    pub fn path(&self) -> &'a [u8] {
        self.path.of(self.raw)
    }

    /// The query as it was sent, without the `?`; empty if there is none.
    #[must_use]
    pub fn query(&self) -> &'a [u8] {
        self.query.of(self.raw)
    }

    /// Header names, case kept, and values, trimmed, in the order received.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> {
        (0..self.headers_len).map(|index| (self.name(index), self.value(index)))
    }

    /// Of each header line that of its name.
    pub(crate) fn tags(&self) -> &[u8] {
        &self.tags[..self.headers_len]
    }

    /// The value of the first header of this name, in whatever case.
    pub(crate) fn first(&self, name: &[u8]) -> Option<&'a [u8]> {
        let mut named = self.headers().filter(|(of, _)| of.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value)
    }

    /// Calls `line` with the position of each header line of this name, which is given in lower case.
    #[inline(always)]
    pub(crate) fn for_each_of(&self, name: &[u8], mut line: impl FnMut(usize)) {
        let tag = tag(name);
        let mut start = 0;
        while start < self.headers_len
            && let Some(tags) = self.tags[start..].first_chunk()
        {
            // Of lines that there are not the name is empty.
            let mut candidates = same(u8x16::new(*tags), tag).to_bitmask();
            while candidates != 0 {
                let index = start + candidates.trailing_zeros() as usize;
                if is_same(self.name(index), name) {
                    line(index);
                }
                candidates &= candidates - 1;
            }
            start += LANES;
        }
    }

    pub(crate) fn name(&self, index: usize) -> &'a [u8] {
        self.headers[index].name.of(self.raw)
    }

    pub(crate) fn value(&self, index: usize) -> &'a [u8] {
        self.headers[index].value.of(self.raw)
    }
}

/// Shows method and path; headers and query may hold signatures and tokens.
impl fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", &String::from_utf8_lossy(self.method()))
            .field("path", &String::from_utf8_lossy(self.path()))
            .finish_non_exhaustive()
    }
}

/// Appends a head in wire form to `raw`: what [`Head::parse`] reads.
///
/// Nothing in a part can start another line or header: a method or name that is no token, a target with
/// a space or control byte and a value with a line break are refused.
///
/// # Errors
/// [`HeadError::Malformed`]; `raw` may then hold a part of the head.
pub fn write_head<'h>(
    raw: &mut Vec<u8>,
    method: &str,
    target: &[u8],
    headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
) -> Result<(), HeadError> {
    if !is_token(method.as_bytes()) || target.iter().any(|&byte| byte <= b' ') {
        return Err(HeadError::Malformed);
    }
    raw.extend_from_slice(method.as_bytes());
    raw.push(b' ');
    raw.extend_from_slice(target);
    raw.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        if !is_token(name) || value.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            return Err(HeadError::Malformed);
        }
        raw.extend_from_slice(name);
        raw.extend_from_slice(b": ");
        raw.extend_from_slice(value);
        raw.extend_from_slice(b"\r\n");
    }
    raw.extend_from_slice(b"\r\n");
    Ok(())
}

/// Why a head could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum HeadError {
    /// The head or the request target has more bytes than are read.
    TooLarge {
        /// The bytes that are read: [`HEAD_BYTES_MAX`] or [`TARGET_BYTES_MAX`].
        bytes_max: usize,
    },
    /// The head has more header lines than are read.
    TooManyHeaders {
        /// The lines that are read: [`HEADERS_MAX`].
        headers_max: usize,
    },
    /// The query has more parameters than are read.
    TooManyParameters {
        /// The parameters that are read: [`PARAMETERS_MAX`].
        parameters_max: usize,
    },
    /// The request target does not start with `/`, has a byte that must be escaped, or a broken escape.
    Target,
    /// The request line or a header line is not HTTP, or something follows the blank line.
    Malformed,
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes_max } => write!(f, "head or target exceeds {bytes_max} bytes"),
            Self::TooManyHeaders { headers_max } => write!(f, "more than {headers_max} headers"),
            Self::TooManyParameters { parameters_max } => {
                write!(f, "more than {parameters_max} query parameters")
            }
            Self::Target => f.write_str("request target is malformed"),
            Self::Malformed => f.write_str("head is malformed"),
        }
    }
}

impl std::error::Error for HeadError {}
