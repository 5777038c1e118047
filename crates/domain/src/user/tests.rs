use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(1_700_000_000 + second, 0).expect("in range")
}

fn id(n: u8) -> AccessKeyId {
    AccessKeyId::from_random([n; 10])
}

fn sealed(n: u8) -> SealedSecret {
    SealedSecret(vec![n].into())
}

fn created_user() -> UserEvent {
    UserEvent::Created {
        name: UserName::parse("alice").expect("valid"),
        root: false,
        label: Label::parse("").expect("valid"),
    }
}

fn created(n: u8) -> UserEvent {
    UserEvent::AccessKeyCreated { id: id(n), secret: sealed(n), expires_at: None }
}

fn rotated(n: u8, generation: u32, end: i64) -> UserEvent {
    UserEvent::SecretAccessKeyRotated {
        id: id(n),
        generation,
        secret: sealed(n),
        previous_expires_at: at(end),
    }
}

fn create(n: u8) -> Command {
    Command::CreateAccessKey {
        id: id(n),
        secret: sealed(n),
        expires_at: None,
        state: AccessKeyState::Active,
    }
}

fn rotate_in(n: u8, grace_period_seconds: u32) -> Command {
    Command::RotateSecretAccessKey { id: id(n), secret: sealed(n), grace_period_seconds }
}

/// State after `given`, the event at index `i` recorded at second `i`.
fn state(given: &[UserEvent]) -> Option<User> {
    given.iter().zip(0..).fold(None, |user, (event, second)| evolve(user, event, at(second)))
}

/// Asks `command` at second `now` of a user with the history `given`.
fn check(
    given: &[UserEvent],
    now: i64,
    command: Command,
    expected: Result<Vec<UserEvent>, Refusal>,
) {
    assert_eq!(decide(state(given).as_ref(), command, at(now)), expected);
}

#[test]
fn an_eleventh_access_key_is_refused() {
    let mut given = vec![created_user()];
    given.extend((1..=10).map(created));
    check(&given, 20, create(11), Err(Refusal::KeyLimit { max: 10 }));
    given.push(UserEvent::AccessKeyDeleted { id: id(3) });
    check(&given, 20, create(11), Ok(vec![created(11)]));
}

#[test]
fn an_inactive_key_is_made_in_one_batch() {
    let command = Command::CreateAccessKey {
        id: id(1),
        secret: sealed(1),
        expires_at: None,
        state: AccessKeyState::Inactive,
    };
    check(
        &[created_user()],
        1,
        command,
        Ok(vec![created(1), UserEvent::AccessKeyDeactivated { id: id(1) }]),
    );
}

#[test]
fn an_expiry_must_lie_ahead() {
    let expiring = |end| Command::CreateAccessKey {
        id: id(1),
        secret: sealed(1),
        expires_at: Some(at(end)),
        state: AccessKeyState::Active,
    };
    for past in [4, 5] {
        check(&[created_user()], 5, expiring(past), Err(Refusal::ExpiryInPast));
    }
    assert!(decide(state(&[created_user()]).as_ref(), expiring(6), at(5)).is_ok());
    let update = Command::UpdateAccessKey { id: id(1), state: None, expires_at: Some(Some(at(5))) };
    check(&[created_user(), created(1)], 5, update, Err(Refusal::ExpiryInPast));
}

#[test]
fn a_key_is_expired_exactly_from_its_end() {
    let given = [
        created_user(),
        UserEvent::AccessKeyCreated { id: id(1), secret: sealed(1), expires_at: Some(at(10)) },
    ];
    let user = state(&given).expect("exists");
    let key = &user.access_keys[0];
    assert!(!key.is_expired(at(10) - TimeDelta::milliseconds(1)));
    assert!(key.is_expired(at(10)));
    check(&given, 10, rotate_in(1, 0), Err(Refusal::Expired));
}

