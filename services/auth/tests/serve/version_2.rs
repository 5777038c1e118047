//! Signatures of Version 2, as botocore makes them: off by default, and verified by identity.

use api::auth::v1::{
    ExplainSignatureRequest, GetSigningKeyRequest, SignatureAlgorithm, VerifyStringToSignRequest,
    explain_signature_response, get_signing_key_response, verify_string_to_sign_response,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha1::Sha1;

use super::*;

/// When the recorded requests were signed: 2013-05-24T00:00:00Z.
const SIGNED_MS: i64 = 1_369_353_600_000;

/// Name and request.
fn recorded() -> Vec<(String, VerifySignatureRequest)> {
    let vectors = include_str!("../../../../crates/sigv4/tests/vectors/version_2.jsonl");
    let read = |line| {
        let vector: Value = serde_json::from_str(line).expect("is JSON");
        let text = |name: &str| vector[name].as_str().unwrap_or_default().to_owned();
        let request =
            VerifySignatureRequest { host_bucket: text("bucket"), ..raw(&text("head"), 0) };
        (text("name"), request)
    };
    vectors.lines().map(read).collect()
}

fn named(name: &str) -> VerifySignatureRequest {
    recorded().into_iter().find(|(known, _)| known == name).expect("is there").1
}

fn changed(name: &str, from: &str, to: &str) -> VerifySignatureRequest {
    let request = named(name);
    let Some(RequestForm::RawHead(head)) = &request.request else { panic!("is a head") };
    let head = String::from_utf8(head.to_vec()).expect("is text").replacen(from, to, 1);
    VerifySignatureRequest {
        request: Some(RequestForm::RawHead(head.into_bytes().into())),
        ..request
    }
}

async fn ask(auth: &Harness, request: VerifySignatureRequest) -> Result<u32, String> {
    match auth.call(request).await.expect("a verdict").verdict.expect("is there") {
        Verdict::Verified(verified) => Ok(verified.secret_generation),
        Verdict::Denied(denied) => Err(denied.code),
    }
}

async fn auth(accepts: bool) -> Harness {
    let records = records(vec![user()], vec![access_key(ID)]);
    let auth = Harness::with_config(records, |config| config.accepts_signature_v2 = accepts).await;
    auth.clock.set_unix_ms(SIGNED_MS);
    auth.identity.know_secret(ID, 1, SECRET);
    auth
}

#[tokio::test]
async fn it_is_refused_unless_auth_is_told_to_accept_it() {
    let auth = auth(false).await;
    for (name, request) in recorded() {
        assert_eq!(ask(&auth, request).await, denied("InvalidRequest"), "{name}");
    }
    assert_eq!(auth.identity.derived(), 0, "identity is not asked");
}

#[tokio::test]
async fn what_botocore_signs_is_verified_where_it_is_accepted() {
    let auth = auth(true).await;
    for (name, request) in recorded() {
        assert_eq!(ask(&auth, request).await, Ok(1), "{name}");
    }
    let answer = auth.call(named("headers of S3")).await.expect("a verdict");
    let Some(Verdict::Verified(verified)) = answer.verdict else { panic!("{answer:?}") };
    assert_eq!(verified.algorithm(), SignatureAlgorithm::AwsHmacSha1);
    assert_eq!(verified.principal.clone().expect("is there").user_name, "alice");
    assert_eq!(verified.signed_headers, ["date", "x-amz-acl", "x-amz-meta-a", "x-amz-meta-b"]);
    assert_eq!(verified.payload_mode(), PayloadMode::Unsigned);
    assert_eq!(verified.sign_time.expect("is there").seconds, SIGNED_MS / 1000);
    assert!(verified.scope.is_none() && verified.signature.is_empty() && !verified.presigned);
    let answer = auth.call(named("a URL")).await.expect("a verdict");
    let Some(Verdict::Verified(verified)) = answer.verdict else { panic!("{answer:?}") };
    assert!(verified.presigned && verified.sign_time.is_none());
    assert_eq!(auth.identity.uses(1).await[0].access_key_id, ID);
    // Version 4 goes on as it did.
    auth.clock.set_unix_ms(NOW_MS);
    assert_eq!(auth.ask(&signed(ID, SECRET), 0).await, Ok(1));
}

#[tokio::test]
async fn what_is_wrong_is_denied_in_the_words_of_s3() {
    let auth = auth(true).await;
    let object = |from, to| changed("an object", from, to);
    for (what, request, expected) in [
        ("another key", object("/bucket/key", "/bucket/other"), "SignatureDoesNotMatch"),
        ("another method", object("GET", "PUT"), "SignatureDoesNotMatch"),
        ("a sub-resource", object("/bucket/key", "/bucket/key?acl"), "SignatureDoesNotMatch"),
        ("unknown", object("/bucket/key", "/bucket/key?encryption"), "InvalidRequest"),
        ("nobody's", object(ID, "AKIANOBODY"), "InvalidAccessKeyId"),
        ("a token", object("Host:", "x-amz-security-token: a\r\nHost:"), "InvalidToken"),
        (
            "two mechanisms",
            object("/bucket/key", "/bucket/key?AWSAccessKeyId=a&Signature=b&Expires=1"),
            "InvalidArgument",
        ),
        ("no space", object("AWS ", "AWS"), "InvalidArgument"),
    ] {
        assert_eq!(ask(&auth, request).await, denied(expected), "{what}");
    }
    let unpadded = changed("an object", "=\r\n\r\n", "\r\n\r\n");
    let before = auth.identity.derived();
    assert_eq!(ask(&auth, unpadded).await, denied("SignatureDoesNotMatch"));
    assert_eq!(auth.identity.derived(), before, "what nobody can have signed is not asked about");
    let without =
        VerifySignatureRequest { host_bucket: "".into(), ..named("a bucket in the host") };
    assert_eq!(ask(&auth, without).await, denied("SignatureDoesNotMatch"));
}

#[tokio::test]
async fn a_replay_is_refused_after_a_quarter_of_an_hour_and_a_url_at_its_end() {
    let auth = auth(true).await;
    for (name, after_ms, expected) in [
        ("an object", 900_000, Ok(1)),
        ("an object", 901_000, denied("RequestTimeTooSkewed")),
        ("a URL", 3_599_999, Ok(1)),
        ("a URL", 3_600_000, denied("AccessDenied")),
        ("a URL for a week", -1, denied("AuthorizationQueryParametersError")),
    ] {
        auth.clock.set_unix_ms(SIGNED_MS + after_ms);
        assert_eq!(ask(&auth, named(name)).await, expected, "{name} after {after_ms} ms");
    }
}

#[tokio::test]
async fn what_identity_says_is_held_against_the_state_of_key_and_user() {
    let auth = auth(true).await;
    let at = |min_position| VerifySignatureRequest { min_position, ..named("an object") };
    let locked = pb::UserRecord { locked: true, ..user() };
    auth.identity.send(change(11, records(vec![locked], vec![])));
    assert_eq!(ask(&auth, at(11)).await, denied("AccessDenied"));
    let inactive = pb::AccessKeyRecord { active: false, ..access_key(ID) };
    auth.identity.send(change(12, records(vec![user()], vec![inactive])));
    assert_eq!(ask(&auth, at(12)).await, denied("InvalidAccessKeyId"));
    // A secret that auth knows to have ended, whatever identity says.
    let mut ended = access_key(ID);
    ended.secrets = vec![secret(1, SECRET, Some(SIGNED_MS))];
    auth.identity.send(change(13, records(vec![], vec![ended])));
    assert_eq!(ask(&auth, at(13)).await, denied("SignatureDoesNotMatch"));
    auth.identity.send(change(14, records(vec![], vec![access_key(ID)])));
    assert_eq!(ask(&auth, at(14)).await, Ok(1));
}

#[tokio::test]
async fn who_is_locked_out_is_not_asked_about() {
    let auth = auth(true).await;
    let from = |request| VerifySignatureRequest { source_address: "192.0.2.1".into(), ..request };
    for key in ["a", "b", "c", "d"] {
        let wrong = changed("an object", "/bucket/key", &format!("/bucket/{key}"));
        assert_eq!(ask(&auth, from(wrong)).await, denied("SignatureDoesNotMatch"));
    }
    assert_eq!(auth.identity.derived(), 4);
    assert_eq!(ask(&auth, from(named("an object"))).await, denied("SlowDown"));
    assert_eq!(auth.identity.derived(), 4);
    assert_eq!(ask(&auth, named("an object")).await, Ok(1), "from elsewhere");
}

#[tokio::test]
async fn without_identity_there_is_no_verdict() {
    let auth = auth(true).await;
    auth.identity.fail_older_days(true);
    let unavailable = (Code::Unavailable, Some(Reason::DateKeysUnavailable));
    assert_eq!(auth.ask_in_vain(named("an object")).await, unavailable);
    let nobodys = changed("an object", ID, "AKIANOBODY");
    assert_eq!(ask(&auth, nobodys).await, denied("InvalidAccessKeyId"));
}

#[tokio::test]
async fn it_is_for_s3_alone() {
    let auth = auth(true).await;
    let iam = VerifySignatureRequest {
        service: "iam".into(),
        body_sha256: vec![0; 32],
        ..named("an object")
    };
    assert_eq!(ask(&auth, iam.clone()).await, denied("InvalidRequest"));
    let invalid = (Code::InvalidArgument, Some(Reason::InvalidField));
    let with_bucket = VerifySignatureRequest { host_bucket: "b".into(), ..iam };
    assert_eq!(auth.ask_in_vain(with_bucket).await, invalid);
    let long = VerifySignatureRequest { host_bucket: "b".repeat(256), ..named("an object") };
    assert_eq!(auth.ask_in_vain(long).await, invalid);
}

#[tokio::test]
async fn what_was_signed_is_explained() {
    let auth = auth(true).await;
    let asked = ExplainSignatureRequest { request: Some(named("an object")) };
    let answer = auth.client(ADMIN_TOKEN).explain_signature(asked).await.expect("is explained");
    let answer = answer.into_inner();
    assert!(matches!(answer.verdict, Some(explain_signature_response::Verdict::Verified(_))));
    let expected = "GET\n\n\nFri, 24 May 2013 00:00:00 GMT\n/bucket/key";
    assert_eq!(answer.string_to_sign, expected);
}

/// A string to sign of `GET` that was signed with the date that the clock has.
fn text(date: &str, rest: &str) -> VerifyStringToSignRequest {
    let string_to_sign = format!("GET\n\n\n{date}\n{rest}");
    let mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).expect("any key is one");
    let signature = mac.chain_update(&string_to_sign).finalize().into_bytes();
    VerifyStringToSignRequest {
        access_key_id: ID.into(),
        string_to_sign: string_to_sign.into_bytes(),
        signature: STANDARD.encode(signature),
        region: REGION.into(),
        ..VerifyStringToSignRequest::default()
    }
}

