//! The client side of `claviger`: everything from a shell.

use serde_json::Value;

use crate::support::{Dev, Home, Key, succeeded};

fn json(dev: &Dev, args: &[&str]) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
    let output = succeeded(&args.join(" "), dev.cli(&args));
    serde_json::from_str(&output).unwrap_or_else(|error| panic!("{args:?}: {error}: {output}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_life_from_a_shell() {
    let home = Home::new();
    let dev = home.start();
    json(&dev, &["user", "create", "alice", "--label", "Alice's laptop"]);
    let made = json(&dev, &["key", "create", "alice"]);
    let id = made["accessKey"]["accessKeyId"].as_str().expect("text").to_owned();
    let secret = made["secretAccessKey"].as_str().expect("text").to_owned();
    let key = Key { id: id.clone(), secret };
    dev.until(&key, 200, "").await;

    succeeded("lock", dev.cli(&["user", "lock", "alice"]));
    dev.until(&key, 403, "AccessDenied").await;
    succeeded("unlock", dev.cli(&["user", "unlock", "alice"]));
    dev.until(&key, 200, "").await;
    let rotated = json(&dev, &["key", "rotate", &id, "--grace-period", "60"]);
    let secret = rotated["secretAccessKey"].as_str().expect("text").to_owned();
    let new = Key { id: id.clone(), secret };
    dev.until(&new, 200, "").await;
    dev.until(&key, 200, "").await;
    succeeded("end", dev.cli(&["key", "end-grace-period", &id]));
    dev.until(&key, 403, "SignatureDoesNotMatch").await;
    succeeded("deactivate", dev.cli(&["key", "deactivate", &id]));
    dev.until(&new, 403, "InvalidAccessKeyId").await;
    succeeded("activate", dev.cli(&["key", "activate", &id]));
    dev.until(&new, 200, "").await;

    let table = succeeded("list", dev.cli(&["user", "list"]));
    assert!(table.contains("alice") && table.contains("Alice's laptop"), "{table}");
    let events = succeeded("events", dev.cli(&["event", "list", "--key", &id]));
    assert!(events.contains("SecretAccessKeyRotated"), "{events}");
    succeeded("verify", dev.cli(&["log", "verify"]));
    succeeded("delete", dev.cli(&["key", "delete", &id]));
    dev.until(&new, 403, "InvalidAccessKeyId").await;
    succeeded("delete", dev.cli(&["user", "delete", "alice"]));
}

#[test]
fn how_it_ends_tells_what_went_wrong() {
    let home = Home::new();
    let dev = home.start();
    let code = |args: &[&str]| dev.cli(args).status.code();
    assert_eq!(code(&["user", "get", "nobody"]), Some(3));
    assert_eq!(code(&["user", "create", "root"]), Some(5));
    assert_eq!(code(&["user", "create", "not a name"]), Some(1));
    assert_eq!(code(&["user", "frobnicate"]), Some(2));
    assert_eq!(code(&["user", "delete", "root"]), Some(5));
    let denied = std::process::Command::new(crate::support::claviger())
        .args(["user", "list"])
        .env("CLAVIGER_ENDPOINT", dev.text("identity"))
        .env("CLAVIGER_TOKEN", "not-the-admin-token")
        .output()
        .expect("claviger runs");
    assert_eq!(denied.status.code(), Some(4));
    let endpoint = dev.text("identity");
    let token = dev.text("admin_token");
    dev.kill();
    let unavailable = std::process::Command::new(crate::support::claviger())
        .args(["user", "list"])
        .env("CLAVIGER_ENDPOINT", endpoint)
        .env("CLAVIGER_TOKEN", token)
        .output()
        .expect("claviger runs");
    assert_eq!(unavailable.status.code(), Some(69));
}
