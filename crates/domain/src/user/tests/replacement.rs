use super::*;

fn made(new: NewAccessKey) -> Command {
    Command::CreateAccessKey(new)
}

fn left_slot(n: u8) -> UserEvent {
    UserEvent::AccessKeySlotChanged { id: id(n), slot: None }
}

#[test]
fn without_a_grace_period_the_old_key_is_deleted_and_its_slot_taken() {
    let given = user().after(1, made(in_slot(1, Slot::One)));
    let replacement = || created_as(in_slot(2, Slot::One), None, None);
    check(&given, 2, replace(1, new_key(2), 0), Ok(vec![deleted(1), replacement()]));
    let given = given.account(|settings| settings.retention_seconds = 60);
    check(&given, 2, replace(1, new_key(2), 0), Ok(vec![deleted_until(1, 62), replacement()]));
    // Coming back, the old one would find its slot taken.
    let given = given.after(2, replace(1, new_key(2), 0));
    let taken = Refusal::SlotTaken { slot: Slot::One, id: id(2) };
    check(&given, 3, undelete(1), Err(taken));
}

#[test]
fn with_a_grace_period_both_keys_work_and_the_new_one_has_the_slot() {
    let given = user().after(1, made(in_slot(1, Slot::Two)));
    let replacement = created_as(in_slot(2, Slot::Two), None, None);
    let events = vec![left_slot(1), expiry_changed(1, Some(62), None), replacement];
    check(&given, 2, replace(1, new_key(2), 60), Ok(events));
    let given = given.after(2, replace(1, new_key(2), 60));
    assert_eq!((given.key(1).slot, given.key(2).slot), (None, Some(Slot::Two)));
    assert_eq!((given.working(1, at(61)), given.working(2, at(61))), (vec![1], vec![1]));
    assert_eq!((given.working(1, at(62)), given.working(2, at(62))), (vec![], vec![1]));
}

#[test]
fn the_account_says_how_long_a_replaced_key_works_unless_the_caller_does() {
    let given = user().after(1, create(1));
    let asked = |grace_period_seconds| Command::ReplaceAccessKey {
        id: id(1),
        replacement: new_key(2),
        grace_period_seconds,
    };
    check(&given, 2, asked(None), Ok(vec![deleted(1), created(2)]));
    let given = given.account(|settings| settings.default_grace_period_seconds = 60);
    check(&given, 2, asked(None), Ok(vec![expiry_changed(1, Some(62), None), created(2)]));
    check(&given, 2, asked(Some(0)), Ok(vec![deleted(1), created(2)]));
}

#[test]
fn a_replaced_key_does_not_live_longer_than_before() {
    let given = user().after(1, made(ending(1, Expiry::At(at(10)))));
    for grace in [8, 9] {
        check(&given, 2, replace(1, new_key(2), grace), Ok(vec![created(2)]));
    }
    let sooner = vec![expiry_changed(1, Some(9), None), created(2)];
    check(&given, 2, replace(1, new_key(2), 7), Ok(sooner));
    // What has expired is deleted, whatever the grace period.
    check(&given, 10, replace(1, new_key(2), 60), Ok(vec![deleted(1), created(2)]));
}

#[test]
fn a_replaced_key_that_was_rotated_keeps_both_secrets_to_its_end() {
    let given = user().after(1, create(1)).after(2, rotate(1, 100));
    let given = given.after(3, replace(1, new_key(2), 50));
    assert_eq!(given.working(1, at(52)), [2, 1]);
    assert_eq!(given.working(1, at(53)), [0_u32; 0]);
}

#[test]
fn a_replacement_may_ask_for_a_slot_of_its_own() {
    let given = user().after(1, made(in_slot(1, Slot::One))).after(1, made(in_slot(2, Slot::Two)));
    let taken = Refusal::SlotTaken { slot: Slot::Two, id: id(2) };
    for grace in [0, 60] {
        let asked = replace(1, in_slot(3, Slot::Two), grace);
        check(&given, 2, asked, Err(taken.clone()));
    }
    let free = given.after(2, delete(2));
    let replacement = created_as(in_slot(3, Slot::Two), None, None);
    let asked = replace(1, in_slot(3, Slot::Two), 0);
    check(&free, 3, asked, Ok(vec![deleted(1), replacement]));
}

#[test]
fn at_the_key_limit_a_key_is_replaced_at_once_only() {
    let given = user().account(|settings| settings.access_keys_per_user_max = 2);
    let given = given.after(1, create(1)).after(2, create(2));
    check(&given, 3, replace(1, new_key(3), 60), Err(Refusal::KeyLimit { max: 2 }));
    check(&given, 3, replace(1, new_key(3), 0), Ok(vec![deleted(1), created(3)]));
    // Above a limit that was lowered since, one for one is still no more than before.
    let above = given.account(|settings| settings.access_keys_per_user_max = 1);
    check(&above, 3, replace(1, new_key(3), 0), Ok(vec![deleted(1), created(3)]));
    check(&above, 3, replace(1, new_key(3), 60), Err(Refusal::KeyLimit { max: 1 }));
}

