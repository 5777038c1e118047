//! Reading how things stood at an instant.

mod support;

use api::error::v1::Reason;
use api::event::v1::AccountSettings;
use api::identity::v1::*;
use prost_types::Timestamp;
use support::{DAY_MS, Home, Identity, START_MS, at, mask, refused};
use tonic::{Code, Status};

const SECOND_MS: u64 = 1000;
const HOUR_MS: u64 = 3_600_000;

async fn user_at(identity: &Identity, name: &str, ms: u64) -> Result<User, Status> {
    let request =
        GetUserRequest { name: name.into(), read_time: Some(at(ms)), ..Default::default() };
    Ok(identity.get_user(request).await?.user.expect("there"))
}

async fn key_at(identity: &Identity, name: &str, ms: u64) -> Result<AccessKey, Status> {
    let request =
        GetAccessKeyRequest { name: name.into(), read_time: Some(at(ms)), ..Default::default() };
    Ok(identity.get_access_key(request).await?.access_key.expect("there"))
}

/// The names of the users at an instant, page by page.
async fn users_at(identity: &Identity, parent: &str, ms: u64, page_size: i32) -> Vec<String> {
    let mut request = ListUsersRequest {
        parent: parent.into(),
        page_size,
        read_time: Some(at(ms)),
        ..Default::default()
    };
    let mut names = vec![];
    loop {
        let page = identity.list_users(request.clone()).await.expect("listed");
        let size = usize::try_from(page_size).expect("fits");
        assert!(page.users.len() <= size);
        names.extend(page.users.into_iter().map(|user| user.user_name));
        if page.next_page_token.is_empty() {
            return names;
        }
        request.page_token = page.next_page_token;
    }
}

/// The ids of the access keys at an instant, page by page.
async fn keys_at(identity: &Identity, parent: &str, ms: u64, page_size: i32) -> Vec<String> {
    let mut request = ListAccessKeysRequest {
        parent: parent.into(),
        page_size,
        read_time: Some(at(ms)),
        ..Default::default()
    };
    let mut ids = vec![];
    loop {
        let page = identity.list_access_keys(request.clone()).await.expect("listed");
        let size = usize::try_from(page_size).expect("fits");
        assert!(page.access_keys.len() <= size, "{page_size}");
        ids.extend(page.access_keys.into_iter().map(|key| key.access_key_id));
        if page.next_page_token.is_empty() {
            return ids;
        }
        request.page_token = page.next_page_token;
    }
}

async fn rename(identity: &Identity, name: &str, user_name: &str) {
    let request = UpdateUserRequest {
        user: Some(User { name: name.into(), user_name: user_name.into(), ..Default::default() }),
        update_mask: mask(["user_name"]),
        ..Default::default()
    };
    identity.update_user(request).await.expect("renamed");
}

