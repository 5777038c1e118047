//! Credentials of another day, region, service or form.

use sigv4::{ErrorCode, Expected, Head, Mechanism, authenticate};

use crate::server::{GET, NOW, PRESIGNED, sign, verdict};
use crate::{check, check_accepted, check_malformed, check_query, with};

#[test]
fn the_credential_must_be_for_this_service_and_region() {
    let scope = "/20130524/us-east-1/s3/aws4_request";
    let shape = "the Credential is mal-formed; expecting \
                 \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".";
    let date = |date: &str| {
        format!(
            "incorrect date format \"{date}\". This date in the credential must be in the format \"yyyyMMdd\"."
        )
    };
    for (by, what) in [
        ("/us-east-1/s3/aws4_request", shape.to_owned()),
        ("/20130524/us-east-1/s3", shape.to_owned()),
        (
            "/20130524/us-east-1/iam/aws4_request",
            "incorrect service \"iam\". This endpoint belongs to \"s3\".".to_owned(),
        ),
        (
            "/20130524/us-east-1/s3/aws4_requestX",
            "incorrect terminal \"aws4_requestX\". This endpoint uses \"aws4_request\".".to_owned(),
        ),
        ("/2013-05-24/us-east-1/s3/aws4_request", date("2013-05-24")),
        ("/20130231/us-east-1/s3/aws4_request", date("20130231")),
        ("/20130524/us-east-1/x/s3/aws4_request", date("us-east-1")),
        (
            "/20130524/eu-west-2/s3/aws4_request",
            "the region 'eu-west-2' is wrong; expecting 'us-east-1'".to_owned(),
        ),
        ("/20130524//s3/aws4_request", "the region '' is wrong; expecting 'us-east-1'".to_owned()),
        (
            "/20130524/*/s3/aws4_request",
            "the region '*' is wrong; expecting 'us-east-1'".to_owned(),
        ),
    ] {
        check_malformed(&with(GET, scope, by), &what);
        let query = |text: &str| text.replace('/', "%2F");
        let message = format!("Error parsing the X-Amz-Credential parameter; {what}");
        check_query(&with(PRESIGNED, &query(scope), &query(by)), &message);
    }
    let denial = verdict(with(GET, "us-east-1", "eu-west-2").as_bytes(), NOW).unwrap_err();
    assert_eq!(denial.details, [("Region", "us-east-1".to_owned())]);
    let denial = verdict(with(PRESIGNED, "us-east-1", "eu-west-2").as_bytes(), NOW).unwrap_err();
    assert_eq!(denial.details, [("Region", "us-east-1".to_owned())]);
}

#[test]
fn an_access_key_id_may_have_slashes_and_at_most_128_bytes() {
    for template in [GET, PRESIGNED] {
        for id in ["team/a/KEY", &"A".repeat(128)] {
            let raw = sign(&with(template, "AKIAIOSFODNN7EXAMPLE", id));
            let message = "The AWS Access Key Id you provided does not exist in our records.";
            let denial = check(&raw, ErrorCode::InvalidAccessKeyId, message);
            assert_eq!(denial.details, [("AWSAccessKeyId", id.to_owned())]);
        }
    }
    let too_long = with(GET, "AKIAIOSFODNN7EXAMPLE", &"A".repeat(129));
    assert!(verdict(too_long.as_bytes(), NOW).unwrap_err().message.contains("mal-formed"));
    let too_long = with(PRESIGNED, "AKIAIOSFODNN7EXAMPLE", &"A".repeat(9000));
    assert!(verdict(too_long.as_bytes(), NOW).unwrap_err().message.contains("mal-formed"));
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
    assert_eq!(expected.check_scope(&scope, timestamp, Mechanism::Header), Ok(()));
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
    assert_eq!(
        other.check_scope(&scope, timestamp, Mechanism::Header).unwrap_err().details[0].0,
        "Region"
    );
    let tomorrow = sigv4::Timestamp::from_unix_seconds(NOW + 86_400);
    assert!(expected.check_scope(&scope, tomorrow, Mechanism::Header).is_err());
}
