//! The REST API when what is behind it refuses, fails, is slow or away.

use std::net::SocketAddr;

use api::error::v1::Reason;
use serde_json::Value;
use tonic::{Code, Status};

use crate::fake_auth::FakeAuth;
use crate::fake_identity::FakeIdentity;
use crate::fake_upstream::FakeUpstream;
use crate::rig::{Answer, Gateway, TOKEN, config, exchange, limits, request, serve, until};

/// An operator's, of the client; never the gateway's own.
const ADMIN: &str = "Authorization: Bearer abcdefabcdefabcdefabcdefabcdefab";

async fn gateway(auth: &FakeAuth, identity: SocketAddr) -> Gateway {
    let upstream = FakeUpstream::start().await;
    let token = rpc::Token::parse(TOKEN).expect("a token");
    let identity = Some(rpc::Target::in_the_clear(format!("http://{identity}"), token));
    let config = config(auth.address, upstream.address, limits());
    serve(gateway::Config { identity, ..config }).await
}

async fn ask(gateway: &Gateway, line: &str, headers: &[&str]) -> Answer {
    exchange(gateway.management, &request(line, headers, b"")).await
}

#[track_caller]
fn check(answer: &Answer, status: u16, reason: &str) {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    let problem: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!((answer.status, &problem["reason"]), (status, &reason.into()), "{problem}");
    assert_eq!(problem["status"], status);
    let id = answer.header("x-request-id").expect("an id");
    assert_eq!(problem["instance"], format!("urn:uuid:{id}"));
}

#[tokio::test]
async fn an_identity_that_is_away_is_told_as_such() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let gateway = gateway(&FakeAuth::start().await, address).await;
    for path in ["/v1/events", "/v1/events:watch"] {
        let answer = ask(&gateway, &format!("GET {path}"), &[ADMIN]).await;
        check(&answer, 503, "UNAVAILABLE");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(!answer.text().contains(&address.to_string()), "{answer:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_gateway_is_not_the_clients_fault_nor_told_to_it() {
    let identity = FakeIdentity::start().await;
    let gateway = gateway(&FakeAuth::start().await, identity.address).await;
    for (status, expected, reason) in [
        (api::status(Code::Unauthenticated, Reason::InvalidToken, "s3cr3t"), 500, "INTERNAL"),
        (api::status(Code::Unauthenticated, Reason::UnknownCertificate, "s3cr3t"), 500, "INTERNAL"),
        (Status::unauthenticated("s3cr3t"), 500, "INTERNAL"),
        (api::status(Code::Internal, Reason::Internal, "s3cr3t"), 500, "INTERNAL"),
        (Status::unknown("s3cr3t"), 503, "UNAVAILABLE"),
        (Status::unimplemented("s3cr3t"), 501, "UNIMPLEMENTED"),
        (Status::deadline_exceeded("s3cr3t"), 504, "DEADLINE_EXCEEDED"),
        (
            api::status(Code::Unauthenticated, Reason::UnknownAdminToken, "no"),
            401,
            "UNKNOWN_ADMIN_TOKEN",
        ),
    ] {
        identity.says(status);
        let answer = ask(&gateway, "GET /v1/events", &[ADMIN]).await;
        check(&answer, expected, reason);
        assert!(!answer.text().contains("s3cr3t"), "{answer:?}");
        assert_eq!(answer.header("www-authenticate").is_some(), expected == 401);
    }
}

#[tokio::test]
async fn identity_is_told_on_whose_behalf_it_is_asked() {
    let identity = FakeIdentity::start().await;
    let gateway = gateway(&FakeAuth::start().await, identity.address).await;
    identity.says(api::status(Code::PermissionDenied, Reason::CallerNotAllowed, "no"));
    let signature = format!(
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-3/claviger/aws4_request, \
         SignedHeaders=host, Signature={}",
        "0".repeat(64)
    );
    // What a client says of itself is not handed on.
    let forged = ["claviger-acting-user: root", "claviger-facade: grpc", "x-request-id: mine"];
    for credential in [ADMIN, &signature] {
        let headers = [&[credential][..], &forged].concat();
        let answer = ask(&gateway, "GET /v1/events", &headers).await;
        check(&answer, 403, "CALLER_NOT_ALLOWED");
        let asked = identity.asked().pop().expect("asked");
        let said = |name: &str| {
            let values: Vec<_> = asked.get_all(name).iter().collect();
            assert!(values.len() < 2, "{name}");
            values.first().map(|value| value.to_str().expect("text").to_owned())
        };
        assert_eq!(said("authorization"), Some(format!("Bearer {TOKEN}")));
        assert_eq!(said("claviger-facade").as_deref(), Some("rest"));
        assert_eq!(said("claviger-source-address").as_deref(), Some("127.0.0.1"));
        assert_eq!(said("x-request-id").as_deref(), answer.header("x-request-id"));
        let token = (credential == ADMIN).then(|| ADMIN.rsplit_once(' ').expect("a token").1);
        assert_eq!(said("claviger-acting-token").as_deref(), token);
        assert_eq!(said("claviger-acting-user").is_some(), token.is_none());
        assert_ne!(said("claviger-acting-user").as_deref(), Some("root"));
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_a_problem_too() {
    let identity = FakeIdentity::start().await;
    let gateway = gateway(&FakeAuth::start().await, identity.address).await;
    let large = format!("Authorization: Bearer {}", "x".repeat(100 << 10));
    for (bytes, status) in [
        (request("GET /v1/events", &[&large], b""), 431),
        (b"GET /v1/events HTTP/1.1\r\nno colon\r\n\r\n".to_vec(), 400),
    ] {
        let answer = exchange(gateway.management, &bytes).await;
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
        let problem: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!((answer.status, &problem["status"]), (status, &status.into()), "{problem}");
        assert_eq!(problem["reason"], "MALFORMED_REQUEST");
        assert_eq!(problem["instance"].as_str(), answer.header("x-request-id"));
    }
    assert!(identity.asked().is_empty());
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_with_the_reason() {
    let identity = FakeIdentity::start().await;
    let gateway = gateway(&FakeAuth::start().await, identity.address).await;
    identity.says(api::status(Code::Unavailable, Reason::WatchEnded, "too slow"));
    let answer = ask(&gateway, "GET /v1/events:watch", &[ADMIN]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
    let lines: Vec<Value> =
        answer.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let lines: Vec<_> = lines.iter().filter(|line| line.is_object()).collect();
    assert_eq!(lines.len(), 2, "{answer:?}");
    assert_eq!(lines[0]["resumePosition"], "7");
    assert_eq!(lines[1]["error"]["reason"], "WATCH_ENDED");
    assert_eq!(lines[1]["error"]["status"], 503);
    // Ended in order, as chunked bodies are.
    assert!(answer.text().ends_with("0\r\n\r\n"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_requests_are_under_way_than_may_be() {
    let identity = FakeIdentity::start().await;
    let gateway = gateway(&FakeAuth::start().await, identity.address).await;
    let management = gateway.management;
    let bytes = request("GET /v1/events", &[ADMIN], b"");
    let waiting: Vec<_> = (0..128)
        .map(|_| {
            let bytes = bytes.clone();
            tokio::spawn(async move { exchange(management, &bytes).await })
        })
        .collect();
    until(|| identity.asked().len() == 128).await;
    let answer = ask(&gateway, "GET /v1/events", &[ADMIN]).await;
    check(&answer, 429, "TOO_MANY_REQUESTS");
    assert_eq!(answer.header("retry-after"), Some("1"));
    // What is no call is answered still.
    assert_eq!(ask(&gateway, "GET /docs", &[]).await.status, 200);
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}
