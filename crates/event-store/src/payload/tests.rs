use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn id() -> AccessKeyId {
    AccessKeyId::parse("AKIAIOSFODNN7EXAMPLE").expect("valid")
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_timestamp_millis(ms).expect("in range")
}

fn text(text: &str) -> Label {
    Label::parse(text).expect("valid")
}

fn secret() -> SealedSecret {
    SealedSecret([1, 2, 3].into())
}

/// The kinds of the first release, with the fields they had then.
fn first_kinds() -> Vec<Event> {
    let name = UserName::parse("alice").expect("valid");
    let user = [
        UserEvent::Created {
            name,
            root: true,
            label: text("Alice's laptop"),
            comment: text(""),
            path: UserPath::default(),
            email: Email::default(),
        },
        UserEvent::LabelChanged { label: text("Alice's laptop") },
        UserEvent::Locked,
        UserEvent::Unlocked,
        UserEvent::Deleted,
        UserEvent::AccessKeyCreated {
            id: id(),
            secret: secret(),
            imported: false,
            label: text(""),
            slot: None,
            not_before: None,
            expires_at: None,
            time_to_live: None,
        },
        UserEvent::AccessKeyActivated { id: id() },
        UserEvent::AccessKeyDeactivated { id: id() },
        UserEvent::AccessKeyExpiryChanged {
            id: id(),
            expires_at: Some(at(1_700_000_000_123)),
            time_to_live: None,
        },
        UserEvent::SecretAccessKeyRotated {
            id: id(),
            generation: 2,
            secret: secret(),
            previous_expires_at: at(1_700_000_000_999),
        },
        UserEvent::GracePeriodEnded { id: id() },
        UserEvent::AccessKeyDeleted { id: id(), purge_at: None },
    ];
    let account = AccountEvent::Created {
        number: AccountNumber::parse("123456789012").expect("valid"),
        display_name: DisplayName::parse("Acme").expect("valid"),
    };
    [Event::Account(account)].into_iter().chain(user.map(Event::User)).collect()
}

/// Kinds and fields that came later.
fn later_kinds() -> Vec<Event> {
    let tag = |key, value| Tag::parse(key, value).expect("valid");
    let time_to_live = || Some(TimeToLive::parse("P2DT6H3M10S").expect("valid"));
    let user = [
        UserEvent::Created {
            name: UserName::parse("Bob").expect("valid"),
            root: false,
            label: text("Bob"),
            comment: text("night shift"),
            path: UserPath::parse("/division_abc/").expect("valid"),
            email: Email::parse("bob@example.org").expect("valid"),
        },
        UserEvent::AccessKeyCreated {
            id: id(),
            secret: secret(),
            imported: true,
            label: text("backup"),
            slot: Some(Slot::Two),
            not_before: Some(at(1_700_000_000_001)),
            expires_at: Some(at(1_700_000_000_002)),
            time_to_live: time_to_live(),
        },
        UserEvent::AccessKeyExpiryChanged {
            id: id(),
            expires_at: Some(at(1_700_000_000_123)),
            time_to_live: time_to_live(),
        },
        UserEvent::AccessKeyDeleted { id: id(), purge_at: Some(at(1_700_000_000_003)) },
        UserEvent::Renamed { name: UserName::parse("Bobby").expect("valid") },
        UserEvent::CommentChanged { comment: text("day shift") },
        UserEvent::PathChanged { path: UserPath::default() },
        UserEvent::EmailChanged { email: Email::default() },
        UserEvent::TagsChanged(TagsChange {
            set: vec![tag("Team", "storage"), tag("Cost Center", "")],
            removed: vec!["Old".into()],
        }),
        UserEvent::AccessKeyLabelChanged { id: id(), label: text("laptop") },
        UserEvent::AccessKeySlotChanged { id: id(), slot: Some(Slot::One) },
        UserEvent::AccessKeySlotChanged { id: id(), slot: None },
        UserEvent::AccessKeyExpiring {
            id: id(),
            expires_at: at(1_700_000_000_002),
            notice_seconds: 604_800,
        },
        UserEvent::AccessKeyRotationDue {
            id: id(),
            generation: 3,
            secret_created_at: at(1_700_000_000_004),
        },
        UserEvent::AccessKeyUndeleted { id: id() },
        UserEvent::AccessKeyPurged { id: id() },
    ];
    let settings = AccountSettings {
        access_keys_per_user_max: 2,
        access_key_lifetime_seconds_max: Some(94_608_000),
        default_grace_period_seconds: 3600,
        lockout: LockoutMode::PerKey,
        retention_seconds: 86_400,
        expiry_notice_seconds: vec![604_800, 86_400],
        rotation_due_days: 90,
        spelling: Spelling::default(),
        buckets_max: 1000,
    };
    let account = [
        AccountEvent::Renamed { display_name: DisplayName::parse("Acme Inc.").expect("valid") },
        AccountEvent::SettingsChanged { settings },
        AccountEvent::SettingsChanged { settings: AccountSettings::default() },
        AccountEvent::Deleted,
    ];
    let account_id = AccountId::parse("01920000-0000-7000-8000-000000000000");
    let token = |account, expires_at| AdminTokenEvent::Created {
        name: UserName::parse("ci").expect("valid"),
        hash: TokenHash([7; 32]),
        account,
        read_only: true,
        expires_at,
    };
    let admin_token = [
        token(account_id, Some(at(1_700_000_000_005))),
        token(None, None),
        AdminTokenEvent::Revoked,
    ];
    let account = account.into_iter().map(Event::Account);
    let user = user.into_iter().map(Event::User);
    let unchanged = [
        Event::User(UserEvent::Unchanged { access_key: Some(id()) }),
        Event::User(UserEvent::Unchanged { access_key: None }),
        Event::Account(AccountEvent::Unchanged),
        Event::Account(AccountEvent::SettingsChanged {
            settings: AccountSettings { spelling: Spelling::Outscale, ..Default::default() },
        }),
        Event::User(UserEvent::PasswordSet { generation: 3, sealed: secret() }),
        Event::User(UserEvent::PasswordRemoved { generation: 3 }),
        locked_out(Some("2001:db8:1:2::/64")),
        locked_out(None),
        Event::Account(AccountEvent::SettingsChanged {
            settings: AccountSettings { buckets_max: 10_000, ..Default::default() },
        }),
    ];
    let bucket = || BucketName::parse("my-bucket.1").expect("valid");
    let region = |text| BucketRegion::parse(text).ok();
    let buckets = [
        BucketEvent::Claimed { name: bucket(), region: region("us-east-1") },
        BucketEvent::Claimed { name: bucket(), region: None },
        BucketEvent::Released { name: bucket() },
        BucketEvent::Received {
            name: bucket(),
            region: region("EU"),
            created_at: at(1_700_000_000_007),
        },
        BucketEvent::Given { name: bucket() },
    ];
    account
        .chain(user)
        .chain(admin_token.into_iter().map(Event::AdminToken))
        .chain(unchanged)
        .chain(buckets.map(Event::Bucket))
        .collect()
}

