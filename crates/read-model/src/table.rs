//! One state of all credentials.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use papaya::Guard;
use sigv4::{DateKey, PublicKey, Spelling};

use crate::account::Account;
use crate::change::{AccessKeyRecord, AccountId, Change, DateKeyRecord, LockoutMode, UserId};
use crate::key::AccessKey;
use crate::keys::Keys;
use crate::on_demand::{OlderDay, OnDemand, PublicKeys};
use crate::user::User;

/// All access keys and their users, as of one position of the log.
///
/// Read by many without a lock, written by one.
#[derive(Default)]
pub struct Table {
    keys: Keys,
    older_days: OnDemand<(Spelling, u32), DateKey>,
    public_keys: OnDemand<(), PublicKey>,
    /// What only the writer needs.
    writer: Mutex<Writer>,
    position: AtomicU64,
}

/// Of trees, which never make a change wait until all that they hold has moved.
#[derive(Default)]
struct Writer {
    users: BTreeMap<UserId, Arc<User>>,
    accounts: BTreeMap<AccountId, Arc<Account>>,
}

impl Writer {
    /// An account; one that was not told yet asks for the default.
    fn account(&mut self, id: AccountId) -> &Arc<Account> {
        let unknown = || Arc::new(Account::new(LockoutMode::default()));
        self.accounts.entry(id).or_insert_with(unknown)
    }
}

/// The next [`AccessKey::version`], unlike any other for as long as anything is kept under it: of
/// all tables, since what was found out for one may arrive when the next has taken its place.
fn next_version() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed) // wraps
}

impl Table {
    /// A table that knows nobody, at position 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies a change, each record at once for all readers, in the order of [`Change`]'s fields.
    ///
    /// Answers how many access keys were left out, or taken out if they were known, because nobody
    /// knows their user.
    pub fn apply(&self, change: Change) -> usize {
        let mut writer = self.writer();
        for record in change.accounts {
            writer.account(record.account_id).set_lockout(record.lockout);
        }
        for record in change.users {
            match writer.users.get(&record.user_id) {
                // A user never changes its account.
                Some(user) => user.replace(record),
                None => {
                    let account = Arc::clone(writer.account(record.account_id));
                    writer.users.insert(record.user_id, Arc::new(User::new(record, account)));
                }
            }
        }
        let mut left_out = 0;
        for record in change.access_keys {
            left_out += usize::from(!self.replace_key(&writer, record));
        }
        for id in change.deleted_access_keys {
            self.delete_key(&id);
        }
        for user_id in change.deleted_users {
            if let Some(user) = writer.users.remove(&user_id) {
                user.leave();
                if user.has_keys() {
                    // Seldom: a user's access keys are deleted before it. They have ended already.
                    self.keys.retain(|key| !key.user().is_gone());
                }
            }
        }
        left_out
    }

    /// Adds date keys to access keys that are known, and answers how many could not be added: their
    /// access key or generation is unknown, or the day has passed.
    pub fn add_date_keys(&self, records: impl IntoIterator<Item = DateKeyRecord>) -> usize {
        let _writer = self.writer();
        let mut left_out = 0;
        for DateKeyRecord { access_key_id, generation, day, date_key } in records {
            let guard = self.keys.guard();
            let known = self.keys.get(&access_key_id, &guard);
            match known.and_then(|key| key.with_date_key(generation, day, date_key)) {
                Some(key) => {
                    self.keys.insert(&access_key_id, key, &guard);
                }
                None => left_out += 1,
            }
        }
        left_out
    }

    /// Says that everything up to `position` has been applied. Never goes back.
    pub fn advance(&self, position: u64) {
        // After the effects: whoever sees the position sees them too.
        self.position.fetch_max(position, Ordering::Release);
    }

    /// Everything up to here has been applied. To be read before what it is to hold for.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// How many access keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no access key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The access keys, for reading. Not to be held for long: what is replaced meanwhile is freed
    /// only afterwards.
    pub fn pin(&self) -> Pinned<'_> {
        Pinned { keys: &self.keys, guard: self.keys.guard() }
    }

    /// The date keys of an older day, or of a day in another spelling than AWS's, if they were kept for this version of the access key and not
    /// too long ago. `now` is of a monotonic clock, here and in [`Table::keep_older_day`].
    pub fn older_day(
        &self,
        access_key_id: &str,
        version: u32,
        spelling: Spelling,
        day: u32,
        now: Duration,
    ) -> Option<Arc<OlderDay>> {
        self.older_days.find(access_key_id, version, (spelling, day), now)
    }

    /// Keeps the date keys that [`Table::older_day`] finds, by generation, for a while. `version` is that of the
    /// access key before they were asked for.
    pub fn keep_older_day(
        &self,
        access_key_id: &str,
        version: u32,
        spelling: Spelling,
        day: u32,
        keys: Vec<(u32, DateKey)>,
        now: Duration,
    ) {
        self.older_days.keep(access_key_id, version, (spelling, day), keys, now);
    }

    /// The public keys of an access key, for signatures of Version 4A, if they were kept for this version of it
    /// and not too long ago. `now` is of a monotonic clock, here and in [`Table::keep_public_keys`].
    pub fn public_keys(
        &self,
        access_key_id: &str,
        version: u32,
        now: Duration,
    ) -> Option<Arc<PublicKeys>> {
        self.public_keys.find(access_key_id, version, (), now)
    }

    /// Keeps the public keys that [`Table::public_keys`] finds, by generation, for a while. `version` is that of
    /// the access key before they were asked for.
    pub fn keep_public_keys(
        &self,
        access_key_id: &str,
        version: u32,
        keys: Vec<(u32, PublicKey)>,
        now: Duration,
    ) {
        self.public_keys.keep(access_key_id, version, (), keys, now);
    }

    /// Drops what was fetched for an access key that has changed.
    fn forget(&self, id: &str) {
        self.older_days.forget(id);
        self.public_keys.forget(id);
    }

    fn replace_key(&self, writer: &Writer, record: AccessKeyRecord) -> bool {
        let id = &record.access_key_id;
        let Some(user) = writer.users.get(&record.user_id) else {
            // What it was before is no longer true, and what it is now is not known: it ends.
            self.delete_key(id);
            return false;
        };
        let key = AccessKey::new(&record, Arc::clone(user), next_version());
        let guard = self.keys.guard();
        user.count_key(1);
        if let Some(old) = self.keys.insert(id, key, &guard) {
            old.user().count_key(-1);
            self.forget(id);
            guard.flush(); // so that the keys that have ended are soon zeroed
        }
        true
    }

    fn delete_key(&self, id: &str) {
        let guard = self.keys.guard();
        if let Some(old) = self.keys.remove(id, &guard) {
            old.user().count_key(-1);
            self.forget(id);
            guard.flush();
        }
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows no access key: there may be millions.
impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("position", &self.position())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// The access keys of a table, for reading.
pub struct Pinned<'t> {
    keys: &'t Keys,
    guard: papaya::LocalGuard<'t>,
}

impl Pinned<'_> {
    /// The access key with this id, as of now.
    pub fn access_key(&self, access_key_id: &str) -> Option<&AccessKey> {
        let key = self.keys.get(access_key_id, &self.guard)?;
        (!key.user().is_gone()).then_some(key)
    }
}

impl fmt::Debug for Pinned<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned").finish_non_exhaustive()
    }
}
