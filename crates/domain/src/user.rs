//! Users and their access keys: one stream of events each, so that every rule that spans a user's
//! keys is decided in one place.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::access_key::{self, Announced};
use crate::{
    AccessKey, AccessKeyChanges, AccessKeyId, AccessKeyState, AccountSettings, DeletedAccessKey,
    Email, Expiry, GRACE_PERIOD_SECONDS_MAX, Label, NewAccessKey, Refusal, SealedSecret, Secret,
    Slot, Tags, TimeToLive, Timestamp, UserEvent, UserName, UserPath,
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
    pub created_at: Timestamp,
    /// When it was last changed, its access keys apart.
    pub modified_at: Timestamp,
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
    /// Do what is due: announce what the account asks to be told, and purge what is past its time.
    Tick,
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

/// Decides what `command`, given at `now`, does to `user`, which is `None` until it was made and
/// after it was deleted, in an account of these `settings`: the events to record, none if nothing
/// changes.
///
/// # Errors
/// The [`Refusal`] to show to the client; nothing is then recorded.
pub fn decide(
    user: Option<&User>,
    command: Command,
    settings: &AccountSettings,
    now: Timestamp,
) -> Result<Vec<UserEvent>, Refusal> {
    match (user, command) {
        (None, Command::Create(new)) => Ok(create(new)),
        (None, _) => Err(Refusal::NoSuchUser),
        (Some(user), command) => Decider { user, settings, now }.decide(command),
    }
}

/// What decisions about a user's access keys are made on.
struct Decider<'a> {
    user: &'a User,
    settings: &'a AccountSettings,
    now: Timestamp,
}

type Decision = Result<Vec<UserEvent>, Refusal>;

