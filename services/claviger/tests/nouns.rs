//! The client nouns against a `claviger dev`.

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;
use support::{Dev, claviger};

/// Runs one command after the other and compares their exit codes.
#[track_caller]
fn check(dev: &Dev, commands: &[(&[&str], i32, &str)]) {
    for (args, code, stderr) in commands {
        let ran = dev.client(args);
        assert_eq!((ran.code, ran.stderr.as_str()), (*code, *stderr), "{args:?}: {}", ran.stdout);
    }
}

#[test]
fn users_live_and_die() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let taken = "error: the account has a user of this name, in this or another case \
                 (USER_NAME_TAKEN)\n";
    check(
        &dev,
        &[
            (&["user", "create", "alice", "--label", "Alice A."], 0, ""),
            (&["user", "create", "ALICE"], 5, taken),
            (&["user", "get", "bob"], 3, "error: no such user (NO_SUCH_USER)\n"),
            (&["user", "label", "alice", "Alice B."], 0, ""),
            (&["user", "lock", "alice"], 0, ""),
        ],
    );
    let user = dev.done(&["user", "get", "alice", "-o", "json"]).json();
    assert_eq!(user["user"]["state"], "USER_STATE_LOCKED");
    assert_eq!(user["user"]["label"], "Alice B.");
    let list = dev.done(&["user", "list"]).stdout;
    let names: Vec<_> = list.lines().filter_map(|line| line.split("  ").next()).collect();
    assert_eq!(names, ["NAME", "alice", "root"]);
    dev.done(&["user", "unlock", "alice"]);
    dev.done(&["key", "create", "alice"]);
    assert_eq!(dev.client(&["user", "delete", "alice"]).code, 5);
    dev.done(&["user", "delete", "alice", "--force"]);
    assert_eq!(dev.client(&["user", "get", "alice"]).code, 3);
}

#[test]
fn access_keys_live_and_die() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    dev.done(&["user", "create", "alice"]);
    let create = ["key", "create", "alice", "--expires-at", "2100-01-01", "--inactive"];
    let request = ["-o", "json", "--request-id", "0e37df36-f698-11e6-8dd4-cb9ced3df976"];
    let created = dev.done(&[&create[..], &request[..]].concat()).json();
    let again = dev.done(&[&create[..], &request[..]].concat()).json();
    assert_eq!(again["secretAccessKey"], created["secretAccessKey"]);
    let id = created["accessKey"]["accessKeyId"].as_str().expect("told");
    assert_eq!(created["accessKey"]["expireTime"], "2100-01-01T00:00:00Z");

    let state = |answer: Value| answer["accessKey"]["state"].clone();
    let key = |args: &[&str]| dev.done(&[&["key"], args, &["-o", "json"]].concat()).json();
    assert_eq!(state(key(&["get", id])), "ACCESS_KEY_STATE_INACTIVE");
    assert_eq!(state(key(&["activate", id])), "ACCESS_KEY_STATE_ACTIVE");
    assert_eq!(state(key(&["deactivate", id])), "ACCESS_KEY_STATE_INACTIVE");
    assert!(key(&["expire", id, "--never"])["accessKey"].get("expireTime").is_none());

    let env = dev.done(&["key", "rotate", id, "--grace-period", "60", "--format", "env"]).stdout;
    assert!(env.starts_with(&format!("export AWS_ACCESS_KEY_ID={id}\nexport AWS_SECRET")), "{env}");
    let two = key(&["get", id]);
    assert_eq!(two["accessKey"]["secrets"].as_array().expect("a list").len(), 2);
    key(&["end-grace-period", id]);
    assert_eq!(dev.client(&["key", "end-grace-period", id]).code, 5);
    assert!(dev.done(&["key", "list"]).stdout.contains(id));
    assert!(dev.done(&["key", "list", "alice"]).stdout.contains(id));
    key(&["delete", id]);
    let gone = dev.client(&["key", "get", id]);
    assert_eq!(gone.code, 3);
    assert!(gone.stderr.ends_with("(NO_SUCH_ACCESS_KEY)\n"), "{}", gone.stderr);
}

#[test]
fn an_account_must_be_named_once_there_are_several() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let made = dev.done(&["account", "create", "other", "-o", "json"]).json();
    let number = made["account"]["accountNumber"].as_str().expect("told");
    assert_eq!(made["secretAccessKey"].as_str().expect("told once").len(), 40);
    let several = "error: there are several accounts: say which by --account\n";
    check(&dev, &[(&["user", "create", "alice"], 2, several)]);
    dev.done(&["user", "create", "alice", "--account", number]);
    let own = dev.text("/account/number");
    assert_eq!(dev.client(&["user", "get", "alice", "--account", &own]).code, 3);
    assert!(dev.done(&["account", "list"]).stdout.contains(number));
    let got = dev.done(&["account", "get", number, "-o", "yaml"]).stdout;
    assert!(got.contains("displayName: \"other\""), "{got}");
}

#[test]
fn events_are_listed_by_what_they_happened_to() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    dev.done(&["user", "create", "alice"]);
    dev.done(&["user", "lock", "alice"]);
    let events = |args: &[&str]| {
        let answer = dev.done(&[&["event", "list", "-o", "json"], args].concat()).json();
        answer["events"].as_array().expect("a list").len()
    };
    assert_eq!(events(&[]), 5);
    assert_eq!(events(&["--limit", "2"]), 2);
    assert_eq!(events(&["--user", "alice"]), 2);
    assert_eq!(events(&["--key", &dev.text("/root/access_key_id")]), 1);
    assert_eq!(events(&["--account", &dev.text("/account/number")]), 5);
    let table = dev.done(&["event", "list", "--user", "alice"]).stdout;
    assert!(table.contains("UserCreated") && table.contains("UserLocked"), "{table}");
}

#[test]
fn events_are_watched_as_they_are_recorded() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let mut watch = claviger()
        .env("CLAVIGER_ENDPOINT", dev.text("/identity"))
        .env("CLAVIGER_TOKEN", dev.text("/admin_token"))
        .args(["event", "watch", "--after", "3", "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    dev.done(&["user", "create", "alice"]);
    let mut line = String::new();
    let stdout = watch.stdout.take().expect("piped");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let event: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(event["position"], "4");
    assert_eq!(event["payload"]["userCreated"]["userName"], "alice");
    // It ends with the server, and says that trying again may help.
    assert!(dev.stop("TERM").success());
    assert_eq!(watch.wait().expect("it ends").code(), Some(69));
}

#[test]
fn who_is_not_known_is_denied() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let output = claviger()
        .env("CLAVIGER_ENDPOINT", dev.text("/identity"))
        .env("CLAVIGER_TOKEN", "0123456789abcdef")
        .args(["user", "list"])
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(4));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, "error: the token is not known (INVALID_TOKEN)\n");
}
