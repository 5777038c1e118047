//! Signature Version 2: the examples of AWS's documentation and what botocore signs are accepted, and nothing that
//! was changed since.

use proptest::prelude::*;
use serde_json::Value;
use sigv4::{
    Denial, ErrorCode, Expected, Head, PayloadMode, SignedVersion2, authenticate_version_2,
    parse_version_2, verify_version_2,
};

/// When botocore signed: 2013-05-24T00:00:00Z.
const NOW: i64 = 1_369_353_600;
const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// What a server with the one key says. `None` if the request is not of Version 2.
fn ask(head: &str, bucket: Option<&str>, now: i64) -> Option<Result<SignedVersion2, Denial>> {
    let head = Head::parse(head.as_bytes()).expect("is a head");
    let signed = authenticate_version_2(&head, &Expected::s3("us-east-1", now), bucket)?;
    Some(signed.and_then(|signed| {
        assert_eq!(signed.access_key_id(), ACCESS_KEY_ID);
        let text = signed.string_to_sign();
        match signed.signature().is_some_and(|signature| verify_version_2(SECRET, text, signature))
        {
            true => Ok(signed),
            false => Err(signed.signature_does_not_match()),
        }
    }))
}

fn verdict(head: &str, bucket: Option<&str>, now: i64) -> Result<SignedVersion2, Denial> {
    ask(head, bucket, now).unwrap_or_else(|| panic!("is not of version 2: {head}"))
}

#[track_caller]
fn check(head: &str, expected: ErrorCode) {
    let denial = verdict(head, None, NOW).map(|_| ()).expect_err(head);
    assert_eq!(denial.code, expected, "{denial}\n{head}");
}

fn recorded() -> Vec<(String, Option<String>, String)> {
    let read = |line| {
        let vector: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| vector[name].as_str().map(str::to_owned);
        (text("name").unwrap(), text("bucket"), text("head").unwrap())
    };
    include_str!("vectors/version_2.jsonl").lines().map(read).collect()
}

fn named(name: &str) -> String {
    recorded().into_iter().find(|(known, ..)| known == name).unwrap().2
}

#[test]
fn the_examples_of_the_documentation_are_accepted() {
    // Amazon S3 developer guide, "Authentication examples". Its key is AKIAIOSFODNN7EXAMPLE.
    let host = "Host: johnsmith.s3.amazonaws.com\r\n";
    let date = |text: &str| format!("Date: Tue, 27 Mar 2007 {text} +0000\r\n");
    let at = 1_175_024_000; // 2007-03-27T19:33:20Z
    for (head, signature) in [
        (
            format!("GET /photos/puppy.jpg HTTP/1.1\r\n{host}{}", date("19:36:42")),
            "bWq2s1WEIj+Ydj0vQ697zp+IXMU=",
        ),
        (
            format!(
                "PUT /photos/puppy.jpg HTTP/1.1\r\nContent-Type: image/jpeg\r\n{host}{}",
                date("19:36:42").replace("19:36:42", "21:15:45")
            ),
            "MyyxeRY7whkBe+bq8fHCL/2kKUg=",
        ),
        (
            format!(
                "GET /?prefix=photos&max-keys=50&marker=puppy HTTP/1.1\r\n{host}{}",
                date("19:42:41")
            ),
            "htDYFYduRNen8P9ZfE/s9SuKy0U=",
        ),
        (
            format!("GET /?acl HTTP/1.1\r\n{host}{}", date("19:44:46")),
            "c2WLPFtWHVgbEmeEG93a4cG37dM=",
        ),
    ] {
        let head = format!("{head}Authorization: AWS {ACCESS_KEY_ID}:{signature}\r\n\r\n");
        let at = if head.contains("21:15") { at + 5_600 } else { at };
        let verdict = verdict(&head, Some("johnsmith"), at);
        assert!(verdict.is_ok(), "{verdict:?}");
    }
}

