//! identity, auth and gateway as processes of their own, before another S3 server.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Home, Key, PATIENCE, claviger, succeeded, tool};

/// One server, with its log in a file. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub(crate) fn start(dir: &Path, name: &str, args: &[&str]) -> Self {
        let log = dir.join(format!("{name}.log"));
        let child = Command::new(claviger())
            .arg(name)
            .args(args)
            .args(["--admin-listen", "127.0.0.1:0"])
            .current_dir(dir)
            .env("CLAVIGER_LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).expect("created"))
            .spawn()
            .expect("claviger starts");
        Self { child, log }
    }

    /// Waits for a log line with this message, and gives its field.
    pub(crate) fn told(&mut self, message: &str, field: &str) -> String {
        let start = Instant::now();
        loop {
            let mut log = String::new();
            let mut file = std::fs::File::open(&self.log).expect("opened");
            file.read_to_string(&mut log).expect("text");
            for line in log.lines() {
                let line: Value = serde_json::from_str(line).unwrap_or_default();
                if line["message"] == message {
                    return line[field].as_str().expect("text").to_owned();
                }
            }
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none() && start.elapsed() < PATIENCE, "no {message}: {log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn terminate(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("runs").success());
        let status = self.child.wait().expect("ended");
        let log = std::fs::read_to_string(&self.log).expect("text");
        assert!(status.success(), "{status}: {log}");
    }
}

pub(crate) fn secret(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(path, mode).expect("set");
}

pub(crate) fn cli(dir: &Path, endpoint: &str, args: &[&str]) -> Value {
    let output = Command::new(claviger())
        .args(args)
        .args(["--token-file", "admin-token", "--endpoint", endpoint, "-o", "json"])
        .current_dir(dir)
        .output()
        .expect("claviger runs");
    serde_json::from_str(&succeeded(&args.join(" "), output)).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_stand_before_another_store() {
    // Another S3 server: what matters is that it has a credential of its own.
    let store_home = Home::new();
    let store = store_home.start();
    let home = Home::new();
    let dir = home.path();
    let random = || uuid::Uuid::new_v4().simple().to_string();
    secret(dir, "kek", &(random() + &random()));
    secret(dir, "admin-token", &random());
    secret(dir, "auth-token", &random());
    secret(dir, "gateway-token", &random());
    secret(dir, "acting-token", &random());
    secret(dir, "upstream", &store.root().secret);
    let any = "127.0.0.1:0";
    let tokens = ["--admin-token-file", "admin-token", "--auth-token-file", "auth-token"];

    let args = ["--data-dir", "data", "--kek-file", "kek", "--listen", any];
    let acting = ["--gateway-token-file", "acting-token"];
    let mut identity = Server::start(dir, "identity", &[&args[..], &acting, &tokens].concat());
    let endpoint = format!("http://{}", identity.told("serving gRPC", "address"));
    let made = cli(dir, &endpoint, &["account", "create", "Example Ltd"]);
    let key = Key {
        id: made["accessKey"]["accessKeyId"].as_str().expect("text").to_owned(),
        secret: made["secretAccessKey"].as_str().expect("text").to_owned(),
    };

    let args = ["--identity", &endpoint, "--listen", any, "--gateway-token-file", "gateway-token"];
    let mut auth = Server::start(dir, "auth", &[&args[..], &tokens].concat());
    let auth_uri = format!("http://{}", auth.told("serving gRPC", "address"));
    let upstream_key = store.root().id;
    let mut gateway = Server::start(
        dir,
        "gateway",
        &[
            "--auth",
            &auth_uri,
            "--s3-listen",
            any,
            "--rest-listen",
            any,
            "--gateway-token-file",
            "gateway-token",
            "--identity",
            &endpoint,
            "--identity-token-file",
            "acting-token",
            "--account-id",
            made["account"]["accountId"].as_str().expect("text"),
            "--upstream-endpoint",
            &store.text("s3"),
            "--upstream-access-key-id",
            &upstream_key,
            "--upstream-secret-access-key-file",
            "upstream",
        ],
    );
    let s3 = format!("http://{}", gateway.told("serving S3", "address"));
    let ask = async || {
        let request =
            crate::support::signed_get(&format!("{s3}/"), &key, std::time::SystemTime::now());
        crate::support::send(request).await
    };
    let wait_for = async |status: u16| {
        let start = Instant::now();
        while ask().await.0 != status {
            assert!(start.elapsed() < PATIENCE, "still {:?}", ask().await);
        }
    };
    wait_for(200).await;
    let iam = |action: &str| {
        let mut command = Command::new(tool("venv/bin/aws"));
        command.args(["iam", action, "--endpoint-url", &s3, "--region", "eu-west-3"]);
        command.env("AWS_ACCESS_KEY_ID", &key.id).env("AWS_SECRET_ACCESS_KEY", &key.secret);
        command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_MAX_ATTEMPTS", "1");
        command.stdin(Stdio::null()).output().expect("aws runs")
    };
    assert!(succeeded("iam get-user", iam("get-user")).contains(":root\""));

    // Without identity auth goes on; without auth the answer is "later", never "refused".
    identity.terminate();
    assert_eq!(ask().await.0, 200);
    let later = |output: std::process::Output| {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains("ServiceUnavailable"), "{stderr}");
    };
    later(iam("get-user"));
    auth.terminate();
    assert_eq!(ask().await, (503, "ServiceUnavailable".into()));
    later(iam("get-user"));
    gateway.terminate();
}

#[test]
fn no_server_starts_without_its_secrets() {
    let home = Home::new();
    for name in ["identity", "auth", "gateway"] {
        let output = Command::new(claviger())
            .arg(name)
            .current_dir(home.path())
            .output()
            .expect("claviger runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {stderr}");
        assert!(stderr.contains("is not set"), "{name}: {stderr}");
    }
}
