//! Bodies in chunks: AWS's own examples, what goes on of them, and what never does.

use gateway::Config;
use http::HeaderMap;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::fake_auth::FakeAuth;
use crate::fake_upstream::{FakeUpstream, Seen};
use crate::rig::{Answer, Gateway, config, exchange, limits, serve};

/// The signatures of the example's three chunks (Amazon S3 API reference, "Signature calculations for the
/// Authorization header: transferring payload in multiple chunks").
const CHUNKS: [&str; 3] = [
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
];

/// The same with a trailer ("... including trailing headers").
const CHUNKS_BEFORE_TRAILER: [&str; 3] = [
    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
];

const TRAILER: &str = "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:\
                       d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n";

struct Rig {
    upstream: FakeUpstream,
    gateway: Gateway,
}

async fn start(sends_trailers: bool) -> Rig {
    let (auth, upstream) = (FakeAuth::start().await, FakeUpstream::start().await);
    let mut config: Config = config(auth.address, upstream.address, limits());
    config.domains = vec!["s3.amazonaws.com".to_owned()];
    config.upstream.sends_trailers = sends_trailers;
    Rig { upstream, gateway: serve(config).await }
}

/// 66,560 times `a` in chunks of 64 KiB, 1 KiB and nothing, with what follows the last.
fn chunks(signatures: [&str; 3], end: &str) -> Vec<u8> {
    let mut body = vec![];
    for (size, signature) in [65_536, 1024, 0].into_iter().zip(signatures) {
        body.extend(format!("{size:x};chunk-signature={signature}\r\n").into_bytes());
        body.extend(vec![b'a'; size]);
        if size > 0 {
            body.extend(b"\r\n");
        }
    }
    [body.as_slice(), end.as_bytes()].concat()
}

