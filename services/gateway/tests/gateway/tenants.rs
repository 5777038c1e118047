//! Two accounts at one gateway, and one store.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::auth::v1::verify_signature_response::Verdict;
use api::error::v1::Reason;
use gateway::{BucketPattern, Config, Limits, NamedUpstream};
use http::{Method, Response};
use tokio::net::TcpListener;
use tonic::{Code, Status};

use crate::fake_auth::{FakeAuth, verified};
use crate::fake_buckets::FakeBuckets;
use crate::fake_upstream::{FakeUpstream, Seen, text};
use crate::forms::{TYPE, form};
use crate::rig::{Answer, Gateway, TOKEN, behind, config, exchange, limits, request, serve};

const ONE: &str = "0192f0c1-2d3e-7000-8000-000000000001";
const TWO: &str = "0192f0c1-2d3e-7000-8000-000000000002";

/// What the store has.
type Stored = Arc<Mutex<BTreeSet<String>>>;

struct Tenants {
    gateway: Gateway,
    identity: FakeBuckets,
    upstream: FakeUpstream,
    stored: Stored,
}

/// Whoever says so is of the second account.
const AS_TWO: &str = "x-amz-meta-as: two";

fn of_claims(
    auth: &FakeAuth,
    upstream: &FakeUpstream,
    identity: &FakeBuckets,
    limits: Limits,
) -> Config {
    let identity = rpc::Target::in_the_clear(
        format!("http://{}", identity.address),
        rpc::Token::parse(TOKEN).expect("a token"),
    );
    Config {
        account_id: None,
        identity: Some(identity),
        ..config(auth.address, upstream.address, limits)
    }
}

/// Buckets are there and not, as a store has them.
fn store(stored: &Stored, seen: &Seen) -> Response<crate::fake_upstream::Body> {
    let mut stored = stored.lock().expect("not poisoned");
    let path = seen.target.split('?').next().expect("a path");
    let (bucket, is_bucket) = match path[1..].split_once('/') {
        Some((bucket, key)) => (bucket, key.is_empty()),
        None => (&path[1..], true),
    };
    let answer = |status: u16, body: &'static str| {
        Response::builder().status(status).body(text(body)).expect("an answer")
    };
    let none = "<Error><Code>NoSuchBucket</Code></Error>";
    let is_whole = !seen.target.contains('?') || seen.target.contains("x-id=");
    match (&seen.method, is_bucket && is_whole) {
        (&Method::HEAD, true) if stored.contains(bucket) => answer(200, ""),
        (&Method::HEAD, true) => answer(404, ""),
        (&Method::PUT, true) if stored.insert(bucket.to_owned()) => answer(200, ""),
        (&Method::PUT, true) => answer(409, "<Error><Code>BucketAlreadyOwnedByYou</Code></Error>"),
        (&Method::DELETE, true) if stored.remove(bucket) => answer(204, ""),
        (_, _) if stored.contains(bucket) => answer(200, "stored"),
        (_, _) => answer(404, none),
    }
}

impl Tenants {
    async fn start() -> Self {
        Self::with(false, limits()).await
    }

    /// With this configuration beside what is needed.
    async fn configured(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_config(false, limits(), change).await
    }

    async fn with(silent: bool, limits: Limits) -> Self {
        Self::with_config(silent, limits, |_| {}).await
    }

    /// `mine` is the first account's, `theirs` the second's, and `stray` nobody's; the store has all three.
    async fn with_config(silent: bool, limits: Limits, change: impl FnOnce(&mut Config)) -> Self {
        let (auth, upstream) = (FakeAuth::start().await, FakeUpstream::start().await);
        auth.says(|head| {
            let account = if head.contains(AS_TWO) { TWO } else { ONE };
            let mut verified = verified(head);
            let principal = verified.principal.as_mut().expect("a principal");
            principal.account_id = account.to_owned();
            principal.user_id = account.to_owned();
            Ok(Some(Verdict::Verified(verified)))
        });
        let owners = [("mine", ONE), ("theirs", TWO)];
        let identity = FakeBuckets::start(&owners, silent).await;
        let names = ["mine", "theirs", "stray"].map(str::to_owned);
        let stored: Stored = Arc::new(Mutex::new(names.into()));
        let shared = Arc::clone(&stored);
        upstream.answers(move |seen| store(&shared, seen));
        let mut config = of_claims(&auth, &upstream, &identity, limits);
        change(&mut config);
        let gateway = serve(config).await;
        let tenants = Self { gateway, identity, upstream, stored };
        if !silent {
            tenants.until_told().await;
        }
        tenants
    }

