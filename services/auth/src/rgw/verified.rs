//! Authorization headers that were verified a moment ago.
//!
//! For a body in chunks RGW asks twice: whether the request's signature is right, and then for the key, of which it
//! shows the header alone. Nobody is given a key without a proof: it is kept between the two.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::auth::v1::VerifyStringToSignRequest;
use sha2::{Digest, Sha256};

use crate::clock::Clock;

/// So many are kept, the last ones. Each has 2 KiB at most.
const KEPT_MAX: usize = 4096;
/// RGW asks again at once.
const KEPT_FOR: Duration = Duration::from_secs(30);

type Hash = [u8; 32];

/// What was verified, by the hash of its header.
pub(super) struct Verifieds {
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    proofs: HashMap<Hash, (Duration, VerifyStringToSignRequest)>,
    /// The oldest first.
    order: VecDeque<Hash>,
}

impl Verifieds {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, kept: Mutex::default() }
    }

    /// Keeps what was verified.
    pub(super) fn keep(&self, header: &str, proof: VerifyStringToSignRequest) {
        let (hash, now) = (Sha256::digest(header).into(), self.clock.monotonic());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.proofs.insert(hash, (now, proof)).is_none() {
            kept.order.push_back(hash);
        }
        if kept.order.len() > KEPT_MAX
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.proofs.remove(&oldest);
        }
    }

    /// What was verified of this header, if that is a moment ago.
    pub(super) fn of(&self, header: &str) -> Option<VerifyStringToSignRequest> {
        let hash: Hash = Sha256::digest(header).into();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, proof) = kept.proofs.get(&hash)?;
        let is_recent = self.clock.monotonic().saturating_sub(*at) <= KEPT_FOR;
        is_recent.then(|| proof.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn the_last_ones_are_kept_and_no_more() {
        let verifieds = Verifieds::new(Arc::new(SystemClock::default()));
        for n in 0..=KEPT_MAX {
            let access_key_id = n.to_string();
            let proof = VerifyStringToSignRequest { access_key_id, ..Default::default() };
            verifieds.keep(&format!("header {n}"), proof.clone());
            verifieds.keep(&format!("header {n}"), proof);
        }
        let of = |n: usize| verifieds.of(&format!("header {n}")).map(|proof| proof.access_key_id);
        assert_eq!((of(0), of(1)), (None, Some("1".into())));
        assert_eq!(of(KEPT_MAX), Some(KEPT_MAX.to_string()));
        assert_eq!(verifieds.kept.lock().expect("not poisoned").proofs.len(), KEPT_MAX);
    }
}
