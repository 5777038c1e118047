use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::any::{any_event, any_instant, any_key, any_story};
use super::*;

/// The id of the key that a command may make.
fn new_id(command: &Command) -> Option<&AccessKeyId> {
    match command {
        Command::CreateAccessKey(new)
        | Command::CreateWithAccessKey(_, new)
        | Command::TakeSlot { access_key: new, .. }
        | Command::ReplaceAccessKey { replacement: new, .. }
        | Command::DeleteAccessKey { replacement: Some(new), .. } => Some(&new.id),
        Command::WithComment(_, command) => new_id(command),
        Command::Create(_)
        | Command::Update(_)
        | Command::Lock
        | Command::Unlock
        | Command::Delete { .. }
        | Command::UpdateAccessKey { .. }
        | Command::RotateSecretAccessKey { .. }
        | Command::EndGracePeriod { .. }
        | Command::DeleteAccessKey { replacement: None, .. }
        | Command::UndeleteAccessKey { .. }
        | Command::PurgeAccessKey { .. }
        | Command::SetPassword { .. }
        | Command::RemovePassword
        | Command::LockOutAccessKey { .. }
        | Command::Tick => None,
    }
}

/// Tells a story, and shows each instant of it: what was given, when, what was recorded and what
/// came of it.
fn tell(
    story: Vec<(i64, Option<AccountSettings>, Command)>,
    mut show: impl FnMut(&Given, Timestamp, &[UserEvent], &Given) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut given = nobody();
    let mut now = at(0);
    for (pause, settings, command) in story {
        now += TimeDelta::milliseconds(pause);
        given.settings = settings.unwrap_or(given.settings);
        // Ids are unique by a claim in the log; the domain relies on it.
        let taken = |user: &User, id| {
            user.access_key(id).is_some() || user.deleted_access_key(id).is_some()
        };
        if let (Some(id), Some(user)) = (new_id(&command), &given.user)
            && taken(user, id)
        {
            continue;
        }
        let decide = || decide(given.user.as_ref(), command.clone(), &given.settings, now);
        let decision = decide();
        prop_assert_eq!(&decision, &decide(), "deciding is deterministic");
        let events = decision.unwrap_or_default();
        let user = events.iter().fold(given.user.clone(), |user, event| evolve(user, event, now));
        let then = Given { user, settings: given.settings.clone() };
        show(&given, now, &events, &then)?;
        given = then;
    }
    Ok(())
}

fn all_keys(given: &Given) -> impl Iterator<Item = &AccessKey> {
    let user = given.user.iter();
    user.flat_map(|user| {
        let deleted = user.deleted_access_keys.iter().map(|deleted| &deleted.access_key);
        user.access_keys.iter().chain(deleted)
    })
}

