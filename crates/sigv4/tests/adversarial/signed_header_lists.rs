//! What `SignedHeaders` lists, and what it does not.

use crate::server::{GET, NOW, PRESIGNED, sign, verdict};
use crate::{and, check_accepted, check_malformed, check_query, with};

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
fn as_many_lines_as_a_head_may_have_can_be_of_one_name_and_no_list_counts_them_twice() {
    let host = "Host: s3.example.com\r\nAccept: */*\r\n";
    let lines = |count: usize| with(GET, host, &format!("{host}{}", "A: 1\r\n".repeat(count)));
    let signed = |list: &str, count| with(&lines(count), "=host;", &format!("={list};host;"));
    check_accepted(&sign(&signed("a", 123)));
    let what = "expecting at most 100 lower-case header names, sorted and separated by ';'";
    check_malformed(&signed("a;a", 123), &format!("the SignedHeaders are mal-formed; {what}"));
}

#[test]
fn a_hundred_names_are_signed_and_what_is_missing_is_told_up_to_there() {
    let names = |count: usize| -> Vec<String> { (0..count).map(|n| format!("a{n:03}")).collect() };
    let signed = |given: &[String], listed: &[String]| {
        let raw = and(
            GET,
            &given.iter().map(|name| format!("{name}: 1")).collect::<Vec<_>>().join("\r\n"),
        );
        with(&raw, "=host;", &format!("={};host;", listed.join(";")))
    };
    check_accepted(&sign(&signed(&names(97), &names(97))));
    let what = "the SignedHeaders are mal-formed; expecting at most 100 lower-case header names, sorted and \
                separated by ';'";
    check_malformed(&signed(&names(98), &names(98)), what);
    check_malformed(&signed(&names(100), &names(101)), what);
    let what = "the SignedHeaders are mal-formed; the header 'a099' is not in the request";
    check_malformed(&signed(&names(99), &names(101)), what);
}
