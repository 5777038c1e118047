//! What has happened. The log holds nothing else; what is in it cannot be refused.

use crate::{AccessKeyId, AccountNumber, DisplayName, Label, SealedSecret, Timestamp, UserName};

/// One event, of an account or of a user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// It happened to an account.
    Account(AccountEvent),
    /// It happened to a user or one of its access keys.
    User(UserEvent),
}

/// What happens to an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AccountEvent {
    /// The account was made.
    Created {
        /// Its number in ARNs.
        number: AccountNumber,
        /// Its name for people.
        display_name: DisplayName,
    },
}

/// What happens to a user and its access keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UserEvent {
    /// The user was made.
    Created {
        /// Its name, unique in the account without regard to case.
        name: UserName,
        /// Whether it is the root user of the account.
        root: bool,
        /// Its label.
        label: Label,
    },
    /// The user's label was changed.
    LabelChanged {
        /// The label from now on.
        label: Label,
    },
    /// None of the user's keys works.
    Locked,
    /// The user's keys work as before it was locked.
    Unlocked,
    /// The user is gone, and with it whatever it still had.
    Deleted,
    /// An access key was made, with the first of its secrets.
    AccessKeyCreated {
        /// The access key.
        id: AccessKeyId,
        /// Its secret, generation 1.
        secret: SealedSecret,
        /// When it ends, if ever.
        expires_at: Option<Timestamp>,
    },
    /// An access key may be used again.
    AccessKeyActivated {
        /// The access key.
        id: AccessKeyId,
    },
    /// An access key may not be used.
    AccessKeyDeactivated {
        /// The access key.
        id: AccessKeyId,
    },
    /// The end of an access key was set, moved or removed.
    AccessKeyExpiryChanged {
        /// The access key.
        id: AccessKeyId,
        /// When it ends, if ever.
        expires_at: Option<Timestamp>,
    },
    /// An access key got a new secret.
    SecretAccessKeyRotated {
        /// The access key.
        id: AccessKeyId,
        /// Number of the new secret.
        generation: u32,
        /// The new secret.
        secret: SealedSecret,
        /// When the secret before it ends; all older ones end now.
        previous_expires_at: Timestamp,
    },
    /// Only the newest secret of an access key works.
    GracePeriodEnded {
        /// The access key.
        id: AccessKeyId,
    },
    /// An access key is gone.
    AccessKeyDeleted {
        /// The access key.
        id: AccessKeyId,
    },
}
