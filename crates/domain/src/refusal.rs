//! Why the domain says no.

/// Why a command is refused. Asking again gets the same answer until something else changes.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The account exists already.
    #[error("the account exists already")]
    AccountExists,
    /// The user exists already.
    #[error("the user exists already")]
    UserExists,
    /// There is no such user.
    #[error("no such user")]
    NoSuchUser,
    /// The user has no such access key.
    #[error("no such access key")]
    NoSuchAccessKey,
    /// The user has as many access keys as it may have.
    #[error("the user has {max} access keys, as many as it may have")]
    KeyLimit {
        /// How many that is.
        max: usize,
    },
    /// The user still has access keys.
    #[error("the user still has {count} access keys")]
    UserHasKeys {
        /// How many.
        count: usize,
    },
    /// The root user stays as long as its account.
    #[error("the root user cannot be deleted")]
    RootUser,
    /// The expiry would lie in the past.
    #[error("the expiry lies in the past")]
    ExpiryInPast,
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
}
