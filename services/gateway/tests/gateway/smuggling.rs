//! Requests that two servers may read differently, and other bytes that no honest client sends: refused, and
//! not one of them reaches the upstream. Auth, here, would allow them all.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fake_auth::FakeAuth;
use crate::recorder::Recorder;
use crate::rig::{
    Answer, Gateway, PATIENCE, config, exchange, limits, raw_exchange, request, serve, until,
};

struct Front {
    _auth: FakeAuth,
    upstream: Recorder,
    gateway: Gateway,
}

impl Front {
    async fn start(limits: gateway::Limits) -> Self {
        let (auth, upstream) = (FakeAuth::start().await, Recorder::start().await);
        let gateway = serve(config(auth.address, upstream.address, limits)).await;
        Self { _auth: auth, upstream, gateway }
    }

    /// Whether it still serves others, and sends on what they say and nothing before or after it.
    async fn still_works(&self) {
        let before = self.upstream.all().len();
        let answer = exchange(self.gateway.s3, &request("GET /bkt/after", &[], b"")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let all = self.upstream.all();
        assert_eq!(all.len(), before + 1);
        assert!(all[before].starts_with("GET /bkt/after HTTP/1.1\r\n"), "{}", all[before]);
        assert!(all[before].ends_with("\r\n\r\n"), "{}", all[before]);
    }
}

/// A PUT of `hello` with these header lines.
fn put(lines: &str) -> Vec<u8> {
    format!("PUT /bkt/k HTTP/1.1\r\nHost: s3.test\r\n{lines}\r\n\r\nhello").into_bytes()
}

/// A GET whose head is this, after the method.
fn get(rest: &str) -> Vec<u8> {
    format!("GET {rest}\r\n\r\n").into_bytes()
}

/// What might be taken for a request of its own, after a body that ends too early.
const SMUGGLED: &[u8] = b"0\r\n\r\nGET /bkt/smuggled HTTP/1.1\r\nHost: s3.test\r\n\r\n";

#[tokio::test]
async fn what_frames_a_body_in_two_ways_or_in_none_is_refused() {
    let front = Front::start(limits()).await;
    let chunked = "5\r\nhello\r\n0\r\n\r\n";
    let mut cases: Vec<(String, Vec<u8>)> = vec![];
    for lines in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 6\r\nContent-Length: 5",
        "Content-Length: 5\r\ncontent-length: 0",
        "Content-Length: 5, 5",
        "Content-Length: 5,6",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 5\t5",
        "Content-Length: 1e1",
        "Content-Length: 5;",
        "Content-Length: 5.0",
        "Content-Length: \"5\"",
        "Content-Length:",
        "Content-Length: \u{665}",
        "Content-Length: 99999999999999999999999",
        "Content-Length: 18446744073709551616",
        "Content-Length : 5",
        "Content-Length\t: 5",
        " Content-Length: 5",
        "Content-Length: 5\r\nX: a\r\n folded",
        "Content-Length:\r\n 5",
        "Content-Length: 5\r\nX: a\0b",
        "Content-Length: 5\r\nX\0: a",
        "Content-Length: 5\r\nX: a\rContent-Length: 0",
        "Content-Length: 5\r\nX: a\x0bb",
        "Content-Length: 5\r\nX: a\x7fb",
        "Content-Length: 5\r\nX(: a",
        "Content-Length: 5\r\n: a",
        "Content-Length: 5\r\nno colon",
        "Content-Length: 5\r\nHost: s3.test",
        "Content-Length: 5\r\nHost: other.test",
        "Content-Length: 5\r\nConnection: x-amz-meta-a\r\nX-Amz-Meta-A: 1",
    ] {
        cases.push((lines.to_owned(), put(lines)));
    }
    for encoding in [
        "chunked",
        "Chunked",
        " chunked",
        "\tchunked",
        "xchunked",
        "chunked ",
        "chunked, identity",
        "identity, chunked",
        "gzip, chunked",
        "chunked, chunked",
        "identity",
        "\"chunked\"",
        "chunked;q=1",
        "chunked\r\nTransfer-Encoding: identity",
        "identity\r\nTransfer-Encoding: chunked",
        "\r\n chunked",
        "chunked\x0b",
        "\x0bchunked",
        "",
    ] {
        for length in ["", "Content-Length: 5\r\n", "Content-Length: 0\r\n"] {
            let head = format!(
                "PUT /bkt/k HTTP/1.1\r\nHost: s3.test\r\n{length}Transfer-Encoding:{encoding}\r\n\r\n"
            );
            cases.push((head.clone(), format!("{head}{chunked}").into_bytes()));
            cases.push((head.clone(), [head.as_bytes(), SMUGGLED].concat()));
        }
        let head = format!("Transfer-Encoding:{encoding}\r\nContent-Length: 5");
        cases.push((head.clone(), put(&head)));
    }
    for size in ["0x5", "+5", "-5", "5 5", " 5", "5g", "", "fffffffffffffffff", "5;\n", "5;a=\"\r"]
    {
        let head = "PUT /bkt/k HTTP/1.1\r\nHost: s3.test\r\nTransfer-Encoding: chunked\r\n\r\n";
        cases.push((format!("chunk of {size}"), format!("{head}{size}\r\nhello\r\n").into_bytes()));
    }
    cases.push(("1.0".into(), b"PUT /bkt/k HTTP/1.0\r\nHost: s3.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_vec()));
    for method in ["GET", "HEAD"] {
        let head =
            format!("{method} /bkt/k HTTP/1.1\r\nHost: s3.test\r\nContent-Length: 52\r\n\r\n");
        cases.push((format!("body of {method}"), [head.as_bytes(), SMUGGLED].concat()));
    }
    for (what, bytes) in cases {
        let mut stream = TcpStream::connect(front.gateway.s3).await.expect("a connection");
        let _ = stream.write_all(&bytes).await;
        // A server that took the body for another would now answer this.
        let _ = stream.write_all(&request("GET /bkt/next", &[], b"")).await;
        let mut answers = vec![];
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answers)).await;
        let _ = read.expect("an end");
        if let Some(answer) = Answer::parse(&answers) {
            assert!((400..=501).contains(&answer.status), "{what:?}: {answer:?}");
        }
        let sent = front.upstream.all();
        let of_next = |bytes: &&String| !bytes.starts_with("GET /bkt/next HTTP/1.1\r\n");
        assert_eq!(sent.iter().filter(of_next).count(), 0, "{what:?}: {sent:?}");
    }
    front.still_works().await;
}

