//! `claviger bucket` against a `claviger dev`, and a store that has buckets already.

mod support;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use support::{Dev, Ran};

/// A store that lists these buckets, two a page, to whoever signs as it expects; and lists them whatever
/// prefix is asked for.
fn store(buckets: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut lines = BufReader::new(&stream).lines().map(|line| line.expect("a line"));
            let line = lines.next().unwrap_or_default();
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let is_known = head.iter().any(|line| line.contains("Credential=AKIASTORE/"));
            let (status, body) = if is_known {
                let from = line.split_once("continuation-token=").map_or(0, |(_, rest)| {
                    rest.split(['&', ' ']).next().expect("a token").parse().expect("ours")
                });
                (200, page(buckets, from))
            } else {
                (403, "<Error><Code>InvalidAccessKeyId</Code></Error>".to_owned())
            };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

fn page(buckets: &[&str], from: usize) -> String {
    let page = buckets.iter().skip(from).take(2);
    let page: String = page.map(|name| format!("<Bucket><Name>{name}</Name></Bucket>")).collect();
    let next = from + 2;
    let token = match next < buckets.len() {
        true => format!("<ContinuationToken>{next}</ContinuationToken>"),
        false => String::new(),
    };
    format!("<ListAllMyBucketsResult><Buckets>{page}</Buckets>{token}</ListAllMyBucketsResult>")
}

fn outcomes(ran: &Ran) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let imported = ran.json();
    let imported = imported.as_array().expect("a list").iter();
    imported.map(|one| (text(&one["bucket"]), text(&one["outcome"]))).collect()
}

#[test]
fn buckets_are_claimed_transferred_and_released() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let mine = dev.text("/account/id");
    let made = dev.done(&["account", "create", "Other", "-o", "json"]).json();
    let other = made["account"]["accountNumber"].as_str().expect("told").to_owned();
    let bucket = |args: &[&str]| dev.client(&[&["bucket"], args].concat());
    let several = bucket(&["claim", "data-1"]);
    assert_eq!(several.code, 2, "{}", several.stderr);
    let claimed = bucket(&["claim", "data-1", "--region", "eu", "--account", &mine, "-o", "json"]);
    assert_eq!(claimed.json()["bucket"]["account"], format!("accounts/{mine}"));
    assert_eq!(bucket(&["claim", "data-1", "--account", &mine]).code, 5);
    let taken = bucket(&["claim", "data-1", "--account", &other]);
    let expected = "error: the bucket name is taken (BUCKET_ALREADY_EXISTS)\n";
    assert_eq!((taken.code, taken.stderr.as_str()), (5, expected));
    assert_eq!(bucket(&["claim", "data-2", "--account", &other]).code, 0);
    assert_eq!(bucket(&["claim", "Not_A_Bucket", "--account", &other]).code, 1);

    let listed = |args: &[&str]| {
        let ran = bucket(&[&["list"], args].concat());
        let lines = ran.stdout.lines().skip(1);
        lines.map(|line| line.split_whitespace().next().expect("a name").to_owned()).collect()
    };
    let listed = |args: &[&str]| -> Vec<String> { listed(args) };
    assert_eq!(listed(&["--account", &mine]), ["data-1"]);
    assert_eq!(listed(&["--all"]), ["data-1", "data-2"]);
    assert_eq!(listed(&["--all", "--region", "eu"]), ["data-1"]);
    assert_eq!(listed(&["--all", "--prefix", "data-2"]), ["data-2"]);

    let transfer =
        |from: &str, to: &str| bucket(&["transfer", "data-1", "--from", from, "--to", to]);
    assert_eq!(transfer(&other, &mine).code, 5);
    assert_eq!(transfer(&mine, &other).code, 0);
    assert_eq!(listed(&["--account", &other]), ["data-1", "data-2"]);
    assert!(bucket(&["get", "data-1"]).stdout.contains("eu"));
    let events = dev.done(&["event", "list", "--account", &mine]).stdout;
    assert!(events.contains("BucketClaimed") && events.contains("BucketGiven"), "{events}");

    assert_eq!(bucket(&["release", "data-1", "--account", &mine]).code, 5);
    assert_eq!(bucket(&["release", "data-1", "--account", &other]).code, 0);
    assert_eq!(bucket(&["get", "data-1"]).code, 3);
    assert_eq!(bucket(&["get", "a/b"]).code, 2);
    assert_eq!(dev.client(&["account", "delete", &other]).code, 5);
    dev.done(&["account", "delete", &other, "--force"]);
    assert!(listed(&["--all"]).is_empty());
}

