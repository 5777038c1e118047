//! Users and their access keys: one stream of events each, so that every rule that spans a user's
//! keys is decided in one place.

use chrono::TimeDelta;

use crate::{
    ACCESS_KEYS_PER_USER_MAX, AccessKeyId, GRACE_PERIOD_SECONDS_MAX, Label, Refusal, SealedSecret,
    Timestamp, UserEvent, UserName,
};

/// What is known of a user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// Its name.
    pub name: UserName,
    /// Whether it is the root user of its account.
    pub root: bool,
    /// Its label.
    pub label: Label,
    /// Whether it may do anything.
    pub state: UserState,
    /// Its access keys, oldest first.
    pub access_keys: Vec<AccessKey>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed, its access keys apart.
    pub modified_at: Timestamp,
}

/// Whether a user may do anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UserState {
    /// Its keys work as each key's own state says.
    Active,
    /// None of its keys works.
    Locked,
}

/// What is known of an access key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessKey {
    /// Its id.
    pub id: AccessKeyId,
    /// Whether it may be used.
    pub state: AccessKeyState,
    /// When it ends: it is expired at every `t >= expires_at`.
    pub expires_at: Option<Timestamp>,
    /// Its secrets, newest first, one or two. The older may have ended since.
    pub secrets: Vec<Secret>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
}

/// Whether an access key may be used. That it has expired is no state: it is asked at an instant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AccessKeyState {
    /// It may be used.
    Active,
    /// It may not.
    Inactive,
}

/// One secret of an access key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Secret {
    /// From 1, one more with each rotation.
    pub generation: u32,
    /// The secret, encrypted.
    pub sealed: SealedSecret,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its grace period ends: it is dead at every `t >= expires_at`.
    pub expires_at: Option<Timestamp>,
}

impl User {
    /// The access key with this id.
    pub fn access_key(&self, id: &AccessKeyId) -> Option<&AccessKey> {
        self.access_keys.iter().find(|key| key.id == *id)
    }
}

impl AccessKey {
    /// Whether it has expired at `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Its secrets that are valid at `now`, newest first.
    pub fn valid_secrets(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        self.secrets.iter().filter(move |secret| secret.expires_at.is_none_or(|end| now < end))
    }

    /// Generation of the newest secret.
    pub fn generation(&self) -> u32 {
        self.secrets.first().map_or(0, |secret| secret.generation)
    }
}

/// What can be asked of a user.
#[derive(Clone, Debug)]
pub enum Command {
    /// Make the user.
    Create {
        /// Its name. That no other user has it is for the log to ensure.
        name: UserName,
        /// Whether it is the root user of its account.
        root: bool,
        /// Its label.
        label: Label,
    },
    /// Change the label.
    ChangeLabel {
        /// The label from now on.
        label: Label,
    },
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
    CreateAccessKey {
        /// Its id, never used before.
        id: AccessKeyId,
        /// Its first secret.
        secret: SealedSecret,
        /// When it ends, if ever.
        expires_at: Option<Timestamp>,
        /// Whether it may be used at once.
        state: AccessKeyState,
    },
    /// Change what is given of an access key, all of it or nothing.
    UpdateAccessKey {
        /// The access key.
        id: AccessKeyId,
        /// Whether it may be used.
        state: Option<AccessKeyState>,
        /// When it ends; `Some(None)` for never.
        expires_at: Option<Option<Timestamp>>,
    },
    /// Give an access key a new secret.
    RotateSecretAccessKey {
        /// The access key.
        id: AccessKeyId,
        /// The new secret, sealed as the generation that [`AccessKey::generation`] plus 1 tells.
        secret: SealedSecret,
        /// How long the old one still works, in seconds.
        grace_period_seconds: u32,
    },
    /// End the old secret of an access key now.
    EndGracePeriod {
        /// The access key.
        id: AccessKeyId,
    },
    /// Delete an access key.
    DeleteAccessKey {
        /// The access key.
        id: AccessKeyId,
    },
}

