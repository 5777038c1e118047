//! Accounts: what all their users share.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::change::LockoutMode;

/// An account. Each of its users points to it, so that one flag changes what it asks of them all at once.
#[derive(Debug)]
pub(crate) struct Account {
    lockout: AtomicU8,
}

impl Account {
    pub(crate) fn new(lockout: LockoutMode) -> Self {
        Self { lockout: AtomicU8::new(lockout as u8) }
    }

    pub(crate) fn set_lockout(&self, lockout: LockoutMode) {
        self.lockout.store(lockout as u8, Ordering::Release);
    }

    pub(crate) fn lockout(&self) -> LockoutMode {
        let told = self.lockout.load(Ordering::Acquire);
        let all = [LockoutMode::Off, LockoutMode::PerSource, LockoutMode::PerKey];
        all.into_iter().find(|mode| *mode as u8 == told).unwrap_or_default()
    }
}
