//! What an event means: domain events to recorded payloads and back.
//!
//! A payload is a `claviger.event.v1.Payload`, which only ever gains fields and kinds. A secret,
//! sealed, stands beside it and not in it.

use api::event::v1::{self as proto, payload::Event as Kind};
use bytes::Bytes;
use domain::{
    AccessKeyId, AccountEvent, AccountNumber, DisplayName, Event, Label, SealedSecret, Timestamp,
    UserEvent, UserName,
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
    /// The event's secret, sealed.
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
    let (event_type, kind, sealed) = match event {
        Event::Account(event) => account_kind(event),
        Event::User(event) => user_kind(event),
    };
    let bytes = proto::Payload { event: Some(kind) }.encode_to_vec().into();
    Payload { event_type, bytes, sealed: sealed.map(|sealed| Bytes::copy_from_slice(&sealed.0)) }
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
    // A secret whose sealed part was dropped from the log stays there as an empty one.
    let secret = || SealedSecret(sealed.map(|sealed| sealed.to_vec()).unwrap_or_default().into());
    let event = match kind {
        Kind::AccountCreated(event) => {
            return Ok(Event::Account(AccountEvent::Created {
                number: AccountNumber::parse(&event.account_number)
                    .ok_or(PayloadError::InvalidField("account_number"))?,
                display_name: DisplayName::parse(&event.display_name)
                    .map_err(|_| PayloadError::InvalidField("display_name"))?,
            }));
        }
        Kind::UserCreated(event) => UserEvent::Created {
            name: UserName::parse(&event.user_name)
                .map_err(|_| PayloadError::InvalidField("user_name"))?,
            root: event.root,
            label: label(&event.label)?,
        },
        Kind::UserLabelChanged(event) => UserEvent::LabelChanged { label: label(&event.label)? },
        Kind::UserLocked(proto::UserLocked {}) => UserEvent::Locked,
        Kind::UserUnlocked(proto::UserUnlocked {}) => UserEvent::Unlocked,
        Kind::UserDeleted(proto::UserDeleted {}) => UserEvent::Deleted,
        Kind::AccessKeyCreated(event) => UserEvent::AccessKeyCreated {
            id: access_key_id(&event.access_key_id)?,
            secret: secret(),
            expires_at: event.expire_time.map(timestamp).transpose()?,
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
        },
        Kind::SecretAccessKeyRotated(event) => UserEvent::SecretAccessKeyRotated {
            id: access_key_id(&event.access_key_id)?,
            generation: event.generation,
            secret: secret(),
            previous_expires_at: event
                .previous_expire_time
                .ok_or(PayloadError::InvalidField("previous_expire_time"))
                .and_then(timestamp)?,
        },
        Kind::GracePeriodEnded(event) => {
            UserEvent::GracePeriodEnded { id: access_key_id(&event.access_key_id)? }
        }
        Kind::AccessKeyDeleted(event) => {
            UserEvent::AccessKeyDeleted { id: access_key_id(&event.access_key_id)? }
        }
    };
    Ok(Event::User(event))
}

fn account_kind(event: &AccountEvent) -> (u32, Kind, Option<&SealedSecret>) {
    match event {
        AccountEvent::Created { number, display_name } => (
            1,
            Kind::AccountCreated(proto::AccountCreated {
                account_number: number.to_string(),
                display_name: display_name.to_string(),
            }),
            None,
        ),
    }
}

fn user_kind(event: &UserEvent) -> (u32, Kind, Option<&SealedSecret>) {
    match event {
        UserEvent::Created { name, root, label } => (
            2,
            Kind::UserCreated(proto::UserCreated {
                user_name: name.to_string(),
                root: *root,
                label: label.to_string(),
            }),
            None,
        ),
        UserEvent::LabelChanged { label } => {
            (3, Kind::UserLabelChanged(proto::UserLabelChanged { label: label.to_string() }), None)
        }
        UserEvent::Locked => (4, Kind::UserLocked(proto::UserLocked {}), None),
        UserEvent::Unlocked => (5, Kind::UserUnlocked(proto::UserUnlocked {}), None),
        UserEvent::Deleted => (6, Kind::UserDeleted(proto::UserDeleted {}), None),
        UserEvent::AccessKeyCreated { id, secret, expires_at } => (
            7,
            Kind::AccessKeyCreated(proto::AccessKeyCreated {
                access_key_id: id.to_string(),
                expire_time: expires_at.map(proto_timestamp),
            }),
            Some(secret),
        ),
        UserEvent::AccessKeyActivated { id } => (
            8,
            Kind::AccessKeyActivated(proto::AccessKeyActivated { access_key_id: id.to_string() }),
            None,
        ),
        UserEvent::AccessKeyDeactivated { id } => (
            9,
            Kind::AccessKeyDeactivated(proto::AccessKeyDeactivated {
                access_key_id: id.to_string(),
            }),
            None,
        ),
        UserEvent::AccessKeyExpiryChanged { id, expires_at } => (
            10,
            Kind::AccessKeyExpiryChanged(proto::AccessKeyExpiryChanged {
                access_key_id: id.to_string(),
                expire_time: expires_at.map(proto_timestamp),
            }),
            None,
        ),
        UserEvent::SecretAccessKeyRotated { id, generation, secret, previous_expires_at } => (
            11,
            Kind::SecretAccessKeyRotated(proto::SecretAccessKeyRotated {
                access_key_id: id.to_string(),
                generation: *generation,
                previous_expire_time: Some(proto_timestamp(*previous_expires_at)),
            }),
            Some(secret),
        ),
        UserEvent::GracePeriodEnded { id } => (
            12,
            Kind::GracePeriodEnded(proto::GracePeriodEnded { access_key_id: id.to_string() }),
            None,
        ),
        UserEvent::AccessKeyDeleted { id } => (
            13,
            Kind::AccessKeyDeleted(proto::AccessKeyDeleted { access_key_id: id.to_string() }),
            None,
        ),
    }
}

