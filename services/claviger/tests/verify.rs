//! `claviger verify` without a server: published vectors, exit codes, and what is printed.

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use support::{Ran, claviger};

const AT: &str = "2015-08-30T12:36:00Z";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A directory with the secret of AWS's examples.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self::with_secret(SECRET)
    }

    fn with_secret(secret: &str) -> Self {
        let dir = tempfile::tempdir().expect("a place");
        std::fs::write(dir.path().join("secret"), format!("{secret}\n")).expect("written");
        Self { dir }
    }

    fn secret(&self) -> PathBuf {
        self.dir.path().join("secret")
    }

    fn verify(&self, request: &[u8], args: &[&str]) -> Ran {
        let secret = self.secret();
        let secret = ["--secret-file", secret.to_str().expect("UTF-8")];
        verify(request, &[&["--at", AT], &secret[..], args].concat())
    }
}

fn verify(request: &[u8], args: &[&str]) -> Ran {
    let mut child = claviger()
        .arg("verify")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // It may end without reading, if the command line is wrong.
    let _ = child.stdin.take().expect("piped").write_all(request);
    Ran::of(&child.wait_with_output().expect("it ends"))
}

fn vectors() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../crates/sigv4/tests/vectors/aws_c_auth.json");
    let text = std::fs::read_to_string(path).expect("read");
    serde_json::from_str(&text).expect("JSON")
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).expect("a text")
}

/// The request of a vector, and what is to be given with it.
fn given<'v>(vector: &'v Value, form: &str) -> (String, Vec<&'v str>) {
    let raw = text(vector, &format!("/{form}/signed-request")).to_owned();
    let is_normalized = vector["context"]["normalize"] == true;
    (raw, vec!["--path-normalization", if is_normalized { "on" } else { "off" }])
}

/// A request with another bit in its signature.
fn damaged(raw: &str) -> String {
    let start = raw.find("Signature=").expect("is signed") + "Signature=".len();
    let at = start + raw[start..].find(|c: char| !c.is_ascii_hexdigit()).expect("ends") - 1;
    let digit = u8::from_str_radix(&raw[at..=at], 16).expect("a digit") ^ 1;
    format!("{}{digit:x}{}", &raw[..at], &raw[at + 1..])
}

#[test]
fn the_suites_of_aws_c_auth_are_verified_and_explained_byte_for_byte() {
    let home = Home::new();
    let mut requests = 0;
    for vector in vectors() {
        for form in ["header", "query"] {
            let name = format!("{} {} {form}", vector["suite"], vector["name"]);
            let (raw, args) = given(&vector, form);
            let json = [&["--explain", "-o", "json"], &args[..]].concat();
            // Written in the four ways that requests are.
            let spaced = raw.replacen("Host:", "Host: ", 1);
            let spellings = [raw.clone(), raw.replace('\n', "\r\n"), spaced.replace('\n', "\r\n")];
            for raw in &spellings[..if requests % 8 == 0 { 3 } else { 1 }] {
                let ran = home.verify(raw.as_bytes(), &json);
                assert_eq!(ran.code, 0, "{name}: {} {}", ran.stderr, ran.stdout);
                let found = ran.json();
                assert_eq!(found["verdict"], "verified", "{name}");
                assert_eq!(found["code"], Value::Null, "{name}");
                let canonical = text(&vector, &format!("/{form}/canonical-request"));
                assert_eq!(text(&found, "/canonical_request"), canonical, "{name}");
                let signed = text(&vector, &format!("/{form}/string-to-sign"));
                assert_eq!(text(&found, "/string_to_sign"), signed, "{name}");
                assert!(raw.contains(text(&found, "/signature")), "{name}");
                assert_eq!(found["hints"], serde_json::json!([]), "{name}");
            }
            let ran = home.verify(damaged(&raw).as_bytes(), &json);
            assert_eq!(ran.code, 4, "{name}");
            let found = ran.json();
            assert_eq!(
                (&found["verdict"], &found["code"]),
                (&"denied".into(), &"SignatureDoesNotMatch".into())
            );
            assert!(!ran.stdout.contains(text(&vector, &format!("/{form}/signature"))), "{name}");
            requests += 1;
        }
    }
    assert_eq!(requests, 152);
}

