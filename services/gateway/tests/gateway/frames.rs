//! HTTP/2 in frames that no honest client sends, written byte by byte.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fake_auth::FakeAuth;
use crate::recorder::Recorder;
use crate::rig::{Gateway, PATIENCE, config, limits, serve};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Frame types and flags (RFC 9113 section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Header fields, each in full and without compression (RFC 7541 section 6.2.2).
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).expect("short");
        assert!(length < 127);
        [&[length], text.as_bytes()].concat()
    };
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// A connection that has said its preface.
async fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.expect("written");
    stream
}

/// The frames that come until the connection ends, or stream 1 does: type, flags, stream and payload.
async fn answer(stream: &mut TcpStream) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let mut frames = vec![];
    let reading = async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).expect("short")];
            if stream.read_exact(&mut payload).await.is_err() {
                return;
            }
            let of = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let ends = head[3] == RST_STREAM || head[3] == GOAWAY;
            let ends = ends || of == 1 && head[4] & END_STREAM != 0 && head[3] <= HEADERS;
            frames.push((head[3], head[4], of, payload));
            if ends {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("an answer");
    frames
}

/// The status in a block of header fields: `:status` of 200, 204, 206, 304, 400, 404 and 500 has an index of its
/// own (RFC 7541 appendix A), all others begin with that of its name.
fn is_success(block: &[u8]) -> bool {
    matches!(block.first(), Some(0x88..=0x8a))
}

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

    async fn still_works(&self) {
        let before = self.upstream.all().len();
        let mut stream = connect(self.gateway.s3).await;
        let block = fields(&with(&[], &[]));
        stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)).await.expect("sent");
        let frames = answer(&mut stream).await;
        let head = frames.iter().find(|(kind, ..)| *kind == HEADERS).expect("an answer");
        assert!(is_success(&head.3), "{frames:?}");
        assert_eq!(self.upstream.all().len(), before + 1);
    }
}

/// A right request less and with some fields.
fn with<'a>(less: &[&str], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let right =
        [(":method", "GET"), (":scheme", "http"), (":authority", "s3.test"), (":path", "/bkt/k")];
    let right = right.into_iter().filter(|(name, _)| !less.contains(name));
    right.chain(more.iter().copied()).collect()
}

#[tokio::test]
async fn heads_that_are_malformed_are_refused() {
    let front = Front::start(limits()).await;
    let one = |less: &'static str, name: &'static str, value: &'static str| {
        (format!("{less} {name} {value:?}"), fields(&with(&[less], &[(name, value)])))
    };
    let mut cases = vec![
        one("", "X-Upper", "a"),
        one("", "connection", "close"),
        one("", "transfer-encoding", "chunked"),
        one("", "keep-alive", "timeout=5"),
        one("", "proxy-connection", "close"),
        one("", "upgrade", "h2c"),
        one("", "te", "gzip"),
        one("", "x", "a\r\nhost: other.test"),
        one("", "x", "a\0b"),
        one("", "x y", "a"),
        one("", "x:", "a"),
        one("", "", "a"),
        one("", ":path", "/bkt/other"),
        one("", ":authority", "other.test"),
        one("", ":method", "PUT"),
        one("", ":status", "200"),
        one("", ":unknown", "x"),
        one("", "host", "other.test"),
        one("", "content-length", "+1"),
        one("", "content-length", "5"),
        one(":path", ":path", ""),
        one(":path", ":path", "bkt/k"),
        one(":path", ":path", "*"),
        one(":path", ":path", "/bkt/k HTTP/1.1\r\nx: y"),
        one(":path", ":path", "/bkt/k x"),
        one(":path", ":path", "http://other.test/bkt/k"),
        one(":authority", ":authority", "other.test"),
        one(":authority", ":authority", "x@s3.test"),
        one(":authority", ":authority", ""),
        one(":authority", "x", "no host at all"),
        one(":path", "x", "no path"),
        one(":method", "x", "no method"),
        one(":scheme", "x", "no scheme"),
        one(":method", ":method", "G T"),
        one(":method", ":method", "TRACE"),
        one(":method", ":method", "CONNECT"),
        // The table that is given by index has no such entry, and a name is longer than all that comes.
        ("an index of nothing".to_owned(), vec![0xff, 0x7f]),
        ("a name that never ends".to_owned(), vec![0, 0x7f, 0xff]),
    ];
    let late = [("x", "a"), (":path", "/bkt/k")];
    cases.push(("a pseudo-header late".to_owned(), fields(&with(&[":path"], &late))));
    for (what, block) in cases {
        let mut stream = connect(front.gateway.s3).await;
        stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)).await.expect("sent");
        let frames = answer(&mut stream).await;
        let succeeded =
            frames.iter().any(|(kind, _, _, block)| *kind == HEADERS && is_success(block));
        assert!(!succeeded && !frames.is_empty(), "{what}: {frames:?}");
        assert_eq!(front.upstream.all(), Vec::<String>::new(), "{what}");
    }
    front.still_works().await;
}

