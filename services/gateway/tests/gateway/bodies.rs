//! Bodies: whole or not at all, in constant memory, and never read without need.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use gateway::Limits;

use crate::fake_upstream::text;
use crate::rig::{Answer, Gateway, Rig, config, exchange, limits, read_to_end, request, serve};

fn signed(body: &[u8]) -> String {
    format!("X-Amz-Content-SHA256: {}", hex::encode(Sha256::digest(body)))
}

#[tokio::test]
async fn a_body_of_the_signed_hash_goes_through() {
    let rig = Rig::start().await;
    for body in [&b""[..], b"x", &[7; 3 << 20]] {
        let hash = signed(body);
        let answer = rig.send("PUT /bkt/k", &[&hash], body).await;
        assert_eq!(answer.status, 200);
        let seen = rig.upstream.seen().pop().expect("a request");
        assert_eq!((seen.whole, seen.length), (true, body.len() as u64));
        assert!(body.starts_with(&seen.start[..seen.start.len().min(1024)]));
        let told = seen.headers.get("x-amz-content-sha256").expect("told").to_str();
        assert_eq!(Some(told.expect("text")), hash.split(": ").nth(1));
    }
}

#[tokio::test]
async fn a_body_of_another_hash_is_never_whole_upstream() {
    let rig = Rig::start().await;
    for body in [&b""[..], b"x", &[7; 3 << 20]] {
        let answer = rig.send("PUT /bkt/k", &[&signed(b"other")], body).await;
        answer.is_error(400, "XAmzContentSHA256Mismatch");
        let hash = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
        assert_eq!(answer.element("ClientComputedContentSHA256"), Some(&*hash(b"other")));
        assert_eq!(answer.element("S3ComputedContentSHA256"), Some(&*hash(body)));
    }
    // Of the big one much was sent before its end, but not that.
    for seen in rig.upstream.seen_at_least(1).await {
        assert!(!seen.whole && seen.length < 3 << 20, "{seen:?}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_whole_upstream() {
    let rig = Rig::start().await;
    for header in ["X-Amz-Content-SHA256: UNSIGNED-PAYLOAD".to_owned(), signed(b"hello")] {
        let n = rig.upstream.seen().len();
        let mut stream = TcpStream::connect(rig.gateway.s3).await.expect("a connection");
        let head = request("PUT /bkt/k", &[&header, "Content-Length: 6"], b"");
        stream.write_all(&[&head, &b"hello"[..]].concat()).await.expect("written");
        rig.upstream.begun_at_least(n + 1).await;
        drop(stream);
        let seen = rig.upstream.seen_at_least(n + 1).await.pop().expect("a request");
        assert!(!seen.whole, "{seen:?}");
    }
}

#[tokio::test]
async fn a_body_that_stands_still_ends() {
    let idle_timeout = Duration::from_millis(100);
    let rig = Rig::with(Limits { idle_timeout, ..limits() }).await;
    let mut stream = TcpStream::connect(rig.gateway.s3).await.expect("a connection");
    let head = request("PUT /bkt/k", &["Content-Length: 6"], b"");
    stream.write_all(&[&head, &b"hello"[..]].concat()).await.expect("written");
    let answer = Answer::parse(&read_to_end(&mut stream).await).expect("an answer");
    answer.is_error(400, "RequestTimeout");
    assert!(!rig.upstream.seen_at_least(1).await[0].whole);
}

#[tokio::test]
async fn a_client_is_told_to_continue_only_once_it_is_allowed() {
    let rig = Rig::start().await;
    let head = request("PUT /bkt/k", &["Expect: 100-continue", "Content-Length: 5"], b"");

    let mut stream = TcpStream::connect(rig.gateway.s3).await.expect("a connection");
    stream.write_all(&head).await.expect("written");
    let mut buffer = [0; 25];
    stream.read_exact(&mut buffer).await.expect("an interim answer");
    assert_eq!(&buffer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.expect("written");
    assert_eq!(Answer::parse(&read_to_end(&mut stream).await).expect("an answer").status, 200);
    assert!(rig.upstream.seen()[0].whole);
    assert!(!rig.upstream.seen()[0].headers.contains_key("expect"));

    rig.auth.says(|_| Err(tonic::Status::unavailable("")));
    let answer = crate::rig::exchange(rig.gateway.s3, &head).await;
    answer.is_error(503, "ServiceUnavailable");
}

#[tokio::test]
async fn a_refused_upload_is_answered_and_not_read() {
    let rig = Rig::start().await;
    rig.auth.says(|_| Err(tonic::Status::unavailable("")));
    let mut stream = TcpStream::connect(rig.gateway.s3).await.expect("a connection");
    let length = format!("Content-Length: {}", 5_u64 << 30);
    stream.write_all(&request("PUT /bkt/k", &[&length], b"")).await.expect("written");
    // As some clients do, it writes as much as it can and reads only then.
    let (piece, mut written) = (vec![7; 1 << 20], 0_u64);
    while let Ok(n) = stream.write(&piece).await {
        written += n as u64;
        assert!(written < 256 << 20, "the gateway reads on and on");
        if written > 4 << 20 {
            break;
        }
    }
    let answer = Answer::parse(&read_to_end(&mut stream).await).expect("an answer");
    answer.is_error(503, "ServiceUnavailable");
    assert_eq!(rig.upstream.begun(), 0);
}

/// A gateway before an upstream that reads a head, answers these bytes and, if told so, leaves.
async fn before(rig: &Rig, answer: &'static [u8], leaves: bool) -> Gateway {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        // Whoever says nothing only looks whether it is there.
        let mut stream = loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            if stream.read(&mut [0; 2048]).await.is_ok_and(|read| read > 0) {
                break stream;
            }
        };
        stream.write_all(answer).await.expect("written");
        if !leaves {
            read_to_end(&mut stream).await;
        }
    });
    serve(config(rig.auth.address, address, limits())).await
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off() {
    let rig = Rig::start().await;
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";
    let gateway = before(&rig, answer, true).await;
    let answer = exchange(gateway.s3, &request("GET /bkt/k", &[], b"")).await;
    assert_eq!((answer.status, answer.text()), (200, "hello"));
    assert_eq!(answer.header("content-length"), Some("10"));
}

#[tokio::test]
async fn an_upstream_that_speaks_another_protocol_is_unavailable() {
    let rig = Rig::start().await;
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n";
    let gateway = before(&rig, answer, false).await;
    let answer = exchange(gateway.s3, &request("GET /bkt/k", &[], b"")).await;
    answer.is_error(503, "ServiceUnavailable");
}

#[tokio::test]
async fn an_answer_before_the_bodys_end_ends_the_upload() {
    let rig = Rig::start().await;
    let refused = b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\ngone";
    // An upstream that calls done what it has not had whole is not believed.
    let done = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    for (answer, status) in [(&refused[..], 404), (&done[..], 500)] {
        let gateway = before(&rig, answer, false).await;
        let mut stream = TcpStream::connect(gateway.s3).await.expect("a connection");
        let head = request("PUT /bkt/k", &[&signed(b"hello"), "Content-Length: 5"], b"");
        stream.write_all(&[&head, &b"hell"[..]].concat()).await.expect("written");
        let answer = Answer::parse(&read_to_end(&mut stream).await).expect("an answer");
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let idle_timeout = Duration::from_millis(100);
    let rig = Rig::with(Limits { idle_timeout, connections_max: 1, ..limits() }).await;
    rig.upstream.answers(|_| {
        let piece = Bytes::from(vec![7; 1 << 20]);
        let frames = stream::repeat_with(move || Ok(Frame::data(piece.clone())));
        Response::new(StreamBody::new(frames).boxed_unsync())
    });
    let mut stream = TcpStream::connect(rig.gateway.s3).await.expect("a connection");
    stream.write_all(&request("GET /bkt/k", &[], b"")).await.expect("written");
    // There is room for another client only once this one is gone.
    rig.upstream.begun_at_least(1).await;
    rig.upstream.answers(|_| Response::new(text("stored")));
    assert_eq!(rig.send("GET /bkt/k", &[], b"").await.text(), "stored");
}

/// Bytes of memory that this process has in use.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("KiB") << 10
}

const BIG: u64 = 256 << 20;
const BIG_RESIDENT_MAX: u64 = 64 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_big_upload_takes_no_memory() {
    let rig = Rig::start().await;
    let piece = vec![7_u8; 1 << 20];
    let mut hasher = Sha256::new();
    (0..BIG >> 20).for_each(|_| hasher.update(&piece));
    let hash = format!("X-Amz-Content-SHA256: {}", hex::encode(hasher.finalize()));
    let before = resident_bytes();
    let mut stream = TcpStream::connect(rig.gateway.s3).await.expect("a connection");
    let length = format!("Content-Length: {BIG}");
    stream.write_all(&request("PUT /bkt/k", &[&hash, &length], b"")).await.expect("written");
    for _ in 0..BIG >> 20 {
        stream.write_all(&piece).await.expect("written");
        assert!(resident_bytes() < before + BIG_RESIDENT_MAX);
    }
    assert_eq!(Answer::parse(&read_to_end(&mut stream).await).expect("an answer").status, 200);
    let seen = rig.upstream.seen();
    assert_eq!((seen[0].whole, seen[0].length), (true, BIG));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_big_download_takes_no_memory_while_the_client_does_not_read() {
    let rig = Rig::start().await;
    rig.upstream.answers(|_| {
        let piece = Bytes::from(vec![7; 1 << 20]);
        let frames = stream::iter(0..BIG >> 20).map(move |_| Ok(Frame::data(piece.clone())));
        let body = StreamBody::new(frames).boxed_unsync();
        Response::builder().header("content-length", BIG).body(body).expect("a response")
    });
    let before = resident_bytes();
    let mut stream = TcpStream::connect(rig.gateway.s3).await.expect("a connection");
    stream.write_all(&request("GET /bkt/k", &[], b"")).await.expect("written");
    let (mut buffer, mut received) = (vec![0; 1 << 20], 0_u64);
    loop {
        assert!(resident_bytes() < before + BIG_RESIDENT_MAX);
        match stream.read(&mut buffer).await.expect("read") {
            0 => break,
            n => received += n as u64,
        }
        if received < 1 << 20 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert!(received > BIG && received < BIG + 1024, "{received}");
}
