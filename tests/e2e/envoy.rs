//! Envoy, as we ship its configuration, in front of a store that believes it.

mod proxy;
mod store;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use api::identity::v1::LockUserRequest;
use http::Method;

use self::proxy::{Proxied, shipped};
use crate::support::{
    Key, PATIENCE, error_code, send, send_for_body, signed, signed_get, succeeded, tool,
};

/// The paths of keys that proxies like to change.
const AWKWARD: [&str; 9] = [
    "a//b",
    "a/../b",
    "a/./b",
    "a%2Fb",
    "a%2F..%2Fb",
    "~a_b-c.d",
    "%C3%BC%E2%82%AC",
    "a%20b%2Bc",
    "a%5Cb%3Bc%3Ad%40e%3Df%2Cg/",
];

#[test]
fn the_configuration_is_one() {
    let mut command = Command::new(tool("envoy/bin/envoy"));
    command.args(["--mode", "validate", "--log-level", "warning", "-c"]).arg(shipped());
    command.env("CLAVIGER_GATEWAY_TOKEN", "a token of 16 letters");
    succeeded("envoy --mode validate", command.output().expect("envoy runs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_cli_and_boto3_work_through_envoy() {
    let proxied = Proxied::start().await;
    let root = proxied.dev.root();
    let aws = |args: &[&str]| {
        let output = proxied.run(&root, Command::new(tool("venv/bin/aws")).args(args));
        succeeded(&format!("aws {}", args.join(" ")), output)
    };
    aws(&["s3", "mb", "s3://photos"]);
    let file = proxied.home.path().join("file");
    std::fs::write(&file, vec![7; 20 << 20]).expect("written");
    aws(&["s3", "cp", "--no-progress", file.to_str().expect("text"), "s3://photos/a b/ü+1"]);
    assert!(aws(&["s3", "ls", "s3://photos/a b/"]).contains("20971520 ü+1"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/boto3/objects.py");
    let mut python = Command::new(tool("venv/bin/python"));
    succeeded("objects.py", proxied.run(&root, python.arg(script)));
    let told = proxied.store.seen();
    assert!(told.len() > 50, "{}", told.len());
    for request in told {
        assert_eq!(request.headers["x-claviger-access-key-id"], root.id.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn awkward_keys_verify_and_arrive_as_they_were_sent() {
    let proxied = Proxied::start().await;
    let root = proxied.dev.root();
    let put = |target: &str, body: &str| {
        let uri = format!("{}{target}", proxied.endpoint);
        let body = body.to_owned().into();
        send_for_body(signed(Method::PUT, &uri, &root, SystemTime::now(), body))
    };
    assert_eq!(put("/bucket", "").await.0, 200);
    proxied.store.seen();
    for path in AWKWARD {
        let target = format!("/bucket/{path}?x-id=a%20b%2B%2F&empty=");
        assert_eq!(put(&target, path).await, (200, String::new()), "{path}");
        let seen = proxied.store.seen();
        let seen = seen.iter().map(|request| request.uri.to_string()).collect::<Vec<_>>();
        assert_eq!(seen, [target], "goes on as it came");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_refused_in_the_words_of_s3_and_goes_no_further() {
    let proxied = Proxied::start().await;
    let root = proxied.dev.root();
    let uri = format!("{}/bucket/key", proxied.endpoint);
    let get = |key: &Key| signed_get(&uri, key, SystemTime::now());
    let denied = |code: &str| (403, code.to_owned());

    let wrong = Key { secret: "not the secret of this key".into(), ..root.clone() };
    let (status, document) = send_for_body(get(&wrong)).await;
    assert_eq!((status, error_code(&document).as_str()), (403, "SignatureDoesNotMatch"));
    assert!(document.contains("<Resource>/bucket/key</Resource>"), "{document}");
    assert!(document.contains("<StringToSign>AWS4-HMAC-SHA256"), "{document}");

    let nobody = Key { id: "AKIANOBODY0123456789".into(), ..root.clone() };
    assert_eq!(send(get(&nobody)).await, denied("InvalidAccessKeyId"));

    let mut tampered = get(&root);
    let unsigned = "UNSIGNED-PAYLOAD".parse().expect("text");
    tampered.headers_mut().insert("x-amz-content-sha256", unsigned);
    assert_eq!(send(tampered).await, denied("SignatureDoesNotMatch"));
    let mut added = get(&root);
    added.headers_mut().insert("x-amz-acl", "public-read".parse().expect("text"));
    assert_eq!(send(added).await, denied("AccessDenied"));
    let anonymous = http::Request::get(&uri).body(Default::default()).expect("a request");
    assert_eq!(send(anonymous).await, denied("AccessDenied"));

    let (user, made) = proxied.dev.user_with_key("alice").await;
    let alice = Key::from(&made);
    assert_eq!(send(get(&alice)).await.0, 404, "she may ask");
    assert_eq!(proxied.store.seen().len(), 1, "only what is verified goes on");
    let request = LockUserRequest { name: user.name, ..Default::default() };
    proxied.dev.users().lock_user(request).await.expect("locked");
    let start = std::time::Instant::now();
    while send(get(&alice)).await.0 == 404 {
        assert!(start.elapsed() < PATIENCE, "is still not locked");
    }
    let (status, document) = send_for_body(get(&alice)).await;
    assert_eq!((status, error_code(&document)), denied("AccessDenied"), "{document}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_say_who_he_is() {
    let proxied = Proxied::start().await;
    let root = proxied.dev.root();
    let uri = format!("{}/bucket/key", proxied.endpoint);
    let mut request = signed_get(&uri, &root, SystemTime::now());
    for (name, value) in [
        ("x-claviger-user", "root"),
        ("x-claviger-user", "again"),
        ("x-claviger-groups", "admins"),
        ("x_claviger_account", "another"),
        ("x-claviger-payload-mode", "sha256"),
    ] {
        request.headers_mut().append(name, value.parse().expect("text"));
    }
    assert_eq!(send(request).await.0, 404);
    let seen = proxied.store.seen();
    let headers = &seen[0].headers;
    let told = |name: &str| headers.get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(told("x-claviger-account"), [proxied.dev.text("account/id").as_str()]);
    assert_eq!(told("x-claviger-user").len(), 1);
    assert!(!told("x-claviger-user").contains(&&"root".parse().expect("text")));
    assert_eq!(told("x-claviger-access-key-id"), [root.id.as_str()]);
    assert_eq!(told("x-claviger-payload-mode"), ["sha256"]);
    for name in ["x-claviger-groups", "x_claviger_account", "authorization"] {
        assert_eq!(told(name).len(), 0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_auth_clients_are_told_to_try_again() {
    let proxied = Proxied::start().await;
    let root = proxied.dev.root();
    let uri = format!("{}/bucket/key", proxied.endpoint);
    let get = async || send_for_body(signed_get(&uri, &root, SystemTime::now())).await;
    assert_eq!(get().await.0, 404);
    let id = proxied.dev.id().to_string();
    assert!(Command::new("kill").args(["-KILL", &id]).status().expect("kill runs").success());
    let (status, document) = get().await;
    assert_eq!((status, error_code(&document).as_str()), (503, "ServiceUnavailable"), "{document}");
    let start = std::time::Instant::now();
    while !proxied.log().contains("ext_authz_error") {
        assert!(start.elapsed() < PATIENCE, "{}", proxied.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
