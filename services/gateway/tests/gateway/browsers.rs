//! Pages of other sites, and whoever comes without a signature.

use gateway::{BucketPattern, CorsRule};

use crate::fake_auth::FakeAuth;
use crate::fake_upstream::FakeUpstream;
use crate::rig::{Answer, Gateway, config, exchange, limits, request, serve};

/// A gateway that lets `https://app.test` read and write, and anybody read in `public-*`.
struct Front {
    auth: FakeAuth,
    upstream: FakeUpstream,
    gateway: Gateway,
}

impl Front {
    async fn start() -> Self {
        let (auth, upstream) = (FakeAuth::start().await, FakeUpstream::start().await);
        let mut config = config(auth.address, upstream.address, limits());
        config.cors = vec![CorsRule {
            allowed_origins: vec!["https://app.test".to_owned()],
            allowed_methods: vec![http::Method::GET, http::Method::PUT],
            allowed_headers: vec!["*".to_owned()],
            expose_headers: vec!["ETag".to_owned()],
            max_age_seconds: Some(60),
        }];
        config.anonymous_buckets = vec![BucketPattern::parse("public-*").expect("a pattern")];
        // Auth denies whatever is not signed, as it does.
        auth.says(|head| match head.contains("authorization: AWS4") {
            true => crate::fake_auth::allow(head),
            false => {
                let code = "AccessDenied".to_owned();
                let denied = api::auth::v1::Denied { code, http_status: 403, ..Default::default() };
                Ok(Some(api::auth::v1::verify_signature_response::Verdict::Denied(denied)))
            }
        });
        let gateway = serve(config).await;
        Self { auth, upstream, gateway }
    }

    async fn send(&self, line: &str, headers: &[&str]) -> Answer {
        exchange(self.gateway.s3, &request(line, headers, b"")).await
    }
}

const ORIGIN: &str = "Origin: https://app.test";
const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 x";

#[tokio::test]
async fn a_preflight_request_is_answered_without_a_signature_and_goes_nowhere() {
    let front = Front::start().await;
    let asks = "Access-Control-Request-Method: PUT";
    let headers = [ORIGIN, asks, "Access-Control-Request-Headers: authorization, x-amz-date"];
    let answer = front.send("OPTIONS /bkt/k?X-Amz-Signature=x", &headers).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0), "{answer:?}");
    for (name, value) in [
        ("access-control-allow-origin", "https://app.test"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "authorization, x-amz-date"),
        ("access-control-expose-headers", "ETag"),
        ("access-control-max-age", "60"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    let answer = front.send("OPTIONS /bkt/k", &["Origin: https://evil.test", asks]).await;
    answer.is_error(403, "AccessForbidden");
    assert!(answer.header("access-control-allow-origin").is_none());
    front.send("OPTIONS /bkt/k", &[asks]).await.is_error(400, "BadRequest");
    assert!(front.auth.heads().is_empty());
    assert_eq!(front.upstream.begun(), 0);
}

#[tokio::test]
async fn answers_and_refusals_may_be_read_by_the_page_that_may() {
    let front = Front::start().await;
    let allowed = |answer: &Answer| answer.header("access-control-allow-origin").map(str::to_owned);
    let answer = front.send("GET /bkt/k", &[ORIGIN, SIGNED]).await;
    assert_eq!((answer.status, allowed(&answer).as_deref()), (200, Some("https://app.test")));
    assert_eq!(answer.header("access-control-expose-headers"), Some("ETag"));
    assert!(answer.header("vary").is_some_and(|vary| vary.contains("Origin")));
    let answer = front.send("GET /bkt/k", &[ORIGIN]).await;
    assert_eq!((answer.status, allowed(&answer).as_deref()), (403, Some("https://app.test")));
    for headers in [&["Origin: https://evil.test", SIGNED][..], &[SIGNED]] {
        let answer = front.send("GET /bkt/k", headers).await;
        assert_eq!((answer.status, allowed(&answer)), (200, None));
    }
    let answer = front.send("DELETE /bkt/k", &[ORIGIN, SIGNED]).await;
    assert_eq!((answer.status, allowed(&answer)), (200, None));
}

#[tokio::test]
async fn anybody_may_read_what_is_public_and_nothing_else() {
    let front = Front::start().await;
    let headers = ["Range: bytes=0-3", "X-Amz-Acl: public-read", "X-Claviger-Account: evil"];
    for (line, status) in [
        ("GET /public-a/k", 200),
        ("HEAD /public-a/k", 200),
        ("GET /public-a", 403),
        ("GET /public-a?list-type=2", 403),
        ("GET /public-a/k?acl", 403),
        ("GET /public-a/k?versionId=1", 403),
        ("PUT /public-a/k", 403),
        ("DELETE /public-a/k", 403),
        ("GET /private/k", 403),
        ("GET /", 403),
    ] {
        let begun = (front.auth.heads().len(), front.upstream.begun());
        assert_eq!(front.send(line, &headers).await.status, status, "{line}");
        let expected = match status {
            200 => (begun.0, begun.1 + 1),
            _ => (begun.0 + 1, begun.1),
        };
        assert_eq!((front.auth.heads().len(), front.upstream.begun()), expected, "{line}");
    }
    let seen = front.upstream.seen();
    let names: Vec<&str> = seen[0].headers.keys().map(http::HeaderName::as_str).collect();
    assert!(names.contains(&"range") && names.contains(&"authorization"), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("x-amz-acl") || name.contains("claviger")));

    // Whatever looks signed is verified, and refused if it is wrong.
    let asked = front.auth.heads().len();
    let signs = ["Authorization: ", "X-Amz-Security-Token: x", "X-Amz-Date: x"];
    for sign in signs {
        assert_eq!(front.send("GET /public-a/k", &[sign]).await.status, 403, "{sign}");
    }
    for query in ["X-Amz-Signature=x", "x-amz-expires=1", "Signature=x&Expires=1"] {
        let answer = front.send(&format!("GET /public-a/k?{query}"), &[]).await;
        assert_eq!(answer.status, 403, "{query}");
    }
    assert_eq!(front.auth.heads().len(), asked + 6);
    assert_eq!(front.upstream.begun(), 2);
    assert_eq!(front.send("GET /public-a/k", &[SIGNED]).await.status, 200);
}
