//! Whether an upstream is there: asked every few seconds, so that no request waits for one that is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use telemetry::{KeyValue, ReadyFlag};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::body::BoxError;

/// How often in a row it must not answer to count as down: one lost packet is no outage.
const FAILURES: u32 = 2;

/// What is known of an upstream's health. It counts as up until it is known to be down.
#[derive(Debug)]
pub(crate) struct Health {
    name: String,
    is_down: Arc<AtomicBool>,
    suspected: Notify,
    interval: Duration,
}

impl Health {
    pub(crate) fn new(name: &str, interval: Duration) -> Self {
        let is_down = Arc::new(AtomicBool::new(false));
        let (told, attributes) =
            (Arc::downgrade(&is_down), [KeyValue::new("upstream", name.to_owned())]);
        telemetry::meter()
            .u64_observable_gauge("claviger.gateway.upstream.up")
            .with_description("Whether an upstream answers: 1 if it does.")
            .with_callback(move |observer| {
                if let Some(is_down) = told.upgrade() {
                    observer.observe(u64::from(!is_down.load(Ordering::Relaxed)), &attributes);
                }
            })
            .build();
        Self { name: name.to_owned(), is_down, suspected: Notify::new(), interval }
    }

    pub(crate) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    /// Has it looked at now: a request has failed.
    pub(crate) fn suspect(&self) {
        self.suspected.notify_one();
    }

    /// Probes again and again, also to see that it is back, and tells `told`.
    pub(crate) async fn watch<F: Future<Output = Result<(), BoxError>>>(
        &self,
        told: &ReadyFlag,
        probe: impl Fn() -> F,
    ) {
        let mut failures = 0;
        loop {
            match probe().await {
                Ok(()) => {
                    failures = 0;
                    if self.is_down.swap(false, Ordering::Relaxed) {
                        tracing::info!(upstream = self.name, "the upstream is back");
                    }
                }
                Err(error) => {
                    failures += 1;
                    if failures >= FAILURES && !self.is_down.swap(true, Ordering::Relaxed) {
                        tracing::warn!(upstream = self.name, error, "the upstream is down");
                    }
                }
            }
            told.set(!self.is_down());
            // Suspicions do not make it probe more than ten times as often.
            sleep(self.interval / 10).await;
            if failures == 0 || failures >= FAILURES {
                let _ = timeout(self.interval * 9 / 10, self.suspected.notified()).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use telemetry::Readiness;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_down_after_two_failures_and_up_after_one_success() {
        let health = Health::new("archive", Duration::from_secs(5));
        let readiness = Readiness::default();
        let told = readiness.register("gateway").beside("upstream archive".to_owned());
        let seen = Mutex::new(vec![]);
        let answers = [true, false, true, false, false, false, true];
        let done = Notify::new();
        let probe = || async {
            let mut seen = seen.lock().expect("not poisoned");
            seen.push(health.is_down());
            if seen.len() == answers.len() {
                done.notify_one();
            }
            match answers.get(seen.len() - 1) {
                Some(false) => Err("away".into()),
                Some(true) | None => Ok(()),
            }
        };
        tokio::select! {
            () = health.watch(&told, probe) => {}
            () = async { done.notified().await; tokio::task::yield_now().await } => {}
        }
        let seen = seen.lock().expect("not poisoned").clone();
        assert_eq!(seen, [false, false, false, false, false, true, true]);
        assert!(!health.is_down() && told.is_ready());
    }
}
