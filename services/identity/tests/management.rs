//! What operators do, over real gRPC.

mod support;

use api::error::v1::Reason;
use api::identity::v1::*;
use event_store::Clock;
use support::Home;
use tonic::{Code, Status};

/// Asserts that a call failed with this code and reason.
fn refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, reason: Reason) {
    let status = result.expect_err("is refused");
    assert_eq!((status.code(), api::reason(&status)), (code, Some(reason)), "{status}");
}

#[tokio::test]
async fn an_account_starts_with_its_root_user_and_one_access_key() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let (account, root) = (made.account.expect("there"), made.root_user.expect("there"));
    let key = made.access_key.expect("there");
    assert_eq!(account.account_number.len(), 12);
    assert_eq!((root.label.as_str(), root.root), ("Initial S3 user", true));
    assert_eq!(made.secret_access_key.len(), 40);
    assert_eq!(key.name, format!("{}/accessKeys/{}", root.name, key.access_key_id));

    let by_number = format!("accounts/{}", account.account_number);
    let request = GetAccountRequest { name: by_number, min_position: made.position };
    let got = identity.accounts().get_account(request).await.expect("found").into_inner();
    assert_eq!(got.account, Some(account));
    let request = GetAccessKeyRequest {
        name: format!("accounts/-/users/-/accessKeys/{}", key.access_key_id),
        ..Default::default()
    };
    let got = identity.access_keys().get_access_key(request).await.expect("found").into_inner();
    assert_eq!(got.access_key, Some(key));
}

#[tokio::test]
async fn user_names_are_unique_without_regard_to_case() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    let alice = identity.user(&account, "Alice").await.expect("created");
    assert_eq!(alice.user_name, "Alice");
    let taken = identity.user(&account, "aLICE").await;
    refused(taken, Code::AlreadyExists, Reason::UserNameTaken);
    let other = identity.account("Other").await.account.expect("there").name;
    identity.user(&other, "alice").await.expect("another account has its own names");

    let by_name = GetUserRequest { name: format!("{account}/users/ALICE"), ..Default::default() };
    let got = identity.users().get_user(by_name).await.expect("found").into_inner().user;
    assert_eq!(got.expect("there").user_id, alice.user_id);
    let request = DeleteUserRequest { name: alice.name, ..Default::default() };
    identity.users().delete_user(request).await.expect("deleted");
    let again = identity.user(&account, "alice").await.expect("the name is free again");
    assert_ne!(again.user_id, alice.user_id);
}

#[tokio::test]
async fn one_account_cannot_name_the_users_and_keys_of_another() {
    let home = Home::new();
    let identity = home.start().await;
    let (mine, other) = (identity.account("Mine").await, identity.account("Other").await);
    let mine = mine.account.expect("there").name;
    let user = other.root_user.expect("there").user_id;
    let key = other.access_key.expect("there").access_key_id;
    let request = GetUserRequest { name: format!("{mine}/users/{user}"), ..Default::default() };
    refused(identity.users().get_user(request).await, Code::NotFound, Reason::NoSuchUser);
    let name = format!("{mine}/users/-/accessKeys/{key}");
    let request = GetAccessKeyRequest { name, ..Default::default() };
    let got = identity.access_keys().get_access_key(request).await;
    refused(got, Code::NotFound, Reason::NoSuchAccessKey);
}

#[tokio::test]
async fn a_locked_user_is_unlocked_to_what_it_was() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    let alice = identity.user(&account, "alice").await.expect("created");
    let lock = || LockUserRequest { name: alice.name.clone(), ..Default::default() };
    let locked = identity.users().lock_user(lock()).await.expect("locked").into_inner();
    assert_eq!(locked.user.expect("there").state(), UserState::Locked);
    let again = identity.users().lock_user(lock()).await.expect("no change").into_inner();
    assert_eq!(again.position, locked.position, "nothing was recorded");
    let unlock = UnlockUserRequest {
        name: alice.name.clone(),
        etag: alice.etag.clone(),
        ..Default::default()
    };
    let stale = identity.users().unlock_user(unlock).await;
    refused(stale, Code::Aborted, Reason::EtagMismatch);
    let unlock = UnlockUserRequest { name: alice.name.clone(), ..Default::default() };
    let unlocked = identity.users().unlock_user(unlock).await.expect("unlocked").into_inner();
    assert_eq!(unlocked.user.expect("there").state(), UserState::Active);
}