/// Decides what `command`, given at `now`, does to `user`, which is `None` until it was made and
/// after it was deleted: the events to record, none if nothing changes.
///
/// # Errors
/// The [`Refusal`] to show to the client; nothing is then recorded.
pub fn decide(
    user: Option<&User>,
    command: Command,
    now: Timestamp,
) -> Result<Vec<UserEvent>, Refusal> {
    let Some(user) = user else {
        return match command {
            Command::Create { name, root, label } => {
                Ok(vec![UserEvent::Created { name, root, label }])
            }
            Command::ChangeLabel { .. }
            | Command::Lock
            | Command::Unlock
            | Command::Delete { .. }
            | Command::CreateAccessKey { .. }
            | Command::UpdateAccessKey { .. }
            | Command::RotateSecretAccessKey { .. }
            | Command::EndGracePeriod { .. }
            | Command::DeleteAccessKey { .. } => Err(Refusal::NoSuchUser),
        };
    };
    match command {
        Command::Create { .. } => Err(Refusal::UserExists),
        Command::ChangeLabel { label } if label == user.label => Ok(vec![]),
        Command::ChangeLabel { label } => Ok(vec![UserEvent::LabelChanged { label }]),
        Command::Lock => Ok(match user.state {
            UserState::Active => vec![UserEvent::Locked],
            UserState::Locked => vec![],
        }),
        Command::Unlock => Ok(match user.state {
            UserState::Active => vec![],
            UserState::Locked => vec![UserEvent::Unlocked],
        }),
        Command::Delete { force } => delete(user, force),
        Command::CreateAccessKey { id, secret, expires_at, state } => {
            create_access_key(user, id, secret, expires_at, state, now)
        }
        Command::UpdateAccessKey { id, state, expires_at } => {
            update_access_key(find(user, &id)?, state, expires_at, now)
        }
        Command::RotateSecretAccessKey { id, secret, grace_period_seconds } => {
            rotate(find(user, &id)?, secret, grace_period_seconds, now)
        }
        Command::EndGracePeriod { id } => {
            if find(user, &id)?.valid_secrets(now).count() < 2 {
                return Err(Refusal::NoGracePeriod);
            }
            Ok(vec![UserEvent::GracePeriodEnded { id }])
        }
        Command::DeleteAccessKey { id } => {
            find(user, &id)?;
            Ok(vec![UserEvent::AccessKeyDeleted { id }])
        }
    }
}

fn find<'a>(user: &'a User, id: &AccessKeyId) -> Result<&'a AccessKey, Refusal> {
    user.access_key(id).ok_or(Refusal::NoSuchAccessKey)
}

fn delete(user: &User, force: bool) -> Result<Vec<UserEvent>, Refusal> {
    if user.root {
        return Err(Refusal::RootUser);
    }
    if !force && !user.access_keys.is_empty() {
        return Err(Refusal::UserHasKeys { count: user.access_keys.len() });
    }
    let keys = user.access_keys.iter().map(|key| key.id.clone());
    Ok(keys.map(|id| UserEvent::AccessKeyDeleted { id }).chain([UserEvent::Deleted]).collect())
}

fn create_access_key(
    user: &User,
    id: AccessKeyId,
    secret: SealedSecret,
    expires_at: Option<Timestamp>,
    state: AccessKeyState,
    now: Timestamp,
) -> Result<Vec<UserEvent>, Refusal> {
    if user.access_keys.len() >= ACCESS_KEYS_PER_USER_MAX {
        return Err(Refusal::KeyLimit { max: ACCESS_KEYS_PER_USER_MAX });
    }
    refuse_past(expires_at, now)?;
    let created = UserEvent::AccessKeyCreated { id: id.clone(), secret, expires_at };
    Ok(match state {
        AccessKeyState::Active => vec![created],
        AccessKeyState::Inactive => vec![created, UserEvent::AccessKeyDeactivated { id }],
    })
}

fn update_access_key(
    key: &AccessKey,
    state: Option<AccessKeyState>,
    expires_at: Option<Option<Timestamp>>,
    now: Timestamp,
) -> Result<Vec<UserEvent>, Refusal> {
    let id = &key.id;
    let mut events = vec![];
    if let Some(expires_at) = expires_at.filter(|end| *end != key.expires_at) {
        refuse_past(expires_at, now)?;
        events.push(UserEvent::AccessKeyExpiryChanged { id: id.clone(), expires_at });
    }
    if let Some(state) = state.filter(|state| *state != key.state) {
        events.push(match state {
            AccessKeyState::Active => UserEvent::AccessKeyActivated { id: id.clone() },
            AccessKeyState::Inactive => UserEvent::AccessKeyDeactivated { id: id.clone() },
        });
    }
    Ok(events)
}