#[test]
fn version_4a_is_verified_by_its_public_key_alone() {
    let vectors = vectors();
    let vector = vectors.iter().find(|vector| vector["suite"] == "v4a").expect("is there");
    let (x, y) = (text(vector, "/public-key/X"), text(vector, "/public-key/Y"));
    let parity = if u8::from_str_radix(&y[62..], 16).expect("hex") & 1 == 1 { "03" } else { "02" };
    let raw = text(vector, "/header/signed-request");
    for key in [format!("{x}{y}"), format!("04{x}{y}"), format!("{parity}{x}")] {
        let ran = verify(raw.as_bytes(), &["--at", AT, "--sigv4a-public-key", &key]);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, "verdict  verified\n"), "{}", ran.stderr);
    }
    let other = if parity == "03" { "02" } else { "03" };
    let ran = verify(raw.as_bytes(), &["--at", AT, "--sigv4a-public-key", &format!("{other}{x}")]);
    assert_eq!(ran.code, 4);
    for wrong in ["", "00", "zz", &format!("{x}{x}")] {
        let ran = verify(raw.as_bytes(), &["--at", AT, "--sigv4a-public-key", wrong]);
        assert_eq!(ran.code, 2, "{wrong}");
        assert!(ran.stderr.contains("--sigv4a-public-key"), "{}", ran.stderr);
    }
    // It verifies nothing of Version 4.
    let raw = text(&vectors[0], "/header/signed-request");
    let ran = verify(raw.as_bytes(), &["--at", AT, "--sigv4a-public-key", &format!("{x}{y}")]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("give --secret-file"), "{}", ran.stderr);
}

/// The first example of "Authenticating Requests: Using the Authorization Header" in S3's API reference.
const GET_OBJECT: &str = "GET /test.txt HTTP/1.1\n\
    Host: examplebucket.s3.amazonaws.com\n\
    Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
    SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
    Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41\n\
    Range: bytes=0-9\n\
    x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n\
    x-amz-date: 20130524T000000Z\n\n";
const GET_OBJECT_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const THEN: &str = "2013-05-24T00:00:00Z";

#[track_caller]
fn check(home: &Home, raw: &str, args: &[&str], code: Option<&str>, hint: Option<&str>) -> Value {
    let args = [&["--explain", "-o", "json", "--at", THEN], args].concat();
    let secret = home.secret();
    let secret = ["--secret-file", secret.to_str().expect("UTF-8")];
    let ran = verify(raw.as_bytes(), &[&args[..], &secret].concat());
    let found = ran.json();
    assert_eq!(ran.code, if code.is_some() { 4 } else { 0 }, "{found}");
    assert_eq!(found["code"].as_str(), code, "{found}");
    if let Some(hint) = hint {
        assert!(text(&found, "/hints/0").contains(hint), "{found}");
    }
    assert_eq!(ran.stderr.lines().any(|line| line.starts_with("error: ")), code.is_some());
    found
}

#[test]
fn a_denial_says_what_to_look_at_first() {
    let home = Home::with_secret(GET_OBJECT_SECRET);
    check(&home, GET_OBJECT, &[], None, None);
    let mismatch = Some("SignatureDoesNotMatch");
    let port = GET_OBJECT.replace("amazonaws.com", "amazonaws.com:443");
    check(&home, &port, &[], mismatch, Some("is right for the host examplebucket.s3"));
    let head = GET_OBJECT.replace("GET", "HEAD");
    check(&home, &head, &[], mismatch, Some("is right for GET"));
    let spaced = Home::with_secret(&format!("{GET_OBJECT_SECRET} "));
    check(&spaced, GET_OBJECT, &[], mismatch, Some("spaces or line ends around the secret"));
    let other = Home::with_secret("another");
    check(&other, GET_OBJECT, &[], mismatch, Some("another secret access key"));
    let region = Some("signed for the region us-east-1, and eu-west-3 is expected");
    let malformed = Some("AuthorizationHeaderMalformed");
    let found = check(&home, GET_OBJECT, &["--region", "eu-west-3"], malformed, region);
    assert!(text(&found, "/canonical_request").starts_with("GET\n/test.txt\n"));
    assert!(found["hints"].to_string().contains("nothing else is wrong"), "{found}");
    let service = Some("signed for the service s3, and iam is expected");
    check(&home, GET_OBJECT, &["--service", "iam"], malformed, service);
    let raw = GET_OBJECT.replace("Range:", "x-amz-acl: private\nRange:");
    check(&home, &raw, &[], Some("AccessDenied"), Some("not signed and must be: x-amz-acl"));
    let found = check(&home, "GET / HTTP/1.1\nHost: h\n\n", &[], Some("AccessDenied"), None);
    assert_eq!(found["canonical_request"], Value::Null);
    check(&home, "nonsense", &[], Some("BadRequest"), None);
}

#[test]
fn the_time_is_now_unless_it_is_given() {
    let home = Home::with_secret(GET_OBJECT_SECRET);
    let secret = home.secret();
    let args = ["--explain", "-o", "json", "--secret-file", secret.to_str().expect("UTF-8")];
    let ran = verify(GET_OBJECT.as_bytes(), &args);
    assert_eq!((ran.code, &ran.json()["code"]), (4, &"RequestTimeTooSkewed".into()));
    assert!(text(&ran.json(), "/hints/0").contains("signed at 2013-05-24T00:00:00Z"));
}

