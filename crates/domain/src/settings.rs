//! What an account asks of the access keys of its users, and how many buckets it may have.

use serde::{Deserialize, Serialize};

use crate::expiry::{Expiry, LIFETIME_SECONDS_MAX, TimeToLive};

/// Access keys that a user may have, whatever their state, unless the account says less (OUTSCALE,
/// "About Access Keys").
pub const ACCESS_KEYS_PER_USER_MAX: u8 = 10;
/// Longest grace period of a rotation: 90 days, in seconds.
pub const GRACE_PERIOD_SECONDS_MAX: u32 = 7_776_000;
/// Longest time that a deleted access key can be undeleted: 90 days, in seconds.
pub const RETENTION_SECONDS_MAX: u32 = 7_776_000;
/// The most distances ahead of an expiry at which it is announced.
pub const EXPIRY_NOTICES_MAX: usize = 8;
/// The farthest such distance: a year, in seconds. The nearest is a minute.
pub const EXPIRY_NOTICE_SECONDS_MAX: u32 = 31_536_000;
/// The longest time after which the rotation of a secret can be called due: 10 years, in days.
pub const ROTATION_DUE_DAYS_MAX: u32 = 3650;
/// Buckets that an account may have unless it says otherwise.
pub const BUCKETS_DEFAULT: u32 = 1000;
/// The most buckets that an account can be allowed: what AWS allows unasked ("General purpose bucket
/// quotas").
pub const BUCKETS_MAX: u32 = 10_000;

/// What an account asks of the access keys of its users, and how many buckets it may have. The default asks
/// nothing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AccountSettings {
    /// Access keys that a user may have, whatever their state, 1 to 10.
    pub access_keys_per_user_max: u8,
    /// Longest lifetime of an access key, in seconds, up to 100 years. If set, each must end.
    pub access_key_lifetime_seconds_max: Option<u64>,
    /// How long the old secret works after a rotation that does not say, in seconds.
    pub default_grace_period_seconds: u32,
    /// Which failed authentications lock an access key.
    pub lockout: LockoutMode,
    /// How long a deleted access key can be undeleted, in seconds; 0 for not at all.
    pub retention_seconds: u32,
    /// How long ahead of an expiry it is announced, in seconds, the farthest first.
    pub expiry_notice_seconds: Vec<u32>,
    /// After how many days the rotation of a secret is announced as due; 0 for never.
    pub rotation_due_days: u32,
    /// How users are named in full.
    pub spelling: Spelling,
    /// Buckets that the account may have, 1 to 10,000.
    pub buckets_max: u32,
}

/// How a user's full name is spelled.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Spelling {
    /// As AWS does, `arn:aws:iam::…`.
    #[default]
    Aws,
    /// As OUTSCALE does, `orn:ows:idauth::…`.
    Outscale,
}

/// Which failed authentications lock an access key: each 4 in a row for a minute more than the
/// last, up to 10 (OUTSCALE, "About Access Keys").
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum LockoutMode {
    /// None.
    Off,
    /// Those from one source address lock that address out: knowing a key's ID is no way to stop
    /// its owner.
    #[default]
    PerSource,
    /// Those from anywhere lock the access key, as OUTSCALE does.
    PerKey,
}

/// A setting is out of its range.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{setting} {rule}")]
pub struct InvalidSetting {
    /// Which setting.
    pub setting: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

impl Default for AccountSettings {
    fn default() -> Self {
        Self {
            access_keys_per_user_max: ACCESS_KEYS_PER_USER_MAX,
            access_key_lifetime_seconds_max: None,
            default_grace_period_seconds: 0,
            lockout: LockoutMode::default(),
            retention_seconds: 0,
            expiry_notice_seconds: vec![],
            rotation_due_days: 0,
            spelling: Spelling::default(),
            buckets_max: BUCKETS_DEFAULT,
        }
    }
}

impl AccountSettings {
    /// The longest life that the account allows, if it limits lifetimes.
    pub fn longest_expiry(&self) -> Option<Expiry> {
        let seconds = self.access_key_lifetime_seconds_max?;
        Some(Expiry::After(TimeToLive::from_seconds(seconds)))
    }

