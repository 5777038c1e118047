use proptest::prelude::*;

use super::*;
use crate::{
    AccessKeyId, AccessKeyState, Expiry, Label, LockoutMode, NewAccessKey, SealedSecret, User,
    UserName, user,
};

fn at(second: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(1_700_000_000 + second, 0).expect("in range")
}

fn id(n: u8) -> AccessKeyId {
    AccessKeyId::from_random([n; 10])
}

fn number() -> AccountNumber {
    AccountNumber::from_random(7)
}

fn display_name(text: &str) -> DisplayName {
    DisplayName::parse(text).expect("valid")
}

fn limited(max: impl Into<Option<u64>>) -> AccountSettings {
    AccountSettings { access_key_lifetime_seconds_max: max.into(), ..AccountSettings::default() }
}

fn create(settings: AccountSettings) -> Command {
    Command::Create { number: number(), display_name: display_name("ACME"), settings }
}

fn created() -> AccountEvent {
    AccountEvent::Created { number: number(), display_name: display_name("ACME") }
}

fn changed(settings: AccountSettings) -> AccountEvent {
    AccountEvent::SettingsChanged { settings }
}

fn rename(to: &str) -> Command {
    let display_name = Some(display_name(to));
    Command::Update { display_name, settings: None, longest_lived: None }
}

fn delete(users: usize, buckets: usize) -> Command {
    Command::Delete { users, buckets }
}

fn set(settings: AccountSettings, longest_lived: Option<AccessKey>) -> Command {
    Command::Update { display_name: None, settings: Some(settings), longest_lived }
}

/// An access key that was made at second 0.
fn key(n: u8, not_before: Option<i64>, expires_at: Option<i64>) -> AccessKey {
    let new = NewAccessKey {
        id: id(n),
        secret: SealedSecret(vec![n].into()),
        imported: false,
        label: Label::default(),
        slot: None,
        state: AccessKeyState::Active,
        not_before: not_before.map(at),
        expiry: expires_at.map_or(Expiry::Never, |end| Expiry::At(at(end))),
        lifetime_seconds_max: None,
    };
    let made = crate::UserEvent::Created {
        name: UserName::parse("alice").expect("valid"),
        root: false,
        label: Label::default(),
        comment: Label::default(),
        path: crate::UserPath::default(),
        email: crate::Email::default(),
    };
    let owner = user::evolve(None, &made, at(0));
    let create = user::Command::CreateAccessKey(new);
    let events = user::decide(owner.as_ref(), create, &AccountSettings::default(), at(0));
    let events = events.expect("accepted");
    let owner: Option<User> =
        events.iter().fold(owner, |owner, event| user::evolve(owner, event, at(0)));
    owner.and_then(|mut owner| owner.access_keys.pop()).expect("made")
}

/// State after `given`, the event at index `i` recorded at second `i`.
fn state(given: &[AccountEvent]) -> Option<Account> {
    given.iter().zip(0..).fold(None, |account, (event, second)| evolve(account, event, at(second)))
}

/// Asks `command` at second 10 of an account with the history `given`.
fn check(given: &[AccountEvent], command: Command, expected: Result<Vec<AccountEvent>, Refusal>) {
    assert_eq!(decide(state(given).as_ref(), command.clone(), at(10)), expected, "{command:?}");
}

#[test]
fn an_account_is_made_once() {
    check(&[], create(AccountSettings::default()), Ok(vec![created()]));
    check(&[], create(limited(60)), Ok(vec![created(), changed(limited(60))]));
    check(&[created()], create(limited(60)), Err(Refusal::AccountExists));
    let gone = [created(), AccountEvent::Deleted];
    check(&gone, create(AccountSettings::default()), Ok(vec![created()]));
}

#[test]
fn a_new_account_has_what_it_was_made_with() {
    let account = state(&[created(), changed(limited(60))]).expect("exists");
    assert_eq!((account.number, account.display_name), (number(), display_name("ACME")));
    assert_eq!(account.settings, limited(60));
    assert_eq!((account.created_at, account.modified_at), (at(0), at(1)));
}

#[test]
fn nothing_can_be_asked_of_an_account_that_is_not_there() {
    for command in [rename("x"), set(limited(60), None), delete(0, 0)] {
        check(&[], command.clone(), Err(Refusal::NoSuchAccount));
        check(&[created(), AccountEvent::Deleted], command, Err(Refusal::NoSuchAccount));
    }
}

#[test]
fn an_account_is_deleted_after_its_users_and_buckets() {
    let refusal = Refusal::AccountHasUsers { count: 2 };
    check(&[created()], delete(2, 0), Err(refusal.clone()));
    check(&[created()], delete(2, 3), Err(refusal));
    check(&[created()], delete(0, 3), Err(Refusal::AccountHasBuckets { count: 3 }));
    check(&[created()], delete(0, 0), Ok(vec![AccountEvent::Deleted]));
}

#[test]
fn what_changes_nothing_records_nothing() {
    check(&[created()], rename("ACME"), Ok(vec![]));
    check(&[created()], set(AccountSettings::default(), None), Ok(vec![]));
    let nothing = Command::Update { display_name: None, settings: None, longest_lived: None };
    check(&[created()], nothing, Ok(vec![]));
}

