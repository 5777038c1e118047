//! Access keys: what they are at an instant, and the rules for their expiry.

use std::fmt;

use chrono::TimeDelta;
use chrono::serde::{ts_milliseconds, ts_milliseconds_option};
use serde::{Deserialize, Serialize};

use crate::{
    AccessKeyId, AccountSettings, Expiry, LIFETIME_SECONDS_MAX, Label, Refusal, SealedSecret,
    TimeToLive, Timestamp,
};

/// What is known of an access key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AccessKey {
    /// Its id.
    pub id: AccessKeyId,
    /// Whether id and first secret were brought by the client.
    pub imported: bool,
    /// Its label.
    pub label: Label,
    /// Its slot, if it has one.
    pub slot: Option<Slot>,
    /// Whether it may be used.
    pub state: AccessKeyState,
    /// When it begins to be valid, if not when it was made.
    #[serde(with = "ts_milliseconds_option")]
    pub not_before: Option<Timestamp>,
    /// When it ends: it is expired at every `t >= expires_at`.
    #[serde(with = "ts_milliseconds_option")]
    pub expires_at: Option<Timestamp>,
    /// The time to live that the end was reckoned from.
    pub time_to_live: Option<TimeToLive>,
    /// Its secrets, newest first, one or two. The older may have ended since.
    pub secrets: Vec<Secret>,
    /// When it was made.
    #[serde(with = "ts_milliseconds")]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[serde(with = "ts_milliseconds")]
    pub modified_at: Timestamp,
    /// What has been announced of it.
    pub announced: Announced,
}

/// One of the two places for access keys that a user has in NetApp ONTAP (`key_id`).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Slot {
    /// The first.
    One,
    /// The second.
    Two,
}

/// Whether an access key may be used. That it has expired is no state: it is asked at an instant.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum AccessKeyState {
    /// It may be used.
    Active,
    /// It may not.
    Inactive,
}

/// One secret of an access key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Secret {
    /// From 1, one more with each rotation.
    pub generation: u32,
    /// The secret, encrypted.
    pub sealed: SealedSecret,
    /// When it was made.
    #[serde(with = "ts_milliseconds")]
    pub created_at: Timestamp,
    /// When its grace period ends: it is dead at every `t >= expires_at`.
    #[serde(with = "ts_milliseconds_option")]
    pub expires_at: Option<Timestamp>,
}

/// What has been announced of an access key, so that it is announced once.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Announced {
    /// When the present expiry was set: what would have been announced before needs no telling.
    #[serde(with = "ts_milliseconds")]
    pub expiry_set_at: Timestamp,
    /// Distances ahead of the present expiry that were announced, in seconds.
    pub expiry_notice_seconds: Vec<u32>,
    /// The last secret whose rotation was announced as due; 0 for none.
    pub rotation_due_generation: u32,
}

/// An access key that is dead, and can be undeleted until it is purged.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DeletedAccessKey {
    /// As it was, and would be again.
    pub access_key: AccessKey,
    /// When it was deleted.
    #[serde(with = "ts_milliseconds")]
    pub deleted_at: Timestamp,
    /// When it can no longer be undeleted, and is to be purged.
    #[serde(with = "ts_milliseconds")]
    pub purge_at: Timestamp,
}

/// What a new access key is to be.
#[derive(Clone, Debug)]
pub struct NewAccessKey {
    /// Its id, never used before.
    pub id: AccessKeyId,
    /// Its first secret.
    pub secret: SealedSecret,
    /// Whether id and secret were brought by the client.
    pub imported: bool,
    /// Its label.
    pub label: Label,
    /// Its slot, if it is to have one.
    pub slot: Option<Slot>,
    /// Whether it may be used at once.
    pub state: AccessKeyState,
    /// When it begins to be valid, if not at once.
    pub not_before: Option<Timestamp>,
    /// When it ends.
    pub expiry: Expiry,
    /// Longest lifetime that the caller allows, in seconds, beside what the account does.
    pub lifetime_seconds_max: Option<u64>,
}

/// What to change of an access key: all that is given, or nothing.
#[derive(Clone, Debug, Default)]
pub struct AccessKeyChanges {
    /// Its label.
    pub label: Option<Label>,
    /// Its slot; `Some(None)` for none.
    pub slot: Option<Option<Slot>>,
    /// Whether it may be used.
    pub state: Option<AccessKeyState>,
    /// When it ends.
    pub expiry: Option<Expiry>,
    /// Longest lifetime that the caller allows, in seconds, beside what the account does.
    pub lifetime_seconds_max: Option<u64>,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "1",
            Self::Two => "2",
        })
    }
}

