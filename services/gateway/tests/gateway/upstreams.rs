//! Several upstreams, by TLS and in the clear, away and back, and how they are told who asks.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::{Access, BucketPattern, Config, NamedUpstream};
use http::Response;
use test_pki::Authority;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::fake_auth::{ACCOUNT, FakeAuth, verified};
use crate::fake_upstream::{FakeUpstream, text};
use crate::rig::{Gateway, Rig, behind, config, exchange, limits, request, serve, until};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

/// A gateway with this configuration beside what is needed.
async fn with(upstream: SocketAddr, change: impl FnOnce(&mut Config)) -> (Gateway, FakeAuth) {
    let auth = FakeAuth::start().await;
    let mut config = config(auth.address, upstream, limits());
    change(&mut config);
    (serve(config).await, auth)
}

#[tokio::test]
async fn nothing_is_copied_from_one_store_to_another() {
    let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let (gateway, _auth) = with(first.address, |config| {
        config.upstreams = vec![NamedUpstream {
            name: "cold".to_owned(),
            buckets: vec![BucketPattern::parse("cold-*").expect("a pattern")],
            accounts: vec![],
            upstream: behind(&format!("http://{}", second.address)),
        }];
    })
    .await;
    for (to, from, is_possible) in [
        ("warm", "warm-too/k", true),
        ("cold-1", "cold-2/k", true),
        ("warm", "cold-1/k", false),
        ("cold-1", "%2Fwarm/k", false),
    ] {
        let header = format!("x-amz-copy-source: {from}");
        let copy = request(&format!("PUT /{to}/k"), &[&header, "content-length: 0"], b"");
        let answer = exchange(gateway.s3, &copy).await;
        if is_possible {
            assert_eq!(answer.status, 200, "{to} {from}");
        } else {
            answer.is_error(501, "NotImplemented");
        }
    }
    assert_eq!((first.begun(), second.begun()), (1, 1));
}

#[tokio::test]
async fn requests_go_where_their_bucket_or_their_account_is_kept() {
    let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let of_account = FakeUpstream::start().await;
    let named = |name: &str, buckets: &[&str], accounts: &[&str], at: SocketAddr| NamedUpstream {
        name: name.to_owned(),
        buckets: buckets.iter().map(|b| BucketPattern::parse(b).expect("a pattern")).collect(),
        accounts: accounts.iter().map(|account| account.parse().expect("a UUID")).collect(),
        upstream: behind(&format!("http://{at}")),
    };
    let (gateway, _auth) = with(first.address, |config| {
        config.upstreams = vec![named("cold", &["cold-*"], &[], second.address)];
    })
    .await;
    let (other, _other_auth) = with(first.address, |config| {
        config.upstreams = vec![
            named("cold", &["cold-*"], &[], second.address),
            named("theirs", &[], &[ACCOUNT], of_account.address),
        ];
    })
    .await;
    let seen = || [&first, &second, &of_account].map(FakeUpstream::begun);
    for (gateway, line, expected) in [
        (&gateway, "GET /", [1, 0, 0]),
        (&gateway, "GET /warm/k", [2, 0, 0]),
        (&gateway, "GET /cold-1/k", [2, 1, 0]),
        (&other, "GET /cold-1", [2, 2, 0]),
        (&other, "GET /warm/k", [2, 2, 1]),
        (&other, "GET /", [2, 2, 2]),
    ] {
        assert_eq!(exchange(gateway.s3, &request(line, &[], b"")).await.status, 200);
        assert_eq!(seen(), expected, "{line}");
    }
}

/// Takes TLS off, before an upstream.
async fn by_tls(authority: &Authority, upstream: SocketAddr) -> SocketAddr {
    let dir = tempfile::tempdir().expect("a place");
    let files = authority.issue(&["localhost"]).write(dir.path(), "store");
    let files = rpc::CertificateFiles { chain: files.chain, key: files.key };
    let tls = rpc::HttpsServer::load(files).expect("a certificate");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let _dir = dir;
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                let mut stream = tls.accept(stream).await?;
                let mut onward = TcpStream::connect(upstream).await?;
                tokio::io::copy_bidirectional(&mut stream, &mut onward).await
            });
        }
    });
    address
}

