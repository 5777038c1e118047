//! Servers and clients that know each other by certificates, and by nothing else.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Instant, SystemTime};

use serde_json::Value;
use test_pki::Authority;

use crate::servers::{Server, secret};
use crate::support::{Home, Key, PATIENCE, claviger, send, signed_get, succeeded, tool};

const ANN: &str = "spiffe://example.org/operator/ann";
const AUTH: &str = "spiffe://example.org/auth";
const GATEWAY: &str = "spiffe://example.org/gateway";
const ANY: &str = "127.0.0.1:0";

/// Identity and auth, without a token between them.
struct Pair {
    home: Home,
    identity: Server,
    auth: Server,
    identity_address: String,
    auth_address: String,
}

/// Makes certificates for all of them, in place of those that there are.
fn certify(dir: &Path, authority: &Authority) {
    authority.write(dir, "ca");
    authority.issue(&["127.0.0.1"]).write(dir, "identity");
    authority.issue(&["127.0.0.1", AUTH]).write(dir, "auth");
    authority.issue(&[GATEWAY]).write(dir, "gateway");
    authority.issue(&[ANN]).write(dir, "ann");
    authority.issue(&["spiffe://example.org/operator/eve"]).write(dir, "eve");
}

/// The flags for the certificate of this name.
fn tls(name: &str) -> Vec<String> {
    ["certificate", "key", "ca"]
        .into_iter()
        .zip([format!("{name}.pem"), format!("{name}.key"), "ca.pem".into()])
        .flat_map(|(what, file)| [format!("--tls-{what}-file"), file])
        .collect()
}

fn start(dir: &Path, name: &str, args: &[&str]) -> Server {
    let tls = tls(name);
    let args: Vec<&str> = args.iter().copied().chain(tls.iter().map(String::as_str)).collect();
    Server::start(dir, name, &args)
}

impl Pair {
    fn start(authority: &Authority) -> Self {
        let home = Home::new();
        let dir = home.path();
        certify(dir, authority);
        let random = || uuid::Uuid::new_v4().simple().to_string();
        secret(dir, "kek", &(random() + &random()));
        let operator = ["--listen", ANY, "--operator", ANN];
        let args = ["--data-dir", "data", "--kek-file", "kek", "--auth", AUTH];
        let mut identity = start(dir, "identity", &[&operator[..], &args].concat());
        let identity_address = identity.told("serving gRPC by TLS", "address");
        let uri = format!("https://{identity_address}");
        let args = ["--identity", &uri, "--gateway", GATEWAY];
        let mut auth = start(dir, "auth", &[&operator[..], &args].concat());
        let auth_address = auth.told("serving gRPC by TLS", "address");
        auth.told("snapshot of all credentials is complete", "message");
        Self { home, identity, auth, identity_address, auth_address }
    }

    fn dir(&self) -> &Path {
        self.home.path()
    }

    /// Runs the command line by the certificate of this name, or none.
    fn cli(&self, name: Option<&str>, args: &[&str]) -> Output {
        let mut command = Command::new(claviger());
        command.args(args).args(["--endpoint", &format!("https://{}", self.identity_address)]);
        match name {
            Some(name) => command.args(tls(name)),
            None => command.args(["--tls-ca-file", "ca.pem"]),
        };
        command.current_dir(self.dir()).stdin(Stdio::null()).output().expect("claviger runs")
    }

    /// Runs grpcurl by the certificate of this name, or none.
    fn grpcurl(&self, name: Option<&str>, address: &str, args: &[&str]) -> Output {
        let mut command = Command::new(tool("bin/grpcurl"));
        command.args(["-cacert", "ca.pem"]);
        if let Some(name) = name {
            command.args(["-cert", &format!("{name}.pem"), "-key", &format!("{name}.key")]);
        }
        command.arg(address).args(args);
        command.current_dir(self.dir()).stdin(Stdio::null()).output().expect("grpcurl runs")
    }

    #[track_caller]
    fn cli_refused(&self, name: Option<&str>, code: i32, said: &str) {
        let output = self.cli(name, &["account", "list"]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{name:?}: {stderr}");
        assert!(stderr.contains(said), "{name:?}: {stderr}");
    }
}

const LIST_ACCOUNTS: &str = "claviger.identity.v1.AccountService/ListAccounts";

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_and_an_operator_need_no_token() {
    let store_home = Home::new();
    let store = store_home.start();
    let pair = Pair::start(&Authority::new());
    let dir = pair.dir();
    let made = pair.cli(Some("ann"), &["account", "create", "Example Ltd", "-o", "json"]);
    let made: Value = serde_json::from_str(&succeeded("create", made)).expect("JSON");
    let key = Key {
        id: made["accessKey"]["accessKeyId"].as_str().expect("text").to_owned(),
        secret: made["secretAccessKey"].as_str().expect("text").to_owned(),
    };
    let listed = succeeded("events", pair.cli(Some("ann"), &["event", "list", "--by", ANN]));
    assert!(listed.contains("AccountCreated"), "{listed}");

    // Whoever is encrypted may ask what there is to ask; for all else one must be somebody.
    let (identity, auth) = (&*pair.identity_address, &*pair.auth_address);
    for (address, service) in [(identity, "UserService"), (auth, "AuthService")] {
        let listed = succeeded("list", pair.grpcurl(None, address, &["list"]));
        assert!(listed.contains(service), "{listed}");
        let check = ["grpc.health.v1.Health/Check"];
        let health = succeeded("health", pair.grpcurl(None, address, &check));
        assert!(health.contains("SERVING"), "{health}");
    }
    let listed = pair.grpcurl(Some("ann"), identity, &[LIST_ACCOUNTS]);
    assert!(succeeded("accounts", listed).contains("Example Ltd"));
    for (name, said) in [
        (None, "authorization: Bearer <token> is missing"),
        (Some("eve"), "the client certificate stands for nobody who may call"),
        (Some("gateway"), "the client certificate stands for nobody who may call"),
        (Some("auth"), "the caller may not make this call"),
    ] {
        let refused = pair.grpcurl(name, identity, &[LIST_ACCOUNTS]);
        let stderr = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && stderr.contains(said), "{name:?}: {stderr}");
    }
    let ask = ["claviger.auth.v1.AuthService/VerifySignature"];
    for name in ["ann", "gateway"] {
        // It is nothing of a request that is asked about.
        let refused = pair.grpcurl(Some(name), auth, &ask);
        let stderr = String::from_utf8_lossy(&refused.stderr);
        assert!(stderr.contains("Code: InvalidArgument"), "{name}: {stderr}");
    }

