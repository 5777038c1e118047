//! An auth that is asked for more than it takes on at once, by callers that never stop: it says so at once, is well,
//! and neither its memory nor its log grows.
//!
//! It stands alone: memory is that of the process, and the log that of all threads.

#[allow(dead_code, unreachable_pub)]
#[path = "serve/harness.rs"]
mod harness;
#[allow(dead_code, unreachable_pub)]
#[path = "serve/identity.rs"]
mod identity;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use api::auth::v1::auth_service_client::AuthServiceClient;
use api::auth::v1::verification_result::Result as Told;
use api::auth::v1::verify_signature_response::Verdict;
use api::auth::v1::{BatchVerifySignaturesRequest, VerifySignatureRequest};
use api::error::v1::Reason;
use futures::future::join_all;
use measure::memory_bytes;
use rpc::Channel;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::*;

const CONNECTIONS: usize = 16;
/// After which callers that were told to come back later do.
const RETRY: Duration = Duration::from_millis(20);
/// Callers at a time, each of which asks about one key after the other.
const AT_A_TIME: usize = 64;
const UNKNOWN_KEYS: usize = 2048;
/// As many as one batch takes, and batches in one go.
const BATCH: usize = 256;
const BATCHES: usize = 64;
/// The IDs alone of four times as many keys take as much, and a table of them twice as much.
const GROWTH_BYTES_MAX: u64 = 8 << 20;

/// How many lines were logged, and the first of them.
#[derive(Clone, Default)]
struct Lines(Arc<(AtomicUsize, Mutex<Vec<u8>>)>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.1.lock().expect("not poisoned")).into_owned()
    }
}

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.0.fetch_add(1, Ordering::SeqCst) < 64 {
            self.0.1.lock().expect("not poisoned").extend_from_slice(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_overloaded(status: &Status) -> bool {
    (status.code(), api::reason(status)) == (Code::ResourceExhausted, Some(Reason::Overloaded))
}

/// An access key ID that nobody has, as long as they get.
fn unknown(n: usize) -> String {
    format!("AKIA{n:0124}")
}

fn is_unknown(verdict: Option<Verdict>) {
    let Some(Verdict::Denied(denied)) = verdict else {
        panic!("a key that nobody has is verified")
    };
    assert_eq!(denied.code, "InvalidAccessKeyId");
}

/// Calls on one of many connections, so that none of them is the limit.
struct Callers(Vec<Channel>);

impl Callers {
    fn new(auth: &Harness) -> Self {
        let token = rpc::Token::parse(SERVICE_TOKEN).expect("is one");
        let target = rpc::Target::in_the_clear(auth.uri.clone(), token);
        Self((0..CONNECTIONS).map(|_| target.channel().expect("is a URI")).collect())
    }

    fn client(&self, n: usize) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.0[n % CONNECTIONS].clone())
    }

    /// Asks about many keys with long IDs that nobody has, in batches.
    async fn flood_in_batches(&self, from: usize) {
        let head = signed(&unknown(0), SECRET);
        for batch in 0..BATCHES {
            let ids = (0..BATCH).map(|n| unknown(from + batch * BATCH + n));
            let requests = ids.map(|id| raw(&head.replace(&unknown(0), &id), 0)).collect();
            let request = BatchVerifySignaturesRequest { requests };
            let answer = self.client(batch).batch_verify_signatures(request).await;
            for result in answer.expect("is answered").into_inner().results {
                let Some(Told::Response(response)) = result.result else { panic!("{result:?}") };
                is_unknown(response.verdict);
            }
        }
    }

    /// Asks about so many keys that nobody has, one by one: how many calls were refused because there are too many.
    ///
    /// # Panics
    /// If any is answered in another way than that there is no such key.
    async fn flood(&self, from: usize) -> usize {
        let head = signed(&unknown(0), SECRET);
        let refused = (0..AT_A_TIME).map(async |lane| {
            let mut refused = 0;
            for n in (lane..UNKNOWN_KEYS).step_by(AT_A_TIME) {
                let request = raw(&head.replace(&unknown(0), &unknown(from + n)), 0);
                match self.client(lane).verify_signature(request).await {
                    Ok(answer) => is_unknown(answer.into_inner().verdict),
                    Err(status) => {
                        assert!(is_overloaded(&status), "{status:?}");
                        refused += 1;
                    }
                }
            }
            refused
        });
        join_all(refused).await.into_iter().sum()
    }

    /// Calls that wait for what does not come, some more than there is room for, begun anew whenever they end.
    fn wait_in_vain(&self, over: &Arc<AtomicBool>) -> JoinSet<()> {
        let places = available_parallelism().map_or(1, usize::from) * 1024;
        let request = raw(&signed(ID, SECRET), 1_000_000);
        let mut waiting = JoinSet::new();
        for n in 0..places + AT_A_TIME {
            let (mut client, request) = (self.client(n), request.clone());
            let over = Arc::clone(over);
            waiting.spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    let status = client.verify_signature(request.clone()).await;
                    let status = status.expect_err("the position never comes");
                    assert!(is_overloaded(&status) || status.code() == Code::Unavailable);
                    tokio::time::sleep(RETRY).await;
                }
            });
        }
        waiting
    }

    /// Asks until it is full.
    async fn until_refused(&self) {
        let request: VerifySignatureRequest = raw(&signed(ID, SECRET), 0);
        while !self
            .client(0)
            .verify_signature(request.clone())
            .await
            .is_err_and(|status| is_overloaded(&status))
        {
            tokio::task::yield_now().await;
        }
    }
}

