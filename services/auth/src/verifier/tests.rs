use api::auth::v1::VerifySignatureRequest;
use api::auth::v1::verify_signature_request::Request as RequestForm;
use api::identity::v1::credential_feed_service_client::CredentialFeedServiceClient;
use futures::FutureExt;
use rpc::{Callers, Known, Target, Token};

use read_model::{AccessKeyRecord, Change, SecretRecord, UserRecord};
use sigv4::DateKey;

use super::*;
use crate::allocations::live_bytes;
use crate::answer::Verdict;
use crate::handle::Handle;
use crate::metrics::Metrics;

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

/// What asks such a verifier.
pub(crate) fn handle() -> Handle {
    let verifier = verifier();
    let metrics = Arc::new(Metrics::new(&verifier.model, &verifier.clock));
    Handle::new(Arc::new(verifier), metrics)
}

/// A head that is signed for a key, by whatever made this signature.
fn signed(id: &str, signature: &str) -> VerifySignatureRequest {
    let at =
        sigv4::Timestamp::from_unix_seconds(crate::clock::SystemClock::default().unix_ms() / 1000);
    let head = format!(
        "GET /bucket/key HTTP/1.1\r\nHost: s3.example.com\r\nx-amz-date: {}\r\n\
         x-amz-content-sha256: UNSIGNED-PAYLOAD\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential={id}/{}/us-east-1/s3/aws4_request, \
         SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}\r\n\r\n",
        at.as_str(),
        at.date(),
    );
    let request = Some(RequestForm::RawHead(head.into()));
    VerifySignatureRequest { request, ..question(10) }
}

/// About a request without a signature, which is refused when it is looked at.
pub(crate) fn question(min_position: u64) -> VerifySignatureRequest {
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
    let ask = || verifier.answer::<Verdict>(&later).boxed();
    let (mut one, mut two) = (ask(), ask());
    assert!((&mut one).now_or_never().is_none() && (&mut two).now_or_never().is_none());
    let refused = ask().now_or_never().expect("does not wait");
    assert_eq!(refused.err(), Some(Error::Overloaded));
    // What need not wait is answered all the same.
    assert!(is_answered(verifier.answer(&now).now_or_never().expect("does not wait")));
    // Whoever is no longer waited for leaves a place, and whoever is answered does.
    drop(two);
    let mut three = ask();
    assert!((&mut three).now_or_never().is_none());
    verifier.model.advance(11);
    assert!(is_answered(one.await) && is_answered(three.await));
    assert_eq!(verifier.waiting.available_permits(), 2);
    // One that has waited in vain, too.
    assert_eq!(verifier.answer::<Verdict>(&question(12)).await.err(), Some(Error::Behind));
    assert_eq!(verifier.waiting.available_permits(), 2);
}

/// Asks, and tells the error code.
fn denied(verifier: &Verifier, question: &VerifySignatureRequest) -> String {
    let reached: Result<Reached<Verdict>, _> =
        verifier.answer(question).now_or_never().expect("does not wait");
    match reached {
        Ok(Reached { answer: Verdict::Denied(denied), .. }) => denied.code,
        Ok(_) => panic!("is verified"),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn what_anybody_may_ask_leaves_nothing_in_memory() {
    let verifier = verifier();
    let day = u32::try_from(verifier.clock.unix_ms() / 86_400_000).expect("after 1970");
    let date_keys = (day - 1..=day + 1).map(|day| (day, DateKey::from_bytes([7; 32]))).collect();
    verifier.model.table().as_ref().expect("is there").apply(Change {
        users: vec![UserRecord {
            user_id: [1; 16],
            account_id: [2; 16],
            account_number: "123456789012".into(),
            user_name: "alice".into(),
            root: false,
            locked: false,
        }],
        access_keys: vec![AccessKeyRecord {
            access_key_id: "AKIAKNOWN".into(),
            user_id: [1; 16],
            active: true,
            not_before_ms: None,
            expires_at_ms: None,
            secrets: vec![SecretRecord { generation: 1, expires_at_ms: None, date_keys }],
        }],
        ..Change::default()
    });
    let ask_anew = |n: u32| {
        let unknown = signed(&format!("AKIA{n:012}"), &"5a".repeat(32));
        assert_eq!(denied(&verifier, &unknown), "InvalidAccessKeyId");
        // Each from a source of its own, which is not locked out by it.
        let wrong = VerifySignatureRequest {
            source_address: std::net::Ipv4Addr::from(0x0a00_0000 + n).to_string(),
            ..signed("AKIAKNOWN", &format!("{n:064x}"))
        };
        assert_eq!(denied(&verifier, &wrong), "SignatureDoesNotMatch");
    };
    // What is made once is there after some.
    (0..100).for_each(ask_anew);
    let before = live_bytes();
    (100..2000).for_each(ask_anew);
    assert_eq!(live_bytes() - before, 0, "bytes stay of what was refused");
    let another = vec![0_u8; 4096];
    assert_eq!(live_bytes() - before, 4096, "they are counted: {}", another.len());
}
