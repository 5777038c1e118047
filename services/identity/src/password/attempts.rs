//! How often somebody tried in vain, and how long he has to wait.
//!
//! As OUTSCALE does it for access keys: four in a row, and there is a pause of a minute; each further four,
//! and it is a minute longer, up to ten ("About Access Keys"). Kept in memory, of bounded size.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};

use chrono::TimeDelta;
use domain::Timestamp;

/// How many attempts in vain there are between pauses.
const IN_A_ROW: u32 = 4;
/// The longest pause, in minutes.
const PAUSE_MINUTES_MAX: u32 = 10;
/// Attempts are forgotten when there was none for so long.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::hours(1);
/// The most rows that are kept. Of more, those are forgotten that were tried longest ago.
const ROWS_MAX: usize = 1 << 14;

/// What was tried in vain, by row.
pub(super) struct Attempts<R>(HashMap<R, Tried>);

#[derive(Clone, Copy, Debug)]
struct Tried {
    in_vain: u32,
    last: Timestamp,
    pause_until: Timestamp,
}

impl<R> Default for Attempts<R> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<R: Clone + Eq + Hash> Attempts<R> {
    /// How long the pause still is, in seconds from 1, if there is one.
    pub(super) fn pause(&self, row: &R, now: Timestamp) -> Option<u64> {
        let left = (self.0.get(row)?.pause_until - now).num_milliseconds();
        u64::try_from(left).ok().filter(|left| *left > 0).map(|left| left.div_ceil(1000))
    }

    pub(super) fn fail(&mut self, row: R, now: Timestamp) {
        if self.0.len() >= ROWS_MAX && !self.0.contains_key(&row) {
            self.make_room(now);
        }
        let none = Tried { in_vain: 0, last: now, pause_until: now };
        let tried = self.0.entry(row).or_insert(none);
        if now - tried.last >= FORGOTTEN_AFTER {
            *tried = none;
        }
        tried.in_vain = tried.in_vain.saturating_add(1);
        tried.last = now;
        if tried.in_vain.is_multiple_of(IN_A_ROW) {
            let minutes = (tried.in_vain / IN_A_ROW).min(PAUSE_MINUTES_MAX);
            tried.pause_until = now + TimeDelta::minutes(minutes.into());
        }
    }

    pub(super) fn succeed(&mut self, row: &R) {
        self.0.remove(row);
    }

    /// Forgets what is old, and if that is little, the older half: so that it is seldom done.
    fn make_room(&mut self, now: Timestamp) {
        self.0.retain(|_, tried| now - tried.last < FORGOTTEN_AFTER);
        if self.0.len() > ROWS_MAX / 2 {
            let mut times: Vec<_> = self.0.values().map(|tried| tried.last).collect();
            let middle = times.len() / 2;
            let middle = *times.select_nth_unstable(middle).1;
            self.0.retain(|_, tried| tried.last > middle);
        }
    }
}

/// The network that somebody has at the least: whoever has one address of IPv6 has 2^64.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(1_700_000_000 + second, 0).expect("in range")
    }

    #[test]
    fn four_in_a_row_make_a_pause_that_grows() {
        let mut attempts = Attempts::default();
        let mut now = 0;
        for minutes in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10] {
            for _ in 0..4 {
                assert_eq!(attempts.pause(&"a", at(now)), None);
                attempts.fail("a", at(now));
            }
            assert_eq!(attempts.pause(&"a", at(now)), Some(minutes * 60));
            assert_eq!(attempts.pause(&"b", at(now)), None);
            now += i64::try_from(minutes * 60).expect("small");
            assert_eq!(attempts.pause(&"a", at(now - 1)), Some(1));
        }
    }

    #[test]
    fn the_right_password_and_an_hour_end_a_row() {
        let mut attempts = Attempts::default();
        let fail = |attempts: &mut Attempts<_>, now| {
            attempts.fail("a", at(now));
            attempts.pause(&"a", at(now)).is_some()
        };
        assert!(!(0..3).any(|_| fail(&mut attempts, 0)));
        attempts.succeed(&"a");
        assert!(!(0..3).any(|_| fail(&mut attempts, 0)));
        assert!(!(0..3).any(|_| fail(&mut attempts, 3600)));
        assert!(fail(&mut attempts, 3600));
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let mut attempts = Attempts::default();
        for row in 0..ROWS_MAX * 2 {
            attempts.fail(row, at(i64::try_from(row).expect("small") / 100));
            assert!(attempts.0.len() <= ROWS_MAX);
        }
        let last = ROWS_MAX * 2 - 1;
        assert!(attempts.0.contains_key(&last));
    }

    #[test]
    fn an_address_of_ipv6_stands_for_its_network() {
        let network = |text: &str| network(text.parse().expect("an address")).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
    }
}
