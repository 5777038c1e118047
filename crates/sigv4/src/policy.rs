//! The policy of a browser's upload form: what it allows, and until when.
//!
//! Source: Amazon S3 API reference, "POST policy".

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::date::Timestamp;
use crate::denial::{Denial, ErrorCode};

/// A policy may have 256 conditions.
const CONDITIONS_MAX: usize = 256;

/// A policy that was understood to its last byte.
#[derive(Debug)]
pub(crate) struct Policy {
    /// It allows nothing at or after this instant; a part of a second is cut off.
    pub(crate) expires_unix_seconds: i64,
    pub(crate) conditions: Vec<Condition>,
}

/// One condition; names of fields are in lower case and without the `$`.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Condition {
    Eq { field: String, value: String },
    StartsWith { field: String, value: String },
    ContentLengthRange { min: u64, max: u64 },
}

impl Policy {
    /// Reads base64 of a JSON object with `expiration` and `conditions`, each once, and nothing else.
    ///
    /// The caller bounds the length of `text`.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Denial> {
        let json = BASE64.decode(text).map_err(|_| invalid("Invalid Policy: Invalid Base64."))?;
        // What is read into a struct could also be an array.
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err(invalid("Invalid Policy: Invalid JSON."));
        }
        let document: Document =
            serde_json::from_slice(&json).map_err(|_| invalid("Invalid Policy: Invalid JSON."))?;
        let expires_unix_seconds = expiration(document.expiration.as_bytes())
            .ok_or_else(|| invalid("Invalid Policy: Invalid 'expiration' value."))?;
        let conditions: Vec<_> = document.conditions.into_iter().flat_map(|some| some.0).collect();
        if conditions.len() > CONDITIONS_MAX {
            return Err(invalid("Invalid Policy: Too many conditions."));
        }
        Ok(Self { expires_unix_seconds, conditions })
    }
}

impl Condition {
    /// The field that it speaks of, if it speaks of one.
    pub(crate) fn field(&self) -> Option<&str> {
        match self {
            Self::Eq { field, .. } | Self::StartsWith { field, .. } => Some(field),
            Self::ContentLengthRange { .. } => None,
        }
    }

    /// Whether a field's value is as this condition wants it; a field that is not in the form never is.
    pub(crate) fn allows(&self, given: Option<&str>) -> bool {
        match (self, given) {
            (Self::Eq { value, .. }, Some(given)) => given == value,
            // The types of several files are a list, each of which must be allowed.
            (Self::StartsWith { field, value }, Some(given)) if field == "content-type" => {
                given.split(',').all(|given| given.trim_matches(' ').starts_with(value.as_str()))
            }
            (Self::StartsWith { value, .. }, Some(given)) => given.starts_with(value.as_str()),
            (Self::Eq { .. } | Self::StartsWith { .. }, None) => false,
            (Self::ContentLengthRange { .. }, _) => true, // whoever sees the file must tell
        }
    }
}

/// As S3 repeats it.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eq { field, value } => write!(f, "[\"eq\", \"${field}\", \"{value}\"]"),
            Self::StartsWith { field, value } => {
                write!(f, "[\"starts-with\", \"${field}\", \"{value}\"]")
            }
            Self::ContentLengthRange { min, max } => {
                write!(f, "[\"content-length-range\", {min}, {max}]")
            }
        }
    }
}

fn invalid(message: &'static str) -> Denial {
    Denial::new(ErrorCode::InvalidPolicyDocument, message)
}

/// Reads ISO 8601 extended format in UTC, `2015-12-30T12:00:00Z`, with up to nine digits of a second's fraction.
fn expiration(text: &[u8]) -> Option<i64> {
    let &[
        y0,
        y1,
        y2,
        y3,
        b'-',
        m0,
        m1,
        b'-',
        d0,
        d1,
        b'T',
        h0,
        h1,
        b':',
        i0,
        i1,
        b':',
        s0,
        s1,
        ref rest @ ..,
    ] = text
    else {
        return None;
    };
    match rest {
        [b'Z'] => {}
        [b'.', digits @ .., b'Z']
            if (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) => {}
        _ => return None,
    }
    let basic = [y0, y1, y2, y3, m0, m1, d0, d1, b'T', h0, h1, i0, i1, s0, s1, b'Z'];
    Timestamp::parse(&basic).map(Timestamp::unix_seconds)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    expiration: String,
    conditions: Vec<Conditions>,
}