#[tokio::test]
async fn an_upstream_by_tls_is_believed_by_its_authority_and_its_host() {
    let (authority, upstream) = (Authority::new(), FakeUpstream::start().await);
    let address = by_tls(&authority, upstream.address).await;
    let dir = tempfile::tempdir().expect("a place");
    let ca = authority.write(dir.path(), "ca");
    let other = Authority::new().write(dir.path(), "other");
    for (ca, host, status) in
        [(&ca, "localhost", 200), (&ca, "127.0.0.1", 503), (&other, "localhost", 503)]
    {
        let (gateway, _auth) = with(upstream.address, |config| {
            config.upstream = behind(&format!("https://{host}:{}", address.port()));
            config.upstream.tls = Some(rpc::HttpsClient::load(Some(ca.clone())).expect("one"));
        })
        .await;
        let put = request("PUT /bkt/k", &[], b"hello");
        let answer = exchange(gateway.s3, &put).await;
        assert_eq!(answer.status, status, "{host}");
    }
    let seen = upstream.seen();
    assert_eq!((seen.len(), seen[0].start.as_slice()), (1, &b"hello"[..]));
    assert_eq!(seen[0].headers["host"], format!("localhost:{}", address.port()));
}

#[tokio::test]
async fn an_upstream_that_believes_it_is_told_who_asks() {
    let upstream = FakeUpstream::start().await;
    let (gateway, auth) =
        with(upstream.address, |config| config.upstream.access = Access::IdentityHeaders).await;
    let told = ["X-Claviger-Account: evil", "x-claviger-USER: evil", "X_Claviger_Account: evil"];
    let more = ["X-Claviger-Access-Key-Id: evil", "X-Claviger-Groups: evil"];
    let headers = [&told[..], &more, &["Authorization: AWS4-HMAC-SHA256 client"]].concat();
    // Also if it was signed.
    auth.says(|head| {
        let mut verified = verified(head);
        verified.signed_headers.extend(["x-claviger-account".into(), "x-claviger-groups".into()]);
        Ok(Some(api::auth::v1::verify_signature_response::Verdict::Verified(verified)))
    });
    let line = "PUT /bkt/k?X-Claviger-Account=evil&tagging&x_claviger_user=evil";
    let answer = exchange(gateway.s3, &request(line, &headers, b"hello")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = upstream.seen().pop().expect("a request");
    assert_eq!(seen.target, "/bkt/k?tagging");
    let mut names: Vec<&str> = seen.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let own = ["content-length", "host", "x-amz-content-sha256", "x-claviger-access-key-id"];
    assert_eq!(names, [&own[..], &["x-claviger-account", "x-claviger-user"]].concat());
    assert_eq!(seen.headers["x-claviger-account"], ACCOUNT);
    assert_eq!(seen.headers["x-claviger-user"], "0192f0c1-2d3e-7000-8000-0000000000aa");
    assert_eq!(seen.headers["x-claviger-access-key-id"], "AKIACLIENT");
    assert!(seen.headers.get_all("x-claviger-account").iter().count() == 1);

    // Nobody is refused there by the gateway's name: what it says is meant for the client.
    upstream.answers(|_| {
        let refused = "<Error><Code>SignatureDoesNotMatch</Code></Error>";
        Response::builder().status(403).body(text(refused)).expect("a response")
    });
    let answer = exchange(gateway.s3, &request("GET /bkt/k", &[], b"")).await;
    assert_eq!((answer.status, answer.element("Code")), (403, Some("SignatureDoesNotMatch")));
}

#[tokio::test]
async fn what_only_the_gateway_may_say_is_dropped_where_it_signs_too() {
    let rig = Rig::start().await;
    let headers = ["X-Claviger-Account: evil", "X_Claviger_User: evil"];
    let line = "GET /bkt/k?x-claviger-account=evil&X-Claviger-user";
    assert_eq!(rig.send(line, &headers, b"").await.status, 200);
    let seen = rig.upstream.seen().pop().expect("a request");
    assert_eq!(seen.target, "/bkt/k");
    assert!(!seen.headers.keys().any(|name| name.as_str().contains("claviger")));
}

/// Answers each connection once, by its number: with nothing, or with this.
async fn answering(
    listener: TcpListener,
    answer: impl Fn(usize) -> &'static [u8] + Send + 'static,
) -> (JoinHandle<()>, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::new(Mutex::new(vec![]));
    let seen = Arc::clone(&heads);
    let count = AtomicUsize::new(0);
    let served = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![];
            while !head.windows(4).any(|window| window == b"\r\n\r\n") {
                match stream.read_buf(&mut head).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
            }
            // One that looks whether anybody is there says nothing.
            if !head.is_empty() {
                let answer = answer(count.fetch_add(1, Ordering::Relaxed));
                let line = String::from_utf8_lossy(&head).lines().next().map(str::to_owned);
                seen.lock().expect("not poisoned").extend(line);
                let _ = stream.write_all(answer).await;
            }
        }
    });
    (served, heads)
}

