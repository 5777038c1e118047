//! The audit trail: listed, watched, verified and signed.

mod support;

use std::collections::BTreeSet;

use api::error::v1::Reason;
use api::event::v1::Event;
use api::event::v1::payload::Event as Kind;
use api::identity::v1::*;
use sealing::{Keyring, Keystore, SignedCheckpoint, SigningKey};
use support::{Heard, Home, Identity, START_MS, at, mask, refused};
use tonic::{Code, Streaming};

const SECOND_MS: u64 = 1000;

/// Two accounts with all sorts of events, by two operators; what to filter them by.
async fn busy(home: &Home, identity: &Identity) -> WatchEventsRequest {
    let made = identity.account("Acme").await;
    let account = made.account.expect("there").name;
    home.clock.advance(SECOND_MS);
    let alice = identity.user(&account, "alice").await.expect("created").name;
    let key = identity.access_key(&alice).await.expect("created").access_key.expect("there");
    identity.access_key(&alice).await.expect("created");
    home.clock.advance(SECOND_MS);
    let token = AdminToken { display_name: "ci".into(), ..Default::default() };
    let token = rpc::Token::parse(&identity.admin_token(token).await.token).expect("a token");
    let other_operator = rpc::channel(&identity.uri, &token).expect("a URI");
    let mut users =
        api::identity::v1::user_service_client::UserServiceClient::new(other_operator.clone());
    let mut keys =
        api::identity::v1::access_key_service_client::AccessKeyServiceClient::new(other_operator);
    for name in [&alice, &made.root_user.expect("there").name] {
        let lock = LockUserRequest { name: name.clone(), ..Default::default() };
        users.lock_user(lock.clone()).await.expect("locked");
        let unlock = UnlockUserRequest { name: name.clone(), ..Default::default() };
        identity.unlock_user(unlock).await.expect("unlocked");
        identity.lock_user(lock).await.expect("locked");
    }
    for name in [&key.name, &made.access_key.expect("there").name] {
        let rotate = RotateSecretAccessKeyRequest { name: name.clone(), ..Default::default() };
        keys.rotate_secret_access_key(rotate).await.expect("rotated");
        identity.rotate(name, 60).await.expect("rotated");
    }
    home.clock.advance(SECOND_MS);
    let other = identity.account("Other").await;
    let off = UpdateAccessKeyRequest {
        access_key: Some(AccessKey {
            name: other.access_key.expect("there").name,
            state: AccessKeyState::Inactive.into(),
            label: "off".into(),
            ..Default::default()
        }),
        update_mask: mask(["state", "label"]),
        ..Default::default()
    };
    identity.update_access_key(off).await.expect("changed");
    let gone = identity.user(&account, "gone").await.expect("created").name;
    identity.access_key(&gone).await.expect("created");
    let delete = DeleteUserRequest { name: gone, force: true, ..Default::default() };
    identity.delete_user(delete).await.expect("deleted");
    WatchEventsRequest {
        account,
        user: alice,
        access_key_id: key.access_key_id,
        kinds: vec!["user_locked".into(), "secret_access_key_rotated".into()],
        principal: "admin-token/ci".into(),
        ..Default::default()
    }
}

fn listing(watch: &WatchEventsRequest) -> ListEventsRequest {
    ListEventsRequest {
        account: watch.account.clone(),
        user: watch.user.clone(),
        access_key_id: watch.access_key_id.clone(),
        kinds: watch.kinds.clone(),
        principal: watch.principal.clone(),
        ..Default::default()
    }
}

async fn all(identity: &Identity) -> Vec<Event> {
    let request = ListEventsRequest { page_size: 1000, ..Default::default() };
    identity.list_events(request).await.expect("listed").events
}

fn positions(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.position).collect()
}

fn kind(event: &Event) -> &Kind {
    event.payload.as_ref().and_then(|payload| payload.event.as_ref()).expect("there")
}

/// Whether an event matches, looked at from outside.
fn matches(filter: &WatchEventsRequest, event: &Event) -> bool {
    let said = format!("{:?}", kind(event));
    let of_key = said.contains(&format!("access_key_id: {:?}", filter.access_key_id));
    let named = match filter.kinds.as_slice() {
        [] => true,
        _ => ["UserLocked(", "SecretAccessKeyRotated("].iter().any(|name| said.starts_with(name)),
    };
    let principal = &event.actor.as_ref().expect("there").principal;
    (filter.account.is_empty() || filter.account == event.account)
        && (filter.user.is_empty() || filter.user == event.user)
        && (filter.access_key_id.is_empty() || of_key)
        && named
        && (filter.principal.is_empty() || filter.principal == *principal)
}

