//! The operators' port, over a real socket.

use std::net::SocketAddr;

use telemetry::{Readiness, ReadyFlag, Registry, admin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Admin {
    address: SocketAddr,
    auth: ReadyFlag,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

async fn start() -> Admin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let readiness = Readiness::default();
    readiness.register("identity").set(true);
    let auth = readiness.register("auth");
    let registry = Registry::new();
    let counter = prometheus::IntCounter::new("keys_total", "Keys.").unwrap();
    counter.inc();
    registry.register(Box::new(counter)).unwrap();
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(admin::serve(listener, readiness, registry, async {
        let _ = stopped.await;
    }));
    Admin { address, auth, stop, server }
}

/// The head and the body of the answer.
async fn send(address: SocketAddr, method: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

async fn check(admin: &Admin, request: &str, status: u16, body: &str) {
    let (method, path) = request.split_once(' ').unwrap();
    let (head, found) = send(admin.address, method, path).await;
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {head}");
    assert_eq!(found, body, "{request}");
}

#[tokio::test]
async fn probes_see_what_is_not_ready() {
    let admin = start().await;
    check(&admin, "GET /livez", 200, "ok\n").await;
    check(&admin, "GET /readyz", 503, "not ready:\nauth\n").await;
    admin.auth.set(true);
    check(&admin, "GET /readyz", 200, "ok\n").await;
    check(&admin, "HEAD /readyz", 200, "").await;
}

#[tokio::test]
async fn metrics_are_in_prometheus_text_format() {
    let admin = start().await;
    let (head, body) = send(admin.address, "GET", "/metrics").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(body.contains("# TYPE keys_total counter\nkeys_total 1\n"), "{body}");
}

#[tokio::test]
async fn the_version_is_json() {
    let admin = start().await;
    let (head, body) = send(admin.address, "GET", "/version").await;
    assert!(head.contains("content-type: application/json"), "{head}");
    let version: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn there_is_nothing_else() {
    let admin = start().await;
    check(&admin, "GET /", 404, "").await;
    check(&admin, "GET /metrics/x", 404, "").await;
    check(&admin, "POST /metrics", 405, "").await;
    check(&admin, "DELETE /livez", 405, "").await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_does_not_stop_the_end() {
    let admin = start().await;
    let mut half = TcpStream::connect(admin.address).await.unwrap();
    half.write_all(b"GET /livez HTT").await.unwrap();
    check(&admin, "GET /livez", 200, "ok\n").await; // and so the half one has been accepted
    admin.stop.send(()).unwrap();
    let end = tokio::time::timeout(std::time::Duration::from_secs(5), admin.server).await;
    end.expect("the server ends").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_ends_is_cut_off() {
    let admin = start().await;
    let mut half = TcpStream::connect(admin.address).await.unwrap();
    half.write_all(b"GET /livez HTT").await.unwrap();
    let mut answer = Vec::new();
    half.read_to_end(&mut answer).await.unwrap(); // ends with the connection
    assert!(!String::from_utf8_lossy(&answer).contains("200"));
}
