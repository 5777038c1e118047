//! Ids and names that are known to be well formed: once parsed, never checked again.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// A text is not of the form that the named kind of id or name asks for.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(pub(crate) &'static str);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
        )]
        pub struct $name(pub Uuid);

        impl $name {
            /// Reads a hyphenated UUID, the only form that is written.
            pub fn parse(text: &str) -> Option<Self> {
                if text.len() != uuid::fmt::Hyphenated::LENGTH {
                    return None;
                }
                Uuid::try_parse(text).ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

uuid_id! {
    /// Names an account for ever: a UUIDv7, also ONTAP's `svm.uuid`.
    AccountId
}

uuid_id! {
    /// Names a user for ever: a UUIDv7. A re-created user name gets a new one.
    UserId
}

/// The account in ARNs: 12 decimal digits, the first not 0.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct AccountNumber(u64);

impl AccountNumber {
    const MIN: u64 = 100_000_000_000;
    const COUNT: u64 = 900_000_000_000;

    /// Reads 12 digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 12 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        text.parse().ok().filter(|number| *number >= Self::MIN).map(Self)
    }

    /// Maps any number onto a valid one, evenly enough for random input.
    pub fn from_random(random: u64) -> Self {
        Self(Self::MIN + random % Self::COUNT)
    }
}

impl fmt::Display for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        pub struct $name(Box<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

uuid_id! {
    /// Names an admin token for ever: a UUIDv7. It is not the token.
    AdminTokenId
}

/// The public half of a credential, such as `AKIAIOSFODNN7EXAMPLE`: 20 of `A-Z 0-9`, unique
/// for ever and everywhere.
// In place, since there are more of them than of anything else.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AccessKeyId([u8; Self::LEN]);

impl AccessKeyId {
    /// Length in characters.
    pub const LEN: usize = 20;

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default() // it is ASCII
    }

    /// Reads an access key ID.
    ///
    /// # Errors
    /// If it is not 20 of `A-Z 0-9`.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let valid = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        match text.as_bytes().try_into() {
            Ok(id) if text.bytes().all(valid) => Ok(Self(id)),
            Ok(_) | Err(_) => Err(InvalidName("must be 20 of A-Z 0-9")),
        }
    }

    /// Makes `AKIA` and 16 of `A-Z 2-7` out of 80 random bits, as AWS does.
    pub fn from_random(random: [u8; 10]) -> Self {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let mut id = *b"AKIAxxxxxxxxxxxxxxxx";
        for (five, eight) in random.chunks_exact(5).zip(id[4..].chunks_exact_mut(8)) {
            let bits = five.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
            for (index, character) in (0..8).rev().zip(eight) {
                *character = ALPHABET[(bits >> (index * 5)) as usize & 31];
            }
        }
        Self(id)
    }
}

impl fmt::Display for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AccessKeyId").field(&self.as_str()).finish()
    }
}

impl Serialize for AccessKeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for AccessKeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = AccessKeyId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an access key ID")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<AccessKeyId, E> {
                AccessKeyId::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

text! {
    /// Name of a user: 1 to 64 of `A-Z a-z 0-9 _ + = , . @ -` (IAM API reference, `userNameType`;
    /// ONTAP S3 user), not of the form of a UUID, which names users by id.
    UserName
}

impl UserName {
    /// Reads a user name.
    ///
    /// # Errors
    /// If it is not of the form above.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
        if text.is_empty() || text.len() > 64 || !text.bytes().all(valid) {
            return Err(InvalidName("must be 1 to 64 of A-Z a-z 0-9 _ + = , . @ -"));
        }
        if UserId::parse(text).is_some() {
            return Err(InvalidName("must not have the form of a UUID"));
        }
        if text == "-" {
            return Err(InvalidName("must not be a single hyphen, which stands for any user"));
        }
        Ok(Self(text.into()))
    }

    /// The form in which no two users of an account may agree.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

text! {
    /// Text for people beside a user or an access key: 0 to 256 characters, none of them a control
    /// character.
    #[derive(Default)]
    Label
}

impl Label {
    /// Reads a label.
    ///
    /// # Errors
    /// If it is too long or holds a control character.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.chars().count() > 256 || text.chars().any(char::is_control) {
            return Err(InvalidName("must be at most 256 characters, without control characters"));
        }
        Ok(Self(text.into()))
    }
}

