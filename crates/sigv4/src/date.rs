//! Dates and times as Signature Version 4 writes them. Always UTC, whole seconds, years 0 to 9999.

use std::fmt;

/// Seconds of a day; UTC days have no others here (a leap second is refused).
const DAY_SECONDS: i64 = 86_400;
/// 9999-12-31T23:59:59Z.
const UNIX_SECONDS_MAX: i64 = 253_402_300_799;
/// 0000-01-01T00:00:00Z.
const UNIX_SECONDS_MIN: i64 = -62_167_219_200;

/// A day of the credential scope, `YYYYMMDD`. Its order is that of time.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Date {
    text: [u8; 8],
    /// Days since 1970-01-01.
    days: i32,
}

impl Date {
    /// Reads `YYYYMMDD`; `None` if the text is not a day of the calendar.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = text.try_into().ok()?;
        let [century, year, month, day] = pairs(text)?;
        let days = days_since_epoch(century * 100 + year, month, day)?;
        Some(Self { text, days })
    }

    /// The UTC day in which an instant falls; instants outside years 0 to 9999 count as the nearest day.
    #[must_use]
    pub fn from_unix_seconds(seconds: i64) -> Self {
        Timestamp::from_unix_seconds(seconds).date()
    }

    /// The first instant of the day, in seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn start_unix_seconds(self) -> i64 {
        i64::from(self.days) * DAY_SECONDS
    }

    /// As [`Date::as_str`].
    pub(crate) fn as_bytes(&self) -> &[u8; 8] {
        &self.text
    }

    /// The eight digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default() // always digits
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Date({self})")
    }
}

/// An instant, to the second, with its spelling in a string to sign: `YYYYMMDDTHHMMSSZ`.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Timestamp {
    unix_seconds: i64,
    text: [u8; 16],
}

impl Timestamp {
    /// Reads ISO 8601 basic format, `YYYYMMDDTHHMMSSZ`, and nothing else.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: [u8; 16] = text.try_into().ok()?;
        let [date @ .., b'T', h0, h1, m0, m1, s0, s1, b'Z'] = text else { return None };
        let [hour, minute, second, _] = pairs([h0, h1, m0, m1, s0, s1, b'0', b'0'])?;
        let time = day_seconds(hour, minute, second)?;
        let unix_seconds = Date::parse(&date)?.start_unix_seconds() + time;
        Some(Self { unix_seconds, text })
    }

    /// Reads an HTTP `Date` header: `Fri, 24 May 2013 00:00:00 GMT`, as in RFC 9110 section 5.6.7, with
    /// `+0000` and `-0000` for `GMT` (botocore), or the ISO format of [`Timestamp::parse`].
    #[must_use]
    pub fn parse_http_date(text: &[u8]) -> Option<Self> {
        const WEEKDAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
        let [w0, w1, w2, b',', b' ', rest @ ..] = text else { return Self::parse(text) };
        let (fields, zone) = rest.split_at_checked(20)?;
        let &[
            d0,
            d1,
            b' ',
            m0,
            m1,
            m2,
            b' ',
            y0,
            y1,
            y2,
            y3,
            b' ',
            h0,
            h1,
            b':',
            n0,
            n1,
            b':',
            s0,
            s1,
        ] = fields
        else {
            return None;
        };
        if !WEEKDAYS.contains(&[*w0, *w1, *w2].as_slice())
            || ![b" GMT".as_slice(), b" +0000", b" -0000"].contains(&zone)
        {
            return None;
        }
        let month = month_number(&[m0, m1, m2])?;
        let days = days_since_epoch(number(&[y0, y1, y2, y3])?, month, number(&[d0, d1])?)?;
        let time = day_seconds(number(&[h0, h1])?, number(&[n0, n1])?, number(&[s0, s1])?)?;
        Some(Self::from_unix_seconds(i64::from(days) * DAY_SECONDS + time))
    }

    /// The instant `seconds` after 1970-01-01T00:00:00Z; outside years 0 to 9999, the nearest inside.
    #[must_use]
    pub fn from_unix_seconds(seconds: i64) -> Self {
        let unix_seconds = seconds.clamp(UNIX_SECONDS_MIN, UNIX_SECONDS_MAX);
        let (year, month, day) = civil(unix_seconds.div_euclid(DAY_SECONDS));
        let time = unix_seconds.rem_euclid(DAY_SECONDS);
        let mut text = *b"00000000T000000Z";
        for (start, end, mut value) in [
            (0, 4, year),
            (4, 6, month),
            (6, 8, day),
            (9, 11, time / 3600),
            (11, 13, time / 60 % 60),
            (13, 15, time % 60),
        ] {
            for digit in text[start..end].iter_mut().rev() {
                *digit = b'0' + (value % 10) as u8;
                value /= 10;
            }
        }
        Self { unix_seconds, text }
    }

    /// Seconds since 1970-01-01T00:00:00Z; negative before.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.unix_seconds
    }

    /// The UTC day in which the instant falls.
    #[must_use]
    pub fn date(self) -> Date {
        let [date @ .., _, _, _, _, _, _, _, _] = self.text;
        Date { text: date, days: self.unix_seconds.div_euclid(DAY_SECONDS) as i32 } // of years 0 to 9999
    }

    /// As [`Timestamp::as_str`].
    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.text
    }

    /// `YYYYMMDDTHHMMSSZ`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default() // always ASCII
    }

    /// `YYYY-MM-DDTHH:MM:SSZ`, as S3 writes server times in its errors.
    #[must_use]
    pub fn to_extended(self) -> String {
        let t = self.as_str();
        let (y, mo, d, h, mi, s) = (&t[..4], &t[4..6], &t[6..8], &t[9..11], &t[11..13], &t[13..15]);
        format!("{y}-{mo}-{d}T{h}:{mi}:{s}Z")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

/// The values of four pairs of ASCII digits; `None` if any byte is none.
#[inline(always)]
fn pairs(digits: [u8; 8]) -> Option<[u32; 4]> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHEST: u64 = 0x80 * ONES;
    let digits = u64::from_le_bytes(digits);
    let values = digits ^ (u64::from(b'0') * ONES);
    // Of a digit this is 0 to 9, of which alone none reaches the highest bit with 0x76 added.
    let others = values | ((values & !HIGHEST) + 0x76 * ONES);
    if others & HIGHEST != 0 {
        return None;
    }
    // In every other byte ten times a digit and the one behind it: 99 at most.
    let tens_and_ones = values * 10 + (values >> 8);
    Some([0, 16, 32, 48].map(|shift| u32::from((tens_and_ones >> shift) as u8)))
}

