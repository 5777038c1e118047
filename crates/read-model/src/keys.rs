//! The access keys of a table, in parts that grow one at a time.

use std::fmt;
use std::sync::Arc;

use papaya::{Guard, LocalGuard};

use crate::id::{KeyId, KeyText};
use crate::key::AccessKey;

/// A map grows by a new one twice as large, for which the memory has to be found at once. Of so many, each
/// holds 20,000 of ten million keys. Of a million, each holds 2,000 in a table of 36 KiB: of more than 64 KiB
/// the allocator rounds up to a multiple of that.
const PARTS: usize = 512;

type Part = papaya::HashMap<KeyId, AccessKey>;

/// Access keys by their IDs. Its maps hash with random keys, since access key IDs come from anyone.
pub(crate) struct Keys {
    parts: Box<[Part]>,
}

impl Default for Keys {
    fn default() -> Self {
        // One for all parts, so that a guard holds for any of them.
        let collector = Arc::new(seize::Collector::new());
        let part = || Part::builder().shared_collector(Arc::clone(&collector)).build();
        Self { parts: std::iter::repeat_with(part).take(PARTS).collect() }
    }
}

impl Keys {
    pub(crate) fn guard(&self) -> LocalGuard<'_> {
        self.parts[0].guard()
    }

    pub(crate) fn get<'g>(&self, id: &str, guard: &'g impl Guard) -> Option<&'g AccessKey> {
        self.part(id).get(&KeyText::new(id), guard)
    }

    /// Puts an access key in the place of the one with its ID, and answers with that.
    pub(crate) fn insert<'g>(
        &self,
        id: &str,
        key: AccessKey,
        guard: &'g impl Guard,
    ) -> Option<&'g AccessKey> {
        self.part(id).insert(KeyId::new(id), key, guard)
    }

    pub(crate) fn remove<'g>(&self, id: &str, guard: &'g impl Guard) -> Option<&'g AccessKey> {
        self.part(id).remove(&KeyText::new(id), guard)
    }

    pub(crate) fn retain(&self, is_kept: impl Fn(&AccessKey) -> bool) {
        let guard = self.guard();
        self.parts.iter().for_each(|part| part.retain(|_, key| is_kept(key), &guard));
    }

    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(papaya::HashMap::len).sum()
    }

    /// The part of an ID, by its last bytes: those that Claviger makes are random there. Should all be in
    /// one part, that one grows as the only one would.
    fn part(&self, id: &str) -> &Part {
        let last = id.as_bytes().last_chunk().map_or(0, |last| u32::from_le_bytes(*last));
        let mixed = last.wrapping_mul(0x9e37_79b9) >> (u32::BITS - PARTS.ilog2()); // its highest bits
        &self.parts[mixed as usize % PARTS]
    }
}

/// Shows no access key: there may be millions.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_of_about_one_size() {
        let keys = Keys::default();
        let part = |id: &str| keys.part(id) as *const Part;
        let mut counts = std::collections::HashMap::new();
        for n in 0..PARTS as u32 * 100 {
            // The last characters of an ID as Claviger makes it, and counted ones as somebody may bring.
            for id in [
                format!("AKIA{:016X}", u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                format!("BACKUPTENANT{n:08}"),
                format!("BACKUP-OF-TENANT-{n:08}"),
            ] {
                *counts.entry(part(&id)).or_insert(0) += 1;
            }
        }
        assert_eq!(counts.len(), PARTS);
        let (least, most) = (counts.values().min(), counts.values().max());
        assert!(least >= Some(&150) && most <= Some(&600), "{least:?} {most:?}");
        assert_eq!(part(""), part("x"), "one that is shorter has a part too");
    }
}
