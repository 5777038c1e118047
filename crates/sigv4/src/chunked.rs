//! `aws-chunked` bodies, taken apart and verified as they arrive.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::announced::AnnouncedChunks;
use crate::bytes::{hex_value, is_hex};
use crate::chain::SignatureChain;
use crate::checksum::Checksum;
use crate::denial::{Denial, ErrorCode};
use crate::key::Signature;
use crate::trailer::{Trailer, malformed};

/// A chunk that another one with data follows must hold this many bytes, as S3 has it.
pub const CHUNK_BYTES_MIN: u64 = 8192;
/// A line of framing or trailer may hold 128 bytes; the longest with a meaning has 101.
const LINE_BYTES_MAX: usize = 128;
/// A chunk's size may have 16 hexadecimal digits, zeros in front included.
const SIZE_DIGITS_MAX: usize = 16;

/// Takes an `aws-chunked` body apart as it arrives in whatever pieces, and verifies it.
///
/// Does no I/O and keeps no data: it holds one line of framing, a hash and, if the chunks are signed, the signing
/// key, and allocates only for a denial. Data that comes out may be written somewhere, but is not known to be
/// true: only [`ChunkedBody::finish`] makes an object of it. Whoever needs to act on a part of the data before
/// that can do so after [`ChunkPiece::Signed`], up to the length that it tells.
///
/// ```
/// # use sigv4::{AnnouncedChunks, ChunkPiece, ChunkedBody, Denial, SignatureChain};
/// # fn receive(announced: AnnouncedChunks, chain: SignatureChain, reads: &[&[u8]]) -> Result<Vec<u8>, Denial> {
/// let mut body = ChunkedBody::new(announced, Some(chain)).expect("there is a key for signed chunks");
/// let mut upload = Vec::new(); // what can still be dropped
/// for mut read in reads.iter().copied() {
///     while let Some(piece) = body.read(&mut read)? {
///         match piece {
///             ChunkPiece::Data(data) => upload.extend_from_slice(data),
///             ChunkPiece::Signed { .. } => {}
///         }
///     }
/// }
/// let _proof = body.finish()?;
/// Ok(upload) // complete and true
/// # }
/// ```
pub struct ChunkedBody {
    announced: AnnouncedChunks,
    chain: Option<SignatureChain>,
    state: State,
    line: [u8; LINE_BYTES_MAX],
    line_len: usize,
    decoded_bytes: u64,
    chunks: u64,
    /// The chunk before was too small to be followed by another with data; its size.
    too_small: Option<u64>,
    is_last: bool,
    chunk_sha256: Sha256,
    chunk_signature: Option<Signature>,
    trailer: Option<Trailer>,
}

/// What comes out of an `aws-chunked` body.
#[derive(Debug, Eq, PartialEq)]
pub enum ChunkPiece<'d> {
    /// Decoded data, a part of what was read. Nobody has vouched for it yet.
    Data(&'d [u8]),
    /// The signature of a chunk is right: the signer sent the data so far, which need not be all of it.
    Signed {
        /// The length of the data so far.
        decoded_bytes: u64,
    },
}

/// That an `aws-chunked` body is complete and true: every signature, length and checksum is right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChunkedProof {
    decoded_bytes: u64,
    checksum: Option<Checksum>,
}

impl ChunkedProof {
    /// The length of the data.
    #[must_use]
    pub fn decoded_bytes(&self) -> u64 {
        self.decoded_bytes
    }

    /// The checksum in the trailer, which the data was found to have.
    #[must_use]
    pub fn checksum(&self) -> Option<Checksum> {
        self.checksum
    }
}

/// What is expected next.
#[derive(Clone, Copy, Debug)]
enum State {
    /// `size;chunk-signature=...`, then a line break.
    Size,
    Data {
        remaining: u64,
    },
    /// The line break behind a chunk's data.
    DataEnd,
    /// Lines of the trailer.
    Trailer,
    End,
    Failed,
}

impl ChunkedBody {
    /// Begins to read a body as it was announced. `None` if its chunks are signed and there is no `chain`.
    #[must_use]
    pub fn new(announced: AnnouncedChunks, chain: Option<SignatureChain>) -> Option<Self> {
        let chain = if announced.is_signed() { Some(chain?) } else { None };
        Some(Self {
            announced,
            chain,
            state: State::Size,
            line: [0; LINE_BYTES_MAX],
            line_len: 0,
            decoded_bytes: 0,
            chunks: 0,
            too_small: None,
            is_last: false,
            chunk_sha256: Sha256::new(),
            chunk_signature: None,
            trailer: announced.trailer().map(Trailer::new),
        })
    }

