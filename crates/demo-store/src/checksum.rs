//! The `x-amz-checksum-…` values: which to work out, whether they agree, how parts add up.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::{S3Result, s3_error};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A checksum algorithm of S3.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 5] =
        [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The name in S3's API, such as `CRC32`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// Reads the name in S3's API.
    ///
    /// # Errors
    /// `InvalidRequest` for a name that S3 does not know.
    pub(crate) fn parse(name: &str) -> S3Result<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or_else(|| s3_error!(InvalidRequest, "Checksum algorithm provided is unsupported."))
    }

    /// The algorithm whose value the header or trailer of this name holds.
    pub(crate) fn of_header(header: &str) -> Option<Self> {
        let name = header.trim().to_ascii_lowercase();
        let name = name.strip_prefix("x-amz-checksum-")?;
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The header or trailer that holds this algorithm's value.
    pub(crate) fn header(self) -> String {
        format!("x-amz-checksum-{}", self.name().to_ascii_lowercase())
    }

    fn digest(self, bytes: &[u8]) -> Checksums {
        let mut hasher = hasher(&BTreeSet::from([self]));
        hasher.update(bytes);
        hasher.finalize().into()
    }
}

/// A hasher that works out all of `algorithms` in one pass.
pub(crate) fn hasher(algorithms: &BTreeSet<Algorithm>) -> ChecksumHasher {
    ChecksumHasher {
        crc32: algorithms.contains(&Algorithm::Crc32).then(Crc32::new),
        crc32c: algorithms.contains(&Algorithm::Crc32c).then(Crc32c::new),
        crc64nvme: algorithms.contains(&Algorithm::Crc64Nvme).then(Crc64Nvme::new),
        sha1: algorithms.contains(&Algorithm::Sha1).then(Sha1::new),
        sha256: algorithms.contains(&Algorithm::Sha256).then(Sha256::new),
    }
}

/// The checksums of an object or part, in base64 as they stand in headers.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Checksums {
    pub(crate) values: BTreeMap<Algorithm, String>,
    /// Whether these are checksums of the parts' checksums rather than of the bytes.
    pub(crate) composite: bool,
}

impl Checksums {
    /// The value under `algorithm`.
    pub(crate) fn get(&self, algorithm: Algorithm) -> Option<String> {
        self.values.get(&algorithm).cloned()
    }

    /// `COMPOSITE` or `FULL_OBJECT`; nothing if there is no checksum.
    pub(crate) fn kind(&self) -> Option<&'static str> {
        let kind = if self.composite { "COMPOSITE" } else { "FULL_OBJECT" };
        (!self.values.is_empty()).then_some(kind)
    }

    /// Checks these against those a client `claimed`.
    ///
    /// # Errors
    /// `BadDigest`.
    pub(crate) fn verify(&self, claimed: &Self) -> S3Result<()> {
        for (algorithm, value) in &claimed.values {
            if self.values.get(algorithm) != Some(value) {
                let name = algorithm.name();
                return Err(s3_error!(
                    BadDigest,
                    "The {name} you specified did not match the calculated checksum."
                ));
            }
        }
        Ok(())
    }

    /// The composite checksum of a multipart object: that of its parts' checksums, then `-<parts>`.
    ///
    /// Nothing if a part lacks the checksum.
    pub(crate) fn composite<'p>(
        algorithm: Algorithm,
        parts: impl ExactSizeIterator<Item = &'p Self>,
    ) -> Self {
        let count = parts.len();
        let mut bytes = Vec::new();
        for part in parts {
            let value = part.values.get(&algorithm).and_then(|value| BASE64.decode(value).ok());
            let Some(value) = value else { return Self::default() };
            bytes.extend_from_slice(&value);
        }
        let mut whole = algorithm.digest(&bytes);
        for value in whole.values.values_mut() {
            *value = format!("{value}-{count}");
        }
        Self { composite: true, ..whole }
    }
}

impl From<s3s::dto::Checksum> for Checksums {
    fn from(mut checksum: s3s::dto::Checksum) -> Self {
        take_checksums!(checksum)
    }
}

/// Takes the five checksum fields out of an input that has them.
macro_rules! take_checksums {
    ($input:ident) => {{
        use $crate::checksum::{Algorithm, Checksums};
        let values = [
            (Algorithm::Crc32, $input.checksum_crc32.take()),
            (Algorithm::Crc32c, $input.checksum_crc32c.take()),
            (Algorithm::Crc64Nvme, $input.checksum_crc64nvme.take()),
            (Algorithm::Sha1, $input.checksum_sha1.take()),
            (Algorithm::Sha256, $input.checksum_sha256.take()),
        ];
        let values = values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Checksums { values, composite: false }
    }};
}

/// Sets the five checksum fields of an output that has them.
macro_rules! set_checksums {
    ($output:ident, $checksums:expr) => {
        let checksums: &$crate::checksum::Checksums = $checksums;
        $output.checksum_crc32 = checksums.get($crate::checksum::Algorithm::Crc32);
        $output.checksum_crc32c = checksums.get($crate::checksum::Algorithm::Crc32c);
        $output.checksum_crc64nvme = checksums.get($crate::checksum::Algorithm::Crc64Nvme);
        $output.checksum_sha1 = checksums.get($crate::checksum::Algorithm::Sha1);
        $output.checksum_sha256 = checksums.get($crate::checksum::Algorithm::Sha256);
    };
}

pub(crate) use {set_checksums, take_checksums};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_values_of_123456789_come_out() {
        for (algorithm, expected) in [
            (Algorithm::Crc32, "y/Q5Jg=="),
            (Algorithm::Crc32c, "4waSgw=="),
            (Algorithm::Crc64Nvme, "rosUhgp5mIg="),
            (Algorithm::Sha1, "98O8HYCOBHMq32eZZczDTKeuNEE="),
        ] {
            assert_eq!(algorithm.digest(b"123456789").get(algorithm).as_deref(), Some(expected));
            assert_eq!(Algorithm::of_header(&algorithm.header()), Some(algorithm));
            assert_eq!(Algorithm::parse(algorithm.name()).ok(), Some(algorithm));
        }
    }

    #[test]
    fn a_composite_counts_its_parts_and_needs_them_all() {
        let part = Algorithm::Crc32.digest(b"part");
        let whole = Checksums::composite(Algorithm::Crc32, [&part, &part].into_iter());
        assert!(whole.composite && whole.get(Algorithm::Crc32).is_some_and(|v| v.ends_with("-2")));
        let without = Checksums::default();
        let whole = Checksums::composite(Algorithm::Crc32, [&part, &without].into_iter());
        assert_eq!(whole, Checksums::default());
    }

    #[test]
    fn a_wrong_claim_is_a_bad_digest() {
        let real = Algorithm::Crc32.digest(b"bytes");
        assert!(real.verify(&real).is_ok());
        assert!(real.verify(&Checksums::default()).is_ok());
        assert!(real.verify(&Algorithm::Crc32.digest(b"other")).is_err());
        assert!(real.verify(&Algorithm::Sha1.digest(b"bytes")).is_err());
    }
}
