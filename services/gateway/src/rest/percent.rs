//! Percent-encoding, undone (RFC 3986, section 2.1).

/// What a piece of a path means: each byte itself, or percent-encoded. None if that is no UTF-8, or has a
/// control character.
pub(crate) fn decode_path(text: &str) -> Option<String> {
    decode(text, false)
}

/// What a name or value of a query means: as in a path, and `+` is a space
/// (`application/x-www-form-urlencoded`).
pub(crate) fn decode_query(text: &str) -> Option<String> {
    decode(text, true)
}

fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' if plus_is_space => b' ',
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_once() {
        assert_eq!(decode_path("a%2Bb+c%253A").as_deref(), Some("a+b+c%3A"));
        assert_eq!(decode_query("a%2Bb+c%c3%A9").as_deref(), Some("a+b cé"));
        for bad in ["%", "%4", "%zz", "%ff", "a%00", "%0a", "%+1"] {
            assert_eq!((decode_path(bad), decode_query(bad)), (None, None), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "\\PC*") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(decode_path(&encoded), Some(text.clone()));
            prop_assert_eq!(decode_query(&encoded), Some(text));
        }
    }
}
