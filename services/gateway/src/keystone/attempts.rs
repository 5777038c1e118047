//! How often passwords were shown in vain.
//!
//! They are machines' secrets, which nobody guesses: what is bounded is the noise, and what a service does whose
//! password was changed. Kept in memory, of bounded size.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::token::Id;

/// How many there may be in a row, with less than a pause between one and the next.
const IN_A_ROW: u32 = 10;
/// How long nothing is listened to afterwards.
const PAUSE: Duration = Duration::from_secs(60);
/// The most rows that are kept.
const ROWS_MAX: usize = 4096;

/// From which network, and for which service, if there is one.
pub(super) type Row = (IpAddr, Option<Id>);

#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<Row, Tried>>);

#[derive(Clone, Copy, Debug)]
struct Tried {
    in_vain: u32,
    last: Instant,
}

impl Attempts {
    /// How long the pause still is, in seconds from 1, if there is one.
    pub(super) fn pause(&self, row: &Row, now: Instant) -> Option<u32> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tried = rows.get(row).filter(|tried| tried.in_vain >= IN_A_ROW)?;
        let left = PAUSE.checked_sub(now.saturating_duration_since(tried.last))?;
        u32::try_from(left.as_millis().div_ceil(1000)).ok().filter(|seconds| *seconds > 0)
    }

    /// Notes that one was wrong, or right, which ends a row.
    pub(super) fn note(&self, row: Row, is_right: bool, now: Instant) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_right {
            rows.remove(&row);
            return;
        }
        let is_recent = |tried: &Tried| now.saturating_duration_since(tried.last) < PAUSE;
        if rows.len() >= ROWS_MAX && !rows.contains_key(&row) {
            rows.retain(|_, tried| is_recent(tried));
        }
        if rows.len() >= ROWS_MAX && !rows.contains_key(&row) {
            // Whoever has so many networks is not held up by pauses.
            rows.clear();
        }
        let tried = rows.entry(row).or_insert(Tried { in_vain: 0, last: now });
        if !is_recent(tried) {
            tried.in_vain = 0;
        }
        *tried = Tried { in_vain: tried.in_vain.saturating_add(1), last: now };
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
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: Row = (IpAddr::V4(Ipv4Addr::LOCALHOST), Some([1; 16]));

    #[test]
    fn ten_in_a_row_make_a_pause_there_and_nowhere_else() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..10 {
            assert_eq!(attempts.pause(&HERE, at(0)), None);
            attempts.note(HERE, false, at(0));
        }
        assert_eq!(attempts.pause(&HERE, at(0)), Some(60));
        assert_eq!(attempts.pause(&HERE, at(59)), Some(1));
        assert_eq!(attempts.pause(&HERE, at(60)), None);
        assert_eq!(attempts.pause(&(HERE.0, None), at(0)), None);
        assert_eq!(attempts.pause(&(Ipv4Addr::BROADCAST.into(), HERE.1), at(0)), None);
        attempts.note(HERE, false, at(60));
        assert_eq!(attempts.pause(&HERE, at(60)), None, "a new row has begun");
    }

    #[test]
    fn a_right_one_ends_a_row() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for is_right in [false, true, false] {
            for _ in 0..9 {
                attempts.note(HERE, is_right, now);
            }
            assert_eq!(attempts.pause(&HERE, now), None);
        }
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for n in 0..20_000_u32 {
            attempts.note((Ipv4Addr::from(n).into(), None), false, now);
        }
        assert!(attempts.0.lock().expect("not poisoned").len() <= ROWS_MAX);
    }

    #[test]
    fn an_address_of_ipv6_stands_for_its_network() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            let found = network(address.parse().expect("an address"));
            assert_eq!(found.to_string(), expected);
        }
    }
}
