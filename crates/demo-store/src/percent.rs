//! Percent-encoding, both ways: listings encode keys, the `x-amz-tagging` header is decoded.

/// Encodes `text` as listings do under `encoding-type=url`, leaving `/` readable.
///
/// A space becomes `%20`, which every client decodes; S3's own `+` some take literally.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'*' | b'/' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Decodes one name or value of an HTML form; `None` if an escape is cut short or not UTF-8.
pub(crate) fn decode_form(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                let mut value = [0];
                hex::decode_to_slice(digits, &mut value).ok()?;
                value[0]
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_url_reserves_is_encoded() {
        for (text, encoded) in [
            ("dir/f.bin", "dir/f.bin"),
            ("sp ace+é%2F", "sp%20ace%2B%C3%A9%252F"),
            ("\u{1}\n?&=#", "%01%0A%3F%26%3D%23"),
            ("", ""),
        ] {
            assert_eq!(encode(text), encoded);
        }
    }

    #[test]
    fn broken_escapes_are_refused() {
        for text in ["%", "%4", "%zz", "%FF"] {
            assert_eq!(decode_form(text), None, "{text}");
        }
        assert_eq!(decode_form("a+b%2b").as_deref(), Some("a b+"));
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(text: String) {
            prop_assert_eq!(decode_form(&encode(&text)), Some(text));
        }
    }
}