impl AccessKey {
    /// Whether it has expired at `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether it can be used at `now`, if its user can do anything.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        let begun = self.not_before.is_none_or(|start| start <= now);
        self.state == AccessKeyState::Active && begun && !self.is_expired(now)
    }

    /// Its secrets whose own time has not come at `now`, newest first.
    pub fn valid_secrets(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        self.secrets.iter().filter(move |secret| secret.expires_at.is_none_or(|end| now < end))
    }

    /// Generation of the newest secret.
    pub fn generation(&self) -> u32 {
        self.secrets.first().map_or(0, |secret| secret.generation)
    }

    /// How long it is still valid at `now`, in whole seconds rounded up; none if it does not end.
    pub fn seconds_left(&self, now: Timestamp) -> Option<u64> {
        let start = self.not_before.filter(|start| now < *start).unwrap_or(now);
        self.expires_at.map(|end| seconds_between(start, end))
    }

    /// Distances ahead of its expiry, of those in `settings`, that are to be announced at `now`.
    pub(crate) fn due_expiry_notices(
        &self,
        settings: &AccountSettings,
        now: Timestamp,
    ) -> impl Iterator<Item = (Timestamp, u32)> {
        let end = self.expires_at.filter(|end| now < *end);
        settings.expiry_notice_seconds.iter().filter_map(move |notice| {
            let end = end?;
            let due_at = end - TimeDelta::seconds(i64::from(*notice));
            let due = due_at <= now
                && self.announced.expiry_set_at < due_at
                && !self.announced.expiry_notice_seconds.contains(notice);
            due.then_some((end, *notice))
        })
    }

    /// The secret whose rotation is due at `now` by `settings`, unless it was announced.
    pub(crate) fn due_rotation(
        &self,
        settings: &AccountSettings,
        now: Timestamp,
    ) -> Option<&Secret> {
        let secret = self
            .secrets
            .first()
            .filter(|_| settings.rotation_due_days > 0 && !self.is_expired(now))?;
        let due_at = secret.created_at + TimeDelta::days(i64::from(settings.rotation_due_days));
        (due_at <= now && self.announced.rotation_due_generation < secret.generation)
            .then_some(secret)
    }
}

/// When a key that becomes valid at `start` ends by `expiry`, asked for at `now`, and the time to
/// live that this was reckoned from.
pub(crate) fn end(
    expiry: Expiry,
    settings: &AccountSettings,
    lifetime_seconds_max: Option<u64>,
    not_before: Option<Timestamp>,
    now: Timestamp,
) -> Result<(Option<Timestamp>, Option<TimeToLive>), Refusal> {
    let start = not_before.filter(|start| now < *start).unwrap_or(now);
    // So that every end is an instant that can be told.
    if seconds_between(now, start) > LIFETIME_SECONDS_MAX {
        return Err(Refusal::StartTooFar { max_seconds: LIFETIME_SECONDS_MAX });
    }
    let (end, time_to_live) = match expiry {
        Expiry::Never => (None, None),
        Expiry::At(end) => (Some(end), None),
        Expiry::After(time_to_live) => (time_to_live.end(start), Some(time_to_live)),
    };
    match (end, settings.access_key_lifetime_seconds_max) {
        (None, Some(max_seconds)) => return Err(Refusal::ExpiryRequired { max_seconds }),
        (Some(end), _) if end <= now => return Err(Refusal::ExpiryInPast),
        (Some(end), _) if end <= start => return Err(Refusal::ExpiryBeforeStart),
        (Some(end), account_max) => {
            let max = [account_max, lifetime_seconds_max].into_iter().flatten().min();
            if let Some(max_seconds) = max.filter(|max| seconds_between(start, end) > *max) {
                return Err(Refusal::LifetimeTooLong { max_seconds });
            }
        }
        (None, None) => {}
    }
    Ok((end, time_to_live))
}

fn seconds_between(start: Timestamp, end: Timestamp) -> u64 {
    let milliseconds = (end - start).num_milliseconds();
    u64::try_from(milliseconds).unwrap_or(0).div_ceil(1000)
}
