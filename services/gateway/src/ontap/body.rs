//! The bodies of requests: what they ask of a user and of the service.

use std::fmt;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::duration;
use super::error::OntapError;
use crate::request::json;

/// What a body says of an S3 user. Strings of text are as identity checks them.
#[derive(Default)]
pub(crate) struct UserBody {
    pub(crate) name: Option<String>,
    pub(crate) comment: Option<String>,
    pub(crate) key_time_to_live: Option<String>,
    /// An access key that is brought, and its secret.
    pub(crate) pair: Option<(String, Zeroizing<String>)>,
    pub(crate) key_id: Option<u32>,
    pub(crate) svm_uuid: Option<String>,
    pub(crate) svm_name: Option<String>,
}

impl fmt::Debug for UserBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserBody").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Reads a JSON object; no body is one without fields.
///
/// # Errors
/// If it is another thing.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, OntapError> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    match json::parse(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(OntapError::invalid("The request's body must be a JSON object.", None)),
        Err(why) => Err(OntapError::bad("262199", format!("Invalid JSON input: it {why}."))),
    }
}

impl UserBody {
    /// Reads what is asked of a new user, or of changes to one.
    ///
    /// # Errors
    /// For a field that is unknown, cannot be set or is not of its form; `92406201` for half of a pair.
    pub(crate) fn parse(body: &[u8], new: bool) -> Result<Self, OntapError> {
        let mut read = Self::default();
        let (mut access_key, mut secret_key) = (None, None);
        for (name, value) in object(body)? {
            match (name.as_str(), value) {
                // As if it were not there.
                (
                    "name" | "comment" | "key_time_to_live" | "access_key" | "secret_key"
                    | "key_id" | "svm",
                    Value::Null,
                ) => {}
                ("name", value) if new => read.name = Some(text("name", value)?),
                ("comment", value) => read.comment = Some(text("comment", value)?),
                ("key_time_to_live", Value::Number(number)) if number.as_u64() == Some(0) => {
                    read.key_time_to_live = Some("0".to_owned());
                }
                ("key_time_to_live", value) => {
                    let ttl = text("key_time_to_live", value)?;
                    if ttl.is_empty() {
                        return Err(OntapError::bad_value("key_time_to_live", ""));
                    }
                    read.key_time_to_live = Some(ttl);
                }
                ("access_key", value) => access_key = Some(text("access_key", value)?),
                ("secret_key", value) => {
                    secret_key = Some(Zeroizing::new(text("secret_key", value)?));
                }
                ("key_id", value) if !new => read.key_id = Some(key_id(&value)?),
                ("svm", Value::Object(svm)) if new => {
                    for (name, value) in svm {
                        match name.as_str() {
                            "uuid" => read.svm_uuid = Some(text("svm.uuid", value)?),
                            "name" => read.svm_name = Some(text("svm.name", value)?),
                            "_links" => {}
                            _ => return Err(OntapError::unexpected(&format!("svm.{name}"))),
                        }
                    }
                }
                ("name" | "svm" | "key_id" | "key_expiry_time" | "keys", _) => {
                    return Err(OntapError::cannot_be_set(&name));
                }
                (_, _) => return Err(OntapError::unexpected(&name)),
            }
        }
        read.pair = match (access_key, secret_key) {
            (None, None) => None,
            (Some(access_key), Some(secret_key)) => Some((access_key, secret_key)),
            (access_key, _) => {
                let missing = if access_key.is_some() { "secret_key" } else { "access_key" };
                return Err(OntapError::half_a_pair(missing));
            }
        };
        Ok(read)
    }
}

/// Reads what a body asks of the service: the longest lifetime of access keys, in seconds.
///
/// # Errors
/// For any other field.
pub(crate) fn service(body: &[u8]) -> Result<Option<u64>, OntapError> {
    const FIELD: &str = "max_key_time_to_live";
    let mut max = None;
    for (name, value) in object(body)? {
        match (name.as_str(), value) {
            (FIELD, Value::Number(number)) if number.as_u64() == Some(0) => max = Some(0),
            (FIELD, value) => {
                let text = text(FIELD, value)?;
                max = Some(
                    duration::parse(&text).ok_or_else(|| OntapError::bad_value(FIELD, &text))?,
                );
            }
            ("name" | "enabled" | "comment" | "svm" | "users" | "buckets" | "certificate", _)
            | ("is_http_enabled" | "is_https_enabled" | "port" | "secure_port", _)
            | ("default_unix_user" | "default_win_user" | "max_lock_retention_period", _) => {
                return Err(OntapError::cannot_be_set(&name));
            }
            (_, _) => return Err(OntapError::unexpected(&name)),
        }
    }
    Ok(max)
}

fn text(field: &'static str, value: Value) -> Result<String, OntapError> {
    let Value::String(text) = value else {
        return Err(OntapError::bad_form(field, "must be a text"));
    };
    Ok(text)
}