#[test]
fn what_botocore_signs_is_accepted() {
    let all = recorded();
    assert_eq!(all.len(), 18);
    for (name, bucket, head) in all {
        let signed = verdict(&head, bucket.as_deref(), NOW);
        let signed = signed.unwrap_or_else(|denial| panic!("{name}: {denial}"));
        assert_eq!(signed.is_presigned(), name.contains("URL"), "{name}");
        let mode = match name.as_str() {
            "the hash of the body" => PayloadMode::Sha256([0x0a; 32]),
            _ => PayloadMode::Unsigned,
        };
        assert_eq!(signed.payload_mode(), mode, "{name}");
    }
    let signed = verdict(&named("headers of S3"), None, NOW).unwrap();
    assert_eq!(signed.signed_headers(), ["date", "x-amz-acl", "x-amz-meta-a", "x-amz-meta-b"]);
}

#[test]
fn a_header_is_good_for_a_quarter_of_an_hour() {
    let head = named("an object");
    for off in [-900, 900] {
        assert!(verdict(&head, None, NOW + off).is_ok());
    }
    for off in [-901, 901] {
        let denial = verdict(&head, None, NOW + off).unwrap_err();
        assert_eq!(denial.code, ErrorCode::RequestTimeTooSkewed);
    }
    for date in ["Date: ", "Date: today", "x-other: "] {
        check(&head.replace("Date: Fri, 24 May 2013 00:00:00 GMT", date), ErrorCode::AccessDenied);
    }
}

#[test]
fn a_url_is_good_until_its_end_which_is_no_more_than_a_week_ahead() {
    let head = named("a URL");
    assert!(verdict(&head, None, NOW + 3599).is_ok());
    let denial = verdict(&head, None, NOW + 3600).unwrap_err();
    assert_eq!((denial.code, &*denial.message), (ErrorCode::AccessDenied, "Request has expired"));
    let week = named("a URL for a week");
    assert!(verdict(&week, None, NOW).is_ok());
    let denial = verdict(&week, None, NOW - 1).unwrap_err();
    assert_eq!(denial.code, ErrorCode::AuthorizationQueryParametersError);
    for end in ["", "x", "-1", "+1", "1e9", "99999999999999999999", "9223372036854775807"] {
        let changed = head.replace("Expires=1369357200", &format!("Expires={end}"));
        check(&changed, ErrorCode::AuthorizationQueryParametersError);
    }
    for gone in ["&Expires=1369357200", "&Signature="] {
        let changed = head.replace(gone, "&marker=");
        check(&changed, ErrorCode::AuthorizationQueryParametersError);
    }
    let changed = head.replace("&Expires=", "&Expires=1&Expires=");
    check(&changed, ErrorCode::AuthorizationQueryParametersError);
}

#[test]
fn what_is_not_signed_cannot_make_another_operation_of_a_request() {
    let head = named("an object");
    let with = |query: &str| head.replacen("/bucket/key", &format!("/bucket/key?{query}"), 1);
    for known in ["acl", "uploads", "tagging=", "versionId=1", "object-lock"] {
        check(&with(known), ErrorCode::SignatureDoesNotMatch);
    }
    // No client signs these: they would be anybody's.
    for unknown in [
        "encryption",
        "publicAccessBlock",
        "legal-hold",
        "retention",
        "attributes",
        "%61cl",
        "ACL",
        "x",
        "Expires=1",
        "x-amz-acl=public-read",
        "x-amz-security-token=a",
        "x-amz-copy-source=%2Fa%2Fb",
    ] {
        check(&with(unknown), ErrorCode::InvalidRequest);
    }
    assert!(verdict(&with("prefix=a&marker="), None, NOW).is_ok(), "a part of a listing");
    // One value that reads as two parameters in the string to sign.
    let upload = named("sub-resources in any order");
    let one = upload.replace("uploadId=a%2Fb%2B&partNumber=2", "partNumber=2%26uploadId=a%2Fb%2B");
    check(&one, ErrorCode::InvalidRequest);
}