/// What one element of `conditions` says: an object may say several things.
struct Conditions(Vec<Condition>);

impl<'de> Deserialize<'de> for Conditions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ConditionsVisitor)
    }
}

struct ConditionsVisitor;

impl<'de> Visitor<'de> for ConditionsVisitor {
    type Value = Conditions;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    /// `{"acl": "private"}`
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Conditions, A::Error> {
        let mut conditions: Vec<Condition> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, String>()? {
            let field = name.to_ascii_lowercase();
            let is_known = conditions.iter().any(|known| known.field() == Some(&field));
            if field.is_empty() || is_known || conditions.len() >= CONDITIONS_MAX {
                return Err(A::Error::custom("a name is empty or given twice, or too many"));
            }
            conditions.push(Condition::Eq { field, value });
        }
        if conditions.is_empty() {
            return Err(A::Error::custom("an object without a condition"));
        }
        Ok(Conditions(conditions))
    }

    /// `["starts-with", "$key", "user/"]` or `["content-length-range", 0, 1024]`
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Conditions, A::Error> {
        let missing = || A::Error::custom("a condition is an operator and two arguments");
        let operator = seq.next_element::<String>()?.ok_or_else(missing)?.to_ascii_lowercase();
        let condition = if operator == "content-length-range" {
            let min = seq.next_element::<Bytes>()?.ok_or_else(missing)?.0;
            let max = seq.next_element::<Bytes>()?.ok_or_else(missing)?.0;
            if min > max {
                return Err(A::Error::custom("a range ends before it begins"));
            }
            Condition::ContentLengthRange { min, max }
        } else {
            let name = seq.next_element::<String>()?.ok_or_else(missing)?;
            let value = seq.next_element::<String>()?.ok_or_else(missing)?;
            let field = name.strip_prefix('$').filter(|name| !name.is_empty());
            let field = field.ok_or_else(missing)?.to_ascii_lowercase();
            match operator.as_str() {
                "eq" => Condition::Eq { field, value },
                "starts-with" => Condition::StartsWith { field, value },
                _ => return Err(A::Error::custom("an unknown operator")),
            }
        };
        match seq.next_element::<serde::de::IgnoredAny>()? {
            None => Ok(Conditions(vec![condition])),
            Some(_) => Err(missing()),
        }
    }
}