fn rotate(
    key: &AccessKey,
    secret: SealedSecret,
    grace_period_seconds: u32,
    now: Timestamp,
) -> Result<Vec<UserEvent>, Refusal> {
    if key.is_expired(now) {
        return Err(Refusal::Expired);
    }
    if grace_period_seconds > GRACE_PERIOD_SECONDS_MAX {
        return Err(Refusal::GracePeriodTooLong { max: GRACE_PERIOD_SECONDS_MAX });
    }
    Ok(vec![UserEvent::SecretAccessKeyRotated {
        id: key.id.clone(),
        generation: key.generation() + 1,
        secret,
        previous_expires_at: now + TimeDelta::seconds(i64::from(grace_period_seconds)),
    }])
}

fn refuse_past(expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
    match expires_at {
        Some(end) if end <= now => Err(Refusal::ExpiryInPast),
        Some(_) | None => Ok(()),
    }
}

/// Applies one event, recorded at `at`. Total: what is in the log has happened and cannot be
/// refused; an event that does not fit the state leaves it as it is.
pub fn evolve(user: Option<User>, event: &UserEvent, at: Timestamp) -> Option<User> {
    if let UserEvent::Created { name, root, label } = event {
        return Some(User {
            name: name.clone(),
            root: *root,
            label: label.clone(),
            state: UserState::Active,
            access_keys: vec![],
            created_at: at,
            modified_at: at,
        });
    }
    let mut user = user?;
    match event {
        UserEvent::Created { .. } => {}
        UserEvent::Deleted => return None,
        UserEvent::LabelChanged { label } => {
            user.label = label.clone();
            user.modified_at = at;
        }
        UserEvent::Locked => {
            user.state = UserState::Locked;
            user.modified_at = at;
        }
        UserEvent::Unlocked => {
            user.state = UserState::Active;
            user.modified_at = at;
        }
        UserEvent::AccessKeyCreated { id, secret, expires_at } => {
            user.access_keys.push(AccessKey {
                id: id.clone(),
                state: AccessKeyState::Active,
                expires_at: *expires_at,
                secrets: vec![Secret {
                    generation: 1,
                    sealed: secret.clone(),
                    created_at: at,
                    expires_at: None,
                }],
                created_at: at,
                modified_at: at,
            });
        }
        UserEvent::AccessKeyActivated { id } => {
            change(&mut user, id, at, |key| key.state = AccessKeyState::Active);
        }
        UserEvent::AccessKeyDeactivated { id } => {
            change(&mut user, id, at, |key| key.state = AccessKeyState::Inactive);
        }
        UserEvent::AccessKeyExpiryChanged { id, expires_at } => {
            change(&mut user, id, at, |key| key.expires_at = *expires_at);
        }
        UserEvent::SecretAccessKeyRotated { id, generation, secret, previous_expires_at } => {
            change(&mut user, id, at, |key| {
                key.secrets.truncate(1);
                for previous in &mut key.secrets {
                    previous.expires_at = Some(*previous_expires_at);
                }
                key.secrets.retain(|_| at < *previous_expires_at);
                key.secrets.insert(
                    0,
                    Secret {
                        generation: *generation,
                        sealed: secret.clone(),
                        created_at: at,
                        expires_at: None,
                    },
                );
            });
        }
        UserEvent::GracePeriodEnded { id } => {
            change(&mut user, id, at, |key| key.secrets.truncate(1));
        }
        UserEvent::AccessKeyDeleted { id } => user.access_keys.retain(|key| key.id != *id),
    }
    Some(user)
}

fn change(user: &mut User, id: &AccessKeyId, at: Timestamp, apply: impl FnOnce(&mut AccessKey)) {
    if let Some(key) = user.access_keys.iter_mut().find(|key| key.id == *id) {
        apply(key);
        key.modified_at = at;
    }
}

#[cfg(test)]
mod tests;
