//! The way to all replicas of auth: whichever is up, has least to do, and answers first.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use api::auth::v1::stream_verify_signatures_request::Request as Asked;
use api::auth::v1::stream_verify_signatures_response::Result as Told;
use api::auth::v1::{
    GetSigningKeyRequest, GetSigningKeyResponse, VerifySignatureRequest, VerifySignatureResponse,
    VerifyStringToSignRequest, VerifyStringToSignResponse,
};
use arc_swap::ArcSwap;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use telemetry::ReadyFlag;
use telemetry::metrics::Counter;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{interval, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Response, Status};

use super::Verify;
use super::replica::{At, Replica, not_asked};

/// How often the host's addresses are looked up.
const RESOLVE_INTERVAL: Duration = Duration::from_secs(5);
/// A request is asked of so many replicas at the most, one after the other or at once.
const ATTEMPTS_MAX: usize = 3;
/// One request in so many may be asked of a second replica because the first is slow: where all are slow,
/// more of them would make them slower.
const HEDGED_ONE_IN: usize = 20;
/// So many of these may come at once.
const HEDGES_AT_ONCE: usize = 32;

/// The way to auth. Its streams end when it is dropped.
#[derive(Debug)]
pub(crate) struct Link {
    replicas: Arc<Replicas>,
    /// After how long another replica is asked too.
    hedge_after: Duration,
    /// What may still be spent on that: each request adds one, and each hedge takes [`HEDGED_ONE_IN`].
    credit: AtomicUsize,
    turn: AtomicUsize,
    hedges: Counter<u64>,
    retries: Counter<u64>,
    following: [JoinHandle<()>; 2],
}

#[derive(Debug, Default)]
struct Replicas {
    known: ArcSwap<Vec<Member>>,
    /// Told when one of them has become another.
    changed: Arc<watch::Sender<()>>,
}

/// A replica, whose stream ends when this is dropped.
#[derive(Clone, Debug)]
struct Member {
    replica: Arc<Replica>,
    _end: Arc<DropGuard>,
}