#[test]
fn a_replacement_must_end_as_any_new_key() {
    let given = user().after(1, create(1));
    let past = ending(2, Expiry::At(at(2)));
    let given_limit = given.clone().account(|settings| {
        settings.access_key_lifetime_seconds_max = Some(60);
    });
    for grace in [0, 60] {
        check(&given, 2, replace(1, past.clone(), grace), Err(Refusal::ExpiryInPast));
        let required = Refusal::ExpiryRequired { max_seconds: 60 };
        check(&given_limit, 2, replace(1, new_key(2), grace), Err(required));
    }
}

#[test]
fn the_last_usable_key_is_replaced_when_it_is_deleted() {
    let old = NewAccessKey { label: label("console"), ..in_slot(1, Slot::One) };
    let given = user().after(1, made(old.clone()));
    let heir = NewAccessKey { label: label("console"), ..in_slot(2, Slot::One) };
    let events = vec![deleted(1), created_as(heir, None, None)];
    check(&given, 2, delete_or_replace(1, new_key(2)), Ok(events));
    // Only if that was asked for.
    check(&given, 2, delete(1), Ok(vec![deleted(1)]));
}

#[test]
fn a_key_that_is_not_the_last_usable_one_is_deleted_without_a_replacement() {
    let given = user().after(1, create(1)).after(2, create(2));
    check(&given, 3, delete_or_replace(1, new_key(3)), Ok(vec![deleted(1)]));
    // Nor is one that could not be used itself.
    let given = user().after(1, made(inactive(1))).after(2, create(2)).after(3, delete(2));
    check(&given, 4, delete_or_replace(1, new_key(3)), Ok(vec![deleted(1)]));
}

#[test]
fn keys_that_cannot_be_used_now_do_not_count_as_others() {
    let begins_later = NewAccessKey { not_before: Some(at(50)), ..new_key(4) };
    let given = user()
        .after(1, create(1))
        .after(2, made(inactive(2)))
        .after(3, made(ending(3, Expiry::At(at(10)))))
        .after(4, made(begins_later));
    let replaced = || Ok(vec![deleted(1), created(9)]);
    let alone = || Ok(vec![deleted(1)]);
    let asked = || delete_or_replace(1, new_key(9));
    check(&given, 9, asked(), alone());
    check(&given, 10, asked(), replaced());
    check(&given, 49, asked(), replaced());
    check(&given, 50, asked(), alone());
    let given = given.after(11, set_state(2, AccessKeyState::Active));
    check(&given, 12, asked(), alone());
}

#[test]
fn the_last_key_is_replaced_also_at_the_key_limit() {
    let given = user().account(|settings| settings.access_keys_per_user_max = 2);
    let given = given.after(1, create(1)).after(2, made(inactive(2)));
    check(&given, 3, delete_or_replace(1, new_key(3)), Ok(vec![deleted(1), created(3)]));
}

#[test]
fn a_replacement_that_nobody_asked_an_end_for_lives_as_long_as_is_allowed() {
    let limited = |settings: &mut AccountSettings| {
        settings.access_key_lifetime_seconds_max = Some(600);
    };
    let given = user().account(limited).after(1, made(ending(1, Expiry::At(at(50)))));
    let heir = |own| NewAccessKey { lifetime_seconds_max: own, ..new_key(2) };
    let lives = |seconds: i64, spelling: &str| {
        Ok(vec![deleted(1), created_as(new_key(2), Some(at(2 + seconds)), Some(ttl(spelling)))])
    };
    check(&given, 2, delete_or_replace(1, heir(None)), lives(600, "PT600S"));
    check(&given, 2, delete_or_replace(1, heir(Some(9000))), lives(600, "PT600S"));
    check(&given, 2, delete_or_replace(1, heir(Some(300))), lives(300, "PT300S"));
}

#[test]
fn a_replaced_key_ends_for_good_also_if_it_had_a_time_to_live() {
    let ttl = Expiry::After(TimeToLive::parse("PT30S").expect("valid"));
    let given = user().after(1, made(ending(1, ttl)));
    let stays = UserEvent::AccessKeyExpiryChanged {
        id: id(1),
        expires_at: Some(at(31)),
        time_to_live: None,
    };
    check(&given, 2, replace(1, new_key(2), 60), Ok(vec![stays, created(2)]));
}