#[tokio::test]
async fn a_body_of_another_length_than_was_told_is_never_whole() {
    let front = Front::start(limits()).await;
    for (told, pieces) in [
        ("10", &[&b"hello"[..]][..]),
        ("3", &[b"hello"]),
        ("3", &[b"hel", b"lo"]),
        ("0", &[b"hello"]),
        ("10", &[b"hello", b""]),
    ] {
        let before = front.upstream.all().len();
        let rest = with(&[":method"], &[("content-length", told)]);
        let block = [fields(&[(":method", "PUT")]), fields(&rest)].concat();
        let mut stream = connect(front.gateway.s3).await;
        let mut bytes = frame(HEADERS, END_HEADERS, 1, &block);
        for (n, piece) in pieces.iter().enumerate() {
            let flags = if n + 1 == pieces.len() { END_STREAM } else { 0 };
            bytes.extend(frame(DATA, flags, 1, piece));
        }
        stream.write_all(&bytes).await.expect("sent");
        let frames = answer(&mut stream).await;
        let succeeded =
            frames.iter().any(|(kind, _, _, block)| *kind == HEADERS && is_success(block));
        assert!(!succeeded, "{told} {pieces:?}: {frames:?}");
        for sent in &front.upstream.all()[before..] {
            let (head, body) = sent.split_once("\r\n\r\n").unwrap_or((sent, ""));
            let length = format!("content-length: {told}");
            assert!(
                head.contains(&length) && body.len() < told.parse().expect("a number"),
                "{sent}"
            );
        }
    }
    front.still_works().await;
}

#[tokio::test]
async fn who_resets_what_it_asks_for_is_not_listened_to_for_long() {
    let front = Front::start(limits()).await;
    let block = fields(&with(&[], &[]));
    let cancel = 8_u32.to_be_bytes();
    let mut stream = connect(front.gateway.s3).await;
    let (mut reader, mut writer) = stream.split();
    let flood = async {
        // What comes after the connection was ended is still read for a moment, and thrown away.
        for id in (1..u32::MAX / 2).step_by(2) {
            let asked = frame(HEADERS, END_HEADERS | END_STREAM, id, &block);
            let reset = frame(RST_STREAM, 0, id, &cancel);
            if writer.write_all(&[asked, reset].concat()).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let heard = async {
        let mut heard = vec![];
        let _ = reader.read_to_end(&mut heard).await;
    };
    let ended = tokio::time::timeout(PATIENCE, async { tokio::join!(flood, heard) });
    ended.await.expect("an end");
    front.still_works().await;
}

#[tokio::test]
async fn a_head_without_end_is_not_waited_for() {
    let idle = Duration::from_millis(200);
    let front = Front::start(gateway::Limits { head_timeout: idle, ..limits() }).await;
    // In one frame after the other, for ever.
    let mut stream = connect(front.gateway.s3).await;
    let (mut reader, mut writer) = stream.split();
    let flood = async {
        let block = fields(&with(&[], &[]));
        let _ = writer.write_all(&frame(HEADERS, END_STREAM, 1, &block)).await;
        let more = fields(&[("x", "y")]);
        while writer.write_all(&frame(CONTINUATION, 0, 1, &more)).await.is_ok() {}
    };
    let heard = async {
        let mut heard = vec![];
        let _ = reader.read_to_end(&mut heard).await;
    };
    let ended = tokio::time::timeout(PATIENCE, async { tokio::join!(flood, heard) });
    ended.await.expect("an end");
    assert!(front.upstream.all().is_empty());

    // And a body that stands still is given up.
    let front = Front::start(gateway::Limits { idle_timeout: idle, ..limits() }).await;
    let mut stream = connect(front.gateway.s3).await;
    let block = fields(&[(":method", "PUT")]);
    let block = [block, fields(&with(&[":method"], &[("content-length", "10")]))].concat();
    let bytes = [frame(HEADERS, END_HEADERS, 1, &block), frame(DATA, 0, 1, b"hello")].concat();
    stream.write_all(&bytes).await.expect("sent");
    let frames = answer(&mut stream).await;
    let text: Vec<u8> = frames.into_iter().flat_map(|(_, _, _, payload)| payload).collect();
    assert!(String::from_utf8_lossy(&text).contains("<Code>RequestTimeout</Code>"));
    let sent = front.upstream.all();
    assert!(
        sent.iter().all(|sent| sent.ends_with("hello") || sent.ends_with("\r\n\r\n")),
        "{sent:?}"
    );
    front.still_works().await;
}
