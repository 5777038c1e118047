//! Values of headers: repeated, padded, folded, or not text.

use sigv4::ErrorCode;

use crate::server::{GET, sign};
use crate::{MISMATCH, and, check, check_accepted, with};

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
fn a_value_is_its_words_and_nothing_around_them() {
    let raw = with(&and(GET, "x-amz-meta-a: one two"), ";x-amz-date", ";x-amz-date;x-amz-meta-a");
    let raw = sign(&raw);
    for same in ["one  two", " one two ", "\tone two\t", "one     two"] {
        check_accepted(&with(&raw, "one two", same));
    }
    for other in
        ["one\ttwo", "onetwo", "one two,", "one two, ", "ONE TWO", "one two\u{a0}", "", "one two x"]
    {
        check(&with(&raw, "one two", other), ErrorCode::SignatureDoesNotMatch, MISMATCH);
    }
    check(
        &with(&raw, "one two", "one two\r\nX-Amz-Meta-A:"),
        ErrorCode::SignatureDoesNotMatch,
        MISMATCH,
    );
}

#[test]
fn a_value_is_on_one_line_and_has_no_control_bytes() {
    let message = "An error occurred when parsing the HTTP request.";
    for value in
        ["one\r\n two", "one\r\n\ttwo", "one\n two", "one\0two", "one\rtwo", "\u{1}", "one\u{7f}"]
    {
        check(&and(GET, &format!("x-amz-meta-a: {value}")), ErrorCode::BadRequest, message);
    }
}

#[test]
fn a_value_need_not_be_text() {
    let raw = with(&and(GET, "x-amz-meta-a: VALUE"), ";x-amz-date", ";x-amz-date;x-amz-meta-a");
    let mut unsigned = raw.replace("SIGNATURE", &"0".repeat(64)).into_bytes();
    let at = unsigned.windows(5).position(|some| some == b"VALUE").unwrap();
    unsigned[at] = 0xff;
    let denial = crate::server::verdict(&unsigned, crate::server::NOW).unwrap_err();
    assert_eq!(denial.code, ErrorCode::SignatureDoesNotMatch);
}
