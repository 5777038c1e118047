use super::*;

/// In an account that is told 100 and 60 seconds ahead of an expiry.
fn noticed() -> Given {
    user().account(|settings| settings.expiry_notice_seconds = vec![60, 100])
}

fn ends(n: u8, end: i64) -> Command {
    Command::CreateAccessKey(ending(n, Expiry::At(at(end))))
}

fn expiring(n: u8, end: i64, notice_seconds: u32) -> UserEvent {
    UserEvent::AccessKeyExpiring { id: id(n), expires_at: at(end), notice_seconds }
}

fn rotation_due(n: u8, generation: u32, created: i64) -> UserEvent {
    UserEvent::AccessKeyRotationDue { id: id(n), generation, secret_created_at: at(created) }
}

/// What a tick at second `now` does, and that a second one does nothing.
fn tick(given: &Given, now: i64, expected: Vec<UserEvent>) -> Given {
    check(given, now, Command::Tick, Ok(expected));
    let given = given.clone().after(now, Command::Tick);
    check(&given, now, Command::Tick, Ok(vec![]));
    given
}

#[test]
fn an_expiry_is_announced_once_at_each_distance() {
    let given = noticed().after(0, ends(1, 200));
    let given = tick(&given, 99, vec![]);
    let given = tick(&given, 100, vec![expiring(1, 200, 100)]);
    let given = tick(&given, 139, vec![]);
    let given = tick(&given, 140, vec![expiring(1, 200, 60)]);
    tick(&given, 199, vec![]);
}

#[test]
fn to_be_told_of_does_not_modify_a_key() {
    let given = noticed().after(0, ends(1, 200)).after(150, Command::Tick);
    assert_eq!(given.key(1).modified_at, at(0));
}

#[test]
fn what_was_not_announced_in_time_is_announced_late() {
    let given = noticed().after(0, ends(1, 200));
    tick(&given, 199, vec![expiring(1, 200, 100), expiring(1, 200, 60)]);
    // But not after the end.
    tick(&given, 200, vec![]);
}

#[test]
fn distances_that_had_passed_when_the_expiry_was_set_are_not_announced() {
    tick(&noticed().after(130, ends(1, 200)), 199, vec![expiring(1, 200, 60)]);
    tick(&noticed().after(140, ends(1, 200)), 199, vec![]);
    let given = noticed().after(0, create(1)).after(130, expire(1, Expiry::At(at(200))));
    tick(&given, 199, vec![expiring(1, 200, 60)]);
    let lived = Command::CreateAccessKey(ending(1, Expiry::After(ttl("PT100S"))));
    tick(&noticed().after(100, lived), 150, vec![expiring(1, 200, 60)]);
}

#[test]
fn an_expiry_that_was_changed_is_announced_again() {
    let given = noticed().after(0, ends(1, 200));
    let given = tick(&given, 150, vec![expiring(1, 200, 100), expiring(1, 200, 60)]);
    let given = given.after(150, expire(1, Expiry::At(at(300))));
    let given = tick(&given, 199, vec![]);
    let given = tick(&given, 200, vec![expiring(1, 300, 100)]);
    // A rotation that lets a time to live begin anew does so too.
    let given = given.after(200, expire(1, Expiry::After(ttl("PT150S"))));
    let given = tick(&given, 250, vec![expiring(1, 350, 100)]);
    let given = given.after(251, rotate(1, 0));
    tick(&given, 301, vec![expiring(1, 401, 100)]);
}

#[test]
fn a_rotation_that_leaves_the_expiry_announces_nothing_twice() {
    let given = noticed().after(0, ends(1, 200)).after(100, Command::Tick);
    tick(&given.after(110, rotate(1, 0)), 120, vec![]);
}

#[test]
fn an_expiry_that_was_removed_is_not_announced() {
    let given = noticed().after(0, ends(1, 200)).after(50, expire(1, Expiry::Never));
    tick(&given, 199, vec![]);
}

#[test]
fn a_distance_that_the_account_adds_is_announced_late() {
    let given = user().after(0, ends(1, 200));
    let given = tick(&given, 150, vec![]);
    let given = given.account(|settings| settings.expiry_notice_seconds = vec![100]);
    tick(&given, 150, vec![expiring(1, 200, 100)]);
}

#[test]
fn an_undeleted_key_is_announced_once_all_the_same() {
    let given = noticed().account(|settings| settings.retention_seconds = 1000);
    let given = given.after(0, ends(1, 200)).after(100, Command::Tick).after(110, delete(1));
    let given = tick(&given, 145, vec![]);
    tick(&given.after(150, undelete(1)), 151, vec![expiring(1, 200, 60)]);
}

#[test]
fn a_rotation_is_due_once_for_each_secret() {
    let given = user().account(|settings| settings.rotation_due_days = 90).after(0, create(1));
    let given = tick(&given, 90 * DAY - 1, vec![]);
    let given = tick(&given, 90 * DAY, vec![rotation_due(1, 1, 0)]);
    let given = tick(&given, 200 * DAY, vec![]);
    let given = given.after(200 * DAY, rotate(1, 0));
    let given = tick(&given, 290 * DAY - 1, vec![]);
    tick(&given, 300 * DAY, vec![rotation_due(1, 2, 200 * DAY)]);
}

#[test]
fn a_rotation_is_due_only_where_the_account_says_so_and_the_key_lives() {
    let given = user().after(0, create(1)).after(0, ends(2, 90 * DAY));
    tick(&given, 3650 * DAY, vec![]);
    let given = given.account(|settings| settings.rotation_due_days = 90);
    tick(&given, 90 * DAY, vec![rotation_due(1, 1, 0)]);
}

#[test]
fn what_is_past_its_retention_is_purged() {
    let given = user().account(|settings| settings.retention_seconds = 100);
    let given = (1..=3).fold(given, |given, n| given.after(0, create(n)));
    let given = given.after(1, delete(1)).after(2, delete(2)).after(50, delete(3));
    let given = tick(&given, 100, vec![]);
    let given = tick(&given, 101, vec![purged(1)]);
    let given = tick(&given, 200, vec![purged(2), purged(3)]);
    assert!(given.known().deleted_access_keys.is_empty());
}

#[test]
fn all_that_is_due_is_done_at_once_also_for_a_locked_user() {
    let given = noticed()
        .account(|settings| {
            settings.rotation_due_days = 1;
            settings.retention_seconds = 100;
        })
        .after(0, ends(1, 2 * DAY))
        .after(0, Command::CreateAccessKey(inactive(2)))
        .after(0, create(3))
        .after(1, delete(3))
        .after(2, Command::Lock);
    let events =
        vec![expiring(1, 2 * DAY, 100), rotation_due(1, 1, 0), rotation_due(2, 1, 0), purged(3)];
    tick(&given, 2 * DAY - 80, events);
}
