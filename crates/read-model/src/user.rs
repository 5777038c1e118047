//! Users: what all their access keys share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use crate::account::Account;
use crate::change::{LockoutMode, UserId, UserRecord};

/// A user. Each of its access keys points to it, so that one flag locks them all at once.
#[derive(Debug)]
pub struct User {
    locked: AtomicBool,
    gone: AtomicBool,
    /// How many access keys of the table point here. Only the writer looks.
    keys: AtomicUsize,
    profile: ArcSwap<Profile>,
    account: Arc<Account>,
}

/// Who a user is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Profile {
    /// Its UUID.
    pub user_id: UserId,
    /// UUID of its account.
    pub account_id: [u8; 16],
    /// The account's number, 12 decimal digits.
    pub account_number: String,
    /// Its name.
    pub user_name: String,
    /// Whether it is the root user of its account.
    pub root: bool,
}

impl User {
    pub(crate) fn new(record: UserRecord, account: Arc<Account>) -> Self {
        Self {
            locked: AtomicBool::new(record.locked),
            gone: AtomicBool::new(false),
            keys: AtomicUsize::new(0),
            profile: ArcSwap::from_pointee(Profile::of(record)),
            account,
        }
    }

    pub(crate) fn replace(&self, record: UserRecord) {
        self.locked.store(record.locked, Ordering::Release);
        let profile = Profile::of(record);
        if **self.profile.load() != profile {
            self.profile.store(Arc::new(profile));
        }
    }

    /// Ends all access keys of the user that are still in the table.
    pub(crate) fn leave(&self) {
        self.gone.store(true, Ordering::Release);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub(crate) fn count_key(&self, by: isize) {
        self.keys.fetch_add(by as usize, Ordering::Relaxed); // wraps, and so subtracts
    }

    pub(crate) fn has_keys(&self) -> bool {
        self.keys.load(Ordering::Relaxed) > 0
    }

    /// Whether it is locked, as of now.
    pub fn is_locked(&self) -> bool {
        self.locked.load(Ordering::Acquire)
    }

    /// Which failed authentications lock an access key of the user, as of now.
    pub fn lockout(&self) -> LockoutMode {
        self.account.lockout()
    }

    /// Who it is, as of now.
    pub fn profile(&self) -> Arc<Profile> {
        self.profile.load_full()
    }
}

impl Profile {
    fn of(record: UserRecord) -> Self {
        Self {
            user_id: record.user_id,
            account_id: record.account_id,
            account_number: record.account_number,
            user_name: record.user_name,
            root: record.root,
        }
    }
}