    /// Waits until the gateway need not ask whose `mine` is.
    async fn until_told(&self) {
        let told = async {
            loop {
                // Of somebody, also where anybody may read.
                let signed = ["x-amz-date: 20260101T000000Z"];
                assert_eq!(self.send("HEAD /mine/k", &signed).await.status, 200);
                if self.identity.asked().is_empty() {
                    break;
                }
            }
        };
        tokio::time::timeout(crate::rig::PATIENCE, told).await.expect("is told");
    }

    async fn send(&self, line: &str, headers: &[&str]) -> Answer {
        exchange(self.gateway.s3, &request(line, headers, b"")).await
    }

    fn has(&self, bucket: &str) -> bool {
        self.stored.lock().expect("not poisoned").contains(bucket)
    }

    /// What reached the store while `during`, HEAD of the gateway's own apart.
    async fn reached(&self, during: impl Future<Output = ()>) -> Vec<String> {
        let before = self.upstream.seen().len();
        during.await;
        let seen = self.upstream.seen().split_off(before);
        let seen = seen.iter().filter(|seen| seen.method != Method::HEAD);
        seen.map(|seen| format!("{} {}", seen.method, seen.target)).collect()
    }
}

#[tokio::test]
async fn ones_own_passes_without_a_question_and_anothers_not_at_all() {
    let tenants = Tenants::start().await;
    for line in [
        "GET /B",
        "GET /B?list-type=2",
        "GET /B?location",
        "GET /B/k",
        "HEAD /B",
        "HEAD /B/k",
        "PUT /B/k",
        "PUT /B?acl",
        "PUT /B?policy",
        "DELETE /B/k",
        "DELETE /B?policy",
        "POST /B?delete",
        "POST /B/k?uploads",
        "PUT /B/k?partNumber=1&uploadId=1",
        "DELETE /B/k?uploadId=1",
        "GET /B/k?X-Amz-Signature=s&X-Amz-Date=1",
        "GET /B?uploads",
        "GET /B?versions",
    ] {
        let of = |bucket: &str| line.replace('B', bucket);
        let own = tenants.send(&of("mine"), &["content-length: 0"]).await;
        assert_eq!(own.status, 200, "{line}: {own:?}");
        let theirs = tenants.send(&of("theirs"), &[AS_TWO, "content-length: 0"]).await;
        assert_eq!(theirs.status, 200, "{line}: {theirs:?}");
        let reached = tenants.reached(async {
            for (bucket, as_whom) in [("theirs", "x-amz-meta-as: one"), ("mine", AS_TWO)] {
                let denied = tenants.send(&of(bucket), &[as_whom, "content-length: 0"]).await;
                if line.starts_with("HEAD") {
                    assert_eq!((denied.status, denied.body.len()), (403, 0));
                } else {
                    denied.is_error(403, "AccessDenied");
                }
            }
        });
        assert!(reached.await.is_empty(), "{line}");
    }
    let denied = tenants.send("DELETE /theirs", &[]).await;
    denied.is_error(403, "AccessDenied");
    assert!(tenants.identity.asked().is_empty(), "the map is enough");
    // At a host of its own.
    let at = |host: &str| {
        format!("GET /k HTTP/1.1\r\nHost: {host}.s3.test\r\nConnection: close\r\n\r\n")
    };
    assert_eq!(exchange(tenants.gateway.s3, at("mine").as_bytes()).await.status, 200);
    exchange(tenants.gateway.s3, at("theirs").as_bytes()).await.is_error(403, "AccessDenied");
}

#[tokio::test]
async fn what_nobody_claimed_is_asked_for_once_and_not_there() {
    let tenants = Tenants::start().await;
    for bucket in ["stray", "none"] {
        for line in ["GET /B/k", "PUT /B/k", "DELETE /B", "GET /B"] {
            let reached = tenants.reached(async {
                let answer = tenants.send(&line.replace('B', bucket), &["content-length: 0"]).await;
                answer.is_error(404, "NoSuchBucket");
                assert_eq!(answer.element("BucketName"), Some(bucket));
            });
            assert!(reached.await.is_empty());
            assert_eq!(tenants.identity.asked(), [format!("get {bucket}")]);
        }
    }
}

