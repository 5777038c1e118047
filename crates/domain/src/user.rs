//! Users and their access keys: one stream of events each, so that every rule that spans a user's
//! keys is decided in one place.

mod decide;
mod evolve;

pub use decide::{decide, delete_whole};
pub use evolve::evolve;

use chrono::serde::ts_milliseconds;
use serde::{Deserialize, Serialize};

use crate::{
    AccessKey, AccessKeyChanges, AccessKeyId, AccountSettings, DeletedAccessKey, Email, Expiry,
    Label, NewAccessKey, SealedSecret, Source, Tags, Timestamp, UserName, UserPath,
};

/// Deleted access keys of one user that can be undeleted; of more, the first deleted is purged.
pub const RETAINED_ACCESS_KEYS_MAX: usize = 50;

/// What is known of a user.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct User {
    /// Its name.
    pub name: UserName,
    /// Whether it is the root user of its account.
    pub root: bool,
    /// Its label.
    pub label: Label,
    /// Its comment.
    pub comment: Label,
    /// Its path.
    pub path: UserPath,
    /// Its e-mail address.
    pub email: Email,
    /// Its tags.
    pub tags: Tags,
    /// Whether it may do anything.
    pub state: UserState,
    /// Its access keys, oldest first; those of the same instant by id.
    pub access_keys: Vec<AccessKey>,
    /// Those that were deleted and can be undeleted, the first deleted first.
    pub deleted_access_keys: Vec<DeletedAccessKey>,
    /// When it was made.
    #[serde(with = "ts_milliseconds")]
    pub created_at: Timestamp,
    /// When it was last changed, its access keys apart.
    #[serde(with = "ts_milliseconds")]
    pub modified_at: Timestamp,
    /// Its password, if it ever had one. Few users do.
    pub password: Option<Box<Password>>,
}

/// The password of a user, or what is left of one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Password {
    /// Number of the last password that the user had, from 1.
    pub generation: u32,
    /// Its hash, sealed; none once it was removed.
    pub sealed: Option<SealedSecret>,
    /// When it was set or removed.
    #[serde(with = "ts_milliseconds")]
    pub changed_at: Timestamp,
}

/// Whether a user may do anything.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum UserState {
    /// Its keys work as each key's own state says.
    Active,
    /// None of its keys works.
    Locked,
}

impl User {
    /// The access key with this id.
    pub fn access_key(&self, id: &AccessKeyId) -> Option<&AccessKey> {
        self.access_keys.iter().find(|key| key.id == *id)
    }

    /// Number of the password that the user has, and its hash, sealed.
    pub fn password(&self) -> Option<(u32, &SealedSecret)> {
        let password = self.password.as_deref()?;
        Some((password.generation, password.sealed.as_ref()?))
    }

    /// Number that its next password is to have.
    pub fn next_password_generation(&self) -> u32 {
        self.password.as_deref().map_or(0, |password| password.generation).saturating_add(1)
    }

    /// Whether something is due that [`Command::Tick`] does.
    pub fn is_due(&self, settings: &AccountSettings, now: Timestamp) -> bool {
        let purge = self.deleted_access_keys.iter().any(|deleted| deleted.purge_at <= now);
        purge
            || self.access_keys.iter().any(|key| {
                key.due_expiry_notices(settings, now).next().is_some()
                    || key.due_rotation(settings, now).is_some()
            })
    }

    /// The deleted access key with this id that can be undeleted until it is purged.
    pub fn deleted_access_key(&self, id: &AccessKeyId) -> Option<&DeletedAccessKey> {
        self.deleted_access_keys.iter().find(|deleted| deleted.access_key.id == *id)
    }
}