async fn watch(
    identity: &Identity,
    request: WatchEventsRequest,
) -> Result<Streaming<WatchEventsResponse>, tonic::Status> {
    Ok(identity.events().watch_events(request).await?.into_inner())
}

async fn next(events: &mut Streaming<WatchEventsResponse>) -> WatchEventsResponse {
    events.message().await.expect("goes on").expect("there")
}

#[tokio::test]
async fn every_filter_alone_and_with_every_other_shows_what_matches() {
    let home = Home::new();
    let identity = home.start().await;
    let full = busy(&home, &identity).await;
    let all = all(&identity).await;
    let mut told_apart = BTreeSet::new();
    for bits in 0..32_u32 {
        let given = |bit: u32, text: &str| {
            if bits & (1 << bit) == 0 { String::new() } else { text.to_owned() }
        };
        let filter = WatchEventsRequest {
            account: given(0, &full.account),
            user: given(1, &full.user),
            access_key_id: given(2, &full.access_key_id),
            kinds: if bits & 8 == 0 { vec![] } else { full.kinds.clone() },
            principal: given(4, &full.principal),
            ..Default::default()
        };
        let expected: Vec<_> =
            all.iter().filter(|event| matches(&filter, event)).cloned().collect();
        assert!(!expected.is_empty());
        told_apart.insert(positions(&expected));
        for page_size in [1, 2, 1000] {
            let list = ListEventsRequest { page_size, ..listing(&filter) };
            assert_eq!(identity.all_events(list).await, expected, "{bits:05b} by {page_size}");
        }
        let mut watched = watch(&identity, filter).await.expect("watches");
        for expected in &expected {
            let message = next(&mut watched).await;
            assert_eq!(message.event.as_ref(), Some(expected), "{bits:05b}");
            assert_eq!(message.resume_position, expected.position);
        }
    }
    assert!(told_apart.len() >= 10, "the filters differ: {}", told_apart.len());
    for (kinds, count) in [(vec!["account_created"], 2), (vec!["user_deleted"], 1)] {
        let kinds = kinds.into_iter().map(str::to_owned).collect();
        let list = ListEventsRequest { kinds, ..Default::default() };
        assert_eq!(identity.all_events(list).await.len(), count);
    }
    let nothing =
        ListEventsRequest { principal: "nobody".into(), page_size: 1, ..Default::default() };
    assert!(identity.all_events(nothing).await.is_empty());
}

#[tokio::test]
async fn ranges_of_time_and_position_are_kept_to_the_event() {
    let home = Home::new();
    let identity = home.start().await;
    let filter = busy(&home, &identity).await;
    let all = all(&identity).await;
    let head = all.len() as u64;
    let ms = |event: &Event| {
        let time = event.time.expect("there");
        u64::try_from(time.seconds).expect("after 1970") * 1000
    };
    let times = [0, START_MS - 1, START_MS, START_MS + 1, START_MS + 1000, START_MS + 3000];
    let later = [START_MS + 3001, START_MS + 1_000_000];
    let times: Vec<_> = times.into_iter().chain(later).map(Some).chain([None]).collect();
    let bounds = [0, 1, 5, head - 1, head, head + 10];
    for start in &times {
        for end in &times {
            let (after_position, until_position) = (
                bounds[usize::try_from(start.unwrap_or(7) % 6).expect("fits")],
                bounds[usize::try_from(end.unwrap_or(3) % 5).expect("fits")],
            );
            for sparse in [false, true] {
                let request = ListEventsRequest {
                    start_time: start.map(at),
                    end_time: end.map(at),
                    after_position,
                    until_position,
                    page_size: 2,
                    user: if sparse { filter.user.clone() } else { String::new() },
                    ..Default::default()
                };
                let expected = all.iter().filter(|event| {
                    start.is_none_or(|start| start <= ms(event))
                        && end.is_none_or(|end| ms(event) < end)
                        && event.position > after_position
                        && (until_position == 0 || event.position <= until_position)
                        && (!sparse || event.user == filter.user)
                });
                let expected: Vec<_> = expected.map(|event| event.position).collect();
                let found = identity.all_events(request.clone()).await;
                assert_eq!(positions(&found), expected, "{request:?}");
            }
        }
    }
    let one_by_one = ListEventsRequest { page_size: 1, ..Default::default() };
    assert_eq!(identity.all_events(one_by_one).await, all);
    let range = |after_position, until_position| ListEventsRequest {
        after_position,
        until_position,
        ..Default::default()
    };
    for (after, until) in [(0, 1), (4, 9), (head - 1, 0), (head, 0), (3, 3), (9, 4)] {
        let found = identity.all_events(range(after, until)).await;
        let end = if until == 0 { head } else { until };
        let expected: Vec<u64> = (after + 1..=end).collect();
        assert_eq!(positions(&found), expected);
    }
}

