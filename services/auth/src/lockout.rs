//! Who is locked out after failed authentications.
//!
//! A signature is verified first, whoever asks. Then this decides what is answered: whether there were too many
//! wrong ones in a row. Four lock out for a minute, each further four for a minute longer, up to ten; a right one
//! begins anew (OUTSCALE, "About Access Keys"). Where an account counts by source, only those from one source
//! count together and lock out that source alone: an access key's ID stands in every presigned URL, and must
//! not be enough to stop its owner. A source that signed right within a day is never locked out there.
//!
//! Only different wrong signatures count: a client that sends the same again and again is no attacker. While
//! somebody is locked out nothing counts.
//!
//! All of it is of fixed size. Whoever signs right waits for nobody and allocates nothing; whoever signs wrong
//! may wait for another that does. Replicas count each for itself and tell each other of lock-outs: of N
//! replicas, 4 to 4 N wrong signatures lock out.

mod table;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::identity::v1::LockoutRecord;
use read_model::LockoutMode;
use tokio::sync::Notify;
use tracing::debug;

use crate::source::Source;
use crate::verify::{Now, Signed};
use table::{KnownGood, Table};

/// So many wrong signatures in a row lock out, and so many more for longer.
const IN_A_ROW: u32 = 4;
const STEP_MS: u64 = 60_000;
const STEPS_MAX: u32 = 10;
/// Wrong signatures are forgotten when there was none for so long, nor a lock-out.
const FORGOTTEN_AFTER_MS: u64 = 3_600_000;
/// Lock-outs in force that are known by name, so that they can be told. What is beyond holds here alone.
const IN_FORCE_MAX: usize = 1 << 16;
/// How often those that are over are looked for, at the most, where there is no room.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Who is locked out, and who may soon be.
pub(crate) struct Lockouts {
    /// With a random key: access key IDs come from anyone.
    hasher: RandomState,
    table: Table,
    known_good: KnownGood,
    writing: Mutex<InForce>,
    /// Told when there is something to report.
    to_report: Notify,
    begun: AtomicU64,
}

/// Lock-outs by name.
#[derive(Default)]
struct InForce {
    told: HashMap<(Box<str>, Option<Source>), Told>,
    /// When those that are over were last looked for because there was no room.
    swept: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    end_unix_ms: i64,
    failures: u32,
    reported: bool,
}

impl InForce {
    /// Keeps what ends later, if there is room.
    fn keep(&mut self, of: (Box<str>, Option<Source>), told: Told, now: Now) {
        if self.told.len() >= IN_FORCE_MAX && !self.told.contains_key(&of) {
            // Not for each that finds no room.
            if now.monotonic >= self.swept + SWEEP_INTERVAL {
                self.swept = now.monotonic;
                self.told.retain(|_, told| told.end_unix_ms > now.unix_ms);
            }
            if self.told.len() >= IN_FORCE_MAX {
                return;
            }
        }
        let kept = self.told.entry(of).or_insert(told);
        if told.end_unix_ms > kept.end_unix_ms {
            *kept = told;
        }
    }
}

/// Whose signatures count together: of an access key, from a source or from anywhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    hash: u64,
    source: Option<Source>,
}

/// Somebody is locked out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct LockedOut {
    /// For how long still.
    pub(crate) left: Duration,
    /// Whether it is a source that is, not the access key.
    pub(crate) by_source: bool,
}

impl Default for Lockouts {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            table: Table::new(),
            known_good: KnownGood::new(),
            writing: Mutex::default(),
            to_report: Notify::new(),
            begun: AtomicU64::new(0),
        }
    }
}

impl Lockouts {
    /// What a signature with this access key from this source counts with; `None` if it does not: the account
    /// counts none, or counts by source and that is not known.
    pub(crate) fn place(
        &self,
        mode: LockoutMode,
        access_key_id: &str,
        source: Option<Source>,
    ) -> Option<Place> {
        let source = match mode {
            LockoutMode::Off => return None,
            LockoutMode::PerSource => Some(source?),
            LockoutMode::PerKey => None,
        };
        let hash = self.hasher.hash_one((access_key_id, source));
        Some(Place { hash, source })
    }

    /// Whether whoever signs there is locked out: told to whoever signed wrong, so that he learns no more of
    /// it than whoever signed right.
    pub(crate) fn locked_out(&self, place: Place, now: Now) -> Option<LockedOut> {
        let left_ms = self.table.left_ms(place.hash, ms(now))?;
        let by_source = place.source.is_some();
        if by_source && self.known_good.holds(place.hash, now.monotonic) {
            return None;
        }
        Some(LockedOut { left: Duration::from_millis(left_ms), by_source })
    }

