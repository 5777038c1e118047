//! Passwords: set, replaced, removed.

use super::*;

fn set(generation: u32, n: u8) -> UserEvent {
    UserEvent::PasswordSet { generation, sealed: sealed(n) }
}

fn removed(generation: u32) -> UserEvent {
    UserEvent::PasswordRemoved { generation }
}

#[test]
fn a_password_takes_the_place_of_the_one_before_and_has_the_next_number() {
    let command = |n| Command::SetPassword { sealed: sealed(n) };
    check(&user(), 5, command(1), Ok(vec![set(1, 1)]));
    let given = user().after(5, command(1));
    check(&given, 5, command(1), Ok(vec![removed(1), set(2, 1)]));
    check(&given, 5, Command::RemovePassword, Ok(vec![removed(1)]));
    let given = given.after(5, Command::RemovePassword);
    check(&given, 5, Command::RemovePassword, Ok(vec![]));
    // A number is never given twice: the data key of the first is destroyed.
    check(&given, 5, command(2), Ok(vec![set(2, 2)]));
}

#[test]
fn a_password_goes_with_its_user() {
    let given = user().recorded(1, &set(1, 1));
    let delete = Command::Delete { force: false };
    check(&given, 5, delete, Ok(vec![removed(1), UserEvent::Deleted]));
}

#[test]
fn a_password_is_no_access_key() {
    let given = user().recorded(1, &set(1, 1));
    let user = given.known();
    assert_eq!(user.password(), Some((1, &sealed(1))));
    assert!(user.access_keys.is_empty());
    assert_eq!(user.next_password_generation(), 2);
}
