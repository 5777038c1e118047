//! Ready, away, stopping.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::rig::{PATIENCE, Rig, config, exchange, limits, request, serve, until};

#[tokio::test]
async fn it_is_ready_while_auth_serves() {
    let rig = Rig::start().await;
    let ready = || rig.gateway.readiness.is_ready();
    assert!(!ready());
    rig.auth.serving(true).await;
    until(ready).await;
    rig.auth.serving(false).await;
    until(|| !ready()).await;
    rig.auth.serving(true).await;
    until(ready).await;
    rig.gateway.shutdown.cancel();
    until(|| !ready()).await;
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_request_upstream() {
    let rig = Rig::start().await;
    rig.upstream.hold(true);
    for (n, line) in ["GET /bkt/k", "PUT /bkt/k"].into_iter().enumerate() {
        let mut stream = TcpStream::connect(rig.gateway.s3).await.expect("a connection");
        let body = if line.starts_with("PUT") { &b"hello"[..] } else { b"" };
        stream.write_all(&request(line, &[], body)).await.expect("written");
        rig.upstream.seen_at_least(n + 1).await;
        drop(stream);
        let ended = rig.upstream.dropped_at_least(n + 1);
        tokio::time::timeout(PATIENCE, ended).await.expect("broken off upstream");
    }
}

#[tokio::test]
async fn an_upstream_that_is_away_or_silent_is_unavailable() {
    let rig = Rig::start().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = gone.local_addr().expect("an address");
    drop(gone);
    let gateway = serve(config(rig.auth.address, address, limits())).await;
    for body in [&b""[..], b"hello"] {
        let answer = exchange(gateway.s3, &request("PUT /bkt/k", &[], body)).await;
        answer.is_error(503, "ServiceUnavailable");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }

    let response_timeout = Duration::from_millis(50);
    let silent = gateway::Limits { response_timeout, ..limits() };
    let gateway = serve(config(rig.auth.address, rig.upstream.address, silent)).await;
    rig.upstream.hold(true);
    let answer = exchange(gateway.s3, &request("GET /bkt/k", &[], b"")).await;
    answer.is_error(503, "ServiceUnavailable");
    tokio::time::timeout(PATIENCE, rig.upstream.dropped_at_least(1)).await.expect("broken off");
}

#[tokio::test]
async fn requests_under_way_end_before_it_does() {
    let rig = Rig::with(gateway::Limits { drain_timeout: PATIENCE, ..limits() }).await;
    // One connection is idle, another has sent half a head: neither holds it up.
    let idle = TcpStream::connect(rig.gateway.s3).await.expect("a connection");
    rig.upstream.hold(true);
    let shutdown = async {
        rig.upstream.begun_at_least(1).await;
        rig.gateway.shutdown.cancel();
        until(|| std::net::TcpStream::connect(rig.gateway.s3).is_err()).await;
        rig.upstream.hold(false);
    };
    let (answer, ()) = tokio::join!(rig.send("GET /bkt/k", &[], b""), shutdown);
    assert_eq!((answer.status, answer.text()), (200, "stored"));
    let served = tokio::time::timeout(PATIENCE, rig.gateway.served).await;
    served.expect("an end").expect("no panic").expect("no error");
    drop(idle);
}

#[tokio::test]
async fn requests_that_do_not_end_are_cut_off() {
    let rig = Rig::start().await;
    rig.upstream.hold(true);
    let mut half = TcpStream::connect(rig.gateway.s3).await.expect("a connection");
    half.write_all(b"GET / HT").await.expect("written");
    let mut stream = TcpStream::connect(rig.gateway.s3).await.expect("a connection");
    stream.write_all(&request("GET /bkt/k", &[], b"")).await.expect("written");
    rig.upstream.begun_at_least(1).await;
    rig.gateway.shutdown.cancel();
    let served = tokio::time::timeout(PATIENCE, rig.gateway.served).await;
    served.expect("an end").expect("no panic").expect("no error");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let rig = Rig::with(gateway::Limits { connections_max: 1, ..limits() }).await;
    let first = TcpStream::connect(rig.gateway.s3).await.expect("a connection");
    let second = rig.send("GET /bkt/k", &[], b"");
    tokio::pin!(second);
    tokio::select! {
        biased;
        _ = &mut second => panic!("there was no room"),
        () = until(|| std::net::TcpStream::connect(rig.gateway.management).is_ok()) => {}
    }
    assert!(rig.auth.heads().is_empty());
    drop(first);
    assert_eq!(second.await.status, 200);
}

#[tokio::test]
async fn management_has_fewer_connections() {
    let rig = Rig::start().await;
    let mut idle = vec![];
    for _ in 0..256 {
        idle.push(TcpStream::connect(rig.gateway.management).await.expect("a connection"));
    }
    let bytes = request("GET /", &[], b"");
    let further = exchange(rig.gateway.management, &bytes);
    tokio::pin!(further);
    tokio::select! {
        biased;
        _ = &mut further => panic!("there was no room"),
        () = tokio::time::sleep(Duration::from_millis(200)) => {}
    }
    assert_eq!(rig.send("GET /bkt/k", &[], b"").await.status, 200);
    drop(idle);
    assert_eq!(further.await.status, 200);
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_used_is_told_at_once() {
    let rig = Rig::start().await;
    let mut config = config(rig.auth.address, rig.upstream.address, limits());
    config.upstream.endpoint = http::Uri::from_static("ftp://store");
    let error = serve(config).await.served.await.expect("no panic").expect_err("an error");
    let error = format!("{error:#}");
    assert!(error.contains("upstream default: ") && error.contains("http://"), "{error}");
    let mut config = crate::rig::config(rig.auth.address, rig.upstream.address, limits());
    config.domains = vec!["s3.example.com:443".to_owned()];
    let error = serve(config).await.served.await.expect("no panic").expect_err("an error");
    assert!(error.to_string().contains("s3.example.com:443"), "{error}");
}
