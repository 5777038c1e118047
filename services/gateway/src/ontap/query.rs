//! The query of a request: `?name=user*&fields=*&max_records=2`.

use super::error::OntapError;

/// The most parameters of a query, and the longest query, in bytes.
const PARAMETERS_MAX: usize = 64;
const QUERY_BYTES_MAX: usize = 16 << 10;

/// The parameters of a request, each at most once, in their order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the `?` of a URL.
    ///
    /// # Errors
    /// If it is too long, not UTF-8, or has a parameter twice.
    pub(crate) fn parse(text: &str) -> Result<Self, OntapError> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(OntapError::invalid("The query is too long.", None));
        }
        let mut parameters: Vec<(String, String)> = vec![];
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if parameters.len() == PARAMETERS_MAX {
                return Err(OntapError::invalid("The query has too many parameters.", None));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let not_text = || OntapError::invalid("The query is not UTF-8, percent-encoded.", None);
            let name = decode(name, true).ok_or_else(not_text)?;
            let value = decode(value, true).ok_or_else(not_text)?;
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err(OntapError::twice(&name));
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// A truth, in any case, as Python writes `True` and others `true`; `false` where it is not given.
    ///
    /// # Errors
    /// If it is neither.
    pub(crate) fn truth(&self, name: &str, default: bool) -> Result<bool, OntapError> {
        match self.get(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(default),
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(_) => Err(OntapError::bad_value(name, self.get(name).unwrap_or_default())),
        }
    }

    /// A whole number in this range.
    ///
    /// # Errors
    /// If it is not one.
    pub(crate) fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, OntapError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && range.contains(number));
        number.map(Some).ok_or_else(|| OntapError::bad_value(name, text))
    }

    /// Refuses what is not `known`.
    ///
    /// # Errors
    /// For the first parameter that is not.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), OntapError> {
        match self.iter().find(|(name, _)| !known.contains(name)) {
            Some((name, _)) => Err(OntapError::unexpected(name)),
            None => Ok(()),
        }
    }

    /// The same with one parameter more, in the place of those of `without`.
    pub(crate) fn with(&self, without: &[&str], name: &str, value: &str) -> Self {
        let mut query = self.without(without);
        query.0.push((name.to_owned(), value.to_owned()));
        query
    }

    /// The same without some parameters.
    pub(crate) fn without(&self, names: &[&str]) -> Self {
        Self(self.0.iter().filter(|(name, _)| !names.contains(&name.as_str())).cloned().collect())
    }

    /// A reference to `path` with this query.
    pub(crate) fn href(&self, path: &str) -> String {
        let pairs =
            self.0.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        let pairs: Vec<String> = pairs.collect();
        if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
    }
}

/// Percent-decodes a text, of a query, in which `+` is a blank, or of a path.
pub(crate) fn decode(text: &str, query: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' if query => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Percent-encodes all but what RFC 3986 reserves for nothing.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Option<&[(&str, &str)]>) {
        let found = Query::parse(text).ok();
        let found = found.as_ref().map(|query| query.iter().collect::<Vec<_>>());
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn queries_are_read_as_clients_write_them() {
        check("", Some(&[]));
        check(
            "name=user%2A&order_by=name%20desc",
            Some(&[("name", "user*"), ("order_by", "name desc")]),
        );
        check("fields=name,comment&a", Some(&[("fields", "name,comment"), ("a", "")]));
        check("name=a+b&&", Some(&[("name", "a b")]));
        check("name=a&name=b", None);
        check("name=%FF", None);
        check("name=%4", None);
        check("name=%zz", None);
        let many: Vec<String> = (0..=PARAMETERS_MAX).map(|n| format!("a{n}=1")).collect();
        check(&many.join("&"), None);
        check(&"x".repeat(QUERY_BYTES_MAX + 1), None);
    }

    #[test]
    fn truths_and_numbers_are_read_in_any_case() {
        let query = Query::parse("a=True&b=FALSE&c=yes&d=1&e=7&f=-1&g=+7").expect("a query");
        assert_eq!(query.truth("a", false), Ok(true));
        assert_eq!(query.truth("b", true), Ok(false));
        assert_eq!(query.truth("d", false), Ok(true));
        assert_eq!(query.truth("none", true), Ok(true));
        assert!(query.truth("c", false).is_err());
        assert_eq!(query.number("e", 1..=7), Ok(Some(7)));
        assert_eq!(query.number("none", 1..=7), Ok(None));
        for bad in ["c", "f", "g"] {
            assert!(query.number(bad, 0..=9).is_err(), "{bad}");
        }
        assert!(query.number("e", 1..=6).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(pairs in proptest::collection::btree_map(".{1,8}", ".{0,8}", 0..5)) {
            let query = Query(pairs.into_iter().collect());
            let href = query.href("/x");
            let text = href.strip_prefix("/x").expect("begins so");
            prop_assert_eq!(Query::parse(text.strip_prefix('?').unwrap_or_default()), Ok(query));
        }

        #[test]
        fn no_query_is_too_much(text in ".{0,64}") {
            let _ = Query::parse(&text);
        }
    }
}