#[test]
fn name_and_settings_change_together_or_not_at_all() {
    let both = |longest_lived| Command::Update {
        display_name: Some(display_name("Acme")),
        settings: Some(limited(60)),
        longest_lived,
    };
    let renamed = AccountEvent::Renamed { display_name: display_name("Acme") };
    check(&[created()], both(None), Ok(vec![renamed, changed(limited(60))]));
    let refusal = Refusal::LifetimesLonger { id: id(1) };
    check(&[created()], both(Some(key(1, None, None))), Err(refusal));
}

#[test]
fn lifetimes_are_not_limited_to_less_than_what_a_key_has_left() {
    let refused = |n| Err(Refusal::LifetimesLonger { id: id(n) });
    let accepted = || Ok(vec![changed(limited(60))]);
    for (key, expected) in [
        (key(1, None, None), refused(1)),
        (key(2, None, Some(71)), refused(2)),
        (key(3, None, Some(70)), accepted()),
        // Expired already.
        (key(4, None, Some(10)), accepted()),
        // A lifetime counts from the start.
        (key(5, Some(100), Some(161)), refused(5)),
        (key(6, Some(100), Some(160)), accepted()),
    ] {
        check(&[created()], set(limited(60), Some(key)), expected);
    }
    check(&[created()], set(limited(60), None), accepted());
}

#[test]
fn lowering_a_limit_is_refused_and_raising_repeating_or_lifting_it_is_not() {
    let given = [created(), changed(limited(600))];
    let endless = || Some(key(1, None, None));
    let refusal = Refusal::LifetimesLonger { id: id(1) };
    check(&given, set(limited(599), endless()), Err(refusal));
    check(&given, set(limited(600), endless()), Ok(vec![]));
    for more in [limited(601), limited(None)] {
        check(&given, set(more.clone(), endless()), Ok(vec![changed(more)]));
    }
    // Nor does another setting depend on it.
    let other = AccountSettings { lockout: LockoutMode::PerKey, ..limited(600) };
    check(&given, set(other.clone(), endless()), Ok(vec![changed(other)]));
}

#[test]
fn the_longest_lived_key_is_one_that_does_not_end_or_else_ends_last() {
    let longest = |keys: &[AccessKey]| longest_lived(keys.iter(), at(10)).map(|key| key.id.clone());
    let (never, soon, late) = (key(1, None, None), key(2, None, Some(20)), key(3, None, Some(90)));
    let later_but_shorter = key(4, Some(80), Some(100));
    assert_eq!(longest(&[]), None);
    assert_eq!(longest(&[late.clone(), never, soon.clone()]), Some(id(1)));
    assert_eq!(longest(&[soon, late, later_but_shorter]), Some(id(3)));
}

#[test]
fn an_account_that_exists_is_not_made_anew_by_its_log() {
    let given = [created(), changed(limited(60))];
    let twice = [created(), changed(limited(60)), created()];
    assert_eq!(state(&given), state(&twice));
}

fn any_settings() -> impl Strategy<Value = AccountSettings> {
    let numbers = (1..=10_u8, 0..100_u32, 0..100_u32, 0..100_u32);
    let notices = proptest::collection::vec(60..1000_u32, 0..8);
    (numbers, proptest::option::of(1..1000_u64), notices).prop_map(
        |((access_keys_per_user_max, grace, retention, days), max, expiry_notice_seconds)| {
            AccountSettings {
                access_keys_per_user_max,
                default_grace_period_seconds: grace,
                retention_seconds: retention,
                rotation_due_days: days,
                expiry_notice_seconds,
                ..limited(max)
            }
        },
    )
}

fn any_event() -> impl Strategy<Value = AccountEvent> {
    let display_name = "[a-zé]{1,9}".prop_map(|name| display_name(&name));
    prop_oneof![
        (any::<u64>(), display_name.clone()).prop_map(|(number, display_name)| {
            AccountEvent::Created { number: AccountNumber::from_random(number), display_name }
        }),
        display_name.prop_map(|display_name| AccountEvent::Renamed { display_name }),
        any_settings().prop_map(changed),
        Just(AccountEvent::Deleted),
    ]
}

proptest! {
    #[test]
    fn any_events_make_an_account_that_serialises_and_back(
        events in proptest::collection::vec(any_event(), 0..20)
    ) {
        let account = state(&events);
        let json = serde_json::to_string(&account).expect("serialises");
        let back: Option<Account> = serde_json::from_str(&json).expect("deserialises");
        prop_assert_eq!(back, account);
    }

    /// What is accepted leaves no key with more time than the new limit, if the limit shrank.
    #[test]
    fn a_lower_limit_is_accepted_only_where_every_key_keeps_it(
        before in any_settings(),
        after in any_settings(),
        ends in proptest::collection::vec(proptest::option::of(11..2000_i64), 0..5),
    ) {
        let keys: Vec<_> = ends.iter().zip(1..).map(|(end, n)| key(n, None, *end)).collect();
        let longest = longest_lived(keys.iter(), at(10)).cloned();
        let account = state(&[created(), changed(before.clone())]);
        let decision = decide(account.as_ref(), set(after.clone(), longest), at(10));
        let limit = |settings: &AccountSettings| {
            settings.access_key_lifetime_seconds_max.unwrap_or(u64::MAX)
        };
        let left = |key: &AccessKey| key.seconds_left(at(10)).unwrap_or(u64::MAX);
        let kept = keys.iter().all(|key| left(key) <= limit(&after));
        prop_assert_eq!(decision.is_ok(), kept || limit(&before) <= limit(&after));
    }
}