impl Decider<'_> {
    fn decide(&self, command: Command) -> Decision {
        match command {
            Command::Create(_) => Err(Refusal::UserExists),
            Command::Update(changes) => update(self.user, changes),
            Command::Lock => Ok(match self.user.state {
                UserState::Active => vec![UserEvent::Locked],
                UserState::Locked => vec![],
            }),
            Command::Unlock => Ok(match self.user.state {
                UserState::Active => vec![],
                UserState::Locked => vec![UserEvent::Unlocked],
            }),
            Command::Delete { force } => self.delete(force),
            Command::CreateAccessKey(new) => {
                self.refuse_more()?;
                self.create_access_key(new, None)
            }
            Command::UpdateAccessKey { id, changes } => self.update_access_key(&id, changes),
            Command::RotateSecretAccessKey {
                id,
                secret,
                grace_period_seconds,
                expiry,
                lifetime_seconds_max,
            } => self.rotate(&id, secret, grace_period_seconds, expiry, lifetime_seconds_max),
            Command::EndGracePeriod { id } => {
                if self.find(&id)?.valid_secrets(self.now).count() < 2 {
                    return Err(Refusal::NoGracePeriod);
                }
                Ok(vec![UserEvent::GracePeriodEnded { id }])
            }
            Command::ReplaceAccessKey { id, replacement, grace_period_seconds } => {
                self.replace(&id, replacement, grace_period_seconds)
            }
            Command::DeleteAccessKey { id, replacement } => self.delete_access_key(id, replacement),
            Command::UndeleteAccessKey { id } => self.undelete(id),
            Command::PurgeAccessKey { id } => match self.user.deleted_access_key(&id) {
                Some(_) => Ok(vec![UserEvent::AccessKeyPurged { id }]),
                None => self.find(&id).and(Err(Refusal::NotDeleted)),
            },
            Command::Tick => Ok(self.tick()),
        }
    }

    fn find(&self, id: &AccessKeyId) -> Result<&AccessKey, Refusal> {
        self.user.access_key(id).ok_or(Refusal::NoSuchAccessKey)
    }

    fn delete(&self, force: bool) -> Decision {
        let user = self.user;
        if user.root {
            return Err(Refusal::RootUser);
        }
        if !force && !user.access_keys.is_empty() {
            return Err(Refusal::UserHasKeys { count: user.access_keys.len() });
        }
        Ok(delete_whole(user))
    }

    /// Refuses one more access key than the user may have.
    fn refuse_more(&self) -> Result<(), Refusal> {
        let max = usize::from(self.settings.access_keys_per_user_max);
        if self.user.access_keys.len() >= max { Err(Refusal::KeyLimit { max }) } else { Ok(()) }
    }

    /// Makes an access key, for which there is room. What is `leaving` leaves its slot.
    fn create_access_key(&self, new: NewAccessKey, leaving: Option<&AccessKeyId>) -> Decision {
        let staying = || self.user.access_keys.iter().filter(|key| Some(&key.id) != leaving);
        self.refuse_taken(new.slot, staying())?;
        let NewAccessKey { id, secret, imported, label, slot, state, .. } = new;
        let not_before = new.not_before.filter(|start| self.now < *start);
        let (expires_at, time_to_live) = access_key::end(
            new.expiry,
            self.settings,
            new.lifetime_seconds_max,
            not_before,
            self.now,
        )?;
        let created = UserEvent::AccessKeyCreated {
            id: id.clone(),
            secret,
            imported,
            label,
            slot,
            not_before,
            expires_at,
            time_to_live,
        };
        Ok(match state {
            AccessKeyState::Active => vec![created],
            AccessKeyState::Inactive => vec![created, UserEvent::AccessKeyDeactivated { id }],
        })
    }

    fn refuse_taken<'a>(
        &self,
        slot: Option<Slot>,
        mut others: impl Iterator<Item = &'a AccessKey>,
    ) -> Result<(), Refusal> {
        let Some(slot) = slot else { return Ok(()) };
        match others.find(|key| key.slot == Some(slot)) {
            Some(key) => Err(Refusal::SlotTaken { slot, id: key.id.clone() }),
            None => Ok(()),
        }
    }

    fn update_access_key(&self, id: &AccessKeyId, changes: AccessKeyChanges) -> Decision {
        let key = self.find(id)?;
        let AccessKeyChanges { label, slot, state, expiry, lifetime_seconds_max } = changes;
        let id = &key.id;
        let mut events = vec![];
        if let Some(label) = label.filter(|label| *label != key.label) {
            events.push(UserEvent::AccessKeyLabelChanged { id: id.clone(), label });
        }
        if let Some(slot) = slot.filter(|slot| *slot != key.slot) {
            self.refuse_taken(slot, self.user.access_keys.iter())?;
            events.push(UserEvent::AccessKeySlotChanged { id: id.clone(), slot });
        }
        if let Some(expiry) = expiry
            && let Some(changed) = self.change_expiry(key, expiry, lifetime_seconds_max)?
        {
            // If the key comes to life again, a secret in its grace period does not: it ended with
            // the key.
            if key.is_expired(self.now) && key.valid_secrets(self.now).count() > 1 {
                events.push(UserEvent::GracePeriodEnded { id: id.clone() });
            }
            events.push(changed);
        }
        if let Some(state) = state.filter(|state| *state != key.state) {
            events.push(match state {
                AccessKeyState::Active => UserEvent::AccessKeyActivated { id: id.clone() },
                AccessKeyState::Inactive => UserEvent::AccessKeyDeactivated { id: id.clone() },
            });
        }
        Ok(events)
    }

    fn change_expiry(
        &self,
        key: &AccessKey,
        expiry: Expiry,
        lifetime_seconds_max: Option<u64>,
    ) -> Result<Option<UserEvent>, Refusal> {
        // To say again what is so already is no change, also when it would no longer be accepted.
        let unchanged = match &expiry {
            Expiry::Never => key.expires_at.is_none() && key.time_to_live.is_none(),
            Expiry::At(end) => key.expires_at == Some(*end) && key.time_to_live.is_none(),
            // A time to live begins anew, unless it means no end.
            Expiry::After(time_to_live) => {
                key.expires_at.is_none() && key.time_to_live.as_ref() == Some(time_to_live)
            }
        };
        if unchanged {
            return Ok(None);
        }
        let (expires_at, time_to_live) =
            access_key::end(expiry, self.settings, lifetime_seconds_max, key.not_before, self.now)?;
        let id = key.id.clone();
        Ok(Some(UserEvent::AccessKeyExpiryChanged { id, expires_at, time_to_live }))
    }

    fn grace_period(&self, asked: Option<u32>) -> Result<TimeDelta, Refusal> {
        let seconds = asked.unwrap_or(self.settings.default_grace_period_seconds);
        if seconds > GRACE_PERIOD_SECONDS_MAX {
            return Err(Refusal::GracePeriodTooLong { max: GRACE_PERIOD_SECONDS_MAX });
        }
        Ok(TimeDelta::seconds(i64::from(seconds)))
    }

    fn rotate(
        &self,
        id: &AccessKeyId,
        secret: SealedSecret,
        grace_period_seconds: Option<u32>,
        expiry: Option<Expiry>,
        lifetime_seconds_max: Option<u64>,
    ) -> Decision {
        let key = self.find(id)?;
        let expiry = expiry.or_else(|| key.time_to_live.clone().map(Expiry::After));
        let expiry_changed = match expiry {
            Some(expiry) => self.change_expiry(key, expiry, lifetime_seconds_max)?,
            None => None,
        };
        // To give again the end that has passed does not help either.
        if key.is_expired(self.now) && expiry_changed.is_none() {
            return Err(Refusal::Expired);
        }
        let grace_end = self.now + self.grace_period(grace_period_seconds)?;
        // If the key comes to life again, its old secret does not: it ended with the key.
        let ended = key.expires_at.filter(|_| key.is_expired(self.now));
        let rotated = UserEvent::SecretAccessKeyRotated {
            id: key.id.clone(),
            generation: key.generation() + 1,
            secret,
            previous_expires_at: ended.map_or(grace_end, |end| end.min(grace_end)),
        };
        Ok([rotated].into_iter().chain(expiry_changed).collect())
    }

    fn replace(
        &self,
        id: &AccessKeyId,
        replacement: NewAccessKey,
        grace_period_seconds: Option<u32>,
    ) -> Decision {
        let old = self.find(id)?;
        let grace_period = self.grace_period(grace_period_seconds)?;
        let replacement = NewAccessKey { slot: replacement.slot.or(old.slot), ..replacement };
        if grace_period.is_zero() || old.is_expired(self.now) {
            // One for one is no more than before, also where there are more than may be made now.
            let mut events = self.deletion(old);
            events.extend(self.create_access_key(replacement, Some(&old.id))?);
            return Ok(events);
        }
        self.refuse_more()?;
        let mut events = vec![];
        if old.slot.is_some() && old.slot == replacement.slot {
            events.push(UserEvent::AccessKeySlotChanged { id: old.id.clone(), slot: None });
        }
        let grace_end = self.now + grace_period;
        let end = old.expires_at.map_or(grace_end, |end| end.min(grace_end));
        // It ends for good: no rotation is to begin its time to live anew.
        if old.expires_at != Some(end) || old.time_to_live.is_some() {
            events.push(UserEvent::AccessKeyExpiryChanged {
                id: old.id.clone(),
                expires_at: Some(end),
                time_to_live: None,
            });
        }
        events.extend(self.create_access_key(replacement, Some(&old.id))?);
        Ok(events)
    }

    fn delete_access_key(&self, id: AccessKeyId, replacement: Option<NewAccessKey>) -> Decision {
        let key = self.find(&id)?;
        let mut events = self.deletion(key);
        let mut others = self.user.access_keys.iter().filter(|other| other.id != id);
        let last = key.is_usable(self.now) && !others.any(|other| other.is_usable(self.now));
        if let Some(replacement) = replacement.filter(|_| last) {
            // Nobody was asked when it is to end: as late as the account and the caller allow.
            let own_max = replacement.lifetime_seconds_max.unwrap_or(u64::MAX);
            let expiry = match self.settings.access_key_lifetime_seconds_max {
                Some(max) => Expiry::After(TimeToLive::from_seconds(max.min(own_max))),
                None => replacement.expiry,
            };
            let (label, slot) = (key.label.clone(), key.slot);
            let replacement = NewAccessKey { label, slot, expiry, ..replacement };
            events.extend(self.create_access_key(replacement, Some(&id))?);
        }
        Ok(events)
    }

    /// Deletes an access key, and purges the first deleted of those that are retained if they would
    /// become too many.
    fn deletion(&self, key: &AccessKey) -> Vec<UserEvent> {
        let retention = TimeDelta::seconds(i64::from(self.settings.retention_seconds));
        let purge_at = (!retention.is_zero()).then(|| self.now + retention);
        let retained = &self.user.deleted_access_keys;
        let surplus = match purge_at {
            Some(_) => (retained.len() + 1).saturating_sub(RETAINED_ACCESS_KEYS_MAX),
            None => 0,
        };
        let purged = retained.iter().take(surplus);
        let purged = purged.map(|key| UserEvent::AccessKeyPurged { id: key.access_key.id.clone() });
        [UserEvent::AccessKeyDeleted { id: key.id.clone(), purge_at }]
            .into_iter()
            .chain(purged)
            .collect()
    }

    fn undelete(&self, id: AccessKeyId) -> Decision {
        let Some(deleted) = self.user.deleted_access_key(&id) else {
            return self.find(&id).and(Err(Refusal::NotDeleted));
        };
        if deleted.purge_at <= self.now {
            return Err(Refusal::NoSuchAccessKey);
        }
        self.refuse_more()?;
        self.refuse_taken(deleted.access_key.slot, self.user.access_keys.iter())?;
        // The account may limit lifetimes since.
        if let Some(max_seconds) = self.settings.access_key_lifetime_seconds_max {
            match deleted.access_key.seconds_left(self.now) {
                None => return Err(Refusal::ExpiryRequired { max_seconds }),
                Some(left) if left > max_seconds => {
                    return Err(Refusal::LifetimeTooLong { max_seconds });
                }
                Some(_) => {}
            }
        }
        Ok(vec![UserEvent::AccessKeyUndeleted { id }])
    }

    fn tick(&self) -> Vec<UserEvent> {
        let mut events = vec![];
        for key in &self.user.access_keys {
            let id = || key.id.clone();
            events.extend(key.due_expiry_notices(self.settings, self.now).map(
                |(expires_at, notice_seconds)| UserEvent::AccessKeyExpiring {
                    id: id(),
                    expires_at,
                    notice_seconds,
                },
            ));
            events.extend(key.due_rotation(self.settings, self.now).map(|secret| {
                UserEvent::AccessKeyRotationDue {
                    id: id(),
                    generation: secret.generation,
                    secret_created_at: secret.created_at,
                }
            }));
        }
        let past = self.user.deleted_access_keys.iter().filter(|key| key.purge_at <= self.now);
        events.extend(past.map(|key| UserEvent::AccessKeyPurged { id: key.access_key.id.clone() }));
        events
    }
}