/// What can be asked of a user.
#[derive(Clone, Debug)]
pub enum Command {
    /// Make the user.
    Create(NewUser),
    /// Make the user with its first access key.
    CreateWithAccessKey(NewUser, NewAccessKey),
    /// Change what is given of the user, all of it or nothing.
    Update(UserChanges),
    /// Let none of the user's keys work.
    Lock,
    /// Let them work again.
    Unlock,
    /// Delete the user.
    Delete {
        /// Whether to delete its access keys with it.
        force: bool,
    },
    /// Make an access key.
    CreateAccessKey(NewAccessKey),
    /// Make an access key for its slot, in the place of the one that has it if one does: that one is
    /// deleted.
    TakeSlot {
        /// The new one, with a slot.
        access_key: NewAccessKey,
        /// Whether it ends as the one in whose place it comes, if there is one: at the same instant, or
        /// after the same time to live, which begins anew.
        keep_expiry: bool,
    },
    /// Do something to an access key, and give the user this comment with it: both, or neither.
    WithComment(Label, Box<Command>),
    /// Change what is given of an access key, all of it or nothing.
    UpdateAccessKey {
        /// The access key.
        id: AccessKeyId,
        /// What to change.
        changes: AccessKeyChanges,
    },
    /// Give an access key a new secret.
    RotateSecretAccessKey {
        /// The access key.
        id: AccessKeyId,
        /// The new secret, sealed as the generation that [`AccessKey::generation`] plus 1 tells.
        secret: SealedSecret,
        /// How long the old one still works, in seconds; as the account says if not given.
        grace_period_seconds: Option<u32>,
        /// When the access key is to end. If not given: as before, a time to live beginning anew.
        expiry: Option<Expiry>,
        /// Longest lifetime that the caller allows, in seconds, beside what the account does.
        lifetime_seconds_max: Option<u64>,
    },
    /// End the old secret of an access key now.
    EndGracePeriod {
        /// The access key.
        id: AccessKeyId,
    },
    /// Make an access key in the place of another, whose slot it takes.
    ReplaceAccessKey {
        /// The other, which ends.
        id: AccessKeyId,
        /// The new one.
        replacement: NewAccessKey,
        /// How long the old one still works, in seconds; as the account says if not given. If 0, it
        /// is deleted.
        grace_period_seconds: Option<u32>,
    },
    /// Delete an access key.
    DeleteAccessKey {
        /// The access key.
        id: AccessKeyId,
        /// What takes its place if the user would be left without any that can be used.
        replacement: Option<NewAccessKey>,
    },
    /// Bring a deleted access key back, as it was.
    UndeleteAccessKey {
        /// The access key.
        id: AccessKeyId,
    },
    /// Let a deleted access key be gone for good.
    PurgeAccessKey {
        /// The access key.
        id: AccessKeyId,
    },
    /// Give the user a password, in the place of the one that it may have.
    SetPassword {
        /// Its hash, sealed as the generation that [`User::next_password_generation`] tells.
        sealed: SealedSecret,
    },
    /// Leave the user without a password.
    RemovePassword,
    /// Record that too many authentications in a row failed with an access key, if its account counts
    /// them so: by source, or by access key.
    LockOutAccessKey {
        /// The access key.
        id: AccessKeyId,
        /// From where it is refused; from everywhere if not given.
        source: Option<Source>,
        /// Until when.
        ends_at: Timestamp,
        /// How many had failed.
        failures: u32,
    },
    /// Do what is due: announce what the account asks to be told, and purge what is past its time.
    Tick,
}

impl Command {
    /// The access key that it is about, if it is not about the user.
    pub fn access_key_id(&self) -> Option<&AccessKeyId> {
        match self {
            Self::CreateAccessKey(new) | Self::TakeSlot { access_key: new, .. } => Some(&new.id),
            Self::WithComment(_, command) => command.access_key_id(),
            Self::UpdateAccessKey { id, .. }
            | Self::RotateSecretAccessKey { id, .. }
            | Self::EndGracePeriod { id }
            | Self::ReplaceAccessKey { id, .. }
            | Self::DeleteAccessKey { id, .. }
            | Self::UndeleteAccessKey { id }
            | Self::LockOutAccessKey { id, .. }
            | Self::PurgeAccessKey { id } => Some(id),
            Self::Create(_)
            | Self::CreateWithAccessKey(..)
            | Self::Update(_)
            | Self::Lock
            | Self::Unlock
            | Self::Delete { .. }
            | Self::SetPassword { .. }
            | Self::RemovePassword
            | Self::Tick => None,
        }
    }
}

/// What a new user is to be.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Its name. That no other user has it is for the log to ensure.
    pub name: UserName,
    /// Whether it is the root user of its account.
    pub root: bool,
    /// Its label.
    pub label: Label,
    /// Its comment.
    pub comment: Label,
    /// Its path.
    pub path: UserPath,
    /// Its e-mail address.
    pub email: Email,
    /// Its tags.
    pub tags: Tags,
}

/// What to change of a user: all that is given, or nothing.
#[derive(Clone, Debug, Default)]
pub struct UserChanges {
    /// Its name. That no other user has it is for the log to ensure.
    pub name: Option<UserName>,
    /// Its label.
    pub label: Option<Label>,
    /// Its comment.
    pub comment: Option<Label>,
    /// Its path.
    pub path: Option<UserPath>,
    /// Its e-mail address.
    pub email: Option<Email>,
    /// All of its tags.
    pub tags: Option<Tags>,
}

#[cfg(test)]
mod tests;
