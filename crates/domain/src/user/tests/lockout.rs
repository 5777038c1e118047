//! Lock-outs: what is recorded of them, and that they change nothing.

use super::*;

fn given(lockout: LockoutMode) -> Given {
    let given = user().recorded(1, &created(1));
    Given { settings: AccountSettings { lockout, ..given.settings.clone() }, ..given }
}

fn lock_out(n: u8, source: Option<&str>, end: i64) -> (Command, UserEvent) {
    let source = source.map(|source| Source::parse(source).expect("one"));
    let (id, ends_at, failures) = (id(n), at(end), 4);
    (
        Command::LockOutAccessKey { id: id.clone(), source, ends_at, failures },
        UserEvent::AccessKeyLockedOut { id, source, ends_at, failures },
    )
}

#[test]
fn a_lock_out_is_recorded_if_the_account_counts_so_and_it_is_in_force() {
    use LockoutMode::{Off, PerKey, PerSource};
    let from = Some("192.0.2.1");
    for (mode, source, end, recorded) in [
        (PerSource, from, 6, true),
        (PerSource, from, 5, false),
        (PerSource, None, 6, false),
        (PerKey, None, 6, true),
        (PerKey, from, 6, false),
        (Off, from, 6, false),
        (Off, None, 6, false),
    ] {
        let (command, event) = lock_out(1, source, end);
        let expected = recorded.then_some(event).into_iter().collect();
        check(&given(mode), 5, command, Ok(expected));
    }
}

#[test]
fn a_lock_out_of_an_access_key_that_is_not_there_is_refused() {
    let (command, _) = lock_out(2, Some("192.0.2.1"), 6);
    check(&given(LockoutMode::PerSource), 5, command, Err(Refusal::NoSuchAccessKey));
}

#[test]
fn a_lock_out_changes_nothing_of_a_user() {
    let given = given(LockoutMode::PerKey);
    let (_, event) = lock_out(1, None, 6);
    assert_eq!(given.clone().recorded(5, &event).user, given.user);
}
