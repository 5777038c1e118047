//! Several replicas of auth: the one that is slow, the one that is away, the one that says that it cannot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gateway::{Auth, Config, Limits};
use tokio::net::TcpListener;
use tonic::Status;

use crate::fake_auth::{FakeAuth, allow};
use crate::fake_upstream::FakeUpstream;
use crate::rig::{Gateway, PATIENCE, config, exchange, limits, request, serve, target, until};

struct Rig {
    auths: [FakeAuth; 2],
    gateway: Gateway,
    _upstream: FakeUpstream,
}

impl Rig {
    async fn with(limits: Limits) -> Self {
        let auths = [FakeAuth::start().await, FakeAuth::start().await];
        let upstream = FakeUpstream::start().await;
        let targets = auths.iter().map(|auth| target(auth.address)).collect();
        let config = Config {
            auth: Auth::Remote(targets),
            ..config(auths[0].address, upstream.address, limits)
        };
        let gateway = serve(config).await;
        for auth in &auths {
            auth.serving(true).await;
        }
        Self { auths, gateway, _upstream: upstream }
    }

    /// Waits until each has been asked, so that there are streams to both.
    async fn both_are_up(&self) {
        while self.auths.iter().any(|auth| auth.heads().is_empty()) {
            assert_eq!(self.get().await, 200);
        }
    }

    async fn get(&self) -> u16 {
        exchange(self.gateway.s3, &request("GET /bkt/k", &[], b"")).await.status
    }
}

#[tokio::test]
async fn all_replicas_are_asked() {
    let rig = Rig::with(limits()).await;
    rig.both_are_up().await;
    let before = rig.auths.each_ref().map(|auth| auth.heads().len());
    for _ in 0..20 {
        assert_eq!(rig.get().await, 200);
    }
    for (auth, before) in rig.auths.iter().zip(before) {
        assert!(auth.heads().len() >= before + 5, "{before}");
    }
}

#[tokio::test]
async fn where_one_is_slow_another_is_asked_too() {
    let rig = Rig::with(Limits { auth_timeout: PATIENCE, ..limits() }).await;
    rig.both_are_up().await;
    // Hedging is for few of many: these many come first.
    for _ in 0..100 {
        assert_eq!(rig.get().await, 200);
    }
    let held = Held(Arc::new(AtomicBool::new(true)));
    let holds = Arc::clone(&held.0);
    rig.auths[0].says(move |head| {
        while holds.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        allow(head)
    });
    let before = rig.auths[0].heads().len();
    while rig.auths[0].heads().len() == before {
        assert_eq!(rig.get().await, 200);
    }
}

/// Holds an answer back until it is dropped.
struct Held(Arc<AtomicBool>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn one_that_cannot_answer_is_passed_over() {
    let rig = Rig::with(limits()).await;
    rig.both_are_up().await;
    // Before its health tells, its answer does.
    rig.auths[0].says(|_| Err(Status::unavailable("the read model is too old")));
    for _ in 0..10 {
        assert_eq!(rig.get().await, 200);
    }
    rig.auths[1].says(|_| Err(Status::resource_exhausted("")));
    assert_eq!(rig.get().await, 503);
    rig.auths[0].says(allow);
    assert_eq!(rig.get().await, 200);
    // No answer is no denial, and a denial is one: nobody else is asked.
    let asked = || rig.auths.iter().map(|auth| auth.heads().len()).sum::<usize>();
    rig.auths.iter().for_each(|auth| auth.says(|_| Err(Status::internal(""))));
    let before = asked();
    assert_eq!(rig.get().await, 500);
    assert_eq!(asked(), before + 1);
}

#[tokio::test]
async fn health_decides_who_is_asked_first() {
    let rig = Rig::with(limits()).await;
    rig.both_are_up().await;
    rig.auths[0].serving(false).await;
    let before = rig.auths[0].heads().len();
    // Once that has been heard, it is not asked any more.
    let mut seen = before;
    let mut quiet = 0;
    while quiet < 10 {
        assert_eq!(rig.get().await, 200);
        let now = rig.auths[0].heads().len();
        quiet = if std::mem::replace(&mut seen, now) == now { quiet + 1 } else { 0 };
    }
    assert!(rig.gateway.readiness.is_ready());
    rig.auths[1].serving(false).await;
    until(|| !rig.gateway.readiness.is_ready()).await;
    rig.auths[0].serving(true).await;
    until(|| rig.gateway.readiness.is_ready()).await;
}

#[tokio::test]
async fn one_that_is_away_is_done_without_and_none_is_waited_for() {
    let auth = FakeAuth::start().await;
    let upstream = FakeUpstream::start().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let gone_address = gone.local_addr().expect("an address");
    drop(gone);
    let targets = vec![target(gone_address), target(auth.address)];
    let both =
        Config { auth: Auth::Remote(targets), ..config(auth.address, upstream.address, limits()) };
    let gateway = serve(both).await;
    for _ in 0..10 {
        assert_eq!(exchange(gateway.s3, &request("GET /bkt/k", &[], b"")).await.status, 200);
    }
    let limits = Limits { auth_timeout: Duration::from_millis(50), ..limits() };
    let gateway = serve(config(gone_address, upstream.address, limits)).await;
    exchange(gateway.s3, &request("GET /bkt/k", &[], b""))
        .await
        .is_error(503, "ServiceUnavailable");
}
