//! The form that a request to IAM is: `Action=CreateUser&Version=2010-05-08&…`.

use std::collections::BTreeMap;

use super::error::IamError;

/// The most fields of a form. `CreateUser` with 50 tags has some hundred.
const FIELDS_MAX: usize = 1000;

/// A form's fields, each at most once.
#[derive(Debug, Default)]
pub(crate) struct Form(BTreeMap<String, String>);

impl Form {
    /// Reads a body of `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    /// `MalformedInput` if it has no such form or is not UTF-8, or has a field twice.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, IamError> {
        let malformed = |what: &str| IamError::malformed_input(format!("The form {what}."));
        let mut fields = BTreeMap::new();
        for pair in body.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
            if fields.len() == FIELDS_MAX {
                return Err(malformed("has too many fields"));
            }
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let mut next = || decode(halves.next().unwrap_or_default());
            let (name, value) =
                next().zip(next()).ok_or_else(|| malformed("is not UTF-8, percent-encoded"))?;
            if fields.insert(name, value).is_some() {
                return Err(malformed("has a field more than once"));
            }
        }
        Ok(Self(fields))
    }

    /// The value of a field; none if it is not there.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a field that must be there.
    ///
    /// # Errors
    /// `ValidationError`.
    pub(crate) fn required(&self, name: &'static str) -> Result<&str, IamError> {
        self.get(name).ok_or_else(|| {
            let field = lower_first(name);
            IamError::validation(format!(
                "1 validation error detected: Value null at '{field}' failed to satisfy constraint: \
                 Member must not be null"
            ))
        })
    }

    /// The members of a list, `{name}.member.1`, `{name}.member.2` and so on; or, of a list of
    /// structures, their `suffix`, such as `.Key`.
    pub(crate) fn list(&self, name: &str, suffix: &str) -> Vec<&str> {
        (1..).map_while(|n| self.get(&format!("{name}.member.{n}{suffix}"))).collect()
    }
}

fn decode(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(*rest.next()?)?, digit(*rest.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// As AWS spells a field in a message: `UserName` is `userName`.
pub(crate) fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    chars
        .next()
        .map_or(String::new(), |first| first.to_ascii_lowercase().to_string() + chars.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(body: &str, name: &str, expected: Option<&str>) {
        let form = Form::parse(body.as_bytes()).expect("a form");
        assert_eq!(form.get(name), expected, "{body}");
    }

    #[test]
    fn fields_are_decoded() {
        check("Action=GetUser&UserName=a%2Bb+c", "UserName", Some("a+b c"));
        check("a=%C3%A9&b", "a", Some("é"));
        check("a=%C3%A9&b", "b", Some(""));
        check("&&a=1=2&", "a", Some("1=2"));
        check("", "a", None);
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for bad in ["a=1&a=2", "a=%", "a=%4", "a=%zz", "a=%ff", "%ff=a"] {
            assert!(Form::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Form::parse(b"a=\xff").is_err());
        let many: String = (0..=FIELDS_MAX).map(|n| format!("{n}=&")).collect();
        assert!(Form::parse(many.as_bytes()).is_err());
    }

    #[test]
    fn lists_have_numbered_members() {
        let form = Form::parse(
            b"Tags.member.1.Key=a&Tags.member.1.Value=b&Tags.member.2.Key=c&Tags.member.2.Value=\
              &TagKeys.member.1=a&TagKeys.member.3=x",
        );
        let form = form.expect("a form");
        assert_eq!(form.list("Tags", ".Key"), ["a", "c"]);
        assert_eq!(form.list("Tags", ".Value"), ["b", ""]);
        assert_eq!(form.list("TagKeys", ""), ["a"]);
        assert!(form.list("Other", "").is_empty());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(body: Vec<u8>) {
            let _ = Form::parse(&body);
        }
    }
}