#[test]
fn several_properties_change_together_or_not_at_all() {
    let given = [created_user(), created(1)];
    let update = |end| Command::UpdateAccessKey {
        id: id(1),
        state: Some(AccessKeyState::Inactive),
        expires_at: Some(Some(at(end))),
    };
    check(&given, 5, update(4), Err(Refusal::ExpiryInPast));
    check(
        &given,
        5,
        update(9),
        Ok(vec![
            UserEvent::AccessKeyExpiryChanged { id: id(1), expires_at: Some(at(9)) },
            UserEvent::AccessKeyDeactivated { id: id(1) },
        ]),
    );
}

#[test]
fn both_secrets_work_until_the_grace_period_ends() {
    let given = [created_user(), created(1)];
    check(&given, 2, rotate_in(1, 5), Ok(vec![rotated(1, 2, 7)]));
    let user = state(&[created_user(), created(1), rotated(1, 2, 7)]).expect("exists");
    let valid = |now| -> Vec<u32> {
        user.access_keys[0].valid_secrets(now).map(|secret| secret.generation).collect()
    };
    assert_eq!(valid(at(7) - TimeDelta::milliseconds(1)), [2, 1]);
    assert_eq!(valid(at(7)), [2]);
}

#[test]
fn without_a_grace_period_the_old_secret_is_gone() {
    let user = state(&[created_user(), created(1), rotated(1, 2, 2)]).expect("exists");
    assert_eq!(user.access_keys[0].secrets.len(), 1);
    assert_eq!(user.access_keys[0].generation(), 2);
}

#[test]
fn rotating_inside_a_grace_period_ends_the_oldest_now() {
    let given = [created_user(), created(1), rotated(1, 2, 100), rotated(1, 3, 200)];
    let user = state(&given).expect("exists");
    let key = &user.access_keys[0];
    let ends: Vec<_> = key.secrets.iter().map(|s| (s.generation, s.expires_at)).collect();
    assert_eq!(ends, [(3, None), (2, Some(at(200)))]);
}

#[test]
fn a_grace_period_ends_early_once() {
    let given = [created_user(), created(1), rotated(1, 2, 100)];
    let end = || Command::EndGracePeriod { id: id(1) };
    check(&given, 5, end(), Ok(vec![UserEvent::GracePeriodEnded { id: id(1) }]));
    check(&given, 100, end(), Err(Refusal::NoGracePeriod));
    let ended = [&given[..], &[UserEvent::GracePeriodEnded { id: id(1) }]].concat();
    check(&ended, 5, end(), Err(Refusal::NoGracePeriod));
}

#[test]
fn a_grace_period_is_bounded() {
    let given = [created_user(), created(1)];
    let max = GRACE_PERIOD_SECONDS_MAX;
    check(&given, 2, rotate_in(1, max + 1), Err(Refusal::GracePeriodTooLong { max }));
    assert!(decide(state(&given).as_ref(), rotate_in(1, max), at(2)).is_ok());
}

#[test]
fn a_user_with_keys_is_deleted_only_by_force() {
    let given = [created_user(), created(1), created(2)];
    check(&given, 5, Command::Delete { force: false }, Err(Refusal::UserHasKeys { count: 2 }));
    check(
        &given,
        5,
        Command::Delete { force: true },
        Ok(vec![
            UserEvent::AccessKeyDeleted { id: id(1) },
            UserEvent::AccessKeyDeleted { id: id(2) },
            UserEvent::Deleted,
        ]),
    );
}

#[test]
fn the_root_user_stays() {
    let root = UserEvent::Created {
        name: UserName::parse("root").expect("valid"),
        root: true,
        label: Label::parse(crate::ROOT_USER_LABEL).expect("valid"),
    };
    check(&[root], 1, Command::Delete { force: true }, Err(Refusal::RootUser));
}

#[test]
fn what_changes_nothing_records_nothing() {
    let given = [created_user(), created(1)];
    check(&given, 5, Command::Unlock, Ok(vec![]));
    let same = Command::UpdateAccessKey {
        id: id(1),
        state: Some(AccessKeyState::Active),
        expires_at: Some(None),
    };
    check(&given, 5, same, Ok(vec![]));
}

