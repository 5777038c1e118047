//! Buckets in the write model: by name, and by account.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use domain::{AccountId, Bucket, BucketEvent, BucketName, Timestamp, bucket};
use event_store::Revision;

/// All buckets that are claimed.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    claimed: BTreeMap<BucketName, Bucket>,
    /// The order in which those of an account are listed. Made from the above.
    of_accounts: BTreeMap<AccountId, BTreeSet<BucketName>>,
    /// At which revision the stream of each account's buckets stands.
    revisions: BTreeMap<AccountId, Revision>,
}

impl Buckets {
    /// What was written of them, in the order of [`Self::claimed`] and [`Self::revisions`].
    pub(crate) fn of(
        claimed: Vec<(BucketName, Bucket)>,
        revisions: Vec<(AccountId, Revision)>,
    ) -> Self {
        let mut of_accounts: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (name, bucket) in &claimed {
            of_accounts.entry(bucket.account).or_default().insert(name.clone());
        }
        Self {
            claimed: claimed.into_iter().collect(),
            of_accounts,
            revisions: revisions.into_iter().collect(),
        }
    }

    pub(crate) fn claimed(&self) -> Vec<(BucketName, Bucket)> {
        self.claimed.iter().map(|(name, bucket)| (name.clone(), bucket.clone())).collect()
    }

    pub(crate) fn revisions(&self) -> Vec<(AccountId, Revision)> {
        self.revisions.iter().map(|(account, revision)| (*account, *revision)).collect()
    }

    pub(crate) fn get(&self, name: &BucketName) -> Option<&Bucket> {
        self.claimed.get(name)
    }

    /// How many an account has.
    pub(crate) fn count(&self, account: AccountId) -> usize {
        self.of_accounts.get(&account).map_or(0, BTreeSet::len)
    }

    /// At which revision the stream of an account's buckets stands.
    pub(crate) fn revision(&self, account: AccountId) -> Revision {
        self.revisions.get(&account).copied().unwrap_or(Revision::NONE)
    }

    /// Those of all accounts with a name from `from` on, by name.
    pub(crate) fn all_from(
        &self,
        from: Bound<&str>,
    ) -> impl Iterator<Item = (&BucketName, &Bucket)> {
        self.claimed.range::<str, _>((from, Bound::Unbounded))
    }

    /// Those of one account with a name from `from` on, by name.
    pub(crate) fn from(
        &self,
        account: AccountId,
        from: Bound<&str>,
    ) -> impl Iterator<Item = (&BucketName, &Bucket)> {
        let names = self.of_accounts.get(&account).into_iter();
        let names = names.flat_map(move |names| names.range::<str, _>((from, Bound::Unbounded)));
        names.filter_map(|name| self.claimed.get_key_value(name))
    }

    /// Applies what happened to a bucket of `account`.
    pub(super) fn apply(
        &mut self,
        account: AccountId,
        event: &BucketEvent,
        revision: Revision,
        at: Timestamp,
    ) {
        self.revisions.insert(account, revision);
        let name = event.name();
        let known = self.claimed.remove(name);
        if let Some(bucket) = &known
            && let Some(names) = self.of_accounts.get_mut(&bucket.account)
        {
            names.remove(name);
            if names.is_empty() {
                self.of_accounts.remove(&bucket.account);
            }
        }
        if let Some(bucket) = bucket::evolve(known, account, event, at) {
            self.of_accounts.entry(bucket.account).or_default().insert(name.clone());
            self.claimed.insert(name.clone(), bucket);
        }
    }
}
