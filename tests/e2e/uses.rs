//! When access keys were last used, and who is locked out: as clients and operators see it.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use api::auth::v1::auth_service_client::AuthServiceClient;
use api::auth::v1::verify_signature_request::Request as SignedRequest;
use api::auth::v1::verify_signature_response::Verdict;
use api::auth::v1::{Denied, VerifySignatureRequest};
use api::identity::v1::RotateSecretAccessKeyRequest;
use http::header::RETRY_AFTER;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rpc::Token;
use serde_json::Value;

use crate::servers::{Server, secret};
use crate::support::{Dev, Home, Key, PATIENCE, claviger, error_code, signed_get, succeeded, tool};

/// Runs the aws CLI as a program with this name, until it prints what is wanted.
fn aws_until(dev: &Dev, key: &Key, args: &[&str], wanted: impl Fn(&str) -> bool) -> String {
    let start = Instant::now();
    loop {
        let said = dev.aws_ok(key, args);
        if wanted(&said) {
            return said;
        }
        assert!(start.elapsed() < PATIENCE, "{args:?}: {said}");
    }
}

fn shown(dev: &Dev, args: &[&str]) -> String {
    succeeded(&args.join(" "), dev.cli(args))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_key_and_each_of_its_secrets_tell_when_they_were_last_used() {
    let home = Home::new();
    let dev = home.start();
    let root = dev.root();
    // Known to auth by then, and so used once, from where nobody said: not in the region of the client.
    let (alice, _) = dev.user_with_key("alice").await;
    let request = api::identity::v1::CreateAccessKeyRequest {
        parent: alice.name.clone(),
        ..Default::default()
    };
    let made = dev.access_keys().create_access_key(request).await.expect("made").into_inner();
    let old = Key::from(&made);
    let last_used = ["iam", "get-access-key-last-used", "--access-key-id", &old.id];
    let said: Value = serde_json::from_str(&dev.aws_ok(&root, &last_used)).expect("JSON");
    let expected = serde_json::json!({ "ServiceName": "N/A", "Region": "N/A" });
    assert_eq!((&said["AccessKeyLastUsed"], &said["UserName"]), (&expected, &"alice".into()));

    let before = SystemTime::now();
    dev.aws_ok(&old, &["s3", "ls"]);
    let said = aws_until(&dev, &root, &last_used, |said| said.contains("\"s3\""));
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let used = &said["AccessKeyLastUsed"];
    assert_eq!(used["Region"], dev.text("region"));
    let date = used["LastUsedDate"].as_str().expect("a date");
    assert!(date.starts_with("20") && date.contains('T'), "{date}");
    let key = shown(&dev, &["key", "get", &old.id]);
    assert!(key.contains(" from 127.0.0.1 by aws-cli/"), "{key}");
    assert!(!key.contains("last used #"), "there is one secret: {key}");

    // In a grace period: who still uses the old secret?
    let name = made.access_key.expect("there").name;
    let rotate = RotateSecretAccessKeyRequest {
        name: name.clone(),
        grace_period_seconds: Some(3600),
        ..Default::default()
    };
    let new = dev.access_keys().rotate_secret_access_key(rotate).await.expect("rotated");
    let new = Key { id: old.id.clone(), secret: new.into_inner().secret_access_key };
    dev.until(&new, 200, "").await;
    let start = Instant::now();
    let line_of = |shown: &str, begin: &str| {
        let line = shown.lines().find_map(|line| line.strip_prefix(begin));
        line.unwrap_or_default().trim().to_owned()
    };
    let key = loop {
        let key = shown(&dev, &["key", "get", &old.id]);
        if line_of(&key, "last used #2").contains(" from ") {
            break key;
        }
        assert!(start.elapsed() < PATIENCE, "{key}");
    };
    let line = |begin: &str| line_of(&key, begin);
    assert!(line("last used #1").contains("by aws-cli/"), "{key}");
    assert!(!line("last used #2").contains("aws-cli"), "{key}");
    let end = |secret: &str| line(secret).split(' ').next().map(str::to_owned);
    assert!(end("last used #1") <= end("last used #2"), "{key}");
    assert!(before.elapsed().is_ok_and(|took| took < PATIENCE));

    // It outlives the process, and nothing of it is in the log.
    assert!(dev.terminate().0.success());
    let dev = home.start();
    let again = shown(&dev, &["key", "get", &old.id]);
    for secret in ["last used #1", "last used #2"] {
        assert_eq!(line_of(&again, secret), line(secret));
    }
    assert!(shown(&dev, &["key", "list"]).contains("LAST USED"));
    assert!(!shown(&dev, &["event", "list"]).contains("aws-cli"));
}

/// `GET /` signed with `key`, from this address: status, S3's code, and for how many seconds to wait.
async fn list_buckets(dev: &Dev, key: &Key, from: u8) -> (u16, String, Option<u32>) {
    let mut connector = HttpConnector::new();
    connector.set_local_address(Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, from))));
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let request = signed_get(&format!("{}/", dev.text("s3")), key, SystemTime::now());
    let response = client.request(request).await.expect("answered");
    let status = response.status().as_u16();
    let wait = response.headers().get(RETRY_AFTER).map(|wait| wait.to_str().expect("text"));
    let wait = wait.map(|wait| wait.parse().expect("seconds"));
    let body = response.into_body().collect().await.expect("read").to_bytes();
    (status, error_code(&String::from_utf8_lossy(&body)), wait)
}

