//! Which parts of the process are ready to serve.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The parts of this process that must be ready before it takes traffic, and those beside them that are told
/// of and not waited for. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Parts>>);

#[derive(Debug, Default)]
struct Parts {
    needed: Vec<ReadyFlag>,
    beside: Vec<ReadyFlag>,
}

/// Says whether one part is ready. Not ready until set so. Clones share one flag.
#[derive(Clone, Debug)]
pub struct ReadyFlag {
    name: Cow<'static, str>,
    ready: Arc<AtomicBool>,
    of: Weak<Mutex<Parts>>,
}

impl Readiness {
    /// Adds a part, not ready yet. `/readyz` shows its name for as long as it is not ready.
    pub fn register(&self, name: &'static str) -> ReadyFlag {
        let flag = ReadyFlag::new(name.into(), Arc::downgrade(&self.0));
        self.look(|parts| parts.needed.push(flag.clone()));
        flag
    }

    /// Whether all parts are ready; true if there are none.
    pub fn is_ready(&self) -> bool {
        self.look(|parts| parts.needed.iter().all(ReadyFlag::is_ready))
    }

    /// The names of the parts that are not ready, in the order of registration.
    pub fn not_ready(&self) -> Vec<String> {
        self.look(|parts| not_ready(&parts.needed))
    }

    /// The names of what is not ready without keeping the process from being so.
    pub fn degraded(&self) -> Vec<String> {
        self.look(|parts| not_ready(&parts.beside))
    }

    fn look<T>(&self, look: impl FnOnce(&mut Parts) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn not_ready(flags: &[ReadyFlag]) -> Vec<String> {
    flags.iter().filter(|flag| !flag.is_ready()).map(|flag| flag.name.to_string()).collect()
}

impl ReadyFlag {
    fn new(name: Cow<'static, str>, of: Weak<Mutex<Parts>>) -> Self {
        Self { name, ready: Arc::default(), of }
    }

    /// Adds something to the same list that this part does not wait for, not ready yet. `/readyz` shows its
    /// name for as long as it is not ready, and is no less ready itself.
    pub fn beside(&self, name: String) -> ReadyFlag {
        let flag = Self::new(name.into(), self.of.clone());
        if let Some(of) = self.of.upgrade() {
            Readiness(of).look(|parts| parts.beside.push(flag.clone()));
        }
        flag
    }

    /// Sets whether this part is ready.
    pub fn set(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// Whether this part is ready.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_when_each_part_is() {
        let readiness = Readiness::default();
        assert!(readiness.is_ready());
        let (identity, auth) = (readiness.register("identity"), readiness.register("auth"));
        assert_eq!(readiness.clone().not_ready(), ["identity", "auth"]);
        identity.set(true);
        assert_eq!(readiness.not_ready(), ["auth"]);
        auth.set(true);
        assert!(readiness.is_ready());
        identity.set(false);
        assert!(!readiness.is_ready());
    }

    #[test]
    fn what_is_beside_a_part_is_told_and_not_waited_for() {
        let readiness = Readiness::default();
        let gateway = readiness.register("gateway");
        let upstream = gateway.beside("upstream archive".to_owned());
        gateway.set(true);
        assert!(readiness.is_ready());
        assert_eq!(readiness.degraded(), ["upstream archive"]);
        upstream.set(true);
        assert!(readiness.degraded().is_empty());
    }
}
