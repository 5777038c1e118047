//! The log and the keystore: checked, taken elsewhere, and put back.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use support::{Dev, run};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_log_is_checked_since_a_checkpoint() {
    let home = tempfile::tempdir().expect("a place");
    let saved = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let file = saved.path().join("checkpoint.json");
    let shown = dev.done(&["log", "checkpoint", "--out", text(&file)]);
    assert_eq!(shown.stdout, "");
    assert!(shown.stderr.starts_with("note: position 4 saved, signed with the key "));
    let table = dev.done(&["log", "checkpoint"]).stdout;
    let key = table.lines().find_map(|line| line.strip_prefix("public key")).expect("shown").trim();
    dev.done(&["user", "create", "alice"]);

    let pinned = ["--since", text(&file), "--public-key", key];
    let verified = dev.done(&[&["log", "verify", "-o", "json"], &pinned[..]].concat());
    assert_eq!(
        (verified.json()["headPosition"].as_str(), verified.stderr.as_str()),
        (Some("5"), "")
    );
    let unpinned = dev.done(&["log", "verify", "--since", text(&file)]);
    assert!(unpinned.stderr.starts_with("warning: the checkpoint is only known"));
    let other = "00".repeat(32);
    let refused = dev.client(&["log", "verify", "--since", text(&file), "--public-key", &other]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("it is not signed with that key"), "{}", refused.stderr);

    // One that was signed, and that another log does not hold.
    let elsewhere = tempfile::tempdir().expect("a place");
    let other = Dev::start(elsewhere.path());
    let args = [&["log", "verify"], &pinned[..]].concat();
    assert_eq!(other.client(&args).code, 1);
    drop(other);

    let changed = fs::read_to_string(&file).expect("there").replace("\"4\"", "\"2\"");
    let changed_file = saved.path().join("changed.json");
    fs::write(&changed_file, changed).expect("written");
    assert_eq!(dev.client(&["log", "verify", "--since", text(&changed_file)]).code, 1);

    assert!(dev.stop("TERM").success());
    let dir = ["--data-dir", text(home.path()), "-o", "json"];
    let offline = run(&[&["log", "verify"], &pinned[..], &dir[..]].concat());
    assert_eq!(offline.code, 0, "{}", offline.stderr);
    assert_eq!(offline.json()["headHash"], verified.json()["headHash"]);
}

#[test]
fn a_log_and_its_keystore_are_put_back() {
    let home = tempfile::tempdir().expect("a place");
    let saved = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    dev.done(&["user", "create", "alice"]);
    let (log, keystore) = (saved.path().join("log.jsonl"), saved.path().join("keystore"));
    let exported = dev.done(&["log", "export", "--out", text(&log)]);
    assert!(
        exported.stderr.contains("was saved up to position 5, in epoch 1"),
        "{}",
        exported.stderr
    );
    assert_eq!(dev.done(&["log", "export"]).stdout, fs::read_to_string(&log).expect("there"));
    dev.done(&["keystore", "export", "--out", text(&keystore)]);
    for file in [&log, &keystore] {
        assert_eq!(fs::metadata(file).expect("there").permissions().mode() & 0o777, 0o600);
    }
    let secret = dev.text("/root/secret_access_key");
    let held = saved.path().join("held.json");
    dev.done(&["log", "checkpoint", "--out", text(&held)]);
    assert!(dev.stop("TERM").success());
    let offline = run(&["log", "export", "--data-dir", text(home.path())]);
    assert_eq!(offline.stdout, fs::read_to_string(&log).expect("there"));

    // And what the export does not hold any more.
    let dev = Dev::start(home.path());
    dev.done(&["user", "create", "bob"]);
    let beyond = saved.path().join("beyond.json");
    dev.done(&["log", "checkpoint", "--out", text(&beyond)]);
    assert!(dev.stop("TERM").success());

    // What `claviger dev` keeps beside them.
    let other = tempfile::tempdir().expect("a place");
    for file in ["kek", "lock", "dev.sealed"] {
        fs::copy(home.path().join(file), other.path().join(file)).expect("copied");
    }
    let kek = other.path().join("kek");
    let dir = ["--data-dir", text(other.path())];
    let import = [&["log", "import", text(&log), "-o", "json"], &dir[..]].concat();
    let imported = run(&import);
    assert_eq!((imported.code, &imported.json()["epoch"]), (0, &2.into()), "{}", imported.stderr);
    assert!(imported.stderr.contains("claviger keystore restore"), "{}", imported.stderr);
    assert_eq!(run(&import).code, 1); // there is one now

    let restore = ["keystore", "restore", text(&keystore), "-o", "json"];
    let without = run(&[&restore[..], &dir[..]].concat());
    assert_eq!(without.code, 2);
    assert!(without.stderr.starts_with("error: no key-encryption key"), "{}", without.stderr);
    let restore = [&restore[..], &dir[..], &["--kek-file", text(&kek)]].concat();
    let restored = run(&restore);
    assert_eq!(
        (restored.code, &restored.json()["dataKeys"]),
        (0, &"2".into()),
        "{}",
        restored.stderr
    );
    assert_eq!(run(&restore).code, 1); // there is one now

    let dev = Dev::start(other.path());
    assert_eq!(dev.text("/root/secret_access_key"), secret);
    assert!(dev.done(&["user", "list"]).stdout.contains("alice"));
    let verified = dev.done(&["log", "verify", "-o", "json"]).json();
    assert_eq!(verified["headPosition"], imported.json()["headPosition"]);
    // Signed in the epoch before.
    dev.done(&["log", "verify", "--since", text(&held)]);
    let cut = dev.client(&["log", "verify", "--since", text(&beyond)]);
    assert_eq!(cut.code, 1);
    assert!(cut.stderr.contains("the log is broken at position"), "{}", cut.stderr);
}

#[test]
fn an_export_that_is_cut_off_is_not_imported() {
    let home = tempfile::tempdir().expect("a place");
    let saved = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let whole = dev.done(&["log", "export"]).stdout;
    let cut = whole.rsplit_once("{\"end\"").expect("ends").0;
    let file = saved.path().join("log.jsonl");
    let dir = saved.path().join("data");
    let import = ["log", "import", text(&file), "--data-dir", text(&dir)];
    for (text, said) in [(cut, "cut off"), ("{}\n", "no export of a log"), ("", "no export")] {
        fs::write(&file, text).expect("written");
        let ran = run(&import);
        assert_eq!(ran.code, 1);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}

#[test]
fn the_keystore_is_looked_after() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let keystore = dev.done(&["keystore", "get", "-o", "json"]).json();
    assert_eq!((&keystore["dataKeys"], &keystore["damagedSlots"]), (&"2".into(), &"0".into()));
    assert_eq!(keystore["kekIds"].as_array().expect("a list").len(), 1);
    assert_eq!(dev.done(&["keystore", "rewrap", "-o", "json"]).json()["remaining"], "0");
    assert_eq!(dev.done(&["keystore", "scrub", "-o", "json"]).json()["scrubbed"], "0");
}