#[test]
fn a_body_that_follows_is_held_against_its_hash() {
    let home = Home::with_secret(GET_OBJECT_SECRET);
    check(&home, &format!("{GET_OBJECT}\r\n"), &[], None, None);
    let mismatch = Some("XAmzContentSHA256Mismatch");
    check(&home, &format!("{GET_OBJECT}x"), &[], mismatch, Some("the body has the SHA-256 2d71"));
}

#[test]
fn a_session_token_is_the_one_that_is_asked_for() {
    let home = Home::new();
    let vectors = vectors();
    let named =
        |name: &str| vectors.iter().find(|vector| vector["name"] == name).expect("is in the suite");
    for name in ["get-vanilla-with-session-token", "post-sts-header-after"] {
        let vector = named(name);
        let token = text(vector, "/context/credentials/token");
        for form in ["header", "query"] {
            let raw = text(vector, &format!("/{form}/signed-request"));
            let code = |token: &str| {
                let ran = home.verify(raw.as_bytes(), &["--session-token", token, "-o", "json"]);
                (ran.code, ran.json()["code"].clone())
            };
            assert_eq!(code(token), (0, Value::Null), "{name} {form}");
            assert_eq!(code("another"), (4, "InvalidToken".into()), "{name} {form}");
        }
    }
    let raw = text(named("get-vanilla"), "/header/signed-request");
    let ran = home.verify(raw.as_bytes(), &["--session-token", "any"]);
    assert_eq!(ran.code, 4);
}

#[test]
fn people_get_a_text_and_programs_the_same() {
    let home = Home::new();
    let vectors = vectors();
    let raw = damaged(text(&vectors[0], "/header/signed-request"));
    let ran = home.verify(raw.as_bytes(), &["--explain"]);
    for part in [
        "verdict             denied\n",
        "code                SignatureDoesNotMatch\n",
        "\ncanonical request:\n  GET\n  /\n\n  host:example.amazonaws.com\n",
        "\nstring to sign:\n  AWS4-HMAC-SHA256\n  20150830T123600Z\n",
        "\nlook at first:\n  1. ",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    assert!(ran.stderr.ends_with("Check your key and signing method.\n"), "{}", ran.stderr);
    let short = home.verify(raw.as_bytes(), &["-o", "json"]).json();
    let expected = serde_json::json!({"verdict": "denied", "code": "SignatureDoesNotMatch"});
    assert_eq!(short, expected);
    let yaml = home.verify(raw.as_bytes(), &["--explain", "-o", "yaml"]);
    assert!(yaml.stdout.contains("\nverdict: \"denied\"\n"), "{}", yaml.stdout);
    // Nothing that a request holds reaches the terminal as it is.
    let raw = raw.replace("/ HTTP", "/\u{9b}2J HTTP");
    let ran = home.verify(raw.as_bytes(), &["--explain"]);
    assert!(!ran.stdout.contains('\u{9b}'), "{}", ran.stdout);
}

#[test]
fn a_secret_that_others_may_read_is_read_and_told_of() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::with_secret(GET_OBJECT_SECRET);
    for (mode, told) in [(0o600, false), (0o644, true)] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(home.secret(), permissions).expect("set");
        let ran = home.verify(GET_OBJECT.as_bytes(), &["--region", "us-east-1"]);
        assert_eq!(ran.stderr.contains("others may read"), told, "{}", ran.stderr);
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(GET_OBJECT_SECRET));
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let home = Home::new();
    let check = |request: &str, args: &[&str], said: &str| {
        let ran = home.verify(request.as_bytes(), args);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{args:?}: {}", ran.stderr);
    };
    check("", &[], "no request on stdin");
    check(GET_OBJECT, &["--path-normalization", "off"], "for services other than s3");
    check(GET_OBJECT, &["--path-normalization", "no"], "possible values: on, off");
    check(GET_OBJECT, &["--endpoint", "http://127.0.0.1:1"], "cannot be used with");
    check(GET_OBJECT, &["--session-token", ""], "a value is required");
    let none = verify(GET_OBJECT.as_bytes(), &["--explain"]);
    assert_eq!(none.code, 2);
    assert!(none.stderr.contains("give --secret-file, set CLAVIGER_SECRET_ACCESS_KEY, or give"));
    let stdin = verify(GET_OBJECT.as_bytes(), &["--secret-file", "-"]);
    assert_eq!(stdin.code, 2);
    let missing = verify(GET_OBJECT.as_bytes(), &["--secret-file", "/nonexistent/secret"]);
    assert_eq!(missing.code, 2);
    let ran = verify(GET_OBJECT.as_bytes(), &["--endpoint", "http://127.0.0.1:1"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("no token"), "{}", ran.stderr);
}
