//! The server's life: connections that break off, shutdown, coming back.

mod support;

use http::Method;
use std::time::{Duration, Instant};
use support::{Payload, Server, blobs, photos};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Opens a connection and sends the head of a put of `/photos/k` and `body`, which may be short.
async fn begin_put(server: &Server, length: usize, body: &[u8]) -> TcpStream {
    let client = server.client();
    let request = client.signed(Method::PUT, ("/photos/k", ""), &[], b"", Payload::Unsigned);
    let mut head = format!("PUT /photos/k HTTP/1.1\r\nhost: {}\r\n", server.address);
    for (name, value) in request.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().expect("text")));
    }
    head.push_str(&format!("content-length: {length}\r\n\r\n"));
    let mut stream = TcpStream::connect(server.address).await.expect("connects");
    stream.write_all(head.as_bytes()).await.expect("sends");
    stream.write_all(body).await.expect("sends");
    stream
}

/// Waits until `holds`, for what a client sets off but is not told of.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_put_that_breaks_off_leaves_the_old_object_and_nothing_else() {
    let (dir, server, client) = photos().await;
    client.put("/photos/k", b"old").await.expect(200);
    let stream = begin_put(&server, 1_000_000, &[0; 1000]).await;
    until("the new bytes arrive", || blobs(dir.path()) == 2).await;
    assert_eq!(client.get("/photos/k").await.text(), "old");
    drop(stream);
    until("the new bytes are gone", || blobs(dir.path()) == 1).await;
    assert_eq!(client.get("/photos/k").await.text(), "old");
}

#[tokio::test]
async fn shutdown_lets_a_request_finish_and_the_next_server_has_its_object() {
    let (dir, mut server, client) = photos().await;
    // An idle connection is there too, and does not hold up the end.
    client.get("/photos").await.expect(200);
    let mut stream = begin_put(&server, 10, b"01234").await;
    until("the put is under way", || blobs(dir.path()) == 1).await;
    server.ask_to_stop();
    let address = server.address;
    let refuses = || std::net::TcpStream::connect(address).is_err();
    until("no new connection is taken", refuses).await;
    stream.write_all(b"56789").await.expect("sends");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answers, then closes");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let begun = Instant::now();
    server.done.await.expect("does not panic").expect("ends well");
    assert!(begun.elapsed() < demo_store::SHUTDOWN_MAX);

    let server = Server::start(dir.path()).await;
    assert_eq!(server.client().get("/photos/k").await.text(), "0123456789");
    server.stop().await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_request_that_never_ends() {
    let (dir, mut server, _client) = photos().await;
    let _stream = begin_put(&server, 10, b"01234").await;
    until("the put is under way", || blobs(dir.path()) == 1).await;
    server.ask_to_stop();
    let limit = demo_store::SHUTDOWN_MAX + Duration::from_secs(5);
    let ended = tokio::time::timeout(limit, server.done).await.expect("ends in time");
    ended.expect("does not panic").expect("ends well");
    assert_eq!(blobs(dir.path()), 0);
}

#[tokio::test]
async fn a_reader_finishes_what_is_overwritten_meanwhile() {
    let (dir, server, client) = photos().await;
    let old = vec![b'o'; 20_000_000];
    client.put("/photos/k", &old).await.expect(200);
    let request = client.signed(Method::GET, ("/photos/k", ""), &[], b"", Payload::Signed);
    let mut head = format!("GET /photos/k HTTP/1.1\r\nhost: {}\r\n", server.address);
    for (name, value) in request.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().expect("text")));
    }
    head.push_str("connection: close\r\n\r\n");
    let mut stream = TcpStream::connect(server.address).await.expect("connects");
    stream.write_all(head.as_bytes()).await.expect("sends");
    let mut got = vec![0; 1000];
    stream.read_exact(&mut got).await.expect("begins");

    client.put("/photos/k", b"new").await.expect(200);
    stream.read_to_end(&mut got).await.expect("ends");
    let start = got.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head") + 4;
    assert!(got[start..] == old[..], "all of the old bytes");
    until("the old bytes are gone", || blobs(dir.path()) == 1).await;
    assert_eq!(client.get("/photos/k").await.text(), "new");
}
