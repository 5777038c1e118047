//! The instant until which a caller waits, and its way to the next server.
//!
//! tonic honours `grpc-timeout` but hands it on to nobody, and answers CANCELLED when it has passed. So the
//! server layer keeps time itself, and the client layer gives what is left to the server that it calls.
//!
//! Source: gRPC over HTTP2, "Requests", `Timeout`.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

const GRPC_TIMEOUT: &str = "grpc-timeout";
const DIGITS_MAX: usize = 8;

tokio::task_local! {
    static DEADLINE: Instant;
}

/// Runs `work` on behalf of a caller that waits until `deadline`.
pub(crate) fn within<T>(deadline: Option<Instant>, work: impl FnOnce() -> T) -> T {
    match deadline {
        Some(deadline) => DEADLINE.sync_scope(deadline, work),
        None => work(),
    }
}

/// Until when the caller waits, on whose behalf this runs; none if it runs on nobody's, or the caller
/// waits for ever.
pub fn deadline() -> Option<Instant> {
    DEADLINE.try_with(|deadline| *deadline).ok()
}

/// The deadline of a call that came with `headers`, at most `timeout_max` from now.
pub(crate) fn of_call(headers: &HeaderMap, timeout_max: Option<Duration>) -> Option<Instant> {
    let timeout = match (timeout(headers), timeout_max) {
        (Some(asked), Some(max)) => asked.min(max),
        (asked, max) => asked.or(max)?,
    };
    Instant::now().checked_add(timeout)
}

/// Shortens the timeout in `headers` to what the caller, on whose behalf this is sent, still waits.
pub(crate) fn hand_on(headers: &mut HeaderMap) {
    let Some(deadline) = deadline() else { return };
    let left = deadline.saturating_duration_since(Instant::now());
    if timeout(headers).is_some_and(|asked| asked <= left) {
        return;
    }
    if let Ok(value) = HeaderValue::from_str(&spell(left)) {
        headers.insert(GRPC_TIMEOUT, value);
    }
}

fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > DIGITS_MAX || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// The finest spelling that fits the digits allowed; what is cut off is under a millionth.
fn spell(timeout: Duration) -> String {
    let units = [
        (timeout.as_nanos(), "n"),
        (timeout.as_micros(), "u"),
        (timeout.as_millis(), "m"),
        (u128::from(timeout.as_secs()), "S"),
    ];
    let fitting = units.into_iter().find(|(amount, _)| *amount < 10u128.pow(DIGITS_MAX as u32));
    let (amount, unit) = fitting.unwrap_or((99_999_999, "H"));
    format!("{amount}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            http::HeaderName::from_static(GRPC_TIMEOUT),
            HeaderValue::from_str(value).unwrap(),
        )])
    }

    #[test]
    fn timeouts_are_read_as_grpc_spells_them() {
        let check =
            |value: &str, expected| assert_eq!(timeout(&headers(value)), expected, "{value}");
        check("2H", Some(Duration::from_secs(7200)));
        check("3M", Some(Duration::from_secs(180)));
        check("99999999S", Some(Duration::from_secs(99_999_999)));
        check("15m", Some(Duration::from_millis(15)));
        check("15u", Some(Duration::from_micros(15)));
        check("15n", Some(Duration::from_nanos(15)));
        for wrong in ["", "S", "1", "+1S", "123456789S", "1.5S", "1s", "1 S"] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_timeout_is_spelt_as_finely_as_fits() {
        assert_eq!(spell(Duration::ZERO), "0n");
        assert_eq!(spell(Duration::from_millis(5)), "5000000n");
        assert_eq!(spell(Duration::from_secs(5)), "5000000u");
        assert_eq!(spell(Duration::from_secs(3600)), "3600000m");
        assert_eq!(spell(Duration::from_secs(864_000)), "864000S");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_handed_on() {
        let deadline = of_call(&headers("9S"), Some(Duration::from_secs(5)));
        tokio::time::advance(Duration::from_secs(2)).await;
        let sent = |mut headers: HeaderMap| {
            within(deadline, || hand_on(&mut headers));
            timeout(&headers)
        };
        assert_eq!(sent(HeaderMap::new()), Some(Duration::from_secs(3)));
        assert_eq!(sent(headers("1S")), Some(Duration::from_secs(1)));
        assert_eq!(sent(headers("1H")), Some(Duration::from_secs(3)));
        let mut alone = HeaderMap::new();
        hand_on(&mut alone);
        assert!(alone.is_empty());
    }
}
