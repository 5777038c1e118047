use super::*;
use crate::TagsChange;

const RETENTION: i64 = 1000;

/// In an account where what is deleted can be undeleted for a while.
fn retaining() -> Given {
    user().account(|settings| settings.retention_seconds = 1000)
}

#[test]
fn a_deleted_key_is_gone_for_good_without_a_retention_window() {
    let given = user().after(1, create(1));
    check(&given, 2, delete(1), Ok(vec![deleted(1)]));
    let given = given.after(2, delete(1));
    assert_eq!((given.keys(), given.known().deleted_access_keys.len()), (vec![], 0));
    for command in [undelete(1), purge(1), delete(1), rotate(1, 0)] {
        check(&given, 2, command, Err(Refusal::NoSuchAccessKey));
    }
}

#[test]
fn a_retained_key_is_dead_at_once() {
    let given = retaining().after(1, create(1));
    check(&given, 2, delete(1), Ok(vec![deleted_until(1, 2 + RETENTION)]));
    let given = given.after(2, delete(1));
    assert_eq!(given.working(1, at(2)), [0_u32; 0]);
    let deleted = given.known().deleted_access_key(&id(1)).expect("retained");
    assert_eq!((deleted.deleted_at, deleted.purge_at), (at(2), at(2 + RETENTION)));
    for command in [delete(1), rotate(1, 0), end_grace_period(1), expire(1, Expiry::Never)] {
        check(&given, 3, command, Err(Refusal::NoSuchAccessKey));
    }
}

#[test]
fn an_undeleted_key_is_back_as_it_was() {
    let new = NewAccessKey {
        imported: true,
        label: label("backup"),
        state: AccessKeyState::Inactive,
        expiry: Expiry::After(ttl("P1D")),
        ..in_slot(2, Slot::Two)
    };
    let before = retaining()
        .after(1, create(1))
        .after(2, Command::CreateAccessKey(new))
        .after(3, create(3))
        .after(4, rotate(2, 500));
    let given = before.clone().after(5, delete(2));
    check(&given, 6, undelete(2), Ok(vec![undeleted(2)]));
    let given = given.after(6, undelete(2));
    assert_eq!(given.keys(), [1, 2, 3]);
    assert_eq!(given.key(2), &AccessKey { modified_at: at(6), ..before.key(2).clone() });
    assert!(given.known().deleted_access_keys.is_empty());
}

#[test]
fn keys_of_the_same_instant_come_back_in_their_order() {
    let before = [3, 1, 2].into_iter().fold(retaining(), |given, n| given.after(1, create(n)));
    let order = before.keys();
    for n in [1, 2, 3] {
        let given = before.clone().after(2, delete(n)).after(3, undelete(n));
        assert_eq!(given.keys(), order);
    }
    let all = [1, 3, 2].into_iter().fold(before, |given, n| given.after(2, delete(n)));
    let back = [2, 1, 3].into_iter().fold(all, |given, n| given.after(3, undelete(n)));
    assert_eq!(back.keys(), order);
}

#[test]
fn a_key_is_undeleted_until_exactly_the_end_of_its_retention() {
    let given = retaining().after(1, create(1)).after(2, delete(1));
    check(&given, 1 + RETENTION, undelete(1), Ok(vec![undeleted(1)]));
    for late in [2 + RETENTION, 3 + RETENTION] {
        check(&given, late, undelete(1), Err(Refusal::NoSuchAccessKey));
    }
    // What the account asks since is of no matter.
    let given = given.account(|settings| settings.retention_seconds = 0);
    check(&given, 3, undelete(1), Ok(vec![undeleted(1)]));
}

#[test]
fn a_key_that_is_not_deleted_is_neither_undeleted_nor_purged() {
    let given = retaining().after(1, create(1));
    check(&given, 2, undelete(1), Err(Refusal::NotDeleted));
    check(&given, 2, purge(1), Err(Refusal::NotDeleted));
}

#[test]
fn a_key_is_not_undeleted_beyond_the_key_limit() {
    let given = retaining().account(|settings| settings.access_keys_per_user_max = 2);
    let given = given.after(1, create(1)).after(2, create(2)).after(3, delete(1));
    let full = given.after(4, create(3));
    check(&full, 5, undelete(1), Err(Refusal::KeyLimit { max: 2 }));
    check(&full.after(5, delete(3)), 6, undelete(1), Ok(vec![undeleted(1)]));
}

#[test]
fn a_key_is_not_undeleted_into_a_slot_that_was_taken_meanwhile() {
    let given = retaining()
        .after(1, Command::CreateAccessKey(in_slot(1, Slot::One)))
        .after(2, delete(1))
        .after(3, Command::CreateAccessKey(in_slot(2, Slot::One)));
    let taken = Refusal::SlotTaken { slot: Slot::One, id: id(2) };
    check(&given, 4, undelete(1), Err(taken));
    let moved = given.after(4, set_slot(2, Some(Slot::Two)));
    check(&moved, 5, undelete(1), Ok(vec![undeleted(1)]));
    assert_eq!(moved.after(5, undelete(1)).key(1).slot, Some(Slot::One));
}

