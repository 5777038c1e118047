//! Tags: pairs of a key and a value that clients put on users.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::InvalidName;

/// The most tags of one user (IAM and STS quotas).
pub const TAGS_MAX: usize = 50;

/// One tag: a key of 1 to 128 characters and a value of 0 to 256, each a letter, a digit, a space
/// or one of `_ . : / = + - @` (IAM API reference, `Tag`).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tag {
    key: Box<str>,
    value: Box<str>,
}

impl Tag {
    /// Reads a tag.
    ///
    /// # Errors
    /// If it is not of the form above.
    pub fn parse(key: &str, value: &str) -> Result<Self, InvalidName> {
        let valid = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
        if key.is_empty() || key.chars().count() > 128 || !key.chars().all(valid) {
            return Err(InvalidName(
                "a key must be 1 to 128 letters, digits, spaces and _ . : / = + - @",
            ));
        }
        if value.chars().count() > 256 || !value.chars().all(valid) {
            return Err(InvalidName(
                "a value must be up to 256 letters, digits, spaces and _ . : / = + - @",
            ));
        }
        Ok(Self { key: key.into(), value: value.into() })
    }

    /// The key, as it was spelled.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// How many bytes it has.
    fn bytes(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

/// The tags of one user, at most [`TAGS_MAX`]. No two keys are the same without regard to case; the
/// case is kept (IAM User Guide, "Tags for IAM resources").
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
// By folded key, in their order. Most users have none, for which a tree would take more.
pub struct Tags(Box<[(Box<str>, Tag)]>);

impl Tags {
    /// Gathers tags.
    ///
    /// # Errors
    /// If there are too many, or a key is there twice.
    pub fn new(tags: impl IntoIterator<Item = Tag>) -> Result<Self, InvalidName> {
        let mut all = BTreeMap::new();
        for tag in tags {
            if all.insert(folded(&tag.key), tag).is_some() {
                return Err(InvalidName("a key stands there twice, without regard to case"));
            }
        }
        if all.len() > TAGS_MAX {
            return Err(InvalidName("must be at most 50 tags"));
        }
        Ok(Self(all.into_iter().collect()))
    }

    /// The tags, by key.
    pub fn iter(&self) -> impl Iterator<Item = &Tag> {
        self.0.iter().map(|(_, tag)| tag)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Applies a change.
    pub(crate) fn apply(&mut self, change: &TagsChange) {
        let mut all: BTreeMap<_, _> = std::mem::take(&mut self.0).into_iter().collect();
        for key in &change.removed {
            all.remove(&folded(key));
        }
        for tag in &change.set {
            all.insert(folded(&tag.key), tag.clone());
        }
        self.0 = all.into_iter().collect();
    }

    fn get(&self, folded_key: &str) -> Option<&Tag> {
        let at = self.0.binary_search_by(|(key, _)| (**key).cmp(folded_key)).ok()?;
        self.0.get(at).map(|(_, tag)| tag)
    }

    /// What makes `self` into `wanted`, in pieces that each fit one event.
    pub(crate) fn changes_to(&self, wanted: &Self) -> Vec<TagsChange> {
        let removed = self.0.iter().filter(|(key, _)| wanted.get(key).is_none());
        let set = wanted.0.iter().filter(|(key, tag)| self.get(key) != Some(tag));
        let mut changes: Vec<TagsChange> = vec![];
        let mut room = 0_usize;
        let mut fitting = |bytes: usize| -> usize {
            match room.checked_sub(bytes) {
                Some(left) if !changes.is_empty() => room = left,
                Some(_) | None => {
                    changes.push(TagsChange::default());
                    room = TagsChange::BYTES_MAX.saturating_sub(bytes);
                }
            }
            changes.len() - 1
        };
        let mut placed = vec![];
        for (_, tag) in removed {
            placed.push((fitting(tag.key.len()), Err(tag.key.clone())));
        }
        for (_, tag) in set {
            placed.push((fitting(tag.bytes()), Ok(tag.clone())));
        }
        for (at, part) in placed {
            match part {
                Ok(tag) => changes[at].set.push(tag),
                Err(key) => changes[at].removed.push(key),
            }
        }
        changes
    }
}

/// A change of some tags.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TagsChange {
    /// Tags that are new or have another value or spelling.
    pub set: Vec<Tag>,
    /// Keys of tags that are gone.
    pub removed: Vec<Box<str>>,
}

impl TagsChange {
    /// The most bytes of keys and values in one change: far enough below what an event may hold.
    const BYTES_MAX: usize = 2048;
}

fn folded(key: &str) -> Box<str> {
    key.to_lowercase().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tags(of: &[(&str, &str)]) -> Tags {
        let parse = |(key, value): &(&str, &str)| Tag::parse(key, value).expect("valid");
        Tags::new(of.iter().map(parse)).expect("valid")
    }

    #[test]
    fn tags_follow_the_rules_of_iam() {
        assert!(Tag::parse("Cost Center", "a_b.c:d/e=f+g-h@i é").is_ok());
        assert!(Tag::parse("k", "").is_ok());
        let (key, value) = ("é".repeat(129), "é".repeat(257));
        for (key, value) in
            [("", "v"), ("a\n", "v"), ("a", "v\0"), (&key, "v"), ("a", &value), ("a*", "v")]
        {
            assert!(Tag::parse(key, value).is_err(), "{key:?} {value:?}");
        }
        let twice = ["Team", "team"].map(|key| Tag::parse(key, "v").expect("valid"));
        assert!(Tags::new(twice).is_err());
        let many = (0..=TAGS_MAX).map(|n| Tag::parse(&n.to_string(), "v").expect("valid"));
        assert!(Tags::new(many).is_err());
    }

    #[test]
    fn a_key_in_another_case_is_the_same_tag() {
        let changes = tags(&[("Team", "a")]).changes_to(&tags(&[("TEAM", "a")]));
        let change =
            TagsChange { set: vec![Tag::parse("TEAM", "a").expect("valid")], removed: vec![] };
        assert_eq!(changes, [change]);
    }

    proptest! {
        #[test]
        fn changes_lead_from_any_tags_to_any_others(
            before in proptest::collection::btree_map("[a-f]{1,2}", "[é]{0,256}", 0..50),
            after in proptest::collection::btree_map("[a-f]{1,2}", "[é]{0,256}", 0..50),
        ) {
            let gather = |of: &BTreeMap<String, String>| {
                Tags::new(of.iter().map(|(key, value)| Tag::parse(key, value).expect("valid")))
                    .expect("valid")
            };
            let (mut tags, wanted) = (gather(&before), gather(&after));
            let changes = tags.changes_to(&wanted);
            for change in &changes {
                let removed: usize = change.removed.iter().map(|key| key.len()).sum();
                let set: usize = change.set.iter().map(Tag::bytes).sum();
                prop_assert!((1..=TagsChange::BYTES_MAX).contains(&(removed + set)));
                tags.apply(change);
            }
            prop_assert_eq!(&tags, &wanted);
            prop_assert_eq!(changes.is_empty(), before == after);
        }
    }
}
