//! The vendors' dialects and REST when what is behind them refuses, fails, talks nonsense or is away: each
//! answer is of its dialect's form, and tells nothing of what went wrong inside.

use std::net::SocketAddr;

use api::error::v1::Reason;
use serde_json::Value;
use tokio::net::TcpListener;
use tonic::{Code, Status};

use crate::fake_auth::FakeAuth;
use crate::fake_identity::FakeIdentity;
use crate::fake_upstream::FakeUpstream;
use crate::rig::{Answer, Gateway, TOKEN, config, exchange, limits, request, serve, until};

/// A dialect, by a call of it that asks identity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Dialect {
    Iam,
    Osc,
    Ontap,
    Rest,
}

use Dialect::{Iam, Ontap, Osc, Rest};

const ALL: [Dialect; 4] = [Iam, Osc, Ontap, Rest];
/// An operator's, of the client; never the gateway's own.
const ADMIN: &str = "Authorization: Bearer abcdefabcdefabcdefabcdefabcdefab";

impl Dialect {
    fn request(self) -> Vec<u8> {
        let signed = |service: &str| {
            let scope = format!("AKIA/20260101/eu-west-3/{service}/aws4_request");
            let signature = "0".repeat(64);
            format!(
                "Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, \
                 Signature={signature}"
            )
        };
        let json = "Content-Type: application/json";
        let form = "Content-Type: application/x-www-form-urlencoded";
        match self {
            Iam => request("POST /", &[form, &signed("iam")], b"Action=GetUser&UserName=bob"),
            Osc => request("POST /api/v1/ReadUsers", &[json, &signed("api")], b"{}"),
            Ontap => request("GET /api/svm/svms", &[ADMIN], b""),
            Rest => request("GET /v1/accounts", &[ADMIN], b""),
        }
    }

    async fn ask(self, gateway: &Gateway) -> Answer {
        exchange(gateway.management, &self.request()).await
    }

