//! Auth on real sockets, fed by an identity that tells what each test wants.

mod certificates;
mod direct;
mod envoy;
mod forms;
mod harness;
mod hosts;
mod identity;
mod lockout;
mod network;
mod partition;
mod post_form;
mod rgw;
mod sigv4a;
mod time;
mod version_2;

use std::time::Duration;

use api::auth::v1::auth_service_client::AuthServiceClient;
use api::auth::v1::verify_signature_request::Request as RequestForm;
use api::auth::v1::verify_signature_response::Verdict;
use api::auth::v1::{Header, PayloadMode, RequestHead, VerifySignatureRequest};
use api::error::v1::Reason;
use api::identity::v1 as pb;
use api::identity::v1::watch_credentials_response::Message;
use harness::*;
use proptest::prelude::*;
use sha2::Digest;
use tonic::Code;
use tonic_health::ServingStatus;

fn denied(code: &str) -> Result<u32, String> {
    Err(code.to_owned())
}

#[tokio::test]
async fn a_verdict_tells_all_that_the_signature_covers() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    assert!(auth.ready.is_ready());
    let head = signed(ID, SECRET);
    let answer = auth.call(raw(&head, 10)).await.expect("a verdict");
    assert_eq!((answer.position, answer.staleness_ms), (10, 0));
    let Some(Verdict::Verified(verified)) = answer.verdict else { panic!("{answer:?}") };
    let principal = verified.principal.clone().expect("is there");
    assert_eq!(principal.account_id, "22222222-2222-2222-2222-222222222222");
    assert_eq!(principal.user_id, "11111111-1111-1111-1111-111111111111");
    assert_eq!(principal.account_number, "123456789012");
    assert_eq!((principal.user_name.as_str(), principal.root), ("alice", false));
    assert_eq!(principal.arn, "arn:aws:iam::123456789012:user/alice");
    assert_eq!((verified.access_key_id.as_str(), verified.secret_generation), (ID, 1));
    let scope = verified.scope.clone().expect("is there");
    assert_eq!((&*scope.date, &*scope.region, &*scope.service), ("20260301", REGION, "s3"));
    assert_eq!(verified.signed_headers, ["host", "x-amz-content-sha256", "x-amz-date"]);
    assert_eq!(verified.payload_mode(), PayloadMode::Sha256);
    assert_eq!(verified.payload_sha256, [0x0a; 32]);
    assert!(!verified.presigned && head.contains(&verified.signature));
    assert_eq!(verified.sign_time.expect("is there").seconds, NOW_MS / 1000);

    let mut lines = head.lines();
    let headers = lines.by_ref().skip(1).take_while(|line| !line.is_empty()).map(|line| {
        let (name, value) = line.split_once(": ").expect("is a header");
        Header { name: name.into(), value: value.into() }
    });
    let target = "/bucket/key".into();
    let parts = RequestHead { method: "GET".into(), target, headers: headers.collect() };
    let request = VerifySignatureRequest {
        request: Some(RequestForm::Head(parts)),
        service: "s3".into(),
        ..raw("", 0)
    };
    let answer = auth.call(request).await.expect("a verdict");
    assert_eq!(answer.verdict, Some(Verdict::Verified(verified)));
}

#[tokio::test]
async fn a_denial_is_an_answer_in_the_words_of_s3() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    let answer = auth.call(raw(&signed(ID, "another secret"), 0)).await.expect("a verdict");
    let Some(Verdict::Denied(denial)) = answer.verdict else { panic!("{answer:?}") };
    assert_eq!((denial.code.as_str(), denial.http_status), ("SignatureDoesNotMatch", 403));
    let names: Vec<_> = denial.details.iter().map(|detail| detail.name.as_str()).collect();
    assert_eq!(names[..3], ["AWSAccessKeyId", "StringToSign", "SignatureProvided"]);
    assert_eq!(auth.ask(&signed("AKIANOBODY", SECRET), 0).await, denied("InvalidAccessKeyId"));
    let too_many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(129));
    assert_eq!(auth.ask(&too_many, 0).await, denied("RequestHeaderSectionTooLarge"));
    let too_long = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(70_000));
    assert_eq!(auth.ask(&too_long, 0).await, denied("RequestHeaderSectionTooLarge"));
    assert_eq!(auth.ask("GET /%zz HTTP/1.1\r\n\r\n", 0).await, denied("InvalidURI"));
    let anonymous = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(auth.ask(anonymous, 0).await, denied("AccessDenied"));
}

