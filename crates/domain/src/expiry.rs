//! When access keys end: instants and times to live, as clients spell them.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};
use serde::{Deserialize, Serialize};

use crate::{InvalidName, Timestamp};

/// The longest lifetime that can be asked for at all: 100 years, in seconds.
pub const LIFETIME_SECONDS_MAX: u64 = 100 * 365 * 86_400;

/// When an access key is to end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Expiry {
    /// It does not.
    Never,
    /// At this instant.
    At(Timestamp),
    /// So long after it begins to be valid; and again after each rotation of its secret.
    After(TimeToLive),
}

/// How long an access key lives, as the client spelled it: `PnDTnHnMnS`, `PnW`, or `0` for no end
/// (NetApp ONTAP REST API, `key_time_to_live`).
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
// Few access keys have one: for the others it is to take no more than a word.
pub struct TimeToLive(Box<Spelled>);

#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
struct Spelled {
    spelling: Box<str>,
    seconds: u64,
}

impl TimeToLive {
    /// Reads a time to live of at most 100 years. Zero, in any spelling, means no end.
    ///
    /// # Errors
    /// If it is not of the form above.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        const INVALID: InvalidName = InvalidName("must be PnDTnHnMnS, PnW or 0, up to 100 years");
        if text.len() > 64 {
            return Err(INVALID);
        }
        let seconds = if text == "0" { Some(0) } else { duration_seconds(text) };
        let seconds = seconds.filter(|seconds| *seconds <= LIFETIME_SECONDS_MAX).ok_or(INVALID)?;
        Ok(Self(Box::new(Spelled { spelling: text.into(), seconds })))
    }

    /// So many seconds.
    pub(crate) fn from_seconds(seconds: u64) -> Self {
        Self(Box::new(Spelled { spelling: format!("PT{seconds}S").into(), seconds }))
    }

    /// As it was spelled.
    pub fn as_str(&self) -> &str {
        &self.0.spelling
    }

    /// In seconds; 0 for no end.
    pub fn seconds(&self) -> u64 {
        self.0.seconds
    }

    /// When what begins at `start` ends, if ever.
    pub fn end(&self, start: Timestamp) -> Option<Timestamp> {
        let seconds = i64::try_from(self.0.seconds).ok().filter(|seconds| *seconds > 0)?;
        start.checked_add_signed(TimeDelta::seconds(seconds))
    }
}

/// Reads `PnDTnHnMnS` or `PnW`: whole numbers, units in that order, each at most once.
fn duration_seconds(text: &str) -> Option<u64> {
    const DATE: &[(char, u64)] = &[('D', 86_400)];
    const TIME: &[(char, u64)] = &[('H', 3600), ('M', 60), ('S', 1)];
    let text = text.strip_prefix('P')?;
    if text.ends_with('W') {
        return components(text, &[('W', 7 * 86_400)]);
    }
    match text.split_once('T') {
        None => components(text, DATE),
        Some(("", time)) => components(time, TIME),
        Some((date, time)) => components(date, DATE)?.checked_add(components(time, TIME)?),
    }
}

/// Sums up one or more of `units`, in their order.
fn components(mut text: &str, units: &[(char, u64)]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut seconds = 0_u64;
    for (unit, unit_seconds) in units {
        let Some((number, rest)) = text.split_once(*unit) else { continue };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(*unit_seconds)?)?;
        text = rest;
    }
    text.is_empty().then_some(seconds)
}

/// Reads an instant in ISO 8601, basic or extended: a date, which means its midnight, or a date and
/// a time with up to nine decimals and an offset, `Z` if there is none. UTC, cut to the millisecond.
///
/// # Errors
/// If it is of another form, or not between the years 1970 and 9999.
pub fn parse_instant(text: &str) -> Result<Timestamp, InvalidName> {
    const INVALID: InvalidName =
        InvalidName("must be a date or a date and time in ISO 8601, such as 2030-01-31T12:00:00Z");
    if text.len() > 64 || !text.is_ascii() {
        return Err(INVALID);
    }
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (date_form, extended) = match date.len() {
        8 if digits(date) => ("%Y%m%d", false),
        10 if digits(&date.replace('-', "0")) => ("%Y-%m-%d", true),
        _ => return Err(INVALID),
    };
    let day = NaiveDate::parse_from_str(date, date_form).map_err(|_| INVALID)?;
    let (clock, offset_seconds) = match time {
        None => (NaiveTime::MIN, 0),
        Some(time) => time_of_day(time, extended).ok_or(INVALID)?,
    };
    let instant = NaiveDateTime::new(day, clock)
        .and_utc()
        .checked_sub_signed(TimeDelta::seconds(offset_seconds))
        .ok_or(INVALID)?;
    let milliseconds = instant.timestamp_millis();
    if !(0..=253_402_300_799_999).contains(&milliseconds) {
        return Err(INVALID);
    }
    Timestamp::from_timestamp_millis(milliseconds).ok_or(INVALID)
}

