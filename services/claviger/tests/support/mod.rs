//! The built binary, and a `claviger dev` of it.

#![allow(dead_code, unreachable_pub)] // each test file uses its own part

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary, without what the machine's environment may set.
pub fn claviger() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claviger"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CLAVIGER_") {
            command.env_remove(name);
        }
    }
    command.env("RUST_LOG", "info").env("CLAVIGER_LOG_FORMAT", "json");
    command
}

/// What a run of the binary wrote and gave.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().expect("not ended by a signal"),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).expect("stdout is JSON")
    }
}

/// Runs the binary to its end.
pub fn run(args: &[&str]) -> Ran {
    Ran::of(&claviger().args(args).output().expect("the binary starts"))
}

/// A running `claviger dev` on free ports.
pub struct Dev {
    child: Child,
    /// The line that it printed.
    pub ready: Value,
}

impl Dev {
    pub fn start(data_dir: &Path) -> Self {
        Self::start_at(data_dir, "127.0.0.1:0")
    }

    /// With identity at an address.
    pub fn start_at(data_dir: &Path, identity: &str) -> Self {
        let mut command = claviger();
        command.arg("dev").arg("--data-dir").arg(data_dir).args(["-o", "json"]);
        for listener in ["s3", "rest", "auth", "admin"] {
            command.args([&format!("--{listener}-listen"), "127.0.0.1:0"]);
        }
        command.args(["--identity-listen", identity]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let ready = serde_json::from_str(&line).expect("one line of JSON");
        Self { child, ready }
    }

    pub fn text(&self, pointer: &str) -> String {
        self.ready.pointer(pointer).and_then(Value::as_str).expect("a text").to_owned()
    }

    /// A client noun against it, to be run.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = claviger();
        command
            .env("CLAVIGER_ENDPOINT", self.text("/identity"))
            .env("CLAVIGER_TOKEN", self.text("/admin_token"))
            .args(args);
        command
    }

    /// Runs a client noun against it.
    pub fn client(&self, args: &[&str]) -> Ran {
        Ran::of(&self.command(args).output().expect("the binary starts"))
    }

    /// Runs a client noun that must work.
    pub fn done(&self, args: &[&str]) -> Ran {
        let ran = self.client(args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.stderr);
        ran
    }

    /// Sends a signal, and waits for the end.
    pub fn stop(mut self, signal: &str) -> ExitStatus {
        let begun = Instant::now();
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status().expect("kill is there");
        assert!(sent.success());
        let status = self.child.wait().expect("it ends");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        status
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // After `stop` it has ended, and this does nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
