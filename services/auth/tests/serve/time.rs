//! Midnight, and clocks that leap.

use std::time::Duration;

use api::error::v1::Reason;
use api::identity::v1 as pb;
use api::identity::v1::watch_credentials_response::Message;
use tonic::Code;

use crate::harness::*;
use crate::identity::date_key;

/// 00:00 UTC after [`NOW_MS`].
const MIDNIGHT_MS: i64 = (NOW_MS / DAY_MS + 1) * DAY_MS;
const MINUTE_MS: i64 = 60_000;
const NO_DATE_KEYS: (Code, Option<Reason>) = (Code::Unavailable, Some(Reason::DateKeysUnavailable));

async fn auth() -> Harness {
    Harness::with(records(vec![user()], vec![access_key(ID)])).await
}

fn denied(code: &str) -> Result<u32, String> {
    Err(code.to_owned())
}

/// The date key of a day for the key's first secret, as identity sends it ahead.
fn fed(day_ms: i64) -> Message {
    let day = u32::try_from(day_ms / DAY_MS).expect("after 1970");
    let (access_key_id, generation) = (ID.into(), 1);
    let record =
        pb::DateKeyRecord { access_key_id, generation, date_key: Some(date_key(SECRET, day)) };
    Message::DateKeys(pb::DateKeyRecords { date_keys: vec![record] })
}

#[tokio::test]
async fn across_midnight_both_days_are_good_within_the_skew_and_identity_is_not_needed() {
    let auth = auth().await;
    auth.identity.fail_older_days(true);
    let at = |ms: i64| signed_at(ID, SECRET, MIDNIGHT_MS + ms);
    for (now, signed, expected) in [
        // A client whose clock is ahead signs with tomorrow's key today.
        (-15 * MINUTE_MS, 0, Ok(1)),
        (-15 * MINUTE_MS - 1000, 0, denied("RequestTimeTooSkewed")),
        (-1, 0, Ok(1)),
        (-1, -1000, Ok(1)),
        (0, 0, Ok(1)),
        // One whose clock is behind, or whose request was long under way, with yesterday's.
        (0, -1000, Ok(1)),
        (15 * MINUTE_MS - 1000, -1000, Ok(1)),
        (15 * MINUTE_MS, -1000, denied("RequestTimeTooSkewed")),
        (15 * MINUTE_MS, 0, Ok(1)),
    ] {
        auth.clock.set_unix_ms(MIDNIGHT_MS + now);
        assert_eq!(auth.ask(&at(signed), 10).await, expected, "at {now} ms of {signed} ms");
    }
    assert_eq!(auth.identity.derived(), 0);
}

#[tokio::test]
async fn the_scope_must_be_of_the_day_that_was_signed_on_whichever_side_of_midnight() {
    let auth = auth().await;
    auth.clock.set_unix_ms(MIDNIGHT_MS);
    for signed_ms in [MIDNIGHT_MS - 1000, MIDNIGHT_MS] {
        let head = signed_at(ID, SECRET, signed_ms);
        let (yesterday, today) = ("/20260301/", "/20260302/");
        let other = match head.contains(yesterday) {
            true => head.replace(yesterday, today),
            false => head.replace(today, yesterday),
        };
        assert_ne!(head, other);
        assert_eq!(auth.ask(&head, 10).await, Ok(1));
        assert_eq!(auth.ask(&other, 10).await, denied("AuthorizationHeaderMalformed"));
    }
}

#[tokio::test]
async fn a_day_that_was_not_sent_ahead_is_fetched_once_for_all_who_wait_also_if_it_is_today() {
    let mut key = access_key(ID);
    key.secrets[0].date_keys.clear();
    let auth = Harness::with(records(vec![user()], vec![key])).await;
    auth.identity.know_secret(ID, 1, SECRET);
    for (days, fetched) in [(0, 1), (1, 2)] {
        let now_ms = NOW_MS + days * DAY_MS;
        auth.clock.set_unix_ms(now_ms);
        let head = signed_at(ID, SECRET, now_ms);
        let together = futures::future::join_all((0..20).map(|_| auth.ask(&head, 10))).await;
        assert!(together.iter().all(|verdict| *verdict == Ok(1)), "{together:?}");
        assert_eq!(auth.identity.derived(), fetched);
        let wrong = signed_at(ID, "another secret", now_ms);
        assert_eq!(auth.ask(&wrong, 10).await, denied("SignatureDoesNotMatch"));
        let unknown = signed_at("AKIANOBODY", SECRET, now_ms);
        assert_eq!(auth.ask(&unknown, 10).await, denied("InvalidAccessKeyId"));
        assert_eq!(auth.identity.derived(), fetched);
    }
}

