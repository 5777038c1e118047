//! Users: what is told of them, their names, and what becomes of their keys.

mod support;

use api::error::v1::Reason;
use api::event::v1::Tag;
use api::identity::v1::watch_credentials_response::Message;
use api::identity::v1::*;
use support::{Home, Identity, mask, refused};
use tonic::Code;

async fn account(identity: &Identity) -> String {
    identity.account("Acme").await.account.expect("there").name
}

async fn create(identity: &Identity, account: &str, user: User) -> Result<User, tonic::Status> {
    let request =
        CreateUserRequest { parent: account.into(), user: Some(user), ..Default::default() };
    Ok(identity.create_user(request).await?.user.expect("there"))
}

async fn update<const N: usize>(
    identity: &Identity,
    user: User,
    paths: [&str; N],
) -> Result<User, tonic::Status> {
    let request =
        UpdateUserRequest { user: Some(user), update_mask: mask(paths), ..Default::default() };
    Ok(identity.update_user(request).await?.user.expect("there"))
}

async fn get(identity: &Identity, name: &str) -> Result<User, tonic::Status> {
    let request = GetUserRequest { name: name.into(), ..Default::default() };
    Ok(identity.get_user(request).await?.user.expect("there"))
}

fn tag(key: impl Into<String>, value: impl Into<String>) -> Tag {
    Tag { key: key.into(), value: value.into() }
}

/// As many tags as there may be, each as long as it may be.
fn longest_tags(letter: &str) -> Vec<Tag> {
    (0..50).map(|n| tag(format!("{n:02}{}", letter.repeat(126)), letter.repeat(256))).collect()
}

/// Everything that a user may say of itself.
fn full(user_name: &str) -> User {
    User {
        user_name: user_name.into(),
        label: "L".repeat(256),
        comment: "é".repeat(256),
        path: format!("/{}/", "p".repeat(510)),
        email: "alice@example.com".into(),
        tags: vec![tag("Cost Center", "42"), tag("team", "")],
        ..Default::default()
    }
}

#[tokio::test]
async fn a_user_is_made_with_all_that_is_told_of_it() {
    let home = Home::new();
    let identity = home.start().await;
    let account = account(&identity).await;
    let asked = full("Alice");
    let made = create(&identity, &account, asked.clone()).await.expect("created");
    let told = User {
        name: String::new(),
        user_id: String::new(),
        etag: String::new(),
        create_time: None,
        update_time: None,
        arn: String::new(),
        ..made.clone()
    };
    assert!(made.arn.ends_with(&format!(":user{}Alice", made.path)), "{}", made.arn);
    assert_eq!(told, User { state: UserState::Active.into(), ..asked });
    for name in [made.name.clone(), format!("{account}/users/aLiCe")] {
        assert_eq!(get(&identity, &name).await.expect("found"), made);
    }
    let plain = identity.user(&account, "plain").await.expect("created");
    assert_eq!((plain.path.as_str(), plain.tags.len()), ("/", 0));
}

#[tokio::test]
async fn each_field_of_a_user_has_its_form() {
    let home = Home::new();
    let identity = home.start().await;
    let account = account(&identity).await;
    let alice = identity.user(&account, "alice").await.expect("created");
    let with = |change: fn(&mut User)| {
        let mut user = full("bob");
        change(&mut user);
        user
    };
    for (path, bad) in [
        ("user_name", with(|user| user.user_name = String::new())),
        ("user_name", with(|user| user.user_name = "x".repeat(65))),
        ("user_name", with(|user| user.user_name = uuid::Uuid::nil().to_string())),
        ("label", with(|user| user.label = "x".repeat(257))),
        ("comment", with(|user| user.comment = "x".repeat(257))),
        ("path", with(|user| user.path = "/open".into())),
        ("path", with(|user| user.path = "closed/".into())),
        ("path", with(|user| user.path = "/a b/".into())),
        ("path", with(|user| user.path = format!("/{}/", "p".repeat(511)))),
        ("email", with(|user| user.email = "nobody".into())),
        ("email", with(|user| user.email = format!("{}@x.org", "x".repeat(249)))),
        ("tags", with(|user| user.tags = vec![tag("", "x")])),
        ("tags", with(|user| user.tags = vec![tag("x".repeat(129), "")])),
        ("tags", with(|user| user.tags = vec![tag("x", "x".repeat(257))])),
        ("tags", with(|user| user.tags = vec![tag("a;b", "")])),
        ("tags", with(|user| user.tags = vec![tag("Team", "a"), tag("team", "b")])),
        ("tags", with(|user| user.tags = (0..51).map(|n| tag(n.to_string(), "")).collect())),
    ] {
        identity.refuses_field(create(&identity, &account, bad.clone())).await;
        let bad = User { name: alice.name.clone(), ..bad };
        identity.refuses_field(update(&identity, bad, [path])).await;
    }
    let nobody = CreateUserRequest { parent: account.clone(), ..Default::default() };
    identity.refuses_field(identity.create_user(nobody)).await;
    identity.refuses_field(identity.update_user(UpdateUserRequest::default())).await;
    identity.refuses_field(update(&identity, alice.clone(), [])).await;
    for path in ["state", "root", "name", "user.label", "*"] {
        identity.refuses_field(update(&identity, alice.clone(), ["label", path])).await;
    }
}

