//! What a signature covers: payload, headers, and the signature itself.

use sigv4::{DateKey, ErrorCode, Expected, Head, authenticate};

use crate::server::{GET, NOW, PRESIGNED, SECRET, sign, verdict};
use crate::{MISMATCH, NOT_SIGNED, and, check, check_accepted, check_malformed, check_query, with};

#[test]
fn a_header_signature_says_what_it_signs_of_the_body() {
    let header = "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n";
    let message = "Missing required header for this request: x-amz-content-sha256";
    check(&with(GET, header, ""), ErrorCode::InvalidRequest, message);
    let message = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
                   STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER \
                   or a valid sha256 value.";
    for value in ["", "unsigned-payload", "STREAMING-UNSIGNED-PAYLOAD", &"0A".repeat(32)] {
        let raw = with(GET, "UNSIGNED-PAYLOAD", value);
        let denial = check(&raw, ErrorCode::InvalidArgument, message);
        assert_eq!(denial.details[1], ("ArgumentValue", value.to_owned()));
        check(
            &and(PRESIGNED, &format!("x-amz-content-sha256: {value}")),
            ErrorCode::InvalidArgument,
            message,
        );
    }
}

#[test]
fn a_presigned_url_may_say_what_it_signs_of_the_body_but_only_one_thing() {
    let hash = "0a".repeat(32);
    let parameter =
        with(PRESIGNED, "&X-Amz-Date", &format!("&X-Amz-Content-Sha256={hash}&X-Amz-Date"));
    let header = with(
        &and(PRESIGNED, &format!("x-amz-content-sha256: {hash}")),
        "=host",
        "=host;x-amz-content-sha256",
    );
    let both = and(
        &with(&parameter, "=host", "=host;x-amz-content-sha256"),
        &format!("x-amz-content-sha256: {hash}"),
    );
    for raw in [&parameter, &header, &both] {
        let raw = sign(raw);
        check_accepted(&raw);
        let head = Head::parse(raw.as_bytes()).unwrap();
        let request = authenticate(&head, &Expected::s3("us-east-1", NOW)).unwrap();
        assert_eq!(request.payload_mode(), sigv4::PayloadMode::Sha256([10; 32]));
        assert!(request.canonical_request().ends_with(hash.as_bytes()));
    }
    let message = "The header and the query parameter x-amz-content-sha256 are not the same.";
    let differing = with(&both, "Sha256=0a", "Sha256=0b");
    check(&differing, ErrorCode::InvalidRequest, message);
}

#[test]
fn every_amz_header_must_be_signed() {
    for template in [GET, PRESIGNED] {
        for header in [
            "x-amz-acl: public-read",
            "X-AMZ-Tagging: a=b",
            "x-amz-copy-source: /other/secret",
            "x-amz-security-token: t",
            "x-amz-storage-class: GLACIER",
            "x-amz-object-lock-mode: GOVERNANCE",
            "x-amz-server-side-encryption-customer-key: k",
            "x-amz-:",
            // Servers that hand headers on as CGI does take these for the above.
            "x_amz_acl: public-read",
            "X_Amz-Copy_Source: /other/secret",
            "x-amz_copy-source: /other/secret",
        ] {
            let raw = and(template, header);
            let name = header.split(':').next().unwrap().to_ascii_lowercase();
            let denial = check(&raw, ErrorCode::AccessDenied, NOT_SIGNED);
            assert_eq!(denial.details, [("HeadersNotSigned", name)]);
        }
        check_accepted(&sign(&and(template, "x-amzn-trace-id: Root=1")));
        check_accepted(&sign(&and(template, "Content-Type: text/plain")));
    }
}

#[test]
fn all_that_is_not_signed_is_named_at_once() {
    let raw = and(&and(GET, "x-amz-b: 1"), "x-amz-a: 2");
    let denial = check(&with(&raw, "=host;", "="), ErrorCode::AccessDenied, NOT_SIGNED);
    assert_eq!(denial.details[0].1, "host, x-amz-a, x-amz-b");
}

