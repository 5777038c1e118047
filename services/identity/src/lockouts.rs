//! Who is locked out after failed authentications: told by one auth, told on to all.
//!
//! Kept in memory, of bounded size, and no longer than a lock-out lasts. When identity starts anew each auth
//! tells again what it has locked out.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use api::identity::v1::LockoutRecord;
use domain::{AccessKeyId, LockoutMode, Source};
use tokio::sync::broadcast;

use crate::error::Error;

/// Lock-outs in one report, and in one message of the feed.
pub(crate) const REPORT_LOCKOUTS_MAX: usize = 256;
/// The longest lock-out, in milliseconds (OUTSCALE, "About Access Keys").
const LOCKOUT_MS_MAX: i64 = 600_000;
/// Lock-outs in force that are known at once. What is reported beyond is not told on.
const LOCKOUTS_MAX: usize = 1 << 16;
/// Lock-outs on their way to a watcher. One that takes them too slowly is told all anew.
const LOCKOUTS_UNDER_WAY: usize = 1 << 12;
/// How often those that are over are looked for, at the most, where there is no room.
const SWEEP_INTERVAL_MS: i64 = 1000;
/// An access key's lock-outs are recorded this far apart at least, in milliseconds.
const RECORD_INTERVAL_MS: i64 = 60_000;
/// So many lock-outs are recorded in a minute, of all access keys together: whoever knows the ids of many must
/// not fill the log.
const RECORDS_PER_MINUTE_MAX: usize = 600;

/// Who is locked out.
pub(crate) struct Lockouts {
    known: Mutex<Known>,
    told: broadcast::Sender<LockoutRecord>,
}

#[derive(Default)]
struct Known {
    in_force: HashMap<(AccessKeyId, Option<Source>), InForce>,
    /// When those that are over were last looked for because there was no room, in milliseconds since 1970.
    swept_ms: i64,
    /// When a lock-out of an access key was last recorded, in milliseconds since 1970: not longer ago than
    /// a minute, when it was last looked.
    recorded_ms: HashMap<AccessKeyId, i64>,
}

#[derive(Clone, Copy)]
struct InForce {
    end_ms: i64,
    failures: u32,
}

/// A lock-out of an access key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Lockout {
    pub(crate) id: AccessKeyId,
    /// From where; from everywhere if not given.
    pub(crate) source: Option<Source>,
    /// When it ends, in milliseconds since 1970.
    pub(crate) end_ms: i64,
    /// How many authentications had failed.
    pub(crate) failures: u32,
}

/// What a report of a lock-out comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reported {
    /// It was known, or is over.
    Known,
    /// It was told on; enough of its kind is in the log.
    Told,
    /// It was told on, and is to be recorded.
    ToRecord,
}

impl Lockout {
    /// Reads what is reported at `now_ms`: none lasts longer than any may.
    ///
    /// # Errors
    /// [`Error::InvalidField`].
    pub(crate) fn read(record: &LockoutRecord, now_ms: i64) -> Result<Self, Error> {
        let id = AccessKeyId::parse(&record.access_key_id)
            .map_err(|error| Error::invalid("lockouts.access_key_id", error.to_string()))?;
        let source = match record.source.as_str() {
            "" => None,
            source => Some(
                Source::parse(source)
                    .map_err(|error| Error::invalid("lockouts.source", error.to_string()))?,
            ),
        };
        let end_ms = record.end_time_ms.min(now_ms.saturating_add(LOCKOUT_MS_MAX));
        Ok(Self { id, source, end_ms, failures: record.failures })
    }

    /// Whether it is of the kind that the access key's account asks for.
    pub(crate) fn is_asked_for(&self, mode: LockoutMode) -> bool {
        match mode {
            LockoutMode::Off => false,
            LockoutMode::PerSource => self.source.is_some(),
            LockoutMode::PerKey => self.source.is_none(),
        }
    }

    fn record(&self) -> LockoutRecord {
        LockoutRecord {
            access_key_id: self.id.to_string(),
            source: self.source.map(|source| source.to_string()).unwrap_or_default(),
            end_time_ms: self.end_ms,
            failures: self.failures,
        }
    }
}

impl Lockouts {
    pub(crate) fn new() -> Self {
        Self { known: Mutex::default(), told: broadcast::channel(LOCKOUTS_UNDER_WAY).0 }
    }

    /// Takes a report at `now_ms`: of two lock-outs of the same the one that ends later counts.
    pub(crate) fn report(&self, lockout: &Lockout, now_ms: i64) -> Reported {
        if lockout.end_ms <= now_ms {
            return Reported::Known;
        }
        let mut known = self.known();
        let place = (lockout.id.clone(), lockout.source);
        match known.in_force.get(&place) {
            Some(in_force) if in_force.end_ms >= lockout.end_ms => return Reported::Known,
            Some(_) => {}
            None if known.in_force.len() < LOCKOUTS_MAX => {}
            None => {
                // Not for each that finds no room.
                if now_ms >= known.swept_ms.saturating_add(SWEEP_INTERVAL_MS) {
                    known.swept_ms = now_ms;
                    known.in_force.retain(|_, in_force| in_force.end_ms > now_ms);
                }
                if known.in_force.len() >= LOCKOUTS_MAX {
                    return Reported::Known;
                }
            }
        }
        let in_force = InForce { end_ms: lockout.end_ms, failures: lockout.failures };
        known.in_force.insert(place, in_force);
        // No receiver is no error: nobody watches.
        let _ = self.told.send(lockout.record());
        let last = known.recorded_ms.get(&lockout.id);
        if last.is_some_and(|last| now_ms < last.saturating_add(RECORD_INTERVAL_MS)) {
            return Reported::Told;
        }
        if known.recorded_ms.len() >= RECORDS_PER_MINUTE_MAX {
            known.recorded_ms.retain(|_, last| now_ms < last.saturating_add(RECORD_INTERVAL_MS));
            if known.recorded_ms.len() >= RECORDS_PER_MINUTE_MAX {
                return Reported::Told;
            }
        }
        known.recorded_ms.insert(lockout.id.clone(), now_ms);
        Reported::ToRecord
    }