#[tokio::test]
async fn a_few_events_among_many_are_found_page_by_page() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let root = made.root_user.expect("there").name;
    let mut expected = vec![];
    for _ in 0..4 {
        identity.flood(&root, 600).await;
        let lock = LockUserRequest { name: root.clone(), ..Default::default() };
        expected.push(identity.lock_user(lock).await.expect("locked").position);
        let unlock = UnlockUserRequest { name: root.clone(), ..Default::default() };
        identity.unlock_user(unlock).await.expect("unlocked");
    }
    let locked = || vec!["user_locked".to_owned()];
    for (page_size, user) in [(1, ""), (1, root.as_str()), (100, "")] {
        let list = ListEventsRequest {
            kinds: locked(),
            page_size,
            user: user.into(),
            ..Default::default()
        };
        assert_eq!(positions(&identity.all_events(list).await), expected);
    }
    let filter = WatchEventsRequest { kinds: locked(), ..Default::default() };
    let mut watched = watch(&identity, filter).await.expect("watches");
    for position in expected {
        assert_eq!(next(&mut watched).await.event.expect("there").position, position);
    }
}

#[tokio::test]
async fn a_user_is_found_under_its_own_account_only() {
    let home = Home::new();
    let identity = home.start().await;
    let full = busy(&home, &identity).await;
    let other = identity.account("Third").await.account.expect("there").name;
    let (_, id) = full.user.rsplit_once('/').expect("a name");
    let nowhere = "accounts/01935a3c-0000-7000-8000-000000000000";
    let head = identity.head().await;
    for account in [&full.account, &other, nowhere] {
        let user = format!("{account}/users/{id}");
        let list = ListEventsRequest { user: user.clone(), ..Default::default() };
        let found = identity.all_events(list).await;
        assert_eq!(!found.is_empty(), account == full.account, "{account}");
        let filter = WatchEventsRequest { user, duration_seconds: 1, ..Default::default() };
        let mut watched = watch(&identity, filter).await.expect("watches");
        for event in found {
            assert_eq!(next(&mut watched).await.event, Some(event));
        }
        let last = next(&mut watched).await;
        assert_eq!((last.event, last.resume_position), (None, head));
    }
}

