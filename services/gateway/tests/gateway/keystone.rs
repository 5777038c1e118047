//! Keystone's API, as a store sees it: who may ask, what auth is asked, and each status that there is.

use std::time::Instant;

use api::auth::v1::verify_signature_response::Verdict;
use api::auth::v1::verify_string_to_sign_response::Verdict as TextVerdict;
use api::auth::v1::{Denied, Principal, Verified};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use gateway::{Keystone, KeystoneService};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tonic::Status;
use zeroize::Zeroizing;

use crate::access_log::Log;
use crate::fake_auth::{ACCOUNT, FakeAuth, verified};
use crate::fake_upstream::FakeUpstream;
use crate::rig::{Answer, Gateway, PATIENCE, config, exchange, limits, request, serve};

const PASSWORD: &str = "s3cr3t-0123456789abcdef";
const TEXT: &str = "AWS4-HMAC-SHA256\n20260301T120000Z\n20260301/us-east-1/s3/aws4_request\n00??>>";

fn keystone() -> Keystone {
    Keystone {
        services: ["rgw", "swift"]
            .map(|name| KeystoneService {
                name: name.to_owned(),
                domain: "Default".to_owned(),
                project: "service".to_owned(),
                password: Zeroizing::new(format!("{PASSWORD}-{name}")),
                old_password: None,
            })
            .into(),
        roles: vec!["member".to_owned()],
        max_age: gateway::KEYSTONE_MAX_AGE,
    }
}

struct Stand {
    auth: FakeAuth,
    gateway: Gateway,
}

impl Stand {
    async fn start() -> Self {
        Self::with(Some(keystone())).await
    }

    async fn with(keystone: Option<Keystone>) -> Self {
        let (auth, upstream) = (FakeAuth::start().await, FakeUpstream::start().await);
        let config = config(auth.address, upstream.address, limits());
        let gateway = serve(gateway::Config { keystone, ..config }).await;
        Self { auth, gateway }
    }

    async fn send(&self, line: &str, headers: &[&str], body: &str) -> Answer {
        let answer =
            exchange(self.gateway.management, &request(line, headers, body.as_bytes())).await;
        assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
        assert_eq!(answer.header("vary"), Some("X-Auth-Token"), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
        let id = answer.header("x-openstack-request-id").expect("an id");
        assert_eq!(id.strip_prefix("req-"), answer.header("x-request-id"));
        if answer.status >= 400 && !line.starts_with("HEAD") {
            let error = &json(&answer)["error"];
            assert_eq!(error["code"], answer.status, "{answer:?}");
            assert!(error["message"].is_string() && error["title"].is_string(), "{answer:?}");
            assert_eq!(answer.header("www-authenticate").is_some(), answer.status == 401);
        }
        answer
    }

    async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        let token = format!("X-Auth-Token: {token}");
        let headers = ["Content-Type: application/json", &token];
        let headers = if token.ends_with(' ') { &headers[..1] } else { &headers[..] };
        self.send(&format!("POST {path}"), headers, &body.to_string()).await
    }

