//! Dates of requests.

use sigv4::ErrorCode;

use crate::server::{GET, NOW, sign, verdict};
use crate::{and, check, check_accepted, check_at, with};

#[test]
fn a_header_signature_needs_a_date() {
    let message = "AWS authentication requires a valid Date or x-amz-date header";
    let date = "x-amz-date: 20130524T000000Z\r\n";
    for by in [
        "",
        "x-amz-date: \r\n",
        "x-amz-date: 2013-05-24T00:00:00Z\r\n",
        "x-amz-date: 20130524T000000\r\n",
        "x-amz-date: 20130524T235960Z\r\n",
        "x-amz-date: Fri, 24 May 2013 00:00:00 GMT\r\n",
        "x-amz-date: nonsense\r\nDate: Fri, 24 May 2013 00:00:00 GMT\r\n",
        "Date: Fri, 24 May 2013 00:00:00 CET\r\n",
    ] {
        check(&with(GET, date, by), ErrorCode::AccessDenied, message);
    }
}

#[test]
fn the_date_header_counts_only_without_x_amz_date() {
    check_accepted(&sign(&and(GET, "Date: Thu, 01 Jan 1970 00:00:00 GMT")));
    let by_date = with(GET, "x-amz-date: 20130524T000000Z", "Date: Fri, 24 May 2013 00:00:00 GMT");
    check_accepted(&sign(&with(&by_date, ";x-amz-date", "")));
    let by_date = with(GET, "x-amz-date: 20130524T000000Z", "Date: 20130524T000000Z");
    check_accepted(&sign(&with(&by_date, ";x-amz-date", "")));
}

#[test]
fn a_request_may_be_fifteen_minutes_off_and_not_a_second_more() {
    let raw = sign(GET);
    for off in [-900, -899, 0, 899, 900] {
        assert_eq!(verdict(raw.as_bytes(), NOW + off), Ok(()), "{off}");
    }
    let message = "The difference between the request time and the current time is too large.";
    for off in [-901, 901, 1 << 40, i64::MAX - NOW, i64::MIN] {
        check_at(&raw, NOW.wrapping_add(off), ErrorCode::RequestTimeTooSkewed, message);
    }
    let denial = verdict(raw.as_bytes(), NOW + 901).unwrap_err();
    assert_eq!(denial.code.http_status(), 403);
    let details = [
        ("RequestTime", "20130524T000000Z".to_owned()),
        ("ServerTime", "2013-05-24T00:15:01Z".to_owned()),
        ("MaxAllowedSkewMilliseconds", "900000".to_owned()),
    ];
    assert_eq!(denial.details, details);
}

#[test]
fn no_other_time_is_a_date() {
    let message = "AWS authentication requires a valid Date or x-amz-date header";
    for date in [
        "20130524T000000",
        "20130524T000000+00",
        "20130524T000000z",
        "20130524 000000Z",
        "2013-05-24T00:00:00Z",
        "20130524T240000Z",
        "20130524T235960Z",
        "20130230T000000Z",
        "1369353600",
        "Fri, 24 May 2013 00:00:00 GMT",
        "",
    ] {
        check(&with(GET, "20130524T000000Z", date), ErrorCode::AccessDenied, message);
    }
    let message = "The difference between the request time and the current time is too large.";
    for day in ["99991231", "00000101", "19691231", "20130624"] {
        let raw = with(
            &with(GET, "20130524T000000Z", &format!("{day}T000000Z")),
            "EXAMPLE/20130524",
            &format!("EXAMPLE/{day}"),
        );
        check(&raw, ErrorCode::RequestTimeTooSkewed, message);
    }
}