#[test]
fn nothing_can_be_asked_of_a_user_that_is_not_there() {
    for command in [Command::Lock, create(1), rotate_in(1, 0), Command::Delete { force: true }] {
        check(&[], 1, command.clone(), Err(Refusal::NoSuchUser));
        check(&[created_user(), UserEvent::Deleted], 2, command, Err(Refusal::NoSuchUser));
    }
    let given = [created_user()];
    check(&given, 1, rotate_in(1, 0), Err(Refusal::NoSuchAccessKey));
    check(&given, 1, Command::DeleteAccessKey { id: id(1) }, Err(Refusal::NoSuchAccessKey));
}

fn any_command() -> impl Strategy<Value = Command> {
    let key = 0u8..14;
    prop_oneof![
        1 => Just(Command::Lock),
        1 => Just(Command::Unlock),
        1 => any::<bool>().prop_map(|force| Command::Delete { force }),
        1 => "[a-c]{1,2}".prop_map(|name| Command::Create {
            name: UserName::parse(&name).expect("valid"),
            root: false,
            label: Label::parse("").expect("valid"),
        }),
        6 => (key.clone(), proptest::option::of(0i64..300), any::<bool>()).prop_map(
            |(n, end, active)| Command::CreateAccessKey {
                id: id(n),
                secret: sealed(n),
                expires_at: end.map(at),
                state: if active { AccessKeyState::Active } else { AccessKeyState::Inactive },
            }
        ),
        4 => (key.clone(), 0u32..50).prop_map(|(n, grace)| rotate_in(n, grace)),
        2 => key.clone().prop_map(|n| Command::EndGracePeriod { id: id(n) }),
        2 => key.clone().prop_map(|n| Command::DeleteAccessKey { id: id(n) }),
        2 => (key, any::<bool>(), proptest::option::of(0i64..300)).prop_map(|(n, active, end)| {
            Command::UpdateAccessKey {
                id: id(n),
                state: Some(if active { AccessKeyState::Active } else { AccessKeyState::Inactive }),
                expires_at: Some(end.map(at)),
            }
        }),
    ]
}

proptest! {
    /// Whatever is asked in whatever order, at every second one command.
    #[test]
    fn the_invariants_hold_after_any_commands(
        commands in proptest::collection::vec(any_command(), 0..120)
    ) {
        let mut user: Option<User> = None;
        for (command, second) in commands.into_iter().zip(0..) {
            let before = user.clone();
            // Ids are unique by a claim in the log; the domain may rely on it.
            if let (Command::CreateAccessKey { id, .. }, Some(user)) = (&command, &user)
                && user.access_key(id).is_some()
            {
                continue;
            }
            match decide(user.as_ref(), command, at(second)) {
                Err(_) => prop_assert_eq!(&user, &before),
                Ok(events) => {
                    for event in &events {
                        user = evolve(user, event, at(second));
                    }
                }
            }
            let Some(user) = &user else { continue };
            prop_assert!(user.access_keys.len() <= ACCESS_KEYS_PER_USER_MAX);
            for key in &user.access_keys {
                prop_assert!((1..=2).contains(&key.secrets.len()));
                prop_assert!(key.valid_secrets(at(second)).next().is_some());
                prop_assert_eq!(key.secrets[0].expires_at, None);
                prop_assert!(key.secrets.windows(2).all(|w| w[0].generation == w[1].generation + 1));
            }
        }
    }

    /// Unlocking restores exactly what was, the time of change apart.
    #[test]
    fn lock_and_unlock_leave_no_trace(
        commands in proptest::collection::vec(any_command(), 0..60)
    ) {
        let mut user = state(&[created_user()]);
        for (command, second) in commands.into_iter().zip(1..) {
            for event in decide(user.as_ref(), command, at(second)).unwrap_or_default() {
                user = evolve(user, &event, at(second));
            }
        }
        prop_assume!(user.as_ref().is_some_and(|user| user.state == UserState::Active));
        let locked = evolve(user.clone(), &UserEvent::Locked, at(100));
        let mut unlocked = evolve(locked, &UserEvent::Unlocked, at(101));
        if let (Some(unlocked), Some(user)) = (&mut unlocked, &user) {
            unlocked.modified_at = user.modified_at;
        }
        prop_assert_eq!(unlocked, user);
    }
}