/// Signs a form for IAM as AWS's own Rust signer does.
fn signed_form(secret: &str, service: &str, body: &str) -> String {
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    let identity = aws_credential_types::Credentials::new(ID, secret, None, None, "test").into();
    let parameters = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name(service)
        .time(std::time::UNIX_EPOCH + Duration::from_millis(NOW_MS.unsigned_abs()))
        .settings(SigningSettings::default())
        .build()
        .expect("is complete");
    let uri = "http://iam.example.com/";
    let signable =
        SignableRequest::new("POST", uri, [].into_iter(), SignableBody::Bytes(body.as_bytes()));
    let signed = sign(signable.expect("is a request"), &parameters.into()).expect("is signed");
    let mut request = http::Request::post(uri).body(()).expect("is a request");
    signed.into_parts().0.apply_to_request_http1x(&mut request);
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        format!("{name}: {}\r\n", value.to_str().expect("is ASCII"))
    };
    let headers: String = request.headers().iter().map(header).collect();
    format!("POST / HTTP/1.1\r\nHost: iam.example.com\r\n{headers}\r\n")
}

#[tokio::test]
async fn a_request_to_another_service_is_verified_with_its_body() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    let body = "Action=GetUser&Version=2010-05-08";
    let ask = async |head: &str, service: &str, body: &str| {
        let body_sha256 = sha2::Sha256::digest(body).to_vec();
        let request =
            VerifySignatureRequest { service: service.into(), body_sha256, ..raw(head, 0) };
        match auth.call(request).await.expect("a verdict").verdict.expect("is there") {
            Verdict::Verified(verified) => {
                assert_eq!(verified.payload_sha256, sha2::Sha256::digest(body).to_vec());
                assert_eq!(verified.scope.as_ref().expect("is there").service, service);
                Ok(verified.payload_mode())
            }
            Verdict::Denied(denied) => Err(denied.code),
        }
    };
    let head = signed_form(SECRET, "iam", body);
    assert_eq!(ask(&head, "iam", body).await, Ok(PayloadMode::Sha256));
    assert_eq!(ask(&head, "iam", "Action=DeleteUser").await, Err("SignatureDoesNotMatch".into()));
    assert_eq!(ask(&head, "sts", body).await, Err("AuthorizationHeaderMalformed".into()));
    let other = signed_form("another secret", "iam", body);
    assert_eq!(ask(&other, "iam", body).await, Err("SignatureDoesNotMatch".into()));
}

#[tokio::test]
async fn a_host_that_the_caller_names_may_have_been_signed() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    let signed = signed_form(SECRET, "iam", "");
    let ask = async |head: &str, hosts: &[&str]| {
        let request = VerifySignatureRequest {
            service: "iam".into(),
            body_sha256: sha2::Sha256::digest("").to_vec(),
            host_candidates: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..raw(head, 0)
        };
        match auth.call(request).await.expect("a verdict").verdict.expect("is there") {
            Verdict::Verified(verified) => Ok(verified.host_candidate),
            Verdict::Denied(denied) => Err(denied.code),
        }
    };
    let sent = signed.replace("Host: iam.example.com", "Host: iam.example.com:7101");
    let candidates = ["elsewhere", "iam.example.com"];
    assert_eq!(ask(&signed, &candidates).await, Ok(String::new()));
    assert_eq!(ask(&sent, &candidates).await, Ok("iam.example.com".into()));
    assert_eq!(ask(&sent, &candidates[..1]).await, Err("SignatureDoesNotMatch".into()));
    assert_eq!(ask(&sent, &[]).await, Err("SignatureDoesNotMatch".into()));
    let other = sent.replace(ID, "AKIANOBODY");
    assert_eq!(ask(&other, &candidates).await, Err("InvalidAccessKeyId".into()));
}

