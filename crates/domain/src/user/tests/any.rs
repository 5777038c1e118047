//! What properties are tried with.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample;

use super::*;
use crate::{Tag, TagsChange};

fn any_name() -> impl Strategy<Value = UserName> {
    sample::select(vec!["a", "A", "b"]).prop_map(name)
}

fn any_tags() -> impl Strategy<Value = Tags> {
    proptest::collection::btree_map(0..4_u8, 0..4_u8, 0..4).prop_map(|tags| {
        let parse = |(key, value): (&u8, &u8)| {
            Tag::parse(&key.to_string(), &value.to_string()).expect("valid")
        };
        Tags::new(tags.iter().map(parse)).expect("valid")
    })
}

fn any_settings() -> impl Strategy<Value = AccountSettings> {
    let max = option::weighted(0.3, 1..400_u64);
    (
        2..=5_u8,
        max,
        0..50_u32,
        prop_oneof![1 => Just(0), 3 => 1..200_u32],
        vec(60..300_u32, 0..3),
        0..2_u32,
    )
        .prop_map(|(keys, max, grace, retention, expiry_notice_seconds, rotation_due_days)| {
            let settings = AccountSettings {
                access_keys_per_user_max: keys,
                access_key_lifetime_seconds_max: max,
                default_grace_period_seconds: grace,
                retention_seconds: retention,
                expiry_notice_seconds,
                rotation_due_days,
                spelling: Spelling::default(),
                ..AccountSettings::default()
            };
            settings.checked().expect("valid")
        })
}

pub(super) fn any_instant() -> impl Strategy<Value = Timestamp> {
    (0..400_000_i64).prop_map(|ms| at(0) + TimeDelta::milliseconds(ms))
}

fn any_state() -> impl Strategy<Value = AccessKeyState> {
    prop_oneof![Just(AccessKeyState::Active), Just(AccessKeyState::Inactive)]
}

fn any_slot() -> impl Strategy<Value = Option<Slot>> {
    prop_oneof![Just(None), Just(Some(Slot::One)), Just(Some(Slot::Two))]
}

fn any_ttl() -> impl Strategy<Value = TimeToLive> {
    (0..100_u32).prop_map(|seconds| ttl(&format!("PT{seconds}S")))
}

fn any_expiry() -> impl Strategy<Value = Expiry> {
    prop_oneof![
        Just(Expiry::Never),
        any_instant().prop_map(Expiry::At),
        any_ttl().prop_map(Expiry::After),
    ]
}

pub(super) fn any_key() -> impl Strategy<Value = u8> + Clone {
    0..5_u8
}

fn any_new_key() -> impl Strategy<Value = NewAccessKey> {
    let max = option::weighted(0.1, 1..400_u64);
    let start = option::weighted(0.2, any_instant());
    (any_key(), any_slot(), any_state(), start, any_expiry(), max).prop_map(
        |(n, slot, state, not_before, expiry, lifetime_seconds_max)| NewAccessKey {
            slot,
            state,
            not_before,
            expiry,
            lifetime_seconds_max,
            ..new_key(n)
        },
    )
}

fn any_command() -> impl Strategy<Value = Command> {
    let id = || any_key().prop_map(id);
    let grace = || option::of(0..200_u32);
    let changes = (option::of(any_slot()), option::of(any_state()), option::of(any_expiry()))
        .prop_map(|(slot, state, expiry)| AccessKeyChanges {
            slot,
            state,
            expiry,
            ..AccessKeyChanges::default()
        });
    let user_changes = (option::of(any_name()), option::of(any_tags()))
        .prop_map(|(name, tags)| UserChanges { name, tags, ..UserChanges::default() });
    prop_oneof![
        2 => any_name().prop_map(|name| Command::Create(NewUser { name, ..new_user() })),
        1 => user_changes.prop_map(Command::Update),
        1 => Just(Command::Lock),
        1 => Just(Command::Unlock),
        1 => option::weighted(0.1, Just(true))
            .prop_map(|force| Command::Delete { force: force.is_some() }),
        8 => any_new_key().prop_map(Command::CreateAccessKey),
        3 => (any_new_key(), any::<bool>())
            .prop_map(|(access_key, keep_expiry)| Command::TakeSlot { access_key, keep_expiry }),
        1 => any_new_key()
            .prop_map(|key| Command::WithComment(label("x"), Box::new(Command::CreateAccessKey(key)))),
        1 => (any_name(), any_new_key()).prop_map(|(name, key)| {
            Command::CreateWithAccessKey(NewUser { name, ..new_user() }, key)
        }),
        4 => (id(), changes).prop_map(|(id, changes)| Command::UpdateAccessKey { id, changes }),
        6 => (any_key(), grace(), option::weighted(0.3, any_expiry()))
            .prop_map(|(n, grace, expiry)| rotate_until(n, grace, expiry)),
        2 => id().prop_map(|id| Command::EndGracePeriod { id }),
        3 => (id(), any_new_key(), grace()).prop_map(|(id, replacement, grace_period_seconds)| {
            Command::ReplaceAccessKey { id, replacement, grace_period_seconds }
        }),
        3 => (id(), option::of(any_new_key()))
            .prop_map(|(id, replacement)| Command::DeleteAccessKey { id, replacement }),
        4 => id().prop_map(|id| Command::UndeleteAccessKey { id }),
        1 => id().prop_map(|id| Command::PurgeAccessKey { id }),
        3 => (id(), option::of(any_source()), any_instant(), any::<u32>()).prop_map(
            |(id, source, ends_at, failures)| Command::LockOutAccessKey {
                id,
                source,
                ends_at,
                failures,
            }
        ),
        3 => Just(Command::Tick),
        2 => any_key().prop_map(|n| Command::SetPassword { sealed: sealed(n) }),
        1 => Just(Command::RemovePassword),
    ]
}