    /// Takes what it can off the front of `input`. `None` once `input` is empty and more must come, or all came.
    ///
    /// # Errors
    /// The [`Denial`] to answer with; the body is then lost: all later calls are denied too.
    /// `SignatureDoesNotMatch` for a chunk or trailer; `IncompleteBody` for framing that cannot be read and for
    /// more data than announced; `InvalidChunkSizeError` for a chunk below [`CHUNK_BYTES_MIN`] that is not the last;
    /// `MalformedTrailerError` for anything but the announced trailer behind the last chunk; `InvalidRequest` for a
    /// checksum that is none; `BadDigest` for a wrong one.
    pub fn read<'d>(&mut self, input: &mut &'d [u8]) -> Result<Option<ChunkPiece<'d>>, Denial> {
        let result = self.try_read(input);
        if result.is_err() {
            self.state = State::Failed;
        }
        result
    }

    /// The end of what arrived: the proof that it was all, and right.
    ///
    /// # Errors
    /// `IncompleteBody` if something is missing or [`ChunkedBody::read`] was denied.
    pub fn finish(self) -> Result<ChunkedProof, Denial> {
        match self.state {
            State::End => {
                let checksum = self.trailer.as_ref().and_then(Trailer::found);
                Ok(ChunkedProof { decoded_bytes: self.decoded_bytes, checksum })
            }
            State::Size | State::Data { .. } | State::DataEnd | State::Trailer | State::Failed => {
                Err(self.incomplete(self.decoded_bytes))
            }
        }
    }

    fn try_read<'d>(&mut self, input: &mut &'d [u8]) -> Result<Option<ChunkPiece<'d>>, Denial> {
        while !input.is_empty() {
            match self.state {
                State::Data { remaining } => {
                    let len = usize::try_from(remaining).unwrap_or(usize::MAX).min(input.len());
                    let (data, rest) = input.split_at(len);
                    *input = rest;
                    self.take(data, remaining - len as u64);
                    return Ok(Some(ChunkPiece::Data(data)));
                }
                State::Size | State::DataEnd | State::Trailer => {
                    if let Some(len) = self.fill_line(input)?
                        && self.on_line(len)?
                    {
                        let decoded_bytes = self.decoded_bytes;
                        return Ok(Some(ChunkPiece::Signed { decoded_bytes }));
                    }
                }
                State::End => return Err(malformed()),
                State::Failed => return Err(self.incomplete(self.decoded_bytes)),
            }
        }
        Ok(None)
    }

    fn take(&mut self, data: &[u8], remaining: u64) {
        if self.chain.is_some() {
            self.chunk_sha256.update(data);
        }
        if let Some(trailer) = &mut self.trailer {
            trailer.update(data);
        }
        self.decoded_bytes += data.len() as u64;
        self.state = if remaining == 0 { State::DataEnd } else { State::Data { remaining } };
    }

    /// Moves `input` to the line up to its LF; the length with the LF once that is there.
    fn fill_line(&mut self, input: &mut &[u8]) -> Result<Option<usize>, Denial> {
        let end = input.iter().take(LINE_BYTES_MAX).position(|&byte| byte == b'\n');
        let (piece, rest) = input.split_at(end.map_or(input.len(), |at| at + 1));
        let room = self.line.get_mut(self.line_len..self.line_len + piece.len());
        let Some(room) = room else {
            return Err(match self.state {
                State::Trailer => malformed(),
                State::Size | State::Data { .. } | State::DataEnd | State::End | State::Failed => {
                    self.incomplete(self.decoded_bytes)
                }
            });
        };
        room.copy_from_slice(piece);
        *input = rest;
        self.line_len += piece.len();
        Ok(end.map(|_| std::mem::take(&mut self.line_len)))
    }

    /// Acts on a whole line; whether a chunk was found to be signed by it.
    fn on_line(&mut self, len: usize) -> Result<bool, Denial> {
        let buffer = self.line;
        let (line, is_crlf) = match &buffer[..len] {
            [line @ .., b'\r', b'\n'] => (line, true),
            [line @ .., b'\n'] => (line, false),
            line => (line, false),
        };
        match self.state {
            State::Size if is_crlf => self.on_size(line),
            State::DataEnd if is_crlf && line.is_empty() => self.on_chunk_end(),
            State::Trailer => self.on_trailer(line, is_crlf),
            State::Size | State::Data { .. } | State::DataEnd | State::End | State::Failed => {
                Err(self.incomplete(self.decoded_bytes))
            }
        }
    }

    fn on_size(&mut self, line: &[u8]) -> Result<bool, Denial> {
        let end = line.iter().position(|&byte| byte == b';').unwrap_or(line.len());
        let (digits, extension) = line.split_at(end);
        let size = size(digits).ok_or_else(|| self.incomplete(self.decoded_bytes))?;
        // Exactly the extension that the mode has: what is not known is not skipped.
        self.chunk_signature = match (&self.chain, extension.strip_prefix(b";chunk-signature=")) {
            (Some(_), Some(signature)) => Some(Signature::from_hex(signature)),
            (None, _) if extension.is_empty() => None,
            (Some(_), None) if extension.is_empty() => {
                return Err(Denial::signature_does_not_match());
            }
            (Some(_) | None, _) => return Err(self.incomplete(self.decoded_bytes)),
        };
        let provided = self.decoded_bytes.saturating_add(size);
        if provided > self.announced.decoded_bytes() {
            return Err(self.incomplete(provided));
        }
        if let (Some(small), 1..) = (self.too_small, size) {
            return Err(self.invalid_chunk_size(small));
        }
        self.chunks += 1;
        self.too_small = (size < CHUNK_BYTES_MIN).then_some(size);
        if size > 0 {
            self.state = State::Data { remaining: size };
            return Ok(false);
        }
        if self.decoded_bytes != self.announced.decoded_bytes() {
            return Err(self.incomplete(self.decoded_bytes));
        }
        if self.announced.trailer().is_none() {
            self.is_last = true;
            self.state = State::DataEnd; // as behind any chunk
            return Ok(false);
        }
        let is_signed = self.check_chunk()?;
        self.state = State::Trailer;
        Ok(is_signed)
    }

    fn on_chunk_end(&mut self) -> Result<bool, Denial> {
        let is_signed = self.check_chunk()?;
        self.state = if self.is_last { State::End } else { State::Size };
        Ok(is_signed)
    }

    /// Checks the signature of the chunk that ends here, if chunks are signed.
    fn check_chunk(&mut self) -> Result<bool, Denial> {
        let Some(chain) = &mut self.chain else { return Ok(false) };
        let sha256 = self.chunk_sha256.finalize_reset().into();
        match self.chunk_signature.take() {
            Some(signature) if chain.is_chunk_signed(&sha256, signature) => Ok(true),
            Some(_) | None => Err(Denial::signature_does_not_match()),
        }
    }

    fn on_trailer(&mut self, line: &[u8], is_crlf: bool) -> Result<bool, Denial> {
        let trailer = self.trailer.as_mut().ok_or_else(malformed)?;
        if trailer.read(line, is_crlf, self.chain.as_mut())? {
            self.state = State::End;
        }
        Ok(false)
    }

    fn incomplete(&self, provided: u64) -> Denial {
        let message = "The request body terminated unexpectedly";
        Denial::new(ErrorCode::IncompleteBody, message)
            .with("NumberBytesExpected", self.announced.decoded_bytes().to_string())
            .with("NumberBytesProvided", provided.to_string())
    }

    fn invalid_chunk_size(&self, size: u64) -> Denial {
        let message = "Only the last chunk is allowed to have a size less than 8192 bytes";
        Denial::new(ErrorCode::InvalidChunkSizeError, message)
            .with("Chunk", self.chunks.to_string())
            .with("BadChunkSize", size.to_string())
    }
}

/// Leaves out the line, which may hold a signature.
impl fmt::Debug for ChunkedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkedBody")
            .field("announced", &self.announced)
            .field("decoded_bytes", &self.decoded_bytes)
            .finish_non_exhaustive()
    }
}

/// Reads a chunk's size: 1 to [`SIZE_DIGITS_MAX`] hexadecimal digits of either case, and nothing else.
fn size(digits: &[u8]) -> Option<u64> {
    let is_size =
        (1..=SIZE_DIGITS_MAX).contains(&digits.len()) && digits.iter().all(|&d| is_hex(d));
    let value = digits.iter().fold(0, |sum, &digit| sum << 4 | u64::from(hex_value(digit)));
    is_size.then_some(value)
}
