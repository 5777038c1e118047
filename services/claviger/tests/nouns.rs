//! The client nouns against a `claviger dev`.

mod support;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::Value;
use support::{Dev, Ran, claviger};

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
            (&["user", "update", "alice", "--label", "Alice B."], 0, ""),
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
fn a_user_is_changed_and_remembered_as_it_was() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let user = |args: &[&str]| {
        let answer = dev.done(&[&["user"], args, &["-o", "json"]].concat()).json();
        answer["user"].clone()
    };
    let create = ["create", "alice", "--tag", "team=blue", "--path", "/a/", "--email", "a@b.c"];
    let made = user(&create);
    assert_eq!(made["tags"][0]["value"], "blue");
    let etag = made["etag"].as_str().expect("told");
    let before = made["updateTime"].as_str().expect("told");

    let renamed = user(&["update", "alice", "--name", "alicia", "--email", "", "--etag", etag]);
    assert_eq!((&renamed["userName"], &renamed["email"]), (&"alicia".into(), &"".into()));
    assert_eq!((&renamed["path"], &renamed["tags"]), (&made["path"], &made["tags"]));
    let stale = dev.client(&["user", "lock", "alicia", "--etag", etag]);
    assert_eq!((stale.code, stale.stderr.ends_with("(ETAG_MISMATCH)\n")), (5, true));
    assert_eq!(user(&["update", "alicia", "--tag", "a=1", "--tag", "b="])["tags"][1]["key"], "b");
    assert_eq!(user(&["update", "alicia", "--clear-tags"])["tags"], serde_json::json!([]));
    assert!(dev.done(&["user", "get", "alicia"]).stdout.contains("etag"));

    let key = dev.done(&["key", "create", "alicia", "-o", "json"]).json()["accessKey"].clone();
    dev.done(&["user", "delete", "alicia", "--force"]);
    let id = made["userId"].as_str().expect("told");
    assert_eq!(user(&["get", id, "--at", before])["userName"], "alice");
    assert!(dev.done(&["user", "list", "--at", before]).stdout.contains("alice"));
    assert!(!dev.done(&["user", "list"]).stdout.contains("alic"));
    let at = key["createTime"].as_str().expect("told");
    let key = key["accessKeyId"].as_str().expect("told");
    let was = dev.done(&["key", "get", key, "--at", at, "--user", id]).stdout;
    assert!(was.contains("ACTIVE"), "{was}");
    assert!(dev.done(&["key", "list", "--at", at]).stdout.contains(key));
    assert_eq!(dev.client(&["key", "get", key, "--user", id]).code, 3);
}

#[test]
fn an_access_key_is_brought_along() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    dev.done(&["user", "create", "alice"]);
    let secret = "0123456789abcdefghijABCDEFGHIJ0123456789";
    let file = home.path().join("secret");
    fs::write(&file, format!("{secret}\n")).expect("written");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("set");
    let create = |id: &str, args: &[&str]| {
        let all = ["key", "create", "alice", "-o", "json", "--access-key-id", id];
        dev.command(&[&all[..], args].concat())
    };
    let by_file = ["--secret-file", file.to_str().expect("UTF-8")];
    let runs = [
        create("AKIAFROMAFILE0000000", &by_file).output().expect("runs"),
        create("AKIAFROMAVARIABLE000", &[])
            .env("CLAVIGER_SECRET_ACCESS_KEY", secret)
            .output()
            .expect("runs"),
        create("AKIAFROMSTDIN0000000", &["--secret-file", "-"])
            .stdin(fs::File::open(&file).expect("there"))
            .output()
            .expect("runs"),
    ];
    for ran in runs.iter().map(Ran::of) {
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let made = ran.json();
        assert_eq!(made["secretAccessKey"], secret);
        assert_eq!(made["accessKey"]["imported"], true);
    }
    let none = Ran::of(&create("AKIAFROMNOWHERE00000", &[]).output().expect("runs"));
    assert_eq!(none.code, 2);
    assert!(none.stderr.starts_with("error: no secret for the access key"), "{}", none.stderr);
    let again = Ran::of(&create("AKIAFROMAFILE0000000", &by_file).output().expect("runs"));
    assert_eq!(again.code, 5);
    assert!(again.stderr.ends_with("(ACCESS_KEY_ID_TAKEN)\n"), "{}", again.stderr);
}

