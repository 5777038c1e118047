//! The checksums of S3 that can follow a body in its trailer.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::CrcAlgorithm;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// A checksum algorithm of S3.
///
/// Source: Amazon S3 user guide, "Checking object integrity".
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ChecksumAlgorithm {
    /// CRC-32, as in zlib; 4 bytes.
    Crc32,
    /// CRC-32C (Castagnoli); 4 bytes.
    Crc32c,
    /// CRC-64/NVME; 8 bytes.
    Crc64Nvme,
    /// SHA-1; 20 bytes.
    Sha1,
    /// SHA-256; 32 bytes.
    Sha256,
}

impl ChecksumAlgorithm {
    const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The name in S3's API, such as `CRC32`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header or trailer that holds the value, in lower case.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The algorithm whose value the header or trailer of this name holds, in any case.
    #[must_use]
    pub fn of_header(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|known| name.eq_ignore_ascii_case(known.header().as_bytes()))
    }

    /// How many characters a value has: 8 to 44.
    #[must_use]
    pub const fn value_len(self) -> usize {
        self.bytes().div_ceil(3) * 4
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// The longest value, SHA-256 in base64.
const VALUE_BYTES_MAX: usize = 44;

/// A checksum of an object's data, printed as S3 writes it: in base64.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Checksum {
    algorithm: ChecksumAlgorithm,
    /// Those after the algorithm's own are zeros.
    bytes: [u8; 32],
}

impl Checksum {
    /// By which algorithm.
    #[must_use]
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        self.algorithm
    }

    /// Reads the value of a header: canonical, padded base64 of exactly the algorithm's size.
    pub(crate) fn parse(algorithm: ChecksumAlgorithm, value: &[u8]) -> Option<Self> {
        let mut decoded = [0; VALUE_BYTES_MAX];
        let value = value.get(..value.len().min(VALUE_BYTES_MAX + 1))?;
        let len = BASE64.decode_slice(value, &mut decoded).ok()?;
        let mut bytes = [0; 32];
        bytes.get_mut(..len)?.copy_from_slice(decoded.get(..len)?);
        (len == algorithm.bytes()).then_some(Self { algorithm, bytes })
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && bool::from(self.bytes.ct_eq(&other.bytes))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.bytes[..self.algorithm.bytes()]))
    }
}

/// A checksum in the making.
#[derive(Clone)]
pub(crate) enum Hasher {
    Crc(crc_fast::Digest, ChecksumAlgorithm),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hasher {
    pub(crate) fn new(algorithm: ChecksumAlgorithm) -> Self {
        let crc = |kind| Self::Crc(crc_fast::Digest::new(kind), algorithm);
        match algorithm {
            ChecksumAlgorithm::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc),
            ChecksumAlgorithm::Crc32c => crc(CrcAlgorithm::Crc32Iscsi),
            ChecksumAlgorithm::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme),
            ChecksumAlgorithm::Sha1 => Self::Sha1(Sha1::new()),
            ChecksumAlgorithm::Sha256 => Self::Sha256(Sha256::new()),
        }
    }

    pub(crate) fn update(&mut self, data: &[u8]) {
        match self {
            Self::Crc(digest, _) => digest.update(data),
            Self::Sha1(digest) => digest.update(data),
            Self::Sha256(digest) => digest.update(data),
        }
    }

    pub(crate) fn finish(self) -> Checksum {
        let mut bytes = [0; 32];
        let algorithm = match self {
            Self::Crc(digest, algorithm) => {
                let len = algorithm.bytes();
                bytes[..len].copy_from_slice(&digest.finalize().to_be_bytes()[8 - len..]);
                algorithm
            }
            Self::Sha1(digest) => {
                bytes[..20].copy_from_slice(&digest.finalize());
                ChecksumAlgorithm::Sha1
            }
            Self::Sha256(digest) => {
                bytes.copy_from_slice(&digest.finalize());
                ChecksumAlgorithm::Sha256
            }
        };
        Checksum { algorithm, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_values_of_123456789_come_out() {
        for (algorithm, value) in [
            (ChecksumAlgorithm::Crc32, "y/Q5Jg=="),
            (ChecksumAlgorithm::Crc32c, "4waSgw=="),
            (ChecksumAlgorithm::Crc64Nvme, "rosUhgp5mIg="),
            (ChecksumAlgorithm::Sha1, "98O8HYCOBHMq32eZZczDTKeuNEE="),
            (ChecksumAlgorithm::Sha256, "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
        ] {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(b"1234");
            hasher.update(b"56789");
            let computed = hasher.finish();
            let other = Hasher::new(algorithm).finish();
            let is = |value: &str| {
                Checksum::parse(algorithm, value.as_bytes()).map(|value| computed.is(&value))
            };
            assert_eq!(is(value), Some(true), "{algorithm:?}");
            assert_eq!(computed.to_string(), value);
            assert_eq!(algorithm.value_len(), value.len());
            assert!(!computed.is(&other));
            assert_eq!(
                ChecksumAlgorithm::of_header(algorithm.header().as_bytes()),
                Some(algorithm)
            );
            assert!(algorithm.header().ends_with(&algorithm.as_str().to_ascii_lowercase()));
            for other in ["", "=", &value[1..], &format!("{value}A"), &value.replace('=', "")] {
                if other != value {
                    assert_eq!(is(other), None, "{algorithm:?} {other}");
                }
            }
        }
        // Bits of the last digit that stand for nothing must be zero: each checksum has one spelling.
        assert!(Checksum::parse(ChecksumAlgorithm::Crc32, b"y/Q5Jh==").is_none());
    }
}