/// A length in bytes: a number, or one in quotes.
struct Bytes(u64);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelled {
            Number(u64),
            Text(String),
        }
        match Spelled::deserialize(deserializer)? {
            Spelled::Number(bytes) => Ok(Self(bytes)),
            Spelled::Text(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().map(Self).map_err(|_| D::Error::custom("a number out of range"))
            }
            Spelled::Text(_) => Err(D::Error::custom("no number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Policy, Denial> {
        Policy::parse(BASE64.encode(json).as_bytes())
    }

    fn with(conditions: &str) -> Result<Policy, Denial> {
        parse(&format!(
            "{{\"expiration\":\"2015-12-30T12:00:00.000Z\",\"conditions\":{conditions}}}"
        ))
    }

    #[test]
    fn operators_and_names_have_no_case_and_an_object_may_say_several_things() {
        let policy = with(
            "[{\"bUcKeT\": \"b\", \"acl\": \"a\"}, [\"StArTs-WiTh\", \"$KeY\", \"foo\"], \
             [\"content-length-range\", 0, \"10\"]]",
        )
        .unwrap();
        let eq = |field: &str, value: &str| Condition::Eq {
            field: field.to_owned(),
            value: value.to_owned(),
        };
        let starts = Condition::StartsWith { field: "key".to_owned(), value: "foo".to_owned() };
        let range = Condition::ContentLengthRange { min: 0, max: 10 };
        assert_eq!(policy.conditions, [eq("bucket", "b"), eq("acl", "a"), starts, range]);
        assert_eq!(policy.expires_unix_seconds, 1_451_476_800);
    }

    #[test]
    fn a_document_of_another_form_is_refused() {
        for json in [
            "",
            "null",
            "[\"2015-12-30T12:00:00Z\", []]",
            "{\"conditions\":[]}",
            "{\"expiration\":\"2015-12-30T12:00:00Z\"}",
            "{\"EXPIRATION\":\"2015-12-30T12:00:00Z\",\"conditions\":[]}",
            "{\"expiration\":\"2015-12-30T12:00:00Z\",\"CONDITIONS\":[]}",
            "{\"expiration\":\"2015-12-30T12:00:00Z\",\"conditions\":[],\"more\":1}",
            "{\"expiration\":\"2015-12-30T12:00:00Z\",\"conditions\":[],\"conditions\":[]}",
            "{\"expiration\":\"2015-12-30T12:00:00Z\",\"conditions\":{}}",
            "{\"expiration\":\"2015-12-30T12:00:00Z\",\"conditions\":[]} {}",
            "{\"expiration\":\"2015-12-30T12:00:00Z\",\"conditions\":[],}",
        ] {
            let denial = parse(json).expect_err(json);
            assert_eq!(denial.code, ErrorCode::InvalidPolicyDocument, "{json}");
        }
        for text in ["e30", "e30=\n", "e30-", "e31="] {
            assert!(Policy::parse(text.as_bytes()).is_err(), "{text}");
        }
        let many = vec!["[\"eq\",\"$a\",\"\"]"; CONDITIONS_MAX + 1].join(",");
        assert!(with(&format!("[{many}]")).is_err());
    }

    #[test]
    fn a_condition_of_another_form_is_refused() {
        for condition in [
            "{}",
            "[]",
            "1",
            "\"eq\"",
            "{\"acl\": 1}",
            "{\"acl\": \"a\", \"ACL\": \"b\"}",
            "{\"\": \"a\"}",
            "[\"eq\", \"$acl\"]",
            "[\"eq\", \"$acl\", \"a\", \"b\"]",
            "[\"eq\", \"acl\", \"a\"]",
            "[\"eq\", \"$\", \"a\"]",
            "[\"eq\", \"$acl\", [\"a\"]]",
            "[\"ends-with\", \"$acl\", \"a\"]",
            "[\"content-length-range\", 0]",
            "[\"content-length-range\", -1, 0]",
            "[\"content-length-range\", 2, 1]",
            "[\"content-length-range\", 0, 1.5]",
            "[\"content-length-range\", \"\", \"+1\"]",
            "[\"content-length-range\", 0, 18446744073709551616]",
        ] {
            assert!(with(&format!("[{condition}]")).is_err(), "{condition}");
        }
        assert!(with("[]").is_ok());
    }

    #[test]
    fn an_expiration_is_an_instant_in_utc() {
        for text in
            ["2015-12-30T12:00:00Z", "2015-12-30T12:00:00.000Z", "2015-12-30T12:00:00.999999999Z"]
        {
            assert_eq!(expiration(text.as_bytes()), Some(1_451_476_800), "{text}");
        }
        for text in [
            "",
            "2015-12-30",
            "20151230T120000Z",
            "2015-12-30 12:00:00Z",
            "2015-12-30T12:00:00",
            "2015-12-30T12:00:00+01:00",
            "2015-12-30T12:00:00.Z",
            "2015-12-30T12:00:00.0000000000Z",
            "2015-02-30T12:00:00Z",
            "2015-12-30T24:00:00Z",
        ] {
            assert_eq!(expiration(text.as_bytes()), None, "{text}");
        }
    }
}
