use super::*;

const MILLISECOND: TimeDelta = TimeDelta::milliseconds(1);

fn limited(max_seconds: u64) -> Given {
    user().account(|settings| settings.access_key_lifetime_seconds_max = Some(max_seconds))
}

fn made(new: NewAccessKey) -> Command {
    Command::CreateAccessKey(new)
}

#[test]
fn an_expiry_must_lie_ahead() {
    let given = user().after(1, create(1));
    for past in [4, 5] {
        check(&given, 5, made(ending(2, Expiry::At(at(past)))), Err(Refusal::ExpiryInPast));
        check(&given, 5, expire(1, Expiry::At(at(past))), Err(Refusal::ExpiryInPast));
        let rotation = rotate_until(1, 0, Some(Expiry::At(at(past))));
        check(&given, 5, rotation, Err(Refusal::ExpiryInPast));
    }
    let event = created_as(new_key(2), Some(at(6)), None);
    check(&given, 5, made(ending(2, Expiry::At(at(6)))), Ok(vec![event]));
}

#[test]
fn a_key_is_expired_exactly_from_its_end() {
    let given = user().after(1, made(ending(1, Expiry::At(at(10)))));
    assert!(!given.key(1).is_expired(at(10) - MILLISECOND) && given.key(1).is_expired(at(10)));
    assert_eq!(given.working(1, at(10) - MILLISECOND), [1]);
    assert_eq!(given.working(1, at(10)), [0_u32; 0]);
    check(&given, 9, rotate(1, 0), Ok(vec![rotated(1, 2, 9)]));
    check(&given, 10, rotate(1, 0), Err(Refusal::Expired));
}

#[test]
fn time_left_is_told_in_whole_seconds_rounded_up() {
    let given = user().after(1, create(1)).after(1, made(ending(2, Expiry::At(at(10)))));
    assert_eq!(given.key(1).seconds_left(at(5)), None);
    let left = |now| given.key(2).seconds_left(now);
    assert_eq!(left(at(5)), Some(5));
    assert_eq!(left(at(5) + MILLISECOND), Some(5));
    assert_eq!(left(at(5) - MILLISECOND), Some(6));
    assert_eq!(left(at(10)), Some(0));
    assert_eq!(left(at(11)), Some(0));
}

#[test]
fn an_expired_key_lives_again_with_a_new_end() {
    let given = user().after(1, made(ending(1, Expiry::At(at(10)))));
    check(&given, 20, expire(1, Expiry::At(at(30))), Ok(vec![expiry_changed(1, Some(30), None)]));
    check(&given, 20, expire(1, Expiry::Never), Ok(vec![expiry_changed(1, None, None)]));
    // The end it has is no change, although it has passed.
    check(&given, 20, expire(1, Expiry::At(at(10))), Ok(vec![]));
}

#[test]
fn a_time_to_live_becomes_an_end_and_keeps_its_spelling() {
    let given = user().after(1, made(ending(1, Expiry::After(ttl("P007D")))));
    let key = given.key(1);
    assert_eq!(key.expires_at, Some(at(1 + 7 * DAY)));
    assert_eq!(key.time_to_live.as_ref().map(TimeToLive::as_str), Some("P007D"));
    // An instant takes its place, also the same one.
    let same = expire(1, Expiry::At(at(1 + 7 * DAY)));
    check(&given, 2, same, Ok(vec![expiry_changed(1, Some(1 + 7 * DAY), None)]));
    // To set it again lets it begin anew.
    let again = expire(1, Expiry::After(ttl("P007D")));
    check(&given, 2, again, Ok(vec![expiry_changed(1, Some(2 + 7 * DAY), Some("P007D"))]));
}