#[tokio::test]
async fn what_the_caller_itself_gets_wrong_is_no_verdict() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    let good = || raw(&signed(ID, SECRET), 0);
    let invalid = (Code::InvalidArgument, Some(Reason::InvalidField));
    for request in [
        VerifySignatureRequest { region: String::new(), ..good() },
        VerifySignatureRequest { region: "a/b".into(), ..good() },
        VerifySignatureRequest { service: "iam".into(), ..good() },
        VerifySignatureRequest { service: "iam".into(), body_sha256: vec![7; 31], ..good() },
        VerifySignatureRequest { body_sha256: vec![7; 32], ..good() },
        VerifySignatureRequest { service: "a/b".into(), ..good() },
        VerifySignatureRequest { accepts_osc4: true, ..good() },
        VerifySignatureRequest { host_candidates: vec!["a".into()], ..good() },
        VerifySignatureRequest {
            service: "api".into(),
            body_sha256: vec![7; 32],
            host_candidates: vec!["a".into(); 3],
            ..good()
        },
        VerifySignatureRequest {
            service: "api".into(),
            body_sha256: vec![7; 32],
            host_candidates: vec!["a\r\nb: c".into()],
            ..good()
        },
        VerifySignatureRequest { request: None, ..good() },
        raw("", 0),
        raw("not HTTP at all\r\n\r\n", 0),
        VerifySignatureRequest {
            request: Some(RequestForm::Head(RequestHead::default())),
            ..good()
        },
    ] {
        assert_eq!(auth.ask_in_vain(request).await, invalid);
    }
}

#[tokio::test]
async fn operators_and_services_may_ask_and_nobody_else() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    let ask_as = async |token: &str| {
        let token = rpc::Token::parse(token).expect("is one");
        let channel = rpc::channel(&auth.uri, &token).expect("is a URI");
        let mut client = AuthServiceClient::new(channel);
        let asked = client.verify_signature(raw(&signed(ID, SECRET), 0)).await;
        asked.map(|_| ()).map_err(|status| status.code())
    };
    assert_eq!(ask_as(SERVICE_TOKEN).await, Ok(()));
    assert_eq!(ask_as(ADMIN_TOKEN).await, Ok(()));
    assert_eq!(ask_as("another-token-0123456789").await, Err(Code::Unauthenticated));
}

#[tokio::test]
async fn before_the_first_snapshot_there_is_no_verdict() {
    let auth = Harness::start(vec![]).await;
    auth.identity.watched(1).await;
    auth.identity.send(Message::Snapshot(records(vec![user()], vec![access_key(ID)])));
    auth.identity.send(heartbeat(99));
    auth.wait_for_health(ServingStatus::NotServing).await;
    let empty = (Code::Unavailable, Some(Reason::ReadModelEmpty));
    assert_eq!(auth.ask_in_vain(raw(&signed(ID, SECRET), 0)).await, empty);
    assert!(!auth.ready.is_ready());
    auth.identity.send(complete(10));
    auth.wait_for_health(ServingStatus::Serving).await;
    assert_eq!(auth.ask(&signed(ID, SECRET), 10).await, Ok(1));
}

#[tokio::test]
async fn a_position_is_waited_for_and_not_for_ever() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    let head = signed("AKIANEW", SECRET);
    let asked = auth.ask(&head, 12);
    let told = async {
        auth.identity.send(change(11, records(vec![], vec![access_key("AKIANEW")])));
        auth.identity.send(heartbeat(12));
    };
    assert_eq!(tokio::join!(asked, told).0, Ok(1));
    let behind = (Code::Unavailable, Some(Reason::ReadModelBehind));
    assert_eq!(auth.ask_in_vain(raw(&head, 13)).await, behind);
}

