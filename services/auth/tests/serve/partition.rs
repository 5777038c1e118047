//! A network that is cut and ends no connection: only HTTP/2's keepalive notices.

use std::time::Duration;

use api::auth::v1::auth_service_client::AuthServiceClient;
use api::identity::v1 as pb;
use api::identity::v1::watch_credentials_response::Message;
use auth::Config;
use rpc::{Callers, Known, Target, Token};
use tokio::time::{Instant, timeout};
use tonic::Code;
use tonic_health::ServingStatus;

use crate::harness::*;
use crate::identity::FakeIdentity;
use crate::network::Network;

/// Within this a cut is noticed, 8 s, and a new connection made, with room for a slow machine.
const NOTICED_MAX: Duration = Duration::from_secs(20);

fn token(token: &str) -> Token {
    Token::parse(token).expect("is one")
}

fn callers() -> Callers {
    let known = |text| Known::by_token(token(text));
    Callers { operators: known(ADMIN_TOKEN), services: known(SERVICE_TOKEN) }
}

/// An auth that reaches its identity through a network, with one key at position 10.
async fn behind_a_network() -> (Harness, Network) {
    let identity = FakeIdentity::default();
    let snapshot = Message::Snapshot(records(vec![user()], vec![access_key(ID)]));
    identity.begin_with(vec![snapshot, complete(10)]);
    let network = Network::to(&identity.serve(&callers(), None).await).await;
    let service = token(SERVICE_TOKEN);
    let config = Config::new(Target::in_the_clear(network.uri(), service.clone()), callers());
    let caller = Target::in_the_clear(String::new(), service);
    let auth = Harness::of(identity, config, caller).await;
    auth.wait_for_health(ServingStatus::Serving).await;
    (auth, network)
}

#[tokio::test]
async fn a_feed_that_was_cut_without_a_word_comes_back_by_itself_and_tells_what_it_missed() {
    let (auth, network) = behind_a_network().await;
    let head = signed(ID, SECRET);
    network.cut();
    // Deleted meanwhile: what is sent is lost, and what comes next begins with a snapshot.
    auth.identity.send(Message::Change(pb::CredentialChange {
        position: 11,
        deleted_access_key_ids: vec![ID.into()],
        ..Default::default()
    }));
    auth.identity.begin_with(vec![Message::Snapshot(records(vec![user()], vec![])), complete(11)]);
    assert_eq!(auth.ask(&head, 10).await, Ok(1), "what is known is served on");
    assert_eq!(auth.ask_in_vain(raw(&head, 11)).await.0, Code::Unavailable, "it was not told");
    network.mend();
    timeout(NOTICED_MAX, auth.identity.watched(2)).await.expect("connects again by itself");
    assert_eq!(auth.ask(&head, 11).await, Err("InvalidAccessKeyId".into()));
    assert_eq!(network.connections(), 2, "no call went on over what was cut");
}

#[tokio::test]
async fn a_call_to_an_auth_that_has_vanished_fails_soon_and_the_next_one_finds_it() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    let network = Network::to(&auth.uri).await;
    let channel = Target::in_the_clear(network.uri(), token(SERVICE_TOKEN)).channel();
    let mut gateway = AuthServiceClient::new(channel.expect("is a URI"));
    let question = raw(&signed(ID, SECRET), 10);
    gateway.verify_signature(question.clone()).await.expect("a verdict");
    network.cut();
    let (started, asked) = (Instant::now(), gateway.verify_signature(question.clone()));
    let lost = timeout(NOTICED_MAX, asked).await.expect("it does not hang");
    assert_eq!(lost.expect_err("nobody has answered").code(), Code::Unavailable);
    assert!(started.elapsed() > Duration::from_secs(2), "an end was not told, but noticed");
    network.mend();
    gateway.verify_signature(question).await.expect("a verdict");
    assert_eq!(network.connections(), 2);
}
