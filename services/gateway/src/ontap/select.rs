//! What of a collection is asked for: fields, filters, order and how much.

use std::cmp::Ordering;
use std::time::Duration;

use serde_json::{Map, Value};

use super::error::OntapError;
use super::filter::{Filter, compare, text_of};
use super::query::Query;

/// Records a page when the query does not say, and at most.
const RECORDS_DEFAULT: u64 = 1000;
const RECORDS_MAX: u64 = 5000;
/// Seconds that a page may take when the query does not say, and at most.
const SECONDS_DEFAULT: u64 = 15;
const SECONDS_MAX: u64 = 120;

/// Parameters that are no filters.
pub(crate) const TOKEN: &str = "start.token";
pub(crate) const INDEX: &str = "start.index";

/// The fields of a resource: those that name it, which are always told, and all others. A dot leads into an
/// object, or into each of a list.
#[derive(Debug)]
pub(crate) struct Fields {
    pub(crate) keys: &'static [&'static str],
    pub(crate) others: &'static [&'static str],
}

/// What a query asks of a collection.
#[derive(Debug)]
pub(crate) struct Select {
    pub(crate) filters: Vec<(String, Filter)>,
    pub(crate) order: Vec<(String, bool)>,
    pub(crate) records_max: usize,
    pub(crate) return_records: bool,
    pub(crate) timeout: Duration,
    fields: Shown,
}

/// Which fields are told.
#[derive(Debug)]
pub(crate) enum Shown {
    All,
    Only(Vec<String>),
}

impl Fields {
    fn has(&self, name: &str) -> bool {
        self.keys.contains(&name) || self.others.contains(&name)
    }

    /// Which fields `fields` asks for; those that name the resource and are filtered by, if it is not given.
    ///
    /// # Errors
    /// For a field that there is not.
    fn shown(&self, query: &Query, filtered: &[&str]) -> Result<Shown, OntapError> {
        let keys = self.keys.iter().copied();
        let asked: Vec<&str> = match query.get("fields") {
            None => filtered.to_vec(),
            Some(text) => {
                text.split(',').map(str::trim).filter(|field| !field.is_empty()).collect()
            }
        };
        if asked.iter().any(|field| *field == "*" || *field == "**") {
            return Ok(Shown::All);
        }
        if let Some(unknown) = asked.iter().find(|field| !self.has(field)) {
            return Err(OntapError::bad_value("fields", unknown));
        }
        Ok(Shown::Only(keys.chain(asked).map(str::to_owned).collect()))
    }
}

impl Select {
    /// Reads the query of a collection whose records have these fields.
    ///
    /// # Errors
    /// For a parameter that is neither known nor a field, or is not of its form.
    pub(crate) fn parse(query: &Query, fields: &Fields) -> Result<Self, OntapError> {
        let mut filters = vec![];
        for (name, value) in query.iter() {
            match name {
                "fields" | "order_by" | "max_records" | "return_records" | "return_timeout"
                | TOKEN | INDEX => {}
                name if fields.has(name) => {
                    filters.push((name.to_owned(), Filter::parse(name, value)?));
                }
                name => return Err(OntapError::unexpected(name)),
            }
        }
        let filtered: Vec<&str> = filters.iter().map(|(name, _)| name.as_str()).collect();
        let records_max = query.number("max_records", 1..=u64::from(u32::MAX))?;
        let records_max = records_max.unwrap_or(RECORDS_DEFAULT).min(RECORDS_MAX);
        Ok(Self {
            fields: fields.shown(query, &filtered)?,
            order: order(query, fields)?,
            records_max: usize::try_from(records_max).unwrap_or(usize::MAX),
            return_records: query.truth("return_records", true)?,
            timeout: timeout(query)?,
            filters,
        })
    }

    pub(crate) fn matches(&self, record: &Value) -> bool {
        self.filters.iter().all(|(name, filter)| filter.matches(&values(record, name)))
    }

    /// The one text that a field must have, if a filter says so.
    pub(crate) fn exactly(&self, field: &str) -> Option<&str> {
        self.filters.iter().find(|(name, _)| name == field).and_then(|(_, filter)| filter.exactly())
    }

    /// Whether any field of these is told, filtered or ordered by.
    pub(crate) fn touches(&self, is_one: fn(&str) -> bool) -> bool {
        let told = match &self.fields {
            _ if !self.return_records => false,
            Shown::All => true,
            Shown::Only(fields) => fields.iter().any(|field| is_one(field)),
        };
        told || self.filters.iter().any(|(name, _)| is_one(name))
            || self.order.iter().any(|(name, _)| is_one(name))
    }

    /// What of a record is told.
    pub(crate) fn show(&self, record: Value) -> Value {
        self.fields.show(record)
    }

