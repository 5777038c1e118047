//! What an event means: domain events to recorded payloads and back.
//!
//! A payload is a `claviger.event.v1.Payload`, which only ever gains fields and kinds. What must not
//! be shown with it, a sealed secret or the hash of an admin token, stands beside it.

use api::event::v1::{self as proto, payload::Event as Kind};
use bytes::Bytes;
use domain::{
    AccessKeyId, AccountEvent, AccountId, AccountNumber, AccountSettings, AdminTokenEvent,
    BucketEvent, BucketName, BucketRegion, DisplayName, Email, Event, InvalidName, Label,
    LockoutMode, SealedSecret, Slot, Source, Spelling, Tag, TagsChange, TimeToLive, Timestamp,
    TokenHash, UserEvent, UserName, UserPath,
};
use prost::Message;

/// Version of the payloads written today.
pub const SCHEMA_VERSION: u16 = 1;

/// An event in the form that a log keeps.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Payload {
    /// Which event it is: the number of its field in `claviger.event.v1.Payload`.
    pub event_type: u32,
    /// An encoded `claviger.event.v1.Payload`.
    pub bytes: Bytes,
    /// What is not shown of the event: a secret, sealed, or the hash of an admin token.
    pub sealed: Option<Bytes>,
}

/// A payload does not decode. The log was written by a newer version, or by something else.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The bytes are no payload.
    #[error("not a payload")]
    Malformed(#[from] prost::DecodeError),
    /// The payload is of a kind or version that this version does not know.
    #[error("an event of an unknown kind")]
    UnknownKind,
    /// A field is missing or not of its form.
    #[error("field {0} is not valid")]
    InvalidField(&'static str),
}

/// Encodes an event for the log.
pub fn encode(event: &Event) -> Payload {
    let (kind, sealed) = match event {
        Event::Account(event) => (account_kind(event), None),
        Event::User(event) => (user_kind(event), sealed_secret(event)),
        Event::Bucket(event) => (bucket_kind(event), None),
        Event::AdminToken(event) => (admin_token_kind(event), token_hash(event)),
    };
    let event_type = event_type(&kind);
    let bytes = proto::Payload { event: Some(kind) }.encode_to_vec().into();
    Payload { event_type, bytes, sealed: sealed.map(Bytes::copy_from_slice) }
}

/// Decodes what [`encode`] made, in this or an earlier version.
///
/// # Errors
/// [`PayloadError`]; trying again gets the same answer.
pub fn decode(
    schema_version: u16,
    bytes: Bytes,
    sealed: Option<&Bytes>,
) -> Result<Event, PayloadError> {
    if schema_version != SCHEMA_VERSION {
        return Err(PayloadError::UnknownKind);
    }
    let kind = proto::Payload::decode(bytes)?.event.ok_or(PayloadError::UnknownKind)?;
    // What was dropped from the log stays there as nothing: a secret that does not open.
    let sealed = sealed.map(|sealed| sealed.as_ref()).unwrap_or_default();
    let secret = || SealedSecret(sealed.into());
    let event = match kind {
        Kind::AccountCreated(event) => {
            return Ok(Event::Account(AccountEvent::Created {
                number: AccountNumber::parse(&event.account_number)
                    .ok_or(PayloadError::InvalidField("account_number"))?,
                display_name: display_name(&event.display_name)?,
            }));
        }
        Kind::AccountRenamed(event) => {
            let display_name = display_name(&event.display_name)?;
            return Ok(Event::Account(AccountEvent::Renamed { display_name }));
        }
        Kind::AccountSettingsChanged(event) => {
            let settings = settings(&event.settings.unwrap_or_default())
                .map_err(|_| PayloadError::InvalidField("settings"))?;
            return Ok(Event::Account(AccountEvent::SettingsChanged { settings }));
        }
        Kind::AccountDeleted(proto::AccountDeleted {}) => {
            return Ok(Event::Account(AccountEvent::Deleted));
        }
        Kind::AccountUnchanged(proto::AccountUnchanged {}) => {
            return Ok(Event::Account(AccountEvent::Unchanged));
        }
        Kind::AdminTokenCreated(event) => {
            let hash =
                TokenHash(sealed.try_into().map_err(|_| PayloadError::InvalidField("token hash"))?);
            return Ok(Event::AdminToken(AdminTokenEvent::Created {
                name: named("display_name", UserName::parse(&event.display_name))?,
                hash,
                account: match event.account.as_str() {
                    "" => None,
                    name => Some(
                        name.strip_prefix(ACCOUNTS)
                            .and_then(AccountId::parse)
                            .ok_or(PayloadError::InvalidField("account"))?,
                    ),
                },
                read_only: event.read_only,
                expires_at: event.expire_time.map(timestamp).transpose()?,
            }));
        }
        Kind::AdminTokenRevoked(proto::AdminTokenRevoked {}) => {
            return Ok(Event::AdminToken(AdminTokenEvent::Revoked));
        }
        Kind::BucketClaimed(event) => {
            let (name, region) = (bucket_name(&event.bucket_name)?, region(&event.region)?);
            return Ok(Event::Bucket(BucketEvent::Claimed { name, region }));
        }
        Kind::BucketReleased(event) => {
            let name = bucket_name(&event.bucket_name)?;
            return Ok(Event::Bucket(BucketEvent::Released { name }));
        }
        Kind::BucketReceived(event) => {
            let (name, region) = (bucket_name(&event.bucket_name)?, region(&event.region)?);
            let created_at = required("create_time", event.create_time)?;
            return Ok(Event::Bucket(BucketEvent::Received { name, region, created_at }));
        }
        Kind::BucketGiven(event) => {
            let name = bucket_name(&event.bucket_name)?;
            return Ok(Event::Bucket(BucketEvent::Given { name }));
        }
        Kind::UserCreated(event) => UserEvent::Created {
            name: named("user_name", UserName::parse(&event.user_name))?,
            root: event.root,
            label: label(&event.label)?,
            comment: label(&event.comment)?,
            path: match event.path.as_str() {
                "" => UserPath::default(),
                path => named("path", UserPath::parse(path))?,
            },
            email: named("email", Email::parse(&event.email))?,
        },
        Kind::UserRenamed(event) => {
            UserEvent::Renamed { name: named("user_name", UserName::parse(&event.user_name))? }
        }
        Kind::UserLabelChanged(event) => UserEvent::LabelChanged { label: label(&event.label)? },
        Kind::UserCommentChanged(event) => {
            UserEvent::CommentChanged { comment: label(&event.comment)? }
        }
        Kind::UserPathChanged(event) => {
            UserEvent::PathChanged { path: named("path", UserPath::parse(&event.path))? }
        }
        Kind::UserEmailChanged(event) => {
            UserEvent::EmailChanged { email: named("email", Email::parse(&event.email))? }
        }
        Kind::UserTagsChanged(event) => UserEvent::TagsChanged(TagsChange {
            set: event
                .set
                .iter()
                .map(|tag| named("set", Tag::parse(&tag.key, &tag.value)))
                .collect::<Result<_, _>>()?,
            removed: event.removed_keys.into_iter().map(String::into_boxed_str).collect(),
        }),
        Kind::UserLocked(proto::UserLocked {}) => UserEvent::Locked,
        Kind::UserUnlocked(proto::UserUnlocked {}) => UserEvent::Unlocked,
        Kind::UserDeleted(proto::UserDeleted {}) => UserEvent::Deleted,
        Kind::AccessKeyCreated(event) => UserEvent::AccessKeyCreated {
            id: access_key_id(&event.access_key_id)?,
            secret: secret(),
            imported: event.imported,
            label: label(&event.label)?,
            slot: slot(event.slot)?,
            not_before: event.not_before_time.map(timestamp).transpose()?,
            expires_at: event.expire_time.map(timestamp).transpose()?,
            time_to_live: time_to_live(&event.time_to_live)?,
        },
        Kind::AccessKeyLabelChanged(event) => UserEvent::AccessKeyLabelChanged {
            id: access_key_id(&event.access_key_id)?,
            label: label(&event.label)?,
        },
        Kind::AccessKeySlotChanged(event) => UserEvent::AccessKeySlotChanged {
            id: access_key_id(&event.access_key_id)?,
            slot: slot(event.slot)?,
        },
        Kind::AccessKeyActivated(event) => {
            UserEvent::AccessKeyActivated { id: access_key_id(&event.access_key_id)? }
        }
        Kind::AccessKeyDeactivated(event) => {
            UserEvent::AccessKeyDeactivated { id: access_key_id(&event.access_key_id)? }
        }
        Kind::AccessKeyExpiryChanged(event) => UserEvent::AccessKeyExpiryChanged {
            id: access_key_id(&event.access_key_id)?,
            expires_at: event.expire_time.map(timestamp).transpose()?,
            time_to_live: time_to_live(&event.time_to_live)?,
        },
        Kind::SecretAccessKeyRotated(event) => UserEvent::SecretAccessKeyRotated {
            id: access_key_id(&event.access_key_id)?,
            generation: event.generation,
            secret: secret(),
            previous_expires_at: required("previous_expire_time", event.previous_expire_time)?,
        },
        Kind::GracePeriodEnded(event) => {
            UserEvent::GracePeriodEnded { id: access_key_id(&event.access_key_id)? }
        }
        Kind::AccessKeyExpiring(event) => UserEvent::AccessKeyExpiring {
            id: access_key_id(&event.access_key_id)?,
            expires_at: required("expire_time", event.expire_time)?,
            notice_seconds: event.notice_seconds,
        },
        Kind::AccessKeyRotationDue(event) => UserEvent::AccessKeyRotationDue {
            id: access_key_id(&event.access_key_id)?,
            generation: event.generation,
            secret_created_at: required("secret_create_time", event.secret_create_time)?,
        },
        Kind::AccessKeyDeleted(event) => UserEvent::AccessKeyDeleted {
            id: access_key_id(&event.access_key_id)?,
            purge_at: event.purge_time.map(timestamp).transpose()?,
        },
        Kind::AccessKeyUndeleted(event) => {
            UserEvent::AccessKeyUndeleted { id: access_key_id(&event.access_key_id)? }
        }
        Kind::AccessKeyPurged(event) => {
            UserEvent::AccessKeyPurged { id: access_key_id(&event.access_key_id)? }
        }
        Kind::AccessKeyLockedOut(event) => UserEvent::AccessKeyLockedOut {
            id: access_key_id(&event.access_key_id)?,
            source: match event.source.as_str() {
                "" => None,
                source => Some(named("source", Source::parse(source))?),
            },
            ends_at: required("end_time", event.end_time)?,
            failures: event.failures,
        },
        Kind::UserPasswordSet(event) => {
            UserEvent::PasswordSet { generation: event.generation, sealed: secret() }
        }
        Kind::UserPasswordRemoved(event) => {
            UserEvent::PasswordRemoved { generation: event.generation }
        }
        Kind::UserUnchanged(event) => UserEvent::Unchanged {
            access_key: match event.access_key_id.as_str() {
                "" => None,
                id => Some(access_key_id(id)?),
            },
        },
    };
    Ok(Event::User(event))
}

/// Begins the resource name of an account.
const ACCOUNTS: &str = "accounts/";

/// The number of a kind's field in `claviger.event.v1.Payload`.
fn event_type(kind: &Kind) -> u32 {
    match kind {
        Kind::AccountCreated(_) => 1,
        Kind::UserCreated(_) => 2,
        Kind::UserLabelChanged(_) => 3,
        Kind::UserLocked(_) => 4,
        Kind::UserUnlocked(_) => 5,
        Kind::UserDeleted(_) => 6,
        Kind::AccessKeyCreated(_) => 7,
        Kind::AccessKeyActivated(_) => 8,
        Kind::AccessKeyDeactivated(_) => 9,
        Kind::AccessKeyExpiryChanged(_) => 10,
        Kind::SecretAccessKeyRotated(_) => 11,
        Kind::GracePeriodEnded(_) => 12,
        Kind::AccessKeyDeleted(_) => 13,
        Kind::AccountRenamed(_) => 14,
        Kind::AccountSettingsChanged(_) => 15,
        Kind::AccountDeleted(_) => 16,
        Kind::UserRenamed(_) => 17,
        Kind::UserCommentChanged(_) => 18,
        Kind::UserPathChanged(_) => 19,
        Kind::UserEmailChanged(_) => 20,
        Kind::UserTagsChanged(_) => 21,
        Kind::AccessKeyLabelChanged(_) => 22,
        Kind::AccessKeySlotChanged(_) => 23,
        Kind::AccessKeyExpiring(_) => 24,
        Kind::AccessKeyRotationDue(_) => 25,
        Kind::AccessKeyUndeleted(_) => 26,
        Kind::AccessKeyPurged(_) => 27,
        Kind::AdminTokenCreated(_) => 28,
        Kind::AdminTokenRevoked(_) => 29,
        Kind::UserUnchanged(_) => 30,
        Kind::AccountUnchanged(_) => 31,
        Kind::UserPasswordSet(_) => 32,
        Kind::UserPasswordRemoved(_) => 33,
        Kind::AccessKeyLockedOut(_) => 34,
        Kind::BucketClaimed(_) => 35,
        Kind::BucketReleased(_) => 36,
        Kind::BucketReceived(_) => 37,
        Kind::BucketGiven(_) => 38,
    }
}

fn account_kind(event: &AccountEvent) -> Kind {
    match event {
        AccountEvent::Created { number, display_name } => {
            Kind::AccountCreated(proto::AccountCreated {
                account_number: number.to_string(),
                display_name: display_name.to_string(),
            })
        }
        AccountEvent::Renamed { display_name } => {
            Kind::AccountRenamed(proto::AccountRenamed { display_name: display_name.to_string() })
        }
        AccountEvent::SettingsChanged { settings } => {
            let settings = Some(proto_settings(settings));
            Kind::AccountSettingsChanged(proto::AccountSettingsChanged { settings })
        }
        AccountEvent::Deleted => Kind::AccountDeleted(proto::AccountDeleted {}),
        AccountEvent::Unchanged => Kind::AccountUnchanged(proto::AccountUnchanged {}),
    }
}

fn admin_token_kind(event: &AdminTokenEvent) -> Kind {
    match event {
        AdminTokenEvent::Created { name, hash: _, account, read_only, expires_at } => {
            Kind::AdminTokenCreated(proto::AdminTokenCreated {
                display_name: name.to_string(),
                account: account.map(|id| format!("{ACCOUNTS}{id}")).unwrap_or_default(),
                read_only: *read_only,
                expire_time: expires_at.map(proto_timestamp),
            })
        }
        AdminTokenEvent::Revoked => Kind::AdminTokenRevoked(proto::AdminTokenRevoked {}),
    }
}

fn bucket_kind(event: &BucketEvent) -> Kind {
    let bucket_name = event.name().to_string();
    let spelled = |region: &Option<BucketRegion>| {
        region.as_ref().map(ToString::to_string).unwrap_or_default()
    };
    match event {
        BucketEvent::Claimed { name: _, region } => {
            Kind::BucketClaimed(proto::BucketClaimed { bucket_name, region: spelled(region) })
        }
        BucketEvent::Released { name: _ } => {
            Kind::BucketReleased(proto::BucketReleased { bucket_name })
        }
        BucketEvent::Received { name: _, region, created_at } => {
            let create_time = Some(proto_timestamp(*created_at));
            let region = spelled(region);
            Kind::BucketReceived(proto::BucketReceived { bucket_name, region, create_time })
        }
        BucketEvent::Given { name: _ } => Kind::BucketGiven(proto::BucketGiven { bucket_name }),
    }
}

fn token_hash(event: &AdminTokenEvent) -> Option<&[u8]> {
    match event {
        AdminTokenEvent::Created { hash, .. } => Some(&hash.0),
        AdminTokenEvent::Revoked => None,
    }
}

fn sealed_secret(event: &UserEvent) -> Option<&[u8]> {
    if let UserEvent::AccessKeyCreated { secret, .. }
    | UserEvent::SecretAccessKeyRotated { secret, .. }
    | UserEvent::PasswordSet { sealed: secret, .. } = event
    {
        return Some(&secret.0);
    }
    None
}

fn user_kind(event: &UserEvent) -> Kind {
    match event {
        UserEvent::Created { name, root, label, comment, path, email } => {
            Kind::UserCreated(proto::UserCreated {
                user_name: name.to_string(),
                root: *root,
                label: label.to_string(),
                comment: comment.to_string(),
                path: if *path == UserPath::default() { String::new() } else { path.to_string() },
                email: email.to_string(),
            })
        }
        UserEvent::Renamed { name } => {
            Kind::UserRenamed(proto::UserRenamed { user_name: name.to_string() })
        }
        UserEvent::LabelChanged { label } => {
            Kind::UserLabelChanged(proto::UserLabelChanged { label: label.to_string() })
        }
        UserEvent::CommentChanged { comment } => {
            Kind::UserCommentChanged(proto::UserCommentChanged { comment: comment.to_string() })
        }
        UserEvent::PathChanged { path } => {
            Kind::UserPathChanged(proto::UserPathChanged { path: path.to_string() })
        }
        UserEvent::EmailChanged { email } => {
            Kind::UserEmailChanged(proto::UserEmailChanged { email: email.to_string() })
        }
        UserEvent::TagsChanged(change) => Kind::UserTagsChanged(proto::UserTagsChanged {
            set: change.set.iter().map(proto_tag).collect(),
            removed_keys: change.removed.iter().map(ToString::to_string).collect(),
        }),
        UserEvent::Locked => Kind::UserLocked(proto::UserLocked {}),
        UserEvent::Unlocked => Kind::UserUnlocked(proto::UserUnlocked {}),
        UserEvent::Deleted => Kind::UserDeleted(proto::UserDeleted {}),
        UserEvent::PasswordSet { generation, sealed: _ } => {
            Kind::UserPasswordSet(proto::UserPasswordSet { generation: *generation })
        }
        UserEvent::PasswordRemoved { generation } => {
            Kind::UserPasswordRemoved(proto::UserPasswordRemoved { generation: *generation })
        }
        UserEvent::AccessKeyCreated {
            id,
            secret: _,
            imported,
            label,
            slot,
            not_before,
            expires_at,
            time_to_live,
        } => Kind::AccessKeyCreated(proto::AccessKeyCreated {
            access_key_id: id.to_string(),
            imported: *imported,
            label: label.to_string(),
            slot: slot_number(*slot),
            not_before_time: not_before.map(proto_timestamp),
            expire_time: expires_at.map(proto_timestamp),
            time_to_live: spelling(time_to_live.as_ref()),
        }),
        UserEvent::AccessKeyLabelChanged { id, label } => {
            Kind::AccessKeyLabelChanged(proto::AccessKeyLabelChanged {
                access_key_id: id.to_string(),
                label: label.to_string(),
            })
        }
        UserEvent::AccessKeySlotChanged { id, slot } => {
            Kind::AccessKeySlotChanged(proto::AccessKeySlotChanged {
                access_key_id: id.to_string(),
                slot: slot_number(*slot),
            })
        }
        UserEvent::AccessKeyActivated { id } => {
            Kind::AccessKeyActivated(proto::AccessKeyActivated { access_key_id: id.to_string() })
        }
        UserEvent::AccessKeyDeactivated { id } => {
            Kind::AccessKeyDeactivated(proto::AccessKeyDeactivated {
                access_key_id: id.to_string(),
            })
        }
        UserEvent::AccessKeyExpiryChanged { id, expires_at, time_to_live } => {
            Kind::AccessKeyExpiryChanged(proto::AccessKeyExpiryChanged {
                access_key_id: id.to_string(),
                expire_time: expires_at.map(proto_timestamp),
                time_to_live: spelling(time_to_live.as_ref()),
            })
        }
        UserEvent::SecretAccessKeyRotated { id, generation, secret: _, previous_expires_at } => {
            Kind::SecretAccessKeyRotated(proto::SecretAccessKeyRotated {
                access_key_id: id.to_string(),
                generation: *generation,
                previous_expire_time: Some(proto_timestamp(*previous_expires_at)),
            })
        }
        UserEvent::GracePeriodEnded { id } => {
            Kind::GracePeriodEnded(proto::GracePeriodEnded { access_key_id: id.to_string() })
        }
        UserEvent::AccessKeyExpiring { id, expires_at, notice_seconds } => {
            Kind::AccessKeyExpiring(proto::AccessKeyExpiring {
                access_key_id: id.to_string(),
                expire_time: Some(proto_timestamp(*expires_at)),
                notice_seconds: *notice_seconds,
            })
        }
        UserEvent::AccessKeyRotationDue { id, generation, secret_created_at } => {
            Kind::AccessKeyRotationDue(proto::AccessKeyRotationDue {
                access_key_id: id.to_string(),
                generation: *generation,
                secret_create_time: Some(proto_timestamp(*secret_created_at)),
            })
        }
        UserEvent::AccessKeyDeleted { id, purge_at } => {
            Kind::AccessKeyDeleted(proto::AccessKeyDeleted {
                access_key_id: id.to_string(),
                purge_time: purge_at.map(proto_timestamp),
            })
        }
        UserEvent::AccessKeyUndeleted { id } => {
            Kind::AccessKeyUndeleted(proto::AccessKeyUndeleted { access_key_id: id.to_string() })
        }
        UserEvent::AccessKeyPurged { id } => {
            Kind::AccessKeyPurged(proto::AccessKeyPurged { access_key_id: id.to_string() })
        }
        UserEvent::AccessKeyLockedOut { id, source, ends_at, failures } => {
            Kind::AccessKeyLockedOut(proto::AccessKeyLockedOut {
                access_key_id: id.to_string(),
                source: source.map(|source| source.to_string()).unwrap_or_default(),
                end_time: Some(proto_timestamp(*ends_at)),
                failures: *failures,
            })
        }
        UserEvent::Unchanged { access_key } => Kind::UserUnchanged(proto::UserUnchanged {
            access_key_id: access_key.as_ref().map(ToString::to_string).unwrap_or_default(),
        }),
    }
}

fn named<T>(field: &'static str, parsed: Result<T, InvalidName>) -> Result<T, PayloadError> {
    parsed.map_err(|_| PayloadError::InvalidField(field))
}

fn access_key_id(text: &str) -> Result<AccessKeyId, PayloadError> {
    named("access_key_id", AccessKeyId::parse(text))
}

fn bucket_name(text: &str) -> Result<BucketName, PayloadError> {
    named("bucket_name", BucketName::parse(text))
}

fn region(text: &str) -> Result<Option<BucketRegion>, PayloadError> {
    if text.is_empty() {
        return Ok(None);
    }
    named("region", BucketRegion::parse(text)).map(Some)
}

fn label(text: &str) -> Result<Label, PayloadError> {
    named("label", Label::parse(text))
}

fn display_name(text: &str) -> Result<DisplayName, PayloadError> {
    named("display_name", DisplayName::parse(text))
}

fn time_to_live(spelling: &str) -> Result<Option<TimeToLive>, PayloadError> {
    if spelling.is_empty() {
        return Ok(None);
    }
    named("time_to_live", TimeToLive::parse(spelling)).map(Some)
}

fn spelling(time_to_live: Option<&TimeToLive>) -> String {
    time_to_live.map(|time_to_live| time_to_live.as_str().to_owned()).unwrap_or_default()
}

fn slot(number: u32) -> Result<Option<Slot>, PayloadError> {
    match number {
        0 => Ok(None),
        1 => Ok(Some(Slot::One)),
        2 => Ok(Some(Slot::Two)),
        _ => Err(PayloadError::InvalidField("slot")),
    }
}

/// The number of a slot; 0 for none.
pub fn slot_number(slot: Option<Slot>) -> u32 {
    match slot {
        None => 0,
        Some(Slot::One) => 1,
        Some(Slot::Two) => 2,
    }
}

/// The protobuf form of a tag.
pub fn proto_tag(tag: &Tag) -> proto::Tag {
    proto::Tag { key: tag.key().to_owned(), value: tag.value().to_owned() }
}

/// The protobuf form of which failed authentications lock an access key.
pub fn proto_lockout(mode: LockoutMode) -> proto::LockoutMode {
    match mode {
        LockoutMode::Off => proto::LockoutMode::Off,
        LockoutMode::PerSource => proto::LockoutMode::PerSource,
        LockoutMode::PerKey => proto::LockoutMode::PerKey,
    }
}

/// The protobuf form of an account's settings.
pub fn proto_settings(settings: &AccountSettings) -> proto::AccountSettings {
    let lockout_mode = proto_lockout(settings.lockout);
    proto::AccountSettings {
        access_keys_per_user_max: settings.access_keys_per_user_max.into(),
        access_key_lifetime_seconds_max: settings
            .access_key_lifetime_seconds_max
            .unwrap_or_default(),
        default_grace_period_seconds: settings.default_grace_period_seconds,
        lockout_mode: lockout_mode.into(),
        retention_seconds: settings.retention_seconds,
        expiry_notice_seconds: settings.expiry_notice_seconds.clone(),
        rotation_due_days: settings.rotation_due_days,
        // What is not said is AWS's: so it was before it could be said.
        spelling: match settings.spelling {
            Spelling::Aws => proto::Spelling::Unspecified,
            Spelling::Outscale => proto::Spelling::Outscale,
        }
        .into(),
        buckets_max: settings.buckets_max,
    }
}

/// Reads an account's settings from their protobuf form.
///
/// # Errors
/// The first setting that is out of its range.
pub fn settings(
    settings: &proto::AccountSettings,
) -> Result<AccountSettings, domain::InvalidSetting> {
    let unknown = |setting, rule| domain::InvalidSetting { setting, rule };
    let defaults = AccountSettings::default();
    let lockout = match settings.lockout_mode() {
        proto::LockoutMode::Unspecified if settings.lockout_mode != 0 => {
            return Err(unknown("lockout_mode", "must be OFF, PER_SOURCE or PER_KEY"));
        }
        proto::LockoutMode::Unspecified => defaults.lockout,
        proto::LockoutMode::Off => LockoutMode::Off,
        proto::LockoutMode::PerSource => LockoutMode::PerSource,
        proto::LockoutMode::PerKey => LockoutMode::PerKey,
    };
    let spelling = match settings.spelling() {
        proto::Spelling::Unspecified if settings.spelling != 0 => {
            return Err(unknown("spelling", "must be AWS or OUTSCALE"));
        }
        proto::Spelling::Unspecified | proto::Spelling::Aws => Spelling::Aws,
        proto::Spelling::Outscale => Spelling::Outscale,
    };
    let access_keys_per_user_max = match settings.access_keys_per_user_max {
        0 => defaults.access_keys_per_user_max,
        max => {
            u8::try_from(max).map_err(|_| unknown("access_keys_per_user_max", "must be 1 to 10"))?
        }
    };
    AccountSettings {
        access_keys_per_user_max,
        access_key_lifetime_seconds_max: Some(settings.access_key_lifetime_seconds_max)
            .filter(|seconds| *seconds > 0),
        default_grace_period_seconds: settings.default_grace_period_seconds,
        lockout,
        retention_seconds: settings.retention_seconds,
        expiry_notice_seconds: settings.expiry_notice_seconds.clone(),
        rotation_due_days: settings.rotation_due_days,
        spelling,
        buckets_max: match settings.buckets_max {
            0 => defaults.buckets_max,
            max => max,
        },
    }
    .checked()
}

/// The protobuf form of an instant.
pub fn proto_timestamp(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.timestamp(),
        nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default(),
    }
}

fn timestamp(time: prost_types::Timestamp) -> Result<Timestamp, PayloadError> {
    u32::try_from(time.nanos)
        .ok()
        .and_then(|nanos| Timestamp::from_timestamp(time.seconds, nanos))
        .ok_or(PayloadError::InvalidField("timestamp"))
}

fn required(
    field: &'static str,
    time: Option<prost_types::Timestamp>,
) -> Result<Timestamp, PayloadError> {
    time.ok_or(PayloadError::InvalidField(field)).and_then(timestamp)
}

#[cfg(test)]
mod tests;
