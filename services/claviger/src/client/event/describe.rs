//! Events in words.

use api::event::v1::payload::Event as Kind;
use api::event::v1::{AccountSettings, Tag};
use prost_types::Timestamp;

use super::super::account::{days, lockout, seconds, spelling};
use super::super::{instant, last_part};

/// What happened.
pub(super) struct Described {
    /// Its kind.
    pub(super) name: &'static str,
    /// To what, if that has a name of its own.
    pub(super) subject: Option<String>,
    /// And how.
    pub(super) detail: String,
}

impl Described {
    /// Of a newer server.
    pub(super) fn unknown() -> Self {
        plain("Unknown")
    }

    fn with(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }
}

fn plain(name: &'static str) -> Described {
    Described { name, subject: None, detail: String::new() }
}

fn of(name: &'static str, subject: &str) -> Described {
    Described { name, subject: Some(subject.to_owned()), detail: String::new() }
}

/// No `_` arm: a new kind of event fails to compile here.
pub(super) fn describe(kind: &Kind) -> Described {
    match kind {
        Kind::AccountCreated(event) => {
            of("AccountCreated", &event.display_name).with(&event.account_number)
        }
        Kind::UserCreated(event) => of("UserCreated", &event.user_name).with(&event.label),
        Kind::UserLabelChanged(event) => plain("UserLabelChanged").with(&event.label),
        Kind::UserLocked(_) => plain("UserLocked"),
        Kind::UserUnlocked(_) => plain("UserUnlocked"),
        Kind::UserDeleted(_) => plain("UserDeleted"),
        Kind::UserPasswordSet(event) => {
            plain("UserPasswordSet").with(format!("#{}", event.generation))
        }
        Kind::UserPasswordRemoved(event) => {
            plain("UserPasswordRemoved").with(format!("#{}", event.generation))
        }
        Kind::AccessKeyCreated(event) => {
            let imported = event.imported.then(|| "imported".to_owned());
            let from = event.not_before_time.as_ref().map(|from| format!("from {from}"));
            let end = event.expire_time.as_ref().map(|end| format!("until {end}"));
            of("AccessKeyCreated", &event.access_key_id).with(listed([imported, from, end]))
        }
        Kind::AccessKeyActivated(event) => of("AccessKeyActivated", &event.access_key_id),
        Kind::AccessKeyDeactivated(event) => of("AccessKeyDeactivated", &event.access_key_id),
        Kind::AccessKeyExpiryChanged(event) => {
            of("AccessKeyExpiryChanged", &event.access_key_id).with(until(&event.expire_time))
        }
        Kind::SecretAccessKeyRotated(event) => {
            let before = instant(event.previous_expire_time.as_ref());
            let detail = format!("#{}, the one before until {before}", event.generation);
            of("SecretAccessKeyRotated", &event.access_key_id).with(detail)
        }
        Kind::GracePeriodEnded(event) => of("GracePeriodEnded", &event.access_key_id),
        Kind::AccessKeyDeleted(event) => {
            let purge = event.purge_time.as_ref();
            let detail = purge.map(|purge| format!("can be undeleted until {purge}"));
            of("AccessKeyDeleted", &event.access_key_id).with(detail.unwrap_or_default())
        }
        Kind::AccountRenamed(event) => plain("AccountRenamed").with(&event.display_name),
        Kind::AccountSettingsChanged(event) => {
            let settings = event.settings.clone().unwrap_or_default();
            plain("AccountSettingsChanged").with(settings_in_words(&settings))
        }
        Kind::AccountDeleted(_) => plain("AccountDeleted"),
        Kind::UserRenamed(event) => plain("UserRenamed").with(&event.user_name),
        Kind::UserCommentChanged(event) => plain("UserCommentChanged").with(&event.comment),
        Kind::UserPathChanged(event) => plain("UserPathChanged").with(&event.path),
        Kind::UserEmailChanged(event) => plain("UserEmailChanged").with(&event.email),
        Kind::UserTagsChanged(event) => {
            let set = event.set.iter().map(|Tag { key, value }| Some(format!("{key}={value}")));
            let removed = event.removed_keys.iter().map(|key| Some(format!("no {key}")));
            plain("UserTagsChanged").with(listed(set.chain(removed)))
        }
        Kind::AccessKeyLabelChanged(event) => {
            of("AccessKeyLabelChanged", &event.access_key_id).with(&event.label)
        }
        Kind::AccessKeySlotChanged(event) => {
            let slot = match event.slot {
                0 => "none".to_owned(),
                slot => slot.to_string(),
            };
            of("AccessKeySlotChanged", &event.access_key_id).with(slot)
        }
        Kind::AccessKeyExpiring(event) => {
            of("AccessKeyExpiring", &event.access_key_id).with(until(&event.expire_time))
        }
        Kind::AccessKeyRotationDue(event) => {
            let made = instant(event.secret_create_time.as_ref());
            let detail = format!("#{} of {made}", event.generation);
            of("AccessKeyRotationDue", &event.access_key_id).with(detail)
        }
        Kind::AccessKeyLockedOut(event) => {
            let from = if event.source.is_empty() { "everywhere" } else { event.source.as_str() };
            let until = instant(event.end_time.as_ref());
            let detail = format!("from {from} until {until}, {} failed", event.failures);
            of("AccessKeyLockedOut", &event.access_key_id).with(detail)
        }
        Kind::AccessKeyUndeleted(event) => of("AccessKeyUndeleted", &event.access_key_id),
        Kind::UserUnchanged(event) => of("UserUnchanged", &event.access_key_id),
        Kind::AccountUnchanged(_) => of("AccountUnchanged", ""),
        Kind::AccessKeyPurged(event) => of("AccessKeyPurged", &event.access_key_id),
        Kind::AdminTokenCreated(event) => {
            let read_only = event.read_only.then(|| "read-only".to_owned());
            let account = Some(last_part(&event.account)).filter(|account| !account.is_empty());
            let account = account.map(|account| format!("for account {account}"));
            let end = event.expire_time.as_ref().map(|end| format!("until {end}"));
            of("AdminTokenCreated", &event.display_name).with(listed([read_only, account, end]))
        }
        Kind::AdminTokenRevoked(_) => plain("AdminTokenRevoked"),
        Kind::BucketClaimed(event) => of("BucketClaimed", &event.bucket_name).with(&event.region),
        Kind::BucketReleased(event) => of("BucketReleased", &event.bucket_name),
        Kind::BucketReceived(event) => {
            let made = event.create_time.as_ref().map(|made| format!("claimed {made}"));
            let region = Some(event.region.clone()).filter(|region| !region.is_empty());
            of("BucketReceived", &event.bucket_name).with(listed([region, made]))
        }
        Kind::BucketGiven(event) => of("BucketGiven", &event.bucket_name),
    }
}

