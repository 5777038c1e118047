//! What the head of an `aws-chunked` request says of its body.

use crate::bytes::text;
use crate::checksum::ChecksumAlgorithm;
use crate::denial::{Denial, ErrorCode};
use crate::payload::PayloadMode;
use crate::trailer::malformed;

/// One request may carry 5 GiB of data, in bytes: the most that S3 takes in one `PutObject` or `UploadPart`.
pub const DECODED_BYTES_MAX: u64 = 5 << 30;

/// What the head of an `aws-chunked` request says of its body, checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AnnouncedChunks {
    decoded_bytes: u64,
    is_signed: bool,
    trailer: Option<ChecksumAlgorithm>,
}

impl AnnouncedChunks {
    /// Reads `x-amz-decoded-content-length` and `x-amz-trailer` among a request's headers, which are names of
    /// any case and values. The request must have been verified: both headers are then signed.
    ///
    /// # Errors
    /// `InvalidRequest` for a mode that is not `aws-chunked`, a header given twice, a trailer that is no checksum,
    /// more than one, or one where the mode has none; `MissingContentLength` and `InvalidArgument` for a length
    /// that is missing or no number; `EntityTooLarge` beyond [`DECODED_BYTES_MAX`]; `MalformedTrailerError` if the
    /// mode has a trailer and none is announced.
    pub fn find<'h>(
        mode: PayloadMode,
        headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
    ) -> Result<Self, Denial> {
        let (is_signed, has_trailer) = match mode {
            PayloadMode::SignedChunks => (true, false),
            PayloadMode::SignedChunksTrailer => (true, true),
            PayloadMode::UnsignedChunksTrailer => (false, true),
            PayloadMode::Sha256(_) | PayloadMode::Unsigned => {
                return Err(Denial::invalid_request("The body is not aws-chunked."));
            }
        };
        let (mut length, mut trailer) = (None, None);
        for (name, value) in headers {
            let (slot, known) = if name.eq_ignore_ascii_case(DECODED_LENGTH.as_bytes()) {
                (&mut length, DECODED_LENGTH)
            } else if name.eq_ignore_ascii_case(TRAILER.as_bytes()) {
                (&mut trailer, TRAILER)
            } else {
                continue;
            };
            if slot.replace(value.trim_ascii()).is_some() {
                let message = format!("The header '{known}' was given more than once.");
                return Err(Denial::invalid_request(message));
            }
        }
        let decoded_bytes = decoded_bytes(length)?;
        let trailer = match (trailer, has_trailer) {
            (Some(name), true) => Some(announced_checksum(name)?),
            (None, false) => None,
            (None, true) => return Err(malformed()),
            (Some(_), false) => {
                let message = "x-amz-trailer was given, and x-amz-content-sha256 says that there is no trailer.";
                return Err(Denial::invalid_request(message));
            }
        };
        Ok(Self { decoded_bytes, is_signed, trailer })
    }

    /// How many bytes all chunks hold together; 0 to [`DECODED_BYTES_MAX`].
    #[must_use]
    pub fn decoded_bytes(&self) -> u64 {
        self.decoded_bytes
    }

    /// Whether each chunk, and the trailer, is signed.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.is_signed
    }

    /// The checksum that will stand in the trailer.
    #[must_use]
    pub fn trailer(&self) -> Option<ChecksumAlgorithm> {
        self.trailer
    }
}

const DECODED_LENGTH: &str = "x-amz-decoded-content-length";
const TRAILER: &str = "x-amz-trailer";

fn decoded_bytes(value: Option<&[u8]>) -> Result<u64, Denial> {
    let value = value.ok_or_else(|| {
        let message = "You must provide the Content-Length HTTP header.";
        Denial::new(ErrorCode::MissingContentLength, message)
    })?;
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        let message = "x-amz-decoded-content-length must be a number of bytes.";
        return Err(Denial::invalid_argument(message, DECODED_LENGTH, text(value)));
    }
    let bytes = value
        .iter()
        .fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    if bytes > DECODED_BYTES_MAX {
        let message = "Your proposed upload exceeds the maximum allowed size";
        return Err(Denial::new(ErrorCode::EntityTooLarge, message)
            .with("ProposedSize", text(value))
            .with("MaxSizeAllowed", DECODED_BYTES_MAX.to_string()));
    }
    Ok(bytes)
}

fn announced_checksum(value: &[u8]) -> Result<ChecksumAlgorithm, Denial> {
    ChecksumAlgorithm::of_header(value).ok_or_else(|| {
        Denial::invalid_request(if value.contains(&b',') {
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        } else {
            "The value specified in the x-amz-trailer header is not supported"
        })
    })
}