#[tokio::test]
async fn without_identity_keys_run_out_with_their_days_and_come_back_with_it() {
    let auth = auth().await;
    auth.identity.fail_older_days(true);
    let at_noon = |days: i64| NOW_MS + days * DAY_MS;
    for (days, has_keys) in
        [(1, true), (2, false), (300, false), (0, true), (-1, true), (-2, false)]
    {
        let now_ms = at_noon(days);
        auth.clock.set_unix_ms(now_ms);
        for secret in [SECRET, "another secret"] {
            let head = signed_at(ID, secret, now_ms);
            match (has_keys, secret == SECRET) {
                (true, true) => assert_eq!(auth.ask(&head, 10).await, Ok(1), "{days}"),
                (true, false) => {
                    assert_eq!(auth.ask(&head, 10).await, denied("SignatureDoesNotMatch"));
                }
                // Neither is it said to be right, nor to be wrong.
                (false, _) => {
                    assert_eq!(auth.ask_in_vain(raw(&head, 10)).await, NO_DATE_KEYS, "{days}");
                }
            }
        }
        // For nobody's key nothing is missing.
        let unknown = signed_at("AKIANOBODY", SECRET, now_ms);
        assert_eq!(auth.ask(&unknown, 10).await, denied("InvalidAccessKeyId"));
    }

    // Two days ahead, identity comes back: by being asked, or by sending keys ahead.
    auth.clock.set_unix_ms(at_noon(2));
    let head = signed_at(ID, SECRET, at_noon(2));
    assert_eq!(auth.ask_in_vain(raw(&head, 10)).await, NO_DATE_KEYS);
    auth.identity.fail_older_days(false);
    auth.identity.know_secret(ID, 1, SECRET);
    assert_eq!(auth.ask(&head, 10).await, Ok(1));
    auth.identity.fail_older_days(true);
    auth.clock.set_unix_ms(at_noon(3));
    let head = signed_at(ID, SECRET, at_noon(3));
    assert_eq!(auth.ask_in_vain(raw(&head, 10)).await, NO_DATE_KEYS);
    auth.identity.send(fed(at_noon(3)));
    auth.identity.send(heartbeat(11));
    assert_eq!(auth.ask(&head, 11).await, Ok(1));
}

#[tokio::test]
async fn a_clock_that_leaps_makes_nothing_stale_and_nothing_fresh() {
    let auth = auth().await;
    let staleness = async || {
        let answer = auth.call(raw(&signed("AKIANOBODY", SECRET), 10)).await;
        answer.expect("a verdict").staleness_ms
    };
    auth.clock.pass(Duration::from_secs(2));
    for leap_ms in [2 * DAY_MS, -2 * DAY_MS, 40 * 365 * DAY_MS, -NOW_MS, i64::MAX - NOW_MS] {
        auth.clock.set_unix_ms(NOW_MS.saturating_add(leap_ms));
        assert_eq!(staleness().await, 2000, "{leap_ms}");
        assert!(auth.ready.is_ready());
    }
    auth.clock.set_unix_ms(NOW_MS);
    auth.clock.pass(Duration::from_secs(15 * 60));
    let stale = (Code::Unavailable, Some(Reason::ReadModelStale));
    for leap_ms in [0, -DAY_MS, DAY_MS] {
        auth.clock.set_unix_ms(NOW_MS + leap_ms);
        let head = signed_at(ID, SECRET, NOW_MS + leap_ms);
        assert_eq!(auth.ask_in_vain(raw(&head, 10)).await, stale, "{leap_ms}");
    }
}

#[tokio::test]
async fn a_replica_whose_clock_is_behind_ends_nothing_early_and_revokes_in_time() {
    let auth = auth().await;
    let (old, new) = (signed(ID, SECRET), signed(ID, "a new secret"));
    let behind_ms = 5 * MINUTE_MS;
    auth.clock.set_unix_ms(NOW_MS - behind_ms);
    let rotated = |grace_end: Option<i64>| {
        let mut secrets = vec![secret(2, "a new secret", None)];
        secrets.extend(grace_end.map(|end| secret(1, SECRET, Some(end))));
        records(vec![], vec![pb::AccessKeyRecord { secrets, ..access_key(ID) }])
    };
    // A grace that has ended for everybody else goes on here for as long as its clock is behind ...
    auth.identity.send(change(11, rotated(Some(NOW_MS - 1000))));
    assert_eq!(auth.ask(&old, 11).await, Ok(1));
    assert_eq!(auth.ask(&new, 11).await, Ok(2));
    auth.clock.set_unix_ms(NOW_MS - 1000);
    assert_eq!(auth.ask(&old, 11).await, denied("SignatureDoesNotMatch"));
    // ... but what is told as an event needs no clock.
    auth.clock.set_unix_ms(NOW_MS - behind_ms);
    assert_eq!(auth.ask(&old, 11).await, Ok(1));
    auth.identity.send(change(12, rotated(None)));
    assert_eq!(auth.ask(&old, 12).await, denied("SignatureDoesNotMatch"));
    assert_eq!(auth.ask(&new, 12).await, Ok(2));
}
