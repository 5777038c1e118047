//! Secrets of access keys as the table keeps them.

use std::ops::Range;

use sigv4::DateKey;

use crate::change::SecretRecord;

/// Date keys are kept for this many days: yesterday, today and tomorrow.
const DAYS: u32 = 3;

/// The instant at which what never ends would end, and what never begins would begin.
pub(crate) const NEVER: i64 = i64::MAX;

/// The instant at which what was always valid began.
pub(crate) const ALWAYS: i64 = i64::MIN;

/// One secret of an access key, of which only its date keys are known.
#[derive(Clone, Debug)]
pub struct Secret {
    /// An `i64` without its alignment, which would cost 8 bytes of each access key.
    expires_at_ms: [u8; 8],
    generation: u32,
    days: Days,
}

impl Secret {
    pub(crate) fn new(record: &SecretRecord, key_end: i64) -> Self {
        let mut days = Days::default();
        for (day, key) in &record.date_keys {
            days.add(*day, key.clone());
        }
        let expires_at_ms = record.expires_at_ms.unwrap_or(NEVER).min(key_end).to_ne_bytes();
        Self { expires_at_ms, generation: record.generation, days }
    }

    /// When an access key can be used of which nothing else is to be told.
    pub(crate) fn usable_ms(&self) -> Range<i64> {
        ALWAYS..self.expires_at_ms()
    }

    pub(crate) fn expires_at_ms(&self) -> i64 {
        i64::from_ne_bytes(self.expires_at_ms)
    }

    /// Which of the access key's secrets it is.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// When it ends, at the latest with its access key, in milliseconds since 1970; never if `None`.
    pub fn end_ms(&self) -> Option<i64> {
        Some(self.expires_at_ms()).filter(|end| *end != NEVER)
    }

    /// The date key of a day, counted from 1970-01-01, if it is one of the newest three.
    pub fn date_key(&self, day: u32) -> Option<&DateKey> {
        self.days.get(day)
    }

    /// Whether it was added: not if the day is older than those that are kept.
    pub(crate) fn add_date_key(&mut self, day: u32, key: DateKey) -> bool {
        self.days.add(day, key)
    }
}

/// The date keys of the newest three days. Older ones are dropped, and so zeroed, when newer come.
#[derive(Clone, Debug, Default)]
struct Days {
    newest: u32,
    /// The key of day `d` stands in slot `d % DAYS`.
    keys: [Option<DateKey>; DAYS as usize],
}

impl Days {
    fn get(&self, day: u32) -> Option<&DateKey> {
        if self.newest.checked_sub(day)? >= DAYS {
            return None;
        }
        self.keys[slot(day)].as_ref()
    }

    /// Whether it was added: not if the day is older than those that are kept.
    fn add(&mut self, day: u32, key: DateKey) -> bool {
        if day.checked_add(DAYS).is_some_and(|end| end <= self.newest) {
            return false;
        }
        for passed in self.newest.saturating_sub(DAYS - 1)..=self.newest {
            if day.saturating_sub(passed) >= DAYS {
                self.keys[slot(passed)] = None;
            }
        }
        self.newest = self.newest.max(day);
        self.keys[slot(day)] = Some(key);
        true
    }
}

fn slot(day: u32) -> usize {
    (day % DAYS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date_key(byte: u8) -> DateKey {
        DateKey::from_bytes([byte; 32])
    }

    #[test]
    fn the_newest_three_days_are_kept_in_whatever_order_they_come() {
        for order in [[99, 100, 101], [101, 100, 99], [100, 99, 101]] {
            let mut days = Days::default();
            for day in order {
                assert!(days.add(day, date_key(day as u8)));
            }
            assert!(!days.add(98, date_key(98)));
            let known = (0..200).filter(|day| days.get(*day).is_some());
            assert_eq!(known.collect::<Vec<_>>(), [99, 100, 101]);
            assert!(days.add(102, date_key(102)));
            let known = (0..200).filter(|day| days.get(*day).is_some());
            assert_eq!(known.collect::<Vec<_>>(), [100, 101, 102]);
            assert!(days.add(104, date_key(104)));
            let known = (0..200).filter(|day| days.get(*day).is_some());
            assert_eq!(known.collect::<Vec<_>>(), [102, 104]);
            assert_eq!(days.get(104).map(DateKey::expose), Some(&[104; 32]));
        }
    }

    #[test]
    fn the_first_and_the_last_days_of_all_are_days() {
        let mut days = Days::default();
        for day in [0, 1, 2, u32::MAX - 1, u32::MAX] {
            assert!(days.add(day, date_key(7)));
            assert!(days.get(day).is_some(), "{day}");
        }
        assert!(days.get(2).is_none());
    }
}