#[tokio::test]
async fn lock_unlock_and_delete_act_from_their_position_on() {
    let auth =
        Harness::with(records(vec![user()], vec![access_key(ID), access_key("AKIA2")])).await;
    let (one, two) = (signed(ID, SECRET), signed("AKIA2", SECRET));
    assert_eq!(auth.ask(&one, 10).await, Ok(1));
    let locked = |locked| records(vec![pb::UserRecord { locked, ..user() }], vec![]);
    auth.identity.send(change(11, locked(true)));
    for head in [&one, &two] {
        assert_eq!(auth.ask(head, 11).await, denied("AccessDenied"));
    }
    let wrong = signed(ID, "another secret");
    assert_eq!(auth.ask(&wrong, 11).await, denied("SignatureDoesNotMatch"));
    auth.identity.send(change(12, locked(false)));
    assert_eq!(auth.ask(&one, 12).await, Ok(1));
    let inactive = pb::AccessKeyRecord { active: false, ..access_key(ID) };
    auth.identity.send(change(13, records(vec![], vec![inactive])));
    assert_eq!(auth.ask(&one, 13).await, denied("InvalidAccessKeyId"));
    auth.identity.send(Message::Change(pb::CredentialChange {
        position: 14,
        deleted_access_key_ids: vec!["AKIA2".into()],
        ..Default::default()
    }));
    assert_eq!(auth.ask(&two, 14).await, denied("InvalidAccessKeyId"));
    auth.identity.send(change(15, records(vec![], vec![access_key(ID)])));
    assert_eq!(auth.ask(&one, 15).await, Ok(1));
    auth.identity.send(Message::Change(pb::CredentialChange {
        position: 16,
        deleted_user_ids: vec![user().user_id],
        ..Default::default()
    }));
    assert_eq!(auth.ask(&one, 16).await, denied("InvalidAccessKeyId"));
}

#[tokio::test]
async fn a_grace_period_and_an_expiry_end_at_their_instant() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    let (old, new) = (signed(ID, SECRET), signed(ID, "a new secret"));
    let (grace_end, end) = (NOW_MS + 1500, NOW_MS + 2500);
    let secrets = vec![secret(2, "a new secret", None), secret(1, SECRET, Some(grace_end))];
    let rotated = pb::AccessKeyRecord { secrets, expire_time_ms: Some(end), ..access_key(ID) };
    auth.identity.send(change(11, records(vec![], vec![rotated])));
    assert_eq!(auth.ask(&old, 11).await, Ok(1));
    assert_eq!(auth.ask(&new, 11).await, Ok(2));
    auth.clock.set_unix_ms(grace_end - 1);
    assert_eq!(auth.ask(&old, 11).await, Ok(1));
    auth.clock.set_unix_ms(grace_end);
    assert_eq!(auth.ask(&old, 11).await, denied("SignatureDoesNotMatch"));
    auth.clock.set_unix_ms(end - 1);
    let presigned = presigned(ID, "a new secret", NOW_MS);
    assert_eq!(auth.ask(&new, 11).await, Ok(2));
    assert_eq!(auth.ask(&presigned, 11).await, Ok(2));
    auth.clock.set_unix_ms(end);
    assert_eq!(auth.ask(&new, 11).await, denied("InvalidAccessKeyId"));
    assert_eq!(auth.ask(&presigned, 11).await, denied("InvalidAccessKeyId"));
}

#[tokio::test]
async fn a_key_that_begins_later_is_refused_until_exactly_its_instant() {
    let (begin, end) = (NOW_MS + 1500, NOW_MS + 2500);
    let auth = Harness::with(records(vec![user()], vec![])).await;
    let begins_later = pb::AccessKeyRecord {
        not_before_time_ms: Some(begin),
        expire_time_ms: Some(end),
        ..access_key(ID)
    };
    auth.identity.send(change(11, records(vec![], vec![begins_later])));
    let heads = [signed(ID, SECRET), presigned(ID, SECRET, NOW_MS)];
    let refused = denied("InvalidAccessKeyId");
    for (now_ms, verdict) in [
        (NOW_MS, &refused),
        (begin - 1, &refused),
        (begin, &Ok(1)),
        (begin + 1, &Ok(1)),
        (end - 1, &Ok(1)),
        (end, &refused),
        (begin - 1, &refused), // a clock that goes back is believed, as for an end
    ] {
        auth.clock.set_unix_ms(now_ms);
        for head in &heads {
            assert_eq!(auth.ask(head, 11).await, *verdict, "at {now_ms}");
        }
    }
    assert_eq!(auth.ask(&signed(ID, "another"), 11).await, denied("SignatureDoesNotMatch"));
}