#[tokio::test]
async fn an_access_key_expires_and_rotates_at_the_instant() {
    let home = Home::new();
    let identity = home.start().await;
    let root = identity.account("Acme").await.root_user.expect("there").name;
    let at = |ms: u64| prost_types::Timestamp {
        seconds: i64::try_from(ms / 1000).expect("fits"),
        nanos: i32::try_from(ms % 1000 * 1_000_000).expect("fits"),
    };
    let now = home.clock.now_ms();
    let expiring = |ms| CreateAccessKeyRequest {
        parent: root.clone(),
        access_key: Some(AccessKey { expire_time: Some(at(ms)), ..Default::default() }),
        ..Default::default()
    };
    let past = identity.access_keys().create_access_key(expiring(now)).await;
    refused(past, Code::InvalidArgument, Reason::TimeInPast);
    let made = identity.access_keys().create_access_key(expiring(now + 3000)).await;
    let key = made.expect("created").into_inner().access_key.expect("there");
    let rotated = identity.rotate(&key.name, 2).await.expect("rotated");
    let generations = |key: &AccessKey| -> Vec<u32> {
        key.secrets.iter().map(|secret| secret.generation).collect()
    };
    assert_eq!(generations(&rotated.access_key.expect("there")), [2, 1]);

    let get = async |ms| {
        home.clock.set(ms);
        let request = GetAccessKeyRequest { name: key.name.clone(), ..Default::default() };
        let got = identity.access_keys().get_access_key(request).await.expect("found");
        got.into_inner().access_key.expect("there")
    };
    assert_eq!(generations(&get(now + 1999).await), [2, 1]);
    assert_eq!(generations(&get(now + 2000).await), [2]);
    assert_eq!(get(now + 2999).await.state(), AccessKeyState::Active);
    assert_eq!(get(now + 3000).await.state(), AccessKeyState::Expired);
    refused(
        identity.rotate(&key.name, 0).await,
        Code::FailedPrecondition,
        Reason::AccessKeyExpired,
    );
}

#[tokio::test]
async fn a_retry_gets_the_same_answer_also_after_a_restart() {
    let home = Home::new();
    let identity = home.start().await;
    let root = identity.account("Acme").await.root_user.expect("there").name;
    let request = CreateAccessKeyRequest {
        parent: root.clone(),
        request_id: "3f2b6f3e-0000-4000-8000-000000000001".into(),
        ..Default::default()
    };
    let create = async |identity: &support::Identity, request| {
        identity.access_keys().create_access_key(request).await.map(tonic::Response::into_inner)
    };
    let first = create(&identity, request.clone()).await.expect("created");
    let again = create(&identity, request.clone()).await.expect("repeated");
    assert_eq!(
        (&first.access_key, &first.secret_access_key, first.position),
        (&again.access_key, &again.secret_access_key, again.position)
    );
    let mut other = request.clone();
    other.access_key = Some(AccessKey { state: 2, ..Default::default() });
    refused(create(&identity, other).await, Code::AlreadyExists, Reason::RequestIdReused);

    identity.stop().await;
    let identity = home.start().await;
    let after = create(&identity, request.clone()).await.expect("repeated");
    assert_eq!(after.secret_access_key, first.secret_access_key);
    let list = ListAccessKeysRequest { parent: root, ..Default::default() };
    let keys = identity.access_keys().list_access_keys(list).await.expect("listed").into_inner();
    assert_eq!(keys.access_keys.len(), 2, "one from the account, one from three tries");

    home.clock.advance(support::DAY_MS + 1);
    let tomorrow = create(&identity, request).await.expect("made anew");
    assert_ne!(tomorrow.secret_access_key, first.secret_access_key);
}