text! {
    /// Where a user stands in its organisation: `/`, or visible ASCII between slashes, such as
    /// `/division_abc/`; 1 to 512 characters (IAM API reference, `pathType`). Of no effect here.
    UserPath
}

impl UserPath {
    /// Reads a path.
    ///
    /// # Errors
    /// If it is not of the form above.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || text.len() > 512 || !text.starts_with('/') || !text.ends_with('/') {
            return Err(InvalidName(
                "must be / or begin and end with /, up to 512 visible ASCII characters",
            ));
        }
        Ok(Self(text.into()))
    }
}

impl Default for UserPath {
    fn default() -> Self {
        Self("/".into())
    }
}

text! {
    /// A user's e-mail address, or nothing: up to 254 characters (RFC 5321, 4.5.3.1.3), one `@`
    /// between two parts, no space and no control character. Nothing is sent to it.
    #[derive(Default)]
    Email
}

impl Email {
    /// Reads an e-mail address; the empty text for none.
    ///
    /// # Errors
    /// If it is not of the form above.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let bad = |c: char| c.is_control() || c.is_whitespace();
        let address = text.rsplit_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !local.contains('@')
        });
        if !(text.is_empty() || address) || text.len() > 254 || text.contains(bad) {
            return Err(InvalidName("must be an e-mail address of at most 254 characters"));
        }
        Ok(Self(text.into()))
    }
}

text! {
    /// Name of an account for people: 1 to 128 characters, none of them a control character.
    DisplayName
}

impl DisplayName {
    /// Reads a display name.
    ///
    /// # Errors
    /// If it is empty, too long or holds a control character.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let count = text.chars().count();
        if count == 0 || count > 128 || text.chars().any(char::is_control) {
            return Err(InvalidName("must be 1 to 128 characters, without control characters"));
        }
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_follow_the_rules_of_iam_and_ontap() {
        for good in ["a", "user-1", "A_b+c=d,e.f@g-h", &"x".repeat(64)] {
            assert!(UserName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-", "a b", "a/b", "é", "a\n", "a:b", &"x".repeat(65)] {
            assert!(UserName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(UserName::parse("01935a3c-0000-7000-8000-000000000000").is_err());
    }

    #[test]
    fn access_key_ids_are_20_upper_case_letters_and_digits() {
        assert!(AccessKeyId::parse("AKIAIOSFODNN7EXAMPLE").is_ok());
        for bad in ["", "AKIAIOSFODNN7EXAMPL", "AKIAIOSFODNN7EXAMPLEX", "akiaiosfodnn7example"] {
            assert!(AccessKeyId::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(AccessKeyId::from_random([0; 10]).as_str(), "AKIAAAAAAAAAAAAAAAAA");
        assert_eq!(AccessKeyId::from_random([255; 10]).as_str(), "AKIA7777777777777777");
        let made = AccessKeyId::from_random(*b"0123456789");
        assert_eq!(AccessKeyId::parse(made.as_str()), Ok(made));
    }

    #[test]
    fn account_numbers_have_12_digits() {
        for random in [0, 1, 899_999_999_999, 900_000_000_000, u64::MAX] {
            let number = AccountNumber::from_random(random);
            assert_eq!(AccountNumber::parse(&number.to_string()), Some(number));
        }
        for bad in ["", "12345678901", "1234567890123", "012345678901", "12345678901x"] {
            assert_eq!(AccountNumber::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn paths_follow_the_rules_of_iam() {
        for good in ["/", "/a/", "/division_abc/subdivision_xyz/", "/!~/"] {
            assert!(UserPath::parse(good).is_ok(), "{good}");
        }
        let long = format!("/{}/", "x".repeat(511));
        for bad in ["", "a", "/a", "a/", "/a b/", "/é/", "/\n/", long.as_str()] {
            assert!(UserPath::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(UserPath::default().as_str(), "/");
    }

    #[test]
    fn an_email_address_has_two_parts() {
        for good in ["", "a@b", "alice+s3@example.org"] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        let long = format!("{}@example.org", "x".repeat(254));
        for bad in ["a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", long.as_str()] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn labels_and_display_names_are_bounded_in_characters() {
        assert!(Label::parse(&"é".repeat(256)).is_ok());
        assert!(Label::parse(&"é".repeat(257)).is_err());
        assert!(Label::parse("a\0").is_err());
        assert!(Label::parse("").is_ok());
        assert!(DisplayName::parse("").is_err());
        assert!(DisplayName::parse(&"x".repeat(129)).is_err());
    }
}
