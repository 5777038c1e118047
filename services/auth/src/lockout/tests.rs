use super::*;

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
/// 2026-03-01T12:00:00Z.
const START_UNIX_MS: i64 = 1_772_366_400_000;
const MINUTE_MS: u64 = 60_000;

fn at(ms: u64) -> Now {
    let unix_ms = START_UNIX_MS + i64::try_from(ms).expect("fits");
    Now { unix_ms, monotonic: Duration::from_millis(ms) }
}

fn source(text: &str) -> Option<Source> {
    Some(Source::parse(text).expect("a source"))
}

/// A replica, and whose signatures are tried there.
struct Tried {
    lockouts: Lockouts,
    mode: LockoutMode,
    prints: u64,
}

impl Tried {
    fn new(mode: LockoutMode) -> Self {
        Self { lockouts: Lockouts::default(), mode, prints: 0 }
    }

    fn place(&self, from: &str) -> Option<Place> {
        self.lockouts.place(self.mode, ID, if from.is_empty() { None } else { source(from) })
    }

    /// For how many milliseconds a source is still locked out.
    fn left_ms(&self, from: &str, ms: u64) -> Option<u128> {
        let locked_out = self.lockouts.locked_out(self.place(from)?, at(ms))?;
        assert_eq!(locked_out.by_source, self.mode == LockoutMode::PerSource);
        Some(locked_out.left.as_millis())
    }

    /// As a request does it: counts only for whoever is not locked out.
    fn wrong(&mut self, from: &str, times: u64, ms: u64) {
        for _ in 0..times {
            self.prints += 1;
            self.same_wrong(from, self.prints, ms);
        }
    }

    fn same_wrong(&self, from: &str, print: u64, ms: u64) {
        if let Some(place) = self.place(from)
            && self.lockouts.locked_out(place, at(ms)).is_none()
        {
            self.lockouts.fail(place, ID, print, at(ms));
        }
    }

    /// Whether a right signature is accepted.
    fn right(&self, from: &str, ms: u64) -> bool {
        let Some(place) = self.place(from) else { return true };
        if self.lockouts.locked_out(place, at(ms)).is_some() {
            return false;
        }
        self.lockouts.succeed(place, at(ms));
        true
    }

    fn reports(&self, ms: u64) -> Vec<LockoutRecord> {
        self.lockouts.take_reports(usize::MAX, at(ms).unix_ms)
    }

    fn learn(&self, reports: &[LockoutRecord], ms: u64) {
        reports.iter().for_each(|report| self.lockouts.learn(report, at(ms)));
    }
}

use LockoutMode::{Off, PerKey, PerSource};

#[test]
fn the_fourth_wrong_signature_locks_out_for_exactly_a_minute() {
    for mode in [PerSource, PerKey] {
        let mut tried = Tried::new(mode);
        tried.wrong("192.0.2.1", 3, 0);
        assert_eq!(tried.left_ms("192.0.2.1", 0), None);
        tried.wrong("192.0.2.1", 1, 10);
        assert_eq!(tried.left_ms("192.0.2.1", 10), Some(60_000));
        assert!(!tried.right("192.0.2.1", 60_009), "also what is right");
        assert_eq!(tried.left_ms("192.0.2.1", 60_010), None);
        assert!(tried.right("192.0.2.1", 60_010));
    }
}

#[test]
fn a_right_signature_begins_anew() {
    // By key, since a source that signed right is not locked out any more.
    let mut tried = Tried::new(PerKey);
    for _ in 0..3 {
        tried.wrong("192.0.2.1", 3, 0);
        assert!(tried.right("192.0.2.1", 0));
    }
    tried.wrong("192.0.2.1", 4, 0);
    assert_eq!(tried.left_ms("192.0.2.1", 0), Some(60_000));
}

#[test]
fn each_further_four_lock_out_for_a_minute_longer_up_to_ten() {
    let mut tried = Tried::new(PerSource);
    let mut now_ms = 0;
    for minutes in (1..=10).chain([10, 10]) {
        tried.wrong("192.0.2.1", 3, now_ms);
        assert_eq!(tried.left_ms("192.0.2.1", now_ms), None);
        tried.wrong("192.0.2.1", 1, now_ms);
        let left_ms = minutes * MINUTE_MS;
        assert_eq!(tried.left_ms("192.0.2.1", now_ms), Some(left_ms.into()));
        // Nothing counts while it lasts.
        tried.wrong("192.0.2.1", 9, now_ms + left_ms - 1);
        now_ms += left_ms;
    }
    assert_eq!(tried.lockouts.begun(), 12);
}

#[test]
fn after_an_idle_hour_wrong_signatures_are_forgotten() {
    let hour = 60 * MINUTE_MS;
    let mut tried = Tried::new(PerSource);
    tried.wrong("192.0.2.1", 4, 0);
    // The hour begins when the lock-out ends.
    tried.wrong("192.0.2.1", 4, MINUTE_MS + hour - 1);
    assert_eq!(tried.left_ms("192.0.2.1", MINUTE_MS + hour - 1), Some(120_000));
    let mut tried = Tried::new(PerSource);
    tried.wrong("192.0.2.1", 4, 0);
    tried.wrong("192.0.2.1", 4, MINUTE_MS + hour);
    assert_eq!(tried.left_ms("192.0.2.1", MINUTE_MS + hour), Some(60_000));
}

#[test]
fn the_same_wrong_signature_a_million_times_is_one() {
    for mode in [PerSource, PerKey] {
        let mut tried = Tried::new(mode);
        for ms in 0..1_000_000 {
            tried.same_wrong("192.0.2.1", 77, ms);
        }
        tried.prints = 100;
        tried.wrong("192.0.2.1", 2, 1_000_000);
        assert_eq!(tried.left_ms("192.0.2.1", 1_000_000), None);
        tried.wrong("192.0.2.1", 1, 1_000_000);
        assert!(tried.left_ms("192.0.2.1", 1_000_000).is_some());
    }
}