fn any_source() -> impl Strategy<Value = Source> {
    any::<std::net::IpAddr>().prop_map(Source::of)
}

pub(super) fn any_event() -> impl Strategy<Value = UserEvent> {
    let end = || option::of(any_instant());
    let change = vec(any_key(), 0..3).prop_flat_map(|removed| {
        let removed: Vec<Box<str>> = removed.iter().map(|n| n.to_string().into()).collect();
        any_tags().prop_map(move |tags| TagsChange {
            set: tags.iter().cloned().collect(),
            removed: removed.clone(),
        })
    });
    let key = any_key();
    prop_oneof![
        6 => any::<bool>().prop_map(created_user),
        1 => any_name().prop_map(|name| UserEvent::Renamed { name }),
        1 => change.prop_map(UserEvent::TagsChanged),
        1 => Just(UserEvent::LabelChanged { label: label("x") }),
        1 => Just(UserEvent::CommentChanged { comment: label("x") }),
        1 => Just(UserEvent::PathChanged { path: UserPath::default() }),
        1 => Just(UserEvent::EmailChanged { email: Email::default() }),
        1 => Just(UserEvent::Locked),
        1 => Just(UserEvent::Unlocked),
        1 => Just(UserEvent::Deleted),
        9 => (any_new_key(), end(), option::of(any_ttl()))
            .prop_map(|(new, end, time_to_live)| created_as(new, end, time_to_live)),
        2 => key
            .clone()
            .prop_map(|n| UserEvent::AccessKeyLabelChanged { id: id(n), label: label("x") }),
        2 => (key.clone(), any_slot())
            .prop_map(|(n, slot)| UserEvent::AccessKeySlotChanged { id: id(n), slot }),
        2 => key.clone().prop_map(|n| UserEvent::AccessKeyActivated { id: id(n) }),
        2 => key.clone().prop_map(|n| UserEvent::AccessKeyDeactivated { id: id(n) }),
        2 => (key.clone(), end(), option::of(any_ttl())).prop_map(
            |(n, expires_at, time_to_live)| UserEvent::AccessKeyExpiryChanged {
                id: id(n),
                expires_at,
                time_to_live,
            }
        ),
        4 => (key.clone(), any::<u32>(), any_instant()).prop_map(
            |(n, generation, previous_expires_at)| UserEvent::SecretAccessKeyRotated {
                id: id(n),
                generation,
                secret: sealed(n),
                previous_expires_at,
            }
        ),
        2 => key.clone().prop_map(grace_period_ended),
        2 => (key.clone(), any_instant(), any::<u32>()).prop_map(
            |(n, expires_at, notice_seconds)| UserEvent::AccessKeyExpiring {
                id: id(n),
                expires_at,
                notice_seconds,
            }
        ),
        2 => (key.clone(), any::<u32>(), any_instant()).prop_map(
            |(n, generation, secret_created_at)| UserEvent::AccessKeyRotationDue {
                id: id(n),
                generation,
                secret_created_at,
            }
        ),
        4 => (key.clone(), option::of(any_instant()))
            .prop_map(|(n, purge_at)| UserEvent::AccessKeyDeleted { id: id(n), purge_at }),
        3 => key.clone().prop_map(undeleted),
        2 => key.clone().prop_map(purged),
        1 => (key.clone(), option::of(any_source()), any_instant()).prop_map(
            |(n, source, ends_at)| UserEvent::AccessKeyLockedOut {
                id: id(n),
                source,
                ends_at,
                failures: 4,
            }
        ),
        2 => (any::<u32>(), key).prop_map(|(generation, n)| UserEvent::PasswordSet {
            generation,
            sealed: sealed(n),
        }),
        1 => any::<u32>().prop_map(|generation| UserEvent::PasswordRemoved { generation }),
    ]
}

/// Random commands, each some milliseconds after the one before; the settings change now and then.
pub(super) fn any_story() -> impl Strategy<Value = Vec<(i64, Option<AccountSettings>, Command)>> {
    let pause = prop_oneof![10 => Just(0_i64), 40 => 1..9000_i64, 1 => Just(DAY * 1000)];
    let step = (pause, option::weighted(0.1, any_settings()), any_command());
    vec(step, 0..80).prop_map(|mut steps| {
        steps.insert(0, (0, None, Command::Create(new_user())));
        steps
    })
}