#[tokio::test]
async fn only_what_may_be_repeated_is_sent_once_more() {
    for (line, body, times) in [
        ("GET /bkt/k", &b""[..], 2),
        ("HEAD /bkt/k", b"", 2),
        ("DELETE /bkt/k", b"", 2),
        ("DELETE /bkt/k", b"x", 1),
        ("PUT /bkt/k", b"x", 1),
        ("PUT /bkt/k", b"", 1),
        ("POST /bkt/k?uploads", b"", 1),
    ] {
        // Not a third time, either.
        for (broken, status) in [(1, if times == 2 { 200 } else { 503 }), (9, 503)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let answer = move |n| if n < broken { &b""[..] } else { ANSWER };
            let (_served, heads) = answering(listener, answer).await;
            let (gateway, _auth) = with(address, |_| {}).await;
            let answer = exchange(gateway.s3, &request(line, &[], body)).await;
            assert_eq!(answer.status, status, "{line} {broken}");
            assert_eq!(heads.lock().expect("not poisoned").len(), times, "{line} {broken}");
        }
    }
    // What was answered, in whatever words, is not asked again.
    for said in [&b"garbage\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (_served, heads) = answering(listener, move |_| said).await;
        let (gateway, _auth) = with(address, |_| {}).await;
        let _ = exchange(gateway.s3, &request("GET /bkt/k", &[], b"")).await;
        assert_eq!(heads.lock().expect("not poisoned").len(), 1);
    }
}

#[tokio::test]
async fn an_upstream_that_is_down_is_told_at_once_and_comes_back_by_itself() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (served, _) = answering(listener, |_| ANSWER).await;
    let (gateway, auth) =
        with(address, |config| config.limits.health_interval = Duration::from_millis(50)).await;
    auth.serving(true).await;
    until(|| gateway.readiness.is_ready() && gateway.readiness.degraded().is_empty()).await;
    let get = request("GET /bkt/k", &[], b"");
    assert_eq!(exchange(gateway.s3, &get).await.status, 200);

    served.abort();
    until(|| gateway.readiness.degraded() == ["upstream default"]).await;
    assert!(gateway.readiness.is_ready(), "other upstreams may well be there");
    for line in ["GET /bkt/k", "PUT /bkt/k"] {
        let answer = exchange(gateway.s3, &request(line, &[], b"")).await;
        answer.is_error(503, "ServiceUnavailable");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }

    let listener = TcpListener::bind(address).await.expect("the port of before");
    let (_served, _) = answering(listener, |_| ANSWER).await;
    until(|| gateway.readiness.degraded().is_empty()).await;
    assert_eq!(exchange(gateway.s3, &get).await.status, 200);
}

#[tokio::test]
async fn an_upstream_may_tell_itself_how_it_is() {
    let upstream = FakeUpstream::start().await;
    let answers = |status: u16| {
        upstream.answers(move |seen| {
            let status = if seen.target == "/health/live?x" { status } else { 200 };
            Response::builder().status(status).body(text("")).expect("a response")
        });
    };
    answers(503);
    let (gateway, _auth) = with(upstream.address, |config| {
        config.limits.health_interval = Duration::from_millis(50);
        config.upstream.health_path = Some("/health/live?x".parse().expect("a path"));
    })
    .await;
    until(|| gateway.readiness.degraded() == ["upstream default"]).await;
    let get = request("GET /bkt/k", &[], b"");
    // It has told so in words: the second time in a row counts.
    let start = std::time::Instant::now();
    while exchange(gateway.s3, &get).await.status != 503 {
        assert!(start.elapsed() < crate::rig::PATIENCE);
    }
    // Whoever refuses us is there.
    answers(403);
    until(|| gateway.readiness.degraded().is_empty()).await;
    assert_eq!(exchange(gateway.s3, &get).await.status, 200);
    assert!(upstream.seen().iter().any(|seen| seen.target == "/health/live?x"));
    assert!(!upstream.seen()[0].headers.contains_key("authorization"));
}