impl Link {
    /// Begins to look for replicas; until `shutdown` `ready` is set while one of them serves. Must be called in a runtime.
    ///
    /// # Errors
    /// If there is no target, or one cannot be used.
    pub(crate) fn new(
        targets: Vec<rpc::Target>,
        hedge_after: Duration,
        ready: ReadyFlag,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Self> {
        ensure!(!targets.is_empty(), "there is no auth to ask");
        targets.iter().try_for_each(rpc::Target::check)?;
        let replicas = Arc::new(Replicas::default());
        let meter = telemetry::meter();
        let counted = Arc::downgrade(&replicas);
        meter
            .u64_observable_gauge("claviger.gateway.auth.replicas")
            .with_description("Replicas of auth that there is a stream to.")
            .with_callback(move |observer| {
                if let Some(replicas) = counted.upgrade() {
                    let known = replicas.known.load();
                    let up = known.iter().filter(|member| member.replica.is_up());
                    observer.observe(up.count() as u64, &[]);
                }
            })
            .build();
        let counter = |name: &'static str, what: &'static str| {
            meter.u64_counter(name).with_description(what).build()
        };
        Ok(Self {
            following: [
                tokio::spawn(Arc::clone(&replicas).follow(targets)),
                tokio::spawn(Arc::clone(&replicas).tell(ready, shutdown)),
            ],
            replicas,
            hedge_after,
            credit: AtomicUsize::new(0),
            turn: AtomicUsize::new(0),
            hedges: counter(
                "claviger.gateway.auth.hedges",
                "Requests that a second replica was asked about because the first was slow.",
            ),
            retries: counter(
                "claviger.gateway.auth.retries",
                "Requests that were asked again because a replica gave no verdict.",
            ),
        })
    }

    /// The one of two that has less to do. Waits until one is up that is none of `others`; if all that
    /// are up are among them, it is one of them.
    async fn pick(&self, others: &[At]) -> Arc<Replica> {
        let mut changes = self.replicas.changed.subscribe();
        loop {
            changes.borrow_and_update();
            let another = || self.try_pick(others, Replica::serves);
            // Of those that cannot answer each says why.
            let any = || {
                self.try_pick(&[], Replica::serves).or_else(|| self.try_pick(&[], Replica::is_up))
            };
            if let Some(replica) = another().or_else(any) {
                return replica;
            }
            // The sender is ours too.
            drop(changes.changed().await);
        }
    }

    fn try_pick(&self, others: &[At], is_fit: fn(&Replica) -> bool) -> Option<Arc<Replica>> {
        let known = self.replicas.known.load();
        let fit = || {
            let replicas = known.iter().map(|member| &member.replica);
            replicas.filter(|replica| is_fit(replica) && !others.contains(&replica.at))
        };
        let count = fit().count();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let nth = |n: usize| fit().nth(n % count.max(1)).cloned();
        // One may have gone since they were counted.
        let (one, two) = (nth(turn)?, nth(turn + 1)?);
        Some(if two.load() < one.load() { two } else { one })
    }

    /// Whether one more may be asked of a second replica because the first is slow.
    fn may_hedge(&self) -> bool {
        let spend = |credit: usize| credit.checked_sub(HEDGED_ONE_IN);
        self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok()
    }

    fn earn(&self) {
        let most = HEDGED_ONE_IN * HEDGES_AT_ONCE;
        if self.credit.load(Ordering::Relaxed) < most {
            self.credit.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The first verdict that any replica reaches. Waits for one to be up: whoever asks has a limit.
    async fn ask(&self, request: Asked) -> Result<Told, Status> {
        self.earn();
        let mut asked = vec![];
        let mut attempts = FuturesUnordered::new();
        let ask = |replica: Arc<Replica>| {
            let request = request.clone();
            async move { replica.ask(request).await }
        };
        let first = self.pick(&asked).await;
        asked.push(first.at);
        attempts.push(ask(first));
        let slow = sleep(self.hedge_after);
        tokio::pin!(slow);
        let mut may_be_slow = true;
        loop {
            tokio::select! {
                Some(answer) = attempts.next() => match answer {
                    Ok(told) => return Ok(told),
                    Err(status) if !attempts.is_empty() => drop(status),
                    Err(status) if asked.len() < ATTEMPTS_MAX && may_pass(&status) => {
                        self.retries.add(1, &[]);
                        let next = self.pick(&asked).await;
                        asked.push(next.at);
                        attempts.push(ask(next));
                    }
                    Err(status) => return Err(status),
                },
                () = &mut slow, if may_be_slow => {
                    may_be_slow = false;
                    let other = self.try_pick(&asked, Replica::serves);
                    if let Some(other) = other.filter(|_| self.may_hedge()) {
                        self.hedges.add(1, &[]);
                        asked.push(other.at);
                        attempts.push(ask(other));
                    }
                }
            }
        }
    }
}

#[tonic::async_trait]
impl Verify for Link {
    async fn verify_signature(
        &self,
        request: VerifySignatureRequest,
    ) -> Result<VerifySignatureResponse, Status> {
        if telemetry::is_sampled() {
            // A call of its own is seen in the trace.
            let mut client = self.pick(&[]).await.client();
            return client.verify_signature(request).await.map(Response::into_inner);
        }
        match self.ask(Asked::Signature(request)).await? {
            Told::Signature(answer) => Ok(answer),
            Told::StringToSign(_) | Told::Error(_) => Err(not_asked()),
        }
    }

    async fn verify_string_to_sign(
        &self,
        request: VerifyStringToSignRequest,
    ) -> Result<VerifyStringToSignResponse, Status> {
        if telemetry::is_sampled() {
            let mut client = self.pick(&[]).await.client();
            return client.verify_string_to_sign(request).await.map(Response::into_inner);
        }
        match self.ask(Asked::StringToSign(request)).await? {
            Told::StringToSign(answer) => Ok(answer),
            Told::Signature(_) | Told::Error(_) => Err(not_asked()),
        }
    }

    async fn get_signing_key(
        &self,
        request: GetSigningKeyRequest,
    ) -> Result<GetSigningKeyResponse, Status> {
        let mut asked = vec![];
        loop {
            let replica = self.pick(&asked).await;
            asked.push(replica.at);
            let mut client = replica.client();
            match client.get_signing_key(request.clone()).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if asked.len() < ATTEMPTS_MAX && may_pass(&status) => {
                    self.retries.add(1, &[]);
                }
                Err(status) => return Err(status),
            }
        }
    }
}

/// Whether another replica, or the same one a moment later, may well give a verdict.
fn may_pass(status: &Status) -> bool {
    // Unknown is how tonic names a connection that broke.
    matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::ResourceExhausted
    )
}

impl Drop for Link {
    fn drop(&mut self) {
        self.following.iter().for_each(JoinHandle::abort);
    }
}

impl Replicas {
    /// Knows the replicas that the targets' hosts have, for ever.
    async fn follow(self: Arc<Self>, targets: Vec<rpc::Target>) {
        let mut ticks = interval(RESOLVE_INTERVAL);
        loop {
            ticks.tick().await;
            let known = self.known.load_full();
            let mut members = vec![];
            for (n, target) in targets.iter().enumerate() {
                let of_target = known.iter().filter(|member| member.replica.at.target == n);
                match target.addresses().await {
                    Ok(addresses) => {
                        let at = addresses.into_iter().map(|address| At { target: n, address });
                        members.extend(at.filter_map(|at| {
                            let mut of_target = of_target.clone();
                            let found = of_target.find(|member| member.replica.at == at).cloned();
                            found.or_else(|| self.begin(target, at))
                        }));
                    }
                    Err(error) => {
                        // A name server that fails is no reason to end streams.
                        tracing::warn!(%error, "auth's host cannot be looked up");
                        members.extend(of_target.cloned());
                    }
                }
            }
            self.known.store(Arc::new(members));
        }
    }

    fn begin(&self, target: &rpc::Target, at: At) -> Option<Member> {
        let replica = match Replica::new(target, at) {
            Ok(replica) => Arc::new(replica),
            Err(error) => {
                tracing::error!(%error, "auth cannot be asked");
                return None;
            }
        };
        let end = CancellationToken::new();
        tokio::spawn(Arc::clone(&replica).run(end.clone(), Arc::clone(&self.changed)));
        Some(Member { replica, _end: Arc::new(end.drop_guard()) })
    }

    /// Tells whether any of them serves.
    async fn tell(self: Arc<Self>, ready: ReadyFlag, shutdown: CancellationToken) {
        let mut changes = self.changed.subscribe();
        loop {
            changes.borrow_and_update();
            ready.set(self.known.load().iter().any(|member| member.replica.serves()));
            tokio::select! {
                _ = changes.changed() => {} // the sender is ours too
                () = shutdown.cancelled() => return ready.set(false),
            }
        }
    }
}