#[test]
fn nobody_elsewhere_can_lock_the_owner_out_by_source_and_anybody_can_by_key() {
    for (mode, owner_signs) in [(PerSource, true), (PerKey, false)] {
        let mut tried = Tried::new(mode);
        tried.wrong("192.0.2.1", 100, 0);
        assert_eq!(tried.right("192.0.2.2", 1), owner_signs);
        assert_eq!(tried.right("2001:db8::/64", 1), owner_signs);
    }
}

#[test]
fn a_source_that_signed_right_within_a_day_is_not_locked_out_by_others_behind_it() {
    let day = 24 * 60 * MINUTE_MS;
    let mut tried = Tried::new(PerSource);
    assert!(tried.right("192.0.2.1", 0));
    tried.wrong("192.0.2.1", 100, day - 1);
    assert!(tried.reports(day - 1).is_empty());
    // Nor when another replica, which does not know it, says so.
    let mut other = Tried::new(PerSource);
    other.wrong("192.0.2.1", 4, 1);
    tried.learn(&other.reports(1), 1);
    assert!(tried.right("192.0.2.1", 2));
    let mut tried = Tried::new(PerSource);
    assert!(tried.right("192.0.2.1", 0));
    tried.wrong("192.0.2.1", 4, day);
    assert!(!tried.right("192.0.2.1", day));
}

#[test]
fn nothing_counts_where_the_account_says_so_or_the_source_is_not_known() {
    for (mode, from) in [(Off, "192.0.2.1"), (PerSource, "")] {
        let mut tried = Tried::new(mode);
        tried.wrong(from, 100, 0);
        assert!(tried.right(from, 0));
        assert!(tried.reports(0).is_empty());
    }
    let mut tried = Tried::new(PerKey);
    tried.wrong("", 4, 0);
    assert!(!tried.right("192.0.2.1", 0), "by key no source is needed");
}

#[test]
fn two_replicas_converge_in_whatever_order_and_however_often_they_are_told() {
    for mode in [PerSource, PerKey] {
        let (mut one, mut other) = (Tried::new(mode), Tried::new(mode));
        one.wrong("192.0.2.1", 4, 0);
        other.wrong("192.0.2.1", 4, 20_000);
        let reports = [one.reports(20_000), other.reports(20_000)].concat();
        assert_eq!(reports.len(), 2);
        let backwards: Vec<_> = reports.iter().rev().cloned().collect();
        one.learn(&reports, 20_000);
        other.learn(&backwards, 20_000);
        other.learn(&reports, 20_000);
        for replica in [&one, &other] {
            assert_eq!(replica.left_ms("192.0.2.1", 20_000), Some(60_000));
            assert!(replica.reports(20_000).is_empty(), "what was learnt is not told again");
        }
        // One that was started anew knows it, and goes on from there.
        let mut anew = Tried::new(mode);
        one.lockouts.report_again();
        anew.learn(&one.reports(20_000), 20_000);
        assert_eq!(anew.left_ms("192.0.2.1", 20_000), Some(60_000));
        anew.wrong("192.0.2.1", 4, 80_000);
        assert_eq!(anew.left_ms("192.0.2.1", 80_000), Some(120_000));
    }
}

#[test]
fn a_lock_out_that_is_told_lasts_no_longer_than_any_may() {
    let mut one = Tried::new(PerSource);
    one.wrong("192.0.2.1", 4, 0);
    let mut report = one.reports(0).remove(0);
    let other = Tried::new(PerSource);
    report.end_time_ms = at(0).unix_ms;
    other.learn(&[report.clone()], 0);
    assert_eq!(other.left_ms("192.0.2.1", 0), None);
    for end_time_ms in [i64::MAX, i64::MIN, START_UNIX_MS + 86_400_000] {
        other.learn(&[LockoutRecord { end_time_ms, ..report.clone() }], 0);
    }
    assert_eq!(other.left_ms("192.0.2.1", 0), Some(600_000));
    other.learn(&[LockoutRecord { source: "x".into(), ..report }], 0);
}

#[test]
fn what_is_over_is_not_reported_and_what_is_in_force_is_once() {
    let mut tried = Tried::new(PerSource);
    tried.wrong("192.0.2.1", 4, 0);
    tried.wrong("2001:db8:1:2::/64", 4, 0);
    let mut sources: Vec<_> = tried.reports(0).into_iter().map(|report| report.source).collect();
    sources.sort();
    assert_eq!(sources, ["192.0.2.1", "2001:db8:1:2::/64"]);
    assert!(tried.reports(0).is_empty());
    tried.lockouts.report_again();
    assert!(tried.reports(MINUTE_MS).is_empty());
}

#[test]
fn a_million_sources_take_no_more_room_than_a_few() {
    let mut tried = Tried::new(PerSource);
    tried.wrong("192.0.2.1", 4, 0);
    for n in 0..1_000_000_u32 {
        let from = Source::of(std::net::Ipv4Addr::from(0x0a00_0000 | n).into());
        let place = tried.lockouts.place(PerSource, ID, Some(from)).expect("counts");
        tried.lockouts.fail(place, ID, u64::from(n), at(1));
    }
    assert_eq!(tried.lockouts.begun(), 1);
    assert_eq!(tried.reports(1).len(), 1);
    assert_eq!(tried.left_ms("192.0.2.1", 1), Some(59_999), "the lock-out stays");
}
