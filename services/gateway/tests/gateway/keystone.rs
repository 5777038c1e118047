//! Keystone's API, as a store sees it: who may ask, and by what.

mod questions;

use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gateway::{Keystone, KeystoneService};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use crate::fake_auth::FakeAuth;
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