    async fn token(&self, name: &str) -> String {
        let answer = self.post("/v3/auth/tokens", "", &sign_in(name)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.header("x-subject-token").expect("a token").to_owned()
    }

    /// Asks as RGW does.
    async fn ask(&self, token: &str) -> Answer {
        self.post("/v3/s3tokens", token, &asked("credentials", &STANDARD.encode(TEXT))).await
    }
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// As RGW signs in.
fn sign_in(name: &str) -> Value {
    let domain = json!({ "name": "Default" });
    json!({ "auth": {
        "identity": {
            "methods": ["password"],
            "password": { "user": {
                "domain": domain, "name": name, "password": format!("{PASSWORD}-{name}"),
            } },
        },
        "scope": { "project": { "name": "service", "domain": domain } },
    } })
}

fn asked(name: &str, token: &str) -> Value {
    json!({ name: { "access": "AKIACLIENT", "token": token, "signature": "0a".repeat(32) } })
}

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
async fn nothing_is_served_where_nobody_may_ask() {
    let stand = Stand::with(None).await;
    for line in ["GET /v3", "GET /v3/", "POST /v3/auth/tokens", "POST /v3/s3tokens", "GET /v3/x"] {
        assert_eq!(stand.send(line, &[], "").await.status, 404, "{line}");
    }
    let index = exchange(stand.gateway.management, &request("GET /", &[], b"")).await;
    assert!(json(&index).get("versions").is_none());
}

#[tokio::test]
async fn versions_are_told_to_anybody() {
    let stand = Stand::start().await;
    for path in ["/v3", "/v3/"] {
        let answer = stand.send(&format!("GET {path}"), &[], "").await;
        assert_eq!(answer.status, 200);
        assert_eq!(json(&answer)["version"]["id"], "v3.14");
    }
    let index = exchange(stand.gateway.management, &request("GET /", &[], b"")).await;
    assert_eq!(json(&index)["name"], "claviger");
    assert_eq!(json(&index)["versions"]["values"][0]["status"], "stable");
    for (line, status) in [
        ("POST /v3", 405),
        ("PUT /v3/auth/tokens", 405),
        ("GET /v3/s3tokens", 405),
        ("PATCH /v3/users/u/credentials/OS-EC2/AK", 405),
        ("GET /v3/users", 404),
        ("GET /v3/projects", 404),
        ("POST /v3/credentials", 404),
    ] {
        let answer = stand.send(line, &[], "").await;
        assert_eq!(answer.status, status, "{line}");
        assert_eq!(answer.header("allow").is_some(), status == 405, "{line}");
    }
}

#[tokio::test]
async fn a_service_signs_in_by_its_password() {
    let stand = Stand::start().await;
    let answer = stand.post("/v3/auth/tokens", "", &sign_in("rgw")).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let document = json(&answer);
    let said = &document["token"];
    assert_eq!(said["methods"], json!(["password"]));
    assert_eq!(
        (&said["user"]["name"], &said["user"]["domain"]["id"]),
        (&json!("rgw"), &json!("default"))
    );
    assert_eq!(said["roles"][0]["name"], "service");
    assert_eq!((&said["catalog"], &said["is_domain"]), (&json!([]), &json!(false)));
    assert!(!answer.text().contains("s3cr3t"));
    let time = |name: &str| {
        let text = said[name].as_str().expect("text");
        chrono::DateTime::parse_from_rfc3339(text).expect("a time").timestamp()
    };
    assert_eq!(time("expires_at") - time("issued_at"), 3600);
    let (user, project) = (&said["user"]["id"], &said["project"]["id"]);

    let changed = |pointer: &str, value: Value| {
        let mut body = sign_in("rgw");
        *body.pointer_mut(pointer).expect("is there") = value;
        body
    };
    let at = "/auth/identity/password/user";
    let right = format!("{PASSWORD}-rgw");
    for (what, body, status) in [
        ("by id", changed(at, json!({ "id": user, "password": right })), 201),
        ("a project by id", changed("/auth/scope/project", json!({ "id": project })), 201),
        ("no scope", changed("/auth/scope", Value::Null), 201),
        ("a wrong password", changed(&format!("{at}/password"), json!("wrong")), 401),
        ("another's password", changed(&format!("{at}/name"), json!("swift")), 401),
        ("nobody", changed(&format!("{at}/name"), json!("nobody")), 401),
        ("another domain", changed(&format!("{at}/domain/name"), json!("Other")), 401),
        ("no domain", changed(&format!("{at}/domain"), Value::Null), 401),
        ("another project", changed("/auth/scope/project/name", json!("admin")), 401),
        (
            "a domain as scope",
            changed("/auth/scope", json!({ "domain": { "id": "default" } })),
            401,
        ),
        ("the system as scope", changed("/auth/scope", json!({ "system": { "all": true } })), 401),
        ("no scope in words", changed("/auth/scope", json!("unscoped")), 401),
        ("by token", changed("/auth/identity/methods", json!(["token"])), 401),
        ("twice", changed("/auth/identity/methods", json!(["password", "totp"])), 401),
        ("nothing", changed("/auth/identity/methods", json!([])), 401),
        ("long", changed(&format!("{at}/password"), json!("x".repeat(2000))), 401),
        ("a number", changed(&format!("{at}/password"), json!(1)), 400),
        ("no user", changed(at, json!([])), 400),
        ("no methods", changed("/auth/identity/methods", Value::Null), 400),
        ("nothing at all", json!({}), 400),
        ("a list", json!([]), 400),
    ] {
        let answer = stand.post("/v3/auth/tokens", "", &body).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        assert_eq!(answer.header("x-subject-token").is_some(), status == 201, "{what}");
        // A right one between the wrong, so that there is no pause.
        stand.token("rgw").await;
    }
    let form = ["Content-Type: application/x-www-form-urlencoded"];
    assert_eq!(stand.send("POST /v3/auth/tokens", &form, "a=b").await.status, 415);
}

#[tokio::test]
async fn ten_wrong_passwords_make_a_pause_for_that_service() {
    let stand = Stand::start().await;
    let mut wrong = sign_in("rgw");
    wrong["auth"]["identity"]["password"]["user"]["password"] = json!("wrong");
    for _ in 0..10 {
        assert_eq!(stand.post("/v3/auth/tokens", "", &wrong).await.status, 401);
    }
    for body in [wrong, sign_in("rgw")] {
        let answer = stand.post("/v3/auth/tokens", "", &body).await;
        assert_eq!(answer.status, 429);
        let seconds: u32 = answer.header("retry-after").expect("told").parse().expect("a number");
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
    stand.token("swift").await;
}

#[tokio::test]
async fn a_token_is_shown_for_each_call_and_tells_what_it_is() {
    let stand = Stand::start().await;
    let (rgw, swift) = (stand.token("rgw").await, stand.token("swift").await);
    let mut bytes = URL_SAFE_NO_PAD.decode(&rgw).expect("base64");
    bytes[20] ^= 1;
    let tampered = URL_SAFE_NO_PAD.encode(bytes);
    for (method, auth, subject, status) in [
        ("GET", Some(&rgw), Some(&rgw), 200),
        ("HEAD", Some(&rgw), Some(&rgw), 200),
        ("GET", Some(&rgw), Some(&swift), 404),
        ("GET", Some(&rgw), Some(&tampered), 404),
        ("GET", Some(&rgw), None, 404),
        ("GET", Some(&tampered), Some(&rgw), 401),
        ("GET", None, Some(&rgw), 401),
        ("DELETE", Some(&rgw), Some(&rgw), 501),
        ("DELETE", None, Some(&rgw), 401),
    ] {
        let mut headers = vec![];
        headers.extend(auth.map(|token| format!("X-Auth-Token: {token}")));
        headers.extend(subject.map(|token| format!("X-Subject-Token: {token}")));
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        let answer = stand.send(&format!("{method} /v3/auth/tokens"), &headers, "").await;
        assert_eq!(answer.status, status, "{method} {headers:?}");
        if answer.status == 200 {
            assert_eq!(answer.header("x-subject-token"), Some(rgw.as_str()));
            assert!(method == "HEAD" || json(&answer)["token"]["user"]["name"] == "rgw");
        }
    }
    // Another gateway with the same passwords knows it, and one with others does not.
    assert_eq!(Stand::start().await.ask(&rgw).await.status, 200);
    let mut others = keystone();
    others.services[0].password = Zeroizing::new("another-0123456789abcdef".to_owned());
    let others = Stand::with(Some(others)).await;
    assert_eq!(others.ask(&rgw).await.status, 403);
    assert_eq!(others.ask(&swift).await.status, 200);
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
    let stand = Stand::start().await;
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
        let line = Log::start().line(&answer).await;
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

#[tokio::test]
async fn no_more_sign_in_at_once_than_may() {
    let stand = Stand::start().await;
    let (token, management) = (stand.token("rgw").await, stand.gateway.management);
    let json = "Content-Type: application/json";
    let head = request("POST /v3/auth/tokens", &[json, "Content-Length: 9"], b"");
    let mut waiting = vec![];
    for _ in 0..64 {
        let mut stream = TcpStream::connect(management).await.expect("a connection");
        stream.write_all(&head).await.expect("sent");
        waiting.push(stream);
    }
    let start = Instant::now();
    let mut answer = stand.post("/v3/auth/tokens", "", &sign_in("rgw")).await;
    while answer.status != 503 {
        assert!(answer.status == 201 && start.elapsed() < PATIENCE, "{answer:?}");
        answer = stand.post("/v3/auth/tokens", "", &sign_in("rgw")).await;
    }
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    // Who is in already goes on, and whoever goes away leaves a place to others.
    assert_eq!(stand.ask(&token).await.status, 200);
    waiting.clear();
    while stand.post("/v3/auth/tokens", "", &sign_in("rgw")).await.status != 201 {
        assert!(start.elapsed() < PATIENCE, "no place is given back");
    }
}
