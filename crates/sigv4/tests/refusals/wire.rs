//! How a request stands on the wire: path, query and head.

use sigv4::{ErrorCode, Head, HeadError};

use crate::server::{GET, sign};
use crate::{MISMATCH, and, check, check_accepted, with};

#[test]
fn a_path_is_verified_as_it_will_be_acted_on() {
    let raw = sign(&with(GET, "a%20key", "a/./b//../c%2Fd~"));
    check_accepted(&raw);
    check_accepted(&with(&raw, "c%2Fd~", "c%2fd%7e")); // other spellings of the same bytes
    for other in
        ["a/b//../c%2Fd~", "a/./b/../c%2Fd~", "a/./c%2Fd~", "a/./b//../c/d~", "a/./b//../c%252Fd~"]
    {
        let raw = with(&raw, "a/./b//../c%2Fd~", other);
        check(&raw, ErrorCode::SignatureDoesNotMatch, MISMATCH);
    }
}

#[test]
fn a_plus_sign_is_a_space_in_a_query_and_itself_in_a_path() {
    let raw = sign(&with(&with(GET, "a%20key", "a%20b"), "=3", "=a%20b"));
    check_accepted(&with(&raw, "=a%20b", "=a+b"));
    check(&with(&raw, "=a%20b", "=a%2Bb"), ErrorCode::SignatureDoesNotMatch, MISMATCH);
    check(&with(&raw, "/a%20b", "/a+b"), ErrorCode::SignatureDoesNotMatch, MISMATCH);
}

#[test]
fn a_query_is_a_bag_of_pairs() {
    let raw = sign(&with(GET, "versionId=3", "b=2&a=1&b=1&c"));
    for same in ["a=1&b=1&b=2&c", "c=&b=2&b=1&a=1", "%61=%31&b=1&b=2&c", "&a=1&&b=1&b=2&c&"] {
        check_accepted(&with(&raw, "b=2&a=1&b=1&c", same));
    }
    for other in [
        "a=1&b=1&b=2",
        "a=1&b=1&c",
        "a=1&b=1,2&c",
        "a=1&b=1&b=2&c&c",
        "a=1&b=1&b=2&C",
        "a=1;b=1&b=2&c",
    ] {
        let raw = with(&raw, "b=2&a=1&b=1&c", other);
        check(&raw, ErrorCode::SignatureDoesNotMatch, MISMATCH);
    }
}

#[test]
fn forwarding_headers_change_nothing() {
    let raw = sign(GET);
    for header in [
        "X-Forwarded-Host: evil",
        "X-Original-URL: /other",
        "X-Forwarded-Prefix: /p",
        "Forwarded: host=evil",
    ] {
        check_accepted(&and(&raw, header));
    }
}

#[test]
fn a_head_that_is_not_http_is_a_bad_request() {
    let message = "An error occurred when parsing the HTTP request.";
    for raw in [
        "",
        "GET",
        "GET\r\n",
        " / HTTP/1.1\r\n",
        "G\u{e9}T / HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n",
        "GET / FTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost\r\n",
        "GET / HTTP/1.1\r\nHost : h\r\n",
        "GET / HTTP/1.1\r\n: h\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n",
        "GET / HTTP/1.1\r\nHost: a\0b\r\n",
        "GET / HTTP/1.1\r\nHost: a\rb\r\n",
        "GET / HTTP/1.1\r\nHost: a\x7f\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nbody",
        "GET / HTTP/1.1\r\nH\u{f6}st: a\r\n",
    ] {
        check(raw, ErrorCode::BadRequest, message);
    }
}

#[test]
fn a_target_is_an_absolute_path_with_whole_escapes() {
    for target in ["*", "http://h/", "?a", "//%", "/%4", "/%zz", "/a#b", "/?a=%", "bucket"] {
        let raw = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        check(&raw, ErrorCode::InvalidUri, "Couldn't parse the specified URI.");
    }
}

#[test]
fn a_head_has_limits() {
    let parse = |raw: &str| Head::parse(raw.as_bytes()).map(|_| ());
    let target = |len: usize| format!("GET /{} HTTP/1.1\r\n", "a".repeat(len - 1));
    assert_eq!(parse(&target(16_384)), Ok(()));
    assert_eq!(parse(&target(16_385)), Err(HeadError::TooLarge { bytes_max: 16_384 }));
    let headers = |len: usize| format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(len));
    assert_eq!(parse(&headers(128)), Ok(()));
    assert_eq!(parse(&headers(129)), Err(HeadError::TooManyHeaders { headers_max: 128 }));
    let query = |len: usize| format!("GET /?{}a HTTP/1.1\r\n", "a&".repeat(len - 1));
    assert_eq!(parse(&query(128)), Ok(()));
    assert_eq!(parse(&query(129)), Err(HeadError::TooManyParameters { parameters_max: 128 }));
    let head = |len: usize| format!("GET / HTTP/1.1\r\na: {}", "b".repeat(len - 19));
    assert_eq!(parse(&head(65_535)), Ok(()));
    assert_eq!(parse(&head(65_536)), Err(HeadError::TooLarge { bytes_max: 65_535 }));
    assert_eq!(parse(&format!("{} / HTTP/1.1", "A".repeat(33))), Err(HeadError::Malformed));
    check(
        &head(65_536),
        ErrorCode::RequestHeaderSectionTooLarge,
        "Your request header section exceeds the maximum allowed size.",
    );
}

#[test]
fn line_ends_version_and_blank_line_are_free() {
    let raw = sign(GET);
    check_accepted(&with(&raw, "\r\n", "\n"));
    check_accepted(&with(&raw, " HTTP/1.1", ""));
    check_accepted(&with(&raw, " HTTP/1.1", " HTTP/2"));
    check_accepted(raw.trim_end());
    check_accepted(&with(&raw, ": ", ":"));
    check_accepted(&with(&raw, ": ", ": \t "));
}

#[test]
fn no_part_can_break_out_of_its_place_in_a_head() {
    let mut buffer = Vec::new();
    let mut parts = |method: &str, target: &str, name: &str, value: &str| {
        let headers = [(name.as_bytes(), value.as_bytes())];
        Head::from_parts(&mut buffer, method, target.as_bytes(), headers).map(|_| ())
    };
    assert_eq!(parts("GET", "/", "host", "h"), Ok(()));
    for (method, target, name, value) in [
        ("GET /other", "/", "host", "h"),
        ("", "/", "host", "h"),
        ("GET", "/ HTTP/1.1\r\nx: y", "host", "h"),
        ("GET", "/a b", "host", "h"),
        ("GET", "/", "host: h\r\nx", "h"),
        ("GET", "/", ":authority", "h"),
        ("GET", "/", "", "h"),
        ("GET", "/", "host", "h\r\nx: y"),
        ("GET", "/", "host", "h\ny: z"),
        ("GET", "/", "host", "h\0"),
    ] {
        assert_eq!(parts(method, target, name, value), Err(HeadError::Malformed), "{name}");
    }
}
