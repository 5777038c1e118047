//! Queries that say the same in other words, and those that do not.

use sigv4::ErrorCode;

use crate::server::{GET, sign};
use crate::{MISMATCH, check, check_accepted, with};

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
fn escapes_in_a_query_are_whole_and_separators_are_ampersands() {
    for query in ["a=%zz", "a=%", "a=%4", "%g0=b"] {
        let raw = with(GET, "versionId=3", query);
        check(&raw, ErrorCode::InvalidUri, "Couldn't parse the specified URI.");
    }
    let raw = sign(&with(GET, "versionId=3", "a=%7E%2f;b=c"));
    for same in ["a=~%2F;b=c", "a=~/%3Bb%3Dc", "a=%7e%2F%3bb=c"] {
        check_accepted(&with(&raw, "a=%7E%2f;b=c", same));
    }
    check(&with(&raw, "a=%7E%2f;b=c", "a=%7E%2f&b=c"), ErrorCode::SignatureDoesNotMatch, MISMATCH);
}