#[tokio::test]
async fn a_user_is_shown_as_it_was_at_each_instant() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    home.clock.set(START_MS + 10 * SECOND_MS);
    let alice = identity.user(&account, "alice").await.expect("created");
    home.clock.set(START_MS + 20 * SECOND_MS);
    rename(&identity, &alice.name, "bob").await;
    let bob = identity.user(&account, "alice").await.expect("the name is free");
    home.clock.set(START_MS + 30 * SECOND_MS);
    let lock = LockUserRequest { name: alice.name.clone(), ..Default::default() };
    let locked = identity.lock_user(lock).await.expect("locked").user.expect("there");
    home.clock.set(START_MS + 40 * SECOND_MS);
    let delete = DeleteUserRequest { name: alice.name.clone(), ..Default::default() };
    identity.delete_user(delete).await.expect("deleted");
    home.clock.set(START_MS + 50 * SECOND_MS);

    for (from, until, name, state) in [
        (10_000, 19_999, "alice", UserState::Active),
        (20_000, 29_999, "bob", UserState::Active),
        (30_000, 39_999, "bob", UserState::Locked),
    ] {
        for ms in [from, until] {
            let shown = user_at(&identity, &alice.name, START_MS + ms).await.expect("was there");
            assert_eq!((shown.user_name.as_str(), shown.state()), (name, state), "at {ms}");
        }
    }
    assert_eq!(user_at(&identity, &alice.name, START_MS + 10_000).await.expect("there"), alice);
    assert_eq!(user_at(&identity, &alice.name, START_MS + 30_000).await.expect("there"), locked);
    let none = |name: String, ms| {
        let identity = &identity;
        async move {
            let got = user_at(identity, &name, ms).await;
            refused(got, Code::NotFound, Reason::NoSuchUser);
        }
    };
    for ms in [0, START_MS, START_MS + 9999, START_MS + 40_000, START_MS + 50_000] {
        none(alice.name.clone(), ms).await;
    }
    // A name means who has it now; an id means one user for ever.
    let by_name = format!("{account}/users/alice");
    let shown = user_at(&identity, &by_name, START_MS + 20_000).await.expect("was there");
    assert_eq!(shown.user_id, bob.user_id);
    none(by_name, START_MS + 19_999).await;
    none(format!("{account}/users/bob"), START_MS + 30_000).await;
    let other = identity.account("Other").await.account.expect("there").name;
    none(format!("{other}/users/{}", alice.user_id), START_MS + 30_000).await;

    let within = Timestamp { nanos: 999_999_999, ..at(START_MS + 19 * SECOND_MS) };
    let request =
        GetUserRequest { name: alice.name, read_time: Some(within), ..Default::default() };
    let shown = identity.get_user(request).await.expect("was there").user.expect("there");
    assert_eq!(shown.user_name, "alice", "just before the millisecond of the change");
}

#[tokio::test]
async fn a_key_is_shown_as_it_was_at_each_instant() {
    let home = Home::new();
    let identity = home.start().await;
    let settings = AccountSettings { retention_seconds: 3600, ..Default::default() };
    let account = identity.account_with(settings).await.account.expect("there").name;
    let alice = identity.user(&account, "alice").await.expect("created").name;
    home.clock.set(START_MS + SECOND_MS);
    let asked = AccessKey {
        not_before_time: Some(at(START_MS + 10 * SECOND_MS)),
        time_to_live: "PT1H".into(),
        ..Default::default()
    };
    let key = identity.key_with(&alice, asked).await.expect("created").access_key.expect("there");
    home.clock.set(START_MS + 20 * SECOND_MS);
    identity.rotate(&key.name, 60).await.expect("rotated");
    let end = START_MS + 20 * SECOND_MS + HOUR_MS;
    home.clock.set(end + SECOND_MS);
    let off = UpdateAccessKeyRequest {
        access_key: Some(AccessKey {
            name: key.name.clone(),
            label: "old".into(),
            ..Default::default()
        }),
        update_mask: mask(["label"]),
        ..Default::default()
    };
    identity.update_access_key(off).await.expect("changed");
    home.clock.set(end + 2 * SECOND_MS);
    identity.delete_key(&key.name).await.expect("deleted");
    home.clock.set(end + 3 * SECOND_MS);
    let delete = DeleteUserRequest { name: alice.clone(), force: true, ..Default::default() };
    identity.delete_user(delete).await.expect("deleted");
    home.clock.set(end + DAY_MS);

    use AccessKeyState::{Active, Deleted, Expired, NotYetValid};
    for (ms, state, secrets, label) in [
        (START_MS + 1000, NotYetValid, vec![1], ""),
        (START_MS + 9999, NotYetValid, vec![1], ""),
        (START_MS + 10_000, Active, vec![1], ""),
        (START_MS + 19_999, Active, vec![1], ""),
        (START_MS + 20_000, Active, vec![2, 1], ""),
        (START_MS + 79_999, Active, vec![2, 1], ""),
        (START_MS + 80_000, Active, vec![2], ""),
        (end - 1, Active, vec![2], ""),
        (end, Expired, vec![2], ""),
        (end + 1000, Expired, vec![2], "old"),
        (end + 2000, Deleted, vec![2], "old"),
        (end + 2999, Deleted, vec![2], "old"),
    ] {
        let shown = key_at(&identity, &key.name, ms).await.expect("was there");
        let generations: Vec<_> = shown.secrets.iter().map(|secret| secret.generation).collect();
        assert_eq!((shown.state(), generations), (state, secrets), "at {}", ms - START_MS);
        assert_eq!(shown.label, label);
    }
    assert_eq!(key_at(&identity, &key.name, START_MS + SECOND_MS).await.expect("there"), key);
    for ms in [START_MS, START_MS + 999, end + 3000, end + DAY_MS] {
        let got = key_at(&identity, &key.name, ms).await;
        refused(got, Code::NotFound, Reason::NoSuchAccessKey);
    }
}

