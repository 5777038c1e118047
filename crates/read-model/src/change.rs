//! What the feed tells: records that replace what was known under their id.

use sigv4::DateKey;

/// UUID of a user.
pub type UserId = [u8; 16];

/// UUID of an account.
pub type AccountId = [u8; 16];

/// The effect of one event, or a part of a snapshot. Applied in the order of the fields.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Accounts that are new or changed.
    pub accounts: Vec<AccountRecord>,
    /// Users that are new or changed.
    pub users: Vec<UserRecord>,
    /// Access keys that are new or changed. Their users are known or stand in [`Change::users`].
    pub access_keys: Vec<AccessKeyRecord>,
    /// Access keys that are gone.
    pub deleted_access_keys: Vec<String>,
    /// Users that are gone, and all their access keys with them.
    pub deleted_users: Vec<UserId>,
}

/// What is known of an account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AccountRecord {
    /// Its UUID.
    pub account_id: AccountId,
    /// Which failed authentications lock an access key.
    pub lockout: LockoutMode,
}

/// Which failed authentications lock an access key.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LockoutMode {
    /// None.
    Off,
    /// Those from one source lock that source out.
    #[default]
    PerSource,
    /// Those from anywhere lock the access key.
    PerKey,
}

/// What is known of a user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserRecord {
    /// Its UUID.
    pub user_id: UserId,
    /// UUID of its account.
    pub account_id: AccountId,
    /// The account's number, 12 decimal digits.
    pub account_number: String,
    /// Its name.
    pub user_name: String,
    /// Whether it is the root user of its account.
    pub root: bool,
    /// Whether it is locked.
    pub locked: bool,
}

/// What is known of an access key.
#[derive(Clone, Debug)]
pub struct AccessKeyRecord {
    /// The id, at most 128 bytes.
    pub access_key_id: String,
    /// Whose it is.
    pub user_id: UserId,
    /// Whether it is active.
    pub active: bool,
    /// When it begins to be valid, in milliseconds since 1970; it has begun if `None`.
    pub not_before_ms: Option<i64>,
    /// When it ends, in milliseconds since 1970; never if `None`.
    pub expires_at_ms: Option<i64>,
    /// Its secrets, newest first; those after [`SECRETS_MAX`](crate::SECRETS_MAX) are left out.
    pub secrets: Vec<SecretRecord>,
}

/// Stands for one secret of an access key.
#[derive(Clone, Debug)]
pub struct SecretRecord {
    /// Its generation.
    pub generation: u32,
    /// When it ends, in milliseconds since 1970; never if `None`.
    pub expires_at_ms: Option<i64>,
    /// Its date keys by day, counted from 1970-01-01. The newest three days are kept.
    pub date_keys: Vec<(u32, DateKey)>,
}

/// A date key for a secret that is known already.
#[derive(Clone, Debug)]
pub struct DateKeyRecord {
    /// The access key.
    pub access_key_id: String,
    /// The secret's generation.
    pub generation: u32,
    /// Days since 1970-01-01.
    pub day: u32,
    /// The date key of that day.
    pub date_key: DateKey,
}