#[tokio::test]
async fn a_new_connection_shows_the_old_state_until_its_snapshot_is_complete() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    let (old, new) = (signed(ID, SECRET), signed("AKIANEW", SECRET));
    auth.identity.begin_with(vec![Message::Snapshot(records(vec![user()], vec![]))]);
    auth.identity.end_watches();
    auth.identity.watched(2).await;
    assert_eq!(auth.ask(&old, 10).await, Ok(1));
    assert!(auth.ready.is_ready());
    auth.identity.send(Message::Snapshot(records(vec![], vec![access_key("AKIANEW")])));
    auth.identity.send(complete(20));
    assert_eq!(auth.ask(&new, 20).await, Ok(1));
    assert_eq!(auth.ask(&old, 20).await, denied("InvalidAccessKeyId"));
    auth.identity.send(change(21, records(vec![], vec![access_key(ID)])));
    assert_eq!(auth.ask(&old, 21).await, Ok(1));
}

#[tokio::test]
async fn another_log_or_an_earlier_state_does_not_bring_revoked_keys_back() {
    let revoked = signed("AKIAREVOKED", SECRET);
    for beginning in [complete_of(2, 20), complete(9)] {
        let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
        let everything = records(vec![user()], vec![access_key(ID), access_key("AKIAREVOKED")]);
        auth.identity.begin_with(vec![Message::Snapshot(everything), beginning]);
        auth.identity.end_watches();
        // It was told twice, and asked again: so the first telling was not believed.
        auth.identity.watched(3).await;
        assert_eq!(auth.ask(&revoked, 0).await, denied("InvalidAccessKeyId"));
        assert_eq!(auth.ask(&signed(ID, SECRET), 0).await, Ok(1));
        // It does not count as heard, so that in the end there is no verdict.
        auth.clock.pass(Duration::from_secs(15 * 60 + 1));
        let stale = (Code::Unavailable, Some(Reason::ReadModelStale));
        assert_eq!(auth.ask_in_vain(raw(&revoked, 0)).await, stale);
    }
}

#[tokio::test]
async fn an_earlier_epoch_or_an_earlier_position_of_the_same_is_not_believed() {
    for earlier in [30, in_epoch(2, 99), in_epoch(3, 9), 0] {
        let of_key = |id| Message::Snapshot(records(vec![user()], vec![access_key(id)]));
        let auth = Harness::start(vec![of_key(ID), complete(in_epoch(3, 10))]).await;
        auth.wait_for_health(ServingStatus::Serving).await;
        auth.identity.begin_with(vec![of_key("AKIAREVOKED"), complete(earlier)]);
        auth.identity.end_watches();
        auth.identity.watched(3).await;
        let revoked = signed("AKIAREVOKED", SECRET);
        assert_eq!(auth.ask(&revoked, in_epoch(3, 10)).await, denied("InvalidAccessKeyId"));
        assert_eq!(auth.ask(&signed(ID, SECRET), in_epoch(3, 10)).await, Ok(1));
    }
}

#[tokio::test]
async fn a_restored_log_is_believed_although_it_knows_less_and_nothing_of_before_stays() {
    let other = pb::UserRecord { user_id: vec![0x33; 16], user_name: "bob".into(), ..user() };
    let bobs = pb::AccessKeyRecord { user_id: other.user_id.clone(), ..access_key("AKIABOB") };
    let inactive = pb::AccessKeyRecord { active: false, ..access_key("AKIAINACTIVE") };
    let all = records(vec![user(), other], vec![access_key(ID), bobs, inactive]);
    let auth = Harness::with(all).await;
    auth.identity.know_secret("AKIABOB", 1, SECRET);
    let older_day = presigned("AKIABOB", SECRET, NOW_MS - 5 * DAY_MS);
    for head in [signed(ID, SECRET), signed("AKIABOB", SECRET), older_day.clone()] {
        assert_eq!(auth.ask(&head, 10).await, Ok(1));
    }
    // The backup is from position 3: bob was not there yet, and no key inactive.
    let backup = records(vec![user()], vec![access_key(ID), access_key("AKIAINACTIVE")]);
    auth.identity.begin_with(vec![Message::Snapshot(backup), complete(in_epoch(2, 3))]);
    let overtaken = auth.ask_in_vain(raw(&signed(ID, SECRET), 11));
    let restored = async {
        auth.identity.end_watches();
        auth.identity.watched(2).await;
    };
    let other_epoch = (Code::InvalidArgument, Some(Reason::OtherEpoch));
    assert_eq!(tokio::join!(overtaken, restored).0, other_epoch);

    let now = in_epoch(2, 3);
    assert_eq!(auth.ask(&signed(ID, SECRET), now).await, Ok(1));
    assert_eq!(auth.ask(&signed("AKIAINACTIVE", SECRET), now).await, Ok(1));
    for head in [signed("AKIABOB", SECRET), older_day] {
        assert_eq!(auth.ask(&head, now).await, denied("InvalidAccessKeyId"));
    }
    // It goes on under positions that were there before, with other effects.
    let deleted = pb::CredentialChange {
        position: in_epoch(2, 4),
        deleted_access_key_ids: vec![ID.into()],
        ..Default::default()
    };
    auth.identity.send(Message::Change(deleted));
    assert_eq!(auth.ask(&signed(ID, SECRET), in_epoch(2, 4)).await, denied("InvalidAccessKeyId"));
    auth.identity.send(heartbeat(in_epoch(2, 5)));
    let answer = auth.call(raw(&signed("AKIAINACTIVE", SECRET), in_epoch(2, 5))).await;
    assert_eq!(answer.expect("a verdict").position, in_epoch(2, 5));
}