#[tokio::test]
async fn fifty_tags_of_any_letters_are_kept_and_changed_one_by_one() {
    let home = Home::new();
    let identity = home.start().await;
    let account = account(&identity).await;
    let tags = longest_tags("\u{10400}");
    let user = User { tags: tags.clone(), ..full("alice") };
    let alice = create(&identity, &account, user).await.expect("created");
    assert_eq!(alice.tags, tags);
    identity.stop().await;
    let identity = home.start().await;
    assert_eq!(get(&identity, &alice.name).await.expect("found").tags, tags);

    let mut fewer = tags[1..].to_vec();
    fewer[0].value = "other".into();
    let changed = User { name: alice.name.clone(), tags: fewer.clone(), ..Default::default() };
    let head = identity.head().await;
    let changed = update(&identity, changed, ["tags"]).await.expect("changed");
    assert_eq!(changed.tags, fewer);
    assert_eq!(identity.head().await, head + 1, "what stays as it was is not said again");
    let cased = vec![tag("Team", "a")];
    let changed = User { name: alice.name.clone(), tags: cased.clone(), ..Default::default() };
    assert_eq!(update(&identity, changed, ["tags"]).await.expect("changed").tags, cased);
    let cased = vec![tag("TEAM", "a")];
    let changed = User { name: alice.name.clone(), tags: cased.clone(), ..Default::default() };
    assert_eq!(update(&identity, changed, ["tags"]).await.expect("changed").tags, cased);
    let none = User { name: alice.name, ..Default::default() };
    assert!(update(&identity, none, ["tags"]).await.expect("changed").tags.is_empty());
}

#[tokio::test]
async fn a_renamed_user_keeps_its_keys_and_leaves_its_name_to_others() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await;
    let account = made.account.expect("there").name;
    let alice = identity.user(&account, "alice").await.expect("created");
    let bob = identity.user(&account, "bob").await.expect("created");
    let key = identity.access_key(&alice.name).await.expect("created").access_key.expect("there");
    let named = |user: &User, user_name: &str| User {
        name: user.name.clone(),
        user_name: user_name.into(),
        ..Default::default()
    };
    for taken in ["bob", "BOB", "Root"] {
        let taken = update(&identity, named(&alice, taken), ["user_name"]);
        identity.refuses(taken, Code::AlreadyExists, Reason::UserNameTaken).await;
    }
    let root = named(&made.root_user.expect("there"), "admin");
    let root = update(&identity, root, ["user_name"]);
    identity.refuses(root, Code::FailedPrecondition, Reason::RootUser).await;

    let feed = identity.feed().watch_credentials(WatchCredentialsRequest {}).await;
    let mut feed = feed.expect("watches").into_inner();
    let by_name = User { name: format!("{account}/users/ALICE"), ..named(&alice, "carol") };
    let renamed = update(&identity, by_name, ["user_name"]).await.expect("renamed");
    assert_eq!((&renamed.name, renamed.user_name.as_str()), (&alice.name, "carol"));
    loop {
        let message = feed.message().await.expect("goes on").expect("there").message;
        let Some(Message::Change(change)) = message else { continue };
        let told = change.records.expect("there").users;
        assert_eq!(told[0].user_name, "carol", "the feed tells the new name");
        break;
    }
    let keys =
        ListAccessKeysRequest { parent: format!("{account}/users/carol"), ..Default::default() };
    assert_eq!(identity.all_keys(keys).await, [key]);
    let old = get(&identity, &format!("{account}/users/alice")).await;
    refused(old, Code::NotFound, Reason::NoSuchUser);

    let cased = update(&identity, named(&alice, "CaRoL"), ["user_name"]).await.expect("renamed");
    assert_eq!(cased.user_name, "CaRoL");
    let still = identity.user(&account, "carol");
    identity.refuses(still, Code::AlreadyExists, Reason::UserNameTaken).await;
    let other = identity.user(&account, "Alice").await.expect("the name is free");
    assert_ne!(other.user_id, alice.user_id);
    let back = update(&identity, named(&alice, "alice"), ["user_name"]);
    identity.refuses(back, Code::AlreadyExists, Reason::UserNameTaken).await;

    identity.stop().await;
    let identity = home.start().await;
    let listed = ListUsersRequest { parent: account.clone(), ..Default::default() };
    let listed = identity.list_users(listed).await.expect("listed").users;
    let names: Vec<_> = listed.iter().map(|user| user.user_name.as_str()).collect();
    assert_eq!(names, ["Alice", "bob", "CaRoL", "root"], "in the order of their names");
    let delete = DeleteUserRequest { name: bob.name, ..Default::default() };
    identity.delete_user(delete).await.expect("deleted");
    update(&identity, named(&alice, "bob"), ["user_name"]).await.expect("the name is free");
}