#[tokio::test]
async fn retries_at_the_same_time_make_one_access_key() {
    let home = Home::new();
    let identity = home.start().await;
    let root = identity.account("Acme").await.root_user.expect("there").name;
    let request = CreateAccessKeyRequest {
        parent: root.clone(),
        request_id: "3f2b6f3e-0000-4000-8000-000000000002".into(),
        ..Default::default()
    };
    let tries = (0..8).map(|_| {
        let (mut keys, request) = (identity.access_keys(), request.clone());
        tokio::spawn(async move { keys.create_access_key(request).await })
    });
    let mut secrets = std::collections::HashSet::new();
    for made in tries.collect::<Vec<_>>() {
        let made = made.await.expect("no panic").expect("created").into_inner();
        secrets.insert(made.secret_access_key);
    }
    assert_eq!(secrets.len(), 1);
}

#[tokio::test]
async fn lists_are_paged_to_the_end() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    for n in 0..5 {
        let user = identity.user(&account, &format!("user-{n}")).await.expect("created");
        for _ in 0..2 {
            identity.access_key(&user.name).await.expect("created");
        }
    }
    let (mut names, mut page_token) = (vec![], String::new());
    loop {
        let request = ListUsersRequest {
            parent: account.clone(),
            page_size: 2,
            page_token,
            ..Default::default()
        };
        let page = identity.users().list_users(request).await.expect("listed").into_inner();
        names.extend(page.users.into_iter().map(|user| user.user_name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["root", "user-0", "user-1", "user-2", "user-3", "user-4"]);
    let (mut ids, mut page_token) = (vec![], String::new());
    loop {
        let request = ListAccessKeysRequest {
            parent: format!("{account}/users/-"),
            page_size: 1,
            page_token,
            ..Default::default()
        };
        let page =
            identity.access_keys().list_access_keys(request).await.expect("listed").into_inner();
        ids.extend(page.access_keys.into_iter().map(|key| key.access_key_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(ids.len(), 11);
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), 11);
    let other_list = ListUsersRequest {
        parent: account,
        page_token: "0011223344556677".into(),
        ..Default::default()
    };
    let refusal = identity.users().list_users(other_list).await;
    refused(refusal, Code::InvalidArgument, Reason::InvalidPageToken);
}

#[tokio::test]
async fn several_properties_change_in_one_batch() {
    let home = Home::new();
    let identity = home.start().await;
    let key = identity.account("Acme").await.access_key.expect("there");
    let mut request = UpdateAccessKeyRequest {
        access_key: Some(AccessKey {
            name: key.name.clone(),
            state: AccessKeyState::Inactive.into(),
            expire_time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
            etag: key.etag.clone(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["state".into(), "expire_time".into()],
        }),
        ..Default::default()
    };
    let refusal = identity.access_keys().update_access_key(request.clone()).await;
    refused(refusal, Code::InvalidArgument, Reason::TimeInPast);
    let expire_time = prost_types::Timestamp { seconds: 1_800_000_000, nanos: 123_456_789 };
    request.access_key.as_mut().expect("there").expire_time = Some(expire_time);
    let updated = identity.access_keys().update_access_key(request.clone()).await;
    let updated = updated.expect("the refused one changed nothing").into_inner();
    let shown = updated.access_key.expect("there");
    assert_eq!(shown.state(), AccessKeyState::Inactive);
    assert_eq!(shown.expire_time.expect("set").nanos, 123_000_000, "kept to the millisecond");
    let stale = identity.access_keys().update_access_key(request.clone()).await;
    refused(stale, Code::Aborted, Reason::EtagMismatch);

    let list = ListEventsRequest { access_key_id: key.access_key_id, ..Default::default() };
    let events = identity.events().list_events(list).await.expect("listed").into_inner().events;
    assert_eq!(events.len(), 3);
    assert_eq!(events[1].command_id, events[2].command_id);
    assert_eq!(events[2].position, updated.position);
    assert_eq!(events[0].actor.as_ref().expect("there").principal, "operator");

    request.update_mask = Some(prost_types::FieldMask { paths: vec!["etag".into()] });
    let refusal = identity.access_keys().update_access_key(request).await;
    refused(refusal, Code::InvalidArgument, Reason::InvalidField);
}

#[tokio::test]
async fn a_user_goes_with_its_keys_only_by_force() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let account = made.account.expect("there").name;
    let alice = identity.user(&account, "alice").await.expect("created");
    let key = identity.access_key(&alice.name).await.expect("created").access_key.expect("there");
    let delete =
        |name: &str, force| DeleteUserRequest { name: name.into(), force, ..Default::default() };
    let kept = identity.users().delete_user(delete(&alice.name, false)).await;
    refused(kept, Code::FailedPrecondition, Reason::UserHasKeys);
    identity.users().delete_user(delete(&alice.name, true)).await.expect("deleted");
    let request = GetAccessKeyRequest { name: key.name, ..Default::default() };
    let got = identity.access_keys().get_access_key(request).await;
    refused(got, Code::NotFound, Reason::NoSuchAccessKey);
    let root = made.root_user.expect("there").name;
    let kept = identity.users().delete_user(delete(&root, true)).await;
    refused(kept, Code::FailedPrecondition, Reason::RootUser);
}

#[tokio::test]
async fn ten_access_keys_are_the_limit_also_under_a_race() {
    let home = Home::new();
    let identity = home.start().await;
    let root = identity.account("Acme").await.root_user.expect("there").name;
    let tries = (0..16).map(|_| {
        let mut keys = identity.access_keys();
        let request = CreateAccessKeyRequest { parent: root.clone(), ..Default::default() };
        tokio::spawn(async move { keys.create_access_key(request).await })
    });
    let mut made = 0;
    for result in tries.collect::<Vec<_>>() {
        match result.await.expect("no panic") {
            Ok(_) => made += 1,
            Err(status) => refused::<()>(Err(status), Code::ResourceExhausted, Reason::KeyLimit),
        }
    }
    assert_eq!(made, 9, "and the one that the account started with");
}

#[tokio::test]
async fn events_are_watched_from_any_position_and_resumed() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let watch = async |after_position| {
        let request = WatchEventsRequest { after_position, ..Default::default() };
        identity.events().watch_events(request).await.map(tonic::Response::into_inner)
    };
    let mut events = watch(0).await.expect("watches");
    for position in 1..=made.position {
        let event = events.message().await.expect("goes on").expect("there").event;
        assert_eq!(event.expect("there").position, position);
    }
    let account = made.account.expect("there").name;
    let alice = identity.user(&account, "alice").await.expect("created");
    let event = events.message().await.expect("goes on").expect("there").event.expect("there");
    assert_eq!((event.position, event.user), (made.position + 1, alice.name));
    let mut resumed = watch(made.position).await.expect("watches");
    let again = resumed.message().await.expect("goes on").expect("there").event.expect("there");
    assert_eq!(again.hash, event.hash);
    let ahead = watch(1_000_000).await;
    refused(ahead.map(drop), Code::Unavailable, Reason::ReadModelBehind);
}

#[tokio::test]
async fn a_read_waits_for_its_position_and_then_says_that_it_is_behind() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    let request = GetAccountRequest { name: account, min_position: 1_000_000 };
    let behind = identity.accounts().get_account(request).await;
    refused(behind, Code::Unavailable, Reason::ReadModelBehind);
}

