//! Counters of wrong signatures, and sources that are known to be good: tables of fixed size, read without a
//! wait.
//!
//! A place is known by a hash of 64 bits with a random key, and stands in one of two buckets that the hash
//! names. Where all slots of both are taken, the one gives way that matters least.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::FORGOTTEN_AFTER_MS;

const SLOTS: usize = 1 << 16;
const BUCKET_SLOTS: usize = 4;
/// How many wrong signatures are remembered, to tell a new one from one that was seen.
const PRINTS: usize = 4;

/// How often, in a row, signatures were wrong, by place. Written by one at a time.
pub(super) struct Table {
    slots: Box<[Slot]>,
}

/// Instants are milliseconds of a monotonic clock.
#[derive(Default)]
struct Slot {
    /// Hash of the place; 0 if there is none.
    place: AtomicU64,
    /// When it is locked until.
    until_ms: AtomicU64,
    last_ms: AtomicU64,
    failures: AtomicU32,
    /// 0 where there is none.
    prints: [AtomicU32; PRINTS],
}

impl Slot {
    /// When nothing of it matters any more.
    fn ends_ms(&self) -> u64 {
        let last_ms = self.last_ms.load(Ordering::Relaxed);
        let until_ms = self.until_ms.load(Ordering::Relaxed);
        last_ms.max(until_ms).saturating_add(FORGOTTEN_AFTER_MS)
    }

    fn clear(&self, place: u64) {
        self.place.store(0, Ordering::Release);
        self.until_ms.store(0, Ordering::Release);
        self.last_ms.store(0, Ordering::Relaxed);
        self.forget();
        self.place.store(place, Ordering::Release);
    }

    fn forget(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.prints.iter().for_each(|print| print.store(0, Ordering::Relaxed));
    }
}

impl Table {
    pub(super) fn new() -> Self {
        Self { slots: std::iter::repeat_with(Slot::default).take(SLOTS).collect() }
    }

    /// For how long a place is still locked, if it is.
    pub(super) fn left_ms(&self, place: u64, now_ms: u64) -> Option<u64> {
        let slot = self.find(place)?;
        let until_ms = slot.until_ms.load(Ordering::Acquire);
        // It may have become another's meanwhile.
        let is_its = slot.place.load(Ordering::Acquire) == name(place);
        until_ms.checked_sub(now_ms).filter(|left_ms| is_its && *left_ms > 0)
    }

    /// Forgets the wrong signatures of a place; a lock stays.
    pub(super) fn reset(&self, place: u64) {
        if let Some(slot) = self.find(place)
            && slot.failures.load(Ordering::Relaxed) > 0
        {
            slot.forget();
        }
    }

    /// Counts a wrong signature, and tells how many there were in a row; `None` if it was seen, or the place is
    /// locked. For one at a time.
    pub(super) fn count(&self, place: u64, print: u32, now_ms: u64) -> Option<u32> {
        let slot = self.find_or_make(place, now_ms);
        if slot.until_ms.load(Ordering::Relaxed) > now_ms {
            return None;
        }
        slot.last_ms.store(now_ms, Ordering::Relaxed);
        let print = print.max(1);
        if slot.prints.iter().any(|seen| seen.load(Ordering::Relaxed) == print) {
            return None;
        }
        let failures = slot.failures.load(Ordering::Relaxed).saturating_add(1);
        slot.prints[failures as usize % PRINTS].store(print, Ordering::Relaxed);
        slot.failures.store(failures, Ordering::Relaxed);
        Some(failures)
    }

    /// Locks a place, if it is not locked for longer. For one at a time.
    pub(super) fn lock(&self, place: u64, until_ms: u64, failures: u32, now_ms: u64) {
        let slot = self.find_or_make(place, now_ms);
        slot.until_ms.fetch_max(until_ms, Ordering::AcqRel);
        slot.failures.fetch_max(failures, Ordering::Relaxed);
        slot.last_ms.fetch_max(now_ms, Ordering::Relaxed);
    }

    fn find(&self, place: u64) -> Option<&Slot> {
        self.candidates(place).find(|slot| slot.place.load(Ordering::Acquire) == name(place))
    }

    fn find_or_make(&self, place: u64, now_ms: u64) -> &Slot {
        if let Some(slot) = self.find(place) {
            if slot.ends_ms() <= now_ms {
                slot.clear(name(place));
            }
            return slot;
        }
        // One that is free or forgotten; else one that is not locked, that which is longest idle.
        let least = self.candidates(place).min_by_key(|slot| {
            let taken = slot.place.load(Ordering::Relaxed) != 0 && slot.ends_ms() > now_ms;
            (taken, slot.until_ms.load(Ordering::Relaxed).max(now_ms), slot.ends_ms())
        });
        let slot = least.unwrap_or(&self.slots[0]); // there are candidates always
        slot.clear(name(place));
        slot
    }

