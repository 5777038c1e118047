//! What has happened. The log holds nothing else; what is in it cannot be refused.

use crate::tag::TagsChange;
use crate::{
    AccessKeyId, AccountId, AccountNumber, AccountSettings, BucketName, BucketRegion, DisplayName,
    Email, Label, SealedSecret, Slot, Source, TimeToLive, Timestamp, TokenHash, UserName, UserPath,
};

/// One event, of an account, of a user, of a bucket or of an admin token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// It happened to an account.
    Account(AccountEvent),
    /// It happened to a user or one of its access keys.
    User(UserEvent),
    /// It happened to a bucket of an account.
    Bucket(BucketEvent),
    /// It happened to an admin token.
    AdminToken(AdminTokenEvent),
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
    /// The account's name was changed.
    Renamed {
        /// Its name for people from now on.
        display_name: DisplayName,
    },
    /// What the account asks of access keys was changed.
    SettingsChanged {
        /// All of it, from now on.
        settings: AccountSettings,
    },
    /// The account is gone. Its users went before it.
    Deleted,
    /// A request changed nothing; recorded so that it is known when it comes again.
    Unchanged,
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
        /// Its comment.
        comment: Label,
        /// Its path.
        path: UserPath,
        /// Its e-mail address.
        email: Email,
    },
    /// The user has another name, and its access keys with it.
    Renamed {
        /// The name from now on.
        name: UserName,
    },
    /// The user's label was changed.
    LabelChanged {
        /// The label from now on.
        label: Label,
    },
    /// The user's comment was changed.
    CommentChanged {
        /// The comment from now on.
        comment: Label,
    },
    /// The user's path was changed.
    PathChanged {
        /// The path from now on.
        path: UserPath,
    },
    /// The user's e-mail address was changed.
    EmailChanged {
        /// The e-mail address from now on.
        email: Email,
    },
    /// Some of the user's tags were changed.
    TagsChanged(TagsChange),
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
        /// Whether id and secret were brought by the client.
        imported: bool,
        /// Its label.
        label: Label,
        /// Its slot, if it has one.
        slot: Option<Slot>,
        /// When it begins to be valid; at once if not given.
        not_before: Option<Timestamp>,
        /// When it ends, if ever.
        expires_at: Option<Timestamp>,
        /// The time to live that the end was reckoned from.
        time_to_live: Option<TimeToLive>,
    },
    /// An access key's label was changed.
    AccessKeyLabelChanged {
        /// The access key.
        id: AccessKeyId,
        /// The label from now on.
        label: Label,
    },
    /// An access key was given a slot, or lost it.
    AccessKeySlotChanged {
        /// The access key.
        id: AccessKeyId,
        /// Its slot from now on.
        slot: Option<Slot>,
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
        /// The time to live that the end was reckoned from.
        time_to_live: Option<TimeToLive>,
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
    /// The end of an access key is near, and its account asked to be told.
    AccessKeyExpiring {
        /// The access key.
        id: AccessKeyId,
        /// When it ends.
        expires_at: Timestamp,
        /// How long ahead this was to be told, in seconds.
        notice_seconds: u32,
    },
    /// The secret of an access key is as old as its account lets them become.
    AccessKeyRotationDue {
        /// The access key.
        id: AccessKeyId,
        /// Which secret.
        generation: u32,
        /// When it was made.
        secret_created_at: Timestamp,
    },
    /// An access key is dead. It is gone for good unless it can be undeleted for a while.
    AccessKeyDeleted {
        /// The access key.
        id: AccessKeyId,
        /// Until when it can be undeleted; not at all if not given.
        purge_at: Option<Timestamp>,
    },
    /// A deleted access key is back, as it was.
    AccessKeyUndeleted {
        /// The access key.
        id: AccessKeyId,
    },
    /// A deleted access key is gone for good.
    AccessKeyPurged {
        /// The access key.
        id: AccessKeyId,
    },
    /// The user has a password.
    PasswordSet {
        /// Number of the password, from 1.
        generation: u32,
        /// Its hash, sealed.
        sealed: SealedSecret,
    },
    /// The user has this password no more.
    PasswordRemoved {
        /// Number of the password.
        generation: u32,
    },
    /// Too many authentications in a row failed with an access key, which is refused for a while.
    AccessKeyLockedOut {
        /// The access key.
        id: AccessKeyId,
        /// From where it is refused; from everywhere if not given.
        source: Option<Source>,
        /// Until when.
        ends_at: Timestamp,
        /// How many had failed.
        failures: u32,
    },
    /// A request changed nothing; recorded so that it is known when it comes again.
    Unchanged {
        /// The access key that it was about, if it was not about the user.
        access_key: Option<AccessKeyId>,
    },
}

