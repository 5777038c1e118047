//! Date keys that are not fed, fetched one by one: of days before yesterday, for presigned URLs, and of
//! another spelling than AWS's, of any day.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sigv4::{DateKey, Spelling};

use crate::id::KeyId;

/// A date key that was fetched is used this long, then fetched again.
pub const OLDER_DAY_LIFE: Duration = Duration::from_secs(10 * 60);
/// This many older days are kept, over all access keys; the one fetched first makes room.
pub const OLDER_DAYS_MAX: usize = 64 << 10;

/// The date keys of one access key for one older day, or for one day in another spelling.
#[derive(Debug)]
pub struct OlderDay {
    spelling: Spelling,
    day: u32,
    fetched_at: Duration,
    keys: Vec<(u32, DateKey)>,
}

impl OlderDay {
    /// The date key of the secret of this generation.
    pub fn date_key(&self, generation: u32) -> Option<&DateKey> {
        self.keys.iter().find(|(of, _)| *of == generation).map(|(_, key)| key)
    }

    fn is(&self, spelling: Spelling, day: u32) -> bool {
        self.spelling == spelling && self.day == day
    }

    fn is_fresh(&self, now: Duration) -> bool {
        now.saturating_sub(self.fetched_at) < OLDER_DAY_LIFE
    }
}

/// The older days of all access keys.
#[derive(Default)]
pub(crate) struct OlderDays {
    by_key: papaya::HashMap<KeyId, OfKey>,
    /// What was fetched, in that order. Held by whoever writes.
    fetched: Mutex<VecDeque<(KeyId, Spelling, u32, Duration)>>,
}

/// The older days of one access key, fetched for one version of it: a handful, since a presigned
/// URL lives a week.
#[derive(Clone)]
struct OfKey {
    version: u32,
    days: Vec<Arc<OlderDay>>,
}

impl OlderDays {
    pub(crate) fn find(
        &self,
        access_key_id: &str,
        version: u32,
        spelling: Spelling,
        day: u32,
        now: Duration,
    ) -> Option<Arc<OlderDay>> {
        let by_key = self.by_key.pin();
        let of_key = by_key.get(access_key_id.as_bytes())?;
        let mut days = of_key.days.iter().filter(|_| of_key.version == version);
        days.find(|older| older.is(spelling, day) && older.is_fresh(now)).cloned()
    }

    pub(crate) fn keep(
        &self,
        access_key_id: &str,
        version: u32,
        spelling: Spelling,
        day: u32,
        keys: Vec<(u32, DateKey)>,
        now: Duration,
    ) {
        let id = KeyId::new(access_key_id);
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        let by_key = self.by_key.pin();
        let known = by_key.get(access_key_id.as_bytes());
        let mut days = match known {
            Some(of_key) if of_key.version == version => of_key.days.clone(),
            Some(_) | None => vec![],
        };
        days.retain(|older| !older.is(spelling, day) && older.is_fresh(now));
        days.push(Arc::new(OlderDay { spelling, day, fetched_at: now, keys }));
        by_key.insert(id.clone(), OfKey { version, days });
        fetched.push_back((id, spelling, day, now));
        while fetched.front().is_some_and(|(_, _, _, fetched_at)| {
            fetched.len() > OLDER_DAYS_MAX || now.saturating_sub(*fetched_at) >= OLDER_DAY_LIFE
        }) {
            if let Some((id, spelling, day, fetched_at)) = fetched.pop_front() {
                self.drop_day(&id, spelling, day, fetched_at);
            }
        }
    }

    /// Drops all days of one access key: it has changed.
    pub(crate) fn forget(&self, id: &[u8]) {
        if self.by_key.is_empty() {
            return;
        }
        // A fetch that is under way may still add what it has found: for a version that is over.
        self.by_key.pin().remove(id);
    }