    /// Checks every range, and puts the notices in their order.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn checked(mut self) -> Result<Self, InvalidSetting> {
        let check = |holds: bool, setting, rule| {
            if holds { Ok(()) } else { Err(InvalidSetting { setting, rule }) }
        };
        check(
            (1..=ACCESS_KEYS_PER_USER_MAX).contains(&self.access_keys_per_user_max),
            "access_keys_per_user_max",
            "must be 1 to 10",
        )?;
        check(
            self.access_key_lifetime_seconds_max
                .is_none_or(|seconds| (1..=LIFETIME_SECONDS_MAX).contains(&seconds)),
            "access_key_lifetime_seconds_max",
            "must be 1 second to 100 years",
        )?;
        check(
            self.default_grace_period_seconds <= GRACE_PERIOD_SECONDS_MAX,
            "default_grace_period_seconds",
            "must be at most 7776000, 90 days",
        )?;
        check(
            self.retention_seconds <= RETENTION_SECONDS_MAX,
            "retention_seconds",
            "must be at most 7776000, 90 days",
        )?;
        check(
            self.rotation_due_days <= ROTATION_DUE_DAYS_MAX,
            "rotation_due_days",
            "must be at most 3650",
        )?;
        check((1..=BUCKETS_MAX).contains(&self.buckets_max), "buckets_max", "must be 1 to 10000")?;
        let notices = &mut self.expiry_notice_seconds;
        notices.sort_unstable_by(|one, other| other.cmp(one));
        notices.dedup();
        let in_range = |notice: &u32| (60..=EXPIRY_NOTICE_SECONDS_MAX).contains(notice);
        check(
            notices.len() <= EXPIRY_NOTICES_MAX && notices.iter().all(in_range),
            "expiry_notice_seconds",
            "must be at most 8 of 60 to 31536000, a year",
        )?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_its_range() {
        fn check(change: impl FnOnce(&mut AccountSettings), setting: Option<&str>) {
            let mut settings = AccountSettings::default();
            change(&mut settings);
            assert_eq!(settings.checked().err().map(|error| error.setting), setting);
        }
        check(|_| {}, None);
        check(|s| s.access_keys_per_user_max = 2, None);
        for bad in [0, 11] {
            check(|s| s.access_keys_per_user_max = bad, Some("access_keys_per_user_max"));
        }
        check(|s| s.access_key_lifetime_seconds_max = Some(1), None);
        for bad in [0, LIFETIME_SECONDS_MAX + 1] {
            let setting = Some("access_key_lifetime_seconds_max");
            check(|s| s.access_key_lifetime_seconds_max = Some(bad), setting);
        }
        check(|s| s.default_grace_period_seconds = 7_776_001, Some("default_grace_period_seconds"));
        check(|s| s.retention_seconds = 7_776_001, Some("retention_seconds"));
        check(|s| s.rotation_due_days = 3651, Some("rotation_due_days"));
        check(|s| s.buckets_max = BUCKETS_MAX, None);
        for bad in [0, BUCKETS_MAX + 1] {
            check(|s| s.buckets_max = bad, Some("buckets_max"));
        }
        for bad in [vec![59], vec![31_536_001], (60..69).collect()] {
            check(|s| s.expiry_notice_seconds = bad, Some("expiry_notice_seconds"));
        }
    }

    #[test]
    fn notices_stand_once_and_the_farthest_first() {
        let expiry_notice_seconds = vec![60, 86_400, 60];
        let settings = AccountSettings { expiry_notice_seconds, ..AccountSettings::default() };
        let settings = settings.checked().expect("valid");
        assert_eq!(settings.expiry_notice_seconds, [86_400, 60]);
    }
}