#[tokio::test]
async fn filters_and_ranges_have_their_form() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let (account, root) = (made.account.expect("there"), made.root_user.expect("there"));
    let ask = |change: fn(&mut WatchEventsRequest)| {
        let mut filter = WatchEventsRequest::default();
        change(&mut filter);
        filter
    };
    let by_number = format!("accounts/{}", account.account_number);
    let mut bad = vec![
        ask(|filter| filter.account = "accounts/x".into()),
        ask(|filter| filter.account = "accounts".into()),
        ask(|filter| filter.user = "users/x".into()),
        ask(|filter| {
            filter.user = "accounts/000000000001/users/01935a3c-0000-7000-8000-000000000000".into();
        }),
        ask(|filter| filter.access_key_id = "x".into()),
        ask(|filter| filter.kinds = vec!["UserLocked".into()]),
        ask(|filter| filter.kinds = vec![String::new()]),
        ask(|filter| filter.kinds = vec!["user_locked".into(); 65]),
        ask(|filter| filter.principal = "x".repeat(257)),
    ];
    bad.push(WatchEventsRequest { account: by_number, ..Default::default() });
    let by_name = format!("{}/users/root", account.name);
    bad.push(WatchEventsRequest { user: by_name, ..Default::default() });
    for filter in bad {
        identity.refuses_field(identity.list_events(listing(&filter))).await;
        identity.refuses_field(async { watch(&identity, filter).await.map(drop) }).await;
    }
    let too_long = ask(|filter| filter.duration_seconds = 86_401);
    identity.refuses_field(async { watch(&identity, too_long).await.map(drop) }).await;
    let ahead = ask(|filter| filter.after_position = 1000);
    let ahead = watch(&identity, ahead).await.map(drop);
    refused(ahead, Code::Unavailable, Reason::ReadModelBehind);

    let never = prost_types::Timestamp { seconds: 1, nanos: -1 };
    for request in [
        ListEventsRequest { page_size: -1, ..Default::default() },
        ListEventsRequest { page_size: 1001, ..Default::default() },
        ListEventsRequest { start_time: Some(never), ..Default::default() },
        ListEventsRequest { end_time: Some(never), ..Default::default() },
    ] {
        identity.refuses_field(identity.list_events(request)).await;
    }
    let first = ListEventsRequest { page_size: 1, user: root.name, ..Default::default() };
    let page = identity.list_events(first.clone()).await.expect("listed");
    let other = ListEventsRequest {
        page_token: page.next_page_token.clone(),
        kinds: vec!["user_locked".into()],
        ..first.clone()
    };
    refused(identity.list_events(other).await, Code::InvalidArgument, Reason::InvalidPageToken);
    let larger = ListEventsRequest { page_token: page.next_page_token, page_size: 1000, ..first };
    identity.list_events(larger).await.expect("the size of a page may change");
}

#[tokio::test]
async fn a_watch_goes_on_where_another_left_off_and_ends_with_its_time() {
    let home = Home::new();
    let identity = home.start().await;
    let filter = busy(&home, &identity).await;
    let all = all(&identity).await;
    let from = |after_position| WatchEventsRequest { after_position, ..Default::default() };
    let mut seen = vec![];
    while seen.len() < all.len() {
        // Three at a time, each from where the last left off.
        let after = seen.last().map_or(0, |message: &WatchEventsResponse| message.resume_position);
        let mut watched = watch(&identity, from(after)).await.expect("watches");
        for _ in 0..3.min(all.len() - seen.len()) {
            seen.push(next(&mut watched).await);
        }
    }
    let seen: Vec<_> = seen.into_iter().filter_map(|message| message.event).collect();
    assert_eq!(seen, all);

    let brief = WatchEventsRequest { duration_seconds: 1, ..filter.clone() };
    let expected = all.iter().filter(|event| matches(&filter, event)).count();
    let mut watched = watch(&identity, brief).await.expect("watches");
    for _ in 0..expected {
        assert!(next(&mut watched).await.event.is_some());
    }
    let late = identity.user(&filter.account, "late").await.expect("created");
    let last = next(&mut watched).await;
    assert_eq!((last.event, last.resume_position), (None, all.len() as u64 + 1));
    assert!(watched.message().await.expect("ends well").is_none());
    let mut resumed = watch(&identity, from(all.len() as u64)).await.expect("watches");
    assert_eq!(next(&mut resumed).await.event.expect("there").user, late.name);
}

#[tokio::test]
async fn a_watcher_that_does_not_read_loses_nothing() {
    const EVENTS: usize = 5000;
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let request = WatchEventsRequest { after_position: made.position, ..Default::default() };
    // On a connection of its own: what it does not read fills the window, also of other calls.
    let channel = rpc::channel(&identity.uri, &identity.tokens.admin).expect("a URI");
    let mut events = api::identity::v1::event_service_client::EventServiceClient::new(channel);
    let mut watched = events.watch_events(request).await.expect("watches").into_inner();
    identity.flood(&made.root_user.expect("there").name, EVENTS).await;
    let head = identity.head().await;
    assert!(head >= made.position + EVENTS as u64);
    for position in made.position + 1..=head {
        assert_eq!(next(&mut watched).await.event.expect("there").position, position);
    }
}

#[tokio::test]
async fn a_watch_ends_with_the_server() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let mut watched = watch(&identity, WatchEventsRequest::default()).await.expect("watches");
    for _ in 0..made.position {
        next(&mut watched).await;
    }
    identity.stop().await;
    refused(watched.message().await, Code::Unavailable, Reason::WatchEnded);
}

