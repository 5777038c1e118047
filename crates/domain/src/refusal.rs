//! Why the domain says no.

use crate::{AccessKeyId, Slot};

/// Why a command is refused. Asking again gets the same answer until something else changes.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The account exists already.
    #[error("the account exists already")]
    AccountExists,
    /// There is no such account.
    #[error("no such account")]
    NoSuchAccount,
    /// The account still has users beside its root user.
    #[error("the account still has {count} users beside its root user")]
    AccountHasUsers {
        /// How many.
        count: usize,
    },
    /// The account still has buckets.
    #[error("the account still has {count} buckets")]
    AccountHasBuckets {
        /// How many.
        count: usize,
    },
    /// Access keys have more time left than the account would allow from now on.
    #[error("access key {id} has more time left than the account would allow")]
    LifetimesLonger {
        /// One of them.
        id: AccessKeyId,
    },
    /// The user exists already.
    #[error("the user exists already")]
    UserExists,
    /// There is no such user.
    #[error("no such user")]
    NoSuchUser,
    /// The user has no such access key.
    #[error("no such access key")]
    NoSuchAccessKey,
    /// The user has as many access keys as it may have, or more if the limit was lowered since.
    #[error("the user may have no more than {max} access keys")]
    KeyLimit {
        /// How many it may have.
        max: usize,
    },
    /// Another access key of the user has the slot.
    #[error("slot {slot} is taken by access key {id}")]
    SlotTaken {
        /// Which slot.
        slot: Slot,
        /// By which access key.
        id: AccessKeyId,
    },
    /// The user still has access keys.
    #[error("the user still has {count} access keys")]
    UserHasKeys {
        /// How many.
        count: usize,
    },
    /// The root user keeps its name and stays as long as its account.
    #[error("the root user cannot be deleted or renamed")]
    RootUser,
    /// The expiry would lie in the past.
    #[error("the expiry lies in the past")]
    ExpiryInPast,
    /// The expiry would lie before the access key becomes valid.
    #[error("the expiry lies before the access key becomes valid")]
    ExpiryBeforeStart,
    /// The access key would become valid too far ahead.
    #[error("the access key would become valid in more than {max_seconds} seconds")]
    StartTooFar {
        /// How far ahead it may, in seconds.
        max_seconds: u64,
    },
    /// The account limits lifetimes, so that each access key must end.
    #[error("the account wants access keys to end after at most {max_seconds} seconds")]
    ExpiryRequired {
        /// The longest lifetime, in seconds.
        max_seconds: u64,
    },
    /// The lifetime would be longer than the account, or the caller, allows.
    #[error("the access key would live longer than {max_seconds} seconds")]
    LifetimeTooLong {
        /// The longest lifetime, in seconds.
        max_seconds: u64,
    },
    /// The access key has expired: a new secret for it would be of no use.
    #[error("the access key has expired")]
    Expired,
    /// No older secret of the access key is valid.
    #[error("no grace period is running")]
    NoGracePeriod,
    /// The grace period is longer than it may be.
    #[error("the grace period is longer than {max} seconds")]
    GracePeriodTooLong {
        /// How long it may be, in seconds.
        max: u32,
    },
    /// The access key is not deleted.
    #[error("the access key is not deleted")]
    NotDeleted,
    /// Nobody has claimed a bucket of this name.
    #[error("no such bucket")]
    NoSuchBucket,
    /// The account has the bucket already.
    #[error("the account has this bucket already")]
    BucketOwned,
    /// Another account has the bucket; which, is not told.
    #[error("the bucket name is taken")]
    BucketExists,
    /// The account has as many buckets as it may have, or more if the limit was lowered since.
    #[error("the account may have no more than {max} buckets")]
    BucketLimit {
        /// How many it may have.
        max: u32,
    },
    /// The bucket is not the account's that it was to be taken from.
    #[error("the bucket is not the source account's")]
    BucketOwnerChanged,
    /// The admin token exists already.
    #[error("the admin token exists already")]
    AdminTokenExists,
    /// There is no such admin token.
    #[error("no such admin token")]
    NoSuchAdminToken,
}