#[tokio::test]
async fn what_anybody_may_read_is_somebodys() {
    let elsewhere = FakeUpstream::start().await;
    let at = elsewhere.address;
    let tenants = Tenants::configured(|config| {
        let pattern = |text| BucketPattern::parse(text).expect("a pattern");
        config.anonymous_buckets = vec![pattern("mine"), pattern("stray"), pattern("theirs")];
        config.upstreams = vec![NamedUpstream {
            name: "of-two".to_owned(),
            buckets: vec![],
            accounts: vec![TWO.parse().expect("a UUID")],
            upstream: behind(&format!("http://{at}")),
        }];
    })
    .await;
    let reached = tenants.reached(async {
        assert_eq!(tenants.send("GET /mine/k", &[]).await.status, 200);
        assert_eq!(tenants.send("GET /theirs/k", &[]).await.status, 200);
        tenants.send("GET /stray/k", &[]).await.is_error(404, "NoSuchBucket");
        for key in ["../theirs/k", "a/../../theirs/k", "%2E%2E/theirs/k", "..%2Ftheirs/k"] {
            tenants.send(&format!("GET /mine/{key}"), &[]).await.is_error(400, "InvalidURI");
        }
    });
    assert_eq!(reached.await, ["GET /mine/k"]);
    // A bucket is where its account's are, whoever asks.
    assert_eq!(elsewhere.begun(), 1);
}

#[tokio::test]
async fn a_form_is_for_ones_own() {
    let tenants = Tenants::start().await;
    let post = async |bucket: &str, fields: &[(&str, &str)]| {
        let body = form(fields, b"hello");
        exchange(tenants.gateway.s3, &request(&format!("POST /{bucket}"), &[TYPE], &body)).await
    };
    let copying = [("key", "k"), ("x-amz-copy-source", "/theirs/a")];
    let reached = tenants.reached(async {
        assert_eq!(post("mine", &copying).await.status, 204);
    });
    assert_eq!(reached.await, ["PUT /mine/k"]);
    let seen = tenants.upstream.seen().pop().expect("a request");
    assert!(!seen.headers.contains_key("x-amz-copy-source"), "a form copies nothing");
    let reached = tenants.reached(async {
        post("theirs", &[("key", "k")]).await.is_error(403, "AccessDenied");
        post("stray", &[("key", "k")]).await.is_error(404, "NoSuchBucket");
        assert_eq!(post("mine", &[("key", "../theirs/k")]).await.status, 400);
    });
    assert!(reached.await.is_empty());
}

#[tokio::test]
async fn a_copy_is_of_ones_own() {
    let tenants = Tenants::start().await;
    for target in ["/mine/k", "/mine/k?partNumber=1&uploadId=1"] {
        let copy = async |source: &str| {
            let header = format!("x-amz-copy-source: {source}");
            tenants.send(&format!("PUT {target}"), &[&header, "content-length: 0"]).await
        };
        for source in ["mine/a", "/mine/a%20b?versionId=1", "mine%2Fa"] {
            assert_eq!(copy(source).await.status, 200, "{source}");
        }
        let reached = tenants.reached(async {
            for source in ["theirs/a", "/theirs/a?versionId=1", "theirs%2Fa", "%2Ftheirs/a"] {
                copy(source).await.is_error(403, "AccessDenied");
            }
            copy("stray/a").await.is_error(404, "NoSuchBucket");
            for source in ["//theirs/a", "mine/../theirs/a", "mine", "%74heirs/a", "x:theirs/a"] {
                copy(source).await.is_error(400, "InvalidArgument");
            }
            copy("arn:aws:s3:us-east-1:123456789012:accesspoint/a/object/k")
                .await
                .is_error(501, "NotImplemented");
            // As some SDKs put headers into the URLs that they sign.
            let mark = if target.contains('?') { '&' } else { '?' };
            let line = format!("PUT {target}{mark}X-Amz-Copy-Source=theirs%2Fa");
            let own = ["x-amz-copy-source: mine/a", "content-length: 0"];
            tenants.send(&line, &own).await.is_error(403, "AccessDenied");
        });
        assert!(reached.await.is_empty());
    }
}

