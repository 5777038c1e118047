//! Times to live, `PnDTnHnMnS` or `PnW`, as the service's maximum has them.

/// Reads a duration, in seconds; 0 for `0`.
pub(crate) fn parse(text: &str) -> Option<u64> {
    const DATE: &[(char, u64)] = &[('D', 86_400)];
    const TIME: &[(char, u64)] = &[('H', 3600), ('M', 60), ('S', 1)];
    if text == "0" {
        return Some(0);
    }
    if text.len() > 64 {
        return None;
    }
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
        fn what_is_written_is_read_again(seconds in 0..4_000_000_000_u64) {
            prop_assert_eq!(parse(&write(seconds)), Some(seconds));
        }

        #[test]
        fn no_text_is_too_much(text in "[PTDHMSW0-9]{0,32}") {
            let _ = parse(&text);
        }
    }
}
