//! Envoy, as we ship its configuration, in front of a store that believes it.

mod proxy;
mod store;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use api::identity::v1::LockUserRequest;
use http::Method;
use serde_json::Value;

use self::proxy::{Proxied, shipped};
use crate::support::{
    Key, PATIENCE, claviger, error_code, send, send_for_body, signed, signed_get, succeeded, tool,
};

/// The paths of keys that proxies like to change.
pub(crate) const AWKWARD: [&str; 9] = [
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

/// Runs `claviger doctor envoy`: its exit code and, of each probe that broke, its name and what to set.
fn doctor(proxied: &Proxied, key: &Key) -> (i32, Vec<(String, String)>) {
    let mut command = Command::new(claviger());
    command.args(["doctor", "envoy", "--endpoint", &proxied.endpoint, "-o", "json"]);
    let output = proxied.run(key, &mut command);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let broken = found.as_array().into_iter().flatten().filter(|found| found["outcome"] != "ok");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let broken = broken.map(|found| (text(&found["probe"]), text(&found["set"]))).collect();
    (output.status.code().expect("ended by itself"), broken)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_nothing_wrong_with_what_we_ship() {
    let proxied = Proxied::start().await;
    let root = proxied.dev.root();
    assert_eq!(doctor(&proxied, &root), (0, vec![]));
    let seen: Vec<_> = proxied.store.seen().iter().map(|seen| seen.uri.to_string()).collect();
    for target in
        ["//a//b", "/a/../b", "/%61%7E%2D", "/a%2Fb%2f..", "/a+b%2Bc?prefix=x%20y%2Bz%2F&empty="]
    {
        let target = format!("/claviger-doctor{target}");
        assert!(seen.contains(&target), "{target}: {seen:?}");
    }
    let nobody = Key { id: "AKIANOBODY0123456789".into(), ..root.clone() };
    assert_eq!(doctor(&proxied, &nobody).0, 4);
    let wrong = Key { secret: "another secret".into(), ..root };
    let (code, broken) = doctor(&proxied, &wrong);
    assert_eq!((code, broken.len(), broken[0].0.as_str()), (1, 1, "plain key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_names_the_setting_that_breaks_what_clients_sign() {
    let filters = "          http_filters:\n";
    for (from, to, probes, set) in [
        ("merge_slashes: false ", "merge_slashes: true ", &["key with //"][..], "merge_slashes"),
        (
            "normalize_path: false ",
            "normalize_path: true ",
            &["key with /../", "key with /./"],
            "normalize_path",
        ),
        ("KEEP_UNCHANGED ", "UNESCAPE_AND_FORWARD ", &["key with %2F"], "KEEP_UNCHANGED"),
        (
            "KEEP_UNCHANGED ",
            "UNESCAPE_AND_REDIRECT ",
            &["key with %2F", "key with %5C"],
            "KEEP_UNCHANGED",
        ),
        (
            "headers_with_underscores_action: ALLOW",
            "headers_with_underscores_action: REJECT_REQUEST",
            &["metadata with _"],
            "headers_with_underscores_action",
        ),
        (
            "encode_raw_headers: true",
            "encode_raw_headers: false",
            &["metadata that is no UTF-8"],
            "encode_raw_headers",
        ),
        (
            "preserve_external_request_id: true",
            "preserve_external_request_id: false",
            &["signed x-request-id"],
            "preserve_external_request_id",
        ),
        (
            filters,
            &format!("          strip_any_host_port: true\n{filters}"),
            &["plain key"],
            "strip_any_host_port",
        ),
        (
            "check_settings:\n                      # What clients must have signed for. Without a region, auth.region of \
             auth's configuration.\n                      context_extensions: { region: us-east-1, service: s3 }",
            "disabled: true",
            &["wrong signature"],
            "ext_authz",
        ),
    ] {
        let proxied = Proxied::with(&[(from, to)]).await;
        let (code, broken) = doctor(&proxied, &proxied.dev.root());
        let names: Vec<_> = broken.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((code, &names[..]), (1, probes), "{to}: {}", proxied.log());
        assert!(broken.iter().all(|(_, told)| told.contains(set)), "{to}: {broken:?}");
    }
}

#[test]
fn an_envoy_adds_who_rgw_is_as_described() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rgw.md");
    let guide = std::fs::read_to_string(guide).expect("read");
    let described = guide.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let shipped = std::fs::read_to_string(shipped()).expect("read");
    let (_, clusters) = shipped.split_once("\n  clusters:\n").expect("has clusters");
    let config = format!("{}  clusters:\n{clusters}", described.expect("is there"));
    let file = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
    std::fs::write(file.path(), config).expect("written");
    let mut command = Command::new(tool("envoy/bin/envoy"));
    command.args(["--mode", "validate", "--log-level", "warning", "-c"]).arg(file.path());
    command.env("CLAVIGER_GATEWAY_TOKEN", "a token of 16 letters");
    succeeded("envoy --mode validate", command.output().expect("envoy runs"));
}

#[test]
fn manifests_can_be_read() {
    for name in ["istio", "envoy-gateway"] {
        let file = format!("{}/../../deploy/{name}/s3.yaml", env!("CARGO_MANIFEST_DIR"));
        let read = "import sys, yaml\n\
                    objects = [o for o in yaml.safe_load_all(open(sys.argv[1])) if o]\n\
                    assert objects and all(o['kind'] and o['metadata']['name'] for o in objects)";
        let mut command = Command::new(tool("venv/bin/python"));
        succeeded(name, command.args(["-c", read, &file]).output().expect("python runs"));
    }
}