fn access_key_id(text: &str) -> Result<AccessKeyId, PayloadError> {
    AccessKeyId::parse(text).map_err(|_| PayloadError::InvalidField("access_key_id"))
}

fn label(text: &str) -> Result<Label, PayloadError> {
    Label::parse(text).map_err(|_| PayloadError::InvalidField("label"))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> AccessKeyId {
        AccessKeyId::parse("AKIAIOSFODNN7EXAMPLE").expect("valid")
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_timestamp_millis(ms).expect("in range")
    }

    fn every_kind() -> Vec<Event> {
        let name = UserName::parse("alice").expect("valid");
        let text = Label::parse("Alice's laptop").expect("valid");
        let secret = SealedSecret([1, 2, 3].into());
        let user = [
            UserEvent::Created { name, root: true, label: text.clone() },
            UserEvent::LabelChanged { label: text },
            UserEvent::Locked,
            UserEvent::Unlocked,
            UserEvent::Deleted,
            UserEvent::AccessKeyCreated { id: id(), secret: secret.clone(), expires_at: None },
            UserEvent::AccessKeyActivated { id: id() },
            UserEvent::AccessKeyDeactivated { id: id() },
            UserEvent::AccessKeyExpiryChanged { id: id(), expires_at: Some(at(1_700_000_000_123)) },
            UserEvent::SecretAccessKeyRotated {
                id: id(),
                generation: 2,
                secret,
                previous_expires_at: at(1_700_000_000_999),
            },
            UserEvent::GracePeriodEnded { id: id() },
            UserEvent::AccessKeyDeleted { id: id() },
        ];
        let account = AccountEvent::Created {
            number: AccountNumber::parse("123456789012").expect("valid"),
            display_name: DisplayName::parse("Acme").expect("valid"),
        };
        [Event::Account(account)].into_iter().chain(user.map(Event::User)).collect()
    }

    #[test]
    fn every_kind_of_event_comes_back_as_it_was() {
        for event in every_kind() {
            let Payload { bytes, sealed, .. } = encode(&event);
            let decoded = decode(SCHEMA_VERSION, bytes, sealed.as_ref()).expect("decodes");
            assert_eq!(decoded, event);
        }
    }

    /// Recorded by version 1. These bytes stand in logs: they must decode for ever.
    #[test]
    fn what_version_1_recorded_still_decodes() {
        let golden = include_str!("../tests/golden/v1.txt");
        let recorded: Vec<_> = golden.lines().filter(|line| !line.starts_with('#')).collect();
        let events = every_kind();
        assert_eq!(recorded.len(), events.len());
        for (line, event) in recorded.into_iter().zip(events) {
            let (event_type, hex) = line.split_once(' ').expect("type and bytes");
            let bytes: Vec<u8> = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal"))
                .collect();
            let sealed = Bytes::from_static(&[1, 2, 3]);
            assert_eq!(decode(1, bytes.into(), Some(&sealed)).expect("decodes"), event);
            assert_eq!(encode(&event).event_type.to_string(), event_type);
        }
    }

    #[test]
    fn an_unknown_kind_or_version_is_an_error() {
        assert!(matches!(decode(1, Bytes::new(), None), Err(PayloadError::UnknownKind)));
        let locked = encode(&Event::User(UserEvent::Locked)).bytes;
        assert!(matches!(decode(2, locked, None), Err(PayloadError::UnknownKind)));
    }

    proptest! {
        #[test]
        fn decoding_any_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(SCHEMA_VERSION, bytes.into(), None);
        }
    }
}
