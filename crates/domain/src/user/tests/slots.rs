use super::*;

fn take(access_key: NewAccessKey, keep_expiry: bool) -> Command {
    Command::TakeSlot { access_key, keep_expiry }
}

fn commented(text: &str, command: Command) -> Command {
    Command::WithComment(label(text), Box::new(command))
}

fn comment_changed(text: &str) -> UserEvent {
    UserEvent::CommentChanged { comment: label(text) }
}

#[test]
fn a_user_is_made_with_its_first_key_or_not_at_all() {
    let both = |key| Command::CreateWithAccessKey(new_user(), key);
    let key = created_as(in_slot(1, Slot::One), None, None);
    let made = Ok(vec![created_user(false), key]);
    check(&nobody(), 0, both(in_slot(1, Slot::One)), made);
    let given = nobody().account(|settings| settings.access_key_lifetime_seconds_max = Some(60));
    let refused = Refusal::ExpiryRequired { max_seconds: 60 };
    check(&given, 0, both(new_key(1)), Err(refused));
    check(&user(), 1, both(new_key(1)), Err(Refusal::UserExists));
}

#[test]
fn a_free_slot_is_taken_if_there_is_room() {
    let given = user().after(1, create(1));
    let key = created_as(in_slot(2, Slot::Two), None, None);
    check(&given, 2, take(in_slot(2, Slot::Two), true), Ok(vec![key]));
    let given = given.account(|settings| settings.access_keys_per_user_max = 1);
    check(&given, 2, take(in_slot(2, Slot::Two), true), Err(Refusal::KeyLimit { max: 1 }));
}

#[test]
fn who_has_the_slot_is_deleted_whatever_the_account_says_of_grace() {
    let given = user().after(1, Command::CreateAccessKey(in_slot(1, Slot::One)));
    let given = given.account(|settings| {
        settings.default_grace_period_seconds = 60;
        settings.access_keys_per_user_max = 1;
    });
    let key = created_as(in_slot(2, Slot::One), None, None);
    check(&given, 2, take(in_slot(2, Slot::One), true), Ok(vec![deleted(1), key]));
}

#[test]
fn a_key_that_takes_a_slot_ends_as_the_one_before_if_that_is_kept() {
    let ending = |expiry| NewAccessKey { expiry, ..in_slot(1, Slot::One) };
    let next = |expires_at: Option<i64>, time_to_live: Option<&str>| {
        let key = in_slot(2, Slot::One);
        Ok(vec![deleted(1), created_as(key, expires_at.map(at), time_to_live.map(ttl))])
    };
    let after = Command::CreateAccessKey(ending(Expiry::After(ttl("PT60S"))));
    let given = user().after(1, after);
    check(&given, 11, take(in_slot(2, Slot::One), true), next(Some(71), Some("PT60S")));
    check(&given, 100, take(in_slot(2, Slot::One), true), next(Some(160), Some("PT60S")));
    check(&given, 11, take(in_slot(2, Slot::One), false), next(None, None));
    let given = user().after(1, Command::CreateAccessKey(ending(Expiry::At(at(60)))));
    check(&given, 11, take(in_slot(2, Slot::One), true), next(Some(60), None));
    check(&given, 60, take(in_slot(2, Slot::One), true), Err(Refusal::ExpiryInPast));
}

#[test]
fn a_comment_is_changed_with_a_key_or_neither_is() {
    let given = user().after(1, create(1));
    check(&given, 2, commented("x", create(2)), Ok(vec![created(2), comment_changed("x")]));
    check(&given, 2, commented("x", delete(1)), Ok(vec![deleted(1), comment_changed("x")]));
    check(&given, 2, commented("", delete(1)), Ok(vec![deleted(1)]));
    check(&given, 2, commented("x", delete(2)), Err(Refusal::NoSuchAccessKey));
}
