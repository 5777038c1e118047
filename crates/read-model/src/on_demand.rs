//! Keys that are not fed, fetched one by one: date keys of days before yesterday, for presigned URLs, and of
//! another spelling than AWS's, of any day; and public keys, for signatures of Version 4A.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sigv4::{DateKey, PublicKey, Spelling};

use crate::id::{KeyId, KeyText};

/// What was fetched is used this long, then fetched again.
pub const ON_DEMAND_LIFE: Duration = Duration::from_secs(10 * 60);
/// This many older days are kept, over all access keys, and public keys of as many access keys; what was
/// fetched first makes room.
pub const ON_DEMAND_MAX: usize = 64 << 10;

/// The date keys of one access key for one older day, or for one day in another spelling.
pub type OlderDay = Fetched<(Spelling, u32), DateKey>;
/// The public keys of one access key.
pub type PublicKeys = Fetched<(), PublicKey>;

/// A key `K` for each secret of one access key, of the kind that `W` tells from others.
#[derive(Debug)]
pub struct Fetched<W, K> {
    which: W,
    fetched_at: Duration,
    keys: Vec<(u32, K)>,
}

impl<W: Copy + Eq, K> Fetched<W, K> {
    /// The key of the secret of this generation.
    pub fn key(&self, generation: u32) -> Option<&K> {
        self.keys.iter().find(|(of, _)| *of == generation).map(|(_, key)| key)
    }

    fn is_fresh(&self, now: Duration) -> bool {
        now.saturating_sub(self.fetched_at) < ON_DEMAND_LIFE
    }
}

/// What was fetched of all access keys.
pub(crate) struct OnDemand<W, K> {
    by_key: papaya::HashMap<KeyId, OfKey<W, K>>,
    /// What was fetched, in that order. Held by whoever writes.
    fetched: Mutex<VecDeque<(KeyId, W, Duration)>>,
}

/// What was fetched of one access key, for one version of it: a handful, since a presigned URL lives a week.
struct OfKey<W, K> {
    version: u32,
    all: Vec<Arc<Fetched<W, K>>>,
}

impl<W, K> Default for OnDemand<W, K> {
    fn default() -> Self {
        Self { by_key: papaya::HashMap::default(), fetched: Mutex::default() }
    }
}

impl<W: Copy + Eq, K> OnDemand<W, K> {
    pub(crate) fn find(
        &self,
        access_key_id: &str,
        version: u32,
        which: W,
        now: Duration,
    ) -> Option<Arc<Fetched<W, K>>> {
        let by_key = self.by_key.pin();
        let of_key = by_key.get(&KeyText::new(access_key_id))?;
        let mut all = of_key.all.iter().filter(|_| of_key.version == version);
        all.find(|fetched| fetched.which == which && fetched.is_fresh(now)).cloned()
    }

    pub(crate) fn keep(
        &self,
        access_key_id: &str,
        version: u32,
        which: W,
        keys: Vec<(u32, K)>,
        now: Duration,
    ) {
        let id = KeyId::new(access_key_id);
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        let by_key = self.by_key.pin();
        let known = by_key.get(&id);
        let mut all = match known {
            Some(of_key) if of_key.version == version => of_key.all.clone(),
            Some(_) | None => vec![],
        };
        all.retain(|known| known.which != which && known.is_fresh(now));
        all.push(Arc::new(Fetched { which, fetched_at: now, keys }));
        by_key.insert(id.clone(), OfKey { version, all });
        fetched.push_back((id, which, now));
        while fetched.front().is_some_and(|(_, _, fetched_at)| {
            fetched.len() > ON_DEMAND_MAX || now.saturating_sub(*fetched_at) >= ON_DEMAND_LIFE
        }) {
            if let Some((id, which, fetched_at)) = fetched.pop_front() {
                self.drop_one(&id, which, fetched_at);
            }
        }
    }

    /// Drops all that was fetched of one access key: it has changed.
    pub(crate) fn forget(&self, id: &str) {
        if self.by_key.is_empty() {
            return;
        }
        // A fetch that is under way may still add what it has found: for a version that is over.
        self.by_key.pin().remove(&KeyText::new(id));
    }