#[test]
fn a_time_to_live_begins_anew_with_a_rotation_and_keeps_its_spelling() {
    let given = user().after(0, made(ending(1, Expiry::After(ttl("PT0060S")))));
    let anew = |now| vec![rotated(1, 2, now), expiry_changed(1, Some(now + 60), Some("PT0060S"))];
    check(&given, 40, rotate(1, 0), Ok(anew(40)));
    let other = rotate_until(1, 0, Some(Expiry::After(ttl("P1D"))));
    let longer = expiry_changed(1, Some(40 + DAY), Some("P1D"));
    check(&given, 40, other, Ok(vec![rotated(1, 2, 40), longer]));
    let never = rotate_until(1, 0, Some(Expiry::Never));
    check(&given, 40, never, Ok(vec![rotated(1, 2, 40), expiry_changed(1, None, None)]));
}

#[test]
fn a_fixed_end_stays_through_a_rotation() {
    let given = user().after(0, made(ending(1, Expiry::At(at(60)))));
    check(&given, 40, rotate(1, 0), Ok(vec![rotated(1, 2, 40)]));
    let said_again = rotate_until(1, 0, Some(Expiry::At(at(60))));
    check(&given, 40, said_again, Ok(vec![rotated(1, 2, 40)]));
    let later = rotate_until(1, 0, Some(Expiry::At(at(90))));
    check(&given, 40, later, Ok(vec![rotated(1, 2, 40), expiry_changed(1, Some(90), None)]));
}

#[test]
fn a_time_to_live_of_0_means_no_end_in_any_spelling() {
    for zero in ["0", "PT0S", "P0D", "P0W"] {
        let given = user().after(1, made(ending(1, Expiry::After(ttl(zero)))));
        assert_eq!(given.key(1).expires_at, None);
        assert_eq!(given.key(1).time_to_live, Some(ttl(zero)));
        check(&given, 9, rotate(1, 0), Ok(vec![rotated(1, 2, 9)]));
        check(&given, 9, expire(1, Expiry::After(ttl(zero))), Ok(vec![]));
        check(&given, 9, expire(1, Expiry::Never), Ok(vec![expiry_changed(1, None, None)]));
    }
}

#[test]
fn an_expired_key_is_not_rotated_without_a_new_end() {
    let given = user().after(0, made(ending(1, Expiry::At(at(10)))));
    check(&given, 10, rotate(1, 0), Err(Refusal::Expired));
    // Nor with the old one said again: the new secret would never work.
    let past = |end| rotate_until(1, 0, Some(Expiry::At(at(end))));
    check(&given, 10, past(10), Err(Refusal::Expired));
    check(&given, 11, past(10), Err(Refusal::Expired));
    check(&given, 11, past(11), Err(Refusal::ExpiryInPast));
}

#[test]
fn the_old_secret_stays_dead_when_an_expired_key_is_rotated() {
    let fixed = user().after(0, made(ending(1, Expiry::At(at(60)))));
    let lived = user().after(0, made(ending(1, Expiry::After(ttl("PT1M")))));
    for (given, command, end, time_to_live) in [
        (&fixed, rotate_until(1, 1000, Some(Expiry::At(at(300)))), Some(300), None),
        (&fixed, rotate_until(1, 1000, Some(Expiry::Never)), None, None),
        (&lived, rotate(1, 1000), Some(160), Some("PT1M")),
    ] {
        let events = vec![rotated(1, 2, 60), expiry_changed(1, end, time_to_live)];
        check(given, 100, command.clone(), Ok(events));
        let given = given.clone().after(100, command);
        assert_eq!(given.working(1, at(100)), [2]);
        assert_eq!(given.key(1).secrets.len(), 1);
    }
    // Exactly at the end it is dead already.
    assert_eq!(lived.after(60, rotate(1, 1000)).working(1, at(60)), [2]);
}