#[tokio::test]
async fn a_position_of_an_earlier_epoch_has_no_verdict_and_0_is_of_every_epoch() {
    let keys = records(vec![user()], vec![access_key(ID)]);
    let auth = Harness::start(vec![Message::Snapshot(keys), complete(in_epoch(2, 10))]).await;
    auth.wait_for_health(ServingStatus::Serving).await;
    let head = signed(ID, SECRET);
    for position in [1, 9, 10, 99] {
        let status = auth.call(raw(&head, position)).await.expect_err("no verdict is reached");
        let told = (status.code(), api::reason(&status));
        assert_eq!(told, (Code::InvalidArgument, Some(Reason::OtherEpoch)), "{position}");
        let epoch = (position >> 48) + 1;
        assert_eq!(
            status.message(),
            format!(
                "min_position: the position is of epoch {epoch}, before a restore; the \
                 read model's is 2"
            )
        );
    }
    for position in [0, in_epoch(2, 1), in_epoch(2, 10)] {
        assert_eq!(auth.ask(&head, position).await, Ok(1));
    }
    let behind = (Code::Unavailable, Some(Reason::ReadModelBehind));
    assert_eq!(auth.ask_in_vain(raw(&head, in_epoch(2, 11))).await, behind);
}

#[tokio::test]
async fn an_epoch_begins_with_a_snapshot_and_not_in_the_middle_of_a_feed() {
    let delete = |position| {
        Message::Change(pb::CredentialChange {
            position,
            deleted_access_key_ids: vec![ID.into()],
            ..Default::default()
        })
    };
    for message in [delete(in_epoch(2, 11)), heartbeat(in_epoch(2, 11))] {
        let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
        auth.identity.send(message);
        auth.identity.watched(2).await;
        assert_eq!(auth.ask(&signed(ID, SECRET), 10).await, Ok(1));
    }
}

#[tokio::test]
async fn the_first_event_of_a_log_tells_its_epoch() {
    let auth = Harness::start(vec![complete(0)]).await;
    auth.wait_for_health(ServingStatus::Serving).await;
    let first = in_epoch(2, 1);
    let head = signed(ID, SECRET);
    let asked = auth.ask(&head, first);
    let told = async {
        auth.identity.send(heartbeat(0));
        let keys = records(vec![user()], vec![access_key(ID)]);
        auth.identity.send(change(first, keys));
    };
    assert_eq!(tokio::join!(asked, told).0, Ok(1));
}

