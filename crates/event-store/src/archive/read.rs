//! Reading an archive: nothing in it is believed before it is proven.

use std::io::{self, BufRead, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{End, EndLine, EventLine, FORMAT, Header, HeaderLine, LINE_BYTES_MAX};
use crate::index::Index;
use crate::verify::Verifier;
use crate::{EPOCH_MAX, Fault, Hash, Head, Position, StoredFrame, Verified};

/// Why a text is no archive, or not a whole one. Reading it again gets the same answer.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Whatever the archive is read from said no.
    #[error("cannot read the archive")]
    Io(#[from] io::Error),
    /// It ends before its last line.
    #[error("archive is cut off after line {lines}")]
    Truncated {
        /// How many whole lines there are.
        lines: u64,
    },
    /// A line is not what it must be.
    #[error("archive's line {line}: {kind}")]
    Line {
        /// Which one, from 1.
        line: u64,
        /// What is wrong with it.
        kind: LineError,
    },
    /// An event does not decode, or does not follow those before it.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What is wrong with a line of an archive.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It has more than [`LINE_BYTES_MAX`] bytes.
    #[error("line has more than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// It is no JSON object with the fields that must be there.
    #[error("line is malformed: {0}")]
    Malformed(String),
    /// The first line is of another format, or of a version that this one does not know.
    #[error("format is {0:?}, and not {FORMAT:?}")]
    Format(Box<str>),
    /// A field is not of its form.
    #[error("{0} is malformed")]
    Field(&'static str),
    /// A field says something else than the frame beside it.
    #[error("{0} is not what the frame says")]
    Differs(&'static str),
    /// First line, events and last line do not agree about the log's end.
    #[error("archive does not end where its first line says")]
    End,
    /// Something follows the last line.
    #[error("something follows the archive's end")]
    Trailing,
}

/// Checks a whole archive, as importing it would, and gives what it says of itself. Blocks.
///
/// # Errors
/// [`ArchiveError`] with the first thing that is wrong.
pub fn verify(input: impl BufRead) -> Result<(Header, Verified), ArchiveError> {
    let mut reader = Reader::open(input)?;
    loop {
        if let Next::End(verified) = reader.next()? {
            return Ok((reader.header, verified));
        }
    }
}

/// Gives the frames of an archive, each proven to follow the one before.
pub(crate) struct Reader<R> {
    lines: Lines<R>,
    header: Header,
    verifier: Verifier<Index>,
}

/// What an archive goes on with.
pub(crate) enum Next {
    Frame(StoredFrame),
    /// There was nothing after it, and all agrees.
    End(Verified),
}

impl<R: BufRead> Reader<R> {
    /// Reads the first line.
    pub(crate) fn open(input: R) -> Result<Self, ArchiveError> {
        let mut lines = Lines { input, line: Vec::new(), number: 0 };
        let header = parse_header(lines.next()?).map_err(|kind| lines.wrong(kind))?;
        let verifier = Verifier::new(header.log_id, Index::default());
        Ok(Self { lines, header, verifier })
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the next line. Not to be called after the end.
    pub(crate) fn next(&mut self) -> Result<Next, ArchiveError> {
        let text = self.lines.next()?;
        let line = match serde_json::from_slice::<EventLine>(text) {
            Ok(line) => line,
            Err(error) => match serde_json::from_slice::<EndLine>(text) {
                Ok(line) => return self.end(&line.end).map(Next::End),
                Err(_) => return Err(self.lines.wrong(LineError::Malformed(error.to_string()))),
            },
        };
        let frame = STANDARD.decode(&line.frame);
        let frame = frame.map_err(|_| self.lines.wrong(LineError::Field("frame")))?;
        let stored = StoredFrame { position: Position(line.position), bytes: frame.into() };
        let event = self.verifier.push(stored.clone())?;
        match EventLine::of(&event, &stored.bytes).difference(&line) {
            Some(field) => Err(self.lines.wrong(LineError::Differs(field))),
            None => Ok(Next::Frame(stored)),
        }
    }

    fn end(&mut self, end: &End) -> Result<Verified, ArchiveError> {
        let verified = self.verifier.verified()?;
        let Header { epoch, head, .. } = self.header;
        let says = (end.epoch, end.position, end.hash.as_str());
        if verified.head != head || says != (epoch, head.position.0, &head.hash.to_string()) {
            return Err(self.lines.wrong(LineError::End));
        }
        self.lines.finish()?;
        Ok(verified)
    }
}

/// Lines of a bounded length.
struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// Of the line that was read last, from 1.
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// Reads a line, which must be there.
    fn next(&mut self) -> Result<&[u8], ArchiveError> {
        self.line.clear();
        let mut input = self.input.by_ref().take(LINE_BYTES_MAX as u64);
        input.read_until(b'\n', &mut self.line)?;
        let is_whole = self.line.ends_with(b"\n");
        if !is_whole && self.line.len() < LINE_BYTES_MAX {
            return Err(ArchiveError::Truncated { lines: self.number });
        }
        self.number += 1;
        if is_whole { Ok(&self.line) } else { Err(self.wrong(LineError::TooLong)) }
    }

    /// Makes sure that nothing follows.
    fn finish(&mut self) -> Result<(), ArchiveError> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(());
        }
        self.number += 1;
        Err(self.wrong(LineError::Trailing))
    }

    /// Says what is wrong with the line that was read last.
    fn wrong(&self, kind: LineError) -> ArchiveError {
        ArchiveError::Line { line: self.number, kind }
    }
}

fn parse_header(line: &[u8]) -> Result<Header, LineError> {
    let malformed = |error: serde_json::Error| LineError::Malformed(error.to_string());
    let line: HeaderLine = serde_json::from_slice(line).map_err(malformed)?;
    if line.format != FORMAT {
        return Err(LineError::Format(line.format.into()));
    }
    if !(1..=EPOCH_MAX).contains(&line.epoch) {
        return Err(LineError::Field("epoch"));
    }
    let hash = Hash::parse(&line.head_hash).ok_or(LineError::Field("head_hash"))?;
    let head = Head { position: Position(line.head_position), hash };
    Ok(Header { log_id: line.log_id, epoch: line.epoch, head })
}