#[test]
fn a_secret_that_ended_with_its_key_stays_dead_when_the_key_gets_a_new_end() {
    let given = user().after(0, made(ending(1, Expiry::At(at(60))))).after(1, rotate(1, 1000));
    assert_eq!(given.working(1, at(59)), [2, 1]);
    let before = vec![expiry_changed(1, Some(90), None)];
    check(&given, 59, expire(1, Expiry::At(at(90))), Ok(before));
    let revived = vec![grace_period_ended(1), expiry_changed(1, Some(90), None)];
    check(&given, 60, expire(1, Expiry::At(at(90))), Ok(revived));
    let given = given.after(60, expire(1, Expiry::At(at(90))));
    assert_eq!(given.working(1, at(60)), [2]);
}

#[test]
fn under_a_longest_lifetime_a_new_key_must_end_in_time() {
    let given = limited(60);
    let required = || Err(Refusal::ExpiryRequired { max_seconds: 60 });
    let too_long = || Err(Refusal::LifetimeTooLong { max_seconds: 60 });
    for (expiry, expected) in [
        (Expiry::Never, required()),
        (Expiry::After(ttl("0")), required()),
        (Expiry::After(ttl("PT0S")), required()),
        (Expiry::At(at(71)), too_long()),
        (Expiry::At(at(70) + MILLISECOND), too_long()),
        (Expiry::After(ttl("PT61S")), too_long()),
        (Expiry::At(at(70)), Ok(vec![created_as(new_key(1), Some(at(70)), None)])),
        (
            Expiry::After(ttl("PT60S")),
            Ok(vec![created_as(new_key(1), Some(at(70)), Some(ttl("PT60S")))]),
        ),
    ] {
        check(&given, 10, made(ending(1, expiry)), expected);
    }
}

#[test]
fn under_a_longest_lifetime_a_key_goes_on_ending_in_time() {
    let given = limited(60).after(0, made(ending(1, Expiry::At(at(20)))));
    for expiry in [Expiry::Never, Expiry::After(ttl("0"))] {
        let required = Err(Refusal::ExpiryRequired { max_seconds: 60 });
        check(&given, 10, expire(1, expiry.clone()), required.clone());
        check(&given, 10, rotate_until(1, 0, Some(expiry)), required);
    }
    let too_long = Err(Refusal::LifetimeTooLong { max_seconds: 60 });
    check(&given, 10, expire(1, Expiry::At(at(71))), too_long.clone());
    check(&given, 10, rotate_until(1, 0, Some(Expiry::At(at(71)))), too_long);
    check(&given, 10, expire(1, Expiry::At(at(70))), Ok(vec![expiry_changed(1, Some(70), None)]));
}

#[test]
fn a_time_to_live_that_has_become_too_long_is_refused_when_it_would_begin_anew() {
    let given = user().after(0, made(ending(1, Expiry::After(ttl("PT100S")))));
    let given = given.account(|settings| settings.access_key_lifetime_seconds_max = Some(60));
    check(&given, 50, rotate(1, 0), Err(Refusal::LifetimeTooLong { max_seconds: 60 }));
    let shorter = rotate_until(1, 0, Some(Expiry::After(ttl("PT60S"))));
    let events = vec![rotated(1, 2, 50), expiry_changed(1, Some(110), Some("PT60S"))];
    check(&given, 50, shorter, Ok(events));
}

#[test]
fn a_caller_may_allow_less_than_the_account_but_not_more() {
    const CEILING: u64 = 1095 * 86_400;
    let asked = |days: i64, own: u64| {
        made(NewAccessKey {
            lifetime_seconds_max: Some(own),
            ..ending(1, Expiry::At(at(days * DAY)))
        })
    };
    let event = |days: i64| Ok(vec![created_as(new_key(1), Some(at(days * DAY)), None)]);
    let too_long = |max_seconds| Err(Refusal::LifetimeTooLong { max_seconds });
    check(&user(), 0, asked(1095, CEILING), event(1095));
    check(&user(), 0, asked(1096, CEILING), too_long(CEILING));
    check(&limited(60), 0, asked(1096, CEILING), too_long(60));
    check(&limited(2 * CEILING), 0, asked(1096, CEILING), too_long(CEILING));
    // No end at all is for the account to forbid.
    let never = NewAccessKey { lifetime_seconds_max: Some(CEILING), ..new_key(1) };
    check(&user(), 0, made(never), Ok(vec![created(1)]));
}

