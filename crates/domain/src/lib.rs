//! What accounts, users, access keys, buckets and admin tokens are and may do.
//!
//! Pure and synchronous: no clock, no randomness, no input or output. [`account::decide`],
//! [`user::decide`], [`bucket::decide`] and [`admin_token::decide`] turn a command into the events to record or a
//! [`Refusal`]; the `evolve` beside each applies what has been recorded. Secrets are sealed before
//! they come here and stay so.

mod access_key;
pub mod account;
pub mod admin_token;
pub mod bucket;
mod event;
mod expiry;
mod name;
mod refusal;
mod secret;
mod settings;
mod source;
mod tag;
pub mod user;

pub use access_key::{
    AccessKey, AccessKeyChanges, AccessKeyState, DeletedAccessKey, NewAccessKey, Secret, Slot,
};
pub use account::Account;
pub use admin_token::{AdminToken, TokenHash};
pub use bucket::{Bucket, BucketName, BucketRegion};
pub use event::{AccountEvent, AdminTokenEvent, BucketEvent, Event, UserEvent};
pub use expiry::{Expiry, LIFETIME_SECONDS_MAX, TimeToLive, parse_instant};
pub use name::{
    AccessKeyId, AccountId, AccountNumber, AdminTokenId, DisplayName, Email, InvalidName, Label,
    UserId, UserName, UserPath,
};
pub use refusal::Refusal;
pub use secret::{SealedSecret, SecretAccessKey};
pub use settings::{
    ACCESS_KEYS_PER_USER_MAX, AccountSettings, BUCKETS_DEFAULT, BUCKETS_MAX,
    EXPIRY_NOTICE_SECONDS_MAX, EXPIRY_NOTICES_MAX, GRACE_PERIOD_SECONDS_MAX, InvalidSetting,
    LockoutMode, RETENTION_SECONDS_MAX, ROTATION_DUE_DAYS_MAX, Spelling,
};
pub use source::Source;
pub use tag::{TAGS_MAX, Tag, Tags, TagsChange};
pub use user::{Password, User, UserState};

/// An instant, UTC. Recorded to the millisecond.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// Label of the user that each new account starts with (cegedim.cloud, "Object Storage").
pub const ROOT_USER_LABEL: &str = "Initial S3 user";

/// Name of the user that each new account starts with.
pub const ROOT_USER_NAME: &str = "root";
