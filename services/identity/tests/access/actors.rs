//! What is recorded of who called.

use api::event::v1::{Actor, Event};
use api::identity::v1::*;
use tonic::metadata::MetadataMap;

use crate::support::DAY_MS;
use crate::world::{Caller, World, acting_for, bearer, mask, with};
use crate::{DENIED, INVALID_FIELD, Outcome, outcome};

const REQUEST_ID: &str = "x-request-id";
/// What an identity on this machine sees of who calls it.
const HERE: &str = "127.0.0.1";

/// Makes an access key for `user`, and gives the event that this records, if it does.
async fn event_of(world: &World, user: &User, presented: MetadataMap) -> (Outcome, Option<Event>) {
    let head = world.head().await;
    let request = CreateAccessKeyRequest { parent: user.name.clone(), ..Default::default() };
    let made = world.access_keys(presented).create_access_key(request).await;
    let event = world.recorded().await.into_iter().find(|event| event.position > head);
    (outcome(&made), event)
}

/// Asserts who the event says has made an access key for `user`.
async fn check(
    world: &World,
    user: &User,
    presented: MetadataMap,
    [principal, facade, source_address, request_id]: [&str; 4],
) {
    let (outcome, event) = event_of(world, user, presented).await;
    assert_eq!(outcome, Ok(()));
    let expected = Actor {
        principal: principal.into(),
        facade: facade.into(),
        source_address: source_address.into(),
        request_id: request_id.into(),
    };
    assert_eq!(event.expect("recorded").actor, Some(expected));
}