#[tokio::test]
async fn no_path_and_no_body_leads_to_another_bucket() {
    let tenants = Tenants::start().await;
    let reached = tenants.reached(async {
        for line in ["GET /mine/../theirs/k", "PUT /mine/%2e%2e/theirs/k", "DELETE /mine/a/../../b"]
        {
            tenants.send(line, &["content-length: 0"]).await.is_error(400, "InvalidURI");
        }
        for part in ["analytics", "inventory", "logging", "replication"] {
            let line = format!("PUT /mine?{part}");
            tenants.send(&line, &["content-length: 0"]).await.is_error(501, "NotImplemented");
        }
        tenants
            .send("POST /mine/k?restore", &["content-length: 0"])
            .await
            .is_error(501, "NotImplemented");
    });
    assert!(reached.await.is_empty());
    assert_eq!(tenants.send("GET /mine?replication", &[]).await.status, 200);
    assert_eq!(tenants.send("GET /mine/a/../b", &[]).await.status, 200);
}

#[tokio::test]
async fn a_bucket_is_claimed_before_it_is_made_and_released_after_it_is_gone() {
    let tenants = Tenants::start().await;
    let none = ["content-length: 0"];
    let made = tenants.send("PUT /new", &none).await;
    assert_eq!(made.status, 200);
    assert!(tenants.has("new"));
    assert_eq!(tenants.identity.asked(), ["get new", "claim new"]);
    assert_eq!(tenants.identity.owner("new").as_deref(), Some(ONE));
    // Known before the watch tells.
    assert_eq!(tenants.send("PUT /new/k", &none).await.status, 200);
    tenants.send("GET /new/k", &[AS_TWO]).await.is_error(403, "AccessDenied");
    assert!(tenants.identity.asked().is_empty());

    // Names are taken, by oneself, by another, and by what the store has.
    let again = tenants.send("PUT /new", &none).await;
    assert_eq!((again.status, again.header("location")), (200, Some("/new")));
    let reached = tenants.reached(async {
        for (bucket, as_whom) in
            [("new", AS_TWO), ("theirs", "x-amz-meta-as: one"), ("stray", AS_TWO)]
        {
            let taken = tenants.send(&format!("PUT /{bucket}"), &[as_whom, none[0]]).await;
            taken.is_error(409, "BucketAlreadyExists");
        }
    });
    assert!(reached.await.is_empty());
    assert_eq!(tenants.identity.owner("stray"), None, "what the store has is not claimed");
    tenants.identity.asked();

    assert_eq!(tenants.send("DELETE /new?x-id=DeleteBucket", &[]).await.status, 204);
    assert_eq!(tenants.identity.asked(), ["release new"]);
    tenants.send("GET /new/k", &[]).await.is_error(404, "NoSuchBucket");
    assert_eq!(tenants.send("PUT /new", &[AS_TWO, none[0]]).await.status, 200);
    assert_eq!(tenants.identity.owner("new").as_deref(), Some(TWO));
    tenants.send("GET /new/k", &[]).await.is_error(403, "AccessDenied");
}

#[tokio::test]
async fn to_make_ones_own_bucket_again_is_a_mistake_but_in_one_region() {
    let (auth, upstream) = (FakeAuth::start().await, FakeUpstream::start().await);
    let identity =
        FakeBuckets::start(&[("mine", "0192f0c1-2d3e-7000-8000-0000000000aa")], false).await;
    auth.says(|head| {
        let mut verified = verified(head);
        let principal = verified.principal.as_mut().expect("a principal");
        principal.account_id.clone_from(&principal.user_id);
        Ok(Some(Verdict::Verified(verified)))
    });
    let config = of_claims(&auth, &upstream, &identity, limits());
    let gateway = serve(Config { region: "eu-west-3".to_owned(), ..config }).await;
    let answer = exchange(gateway.s3, &request("PUT /mine", &["content-length: 0"], b"")).await;
    answer.is_error(409, "BucketAlreadyOwnedByYou");
}