    /// What is told from now on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<LockoutRecord> {
        self.told.subscribe()
    }

    /// All that are in force at `now_ms`.
    pub(crate) fn in_force(&self, now_ms: i64) -> Vec<LockoutRecord> {
        let mut known = self.known();
        known.in_force.retain(|_, in_force| in_force.end_ms > now_ms);
        let record = |((id, source), in_force): (&(AccessKeyId, Option<Source>), &InForce)| {
            let InForce { end_ms, failures } = *in_force;
            Lockout { id: id.clone(), source: *source, end_ms, failures }.record()
        };
        known.in_force.iter().map(record).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_772_366_400_000;

    fn lockout(n: u16, source: &str, end_ms: i64) -> Lockout {
        let [high, low] = n.to_be_bytes();
        Lockout {
            id: AccessKeyId::from_random([high, low, 0, 0, 0, 0, 0, 0, 0, 0]),
            source: Some(source).filter(|s| !s.is_empty()).map(|s| Source::parse(s).expect("one")),
            end_ms,
            failures: 4,
        }
    }

    #[test]
    fn the_lock_out_that_ends_later_counts() {
        let lockouts = Lockouts::new();
        let mut told = lockouts.watch();
        for (end_ms, expected) in [
            (NOW_MS, Reported::Known),
            (NOW_MS + 60_000, Reported::ToRecord),
            (NOW_MS + 60_000, Reported::Known),
            (NOW_MS + 59_999, Reported::Known),
            (NOW_MS + 120_000, Reported::Told),
        ] {
            assert_eq!(lockouts.report(&lockout(1, "192.0.2.1", end_ms), NOW_MS), expected);
        }
        let ends = |records: Vec<LockoutRecord>| -> Vec<i64> {
            records.iter().map(|record| record.end_time_ms).collect()
        };
        let heard = std::iter::from_fn(|| told.try_recv().ok()).collect();
        assert_eq!(ends(heard), [NOW_MS + 60_000, NOW_MS + 120_000]);
        assert_eq!(ends(lockouts.in_force(NOW_MS + 119_999)), [NOW_MS + 120_000]);
        assert_eq!(ends(lockouts.in_force(NOW_MS + 120_000)), [] as [i64; 0]);
    }

    #[test]
    fn an_access_key_is_recorded_once_a_minute_from_however_many_sources() {
        let lockouts = Lockouts::new();
        let report =
            |n, source: &str, now_ms| lockouts.report(&lockout(n, source, now_ms + 60_000), now_ms);
        assert_eq!(report(1, "192.0.2.1", NOW_MS), Reported::ToRecord);
        assert_eq!(report(1, "192.0.2.2", NOW_MS), Reported::Told);
        assert_eq!(report(1, "192.0.2.3", NOW_MS + 59_999), Reported::Told);
        assert_eq!(report(2, "192.0.2.1", NOW_MS), Reported::ToRecord);
        assert_eq!(report(1, "192.0.2.4", NOW_MS + 60_000), Reported::ToRecord);
    }

    #[test]
    fn a_million_lock_outs_are_bounded_in_memory_and_in_the_log() {
        let lockouts = Lockouts::new();
        let mut recorded = 0;
        for n in 0..1_000_000_u32 {
            let source = format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255);
            let one = lockout((n / 100) as u16, &source, NOW_MS + 60_000);
            recorded += usize::from(lockouts.report(&one, NOW_MS) == Reported::ToRecord);
        }
        assert_eq!(recorded, RECORDS_PER_MINUTE_MAX);
        assert_eq!(lockouts.in_force(NOW_MS).len(), LOCKOUTS_MAX);
        // When they are over there is room again.
        let one = lockout(9, "192.0.2.1", NOW_MS + 200_000);
        assert_eq!(lockouts.report(&one, NOW_MS + 60_000), Reported::ToRecord);
    }

    #[test]
    fn what_is_reported_is_bounded() {
        let record = lockout(1, "", NOW_MS + 10 * LOCKOUT_MS_MAX).record();
        let read = Lockout::read(&record, NOW_MS).expect("right");
        assert_eq!(read, lockout(1, "", NOW_MS + LOCKOUT_MS_MAX));
        for wrong in [
            LockoutRecord { access_key_id: "x".into(), ..record.clone() },
            LockoutRecord { source: "192.0.2.1/32".into(), ..record.clone() },
            LockoutRecord { source: "2001:db8::1".into(), ..record },
        ] {
            let wrong = Lockout::read(&wrong, NOW_MS);
            assert!(matches!(wrong, Err(Error::InvalidField { .. })), "{wrong:?}");
        }
    }
}
