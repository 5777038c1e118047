//! A minute of many clients, while one part after the other ends without a word and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::deployment::Deployment;
use crate::support::{Key, error_code, signed};

const CLIENTS: usize = 64;
const DURATION: Duration = Duration::from_secs(60);
/// Between two requests of a client: the machine also runs other tests.
const PAUSE: Duration = Duration::from_millis(400);

type Http = Client<HttpConnector, Full<Bytes>>;

/// What has been seen by all.
#[derive(Debug, Default)]
struct Seen {
    stored: AtomicU64,
    read: AtomicU64,
    refused: AtomicU64,
    /// Answers that say "later", and connections that broke.
    later: AtomicU64,
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_see_only_what_can_be_tried_again() {
    let mut deployment = Deployment::start(2);
    deployment.run("mb", deployment.aws(&["s3", "mb", "s3://unrest"]));
    let (seen, ended) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (seen, ended) = (Arc::clone(&seen), Arc::clone(&ended));
            let (s3, key) = (deployment.s3.clone(), deployment.root.clone());
            tokio::spawn(async move { client(n, &s3, &key, &seen, &ended).await })
        })
        .collect();
    let start = Instant::now();
    let done = || [&seen.stored, &seen.read, &seen.refused].map(|n| n.load(Ordering::Relaxed));
    // Between two blows everything has gone on.
    let goes_on = async |since: [u64; 3]| {
        while done().iter().zip(since).any(|(now, before)| *now < before + CLIENTS as u64) {
            assert!(start.elapsed() < 3 * DURATION, "{seen:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    goes_on(done()).await;
    let mut blow = 0;
    while start.elapsed() < DURATION {
        deployment = tokio::task::spawn_blocking(move || {
            match blow % 4 {
                0 => deployment.restart_auth(0),
                1 => deployment.restart_identity(),
                2 => deployment.store.restart(),
                _ => deployment.restart_auth(1),
            }
            deployment
        })
        .await
        .expect("restarted");
        blow += 1;
        goes_on(done()).await;
        tokio::time::sleep(DURATION / 8).await;
    }
    assert!(blow >= 4, "{blow}");
    ended.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("nothing wrong was seen");
    }
    eprintln!("{seen:?} in {:?}", start.elapsed());
}

/// Stores, reads what it stored, and signs wrongly, again and again.
async fn client(n: usize, s3: &str, key: &Key, seen: &Seen, ended: &AtomicBool) {
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let wrong = Key { id: key.id.clone(), secret: format!("{}x", key.secret) };
    let mut random = vec![0; 64 << 10];
    for turn in 0_usize.. {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        getrandom::fill(&mut random).expect("randomness");
        let body = Bytes::copy_from_slice(&random[..(n * 997 + turn * 131) % random.len()]);
        let uri = format!("{s3}/unrest/{n}/{turn}");
        let request = |method, key: &Key, body: &Bytes| {
            signed(method, &uri, key, SystemTime::now(), body.clone())
        };
        match ask(&http, request(Method::PUT, key, &body)).await {
            Some((200, _)) => {
                seen.stored.fetch_add(1, Ordering::Relaxed);
                match ask(&http, request(Method::GET, key, &Bytes::new())).await {
                    Some((200, found)) => {
                        assert!(found == body, "{uri}: other bytes came back");
                        seen.read.fetch_add(1, Ordering::Relaxed);
                    }
                    other => later(&uri, other, seen),
                }
            }
            other => later(&uri, other, seen),
        }
        match ask(&http, request(Method::GET, &wrong, &Bytes::new())).await {
            Some((403, answer)) => {
                let code = error_code(&String::from_utf8_lossy(&answer));
                assert_eq!(code, "SignatureDoesNotMatch", "{uri}");
                seen.refused.fetch_add(1, Ordering::Relaxed);
            }
            other => later(&uri, other, seen),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Status and body; `None` if the connection broke.
async fn ask(http: &Http, request: http::Request<Full<Bytes>>) -> Option<(u16, Bytes)> {
    let response = http.request(request).await.ok()?;
    let status = response.status().as_u16();
    Some((status, response.into_body().collect().await.ok()?.to_bytes()))
}

/// Accepts what every client tries again, and nothing else.
#[track_caller]
fn later(uri: &str, answer: Option<(u16, Bytes)>, seen: &Seen) {
    if let Some((status, body)) = answer {
        let code = error_code(&String::from_utf8_lossy(&body));
        let is_retryable =
            status == 503 && matches!(code.as_str(), "ServiceUnavailable" | "SlowDown");
        assert!(is_retryable, "{uri}: {status} {code}");
    }
    seen.later.fetch_add(1, Ordering::Relaxed);
}
