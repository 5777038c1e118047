//! Names of buckets, some of them left open.

use anyhow::ensure;

/// A bucket's name, or how names begin: `photos`, `public-*`, or `*` for all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BucketPattern(Box<str>);

impl BucketPattern {
    /// # Errors
    /// If it holds other letters than names do (lower case, digits, `.` and `-`), an asterisk elsewhere
    /// than at its end, or nothing.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let start = text.strip_suffix('*').unwrap_or(text);
        let of_names = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-')
        };
        ensure!(
            !text.is_empty() && text.len() <= 63 && start.bytes().all(of_names),
            "{text:?} is neither a bucket's name nor the beginning of one and an asterisk"
        );
        Ok(Self(text.into()))
    }

    /// As it was parsed.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// What the names begin with; none if it is a name itself.
    pub fn prefix(&self) -> Option<&str> {
        self.0.strip_suffix('*')
    }

    /// Whether this bucket is meant.
    pub fn matches(&self, bucket: &str) -> bool {
        self.prefix().map_or(bucket == &*self.0, |prefix| bucket.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asterisk_stands_for_the_rest() {
        let check = |pattern: &str, bucket: &str, expected: bool| {
            let pattern = BucketPattern::parse(pattern).expect("a pattern");
            assert_eq!(pattern.matches(bucket), expected, "{pattern:?} {bucket}");
        };
        check("photos", "photos", true);
        check("photos", "photos2", false);
        check("public-*", "public-a", true);
        check("public-*", "public-", true);
        check("public-*", "public", false);
        check("public-*", "my-public-a", false);
        check("*", "photos", true);
        for wrong in ["", "**", "*a", "a*b", "Photos", "a/b", "a_b", &"a".repeat(64)] {
            assert!(BucketPattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
