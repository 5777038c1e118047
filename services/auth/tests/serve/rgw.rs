//! What RGW sends, and what it is answered.

use std::collections::HashMap;

use api::authenticator::v1::authenticator_service_client::AuthenticatorServiceClient;
use api::authenticator::v1::s3_error_details::Type;
use api::authenticator::v1::{
    AssumeRoleRequest, AuthenticatePresignedUrlRequest, AuthenticateRestRequest,
    GetSigningKeyRequest, S3ErrorDetails,
};
use api::event::v1::LockoutMode;
use api::identity::v1 as pb;
use api::rgw::auth::v1::auth_service_client::AuthServiceClient;
use api::rgw::auth::v1::{AuthCode, AuthRequest, StatusRequest};
use prost::Message as _;
use sigv4::{Date, DateKey, Expected, Head, authenticate};
use tonic::Status;

use crate::harness::*;

const ACCOUNT: &str = "22222222-2222-2222-2222-222222222222";

/// An auth that serves RGW.
async fn serving() -> Harness {
    let records = records(vec![user()], vec![access_key(ID)]);
    Harness::with_config(records, |config| config.region = Some(REGION.into())).await
}

fn client(auth: &Harness) -> AuthenticatorServiceClient<rpc::Channel> {
    AuthenticatorServiceClient::new(auth.channel(SERVICE_TOKEN))
}

/// The string to sign that RGW makes of a request, and the header that it sends, which it makes of a presigned URL
/// as well.
fn seen_by_rgw(head: &str, at_ms: i64) -> (String, String) {
    let parsed = Head::parse(head.as_bytes()).expect("is a head");
    let signed = authenticate(&parsed, &Expected::s3(REGION, at_ms / 1000)).expect("is signed");
    let string = String::from_utf8(signed.string_to_sign().as_bytes().to_vec()).expect("text");
    let names: Vec<_> = signed.signed_headers().collect();
    let scope = string.split('\n').nth(2).expect("a scope");
    let signature = signed.signature().to_hex();
    let header = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={},Signature={}",
        signed.access_key_id(),
        names.join(";"),
        std::str::from_utf8(&signature).expect("text"),
    );
    (string, header)
}

/// As RGW sends it by default: without headers and query.
fn rest((string_to_sign, header): (String, String), is_presigned: bool) -> AuthenticateRestRequest {
    AuthenticateRestRequest {
        string_to_sign: Some(string_to_sign),
        authorization_header: Some(header),
        bucket_name: Some("bucket".into()),
        object_key: Some("key".into()),
        transaction_id: Some("tx-17".into()),
        skip_timestamp_validation: is_presigned.then_some(true),
        ..Default::default()
    }
}

/// What RGW reads of a status.
fn details(status: &Status) -> S3ErrorDetails {
    let status = tonic_types::Status::decode(status.details()).expect("has details");
    let details = &status.details[0];
    assert_eq!(details.type_url, "type.googleapis.com/authenticator.v1.S3ErrorDetails");
    S3ErrorDetails::decode(&details.value[..]).expect("are such")
}