#[tokio::test]
async fn a_refusal_releases_and_an_unknown_outcome_does_not() {
    let tenants = Tenants::start().await;
    let none = ["content-length: 0"];
    // What the store says to PUT; HEAD is asked before and after.
    let refuse = |status: u16| {
        let stored = Arc::clone(&tenants.stored);
        tenants.upstream.answers(move |seen| match seen.method {
            Method::PUT => {
                let error = "<Error><Code>InvalidLocationConstraint</Code></Error>";
                Response::builder().status(status).body(text(error)).expect("an answer")
            }
            _ => store(&stored, seen),
        });
    };
    for (status, is_kept) in [(400, false), (403, false), (409, false), (500, true), (503, true)] {
        let name = format!("new-{status}");
        refuse(status);
        let answer = tenants.send(&format!("PUT /{name}"), &none).await;
        let code = Some("InvalidLocationConstraint");
        assert_eq!((answer.status, answer.element("Code")), (status, code));
        assert_eq!(tenants.identity.owner(&name).is_some(), is_kept, "{status}");
        let stored = Arc::clone(&tenants.stored);
        tenants.upstream.answers(move |seen| store(&stored, seen));
        // Whoever tries again goes on, and nobody else does.
        let other = tenants.send(&format!("PUT /{name}"), &[AS_TWO, none[0]]).await;
        assert_eq!(other.status, if is_kept { 409 } else { 200 });
        let again = tenants.send(&format!("PUT /{name}"), &none).await;
        assert_eq!(again.status, if is_kept { 200 } else { 409 });
        assert!(tenants.has(&name));
    }
    // A body that is not the signed one never reached the store whole.
    let hash = format!("x-amz-content-sha256: {}", "0".repeat(64));
    let answer = exchange(tenants.gateway.s3, &request("PUT /wrong", &[&hash], b"body")).await;
    answer.is_error(400, "XAmzContentSHA256Mismatch");
    assert_eq!(tenants.identity.owner("wrong"), None);
    // A store that does not say what it has, and an identity that has no room.
    tenants
        .upstream
        .answers(|_| Response::builder().status(500).body(text("")).expect("an answer"));
    tenants.send("PUT /unknown", &none).await.is_error(503, "ServiceUnavailable");
    assert_eq!(tenants.identity.owner("unknown"), None);
}

#[tokio::test]
async fn only_what_is_gone_is_released() {
    let tenants = Tenants::start().await;
    let answers = |status: u16, document: &'static str| {
        tenants.upstream.answers(move |_| {
            Response::builder().status(status).body(text(document)).expect("an answer")
        });
    };
    for (status, document) in [
        (409, "<Error><Code>BucketNotEmpty</Code></Error>"),
        (404, "<html>no such page</html>"),
        (404, "<Error><Code>NoSuchKey</Code></Error>"),
        (503, "<Error><Code>SlowDown</Code></Error>"),
    ] {
        answers(status, document);
        let answer = tenants.send("DELETE /mine", &[]).await;
        assert_eq!((answer.status, answer.text()), (status, document));
        assert_eq!(tenants.identity.owner("mine").as_deref(), Some(ONE), "{document}");
    }
    // Nor is a bucket gone because something in it is.
    answers(204, "");
    for line in ["DELETE /mine/k", "DELETE /mine?policy", "DELETE /mine/?cors"] {
        assert_eq!(tenants.send(line, &[]).await.status, 204);
    }
    assert!(tenants.identity.asked().is_empty());
    let gone = "<Error><Code>NoSuchBucket</Code></Error>";
    answers(404, gone);
    let answer = tenants.send("DELETE /mine", &[]).await;
    assert_eq!((answer.status, answer.text()), (404, gone));
    assert_eq!(tenants.identity.owner("mine"), None);

    // If identity does not hear of it, the client has its answer, and may say it again.
    answers(204, "");
    tenants.identity.refuses(Some(Status::unavailable("away")));
    assert_eq!(tenants.send("DELETE /theirs", &[AS_TWO]).await.status, 204);
    tenants.identity.refuses(None);
    assert_eq!(tenants.identity.owner("theirs").as_deref(), Some(TWO));
}

