//! `claviger dev` from start to end, as a process.

mod support;

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use support::{Dev, claviger, run};

#[test]
fn a_restart_shows_the_same_account_and_access_key() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let first = dev.ready.clone();
    assert_eq!(dev.text("/region"), "us-east-1");
    assert_eq!(dev.text("/account/name"), "dev");
    assert_eq!(dev.text("/root/secret_access_key").len(), 40);
    assert_eq!(dev.text("/root/login"), format!("root@{}", dev.text("/account/number")));
    assert_eq!(dev.text("/root/password").len(), 32);

    dev.done(&["user", "create", "alice"]);
    assert!(dev.stop("TERM").success());

    let dev = Dev::start(home.path());
    for kept in ["/account", "/root", "/admin_token"] {
        assert_eq!(dev.ready.pointer(kept), first.pointer(kept), "{kept}");
    }
    assert!(dev.done(&["user", "list"]).stdout.contains("alice"));
    assert!(dev.stop("INT").success());
}

#[test]
fn a_secret_that_was_rotated_is_not_shown_again() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let access_key_id = dev.text("/root/access_key_id");
    dev.done(&["key", "rotate", &access_key_id, "--grace-period", "3600"]);
    assert!(dev.stop("TERM").success());

    let dev = Dev::start(home.path());
    assert_eq!(dev.text("/root/access_key_id"), access_key_id);
    assert!(dev.ready["root"]["secret_access_key"].is_null());
    dev.done(&["key", "delete", &access_key_id]);
    assert!(dev.stop("TERM").success());

    let dev = Dev::start(home.path());
    assert!(dev.ready["root"]["secret_access_key"].is_null());
}

#[test]
fn no_file_holds_a_secret_or_token() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    dev.done(&["user", "create", "alice"]);
    let created = dev.done(&["key", "create", "alice", "-o", "json"]).json();
    let secrets = [
        dev.text("/root/secret_access_key"),
        dev.text("/admin_token"),
        created["secretAccessKey"].as_str().expect("told once").to_owned(),
    ];
    assert!(dev.stop("TERM").success());
    let mut files = 0;
    each_file(home.path(), &mut |path| {
        files += 1;
        let bytes = fs::read(path).expect("readable");
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{}", path.display());
        }
    });
    assert!(files > 4, "{files}");
}

fn each_file(dir: &Path, look: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            each_file(&path, look);
        } else {
            look(&path);
        }
    }
}

#[test]
fn a_used_port_is_an_error_before_anything_is_written() {
    let home = tempfile::tempdir().expect("a place");
    let data_dir = home.path().join("data");
    let used = TcpListener::bind("127.0.0.1:0").expect("free");
    let address = used.local_addr().expect("bound").to_string();
    let mut command = claviger();
    command.arg("dev").arg("--data-dir").arg(&data_dir);
    for listener in ["s3", "rest", "identity", "admin"] {
        command.args([&format!("--{listener}-listen"), "127.0.0.1:0"]);
    }
    let output = command.args(["--auth-listen", &address]).output().expect("starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let expected = format!("error: cannot listen on {address} (--auth-listen): ");
    assert!(stderr.starts_with(&expected), "{stderr}");
    assert_eq!(output.status.code(), Some(1));
    assert!(!data_dir.exists());
}

#[test]
fn a_data_directory_belongs_to_one_process() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let dir = home.path().to_str().expect("UTF-8");
    let mut args = vec!["dev", "--data-dir", dir];
    for listener in ["--s3-listen", "--rest-listen", "--identity-listen", "--auth-listen"] {
        args.extend([listener, "127.0.0.1:0"]);
    }
    args.extend(["--admin-listen", "127.0.0.1:0"]);
    let ran = run(&args);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.stdout, "");
    let expected = format!("error: data directory {dir} is in use by another process\n");
    assert!(ran.stderr.ends_with(&expected), "{}", ran.stderr);
    drop(dev);
}

#[test]
fn a_password_that_was_changed_is_not_shown_again() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let mut set = dev.command(&["user", "set-password", "root"]);
    let set = set.env("CLAVIGER_PASSWORD", "one of my own").output().expect("runs");
    assert!(set.status.success());
    assert!(dev.stop("TERM").success());
    let dev = Dev::start(home.path());
    assert!(dev.ready["root"]["login"].is_string() && dev.ready["root"]["password"].is_null());
}

#[test]
fn the_log_is_verified_online_and_offline() {
    let home = tempfile::tempdir().expect("a place");
    let dir = home.path().to_str().expect("UTF-8").to_owned();
    let dev = Dev::start(home.path());
    let online = dev.done(&["log", "verify", "-o", "json"]).json();
    assert_eq!(online["headPosition"], "4");
    assert_eq!(run(&["log", "verify", "--data-dir", &dir]).code, 1); // in use
    assert!(dev.stop("TERM").success());
    let offline = run(&["log", "verify", "--data-dir", &dir, "-o", "json"]).json();
    for same in ["headPosition", "headHash", "logId", "epoch"] {
        assert_eq!(offline[same], online[same], "{same}");
    }
}