#[test]
fn a_key_is_not_undeleted_past_a_longest_lifetime_set_meanwhile() {
    let given = retaining()
        .after(1, create(1))
        .after(1, Command::CreateAccessKey(ending(2, Expiry::At(at(100)))))
        .after(2, delete(1))
        .after(2, delete(2))
        .account(|settings| settings.access_key_lifetime_seconds_max = Some(50));
    check(&given, 3, undelete(1), Err(Refusal::ExpiryRequired { max_seconds: 50 }));
    check(&given, 49, undelete(2), Err(Refusal::LifetimeTooLong { max_seconds: 50 }));
    check(&given, 50, undelete(2), Ok(vec![undeleted(2)]));
    check(&given, 200, undelete(2), Ok(vec![undeleted(2)]));
}

#[test]
fn a_key_that_expired_meanwhile_comes_back_expired() {
    let given = retaining()
        .after(1, Command::CreateAccessKey(ending(1, Expiry::At(at(10)))))
        .after(2, delete(1))
        .after(20, undelete(1));
    assert!(given.key(1).is_expired(at(20)));
    check(&given, 20, rotate(1, 0), Err(Refusal::Expired));
}

#[test]
fn a_retained_key_is_purged_on_request() {
    let given = retaining().after(1, create(1)).after(2, delete(1));
    for now in [3, 2 + RETENTION, 9 + RETENTION] {
        check(&given, now, purge(1), Ok(vec![purged(1)]));
    }
    let given = given.after(3, purge(1));
    check(&given, 4, purge(1), Err(Refusal::NoSuchAccessKey));
    check(&given, 4, undelete(1), Err(Refusal::NoSuchAccessKey));
}

#[test]
fn a_user_with_keys_is_deleted_only_by_force() {
    let given = user().after(1, create(1)).after(2, Command::CreateAccessKey(inactive(2)));
    let refusal = Refusal::UserHasKeys { count: 2 };
    check(&given, 5, Command::Delete { force: false }, Err(refusal));
    let events = vec![deleted(1), deleted(2), UserEvent::Deleted];
    check(&given, 5, Command::Delete { force: true }, Ok(events));
    let empty = given.after(6, delete(1)).after(7, delete(2));
    check(&empty, 8, Command::Delete { force: false }, Ok(vec![UserEvent::Deleted]));
}

#[test]
fn a_deleted_user_takes_its_retained_keys_along() {
    let given = retaining().after(1, create(1)).after(2, create(2)).after(3, delete(1));
    // None of the keys waits for the end of a retention window.
    let events = vec![deleted(2), purged(1), UserEvent::Deleted];
    check(&given, 5, Command::Delete { force: true }, Ok(events));
    // Retained keys do not hold a user back.
    let given = given.after(5, delete(2));
    let events = vec![purged(1), purged(2), UserEvent::Deleted];
    check(&given, 6, Command::Delete { force: false }, Ok(events));
    assert_eq!(given.after(6, Command::Delete { force: false }).user, None);
}

#[test]
fn exactly_the_events_after_which_a_key_is_gone_for_good_shred_it() {
    for event in [deleted(1), purged(1)] {
        assert_eq!(event.shredded_access_key(), Some(&id(1)));
        assert_eq!(event.access_key_id(), Some(&id(1)));
    }
    let id = || id(1);
    for event in [
        deleted_until(1, 9),
        undeleted(1),
        created(1),
        rotated(1, 2, 9),
        grace_period_ended(1),
        expiry_changed(1, Some(9), None),
        UserEvent::AccessKeyLabelChanged { id: id(), label: label("x") },
        UserEvent::AccessKeySlotChanged { id: id(), slot: None },
        UserEvent::AccessKeyActivated { id: id() },
        UserEvent::AccessKeyDeactivated { id: id() },
        UserEvent::AccessKeyExpiring { id: id(), expires_at: at(9), notice_seconds: 60 },
        UserEvent::AccessKeyRotationDue { id: id(), generation: 1, secret_created_at: at(1) },
    ] {
        assert_eq!(event.shredded_access_key(), None, "{event:?}");
        assert_eq!(event.access_key_id(), Some(&id()));
    }
    for event in [
        created_user(false),
        UserEvent::Renamed { name: name("bob") },
        UserEvent::LabelChanged { label: label("x") },
        UserEvent::CommentChanged { comment: label("x") },
        UserEvent::PathChanged { path: UserPath::default() },
        UserEvent::EmailChanged { email: Email::default() },
        UserEvent::TagsChanged(TagsChange::default()),
        UserEvent::Locked,
        UserEvent::Unlocked,
        UserEvent::Deleted,
    ] {
        assert_eq!((event.shredded_access_key(), event.access_key_id()), (None, None));
    }
}

#[test]
fn only_so_many_deleted_keys_are_retained_of_a_user() {
    let mut given = user().account(|settings| settings.retention_seconds = 86_400);
    for n in 0..RETAINED_ACCESS_KEYS_MAX {
        let n = u8::try_from(n + 1).expect("small");
        let second = i64::from(n) * 2;
        given = given.after(second, create(n)).after(second + 1, delete(n));
    }
    let last = u8::try_from(RETAINED_ACCESS_KEYS_MAX + 1).expect("small");
    let given = given.after(1000, create(last));
    let events = decide(given.user.as_ref(), delete(last), &given.settings, at(1001));
    let purged = UserEvent::AccessKeyPurged { id: id(1) };
    assert!(events.expect("accepted").contains(&purged));
}
