//! When a request was signed, and strings to sign that come without their request.

use sigv4::{ErrorCode, Expected, Head, authenticate};

use crate::server::{GET, NOW, PRESIGNED, sign, verdict};
use crate::{and, check, check_accepted, check_at, check_malformed, check_query, with};

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
fn the_credential_is_of_the_day_of_the_request_even_at_midnight() {
    let yesterday = with(GET, "EXAMPLE/20130524", "EXAMPLE/20130523");
    check_malformed(&yesterday, "Invalid credential date. Date is not the same as X-Amz-Date.");
    check_accepted(&sign(&with(&yesterday, "20130524T000000Z", "20130523T235500Z")));
    check_query(
        &with(PRESIGNED, "EXAMPLE%2F20130524", "EXAMPLE%2F20130523"),
        "Invalid credential date \"20130523\". This date is not the same as X-Amz-Date: \"20130524\".",
    );
}

#[test]
fn a_string_to_sign_is_taken_apart_and_checked() {
    let raw = sign(GET);
    let head = Head::parse(raw.as_bytes()).unwrap();
    let expected = Expected::s3("us-east-1", NOW);
    let request = authenticate(&head, &expected).unwrap();
    let made = request.string_to_sign();
    let text = String::from_utf8(made.as_bytes().to_vec()).unwrap();
    let (timestamp, scope, parsed) = sigv4::StringToSign::parse(text.as_bytes()).unwrap();
    assert_eq!((timestamp, scope), (request.timestamp(), *request.scope()));
    assert_eq!(parsed.as_bytes(), made.as_bytes());
    assert_eq!(expected.check_scope(&scope, timestamp), Ok(()));
    for (piece, by) in [
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
        ("T000000Z", "T000000"),
        ("\n", "\r\n"),
        ("/s3/", "/s3"),
        ("us-east-1", ""),
    ] {
        assert!(sigv4::StringToSign::parse(with(&text, piece, by).as_bytes()).is_none(), "{by}");
    }
    assert!(sigv4::StringToSign::parse(format!("{text}\n").as_bytes()).is_none());
    let other = Expected::s3("eu-west-2", NOW);
    assert_eq!(other.check_scope(&scope, timestamp).unwrap_err().details[0].0, "Region");
    let tomorrow = sigv4::Timestamp::from_unix_seconds(NOW + 86_400);
    assert!(expected.check_scope(&scope, tomorrow).is_err());
}