    fn drop_one(&self, id: &KeyId, which: W, fetched_at: Duration) {
        let by_key = self.by_key.pin();
        let Some(OfKey { version, all }) = by_key.get(id) else { return };
        let is_it = |of: &Fetched<W, K>| of.which == which && of.fetched_at == fetched_at;
        let rest: Vec<_> = all.iter().filter(|of| !is_it(of)).cloned().collect();
        if rest.is_empty() {
            by_key.remove(id);
        } else {
            by_key.insert(id.clone(), OfKey { version: *version, all: rest });
        }
    }
}

#[cfg(test)]
mod tests {
    use sigv4::Spelling::{Aws4, Osc4};

    use super::*;

    type OlderDays = OnDemand<(Spelling, u32), DateKey>;

    const NOW: Duration = Duration::from_secs(1_000_000);

    fn keys(byte: u8) -> Vec<(u32, DateKey)> {
        vec![(1, DateKey::from_bytes([byte; 32]))]
    }

    fn found(older: &OlderDays, id: &str, version: u32, day: u32, now: Duration) -> Option<u8> {
        let day = older.find(id, version, (Aws4, day), now)?;
        day.key(1).map(|key| key.expose()[0])
    }

    #[test]
    fn an_older_day_is_found_for_its_key_version_and_day_while_it_is_fresh() {
        let older = OlderDays::default();
        older.keep("A", 5, (Aws4, 100), keys(1), NOW);
        older.keep("A", 5, (Aws4, 101), keys(2), NOW);
        assert_eq!(found(&older, "A", 5, 100, NOW), Some(1));
        assert_eq!(found(&older, "A", 5, 101, NOW), Some(2));
        assert_eq!(found(&older, "A", 6, 100, NOW), None);
        assert_eq!(found(&older, "A", 5, 102, NOW), None);
        assert_eq!(found(&older, "B", 5, 100, NOW), None);
        assert!(older.find("A", 5, (Aws4, 100), NOW).expect("is there").key(2).is_none());
        assert_eq!(found(&older, "A", 5, 100, NOW + ON_DEMAND_LIFE), None);
    }

    #[test]
    fn a_key_that_changed_loses_its_older_days() {
        let older = OlderDays::default();
        older.keep("A", 5, (Aws4, 100), keys(1), NOW);
        older.forget("A");
        assert_eq!(found(&older, "A", 5, 100, NOW), None);
        older.keep("A", 5, (Aws4, 100), keys(1), NOW);
        older.keep("A", 6, (Aws4, 101), keys(2), NOW);
        assert_eq!(found(&older, "A", 5, 100, NOW), None);
        assert_eq!(found(&older, "A", 6, 101, NOW), Some(2));
    }

    #[test]
    fn older_days_are_bounded_in_number_and_time() {
        let older = OlderDays::default();
        for index in 0..ON_DEMAND_MAX + 10 {
            older.keep(&format!("A{index}"), 1, (Aws4, 100), keys(1), NOW);
        }
        assert_eq!(older.by_key.len(), ON_DEMAND_MAX);
        assert_eq!(found(&older, "A9", 1, 100, NOW), None);
        assert_eq!(found(&older, "A10", 1, 100, NOW), Some(1));
        older.keep("B", 1, (Aws4, 100), keys(1), NOW + ON_DEMAND_LIFE);
        assert_eq!(older.by_key.len(), 1);
        assert_eq!(older.fetched.lock().expect("unpoisoned").len(), 1);
    }

    #[test]
    fn a_day_fetched_again_outlives_its_first_fetch() {
        let older = OlderDays::default();
        let later = NOW + Duration::from_secs(400);
        older.keep("A", 1, (Aws4, 100), keys(1), NOW);
        older.keep("A", 1, (Aws4, 100), keys(2), later);
        older.keep("B", 1, (Aws4, 100), keys(3), NOW + ON_DEMAND_LIFE);
        assert_eq!(found(&older, "A", 1, 100, NOW + ON_DEMAND_LIFE), Some(2));
    }

    #[test]
    fn a_day_of_one_spelling_is_none_of_another() {
        let older = OlderDays::default();
        let osc4 = |day| older.find("A", 5, (Osc4, day), NOW)?.key(1).map(|key| key.expose()[0]);
        older.keep("A", 5, (Aws4, 100), keys(1), NOW);
        assert_eq!(osc4(100), None);
        older.keep("A", 5, (Osc4, 100), keys(2), NOW);
        assert_eq!((found(&older, "A", 5, 100, NOW), osc4(100)), (Some(1), Some(2)));
        older.forget("A");
        assert_eq!((found(&older, "A", 5, 100, NOW), osc4(100)), (None, None));
    }
}