    secret(dir, "upstream", &store.root().secret);
    let mut gateway = start(
        dir,
        "gateway",
        &[
            "--auth",
            &format!("https://{auth}"),
            "--s3-listen",
            ANY,
            "--rest-listen",
            ANY,
            "--account-id",
            made["account"]["accountId"].as_str().expect("text"),
            "--upstream-endpoint",
            &store.text("s3"),
            "--upstream-access-key-id",
            &store.root().id,
            "--upstream-secret-access-key-file",
            "upstream",
        ],
    );
    let s3 = format!("http://{}/", gateway.told("serving S3", "address"));
    let begun = Instant::now();
    loop {
        let answer = send(signed_get(&s3, &key, SystemTime::now())).await;
        if answer.0 == 200 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "still {answer:?}");
    }
    gateway.terminate();
    let Pair { identity, auth, .. } = pair;
    auth.terminate();
    identity.terminate();
}

#[test]
fn the_command_line_tells_what_is_wrong_with_a_certificate() {
    let authority = Authority::new();
    let pair = Pair::start(&authority);
    pair.cli_refused(Some("eve"), 4, "(UNKNOWN_CERTIFICATE)");
    pair.cli_refused(None, 2, "no token: set CLAVIGER_TOKEN");
    let other = Authority::new();
    other.issue(&[ANN]).write(pair.dir(), "other");
    pair.cli_refused(Some("other"), 69, "UnknownCA");
    authority.issue_until(&[ANN], test_pki::End::Past).write(pair.dir(), "old");
    pair.cli_refused(Some("old"), 69, "CertificateExpired");
    other.write(pair.dir(), "ca");
    pair.cli_refused(Some("ann"), 69, "UnknownIssuer");
}

#[test]
fn certificates_are_replaced_while_the_servers_run() {
    let mut pair = Pair::start(&Authority::new());
    let works = |pair: &Pair, name: &str| {
        succeeded("cli", pair.cli(Some(name), &["account", "list"]));
        let listed = pair.grpcurl(Some(name), &pair.identity_address, &[LIST_ACCOUNTS]);
        succeeded("grpcurl", listed);
    };
    works(&pair, "ann");
    for end in ["pem", "key"] {
        let copied =
            |to: &str| std::fs::copy(pair.dir().join(format!("ann.{end}")), pair.dir().join(to));
        copied(&format!("former.{end}")).expect("copied");
    }

    // Everything anew, the authority too: nothing of before would do.
    certify(pair.dir(), &Authority::new());
    works(&pair, "ann");
    pair.cli_refused(Some("former"), 69, "UnknownCA");

    // Auth has not been asked for its own again: it is when identity comes back.
    let identity = &pair.identity_address.clone();
    let Pair { home, identity: server, auth, auth_address, .. } = pair;
    server.terminate();
    let args = ["--data-dir", "data", "--kek-file", "kek", "--auth", AUTH, "--operator", ANN];
    let mut server = start(home.path(), "identity", &[&args[..], &["--listen", identity]].concat());
    server.told("serving gRPC by TLS", "address");
    pair = Pair { home, identity: server, auth, identity_address: identity.clone(), auth_address };
    let made = pair.cli(Some("ann"), &["account", "create", "Later", "-o", "json"]);
    let made: Value = serde_json::from_str(&succeeded("create", made)).expect("JSON");
    let body = serde_json::json!({
        "head": { "method": "GET", "target": "/", "headers": [] },
        "region": "us-east-1",
        "minPosition": made["position"],
    });
    let begun = Instant::now();
    let mut command = Command::new(tool("bin/grpcurl"));
    command.args(["-cacert", "ca.pem", "-cert", "ann.pem", "-key", "ann.key", "-d"]);
    command.arg(body.to_string()).arg(&pair.auth_address);
    command.arg("claviger.auth.v1.AuthService/VerifySignature").current_dir(pair.dir());
    loop {
        let asked = command.output().expect("grpcurl runs");
        if asked.status.success() {
            break;
        }
        let stderr = String::from_utf8_lossy(&asked.stderr);
        assert!(begun.elapsed() < PATIENCE, "still {stderr}");
    }

    // What is of no use changes nothing, and is told.
    for name in ["identity.pem", "ca.pem"] {
        let path = pair.dir().join(name);
        let before = std::fs::read_to_string(&path).expect("read");
        test_pki::replace(&path, "garbage", 0o644);
        let listed = pair.grpcurl(Some("ann"), &pair.identity_address, &["list"]);
        if name == "ca.pem" {
            assert!(!listed.status.success(), "grpcurl reads it too");
        } else {
            succeeded("grpcurl", listed);
        }
        test_pki::replace(&path, &before, 0o644);
        works(&pair, "ann");
    }
    let warned = "TLS files have changed and are of no use; what they held before stays in use";
    assert!(pair.identity.told(warned, "error").contains("identity.pem"));
}