#[test]
fn the_list_of_signed_headers_is_lower_case_sorted_and_without_gaps() {
    let what = "expecting at most 100 lower-case header names, sorted and separated by ';'";
    let many: String = (0..101).map(|i| format!("h{i:03};")).collect();
    let lists = [
        "Host",
        "host;host",
        "host;accept",
        "accept;;host",
        ";host",
        "host;",
        "ho st",
        "hos\u{f6}",
        &many,
    ];
    for list in lists {
        let raw = with(GET, "host;x-amz-content-sha256;x-amz-date", list);
        let raw = and(&raw, many.replace(';', ": 1\r\n").trim_end());
        check_malformed(&raw, &format!("the SignedHeaders are mal-formed; {what}"));
        let raw = with(PRESIGNED, "=host", &format!("={list}").replace(' ', "%20"));
        let raw = and(&raw, many.replace(';', ": 1\r\n").trim_end());
        check_query(&raw, &format!("Error parsing the X-Amz-SignedHeaders parameter; {what}"));
    }
}

#[test]
fn a_list_in_a_query_may_have_its_separators_escaped_and_nothing_else() {
    let raw = and(PRESIGNED, "x-amz-acl: private");
    for separator in [";", "%3B", "%3b"] {
        check_accepted(&sign(&with(&raw, "=host", &format!("=host{separator}x-amz-acl"))));
    }
    let message = "Error parsing the X-Amz-SignedHeaders parameter; expecting at most 100 lower-case \
                   header names, sorted and separated by ';'";
    check_query(&with(&raw, "=host", "=host;x%2Damz-acl"), message);
    check_query(&with(&raw, "=host", "=%68ost"), message);
    let in_header = with(&and(GET, "accept-x: 1"), "=host;", "=accept%3Bhost;");
    assert!(verdict(in_header.as_bytes(), NOW).is_err());
}

#[test]
fn a_signed_header_must_be_in_the_request_and_not_in_the_query() {
    let what = "the header 'x-amz-acl' is not in the request";
    let raw = with(GET, "host;", "host;x-amz-acl;");
    check_malformed(&raw, &format!("the SignedHeaders are mal-formed; {what}"));
    let raw = with(&raw, "versionId=3", "x-amz-acl=private");
    check_malformed(&raw, &format!("the SignedHeaders are mal-formed; {what}"));
    let raw = with(PRESIGNED, "=host", "=host;x-amz-acl&x-amz-acl=private");
    check_query(&raw, &format!("Error parsing the X-Amz-SignedHeaders parameter; {what}"));
    let raw = with(GET, "Host: s3.example.com\r\n", "");
    check_malformed(
        &raw,
        "the SignedHeaders are mal-formed; the header 'host' is not in the request",
    );
}

#[test]
fn what_authentication_reads_may_be_given_once() {
    for header in [
        "host: s3.example.com",
        "HOST: other",
        "x-amz-date: 20130524T000000Z",
        "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD",
    ] {
        let name = header.split(':').next().unwrap().to_ascii_lowercase();
        let message = format!("The header '{name}' was given more than once.");
        check(&and(GET, header), ErrorCode::InvalidRequest, &message);
    }
    let message = "Query-string authentication takes each X-Amz- parameter only once.";
    for parameter in
        ["X-Amz-Signature=0", "X-Amz-Date=0", "X-Amz-%43redential=0", "X-Amz-SignedHeaders=host"]
    {
        check_query(&with(PRESIGNED, "/a%20key?", &format!("/a%20key?{parameter}&")), message);
    }
}

#[test]
fn a_repeated_header_is_signed_in_the_order_received() {
    let raw = with(
        &and(GET, "x-amz-meta-a: 1\r\nX-Amz-Meta-A:  2  3 "),
        ";x-amz-date",
        ";x-amz-date;x-amz-meta-a",
    );
    let raw = sign(&raw);
    check_accepted(&raw);
    check_accepted(&with(&raw, "X-Amz-Meta-A:  2  3 ", "x-amz-meta-a: 2 3"));
    let joined =
        with(&with(&raw, "x-amz-meta-a: 1\r\n", ""), "X-Amz-Meta-A:  2  3 ", "x-amz-meta-a: 1,2 3");
    check_accepted(&joined); // RFC 9110 section 5.3 has both mean the same
    let swapped = with(
        &with(&raw, "x-amz-meta-a: 1", "x-amz-meta-a: 2 3"),
        "X-Amz-Meta-A:  2  3 ",
        "X-Amz-Meta-A: 1",
    );
    check(&swapped, ErrorCode::SignatureDoesNotMatch, MISMATCH);
    check(&with(&raw, "  2  3 ", "2\t3"), ErrorCode::SignatureDoesNotMatch, MISMATCH);
}

