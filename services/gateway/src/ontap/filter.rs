//! What a query asks of the value of a field: `name=user*`, `name=!root`, `key_expiry_time=<2030-01-01`.
//!
//! Source: ONTAP automation, "Input variables controlling an API request", query operators.

use std::cmp::Ordering;

use chrono::{DateTime, NaiveDate};
use serde_json::Value;

use super::error::OntapError;

/// The most alternatives of one filter, and the most wildcards of one of them.
const ALTERNATIVES_MAX: usize = 64;
const WILDCARDS_MAX: usize = 16;

/// What the value of a field must be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Filter {
    negated: bool,
    any_of: Vec<Pattern>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Pattern {
    /// There is no value.
    Null,
    /// Exactly this.
    Text(String),
    /// These parts in their order, with anything between them.
    Wild(Vec<String>),
    /// Compared so, or so.
    Compared(&'static [Ordering], String),
    Between(String, String),
}

const OPERATORS: [(&str, &[Ordering]); 4] = [
    ("<=", &[Ordering::Less, Ordering::Equal]),
    (">=", &[Ordering::Greater, Ordering::Equal]),
    ("<", &[Ordering::Less]),
    (">", &[Ordering::Greater]),
];

impl Filter {
    /// Reads the value of a parameter of this name.
    ///
    /// # Errors
    /// If it has too many alternatives or wildcards.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, OntapError> {
        let invalid = || OntapError::bad_value(name, text);
        let (negated, rest) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let any_of: Vec<Pattern> = split(rest)
            .iter()
            .take(ALTERNATIVES_MAX + 1)
            .map(|part| Pattern::parse(part).ok_or_else(invalid))
            .collect::<Result<_, _>>()?;
        if any_of.len() > ALTERNATIVES_MAX {
            return Err(invalid());
        }
        Ok(Self { negated, any_of })
    }

    /// The one text that the value must be, if only one will do.
    pub(crate) fn exactly(&self) -> Option<&str> {
        match self.any_of.as_slice() {
            [Pattern::Text(text)] if !self.negated => Some(text),
            _ => None,
        }
    }

    /// Whether one of the values of a field is so; there may be none.
    pub(crate) fn matches(&self, values: &[&Value]) -> bool {
        let texts: Vec<String> = values.iter().filter_map(|value| text_of(value)).collect();
        let holds = self.any_of.iter().any(|pattern| {
            let is_none = *pattern == Pattern::Null && texts.is_empty();
            is_none || texts.iter().any(|text| pattern.matches(text))
        });
        holds != self.negated
    }
}

/// The alternatives between bars, but for those in quotes.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted) = (vec![], 0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '|' if !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        if let Some(text) = quoted {
            return Some(Self::Text(text.to_owned()));
        }
        if text == "null" {
            return Some(Self::Null);
        }
        for (operator, orders) in OPERATORS {
            if let Some(rest) = text.strip_prefix(operator) {
                return Some(Self::Compared(orders, rest.to_owned()));
            }
        }
        if let Some((from, to)) =
            text.split_once("..").filter(|(a, b)| !a.is_empty() && !b.is_empty())
        {
            return Some(Self::Between(from.to_owned(), to.to_owned()));
        }
        let parts: Vec<String> = text.split('*').map(str::to_owned).collect();
        match parts.len() {
            1 => Some(Self::Text(text.to_owned())),
            2..=WILDCARDS_MAX => Some(Self::Wild(parts)),
            _ => None,
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Null => false,
            // An instant may be written in several ways.
            Self::Text(other) => {
                text == other || instant(text).is_some_and(|one| instant(other) == Some(one))
            }
            Self::Wild(parts) => is_like(text, parts),
            Self::Compared(orders, other) => orders.contains(&compare(text, other)),
            Self::Between(from, to) => {
                compare(text, from) != Ordering::Less && compare(text, to) != Ordering::Greater
            }
        }
    }
}

