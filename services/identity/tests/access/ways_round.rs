//! Ways round what callers may not do, as an attacker would try them.

use std::collections::BTreeSet;

use api::error::v1::Reason;
use api::identity::v1::*;
use event_store::Clock;
use prost::Message;
use tonic::Code;

use crate::rpcs;
use crate::support::{DAY_MS, at};
use crate::world::{Caller, Target, World, bearer, mask, with};
use crate::{
    DENIED, INVALID_FIELD, INVALID_TOKEN, MISSING_TOKEN, NO_SUCH_ACCESS_KEY, NO_SUCH_USER, Outcome,
    outcome,
};

const INVALID_PAGE_TOKEN: Outcome = Err((Code::InvalidArgument, Some(Reason::InvalidPageToken)));
const ACCESS_KEY_ID_TAKEN: Outcome = Err((Code::AlreadyExists, Some(Reason::AccessKeyIdTaken)));

/// Asserts what becomes of a call.
async fn check(
    world: &World,
    caller: Caller,
    target: &Target,
    rpc: &str,
    request: &impl Message,
    expected: Outcome,
) {
    let presented = world.metadata(caller, &target.user);
    let request = request.encode_to_vec();
    let answer = rpcs::call(world.connection(), presented, rpc, request).await;
    assert_eq!(outcome(&answer), expected, "{rpc} by {caller:?}: {answer:?}");
}

fn now(world: &World) -> prost_types::Timestamp {
    at(world.home.clock.now_ms())
}

/// Every call about one user.
fn calls_on_user(name: &str, at: prost_types::Timestamp) -> Vec<(&'static str, Vec<u8>)> {
    let name = || name.to_owned();
    let read_time = Some(at);
    let user = User { name: name(), label: "new".into(), ..Default::default() };
    let update_mask = Some(mask(&["label"]));
    vec![
        (
            "UserService/GetUser",
            GetUserRequest { name: name(), ..Default::default() }.encode_to_vec(),
        ),
        (
            "UserService/GetUser",
            GetUserRequest { name: name(), read_time, ..Default::default() }.encode_to_vec(),
        ),
        (
            "UserService/UpdateUser",
            UpdateUserRequest { user: Some(user), update_mask, ..Default::default() }
                .encode_to_vec(),
        ),
        (
            "UserService/LockUser",
            LockUserRequest { name: name(), ..Default::default() }.encode_to_vec(),
        ),
        (
            "UserService/DeleteUser",
            DeleteUserRequest { name: name(), force: true, ..Default::default() }.encode_to_vec(),
        ),
        (
            "AccessKeyService/CreateAccessKey",
            CreateAccessKeyRequest { parent: name(), ..Default::default() }.encode_to_vec(),
        ),
        (
            "AccessKeyService/ListAccessKeys",
            ListAccessKeysRequest { parent: name(), ..Default::default() }.encode_to_vec(),
        ),
        (
            "AccessKeyService/ListAccessKeys",
            ListAccessKeysRequest { parent: name(), read_time, ..Default::default() }
                .encode_to_vec(),
        ),
    ]
}