async fn ask_text(auth: &Harness, request: VerifyStringToSignRequest) -> Result<u32, String> {
    use verify_string_to_sign_response::Verdict as Told;
    let answer = auth.client(ADMIN_TOKEN).verify_string_to_sign(request).await;
    match answer.expect("a verdict").into_inner().verdict.expect("is there") {
        Told::Verified(verified) => {
            assert_eq!(verified.algorithm(), SignatureAlgorithm::AwsHmacSha1);
            assert_eq!(verified.payload_mode(), PayloadMode::Unspecified);
            Ok(verified.secret_generation)
        }
        Told::Denied(denied) => Err(denied.code),
    }
}

#[tokio::test]
async fn a_string_to_sign_is_verified_where_it_is_accepted() {
    let date = "Fri, 24 May 2013 00:00:00 GMT";
    let right = || text(date, "/bucket/key");
    let refusing = auth(false).await;
    assert_eq!(ask_text(&refusing, right()).await, denied("AuthorizationHeaderMalformed"));
    assert_eq!(refusing.identity.derived(), 0, "identity is not asked");
    let auth = auth(true).await;
    assert_eq!(ask_text(&auth, right()).await, Ok(1));
    assert_eq!(auth.identity.uses(1).await[0].access_key_id, ID);
    let with = |change: fn(&mut VerifyStringToSignRequest)| {
        let mut request = right();
        change(&mut request);
        request
    };
    let end = SIGNED_MS / 1000;
    for (what, request, expected) in [
        ("a date among S3's", text("", &format!("x-amz-date:{date}\n/b/k")), Ok(1)),
        ("both dates", text("never", &format!("x-amz-date:{date}\n/b/k")), Ok(1)),
        ("S3's headers", text(date, "x-amz-acl:private\nx-amz-meta-a:b,c\n/b/k?acl"), Ok(1)),
        ("an end", text(&(end + 1).to_string(), "/b/k"), Ok(1)),
        ("its end", text(&end.to_string(), "/b/k"), denied("AccessDenied")),
        (
            "an end in eight days",
            text(&(end + 8 * 86_400).to_string(), "/b/k"),
            denied("AuthorizationQueryParametersError"),
        ),
        ("no date", text("", "/b/k"), denied("AccessDenied")),
        (
            "another day",
            text("Thu, 23 May 2013 00:00:00 GMT", "/b/k"),
            denied("RequestTimeTooSkewed"),
        ),
        (
            "another day, for a week",
            VerifyStringToSignRequest {
                expires_seconds: Some(604_800),
                ..text("Thu, 23 May 2013 00:00:00 GMT", "/b/k")
            },
            Ok(1),
        ),
        ("a token", text(date, "x-amz-security-token:a\n/b/k"), denied("InvalidToken")),
        ("no resource", text(date, ""), denied("AuthorizationHeaderMalformed")),
        ("a line behind it", text(date, "/b\n/k"), denied("AuthorizationHeaderMalformed")),
        ("other headers", text(date, "host:b\n/k"), denied("AuthorizationHeaderMalformed")),
        (
            "a header twice",
            text(date, "x-amz-date:\nx-amz-date:\n/k"),
            denied("AuthorizationHeaderMalformed"),
        ),
        (
            "a policy",
            with(|request| request.string_to_sign = b"eyJleHBpcmF0aW9uIjoifQ==".to_vec()),
            denied("AuthorizationHeaderMalformed"),
        ),
        (
            "of Version 4 by its first word",
            with(|request| request.string_to_sign.splice(..3, *b"AWS4").for_each(drop)),
            denied("AuthorizationHeaderMalformed"),
        ),
        (
            "nobody's",
            with(|request| request.access_key_id = "AKIANOBODY".into()),
            denied("InvalidAccessKeyId"),
        ),
        (
            "another text",
            with(|request| request.string_to_sign.push(b'x')),
            denied("SignatureDoesNotMatch"),
        ),
        (
            "no base64",
            with(|request| request.signature = "?".into()),
            denied("SignatureDoesNotMatch"),
        ),
        (
            "for IAM",
            with(|request| request.service = "iam".into()),
            denied("AuthorizationHeaderMalformed"),
        ),
    ] {
        assert_eq!(ask_text(&auth, request).await, expected, "{what}");
    }
    // Nor is a key given for it.
    let asked = GetSigningKeyRequest { proof: Some(right()) };
    let given = auth.client(SERVICE_TOKEN).get_signing_key(asked).await.expect("an answer");
    let given = given.into_inner().result;
    assert!(matches!(given, Some(get_signing_key_response::Result::Denied(_))), "{given:?}");
}
