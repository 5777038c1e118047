use super::*;
use crate::{Tag, TagsChange};

fn change(changes: UserChanges) -> Command {
    Command::Update(changes)
}

fn rename(to: &str) -> Command {
    change(UserChanges { name: Some(name(to)), ..UserChanges::default() })
}

fn tags(of: impl IntoIterator<Item = (String, String)>) -> Tags {
    let parse = |(key, value): (String, String)| Tag::parse(&key, &value).expect("valid");
    Tags::new(of.into_iter().map(parse)).expect("valid")
}

/// As many and as large as tags may be: a letter of four bytes everywhere but in a key's number.
fn largest_tags(value: char) -> Tags {
    let key = |n: usize| format!("{n:02}{}", "𐐀".repeat(126));
    tags((0..crate::TAGS_MAX).map(|n| (key(n), value.to_string().repeat(256))))
}

/// Bytes of all that is of no fixed length in an event of the user itself.
fn bytes(event: &UserEvent) -> usize {
    if let UserEvent::TagsChanged(TagsChange { set, removed }) = event {
        // Each text with its own length and field, in both of two nested messages.
        let set: usize = set.iter().map(|tag| tag.key().len() + tag.value().len() + 12).sum();
        return set + removed.iter().map(|key| key.len() + 4).sum::<usize>();
    }
    let UserEvent::Created { name, label, comment, path, email, .. } = event else {
        panic!("{event:?}")
    };
    let texts = [name.as_str(), label.as_str(), comment.as_str(), path.as_str(), email.as_str()];
    texts.iter().map(|text| text.len()).sum()
}

#[test]
fn a_user_is_made_once() {
    let given = nobody();
    check(&given, 0, Command::Create(new_user()), Ok(vec![created_user(false)]));
    check(&user(), 1, Command::Create(new_user()), Err(Refusal::UserExists));
    let again = user().after(1, Command::Delete { force: false });
    check(&again, 2, Command::Create(new_user()), Ok(vec![created_user(false)]));
}

#[test]
fn a_user_is_made_with_its_tags() {
    let tags = tags([("team".into(), "a".into())]);
    let given = nobody().after(3, Command::Create(NewUser { tags: tags.clone(), ..new_user() }));
    let user = given.known();
    assert_eq!((&user.tags, user.created_at, user.modified_at), (&tags, at(3), at(3)));
    assert_eq!(user.state, UserState::Active);
}

#[test]
fn nothing_can_be_asked_of_a_user_that_is_not_there() {
    let gone = user().after(1, create(1)).after(2, Command::Delete { force: true });
    for command in [
        rename("bob"),
        Command::Lock,
        Command::Unlock,
        Command::Delete { force: true },
        create(1),
        expire(1, Expiry::Never),
        rotate(1, 0),
        end_grace_period(1),
        replace(1, new_key(2), 0),
        delete(1),
        undelete(1),
        purge(1),
        Command::Tick,
    ] {
        check(&nobody(), 5, command.clone(), Err(Refusal::NoSuchUser));
        check(&gone, 5, command, Err(Refusal::NoSuchUser));
    }
}

#[test]
fn every_property_changes_alone_and_only_when_it_differs() {
    let email = || Email::parse("alice@example.org").expect("valid");
    let path = || UserPath::parse("/a/").expect("valid");
    let none = UserChanges::default;
    let tag = || tags([("Team".into(), "a".into())]);
    let set = TagsChange { set: tag().iter().cloned().collect(), removed: vec![] };
    let cases = [
        (
            UserChanges { name: Some(name("bob")), ..none() },
            UserEvent::Renamed { name: name("bob") },
        ),
        (
            UserChanges { label: Some(label("x")), ..none() },
            UserEvent::LabelChanged { label: label("x") },
        ),
        (
            UserChanges { comment: Some(label("x")), ..none() },
            UserEvent::CommentChanged { comment: label("x") },
        ),
        (UserChanges { path: Some(path()), ..none() }, UserEvent::PathChanged { path: path() }),
        (
            UserChanges { email: Some(email()), ..none() },
            UserEvent::EmailChanged { email: email() },
        ),
        (UserChanges { tags: Some(tag()), ..none() }, UserEvent::TagsChanged(set)),
    ];
    for (changes, event) in cases {
        check(&user(), 1, change(changes.clone()), Ok(vec![event]));
        let given = user().after(1, change(changes.clone()));
        check(&given, 2, change(changes), Ok(vec![]));
        assert_eq!(given.known().modified_at, at(1));
    }
    check(&user(), 1, change(none()), Ok(vec![]));
}