#[tokio::test]
async fn the_log_is_verified_in_pieces_and_since_what_is_trusted() {
    let home = Home::new();
    let identity = home.start().await;
    busy(&home, &identity).await;
    let all = all(&identity).await;
    let head = all.last().expect("some");
    let whole = identity.verify_log(VerifyLogRequest::default()).await.expect("whole");
    assert_eq!((whole.head_position, whole.complete, whole.epoch), (head.position, true, 1));
    assert_eq!(whole.head_hash, head.hash);
    for events_max in [1, 2, 7, 1_000_000] {
        let (mut since, mut pieces) = (None, 0);
        let last = loop {
            let request = VerifyLogRequest { since: since.clone(), events_max };
            let piece = identity.verify_log(request).await.expect("whole");
            pieces += 1;
            if piece.complete {
                break piece;
            }
            let at = &all[usize::try_from(piece.head_position - 1).expect("fits")];
            assert_eq!(at.hash, piece.head_hash);
            since = Some(Checkpoint {
                log_id: piece.log_id,
                position: piece.head_position,
                hash: piece.head_hash,
                ..Default::default()
            });
        };
        assert_eq!((last.head_position, &last.head_hash[..]), (head.position, &head.hash[..]));
        // A piece does not end within a command.
        let most = all.len().div_ceil(usize::try_from(events_max).expect("fits"));
        assert!((most.min(3)..=most).contains(&pieces), "{pieces} of {events_max}");
    }
    let signed = identity.get_checkpoint(GetCheckpointRequest::default()).await.expect("signed");
    let signed = signed.checkpoint.expect("there");
    let since = async |since: Checkpoint| {
        identity.verify_log(VerifyLogRequest { since: Some(since), events_max: 0 }).await
    };
    let nothing = since(signed.clone()).await.expect("whole");
    assert_eq!((nothing.head_position, nothing.complete), (head.position, true));
    for bad in [
        Checkpoint { hash: vec![7; 31], ..signed.clone() },
        Checkpoint { log_id: uuid::Uuid::nil().to_string(), ..signed.clone() },
        Checkpoint { epoch: 2, ..signed },
    ] {
        refused(since(bad).await, Code::InvalidArgument, Reason::InvalidField);
    }
    let many = VerifyLogRequest { since: None, events_max: 1_000_001 };
    identity.refuses_field(identity.verify_log(many)).await;
}

/// The epoch is 1, where a position is told as it is.
fn signed_with(key: &SigningKey, checkpoint: &Checkpoint) -> Checkpoint {
    let statement = SignedCheckpoint {
        log_id: checkpoint.log_id.parse().expect("a UUID"),
        epoch: checkpoint.epoch.into(),
        position: checkpoint.position,
        hash: checkpoint.hash.clone().try_into().expect("32 bytes"),
        time_ms: START_MS,
        model_digest: None,
    };
    Checkpoint {
        time: Some(at(START_MS)),
        public_key: key.public_key().to_vec(),
        signature: statement.sign(key).to_vec(),
        ..checkpoint.clone()
    }
}