#[test]
fn a_password_is_set_and_removed() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    dev.done(&["user", "create", "alice"]);
    let file = home.path().join("password");
    fs::write(&file, "correct horse\n").expect("written");
    let set = |args: &[&str]| {
        let all = ["user", "set-password", "alice", "-o", "json"];
        dev.command(&[&all[..], args].concat())
    };
    let ran = |command: &mut std::process::Command| Ran::of(&command.output().expect("runs"));
    let open = ran(&mut set(&["--password-file", file.to_str().expect("UTF-8")]));
    assert_eq!((open.code, open.stderr.contains("chmod 600")), (2, true), "{}", open.stderr);
    fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("set");
    for made in [
        ran(&mut set(&["--password-file", file.to_str().expect("UTF-8")])),
        ran(set(&[]).env("CLAVIGER_PASSWORD", "correct horse")),
        ran(set(&["--password-file", "-"]).stdin(fs::File::open(&file).expect("there"))),
    ] {
        assert_eq!(made.code, 0, "{}", made.stderr);
        assert!(
            !made.stdout.contains("horse") && made.json()["user"]["passwordSetTime"].is_string()
        );
    }
    let none = ran(&mut set(&[]));
    assert_eq!((none.code, none.stderr.starts_with("error: no password")), (2, true));
    let short = ran(set(&[]).env("CLAVIGER_PASSWORD", "horse"));
    assert!(short.code != 0 && short.stderr.contains("8 to 128 bytes"), "{}", short.stderr);
    assert!(dev.done(&["user", "get", "alice"]).stdout.contains("password  of "));
    dev.done(&["user", "remove-password", "alice"]);
    assert!(dev.done(&["user", "get", "alice"]).stdout.contains("password  none"));
    let events = dev.done(&["event", "list", "--user", "alice"]).stdout;
    assert!(events.contains("UserPasswordSet") && events.contains("UserPasswordRemoved"));
}

#[test]
fn an_access_key_gets_a_place_and_an_end_and_is_replaced() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    dev.done(&["user", "create", "alice"]);
    let key = |args: &[&str]| {
        let answer = dev.done(&[&["key"], args, &["-o", "json"]].concat()).json();
        answer["accessKey"].clone()
    };
    let made = key(&["create", "alice", "--slot", "1", "--label", "a", "--ttl", "P30D"]);
    let id = made["accessKeyId"].as_str().expect("told");
    assert_eq!((&made["slot"], &made["timeToLive"]), (&1.into(), &"P30D".into()));
    let changed = key(&["update", id, "--label", "b", "--no-slot"]);
    assert_eq!((&changed["slot"], &changed["label"]), (&0.into(), &"b".into()));
    assert_eq!(key(&["update", id, "--slot", "2"])["slot"], 2);
    assert_eq!(
        key(&["expire", id, "--at", "21000101T120000Z"])["expireTime"],
        "2100-01-01T12:00:00Z"
    );
    assert_eq!(key(&["expire", id, "--ttl", "P1W"])["timeToLive"], "P1W");
    let long = ["key", "expire", id, "--ttl", "P8D", "--max-lifetime-days", "7"];
    let long = dev.client(&long);
    assert_eq!((long.code, long.stderr.ends_with("(LIFETIME_TOO_LONG)\n")), (1, true));
    assert_eq!(key(&["rotate", id, "--ttl", "P2W", "--grace-period", "PT1H"])["timeToLive"], "P2W");
    let later = key(&["create", "alice", "--not-before", "2100-01-01"]);
    assert_eq!(later["state"], "ACCESS_KEY_STATE_NOT_YET_VALID");

    let other = key(&["replace", id, "--grace-period", "60"]);
    assert_eq!(other["slot"], 2);
    // The one before has given it up, and works for a while.
    let before = key(&["get", id]);
    assert_eq!((&before["slot"], &before["state"]), (&0.into(), &"ACCESS_KEY_STATE_ACTIVE".into()));
    assert!(dev.done(&["key", "get", id]).stdout.contains("time to live"));
    let old = dev.done(&["key", "list", "alice", "--older-than-days", "1", "-o", "json"]).json();
    assert_eq!(old["accessKeys"], serde_json::json!([]));
}

#[test]
fn the_last_access_key_is_replaced_when_it_is_deleted() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let id = dev.text("/root/access_key_id");
    let made = dev.done(&["key", "delete", &id, "--replace-last", "--format", "env"]).stdout;
    let other = made.lines().find_map(|line| line.strip_prefix("export AWS_ACCESS_KEY_ID="));
    let other = other.expect("told");
    assert_ne!(other, id);
    // A program that waits for a credential is told none.
    let none = dev.done(&["key", "delete", other, "--format", "env"]);
    assert_eq!(none.stdout, "");
    assert_eq!(none.stderr, format!("note: {other} was deleted, and none made in its place\n"));
}

