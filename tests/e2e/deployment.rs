//! identity, auth and gateway as processes of their own, before an S3 server that is not ours.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::servers::{Server, cli, secret};
use crate::support::{Home, Key, PATIENCE, succeeded, tool};

const STORE_KEY: (&str, &str) = ("AKIAVERSITYGATEWAY00", "a-secret-of-the-store-alone");
const ANY: &str = "127.0.0.1:0";

/// VersityGW, which keeps objects in a folder. Killed when dropped.
pub(crate) struct Store {
    child: Child,
    address: String,
    folder: PathBuf,
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Store {
    fn start(folder: &Path) -> Self {
        // It does not say which port it was given.
        let free = TcpListener::bind(ANY).and_then(|listener| listener.local_addr());
        Self::start_at(folder, &free.expect("a port").to_string())
    }

    fn start_at(folder: &Path, address: &str) -> Self {
        std::fs::create_dir_all(folder).expect("created");
        let child = Command::new(tool("bin/versitygw"))
            .args(["--port", address, "posix"])
            .arg(folder)
            .env("ROOT_ACCESS_KEY", STORE_KEY.0)
            .env("ROOT_SECRET_KEY", STORE_KEY.1)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("versitygw starts");
        let start = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(start.elapsed() < PATIENCE, "the store does not listen");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Self { child, address: address.to_owned(), folder: folder.to_owned() }
    }

    /// Ends it without a word, and starts it anew where it was.
    pub(crate) fn restart(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        *self = Self::start_at(&self.folder.clone(), &self.address.clone());
    }
}

/// All of it. Each part can be ended and started anew where it was.
pub(crate) struct Deployment {
    flags: Vec<&'static str>,
    home: Home,
    identity: (Server, String),
    auths: Vec<(Server, String)>,
    pub(crate) store: Store,
    _gateway: Server,
    /// Where S3 is served.
    pub(crate) s3: String,
    /// The access key of the account's root user.
    pub(crate) root: Key,
}

impl Deployment {
    /// With so many replicas of auth.
    pub(crate) fn start(auths: usize) -> Self {
        Self::start_with(auths, &[])
    }

    /// Where identity and auth have these flags too.
    pub(crate) fn start_with(auths: usize, flags: &[&'static str]) -> Self {
        let home = Home::new();
        let dir = home.path().to_owned();
        let random = || uuid::Uuid::new_v4().simple().to_string();
        secret(&dir, "kek", &(random() + &random()));
        for token in ["admin-token", "auth-token", "gateway-token", "acting-token"] {
            secret(&dir, token, &random());
        }
        secret(&dir, "upstream", STORE_KEY.1);
        let store = Store::start(&dir.join("store"));
        let (server, identity) = identity(&dir, ANY, flags);
        let made = cli(&dir, &identity, &["account", "create", "Example Ltd"]);
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let root = Key {
            id: text(&made["accessKey"]["accessKeyId"]),
            secret: text(&made["secretAccessKey"]),
        };
        let auths: Vec<_> = (0..auths).map(|n| auth(&dir, n, &identity, ANY, flags)).collect();
        let uris: Vec<_> = auths.iter().map(|(_, uri)| uri.as_str()).collect();
        let mut gateway = Server::start(
            &dir,
            "gateway",
            &[
                "--auth",
                &uris.join(","),
                "--s3-listen",
                ANY,
                "--rest-listen",
                ANY,
                "--gateway-token-file",
                "gateway-token",
                "--identity",
                &identity,
                "--identity-token-file",
                "acting-token",
                "--upstream-endpoint",
                &format!("http://{}", store.address),
                "--upstream-access-key-id",
                STORE_KEY.0,
                "--upstream-secret-access-key-file",
                "upstream",
            ],
        );
        let s3 = format!("http://{}", gateway.told("serving S3", "address"));
        let identity = (server, identity);
        let flags = flags.to_vec();
        let deployment = Self { flags, home, identity, auths, store, _gateway: gateway, s3, root };
        deployment.run("aws", deployment.aws(&["s3", "ls"]));
        deployment
    }

    pub(crate) fn path(&self) -> &Path {
        self.home.path()
    }

    /// Ends identity without a word, and starts it anew.
    pub(crate) fn restart_identity(&mut self) {
        let uri = self.identity.1.clone();
        self.identity.0.kill();
        self.identity = identity(self.home.path(), address(&uri), &self.flags);
    }

    /// Ends this replica of auth without a word, and starts it anew.
    pub(crate) fn restart_auth(&mut self, n: usize) {
        let uri = self.auths[n].1.clone();
        self.auths[n].0.kill();
        self.auths[n] = auth(self.home.path(), n, &self.identity.1, address(&uri), &self.flags);
    }

    /// A program of the tools with the endpoint and the root key in its environment, as SDKs of AWS want them.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(tool(program));
        command
            .env("AWS_ENDPOINT_URL", &self.s3)
            .env("AWS_ACCESS_KEY_ID", &self.root.id)
            .env("AWS_SECRET_ACCESS_KEY", &self.root.secret)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn aws(&self, args: &[&str]) -> Command {
        let mut command = self.command("venv/bin/aws");
        command.args(args);
        command
    }

    /// Runs a script of `tests/clients`.
    pub(crate) fn script(&self, script: &str, args: &[&str]) -> String {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients");
        let mut command = self.command("venv/bin/python");
        command.arg(scripts.join(script)).args(args);
        self.run(script, command)
    }

    /// What a command says, which must succeed.
    pub(crate) fn run(&self, what: &str, mut command: Command) -> String {
        succeeded(what, command.output().expect("it runs"))
    }
}

fn identity(dir: &Path, listen: &str, flags: &[&str]) -> (Server, String) {
    let args = [
        "--data-dir",
        "data",
        "--kek-file",
        "kek",
        "--listen",
        listen,
        "--gateway-token-file",
        "acting-token",
        "--admin-token-file",
        "admin-token",
        "--auth-token-file",
        "auth-token",
    ];
    let mut server = Server::start(dir, "identity", &[&args[..], flags].concat());
    let uri = format!("http://{}", server.told("serving gRPC", "address"));
    (server, uri)
}

fn auth(dir: &Path, n: usize, identity: &str, listen: &str, flags: &[&str]) -> (Server, String) {
    let args = [
        "--identity",
        identity,
        "--listen",
        listen,
        "--gateway-token-file",
        "gateway-token",
        "--admin-token-file",
        "admin-token",
        "--auth-token-file",
        "auth-token",
    ];
    let mut server =
        Server::start_as(dir, "auth", &format!("auth-{n}"), &[&args[..], flags].concat(), &[]);
    let uri = format!("http://{}", server.told("serving gRPC", "address"));
    (server, uri)
}

fn address(uri: &str) -> &str {
    uri.strip_prefix("http://").expect("a URI")
}