    fn drop_day(&self, id: &KeyId, spelling: Spelling, day: u32, fetched_at: Duration) {
        let by_key = self.by_key.pin();
        let Some(of_key) = by_key.get(id) else { return };
        let mut rest = of_key.clone();
        rest.days.retain(|older| !older.is(spelling, day) || older.fetched_at != fetched_at);
        if rest.days.is_empty() {
            by_key.remove(id);
        } else {
            by_key.insert(id.clone(), rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use sigv4::Spelling::{Aws4, Osc4};

    use super::*;

    const NOW: Duration = Duration::from_secs(1_000_000);

    fn keys(byte: u8) -> Vec<(u32, DateKey)> {
        vec![(1, DateKey::from_bytes([byte; 32]))]
    }

    fn found(older: &OlderDays, id: &str, version: u32, day: u32, now: Duration) -> Option<u8> {
        let day = older.find(id, version, Aws4, day, now)?;
        day.date_key(1).map(|key| key.expose()[0])
    }

    #[test]
    fn an_older_day_is_found_for_its_key_version_and_day_while_it_is_fresh() {
        let older = OlderDays::default();
        older.keep("A", 5, Aws4, 100, keys(1), NOW);
        older.keep("A", 5, Aws4, 101, keys(2), NOW);
        assert_eq!(found(&older, "A", 5, 100, NOW), Some(1));
        assert_eq!(found(&older, "A", 5, 101, NOW), Some(2));
        assert_eq!(found(&older, "A", 6, 100, NOW), None);
        assert_eq!(found(&older, "A", 5, 102, NOW), None);
        assert_eq!(found(&older, "B", 5, 100, NOW), None);
        assert!(older.find("A", 5, Aws4, 100, NOW).expect("is there").date_key(2).is_none());
        assert_eq!(found(&older, "A", 5, 100, NOW + OLDER_DAY_LIFE), None);
    }

    #[test]
    fn a_key_that_changed_loses_its_older_days() {
        let older = OlderDays::default();
        older.keep("A", 5, Aws4, 100, keys(1), NOW);
        older.forget(b"A");
        assert_eq!(found(&older, "A", 5, 100, NOW), None);
        older.keep("A", 5, Aws4, 100, keys(1), NOW);
        older.keep("A", 6, Aws4, 101, keys(2), NOW);
        assert_eq!(found(&older, "A", 5, 100, NOW), None);
        assert_eq!(found(&older, "A", 6, 101, NOW), Some(2));
    }

    #[test]
    fn older_days_are_bounded_in_number_and_time() {
        let older = OlderDays::default();
        for index in 0..OLDER_DAYS_MAX + 10 {
            older.keep(&format!("A{index}"), 1, Aws4, 100, keys(1), NOW);
        }
        assert_eq!(older.by_key.len(), OLDER_DAYS_MAX);
        assert_eq!(found(&older, "A9", 1, 100, NOW), None);
        assert_eq!(found(&older, "A10", 1, 100, NOW), Some(1));
        older.keep("B", 1, Aws4, 100, keys(1), NOW + OLDER_DAY_LIFE);
        assert_eq!(older.by_key.len(), 1);
        assert_eq!(older.fetched.lock().expect("unpoisoned").len(), 1);
    }

    #[test]
    fn a_day_fetched_again_outlives_its_first_fetch() {
        let older = OlderDays::default();
        let later = NOW + Duration::from_secs(400);
        older.keep("A", 1, Aws4, 100, keys(1), NOW);
        older.keep("A", 1, Aws4, 100, keys(2), later);
        older.keep("B", 1, Aws4, 100, keys(3), NOW + OLDER_DAY_LIFE);
        assert_eq!(found(&older, "A", 1, 100, NOW + OLDER_DAY_LIFE), Some(2));
    }

    #[test]
    fn a_day_of_one_spelling_is_none_of_another() {
        let older = OlderDays::default();
        let osc4 = |day| older.find("A", 5, Osc4, day, NOW)?.date_key(1).map(|key| key.expose()[0]);
        older.keep("A", 5, Aws4, 100, keys(1), NOW);
        assert_eq!(osc4(100), None);
        older.keep("A", 5, Osc4, 100, keys(2), NOW);
        assert_eq!((found(&older, "A", 5, 100, NOW), osc4(100)), (Some(1), Some(2)));
        older.forget(b"A");
        assert_eq!((found(&older, "A", 5, 100, NOW), osc4(100)), (None, None));
    }
}
