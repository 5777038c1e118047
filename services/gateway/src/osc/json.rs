//! JSON as a request brings it: strict in form, and numbers as they were written.
//!
//! Each name once, so that nobody can read another value than the one that was acted upon; of a few levels,
//! and of bounded size. Numbers stay text: an access key ID of digits alone comes as a number that no
//! machine's number holds.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// How deep values may stand in each other: parameters, filters, a list.
const DEPTH_MAX: usize = 4;
/// The most members of an object or a list.
const MEMBERS_MAX: usize = 1000;

/// A JSON value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// As it was written.
    Number(Box<str>),
    String(String),
    Array(Vec<Json>),
    Object(Object),
}

/// The members of an object.
pub(super) type Object = BTreeMap<String, Json>;

/// Why a text is no parameters.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("The request's body is not UTF-8.")]
    Encoding,
    #[error("The request's body is not JSON, or has a name twice, or too many members.")]
    Form,
    #[error("The request's body has values too deep in each other.")]
    Depth,
    #[error("The request's body is not a JSON object.")]
    NoObject,
}

/// Reads a body that is one JSON object.
///
/// # Errors
/// [`Malformed`]. What the body holds, which may be a password, is not repeated in it.
pub(super) fn parse(body: &[u8]) -> Result<Object, Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed::Encoding)?;
    match value(text, 0)? {
        Json::Object(object) => Ok(object),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
            Err(Malformed::NoObject)
        }
    }
}

fn value(text: &str, depth: usize) -> Result<Json, Malformed> {
    fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Malformed> {
        serde_json::from_str(text).map_err(|_| Malformed::Form)
    }
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    let deeper = || if depth == DEPTH_MAX { Err(Malformed::Depth) } else { Ok(depth + 1) };
    match text.bytes().next() {
        Some(b'{') => {
            let (depth, Members(members)) = (deeper()?, read(text)?);
            let members =
                members.into_iter().map(|(name, raw)| Ok((name, value(raw.get(), depth)?)));
            Ok(Json::Object(members.collect::<Result<_, Malformed>>()?))
        }
        Some(b'[') => {
            let (depth, Items(items)) = (deeper()?, read(text)?);
            let items = items.into_iter().map(|raw| value(raw.get(), depth));
            Ok(Json::Array(items.collect::<Result<_, Malformed>>()?))
        }
        Some(b'"') => read(text).map(Json::String),
        Some(b't' | b'f') => read(text).map(Json::Bool),
        Some(b'n') => read::<()>(text).map(|()| Json::Null),
        Some(_) => read::<&RawValue>(text).map(|raw| Json::Number(raw.get().into())),
        None => Err(Malformed::Form),
    }
}

/// The members of an object, each name once, their values unread.
struct Members<'a>(BTreeMap<String, &'a RawValue>);

/// The members of a list, unread.
struct Items<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap;
        impl<'de> Visitor<'de> for OfMap {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, raw)) = map.next_entry::<String, &RawValue>()? {
                    if members.len() == MEMBERS_MAX || members.insert(name, raw).is_some() {
                        return Err(A::Error::custom("a name twice, or too many"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(OfMap)
    }
}

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfSeq;
        impl<'de> Visitor<'de> for OfSeq {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = vec![];
                while let Some(raw) = seq.next_element::<&RawValue>()? {
                    if items.len() == MEMBERS_MAX {
                        return Err(A::Error::custom("too many"));
                    }
                    items.push(raw);
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(OfSeq)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(body: &str) -> Json {
        let mut object = parse(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"));
        object.remove("a").unwrap_or_else(|| panic!("{body}"))
    }

    #[test]
    fn values_are_read_as_they_were_written() {
        assert_eq!(member(r#" { "a" : "\u00e9\n" } "#), Json::String("é\n".to_owned()));
        let digits = "99999999999999999999";
        assert_eq!(member(&format!("{{\"a\":{digits}}}")), Json::Number(digits.into()));
        assert_eq!(member(r#"{"a":-1.5e3}"#), Json::Number("-1.5e3".into()));
        assert_eq!(member(r#"{"\u0061":true}"#), Json::Bool(true));
        assert_eq!(member(r#"{"a":null}"#), Json::Null);
        let list = vec![Json::String("x".to_owned()), Json::Number("1".into())];
        assert_eq!(member(r#"{"a":["x", 1 ]}"#), Json::Array(list));
    }

    #[test]
    fn what_is_no_parameters_is_refused() {
        let check = |body: &[u8], expected| {
            assert_eq!(parse(body), Err(expected), "{}", String::from_utf8_lossy(body));
        };
        for body in ["", "{", "{}x", "{'a':1}", r#"{"a":01}"#, r#"{"a":tru}"#, r#"{"a":1,}"#] {
            check(body.as_bytes(), Malformed::Form);
        }
        check(br#"{"a":1,"a":1}"#, Malformed::Form);
        check(br#"{"a":1,"\u0061":1}"#, Malformed::Form);
        check(br#"{"a":{"b":1,"b":2}}"#, Malformed::Form);
        check(b"{\"a\":\"\xff\"}", Malformed::Encoding);
        check(b"[]", Malformed::NoObject);
        check(b"1", Malformed::NoObject);
        check(br#"{"a":[[[[]]]]}"#, Malformed::Depth);
        let deep = format!("{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
        assert!(parse(deep.as_bytes()).is_err());
        let many = format!("{{\"a\":[{}1]}}", "1,".repeat(MEMBERS_MAX));
        check(many.as_bytes(), Malformed::Form);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(body in r#"[{}\[\]",:0-9a-etruflsn.\\ -]{0,64}"#, raw: Vec<u8>) {
            let _ = (parse(body.as_bytes()), parse(&raw));
        }

        #[test]
        fn what_serde_json_writes_reads_back(texts: Vec<String>, flag: bool, number: i64) {
            let body = serde_json::json!({ "texts": texts, "flag": flag, "number": number });
            let object = parse(body.to_string().as_bytes()).expect("an object");
            let texts = texts.into_iter().map(Json::String).collect();
            prop_assert_eq!(&object["texts"], &Json::Array(texts));
            prop_assert_eq!(&object["flag"], &Json::Bool(flag));
            prop_assert_eq!(&object["number"], &Json::Number(number.to_string().into()));
        }
    }
}