#[tokio::test]
async fn a_silent_identity_is_asked_each_time_and_one_that_is_away_allows_nothing() {
    let tenants = Tenants::with(true, limits()).await;
    for _ in 0..3 {
        assert_eq!(tenants.send("GET /mine/k", &[]).await.status, 200);
        tenants.send("GET /theirs/k", &[]).await.is_error(403, "AccessDenied");
        assert_eq!(tenants.identity.asked(), ["get mine", "get theirs"]);
    }
    let reached = tenants.reached(async {
        for (status, http_status, code) in [
            (Status::unavailable("away"), 503, "ServiceUnavailable"),
            (Status::deadline_exceeded("slow"), 503, "ServiceUnavailable"),
            (api::status(Code::ResourceExhausted, Reason::Overloaded, "busy"), 503, "SlowDown"),
            (Status::unauthenticated("who?"), 500, "InternalError"),
        ] {
            tenants.identity.refuses(Some(status));
            for line in ["GET /mine/k", "PUT /mine/k", "PUT /new", "DELETE /mine", "GET /"] {
                let answer = tenants.send(line, &["content-length: 0"]).await;
                answer.is_error(http_status, code);
            }
        }
    });
    assert!(reached.await.is_empty());
}

#[tokio::test]
async fn whoever_was_told_asks_again_when_it_is_told_no_more() {
    let limits = Limits { buckets_silence_max: Duration::from_millis(20), ..limits() };
    let tenants = Tenants::with(true, limits).await;
    drop(tenants);
    // With heartbeats each 100 ms, so short a silence is often too long.
    let limits = Limits { buckets_silence_max: Duration::from_millis(20), ..crate::rig::limits() };
    let tenants = Tenants::with(false, limits).await;
    let asked = async {
        while tenants.identity.asked().is_empty() {
            assert_eq!(tenants.send("GET /mine/k", &[]).await.status, 200);
        }
    };
    tokio::time::timeout(crate::rig::PATIENCE, asked).await.expect("asks again");
}

#[tokio::test]
async fn a_list_shows_ones_own_page_by_page() {
    let tenants = Tenants::start().await;
    let none = ["content-length: 0"];
    for bucket in ["data-1", "data-2", "data-3"] {
        assert_eq!(tenants.send(&format!("PUT /{bucket}"), &none).await.status, 200);
    }
    let list = async |query: &str| {
        let answer = tenants.send(&format!("GET /{query}"), &[]).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/xml")));
        let names = answer.text().split("<Name>").skip(1);
        let names: Vec<_> =
            names.map(|rest| rest.split('<').next().expect("a name").to_owned()).collect();
        (names, answer.element("ContinuationToken").map(str::to_owned), answer.text().to_owned())
    };
    let reached = tenants.reached(async {
        let (names, token, document) = list("").await;
        assert_eq!(
            (names, token),
            (vec!["data-1".into(), "data-2".into(), "data-3".into(), "mine".into()], None)
        );
        assert!(document.contains("<CreationDate>2026-01-01T12:00:00.000Z</CreationDate>"));
        assert!(document.contains(&format!("<Owner><ID>{ONE}</ID></Owner>")));
        let (names, token, document) = list("?prefix=data&max-buckets=2").await;
        assert_eq!(names, ["data-1", "data-2"]);
        assert!(document.contains("<BucketRegion>us-east-1</BucketRegion>"));
        let rest =
            format!("?prefix=data&max-buckets=2&continuation-token={}", token.expect("more"));
        let (names, token, _) = list(&rest).await;
        assert_eq!((names, token), (vec!["data-3".into()], None));
    });
    assert!(reached.await.is_empty(), "the store is not asked");
    tenants.send("GET /?max-buckets=0", &[]).await.is_error(400, "InvalidArgument");
    let head = tenants.send("HEAD /", &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let theirs = tenants.send("GET /", &[AS_TWO]).await;
    assert!(theirs.text().contains("<Name>theirs</Name>") && !theirs.text().contains("data-1"));
}

#[tokio::test]
async fn a_gateway_without_identity_and_without_an_account_does_not_start() {
    let (auth, upstream) = (FakeAuth::start().await, FakeUpstream::start().await);
    let config = Config { account_id: None, ..config(auth.address, upstream.address, limits()) };
    let listener = async || TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let ready = telemetry::Readiness::default().register("gateway");
    let (s3, management) = (listener().await, listener().await);
    let refused = gateway::serve(config, s3, management, ready, Default::default()).await;
    let refused = refused.expect_err("does not start").to_string();
    assert!(refused.contains("say where identity is"), "{refused}");
}