    pub(crate) fn compare(&self, one: &Value, other: &Value) -> Ordering {
        let first =
            |record: &Value, name: &str| values(record, name).first().and_then(|v| text_of(v));
        let mut orders = self.order.iter().map(|(name, descending)| {
            let order = match (first(one, name), first(other, name)) {
                (Some(one), Some(other)) => compare(&one, &other),
                (one, other) => one.is_some().cmp(&other.is_some()),
            };
            if *descending { order.reverse() } else { order }
        });
        orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

impl Shown {
    /// Which fields of one resource are told: all, if the query does not say.
    ///
    /// # Errors
    /// For a field that there is not.
    pub(crate) fn of_one(query: &Query, fields: &Fields) -> Result<Self, OntapError> {
        query.only(&["fields", "return_timeout", "return_records"])?;
        timeout(query)?;
        query.truth("return_records", true)?;
        match query.get("fields") {
            None => Ok(Self::All),
            Some(_) => fields.shown(query, &[]),
        }
    }

    pub(crate) fn show(&self, record: Value) -> Value {
        let Self::Only(fields) = self else { return record };
        let Value::Object(whole) = record else { return record };
        let paths: Vec<Vec<&str>> = fields.iter().map(|name| name.split('.').collect()).collect();
        let paths: Vec<&[&str]> = paths.iter().map(Vec::as_slice).collect();
        Value::Object(pick(whole, &paths))
    }
}

/// How long a page may take.
///
/// # Errors
/// If it is not of its form.
pub(crate) fn timeout(query: &Query) -> Result<Duration, OntapError> {
    let seconds = query.number("return_timeout", 0..=SECONDS_MAX)?.unwrap_or(SECONDS_DEFAULT);
    Ok(Duration::from_secs(seconds))
}

/// `name desc,comment`: fields, and whether each descends.
fn order(query: &Query, fields: &Fields) -> Result<Vec<(String, bool)>, OntapError> {
    let Some(text) = query.get("order_by") else { return Ok(vec![]) };
    text.split(',')
        .map(|part| {
            let mut words = part.split_whitespace();
            let (name, direction) = (words.next().unwrap_or_default(), words.next());
            let descending = match direction.map(str::to_ascii_lowercase).as_deref() {
                None | Some("asc") => Some(false),
                Some("desc") => Some(true),
                Some(_) => None,
            };
            let descending = descending.filter(|_| fields.has(name) && words.next().is_none());
            let descending = descending.ok_or_else(|| OntapError::bad_value("order_by", part))?;
            Ok((name.to_owned(), descending))
        })
        .collect()
}

/// What stands at `keys.id`, say, in each of the list `keys`.
fn values<'a>(record: &'a Value, name: &str) -> Vec<&'a Value> {
    name.split('.').fold(vec![record], |found, part| {
        let parts = found.into_iter().filter_map(|value| value.get(part));
        parts
            .flat_map(|value| match value {
                Value::Array(items) => items.iter().collect(),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Object(_) => vec![value],
            })
            .collect()
    })
}

/// The parts of an object that paths lead to, and its links.
fn pick(whole: Map<String, Value>, paths: &[&[&str]]) -> Map<String, Value> {
    let picked = whole.into_iter().filter_map(|(name, value)| {
        let within: Vec<&[&str]> = paths
            .iter()
            .filter(|path| path.first() == Some(&name.as_str()))
            .map(|p| &p[1..])
            .collect();
        if name == "_links" || within.iter().any(|path| path.is_empty()) {
            return Some((name, value));
        }
        if within.is_empty() {
            return None;
        }
        let value = if let Value::Array(items) = value {
            items.into_iter().map(|item| pick_of(item, &within)).collect()
        } else {
            pick_of(value, &within)
        };
        Some((name, value))
    });
    picked.collect()
}

fn pick_of(value: Value, paths: &[&[&str]]) -> Value {
    if let Value::Object(part) = value { Value::Object(pick(part, paths)) } else { value }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELDS: Fields =
        Fields { keys: &["svm.uuid", "name"], others: &["svm", "comment", "keys", "keys.id"] };

    fn record() -> Value {
        json!({
            "name": "a", "comment": "c", "svm": {"uuid": "u", "name": "n", "_links": {}},
            "keys": [{"id": 1, "access_key": "A"}, {"id": 2, "access_key": "B"}], "_links": {},
        })
    }

    fn select(query: &str) -> Result<Select, OntapError> {
        Select::parse(&Query::parse(query).expect("a query"), &FIELDS)
    }

    fn check(query: &str, expected: Option<Value>) {
        let select = select(query).expect(query);
        let found = select.matches(&record()).then(|| select.show(record()));
        assert_eq!(found, expected, "{query}");
    }

    #[test]
    fn fields_are_told_as_they_are_asked_for() {
        let named = json!({"name": "a", "svm": {"uuid": "u", "_links": {}}, "_links": {}});
        let with = |name: &str, value: Value| {
            let mut record = named.clone();
            record[name] = value;
            Some(record)
        };
        check("", Some(named.clone()));
        check("fields=*", Some(record()));
        check("fields=**", Some(record()));
        check("fields=*,keys", Some(record()));
        check("fields=comment", with("comment", json!("c")));
        check("comment=c", with("comment", json!("c")));
        check("fields=keys.id", with("keys", json!([{"id": 1}, {"id": 2}])));
        check("keys.id=2&fields=name", Some(named.clone()));
        check("keys.id=3", None);
        check("name=b", None);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (query, code) in [
            ("colour=1", "262179"),
            ("fields=colour", "262197"),
            ("order_by=colour", "262197"),
            ("order_by=name%20up", "262197"),
            ("order_by=name%20asc%20x", "262197"),
            ("max_records=0", "262197"),
            ("return_timeout=121", "262197"),
            ("return_records=maybe", "262197"),
        ] {
            assert_eq!(select(query).expect_err(query).code, code, "{query}");
        }
    }

    #[test]
    fn records_are_ordered_by_several_fields() {
        let order = |query: &str, one: Value, other: Value| {
            select(query).expect(query).compare(&one, &other)
        };
        let (a, b) = (json!({"name": "a", "comment": "x"}), json!({"name": "b", "comment": "x"}));
        assert_eq!(order("order_by=name", a.clone(), b.clone()), Ordering::Less);
        assert_eq!(order("order_by=name%20desc", a.clone(), b.clone()), Ordering::Greater);
        assert_eq!(order("order_by=comment,name%20DESC", a.clone(), b.clone()), Ordering::Greater);
        assert_eq!(order("order_by=comment", a.clone(), b), Ordering::Equal);
        assert_eq!(order("order_by=comment", json!({}), a), Ordering::Less);
    }
}