fn create(new: NewUser) -> Vec<UserEvent> {
    let NewUser { name, root, label, comment, path, email, tags } = new;
    let tags = Tags::default().changes_to(&tags).into_iter().map(UserEvent::TagsChanged);
    let created = UserEvent::Created { name, root, label, comment, path, email };
    [created].into_iter().chain(tags).collect()
}

fn update(user: &User, changes: UserChanges) -> Decision {
    let UserChanges { name, label, comment, path, email, tags } = changes;
    let mut events = vec![];
    if let Some(name) = name.filter(|name| *name != user.name) {
        if user.root {
            return Err(Refusal::RootUser);
        }
        events.push(UserEvent::Renamed { name });
    }
    if let Some(label) = label.filter(|label| *label != user.label) {
        events.push(UserEvent::LabelChanged { label });
    }
    if let Some(comment) = comment.filter(|comment| *comment != user.comment) {
        events.push(UserEvent::CommentChanged { comment });
    }
    if let Some(path) = path.filter(|path| *path != user.path) {
        events.push(UserEvent::PathChanged { path });
    }
    if let Some(email) = email.filter(|email| *email != user.email) {
        events.push(UserEvent::EmailChanged { email });
    }
    if let Some(tags) = tags {
        events.extend(user.tags.changes_to(&tags).into_iter().map(UserEvent::TagsChanged));
    }
    Ok(events)
}