/// Every call about one access key.
fn calls_on_key(name: &str, at: prost_types::Timestamp) -> Vec<(&'static str, Vec<u8>)> {
    let name = || name.to_owned();
    let access_key = AccessKey { name: name(), label: "new".into(), ..Default::default() };
    let update = UpdateAccessKeyRequest {
        access_key: Some(access_key),
        update_mask: Some(mask(&["label"])),
        ..Default::default()
    };
    let get = GetAccessKeyRequest { name: name(), ..Default::default() };
    let get_at = GetAccessKeyRequest { read_time: Some(at), ..get.clone() };
    vec![
        ("AccessKeyService/GetAccessKey", get.encode_to_vec()),
        ("AccessKeyService/GetAccessKey", get_at.encode_to_vec()),
        ("AccessKeyService/UpdateAccessKey", update.encode_to_vec()),
        (
            "AccessKeyService/RotateSecretAccessKey",
            RotateSecretAccessKeyRequest { name: name(), ..Default::default() }.encode_to_vec(),
        ),
        (
            "AccessKeyService/EndGracePeriod",
            EndGracePeriodRequest { name: name(), ..Default::default() }.encode_to_vec(),
        ),
        (
            "AccessKeyService/ReplaceAccessKey",
            ReplaceAccessKeyRequest { name: name(), ..Default::default() }.encode_to_vec(),
        ),
        (
            "AccessKeyService/DeleteAccessKey",
            DeleteAccessKeyRequest { name: name(), replace_last: true, ..Default::default() }
                .encode_to_vec(),
        ),
        (
            "AccessKeyService/UndeleteAccessKey",
            UndeleteAccessKeyRequest { name: name(), ..Default::default() }.encode_to_vec(),
        ),
        (
            "AccessKeyService/PurgeAccessKey",
            PurgeAccessKeyRequest { name: name(), ..Default::default() }.encode_to_vec(),
        ),
    ]
}

