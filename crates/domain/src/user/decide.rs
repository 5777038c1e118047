//! What may be asked of users and their access keys, and what it comes to.

use chrono::TimeDelta;

use super::{Command, NewUser, RETAINED_ACCESS_KEYS_MAX, User, UserChanges, UserState, evolve};
use crate::access_key;
use crate::{
    AccessKey, AccessKeyChanges, AccessKeyId, AccessKeyState, AccountSettings, Expiry,
    GRACE_PERIOD_SECONDS_MAX, LockoutMode, NewAccessKey, Refusal, SealedSecret, Slot, Tags,
    TimeToLive, Timestamp, UserEvent,
};

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
        (None, Command::CreateWithAccessKey(new, access_key)) => {
            let mut events = create(new);
            let user = events.iter().fold(None, |user, event| evolve(user, event, now));
            events.extend(decide(
                user.as_ref(),
                Command::CreateAccessKey(access_key),
                settings,
                now,
            )?);
            Ok(events)
        }
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
            Command::Create(_) | Command::CreateWithAccessKey(..) => Err(Refusal::UserExists),
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
            Command::TakeSlot { access_key, keep_expiry } => {
                self.take_slot(access_key, keep_expiry)
            }
            Command::WithComment(comment, command) => {
                let mut events = self.decide(*command)?;
                let changes = UserChanges { comment: Some(comment), ..UserChanges::default() };
                events.extend(update(self.user, changes)?);
                Ok(events)
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
            Command::SetPassword { sealed } => {
                let generation = self.user.next_password_generation();
                let set = UserEvent::PasswordSet { generation, sealed };
                Ok(password_removed(self.user).into_iter().chain([set]).collect())
            }
            Command::RemovePassword => Ok(password_removed(self.user).into_iter().collect()),
            Command::LockOutAccessKey { id, source, ends_at, failures } => {
                self.find(&id)?;
                let asked_for = match self.settings.lockout {
                    LockoutMode::Off => false,
                    LockoutMode::PerSource => source.is_some(),
                    LockoutMode::PerKey => source.is_none(),
                };
                let in_force = asked_for && self.now < ends_at;
                let event = UserEvent::AccessKeyLockedOut { id, source, ends_at, failures };
                Ok(in_force.then_some(event).into_iter().collect())
            }
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

    fn take_slot(&self, new: NewAccessKey, keep_expiry: bool) -> Decision {
        let mut keys = self.user.access_keys.iter();
        let Some(old) = keys.find(|key| new.slot.is_some() && key.slot == new.slot) else {
            self.refuse_more()?;
            return self.create_access_key(new, None);
        };
        let kept = || match (&old.time_to_live, old.expires_at) {
            (Some(time_to_live), _) => Expiry::After(time_to_live.clone()),
            (None, Some(end)) => Expiry::At(end),
            (None, None) => Expiry::Never,
        };
        let expiry = if keep_expiry { kept() } else { new.expiry };
        self.replace(&old.id, NewAccessKey { expiry, ..new }, Some(0))
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
    deleted.chain(purged).chain(password_removed(user)).chain([UserEvent::Deleted]).collect()
}

fn password_removed(user: &User) -> Option<UserEvent> {
    user.password().map(|(generation, _)| UserEvent::PasswordRemoved { generation })
}
