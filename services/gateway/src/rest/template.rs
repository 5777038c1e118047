//! The paths of `google.api.http`, such as `/v1/{name=accounts/*/users/*}:lock`.
//!
//! Source: AIP-127, and the comments of `google/api/http.proto`, "Path template syntax".

use anyhow::{Context, bail, ensure};

use super::percent::decode_path;

/// A path with places for values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Template {
    segments: Vec<Segment>,
    variables: Vec<Variable>,
    /// What stands after the last segment, behind a colon.
    verb: Option<String>,
}

/// What is between two slashes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Segment {
    Literal(String),
    /// Anything, but not nothing.
    Any,
}

/// Some segments whose text is the value of a field.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Variable {
    /// Such as `user.name`.
    field: String,
    first: usize,
    /// Behind its last one.
    end: usize,
}

/// What a path says: fields, and their values.
pub(crate) type Values = Vec<(String, String)>;

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// If it is none, or has `**`, which is for many segments.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut rest = text.strip_prefix('/').context("a path begins with a slash")?;
        let mut template = Self { segments: vec![], variables: vec![], verb: None };
        loop {
            rest = match rest.strip_prefix('{') {
                None => {
                    let end = rest.find(['/', ':']).unwrap_or(rest.len());
                    template.push(&rest[..end])?;
                    &rest[end..]
                }
                Some(inner) => {
                    let (variable, rest) = inner.split_once('}').context("a brace is open")?;
                    let (field, pattern) = variable.split_once('=').unwrap_or((variable, "*"));
                    let first = template.segments.len();
                    for segment in pattern.split('/') {
                        template.push(segment)?;
                    }
                    let (field, end) = (field.to_owned(), template.segments.len());
                    template.variables.push(Variable { field, first, end });
                    rest
                }
            };
            if let Some(more) = rest.strip_prefix('/') {
                rest = more;
                continue;
            }
            match rest.strip_prefix(':') {
                Some(verb) => template.verb = Some(verb.to_owned()),
                None => ensure!(rest.is_empty(), "{rest:?} stands behind a brace"),
            }
            return Ok(template);
        }
    }

    fn push(&mut self, segment: &str) -> anyhow::Result<()> {
        let segment = match segment {
            "*" => Segment::Any,
            "" | "**" => bail!("{segment:?} is no segment"),
            literal => Segment::Literal(literal.to_owned()),
        };
        self.segments.push(segment);
        Ok(())
    }

    /// What a path, as it was sent, says; none if it is another's.
    pub(crate) fn read(&self, path: &str) -> Option<Values> {
        let mut path = path.strip_prefix('/')?;
        // A colon that is meant as such is encoded, so that no name is taken for a verb.
        if let Some(verb) = &self.verb {
            path = path.strip_suffix(verb.as_str())?.strip_suffix(':')?;
        }
        let found: Vec<&str> = path.split('/').collect();
        if found.len() != self.segments.len() {
            return None;
        }
        let segments = self.segments.iter().zip(found).map(|(segment, found)| {
            // Neither is a slash within a segment one between two of them.
            let text = decode_path(found).filter(|text| !text.contains('/'))?;
            // Signatures are of paths without these: they would stand for a path that was not sent.
            if text == "." || text == ".." {
                return None;
            }
            match segment {
                Segment::Literal(literal) => (text == *literal).then_some(text),
                Segment::Any => (!text.is_empty() && !found.contains(':')).then_some(text),
            }
        });
        let segments = segments.collect::<Option<Vec<String>>>()?;
        let value = |variable: &Variable| segments[variable.first..variable.end].join("/");
        Some(self.variables.iter().map(|it| (it.field.clone(), value(it))).collect())
    }

    /// The fields whose values the path gives.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|variable| variable.field.as_str())
    }

    /// Its segments.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// What stands behind its last segment.
    pub(crate) fn verb(&self) -> Option<&str> {
        self.verb.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(template: &str, path: &str, expected: Option<&[(&str, &str)]>) {
        let values = Template::parse(template).expect("a template").read(path);
        let expected = expected.map(|pairs| {
            pairs.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect()
        });
        assert_eq!(values, expected, "{template} {path}");
    }

    #[test]
    fn a_path_is_told_from_others() {
        let user = "/v1/{name=accounts/*/users/*}";
        check(user, "/v1/accounts/1/users/a", Some(&[("name", "accounts/1/users/a")]));
        check(user, "/v1/accounts/1/users/a%40b+c", Some(&[("name", "accounts/1/users/a@b+c")]));
        check(
            user,
            "/v1/%61ccounts/1/users/a%3Alock",
            Some(&[("name", "accounts/1/users/a:lock")]),
        );
        for other in [
            "/v1/accounts/1/users/",
            "/v1/accounts//users/a",
            "/v1/accounts/1/users/a/",
            "/v1/accounts/1/users/a:lock",
            "/v1/accounts/1/users/a%2Fb",
            "/v1/accounts/1/users/%FF",
            "/v1/accounts/1/users/%00",
            "/v1/accounts/1/users/..",
            "/v1/accounts/%2E/users/a",
            "/v2/accounts/1/users/a",
            "v1/accounts/1/users/a",
            "",
        ] {
            check(user, other, None);
        }
        let lock = "/v1/{name=accounts/*/users/*}:lock";
        check(lock, "/v1/accounts/1/users/a:lock", Some(&[("name", "accounts/1/users/a")]));
        for other in [
            "/v1/accounts/1/users/a",
            "/v1/accounts/1/users/a:unlock",
            "/v1/accounts/1/users/a%3Alock",
            "/v1/accounts/1/users/:lock",
            "/v1/accounts/1/users/a:lock:lock",
        ] {
            check(lock, other, None);
        }
        let keys = "/v1/{parent=accounts/*/users/*}/accessKeys";
        check(keys, "/v1/accounts/1/users/a/accessKeys", Some(&[("parent", "accounts/1/users/a")]));
        check("/v1/events:watch", "/v1/events:watch", Some(&[]));
        check("/v1/{id}", "/v1/x", Some(&[("id", "x")]));
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for bad in ["", "v1", "/", "/v1/", "/v1/{name", "/v1/{name=a/**}", "/{a}b", "/a//b"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_it_fail(path in "\\PC{0,40}", tail in "[a-z%:/]{0,30}") {
            for template in ["/v1/{name=accounts/*/users/*}:lock", "/v1/{a=*}/b"] {
                let template = Template::parse(template).expect("a template");
                let _ = template.read(&path);
                if let Some(values) = template.read(&format!("/v1/{tail}")) {
                    prop_assert!(values.iter().all(|(_, value)| !value.is_empty()));
                }
            }
        }
    }
}
