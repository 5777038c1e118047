//! Lock-outs and last uses, as callers and identity see them.

use std::time::Duration;

use api::auth::v1::verify_signature_response::Verdict;
use api::auth::v1::{Denied, VerifySignatureRequest};
use api::error::v1::Reason;
use api::event::v1::LockoutMode;
use api::identity::v1 as pb;
use api::identity::v1::watch_credentials_response::Message;
use tonic::Code;

use crate::harness::*;

const ONE: &str = "192.0.2.1";
const OTHER: &str = "192.0.2.2";

/// An account that counts so, and its user with an access key.
fn counting(mode: LockoutMode) -> pb::CredentialRecords {
    let accounts = vec![account(mode)];
    pb::CredentialRecords { accounts, ..records(vec![user()], vec![access_key(ID)]) }
}

fn account(mode: LockoutMode) -> pb::AccountRecord {
    pb::AccountRecord { account_id: user().account_id, lockout_mode: mode.into() }
}

fn from(source: &str, head: &str) -> VerifySignatureRequest {
    VerifySignatureRequest { source_address: source.into(), ..raw(head, 0) }
}

/// Signed wrong, each in its own way.
fn wrong(n: u32) -> String {
    signed(ID, &format!("wrong {n}"))
}

/// What is answered: the secret's generation; or code, status and for how many seconds to wait.
async fn ask(auth: &Harness, source: &str, head: &str) -> Result<u32, (String, u32, u32)> {
    let answer = auth.call(from(source, head)).await.expect("a verdict is reached");
    match answer.verdict.expect("is there") {
        Verdict::Verified(verified) => Ok(verified.secret_generation),
        Verdict::Denied(Denied { code, http_status, retry_after_seconds, details, .. }) => {
            assert!(retry_after_seconds == 0 || details.is_empty(), "nothing of the key is told");
            Err((code, http_status, retry_after_seconds))
        }
    }
}

async fn fail(auth: &Harness, source: &str, times: std::ops::Range<u32>) {
    for n in times {
        let denied = ("SignatureDoesNotMatch".to_owned(), 403, 0);
        assert_eq!(ask(auth, source, &wrong(n)).await, Err(denied), "{n}");
    }
}

fn told(source: &str, end_time_ms: i64) -> pb::LockoutRecord {
    pb::LockoutRecord { access_key_id: ID.into(), source: source.into(), end_time_ms, failures: 4 }
}

fn lockouts(records: Vec<pb::LockoutRecord>) -> Message {
    Message::Lockouts(pb::LockoutRecords { lockouts: records })
}

#[tokio::test]
async fn four_wrong_signatures_lock_their_source_out_and_no_other() {
    let auth = Harness::with(counting(LockoutMode::PerSource)).await;
    fail(&auth, ONE, 0..4).await;
    let slow_down = Err(("SlowDown".to_owned(), 503, 60));
    for head in [signed(ID, SECRET), wrong(9)] {
        assert_eq!(ask(&auth, ONE, &head).await, slow_down, "whatever the signature");
    }
    assert_eq!(ask(&auth, OTHER, &signed(ID, SECRET)).await, Ok(1));
    assert_eq!(ask(&auth, "", &signed(ID, SECRET)).await, Ok(1));
    assert_eq!(auth.identity.lockouts(1).await, [told(ONE, NOW_MS + 60_000)]);
    auth.clock.pass(Duration::from_millis(59_001));
    assert_eq!(ask(&auth, ONE, &wrong(9)).await, Err(("SlowDown".to_owned(), 503, 1)));
    auth.clock.pass(Duration::from_millis(999));
    assert_eq!(ask(&auth, ONE, &signed(ID, SECRET)).await, Ok(1));
}

#[tokio::test]
async fn an_account_may_have_the_access_key_locked_and_change_its_mind() {
    let auth = Harness::with(counting(LockoutMode::PerKey)).await;
    fail(&auth, ONE, 0..3).await;
    assert_eq!(ask(&auth, OTHER, &signed(ID, SECRET)).await, Ok(1));
    fail(&auth, ONE, 3..6).await;
    fail(&auth, OTHER, 6..7).await;
    let denied = Err(("AccessDenied".to_owned(), 403, 60));
    assert_eq!(ask(&auth, "2001:db8::1", &signed(ID, SECRET)).await, denied);
    assert_eq!(ask(&auth, "", &signed(ID, SECRET)).await, denied);
    assert_eq!(auth.identity.lockouts(1).await, [told("", NOW_MS + 60_000)]);
    let accounts = vec![account(LockoutMode::Off)];
    auth.identity.send(change(11, pb::CredentialRecords { accounts, ..Default::default() }));
    assert_eq!(auth.ask(&signed(ID, SECRET), 11).await, Ok(1));
    fail(&auth, ONE, 10..30).await;
}

