use super::*;

#[test]
fn a_key_is_made_as_asked() {
    let new = NewAccessKey {
        imported: true,
        label: label("backup"),
        slot: Some(Slot::Two),
        ..ending(1, Expiry::After(ttl("PT1M")))
    };
    let event = created_as(new.clone(), Some(at(61)), Some(ttl("PT1M")));
    check(&user(), 1, Command::CreateAccessKey(new.clone()), Ok(vec![event]));
    let given = user().after(1, Command::CreateAccessKey(new));
    let key = given.key(1);
    assert!(key.imported && key.slot == Some(Slot::Two) && key.label == label("backup"));
    assert_eq!((key.state, key.generation()), (AccessKeyState::Active, 1));
    assert_eq!((key.created_at, key.modified_at), (at(1), at(1)));
    assert_eq!(key.secrets[0].sealed, sealed(1));
}

#[test]
fn an_inactive_key_is_made_in_one_batch() {
    let off = UserEvent::AccessKeyDeactivated { id: id(1) };
    check(&user(), 1, Command::CreateAccessKey(inactive(1)), Ok(vec![created(1), off]));
}

#[test]
fn an_eleventh_access_key_is_refused() {
    let given = (1..=10).fold(user(), |given, n| given.after(i64::from(n), create(n)));
    check(&given, 20, create(11), Err(Refusal::KeyLimit { max: 10 }));
    check(&given.after(20, delete(3)), 21, create(11), Ok(vec![created(11)]));
}

#[test]
fn a_third_access_key_is_refused_where_two_are_allowed() {
    let given = user().account(|settings| settings.access_keys_per_user_max = 2);
    let given = given.after(1, create(1)).after(2, Command::CreateAccessKey(inactive(2)));
    check(&given, 3, create(3), Err(Refusal::KeyLimit { max: 2 }));
}

#[test]
fn expired_and_not_yet_valid_keys_count_and_retained_ones_do_not() {
    let given = user()
        .account(|settings| {
            settings.access_keys_per_user_max = 2;
            settings.retention_seconds = 100;
        })
        .after(1, Command::CreateAccessKey(ending(1, Expiry::At(at(2)))))
        .after(
            2,
            Command::CreateAccessKey(NewAccessKey { not_before: Some(at(50)), ..new_key(2) }),
        );
    check(&given, 9, create(3), Err(Refusal::KeyLimit { max: 2 }));
    check(&given.after(9, delete(1)), 10, create(3), Ok(vec![created(3)]));
}

#[test]
fn a_limit_lowered_below_what_exists_takes_nothing_away_and_adds_nothing() {
    let given = (1..=4).fold(user(), |given, n| given.after(i64::from(n), create(n)));
    let given = given.account(|settings| settings.access_keys_per_user_max = 2);
    assert_eq!(given.keys(), [1, 2, 3, 4]);
    let full = Err(Refusal::KeyLimit { max: 2 });
    check(&given, 5, create(5), full.clone());
    check(&given, 5, rotate(1, 0), Ok(vec![rotated(1, 2, 5)]));
    let given = given.after(5, delete(1)).after(6, delete(2));
    check(&given, 7, create(5), full);
    check(&given.after(7, delete(3)), 8, create(5), Ok(vec![created(5)]));
}

#[test]
fn what_is_no_key_of_the_user_is_refused() {
    let given = user().after(1, create(1)).after(2, create(2)).after(3, delete(2));
    for n in [2, 3] {
        for command in [
            expire(n, Expiry::Never),
            rotate(n, 0),
            end_grace_period(n),
            replace(n, new_key(9), 0),
            delete(n),
            undelete(n),
            purge(n),
        ] {
            check(&given, 5, command, Err(Refusal::NoSuchAccessKey));
        }
    }
}

