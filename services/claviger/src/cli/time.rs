//! Instants and durations, as the command line spells them.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use prost_types::Timestamp;

/// Forms of a date.
const DATES: [&str; 2] = ["%Y-%m-%d", "%Y%m%d"];
/// Forms of a date and a time.
const TIMES: [&str; 2] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y%m%dT%H%M%S%.f"];

/// Reads an instant: ISO 8601, basic or extended, UTC if it names no offset; or a date, which means
/// its first instant in UTC.
///
/// # Errors
/// Says what would be right.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    let instant = instant(text).ok_or_else(|| {
        "must be a time such as 2030-01-31T12:00:00Z or a date such as 2030-01-31".to_owned()
    })?;
    // A leap second is the last nanosecond of the second before it.
    let nanos = instant.timestamp_subsec_nanos().min(999_999_999);
    Ok(Timestamp { seconds: instant.timestamp(), nanos: nanos.cast_signed() })
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    let date = |form| {
        let date = NaiveDate::parse_from_str(text, form).ok()?;
        Some(date.and_time(NaiveTime::MIN).and_utc())
    };
    let utc = |form| {
        let text = text.strip_suffix('Z').unwrap_or(text);
        Some(NaiveDateTime::parse_from_str(text, form).ok()?.and_utc())
    };
    let offset =
        |form: &str| Some(DateTime::parse_from_str(text, &format!("{form}%:z")).ok()?.to_utc());
    let date = DATES.into_iter().find_map(date);
    date.or_else(|| TIMES.into_iter().find_map(utc)).or_else(|| TIMES.into_iter().find_map(offset))
}

/// Reads a number of seconds, or a duration in ISO 8601, `PnDTnHnMnS` or `PnW`, as seconds.
///
/// # Errors
/// Says what would be right.
pub(super) fn duration<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let seconds = text.parse().ok().or_else(|| iso_8601_seconds(text));
    seconds.and_then(|seconds| T::try_from(seconds).ok()).ok_or_else(|| {
        "must be a number of seconds, or a duration in ISO 8601 such as P30D or PT12H".to_owned()
    })
}

fn iso_8601_seconds(text: &str) -> Option<u64> {
    const DATE: &[(char, u64)] = &[('W', 7 * 86_400), ('D', 86_400)];
    const TIME: &[(char, u64)] = &[('H', 3600), ('M', 60), ('S', 1)];
    let text = text.strip_prefix('P')?;
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
        seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(*unit_seconds)?)?;
        text = rest;
    }
    text.is_empty().then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let found = parse(text).ok().map(|instant| instant.to_string());
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn an_instant_is_iso_8601_or_a_date() {
        check("2030-01-31T12:00:00Z", Some("2030-01-31T12:00:00Z"));
        check("2030-01-31T12:00:00", Some("2030-01-31T12:00:00Z"));
        check("2030-01-31T12:00:00.250+02:00", Some("2030-01-31T10:00:00.250Z"));
        check("20300131T120000Z", Some("2030-01-31T12:00:00Z"));
        check("20300131T120000+0200", Some("2030-01-31T10:00:00Z"));
        check("2030-01-31", Some("2030-01-31T00:00:00Z"));
        check("20300131", Some("2030-01-31T00:00:00Z"));
        for bad in ["", "tomorrow", "2030-02-30", "2030-01-31Z", "2030-01-31T", "1893456000"] {
            check(bad, None);
        }
    }

    #[test]
    fn a_duration_is_seconds_or_iso_8601() {
        let check = |text: &str, expected: Option<u32>| {
            assert_eq!(duration::<u32>(text).ok(), expected, "{text}");
        };
        check("0", Some(0));
        check("3600", Some(3600));
        check("PT1H", Some(3600));
        check("P1W", Some(604_800));
        check("P1DT1M1S", Some(86_461));
        check("4294967296", None);
        for bad in ["", "P", "PT", "1h", "P1H", "PT1D", "P-1D", "-1", "P1D1D", "P1DT"] {
            check(bad, None);
        }
        assert_eq!(duration::<u64>("P36500D"), Ok(3_153_600_000));
    }
}
