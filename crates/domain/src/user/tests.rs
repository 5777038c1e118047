use chrono::TimeDelta;

use super::*;
use crate::*;

mod any;
mod deletion;
mod expiry;
mod grace;
mod keys;
mod lockout;
mod password;
mod profile;
mod properties;
mod replacement;
mod slots;
mod ticks;

const DAY: i64 = 86_400;

fn at(second: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(1_700_000_000 + second, 0).expect("in range")
}

fn id(n: u8) -> AccessKeyId {
    AccessKeyId::from_random([n; 10])
}

fn sealed(n: u8) -> SealedSecret {
    SealedSecret(vec![n].into())
}

fn label(text: &str) -> Label {
    Label::parse(text).expect("valid")
}

fn name(text: &str) -> UserName {
    UserName::parse(text).expect("valid")
}

fn ttl(text: &str) -> TimeToLive {
    TimeToLive::parse(text).expect("valid")
}

fn new_user() -> NewUser {
    NewUser {
        name: name("alice"),
        root: false,
        label: Label::default(),
        comment: Label::default(),
        path: UserPath::default(),
        email: Email::default(),
        tags: Tags::default(),
    }
}

fn created_user(root: bool) -> UserEvent {
    let NewUser { name, label, comment, path, email, .. } = new_user();
    UserEvent::Created { name, root, label, comment, path, email }
}

/// A key without slot or label that begins at once and does not end.
fn new_key(n: u8) -> NewAccessKey {
    NewAccessKey {
        id: id(n),
        secret: sealed(n),
        imported: false,
        label: Label::default(),
        slot: None,
        state: AccessKeyState::Active,
        not_before: None,
        expiry: Expiry::Never,
        lifetime_seconds_max: None,
    }
}

fn ending(n: u8, expiry: Expiry) -> NewAccessKey {
    NewAccessKey { expiry, ..new_key(n) }
}

fn in_slot(n: u8, slot: Slot) -> NewAccessKey {
    NewAccessKey { slot: Some(slot), ..new_key(n) }
}

fn inactive(n: u8) -> NewAccessKey {
    NewAccessKey { state: AccessKeyState::Inactive, ..new_key(n) }
}

fn create(n: u8) -> Command {
    Command::CreateAccessKey(new_key(n))
}

fn created(n: u8) -> UserEvent {
    created_as(new_key(n), None, None)
}

/// What records `new`, which ends as told.
fn created_as(
    new: NewAccessKey,
    expires_at: Option<Timestamp>,
    time_to_live: Option<TimeToLive>,
) -> UserEvent {
    let NewAccessKey { id, secret, imported, label, slot, not_before, .. } = new;
    UserEvent::AccessKeyCreated {
        id,
        secret,
        imported,
        label,
        slot,
        not_before,
        expires_at,
        time_to_live,
    }
}

fn update(n: u8, changes: AccessKeyChanges) -> Command {
    Command::UpdateAccessKey { id: id(n), changes }
}

fn expire(n: u8, expiry: Expiry) -> Command {
    update(n, AccessKeyChanges { expiry: Some(expiry), ..AccessKeyChanges::default() })
}

fn set_slot(n: u8, slot: Option<Slot>) -> Command {
    update(n, AccessKeyChanges { slot: Some(slot), ..AccessKeyChanges::default() })
}

fn set_state(n: u8, state: AccessKeyState) -> Command {
    update(n, AccessKeyChanges { state: Some(state), ..AccessKeyChanges::default() })
}

/// Rotates to a secret that holds `n`, with a grace period in seconds or the account's.
fn rotate(n: u8, grace_period_seconds: impl Into<Option<u32>>) -> Command {
    rotate_until(n, grace_period_seconds, None)
}

fn rotate_until(
    n: u8,
    grace_period_seconds: impl Into<Option<u32>>,
    expiry: Option<Expiry>,
) -> Command {
    Command::RotateSecretAccessKey {
        id: id(n),
        secret: sealed(n),
        grace_period_seconds: grace_period_seconds.into(),
        expiry,
        lifetime_seconds_max: None,
    }
}

fn rotated(n: u8, generation: u32, previous_expires_at: i64) -> UserEvent {
    UserEvent::SecretAccessKeyRotated {
        id: id(n),
        generation,
        secret: sealed(n),
        previous_expires_at: at(previous_expires_at),
    }
}

