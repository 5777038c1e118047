//! OpenStack's Keystone, asked as a store asks it: `POST /v3/s3tokens`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// The environment of Python with `keystone` and `gunicorn`, as `cargo xtask bench` installs it.
const PLACE: &str = "CLAVIGER_KEYSTONE";

/// A server, in a folder of its own; ends with this one.
pub struct Keystone {
    _dir: tempfile::TempDir,
    process: Child,
    /// The process that answers.
    worker_id: u32,
    request: String,
    connection: BufReader<TcpStream>,
}

impl Keystone {
    /// Starts it on the CPU of this thread.
    ///
    /// # Errors
    /// If there is none.
    pub fn start() -> Result<Self, String> {
        let place = std::env::var_os(PLACE).ok_or_else(|| format!("{PLACE} is not set"))?;
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/keystone/serve.py");
        let mut process = Command::new(Path::new(&place).join("bin/python"))
            .arg(script)
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{PLACE} has no python: {error}"))?;
        let mut line = String::new();
        let stdout = process.stdout.take().expect("is piped");
        BufReader::new(stdout).read_line(&mut line).expect("is told");
        let told: Value =
            serde_json::from_str(&line).map_err(|_| "keystone does not serve".to_owned())?;
        let number = |name: &str| told[name].as_u64().and_then(|number| number.try_into().ok());
        let [port, worker_id]: [u32; 2] =
            ["port", "process_id"].map(|name| number(name).expect("a number"));
        let [token, body] = ["token", "body"].map(|name| told[name].as_str().expect("text"));
        let request = format!(
            "POST /v3/s3tokens HTTP/1.1\r\nhost: keystone\r\nx-auth-token: {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let address = (Ipv4Addr::LOCALHOST, port.try_into().expect("a port"));
        let connection = BufReader::new(TcpStream::connect(address).expect("connects"));
        Ok(Self { _dir: dir, process, worker_id, request, connection })
    }

    /// The process that answers.
    pub fn process_id(&self) -> u32 {
        self.worker_id
    }

    /// Asks once, and sees that the answer is yes.
    pub fn ask(&mut self) {
        self.connection.get_mut().write_all(self.request.as_bytes()).expect("is read");
        let (mut length, mut is_first) = (0, true);
        loop {
            let mut line = String::new();
            self.connection.read_line(&mut line).expect("is answered");
            assert!(!is_first || line.contains(" 200 "), "{line}");
            is_first = false;
            let (name, value) = line.trim().split_once(':').unwrap_or((line.trim(), ""));
            match name.to_ascii_lowercase().as_str() {
                "" => break,
                "content-length" => length = value.trim().parse().expect("a length"),
                _ => {}
            }
        }
        let mut answer = vec![0; length];
        self.connection.read_exact(&mut answer).expect("is whole");
    }
}

impl Drop for Keystone {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