#[test]
fn a_name_may_change_in_its_case_only() {
    let renamed = UserEvent::Renamed { name: name("ALICE") };
    check(&user(), 1, rename("ALICE"), Ok(vec![renamed]));
    check(&user(), 1, rename("alice"), Ok(vec![]));
}

#[test]
fn the_root_user_keeps_its_name_and_stays() {
    let given = root_user().after(1, create(1));
    check(&given, 2, rename("Alice"), Err(Refusal::RootUser));
    check(&given, 2, rename("alice"), Ok(vec![]));
    for force in [false, true] {
        check(&given, 2, Command::Delete { force }, Err(Refusal::RootUser));
    }
    // It goes with its account.
    assert_eq!(delete_whole(given.known()), [deleted(1), UserEvent::Deleted]);
}

#[test]
fn several_properties_change_together_or_not_at_all() {
    let changes =
        UserChanges { name: Some(name("bob")), label: Some(label("x")), ..UserChanges::default() };
    let events = vec![
        UserEvent::Renamed { name: name("bob") },
        UserEvent::LabelChanged { label: label("x") },
    ];
    check(&user(), 1, change(changes.clone()), Ok(events));
    check(&root_user(), 1, change(changes), Err(Refusal::RootUser));
}

#[test]
fn the_largest_user_fits_into_events_of_4096_bytes() {
    let new = NewUser {
        name: name(&"x".repeat(64)),
        label: label(&"𐐀".repeat(256)),
        comment: label(&"𐐀".repeat(256)),
        path: UserPath::parse(&format!("/{}/", "x".repeat(510))).expect("valid"),
        email: Email::parse(&format!("a@{}", "x".repeat(252))).expect("valid"),
        tags: largest_tags('𐐀'),
        ..new_user()
    };
    let settings = AccountSettings::default();
    let events = decide(None, Command::Create(new), &settings, at(0)).expect("accepted");
    assert_eq!(events.iter().map(bytes).max(), Some(64 + 1024 + 1024 + 512 + 254));
    let given = events.iter().fold(nobody(), |given, event| given.recorded(0, event));
    assert_eq!(given.known().tags, largest_tags('𐐀'));

    let other = UserChanges { tags: Some(largest_tags('𐐁')), ..UserChanges::default() };
    let none = UserChanges { tags: Some(Tags::default()), ..UserChanges::default() };
    for changes in [other, none] {
        let wanted = changes.tags.clone();
        let events = decide(given.user.as_ref(), change(changes.clone()), &settings, at(1));
        let events = events.expect("accepted");
        assert!(events.len() > 1 && events.iter().all(|event| bytes(event) < 3500), "{events:?}");
        assert_eq!(given.clone().after(1, change(changes)).user.map(|user| user.tags), wanted);
    }
}

#[test]
fn locking_stops_every_key_and_unlocking_restores_what_was() {
    let given = user()
        .after(1, create(1))
        .after(2, Command::CreateAccessKey(inactive(2)))
        .after(3, rotate(1, 100));
    check(&given, 5, Command::Lock, Ok(vec![UserEvent::Locked]));
    check(&given, 5, Command::Unlock, Ok(vec![]));
    let locked = given.clone().after(5, Command::Lock);
    check(&locked, 6, Command::Lock, Ok(vec![]));
    check(&locked, 6, Command::Unlock, Ok(vec![UserEvent::Unlocked]));
    assert_eq!(locked.working(1, at(6)), [0_u32; 0]);
    let unlocked = locked.after(6, Command::Unlock);
    assert_eq!(unlocked.known().access_keys, given.known().access_keys);
    assert_eq!(unlocked.working(1, at(6)), [2, 1]);
    assert_eq!(unlocked.working(2, at(6)), [0_u32; 0]);
}

#[test]
fn what_happens_to_a_key_does_not_modify_its_user() {
    let given = user().after(5, create(1)).after(6, rotate(1, 0)).after(7, delete(1));
    assert_eq!(given.known().modified_at, at(0));
    assert_eq!(given.after(8, Command::Lock).known().modified_at, at(8));
}

#[test]
fn events_that_do_not_fit_leave_a_user_as_it_is() {
    let given = user().after(1, create(1)).after(2, create(2));
    let given = given.account(|settings| settings.retention_seconds = 9).after(3, delete(2));
    for event in [
        created_user(true),
        created(1),
        created(2),
        rotated(3, 2, 9),
        grace_period_ended(1),
        expiry_changed(2, None, None),
        deleted(2),
        undeleted(1),
        purged(1),
    ] {
        let mut after = given.clone().recorded(5, &event).known().clone();
        for key in &mut after.access_keys {
            key.modified_at = at(1);
        }
        assert_eq!(&after, given.known(), "{event:?}");
        assert!(nobody().recorded(5, &event).user.is_none_or(|_| event == created_user(true)));
    }
}
