//! HTTP/2, by TLS and by prior knowledge.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use h2::client::SendRequest;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use test_pki::Authority;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::fake_auth::FakeAuth;
use crate::fake_upstream::{FakeUpstream, text};
use crate::rig::{Answer, Gateway, PATIENCE, Rig, config, limits, request, serve, until};

/// A client on a connection of its own.
async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> SendRequest<Bytes> {
    let mut builder = h2::client::Builder::new();
    // Of all answers together: one that is not read takes up no other's part.
    builder.initial_connection_window_size(1 << 20);
    let (client, connection) = builder.handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    client.ready().await.expect("ready")
}

async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    speak(TcpStream::connect(address).await.expect("a connection")).await
}

fn get(target: &str) -> Request<()> {
    Request::get(format!("http://s3.test{target}")).body(()).expect("a request")
}

/// Status and body of the answer to a request with this body, if it has one.
async fn ask(
    client: &mut SendRequest<Bytes>,
    request: Request<()>,
    body: Option<&'static [u8]>,
) -> (u16, String) {
    let (response, mut send) = client.send_request(request, body.is_none()).expect("sent");
    if let Some(body) = body {
        // It may be refused before it was sent.
        let _ = send.send_data(Bytes::from_static(body), true);
    }
    let answer = tokio::time::timeout(PATIENCE, response).await.expect("in time").expect("one");
    let (head, mut body) = answer.into_parts();
    let mut text = vec![];
    while let Some(data) = body.data().await {
        text.extend_from_slice(&data.expect("whole"));
    }
    (head.status.as_u16(), String::from_utf8(text).expect("text"))
}