#[tokio::test]
async fn lists_are_as_they_were_with_those_that_were_deleted_since() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let account = made.account.expect("there").name;
    let root_key = made.access_key.expect("there").access_key_id;
    let mut users = vec![];
    let mut keys = vec![root_key.clone()];
    for (n, name) in ["dave", "carol", "bob", "alice", "erin"].into_iter().enumerate() {
        home.clock.advance(SECOND_MS);
        let user = identity.user(&account, name).await.expect("created");
        for _ in 0..n {
            home.clock.advance(1);
            let key = identity.access_key(&user.name).await.expect("created");
            keys.push(key.access_key.expect("there").access_key_id);
        }
        users.push(user);
    }
    let all = home.later(SECOND_MS);
    for user in &users[1..4] {
        home.clock.advance(SECOND_MS);
        let delete =
            DeleteUserRequest { name: user.name.clone(), force: true, ..Default::default() };
        identity.delete_user(delete).await.expect("deleted");
    }
    let now = home.later(SECOND_MS);
    let of_all = format!("{account}/users/-");
    for page_size in [1, 2, 3, 1000] {
        let list = |ms| users_at(&identity, &account, ms, page_size);
        assert_eq!(list(all).await, ["root", "dave", "carol", "bob", "alice", "erin"]);
        assert_eq!(list(all + 2 * SECOND_MS).await, ["root", "dave", "alice", "erin"]);
        assert_eq!(list(now).await, ["root", "dave", "erin"]);
        assert_eq!(list(START_MS).await, ["root"]);
        assert!(list(START_MS - 1).await.is_empty());

        let list = async |parent: &str, ms| keys_at(&identity, parent, ms, page_size).await;
        assert_eq!(list(&of_all, all).await, keys, "of {page_size} to a page");
        assert_eq!(list(&of_all, now).await, [&[root_key.clone()][..], &keys[7..]].concat());
        assert_eq!(list(&users[3].name, all).await, keys[4..7], "of one that was deleted");
        assert!(list(&users[3].name, now).await.is_empty());
        assert!(list(&of_all, START_MS - 1).await.is_empty());
    }
    let delete = ListUsersRequest {
        parent: "accounts/01935a3c-0000-7000-8000-000000000000".into(),
        read_time: Some(at(now)),
        ..Default::default()
    };
    refused(identity.list_users(delete).await, Code::NotFound, Reason::NoSuchAccount);
}

#[tokio::test]
async fn an_account_that_was_deleted_can_be_looked_into() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let account = made.account.expect("there").name;
    home.clock.advance(SECOND_MS);
    let delete = DeleteAccountRequest { name: account.clone(), ..Default::default() };
    identity.delete_account(delete).await.expect("deleted");
    identity.stop().await;
    let identity = home.start().await;
    assert_eq!(users_at(&identity, &account, START_MS + 999, 10).await, ["root"]);
    assert!(users_at(&identity, &account, START_MS + 1000, 10).await.is_empty());
    // Nobody says any more how the account spells its names.
    let root = User { arn: String::new(), ..made.root_user.expect("there") };
    assert_eq!(user_at(&identity, &root.name, START_MS).await.expect("was there"), root);
    let key = made.access_key.expect("there");
    assert_eq!(key_at(&identity, &key.name, START_MS).await.expect("was there"), key);
}

