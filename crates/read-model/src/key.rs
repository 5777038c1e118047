//! Access keys as the table keeps them.

use std::ops::Range;
use std::sync::Arc;

use sigv4::{DateKey, SigningKey};

use crate::change::{AccessKeyRecord, SecretRecord};
use crate::signing_keys::SigningKeys;
use crate::user::User;

/// An access key has this many secrets that are valid at the same time.
pub const SECRETS_MAX: usize = 2;

/// Date keys are kept for this many days: yesterday, today and tomorrow.
const DAYS: u32 = 3;

/// The instant at which what never ends would end, and what never begins would begin.
const NEVER: i64 = i64::MAX;

/// The instant at which what was always valid began.
const ALWAYS: i64 = i64::MIN;

/// An access key, as of one instant. Never changed: the table replaces it.
#[derive(Debug)]
pub struct AccessKey {
    user: Arc<User>,
    /// When it can be used: from its begin, which never comes if it is inactive, until its end.
    usable_ms: Range<i64>,
    /// Tells one state of the access key from the next; date keys that are added leave it as it is.
    version: u32,
    newest: Option<Secret>,
    /// Few have it, and only for the time of a grace period.
    older: Option<Box<Secret>>,
    signing_keys: SigningKeys,
}

impl AccessKey {
    pub(crate) fn new(record: AccessKeyRecord, user: Arc<User>, version: u32) -> Self {
        let mut secrets = record.secrets.into_iter().map(Secret::new);
        let begin = if record.active { record.not_before_ms.unwrap_or(ALWAYS) } else { NEVER };
        Self {
            user,
            usable_ms: begin..record.expires_at_ms.unwrap_or(NEVER),
            version,
            newest: secrets.next(),
            older: secrets.next().map(Box::new),
            signing_keys: SigningKeys::default(),
        }
    }

    /// The same access key with one date key more; `None` if it has no secret of that generation or
    /// the day is over.
    pub(crate) fn with_date_key(&self, generation: u32, day: u32, key: DateKey) -> Option<Self> {
        let (mut newest, mut older) = (self.newest.clone(), self.older.clone());
        let mut secrets = newest.iter_mut().chain(older.as_deref_mut());
        let secret = secrets.find(|secret| secret.generation == generation)?;
        if !secret.days.add(day, key) {
            return None;
        }
        Some(Self {
            user: Arc::clone(&self.user),
            usable_ms: self.usable_ms.clone(),
            version: self.version,
            newest,
            older,
            signing_keys: SigningKeys::default(),
        })
    }

    /// Whose it is.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Whether it can be used at this instant, if its user can do anything: it is active, has begun
    /// and has not ended. It begins at the instant of its begin and ends at that of its end.
    pub fn is_usable(&self, now_ms: i64) -> bool {
        self.usable_ms.contains(&now_ms)
    }

    /// When it ends, in milliseconds since 1970; never if `None`.
    pub fn end_ms(&self) -> Option<i64> {
        (self.usable_ms.end != NEVER).then_some(self.usable_ms.end)
    }

    /// Tells one state of the access key from another: what was found out for one may not hold for
    /// the next.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The secrets that a signature may be of, newest first, [`SECRETS_MAX`] at most.
    ///
    /// A secret is dead from its own end on. One that lasted as long as its access key still proves
    /// who signed, so that an access key that has expired can be told from a wrong signature.
    pub fn live_secrets(&self, now_ms: i64) -> impl Iterator<Item = &Secret> {
        let secrets = self.newest.iter().chain(self.older.as_deref());
        secrets.filter(move |secret| {
            let end = secret.expires_at_ms();
            now_ms < end || end >= self.usable_ms.end
        })
    }

    /// A signing key that was derived and kept before.
    pub fn signing_key(
        &self,
        generation: u32,
        day: u32,
        region: &str,
        service: &str,
    ) -> Option<&SigningKey> {
        self.signing_keys.find(generation, day, region, service)
    }

    /// Keeps a signing key for the next request, if there is room.
    ///
    /// Only for one that has verified a signature just now: what an attacker can send without a key
    /// must leave no trace.
    pub fn keep_signing_key(
        &self,
        generation: u32,
        day: u32,
        region: &str,
        service: &str,
        key: SigningKey,
    ) {
        self.signing_keys.keep(generation, day, region, service, key);
    }
}

/// One secret of an access key, of which only its date keys are known.
#[derive(Clone, Debug)]
pub struct Secret {
    /// An `i64` without its alignment, which would cost 8 bytes of each access key.
    expires_at_ms: [u8; 8],
    generation: u32,
    days: Days,
}

impl Secret {
    fn new(record: SecretRecord) -> Self {
        let mut days = Days::default();
        for (day, key) in record.date_keys {
            days.add(day, key);
        }
        let expires_at_ms = record.expires_at_ms.unwrap_or(NEVER).to_ne_bytes();
        Self { expires_at_ms, generation: record.generation, days }
    }

    fn expires_at_ms(&self) -> i64 {
        i64::from_ne_bytes(self.expires_at_ms)
    }