#[tokio::test]
async fn bad_input_is_refused_by_field() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    for name in ["", "a b", &"x".repeat(65), "-", "a/b", "é"] {
        refused(identity.user(&account, name).await, Code::InvalidArgument, Reason::InvalidField);
    }
    for parent in ["", "accounts", "accounts/", "accounts/x", "users/x", "accounts/1/users/2"] {
        let refusal = identity.user(parent, "alice").await;
        refused(refusal, Code::InvalidArgument, Reason::InvalidField);
    }
    let unknown = identity.user("accounts/999999999999", "alice").await;
    refused(unknown, Code::NotFound, Reason::NoSuchAccount);
    let request = CreateAccountRequest {
        account: Some(Account { display_name: "x".repeat(129), ..Default::default() }),
        ..Default::default()
    };
    let refusal = identity.accounts().create_account(request).await;
    refused(refusal, Code::InvalidArgument, Reason::InvalidField);
    let request = CreateAccountRequest {
        account: Some(Account { display_name: "x".repeat(300_000), ..Default::default() }),
        ..Default::default()
    };
    let refusal = identity.accounts().create_account(request).await.expect_err("is refused");
    assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal}");
    refused(
        identity.rotate("accounts/-/users/-/accessKeys/AKIAIOSFODNN7EXAMPLE", 7_776_001).await,
        Code::NotFound,
        Reason::NoSuchAccessKey,
    );
}

