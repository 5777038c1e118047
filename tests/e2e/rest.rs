//! The REST API at the gateway: every call, every kind of refusal, and schemathesis against its document.

mod client;
mod lifecycle;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use self::client::{Answer, Rest};
use crate::support::{Home, PATIENCE, succeeded, tool};

/// What schemathesis looks at. What is refused it cannot know: the document has no word for "unique", nor for
/// "not in the past".
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,unsupported_method,\
                      allow_header_conformance,missing_required_header";

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/rest").join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_of_aws_libraries_is_taken_for_any_call() {
    let home = Home::new();
    let dev = home.start();
    let mut command = Command::new(tool("venv/bin/python"));
    command.arg(script("signed.py")).envs(dev.environment(&dev.root())).stdin(Stdio::null());
    command.env("CLAVIGER_MANAGEMENT_URL", dev.text("rest")).env("CLAVIGER_ACCOUNT", dev.account());
    succeeded("signed.py", command.output().expect("python runs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing_that_the_document_does_not_say() {
    let home = Home::new();
    let dev = home.start();
    let (user, made) = dev.user_with_key("alice").await;
    let access_key_id = made.access_key.expect("there").access_key_id;
    let run = |which: [&str; 2]| {
        let mut command = Command::new(tool("venv/bin/schemathesis"));
        command
            .args(["--no-color", "--config-file"])
            .arg(script("schemathesis.toml"))
            .args(["run", &format!("{}/openapi.json", dev.text("rest"))])
            .args(["-H", &format!("Authorization: Bearer {}", dev.text("admin_token"))])
            .args(["--phases", "coverage,fuzzing", "--seed", "1", "--max-examples", "8"])
            .args(["--suppress-health-check", "all", "--continue-on-failure"])
            .args(["--checks", CHECKS])
            .args(which)
            .env("CLAVIGER_ACCOUNT", dev.text("account/number"))
            .env("CLAVIGER_USER", &user.user_name)
            .env("CLAVIGER_ACCESS_KEY_ID", &access_key_id)
            .current_dir(home.path())
            .stdin(Stdio::null());
        succeeded("schemathesis", command.output().expect("schemathesis runs"))
    };
    // What would take away what is asked for comes last.
    let deletes = "^(Delete|Purge|Replace)";
    run(["--exclude-operation-id-regex", deletes]);
    run(["--include-operation-id-regex", deletes]);
    // It got past the front door.
    let rest = Rest::of(&dev);
    for kind in ["user_locked", "secret_access_key_rotated", "user_deleted"] {
        let events = rest.ask("GET", &format!("/v1/events?kinds={kind}"), &[], "").await.json();
        let by_rest = |event: &&Value| event["actor"]["facade"] == "rest";
        let events = events["events"].as_array().expect("an array").iter();
        assert!(events.filter(by_rest).count() > 0, "{kind}");
    }
    assert!(!home.log().contains("panicked"), "{}", home.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_with_its_password_is_taken_and_wrong_ones_are_slowed_down() {
    let home = Home::new();
    let dev = home.start();
    let rest = Rest::of(&dev);
    let users = format!("/v1/{}/users", dev.account());
    let send = async |login: &str, password: &str| {
        let credential = STANDARD.encode(format!("{login}:{password}"));
        let credential = format!("Basic {credential}");
        rest.send("GET", &users, &[("authorization", credential.as_str())], "").await
    };
    let (login, password) = (dev.text("root/login"), dev.text("root/password"));
    assert_eq!(send(&login, &password).await.json()["users"][0]["userName"], "root");
    let nobody = login.replace("root", "nobody");
    for login in [login.as_str(), &nobody] {
        for _ in 0..4 {
            send(login, "wrong").await.check_problem(401, "WRONG_PASSWORD");
        }
        // The right one has to wait too.
        let answer = send(login, &password).await;
        answer.check_problem(429, "TOO_MANY_WRONG_PASSWORDS");
        assert_eq!(answer.headers["retry-after"], "60");
    }
    assert!(!home.log().contains(&password));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_asks_for_a_credential() {
    let home = Home::new();
    let dev = home.start();
    let rest = Rest::of(&dev);
    let document = rest.document().await;
    let signature = "AWS4-HMAC-SHA256 Credential=AKIA0000000000000000/20260101/us-east-1/claviger/\
                     aws4_request, SignedHeaders=host, Signature=00";
    let credentials = [
        ("", "MISSING_CREDENTIAL"),
        ("Bearer ", "UNKNOWN_ADMIN_TOKEN"),
        ("Bearer 0000", "UNKNOWN_ADMIN_TOKEN"),
        ("Digest x", "UNKNOWN_CREDENTIAL"),
        (signature, ""),
        ("AWS4-HMAC-SHA256 ", ""),
    ];
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().expect("an object") {
        for (verb, operation) in operations.as_object().expect("an object") {
            if operation["security"] == json!([]) {
                assert_eq!(rest.send(verb, path, &[], "").await.status, 200, "{path}");
                continue;
            }
            let path = path.replace(['{', '}'], "x");
            for (credential, reason) in credentials {
                let headers = [("authorization", credential)];
                let headers = if credential.is_empty() { &[][..] } else { &headers };
                let answer = rest.send(verb, &path, headers, "").await;
                answer.check_problem(401, reason);
                assert_eq!(answer.headers.get_all("www-authenticate").iter().count(), 3);
                asked += 1;
            }
        }
    }
    assert!(asked > 30 * credentials.len(), "{asked}");
}

/// One request that is refused.
struct Refused(
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    String,
    u16,
    &'static str,
);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_told_as_a_problem() {
    let home = Home::new();
    let dev = home.start();
    let rest = Rest::of(&dev);
    let json = &[("content-type", "application/json")][..];
    let none = &[][..];
    let long = format!("{{\"displayName\":\"{}\"}}", "x".repeat(1 << 20));
    let text = str::to_owned;
    let rows = [
        Refused("GET", "/v1", none, text(""), 404, "NO_SUCH_ROUTE"),
        Refused("GET", "/v1/", none, text(""), 404, "NO_SUCH_ROUTE"),
        Refused("GET", "/v1/accounts/", none, text(""), 404, "NO_SUCH_ROUTE"),
        Refused("GET", "/v1/accounts/a%2Fb", none, text(""), 404, "NO_SUCH_ROUTE"),
        Refused("GET", "/v1/accounts/123456789012", none, text(""), 404, "NO_SUCH_ACCOUNT"),
        Refused("GET", "/v1/accounts/x%20y", none, text(""), 400, "INVALID_FIELD"),
        Refused("PUT", "/v1/accounts", none, text(""), 405, "METHOD_NOT_ALLOWED"),
        Refused("OPTIONS", "/v1/accounts", none, text(""), 405, "METHOD_NOT_ALLOWED"),
        Refused("POST", "/docs", none, text(""), 405, "METHOD_NOT_ALLOWED"),
        Refused("DELETE", "/openapi.json", none, text(""), 405, "METHOD_NOT_ALLOWED"),
        Refused("POST", "/v1/accounts", none, text("{}"), 415, "UNSUPPORTED_MEDIA_TYPE"),
        Refused(
            "POST",
            "/v1/accounts",
            &[("content-type", "text/plain")],
            text("{}"),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        Refused(
            "POST",
            "/v1/accounts",
            &[("content-type", "application/json"), ("content-encoding", "gzip")],
            text("{}"),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        Refused("POST", "/v1/accounts", json, long, 413, "BODY_TOO_LARGE"),
        Refused("POST", "/v1/accounts", json, text("{"), 400, "MALFORMED_REQUEST"),
        Refused("POST", "/v1/accounts", json, text("[]"), 400, "INVALID_FIELD"),
        Refused("POST", "/v1/accounts", json, text("{\"a\":1,\"a\":1}"), 400, "MALFORMED_REQUEST"),
        Refused("POST", "/v1/accounts", json, "[".repeat(1000), 400, "MALFORMED_REQUEST"),
        Refused("POST", "/v1/accounts", json, text("{\"nope\":1}"), 400, "INVALID_FIELD"),
        Refused("POST", "/v1/accounts", json, text("{}"), 400, "INVALID_FIELD"),
        Refused("GET", "/v1/accounts", json, text("{}"), 400, "MALFORMED_REQUEST"),
        Refused("GET", "/v1/accounts?nope=1", none, text(""), 400, "INVALID_FIELD"),
        Refused("GET", "/v1/accounts?pageSize=1&pageSize=1", none, text(""), 400, "INVALID_FIELD"),
        Refused("GET", "/v1/accounts?pageToken=%ff", none, text(""), 400, "MALFORMED_REQUEST"),
        Refused("GET", "/v1/accounts?pageToken=x", none, text(""), 400, "INVALID_PAGE_TOKEN"),
        Refused("GET", "/v1/accounts", &[("if-match", "\"x\"")], text(""), 400, "INVALID_FIELD"),
        Refused(
            "DELETE",
            "/v1/{account}",
            &[("if-match", "\"x\"")],
            text(""),
            412,
            "ETAG_MISMATCH",
        ),
        Refused(
            "DELETE",
            "/v1/{account}",
            &[("if-match", "W/\"x\"")],
            text(""),
            412,
            "ETAG_MISMATCH",
        ),
        Refused("DELETE", "/v1/{account}", &[("if-match", "x")], text(""), 400, "INVALID_FIELD"),
        Refused("DELETE", "/v1/{account}?etag=x", none, text(""), 409, "ETAG_MISMATCH"),
        Refused(
            "DELETE",
            "/v1/{account}?etag=y",
            &[("if-match", "\"x\"")],
            text(""),
            400,
            "INVALID_FIELD",
        ),
        Refused(
            "POST",
            "/v1/{account}/users/root:lock",
            &[("sec-fetch-site", "cross-site")],
            text(""),
            403,
            "CROSS_ORIGIN",
        ),
        Refused("GET", "/v1/{account}/users/..", none, text(""), 404, "NO_SUCH_ROUTE"),
        Refused("DELETE", "/v1/{account}/users/root", none, text(""), 400, "ROOT_USER"),
        Refused(
            "POST",
            "/v1/{account}/users",
            json,
            text("{\"userName\":\"ROOT\"}"),
            409,
            "USER_NAME_TAKEN",
        ),
    ];
    for Refused(verb, path, headers, body, status, reason) in rows {
        let path = path.replace("{account}", &dev.account());
        let answer = rest.ask(verb, &path, headers, &body).await;
        let problem = answer.check_problem(status, reason);
        assert_eq!(answer.headers.contains_key("allow"), status == 405, "{verb} {path}");
        assert_eq!(problem["violations"].is_array(), reason == "INVALID_FIELD", "{problem}");
    }
    let answer = rest.ask("POST", "/v1/accounts/1", &[], "").await;
    assert_eq!(answer.headers["allow"], "GET, HEAD, PATCH, DELETE");
    // No room for one more.
    let watch = || async { rest.open("/v1/events:watch").await };
    let watches: Vec<_> = futures::future::join_all((0..16).map(|_| watch())).await;
    let answer = rest.ask("GET", "/v1/events:watch", &[], "").await;
    answer.check_problem(429, "TOO_MANY_WATCHES");
    assert_eq!(answer.headers["retry-after"], "1");
    drop(watches);
    assert!(!home.log().contains("panicked"), "{}", home.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_and_says_why_it_ends() {
    let home = Home::new();
    let dev = home.start();
    let rest = Rest::of(&dev);
    let mut watch = rest.open("/v1/events:watch?kinds=user_created&kinds=user_locked").await;
    assert_eq!(watch.status(), 200);
    assert_eq!(watch.headers()["content-type"], "application/x-ndjson");
    let root: Value = client::line(&mut watch).await;
    assert_eq!(root["event"]["payload"]["userCreated"]["userName"], "root");
    let body = json!({ "userName": "alice" }).to_string();
    let headers = [("content-type", "application/json")];
    let made = rest.ask("POST", &format!("/v1/{}/users", dev.account()), &headers, &body).await;
    let alice = client::line(&mut watch).await;
    assert_eq!(alice["event"]["payload"]["userCreated"]["userName"], "alice");
    assert_eq!(alice["event"]["position"], made.json()["position"]);
    assert_eq!(alice["resumePosition"], made.json()["position"]);
    let ended = tokio::task::spawn_blocking(move || dev.terminate());
    let last = client::line(&mut watch).await;
    assert_eq!(
        (&last["error"]["status"], &last["error"]["reason"]),
        (&json!(503), &json!("WATCH_ENDED"))
    );
    let (status, took) = ended.await.expect("ended");
    assert!(status.success() && took < PATIENCE / 6, "{took:?}");
}

impl Answer {
    /// Checks that this is a problem with such a status and reason, and nothing about it is missing.
    fn check_problem(&self, status: u16, reason: &str) -> Value {
        let problem = self.json();
        assert_eq!(self.headers["content-type"], "application/problem+json", "{problem}");
        assert_eq!((self.status, &problem["status"]), (status, &json!(status)), "{problem}");
        if !reason.is_empty() {
            assert_eq!(problem["reason"], reason, "{problem}");
        }
        let id = self.headers["x-request-id"].to_str().expect("text");
        assert_eq!(problem["instance"], format!("urn:uuid:{id}"));
        for name in ["title", "detail"] {
            assert!(problem[name].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        assert_eq!(
            (&problem["type"], &self.headers["server"]),
            (&json!("about:blank"), &"claviger".parse().expect("a value"))
        );
        assert_eq!(self.headers["cache-control"], "no-store");
        problem
    }
}
