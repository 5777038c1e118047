//! What auth is asked for a store, and each status that there is.

use api::auth::v1::verify_signature_response::Verdict;
use api::auth::v1::verify_string_to_sign_response::Verdict as TextVerdict;
use api::auth::v1::{Denied, Principal, Verified};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use tonic::Status;

use super::{PASSWORD, Stand, TEXT, asked, json, keystone};
use crate::access_log::Log;
use crate::fake_auth::{ACCOUNT, verified};

fn denied(code: &str, http_status: u32, retry_after_seconds: u32) -> Denied {
    Denied { code: code.to_owned(), http_status, retry_after_seconds, ..Denied::default() }
}

fn by_alice() -> Verified {
    let principal = Principal {
        account_id: ACCOUNT.to_owned(),
        account_number: "123456789012".to_owned(),
        user_id: "0192f0c1-2d3e-7000-8000-0000000000aa".to_owned(),
        user_name: "alice".to_owned(),
        ..Principal::default()
    };
    Verified { principal: Some(principal), ..verified("GET / HTTP/1.1\r\n\r\n") }
}

#[tokio::test]
async fn who_signed_is_told_in_the_form_of_a_token_and_no_token() {
    let stand = Stand::start().await;
    stand.auth.says_of_text(|_| Ok(Some(TextVerdict::Verified(by_alice()))));
    let token = stand.token("rgw").await;
    for (name, alphabet) in [
        ("credentials", STANDARD.encode(TEXT)),
        ("credentials", URL_SAFE.encode(TEXT)),
        ("credential", URL_SAFE_NO_PAD.encode(TEXT)),
        ("ec2Credentials", STANDARD.encode(TEXT)),
    ] {
        let answer = stand.post("/v3/s3tokens", &token, &asked(name, &alphabet)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.header("x-subject-token").is_none(), "{answer:?}");
        let document = json(&answer);
        let said = &document["token"];
        let domain = json!({ "id": "default", "name": "Default" });
        assert_eq!(said["user"]["id"], "0192f0c1-2d3e-7000-8000-0000000000aa");
        assert_eq!((&said["user"]["name"], &said["user"]["domain"]), (&json!("alice"), &domain));
        assert_eq!(
            said["project"],
            json!({ "id": ACCOUNT, "name": "123456789012", "domain": domain })
        );
        assert_eq!(said["roles"][0]["name"], "member");
        assert!(said.get("catalog").is_none() && said["expires_at"].is_string(), "{document}");
        let [text] = <[_; 1]>::try_from(stand.auth.texts()).expect("one question");
        assert_eq!(text.string_to_sign, TEXT.as_bytes());
        assert_eq!((&*text.access_key_id, &*text.signature), ("AKIACLIENT", &*"0a".repeat(32)));
        assert_eq!((&*text.region, &*text.service), ("us-east-1", "s3"));
        assert_eq!((text.expires_seconds, &*text.source_address), (None, ""));
    }
    let mut long = keystone();
    long.max_age = std::time::Duration::from_secs(86_400);
    let long = Stand::with(Some(long)).await;
    assert_eq!(long.ask(&token).await.status, 200);
    assert_eq!(long.auth.texts()[0].expires_seconds, Some(86_400));
}

