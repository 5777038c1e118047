//! Which parts of the process are ready to serve.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The parts of this process that must be ready before it takes traffic. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Vec<ReadyFlag>>>);

/// Says whether one part is ready. Not ready until set so. Clones share one flag.
#[derive(Clone, Debug)]
pub struct ReadyFlag {
    name: &'static str,
    ready: Arc<AtomicBool>,
}

impl Readiness {
    /// Adds a part, not ready yet. `/readyz` shows its name for as long as it is not ready.
    pub fn register(&self, name: &'static str) -> ReadyFlag {
        let flag = ReadyFlag { name, ready: Arc::default() };
        self.flags().push(flag.clone());
        flag
    }

    /// Whether all parts are ready; true if there are none.
    pub fn is_ready(&self) -> bool {
        self.flags().iter().all(ReadyFlag::is_ready)
    }

    /// The names of the parts that are not ready, in the order of registration.
    pub fn not_ready(&self) -> Vec<&'static str> {
        self.flags().iter().filter(|flag| !flag.is_ready()).map(|flag| flag.name).collect()
    }

    fn flags(&self) -> std::sync::MutexGuard<'_, Vec<ReadyFlag>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadyFlag {
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
}