#[tokio::test]
async fn the_authority_is_the_host_that_was_signed() {
    let rig = Rig::start().await;
    let mut client = connect(rig.gateway.s3).await;
    assert_eq!(ask(&mut client, get("/bkt/k?versionId=1"), None).await, (200, "stored".into()));
    let head = rig.auth.heads().pop().expect("a head");
    assert!(head.starts_with("GET /bkt/k?versionId=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("host: s3.test\r\n") && !head.contains(":authority"), "{head}");

    // By its host a bucket is named here too.
    let by_host = Request::get("http://bkt.s3.test/k").body(()).expect("a request");
    assert_eq!(ask(&mut client, by_host, None).await.0, 200);
    assert_eq!(rig.upstream.seen().pop().expect("a request").target, "/bkt/k");

    // The same host twice is one; two hosts are none.
    let host = |host: &str| {
        let mut request = get("/bkt/k");
        request.headers_mut().insert("host", host.parse().expect("a value"));
        request
    };
    assert_eq!(ask(&mut client, host("s3.test"), None).await.0, 200);
    let begun = rig.upstream.begun();
    let (status, body) = ask(&mut client, host("bkt.s3.test"), None).await;
    assert!(status == 400 && body.contains("<Code>InvalidRequest</Code>"), "{status} {body}");
    assert_eq!(rig.upstream.begun(), begun);

    let index = ask(&mut connect(rig.gateway.management).await, get("/"), None).await;
    assert!(index.0 == 200 && index.1.contains("claviger"), "{index:?}");
}

#[tokio::test]
async fn a_body_goes_on_whole_if_its_length_is_told() {
    let rig = Rig::start().await;
    let mut client = connect(rig.gateway.s3).await;
    let put = |length: Option<&str>| {
        let request = Request::put("http://s3.test/bkt/k");
        let request = match length {
            Some(length) => request.header("content-length", length),
            None => request,
        };
        request.body(()).expect("a request")
    };
    assert_eq!(ask(&mut client, put(Some("5")), Some(b"hello")).await, (200, "stored".into()));
    let seen = rig.upstream.seen().pop().expect("a request");
    assert_eq!((seen.start.as_slice(), seen.whole), (&b"hello"[..], true));
    assert_eq!(seen.headers["content-length"], "5");
    let (status, body) = ask(&mut client, put(None), Some(b"hello")).await;
    assert!(status == 411 && body.contains("MissingContentLength"), "{status} {body}");
    let (status, _) = ask(&mut client, get("/bkt/k"), Some(b"hello")).await;
    assert_eq!(status, 501);
    assert_eq!(rig.upstream.begun(), 1);
    // No body at all needs no length.
    assert_eq!(ask(&mut client, put(None), None).await.0, 200);
}

#[tokio::test]
async fn requests_of_one_connection_go_on_side_by_side() {
    let rig = Rig::start().await;
    rig.upstream.hold(true);
    let client = connect(rig.gateway.s3).await;
    let mut asked = vec![];
    for n in 0..50 {
        let mut client = client.clone();
        asked.push(tokio::spawn(
            async move { ask(&mut client, get(&format!("/bkt/{n}")), None).await },
        ));
    }
    tokio::time::timeout(PATIENCE, rig.upstream.begun_at_least(50)).await.expect("all at once");
    rig.upstream.hold(false);
    for asked in asked {
        assert_eq!(asked.await.expect("no panic"), (200, "stored".into()));
    }
}

#[tokio::test]
async fn an_answer_that_is_not_read_is_given_up_and_the_others_go_on() {
    let idle_timeout = Duration::from_millis(200);
    let rig = Rig::with(gateway::Limits { idle_timeout, requests_max: 2, ..limits() }).await;
    rig.upstream.answers(|seen| match seen.target.as_str() {
        "/bkt/endless" => {
            let piece = Bytes::from(vec![7; 1 << 20]);
            let frames = stream::repeat_with(move || Ok(Frame::data(piece.clone())));
            Response::new(StreamBody::new(frames).boxed_unsync())
        }
        _ => Response::new(text("stored")),
    });
    let mut client = connect(rig.gateway.s3).await;
    let (unread, _) = client.send_request(get("/bkt/endless"), true).expect("sent");
    let unread = unread.await.expect("an answer");
    let (other, _) = client.send_request(get("/bkt/endless"), true).expect("sent");
    let other = other.await.expect("an answer");
    // Both places are taken until the answers are given up.
    assert_eq!(ask(&mut client, get("/bkt/k"), None).await.0, 503);
    let start = std::time::Instant::now();
    while ask(&mut client, get("/bkt/k"), None).await.0 != 200 {
        assert!(start.elapsed() < PATIENCE, "no place was given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop((unread, other));
}

#[tokio::test]
async fn a_connection_without_requests_is_ended() {
    let head_timeout = Duration::from_millis(100);
    let rig = Rig::with(gateway::Limits { head_timeout, ..limits() }).await;
    let (mut client, connection) =
        h2::client::handshake(TcpStream::connect(rig.gateway.s3).await.expect("a connection"))
            .await
            .expect("HTTP/2");
    let connection = tokio::spawn(connection);
    assert_eq!(ask(&mut client, get("/bkt/k"), None).await.0, 200);
    let ended = tokio::time::timeout(PATIENCE, connection).await.expect("an end");
    ended.expect("no panic").expect("in peace");

    // One that has begun to say what it never says whole, and does not want to go.
    let mut stream = TcpStream::connect(rig.gateway.s3).await.expect("a connection");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("sent");
    // HEADERS without END_HEADERS, of one byte.
    stream.write_all(b"\0\0\x01\x01\0\0\0\0\x01\x82").await.expect("sent");
    let mut heard = vec![];
    let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
    let _ = end.expect("an end");
    assert!(rig.auth.heads().len() == 1, "nothing was asked");
}

/// What is in front of a store by TLS, with the certificate of this authority.
async fn by_tls(authority: &Authority, dir: &std::path::Path) -> (Gateway, FakeAuth) {
    let files = authority.issue(&["s3.test", "127.0.0.1"]).write(dir, "s3");
    let files = rpc::CertificateFiles { chain: files.chain, key: files.key };
    let (auth, upstream) = (FakeAuth::start().await, FakeUpstream::start().await);
    let mut config = config(auth.address, upstream.address, limits());
    config.s3_tls = Some(rpc::HttpsServer::load(files.clone()).expect("a certificate"));
    config.management_tls = Some(rpc::HttpsServer::load(files).expect("one"));
    (serve(config).await, auth)
}

/// Connects by TLS, and asks for these protocols.
async fn tls(
    authority: &Authority,
    address: SocketAddr,
    alpn: &[&[u8]],
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let pem = authority.pem().as_bytes().to_vec();
    roots.add(CertificateDer::from_pem_slice(&pem).expect("PEM")).expect("an authority");
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("s3.test").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test]
async fn both_ports_are_served_by_tls_in_either_protocol() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().expect("a place"));
    let (gateway, auth) = by_tls(&authority, dir.path()).await;
    for address in [gateway.s3, gateway.management] {
        let stream = tls(&authority, address, &[b"h2", b"http/1.1"]).await.expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(ask(&mut speak(stream).await, get("/"), None).await.0, 200);
        for alpn in [&[&b"http/1.1"[..]][..], &[]] {
            let mut stream = tls(&authority, address, alpn).await.expect("TLS");
            assert_eq!(stream.get_ref().1.alpn_protocol(), alpn.first().copied());
            stream.write_all(&request("GET /", &[], b"")).await.expect("written");
            let mut answer = vec![];
            stream.read_to_end(&mut answer).await.expect("an end that is told");
            assert_eq!(Answer::parse(&answer).expect("an answer").status, 200);
        }
        // What has no protocol in common has nothing to say, nor has who speaks in the clear.
        assert!(tls(&authority, address, &[b"h3"]).await.is_err());
        assert!(tls(&Authority::new(), address, &[b"h2"]).await.is_err());
        let asked = auth.heads().len();
        let said = crate::rig::raw_exchange(address, &request("GET /", &[], b"")).await;
        assert!(!said.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&said));
        assert_eq!(auth.heads().len(), asked);
    }
}

#[tokio::test]
async fn a_certificate_is_exchanged_while_it_serves() {
    let (before, after) = (Authority::new(), Authority::new());
    let dir = tempfile::tempdir().expect("a place");
    let (gateway, _auth) = by_tls(&before, dir.path()).await;
    let mut open = speak(tls(&before, gateway.s3, &[b"h2"]).await.expect("TLS")).await;
    after.issue(&["s3.test"]).write(dir.path(), "s3");
    assert!(tls(&before, gateway.s3, &[b"h2"]).await.is_err());
    let mut anew = speak(tls(&after, gateway.s3, &[b"h2"]).await.expect("TLS")).await;
    for client in [&mut open, &mut anew] {
        assert_eq!(ask(client, get("/bkt/k"), None).await.0, 200);
    }
    // What is of no use changes nothing.
    test_pki::replace(&dir.path().join("s3.pem"), "garbage", 0o644);
    tls(&after, gateway.s3, &[b"h2"]).await.expect("TLS");
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_cut_off() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().expect("a place"));
    let files = authority.issue(&["s3.test"]).write(dir.path(), "s3");
    let files = rpc::CertificateFiles { chain: files.chain, key: files.key };
    let rig = Rig::start().await;
    let head_timeout = Duration::from_millis(100);
    let limits = gateway::Limits { head_timeout, connections_max: 1, ..limits() };
    let mut config = config(rig.auth.address, rig.upstream.address, limits);
    config.s3_tls = Some(rpc::HttpsServer::load(files).expect("a certificate"));
    let gateway = serve(config).await;
    for sent in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"] {
        let mut stream = TcpStream::connect(gateway.s3).await.expect("a connection");
        stream.write_all(sent).await.expect("written");
        let mut heard = vec![];
        let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
        let _ = end.expect("an end");
    }
    // Its place is free for the next.
    let mut client = speak(tls(&authority, gateway.s3, &[b"h2"]).await.expect("TLS")).await;
    assert_eq!(ask(&mut client, get("/bkt/k"), None).await.0, 200);
}

#[tokio::test]
async fn requests_under_way_by_http2_end_before_it_does() {
    let rig = Rig::with(gateway::Limits { drain_timeout: PATIENCE, ..limits() }).await;
    let idle = connect(rig.gateway.s3).await;
    let mut client = connect(rig.gateway.s3).await;
    rig.upstream.hold(true);
    let shutdown = async {
        rig.upstream.begun_at_least(1).await;
        rig.gateway.shutdown.cancel();
        until(|| std::net::TcpStream::connect(rig.gateway.s3).is_err()).await;
        rig.upstream.hold(false);
    };
    let (answer, ()) = tokio::join!(ask(&mut client, get("/bkt/k"), None), shutdown);
    assert_eq!(answer, (200, "stored".into()));
    let served = tokio::time::timeout(PATIENCE, rig.gateway.served).await;
    served.expect("an end").expect("no panic").expect("no error");
    drop(idle);
}