#[tokio::test]
async fn each_denial_has_the_status_that_rgw_and_swift_read() {
    let (log, stand) = (Log::start(), Stand::start().await);
    let token = stand.token("rgw").await;
    for (denial, status, retry_after) in [
        (denied("SignatureDoesNotMatch", 403, 0), 401, None),
        (denied("AuthorizationHeaderMalformed", 400, 0), 401, None),
        (denied("InvalidAccessKeyId", 403, 0), 404, None),
        (denied("RequestTimeTooSkewed", 403, 0), 403, None),
        (denied("AccessDenied", 403, 0), 403, None),
        (denied("AccessDenied", 403, 60), 403, Some("60")),
        (denied("SlowDown", 503, 60), 503, Some("60")),
        (denied("NeverHeardOf", 200, 0), 403, None),
    ] {
        let code = denial.code.clone();
        stand.auth.says_of_text(move |_| Ok(Some(TextVerdict::Denied(denial.clone()))));
        let answer = stand.ask(&token).await;
        assert_eq!((answer.status, answer.header("retry-after")), (status, retry_after), "{code}");
        let line = log.line(&answer).await;
        assert_eq!(
            (&line["code"], &line["claimed_access_key_id"]),
            (&json!(code), &json!("AKIACLIENT"))
        );
    }
    for (failure, status) in [
        (Status::unavailable("canary"), 503),
        (Status::resource_exhausted("canary"), 503),
        (Status::internal("canary"), 500),
        (Status::permission_denied("canary"), 500),
    ] {
        stand.auth.says_of_text(move |_| Err(failure.clone()));
        let answer = stand.ask(&token).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
        assert!(!answer.text().contains("canary"), "{answer:?}");
    }
    stand.auth.says_of_text(|_| Ok(None));
    assert_eq!(stand.ask(&token).await.status, 500, "no verdict is none");
}