fn head(lines: &[&str], body_len: usize) -> Vec<u8> {
    let head = "PUT /examplebucket/chunkObject.txt HTTP/1.1\r\nHost: s3.amazonaws.com\r\n\
                Connection: close\r\nx-amz-date: 20130524T000000Z\r\n\
                x-amz-storage-class: REDUCED_REDUNDANCY\r\nContent-Encoding: aws-chunked\r\n\
                x-amz-decoded-content-length: 66560\r\n";
    format!("{head}{}\r\nContent-Length: {body_len}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

fn signed(body: &[u8]) -> Vec<u8> {
    let lines = [
        "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "Authorization: AWS4-HMAC-SHA256 \
         Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=\
         content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
         x-amz-decoded-content-length;x-amz-storage-class,Signature=\
         4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    ];
    [&head(&lines, body.len()), body].concat()
}

fn signed_with_trailer(body: &[u8]) -> Vec<u8> {
    let lines = [
        "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "x-amz-trailer: x-amz-checksum-crc32c",
        "Authorization: AWS4-HMAC-SHA256 \
         Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=\
         content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;\
         x-amz-storage-class;x-amz-trailer,Signature=\
         106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    ];
    [&head(&lines, body.len()), body].concat()
}

fn unsigned(body: &[u8]) -> Vec<u8> {
    let lines = [
        "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-trailer: x-amz-checksum-crc32c",
    ];
    [&head(&lines, body.len()), body].concat()
}

fn header<'s>(headers: &'s HeaderMap, name: &str) -> Option<&'s str> {
    headers.get(name).map(|value| value.to_str().expect("text"))
}

async fn put(rig: &Rig, request: &[u8]) -> (Answer, Seen) {
    let n = rig.upstream.seen().len();
    let answer = exchange(rig.gateway.s3, request).await;
    (answer, rig.upstream.seen_at_least(n + 1).await.pop().expect("a request"))
}

#[tokio::test]
async fn data_goes_on_without_its_chunks() {
    let rig = start(true).await;
    let (answer, seen) = put(&rig, &signed(&chunks(CHUNKS, "\r\n"))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!((seen.whole, seen.length), (true, 66_560));
    assert!(seen.start.starts_with(b"aaa"));
    for (name, expected) in [
        ("content-length", Some("66560")),
        ("x-amz-content-sha256", Some("UNSIGNED-PAYLOAD")),
        ("x-amz-storage-class", Some("REDUCED_REDUNDANCY")),
        ("content-encoding", None),
        ("x-amz-decoded-content-length", None),
    ] {
        assert_eq!(header(&seen.headers, name), expected, "{name}");
    }
}

#[tokio::test]
async fn a_checksum_goes_on_in_a_trailer_if_the_upstream_takes_one() {
    let sent = [
        signed_with_trailer(&chunks(CHUNKS_BEFORE_TRAILER, TRAILER)),
        unsigned(
            &[
                b"10000\r\n",
                vec![b'a'; 65_536].as_slice(),
                b"\r\n400\r\n",
                &[b'a'; 1024],
                b"\r\n0\r\nx-amz-checksum-crc32c:sOO8/Q==\r\n\r\n",
            ]
            .concat(),
        ),
    ];
    for sends_trailers in [true, false] {
        let rig = start(sends_trailers).await;
        for sent in &sent {
            let (answer, seen) = put(&rig, sent).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(seen.whole);
            let framing = "10400\r\n\r\n0\r\nx-amz-checksum-crc32c:sOO8/Q==\r\n\r\n".len() as u64;
            let (length, sha256) = match sends_trailers {
                true => (66_560 + framing, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
                false => (66_560, "UNSIGNED-PAYLOAD"),
            };
            assert_eq!(seen.length, length);
            assert_eq!(header(&seen.headers, "x-amz-content-sha256"), Some(sha256));
            for (name, expected) in [
                ("content-encoding", "aws-chunked"),
                ("x-amz-decoded-content-length", "66560"),
                ("x-amz-trailer", "x-amz-checksum-crc32c"),
            ] {
                let expected = Some(expected).filter(|_| sends_trailers);
                assert_eq!(header(&seen.headers, name), expected, "{name}");
            }
            if sends_trailers {
                assert!(seen.start.starts_with(b"10400\r\naaa"));
                let signed = header(&seen.headers, "authorization").expect("signed");
                assert!(signed.contains("x-amz-decoded-content-length"), "{signed}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_wrong_is_never_whole_upstream() {
    let rig = start(true).await;
    let right = chunks(CHUNKS, "\r\n");
    let mut other_data = right.clone();
    other_data[70_000 - 4000] ^= 1;
    let swapped = chunks([CHUNKS[1], CHUNKS[0], CHUNKS[2]], "\r\n");
    let whole = chunks(CHUNKS_BEFORE_TRAILER, TRAILER);
    let longer = [whole.as_slice(), b"0"].concat();
    let with_trailer = |end: &str| signed_with_trailer(&chunks(CHUNKS_BEFORE_TRAILER, end));
    let other_checksum = TRAILER.replace("sOO8", "sOO9");
    let other_signature = TRAILER.replace("d81f", "d81e");
    for (request, code) in [
        (signed(&other_data), "SignatureDoesNotMatch"),
        (signed(&swapped), "SignatureDoesNotMatch"),
        (signed(&right[..70_000 - 4000]), "SignatureDoesNotMatch"), // of the length
        (signed_with_trailer(&whole[..70_000 - 4000]), "IncompleteBody"),
        (signed_with_trailer(&whole[..whole.len() - 2]), "IncompleteBody"),
        (signed_with_trailer(&longer), "MalformedTrailerError"),
        (signed_with_trailer(b"x"), "IncompleteBody"),
        (with_trailer(&other_checksum), "BadDigest"),
        (with_trailer(&other_signature), "SignatureDoesNotMatch"),
        (with_trailer("\r\n"), "MalformedTrailerError"),
        (unsigned(b"5\r\nhello\r\n0\r\n\r\n"), "IncompleteBody"),
    ] {
        let n = rig.upstream.begun();
        let answer = exchange(rig.gateway.s3, &request).await;
        assert_eq!(answer.element("Code"), Some(code), "{answer:?}");
        if rig.upstream.begun() > n {
            assert!(!rig.upstream.seen_at_least(n + 1).await[n].whole, "{code}");
        }
    }
}

#[tokio::test]
async fn nothing_goes_on_before_what_has_no_data_is_proven() {
    let rig = start(true).await;
    let mut request = signed(b"0;chunk-signature=00\r\n\r\n");
    let text = String::from_utf8(request.clone()).expect("text");
    request = text.replace("length: 66560", "length: 0").into_bytes();
    // The head's signature is not that of this length: the key is not given.
    let answer = exchange(rig.gateway.s3, &request).await;
    answer.is_error(403, "SignatureDoesNotMatch");
    let request = unsigned(b"0\r\nx-amz-checksum-crc32c:AAAAAB==\r\n\r\n");
    let text = String::from_utf8(request).expect("text").replace("length: 66560", "length: 0");
    let answer = exchange(rig.gateway.s3, text.as_bytes()).await;
    answer.is_error(400, "InvalidRequest");
    let without = start(false).await;
    let answer = exchange(without.gateway.s3, text.as_bytes()).await;
    answer.is_error(400, "InvalidRequest");
    assert_eq!(without.upstream.begun(), 0);
    let right = text.replace("AAAAAB==", "AAAAAA==");
    for rig in [&rig, &without] {
        let (answer, seen) = put(rig, right.as_bytes()).await;
        assert_eq!((answer.status, seen.whole), (200, true), "{answer:?}");
    }
}

#[tokio::test]
async fn what_the_head_says_of_chunks_must_go_together() {
    let rig = start(true).await;
    let text = |request: Vec<u8>| String::from_utf8(request).expect("text");
    let right = text(unsigned(b"0\r\n\r\n"));
    for (request, code) in [
        (right.replace("x-amz-decoded-content-length: 66560\r\n", ""), "MissingContentLength"),
        (right.replace("66560", "-1"), "InvalidArgument"),
        (right.replace("66560", "99999999999"), "EntityTooLarge"),
        (right.replace("x-amz-trailer: x-amz-checksum-crc32c\r\n", ""), "MalformedTrailerError"),
        (right.replace(": x-amz-checksum-crc32c", ": x-amz-meta-a"), "InvalidRequest"),
    ] {
        let answer = exchange(rig.gateway.s3, request.as_bytes()).await;
        assert_eq!(answer.element("Code"), Some(code), "{answer:?}");
    }
    assert_eq!(rig.upstream.begun(), 0);
}

#[tokio::test]
async fn a_body_of_chunks_may_come_in_chunks_of_http() {
    let rig = start(true).await;
    let request = String::from_utf8(signed_with_trailer(b"")).expect("text");
    let mut bytes = request.replace("Content-Length: 0", "Transfer-Encoding: chunked").into_bytes();
    let body_with_trailer = chunks(CHUNKS_BEFORE_TRAILER, TRAILER);
    for piece in body_with_trailer.chunks(10_000) {
        bytes.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        bytes.extend([piece, b"\r\n"].concat());
    }
    let cut = bytes.clone();
    bytes.extend(b"0\r\n\r\n");
    let (answer, seen) = put(&rig, &bytes).await;
    assert_eq!((answer.status, seen.whole), (200, true), "{answer:?}");
    assert!(seen.length > 66_560);
    // Without the end of HTTP's own chunks it is not whole.
    let n = rig.upstream.seen().len();
    let mut client = TcpStream::connect(rig.gateway.s3).await.expect("a connection");
    client.write_all(&cut).await.expect("written");
    rig.upstream.begun_at_least(n + 1).await;
    drop(client);
    assert!(!rig.upstream.seen_at_least(n + 1).await[n].whole);
}
