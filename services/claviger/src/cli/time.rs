//! Instants, as the command line spells them.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use prost_types::Timestamp;

/// Reads an instant: RFC 3339, or a date, which means its first instant in UTC.
///
/// # Errors
/// Says what would be right.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
    let instant: DateTime<Utc> = match DateTime::parse_from_rfc3339(text) {
        Ok(instant) => instant.to_utc(),
        Err(_) => NaiveDate::parse_from_str(text, "%Y-%m-%d").map(midnight).map_err(|_| {
            "must be a time such as 2030-01-31T12:00:00Z or a date such as 2030-01-31".to_owned()
        })?,
    };
    // A leap second is the last nanosecond of the second before it.
    let nanos = instant.timestamp_subsec_nanos().min(999_999_999);
    Ok(Timestamp { seconds: instant.timestamp(), nanos: nanos.cast_signed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let found = parse(text).ok().map(|instant| instant.to_string());
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn an_instant_is_rfc_3339_or_a_date() {
        check("2030-01-31T12:00:00Z", Some("2030-01-31T12:00:00Z"));
        check("2030-01-31T12:00:00.250+02:00", Some("2030-01-31T10:00:00.250Z"));
        check("2030-01-31", Some("2030-01-31T00:00:00Z"));
        for bad in ["", "tomorrow", "2030-02-30", "2030-01-31T12:00:00", "1893456000"] {
            check(bad, None);
        }
    }
}
