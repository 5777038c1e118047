//! What `s3tokens` and `ec2tokens` are asked: an access key, its signature, and what that is said to be of.

use serde_json::{Map, Value};

use super::error::KeystoneError;
use crate::request::{self, json};

/// The names under which the credentials may stand, the first one that is there counts.
const NAMES: [&str; 3] = ["credentials", "credential", "ec2Credentials"];
/// An access key ID has at most 128 bytes (IAM API reference, `accessKeyIdType`), and a signature has 64 digits.
const TEXT_BYTES_MAX: usize = 128;
/// Auth takes no longer string to sign than 64 KiB, in base64.
const TOKEN_BYTES_MAX: usize = 90_000;

/// The fields.
pub(super) struct Credentials(Map<String, Value>);

impl Credentials {
    /// Reads a request's body.
    ///
    /// # Errors
    /// 400.
    pub(super) fn read(body: &[u8]) -> Result<Self, KeystoneError> {
        let body = json::parse(body);
        let mut body = body.map_err(|why| KeystoneError::field("The body", &why))?;
        let name = NAMES.into_iter().find(|name| body.get(name).is_some());
        match name.and_then(|name| body.get_mut(name)).map(Value::take) {
            Some(Value::Object(fields)) => Ok(Self(fields)),
            Some(_) | None => Err(KeystoneError::field("credentials", "must be an object")),
        }
    }

    /// A text that must be there.
    pub(super) fn text(&self, name: &str, bytes_max: usize) -> Result<&str, KeystoneError> {
        let text = self.0.get(name).and_then(Value::as_str).unwrap_or_default();
        match text.len() {
            0 => Err(KeystoneError::field(name, "must be a text that is not empty")),
            len if len > bytes_max => Err(KeystoneError::field(name, "is too long")),
            _ => Ok(text),
        }
    }

    /// The texts of an object, which need not be there.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<(&str, &str)>, KeystoneError> {
        let wrong = || KeystoneError::field(name, "must be an object of texts");
        let texts = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(vec![]),
            Some(texts) => texts.as_object().ok_or_else(wrong)?,
        };
        let texts = texts.iter().map(|(name, text)| Some((name.as_str(), text.as_str()?)));
        texts.collect::<Option<_>>().ok_or_else(wrong)
    }

    /// Who is said to have signed.
    pub(super) fn access(&self) -> Result<&str, KeystoneError> {
        self.text("access", TEXT_BYTES_MAX)
    }

    pub(super) fn signature(&self) -> Result<&str, KeystoneError> {
        self.text("signature", TEXT_BYTES_MAX)
    }

    /// The string to sign: in the one alphabet of base64 by RGW, in the other by Swift.
    pub(super) fn string_to_sign(&self) -> Result<Vec<u8>, KeystoneError> {
        let decoded = request::from_base64(self.text("token", TOKEN_BYTES_MAX)?);
        decoded.filter(|it| !it.is_empty()).ok_or_else(|| {
            KeystoneError::field("token", "must be base64, of the standard alphabet or for URLs")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Option<(&str, &[u8], &str)>) {
        let read = Credentials::read(body.as_bytes()).and_then(|read| {
            Ok((read.access()?.to_owned(), read.string_to_sign()?, read.signature()?.to_owned()))
        });
        let read = read.ok();
        let read = read.as_ref().map(|(access, text, signature)| {
            (access.as_str(), text.as_slice(), signature.as_str())
        });
        assert_eq!(read, expected, "{body}");
    }

    #[test]
    fn all_names_and_both_alphabets_are_read() {
        let body = |name: &str, token: &str| {
            format!(r#"{{"{name}":{{"access":"AK","token":"{token}","signature":"00"}}}}"#)
        };
        let right = Some(("AK", &b"??>>"[..], "00"));
        for name in NAMES {
            check(&body(name, "Pz8+Pg=="), right);
        }
        for token in ["Pz8-Pg==", "Pz8-Pg", "Pz8+Pg"] {
            check(&body("credentials", token), right);
        }
        for token in ["", "=", "Pz8+Pg_", "Pz8 Pg", "Pz8+P", "Pz8+Pg==Pz8+Pg=="] {
            check(&body("credentials", token), None);
        }
        check(&body("auth", "Pz8+Pg=="), None);
        check(&body("credentials", &"A".repeat(TOKEN_BYTES_MAX + 1)), None);
    }

    #[test]
    fn what_is_not_there_or_no_text_is_refused() {
        for body in [
            "",
            "{}",
            "[]",
            r#"{"credentials":[]}"#,
            r#"{"credentials":{}}"#,
            r#"{"credentials":{"token":"AA","signature":"0"}}"#,
            r#"{"credentials":{"access":"AK","signature":"0"}}"#,
            r#"{"credentials":{"access":"AK","token":"AA"}}"#,
            r#"{"credentials":{"access":["AK"],"token":"AA","signature":"0"}}"#,
            r#"{"credentials":{"access":"AK","token":"AA","signature":"0","access":"BK"}}"#,
            r#"{"credentials":{"access":"AK","token":"AA","signature":"0"}}x"#,
        ] {
            check(body, None);
        }
        let long = "A".repeat(129);
        check(
            &format!(r#"{{"credentials":{{"access":"{long}","token":"AA","signature":"0"}}}}"#),
            None,
        );
        check(
            &format!(r#"{{"credentials":{{"access":"AK","token":"AA","signature":"{long}"}}}}"#),
            None,
        );
    }
}