proptest! {
    /// Whatever is asked in whatever order.
    #[test]
    fn the_invariants_hold_after_any_commands(story in any_story()) {
        tell(story, |given, now, events, then| {
            let count = |given: &Given| given.user.as_ref().map_or(0, |u| u.access_keys.len());
            let max = usize::from(given.settings.access_keys_per_user_max);
            prop_assert!(count(then) <= max.max(count(given)));
            for slot in [Slot::One, Slot::Two] {
                let keys = then.user.iter().flat_map(|user| &user.access_keys);
                prop_assert!(keys.filter(|key| key.slot == Some(slot)).count() <= 1);
            }
            for key in all_keys(then) {
                prop_assert!((1..=2).contains(&key.secrets.len()));
                prop_assert!((1..=2).contains(&key.valid_secrets(now).count()));
                prop_assert_eq!(key.secrets[0].expires_at, None);
                prop_assert!(key.secrets.windows(2).all(|w| w[0].generation > w[1].generation));
                let endless = |ttl: &TimeToLive| ttl.seconds() == 0;
                let spelled = key.time_to_live.as_ref().map(endless);
                prop_assert!(spelled.is_none_or(|endless| endless == key.expires_at.is_none()));
            }
            for event in events {
                if let UserEvent::SecretAccessKeyRotated { id, generation, .. } = event {
                    let key = given.user.as_ref().and_then(|user| user.access_key(id));
                    prop_assert_eq!(key.map(|key| key.generation() + 1), Some(*generation));
                    let key = then.user.as_ref().and_then(|user| user.access_key(id));
                    prop_assert!(key.is_some_and(|key| !key.is_expired(now)));
                }
            }
            prop_assert!(!events.is_empty() || given.user == then.user);
            let mut ids: Vec<_> = all_keys(then).map(|key| &key.id).collect();
            ids.sort_unstable();
            prop_assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
            Ok(())
        })?;
    }

    /// A secret that has ended stays so, the newest apart: its key may be given a new end.
    #[test]
    fn only_the_newest_secret_comes_back_to_life(story in any_story()) {
        let mut dead: BTreeSet<(AccessKeyId, u32)> = BTreeSet::new();
        tell(story, |given, now, events, then| {
            let ended = |key: &AccessKey, secret: &Secret| {
                key.is_expired(now) || secret.expires_at.is_some_and(|end| end <= now)
            };
            let purged: Vec<_> = events.iter().filter_map(UserEvent::shredded_access_key).collect();
            dead.retain(|(id, _)| !purged.contains(&id));
            for key in given.user.iter().flat_map(|user| &user.access_keys) {
                for secret in key.secrets.iter().filter(|secret| ended(key, secret)) {
                    dead.insert((key.id.clone(), secret.generation));
                }
            }
            for key in then.user.iter().flat_map(|user| &user.access_keys) {
                for secret in key.secrets.iter().skip(1).filter(|secret| !ended(key, secret)) {
                    prop_assert!(!dead.contains(&(key.id.clone(), secret.generation)), "{:?}", key);
                }
                if let Some(newest) = key.secrets.first().filter(|secret| !ended(key, secret)) {
                    dead.remove(&(key.id.clone(), newest.generation));
                }
            }
            Ok(())
        })?;
    }

    /// As long as the account limits lifetimes, nothing that is recorded exceeds the limit.
    #[test]
    fn no_lifetime_is_set_beyond_the_limit(story in any_story()) {
        tell(story, |given, now, events, then| {
            let Some(max) = given.settings.access_key_lifetime_seconds_max else { return Ok(()) };
            let set = events.iter().filter(|event| {
                matches!(
                    event,
                    UserEvent::AccessKeyCreated { .. }
                        | UserEvent::AccessKeyUndeleted { .. }
                        | UserEvent::AccessKeyExpiryChanged { expires_at: None, .. }
                        | UserEvent::AccessKeyExpiryChanged { time_to_live: Some(_), .. }
                )
            });
            for id in set.filter_map(UserEvent::access_key_id) {
                let left = then.user.as_ref().and_then(|user| user.access_key(id));
                prop_assert!(left.and_then(|key| key.seconds_left(now)).is_some_and(|s| s <= max));
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_second_tick_finds_nothing_to_do(story in any_story()) {
        tell(story, |_, now, _, then| {
            let tick = |user: Option<&User>| {
                decide(user, Command::Tick, &then.settings, now).unwrap_or_default()
            };
            let events = tick(then.user.as_ref());
            let ticked =
                events.iter().fold(then.user.clone(), |user, event| evolve(user, event, now));
            prop_assert_eq!(tick(ticked.as_ref()), vec![]);
            Ok(())
        })?;
    }

    /// Deleted and brought back, a key and its place are the same, the time of change apart.
    #[test]
    fn undeleting_leaves_no_trace(story in any_story(), n in any_key()) {
        tell(story, |_, now, _, then| {
            let Some(key) = then.user.as_ref().and_then(|user| user.access_key(&id(n))) else {
                return Ok(());
            };
            let event = UserEvent::AccessKeyDeleted { id: id(n), purge_at: Some(now) };
            let gone = evolve(then.user.clone(), &event, now);
            let mut back = evolve(gone, &undeleted(n), now);
            for back in back.iter_mut().flat_map(|user| &mut user.access_keys) {
                if back.id == key.id {
                    back.modified_at = key.modified_at;
                }
            }
            prop_assert_eq!(&back, &then.user);
            Ok(())
        })?;
    }

    /// Unlocking restores exactly what was, the time of change apart.
    #[test]
    fn lock_and_unlock_leave_no_trace(story in any_story()) {
        tell(story, |_, now, _, then| {
            let Some(user) = then.user.as_ref().filter(|user| user.state == UserState::Active)
            else {
                return Ok(());
            };
            let locked = evolve(then.user.clone(), &UserEvent::Locked, now);
            let unlocked = evolve(locked, &UserEvent::Unlocked, now);
            let unlocked = unlocked.map(|it| User { modified_at: user.modified_at, ..it });
            prop_assert_eq!(&unlocked, &then.user);
            Ok(())
        })?;
    }

    /// Whatever stands in the log, it has happened.
    #[test]
    fn any_events_make_a_user_that_serialises_and_back(
        events in vec((any_event(), any_instant()), 0..80)
    ) {
        let user = events.iter().fold(None, |user, (event, at)| evolve(user, event, *at));
        let json = serde_json::to_string(&user).expect("serialises");
        let back: Option<User> = serde_json::from_str(&json).expect("deserialises");
        prop_assert_eq!(back, user);
    }

    #[test]
    fn any_commands_make_a_user_that_serialises_and_back(story in any_story()) {
        let mut last = None;
        tell(story, |_, _, _, then| {
            last = then.user.clone();
            Ok(())
        })?;
        let json = serde_json::to_string(&last).expect("serialises");
        prop_assert_eq!(serde_json::from_str::<Option<User>>(&json).expect("deserialises"), last);
    }
}
