//! JSON as it is read here: nothing twice, nothing too deep (RFC 8259; RFC 7493, "I-JSON").

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep arrays and objects may stand in one another: deeper than any message does.
const DEPTH_MAX: usize = 16;

/// Reads one JSON value, with nothing behind it.
///
/// # Errors
/// What is wrong with it, and where: never what it says.
pub(crate) fn parse(text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|_| "is not UTF-8".to_owned())?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict { depth_left: DEPTH_MAX }.deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    // What serde_json says of syntax has no word of the text, nor has what is said here.
    value.map_err(|error| format!("cannot be read: {error}"))
}

/// Reads a value that may be so deep.
#[derive(Clone, Copy)]
struct Strict {
    depth_left: usize,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let depth_left = self.depth_left.checked_sub(1);
        Ok(Self { depth_left: depth_left.ok_or_else(|| E::custom("nested too deep"))? })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = vec![];
        while let Some(value) = seq.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(inner)?;
            if values.insert(name, value).is_some() {
                return Err(A::Error::custom("an object has one name twice"));
            }
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn json_is_read_as_it_is() {
        for text in
            ["null", "true", "-1", "18446744073709551615", "1.5", r#""\u00e9""#, r#"{"a":[1,{}]}"#]
        {
            let expected: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(parse(text.as_bytes()), Ok(expected), "{text}");
        }
        assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
    }

    #[test]
    fn what_is_not_plain_json_is_refused_without_its_words() {
        let deep = nested(DEPTH_MAX + 1);
        for text in [
            &b"{\"s3cr3t\":1,\"s3cr3t\":2}"[..],
            b"{\"a\":{\"s3cr3t\":1,\"\\u0073\\u0033cr3t\":2}}",
            b"\"s3cr3t",
            b"{\"s3cr3t\":s3cr3t}",
            b"{} s3cr3t",
            b"\xff",
            b"\xef\xbb\xbf{}",
            b"\"\\ud800\"",
            b"1e999",
            b"NaN",
            b"{'a':1}",
            b"[1,]",
            b"",
            deep.as_bytes(),
            "[".repeat(100_000).as_bytes(),
        ] {
            let refused = parse(text).expect_err("not plain JSON");
            assert!(!refused.contains("s3cr3t"), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = parse(&bytes) {
                prop_assert_eq!(value, serde_json::from_slice::<Value>(&bytes).expect("JSON"));
            }
        }
    }
}
