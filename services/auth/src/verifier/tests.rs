use api::auth::v1::VerifySignatureRequest;
use api::auth::v1::verify_signature_request::Request as RequestForm;
use api::identity::v1::credential_feed_service_client::CredentialFeedServiceClient;
use futures::FutureExt;
use rpc::{Callers, Known, Target, Token};

use super::*;
use crate::answer::Verdict;

/// A verifier at position 10 that lets two wait.
fn verifier() -> Verifier {
    let model = Arc::new(ReadModel::new());
    let table = Table::new();
    table.advance(10);
    model.replace(table);
    let token = |text| Token::parse(text).expect("is one");
    let known = |text| Known::by_token(token(text));
    let callers = Callers {
        operators: known("admin-token-0123456789"),
        services: known("service-token-0123456789"),
    };
    // Nobody is there, and nobody is asked.
    let identity = Target::in_the_clear("http://127.0.0.1:9", token("service-token-0123456789"));
    let client = CredentialFeedServiceClient::new(identity.channel().expect("is a URI"));
    let config = Config::new(identity, callers);
    model.heard(config.clock.monotonic());
    let on_demand = OnDemand::new(client, Arc::clone(&config.clock));
    let kept = Kept { uses: Arc::default(), lockouts: Arc::default() };
    let verifier = Verifier::new(&config, model, on_demand, kept);
    Verifier { waiting: Semaphore::new(2), ..verifier }
}

/// About a request without a signature, which is refused when it is looked at.
fn question(min_position: u64) -> VerifySignatureRequest {
    VerifySignatureRequest {
        request: Some(RequestForm::RawHead("GET / HTTP/1.1\r\nHost: a\r\n\r\n".into())),
        region: "us-east-1".into(),
        min_position,
        ..Default::default()
    }
}

fn is_answered(reached: Result<Reached<Verdict>, Error>) -> bool {
    match reached {
        Ok(reached) => matches!(reached.answer, Verdict::Denied(_)),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn so_many_questions_wait_and_more_are_refused_at_once() {
    let verifier = verifier();
    let (now, later) = (question(10), question(11));
    let (mut one, mut two) = (verifier.answer(&later).boxed(), verifier.answer(&later).boxed());
    assert!((&mut one).now_or_never().is_none() && (&mut two).now_or_never().is_none());
    let refused = verifier.answer(&later).now_or_never().expect("does not wait");
    assert_eq!(refused.err(), Some(Error::Overloaded));
    // What need not wait is answered all the same.
    assert!(is_answered(verifier.answer(&now).now_or_never().expect("does not wait")));
    // Whoever is no longer waited for leaves a place, and whoever is answered does.
    drop(two);
    let mut three = verifier.answer(&later).boxed();
    assert!((&mut three).now_or_never().is_none());
    verifier.model.advance(11);
    assert!(is_answered(one.await) && is_answered(three.await));
    assert_eq!(verifier.waiting.available_permits(), 2);
    // One that has waited in vain, too.
    assert_eq!(verifier.answer(&question(12)).await.err(), Some(Error::Behind));
    assert_eq!(verifier.waiting.available_permits(), 2);
}