#[tokio::test]
async fn only_operators_manage() {
    let home = Home::new();
    let identity = home.start().await;
    let list = ListAccountsRequest::default;
    let stranger = rpc::Token::generate().expect("randomness");
    for (token, code, reason) in [
        (&stranger, Code::Unauthenticated, Reason::InvalidToken),
        (&identity.tokens.auth, Code::PermissionDenied, Reason::CallerNotAllowed),
    ] {
        let channel = rpc::channel(&identity.uri, token).expect("a URI");
        let mut accounts =
            api::identity::v1::account_service_client::AccountServiceClient::new(channel);
        refused(accounts.list_accounts(list()).await, code, reason);
    }
    let channel = tonic::transport::Endpoint::from_shared(identity.uri.clone()).expect("a URI");
    let mut accounts = api::identity::v1::account_service_client::AccountServiceClient::new(
        channel.connect().await.expect("connects"),
    );
    let refusal = accounts.list_accounts(list()).await;
    refused(refusal, Code::Unauthenticated, Reason::MissingToken);
}

#[tokio::test]
async fn the_tenth_key_asked_for_six_times_is_made_once_and_told_six_times() {
    let home = Home::new();
    let identity = home.start().await;
    let root = identity.account("Acme").await.root_user.expect("there").name;
    for _ in 0..8 {
        identity.access_key(&root).await.expect("created");
    }
    let request = CreateAccessKeyRequest {
        parent: root,
        request_id: "3f2b6f3e-0000-4000-8000-000000000004".into(),
        ..Default::default()
    };
    let tries = (0..6).map(|_| {
        let (mut keys, request) = (identity.access_keys(), request.clone());
        tokio::spawn(async move { keys.create_access_key(request).await })
    });
    let mut secrets = std::collections::HashSet::new();
    for made in tries.collect::<Vec<_>>() {
        let made = made.await.expect("no panic").expect("told").into_inner();
        secrets.insert(made.secret_access_key);
    }
    assert_eq!(secrets.len(), 1);
    let delete = DeleteAccessKeyRequest {
        name: {
            let again = identity.access_keys().create_access_key(request.clone()).await;
            again.expect("told").into_inner().access_key.expect("there").name
        },
        ..Default::default()
    };
    identity.access_keys().delete_access_key(delete).await.expect("deleted");
    let refusal = identity.access_keys().create_access_key(request).await;
    refused(refusal, Code::FailedPrecondition, Reason::SecretShredded);
}