#[test]
fn a_credential_has_one_spelling() {
    let head = named("an object");
    let line = head.lines().find(|line| line.starts_with("Authorization")).unwrap();
    let (_, signature) = line.rsplit_once(':').unwrap();
    let with = |value: &str| head.replace(line, &format!("Authorization: {value}"));
    assert!(verdict(&with(&format!("AWS {ACCESS_KEY_ID}:{signature}")), None, NOW).is_ok());
    let unpadded = signature.trim_end_matches('=');
    for wrong in [unpadded, &format!("{signature}="), &format!(" {signature}"), "", "AAAA"] {
        check(&with(&format!("AWS {ACCESS_KEY_ID}:{wrong}")), ErrorCode::SignatureDoesNotMatch);
    }
    // The last digit has two bits that mean nothing.
    let last = unpadded.as_bytes()[unpadded.len() - 1];
    let next = char::from(last + 1);
    let other = format!("{}{next}=", &unpadded[..unpadded.len() - 1]);
    check(&with(&format!("AWS {ACCESS_KEY_ID}:{other}")), ErrorCode::SignatureDoesNotMatch);
    for malformed in ["AWS x", "AWS :x", "AWS a,b:x", "AWS a b:x"] {
        check(&with(malformed), ErrorCode::InvalidArgument);
    }
    for other in [format!("AWS{ACCESS_KEY_ID}:{signature}"), format!("aws {ACCESS_KEY_ID}:x")] {
        assert!(ask(&with(&other), None, NOW).is_none(), "is not of version 2");
    }
}

#[test]
fn two_mechanisms_at_once_are_not_for_version_2() {
    let head = named("an object");
    for query in ["Signature=a", "AWSAccessKeyId=a", "X-Amz-Signature=a", "Sign%61ture=a"] {
        let both = head.replacen("/bucket/key", &format!("/bucket/key?{query}"), 1);
        assert!(ask(&both, None, NOW).is_none(), "{query}");
    }
    let both = named("a URL").replacen("?", "?X-Amz-Date=a&", 1);
    assert!(ask(&both, None, NOW).is_none());
}

#[test]
fn bodies_in_chunks_and_headers_twice_are_refused() {
    let head = named("an object");
    let with = |line: &str| head.replacen("Host:", &format!("{line}\r\nHost:"), 1);
    for mode in ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x"] {
        check(&with(&format!("x-amz-content-sha256: {mode}")), ErrorCode::InvalidRequest);
    }
    check(&with("Content-Type: a\r\nContent-Type: b"), ErrorCode::InvalidRequest);
    check(&with("Content-MD5: a\r\nContent-MD5: b"), ErrorCode::InvalidRequest);
}

#[test]
fn a_bucket_that_the_host_does_not_name_is_not_signed() {
    let (_, bucket, head) =
        recorded().into_iter().find(|(name, ..)| name == "a bucket in the host").unwrap();
    assert!(verdict(&head, bucket.as_deref(), NOW).is_ok());
    for other in [None, Some("other"), Some("")] {
        assert_eq!(verdict(&head, other, NOW).unwrap_err().code, ErrorCode::SignatureDoesNotMatch);
    }
}

/// What is said of a text that someone else made, at some time.
fn received(text: &[u8], now: i64, expires: Option<u32>) -> Result<SignedVersion2, Denial> {
    let signature = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    parse_version_2(ACCESS_KEY_ID, text, signature, &Expected::s3("us-east-1", now), expires)
}

#[test]
fn a_string_to_sign_is_read_as_the_request_is() {
    for (name, bucket, head) in recorded() {
        let of_head = verdict(&head, bucket.as_deref(), NOW).unwrap();
        let read = received(of_head.string_to_sign(), NOW, None);
        let read = read.unwrap_or_else(|denial| panic!("{name}: {denial}"));
        assert_eq!(read.string_to_sign(), of_head.string_to_sign(), "{name}");
        assert_eq!(read.timestamp(), of_head.timestamp(), "{name}");
        assert_eq!(read.has_session_token(), of_head.has_session_token(), "{name}");
        for later in [900, 901, 3600, 700_000] {
            let code = |denial: Denial| denial.code;
            let of_head = verdict(&head, bucket.as_deref(), NOW + later).map(drop).map_err(code);
            let read = received(read.string_to_sign(), NOW + later, None).map(drop).map_err(code);
            assert_eq!(read, of_head, "{name} after {later}");
        }
    }
}

