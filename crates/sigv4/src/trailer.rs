//! What follows the last chunk of an `aws-chunked` body: the checksum that was announced, and its signature.

use sha2::{Digest, Sha256};

use crate::bytes::trim;
use crate::chain::SignatureChain;
use crate::checksum::{Checksum, ChecksumAlgorithm, Hasher};
use crate::denial::{Denial, ErrorCode};
use crate::key::Signature;

/// A trailer that is read line by line: `name:value`, then `x-amz-trailer-signature:value` if it is signed, then an
/// empty line; nothing else, and nothing twice.
///
/// AWS's documentation ends the first line with LF and then CRLF, and some clients do; others write CRLF. Both mean
/// the same. Source: Amazon S3 API reference, "Signature calculations for trailing headers".
#[derive(Clone)]
pub(crate) struct Trailer {
    algorithm: ChecksumAlgorithm,
    hasher: Option<Hasher>,
    /// Once it was found to be the data's.
    checksum: Option<Checksum>,
    next: Next,
}

#[derive(Clone, Copy)]
enum Next {
    Checksum,
    /// The signature, or the empty line if there is none.
    Rest {
        /// Of `name:value` and LF, which is what is signed.
        sha256: [u8; 32],
        /// The line was ended by LF alone, after which one empty line is nothing.
        after_lf: bool,
    },
    EmptyLine,
}

impl Trailer {
    pub(crate) fn new(algorithm: ChecksumAlgorithm) -> Self {
        let hasher = Some(Hasher::new(algorithm));
        Self { algorithm, hasher, checksum: None, next: Next::Checksum }
    }

    /// What was announced, once it has come and is right.
    pub(crate) fn found(&self) -> Option<Checksum> {
        self.checksum
    }

    /// Takes note of decoded data.
    pub(crate) fn update(&mut self, data: &[u8]) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(data);
        }
    }

    /// Reads a line, without the LF or CRLF that ends it. Whether it is the last.
    pub(crate) fn read(
        &mut self,
        line: &[u8],
        is_crlf: bool,
        chain: Option<&mut SignatureChain>,
    ) -> Result<bool, Denial> {
        let is_empty = line.is_empty() && is_crlf;
        self.next = match (self.next, chain) {
            (Next::Checksum, _) => self.checksum(line, is_crlf)?,
            (Next::Rest { sha256, after_lf: true }, _) if is_empty => {
                Next::Rest { sha256, after_lf: false }
            }
            (Next::Rest { .. }, None) | (Next::EmptyLine, _) => {
                return if is_empty { Ok(true) } else { Err(malformed()) };
            }
            (Next::Rest { sha256, .. }, Some(chain)) => {
                let (name, value) = name_and_value(line)?;
                if !name.eq_ignore_ascii_case(b"x-amz-trailer-signature") {
                    return Err(malformed());
                }
                if !chain.is_trailer_signed(&sha256, Signature::from_hex(value)) {
                    return Err(Denial::signature_does_not_match());
                }
                Next::EmptyLine
            }
        };
        Ok(false)
    }

    fn checksum(&mut self, line: &[u8], is_crlf: bool) -> Result<Next, Denial> {
        let (name, value) = name_and_value(line)?;
        let header = self.algorithm.header();
        if !name.eq_ignore_ascii_case(header.as_bytes()) {
            return Err(malformed());
        }
        let given = Checksum::parse(self.algorithm, value).ok_or_else(|| {
            Denial::invalid_request(format!("Value for {header} trailing header is invalid."))
        })?;
        let computed = self.hasher.take().map(Hasher::finish);
        if !computed.is_some_and(|computed| computed.is(&given)) {
            let algorithm = self.algorithm.as_str();
            return Err(Denial::new(
                ErrorCode::BadDigest,
                format!("The {algorithm} you specified did not match the calculated checksum."),
            ));
        }
        self.checksum = Some(given);
        let sha256 = Sha256::new().chain_update(header).chain_update(b":").chain_update(value);
        let sha256 = sha256.chain_update(b"\n").finalize().into();
        Ok(Next::Rest { sha256, after_lf: !is_crlf })
    }
}

/// 400 `MalformedTrailerError`
pub(crate) fn malformed() -> Denial {
    let message = "The request contained trailing data that was not well-formed or did not conform to our \
                   published schema.";
    Denial::new(ErrorCode::MalformedTrailerError, message)
}

/// Takes `name:value` apart; spaces around the value are no part of it.
fn name_and_value(line: &[u8]) -> Result<(&[u8], &[u8]), Denial> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or_else(malformed)?;
    Ok((&line[..colon], trim(&line[colon + 1..])))
}
