//! What is counted and measured. Never names an access key or a user.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use read_model::{ReadModel, position};
use telemetry::KeyValue;

use crate::answer::{Reached, Verdict};
use crate::clock::Clock;
use crate::lockout::Lockouts;
use crate::status::Error;
use crate::uses::Uses;

/// Every outcome there is, `other` for those that are not known here.
const OUTCOMES: [&str; 28] = [
    "verified",
    "locked_out",
    "AccessDenied",
    "AuthorizationHeaderMalformed",
    "AuthorizationQueryParametersError",
    "BadRequest",
    "EntityTooLarge",
    "EntityTooSmall",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidArgument",
    "InvalidPolicyDocument",
    "InvalidRequest",
    "InvalidToken",
    "InvalidURI",
    "MalformedPOSTRequest",
    "MaxPostPreDataLengthExceededError",
    "RequestHeaderSectionTooLarge",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "INVALID_FIELD",
    "READ_MODEL_EMPTY",
    "READ_MODEL_BEHIND",
    "READ_MODEL_STALE",
    "OTHER_EPOCH",
    "DATE_KEYS_UNAVAILABLE",
    "OVERLOADED",
    "other",
];

/// Counters that cost one addition; they are read when metrics are collected.
#[derive(Debug)]
pub(crate) struct Metrics {
    outcomes: Arc<[AtomicU64; OUTCOMES.len()]>,
}

impl Metrics {
    /// Registers all instruments. They show the read model as long as it lives.
    pub(crate) fn new(model: &Arc<ReadModel>, clock: &Arc<dyn Clock>) -> Self {
        let outcomes: Arc<[AtomicU64; OUTCOMES.len()]> = Arc::default();
        let meter = telemetry::meter();
        let counts = Arc::clone(&outcomes);
        let attributes = OUTCOMES.map(|outcome| [KeyValue::new("outcome", outcome)]);
        meter
            .u64_observable_counter("claviger.auth.verifications")
            .with_description("Signatures looked at, by verdict or the reason why there was none.")
            .with_callback(move |observer| {
                for (count, attributes) in counts.iter().zip(&attributes) {
                    let count = count.load(Ordering::Relaxed);
                    if count > 0 {
                        observer.observe(count, attributes);
                    }
                }
            })
            .build();
        let of = |model: &Arc<ReadModel>| Arc::downgrade(model);
        let at = of(model);
        meter
            .u64_observable_gauge("claviger.auth.read_model.position")
            .with_description("Place in the log up to which everything has been applied.")
            .with_callback(move |observer| {
                if let Some(at) = at.upgrade().and_then(|model| model.position()) {
                    // Without the epoch, to be compared with the position of identity's log.
                    observer.observe(position::place(at), &[]);
                }
            })
            .build();
        let keys = of(model);
        meter
            .u64_observable_gauge("claviger.auth.read_model.access_keys")
            .with_description("Access keys in the read model.")
            .with_callback(move |observer| {
                if let Some(model) = keys.upgrade()
                    && let Some(table) = model.table().as_ref()
                {
                    observer.observe(table.len() as u64, &[]);
                }
            })
            .build();
        let (staleness, clock) = (of(model), Arc::clone(clock));
        meter
            .f64_observable_gauge("claviger.auth.read_model.staleness")
            .with_description("Time since identity was last heard.")
            .with_unit("s")
            .with_callback(move |observer| {
                if let Some(model) = staleness.upgrade().filter(|model| model.position().is_some())
                {
                    observer.observe(model.staleness(clock.monotonic()).as_secs_f64(), &[]);
                }
            })
            .build();
        Self { outcomes }
    }

    pub(crate) fn count(&self, reached: &Result<Reached<Verdict>, Error>) {
        match reached {
            Ok(reached) => self.count_verdict(&reached.answer),
            Err(error) => self.count_error(*error),
        }
    }

    pub(crate) fn count_verdict<V>(&self, verdict: &Verdict<V>) {
        self.count_outcome(match verdict {
            Verdict::Verified(_) => "verified",
            Verdict::Denied(denied) if denied.retry_after_seconds > 0 => "locked_out",
            Verdict::Denied(denied) => &denied.code,
        });
    }

    pub(crate) fn count_error(&self, error: Error) {
        self.count_outcome(error.outcome());
    }

    /// How much was counted, whatever its outcome.
    #[cfg(test)]
    pub(crate) fn counted(&self) -> u64 {
        self.outcomes.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    fn count_outcome(&self, outcome: &str) {
        let index = OUTCOMES.iter().position(|known| *known == outcome);
        self.outcomes[index.unwrap_or(OUTCOMES.len() - 1)].fetch_add(1, Ordering::Relaxed);
    }
}

/// Registers what is counted of uses and lock-outs, as long as they live.
pub(crate) fn register(uses: &Arc<Uses>, lockouts: &Arc<Lockouts>) {
    let meter = telemetry::meter();
    let uses = Arc::downgrade(uses);
    meter
        .u64_observable_counter("claviger.auth.uses.lost")
        .with_description("Uses of access keys that were not noted, or not reported.")
        .with_callback(move |observer| {
            if let Some(uses) = uses.upgrade() {
                observer.observe(uses.lost(), &[]);
            }
        })
        .build();
    let lockouts = Arc::downgrade(lockouts);
    meter
        .u64_observable_counter("claviger.auth.lockouts")
        .with_description("Lock-outs after failed authentications that began here.")
        .with_callback(move |observer| {
            if let Some(lockouts) = lockouts.upgrade() {
                observer.observe(lockouts.begun(), &[]);
            }
        })
        .build();
}
