//! A call's parameters, typed as leniently as shells make clients spell them.

use super::error::OscError;
use super::json::{self, Json, Object};

/// The parameters of a call, or of what stands in one.
#[derive(Debug)]
pub(super) struct Parameters(Object);

impl Parameters {
    /// Reads a request's body; `known` are the parameters that the call has.
    ///
    /// # Errors
    /// `InvalidParameter` for one that it does not have, or a body that is no JSON object.
    pub(super) fn parse(body: &[u8], known: &[&str]) -> Result<Self, OscError> {
        let object = json::parse(body).map_err(|error| OscError::malformed(error.to_string()))?;
        Self::of(object, known, "")
    }

    fn of(object: Object, known: &[&str], within: &str) -> Result<Self, OscError> {
        match object.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(OscError::unknown_parameter(&format!("{within}{name}"))),
            None => Ok(Self(object)),
        }
    }

    /// A text; digits alone may have come as a number.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, OscError> {
        self.0.get(name).map(|value| text(value).ok_or_else(|| OscError::of_type(name))).transpose()
    }

    /// A text that must be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, OscError> {
        self.text(name)?.ok_or_else(|| OscError::missing_parameter(name))
    }

    /// A flag, false where it is not given; `"true"` is one too.
    pub(super) fn flag(&self, name: &str) -> Result<bool, OscError> {
        self.optional_flag(name).map(Option::unwrap_or_default)
    }

    /// A flag, if it is given.
    pub(super) fn optional_flag(&self, name: &str) -> Result<Option<bool>, OscError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Json::Bool(flag)) => Ok(Some(*flag)),
            Some(Json::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Json::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(
                Json::Null | Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_),
            ) => Err(OscError::of_type(name)),
        }
    }

    /// A number up to `max`, which may have come as a text.
    pub(super) fn number(&self, name: &str, max: u64) -> Result<Option<u64>, OscError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(OscError::of_type(name));
        }
        let number = text.parse().ok().filter(|number| *number <= max);
        let wrong = || OscError::value(name, &format!("must be a number from 0 to {max}"));
        number.map(Some).ok_or_else(wrong)
    }

    /// A list of texts, if it is given.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<&str>>, OscError> {
        let wrong = || OscError::of_type(name);
        match self.0.get(name) {
            None => Ok(None),
            Some(Json::Array(items)) => {
                items.iter().map(text).collect::<Option<_>>().map(Some).ok_or_else(wrong)
            }
            Some(
                Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_),
            ) => Err(wrong()),
        }
    }

    /// What stands in a parameter that is an object, of which `known` are the members; empty if it is not
    /// given.
    pub(super) fn within(&self, name: &str, known: &[&str]) -> Result<Self, OscError> {
        match self.0.get(name) {
            None => Ok(Self(Object::new())),
            Some(Json::Object(object)) => Self::of(object.clone(), known, &format!("{name}.")),
            Some(
                Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_),
            ) => Err(OscError::of_type(name)),
        }
    }

    /// Whether a parameter is given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

fn text(value: &Json) -> Option<&str> {
    match value {
        Json::String(text) => Some(text),
        Json::Number(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(body: &str) -> Parameters {
        Parameters::parse(body.as_bytes(), &["A", "B", "F"]).expect("parameters")
    }

    #[test]
    fn texts_flags_and_numbers_are_taken_as_shells_spell_them() {
        let given = parameters(r#"{"A":11112211111110000000,"B":"x"}"#);
        assert_eq!(given.text("A").expect("text"), Some("11112211111110000000"));
        assert_eq!(given.required("B").expect("text"), "x");
        assert!(given.required("F").is_err());
        for (body, expected) in [
            ("{}", Ok(None)),
            (r#"{"F":true}"#, Ok(Some(true))),
            (r#"{"F":"True"}"#, Ok(Some(true))),
            (r#"{"F":"false"}"#, Ok(Some(false))),
            (r#"{"F":1}"#, Err(())),
            (r#"{"F":"yes"}"#, Err(())),
            (r#"{"F":null}"#, Err(())),
        ] {
            assert_eq!(parameters(body).optional_flag("F").map_err(drop), expected, "{body}");
        }
        for (body, expected) in [
            ("{}", Ok(None)),
            (r#"{"A":10}"#, Ok(Some(10))),
            (r#"{"A":"7"}"#, Ok(Some(7))),
            (r#"{"A":11}"#, Err(())),
            (r#"{"A":-1}"#, Err(())),
            (r#"{"A":1.0}"#, Err(())),
            (r#"{"A":""}"#, Err(())),
            (r#"{"A":99999999999999999999}"#, Err(())),
        ] {
            assert_eq!(parameters(body).number("A", 10).map_err(drop), expected, "{body}");
        }
    }

    #[test]
    fn lists_and_objects_are_nothing_else() {
        let given = parameters(r#"{"A":["x",1],"F":{"B":"y"}}"#);
        assert_eq!(given.texts("A").expect("a list"), Some(vec!["x", "1"]));
        assert_eq!(given.texts("B").expect("no list"), None);
        assert_eq!(given.within("F", &["B"]).expect("there").text("B").expect("text"), Some("y"));
        assert!(given.within("F", &["A"]).is_err() && given.within("A", &[]).is_err());
        assert!(given.texts("F").is_err() && given.text("A").is_err() && given.text("F").is_err());
    }

    #[test]
    fn a_parameter_that_a_call_does_not_have_is_refused() {
        let refused = Parameters::parse(br#"{"a":1}"#, &["A"]).expect_err("another name");
        assert_eq!((refused.kind, refused.code), ("InvalidParameter", "3001"));
    }
}
