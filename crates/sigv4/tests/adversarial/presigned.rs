//! Presigned URLs.

use sigv4::ErrorCode;

use crate::server::{NOW, PRESIGNED, sign, verdict};
use crate::{MISMATCH, MISSING, check, check_accepted, check_at, check_query, with};

#[test]
fn a_presigned_url_needs_all_its_parameters() {
    let (target, _) = PRESIGNED[4..].split_once(' ').unwrap();
    let (_, query) = target.split_once('?').unwrap();
    for parameter in query.split('&') {
        let name = parameter.split('=').next().unwrap();
        check_query(&PRESIGNED.replace(parameter, ""), MISSING);
        check_query(&PRESIGNED.replace(parameter, name), MISSING);
    }
    check_query(
        &with(PRESIGNED, "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"),
        "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"",
    );
    check_query(
        &with(PRESIGNED, "20130524T000000Z", "2013-05-24"),
        "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
    );
}

#[test]
fn the_life_of_a_presigned_url_is_a_number_of_seconds_up_to_a_week() {
    let expires = |value: &str| with(PRESIGNED, "Expires=3600", &format!("Expires={value}"));
    for value in ["1e3", "+1", "0x10", "1.5", "-", "abc", "%31", "1%20"] {
        check_query(&expires(value), "X-Amz-Expires should be a number");
    }
    check_query(&expires("-1"), "X-Amz-Expires must be non-negative");
    let message = "X-Amz-Expires must be less than a week (in seconds); that is, the given \
                   X-Amz-Expires must be less than 604800 seconds";
    for value in ["604801", "4294967296", "18446744073709551617"] {
        check_query(&expires(value), message);
    }
    for value in ["1", "007", "604800"] {
        check_accepted(&sign(&expires(value)));
    }
}

#[test]
fn a_presigned_url_ends_at_its_last_second() {
    let raw = sign(PRESIGNED);
    assert_eq!(verdict(raw.as_bytes(), NOW + 3599), Ok(()));
    for now in [NOW + 3600, i64::MAX] {
        check_at(&raw, now, ErrorCode::AccessDenied, "Request has expired");
    }
    let denial = verdict(raw.as_bytes(), NOW + 3600).unwrap_err();
    let details = [
        ("X-Amz-Expires", "3600".to_owned()),
        ("Expires", "2013-05-24T01:00:00Z".to_owned()),
        ("ServerTime", "2013-05-24T01:00:00Z".to_owned()),
    ];
    assert_eq!(denial.details, details);
    let dead = with(PRESIGNED, "Expires=3600", "Expires=0");
    check(&dead, ErrorCode::AccessDenied, "Request has expired");
}

#[test]
fn a_presigned_url_may_be_dated_fifteen_minutes_ahead() {
    let raw = sign(PRESIGNED);
    assert_eq!(verdict(raw.as_bytes(), NOW - 900), Ok(()));
    for now in [NOW - 901, i64::MIN] {
        check_at(&raw, now, ErrorCode::AccessDenied, "Request is not valid yet");
    }
}

#[test]
fn a_presigned_url_is_for_one_method_and_query() {
    let raw = sign(PRESIGNED);
    check(&with(&raw, "GET ", "PUT "), ErrorCode::SignatureDoesNotMatch, MISMATCH);
    check(&with(&raw, "GET ", "HEAD "), ErrorCode::SignatureDoesNotMatch, MISMATCH);
    check(&with(&raw, "a%20key?", "a%20key?acl&"), ErrorCode::SignatureDoesNotMatch, MISMATCH);
    check(&with(&raw, "Host: s3", "Host: s4"), ErrorCode::SignatureDoesNotMatch, MISMATCH);
    let token = with(&raw, "&X-Amz-Date", "&X-Amz-Security-Token=t&X-Amz-Date");
    check(&token, ErrorCode::SignatureDoesNotMatch, MISMATCH);
    let expires = "&X-Amz-Expires=3600";
    let moved = with(&with(&raw, expires, ""), "a%20key?", &format!("a%20key?{}&", &expires[1..]));
    check_accepted(&moved);
}

#[test]
fn an_access_key_id_may_be_escaped() {
    check_accepted(&sign(&with(PRESIGNED, "AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPL%45")));
    let raw = with(PRESIGNED, "AKIAIOSFODNN7EXAMPLE", "team%2f%41KIA");
    let head = sigv4::Head::parse(raw.as_bytes()).unwrap();
    let request = sigv4::authenticate(&head, &sigv4::Expected::s3("us-east-1", NOW)).unwrap();
    assert_eq!(request.access_key_id(), "team/AKIA");
}