fn expiry_changed(n: u8, expires_at: Option<i64>, time_to_live: Option<&str>) -> UserEvent {
    UserEvent::AccessKeyExpiryChanged {
        id: id(n),
        expires_at: expires_at.map(at),
        time_to_live: time_to_live.map(ttl),
    }
}

fn replace(n: u8, replacement: NewAccessKey, grace_period_seconds: u32) -> Command {
    let grace_period_seconds = Some(grace_period_seconds);
    Command::ReplaceAccessKey { id: id(n), replacement, grace_period_seconds }
}

fn delete(n: u8) -> Command {
    Command::DeleteAccessKey { id: id(n), replacement: None }
}

fn delete_or_replace(n: u8, replacement: NewAccessKey) -> Command {
    Command::DeleteAccessKey { id: id(n), replacement: Some(replacement) }
}

fn deleted(n: u8) -> UserEvent {
    UserEvent::AccessKeyDeleted { id: id(n), purge_at: None }
}

fn deleted_until(n: u8, purge_at: i64) -> UserEvent {
    UserEvent::AccessKeyDeleted { id: id(n), purge_at: Some(at(purge_at)) }
}

fn undelete(n: u8) -> Command {
    Command::UndeleteAccessKey { id: id(n) }
}

fn undeleted(n: u8) -> UserEvent {
    UserEvent::AccessKeyUndeleted { id: id(n) }
}

fn purge(n: u8) -> Command {
    Command::PurgeAccessKey { id: id(n) }
}

fn purged(n: u8) -> UserEvent {
    UserEvent::AccessKeyPurged { id: id(n) }
}

fn end_grace_period(n: u8) -> Command {
    Command::EndGracePeriod { id: id(n) }
}

fn grace_period_ended(n: u8) -> UserEvent {
    UserEvent::GracePeriodEnded { id: id(n) }
}

/// A user, made at second 0 unless nobody is there, in an account that asks nothing.
#[derive(Clone)]
struct Given {
    settings: AccountSettings,
    user: Option<User>,
}

fn nobody() -> Given {
    Given { settings: AccountSettings::default(), user: None }
}

fn user() -> Given {
    nobody().recorded(0, &created_user(false))
}

fn root_user() -> Given {
    nobody().recorded(0, &created_user(true))
}

impl Given {
    /// The account asks something else from now on.
    fn account(mut self, change: impl FnOnce(&mut AccountSettings)) -> Self {
        change(&mut self.settings);
        self.settings = self.settings.checked().expect("valid");
        self
    }

    fn recorded(mut self, second: i64, event: &UserEvent) -> Self {
        self.user = evolve(self.user, event, at(second));
        self
    }

    /// `command` is given at `second`, and accepted.
    fn after(self, second: i64, command: Command) -> Self {
        let events = decide(self.user.as_ref(), command, &self.settings, at(second));
        let events = events.expect("accepted");
        events.iter().fold(self, |given, event| given.recorded(second, event))
    }

    fn known(&self) -> &User {
        self.user.as_ref().expect("exists")
    }

    fn key(&self, n: u8) -> &AccessKey {
        self.known().access_key(&id(n)).expect("exists")
    }

    /// The keys of the user, by their numbers.
    fn keys(&self) -> Vec<u8> {
        let number = |key: &AccessKey| (0..=u8::MAX).find(|n| id(*n) == key.id).expect("ours");
        self.known().access_keys.iter().map(number).collect()
    }

    /// Generations of the secrets of a key that work at an instant.
    fn working(&self, n: u8, now: Timestamp) -> Vec<u32> {
        let user = self.known();
        let key = user.access_key(&id(n)).filter(|key| key.is_usable(now));
        key.filter(|_| user.state == UserState::Active)
            .map(|key| key.valid_secrets(now).map(|secret| secret.generation).collect())
            .unwrap_or_default()
    }
}

/// Asks `command` at second `now` of what is `given`.
fn check(given: &Given, now: i64, command: Command, expected: Result<Vec<UserEvent>, Refusal>) {
    let decide = |command| decide(given.user.as_ref(), command, &given.settings, at(now));
    assert_eq!(decide(command.clone()), expected, "{command:?}");
    assert_eq!(decide(command), expected, "asked again");
}
