//! Heads that are no HTTP, or too much of it.

use sigv4::{ErrorCode, Head, HeadError};

use crate::server::{GET, sign};
use crate::{check, check_accepted, with};

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
