//! A real Envoy with the configuration that we ship, in front of a store that believes it.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::store::Store;
use crate::support::{Dev, Home, Key, PATIENCE, send_for_body, tool};

/// The configuration that we ship.
pub(crate) fn shipped() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/envoy/envoy.yaml"))
}

/// Claviger, a store, and an Envoy before it. All end when dropped.
pub(crate) struct Proxied {
    /// Where clients come in.
    pub(crate) endpoint: String,
    pub(crate) store: Store,
    pub(crate) dev: Dev,
    pub(crate) home: Home,
    child: Child,
}

impl Drop for Proxied {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxied {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// An Envoy of whose configuration these texts have become others.
    pub(crate) async fn with(changes: &[(&str, &str)]) -> Self {
        let home = Home::new();
        let dev = home.start();
        let store = Store::start(&home).await;
        let mut config = std::fs::read_to_string(shipped()).expect("read");
        let auth = dev.address("auth");
        let port = |address: &str| address.rsplit(':').next().expect("a port").to_owned();
        let ports = [
            ("9901", "0".to_owned()),
            ("8000", "0".to_owned()),
            ("7120", port(&auth)),
            ("9000", store.address.port().to_string()),
        ];
        let ports = ports.map(|(ours, theirs)| {
            (format!("port_value: {ours} }}"), format!("port_value: {theirs} }}"))
        });
        let ports = ports.iter().map(|(from, to)| (from.as_str(), to.as_str()));
        for (from, to) in ports.chain(changes.iter().copied()) {
            assert_eq!(config.matches(from).count(), 1, "{from}");
            config = config.replace(from, to);
        }
        let file = home.path().join("envoy.yaml");
        std::fs::write(&file, config).expect("written");
        let admin = home.path().join("envoy-admin");
        let log = std::fs::File::create(home.path().join("envoy.log")).expect("created");
        let mut command = Command::new(tool("envoy/bin/envoy"));
        command.arg("-c").arg(&file).arg("--admin-address-path").arg(&admin);
        command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]);
        command.env("CLAVIGER_GATEWAY_TOKEN", dev.text("admin_token"));
        command.stdin(Stdio::null()).stderr(log.try_clone().expect("the same")).stdout(log);
        let child = command.spawn().expect("envoy starts");
        let mut proxied = Self { endpoint: String::new(), store, dev, home, child };
        let start = Instant::now();
        while proxied.endpoint.is_empty() {
            assert!(start.elapsed() < PATIENCE, "does not start: {}", proxied.log());
            assert!(proxied.child.try_wait().expect("a child").is_none(), "{}", proxied.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
            if let Ok(admin) = std::fs::read_to_string(&admin)
                && admin.contains(':')
            {
                proxied.endpoint = proxied.find_endpoint(&admin).await;
            }
        }
        proxied
    }

    /// Where it listens, once it does and is ready; else empty.
    async fn find_endpoint(&self, admin: &str) -> String {
        let get = async |path: &str| {
            let request = http::Request::get(format!("http://{admin}{path}"));
            send_for_body(request.body(Default::default()).expect("a request")).await
        };
        if get("/ready").await.0 != 200 {
            return String::new();
        }
        let (_, listeners) = get("/listeners?format=json").await;
        let listeners: Value = serde_json::from_str(&listeners).expect("JSON");
        let port = &listeners["listener_statuses"][0]["local_address"]["socket_address"];
        port["port_value"]
            .as_u64()
            .map(|port| format!("http://127.0.0.1:{port}"))
            .unwrap_or_default()
    }

    /// What Envoy has written, a line for each request among it.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("envoy.log")).unwrap_or_default()
    }

    /// Runs a client that goes through Envoy.
    pub(crate) fn run(&self, key: &Key, command: &mut Command) -> Output {
        command.envs(self.dev.environment(key)).env("AWS_ENDPOINT_URL", &self.endpoint);
        command.stdin(Stdio::null()).output().expect("runs")
    }
}