/// Asserts what becomes of all these calls, and that they change nothing.
async fn check_all(
    world: &World,
    caller: Caller,
    target: &Target,
    calls: Vec<(&'static str, Vec<u8>)>,
    expected: Outcome,
) {
    let head = world.head().await;
    for (rpc, request) in calls {
        let presented = world.metadata(caller, &target.user);
        let answer = rpcs::call(world.connection(), presented, rpc, request).await;
        assert_eq!(outcome(&answer), expected, "{rpc} by {caller:?}: {answer:?}");
    }
    assert_eq!(world.head().await, head, "{caller:?} changed something");
}

#[tokio::test]
async fn what_is_of_another_account_is_not_found_under_ones_own() {
    let world = World::new().await;
    let target = world.target().await;
    let at = now(&world);
    let (other, user) = (&world.other.name, &target.user.user_id);
    for caller in [Caller::Elsewhere, Caller::ForeignRoot, Caller::Configured] {
        for name in [user, &target.user.user_name, &user.to_uppercase()] {
            let calls = calls_on_user(&format!("{other}/users/{name}"), at);
            check_all(&world, caller, &target, calls, NO_SUCH_USER).await;
        }
        for id in [&target.key.access_key_id, &target.deleted_key.access_key_id] {
            let calls = calls_on_key(&format!("{other}/users/-/accessKeys/{id}"), at);
            check_all(&world, caller, &target, calls, NO_SUCH_ACCESS_KEY).await;
            let (number, root) = (&world.other.number, &world.other.root.user_id);
            let by_number = format!("accounts/{number}/users/{root}/accessKeys/{id}");
            let calls = calls_on_key(&by_number, at);
            check_all(&world, caller, &target, calls, NO_SUCH_ACCESS_KEY).await;
        }
    }
    for caller in [Caller::Elsewhere, Caller::ForeignRoot] {
        for holder in ["-", user, "root", &world.other.root.user_id] {
            let name = format!("accounts/-/users/{holder}/accessKeys/{}", target.key.access_key_id);
            let calls = calls_on_key(&name, at);
            check_all(&world, caller, &target, calls, NO_SUCH_ACCESS_KEY).await;
        }
        for account in [&world.mine.name, &format!("accounts/{}", world.mine.number)] {
            let calls = calls_on_user(&format!("{account}/users/root"), at);
            check_all(&world, caller, &target, calls, DENIED).await;
            let calls = calls_on_user(&format!("{account}/users/nobody"), at);
            check_all(&world, caller, &target, calls, DENIED).await;
            let name = format!("{account}/users/-/accessKeys/{}", target.key.access_key_id);
            check_all(&world, caller, &target, calls_on_key(&name, at), DENIED).await;
        }
        // Whether an account is there is not told.
        let nowhere = "accounts/01935a3c-0000-7000-8000-000000000000/users/root";
        check_all(&world, caller, &target, calls_on_user(nowhere, at), DENIED).await;
        let calls = calls_on_user("accounts/999999999999/users/root", at);
        check_all(&world, caller, &target, calls, DENIED).await;
    }
}

#[tokio::test]
async fn a_user_cannot_name_another_as_part_of_itself() {
    let world = World::new().await;
    let target = world.target().await;
    let at = now(&world);
    let (mine, own) = (&world.mine.name, &world.colleague.user_id);
    let caller = Caller::Colleague;
    for account in [mine, &format!("accounts/{}", world.mine.number)] {
        for user in [&target.user.user_id, &target.user.user_name, "root"] {
            let calls = calls_on_user(&format!("{account}/users/{user}"), at);
            check_all(&world, caller, &target, calls, DENIED).await;
        }
    }
    for id in [&target.key.access_key_id, &target.deleted_key.access_key_id] {
        for own in [own, "colleague"] {
            let calls = calls_on_key(&format!("{mine}/users/{own}/accessKeys/{id}"), at);
            check_all(&world, caller, &target, calls, NO_SUCH_ACCESS_KEY).await;
            let calls = calls_on_key(&format!("accounts/-/users/{own}/accessKeys/{id}"), at);
            check_all(&world, caller, &target, calls, NO_SUCH_ACCESS_KEY).await;
        }
        let calls = calls_on_key(&format!("{mine}/users/-/accessKeys/{id}"), at);
        check_all(&world, caller, &target, calls, DENIED).await;
    }
    let user = &target.user.user_id;
    for odd in [
        format!("{mine}/users/{own}/../{user}"),
        format!("{mine}/users/{own}/users/{user}"),
        format!("{mine}/users/{own}%2f..%2f{user}"),
        format!("{mine}/users/{own}\0"),
        format!("{mine}/users/{own}/"),
        format!("/{mine}/users/{user}"),
        format!("accounts/-/users/{user}"),
        format!("accounts//users/{user}"),
        "accounts/*/users/*".to_owned(),
    ] {
        check_all(&world, caller, &target, calls_on_user(&odd, at), INVALID_FIELD).await;
    }
    for parent in [format!("{mine}/users/-"), format!("{mine}/users/{own}"), "accounts/-".into()] {
        let list = ListUsersRequest { parent, read_time: Some(at), ..Default::default() };
        check(&world, caller, &target, "UserService/ListUsers", &list, INVALID_FIELD).await;
    }
}

#[tokio::test]
async fn no_field_of_a_request_reaches_further_than_its_name() {
    let world = World::new().await;
    let target = world.target().await;
    for path in ["state", "root", "user_id", "name", "etag", "tags.x", "*", ""] {
        let update = UpdateUserRequest {
            user: Some(User { root: true, ..target.user.clone() }),
            update_mask: Some(mask(&["label", path])),
            ..Default::default()
        };
        let rpc = "UserService/UpdateUser";
        check(&world, Caller::Root, &target, rpc, &update, INVALID_FIELD).await;
    }
    let secrets = ["secrets", "access_key_id", "imported", "name", "delete_time", "etag", "*", ""];
    for path in secrets {
        let update = UpdateAccessKeyRequest {
            access_key: Some(AccessKey { imported: true, ..target.key.clone() }),
            update_mask: Some(mask(&["label", path])),
            ..Default::default()
        };
        let rpc = "AccessKeyService/UpdateAccessKey";
        check(&world, Caller::Itself, &target, rpc, &update, INVALID_FIELD).await;
    }
    for path in ["account_number", "account_id", "name", "settings.*", "*", ""] {
        let update = UpdateAccountRequest {
            account: Some(Account { name: world.mine.name.clone(), ..Default::default() }),
            update_mask: Some(mask(&["display_name", path])),
            ..Default::default()
        };
        let rpc = "AccountService/UpdateAccount";
        check(&world, Caller::Root, &target, rpc, &update, INVALID_FIELD).await;
    }

    // What the server sets is not read.
    let create = CreateUserRequest {
        parent: world.mine.name.clone(),
        user: Some(User {
            name: world.other.root.name.clone(),
            user_id: world.other.root.user_id.clone(),
            user_name: "second-root".into(),
            root: true,
            ..Default::default()
        }),
        ..Default::default()
    };
    let by_root = world.metadata(Caller::Root, &target.user);
    let made = world.users(by_root).create_user(create).await.expect("created").into_inner();
    let made = made.user.expect("there");
    assert!(!made.root && made.name.starts_with(&world.mine.name), "{made:?}");
    assert_ne!(made.user_id, world.other.root.user_id);
    let create = CreateAccessKeyRequest {
        parent: target.user.name.clone(),
        access_key: Some(AccessKey {
            name: world.mine.root_key.name.clone(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let by_itself = world.metadata(Caller::Itself, &target.user);
    let made = world.access_keys(by_itself).create_access_key(create).await.expect("created");
    let made = made.into_inner().access_key.expect("there");
    assert!(made.name.starts_with(&target.user.name), "{made:?}");
}

#[tokio::test]
async fn an_etag_lets_nobody_pass() {
    let world = World::new().await;
    let target = world.target().await;
    for etag in [&target.user.etag, "stale"] {
        let (name, etag) = (target.user.name.clone(), etag.to_owned());
        let lock = LockUserRequest { name, etag, ..Default::default() };
        for caller in [Caller::Colleague, Caller::Itself, Caller::ForeignRoot, Caller::ReadOnly] {
            check(&world, caller, &target, "UserService/LockUser", &lock, DENIED).await;
        }
    }
    let (name, etag) = (target.key.name.clone(), "stale".to_owned());
    let delete = DeleteAccessKeyRequest { name, etag, ..Default::default() };
    let rpc = "AccessKeyService/DeleteAccessKey";
    check(&world, Caller::Colleague, &target, rpc, &delete, DENIED).await;
}

#[tokio::test]
async fn lists_show_nothing_of_another_account() {
    let world = World::new().await;
    let target = world.target().await;
    for tenant in [&world.mine, &world.other] {
        world.identity.user(&tenant.name, "last").await.expect("created");
    }
    let all = world.recorded().await;
    let of = |tenant: &str| -> Vec<u64> {
        let own = all.iter().filter(|event| event.account == tenant);
        own.map(|event| event.position).collect()
    };
    let (mine, other) = (&world.mine.name, &world.other.name);
    let owners = [
        (Caller::Scoped, mine),
        (Caller::ScopedReadOnly, mine),
        (Caller::Root, mine),
        (Caller::Elsewhere, other),
        (Caller::ForeignRoot, other),
    ];
    for (caller, own) in owners {
        let by = || world.metadata(caller, &target.user);
        let listed = world.accounts(by()).list_accounts(ListAccountsRequest::default()).await;
        let listed = listed.expect("listed").into_inner().accounts;
        assert_eq!(listed.iter().map(|account| &account.name).collect::<Vec<_>>(), [own]);

        let list = |request| async {
            let listed = world.events(by()).list_events(request).await.expect("listed");
            let events = listed.into_inner().events;
            events.iter().map(|event| event.position).collect::<Vec<_>>()
        };
        let page_size = 1000;
        let events = list(ListEventsRequest { page_size, ..Default::default() }).await;
        assert_eq!(events, of(own), "{caller:?}");
        let watched = world.events(by()).watch_events(WatchEventsRequest::default()).await;
        let mut watched = watched.expect("watched").into_inner();
        for position in of(own) {
            let message = watched.message().await.expect("goes on").expect("there");
            assert_eq!(message.event.expect("there").position, position, "{caller:?}");
        }
    }

    // What another account has is not found by any filter.
    let list = async |request| {
        let by = world.metadata(Caller::ForeignRoot, &target.user);
        world.events(by).list_events(request).await.expect("listed").into_inner().events
    };
    let none = [
        ListEventsRequest { user: target.user.name.clone(), ..Default::default() },
        ListEventsRequest {
            account: other.clone(),
            user: format!("{other}/users/{}", target.user.user_id),
            ..Default::default()
        },
        ListEventsRequest { access_key_id: target.key.access_key_id.clone(), ..Default::default() },
        ListEventsRequest { kinds: vec!["admin_token_created".into()], ..Default::default() },
        ListEventsRequest { principal: "admin-token/all".into(), ..Default::default() },
    ];
    for request in none {
        assert_eq!(list(request).await, []);
    }
}

#[tokio::test]
async fn a_page_token_of_somebody_else_leads_nowhere_else() {
    let world = World::new().await;
    let target = world.target().await;
    let operator = || world.metadata(Caller::Configured, &target.user);
    let page_size = 1;
    let parent = world.mine.name.clone();
    let list = ListUsersRequest { parent, page_size, ..Default::default() };
    let listed = world.users(operator()).list_users(list).await.expect("listed").into_inner();
    let (parent, page_token) = (world.other.name.clone(), listed.next_page_token);
    let list = ListUsersRequest { parent, page_token, ..Default::default() };
    let rpc = "UserService/ListUsers";
    check(&world, Caller::ForeignRoot, &target, rpc, &list, INVALID_PAGE_TOKEN).await;

    let parent = format!("{}/users/-", world.mine.name);
    let list = ListAccessKeysRequest { parent, page_size, ..Default::default() };
    let keys = world.access_keys(operator());
    let listed = keys.clone().list_access_keys(list).await.expect("listed").into_inner();
    for (caller, parent) in [
        (Caller::ForeignRoot, format!("{}/users/-", world.other.name)),
        (Caller::Itself, target.user.name.clone()),
    ] {
        let page_token = listed.next_page_token.clone();
        let list = ListAccessKeysRequest { parent, page_token, ..Default::default() };
        let rpc = "AccessKeyService/ListAccessKeys";
        check(&world, caller, &target, rpc, &list, INVALID_PAGE_TOKEN).await;
    }

    let list = ListAccountsRequest { page_size, ..Default::default() };
    let listed = world.accounts(operator()).list_accounts(list).await.expect("listed");
    let page_token = listed.into_inner().next_page_token;
    let list = ListAccountsRequest { page_token, ..Default::default() };
    let by = world.metadata(Caller::Scoped, &target.user);
    let listed = world.accounts(by).list_accounts(list).await.expect("listed").into_inner();
    assert_eq!(listed.accounts, [], "its own stands on the page before");

    let list = ListEventsRequest { page_size, ..Default::default() };
    let listed = world.events(operator()).list_events(list).await.expect("listed").into_inner();
    let page_token = listed.next_page_token;
    let list = ListEventsRequest { page_token, ..Default::default() };
    let by = world.metadata(Caller::ForeignRoot, &target.user);
    let listed = world.events(by).list_events(list).await.expect("listed").into_inner();
    assert!(listed.events.iter().all(|event| event.account == world.other.name));
}

#[tokio::test]
async fn the_same_request_id_of_two_callers_is_two_requests() {
    let world = World::new().await;
    let target = world.target().await;
    let request = CreateAccessKeyRequest {
        parent: target.user.name.clone(),
        request_id: "3f2b6f3e-0000-4000-8000-000000000001".into(),
        ..Default::default()
    };
    let create = async |caller| {
        let by = world.metadata(caller, &target.user);
        let made = world.access_keys(by).create_access_key(request.clone()).await?;
        Ok::<_, tonic::Status>(made.into_inner().secret_access_key)
    };
    let callers = [Caller::Configured, Caller::All, Caller::Scoped, Caller::Root, Caller::Itself];
    let mut secrets = BTreeSet::new();
    for caller in callers {
        let secret = create(caller).await.expect("created");
        assert_eq!(create(caller).await.expect("the same again"), secret);
        secrets.insert(secret);
    }
    assert_eq!(secrets.len(), callers.len());
    for caller in [Caller::Colleague, Caller::ForeignRoot, Caller::Elsewhere, Caller::ReadOnly] {
        assert_eq!(outcome(&create(caller).await), DENIED, "{caller:?}");
    }
    // Nor does one that was answered before get it again that may no longer ask.
    let lock = LockUserRequest { name: target.user.name.clone(), ..Default::default() };
    world.identity.users().lock_user(lock).await.expect("locked");
    assert_eq!(outcome(&create(Caller::Itself).await), DENIED);
}

#[tokio::test]
async fn what_was_deleted_is_shown_to_those_only_who_might_see_it_before() {
    let world = World::new().await;
    let former = world.target().await;
    world.home.clock.advance(1000);
    let before = now(&world);
    world.home.clock.advance(1000);
    let name = former.user.name.clone();
    let delete = DeleteUserRequest { name, force: true, ..Default::default() };
    world.identity.users().delete_user(delete).await.expect("deleted");
    let user = world.identity.user(&world.mine.name, &former.user.user_name).await;
    let target = Target { user: user.expect("created"), ..world.target().await };
    let (mine, id) = (&world.mine.name, &former.key.access_key_id);

    let reads = |name: &str| {
        let get =
            GetUserRequest { name: name.into(), read_time: Some(before), ..Default::default() };
        let (parent, name) = (name.to_owned(), format!("{name}/accessKeys/{id}"));
        let list = ListAccessKeysRequest { parent, read_time: Some(before), ..Default::default() };
        let get_key = GetAccessKeyRequest { name, read_time: Some(before), ..Default::default() };
        [
            ("UserService/GetUser", get.encode_to_vec()),
            ("AccessKeyService/ListAccessKeys", list.encode_to_vec()),
            ("AccessKeyService/GetAccessKey", get_key.encode_to_vec()),
        ]
    };
    let by_id = || reads(&former.user.name).to_vec();
    for caller in [Caller::Configured, Caller::ReadOnly, Caller::ScopedReadOnly, Caller::Root] {
        check_all(&world, caller, &target, by_id(), Ok(())).await;
    }
    for caller in [Caller::Itself, Caller::Colleague, Caller::ForeignRoot, Caller::Elsewhere] {
        check_all(&world, caller, &target, by_id(), DENIED).await;
    }
    let elsewhere = format!("{}/users/{}", world.other.name, former.user.user_id);
    for caller in [Caller::Configured, Caller::ForeignRoot, Caller::Elsewhere] {
        check_all(&world, caller, &target, reads(&elsewhere).to_vec(), NO_SUCH_USER).await;
    }
    // The name now is of somebody else, who was not there then.
    let [get, list, get_key] = reads(&format!("{mine}/users/{}", former.user.user_name));
    check_all(&world, Caller::Itself, &target, vec![get], NO_SUCH_USER).await;
    check_all(&world, Caller::Itself, &target, vec![get_key], NO_SUCH_ACCESS_KEY).await;
    let by = world.metadata(Caller::Itself, &target.user);
    let listed = rpcs::call(world.connection(), by, list.0, list.1).await.expect("listed");
    assert_eq!(ListAccessKeysResponse::decode(listed).expect("decodes"), Default::default());
}

#[tokio::test]
async fn an_access_key_is_not_taken_over_or_destroyed_by_bringing_its_id() {
    let world = World::new().await;
    let target = world.target().await;
    let ids = [&target.key.access_key_id, &target.deleted_key.access_key_id];
    for (caller, parent) in [
        (Caller::ForeignRoot, &world.other.root.name),
        (Caller::Colleague, &world.colleague.name),
        (Caller::Elsewhere, &world.other.root.name),
        (Caller::Itself, &target.user.name),
    ] {
        for id in ids {
            let create = CreateAccessKeyRequest {
                parent: parent.clone(),
                access_key: Some(AccessKey { access_key_id: id.clone(), ..Default::default() }),
                secret_access_key: "a".repeat(40),
                ..Default::default()
            };
            let rpc = "AccessKeyService/CreateAccessKey";
            check(&world, caller, &target, rpc, &create, ACCESS_KEY_ID_TAKEN).await;
        }
    }
    let name = target.deleted_key.name.clone();
    let undelete = UndeleteAccessKeyRequest { name, ..Default::default() };
    world.identity.access_keys().undelete_access_key(undelete).await.expect("undeleted");
    for id in ids {
        let day = u32::try_from(world.home.clock.now_ms() / DAY_MS).expect("fits");
        let derive = DeriveDateKeysRequest { access_key_id: id.clone(), day, spelling: 0 };
        let derived = world.identity.feed().derive_date_keys(derive).await.expect("it opens");
        assert!(!derived.into_inner().date_keys.is_empty());
    }
}

#[tokio::test]
async fn a_token_for_an_account_ends_with_the_account() {
    let world = World::new().await;
    let target = world.target().await;
    let token = AdminToken {
        display_name: "for-empty".into(),
        account: target.account.clone(),
        ..Default::default()
    };
    let token = world.identity.admin_token(token).await.token;
    let name = target.account.clone();
    let get = GetAccountRequest { name: name.clone(), ..Default::default() };
    let got = world.accounts(bearer(&token)).get_account(get.clone()).await;
    assert_eq!(outcome(&got), Ok(()));
    let delete = DeleteAccountRequest { name: name.clone(), ..Default::default() };
    world.identity.accounts().delete_account(delete).await.expect("deleted");
    let got = world.accounts(bearer(&token)).get_account(get).await;
    assert_eq!(outcome(&got), DENIED);
    let user = User { user_name: "ghost".into(), ..Default::default() };
    let create = CreateUserRequest { parent: name, user: Some(user), ..Default::default() };
    assert_eq!(outcome(&world.users(bearer(&token)).create_user(create).await), DENIED);
    let listed = world.accounts(bearer(&token)).list_accounts(ListAccountsRequest::default()).await;
    assert_eq!(listed.expect("listed").into_inner().accounts, []);
}

#[tokio::test]
async fn only_one_whole_bearer_token_counts() {
    let world = World::new().await;
    let admin = world.identity.tokens.admin.expose();
    let auth = world.identity.tokens.auth.expose();
    let list = ListAccountsRequest::default().encode_to_vec();
    let check = async |rpc: &str, values: &[&str], expected| {
        let values: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
        let presented = with(Default::default(), &values);
        let answer = rpcs::call(world.connection(), presented, rpc, list.clone()).await;
        assert_eq!(outcome(&answer), expected, "{rpc} with {} values", values.len());
    };
    let rpc = "AccountService/ListAccounts";
    let (good, bad) = (&*format!("Bearer {admin}"), &*format!("Bearer {auth}"));
    check(rpc, &[good], Ok(())).await;
    for several in [[good, bad], [bad, good], [good, good], [good, ""]] {
        check(rpc, &several, INVALID_TOKEN).await;
    }
    let list = format!("{good}, {bad}");
    let (twice, tight) = (format!("Bearer {good}"), format!("Bearer{admin}"));
    for odd in ["", " ", "Bearer", "Bearer ", "Basic Og==", admin, &list, &twice, &tight] {
        check(rpc, &[odd], INVALID_TOKEN).await;
    }
    // What there is not is not told to everybody either.
    check("AccountService/Unknown", &[], MISSING_TOKEN).await;
    check("AccountService/Unknown", &[bad], DENIED).await;
    check("AccountService/Unknown", &[good], Err((Code::Unimplemented, None))).await;
}

#[tokio::test]
async fn a_watch_ends_when_its_watcher_is_no_longer_let_in() {
    let world = World::new().await;
    let target = world.target().await;
    let display_name = "watcher".into();
    let made = world.identity.admin_token(AdminToken { display_name, ..Default::default() }).await;
    let after_position = world.head().await;
    let request = WatchEventsRequest { after_position, ..Default::default() };
    let watch = async |presented| {
        world.events(presented).watch_events(request.clone()).await.expect("watched").into_inner()
    };
    let root = world.metadata(Caller::ForeignRoot, &target.user);
    let mut watches = [watch(bearer(&made.token)).await, watch(root).await];
    let revoke = RevokeAdminTokenRequest {
        name: made.admin_token.expect("there").name,
        ..Default::default()
    };
    world.identity.admin_tokens().revoke_admin_token(revoke).await.expect("revoked");
    let lock = LockUserRequest { name: world.other.root.name.clone(), ..Default::default() };
    world.identity.users().lock_user(lock).await.expect("locked");
    for watch in &mut watches {
        assert_eq!(outcome(&watch.message().await), DENIED);
    }
}

#[tokio::test]
async fn a_user_does_not_learn_which_other_users_there_are() {
    let world = World::new().await;
    let target = world.target().await;
    let (parent, at) = (&world.mine.name, now(&world));
    let (other, deleted) = (&world.colleague.user_id, &world.deleted.user_id);
    let nobody = "01935a3c-0000-7000-8000-000000000000";
    let foreign = &world.other.root.user_id;
    for other in ["root", "colleague", "nobody", other, deleted, foreign, nobody] {
        let calls = calls_on_user(&format!("{parent}/users/{other}"), at);
        check_all(&world, Caller::Itself, &target, calls, DENIED).await;
        for id in [&target.key.access_key_id, &world.mine.root_key.access_key_id] {
            for account in [parent, "accounts/-"] {
                let calls = calls_on_key(&format!("{account}/users/{other}/accessKeys/{id}"), at);
                check_all(&world, Caller::Itself, &target, calls, DENIED).await;
            }
        }
    }
}

#[tokio::test]
async fn a_user_does_not_learn_which_other_access_keys_there_are() {
    let world = World::new().await;
    let target = world.target().await;
    let (own, at) = (&target.user, now(&world));
    let purge =
        PurgeAccessKeyRequest { name: target.deleted_key.name.clone(), ..Default::default() };
    world.identity.access_keys().purge_access_key(purge).await.expect("purged");
    let another = world.target().await;
    let others = [
        &world.mine.root_key.access_key_id,
        &world.other.root_key.access_key_id,
        &another.key.access_key_id,
        &another.deleted_key.access_key_id,
        "AKIA0000000000000000",
    ];
    let parents = [&world.mine.name, &format!("accounts/{}", world.mine.number), "accounts/-"];
    for account in parents {
        for id in others {
            let calls = calls_on_key(&format!("{account}/users/-/accessKeys/{id}"), at);
            check_all(&world, Caller::Itself, &target, calls, DENIED).await;
            for own in [&own.user_id, &own.user_name] {
                let calls = calls_on_key(&format!("{account}/users/{own}/accessKeys/{id}"), at);
                check_all(&world, Caller::Itself, &target, calls, NO_SUCH_ACCESS_KEY).await;
            }
        }
        // Its own it may know to be gone.
        let get = GetAccessKeyRequest {
            name: format!("{account}/users/-/accessKeys/{}", target.deleted_key.access_key_id),
            ..Default::default()
        };
        let rpc = "AccessKeyService/GetAccessKey";
        check(&world, Caller::Itself, &target, rpc, &get, NO_SUCH_ACCESS_KEY).await;
        let get = GetAccessKeyRequest {
            name: format!("{account}/users/-/accessKeys/{}", target.key.access_key_id),
            ..Default::default()
        };
        check(&world, Caller::Itself, &target, rpc, &get, Ok(())).await;
    }
}