#[tokio::test]
async fn an_older_day_is_fetched_once_and_only_for_a_known_key() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    auth.identity.know_secret(ID, 1, SECRET);
    let head = presigned(ID, SECRET, NOW_MS - 6 * DAY_MS);
    let together = futures::future::join_all((0..20).map(|_| auth.ask(&head, 0))).await;
    assert!(together.iter().all(|verdict| *verdict == Ok(1)), "{together:?}");
    assert_eq!(auth.ask(&head, 0).await, Ok(1));
    let wrong = presigned(ID, "another secret", NOW_MS - 6 * DAY_MS);
    assert_eq!(auth.ask(&wrong, 0).await, denied("SignatureDoesNotMatch"));
    assert_eq!(auth.identity.derived(), 1);

    let unknown = presigned("AKIANOBODY", SECRET, NOW_MS - 6 * DAY_MS);
    assert_eq!(auth.ask(&unknown, 0).await, denied("InvalidAccessKeyId"));
    assert_eq!(auth.identity.derived(), 1);

    auth.clock.pass(Duration::from_secs(10 * 60));
    auth.identity.send(change(11, records(vec![], vec![])));
    assert_eq!(auth.ask(&head, 11).await, Ok(1));
    assert_eq!(auth.identity.derived(), 2);
}

#[tokio::test]
async fn without_identity_an_older_day_has_no_verdict() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    let head = presigned(ID, SECRET, NOW_MS - 3 * DAY_MS);
    auth.identity.fail_older_days(true);
    assert_eq!(auth.ask_in_vain(raw(&head, 0)).await.0, Code::Unavailable);
    auth.identity.fail_older_days(false);
    assert_eq!(auth.ask(&head, 0).await, denied("InvalidAccessKeyId"));
    auth.identity.know_secret(ID, 1, SECRET);
    assert_eq!(auth.ask(&head, 0).await, Ok(1));
}

#[tokio::test]
async fn a_silent_identity_is_not_asked_for_an_older_day() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    auth.identity.know_secret(ID, 1, SECRET);
    let head = presigned(ID, SECRET, NOW_MS - 3 * DAY_MS);
    auth.clock.pass(Duration::from_secs(4));
    let unavailable = (Code::Unavailable, Some(Reason::DateKeysUnavailable));
    assert_eq!(auth.ask_in_vain(raw(&head, 0)).await, unavailable);
    assert_eq!(auth.identity.derived(), 0);
    auth.identity.send(heartbeat(11));
    assert_eq!(auth.ask(&head, 11).await, Ok(1));
}

#[tokio::test]
async fn date_keys_of_a_new_day_are_added_while_serving() {
    let mut key = access_key(ID);
    key.secrets[0].date_keys.clear();
    let auth = Harness::with(records(vec![user()], vec![key])).await;
    let day = (NOW_MS / DAY_MS) as u32;
    let record = |id: &str, date_key| pb::DateKeyRecord {
        access_key_id: id.into(),
        generation: 1,
        date_key,
    };
    auth.identity.send(Message::DateKeys(pb::DateKeyRecords {
        date_keys: vec![
            record("AKIANOBODY", Some(identity::date_key(SECRET, day))),
            record(ID, None),
            record(ID, Some(identity::date_key(SECRET, day))),
        ],
    }));
    auth.identity.send(heartbeat(11));
    assert_eq!(auth.ask(&signed(ID, SECRET), 11).await, Ok(1));
    assert_eq!(auth.identity.derived(), 0);
}

#[tokio::test]
async fn too_long_without_identity_there_is_no_verdict_until_it_is_heard() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    let head = signed(ID, SECRET);
    auth.clock.pass(Duration::from_secs(15 * 60));
    let answer = auth.call(raw(&head, 0)).await.expect("a verdict");
    assert_eq!(answer.staleness_ms, 15 * 60 * 1000);
    auth.clock.pass(Duration::from_millis(1));
    let stale = (Code::Unavailable, Some(Reason::ReadModelStale));
    assert_eq!(auth.ask_in_vain(raw(&head, 0)).await, stale);
    auth.wait_for_health(ServingStatus::NotServing).await;
    assert!(!auth.ready.is_ready());
    auth.identity.send(heartbeat(11));
    assert_eq!(auth.ask(&head, 11).await, Ok(1));
    auth.wait_for_health(ServingStatus::Serving).await;
}