/// 1 or 2; clients send it as a text too.
fn key_id(value: &Value) -> Result<u32, OntapError> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    match number {
        Some(1) => Ok(1),
        Some(2) => Ok(2),
        _ => Err(OntapError::bad_form("key_id", "must be 1 or 2")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(body: &str, new: bool, code: &str, target: Option<&str>) {
        let error = UserBody::parse(body.as_bytes(), new).expect_err(body);
        assert_eq!((error.code, error.target.as_deref()), (code, target), "{body}");
    }

    #[test]
    fn all_that_may_be_said_of_a_new_user_is_read() {
        let body = br#"{"name": "a", "comment": "c", "key_time_to_live": "P1D", "access_key": "A",
                        "secret_key": "s", "svm": {"uuid": "u", "name": "n", "_links": {}}}"#;
        let read = UserBody::parse(body, true).expect("a body");
        assert_eq!(read.name.as_deref(), Some("a"));
        assert_eq!(read.comment.as_deref(), Some("c"));
        assert_eq!(read.key_time_to_live.as_deref(), Some("P1D"));
        assert_eq!(read.pair, Some(("A".to_owned(), Zeroizing::new("s".to_owned()))));
        assert_eq!((read.svm_uuid.as_deref(), read.svm_name.as_deref()), (Some("u"), Some("n")));
        assert!(!format!("{read:?}").contains("\"s\""));
    }

    #[test]
    fn all_that_may_be_changed_of_a_user_is_read() {
        for (body, key_id) in
            [(r#"{"key_id": 2}"#, Some(2)), (r#"{"key_id": "1"}"#, Some(1)), ("", None)]
        {
            assert_eq!(
                UserBody::parse(body.as_bytes(), false).expect("a body").key_id,
                key_id,
                "{body}"
            );
        }
        let nothing =
            br#"{"comment": null, "key_id": null, "access_key": null, "secret_key": null}"#;
        let read = UserBody::parse(nothing, false).expect("a body");
        assert!(read.comment.is_none() && read.key_id.is_none() && read.pair.is_none());
        let never = UserBody::parse(br#"{"key_time_to_live": 0}"#, false).expect("a body");
        assert_eq!(never.key_time_to_live.as_deref(), Some("0"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        refused(r#"{"access_key": "A"}"#, true, "92406201", Some("secret_key"));
        refused(r#"{"secret_key": "A"}"#, false, "92406201", Some("access_key"));
        refused(r#"{"colour": 1}"#, true, "262179", Some("colour"));
        refused(r#"{"svm": {"colour": 1}}"#, true, "262179", Some("svm.colour"));
        refused(r#"{"svm": {}}"#, false, "262196", Some("svm"));
        refused(r#"{"key_id": 1}"#, true, "262196", Some("key_id"));
        refused(r#"{"name": "b"}"#, false, "262196", Some("name"));
        refused(r#"{"keys": []}"#, false, "262196", Some("keys"));
        refused(r#"{"key_id": 3}"#, false, "262197", Some("key_id"));
        refused(r#"{"key_id": true}"#, false, "262197", Some("key_id"));
        refused(r#"{"comment": 1}"#, false, "262197", Some("comment"));
        refused(r#"{"key_time_to_live": ""}"#, false, "262197", Some("key_time_to_live"));
        refused(r#"{"key_time_to_live": 1}"#, false, "262197", Some("key_time_to_live"));
        refused("[]", false, "2", None);
        refused("{", false, "262199", None);
        refused(&"[".repeat(100_000), false, "262199", None);
        refused(r#"{"comment": "a", "comment": "b"}"#, false, "262199", None);
        refused(r#"{"comment": "a", "\u0063omment": "b"}"#, false, "262199", None);
        refused(r#"{"svm": {"uuid": "a", "uuid": "b"}}"#, true, "262199", None);
    }

    #[test]
    fn no_refusal_repeats_a_secret() {
        let secret = "s3cr3t-s3cr3t";
        for body in [
            format!(r#"{{"secret_key": "{secret}"}}"#),
            format!(r#"{{"secret_key": ["{secret}"]}}"#),
            format!(r#"{{"secret_key": "{secret}" x"#),
        ] {
            let error = UserBody::parse(body.as_bytes(), true).expect_err("refused");
            assert!(!format!("{error:?}").contains(secret), "{error:?}");
        }
    }

    #[test]
    fn the_service_has_one_setting() {
        assert_eq!(service(br#"{"max_key_time_to_live": "P30D"}"#), Ok(Some(30 * 86_400)));
        assert_eq!(service(br#"{"max_key_time_to_live": 0}"#), Ok(Some(0)));
        assert_eq!(service(b"{}"), Ok(None));
        for (body, code) in [
            (&br#"{"max_key_time_to_live": "P1Y"}"#[..], "262197"),
            (br#"{"max_key_time_to_live": 7}"#, "262197"),
            (br#"{"enabled": false}"#, "262196"),
            (br#"{"colour": false}"#, "262179"),
        ] {
            assert_eq!(service(body).expect_err("refused").code, code);
        }
    }

    proptest! {
        #[test]
        fn no_body_is_too_much(body in ".{0,64}", new: bool) {
            let _ = UserBody::parse(body.as_bytes(), new);
            let _ = service(body.as_bytes());
        }
    }
}
