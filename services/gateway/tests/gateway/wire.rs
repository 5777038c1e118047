//! Odd and hostile bytes on the wire.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::rig::{Answer, Rig, exchange, limits, raw_exchange, read_to_end, request};

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let head_timeout = Duration::from_millis(100);
    let rig = Rig::with(gateway::Limits { head_timeout, ..limits() }).await;
    for address in [rig.gateway.s3, rig.gateway.management] {
        // Half a head, nothing at all, and nothing more after a request.
        for sent in
            ["GET / HTTP/1.1\r\nHost: s3.test\r\n", "", "PATCH / HTTP/1.1\r\nHost: s3.test\r\n\r\n"]
        {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            stream.write_all(sent.as_bytes()).await.expect("written");
            let answer = read_to_end(&mut stream).await;
            assert_eq!(answer.is_empty(), !sent.starts_with("PATCH"), "{sent}");
        }
    }
    assert!(rig.auth.heads().is_empty());
}

#[tokio::test]
async fn a_large_head_is_refused() {
    let rig = Rig::start().await;
    let header = |bytes: usize| format!("Authorization: {}", "x".repeat(bytes));
    assert_eq!(rig.send("GET /bkt/k", &[&header(50 << 10)], b"").await.status, 200);
    let answer = rig.send("GET /bkt/k", &[&header(70 << 10)], b"").await;
    answer.is_error(400, "RequestHeaderSectionTooLarge");
    for bytes in [80 << 10, 1 << 20] {
        let answer = rig.send("GET /bkt/k", &[&header(bytes)], b"").await;
        answer.is_error(400, "RequestHeaderSectionTooLarge");
    }
    // Nor is one waited for that is too large already.
    let unfinished = format!("GET /bkt/k HTTP/1.1\r\n{}", header(100 << 10));
    let answer = exchange(rig.gateway.s3, unfinished.as_bytes()).await;
    answer.is_error(400, "RequestHeaderSectionTooLarge");
    let many = vec!["a: b"; 200];
    let answer = rig.send("GET /bkt/k", &many, b"").await;
    answer.is_error(400, "RequestHeaderSectionTooLarge");
    let long = format!("GET /bkt/{}", "k".repeat(17 << 10));
    rig.send(&long, &[], b"").await.is_error(400, "KeyTooLongError");
    assert_eq!(rig.auth.heads().len(), 1);
}

#[tokio::test]
async fn garbage_is_refused_and_harms_nobody() {
    let rig = Rig::start().await;
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: s3.test\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: s3.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: s3.test\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: s3.test\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: s3.test\r\nX: a\r\n folded\r\n\r\n",
    ] {
        let answer = raw_exchange(rig.gateway.s3, garbage).await;
        if let Some(answer) = Answer::parse(&answer) {
            assert_eq!(answer.status, 400, "{answer:?}");
        }
    }
    assert_eq!(rig.upstream.begun(), 0);
    assert_eq!(rig.send("GET /bkt/k", &[], b"").await.status, 200);
}

#[tokio::test]
async fn hosts_and_targets_must_agree() {
    let rig = Rig::start().await;
    let check = async |bytes: &str, code: Option<&str>| {
        let answer = exchange(rig.gateway.s3, bytes.as_bytes()).await;
        match code {
            Some(code) => answer.is_error(400, code),
            None => assert_eq!(answer.status, 200, "{bytes}"),
        }
    };
    let close = "Connection: close\r\n\r\n";
    let (one, two) = ("Host: s3.test\r\n", "Host: s3.test\r\nHost: s3.test\r\n");
    check(&format!("GET /bkt/k HTTP/1.1\r\n{one}{close}"), None).await;
    check(&format!("GET /bkt/k HTTP/1.0\r\n{one}\r\n"), None).await;
    check(&format!("GET http://S3.test/bkt/k HTTP/1.1\r\n{one}{close}"), None).await;
    for head in rig.auth.heads() {
        assert!(head.starts_with("GET /bkt/k HTTP/1.1\r\nhost: s3.test\r\n"), "{head}");
    }
    for host in ["evil.test", "s3.test.evil.test", "", "s3.test."] {
        let host = format!("Host: {host}\r\n");
        check(&format!("GET /bkt/k HTTP/1.1\r\n{host}{close}"), Some("InvalidRequest")).await;
    }
    check(&format!("GET /bkt/k HTTP/1.1\r\n{two}{close}"), Some("InvalidRequest")).await;
    check(&format!("GET /bkt/k HTTP/1.1\r\n{close}"), Some("InvalidRequest")).await;
    check(&format!("GET http://other/bkt/k HTTP/1.1\r\n{one}{close}"), Some("InvalidURI")).await;
    check(&format!("GET * HTTP/1.1\r\n{one}{close}"), Some("InvalidURI")).await;
    check(&format!("GET /bkt/%f HTTP/1.1\r\n{one}{close}"), Some("InvalidURI")).await;
    assert_eq!((rig.auth.heads().len(), rig.upstream.begun()), (3, 3));
}

#[tokio::test]
async fn what_both_a_length_and_an_encoding_frame_is_refused() {
    let rig = Rig::start().await;
    let smuggled = "0\r\n\r\nGET /bkt/secret HTTP/1.1\r\nHost: s3.test\r\n\r\n";
    let headers = ["Transfer-Encoding: chunked"];
    let answer = rig.send("PUT /bkt/k", &headers, smuggled.as_bytes()).await;
    assert!(matches!(answer.status, 400 | 411 | 501), "{answer:?}");
    assert_eq!(rig.upstream.begun(), 0);
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let rig = Rig::start().await;
    let first = "PUT /bkt/1 HTTP/1.1\r\nHost: s3.test\r\nContent-Length: 5\r\n\r\nhello";
    let second = "GET /bkt/2 HTTP/1.1\r\nHost: s3.test\r\nConnection: close\r\n\r\n";
    let answers = raw_exchange(rig.gateway.s3, format!("{first}{second}").as_bytes()).await;
    let answers = String::from_utf8(answers).expect("text");
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    let seen = rig.upstream.seen();
    let targets: Vec<_> = seen.iter().map(|seen| seen.target.as_str()).collect();
    assert_eq!(targets, ["/bkt/1", "/bkt/2"]);
}

#[tokio::test]
async fn management_has_nothing_yet_and_says_so() {
    let rig = Rig::start().await;
    let answer = exchange(rig.gateway.management, &request("GET /", &[], b"")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let index: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(index["name"], "claviger");
    for line in ["GET /v1/accounts", "POST /", "DELETE /api/v1/x?a=b", "OPTIONS /x"] {
        let answer = exchange(rig.gateway.management, &request(line, &[], b"")).await;
        assert_eq!(answer.status, 404);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!((&problem["status"], &problem["title"]), (&404.into(), &"Not Found".into()));
        assert_eq!(problem["instance"].as_str(), answer.header("x-request-id"));
    }
}