#[test]
fn what_a_store_has_is_adopted_bucket_by_bucket() {
    let home = tempfile::tempdir().expect("a place");
    let dev = Dev::start(home.path());
    let mine = dev.text("/account/id");
    let made = dev.done(&["account", "create", "Other", "-o", "json"]).json();
    let other = made["account"]["accountNumber"].as_str().expect("told").to_owned();
    let store = store(&["backup", "minio", "Old_Name", "theirs", "web"]);
    let upstream = format!("http://{store}");
    let secret = home.path().join("secret");
    fs::write(&secret, "store-secret\n").expect("written");
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("set");
    dev.done(&["bucket", "claim", "theirs", "--account", &other]);
    let import = |account: &str, more: &[&str]| {
        let secret = secret.to_str().expect("text");
        let fixed = ["bucket", "import", "--account", account, "--upstream", &upstream];
        let key = ["--upstream-access-key-id", "AKIASTORE"];
        let file = ["--upstream-secret-access-key-file", secret];
        dev.client(&[&fixed[..], &key, &file, more].concat())
    };
    let check = |ran: Ran, code: i32, expected: [&str; 5]| {
        let names = ["backup", "minio", "Old_Name", "theirs", "web"];
        let expected: Vec<_> = names
            .iter()
            .zip(expected)
            .map(|(name, outcome)| ((*name).into(), outcome.into()))
            .collect();
        assert_eq!((ran.code, outcomes(&ran)), (code, expected), "{}", ran.stderr);
    };
    let json = ["-o", "json"];
    let head =
        || dev.done(&["log", "checkpoint", "-o", "json"]).json()["checkpoint"]["position"].clone();
    let before = head();
    let first = ["claimed", "reserved", "invalid", "exists_elsewhere", "claimed"];
    check(import(&mine, &["--dry-run", "-o", "json"]), 5, first);
    assert_eq!(head(), before, "nothing is recorded");
    let one = import(&mine, &["--prefix", "we", "-o", "json"]);
    assert_eq!((one.code, outcomes(&one)), (0, vec![("web".into(), "claimed".into())]));
    let again = ["claimed", "reserved", "invalid", "exists_elsewhere", "already"];
    check(import(&mine, &json), 5, again);
    let all = ["already", "reserved", "invalid", "exists_elsewhere", "already"];
    check(import(&mine, &json), 5, all);
    check(import(&mine, &["--dry-run", "-o", "json"]), 5, all);
    let table = import(&mine, &[]);
    assert!(table.stdout.starts_with("BUCKET    OUTCOME\nbackup    already\n"), "{}", table.stdout);
    let expected = "error: 1 of the buckets are another account's\n";
    assert_eq!(table.stderr, expected);
    let claimed = dev.done(&["bucket", "get", "web", "-o", "json"]).json();
    assert_eq!(claimed["bucket"]["region"], "us-east-1");

    // What the store refuses, and what it is not, is said in words.
    let stranger = import(&mine, &["--upstream-access-key-id", "AKIAOTHER"]);
    assert_eq!(stranger.code, 2, "{}", stranger.stderr);
    let fixed = ["bucket", "import", "--account", &mine, "--upstream", &upstream];
    let stranger = dev
        .command(&[&fixed[..], &["--upstream-access-key-id", "AKIAOTHER"]].concat())
        .env("CLAVIGER_GATEWAY__UPSTREAM__SECRET_ACCESS_KEY", "store-secret")
        .output();
    let stranger = Ran::of(&stranger.expect("runs"));
    assert_eq!(stranger.code, 1);
    assert!(stranger.stderr.contains("403 (InvalidAccessKeyId)"), "{}", stranger.stderr);
    let nothing = dev.client(&[&fixed[..], &["--upstream-access-key-id", "AKIASTORE"]].concat());
    assert_eq!(nothing.code, 2);
    assert!(nothing.stderr.contains("no secret"), "{}", nothing.stderr);
}
