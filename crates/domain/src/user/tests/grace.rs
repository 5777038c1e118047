use super::*;

#[test]
fn both_secrets_work_until_the_grace_period_ends() {
    let given = user().after(1, create(1));
    check(&given, 2, rotate(1, 5), Ok(vec![rotated(1, 2, 7)]));
    let given = given.after(2, rotate(1, 5));
    assert_eq!(given.working(1, at(7) - TimeDelta::milliseconds(1)), [2, 1]);
    assert_eq!(given.working(1, at(7)), [2]);
    assert_eq!(given.key(1).secrets[0].created_at, at(2));
}

#[test]
fn without_a_grace_period_the_old_secret_is_gone() {
    let given = user().after(1, create(1));
    check(&given, 2, rotate(1, 0), Ok(vec![rotated(1, 2, 2)]));
    let given = given.after(2, rotate(1, 0));
    assert_eq!(given.key(1).secrets.len(), 1);
    assert_eq!(given.working(1, at(2)), [2]);
}

#[test]
fn the_account_says_how_long_a_grace_period_is_unless_the_caller_does() {
    let given = user().after(1, create(1));
    check(&given, 2, rotate(1, None), Ok(vec![rotated(1, 2, 2)]));
    let given = given.account(|settings| settings.default_grace_period_seconds = 60);
    check(&given, 2, rotate(1, None), Ok(vec![rotated(1, 2, 62)]));
    check(&given, 2, rotate(1, 5), Ok(vec![rotated(1, 2, 7)]));
    check(&given, 2, rotate(1, 0), Ok(vec![rotated(1, 2, 2)]));
}

#[test]
fn a_grace_period_is_bounded() {
    let given = user().after(1, create(1));
    let max = GRACE_PERIOD_SECONDS_MAX;
    check(&given, 2, rotate(1, max), Ok(vec![rotated(1, 2, 2 + i64::from(max))]));
    let too_long = Err(Refusal::GracePeriodTooLong { max });
    check(&given, 2, rotate(1, max + 1), too_long.clone());
    check(&given, 2, replace(1, new_key(2), max + 1), too_long);
}

#[test]
fn rotating_twice_inside_a_grace_period_ends_the_oldest_now() {
    let given = user().after(1, create(1)).after(2, rotate(1, 100)).after(3, rotate(1, 200));
    let key = given.key(1);
    let ends: Vec<_> = key.secrets.iter().map(|s| (s.generation, s.expires_at)).collect();
    assert_eq!(ends, [(3, None), (2, Some(at(203)))]);
    assert_eq!(given.working(1, at(3)), [3, 2]);
    // Also when the second rotation grants nothing.
    let given = user().after(1, create(1)).after(2, rotate(1, 100)).after(3, rotate(1, 0));
    assert_eq!(given.working(1, at(3)), [3]);
}

#[test]
fn a_grace_period_does_not_outlive_the_key() {
    let given = user()
        .after(1, Command::CreateAccessKey(ending(1, Expiry::At(at(50)))))
        .after(2, rotate(1, 100));
    assert_eq!(given.working(1, at(50) - TimeDelta::milliseconds(1)), [2, 1]);
    assert_eq!(given.working(1, at(50)), [0_u32; 0]);
}

#[test]
fn a_key_that_ends_sooner_ends_its_grace_period_too() {
    let given = user().after(1, create(1)).after(2, rotate(1, 100));
    let given = given.after(3, expire(1, Expiry::At(at(10))));
    assert_eq!(given.working(1, at(9)), [2, 1]);
    assert_eq!(given.working(1, at(10)), [0_u32; 0]);
}

#[test]
fn a_grace_period_ends_early_once() {
    let given = user().after(1, create(1));
    check(&given, 2, end_grace_period(1), Err(Refusal::NoGracePeriod));
    let given = given.after(2, rotate(1, 98));
    check(&given, 5, end_grace_period(1), Ok(vec![grace_period_ended(1)]));
    check(&given, 99, end_grace_period(1), Ok(vec![grace_period_ended(1)]));
    check(&given, 100, end_grace_period(1), Err(Refusal::NoGracePeriod));
    let given = given.after(5, end_grace_period(1));
    assert_eq!(given.working(1, at(5)), [2]);
    check(&given, 6, end_grace_period(1), Err(Refusal::NoGracePeriod));
    // The generation that was ended is not used again.
    check(&given, 6, rotate(1, 0), Ok(vec![rotated(1, 3, 6)]));
}

#[test]
fn the_grace_period_of_a_key_that_does_not_work_can_be_ended() {
    let given = user()
        .after(1, Command::CreateAccessKey(ending(1, Expiry::At(at(50)))))
        .after(2, rotate(1, 100));
    let ended = Ok(vec![grace_period_ended(1)]);
    check(&given, 50, end_grace_period(1), ended.clone());
    check(&given, 101, end_grace_period(1), ended.clone());
    check(&given, 102, end_grace_period(1), Err(Refusal::NoGracePeriod));
    let inactive = given.clone().after(3, set_state(1, AccessKeyState::Inactive));
    check(&inactive, 4, end_grace_period(1), ended.clone());
    check(&given.after(3, Command::Lock), 4, end_grace_period(1), ended);
}

#[test]
fn a_grace_period_runs_on_while_its_user_is_locked() {
    let given = user().after(1, create(1)).after(2, rotate(1, 100)).after(3, Command::Lock);
    assert_eq!(given.working(1, at(4)), [0_u32; 0]);
    let soon = given.clone().after(5, Command::Unlock);
    assert_eq!(soon.working(1, at(101)), [2, 1]);
    assert_eq!(soon.working(1, at(102)), [2]);
    assert_eq!(given.after(200, Command::Unlock).working(1, at(200)), [2]);
}

#[test]
fn a_grace_period_runs_on_while_its_key_is_inactive() {
    let off = set_state(1, AccessKeyState::Inactive);
    let given = user().after(1, create(1)).after(2, rotate(1, 100)).after(3, off);
    assert_eq!(given.working(1, at(4)), [0_u32; 0]);
    let given = given.after(5, set_state(1, AccessKeyState::Active));
    assert_eq!(given.working(1, at(101)), [2, 1]);
    assert_eq!(given.working(1, at(102)), [2]);
}

#[test]
fn a_key_deleted_during_its_grace_period_takes_both_secrets_along() {
    let given = user().account(|settings| settings.retention_seconds = 1000);
    let given = given.after(1, create(1)).after(2, rotate(1, 100)).after(3, delete(1));
    assert_eq!(given.working(1, at(3)), [0_u32; 0]);
    // The grace period runs on, and is as it was if the key comes back before its end.
    assert_eq!(given.clone().after(50, undelete(1)).working(1, at(101)), [2, 1]);
    assert_eq!(given.after(102, undelete(1)).working(1, at(102)), [2]);
}

#[test]
fn an_inactive_key_is_rotated_and_stays_inactive() {
    let given = user().after(1, Command::CreateAccessKey(inactive(1)));
    check(&given, 2, rotate(1, 5), Ok(vec![rotated(1, 2, 7)]));
    let given = given.after(2, rotate(1, 5));
    assert_eq!(given.key(1).state, AccessKeyState::Inactive);
    assert_eq!(given.working(1, at(3)), [0_u32; 0]);
}