/// The value of ASCII digits; `None` if any byte is none. At most four digits here.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0'))
    })
}

fn month_number(name: &[u8; 3]) -> Option<u32> {
    let names = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let index = names.chunks_exact(3).position(|month| month == name)?;
    u32::try_from(index + 1).ok()
}

fn day_seconds(hour: u32, minute: u32, second: u32) -> Option<i64> {
    let is_time = hour < 24 && minute < 60 && second < 60;
    is_time.then_some(i64::from(hour * 3600 + minute * 60 + second))
}

/// Days since 1970-01-01 of a day of the (proleptic) Gregorian calendar, of years 0 to 9999; `None` if there is no
/// such day.
fn days_since_epoch(year: u32, month: u32, day: u32) -> Option<i32> {
    const MONTH_DAYS: [u32; 13] = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let leap_day = u32::from(is_leap && month == 2);
    if day < 1 || day > MONTH_DAYS.get(month as usize)? + leap_day {
        return None;
    }
    // Years that start in March put the leap day last (Howard Hinnant, "chrono-compatible algorithms"); 400 more of
    // them, so that none is before the first.
    let (year, month) = if month <= 2 { (year + 399, month + 9) } else { (year + 400, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some(days as i32 - (719_468 + 146_097))
}

/// Year, month and day of a count of days since 1970-01-01: the inverse of [`days_since_epoch`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, unix_seconds: Option<i64>) {
        let parsed = Timestamp::parse_http_date(text.as_bytes());
        assert_eq!(parsed.map(Timestamp::unix_seconds), unix_seconds, "{text}");
    }

    #[test]
    fn iso_basic_timestamps_are_read() {
        check("19700101T000000Z", Some(0));
        check("20130524T000000Z", Some(1_369_353_600));
        check("20240229T235959Z", Some(1_709_251_199));
        check("99991231T235959Z", Some(UNIX_SECONDS_MAX));
        check("00000101T000000Z", Some(UNIX_SECONDS_MIN));
        check("19691231T235959Z", Some(-1));
    }

    #[test]
    fn http_dates_are_read() {
        check("Fri, 24 May 2013 00:00:00 GMT", Some(1_369_353_600));
        check("Fri, 24 May 2013 00:00:01 +0000", Some(1_369_353_601));
        check("Fri, 24 May 2013 00:00:00 -0000", Some(1_369_353_600));
    }

    #[test]
    fn other_dates_are_refused() {
        for text in [
            "",
            "20130524",
            "20130524T000000",
            "20130524t000000z",
            "20130524T240000Z",
            "20130524T000060Z",
            "20130230T000000Z",
            "20230229T000000Z",
            "20131324T000000Z",
            "20130500T000000Z",
            "2013-05-24T00:00:00Z",
            "20130524T000000+0",
            "+0130524T000000Z",
            "Fri, 24 May 2013 00:00:00 CET",
            "Fri, 24 May 2013 00:00:00",
            "Fri, 4 May 2013 00:00:00 GMT",
            "Xxx, 24 May 2013 00:00:00 GMT",
            "Fri, 24 Foo 2013 00:00:00 GMT",
            "Friday, 24-May-13 00:00:00 GMT",
        ] {
            check(text, None);
        }
        assert_eq!(Date::parse(b"20230229"), None);
        assert_eq!(Date::parse(b"2023022"), None);
    }

    #[test]
    fn the_extended_format_is_that_of_server_times() {
        assert_eq!(
            Timestamp::from_unix_seconds(1_369_353_600).to_extended(),
            "2013-05-24T00:00:00Z"
        );
        assert_eq!(Timestamp::from_unix_seconds(i64::MAX).to_extended(), "9999-12-31T23:59:59Z");
    }

    proptest! {
        #[test]
        fn pairs_of_digits_are_numbers(digits in proptest::array::uniform8(b'.'..=b';'), other: [u8; 8]) {
            for bytes in [digits, other] {
                let slow = [0, 2, 4, 6].map(|at| number(&bytes[at..at + 2]));
                let slow = slow.iter().all(Option::is_some).then(|| slow.map(Option::unwrap_or_default));
                prop_assert_eq!(pairs(bytes), slow);
            }
        }

        #[test]
        fn every_second_reads_back(seconds in UNIX_SECONDS_MIN..=UNIX_SECONDS_MAX) {
            let timestamp = Timestamp::from_unix_seconds(seconds);
            prop_assert_eq!(Timestamp::parse(timestamp.as_str().as_bytes()), Some(timestamp));
            let date = timestamp.date();
            prop_assert_eq!(Date::parse(date.as_str().as_bytes()), Some(date));
            prop_assert_eq!(Date::from_unix_seconds(seconds), date);
            prop_assert_eq!(date.start_unix_seconds(), seconds - seconds.rem_euclid(DAY_SECONDS));
        }
    }
}
