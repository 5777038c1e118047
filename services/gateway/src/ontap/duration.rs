//! Times to live, `PnDTnHnMnS` or `PnW`, as the service's maximum has them.

use domain::TimeToLive;

/// Reads a duration of at most 100 years, in seconds; 0 for `0`.
pub(crate) fn parse(text: &str) -> Option<u64> {
    TimeToLive::parse(text).ok().map(|duration| duration.seconds())
}

/// Writes a duration in days, hours, minutes and seconds.
pub(crate) fn write(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let mut text = "P".to_owned();
    let part = |text: &mut String, number: u64, unit| {
        if number > 0 {
            text.push_str(&format!("{number}{unit}"));
        }
    };
    part(&mut text, days, 'D');
    if rest > 0 || days == 0 {
        text.push('T');
        part(&mut text, rest / 3600, 'H');
        part(&mut text, rest % 3600 / 60, 'M');
        part(&mut text, rest % 60, 'S');
        if seconds == 0 {
            text.push_str("0S");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [
            ("P30D", Some(30 * 86_400)),
            ("P2DT6H3M10S", Some(2 * 86_400 + 6 * 3600 + 190)),
            ("PT6H3M", Some(6 * 3600 + 180)),
            ("P2W", Some(14 * 86_400)),
            ("0", Some(0)),
            ("PT0S", Some(0)),
            ("P", None),
            ("PT", None),
            ("P1DT", None),
            ("30D", None),
            ("P1Y", None),
            ("PT1M1H", None),
            ("P-1D", None),
            ("P1W1D", None),
            ("P99999999999999999999D", None),
            ("", None),
        ] {
            assert_eq!(parse(text), seconds, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(seconds in 0..=domain::LIFETIME_SECONDS_MAX) {
            prop_assert_eq!(parse(&write(seconds)), Some(seconds));
        }

        #[test]
        fn no_text_is_too_much(text in "[PTDHMSW0-9]{0,32}") {
            let _ = parse(&text);
        }
    }
}
