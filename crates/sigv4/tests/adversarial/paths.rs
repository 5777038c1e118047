//! Paths that somebody behind the verifier could take for another.

use sigv4::ErrorCode;

use crate::server::{GET, sign};
use crate::{MISMATCH, check, check_accepted, with};

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
fn a_target_is_an_absolute_path_with_whole_escapes() {
    for target in ["*", "http://h/", "?a", "//%", "/%4", "/%zz", "/a#b", "/?a=%", "bucket"] {
        let raw = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        check(&raw, ErrorCode::InvalidUri, "Couldn't parse the specified URI.");
    }
}

#[test]
fn no_two_paths_are_the_same_but_for_the_spelling_of_their_bytes() {
    // NFC and NFD of one letter are two keys, and so are a separator and an escaped one.
    let paths = [
        "/",
        "//",
        "/.",
        "/./",
        "/..",
        "/../",
        "/b",
        "/b/",
        "//b",
        "/b//",
        "/b/.",
        "/b/..",
        "/%2e%2e/b",
        "/b/a/c",
        "/b/a%2Fc",
        "/b/a%252Fc",
        "/b/a%5Cc",
        "/b/a%00",
        "/b/%C3%B1",
        "/b/n%CC%83",
        "/b/a+c",
        "/b/a%20c",
        "/b/a;c",
        "/b/A",
    ];
    for signed in paths {
        let raw = sign(&with(GET, "/bucket/a%20key", signed));
        check_accepted(&raw);
        for other in paths.iter().filter(|other| **other != signed) {
            let raw = with(&raw, &format!("GET {signed}?"), &format!("GET {other}?"));
            check(&raw, ErrorCode::SignatureDoesNotMatch, MISMATCH);
        }
    }
}
