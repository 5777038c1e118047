//! Callers that are known by certificates.

use api::error::v1::Reason;
use api::identity::v1::account_service_client::AccountServiceClient;
use api::identity::v1::credential_feed_service_client::CredentialFeedServiceClient;
use api::identity::v1::event_service_client::EventServiceClient;
use api::identity::v1::user_service_client::UserServiceClient;
use api::identity::v1::*;
use rpc::Target;
use test_pki::{Authority, End, Issued};
use tonic::metadata::MetadataMap;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::support::OPERATORS;
use crate::world::{By, Caller, Presented, World, bearer, with};
use crate::{INVALID_TOKEN, MISSING_TOKEN, Outcome, UNKNOWN_CERTIFICATE, outcome};

const ANN: &str = OPERATORS[0];
const BOB: &str = OPERATORS[1];

impl World {
    fn authority(&self) -> &Authority {
        &self.identity.certified.as_ref().expect("has certificates").authority
    }
}

/// What comes of asking for all accounts so.
async fn ask(connection: Channel, presented: MetadataMap) -> Result<(), Status> {
    let channel = InterceptedService::new(connection, Presented::of(presented));
    let mut accounts = AccountServiceClient::new(channel);
    accounts.list_accounts(ListAccountsRequest::default()).await.map(|_| ())
}

async fn check(world: &World, shown: Option<&Issued>, presented: MetadataMap, expected: Outcome) {
    let asked = ask(world.identity.connection_by(shown), presented).await;
    assert_eq!(outcome(&asked), expected, "{asked:?}");
}

#[tokio::test]
async fn an_operator_is_known_by_one_name_on_the_list() {
    let world = World::certified().await;
    let nothing = MetadataMap::new;
    let by = |names: &[&str]| world.authority().issue(names);
    check(&world, None, nothing(), MISSING_TOKEN).await;
    check(&world, Some(&by(&[ANN])), nothing(), Ok(())).await;
    check(&world, Some(&by(&["www.example.org", "OPS.example.org"])), nothing(), Ok(())).await;
    for unknown in [
        &["spiffe://example.org/operator/eve"][..],
        &["spiffe://example.org/operator"],
        &["spiffe://example.org/operator/ann/laptop"],
        &["spiffe://example.net/operator/ann"],
        // The URI is the name, and the host then is not.
        &["ops.example.org", "spiffe://example.org/operator/eve"],
        &[ANN, BOB],
        &["*.example.org"],
        &["127.0.0.1"],
        &[],
    ] {
        check(&world, Some(&by(unknown)), nothing(), UNKNOWN_CERTIFICATE).await;
    }
}

#[tokio::test]
async fn a_token_is_judged_alone_whatever_the_certificate() {
    let world = World::certified().await;
    let ann = world.authority().issue(&[ANN]);
    let eve = world.authority().issue(&["spiffe://example.org/operator/eve"]);
    let admin = world.identity.tokens.admin.expose();
    check(&world, None, bearer(admin), Ok(())).await;
    check(&world, Some(&eve), bearer(admin), Ok(())).await;
    check(&world, Some(&ann), bearer("not-the-admin-token"), INVALID_TOKEN).await;
    check(&world, Some(&ann), with(bearer(admin), &[("authorization", "")]), INVALID_TOKEN).await;
    let auth = bearer(world.identity.tokens.auth.expose());
    let denied = Err((Code::PermissionDenied, Some(Reason::CallerNotAllowed)));
    check(&world, Some(&ann), auth, denied).await;
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_ends_the_handshake_also_with_a_token() {
    let world = World::certified().await;
    let admin = || bearer(world.identity.tokens.admin.expose());
    let other = Authority::new().issue(&[ANN]);
    let ended = world.authority().issue_until(&[ANN], End::Past);
    for bad in [other, ended] {
        let asked = ask(world.identity.connection_by(Some(&bad)), admin()).await;
        let status = asked.expect_err("is refused");
        assert_eq!(api::reason(&status), None, "nothing was answered: {status:?}");
        assert_ne!(status.code(), Code::Unauthenticated, "{status:?}");
    }
    // Nobody else is the worse for it.
    check(&world, None, admin(), Ok(())).await;
}

#[tokio::test]
async fn an_event_names_who_is_known_by_a_certificate() {
    let world = World::certified().await;
    let user = world.target().await.user;
    let principal = async |by, caller| {
        let head = world.head().await;
        let presented = world.metadata_by(by, caller, &user);
        let channel =
            InterceptedService::new(world.connection_by(by, caller), Presented::of(presented));
        let mut users = UserServiceClient::new(channel);
        let name = format!("by-{caller:?}-{by:?}");
        let new = User { user_name: name, ..Default::default() };
        let parent = world.mine.name.clone();
        let request = CreateUserRequest { parent, user: Some(new), ..Default::default() };
        users.create_user(request).await.expect("created");
        let events = world.recorded().await;
        let event = events.into_iter().find(|event| event.position > head).expect("recorded");
        event.actor.expect("there").principal
    };
    assert_eq!(principal(By::Certificate, Caller::Configured).await, ANN);
    assert_eq!(principal(By::TokenBesideCertificate, Caller::Configured).await, "operator");
    let root = format!("arn:aws:iam::{}:root", world.mine.number);
    assert_eq!(principal(By::Certificate, Caller::Root).await, root);
    let by_ann = ListEventsRequest { principal: ANN.into(), ..Default::default() };
    let found = world.identity.events().list_events(by_ann).await.expect("listed").into_inner();
    assert_eq!(found.events.len(), 1);
}

#[tokio::test]
async fn two_operators_do_not_repeat_each_others_requests() {
    let world = World::certified().await;
    let request = CreateAccountRequest {
        account: Some(Account { display_name: "Twice".into(), ..Default::default() }),
        request_id: crate::support::request_id(7),
    };
    let create = async |name| {
        let mut accounts = AccountServiceClient::new(world.connection_as(name));
        let made = accounts.create_account(request.clone()).await.expect("created").into_inner();
        made.account.expect("there").name
    };
    let (first, again, other) = (create(ANN).await, create(ANN).await, create(BOB).await);
    assert_eq!(first, again);
    assert_ne!(first, other);
    // Nor are they the operator of the token.
    let by_token = world.identity.create_account(request.clone()).await.expect("created");
    assert!(![first, other].contains(&by_token.account.expect("there").name));
}

#[tokio::test]
async fn auth_follows_the_feed_and_operators_watch_events_by_certificate() {
    let world = World::certified().await;
    let certified = world.identity.certified.as_ref().expect("has certificates");
    let target = |name: &str| {
        let files = world.authority().issue(&[name]).write(certified.dir.path(), "client");
        let tls = Some(certified.client(Some(files)));
        Target { uri: world.identity.uri.clone(), token: None, tls }
    };
    let auth = target("spiffe://example.org/auth").channel().expect("a channel");
    let mut feed = CredentialFeedServiceClient::new(auth);
    let watched = feed.watch_credentials(WatchCredentialsRequest {}).await.expect("followed");
    assert!(watched.into_inner().message().await.expect("goes on").is_some());

    let ann = target(ANN).channel().expect("a channel");
    let watch = Request::new(WatchEventsRequest { after_position: 0, ..Default::default() });
    let watched = EventServiceClient::new(ann.clone()).watch_events(watch).await;
    assert!(watched.expect("watched").into_inner().message().await.expect("goes on").is_some());
    let refused =
        CredentialFeedServiceClient::new(ann).watch_credentials(WatchCredentialsRequest {}).await;
    assert_eq!(outcome(&refused), crate::DENIED);
}
