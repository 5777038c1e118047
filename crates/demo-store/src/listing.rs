//! What one page of a listing holds: prefix, delimiter, where to go on, how many.
//!
//! Object listings of both versions and upload listings share these rules, which know nothing of
//! what is listed.

use std::ops::Bound;

/// The entries of a page never exceed this, whatever the client asks for.
pub(crate) const ENTRIES_MAX: usize = 1000;

/// What a client asks of a listing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'q> {
    /// Only keys that start so.
    pub(crate) prefix: &'q str,
    /// Keys with this after the prefix are rolled up into one common prefix.
    pub(crate) delimiter: Option<&'q str>,
    /// Only what comes after this key, or after everything under this common prefix.
    pub(crate) after: Option<&'q str>,
    /// How many entries, keys and common prefixes counted alike, a page may hold.
    pub(crate) entries_max: usize,
}

/// One line of a listing.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Entry<'a, V> {
    /// A key and what stands under it.
    Item(&'a str, V),
    /// All keys that start so, in one.
    CommonPrefix(&'a str),
}

/// A page of entries in the order of their keys.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Page<'a, V> {
    /// The entries.
    pub(crate) entries: Vec<Entry<'a, V>>,
    /// Whether more entries follow after [`Page::last`].
    pub(crate) truncated: bool,
}

impl<'a, V> Page<'a, V> {
    /// The last entry's name, after which the next page starts.
    pub(crate) fn last(&self) -> Option<&'a str> {
        self.entries.last().map(|entry| match entry {
            Entry::Item(key, _) => *key,
            Entry::CommonPrefix(prefix) => *prefix,
        })
    }
}