#[tokio::test]
async fn an_access_key_is_found_by_its_id_alone_also_when_it_is_gone_for_good() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there").name;
    let alice = identity.user(&account, "alice").await.expect("created");
    let mut keys = vec![];
    for _ in 0..2 {
        let made = identity.access_key(&alice.name).await.expect("created");
        keys.push(made.access_key.expect("there"));
    }
    home.clock.set(START_MS + SECOND_MS);
    identity.delete_key(&keys[0].name).await.expect("deleted");
    let other = identity.account("Other").await.root_user.expect("there");

    found_by_id(&identity, &account, &alice, &other, &keys, [2, 1]).await;
    let delete = DeleteUserRequest { name: alice.name.clone(), force: true, ..Default::default() };
    identity.delete_user(delete).await.expect("deleted");
    found_by_id(&identity, &account, &alice, &other, &keys, [2, 2]).await;
    // Enough for a checkpoint, which the next start begins from.
    identity.flood(&other.name, 10_000).await;
    identity.stop().await;
    assert!(home.data_dir().join("checkpoint").exists());
    let identity = home.start().await;
    found_by_id(&identity, &account, &alice, &other, &keys, [2, 2]).await;
}

/// Asserts that keys are found as they were at the start, wherever they may have been, with so many
/// events each; and nowhere else.
async fn found_by_id(
    identity: &Identity,
    account: &str,
    holder: &User,
    other: &User,
    keys: &[AccessKey],
    events: [usize; 2],
) {
    let anywhere = "accounts/-/users/-".to_owned();
    let in_account = format!("{account}/users/-");
    let of_holder = format!("accounts/-/users/{}", holder.user_id);
    let of_other = format!("accounts/-/users/{}", other.user_id);
    let elsewhere = other.name.replace(&other.user_id, "-");
    for (key, count) in keys.iter().zip(events) {
        let id = &key.access_key_id;
        for parent in [&anywhere, &in_account, &of_holder] {
            let shown = key_at(identity, &format!("{parent}/accessKeys/{id}"), START_MS).await;
            assert_eq!(shown.expect("was there"), *key, "{parent}");
        }
        for parent in [&of_other, &elsewhere] {
            let shown = key_at(identity, &format!("{parent}/accessKeys/{id}"), START_MS).await;
            refused(shown, Code::NotFound, Reason::NoSuchAccessKey);
        }
        let request = ListEventsRequest { access_key_id: id.clone(), ..Default::default() };
        let listed = identity.list_events(request).await.expect("listed");
        assert_eq!((listed.events.len(), listed.next_page_token.as_str()), (count, ""));
    }
}

#[tokio::test]
async fn what_will_be_is_not_told() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let account = made.account.expect("there").name;
    let (user, key) = (made.root_user.expect("there").name, made.access_key.expect("there").name);
    let read = async |read_time: Timestamp| {
        let read_time = Some(read_time);
        [
            identity
                .get_user(GetUserRequest { name: user.clone(), read_time, ..Default::default() })
                .await
                .map(drop),
            identity
                .get_access_key(GetAccessKeyRequest {
                    name: key.clone(),
                    read_time,
                    ..Default::default()
                })
                .await
                .map(drop),
            identity
                .list_users(ListUsersRequest {
                    parent: account.clone(),
                    read_time,
                    ..Default::default()
                })
                .await
                .map(drop),
            identity
                .list_access_keys(ListAccessKeysRequest {
                    parent: user.clone(),
                    read_time,
                    ..Default::default()
                })
                .await
                .map(drop),
        ]
    };
    for answer in read(at(START_MS)).await {
        answer.expect("now is known");
    }
    for future in [at(START_MS + 1), Timestamp { nanos: 1, ..at(START_MS) }] {
        for answer in read(future).await {
            refused(answer, Code::InvalidArgument, Reason::ReadTimeOutOfRange);
        }
    }
    for bad in [
        Timestamp { seconds: 1, nanos: -1 },
        Timestamp { seconds: 1, nanos: 2_000_000_000 },
        Timestamp { seconds: i64::MAX, nanos: 0 },
        Timestamp { seconds: i64::MIN, nanos: 0 },
    ] {
        for answer in read(bad).await {
            refused(answer, Code::InvalidArgument, Reason::InvalidField);
        }
    }
}