    /// Takes note of a right signature, by whoever is not locked out: what was wrong before is forgotten.
    /// Waits for nobody.
    pub(crate) fn succeed(&self, place: Place, now: Now) {
        self.table.reset(place.hash);
        if place.source.is_some() {
            self.known_good.add(place.hash, now.monotonic);
        }
    }

    /// Tells one wrong signature from another. Nobody outside can make two that are taken for one.
    pub(crate) fn print(&self, signed: Signed<'_>) -> u64 {
        self.hasher.hash_one(signed.parts())
    }

    /// Counts a wrong signature, which `print` tells from others.
    pub(crate) fn fail(&self, place: Place, access_key_id: &str, print: u64, now: Now) {
        let is_known_good = || self.known_good.holds(place.hash, now.monotonic);
        if place.source.is_some() && is_known_good() {
            return;
        }
        let mut in_force = self.writing();
        let Some(failures) = self.table.count(place.hash, print as u32, ms(now)) else { return };
        if !failures.is_multiple_of(IN_A_ROW) {
            return;
        }
        let lasts_ms = u64::from((failures / IN_A_ROW).min(STEPS_MAX)) * STEP_MS;
        self.table.lock(place.hash, ms(now) + lasts_ms, failures, ms(now));
        self.begun.fetch_add(1, Ordering::Relaxed);
        let end_unix_ms = now.unix_ms.saturating_add_unsigned(lasts_ms);
        let told = Told { end_unix_ms, failures, reported: false };
        in_force.keep((access_key_id.into(), place.source), told, now);
        drop(in_force);
        self.to_report.notify_one();
        debug!(
            access_key_id,
            source = place.source.map(tracing::field::display),
            failures,
            "locked out"
        );
    }

    /// Takes over a lock-out that another replica began; of two of the same the one that ends later counts.
    pub(crate) fn learn(&self, record: &LockoutRecord, now: Now) {
        let source = match record.source.as_str() {
            "" => None,
            text => match Source::parse(text) {
                Some(source) => Some(source),
                None => return,
            },
        };
        // By its own clock that one may have begun in the future; none lasts longer than any may.
        let left_ms = record.end_time_ms.saturating_sub(now.unix_ms);
        let left_ms = u64::try_from(left_ms).unwrap_or(0).min(u64::from(STEPS_MAX) * STEP_MS);
        if left_ms == 0 {
            return;
        }
        let hash = self.hasher.hash_one((record.access_key_id.as_str(), source));
        let mut in_force = self.writing();
        self.table.lock(hash, ms(now) + left_ms, record.failures, ms(now));
        let end_unix_ms = now.unix_ms.saturating_add_unsigned(left_ms);
        let told = Told { end_unix_ms, failures: record.failures, reported: true };
        in_force.keep((record.access_key_id.as_str().into(), source), told, now);
    }

    /// Waits until there is something to report.
    pub(crate) async fn reportable(&self) {
        self.to_report.notified().await;
    }

    /// Has all that is in force reported: to an identity that may not know of it.
    pub(crate) fn report_again(&self) {
        self.report_later();
        self.to_report.notify_one();
    }

    /// Has all that is in force reported with what comes next: some of it could not be.
    pub(crate) fn report_later(&self) {
        for told in self.writing().told.values_mut() {
            told.reported = false;
        }
    }

    /// Up to `max` lock-outs that are in force and not reported; from now on they are.
    pub(crate) fn take_reports(&self, max: usize, now_unix_ms: i64) -> Vec<LockoutRecord> {
        let mut in_force = self.writing();
        in_force.told.retain(|_, told| told.end_unix_ms > now_unix_ms);
        let unreported = in_force.told.iter_mut().filter(|(_, told)| !told.reported);
        let report = |((id, source), told): (&(Box<str>, Option<Source>), &mut Told)| {
            told.reported = true;
            LockoutRecord {
                access_key_id: id.to_string(),
                source: source.map(|source| source.to_string()).unwrap_or_default(),
                end_time_ms: told.end_unix_ms,
                failures: told.failures,
            }
        };
        unreported.take(max).map(report).collect()
    }

    /// How many lock-outs began here.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    fn writing(&self) -> MutexGuard<'_, InForce> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ms(now: Now) -> u64 {
    u64::try_from(now.monotonic.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests;