impl<'q> Query<'q> {
    /// The first key worth looking at, for seeking in an ordered map.
    pub(crate) fn start(&self) -> Bound<&'q str> {
        Bound::Included(self.after.map_or(self.prefix, |after| after.max(self.prefix)))
    }

    /// Picks the page out of `ordered`, whose keys ascend byte by byte.
    ///
    /// Keys before [`Query::start`] may be left out. The iterator is read no further than the
    /// page needs.
    pub(crate) fn page<'a, V>(&self, ordered: impl Iterator<Item = (&'a str, V)>) -> Page<'a, V> {
        let mut page = Page { entries: Vec::new(), truncated: false };
        // A marker that is itself a common prefix was the last entry of the page before.
        let told = self.after.filter(|after| self.common_prefix(after) == Some(after));
        let mut told: Option<&str> = told;
        for (key, value) in ordered {
            if !key.starts_with(self.prefix) {
                if key < self.prefix {
                    continue;
                }
                break;
            }
            let seen = self.after.is_some_and(|after| key <= after);
            if seen || told.is_some_and(|prefix| key.starts_with(prefix)) {
                continue;
            }
            if page.entries.len() == self.entries_max {
                // S3 says that a listing of no entries is complete.
                page.truncated = self.entries_max > 0;
                break;
            }
            page.entries.push(match self.common_prefix(key) {
                Some(prefix) => {
                    told = Some(prefix);
                    Entry::CommonPrefix(prefix)
                }
                None => Entry::Item(key, value),
            });
        }
        page
    }

    fn common_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter?;
        let rest = key.strip_prefix(self.prefix)?;
        let end = self.prefix.len() + rest.find(delimiter)? + delimiter.len();
        Some(&key[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    const KEYS: [&str; 9] = ["a", "a/", "a//b", "a/1", "a/2", "b-", "b/c/d", "b/c/e", "日本/é"];

    fn list<'a>(keys: &[&'a str], query: &Query<'_>) -> (Vec<&'a str>, Vec<&'a str>, bool) {
        let keys: BTreeMap<&str, ()> = keys.iter().map(|key| (*key, ())).collect();
        let page = query.page(keys.iter().map(|(key, ())| (*key, ())));
        let (mut items, mut prefixes) = (vec![], vec![]);
        for entry in page.entries {
            match entry {
                Entry::Item(key, ()) => items.push(key),
                Entry::CommonPrefix(prefix) => prefixes.push(prefix),
            }
        }
        (items, prefixes, page.truncated)
    }

    fn query<'q>(prefix: &'q str, delimiter: &'q str, after: &'q str, max: usize) -> Query<'q> {
        let given = |text: &'q str| (!text.is_empty()).then_some(text);
        Query { prefix, delimiter: given(delimiter), after: given(after), entries_max: max }
    }

    #[test]
    fn pages_hold_what_s3_would_list() {
        type Row<'a> = (Query<'a>, &'a [&'a str], &'a [&'a str], bool);
        let rows: [Row<'_>; 14] = [
            (query("", "", "", 1000), &KEYS, &[], false),
            (query("", "/", "", 1000), &["a", "b-"], &["a/", "b/", "日本/"], false),
            (query("a/", "/", "", 1000), &["a/", "a/1", "a/2"], &["a//"], false),
            (query("a", "/", "", 1000), &["a"], &["a/"], false),
            (query("b/", "/", "", 1000), &[], &["b/c/"], false),
            (query("b", "c/", "", 1000), &["b-"], &["b/c/"], false),
            (query("x", "/", "", 1000), &[], &[], false),
            (query("", "/", "", 1), &["a"], &[], true),
            (query("", "/", "a", 1), &[], &["a/"], true),
            // The common prefix as marker: nothing under it again.
            (query("", "/", "a/", 1), &["b-"], &[], true),
            // A key as marker: what follows under its prefix is still rolled up.
            (query("", "/", "a/1", 1), &[], &["a/"], true),
            (query("", "/", "b-", 2), &[], &["b/", "日本/"], false),
            (query("", "", "zzz", 5), &["日本/é"], &[], false),
            (query("", "", "", 0), &[], &[], false),
        ];
        for (query, items, prefixes, truncated) in rows {
            let expected = (items.to_vec(), prefixes.to_vec(), truncated);
            assert_eq!(list(&KEYS, &query), expected, "{query:?}");
        }
    }

    #[test]
    fn the_iterator_is_not_read_past_the_page() {
        let endless = (0..).map(|_| ("k", ()));
        let page = query("", "", "", 3).page(endless);
        assert!(page.truncated && page.entries.len() == 3);
    }

    /// Every entry of the whole listing, worked out the slow and obvious way.
    fn naive(keys: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>) -> BTreeSet<String> {
        let matching = keys.iter().filter_map(|key| Some((key, key.strip_prefix(prefix)?)));
        matching
            .map(|(key, rest)| {
                match delimiter.and_then(|d| rest.split_once(d).map(|(a, _)| (a, d))) {
                    Some((head, delimiter)) => format!("{prefix}{head}{delimiter}"),
                    None => key.clone(),
                }
            })
            .collect()
    }

    proptest! {
        #[test]
        fn pages_together_are_the_whole_listing(
            keys in prop::collection::btree_set("[ab/é]{1,6}", 0..40),
            prefix in "[ab/]{0,2}",
            delimiter in prop::option::of("[ab/]{1,2}"),
            entries_max in 1_usize..5,
        ) {
            let (mut told, mut after): (Vec<String>, Option<String>) = (vec![], None);
            loop {
                let query = Query {
                    prefix: &prefix,
                    delimiter: delimiter.as_deref(),
                    after: after.as_deref(),
                    entries_max,
                };
                let range = (query.start(), Bound::Unbounded);
                let page = query.page(keys.range::<str, _>(range).map(|key| (key.as_str(), ())));
                prop_assert!(page.entries.len() <= entries_max);
                told.extend(page.entries.iter().map(|entry| match entry {
                    Entry::Item(key, ()) => (*key).to_owned(),
                    Entry::CommonPrefix(prefix) => (*prefix).to_owned(),
                }));
                if !page.truncated {
                    break;
                }
                after = page.last().map(str::to_owned);
            }
            let whole: Vec<String> = naive(&keys, &prefix, delimiter.as_deref()).into_iter().collect();
            prop_assert_eq!(told, whole);
        }
    }
}