/// Asserts that a gateway that says this of who calls is refused, and nothing recorded.
async fn check_refused(world: &World, user: &User, said: &[(&'static str, &str)]) {
    let gateway = world.identity.tokens.gateway.as_ref().expect("given").expose();
    let refused = event_of(world, user, with(bearer(gateway), said)).await;
    assert_eq!(refused, (INVALID_FIELD, None), "{said:?}");
}

async fn user_at(world: &World, path: &str, user_name: &str) -> User {
    let (path, user_name) = (path.to_owned(), user_name.to_owned());
    let request = CreateUserRequest {
        parent: world.mine.name.clone(),
        user: Some(User { user_name, path, ..Default::default() }),
        ..Default::default()
    };
    let made = world.identity.users().create_user(request).await.expect("created");
    made.into_inner().user.expect("there")
}

#[tokio::test]
async fn an_event_says_who_called_through_what_from_where_and_under_which_id() {
    let world = World::new().await;
    let user = user_at(&world, "/division/team/", "alice").await;
    let number = &world.mine.number;
    let by = |caller, id| with(world.metadata(caller, &user), &[(REQUEST_ID, id)]);
    check(&world, &user, by(Caller::Configured, "r-1"), ["operator", "grpc", HERE, "r-1"]).await;
    check(&world, &user, by(Caller::All, "r-2"), ["admin-token/all", "grpc", HERE, "r-2"]).await;
    let scoped = ["admin-token/scoped", "grpc", HERE, "r-3"];
    check(&world, &user, by(Caller::Scoped, "r-3"), scoped).await;

    let by = |caller| world.metadata(caller, &user);
    let root = format!("arn:aws:iam::{number}:root");
    let root = [&*root, "iam", "192.0.2.7", "request-of-a-user"];
    check(&world, &user, by(Caller::Root), root).await;
    let alice = format!("arn:aws:iam::{number}:user/division/team/alice");
    let alice = [&*alice, "iam", "192.0.2.7", "request-of-a-user"];
    check(&world, &user, by(Caller::Itself), alice).await;
}

#[tokio::test]
async fn every_event_has_an_actor_with_a_request_id() {
    let world = World::new().await;
    let user = world.target().await.user;
    let by = |id| with(world.metadata(Caller::Configured, &user), &[(REQUEST_ID, id)]);
    for nothing in ["", " "] {
        assert_eq!(event_of(&world, &user, by(nothing)).await.0, Ok(()));
    }
    let long = "r".repeat(1000);
    let (_, event) = event_of(&world, &user, by(&long)).await;
    let actor = event.expect("recorded").actor.expect("there");
    assert!((1..=128).contains(&actor.request_id.len()), "{actor:?}");
    for event in world.recorded().await {
        let actor = event.actor.expect("there");
        let Actor { principal, facade, source_address, request_id } = &actor;
        let all = [principal, facade, source_address, request_id];
        assert!(all.iter().all(|text| !text.trim().is_empty()), "{}: {actor:?}", event.position);
    }
}

#[tokio::test]
async fn what_the_server_does_by_itself_is_told_so() {
    let world = World::new().await;
    let target = world.target().await;
    let kinds = vec!["access_key_purged".into()];
    let watch = WatchEventsRequest { kinds, ..Default::default() };
    let by = world.metadata(Caller::Root, &target.user);
    let mut watched = world.events(by).watch_events(watch).await.expect("watched").into_inner();
    world.home.clock.advance(DAY_MS);
    let message = watched.message().await.expect("goes on").expect("there");
    let actor = message.event.expect("there").actor.expect("there");
    let said = [&*actor.principal, &*actor.facade, &*actor.source_address];
    assert_eq!(said, ["claviger", "schedule", ""]);
    assert!(!actor.request_id.is_empty());
}

#[tokio::test]
async fn who_is_no_gateway_cannot_say_who_calls() {
    let world = World::new().await;
    let user = world.target().await.user;
    let root = &world.mine.root.user_id;
    let claims = [
        ("claviger-acting-user", root.as_str()),
        ("claviger-facade", "iam"),
        ("claviger-source-address", "192.0.2.7"),
        (REQUEST_ID, "r-1"),
    ];
    let claiming = |caller| with(world.metadata(caller, &user), &claims);
    check(&world, &user, claiming(Caller::Configured), ["operator", "grpc", HERE, "r-1"]).await;
    let scoped = ["admin-token/scoped", "grpc", HERE, "r-1"];
    check(&world, &user, claiming(Caller::Scoped), scoped).await;
    for caller in [Caller::ReadOnly, Caller::ScopedReadOnly, Caller::Elsewhere, Caller::Auth] {
        let refused = event_of(&world, &user, claiming(caller)).await;
        assert_eq!(refused, (DENIED, None), "{caller:?}");
    }
}

#[tokio::test]
async fn a_gateway_says_each_thing_once_and_well_or_is_refused() {
    let world = World::new().await;
    let user = world.target().await.user;
    let id = ("claviger-acting-user", user.user_id.as_str());
    let root = ("claviger-acting-user", world.mine.root.user_id.as_str());
    let facade = ("claviger-facade", "iam");
    let address = ("claviger-source-address", "192.0.2.7");
    check_refused(&world, &user, &[facade, address]).await;
    check_refused(&world, &user, &[id, root, facade]).await;
    check_refused(&world, &user, &[("claviger-acting-user", &user.name), facade]).await;
    check_refused(&world, &user, &[("claviger-acting-user", &user.user_name), facade]).await;
    let simple = user.user_id.replace('-', "");
    check_refused(&world, &user, &[("claviger-acting-user", &simple), facade]).await;
    check_refused(&world, &user, &[id, address]).await;
    check_refused(&world, &user, &[id, facade, ("claviger-facade", "s3")]).await;
    for bad in ["", "IAM", "i am", &"x".repeat(33)] {
        check_refused(&world, &user, &[id, ("claviger-facade", bad)]).await;
    }
    check_refused(&world, &user, &[id, facade, address, address]).await;
    for bad in ["", "localhost", "192.0.2.7:443", "192.0.2.7, 192.0.2.8"] {
        check_refused(&world, &user, &[id, facade, ("claviger-source-address", bad)]).await;
    }
}

#[tokio::test]
async fn users_with_the_longest_of_paths_are_told_apart() {
    let world = World::new().await;
    let path = format!("/{}/", "x".repeat(300));
    let (one, other) = (user_at(&world, &path, "one").await, user_at(&world, &path, "other").await);
    for user in [one, other] {
        let by_id = format!("arn:aws:iam::{}:user/{}", world.mine.number, user.user_id);
        let expected = [&*by_id, "iam", "192.0.2.7", "request-of-a-user"];
        check(&world, &user, world.metadata(Caller::Itself, &user), expected).await;
    }
}

#[tokio::test]
async fn a_user_is_who_it_is_now_not_who_had_its_name() {
    let world = World::new().await;
    let former = world.target().await.user;
    let delete = DeleteUserRequest { name: former.name.clone(), force: true, ..Default::default() };
    world.identity.users().delete_user(delete).await.expect("deleted");
    let gateway = world.identity.tokens.gateway.as_ref().expect("given").expose();
    let user = user_at(&world, "", &former.user_name).await;
    let by_former = acting_for(gateway, &former.user_id);
    assert_eq!(event_of(&world, &user, by_former).await, (DENIED, None));
    let renamed = UpdateUserRequest {
        user: Some(User { user_name: "renamed".into(), ..user.clone() }),
        update_mask: Some(mask(&["user_name"])),
        ..Default::default()
    };
    world.identity.users().update_user(renamed).await.expect("renamed");
    let arn = format!("arn:aws:iam::{}:user/renamed", world.mine.number);
    let expected = [&*arn, "iam", "192.0.2.7", "request-of-a-user"];
    check(&world, &user, acting_for(gateway, &user.user_id), expected).await;
    let by_name = format!("{}/users/{}", world.mine.name, former.user_name);
    let request = GetUserRequest { name: by_name, ..Default::default() };
    let got = world.users(acting_for(gateway, &user.user_id)).get_user(request).await;
    // Whether anybody else has a name is not for a user to know.
    assert_eq!(outcome(&got), DENIED);
}

#[tokio::test]
async fn a_comment_changes_with_a_key_only_for_who_may_change_the_user() {
    let world = World::new().await;
    let target = world.target().await;
    let user = target.user;
    for (caller, allowed) in [(Caller::Itself, false), (Caller::Root, true)] {
        let create = |user_comment| CreateAccessKeyRequest {
            parent: user.name.clone(),
            user_comment,
            ..Default::default()
        };
        let mut request = tonic::Request::new(create(None));
        *request.metadata_mut() = world.metadata(caller, &user);
        let mut keys =
            access_key_service_client::AccessKeyServiceClient::new(world.identity.connection());
        let made = keys.create_access_key(request).await.expect("its own").into_inner();
        let mut request = tonic::Request::new(create(Some("x".into())));
        *request.metadata_mut() = world.metadata(caller, &user);
        let created = keys.create_access_key(request).await.map(|_| ());
        let mut request = tonic::Request::new(DeleteAccessKeyRequest {
            name: made.access_key.expect("there").name,
            user_comment: Some("y".into()),
            ..Default::default()
        });
        *request.metadata_mut() = world.metadata(caller, &user);
        let deleted = keys.delete_access_key(request).await.map(|_| ());
        for outcome in [created, deleted] {
            assert_eq!(outcome.is_ok(), allowed, "{outcome:?}");
            let refusal = outcome.err().map(|status| status.code());
            assert_eq!(refusal, (!allowed).then_some(tonic::Code::PermissionDenied));
        }
    }
}