/// What deletes a user with all it has: a root user too, when its account goes.
pub fn delete_whole(user: &User) -> Vec<UserEvent> {
    let deleted = user
        .access_keys
        .iter()
        .map(|key| UserEvent::AccessKeyDeleted { id: key.id.clone(), purge_at: None });
    let purged = user
        .deleted_access_keys
        .iter()
        .map(|deleted| UserEvent::AccessKeyPurged { id: deleted.access_key.id.clone() });
    deleted.chain(purged).chain([UserEvent::Deleted]).collect()
}

/// Applies one event, recorded at `at`. Total: what is in the log has happened and cannot be
/// refused; an event that does not fit the state leaves it as it is.
pub fn evolve(user: Option<User>, event: &UserEvent, at: Timestamp) -> Option<User> {
    let Some(mut user) = user else {
        let UserEvent::Created { name, root, label, comment, path, email } = event else {
            return None;
        };
        return Some(User {
            name: name.clone(),
            root: *root,
            label: label.clone(),
            comment: comment.clone(),
            path: path.clone(),
            email: email.clone(),
            tags: Tags::default(),
            state: UserState::Active,
            access_keys: vec![],
            deleted_access_keys: vec![],
            created_at: at,
            modified_at: at,
        });
    };
    match event {
        UserEvent::Created { .. } => return Some(user),
        UserEvent::Deleted => return None,
        UserEvent::Renamed { name } => user.name = name.clone(),
        UserEvent::LabelChanged { label } => user.label = label.clone(),
        UserEvent::CommentChanged { comment } => user.comment = comment.clone(),
        UserEvent::PathChanged { path } => user.path = path.clone(),
        UserEvent::EmailChanged { email } => user.email = email.clone(),
        UserEvent::TagsChanged(change) => user.tags.apply(change),
        UserEvent::Locked => user.state = UserState::Locked,
        UserEvent::Unlocked => user.state = UserState::Active,
        UserEvent::AccessKeyCreated {
            id,
            secret,
            imported,
            label,
            slot,
            not_before,
            expires_at,
            time_to_live,
        } => {
            if user.access_key(id).is_none() && user.deleted_access_key(id).is_none() {
                let key = AccessKey {
                    id: id.clone(),
                    imported: *imported,
                    label: label.clone(),
                    slot: *slot,
                    state: AccessKeyState::Active,
                    not_before: *not_before,
                    expires_at: *expires_at,
                    time_to_live: time_to_live.clone(),
                    secrets: vec![new_secret(1, secret, at)],
                    created_at: at,
                    modified_at: at,
                    announced: Announced {
                        expiry_set_at: at,
                        expiry_notice_seconds: vec![],
                        rotation_due_generation: 0,
                    },
                };
                insert(&mut user, key);
            }
        }
        UserEvent::AccessKeyLabelChanged { id, label } => {
            change(&mut user, id, at, |key| key.label = label.clone());
        }
        UserEvent::AccessKeySlotChanged { id, slot } => {
            change(&mut user, id, at, |key| key.slot = *slot);
        }
        UserEvent::AccessKeyActivated { id } => {
            change(&mut user, id, at, |key| key.state = AccessKeyState::Active);
        }
        UserEvent::AccessKeyDeactivated { id } => {
            change(&mut user, id, at, |key| key.state = AccessKeyState::Inactive);
        }
        UserEvent::AccessKeyExpiryChanged { id, expires_at, time_to_live } => {
            change(&mut user, id, at, |key| {
                set_expiry(key, *expires_at, time_to_live.as_ref(), at);
            });
        }
        UserEvent::SecretAccessKeyRotated { id, generation, secret, previous_expires_at } => {
            change(&mut user, id, at, |key| {
                key.secrets.truncate(1);
                for previous in &mut key.secrets {
                    previous.expires_at = Some(*previous_expires_at);
                }
                key.secrets.retain(|_| at < *previous_expires_at);
                key.secrets.insert(0, new_secret(*generation, secret, at));
            });
        }
        UserEvent::GracePeriodEnded { id } => {
            change(&mut user, id, at, |key| key.secrets.truncate(1));
        }
        UserEvent::AccessKeyExpiring { id, notice_seconds, .. } => {
            announce(&mut user, id, |told| told.expiry_notice_seconds.push(*notice_seconds));
        }
        UserEvent::AccessKeyRotationDue { id, generation, .. } => {
            announce(&mut user, id, |told| told.rotation_due_generation = *generation);
        }
        UserEvent::AccessKeyDeleted { id, purge_at } => {
            if let Some(index) = user.access_keys.iter().position(|key| key.id == *id) {
                let access_key = user.access_keys.remove(index);
                user.deleted_access_keys.extend(purge_at.map(|purge_at| DeletedAccessKey {
                    access_key,
                    deleted_at: at,
                    purge_at,
                }));
            }
        }
        UserEvent::AccessKeyUndeleted { id } => {
            let deleted = &mut user.deleted_access_keys;
            if let Some(index) = deleted.iter().position(|deleted| deleted.access_key.id == *id) {
                let mut key = deleted.remove(index).access_key;
                key.modified_at = at;
                insert(&mut user, key);
            }
        }
        UserEvent::AccessKeyPurged { id } => {
            user.deleted_access_keys.retain(|deleted| deleted.access_key.id != *id);
        }
    }
    if event.access_key_id().is_none() {
        user.modified_at = at;
    }
    Some(user)
}