#[test]
fn a_wrong_signature_is_explained_with_the_clients_own_words() {
    for signature in ["0".repeat(64), "0".repeat(63), "Z".repeat(64), "x".to_owned()] {
        let raw = with(GET, "SIGNATURE", &signature);
        let denial = check(&raw, ErrorCode::SignatureDoesNotMatch, MISMATCH);
        let canonical = "GET\n/bucket/a%20key\nversionId=3\nhost:s3.example.com\n\
                         x-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:20130524T000000Z\n\n\
                         host;x-amz-content-sha256;x-amz-date\nUNSIGNED-PAYLOAD";
        let names: Vec<_> = denial.details.iter().map(|(name, _)| *name).collect();
        let expected = [
            "AWSAccessKeyId",
            "StringToSign",
            "SignatureProvided",
            "StringToSignBytes",
            "CanonicalRequest",
            "CanonicalRequestBytes",
        ];
        assert_eq!(names, expected);
        assert_eq!(denial.details[0].1, "AKIAIOSFODNN7EXAMPLE");
        assert_eq!(denial.details[2].1, signature);
        assert!(denial.details[3].1.starts_with("41 57 53 34 2d 48 4d 41 43"));
        assert_eq!(denial.details[4].1, canonical);
        assert!(denial.details[5].1.starts_with("47 45 54 0a 2f"));
        let right = sign(GET);
        let right = &right[right.find("Signature=").unwrap() + 10..][..64];
        assert!(denial.details.iter().all(|(_, text)| !text.contains(right)));
    }
}

#[test]
fn an_upper_case_signature_does_not_match() {
    let signed = sign(GET);
    let signature = &signed[signed.find("Signature=").unwrap() + 10..][..64];
    let raw = signed.replace(signature, &signature.to_ascii_uppercase());
    check(&raw, ErrorCode::SignatureDoesNotMatch, MISMATCH);
}

#[test]
fn no_combination_of_method_and_payload_lets_a_guessed_signature_in() {
    let hash = "0a".repeat(32);
    for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"] {
        for payload in [
            "UNSIGNED-PAYLOAD",
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            &hash,
        ] {
            for signature in ["0".repeat(64), "5f".repeat(32)] {
                let header =
                    with(&with(GET, "UNSIGNED-PAYLOAD", payload), "GET ", &format!("{method} "));
                let header = with(&header, "SIGNATURE", &signature);
                check(&header, ErrorCode::SignatureDoesNotMatch, MISMATCH);
                let query = and(
                    &with(PRESIGNED, "GET ", &format!("{method} ")),
                    &format!("x-amz-content-sha256: {payload}"),
                );
                let query = with(
                    &with(&query, "=host", "=host;x-amz-content-sha256"),
                    "SIGNATURE",
                    &signature,
                );
                check(&query, ErrorCode::SignatureDoesNotMatch, MISMATCH);
            }
        }
    }
}

#[test]
fn a_key_of_another_secret_day_region_or_service_does_not_fit() {
    let raw = sign(GET);
    let head = Head::parse(raw.as_bytes()).unwrap();
    let request = authenticate(&head, &Expected::s3("us-east-1", NOW)).unwrap();
    let day = |offset: i64| sigv4::Date::from_unix_seconds(NOW + offset * 86_400);
    let key = |secret: &str, offset, region, service| {
        DateKey::derive(secret.as_bytes(), &day(offset)).signing_key(region, service)
    };
    assert!(request.is_signed_by(&key(SECRET, 0, "us-east-1", "s3")));
    assert!(!request.is_signed_by(&key("other", 0, "us-east-1", "s3")));
    assert!(!request.is_signed_by(&key(SECRET, -1, "us-east-1", "s3")));
    assert!(!request.is_signed_by(&key(SECRET, 0, "us-east-2", "s3")));
    assert!(!request.is_signed_by(&key(SECRET, 0, "us-east-1", "iam")));
}