#[test]
fn every_property_of_a_key_changes_alone_and_only_when_it_differs() {
    let given = user().after(1, create(1));
    let none = AccessKeyChanges::default;
    let id = || id(1);
    for (changes, event) in [
        (
            AccessKeyChanges { label: Some(label("x")), ..none() },
            UserEvent::AccessKeyLabelChanged { id: id(), label: label("x") },
        ),
        (
            AccessKeyChanges { slot: Some(Some(Slot::One)), ..none() },
            UserEvent::AccessKeySlotChanged { id: id(), slot: Some(Slot::One) },
        ),
        (
            AccessKeyChanges { state: Some(AccessKeyState::Inactive), ..none() },
            UserEvent::AccessKeyDeactivated { id: id() },
        ),
        (
            AccessKeyChanges { expiry: Some(Expiry::At(at(99))), ..none() },
            expiry_changed(1, Some(99), None),
        ),
        (
            AccessKeyChanges { expiry: Some(Expiry::After(ttl("0"))), ..none() },
            expiry_changed(1, None, Some("0")),
        ),
    ] {
        check(&given, 5, update(1, changes.clone()), Ok(vec![event]));
        let changed = given.clone().after(5, update(1, changes.clone()));
        check(&changed, 6, update(1, changes), Ok(vec![]));
        assert_eq!(changed.key(1).modified_at, at(5));
    }
    let same = AccessKeyChanges {
        label: Some(Label::default()),
        slot: Some(None),
        state: Some(AccessKeyState::Active),
        expiry: Some(Expiry::Never),
        lifetime_seconds_max: Some(1),
    };
    for nothing in [none(), same] {
        check(&given, 5, update(1, nothing), Ok(vec![]));
    }
}

#[test]
fn several_properties_of_a_key_change_together_or_not_at_all() {
    let given =
        user().after(1, create(1)).after(2, Command::CreateAccessKey(in_slot(2, Slot::One)));
    let changes = |slot, end| AccessKeyChanges {
        label: Some(label("x")),
        slot: Some(Some(slot)),
        state: Some(AccessKeyState::Inactive),
        expiry: Some(Expiry::At(at(end))),
        lifetime_seconds_max: None,
    };
    check(&given, 5, update(1, changes(Slot::Two, 5)), Err(Refusal::ExpiryInPast));
    let taken = Refusal::SlotTaken { slot: Slot::One, id: id(2) };
    check(&given, 5, update(1, changes(Slot::One, 6)), Err(taken));
    check(
        &given,
        5,
        update(1, changes(Slot::Two, 6)),
        Ok(vec![
            UserEvent::AccessKeyLabelChanged { id: id(1), label: label("x") },
            UserEvent::AccessKeySlotChanged { id: id(1), slot: Some(Slot::Two) },
            expiry_changed(1, Some(6), None),
            UserEvent::AccessKeyDeactivated { id: id(1) },
        ]),
    );
}

#[test]
fn an_inactive_key_works_again_once_it_is_activated() {
    let given = user().after(1, create(1)).after(2, set_state(1, AccessKeyState::Inactive));
    assert_eq!(given.working(1, at(3)), [0_u32; 0]);
    let activate = set_state(1, AccessKeyState::Active);
    let activated = UserEvent::AccessKeyActivated { id: id(1) };
    check(&given, 3, activate.clone(), Ok(vec![activated]));
    assert_eq!(given.after(3, activate).working(1, at(3)), [1]);
}

#[test]
fn a_slot_holds_one_key() {
    let one = || Command::CreateAccessKey(in_slot(2, Slot::One));
    let taken = |n| Err(Refusal::SlotTaken { slot: Slot::One, id: id(n) });
    let given = user().after(1, Command::CreateAccessKey(in_slot(1, Slot::One)));
    check(&given, 2, one(), taken(1));
    let given = given.after(2, Command::CreateAccessKey(in_slot(2, Slot::Two)));
    check(&given, 3, set_slot(2, Some(Slot::One)), taken(1));
    assert_eq!(
        taken(1).unwrap_err().to_string(),
        format!("slot 1 is taken by access key {}", id(1))
    );
}

#[test]
fn an_expired_or_inactive_key_keeps_its_slot() {
    let expiring = NewAccessKey { expiry: Expiry::At(at(2)), ..in_slot(1, Slot::One) };
    let given = user()
        .after(1, Command::CreateAccessKey(expiring))
        .after(1, set_state(1, AccessKeyState::Inactive));
    let taken = Refusal::SlotTaken { slot: Slot::One, id: id(1) };
    check(&given, 9, Command::CreateAccessKey(in_slot(2, Slot::One)), Err(taken));
}

#[test]
fn a_slot_is_free_once_its_key_has_moved_or_is_deleted() {
    let given =
        user().after(1, Command::CreateAccessKey(in_slot(1, Slot::One))).after(1, create(2));
    let take = || set_slot(2, Some(Slot::One));
    let took = UserEvent::AccessKeySlotChanged { id: id(2), slot: Some(Slot::One) };
    for free in [set_slot(1, Some(Slot::Two)), set_slot(1, None), delete(1)] {
        check(&given.clone().after(2, free), 3, take(), Ok(vec![took.clone()]));
    }
}