#[test]
fn a_string_to_sign_may_be_older_if_whoever_asks_says_so() {
    let text = b"GET\n\n\nFri, 24 May 2013 00:00:00 GMT\n/bucket/key";
    for (after, expires, expected) in [
        (900, None, None),
        (901, None, Some(ErrorCode::RequestTimeTooSkewed)),
        (901, Some(3600), None),
        (3600, Some(3600), Some(ErrorCode::AccessDenied)),
        (-901, Some(3600), Some(ErrorCode::AccessDenied)),
        (604_800, Some(u32::MAX), Some(ErrorCode::AccessDenied)),
    ] {
        let found = received(text, NOW + after, expires).err().map(|denial| denial.code);
        assert_eq!(found, expected, "{after} {expires:?}");
    }
}

#[test]
fn what_is_no_string_to_sign_of_a_request_is_refused() {
    let date = "Fri, 24 May 2013 00:00:00 GMT";
    for text in [
        "".to_owned(),
        "GET".to_owned(),
        format!("GET\n\n\n{date}"),
        format!("GET\n\n\n{date}\n"),
        format!("GET\n\n\n{date}\nkey"),
        format!("GET\n\n\n{date}\n/key\n"),
        format!("GET\n\n\n{date}\n/key\n/key"),
        format!("get\n\n\n{date}\n/key"),
        format!("\n\n\n{date}\n/key"),
        format!("AWS4-HMAC-SHA256\n\n\n{date}\n/key"),
        format!("GET\n\n\n{date}\nx-amz-a\n/key"),
        format!("GET\n\n\n{date}\nX-Amz-A:a\n/key"),
        format!("GET\n\n\n{date}\nx-amz-b:a\nx-amz-a:b\n/key"),
        format!("GET\n\n\n{date}\nx-amz-a:a\nx-amz-a:b\n/key"),
        "eyJleHBpcmF0aW9uIjoiMjAyNi0wMS0wMVQwMDowMDowMFoifQ==".to_owned(),
    ] {
        let denial = received(text.as_bytes(), NOW, None).expect_err(&text);
        assert_eq!(denial.code, ErrorCode::AuthorizationHeaderMalformed, "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_fail(text: Vec<u8>, expires: Option<u32>) {
        if let Ok(read) = received(&text, NOW, expires) {
            prop_assert_eq!(read.string_to_sign(), text);
        }
    }

    #[test]
    fn no_byte_of_what_is_signed_can_be_changed(at in 0usize..100_000, by in 1u8..=255, which in 0usize..18) {
        let (name, bucket, head) = recorded().swap_remove(which);
        let mut raw = head.clone().into_bytes();
        let at = at % raw.len();
        raw[at] ^= by;
        let Ok(changed) = Head::parse(&raw) else { return Ok(()) };
        let Some(Ok(signed)) = authenticate_version_2(&changed, &Expected::s3("us-east-1", NOW), bucket.as_deref())
        else { return Ok(()) };
        let verifies = signed.signature().is_some_and(|it| verify_version_2(SECRET, signed.string_to_sign(), it));
        let id = signed.access_key_id() == ACCESS_KEY_ID;
        let Ok(original) = Head::parse(head.as_bytes()) else { panic!("is a head") };
        let lower = |head: &Head<'_>| -> Vec<_> {
            let of_signed = |name: &[u8]| {
                let name = name.to_ascii_lowercase();
                let fixed: [&[u8]; 3] = [b"content-md5", b"content-type", b"date"];
                name.starts_with(b"x-amz-") || fixed.contains(&name.as_slice())
            };
            let headers = head.headers().filter(|(name, _)| of_signed(name));
            headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())).collect()
        };
        let is_same = lower(&original) == lower(&changed)
            && original.path() == changed.path() && original.method() == changed.method();
        // An escape in another case, a part of a listing, or the host: none of them is signed.
        prop_assert!(!(verifies && id) || is_same, "{}: {}", name, String::from_utf8_lossy(&raw));
    }
}