#[tokio::test]
async fn nobody_asks_without_a_token_and_auth_is_not_asked_for_them() {
    let stand = Stand::start().await;
    let right = stand.token("rgw").await;
    for path in ["/v3/s3tokens", "/v3/ec2tokens"] {
        for (what, token, status) in [
            ("none", "", 401),
            ("no token", "canary", 403),
            ("cut", &right[..107], 403),
            ("long", &"A".repeat(4096), 403),
            ("a password", &format!("{PASSWORD}-rgw"), 403),
        ] {
            let answer = stand.post(path, token, &asked("credentials", "AAAA")).await;
            assert_eq!(answer.status, status, "{path} {what}: {answer:?}");
        }
        let (one, two) = (format!("X-Auth-Token: {right}"), "X-Auth-Token: canary");
        let headers = ["Content-Type: application/json", &one, two];
        assert_eq!(stand.send(&format!("POST {path}"), &headers, "{}").await.status, 403);
    }
    for (body, status) in [
        (json!({}), 400),
        (json!({ "credentials": {} }), 400),
        (json!({ "credentials": [1] }), 400),
        (asked("credentials", "not base64!"), 400),
        (asked("auth", "AAAA"), 400),
        (
            json!({ "credentials": { "access": "A".repeat(129), "token": "AA", "signature": "0" } }),
            400,
        ),
        (json!({ "credentials": { "access": "", "token": "AA", "signature": "0" } }), 400),
        (json!({ "credentials": "x".repeat(2 << 20) }), 413),
    ] {
        let answer = stand.post("/v3/s3tokens", &right, &body).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    assert!(stand.auth.texts().is_empty() && stand.auth.heads().is_empty());
}

#[tokio::test]
async fn no_secret_is_told_to_anybody() {
    let stand = Stand::start().await;
    let token = format!("X-Auth-Token: {}", stand.token("rgw").await);
    for path in ["/v3/users/u/credentials/OS-EC2/AKIACLIENT", "/v3/users/u/credentials/OS-EC2"] {
        for (headers, status) in [(&[&*token][..], 403), (&[], 401), (&["X-Auth-Token: x"], 401)] {
            let answer = stand.send(&format!("GET {path}"), headers, "").await;
            assert_eq!(answer.status, status, "{path}");
        }
    }
}

#[tokio::test]
async fn a_request_that_another_received_is_put_together_for_auth() {
    let stand = Stand::start().await;
    let token = stand.token("rgw").await;
    let signature = "0b".repeat(32);
    let body = |service: &str| {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIACLIENT/20260301/RegionOne/{service}/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={signature}"
        );
        json!({ "ec2Credentials": {
            "access": "AKIACLIENT",
            "signature": signature,
            "host": "heat.example:8000",
            "verb": "POST",
            "path": "/",
            "params": { "Action": "DescribeStacks" },
            "headers": { "Authorization": authorization, "X-Amz-Date": "20260301T120000Z" },
            "body_hash": "0c".repeat(32),
        } })
    };
    let shown = signature.clone();
    let signed = move |_: &str| {
        Ok(Some(Verdict::Verified(Verified { signature: shown.clone(), ..by_alice() })))
    };
    stand.auth.says(signed.clone());
    let answer = stand.post("/v3/ec2tokens", &token, &body("ec2")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.header("x-subject-token").is_none(), "nothing is minted");
    assert_eq!(json(&answer)["token"]["user"]["name"], "alice");
    let [asked] = <[_; 1]>::try_from(stand.auth.relayed()).expect("one question");
    assert_eq!((&*asked.region, &*asked.service), ("RegionOne", "ec2"));
    assert_eq!(asked.body_sha256, [12; 32]);
    assert_eq!(asked.host_candidates, ["heat.example"]);
    let Some(api::auth::v1::verify_signature_request::Request::RawHead(head)) = asked.request
    else {
        panic!("a head")
    };
    let head = String::from_utf8(head.to_vec()).expect("text");
    assert!(head.starts_with("POST / HTTP/1.1\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(head.contains("host: heat.example:8000\r\n"), "{head}");

    let answer = stand.post("/v3/ec2tokens", &token, &body("s3")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let asked = stand.auth.relayed();
    assert_eq!((&*asked[0].region, &*asked[0].service), ("us-east-1", "s3"));
    assert!(asked[0].body_sha256.is_empty() && asked[0].host_candidates.is_empty());

    // What is signed for the gateway's own APIs is asked about by nobody.
    for service in ["iam", "claviger", "api", "sts"] {
        let answer = stand.post("/v3/ec2tokens", &token, &body(service)).await;
        assert_eq!(answer.status, 401, "{service}");
    }
    let mut injected = body("ec2");
    injected["ec2Credentials"]["headers"]["X-Amz-Date"] = json!("a\r\nX-Amz-Acl: b");
    assert_eq!(stand.post("/v3/ec2tokens", &token, &injected).await.status, 400);
    assert!(stand.auth.relayed().is_empty());
    // What auth verified is what was asked about.
    for (name, value) in [("access", "AKIAOTHER"), ("signature", "00")] {
        let mut other = body("ec2");
        other["ec2Credentials"][name] = json!(value);
        assert_eq!(stand.post("/v3/ec2tokens", &token, &other).await.status, 401, "{name}");
    }
    let not_mine = denied("SignatureDoesNotMatch", 403, 0);
    stand.auth.says(move |_| Ok(Some(Verdict::Denied(not_mine.clone()))));
    assert_eq!(stand.post("/v3/ec2tokens", &token, &body("ec2")).await.status, 401);
    let nobodys = denied("InvalidAccessKeyId", 403, 0);
    stand.auth.says(move |_| Ok(Some(Verdict::Denied(nobodys.clone()))));
    assert_eq!(stand.post("/v3/ec2tokens", &token, &body("ec2")).await.status, 404);
}

#[tokio::test]
async fn the_log_says_who_signed_and_no_secret() {
    let log = Log::start();
    let stand = Stand::start().await;
    stand.auth.says_of_text(|_| Ok(Some(TextVerdict::Verified(by_alice()))));
    let token = stand.token("rgw").await;
    let answer = stand.ask(&token).await;
    let line = log.line(&answer).await;
    assert_eq!((&line["status"], &line["account"]), (&json!(200), &json!(ACCOUNT)));
    assert_eq!(line["access_key_id"], "AKIACLIENT");
    assert!(line["bytes_in"].as_u64().is_some_and(|bytes| bytes > 0));
    let answer = stand.ask("canary-token").await;
    assert_eq!(log.line(&answer).await["code"], "WrongToken");
    let said = log.text();
    for secret in [PASSWORD, &token, "canary-token", &"0a".repeat(32)] {
        assert!(!said.contains(secret), "{secret}");
    }
}