    /// Which of the access key's secrets it is.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// When it ends, in milliseconds since 1970; never if `None`.
    pub fn end_ms(&self) -> Option<i64> {
        Some(self.expires_at_ms()).filter(|end| *end != NEVER)
    }

    /// The date key of a day, counted from 1970-01-01, if it is one of the newest three.
    pub fn date_key(&self, day: u32) -> Option<&DateKey> {
        self.days.get(day)
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
    use crate::account::Account;
    use crate::change::{LockoutMode, UserRecord};

    fn date_key(byte: u8) -> DateKey {
        DateKey::from_bytes([byte; 32])
    }

    fn key(expires_at_ms: Option<i64>, secrets: &[(u32, Option<i64>)]) -> AccessKey {
        key_from(None, expires_at_ms, secrets)
    }

    fn key_from(
        not_before_ms: Option<i64>,
        expires_at_ms: Option<i64>,
        secrets: &[(u32, Option<i64>)],
    ) -> AccessKey {
        let secret = |&(generation, expires_at_ms): &(u32, Option<i64>)| SecretRecord {
            generation,
            expires_at_ms,
            date_keys: vec![(100, date_key(1))],
        };
        let record = AccessKeyRecord {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
            user_id: [1; 16],
            active: true,
            not_before_ms,
            expires_at_ms,
            secrets: secrets.iter().map(secret).collect(),
        };
        let user = UserRecord {
            user_id: [1; 16],
            account_id: [2; 16],
            account_number: "123456789012".into(),
            user_name: "alice".into(),
            root: false,
            locked: false,
        };
        AccessKey::new(
            record,
            Arc::new(User::new(user, Arc::new(Account::new(LockoutMode::Off)))),
            0,
        )
    }

    fn live(key: &AccessKey, now_ms: i64) -> Vec<u32> {
        key.live_secrets(now_ms).map(Secret::generation).collect()
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

    #[test]
    fn a_secret_in_its_grace_period_lives_until_exactly_its_end() {
        let key = key(None, &[(2, None), (1, Some(1000))]);
        assert_eq!(live(&key, 999), [2, 1]);
        assert_eq!(live(&key, 1000), [2]);
    }

    #[test]
    fn a_secret_that_ends_with_its_key_still_proves_who_signed() {
        let key = key(Some(1000), &[(2, Some(1000)), (1, Some(500))]);
        assert!(key.is_usable(999) && !key.is_usable(1000));
        assert_eq!(live(&key, 499), [2, 1]);
        assert_eq!(live(&key, 1500), [2]);
    }

    #[test]
    fn a_date_key_is_added_to_a_known_generation_only() {
        let key = key(None, &[(2, None), (1, None)]);
        assert!(key.with_date_key(3, 101, date_key(2)).is_none());
        assert!(key.with_date_key(1, 90, date_key(2)).is_none());
        let key = key.with_date_key(1, 101, date_key(2)).expect("known");
        let days = key.live_secrets(0).map(|secret| secret.date_key(101).is_some());
        assert_eq!(days.collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_key_can_be_used_from_exactly_its_begin_until_exactly_its_end() {
        let usable = |not_before_ms, expires_at_ms, now_ms| {
            let key = key_from(not_before_ms, expires_at_ms, &[(1, None)]);
            // A date key that is added changes nothing of it.
            let more = key.with_date_key(1, 101, date_key(2)).expect("known");
            assert_eq!(more.is_usable(now_ms), key.is_usable(now_ms));
            assert_eq!(live(&more, now_ms), live(&key, now_ms));
            key.is_usable(now_ms)
        };
        let at = |not_before_ms, expires_at_ms| {
            [-1, 0, 1, 999, 1000, 1999, 2000, 2001]
                .into_iter()
                .filter(move |now_ms| usable(not_before_ms, expires_at_ms, *now_ms))
                .collect::<Vec<_>>()
        };
        assert_eq!(at(None, None), [-1, 0, 1, 999, 1000, 1999, 2000, 2001]);
        assert_eq!(at(Some(1000), None), [1000, 1999, 2000, 2001]);
        assert_eq!(at(Some(1000), Some(2000)), [1000, 1999]);
        assert_eq!(at(Some(0), Some(1)), [0]);
        assert_eq!(at(Some(-1), Some(0)), [-1]);
        assert!(at(Some(1000), Some(1000)).is_empty());
        assert!(at(Some(2000), Some(1000)).is_empty());
    }

    #[test]
    fn a_secret_may_be_dead_before_its_key_begins() {
        let key = key_from(Some(1000), None, &[(2, None), (1, Some(1000))]);
        assert_eq!((live(&key, 999), key.is_usable(999)), (vec![2, 1], false));
        assert_eq!((live(&key, 1000), key.is_usable(1000)), (vec![2], true));
    }

    #[test]
    fn an_access_key_with_three_date_keys_stays_small() {
        // With its id it fills an entry of the map of 192 bytes, for which the allocator has a size.
        // The next is 224, and all together must stay near 200.
        assert!(size_of::<AccessKey>() <= 168, "{}", size_of::<AccessKey>());
    }
}