#[tokio::test]
async fn only_what_was_signed_here_is_evidence_that_the_log_was_changed() {
    let home = Home::new();
    let identity = home.start().await;
    busy(&home, &identity).await;
    let signed = identity.get_checkpoint(GetCheckpointRequest::default()).await.expect("signed");
    let signed = signed.checkpoint.expect("there");
    let head = signed.position;
    identity.stop().await;
    let keystore = home.data_dir().join("keystore");
    let keystore = Keystore::open(keystore, Keyring::new(home.kek())).await.expect("opens");
    let own = SigningKey::of(&keystore).await.expect("there");
    assert_eq!(own.public_key(), signed.public_key.as_slice());
    drop(keystore);
    let elsewhere = home.elsewhere();
    let keystore = elsewhere.dir.path().join("keystore");
    let keystore = Keystore::open(keystore, Keyring::new(home.kek())).await.expect("opens");
    let foreign = SigningKey::of(&keystore).await.expect("made");

    let identity = home.start().await;
    let heard = Heard::from_now();
    let since = async |since: Checkpoint| {
        identity.verify_log(VerifyLogRequest { since: Some(since), events_max: 0 }).await
    };
    let not_held = [
        Checkpoint { hash: vec![7; 32], ..signed.clone() },
        Checkpoint { position: 3, ..signed.clone() },
        Checkpoint { position: 0, ..signed.clone() },
        Checkpoint { position: head + 1, ..signed.clone() },
        Checkpoint { position: head + 1_000_000, ..signed.clone() },
        Checkpoint { hash: vec![7; 32], epoch: 9, position: (8 << 48) + 3, ..signed.clone() },
    ];
    let odd = [
        Checkpoint { signature: vec![], ..not_held[0].clone() },
        Checkpoint { time: None, ..not_held[0].clone() },
        Checkpoint { epoch: 0, ..not_held[0].clone() },
        Checkpoint {
            time: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: i32::MIN }),
            ..not_held[0].clone()
        },
    ];
    let by_another = not_held.iter().map(|checkpoint| signed_with(&foreign, checkpoint));
    for claimed in not_held.iter().cloned().chain(by_another).chain(odd) {
        let refusal = since(claimed.clone()).await;
        refused(refusal, Code::InvalidArgument, Reason::InvalidField);
    }
    let told = since(not_held[0].clone()).await.expect_err("is refused");
    assert!(told.message().contains("the log does not hold this hash"), "{told}");
    assert_eq!(heard.warnings(), Vec::<String>::new(), "nobody is alarmed");

    for evidence in &not_held[..5] {
        let refusal = since(signed_with(&own, evidence)).await;
        refused(refusal, Code::DataLoss, Reason::LogCorrupt);
    }
    assert!(heard.has(tracing::Level::ERROR, "does not hold what was signed of it"));
    since(signed_with(&own, &signed)).await.expect("whole");
}

#[tokio::test]
async fn a_checkpoint_is_signed_by_a_key_that_stays() {
    let home = Home::new();
    let identity = home.start().await;
    identity.account("Acme").await;
    let signed = identity.get_checkpoint(GetCheckpointRequest::default()).await.expect("signed");
    let signed = signed.checkpoint.expect("there");
    let head = all(&identity).await.pop().expect("some");
    assert_eq!((signed.position, &signed.hash[..]), (head.position, &head.hash[..]));
    assert_eq!(signed.time, Some(at(START_MS)));
    let statement = SignedCheckpoint {
        log_id: signed.log_id.parse().expect("a UUID"),
        epoch: signed.epoch.into(),
        position: signed.position,
        hash: signed.hash.clone().try_into().expect("32 bytes"),
        time_ms: START_MS,
        model_digest: None,
    };
    let key: [u8; 32] = signed.public_key.clone().try_into().expect("32 bytes");
    let signature: [u8; 64] = signed.signature.clone().try_into().expect("64 bytes");
    statement.verify(&key, &signature).expect("is signed so");
    for other in [
        SignedCheckpoint { position: statement.position + 1, ..statement },
        SignedCheckpoint { epoch: 2, ..statement },
        SignedCheckpoint { time_ms: START_MS + 1, ..statement },
        SignedCheckpoint { hash: [7; 32], ..statement },
        SignedCheckpoint { log_id: uuid::Uuid::nil(), ..statement },
    ] {
        assert!(other.verify(&key, &signature).is_err(), "{other:?}");
    }
    identity.stop().await;
    let identity = home.start().await;
    let again = identity.get_checkpoint(GetCheckpointRequest::default()).await.expect("signed");
    assert_eq!(again.checkpoint.expect("there"), signed);
    let ahead = GetCheckpointRequest { min_position: head.position + 1 };
    refused(identity.get_checkpoint(ahead).await, Code::Unavailable, Reason::ReadModelBehind);
}

#[tokio::test]
async fn an_export_is_a_whole_archive_of_the_log() {
    let home = Home::new();
    let identity = home.start().await;
    busy(&home, &identity).await;
    let archive = identity.exported_log().await;
    let (_, verified) = event_store::archive::verify(archive.as_slice()).expect("whole");
    assert_eq!(verified.head.position.0, identity.head().await);
    let cut = &archive[..archive.len() - 1];
    let cut = &cut[..=cut.iter().rposition(|byte| *byte == b'\n').expect("lines")];
    assert!(event_store::archive::verify(cut).is_err(), "without its end it is none");
}