#[tokio::test]
async fn an_update_changes_all_that_it_names_or_nothing() {
    let home = Home::new();
    let identity = home.start().await;
    let account = account(&identity).await;
    let alice = identity.user(&account, "alice").await.expect("created");
    identity.user(&account, "bob").await.expect("created");
    home.clock.advance(1);
    let asked = User { name: alice.name.clone(), ..full("bob") };
    let all = ["user_name", "label", "comment", "path", "email", "tags"];
    let taken = update(&identity, asked.clone(), all);
    identity.refuses(taken, Code::AlreadyExists, Reason::UserNameTaken).await;
    assert_eq!(get(&identity, &alice.name).await.expect("found"), alice);

    let asked = User { user_name: "carol".into(), ..asked };
    let head = identity.head().await;
    let changed = update(&identity, asked.clone(), all).await.expect("changed");
    assert_eq!(
        (&changed.label, &changed.comment, &changed.path, &changed.email, &changed.tags),
        (&asked.label, &asked.comment, &asked.path, &asked.email, &asked.tags)
    );
    let events = ListEventsRequest { after_position: head, ..Default::default() };
    let events = identity.all_events(events).await;
    assert_eq!(events.len(), 6);
    assert!(events.iter().all(|event| event.command_id == events[0].command_id));
    assert_ne!(changed.etag, alice.etag);
    assert_eq!(changed.update_time, Some(support::at(support::START_MS + 1)));

    let head = identity.head().await;
    let same = update(&identity, asked.clone(), all).await.expect("no change");
    assert_eq!((same, identity.head().await), (changed.clone(), head));
    let partly = User { label: "new".into(), ..asked };
    let partly = update(&identity, partly, ["label"]).await.expect("changed");
    assert_eq!((partly.label.as_str(), &partly.comment), ("new", &changed.comment));
    let stale = User { etag: changed.etag.clone(), label: "newer".into(), ..partly };
    let stale = update(&identity, stale, ["label"]);
    identity.refuses(stale, Code::Aborted, Reason::EtagMismatch).await;
    let delete = DeleteUserRequest { name: alice.name, etag: changed.etag, ..Default::default() };
    let stale = identity.delete_user(delete);
    identity.refuses(stale, Code::Aborted, Reason::EtagMismatch).await;
}

#[tokio::test]
async fn a_name_that_is_made_again_is_somebody_else() {
    let home = Home::new();
    let identity = home.start().await;
    let account = account(&identity).await;
    let first = create(&identity, &account, full("alice")).await.expect("created");
    let key = identity.access_key(&first.name).await.expect("created").access_key.expect("there");
    let delete =
        |force| DeleteUserRequest { name: first.name.clone(), force, ..Default::default() };
    let kept = identity.delete_user(delete(false));
    identity.refuses(kept, Code::FailedPrecondition, Reason::UserHasKeys).await;
    identity.delete_user(delete(true)).await.expect("deleted");
    assert_eq!(identity.data_keys().await, 1, "its key's data key is destroyed");
    let gone = identity.delete_user(delete(true));
    identity.refuses(gone, Code::NotFound, Reason::NoSuchUser).await;

    let second = identity.user(&account, "alice").await.expect("the name is free");
    assert_ne!(second.user_id, first.user_id);
    assert_eq!((second.label.as_str(), second.tags.len()), ("", 0));
    refused(get(&identity, &first.name).await, Code::NotFound, Reason::NoSuchUser);
    for of in [&first, &second] {
        let name = format!("{}/accessKeys/{}", of.name, key.access_key_id);
        let request = GetAccessKeyRequest { name, ..Default::default() };
        let got = identity.get_access_key(request).await.expect_err("is gone");
        assert_eq!(got.code(), Code::NotFound);
    }
}

