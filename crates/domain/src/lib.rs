//! What accounts, users and access keys are and may do.
//!
//! Pure and synchronous: no clock, no randomness, no input or output. [`account::decide`] and
//! [`user::decide`] turn a command into the events to record or a [`Refusal`]; the `evolve` beside
//! each applies what has been recorded. Secrets are sealed before they come here and stay so.

pub mod account;
mod event;
mod name;
mod refusal;
mod secret;
pub mod user;

pub use account::Account;
pub use event::{AccountEvent, Event, UserEvent};
pub use name::{
    AccessKeyId, AccountId, AccountNumber, DisplayName, InvalidName, Label, UserId, UserName,
};
pub use refusal::Refusal;
pub use secret::{SealedSecret, SecretAccessKey};
pub use user::{AccessKey, AccessKeyState, Secret, User, UserState};

/// An instant, UTC. Recorded to the millisecond.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// Access keys that a user may have, whatever their state (OUTSCALE, "About Access Keys").
pub const ACCESS_KEYS_PER_USER_MAX: usize = 10;

/// Longest grace period of a rotation: 90 days, in seconds.
pub const GRACE_PERIOD_SECONDS_MAX: u32 = 7_776_000;

/// Label of the user that each new account starts with (cegedim.cloud, "Object Storage").
pub const ROOT_USER_LABEL: &str = "Initial S3 user";

/// Name of the user that each new account starts with.
pub const ROOT_USER_NAME: &str = "root";