/// A time of day and its offset from UTC in seconds.
fn time_of_day(text: &str, extended: bool) -> Option<(NaiveTime, i64)> {
    let (clock, offset_seconds) = match text.find(['Z', '+', '-']) {
        None => (text, 0),
        Some(at) if &text[at..] == "Z" => (&text[..at], 0),
        Some(at) => {
            let (sign, offset) =
                (if text[at..].starts_with('-') { -1 } else { 1 }, &text[at + 1..]);
            let digits = offset.replacen(':', "", 1);
            let (hours, minutes) = match digits.len() {
                2 => (digits.as_str(), "00"),
                4 => digits.split_at(2),
                _ => return None,
            };
            let number = |text: &str, max| {
                let number: i64 = text.parse().ok()?;
                (text.bytes().all(|byte| byte.is_ascii_digit()) && number <= max).then_some(number)
            };
            (&text[..at], sign * (number(hours, 23)? * 3600 + number(minutes, 59)? * 60))
        }
    };
    let (whole, decimals) = match clock.find(['.', ',']) {
        Some(at) => (&clock[..at], Some(&clock[at + 1..])),
        None => (clock, None),
    };
    // Seconds may be left out, and then have no decimals. Every place is a digit: chrono would skip blanks.
    let form = match (extended, whole.len()) {
        (true, 8) => "%H:%M:%S",
        (true, 5) if decimals.is_none() => "%H:%M",
        (false, 6) => "%H%M%S",
        (false, 4) if decimals.is_none() => "%H%M",
        (_, _) => return None,
    };
    if !whole.bytes().all(|byte| byte.is_ascii_digit() || extended && byte == b':') {
        return None;
    }
    let time = NaiveTime::parse_from_str(whole, form).ok()?;
    let nanoseconds = match decimals {
        None => 0,
        Some(decimals) if (1..=9).contains(&decimals.len()) => {
            let all_digits = decimals.bytes().all(|byte| byte.is_ascii_digit());
            format!("{decimals:0<9}").parse().ok().filter(|_| all_digits)?
        }
        Some(_) => return None,
    };
    // What is left out are leap seconds, which no clock here knows.
    let time = Some(time).filter(|time| time.nanosecond() == 0)?.with_nanosecond(nanoseconds)?;
    Some((time, offset_seconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_to_live_follow_ontaps_grammar_and_keep_their_spelling() {
        for (text, seconds) in [
            ("0", 0),
            ("PT0S", 0),
            ("P0D", 0),
            ("P2DT6H3M10S", 2 * 86_400 + 6 * 3600 + 3 * 60 + 10),
            ("PT6H3M", 6 * 3600 + 3 * 60),
            ("PT90S", 90),
            ("P1D", 86_400),
            ("P2W", 14 * 86_400),
            ("P007D", 7 * 86_400),
            ("P36500D", LIFETIME_SECONDS_MAX),
        ] {
            let ttl = TimeToLive::parse(text).expect(text);
            assert_eq!((ttl.as_str(), ttl.seconds()), (text, seconds));
        }
        for bad in [
            "",
            "P",
            "PT",
            "P1",
            "1D",
            "P1H",
            "PT1D",
            "P1DT",
            "P1M",
            "P1Y",
            "PT1M1H",
            "PT1H1H",
            "P1W1D",
            "P1DT1W",
            "P-1D",
            "P1.5D",
            "PT1,5S",
            "p1d",
            " P1D",
            "00",
            "P36501D",
            "P٣D",
            "P99999999999999999999D",
        ] {
            assert!(TimeToLive::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn instants_are_read_in_basic_and_extended_form() {
        for (text, expected) in [
            ("2063-04-05", "2063-04-05T00:00:00Z"),
            ("20630405", "2063-04-05T00:00:00Z"),
            ("2020-06-14T00:00:00.000Z", "2020-06-14T00:00:00Z"),
            ("2020-06-14T01:02:03Z", "2020-06-14T01:02:03Z"),
            ("2020-06-14T01:02:03", "2020-06-14T01:02:03Z"),
            ("20200614T010203Z", "2020-06-14T01:02:03Z"),
            ("20200614T010203.123456789Z", "2020-06-14T01:02:03.123Z"),
            ("2020-06-14T01:02:03,5+02:00", "2020-06-13T23:02:03.500Z"),
            ("2010-10-01T12:34:56.789+0000", "2010-10-01T12:34:56.789Z"),
            ("2063-04-05T12:34", "2063-04-05T12:34:00.000Z"),
            ("20630405T1234Z", "2063-04-05T12:34:00.000Z"),
            ("2023-11-13T23:28:03-05", "2023-11-14T04:28:03Z"),
            ("2024-02-29", "2024-02-29T00:00:00Z"),
        ] {
            let instant = parse_instant(text).expect(text);
            assert_eq!(instant, expected.parse::<Timestamp>().expect("RFC 3339"), "{text}");
        }
        for bad in [
            "",
            "2063",
            "2063-04",
            "2063-4-5",
            "2063-13-01",
            "2063-02-30",
            "2023-02-29",
            "206304055",
            "2063-04-05T",
            "2063-04-05T12",
            "2063-04-05T12:00.5",
            "2063-04-05T 1: 2: 3",
            "2063-04-05T 1: 2",
            "20630405T 1 2 3",
            "20630405T1:23",
            "2063-04-05T24:00:00Z",
            "2063-04-05T24:00:00Z",
            "2063-04-05T120000Z",
            "20630405T12:00:00Z",
            "2063-04-05 12:00:00Z",
            "1969-12-31",
            "2063-04-05T12:00:00.Z",
            "2063-04-05T12:00:00.1234567891Z",
            "2063-04-05T12:00:00ZZ",
            "2063-04-05T12:00:00+1",
            "2063-04-05T12:00:00+25:00",
            "2063-04-05T12:00:00+02:0",
            "+2063-04-05",
            "２０63-04-05",
            "-063-04-05",
            "2063-04-05T12:00:00+-1:00",
            "10000-01-01",
            "2016-12-31T23:59:60Z",
        ] {
            assert!(parse_instant(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "\\PC{0,70}") {
            let _ = TimeToLive::parse(&text);
            let _ = parse_instant(&text);
        }

        #[test]
        fn an_instant_comes_back_from_what_chrono_writes(ms in 0_i64..253_402_300_799_999) {
            let instant = Timestamp::from_timestamp_millis(ms).expect("in range");
            let text = instant.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
            prop_assert_eq!(parse_instant(&text), Ok(instant));
        }
    }
}