#[tokio::test]
async fn only_wrong_signatures_of_known_access_keys_count() {
    let records = pb::CredentialRecords {
        access_keys: vec![
            access_key(ID),
            pb::AccessKeyRecord { active: false, ..access_key("AKIAINACTIVE") },
        ],
        ..counting(LockoutMode::PerKey)
    };
    let auth = Harness::with(records).await;
    for n in 0..8 {
        for head in [
            signed("AKIANOBODY", &format!("wrong {n}")),
            signed("AKIAINACTIVE", SECRET),
            format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n"),
        ] {
            let (_, _, wait) = ask(&auth, ONE, &head).await.expect_err("is denied");
            assert_eq!(wait, 0);
        }
        // The same again is no other.
        assert!(ask(&auth, ONE, &wrong(0)).await.is_err_and(|(_, _, wait)| wait == 0));
    }
    fail(&auth, ONE, 1..4).await;
    assert!(ask(&auth, ONE, &wrong(9)).await.is_err_and(|(_, _, wait)| wait == 60));
}

#[tokio::test]
async fn two_replicas_converge_and_one_that_starts_anew_knows() {
    let one = Harness::with(counting(LockoutMode::PerSource)).await;
    let other = Harness::with(counting(LockoutMode::PerSource)).await;
    fail(&one, ONE, 0..4).await;
    // As identity does it.
    let reported = one.identity.lockouts(1).await;
    other.identity.send(lockouts(reported.clone()));
    other.identity.send(change(11, records(vec![user()], vec![])));
    other.call(raw(&signed(ID, SECRET), 11)).await.expect("what was told before holds");
    let slow_down = Err(("SlowDown".to_owned(), 503, 60));
    assert_eq!(ask(&other, ONE, &signed(ID, SECRET)).await, slow_down);
    assert_eq!(ask(&other, OTHER, &signed(ID, SECRET)).await, Ok(1));
    let beginning = vec![
        Message::Snapshot(counting(LockoutMode::PerSource)),
        complete(10),
        lockouts(reported.clone()),
        heartbeat(11),
    ];
    let anew = Harness::start(beginning).await;
    anew.wait_for_health(tonic_health::ServingStatus::Serving).await;
    anew.call(raw(&signed(ID, SECRET), 11)).await.expect("what was told before holds");
    assert_eq!(ask(&anew, ONE, &signed(ID, SECRET)).await, slow_down);
    // An identity that starts anew has forgotten, and is told again: by those who learnt it too.
    for replica in [&one, &anew] {
        let snapshot = Message::Snapshot(counting(LockoutMode::PerSource));
        replica.identity.begin_with(vec![snapshot, complete(11)]);
        replica.identity.end_watches();
        replica.identity.watched(2).await;
        assert_eq!(replica.identity.lockouts(1).await, reported);
    }
}

#[tokio::test]
async fn uses_are_reported_with_secret_and_source_and_again_if_they_could_not_be() {
    let auth = Harness::with(counting(LockoutMode::PerSource)).await;
    auth.identity.fail_reports(true);
    let head = signed(ID, SECRET).replacen("\r\n", "\r\nUser-Agent: aws-cli/2.0\r\n", 1);
    assert_eq!(ask(&auth, "2001:db8:1:2:3::4", &head).await, Ok(1));
    fail(&auth, ONE, 0..1).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    auth.identity.fail_reports(false);
    let expected = pb::UseRecord {
        access_key_id: ID.into(),
        generation: 1,
        r#use: Some(pb::AccessKeyUse {
            time: Some(prost_types::Timestamp { seconds: NOW_MS / 1000, nanos: 0 }),
            source_address: "2001:db8:1:2:3::4".into(),
            user_agent: "aws-cli/2.0".into(),
            region: REGION.into(),
            service: "s3".into(),
        }),
    };
    assert_eq!(auth.identity.uses(1).await, [expected]);
}

#[tokio::test]
async fn what_was_used_last_is_reported_when_the_process_ends() {
    let auth = Harness::with(counting(LockoutMode::Off)).await;
    tokio::time::sleep(Duration::from_millis(100)).await; // after the first report
    assert_eq!(ask(&auth, ONE, &signed(ID, SECRET)).await, Ok(1));
    let Harness { identity, shutdown, served, .. } = auth;
    shutdown.cancel();
    served.await.expect("does not panic").expect("ends well");
    assert_eq!(identity.uses(1).await.len(), 1);
}

#[tokio::test]
async fn a_source_is_an_ip_address() {
    let auth = Harness::with(counting(LockoutMode::PerSource)).await;
    for wrong in ["localhost", "192.0.2.1:80", "[::1]", "192.0.2", " 192.0.2.1", "::/64"] {
        let asked = from(wrong, &signed(ID, SECRET));
        let expected = (Code::InvalidArgument, Some(Reason::InvalidField));
        assert_eq!(auth.ask_in_vain(asked).await, expected, "{wrong}");
    }
}

#[tokio::test]
async fn a_request_counts_once_however_many_hosts_are_tried() {
    let auth = Harness::with(counting(LockoutMode::PerSource)).await;
    let ask = async |n: u32| {
        let asked = VerifySignatureRequest {
            service: "iam".into(),
            body_sha256: vec![n as u8; 32],
            host_candidates: vec!["a.example.com".into(), "b.example.com".into()],
            source_address: ONE.into(),
            ..raw(&crate::signed_form("wrong", "iam", ""), 0)
        };
        match auth.call(asked).await.expect("a verdict").verdict.expect("is there") {
            Verdict::Denied(denied) => denied.code,
            Verdict::Verified(_) => panic!("is wrong"),
        }
    };
    for n in 0..4 {
        assert_eq!(ask(n).await, "SignatureDoesNotMatch");
    }
    assert_eq!(ask(4).await, "SlowDown");
}