#[tokio::test]
async fn a_user_is_named_in_full_as_its_account_spells_it() {
    let home = Home::new();
    let identity = home.start().await;
    let account = identity.account("Acme").await.account.expect("there");
    let number = &account.account_number;
    let request = CreateUserRequest {
        parent: account.name.clone(),
        user: Some(User { user_name: "alice".into(), path: "/team/".into(), ..Default::default() }),
        ..Default::default()
    };
    let made = identity.users().create_user(request).await.expect("created").into_inner();
    let made = made.user.expect("there");
    assert_eq!(made.arn, format!("arn:aws:iam::{number}:user/team/alice"));
    let spelled = UpdateAccountRequest {
        account: Some(Account {
            name: account.name.clone(),
            settings: Some(api::event::v1::AccountSettings {
                spelling: api::event::v1::Spelling::Outscale.into(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        update_mask: mask(["settings.spelling"]),
        ..Default::default()
    };
    identity.accounts().update_account(spelled).await.expect("updated");
    let get = GetUserRequest { name: made.name.clone(), ..Default::default() };
    let found = identity.users().get_user(get).await.expect("found").into_inner();
    let found = found.user.expect("there");
    assert_eq!(found.arn, format!("orn:ows:idauth::{number}:user/team/alice"));
    assert_eq!(found.etag, made.etag, "it is no change of the user");
    let list = ListUsersRequest { parent: account.name, ..Default::default() };
    let listed = identity.users().list_users(list).await.expect("listed").into_inner();
    let arns: Vec<_> = listed.users.iter().map(|user| user.arn.as_str()).collect();
    assert_eq!(arns, [found.arn.as_str(), &format!("orn:ows:idauth::{number}:root")]);
}

#[tokio::test]
async fn a_user_comes_with_its_first_key_or_not_at_all() {
    let home = Home::new();
    let identity = home.start().await;
    let account = account(&identity).await;
    let asked = |name: &str, access_key: AccessKey, secret: &str| CreateUserRequest {
        parent: account.clone(),
        user: Some(User { user_name: name.into(), ..Default::default() }),
        access_key: Some(access_key),
        secret_access_key: secret.into(),
        lifetime_days_max: 1095,
        ..Default::default()
    };
    let key = || AccessKey { slot: 1, time_to_live: "P1D".into(), ..Default::default() };
    let made = identity.create_user(asked("alice", key(), "")).await.expect("created");
    let first = made.access_key.expect("there");
    assert_eq!((first.slot, first.time_to_live.as_str()), (1, "P1D"));
    assert_eq!(made.secret_access_key.len(), 40);
    let parts = (made.user.expect("there").name, first.name.clone());
    assert!(parts.1.starts_with(&parts.0), "{parts:?}");
    let list =
        ListUsersRequest { parent: account.clone(), show_access_keys: true, ..Default::default() };
    let listed = identity.list_users(list.clone()).await.expect("listed");
    assert_eq!(listed.users.len(), 2);
    assert_eq!(listed.access_keys.first(), Some(&identity.key(&first.name).await));
    let listed = ListUsersRequest { show_access_keys: false, ..list.clone() };
    assert_eq!(identity.list_users(listed).await.expect("listed").access_keys, vec![]);
    let at = Some(prost_types::Timestamp::default());
    identity.refuses_field(identity.list_users(ListUsersRequest { read_time: at, ..list })).await;

    // Refused, it leaves neither user, key nor data key behind.
    let brought = AccessKey { access_key_id: "AKIAIOSFODNN7EXAMPLE".into(), ..key() };
    let secret = "s".repeat(40);
    let taken = identity.create_user(asked("ALICE", brought.clone(), &secret));
    identity.refuses(taken, Code::AlreadyExists, Reason::UserNameTaken).await;
    let long = AccessKey { time_to_live: "P1096D".into(), ..key() };
    let long = identity.create_user(asked("bob", long, ""));
    identity.refuses(long, Code::InvalidArgument, Reason::LifetimeTooLong).await;
    identity.refuses_field(identity.create_user(asked("bob", key(), &secret))).await;
    let none = CreateUserRequest { access_key: None, ..asked("bob", key(), &secret) };
    identity.refuses_field(identity.create_user(none)).await;
    // And may then be asked for again.
    let made = identity.create_user(asked("bob", brought.clone(), &secret)).await.expect("created");
    assert_eq!(made.secret_access_key, secret);
    let taken = identity.create_user(asked("carol", brought, &secret));
    identity.refuses(taken, Code::AlreadyExists, Reason::AccessKeyIdTaken).await;
    let missing = identity.create_access_key(CreateAccessKeyRequest {
        parent: format!("{account}/users/bob"),
        take_slot: true,
        ..Default::default()
    });
    identity.refuses_field(missing).await;
}