    /// The code of an answer, which must be of the dialect's form.
    fn code(self, answer: &Answer) -> String {
        let content_type = match self {
            Iam => "text/xml",
            Osc => "application/json",
            Ontap => "application/hal+json",
            Rest => "application/problem+json",
        };
        assert_eq!(answer.header("content-type"), Some(content_type), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
        if self == Iam {
            assert!(answer.text().contains("<ErrorResponse xmlns"), "{answer:?}");
            assert_eq!(answer.element("RequestId"), answer.header("x-amzn-requestid"));
            return answer.element("Code").expect("a code").to_owned();
        }
        let document: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let id = answer.header("x-request-id").expect("an id");
        let code = match self {
            Osc => {
                assert_eq!(document["ResponseContext"]["RequestId"], id);
                &document["Errors"][0]["Type"]
            }
            Ontap => &document["error"]["code"],
            Iam | Rest => {
                assert_eq!(document["instance"], format!("urn:uuid:{id}"));
                &document["reason"]
            }
        };
        code.as_str().unwrap_or_else(|| panic!("no code: {document}")).to_owned()
    }

    async fn check(self, gateway: &Gateway, (status, code): (u16, &str)) {
        let answer = self.ask(gateway).await;
        assert_eq!((answer.status, self.code(&answer).as_str()), (status, code), "{answer:?}");
        assert!(!answer.text().contains("s3cr3t"), "{answer:?}");
        let waits = [429, 503].contains(&status);
        assert_eq!(answer.header("retry-after").is_some(), waits, "{answer:?}");
    }
}

async fn gateway(auth: &FakeAuth, identity: SocketAddr) -> Gateway {
    let upstream = FakeUpstream::start().await;
    let token = rpc::Token::parse(TOKEN).expect("a token");
    let identity = Some(rpc::Target::in_the_clear(format!("http://{identity}"), token));
    let config = config(auth.address, upstream.address, limits());
    serve(gateway::Config { identity, ..config }).await
}

const THROTTLED: [(u16, &str); 4] =
    [(400, "Throttling"), (429, "RequestLimitExceeded"), (429, "8"), (429, "TOO_MANY_REQUESTS")];
const FAILED: [(u16, &str); 4] =
    [(500, "InternalFailure"), (500, "InternalError"), (500, "92406097"), (500, "INTERNAL")];
const AWAY: [(u16, &str); 4] = [
    (503, "ServiceUnavailable"),
    (503, "ServiceUnavailable"),
    (503, "393271"),
    (503, "UNAVAILABLE"),
];

async fn check_all(gateway: &Gateway, expected: [(u16, &str); 4]) {
    for (dialect, expected) in ALL.into_iter().zip(expected) {
        dialect.check(gateway, expected).await;
    }
}

#[tokio::test]
async fn what_identity_says_is_said_in_each_dialect() {
    let identity = FakeIdentity::start().await;
    let gateway = gateway(&FakeAuth::start().await, identity.address).await;
    let rest = |table: [(u16, &'static str); 4], status, reason| {
        let [iam, osc, ontap, _] = table;
        [iam, osc, ontap, (status, reason)]
    };
    for (status, expected) in [
        (api::status(Code::ResourceExhausted, Reason::TooManyRequests, "no"), THROTTLED),
        (
            api::status(Code::ResourceExhausted, Reason::StorageFull, "full"),
            rest(AWAY, 429, "STORAGE_FULL"),
        ),
        (
            api::status(Code::Unavailable, Reason::EventLogUnavailable, "no"),
            rest(AWAY, 503, "EVENT_LOG_UNAVAILABLE"),
        ),
        (Status::unavailable("s3cr3t"), AWAY),
        (Status::unknown("s3cr3t"), AWAY),
        (Status::internal("s3cr3t"), FAILED),
        (api::status(Code::Internal, Reason::Internal, "s3cr3t"), FAILED),
        // The gateway itself is not let in.
        (api::status(Code::Unauthenticated, Reason::InvalidToken, "s3cr3t"), FAILED),
        (api::status(Code::Unauthenticated, Reason::MissingToken, "s3cr3t"), FAILED),
        (Status::unauthenticated("s3cr3t"), FAILED),
        (Status::unimplemented("s3cr3t"), rest(FAILED, 501, "UNIMPLEMENTED")),
        (
            api::status(Code::PermissionDenied, Reason::CallerNotAllowed, "no"),
            [
                (403, "AccessDenied"),
                (403, "AccessDenied"),
                (403, "92406096"),
                (403, "CALLER_NOT_ALLOWED"),
            ],
        ),
    ] {
        identity.says(status);
        check_all(&gateway, expected).await;
    }
    identity.says_nonsense();
    check_all(&gateway, FAILED).await;
}

#[tokio::test]
async fn an_identity_that_is_away_or_hangs_up_is_told_in_each_dialect() {
    let auth = FakeAuth::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let hangs_up = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    let cut = gateway(&auth, address).await;
    for (dialect, expected) in [Iam, Osc, Ontap].into_iter().zip(AWAY) {
        dialect.check(&cut, expected).await;
    }
    // REST tells a call that was given up upon from one that could not be made, and either may come first.
    let answer = Rest.ask(&cut).await;
    let told = [(503, "UNAVAILABLE"), (504, "DEADLINE_EXCEEDED")];
    assert!(told.contains(&(answer.status, &*Rest.code(&answer))), "{answer:?}");
    hangs_up.abort();
    assert!(hangs_up.await.is_err(), "nobody listens any more");
    check_all(&gateway(&auth, address).await, AWAY).await;
}

#[tokio::test]
async fn an_auth_that_gives_no_verdict_is_told_in_each_dialect() {
    let auth = FakeAuth::start().await;
    let identity = FakeIdentity::start().await;
    let gateway = gateway(&auth, identity.address).await;
    for (status, expected) in [
        (Status::unavailable("s3cr3t"), AWAY),
        (Status::resource_exhausted("s3cr3t"), THROTTLED),
        (Status::internal("s3cr3t"), FAILED),
        (Status::permission_denied("s3cr3t"), FAILED),
    ] {
        auth.says(move |_| Err(status.clone()));
        Iam.check(&gateway, expected[0]).await;
        Osc.check(&gateway, expected[1]).await;
    }
    assert!(identity.asked().is_empty(), "nobody is asked on behalf of nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_calls_of_a_dialect_are_under_way_than_may_be() {
    for ((dialect, places), expected) in
        [(Iam, 128), (Osc, 128), (Ontap, 64)].into_iter().zip(THROTTLED)
    {
        let identity = FakeIdentity::start().await;
        let gateway = gateway(&FakeAuth::start().await, identity.address).await;
        let management = gateway.management;
        let waiting: Vec<_> = (0..places)
            .map(|_| tokio::spawn(async move { exchange(management, &dialect.request()).await }))
            .collect();
        until(|| identity.asked().len() == places).await;
        dialect.check(&gateway, expected).await;
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
        // Whoever goes away leaves a place to others.
        identity.says(Status::internal("s3cr3t"));
        let mut answer = dialect.ask(&gateway).await;
        while answer.status != 500 {
            answer = dialect.ask(&gateway).await;
        }
    }
}
