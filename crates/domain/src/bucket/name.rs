//! Names of buckets, and where they are.

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::InvalidName;

/// Name of a bucket (S3 user guide, "General purpose bucket naming rules"): 3 to 63 of `a-z 0-9 . -`, a letter or
/// a digit at each end, no two dots side by side, and no IPv4 address.
///
/// It holds no escape either, so that there is one way to read it.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct BucketName(Box<str>);

impl BucketName {
    /// Length in characters, at the most.
    pub const LEN_MAX: usize = 63;

    /// Reads a name.
    ///
    /// # Errors
    /// If it is not of the form above.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let at_the_ends = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let inside = |byte: u8| at_the_ends(byte) || matches!(byte, b'.' | b'-');
        let bytes = text.as_bytes();
        let is_name = (3..=Self::LEN_MAX).contains(&bytes.len())
            && bytes.iter().copied().all(inside)
            && bytes.first().copied().is_some_and(at_the_ends)
            && bytes.last().copied().is_some_and(at_the_ends)
            && !text.contains("..")
            && text.parse::<Ipv4Addr>().is_err();
        if is_name {
            return Ok(Self(text.into()));
        }
        Err(InvalidName(
            "must be 3 to 63 of a-z 0-9 . -, begin and end with a letter or a digit, have no two dots \
             side by side, and be no IPv4 address",
        ))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for BucketName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Where a bucket is, as its store calls it, such as `us-east-1`: 1 to 64 of `A-Z a-z 0-9 - _ .`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BucketRegion(Box<str>);

impl BucketRegion {
    /// Reads a region.
    ///
    /// # Errors
    /// If it is not of the form above.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(valid) {
            return Ok(Self(text.into()));
        }
        Err(InvalidName("must be 1 to 64 of A-Z a-z 0-9 - _ ."))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_rules_of_s3() {
        for good in ["abc", "a-b", "a.b", "0a0", "1.2.3", "a--b", &"a".repeat(63)] {
            assert_eq!(BucketName::parse(good).as_ref().map(BucketName::as_str), Ok(good));
        }
        for bad in [
            "",
            "ab",
            "abC",
            "a_b",
            "-abc",
            "abc-",
            ".abc",
            "abc.",
            "a..b",
            "1.2.3.4",
            "a/b",
            "%61bc",
            "tenant:abc",
            "a;b",
            "äbc",
            "a b",
            "abc\n",
            &"a".repeat(64),
        ] {
            assert!(BucketName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn regions_are_short_and_plain() {
        for good in ["us-east-1", "EU", "default", "eu_west.2", &"x".repeat(64)] {
            assert!(BucketRegion::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "é", &"x".repeat(65)] {
            assert!(BucketRegion::parse(bad).is_err(), "{bad:?}");
        }
    }
}