/// Asks for health over and over until it is over: how often.
async fn watch_health(channel: Channel, over: Arc<AtomicBool>) -> usize {
    let mut checks = 0;
    let mut client = HealthClient::new(channel);
    while !over.load(Ordering::SeqCst) {
        for service in ["", "claviger.auth.v1.AuthService"] {
            let request = HealthCheckRequest { service: service.into() };
            let answer = client.check(request).await.expect("is answered").into_inner();
            assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
        }
        checks += 1;
        tokio::time::sleep(RETRY).await;
    }
    checks
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_is_refused_at_once_and_leaves_no_trace() {
    let (lines, begun) = (Lines::default(), Instant::now());
    let writer = lines.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::level_filters::LevelFilter::INFO)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    let callers = Callers::new(&auth);
    let over = Arc::new(AtomicBool::new(false));
    let health = tokio::spawn(watch_health(callers.0[0].clone(), Arc::clone(&over)));

    let identity = auth.identity.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            identity.send(heartbeat(10));
        }
    });

    // With room for all: nobody is refused, and many floods take no more memory than one.
    assert_eq!(callers.flood(0).await, 0);
    callers.flood_in_batches(0).await;
    let (memory, logged) = (memory_bytes("VmRSS"), lines.0.0.load(Ordering::SeqCst));
    for flood in 1..=4 {
        callers.flood_in_batches(flood * BATCHES * BATCH).await;
    }
    let grown = memory_bytes("VmRSS").saturating_sub(memory);
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes");
    assert_eq!(lines.0.0.load(Ordering::SeqCst), logged, "{}", lines.text());

    // Full of calls that wait: what comes then is refused, and does not wait too.
    let mut waiting = callers.wait_in_vain(&over);
    callers.until_refused().await;
    let mut refused = 0;
    // It takes some until as many as ever will be are under way at once.
    for flood in 1..=4 {
        refused += callers.flood(flood * UNKNOWN_KEYS).await;
    }
    let memory = memory_bytes("VmRSS");
    for flood in 5..=8 {
        refused += callers.flood(flood * UNKNOWN_KEYS).await;
    }
    assert!(refused > 0);
    let grown = memory_bytes("VmRSS").saturating_sub(memory);
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes");

    // Once they let go, all is as before.
    over.store(true, Ordering::SeqCst);
    while let Some(ended) = waiting.join_next().await {
        ended.expect("was answered as it must be");
    }
    assert_eq!(auth.ask(&signed(ID, SECRET), 10).await, Ok(1));
    assert!(health.await.expect("was well all the time") > 0);
    let logged = lines.text();
    // Said at once, and then once a minute: it may take longer than that here.
    let said = logged.matches("calls are refused").count() as u64;
    assert!((1..=1 + begun.elapsed().as_secs() / 60).contains(&said), "{said}: {logged}");
    assert!(lines.0.0.load(Ordering::SeqCst) < 16, "{logged}");
    assert!(!logged.contains("AKIA"), "{logged}");
}