/// The user that RGW acts for, or what it is told.
async fn ask(auth: &Harness, request: AuthenticateRestRequest) -> Result<String, (Type, i32)> {
    match client(auth).authenticate_rest(request).await {
        Ok(answer) => Ok(answer.into_inner().canonical_user_id),
        Err(status) => {
            let details = details(&status);
            assert_eq!(details.request_id, "tx-17");
            Err((details.r#type(), details.http_status_code))
        }
    }
}

#[tokio::test]
async fn rgw_is_told_the_account_and_who_asks() {
    let auth = serving().await;
    let seen = seen_by_rgw(&signed(ID, SECRET), NOW_MS);
    let answer = client(&auth).authenticate_rest(rest(seen, false)).await.expect("is right");
    let answer = answer.into_inner();
    assert_eq!(answer.canonical_user_id, ACCOUNT);
    assert_eq!(answer.user_arn, "arn:aws:iam::123456789012:user/alice");
    assert_eq!(answer.account_arn, "arn:aws:iam::123456789012:root");
    assert_eq!(auth.identity.uses(1).await[0].access_key_id, ID, "the use is reported");
}

#[tokio::test]
async fn a_presigned_url_comes_as_a_header_whose_time_rgw_has_checked() {
    let auth = serving().await;
    let yesterday = NOW_MS - DAY_MS;
    let seen = seen_by_rgw(&presigned(ID, SECRET, yesterday), yesterday);
    assert_eq!(ask(&auth, rest(seen.clone(), true)).await, Ok(ACCOUNT.into()));
    let skewed = Err((Type::RequestTimeTooSkewed, 403));
    assert_eq!(ask(&auth, rest(seen, false)).await, skewed, "unless it says so");
    let long_ago = NOW_MS - 8 * DAY_MS;
    let seen = seen_by_rgw(&presigned(ID, SECRET, long_ago), long_ago);
    let denied = Err((Type::AccessDenied, 403));
    assert_eq!(ask(&auth, rest(seen, true)).await, denied, "no URL is good for that long");
}

#[tokio::test]
async fn a_presigned_url_can_be_asked_about_as_it_is() {
    let auth = serving().await;
    let head = presigned(ID, SECRET, NOW_MS - 1000);
    let target = head.split(' ').nth(1).expect("a target");
    let (string_to_sign, _) = seen_by_rgw(&head, NOW_MS);
    let ask = async |url: String| {
        let string_to_sign = string_to_sign.clone();
        let request = AuthenticatePresignedUrlRequest { url, string_to_sign, ..Default::default() };
        let answer = client(&auth).authenticate_presigned_url(request).await;
        let answer = answer.map(|answer| answer.into_inner().canonical_user_id);
        answer.map_err(|status| details(&status).r#type())
    };
    let url = format!("https://s3.example.com{target}");
    assert_eq!(ask(url.clone()).await, Ok(ACCOUNT.into()));
    let expired = url.replace("X-Amz-Expires=604800", "X-Amz-Expires=0");
    assert_eq!(ask(expired).await, Err(Type::AccessDenied));
    let (start, _) = url.split_once("X-Amz-Signature=").expect("is signed");
    let wrong = format!("{start}X-Amz-Signature={}", "0".repeat(64));
    assert_eq!(ask(wrong).await, Err(Type::SignatureDoesNotMatch));
    assert_eq!(ask("https://s3.example.com/bucket/key".into()).await, Err(Type::AccessDenied));
}

#[tokio::test]
async fn each_refusal_has_a_word_that_rgw_knows() {
    let auth = serving().await;
    let good = || seen_by_rgw(&signed(ID, SECRET), NOW_MS);
    let with = |change: fn(&mut AuthenticateRestRequest)| {
        let mut request = rest(good(), false);
        change(&mut request);
        request
    };
    let map = |name: &str| HashMap::from([(name.to_owned(), "x".to_owned())]);
    let headers =
        |name| AuthenticateRestRequest { x_amz_headers: map(name), ..rest(good(), false) };
    let other_day = seen_by_rgw(&signed_at(ID, SECRET, NOW_MS - DAY_MS), NOW_MS - DAY_MS);
    for (request, expected) in [
        (
            rest(seen_by_rgw(&signed(ID, "another secret"), NOW_MS), false),
            (Type::SignatureDoesNotMatch, 403),
        ),
        (
            rest(seen_by_rgw(&signed("AKIANOBODY", SECRET), NOW_MS), false),
            (Type::InvalidAccessKeyId, 403),
        ),
        (rest(other_day.clone(), false), (Type::RequestTimeTooSkewed, 403)),
        (rest((other_day.0, good().1), false), (Type::AuthorizationHeaderMalformed, 400)),
        (with(|r| r.authorization_header = None), (Type::AccessDenied, 403)),
        (with(|r| r.authorization_header = Some(String::new())), (Type::AccessDenied, 403)),
        (
            with(|r| r.authorization_header = Some("AWS AK:c2ln".into())),
            (Type::InvalidRequest, 400),
        ),
        (with(|r| r.string_to_sign = None), (Type::AuthorizationHeaderMalformed, 400)),
        (headers("x-amz-acl"), (Type::AccessDenied, 403)),
        (headers("x-amz-security-token"), (Type::InvalidToken, 400)),
    ] {
        assert_eq!(ask(&auth, request.clone()).await, Err(expected), "{request:?}");
    }
    assert_eq!(ask(&auth, headers("x-amz-date")).await, Ok(ACCOUNT.into()));
    let wrong = rest(seen_by_rgw(&signed(ID, "another secret"), NOW_MS), false);
    let status = client(&auth).authenticate_rest(wrong).await.expect_err("is refused");
    assert_eq!(details(&status).resource.as_deref(), Some("/bucket/key"));
}

#[tokio::test]
async fn the_key_to_chunks_is_for_what_was_verified_a_moment_ago() {
    let auth = serving().await;
    let seen = seen_by_rgw(&signed(ID, SECRET), NOW_MS);
    let request = GetSigningKeyRequest {
        authorization_header: seen.1.clone(),
        transaction_id: Some("tx-17".into()),
    };
    let key = async || {
        let answer = client(&auth).get_signing_key(request.clone()).await;
        let answer = answer.map(|answer| answer.into_inner().signing_key);
        answer.map_err(|status| details(&status).r#type())
    };
    assert_eq!(key().await, Err(Type::InternalError), "nobody has shown a signature");
    ask(&auth, rest(seen, false)).await.expect("is right");
    let given = key().await.expect("is given");
    let date = Date::from_unix_seconds(NOW_MS / 1000);
    let expected = DateKey::derive(SECRET.as_bytes(), &date).signing_key(REGION, "s3");
    let text = seen_by_rgw(&signed(ID, SECRET), NOW_MS).0;
    let string = sigv4::StringToSign::parse(text.as_bytes());
    let string = string.expect("is one").2;
    let given = sigv4::SigningKey::from_bytes(&given[..].try_into().expect("32 bytes"));
    assert_eq!(given.sign(&string).to_hex(), expected.sign(&string).to_hex());
    auth.clock.pass(std::time::Duration::from_secs(31));
    assert_eq!(key().await, Err(Type::InternalError), "it was a moment ago");
}

#[tokio::test]
async fn roles_there_are_none() {
    let auth = serving().await;
    let request =
        AssumeRoleRequest { role_arn: "arn:aws:iam::1:role/r".into(), ..Default::default() };
    let status = client(&auth).assume_role(request).await.expect_err("is refused");
    let details = details(&status);
    assert_eq!((details.r#type(), details.http_status_code), (Type::NotImplemented, 501));
}

#[tokio::test]
async fn no_verdict_is_no_refusal() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    let request = rest(seen_by_rgw(&signed(ID, SECRET), NOW_MS), false);
    let unknown = Err((Type::InternalError, 503));
    assert_eq!(ask(&auth, request.clone()).await, unknown, "nobody says which region");
    let auth = serving().await;
    auth.clock.pass(std::time::Duration::from_secs(16 * 60));
    assert_eq!(ask(&auth, request).await, unknown, "identity was not heard");
}

#[tokio::test]
async fn a_lock_out_by_access_key_is_the_same_for_both() {
    let accounts = vec![pb::AccountRecord {
        account_id: user().account_id,
        lockout_mode: LockoutMode::PerKey.into(),
    }];
    let known = records(vec![user()], vec![access_key(ID)]);
    let known = pb::CredentialRecords { accounts, ..known };
    let auth = Harness::with_config(known, |config| config.region = Some(REGION.into())).await;
    for n in 0..4 {
        let wrong = seen_by_rgw(&signed(ID, &format!("wrong {n}")), NOW_MS);
        let denied = Err((Type::SignatureDoesNotMatch, 403));
        assert_eq!(ask(&auth, rest(wrong, false)).await, denied);
    }
    let right = rest(seen_by_rgw(&signed(ID, SECRET), NOW_MS), false);
    assert_eq!(ask(&auth, right).await, Err((Type::AccessDenied, 403)));
    assert_eq!(auth.ask(&signed(ID, SECRET), 0).await, Err("AccessDenied".into()));
}

#[tokio::test]
async fn the_first_contract_is_answered_by_codes() {
    let auth = serving().await;
    let client = || AuthServiceClient::new(auth.channel(SERVICE_TOKEN));
    let ask = async |seen: (String, String), id: &str, token: &str| {
        let request = AuthRequest {
            string_to_sign: seen.0,
            authorization_header: seen.1,
            access_key_id: id.into(),
            authorization_token_header: token.into(),
            param: None,
        };
        let answer = client().auth(request).await.expect("is answered").into_inner();
        (answer.code(), answer.uid)
    };
    let seen = |id, secret| seen_by_rgw(&signed(id, secret), NOW_MS);
    let refused = |code| (code, String::new());
    assert_eq!(ask(seen(ID, SECRET), ID, "").await, (AuthCode::Ok, ACCOUNT.into()));
    assert_eq!(ask(seen(ID, "another secret"), ID, "").await, refused(AuthCode::Unauthorized));
    let nobody = "AKIANOBODY";
    assert_eq!(ask(seen(nobody, SECRET), nobody, "").await, refused(AuthCode::Notfound));
    assert_eq!(ask(seen(ID, SECRET), nobody, "").await, refused(AuthCode::BadRequest));
    assert_eq!(ask(seen(ID, SECRET), ID, "a token").await, refused(AuthCode::BadRequest));
    let anonymous = (seen(ID, SECRET).0, String::new());
    assert_eq!(ask(anonymous, ID, "").await, refused(AuthCode::Forbidden));
    let status = client().status(StatusRequest {}).await.expect("is there").into_inner();
    assert_eq!(status.server_description, "claviger auth");
}