fn locked_out(source: Option<&str>) -> Event {
    let source = source.map(|source| Source::parse(source).expect("one"));
    let ends_at = at(1_700_000_000_006);
    Event::User(UserEvent::AccessKeyLockedOut { id: id(), source, ends_at, failures: 40 })
}

#[test]
fn every_kind_of_event_comes_back_as_it_was() {
    for event in first_kinds().into_iter().chain(later_kinds()) {
        let Payload { bytes, sealed, .. } = encode(&event);
        let decoded = decode(SCHEMA_VERSION, bytes, sealed.as_ref()).expect("decodes");
        assert_eq!(decoded, event);
    }
}

/// These bytes stand in logs: they must decode for ever. A line that no longer does is not to be
/// changed; the code is.
#[test]
fn what_was_ever_recorded_still_decodes() {
    for (golden, events) in [
        (include_str!("../../tests/golden/v1.txt"), first_kinds()),
        (include_str!("../../tests/golden/v1_later.txt"), later_kinds()),
    ] {
        let recorded: Vec<_> = golden.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(recorded.len(), events.len(), "as lines:\n{}", lines(&events));
        for (line, event) in recorded.into_iter().zip(events) {
            let (event_type, hex) = line.split_once(' ').expect("type and bytes");
            let bytes: Vec<u8> = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal"))
                .collect();
            let encoded = encode(&event);
            let decoded = decode(1, bytes.into(), encoded.sealed.as_ref());
            assert_eq!(decoded.expect("decodes"), event);
            assert_eq!(encoded.event_type.to_string(), event_type);
        }
    }
}

/// What to add to a golden file for new kinds or fields.
fn lines(events: &[Event]) -> String {
    let mut lines = String::new();
    for event in events {
        let Payload { event_type, bytes, .. } = encode(event);
        let _ = write!(lines, "{event_type} ");
        for byte in &bytes {
            let _ = write!(lines, "{byte:02x}");
        }
        lines.push('\n');
    }
    lines
}

#[test]
fn every_kind_is_in_a_golden_file() {
    let kinds: std::collections::BTreeSet<_> =
        first_kinds().iter().chain(&later_kinds()).map(|event| encode(event).event_type).collect();
    let pool = prost_reflect::DescriptorPool::decode(api::FILE_DESCRIPTOR_SET).expect("decodes");
    let payload = pool.get_message_by_name("claviger.event.v1.Payload").expect("is there");
    assert_eq!(kinds, payload.fields().map(|field| field.number()).collect());
}

#[test]
fn an_unknown_kind_or_version_is_an_error() {
    assert!(matches!(decode(1, Bytes::new(), None), Err(PayloadError::UnknownKind)));
    let locked = encode(&Event::User(UserEvent::Locked)).bytes;
    assert!(matches!(decode(2, locked, None), Err(PayloadError::UnknownKind)));
}

#[test]
fn settings_of_nothing_are_the_defaults_and_unknown_ones_are_refused() {
    assert_eq!(settings(&proto::AccountSettings::default()), Ok(AccountSettings::default()));
    for bad in [
        proto::AccountSettings { lockout_mode: 9, ..Default::default() },
        proto::AccountSettings { access_keys_per_user_max: 300, ..Default::default() },
        proto::AccountSettings { retention_seconds: u32::MAX, ..Default::default() },
        proto::AccountSettings { buckets_max: 10_001, ..Default::default() },
    ] {
        assert!(settings(&bad).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn decoding_any_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = decode(SCHEMA_VERSION, bytes.into(), None);
    }
}