impl UserEvent {
    /// The access key that it happened to, if it did not happen to the user itself.
    pub fn access_key_id(&self) -> Option<&AccessKeyId> {
        match self {
            Self::Created { .. }
            | Self::Renamed { .. }
            | Self::LabelChanged { .. }
            | Self::CommentChanged { .. }
            | Self::PathChanged { .. }
            | Self::EmailChanged { .. }
            | Self::TagsChanged(_)
            | Self::Locked
            | Self::Unlocked
            | Self::PasswordSet { .. }
            | Self::PasswordRemoved { .. }
            | Self::Deleted => None,
            Self::Unchanged { access_key } => access_key.as_ref(),
            Self::AccessKeyCreated { id, .. }
            | Self::AccessKeyLabelChanged { id, .. }
            | Self::AccessKeySlotChanged { id, .. }
            | Self::AccessKeyActivated { id }
            | Self::AccessKeyDeactivated { id }
            | Self::AccessKeyExpiryChanged { id, .. }
            | Self::SecretAccessKeyRotated { id, .. }
            | Self::GracePeriodEnded { id }
            | Self::AccessKeyExpiring { id, .. }
            | Self::AccessKeyRotationDue { id, .. }
            | Self::AccessKeyLockedOut { id, .. }
            | Self::AccessKeyDeleted { id, .. }
            | Self::AccessKeyUndeleted { id }
            | Self::AccessKeyPurged { id } => Some(id),
        }
    }

    /// The access key that is gone for good with it: its data key is to be destroyed.
    pub fn shredded_access_key(&self) -> Option<&AccessKeyId> {
        let for_good = matches!(
            self,
            Self::AccessKeyDeleted { purge_at: None, .. } | Self::AccessKeyPurged { .. }
        );
        self.access_key_id().filter(|_| for_good)
    }
}

/// What happens to a bucket of an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BucketEvent {
    /// The account claimed the bucket, which nobody had.
    Claimed {
        /// Its name.
        name: BucketName,
        /// Where it is, if that is known.
        region: Option<BucketRegion>,
    },
    /// The account gave the name up: anybody may claim it.
    Released {
        /// Its name.
        name: BucketName,
    },
    /// The account has the bucket, which another account had until now.
    Received {
        /// Its name.
        name: BucketName,
        /// Where it is, if that is known.
        region: Option<BucketRegion>,
        /// When it was claimed, by whomever.
        created_at: Timestamp,
    },
    /// The account has the bucket no more: another account has it.
    Given {
        /// Its name.
        name: BucketName,
    },
}

impl BucketEvent {
    /// The bucket that it happened to.
    pub fn name(&self) -> &BucketName {
        match self {
            Self::Claimed { name, .. }
            | Self::Released { name }
            | Self::Received { name, .. }
            | Self::Given { name } => name,
        }
    }
}

/// What happens to an admin token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AdminTokenEvent {
    /// The token was made.
    Created {
        /// Its name, unique among admin tokens.
        name: UserName,
        /// What is kept of the token itself.
        hash: TokenHash,
        /// The one account that it is good for; all if not given.
        account: Option<AccountId>,
        /// Whether it may only read.
        read_only: bool,
        /// When it ends, if ever.
        expires_at: Option<Timestamp>,
    },
    /// The token is worth nothing from now on.
    Revoked,
}