#[test]
fn a_callers_ceiling_holds_for_updates_and_rotations_too() {
    let given = user().after(0, made(ending(1, Expiry::After(ttl("P1100D")))));
    let too_long = Err(Refusal::LifetimeTooLong { max_seconds: 1095 * 86_400 });
    let changes = AccessKeyChanges {
        expiry: Some(Expiry::After(ttl("P1096D"))),
        lifetime_seconds_max: Some(1095 * 86_400),
        ..AccessKeyChanges::default()
    };
    check(&given, 1, update(1, changes), too_long.clone());
    let rotation = |expiry| Command::RotateSecretAccessKey {
        id: id(1),
        secret: sealed(1),
        grace_period_seconds: None,
        expiry,
        lifetime_seconds_max: Some(1095 * 86_400),
    };
    check(&given, 1, rotation(Some(Expiry::After(ttl("P1096D")))), too_long.clone());
    check(&given, 1, rotation(None), too_long);
    let anew = expiry_changed(1, Some(1 + 1095 * DAY), Some("P1095D"));
    let shorter = rotation(Some(Expiry::After(ttl("P1095D"))));
    check(&given, 1, shorter, Ok(vec![rotated(1, 2, 1), anew]));
}

#[test]
fn a_key_works_from_its_start_on() {
    let new = NewAccessKey { not_before: Some(at(50)), ..new_key(1) };
    let given = user().after(1, made(new.clone()));
    assert_eq!(given.key(1).not_before, Some(at(50)));
    assert_eq!(given.working(1, at(50) - MILLISECOND), [0_u32; 0]);
    assert_eq!(given.working(1, at(50)), [1]);
    // A start that has come is none.
    for now in [50, 51] {
        check(&user(), now, made(new.clone()), Ok(vec![created(1)]));
    }
}

#[test]
fn an_expiry_must_lie_after_the_start() {
    let asked = |end| NewAccessKey { not_before: Some(at(50)), ..ending(1, Expiry::At(at(end))) };
    check(&user(), 9, made(asked(9)), Err(Refusal::ExpiryInPast));
    for early in [10, 50] {
        check(&user(), 9, made(asked(early)), Err(Refusal::ExpiryBeforeStart));
    }
    let event = created_as(asked(51), Some(at(51)), None);
    check(&user(), 9, made(asked(51)), Ok(vec![event]));
    let given = user().after(9, made(asked(60)));
    check(&given, 10, expire(1, Expiry::At(at(50))), Err(Refusal::ExpiryBeforeStart));
    // Once it has begun, only the past is too early.
    check(&given, 51, expire(1, Expiry::At(at(50))), Err(Refusal::ExpiryInPast));
}

#[test]
fn lifetimes_are_counted_from_the_start() {
    let new = NewAccessKey { not_before: Some(at(50)), ..ending(1, Expiry::After(ttl("PT60S"))) };
    let given = limited(60).after(1, made(new.clone()));
    assert_eq!(given.key(1).expires_at, Some(at(110)));
    assert_eq!(given.key(1).seconds_left(at(1)), Some(60));
    assert_eq!(given.key(1).seconds_left(at(70)), Some(40));
    // Also when the secret is rotated before.
    let anew = expiry_changed(1, Some(110), Some("PT60S"));
    check(&given, 9, rotate(1, 0), Ok(vec![rotated(1, 2, 9), anew]));
    // Once it has come, they count from now.
    let anew = expiry_changed(1, Some(130), Some("PT60S"));
    check(&given, 70, rotate(1, 0), Ok(vec![rotated(1, 2, 70), anew]));
    let late = NewAccessKey { expiry: Expiry::At(at(111)), ..new };
    check(&limited(60), 1, made(late), Err(Refusal::LifetimeTooLong { max_seconds: 60 }));
}
