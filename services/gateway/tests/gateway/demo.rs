//! With the demo store behind: what the gateway signs, an S3 server accepts.

use demo_store::DemoStore;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::fake_auth::FakeAuth;
use crate::rig::{Gateway, config, exchange, limits, request, serve};

pub(crate) async fn start() -> (Gateway, TempDir) {
    let dir = TempDir::new().expect("a directory");
    let store = DemoStore::open(dir.path()).expect("a store");
    let service = demo_store::service(store, "us-east-1", "AKIAUPSTREAM", "upstream-secret");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(demo_store::serve(listener, service, std::future::pending()));
    let auth = FakeAuth::start().await;
    (serve(config(auth.address, address, limits())).await, dir)
}

pub(crate) fn signed(body: &[u8]) -> String {
    format!("x-amz-content-sha256: {}", hex::encode(Sha256::digest(body)))
}

#[tokio::test]
async fn keys_of_every_spelling_come_back() {
    let (gateway, _dir) = start().await;
    let send = async |line: &str, headers: &[&str], body: &[u8]| {
        exchange(gateway.s3, &request(line, headers, body)).await
    };
    assert_eq!(send("PUT /bucket", &["content-length: 0"], b"").await.status, 200);
    for (n, key) in [
        "plain",
        "a/b/../c/./d",
        "/leading//double/",
        "%2e%2e/up",
        "a%2Fb%2fc",
        "%c3%a9",
        "é🔑",
        "a+b%20c%2B",
        "!$&'()*,;=:@~",
        "a%25b",
    ]
    .into_iter()
    .enumerate()
    {
        let body = format!("body {n}");
        let metadata = ["x-amz-meta-a:  spaced   out  ", "x-amz-meta-b: 1", "x-amz-meta-b: 2"];
        let hash = signed(body.as_bytes());
        let headers = [&[hash.as_str(), "content-type: text/plain"], &metadata[..]].concat();
        let answer = send(&format!("PUT /bucket/{key}"), &headers, body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{key}: {answer:?}");
        let answer =
            send(&format!("GET /bucket/{key}?response-content-type=a%2Fb"), &[], b"").await;
        assert_eq!((answer.status, answer.text()), (200, body.as_str()), "{key}");
        assert_eq!(answer.header("content-type"), Some("a/b"));
    }
    let answer = send("GET /bucket?list-type=2&prefix=a%2Fb&max-keys=10", &[], b"").await;
    assert_eq!((answer.status, answer.text().matches("<Contents>").count()), (200, 2));
    let named_by_host =
        "GET /a%2Fb%2fc HTTP/1.1\r\nHost: bucket.s3.test\r\nConnection: close\r\n\r\n";
    let answer = exchange(gateway.s3, named_by_host.as_bytes()).await;
    assert_eq!((answer.status, answer.text()), (200, "body 4"));
    let answer = send("GET /bucket/none", &[], b"").await;
    assert_eq!((answer.status, answer.element("Code")), (404, Some("NoSuchKey")));
}

#[tokio::test]
async fn a_body_that_does_not_match_never_becomes_an_object() {
    let (gateway, _dir) = start().await;
    let send = async |line: &str, headers: &[&str], body: &[u8]| {
        exchange(gateway.s3, &request(line, headers, body)).await
    };
    assert_eq!(send("PUT /bucket", &["content-length: 0"], b"").await.status, 200);
    for body in [&b""[..], b"x", &[7; 1 << 20]] {
        let answer = send("PUT /bucket/k", &[&signed(b"other"), "x: y"], body).await;
        answer.is_error(400, "XAmzContentSHA256Mismatch");
        assert_eq!(send("HEAD /bucket/k", &[], b"").await.status, 404);
    }
    let copied = ["x-amz-copy-source: /bucket/a%20b", "content-length: 0"];
    assert_eq!(send("PUT /bucket/a%20b", &[&signed(b"hello")], b"hello").await.status, 200);
    assert_eq!(send("PUT /bucket/copy", &copied, b"").await.status, 200);
    assert_eq!(send("GET /bucket/copy", &[], b"").await.text(), "hello");
}
