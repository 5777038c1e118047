//! What the log says of a request, and what it never says.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use api::auth::v1::verify_signature_response::Verdict;
use api::auth::v1::{Denied, Detail};
use sha2::{Digest, Sha256};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::fake_upstream::text;
use crate::rig::{Answer, Rig, config, exchange, limits, request, serve, until};

/// All that this process logs, at any level.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Log {
    pub(crate) fn start() -> &'static Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Log::default();
            tracing_subscriber::fmt()
                .json()
                .with_env_filter(EnvFilter::new("access=info,gateway=trace,telemetry=debug"))
                .with_writer(log.clone())
                .init();
            log
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("not poisoned")).into_owned()
    }

    /// The fields of the one line about the request that this answers.
    pub(crate) async fn line(&self, answer: &Answer) -> serde_json::Value {
        let id = ["x-amz-request-id", "x-request-id"].into_iter().find_map(|it| answer.header(it));
        let id = id.expect("an ID").to_owned();
        let lines = || -> Vec<serde_json::Value> {
            let lines = self.text();
            let lines = lines.lines().filter_map(|line| serde_json::from_str(line).ok());
            lines.filter(|line: &serde_json::Value| line["fields"]["request_id"] == *id).collect()
        };
        until(|| !lines().is_empty()).await;
        let [line] = <[_; 1]>::try_from(lines()).expect("one line");
        assert_eq!(line["target"], "access");
        line["fields"].clone()
    }
}

#[tokio::test]
async fn a_line_says_who_and_how_much_and_nothing_secret() {
    let log = Log::start();
    let rig = Rig::start().await;
    let authorization = "Authorization: AWS4-HMAC-SHA256 Signature=canary-signature";
    let headers =
        [authorization, "X-Amz-Security-Token: canary-token", "X-Amz-Meta-A: canary-meta"];
    let answer = rig.send("PUT /bkt?prefix=canary-query", &headers, b"canary-body").await;
    let line = log.line(&answer).await;
    assert_eq!((&line["status"], &line["method"]), (&200.into(), &"PUT".into()));
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&11.into(), &6.into()));
    assert_eq!((&line["whole"], &line["code"]), (&true.into(), &"".into()));
    assert_eq!(
        (&line["access_key_id"], &line["client"]),
        (&"AKIACLIENT".into(), &"127.0.0.1".into())
    );
    assert_eq!(line["account"], crate::fake_auth::ACCOUNT);
    assert_eq!((&line["operation"], &line["bucket"]), (&"CreateBucket".into(), &"bkt".into()));
    assert_eq!((&line["upstream"], &line["why"]), (&"default".into(), &"".into()));
    assert!(line["first_byte_ms"].as_u64() <= line["duration_ms"].as_u64());
    assert_eq!(line["anonymous"], serde_json::Value::Null);

    let hash = hex::encode(Sha256::digest(b"other"));
    let hash = format!("X-Amz-Content-SHA256: {hash}");
    let answer =
        rig.send("PUT /bkt?prefix=canary-query", &[&hash, authorization], b"canary-body").await;
    let line = log.line(&answer).await;
    assert_eq!(line["status"], 400);
    assert_eq!(line["code"], "XAmzContentSHA256Mismatch");
    assert!(line["why"].as_str().is_some_and(|why| why.contains("does not match")), "{line}");

    // What the upstream refuses has its code, too.
    rig.upstream.answers(|_| {
        let refused = text("<Error><Code>NoSuchKey</Code></Error>");
        http::Response::builder().status(404).body(refused).expect("a response")
    });
    let line = log.line(&rig.send("GET /bkt/canary-key", &[authorization], b"").await).await;
    assert_eq!((&line["operation"], &line["code"]), (&"GetObject".into(), &"NoSuchKey".into()));
    // A bucket that is none is what anybody may write.
    let line = log.line(&rig.send("GET /Canary_Bucket/k", &[], b"").await).await;
    assert_eq!(line["bucket"], serde_json::Value::Null);

    let claimed = Detail {
        name: "AWSAccessKeyId".to_owned(),
        value: format!("AKIA\n<claimed>{}", "x".repeat(200)),
    };
    let denied = Denied {
        code: "InvalidAccessKeyId".to_owned(),
        http_status: 403,
        details: vec![claimed],
        ..Denied::default()
    };
    rig.auth.says(move |_| Ok(Some(Verdict::Denied(denied.clone()))));
    let answer = rig.send("GET /bkt/k", &[authorization], b"").await;
    let line = log.line(&answer).await;
    assert_eq!((&line["code"], &line["access_key_id"]), (&"InvalidAccessKeyId".into(), &"".into()));
    let expected = format!("AKIAclaimed{}", "x".repeat(117));
    assert_eq!(line["claimed_access_key_id"], expected);
    rig.auth.says(crate::fake_auth::allow);

    let mut config = config(rig.auth.address, rig.upstream.address, limits());
    config.anonymous_buckets = vec![gateway::BucketPattern::parse("public").expect("one")];
    let gateway = serve(config).await;
    let line = log.line(&exchange(gateway.s3, &request("GET /public/k", &[], b"")).await).await;
    assert_eq!((&line["anonymous"], &line["access_key_id"]), (&true.into(), &"".into()));

    let answer = rig.send("HEAD /bkt/k", &[authorization], b"").await;
    assert_eq!(log.line(&answer).await["whole"], true);
    for secret in ["canary", "Canary", "upstream-secret", crate::rig::TOKEN] {
        assert!(!log.text().contains(secret), "{secret}");
    }
}