#[tokio::test]
async fn what_cannot_be_read_of_the_feed_is_left_out() {
    let users = vec![pb::UserRecord { user_id: vec![1; 3], ..user() }, user()];
    let mut bad_day = access_key("AKIABADDAY");
    bad_day.secrets[0].date_keys.insert(0, pb::DateKey { day: 0, key: vec![] });
    let keys = vec![
        pb::AccessKeyRecord::default(),
        pb::AccessKeyRecord { user_id: vec![9; 16], ..access_key("AKIANOUSER") },
        bad_day,
        access_key(ID),
    ];
    let auth = Harness::with(records(users, keys)).await;
    assert_eq!(auth.ask(&signed(ID, SECRET), 10).await, Ok(1));
    assert_eq!(auth.ask(&signed("AKIABADDAY", SECRET), 10).await, Ok(1));
    assert_eq!(auth.ask(&signed("AKIANOUSER", SECRET), 10).await, denied("InvalidAccessKeyId"));
    auth.identity.send(Message::Change(pb::CredentialChange {
        position: 11,
        deleted_access_key_ids: vec![String::new(), "A".repeat(10_000)],
        deleted_user_ids: vec![vec![], vec![1; 17]],
        records: None,
    }));
    assert_eq!(auth.ask(&signed(ID, SECRET), 11).await, Ok(1));
}

#[tokio::test]
async fn it_drains_and_ends_when_told_to() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    let (served, ready) = (auth.served, auth.ready.clone());
    auth.shutdown.cancel();
    served.await.expect("does not panic").expect("ends well");
    assert!(!ready.is_ready());
}

#[test]
fn no_request_makes_it_panic() {
    let runtime = tokio::runtime::Runtime::new().expect("starts");
    let auth = runtime.block_on(Harness::with(records(vec![user()], vec![access_key(ID)])));
    let good = signed(ID, SECRET);
    let mangled = (0..good.len(), any::<u8>(), 0..5_usize).prop_map(move |(at, byte, len)| {
        let mut head = good.clone().into_bytes();
        let end = (at + len).min(head.len());
        head.splice(at..end, [byte]);
        head
    });
    let heads = prop_oneof![prop::collection::vec(any::<u8>(), 0..300), mangled];
    let parts = (".{0,9}", ".{0,40}", prop::collection::vec((".{0,20}", ".{0,60}"), 0..9));
    let forms = prop_oneof![
        heads.prop_map(|head| RequestForm::RawHead(head.into_iter().collect())),
        parts.prop_map(|(method, target, headers)| {
            let header = |(name, value)| Header { name, value };
            let headers = headers.into_iter().map(header).collect();
            RequestForm::Head(RequestHead { method, target, headers })
        }),
    ];
    let regions = prop_oneof![Just(REGION.to_owned()), ".{0,70}"];
    proptest!(ProptestConfig::with_cases(400), |(form in forms, region in regions)| {
        let request = VerifySignatureRequest { request: Some(form), region, ..Default::default() };
        match runtime.block_on(auth.call(request)) {
            Ok(answer) => prop_assert!(answer.verdict.is_some()),
            Err(status) => prop_assert_eq!(status.code(), Code::InvalidArgument),
        }
    });
    let verdict = runtime.block_on(auth.ask(&signed(ID, SECRET), 10));
    assert_eq!(verdict, Ok(1));
}

#[tokio::test]
async fn threads_with_a_runtime_each_serve_and_drain_as_one_does() {
    let beginning = Message::Snapshot(records(vec![user()], vec![access_key(ID)]));
    let auth = Harness::start_as(vec![beginning, complete(10)], |config| config.workers = 3).await;
    auth.wait_for_health(ServingStatus::Serving).await;
    // More connections than threads, each with a call that waits.
    let waiting: Vec<_> = (0..7)
        .map(|_| {
            let mut client = auth.client(SERVICE_TOKEN);
            tokio::spawn(async move { client.verify_signature(raw(&signed(ID, SECRET), 11)).await })
        })
        .collect();
    for _ in 0..7 {
        let answer =
            auth.client(SERVICE_TOKEN).verify_signature(raw(&signed(ID, SECRET), 10)).await;
        assert!(matches!(answer.expect("a verdict").get_ref().verdict, Some(Verdict::Verified(_))));
    }
    auth.identity.send(heartbeat(11));
    for call in waiting {
        let answer = call.await.expect("does not panic").expect("a verdict");
        assert_eq!(answer.get_ref().position, 11);
    }
    auth.shutdown.cancel();
    auth.served.await.expect("does not panic").expect("ends well");
}
