//! The canonical request: one text for all spellings of the same request.
//!
//! Source: AWS, "Create a signed AWS API request", step 1.

use crate::bytes::find;
use crate::expected::{Dialect, Expected};
use crate::head::{Head, PARAMETERS_MAX};
use crate::percent::{self, Part};
use crate::query::{NAME_BYTES_MAX, Place, places};
use crate::signed_headers::SignedHeaders;
use crate::sink::{BufferedSha256, Sink};

/// What a canonical request is made of.
pub(crate) struct CanonicalRequest<'r, 'a> {
    pub(crate) head: &'r Head<'a>,
    pub(crate) path: Path,
    pub(crate) signed_headers: &'r SignedHeaders<'a>,
    /// The last line: a payload mode as it was sent.
    pub(crate) payload: &'a [u8],
    /// Whether `X-Amz-Signature` is left out of the query.
    pub(crate) presigned: bool,
}

/// How the path is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Path {
    /// Encoded once, and not normalised.
    OfS3,
    /// As it was sent, of which no service makes a canonical request; some clients do.
    AsSent,
    /// Not normalised, and encoded as it was sent.
    EncodedAgain,
    /// Normalised, and encoded as it was sent, which an SDK had encoded once already.
    Normalised,
}

impl Path {
    pub(crate) fn of(expected: &Expected<'_>) -> Self {
        match expected.dialect {
            Dialect::S3 => Self::OfS3,
            Dialect::General { .. } if expected.normalizes_path => Self::Normalised,
            Dialect::General { .. } => Self::EncodedAgain,
        }
    }
}

impl CanonicalRequest<'_, '_> {
    /// The text.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut text = Vec::new();
        self.write(&mut text);
        text
    }

    /// The SHA-256 of the text, which is not put together for it.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        let mut hash = BufferedSha256::new();
        self.write(&mut hash);
        hash.finish()
    }

    fn write(&self, out: &mut impl Sink) {
        out.write([self.head.method(), b"\n"]);
        match self.path {
            Path::OfS3 => percent::encode(self.head.path(), Part::Path, out),
            Path::AsSent => out.write([self.head.path()]),
            Path::EncodedAgain => write_encoded_again(self.head.path(), out),
            Path::Normalised => write_normalised(self.head.path(), out, percent::encode_again),
        }
        out.write([b"\n"]);
        if !self.head.query().is_empty() {
            self.write_query(out);
        }
        self.write_headers(out);
        out.write([b"\n\n"]);
        self.signed_headers.write_list(out);
        out.write([b"\n", self.payload]);
    }

    /// All parameters, sorted by their encoded name, then by their encoded value.
    fn write_query(&self, out: &mut impl Sink) {
        let query = self.head.query();
        let is_signed = |place: &Place| {
            let mut buffer = [0; NAME_BYTES_MAX];
            !self.presigned || place.of(query).decoded_name(&mut buffer) != b"X-Amz-Signature"
        };
        let mut sorted = [Place::default(); PARAMETERS_MAX]; // a head has no more
        let mut len = 0;
        for (slot, place) in sorted.iter_mut().zip(places(query).filter(is_signed)) {
            *slot = place;
            len += 1;
        }
        let sorted = &mut sorted[..len];
        sorted.sort_unstable_by(|a, b| {
            let (a, b) = (a.of(query), b.of(query));
            percent::compare(a.name, b.name).then_with(|| percent::compare(a.value, b.value))
        });
        for (index, place) in sorted.iter().enumerate() {
            let parameter = place.of(query);
            if index > 0 {
                out.write([b"&"]);
            }
            percent::encode(parameter.name, Part::Query, out);
            out.write([b"="]);
            percent::encode(parameter.value, Part::Query, out);
        }
    }

    /// `name:value`, each on a new line; the values of a repeated name in the order received, with commas between.
    fn write_headers(&self, out: &mut impl Sink) {
        for (index, name) in self.signed_headers.lines(self.head) {
            let value = self.head.value(index);
            let is_plain = !has_runs(value);
            let now = if is_plain { value } else { b"" };
            match name {
                Some(name) => out.write([b"\n", name, b":", now]),
                None => out.write([b",", now]),
            }
            if !is_plain {
                write_words(value, out);
            }
        }
    }
}

/// Writes a path with all else than unreserved characters and separators escaped, `%` too.
fn write_encoded_again(path: &[u8], out: &mut impl Sink) {
    for (index, segment) in path.split(|&byte| byte == b'/').enumerate() {
        if index > 0 {
            out.write([b"/"]);
        }
        percent::encode_again(segment, out);
    }
}

/// Writes a path without its empty and its dot segments (RFC 3986, section 5.2.4), each of the others by
/// `write`.
pub(crate) fn write_normalised<S: Sink>(path: &[u8], out: &mut S, write: impl Fn(&[u8], &mut S)) {
    let mut segments: Vec<&[u8]> = vec![];
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    for segment in &segments {
        out.write([b"/"]);
        write(segment, out);
    }
    // A path that ends with one of these names a folder.
    let is_folder = [&b"/"[..], b"/.", b"/.."].iter().any(|end| path.ends_with(end));
    if segments.is_empty() || is_folder {
        out.write([b"/"]);
    }
}

/// Writes a trimmed header value with every run of spaces made one space. Tabs stay, as in AWS's own SDKs.
#[cold]
fn write_words(value: &[u8], out: &mut impl Sink) {
    let words = value.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        out.write([if index > 0 { b" " } else { b"" }, word]);
    }
}

/// Whether there are two spaces next to each other.
fn has_runs(value: &[u8]) -> bool {
    let mut space = find(value, 0, b' ');
    while space < value.len() {
        let next = find(value, space + 1, b' ');
        if next == space + 1 {
            return next < value.len();
        }
        space = next;
    }
    false
}