#[tokio::test]
async fn after_an_encoding_that_is_refused_nothing_more_is_read() {
    let front = Front::start(limits()).await;
    // Whoever stands before the gateway may think that all of it was one body.
    let head = "PUT /bkt/k HTTP/1.1\r\nHost: s3.test\r\nContent-Length: 52\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    let answers = raw_exchange(front.gateway.s3, &[head.as_bytes(), SMUGGLED].concat()).await;
    let answers = String::from_utf8(answers).expect("text");
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    assert!(answers.to_lowercase().contains("\r\nconnection: close\r\n"), "{answers}");
    assert!(front.upstream.all().is_empty());
}

#[tokio::test]
async fn request_lines_that_are_none_are_refused() {
    let front = Front::start(limits()).await;
    let host = "\r\nHost: s3.test";
    let many = |n: usize| format!("{host}{}", "\r\na: b".repeat(n));
    for (what, bytes) in [
        ("another host", get(&format!("http://other.test/bkt/k HTTP/1.1{host}"))),
        ("a user in the target", get(&format!("http://x@s3.test/bkt/k HTTP/1.1{host}"))),
        ("an authority", get(&format!("s3.test:80 HTTP/1.1{host}"))),
        ("an asterisk", get(&format!("* HTTP/1.1{host}"))),
        ("no slash", get(&format!("bkt/k HTTP/1.1{host}"))),
        ("no target", get(&format!(" HTTP/1.1{host}"))),
        ("no version", get(&format!("/bkt/k{host}"))),
        ("version 0.9", b"GET /bkt/k\r\n".to_vec()),
        ("version 1.2", get(&format!("/bkt/k HTTP/1.2{host}"))),
        ("version 2 in text", get(&format!("/bkt/k HTTP/2.0{host}"))),
        ("a version in lower case", get(&format!("/bkt/k http/1.1{host}"))),
        ("a second version", get(&format!("/bkt/k HTTP/1.1 HTTP/1.1{host}"))),
        ("a space in the target", get(&format!("/bkt/k x HTTP/1.1{host}"))),
        ("a NUL in the target", get(&format!("/bkt/k\0 HTTP/1.1{host}"))),
        ("a control character", get(&format!("/bkt/k\x01 HTTP/1.1{host}"))),
        ("half an escape", get(&format!("/bkt/k%0 HTTP/1.1{host}"))),
        ("an escape of no UTF-8", get(&format!("/bkt/k%c3 HTTP/1.1{host}"))),
        ("no method", format!(" /bkt/k HTTP/1.1{host}\r\n\r\n").into_bytes()),
        ("a NUL in the method", format!("G\0T /bkt/k HTTP/1.1{host}\r\n\r\n").into_bytes()),
        ("CONNECT", format!("CONNECT s3.test:80 HTTP/1.1{host}\r\n\r\n").into_bytes()),
        ("TRACE", format!("TRACE /bkt/k HTTP/1.1{host}\r\n\r\n").into_bytes()),
        ("no host", get("/bkt/k HTTP/1.1")),
        ("an empty host", get("/bkt/k HTTP/1.1\r\nHost:")),
        ("two hosts", get(&format!("/bkt/k HTTP/1.1{host}{host}"))),
        ("a host with a path", get("/bkt/k HTTP/1.1\r\nHost: s3.test/x")),
        (
            "a header of 100 KB",
            get(&format!("/bkt/k HTTP/1.1{host}\r\nX: {}", "x".repeat(100 << 10))),
        ),
        ("a target of 100 KB", get(&format!("/bkt/{} HTTP/1.1{host}", "k".repeat(100 << 10)))),
        ("10,000 headers", get(&format!("/bkt/k HTTP/1.1{}", many(10_000)))),
        ("101 headers", get(&format!("/bkt/k HTTP/1.1{}", many(101)))),
        (
            "a name of 100 KB",
            get(&format!("/bkt/k HTTP/1.1{host}\r\n{}: x", "x".repeat(100 << 10))),
        ),
        ("another protocol", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00".to_vec()),
        ("an upgrade by half", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_vec()),
    ] {
        let mut bytes = bytes;
        bytes.extend_from_slice(&request("GET /bkt/next", &[], b""));
        let answers = raw_exchange(front.gateway.s3, &bytes).await;
        if let Some(answer) = Answer::parse(&answers) {
            assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
        }
        let sent = front.upstream.all();
        let of_next = |bytes: &&String| !bytes.starts_with("GET /bkt/next HTTP/1.1\r\n");
        assert_eq!(sent.iter().filter(of_next).count(), 0, "{what}: {sent:?}");
    }
    front.still_works().await;
}

#[tokio::test]
async fn what_may_be_read_in_one_way_only_goes_on_rebuilt() {
    let front = Front::start(limits()).await;
    for (what, bytes, expected) in [
        ("line feeds alone", &b"GET /bkt/k HTTP/1.1\nHost: s3.test\nConnection: close\n\n"[..], ""),
        ("blank lines before", b"\r\n\r\nGET /bkt/k HTTP/1.1\r\nHost: s3.test\r\nConnection: close\r\n\r\n", ""),
        ("version 1.0", b"GET /bkt/k HTTP/1.0\r\nHost: s3.test\r\n\r\n", ""),
        ("a length with space around", b"PUT /bkt/k HTTP/1.1\r\nHost: s3.test\r\nContent-Length: \t5 \r\nConnection: close\r\n\r\nhello", "hello"),
        ("zeros before a length", b"PUT /bkt/k HTTP/1.1\r\nHost: s3.test\r\nContent-Length: 005\r\nConnection: close\r\n\r\nhello", "hello"),
        ("a request in a body", b"PUT /bkt/k HTTP/1.1\r\nHost: s3.test\r\nContent-Length: 25\r\nConnection: close\r\n\r\nGET /bkt/x HTTP/1.1\r\n\r\n\r\n\r\n", "GET /bkt/x HTTP/1.1\r\n\r\n\r\n"),
    ] {
        let before = front.upstream.all().len();
        let answer = exchange(front.gateway.s3, bytes).await;
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        let all = front.upstream.all();
        let [sent] = &all[before..] else { panic!("{what}: one request: {all:?}") };
        let (head, body) = sent.split_once("\r\n\r\n").expect("a head");
        assert_eq!(body, expected, "{what}");
        assert_eq!(head.matches('\n').count(), head.matches("\r\n").count(), "{what}: {head}");
        let lengths: Vec<&str> = head.lines().filter(|line| line.contains("content-length")).collect();
        let length = format!("content-length: {}", expected.len());
        assert_eq!(lengths, if expected.is_empty() { vec![] } else { vec![length.as_str()] }, "{what}");
    }
    // What follows a body is a request of its own, or none.
    let put = [&put("Content-Length: 5")[..], b"GARBAGE\r\n\r\n"].concat();
    let answers = String::from_utf8(raw_exchange(front.gateway.s3, &put).await).expect("text");
    assert!(answers.starts_with("HTTP/1.1 200") && answers.contains("HTTP/1.1 400"), "{answers}");
    let last = front.upstream.all().pop().expect("a request");
    assert!(last.ends_with("\r\n\r\nhello"), "{last}");
}

#[tokio::test]
async fn slow_heads_and_bodies_are_given_up_and_uploads_that_break_off_are_not_whole() {
    let (head_timeout, idle_timeout) = (Duration::from_millis(200), Duration::from_millis(200));
    let front = Front::start(gateway::Limits { head_timeout, idle_timeout, ..limits() }).await;
    // A byte now and then does not help a head.
    let mut slow = TcpStream::connect(front.gateway.s3).await.expect("a connection");
    let head = request("GET /bkt/k", &["X: x"], b"");
    let begun = std::time::Instant::now();
    for byte in head {
        if slow.write_all(&[byte]).await.is_err() || slow.try_read(&mut [0; 64]).is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    assert!(begun.elapsed() < PATIENCE && front.upstream.all().is_empty());

    let mut stalled = TcpStream::connect(front.gateway.s3).await.expect("a connection");
    stalled
        .write_all(b"PUT /bkt/k HTTP/1.1\r\nHost: s3.test\r\nContent-Length: 10\r\n\r\nhello")
        .await
        .expect("sent");
    let mut answer = vec![];
    let read = tokio::time::timeout(PATIENCE, stalled.read_to_end(&mut answer)).await;
    let _ = read.expect("an end");
    Answer::parse(&answer).expect("an answer").is_error(400, "RequestTimeout");

    let mut broken = TcpStream::connect(front.gateway.s3).await.expect("a connection");
    broken
        .write_all(b"PUT /bkt/k HTTP/1.1\r\nHost: s3.test\r\nContent-Length: 10\r\n\r\nhello")
        .await
        .expect("sent");
    until(|| front.upstream.all().len() == 2).await;
    drop(broken);
    for sent in front.upstream.all() {
        let (head, body) = sent.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains("content-length: 10") && body.len() < 10, "{sent}");
    }
    front.still_works().await;
}
