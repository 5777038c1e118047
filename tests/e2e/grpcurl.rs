//! grpcurl, as a person uses it.

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::{Dev, Home, Key, succeeded, tool};

fn grpcurl(dev: &Dev, listener: &str, token: Option<&str>, args: &[&str]) -> Output {
    let mut command = Command::new(tool("bin/grpcurl"));
    command.arg("-plaintext").stdin(Stdio::null());
    if let Some(token) = token {
        command.args(["-H", &format!("authorization: Bearer {token}")]);
    }
    // Flags come before the address, what is asked after it.
    let (flags, rest): (Vec<&str>, Vec<&str>) = match args {
        ["-d", body, rest @ ..] => (vec!["-d", body], rest.to_vec()),
        rest => (vec![], rest.to_vec()),
    };
    command.args(flags).arg(dev.address(listener)).args(rest).output().expect("grpcurl runs")
}

fn call(dev: &Dev, listener: &str, method: &str, body: &Value) -> Value {
    let token = dev.text("admin_token");
    let output = grpcurl(dev, listener, Some(&token), &["-d", &body.to_string(), method]);
    serde_json::from_str(&succeeded(method, output)).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_listed_without_a_token_on_every_port() {
    let home = Home::new();
    let dev = home.start();
    let health = "grpc.health.v1.Health";
    let reflection =
        ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];
    for (listener, service, elsewhere) in [
        ("identity", "claviger.identity.v1.AccessKeyService", "claviger.auth.v1.AuthService"),
        ("identity", "claviger.identity.v1.CredentialFeedService", "claviger.auth.v1.AuthService"),
        ("auth", "claviger.auth.v1.AuthService", "claviger.identity.v1.UserService"),
    ] {
        let listed = succeeded("list", grpcurl(&dev, listener, None, &["list"]));
        for expected in [service, health, reflection[0], reflection[1]] {
            assert!(listed.contains(expected), "{listener}: {listed}");
        }
        assert!(!listed.contains(elsewhere), "{listener}: {listed}");
        // grpcurl asks by v1 where there is one; older tools know v1alpha only.
        for protocol in ["grpc-v1", "grpc-v1alpha"] {
            let mut buf = Command::new(tool("venv/bin/buf"));
            buf.args(["curl", "--http2-prior-knowledge", "--protocol", "grpc"]);
            buf.args(["--reflect-protocol", protocol, "--list-services"]);
            let output = buf.arg(dev.text(listener)).output().expect("buf runs");
            let listed = succeeded(protocol, output);
            assert!(listed.contains(service), "{protocol}: {listed}");
        }
        let body = json!({ "service": service }).to_string();
        let args = ["-d", &body, "grpc.health.v1.Health/Check"];
        let checked = succeeded("Check", grpcurl(&dev, listener, None, &args));
        assert!(checked.contains("SERVING"), "{checked}");
    }
    let described =
        grpcurl(&dev, "identity", None, &["describe", "claviger.identity.v1.UserService.LockUser"]);
    let described = succeeded("describe", described);
    assert!(described.contains("LockUser makes every request of the user fail"), "{described}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_and_a_key_are_made_and_the_key_works_at_once() {
    let home = Home::new();
    let dev = home.start();
    let body = json!({ "parent": dev.account(), "user": { "userName": "alice" } });
    let made = call(&dev, "identity", "claviger.identity.v1.UserService/CreateUser", &body);
    let body = json!({ "parent": made["user"]["name"] });
    let method = "claviger.identity.v1.AccessKeyService/CreateAccessKey";
    let made = call(&dev, "identity", method, &body);
    let key = Key {
        id: made["accessKey"]["accessKeyId"].as_str().expect("text").into(),
        secret: made["secretAccessKey"].as_str().expect("text").into(),
    };
    assert_eq!(made["accessKey"]["state"], "ACCESS_KEY_STATE_ACTIVE");
    dev.aws_ok(&key, &["s3", "mb", "s3://alices"]);

    let body = json!({
        "head": {
            "method": "GET",
            "target": "/",
            "headers": [
                { "name": "Host", "value": "s3.example" },
                { "name": "X-Amz-Date", "value": "20130524T000000Z" },
                { "name": "X-Amz-Content-Sha256", "value": "UNSIGNED-PAYLOAD" },
                { "name": "Authorization", "value": format!(
                    "AWS4-HMAC-SHA256 Credential={}/20130524/us-east-1/s3/aws4_request, \
                     SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={}",
                    key.id, "0".repeat(64)
                ) },
            ],
        },
        "region": "us-east-1",
        "minPosition": made["position"],
    });
    let verdict = call(&dev, "auth", "claviger.auth.v1.AuthService/VerifySignature", &body);
    assert_eq!(verdict["denied"]["code"], "RequestTimeTooSkewed", "{verdict}");
    assert_eq!(verdict["denied"]["httpStatus"], 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_token_nothing_is_answered() {
    let home = Home::new();
    let dev = home.start();
    for (listener, method) in every_method(&dev) {
        for token in [None, Some("not-the-admin-token")] {
            let output = grpcurl(&dev, listener, token, &["-d", "{}", &method]);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{method}");
            assert!(stderr.contains("Code: Unauthenticated"), "{method}: {stderr}");
        }
    }
}

/// Every method of ours, with the port that serves it, as reflection tells.
fn every_method(dev: &Dev) -> Vec<(&'static str, String)> {
    let lines = |listener, args: &[&str]| {
        let listed = succeeded("list", grpcurl(dev, listener, None, args));
        listed.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut methods = vec![];
    for listener in ["identity", "auth"] {
        let services = lines(listener, &["list"]);
        for service in services.iter().filter(|service| service.starts_with("claviger.")) {
            methods.extend(lines(listener, &["list", service]).into_iter().map(|method| {
                let name = method.rsplit('.').next().expect("has a last part");
                (listener, format!("{service}/{name}"))
            }));
        }
    }
    assert!(methods.len() > 36, "{methods:?}");
    methods
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_nothing_is_refused_by_its_field_or_name() {
    let home = Home::new();
    let dev = home.start();
    let token = dev.text("admin_token");
    let nowhere = json!({
        "name": "accounts/01920000-0000-7000-8000-000000000000",
        "parent": "accounts/01920000-0000-7000-8000-000000000000",
    });
    for (listener, method) in every_method(&dev) {
        let name = method.rsplit('/').next().expect("has a last part");
        // These ask for nothing in particular, or last, or refuse each message by itself.
        let general = [
            "StreamVerifySignatures",
            "ListAccounts",
            "ListEvents",
            "WatchBuckets",
            "WatchEvents",
            "GetCheckpoint",
            "VerifyLog",
            "ExportLog",
            "ListAdminTokens",
            "GetKeystore",
            "RewrapDataKeys",
            "ScrubKeystore",
            "ExportKeystore",
        ];
        if general.contains(&name) {
            continue;
        }
        let body = nowhere.to_string();
        let args = ["-allow-unknown-fields", "-d", &body, &method];
        let mut command = Command::new(tool("bin/grpcurl"));
        command.args(["-plaintext", "-H", &format!("authorization: Bearer {token}")]);
        command.args(&args[..3]).arg(dev.address(listener)).arg(&method).stdin(Stdio::null());
        let output = command.output().expect("grpcurl runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let refused = ["Code: NotFound", "Code: InvalidArgument", "Code: PermissionDenied"];
        assert!(!output.status.success(), "{method}");
        assert!(refused.iter().any(|code| stderr.contains(code)), "{method}: {stderr}");
    }
}
