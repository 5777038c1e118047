//! What identity does by itself when its time has come.

mod support;

use api::error::v1::Reason;
use api::event::v1::payload::Event as Kind;
use api::event::v1::{AccountSettings, Event};
use api::identity::v1::*;
use support::{DAY_MS, Home, Identity, START_MS, at, request_id};
use tonic::Code;

const SECOND_MS: u64 = 1000;
const HOUR_MS: u64 = 3_600_000;

/// The next event of this kind after a position.
async fn next(identity: &Identity, kind: &str, after_position: u64) -> Event {
    let request = WatchEventsRequest {
        kinds: vec![kind.into()],
        after_position,
        duration_seconds: 30,
        ..Default::default()
    };
    let watched = identity.events().watch_events(request).await.expect("watches");
    let mut events = watched.into_inner();
    loop {
        let message = events.message().await.expect("goes on").expect("came in time");
        if let Some(event) = message.event {
            return event;
        }
    }
}

async fn all(identity: &Identity, kind: &str) -> Vec<Event> {
    let request = ListEventsRequest { kinds: vec![kind.into()], ..Default::default() };
    identity.all_events(request).await
}

/// Whose end is near, and how far ahead that was to be told.
fn expiring(event: &Event) -> (&str, u32, prost_types::Timestamp) {
    match event.payload.as_ref().and_then(|payload| payload.event.as_ref()) {
        Some(Kind::AccessKeyExpiring(event)) => {
            (&event.access_key_id, event.notice_seconds, event.expire_time.expect("there"))
        }
        other => panic!("{other:?}"),
    }
}

/// Waits until everything that is due was done: whatever comes due later is done later.
async fn all_done(home: &Home, identity: &Identity) {
    for _ in 0..2 {
        let settings = AccountSettings { retention_seconds: 1, ..Default::default() };
        let fence = identity.account_with(settings).await.access_key.expect("there");
        let deleted = identity.delete_key(&fence.name).await.expect("deleted");
        home.clock.advance(SECOND_MS);
        next(identity, "access_key_purged", deleted.position).await;
    }
}

async fn key_for(identity: &Identity, settings: AccountSettings, ttl: &str) -> AccessKey {
    let root = identity.account_with(settings).await.root_user.expect("there").name;
    let asked = AccessKey { time_to_live: ttl.into(), ..Default::default() };
    identity.key_with(&root, asked).await.expect("created").access_key.expect("there")
}

#[tokio::test]
async fn the_end_of_a_key_is_announced_once_at_each_distance() {
    let home = Home::new();
    let mut identity = home.start().await;
    let notices = vec![86_400, 3600, 60, 31_536_000];
    let settings = AccountSettings { expiry_notice_seconds: notices, ..Default::default() };
    let key = key_for(&identity, settings, "P2D").await;
    let end = START_MS + 2 * DAY_MS;
    for notice_seconds in [86_400, 3600, 60] {
        home.clock.set(end - u64::from(notice_seconds) * SECOND_MS - 1);
        let head = identity.head().await;
        all_done(&home, &identity).await;
        // Two seconds later at the latest, which is what the fences took.
        let event = next(&identity, "access_key_expiring", head).await;
        assert_eq!(expiring(&event), (key.access_key_id.as_str(), notice_seconds, at(end)));
        let actor = event.actor.expect("there");
        assert_eq!((actor.principal.as_str(), actor.facade.as_str()), ("claviger", "schedule"));
        identity.stop().await;
        identity = home.start().await;
    }
    home.clock.set(end);
    all_done(&home, &identity).await;
    let told = all(&identity, "access_key_expiring").await;
    let told: Vec<_> = told.iter().map(|event| expiring(event).1).collect();
    assert_eq!(told, [86_400, 3600, 60], "none twice, and none that lay before the key");
    let shown = identity.key(&key.name).await;
    assert_eq!(shown.etag, key.etag, "to be told of is no change");
}

#[tokio::test]
async fn what_came_due_while_identity_was_down_is_told_late() {
    let home = Home::new();
    let identity = home.start().await;
    let notices = vec![86_400, 7200, 60];
    let settings = AccountSettings { expiry_notice_seconds: notices, ..Default::default() };
    let key = key_for(&identity, settings.clone(), "P2D").await;
    key_for(&identity, settings, "PT26H").await;
    let head = identity.head().await;
    identity.stop().await;
    home.clock.advance(2 * DAY_MS - HOUR_MS);
    let identity = home.start().await;
    next(&identity, "access_key_expiring", head).await;
    all_done(&home, &identity).await;
    let told = all(&identity, "access_key_expiring").await;
    assert_eq!(told.len(), 2, "of the one that has ended nothing is told: {told:?}");
    assert!(told.iter().all(|event| expiring(event).0 == key.access_key_id));
    assert_eq!((expiring(&told[0]).1, expiring(&told[1]).1), (86_400, 7200));
    assert_eq!(told[0].command_id, told[1].command_id);
}

#[tokio::test]
async fn an_old_secret_is_told_once_for_each_generation() {
    let home = Home::new();
    let identity = home.start().await;
    let settings = AccountSettings { rotation_due_days: 30, ..Default::default() };
    let made = identity.account_with(settings).await;
    let key = made.access_key.expect("there");
    let mut head = made.position;
    for generation in 1..=2 {
        home.clock.advance(30 * DAY_MS);
        let due = next(&identity, "access_key_rotation_due", head).await;
        match due.payload.and_then(|payload| payload.event) {
            Some(Kind::AccessKeyRotationDue(event)) => {
                assert_eq!(event.generation, generation);
                assert_eq!(event.access_key_id, key.access_key_id);
            }
            other => panic!("{other:?}"),
        }
        all_done(&home, &identity).await;
        head = identity.rotate(&key.name, 0).await.expect("rotated").position;
    }
    assert_eq!(all(&identity, "access_key_rotation_due").await.len(), 2);
}

#[tokio::test]
async fn a_deleted_key_is_purged_at_the_end_of_its_retention() {
    let home = Home::new();
    let identity = home.start().await;
    let settings = AccountSettings { retention_seconds: 3600, ..Default::default() };
    let root = identity.account_with(settings).await.root_user.expect("there").name;
    let create =
        CreateAccessKeyRequest { parent: root, request_id: request_id(1), ..Default::default() };
    let key = identity.create_access_key(create.clone()).await.expect("created").access_key;
    let key = key.expect("there");
    let deleted = identity.delete_key(&key.name).await.expect("deleted");
    home.clock.advance(HOUR_MS - 2 * SECOND_MS - 1);
    all_done(&home, &identity).await;
    assert_eq!(
        identity.key(&key.name).await.state(),
        AccessKeyState::Deleted,
        "a millisecond left"
    );
    home.clock.advance(1);
    let of_key = async |event: &Event| match event.payload.clone().and_then(|it| it.event) {
        Some(Kind::AccessKeyPurged(event)) => event.access_key_id == key.access_key_id,
        _ => false,
    };
    let mut after = deleted.position;
    loop {
        let purged = next(&identity, "access_key_purged", after).await;
        after = purged.position;
        if of_key(&purged).await {
            break;
        }
    }
    // Recorded first, then destroyed. Left are the keys of the account and of no fence.
    while identity.data_keys().await > 1 {
        tokio::task::yield_now().await;
    }
    let again = identity.create_access_key(create);
    identity.refuses(again, Code::FailedPrecondition, Reason::SecretShredded).await;
    identity.stop().await;
    let identity = home.start().await;
    assert_eq!(identity.data_keys().await, 1);
}