    fn candidates(&self, place: u64) -> impl Iterator<Item = &Slot> {
        buckets(place, SLOTS / BUCKET_SLOTS)
            .into_iter()
            .flat_map(|bucket| self.slots[bucket * BUCKET_SLOTS..][..BUCKET_SLOTS].iter())
    }
}

/// 0 stands for none.
fn name(place: u64) -> u64 {
    place.max(1)
}

/// The two buckets, of so many, that a place may stand in.
fn buckets(place: u64, of: usize) -> [usize; 2] {
    let (low, high) = (place as u32, (place >> 32) as u32);
    [low, high].map(|half| half as usize % of)
}

const KNOWN_GOOD: usize = 1 << 18;
/// How long a source is known to be good after a right signature.
const KNOWN_GOOD_FOR: Duration = Duration::from_secs(24 * 3600);

/// Where a right signature came from within a day, the latest: one word each, of which the upper part is the
/// place and the lower the minute.
pub(super) struct KnownGood {
    words: Box<[AtomicU64]>,
}

const MINUTE_BITS: u32 = 24;
const MINUTES: u64 = (1 << MINUTE_BITS) - 1;

impl KnownGood {
    pub(super) fn new() -> Self {
        Self { words: std::iter::repeat_with(AtomicU64::default).take(KNOWN_GOOD).collect() }
    }

    pub(super) fn holds(&self, place: u64, now: Duration) -> bool {
        let good_minutes = KNOWN_GOOD_FOR.as_secs() / 60;
        let word = self.bucket(place).iter().map(|word| word.load(Ordering::Relaxed));
        word.filter(|word| is_of(*word, place))
            .any(|word| minute(now).saturating_sub(word & MINUTES) < good_minutes)
    }

    /// Adds a place in the stead of the oldest of its bucket. Two that do it at once may be left with one.
    pub(super) fn add(&self, place: u64, now: Duration) {
        let bucket = self.bucket(place);
        let new = place & !MINUTES | minute(now);
        let known = bucket.iter().find(|word| is_of(word.load(Ordering::Relaxed), place));
        let oldest = || bucket.iter().min_by_key(|word| word.load(Ordering::Relaxed) & MINUTES);
        if let Some(word) = known.or_else(oldest)
            && word.load(Ordering::Relaxed) != new
        {
            word.store(new, Ordering::Relaxed);
        }
    }

    fn bucket(&self, place: u64) -> &[AtomicU64] {
        // Bits that do not stand in the word.
        let bucket = place as usize & (KNOWN_GOOD / BUCKET_SLOTS - 1);
        &self.words[bucket * BUCKET_SLOTS..][..BUCKET_SLOTS]
    }
}

/// The minute, from 1: 0 stands for never.
fn minute(now: Duration) -> u64 {
    (now.as_secs() / 60 + 1).min(MINUTES)
}

fn is_of(word: u64, place: u64) -> bool {
    word & MINUTES != 0 && word & !MINUTES == place & !MINUTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_found_until_it_ends_and_gives_way_last() {
        let table = Table::new();
        assert_eq!(table.left_ms(7, 0), None);
        table.lock(7, 60_000, 4, 0);
        assert_eq!(table.left_ms(7, 59_999), Some(1));
        assert_eq!(table.left_ms(7, 60_000), None);
        // More places than there are slots: all are counted, none drives out what is locked.
        for place in 0..1_000_000_u64 {
            let place = place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            table.count(place, 1, 1);
        }
        assert_eq!(table.left_ms(7, 2), Some(59_998));
    }

    #[test]
    fn a_source_is_known_good_for_a_day_and_the_latest_are_kept() {
        let known = KnownGood::new();
        let at = Duration::from_secs;
        known.add(0xabcd_ef01_2345_6789, at(0));
        assert!(known.holds(0xabcd_ef01_2345_6789, at(86_399)));
        assert!(!known.holds(0xabcd_ef01_2345_6789, at(86_400)));
        assert!(!known.holds(0xabcd_ef02_2345_6789, at(0)));
        known.add(0xabcd_ef01_2345_6789, at(80_000));
        assert!(known.holds(0xabcd_ef01_2345_6789, at(86_400)));
        // Others in the same bucket: the oldest goes first.
        for n in 0..4_u64 {
            known.add(n << 40 | 5, at(60 * n));
        }
        known.add(9 << 40 | 5, at(600));
        let held = (0..4_u64).filter(|n| known.holds(n << 40 | 5, at(600)));
        assert_eq!(held.collect::<Vec<_>>(), [1, 2, 3]);
    }
}