/// Whether `text` is the parts with anything between them.
fn is_like(text: &str, parts: &[String]) -> bool {
    let [first, between @ .., last] = parts else { return false };
    let Some(rest) = text.strip_prefix(first.as_str()) else { return false };
    let Some(mut rest) = rest.strip_suffix(last.as_str()) else { return false };
    for part in between {
        let Some(at) = rest.find(part.as_str()) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

/// Instants as such, numbers as such, all else letter by letter.
pub(crate) fn compare(one: &str, other: &str) -> Ordering {
    if let (Some(one), Some(other)) = (instant(one), instant(other)) {
        return one.cmp(&other);
    }
    if let (Ok(one), Ok(other)) = (one.parse::<u64>(), other.parse::<u64>()) {
        return one.cmp(&other);
    }
    one.cmp(other)
}

/// In milliseconds since 1970, of a date and time with an offset, or of a date at midnight.
fn instant(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_millis());
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10)?;
    Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis())
}

/// A value as a query has it; none for what has parts, or is not there.
pub(crate) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(filter: &str, matching: &[&str], others: &[&str]) {
        let parsed = Filter::parse("name", filter).expect("a filter");
        for (texts, expected) in [(matching, true), (others, false)] {
            for text in texts {
                assert_eq!(parsed.matches(&[&json!(text)]), expected, "{filter} {text}");
            }
        }
    }

    #[test]
    fn a_filter_is_what_ontap_makes_of_it() {
        check("bob", &["bob"], &["Bob", "bobby", ""]);
        check("user*", &["user", "user-1"], &["auser", "use"]);
        check("*a*b*", &["ab", "xaxbx"], &["ba", "a"]);
        check("a*a", &["aa", "aba"], &["a", "ab"]);
        check("bob|al*", &["bob", "alice"], &["carol"]);
        check("!bob|al*", &["carol"], &["bob", "alice"]);
        check("\"a*|b\"", &["a*|b"], &["ab", "b"]);
        check("b..d", &["b", "c", "d"], &["a", "da"]);
        check(">b", &["c"], &["a", "b"]);
        check(">=b", &["b", "c"], &["a"]);
        check("<=10", &["9", "10"], &["11"]);
        check("<2030-01-01", &["2029-12-31T23:59:59Z"], &["2030-01-01T00:00:00Z"]);
        check("2030-01-01T01:00:00+01:00", &["2030-01-01T00:00:00Z"], &["2030-01-01T01:00:00Z"]);
        check("null", &[], &["", "null"]);
        check("!null", &["", "a"], &[]);
    }

    #[test]
    fn what_is_not_there_matches_null_alone() {
        for (filter, expected) in [("null", true), ("!null", false), ("*", false), ("!a", true)] {
            assert_eq!(
                Filter::parse("name", filter).expect("a filter").matches(&[]),
                expected,
                "{filter}"
            );
        }
    }

    #[test]
    fn a_filter_is_bounded() {
        assert!(Filter::parse("name", &"a|".repeat(ALTERNATIVES_MAX)).is_err());
        assert!(Filter::parse("name", &"*".repeat(WILDCARDS_MAX)).is_err());
    }

    proptest! {
        #[test]
        fn no_filter_is_too_much(filter in ".{0,32}", text in ".{0,32}") {
            if let Ok(filter) = Filter::parse("name", &filter) {
                let _ = filter.matches(&[&json!(text)]);
            }
        }

        #[test]
        fn a_name_matches_itself_and_what_it_begins_with(name in "[A-Za-z0-9_+=,@-]{1,20}") {
            let begun = format!("{name}x");
            let itself = Filter::parse("name", &name).expect("a filter");
            prop_assert!(itself.matches(&[&json!(name)]) && !itself.matches(&[&json!(begun)]));
            let wild = Filter::parse("name", &format!("{name}*")).expect("a filter");
            prop_assert!(wild.matches(&[&json!(begun)]));
        }
    }
}
