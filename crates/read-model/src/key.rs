//! Access keys as the table keeps them.

use std::ops::Range;
use std::sync::Arc;

use sigv4::{DateKey, SigningKey};

use crate::change::AccessKeyRecord;
use crate::secret::{ALWAYS, NEVER, Secret};
use crate::signing_keys::SigningKeys;
use crate::user::User;

/// An access key has this many secrets that are valid at the same time.
pub const SECRETS_MAX: usize = 2;

/// An access key, as of one instant. Never changed: the table replaces it.
#[derive(Debug)]
pub struct AccessKey {
    user: Arc<User>,
    /// Tells one state of the access key from the next; date keys that are added leave it as it is.
    version: u32,
    /// Ends with the access key, unless `rare` tells otherwise.
    newest: Option<Secret>,
    rare: Option<Box<Rare>>,
    signing_keys: SigningKeys,
}

/// What is to be told of few access keys: those that are inactive, have not always been valid, have no
/// secret, or one that ends before them, or two.
#[derive(Clone, Debug)]
struct Rare {
    /// When it can be used: from its begin, which never comes if it is inactive, until its end.
    usable_ms: Range<i64>,
    /// Only for the time of a grace period.
    older: Option<Box<Secret>>,
}

impl AccessKey {
    pub(crate) fn new(record: &AccessKeyRecord, user: Arc<User>, version: u32) -> Self {
        let begin = if record.active { record.not_before_ms.unwrap_or(ALWAYS) } else { NEVER };
        let end = record.expires_at_ms.unwrap_or(NEVER);
        let mut secrets = record.secrets.iter().map(|secret| Secret::new(secret, end));
        let newest = secrets.next();
        let older = secrets.next().map(Box::new);
        let rare = Rare { usable_ms: begin..end, older };
        let is_usual = rare.older.is_none()
            && newest.as_ref().is_some_and(|newest| newest.usable_ms() == rare.usable_ms);
        let rare = (!is_usual).then(|| Box::new(rare));
        Self { user, version, newest, rare, signing_keys: SigningKeys::default() }
    }

    /// The same access key with one date key more; `None` if it has no secret of that generation or
    /// the day is over.
    pub(crate) fn with_date_key(&self, generation: u32, day: u32, key: DateKey) -> Option<Self> {
        let (mut newest, mut rare) = (self.newest.clone(), self.rare.clone());
        let older = rare.as_mut().and_then(|rare| rare.older.as_deref_mut());
        let mut secrets = newest.iter_mut().chain(older);
        let secret = secrets.find(|secret| secret.generation() == generation)?;
        if !secret.add_date_key(day, key) {
            return None;
        }
        Some(Self {
            user: Arc::clone(&self.user),
            version: self.version,
            newest,
            rare,
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
        self.usable_ms().contains(&now_ms)
    }

    fn usable_ms(&self) -> Range<i64> {
        match (&self.rare, &self.newest) {
            (Some(rare), _) => rare.usable_ms.clone(),
            (None, Some(newest)) => newest.usable_ms(),
            (None, None) => NEVER..NEVER,
        }
    }

    /// When it ends, in milliseconds since 1970; never if `None`.
    pub fn end_ms(&self) -> Option<i64> {
        Some(self.usable_ms().end).filter(|end| *end != NEVER)
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
        let older = self.rare.as_ref().and_then(|rare| rare.older.as_deref());
        let key_end = self.usable_ms().end;
        self.newest.iter().chain(older).filter(move |secret| {
            let end = secret.expires_at_ms();
            now_ms < end || end >= key_end
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Account;
    use crate::change::{LockoutMode, SecretRecord, UserRecord};
    use crate::id::KeyId;

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
            &record,
            Arc::new(User::new(user, Arc::new(Account::new(LockoutMode::Off)))),
            0,
        )
    }

    fn live(key: &AccessKey, now_ms: i64) -> Vec<u32> {
        key.live_secrets(now_ms).map(Secret::generation).collect()
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
    fn a_secret_ends_with_its_key_at_the_latest() {
        for (key_end, secret_end, end) in [
            (None, None, None),
            (None, Some(500), Some(500)),
            (Some(1000), None, Some(1000)),
            (Some(1000), Some(1000), Some(1000)),
            (Some(1000), Some(2000), Some(1000)),
            (Some(1000), Some(500), Some(500)),
        ] {
            let key = key(key_end, &[(1, secret_end)]);
            let secret = key.live_secrets(0).next().expect("lives");
            assert_eq!((key.end_ms(), secret.end_ms()), (key_end, end));
        }
    }

    #[test]
    fn an_access_key_with_three_date_keys_is_of_one_piece_of_160_bytes() {
        // The allocator has blocks of 160 bytes; the next are of 192.
        assert!(size_of::<(KeyId, AccessKey)>() <= 160, "{}", size_of::<AccessKey>());
        for end in [None, Some(1000)] {
            for secret_end in [None, end] {
                assert!(key(end, &[(1, secret_end)]).rare.is_none());
            }
        }
    }
}