/// Puts an access key in its place, also among those of the same instant: oldest first, then by id.
fn insert(user: &mut User, key: AccessKey) {
    let place = user
        .access_keys
        .partition_point(|other| (other.created_at, &other.id) < (key.created_at, &key.id));
    user.access_keys.insert(place, key);
}

fn new_secret(generation: u32, sealed: &SealedSecret, at: Timestamp) -> Secret {
    Secret { generation, sealed: sealed.clone(), created_at: at, expires_at: None }
}

fn set_expiry(
    key: &mut AccessKey,
    expires_at: Option<Timestamp>,
    time_to_live: Option<&TimeToLive>,
    at: Timestamp,
) {
    key.expires_at = expires_at;
    key.time_to_live = time_to_live.cloned();
    key.announced.expiry_set_at = at;
    key.announced.expiry_notice_seconds.clear();
}

fn change(user: &mut User, id: &AccessKeyId, at: Timestamp, apply: impl FnOnce(&mut AccessKey)) {
    if let Some(key) = user.access_keys.iter_mut().find(|key| key.id == *id) {
        apply(key);
        key.modified_at = at;
    }
}

/// To be told of is no change of an access key.
fn announce(user: &mut User, id: &AccessKeyId, apply: impl FnOnce(&mut Announced)) {
    if let Some(key) = user.access_keys.iter_mut().find(|key| key.id == *id) {
        apply(&mut key.announced);
    }
}

#[cfg(test)]
mod tests;
