//! The other forms in which signatures are asked about: in batches, in streams, as strings to sign, for
//! the key that made them, and for how a verdict was reached.

use std::time::Duration;

use api::auth::v1::get_signing_key_response::Result as Given;
use api::auth::v1::stream_verify_signatures_request::Request as Asked;
use api::auth::v1::stream_verify_signatures_response::Result as Told;
use api::auth::v1::verification_result::Result as BatchTold;
use api::auth::v1::verify_string_to_sign_response::Verdict as StringVerdict;
use api::auth::v1::{
    BatchVerifySignaturesRequest, Denied, ExplainSignatureRequest, GetSigningKeyRequest,
    SigningKey, StreamVerifySignaturesRequest, StreamVerifySignaturesResponse,
    VerifyStringToSignRequest, explain_signature_response,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sigv4::{Date, DateKey, StringToSign, Timestamp};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::*;

const HOUR_MS: i64 = 3_600_000;

/// A string to sign of this instant, signed.
fn string_to_sign(secret: &str, at_ms: i64) -> VerifyStringToSignRequest {
    let at = Timestamp::from_unix_seconds(at_ms / 1000);
    let text = format!(
        "AWS4-HMAC-SHA256\n{}\n{}/{REGION}/s3/aws4_request\n{}",
        at.as_str(),
        at.date(),
        "ab".repeat(32)
    );
    let date = Date::from_unix_seconds(at_ms / 1000);
    let key = DateKey::derive(secret.as_bytes(), &date).signing_key(REGION, "s3");
    let (_, _, parsed) = StringToSign::parse(text.as_bytes()).expect("is one");
    VerifyStringToSignRequest {
        access_key_id: ID.into(),
        string_to_sign: text.into(),
        signature: String::from_utf8(key.sign(&parsed).to_hex().into()).expect("is hexadecimal"),
        region: REGION.into(),
        ..Default::default()
    }
}

async fn auth() -> Harness {
    Harness::with(records(vec![user()], vec![access_key(ID)])).await
}

/// The secret's generation, or the S3 error code.
async fn ask_string(auth: &Harness, request: VerifyStringToSignRequest) -> Result<u32, String> {
    let answer = auth.client(SERVICE_TOKEN).verify_string_to_sign(request).await;
    match answer.expect("a verdict").into_inner().verdict.expect("is there") {
        StringVerdict::Verified(verified) => Ok(verified.secret_generation),
        StringVerdict::Denied(denied) => Err(denied.code),
    }
}

#[tokio::test]
async fn a_string_to_sign_is_verified_and_held_against_all_that_it_says() {
    let auth = auth().await;
    let request = string_to_sign(SECRET, NOW_MS);
    let answer = auth.client(SERVICE_TOKEN).verify_string_to_sign(request.clone()).await;
    let answer = answer.expect("a verdict").into_inner();
    assert_eq!((answer.position, answer.staleness_ms), (10, 0));
    let Some(StringVerdict::Verified(verified)) = answer.verdict else { panic!("{answer:?}") };
    assert_eq!(verified.principal.expect("is there").user_name, "alice");
    assert_eq!((verified.access_key_id.as_str(), verified.secret_generation), (ID, 1));
    let scope = verified.scope.expect("is there");
    assert_eq!((&*scope.date, &*scope.region, &*scope.service), ("20260301", REGION, "s3"));
    assert_eq!(verified.signature, request.signature);
    assert_eq!(verified.sign_time.expect("is there").seconds, NOW_MS / 1000);

    let malformed = || denied("AuthorizationHeaderMalformed");
    let with = |change: fn(&mut VerifyStringToSignRequest)| {
        let mut request = string_to_sign(SECRET, NOW_MS);
        change(&mut request);
        request
    };
    for (what, request, expected) in [
        ("secret", string_to_sign("another", NOW_MS), denied("SignatureDoesNotMatch")),
        ("nobody", with(|r| r.access_key_id = "AKIANOBODY".into()), denied("InvalidAccessKeyId")),
        ("no id", with(|r| r.access_key_id.clear()), malformed()),
        ("long id", with(|r| r.access_key_id = "A".repeat(129)), malformed()),
        ("comma", with(|r| r.access_key_id = "A,B".into()), malformed()),
        ("region", with(|r| r.region = "eu-west-1".into()), malformed()),
        ("service", with(|r| r.service = "iam".into()), malformed()),
        ("four lines", with(|r| r.string_to_sign.push(b'\n')), malformed()),
        ("length", with(|r| r.string_to_sign = vec![b'a'; 5000]), malformed()),
        ("terminal", with(|r| r.string_to_sign[60] ^= 1), malformed()),
        (
            "upper case",
            with(|r| r.signature.make_ascii_uppercase()),
            denied("SignatureDoesNotMatch"),
        ),
        ("no signature", with(|r| r.signature.clear()), denied("SignatureDoesNotMatch")),
        ("old", string_to_sign(SECRET, NOW_MS - 901_000), denied("RequestTimeTooSkewed")),
        ("early", string_to_sign(SECRET, NOW_MS + 901_000), denied("RequestTimeTooSkewed")),
        ("in time", string_to_sign(SECRET, NOW_MS - 900_000), Ok(1)),
    ] {
        assert_eq!(ask_string(&auth, request).await, expected, "{what}");
    }
}

#[tokio::test]
async fn a_presigned_string_to_sign_lives_as_long_as_its_url() {
    let auth = auth().await;
    let of = |at_ms, seconds| VerifyStringToSignRequest {
        expires_seconds: Some(seconds),
        ..string_to_sign(SECRET, at_ms)
    };
    let hour_ago = NOW_MS - HOUR_MS;
    assert_eq!(ask_string(&auth, of(hour_ago, 3601)).await, Ok(1));
    assert_eq!(ask_string(&auth, of(hour_ago, 3600)).await, denied("AccessDenied"));
    assert_eq!(ask_string(&auth, of(NOW_MS + HOUR_MS, 60)).await, denied("AccessDenied"));
    let too_long = denied("AuthorizationQueryParametersError");
    assert_eq!(ask_string(&auth, of(hour_ago, 604_801)).await, too_long);
    assert_eq!(ask_string(&auth, of(NOW_MS, 604_800)).await, Ok(1));
    // Of a day whose key is not fed: identity is asked.
    auth.identity.know_secret(ID, 1, SECRET);
    assert_eq!(ask_string(&auth, of(NOW_MS - 5 * DAY_MS, 604_800)).await, Ok(1));
}

#[tokio::test]
async fn a_batch_answers_each_by_itself_and_in_order() {
    let auth = auth().await;
    let ask = async |requests| {
        let request = BatchVerifySignaturesRequest { requests };
        auth.client(SERVICE_TOKEN).batch_verify_signatures(request).await
    };
    let right = signed(ID, SECRET);
    let requests = vec![
        raw(&right, 10),
        raw(&signed(ID, "another"), 0),
        raw(&right, 11),
        Default::default(),
        raw(&presigned(ID, SECRET, NOW_MS), 0),
    ];
    let results = ask(requests).await.expect("is answered").into_inner().results;
    let told: Vec<_> = results
        .iter()
        .map(|result| match result.result.as_ref().expect("is there") {
            BatchTold::Response(response) => match response.verdict.as_ref().expect("is there") {
                Verdict::Verified(_) => "verified".to_owned(),
                Verdict::Denied(denied) => denied.code.clone(),
            },
            BatchTold::Error(status) => format!("{:?}", Code::from(status.code)),
        })
        .collect();
    let expected =
        ["verified", "SignatureDoesNotMatch", "Unavailable", "InvalidArgument", "verified"];
    assert_eq!(told, expected);
    let Some(BatchTold::Error(behind)) = &results[2].result else { panic!("is behind") };
    assert!(behind.details[0].type_url.ends_with("google.rpc.ErrorInfo"), "{behind:?}");

    for count in [0, 257] {
        let status = ask(vec![raw(&right, 0); count]).await.expect_err("is refused");
        assert_eq!(api::reason(&status), Some(Reason::InvalidField), "{count}");
    }
    assert_eq!(
        ask(vec![raw(&right, 0); 256]).await.expect("is answered").get_ref().results.len(),
        256
    );
}

/// A stream of questions and its answers.
struct Stream {
    questions: mpsc::Sender<StreamVerifySignaturesRequest>,
    answers: Streaming<StreamVerifySignaturesResponse>,
}

impl Stream {
    async fn start(auth: &Harness) -> Self {
        let (questions, receiver) = mpsc::channel(4096);
        let mut client = auth.client(SERVICE_TOKEN);
        let answers = client.stream_verify_signatures(ReceiverStream::new(receiver)).await;
        Self { questions, answers: answers.expect("begins").into_inner() }
    }

    async fn ask(&self, id: u64, request: Option<Asked>) {
        let question = StreamVerifySignaturesRequest { id, request };
        self.questions.send(question).await.expect("is taken");
    }

    /// The next answer: its id, and the generation, S3 error code or status code in it.
    async fn answer(&mut self) -> (u64, Result<u32, String>) {
        let answer = self.answers.message().await.expect("goes on").expect("goes on");
        let told = match answer.result.expect("is there") {
            Told::Signature(response) => match response.verdict.expect("is there") {
                Verdict::Verified(verified) => Ok(verified.secret_generation),
                Verdict::Denied(denied) => Err(denied.code),
            },
            Told::StringToSign(response) => match response.verdict.expect("is there") {
                StringVerdict::Verified(verified) => Ok(verified.secret_generation),
                StringVerdict::Denied(denied) => Err(denied.code),
            },
            Told::Error(status) => Err(format!("{:?}", Code::from(status.code))),
        };
        (answer.id, told)
    }
}

#[tokio::test]
async fn a_stream_answers_each_by_its_id_and_none_waits_for_another() {
    let auth = auth().await;
    let mut stream = Stream::start(&auth).await;
    let head = |head: &str, min_position| Some(Asked::Signature(raw(head, min_position)));
    let right = signed(ID, SECRET);
    stream.ask(7, head(&right, 11)).await; // waits
    stream.ask(8, head(&right, 0)).await;
    assert_eq!(stream.answer().await, (8, Ok(1)));
    stream.ask(9, Some(Asked::StringToSign(string_to_sign(SECRET, NOW_MS)))).await;
    assert_eq!(stream.answer().await, (9, Ok(1)));
    stream.ask(10, head(&signed(ID, "another"), 0)).await;
    assert_eq!(stream.answer().await, (10, denied("SignatureDoesNotMatch")));
    stream.ask(11, None).await;
    assert_eq!(stream.answer().await, (11, Err("InvalidArgument".into())));
    auth.identity.send(heartbeat(11));
    assert_eq!(stream.answer().await, (7, Ok(1)));
    stream.ask(12, head(&right, 1000)).await;
    assert_eq!(stream.answer().await, (12, Err("Unavailable".into())));
    for id in 100..1100 {
        stream.ask(id, head(&right, 0)).await;
    }
    drop(stream.questions);
    let mut ids = vec![];
    while let Some(answer) = stream.answers.message().await.expect("ends OK") {
        ids.push(answer.id);
    }
    assert_eq!(ids, (100..1100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_that_waits_for_too_many_reads_no_more_until_they_are_answered() {
    let auth = auth().await;
    let mut stream = Stream::start(&auth).await;
    let right = signed(ID, SECRET);
    for id in 0..1024 {
        stream.ask(id, Some(Asked::Signature(raw(&right, 11)))).await;
    }
    stream.ask(5000, Some(Asked::Signature(raw(&right, 0)))).await;
    let early = tokio::time::timeout(Duration::from_millis(100), stream.answer()).await;
    assert!(early.is_err(), "was read: {early:?}");
    auth.identity.send(heartbeat(11));
    let mut ids = vec![];
    for _ in 0..=1024 {
        let (id, told) = stream.answer().await;
        assert_eq!(told, Ok(1));
        ids.push(id);
    }
    ids.sort_unstable();
    assert_eq!(ids, (0..1024).chain([5000]).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_ends_with_the_server_and_what_was_asked_before_is_answered() {
    let auth = auth().await;
    let mut stream = Stream::start(&auth).await;
    let right = signed(ID, SECRET);
    stream.ask(1, Some(Asked::Signature(raw(&right, 0)))).await;
    assert_eq!(stream.answer().await, (1, Ok(1)));
    stream.ask(2, Some(Asked::Signature(raw(&right, 11)))).await;
    stream.ask(3, Some(Asked::Signature(raw(&right, 0)))).await;
    assert_eq!(stream.answer().await, (3, Ok(1)));
    auth.shutdown.cancel();
    assert_eq!(stream.answer().await, (2, Err("Unavailable".into())));
    let status = stream.answers.message().await.expect_err("ends");
    assert_eq!(api::reason(&status), Some(Reason::StreamEnded));
}

async fn signing_key(
    auth: &Harness,
    proof: VerifyStringToSignRequest,
) -> Result<SigningKey, Denied> {
    let request = GetSigningKeyRequest { proof: Some(proof) };
    let answer = auth.client(SERVICE_TOKEN).get_signing_key(request).await;
    match answer.expect("an answer").into_inner().result.expect("is there") {
        Given::SigningKey(key) => Ok(key),
        Given::Denied(denied) => Err(denied),
    }
}

#[tokio::test]
async fn a_signing_key_is_given_for_a_right_signature_and_within_its_scope() {
    let auth = auth().await;
    let proof = string_to_sign(SECRET, NOW_MS);
    let key = signing_key(&auth, proof.clone()).await.expect("is given");
    // It is the key that made the signature, by the crate that knows nothing of signatures.
    let mac = Hmac::<Sha256>::new_from_slice(&key.key).expect("is a key");
    let mac = mac.chain_update(&proof.string_to_sign).finalize().into_bytes();
    assert_eq!(hex::encode(mac), proof.signature);
    let scope = key.scope.clone().expect("is there");
    assert_eq!((&*scope.date, &*scope.region, &*scope.service), ("20260301", REGION, "s3"));
    assert_eq!((key.access_key_id.as_str(), key.secret_generation), (ID, 1));
    assert_eq!(key.principal.clone().expect("is there").user_name, "alice");
    let day_end = (NOW_MS / DAY_MS + 1) * DAY_MS / 1000;
    assert_eq!(key.not_after.expect("is there").seconds, day_end + 900);
    assert!(format!("{key:?}").contains("redacted"), "{key:?}");

    let wrong = signing_key(&auth, string_to_sign("another", NOW_MS)).await.expect_err("denied");
    assert_eq!(wrong.code, "SignatureDoesNotMatch");
    let old = string_to_sign(SECRET, NOW_MS - HOUR_MS);
    let old = signing_key(&auth, old).await.expect_err("denied");
    assert_eq!(old.code, "RequestTimeTooSkewed");
}

#[tokio::test]
async fn a_signing_key_ends_with_its_secret_and_its_access_key() {
    let minute = NOW_MS + 60_000;
    let with = async |key_end, secret_end| {
        let key = pb::AccessKeyRecord {
            expire_time_ms: key_end,
            secrets: vec![secret(2, "another", None), secret(1, SECRET, secret_end)],
            ..access_key(ID)
        };
        let auth = Harness::with(records(vec![user()], vec![key])).await;
        signing_key(&auth, string_to_sign(SECRET, NOW_MS)).await
    };
    for (key_end, secret_end) in [(Some(minute + 5), Some(minute)), (Some(minute), None)] {
        let end = with(key_end, secret_end).await.expect("is given").not_after.expect("is there");
        assert_eq!(end.seconds * 1000 + i64::from(end.nanos) / 1_000_000, minute);
    }
    let over = with(None, Some(NOW_MS)).await.expect_err("the secret is over");
    assert_eq!(over.code, "SignatureDoesNotMatch");
    let over = with(Some(NOW_MS), None).await.expect_err("the access key is over");
    assert_eq!(over.code, "InvalidAccessKeyId");
}

#[tokio::test]
async fn an_explanation_shows_what_was_canonicalised() {
    let auth = auth().await;
    let mut operator = auth.client(ADMIN_TOKEN);
    let mut explain = async |head: &str| {
        let request = ExplainSignatureRequest { request: Some(raw(head, 0)) };
        operator.explain_signature(request).await.expect("is explained").into_inner()
    };
    let right = explain(&signed(ID, SECRET)).await;
    assert!(matches!(right.verdict, Some(explain_signature_response::Verdict::Verified(_))));
    let canonical = String::from_utf8(right.canonical_request.clone()).expect("is text");
    assert!(canonical.starts_with("GET\n/bucket/key\n\nhost:s3.example.com\n"), "{canonical}");
    let digest = hex::encode(<Sha256 as sha2::Digest>::digest(&right.canonical_request));
    assert!(right.string_to_sign.ends_with(&digest), "{}", right.string_to_sign);

    let wrong = explain(&signed(ID, "another")).await;
    let Some(explain_signature_response::Verdict::Denied(denied)) = wrong.verdict else {
        panic!("is wrong")
    };
    assert_eq!(denied.code, "SignatureDoesNotMatch");
    assert_eq!(wrong.canonical_request, right.canonical_request);
    assert_eq!(wrong.string_to_sign, right.string_to_sign);

    let anonymous = explain("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(anonymous.canonical_request.is_empty() && anonymous.string_to_sign.is_empty());
}

#[tokio::test]
async fn keys_are_for_services_and_explanations_for_operators() {
    let auth = auth().await;
    let not_allowed = |status: &tonic::Status| {
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(api::reason(status), Some(Reason::CallerNotAllowed));
    };
    let request = GetSigningKeyRequest { proof: Some(string_to_sign(SECRET, NOW_MS)) };
    let status = auth.client(ADMIN_TOKEN).get_signing_key(request).await;
    not_allowed(&status.expect_err("is refused"));
    let request = ExplainSignatureRequest { request: Some(raw(&signed(ID, SECRET), 0)) };
    let status = auth.client(SERVICE_TOKEN).explain_signature(request).await;
    not_allowed(&status.expect_err("is refused"));
    // Each with nothing in it, once the caller may.
    let status = auth.client(SERVICE_TOKEN).get_signing_key(GetSigningKeyRequest::default()).await;
    assert_eq!(api::reason(&status.expect_err("is refused")), Some(Reason::InvalidField));
    let request = ExplainSignatureRequest::default();
    let status = auth.client(ADMIN_TOKEN).explain_signature(request).await;
    assert_eq!(api::reason(&status.expect_err("is refused")), Some(Reason::InvalidField));
    let request = VerifyStringToSignRequest { region: REGION.into(), ..Default::default() };
    let status = auth.client(SERVICE_TOKEN).verify_string_to_sign(request).await;
    assert_eq!(api::reason(&status.expect_err("is refused")), Some(Reason::InvalidField));
}