async fn fail(dev: &Dev, key: &Key, from: u8, times: usize) {
    for n in 0..times {
        let wrong = Key { secret: format!("wrong {}", uuid::Uuid::new_v4()), ..key.clone() };
        let denied = (403, "SignatureDoesNotMatch".to_owned(), None);
        assert_eq!(list_buckets(dev, &wrong, from).await, denied, "{n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_wrong_signatures_lock_a_source_out_and_an_account_may_have_the_key_locked() {
    let home = Home::new();
    let dev = home.start();
    let (_, made) = dev.user_with_key("alice").await;
    let key = Key::from(&made);
    fail(&dev, &key, 1, 4).await;
    let (status, code, wait) = list_buckets(&dev, &key, 1).await;
    assert_eq!((status, code.as_str()), (503, "SlowDown"), "also what is signed right");
    assert!(wait.is_some_and(|wait| (50..=60).contains(&wait)), "{wait:?}");
    assert_eq!(list_buckets(&dev, &key, 2).await.0, 200, "another source is not");
    // Known to be good by now, whatever others behind it do.
    fail(&dev, &key, 2, 6).await;
    assert_eq!(list_buckets(&dev, &key, 2).await.0, 200);
    // AWS's own client, in the dialect of IAM.
    let refused = dev.aws(&key, &["iam", "get-user"]);
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(stderr.contains("Throttling"), "{stderr}");
    let start = Instant::now();
    let events = loop {
        let events = shown(&dev, &["event", "list"]);
        if events.contains("AccessKeyLockedOut") {
            break events;
        }
        assert!(start.elapsed() < PATIENCE, "{events}");
    };
    let told: Vec<_> = events.lines().filter(|line| line.contains("AccessKeyLockedOut")).collect();
    assert_eq!(told.len(), 1, "{events}");
    assert!(told[0].contains(&key.id) && told[0].contains("from 127.0.0.1 until "), "{events}");

    shown(&dev, &["account", "update", &dev.text("account/number"), "--lockout", "per-key"]);
    let (_, made) = dev.user_with_key("bob").await;
    let key = Key::from(&made);
    for _ in 0..2 {
        fail(&dev, &key, 3, 3).await;
        assert_eq!(list_buckets(&dev, &key, 2).await.0, 200, "which begins anew");
    }
    fail(&dev, &key, 3, 4).await;
    for from in [1, 2, 3] {
        let (status, code, wait) = list_buckets(&dev, &key, from).await;
        assert_eq!((status, code.as_str()), (403, "AccessDenied"), "{from}");
        assert!(wait.is_some_and(|wait| (50..=60).contains(&wait)), "{wait:?}");
    }
    assert_eq!(list_buckets(&dev, &dev.root(), 3).await.0, 200, "another key is not locked");
}

/// Asks an auth about a request of a client at this address: how it is denied, if it is.
async fn denied(auth: &str, token: &str, key: &Key, from: &str) -> Option<Denied> {
    let signed = signed_get("http://s3.example/", key, SystemTime::now());
    let mut raw_head = "GET / HTTP/1.1\r\n".to_owned();
    for (name, value) in signed.headers() {
        raw_head += &format!("{name}: {}\r\n", value.to_str().expect("text"));
    }
    let request = VerifySignatureRequest {
        request: Some(SignedRequest::RawHead((raw_head + "\r\n").into_bytes().into())),
        region: "us-east-1".into(),
        source_address: from.into(),
        ..Default::default()
    };
    let token = Token::parse(token).expect("a token");
    let channel = rpc::channel(auth, &token).expect("a URI");
    let start = Instant::now();
    loop {
        match AuthServiceClient::new(channel.clone()).verify_signature(request.clone()).await {
            Ok(answer) => match answer.into_inner().verdict.expect("a verdict") {
                Verdict::Denied(denied) => return Some(denied),
                Verdict::Verified(_) => return None,
            },
            // It has not heard identity yet.
            Err(status) => assert!(start.elapsed() < PATIENCE, "{status:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn create_account(dir: &Path, endpoint: &str) -> Key {
    let mut command = Command::new(claviger());
    command.args(["account", "create", "Acme", "--token-file", "admin-token", "-o", "json"]);
    command.args(["--endpoint", endpoint]).current_dir(dir).stdin(Stdio::null());
    let made = succeeded("account create", command.output().expect("claviger runs"));
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    Key { id: text(&made["accessKey"]["accessKeyId"]), secret: text(&made["secretAccessKey"]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_of_auth_lock_the_same_out_also_when_identity_and_they_start_anew() {
    const SOURCE: &str = "192.0.2.1";
    let home = Home::new();
    let dir = home.path();
    let random = || uuid::Uuid::new_v4().simple().to_string();
    let admin = random();
    secret(dir, "kek", &(random() + &random()));
    secret(dir, "admin-token", &admin);
    secret(dir, "auth-token", &random());
    secret(dir, "gateway-token", &random());
    let tokens = ["--admin-token-file", "admin-token", "--auth-token-file", "auth-token"];
    // Of which identity is to be found at the same when it starts anew.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("free");
    let listen = port.to_string();
    let args = ["--data-dir", "data", "--kek-file", "kek", "--listen", &listen];
    let start_identity = || {
        let mut identity = Server::start(dir, "identity", &[&args[..], &tokens].concat());
        identity.told("serving gRPC", "address");
        identity
    };
    let endpoint = format!("http://{listen}");
    let start_auth = || {
        let any = "127.0.0.1:0";
        let args =
            ["--identity", &endpoint, "--listen", any, "--gateway-token-file", "gateway-token"];
        let mut auth = Server::start(dir, "auth", &[&args[..], &tokens].concat());
        let uri = format!("http://{}", auth.told("serving gRPC", "address"));
        (auth, uri)
    };
    let identity = start_identity();
    let key = create_account(dir, &endpoint);
    let ((_one, one), (other, other_uri)) = (start_auth(), start_auth());
    let until_locked_out = async |auth: &str| {
        let start = Instant::now();
        loop {
            // What is signed wrong, so that it does not make the source known to be good: a fourth of it
            // would lock out there too.
            let wrong = Key { secret: "wrong".into(), ..key.clone() };
            let denied = denied(auth, &admin, &wrong, SOURCE).await.expect("is wrong");
            if denied.code == "SlowDown" {
                return denied.retry_after_seconds;
            }
            assert!(start.elapsed() < Duration::from_millis(1500), "{denied:?}");
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    };
    for n in 0..4 {
        let wrong = Key { secret: format!("wrong {n}"), ..key.clone() };
        let denied = denied(&one, &admin, &wrong, SOURCE).await.expect("is wrong");
        assert_eq!(denied.code, "SignatureDoesNotMatch");
    }
    assert!((1..=60).contains(&until_locked_out(&one).await));
    assert!((1..=60).contains(&until_locked_out(&other_uri).await));
    assert_eq!(denied(&other_uri, &admin, &key, "192.0.2.2").await, None);

    // An auth that starts anew knows by identity; an identity that does, by what auths tell it.
    other.terminate();
    drop(identity); // killed
    let _identity = start_identity();
    tokio::time::sleep(Duration::from_secs(6)).await; // until auth has found it: it waits for 5 s at most
    let (_anew, anew) = start_auth();
    assert_eq!(denied(&anew, &admin, &key, "192.0.2.2").await, None);
    assert!((1..=60).contains(&until_locked_out(&anew).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_is_told_of_last_uses() {
    let home = Home::new();
    let dev = home.start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/boto3/uses.py");
    let mut command = Command::new(tool("venv/bin/python"));
    command.arg(script).envs(dev.environment(&dev.root())).stdin(Stdio::null());
    succeeded("uses.py", command.output().expect("python runs"));
}