fn until(end: &Option<Timestamp>) -> String {
    end.as_ref().map_or_else(|| "never".to_owned(), |end| format!("until {end}"))
}

fn settings_in_words(settings: &AccountSettings) -> String {
    let some = |name: &str, value: String| (!value.is_empty()).then(|| format!("{name} {value}"));
    let notices: Vec<_> = settings.expiry_notice_seconds.iter().map(seconds).collect();
    let keys = Some(settings.access_keys_per_user_max).filter(|max| *max > 0);
    let buckets = Some(settings.buckets_max).filter(|max| *max > 0);
    listed([
        keys.map(|max| format!("{max} access keys per user")),
        some("longest lifetime", seconds(&settings.access_key_lifetime_seconds_max)),
        some("default grace period", seconds(&settings.default_grace_period_seconds)),
        some("lockout", lockout(settings.lockout_mode()).to_owned()),
        some("retention", seconds(&settings.retention_seconds)),
        some("expiry notices", notices.join(" ")),
        some("rotation due", days(settings.rotation_due_days)),
        some("spelling", spelling(settings.spelling()).to_owned()),
        buckets.map(|max| format!("{max} buckets")),
    ])
}

fn listed(parts: impl IntoIterator<Item = Option<String>>) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use api::event::v1::{AdminTokenCreated, Payload, UserTagsChanged};
    use prost_reflect::{DescriptorPool, DynamicMessage, Value};

    use super::*;

    #[track_caller]
    fn check(kind: &Kind, expected: (&str, Option<&str>, &str)) {
        let Described { name, subject, detail } = describe(kind);
        assert_eq!((name, subject.as_deref(), detail.as_str()), expected);
    }

    #[test]
    fn an_event_says_what_changed() {
        let tag = Tag { key: "team".to_owned(), value: "blue".to_owned() };
        let tags = UserTagsChanged { set: vec![tag], removed_keys: vec!["floor".to_owned()] };
        check(&Kind::UserTagsChanged(tags), ("UserTagsChanged", None, "team=blue, no floor"));
        let token = AdminTokenCreated {
            display_name: "ci".to_owned(),
            account: "accounts/0192".to_owned(),
            read_only: true,
            expire_time: None,
        };
        let expected = ("AdminTokenCreated", Some("ci"), "read-only, for account 0192");
        check(&Kind::AdminTokenCreated(token), expected);
    }

    /// So that what a table shows can be given to --kind.
    #[test]
    fn an_event_has_the_name_of_its_message() {
        let pool = DescriptorPool::decode(api::FILE_DESCRIPTOR_SET).expect("ours");
        let payload = pool.get_message_by_name("claviger.event.v1.Payload").expect("there");
        for field in payload.fields() {
            let message = field.kind().as_message().expect("a message").clone();
            let name = message.name().to_owned();
            assert_eq!(super::super::field_name(&name), field.name());
            let mut empty = DynamicMessage::new(payload.clone());
            empty.set_field(&field, Value::Message(DynamicMessage::new(message)));
            let empty: Payload = empty.transcode_to().expect("ours");
            assert_eq!(describe(&empty.event.expect("set")).name, name);
        }
    }
}