#[test]
fn a_deleted_access_key_comes_back_while_it_is_retained() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let update = ["account", "update", "--retention", "P1D", "--expiry-notice", "P7D"];
    let account = dev.done(&[&update[..], &["-o", "json"]].concat()).json()["account"].clone();
    assert_eq!(account["settings"]["retentionSeconds"], 86_400);
    let id = dev.text("/root/access_key_id");
    dev.done(&["key", "delete", &id]);
    assert!(!dev.done(&["key", "list"]).stdout.contains(&id));
    let listed = dev.done(&["key", "list", "--deleted"]).stdout;
    assert!(listed.contains(&id) && listed.contains("DELETED"), "{listed}");
    assert!(dev.done(&["key", "undelete", &id]).stdout.contains("ACTIVE"));
    dev.done(&["key", "delete", &id]);
    dev.done(&["key", "purge", &id]);
    assert_eq!(dev.client(&["key", "undelete", &id]).code, 3);
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
fn an_account_lives_and_dies() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let create = ["account", "create", "other", "--keys-per-user", "2", "--lockout", "per-key"];
    let made = dev.done(&[&create[..], &["-o", "json"]].concat()).json()["account"].clone();
    let number = made["accountNumber"].as_str().expect("told");
    assert_eq!(made["settings"]["lockoutMode"], "LOCKOUT_MODE_PER_KEY");
    let update = ["account", "update", number, "--name", "another", "--max-lifetime", "P400D"];
    let limited = dev.client(&update);
    assert_eq!((limited.code, limited.stderr.ends_with("(LIFETIMES_LONGER)\n")), (5, true));
    let shown = dev.done(&["account", "update", number, "--name", "another"]).stdout;
    assert!(shown.contains("another") && shown.contains("per-key"), "{shown}");
    let nothing = "error: nothing to change: give --name or a setting\n";
    check(&dev, &[(&["account", "update", number], 2, nothing)]);
    dev.done(&["account", "delete", number]);
    assert_eq!(dev.client(&["account", "get", number]).code, 3);
}

#[test]
fn operators_are_given_tokens_of_their_own() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let create = ["admin-token", "create", "ci", "--read-only", "-o", "json"];
    let made = dev.done(&create).json();
    let token = made["token"].as_str().expect("told once");
    let with_it = |args: &[&str]| {
        Ran::of(&dev.command(args).env("CLAVIGER_TOKEN", token).output().expect("runs"))
    };
    assert_eq!(with_it(&["user", "list"]).code, 0);
    assert_eq!(with_it(&["user", "create", "alice"]).code, 4);
    let taken = dev.client(&["admin-token", "create", "CI"]);
    assert_eq!((taken.code, taken.stderr.ends_with("(ADMIN_TOKEN_NAME_TAKEN)\n")), (5, true));
    let listed = dev.done(&["admin-token", "list"]).stdout;
    assert!(listed.contains("ci") && !listed.contains(token), "{listed}");
    let events = dev.done(&["event", "list", "--kind", "AdminTokenCreated"]).stdout;
    assert!(events.contains("read-only") && !events.contains(token), "{events}");

    dev.done(&["admin-token", "revoke", "Ci"]);
    assert_eq!(with_it(&["user", "list"]).code, 4);
    assert_eq!(dev.client(&["admin-token", "revoke", "ci"]).code, 3);

    let account = dev.text("/account/number");
    let made = dev.done(&["admin-token", "create", "one", "--account", &account, "-o", "json"]);
    let name = made.json()["adminToken"]["name"].as_str().expect("told").to_owned();
    let id = name.strip_prefix("adminTokens/").expect("of that form");
    assert!(dev.done(&["admin-token", "list"]).stdout.contains(&dev.text("/account/id")));
    dev.done(&["admin-token", "revoke", id]);
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
    assert_eq!(events(&[]), 6);
    assert_eq!(events(&["--limit", "2"]), 2);
    assert_eq!(events(&["--user", "alice"]), 2);
    assert_eq!(events(&["--key", &dev.text("/root/access_key_id")]), 1);
    assert_eq!(events(&["--account", &dev.text("/account/number")]), 6);
    let table = dev.done(&["event", "list", "--user", "alice"]).stdout;
    assert!(table.contains("UserCreated") && table.contains("UserLocked"), "{table}");
    assert_eq!(events(&["--kind", "UserLocked", "--kind", "user_created"]), 3);
    assert_eq!(events(&["--by", "operator"]), 6);
    assert_eq!(events(&["--by", "nobody"]), 0);
    assert_eq!(events(&["--after", "3", "--until-position", "4"]), 1);
    assert_eq!(events(&["--since", "2020-01-01"]), 6);
    assert_eq!(events(&["--until", "2020-01-01"]), 0);
}

#[test]
fn events_are_watched_as_they_are_recorded() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let mut watch = dev
        .command(&["event", "watch", "--after", "4", "--kind", "UserCreated", "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    let mut next = || {
        let line = lines.next().expect("goes on").expect("a line");
        let event: Value = serde_json::from_str(&line).expect("JSON");
        event["payload"]["userCreated"]["userName"].clone()
    };
    dev.done(&["user", "create", "alice"]);
    dev.done(&["user", "lock", "alice"]);
    dev.done(&["user", "create", "bob"]);
    assert_eq!((next(), next()), ("alice".into(), "bob".into()));
    // It goes on when the server is back, with what came next.
    let identity = dev.text("/identity").replace("http://", "");
    assert!(dev.stop("TERM").success());
    let dev = Dev::start_at(home.path(), &identity);
    dev.done(&["user", "create", "carol"]);
    assert_eq!(next(), "carol");
    // When the server stays away it says that trying again may help.
    assert!(dev.stop("TERM").success());
    assert_eq!(watch.wait().expect("it ends").code(), Some(69));
}

#[test]
fn events_are_watched_for_a_while() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let watched = dev.done(&["event", "watch", "--for", "1"]);
    assert_eq!(watched.stdout.lines().count(), 4);
    assert_eq!(watched.stderr, "note: to go on from here, give --after 4\n");
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
