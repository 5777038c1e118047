//! Objects and buckets over a socket: put, get, conditions, copies, tags, deletion.

mod support;

use http::Method;
use support::{Payload, blobs, photos};

#[tokio::test]
async fn only_the_one_credential_is_answered() {
    let (_dir, server, client) = photos().await;
    let mut unsigned = client.signed(Method::GET, ("/photos", ""), &[], b"", Payload::Signed);
    unsigned.headers_mut().remove("authorization");
    client.send(unsigned).await.expect_error(403, "AccessDenied");
    let other = server.client_with("another secret access key");
    other.get("/photos").await.expect_error(403, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn what_was_put_is_got_byte_for_byte() {
    let (_dir, _server, client) = photos().await;
    let headers = [
        ("content-type", "text/plain"),
        ("cache-control", "no-cache"),
        ("content-encoding", "aws-chunked,gzip"),
        ("x-amz-meta-colour", "blue"),
        ("x-amz-tagging", "a=1&b=2"),
    ];
    let put = client.call(Method::PUT, ("/photos/k", ""), &headers, b"hello").await.expect(200);
    assert_eq!(put.header("etag"), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    let got = client.get("/photos/k").await.expect(200);
    assert_eq!(&got.body[..], b"hello");
    for answer in [&got, &client.head("/photos/k").await.expect(200)] {
        assert_eq!(answer.header("content-length"), Some("5"));
        assert_eq!(answer.header("content-type"), Some("text/plain"));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
        assert_eq!(answer.header("x-amz-meta-colour"), Some("blue"));
        assert_eq!(answer.header("x-amz-tagging-count"), Some("2"));
        assert_eq!(answer.header("etag"), put.header("etag"));
        assert!(answer.header("last-modified").is_some_and(|date| date.ends_with("GMT")));
    }
    let other = "response-content-type=image%2Fpng&response-cache-control=x";
    let got = client.get_query("/photos/k", other).await.expect(200);
    assert_eq!(
        (got.header("content-type"), got.header("cache-control")),
        (Some("image/png"), Some("x"))
    );
}

#[tokio::test]
async fn awkward_keys_are_kept_apart_and_inside_the_store() {
    let (dir, _server, client) = photos().await;
    let long = "é".repeat(512);
    let keys = [
        "../../x",
        "a//b",
        "a/b",
        "a/../b",
        "./a",
        "/lead",
        "dir",
        "dir/",
        "dir/f",
        "%2F",
        "%",
        "sp ace+é%2F",
        "日本",
        "\u{1}\t\n\r",
        "k?x=1#f",
        "a&b<c>\"'",
        &long,
    ];
    for key in keys {
        client.put(&format!("/photos/{key}"), key.as_bytes()).await.expect(200);
    }
    for key in keys {
        let got = client.get(&format!("/photos/{key}")).await.expect(200);
        assert_eq!(&got.body[..], key.as_bytes(), "{key:?}");
    }
    let listed = client.get_query("/photos", "list-type=2&encoding-type=url").await.expect(200);
    let mut expected: Vec<&str> = keys.to_vec();
    expected.sort_unstable();
    let listed = listed.elements("Key");
    assert_eq!(listed.len(), expected.len());
    for (listed, expected) in listed.iter().zip(expected) {
        let encoded = client.uri(&format!("/{expected}"), "").path()[1..].to_owned();
        assert_eq!(*listed, encoded);
    }
    let entries = std::fs::read_dir(dir.path()).expect("a directory");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["buckets", "data", "demo-store.lock"]);
    assert_eq!(blobs(dir.path()), keys.len());
    let too_long = format!("/photos/{long}k");
    client.put(&too_long, b"").await.expect_error(400, "KeyTooLongError");
}

#[tokio::test]
async fn ranges_answer_partial_content() {
    let (_dir, _server, client) = photos().await;
    client.put("/photos/k", b"0123456789").await.expect(200);
    let range = async |range: &str| {
        client.call(Method::GET, ("/photos/k", ""), &[("range", range)], b"").await
    };
    for (asked, bytes, content_range) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=2-5", "2345", "bytes 2-5/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-4", "6789", "bytes 6-9/10"),
        ("bytes=5-99", "56789", "bytes 5-9/10"),
    ] {
        let answer = range(asked).await.expect(206);
        assert_eq!(
            (answer.text().as_str(), answer.header("content-range")),
            (bytes, Some(content_range))
        );
    }
    let refused = range("bytes=10-").await.expect_error(416, "InvalidRange");
    assert_eq!(refused.header("content-range"), Some("bytes */10"));
    assert_eq!(refused.header("content-type"), Some("application/xml"));
    let head = client.call(Method::HEAD, ("/photos/k", ""), &[("range", "bytes=2-5")], b"").await;
    assert_eq!(head.expect(206).header("content-length"), Some("4"));
}

#[tokio::test]
async fn conditions_decide_over_reads_and_writes() {
    let (_dir, _server, client) = photos().await;
    let put = client.put("/photos/k", b"1").await.expect(200);
    let etag = put.header("etag").expect("an ETag").to_owned();
    let call = async |method: Method, name: &str, value: &str| {
        client.call(method, ("/photos/k", ""), &[(name, value)], b"2").await
    };
    call(Method::GET, "if-match", &etag).await.expect(200);
    call(Method::GET, "if-match", "\"x\"").await.expect_error(412, "PreconditionFailed");
    let unmodified = call(Method::GET, "if-none-match", &etag).await.expect(304);
    assert_eq!(unmodified.header("etag"), Some(etag.as_str()));
    assert!(unmodified.body.is_empty());
    let future = "Fri, 01 Jan 2100 00:00:00 GMT";
    call(Method::GET, "if-modified-since", future).await.expect(304);
    call(Method::GET, "if-unmodified-since", future).await.expect(200);
    let past = "Thu, 01 Jan 1970 00:00:00 GMT";
    call(Method::GET, "if-unmodified-since", past).await.expect_error(412, "PreconditionFailed");

    call(Method::PUT, "if-none-match", "*").await.expect_error(412, "PreconditionFailed");
    call(Method::PUT, "if-match", "\"x\"").await.expect_error(412, "PreconditionFailed");
    call(Method::PUT, "if-match", &etag).await.expect(200);
    assert_eq!(client.get("/photos/k").await.text(), "2");
    let absent = [("if-match", etag.as_str())];
    let answer = client.call(Method::PUT, ("/photos/none", ""), &absent, b"").await;
    answer.expect_error(404, "NoSuchKey");
}

#[tokio::test]
async fn of_many_creators_of_one_key_a_single_one_wins() {
    let (dir, server, _client) = photos().await;
    let attempts = (0..8).map(|number: u8| {
        let client = server.client();
        tokio::spawn(async move {
            let condition = [("if-none-match", "*")];
            client.call(Method::PUT, ("/photos/k", ""), &condition, &[number]).await.status
        })
    });
    let mut won = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        won += usize::from(attempt.await.expect("answers").is_success());
    }
    assert_eq!((won, blobs(dir.path())), (1, 1));
}

#[tokio::test]
async fn a_copy_keeps_or_replaces_what_is_said_of_the_object() {
    let (_dir, _server, client) = photos().await;
    let said = [("x-amz-meta-a", "1"), ("content-type", "text/plain"), ("x-amz-tagging", "t=1")];
    client.call(Method::PUT, ("/photos/sp ace%2F", ""), &said, b"bytes").await.expect(200);
    let copy = async |to: &str, more: &[(&str, &str)]| {
        let mut headers = vec![("x-amz-copy-source", "photos/sp%20ace%252F")];
        headers.extend(more);
        client.call(Method::PUT, (to, ""), &headers, b"").await
    };
    let answer = copy("/photos/kept", &[]).await.expect(200);
    assert!(answer.element("ETag").is_some() && answer.element("LastModified").is_some());
    let kept = client.get("/photos/kept").await.expect(200);
    assert_eq!((kept.text().as_str(), kept.header("x-amz-meta-a")), ("bytes", Some("1")));
    assert_eq!(kept.header("x-amz-tagging-count"), Some("1"));

    let replace = [
        ("x-amz-metadata-directive", "REPLACE"),
        ("x-amz-meta-b", "2"),
        ("x-amz-tagging-directive", "REPLACE"),
    ];
    copy("/photos/other", &replace).await.expect(200);
    let other = client.head("/photos/other").await.expect(200);
    assert_eq!((other.header("x-amz-meta-a"), other.header("x-amz-meta-b")), (None, Some("2")));
    assert_eq!(other.header("content-type"), Some("binary/octet-stream"));
    assert_eq!(other.header("x-amz-tagging-count"), None);

    copy("/photos/sp ace%2F", &[]).await.expect_error(400, "InvalidRequest");
    copy("/photos/sp ace%2F", &replace).await.expect(200);
    assert_eq!(client.get("/photos/sp ace%2F").await.text(), "bytes");
    let condition = [("x-amz-copy-source-if-match", "\"x\"")];
    copy("/photos/x", &condition).await.expect_error(412, "PreconditionFailed");
    let absent = [("x-amz-copy-source", "photos/none")];
    let answer = client.call(Method::PUT, ("/photos/x", ""), &absent, b"").await;
    answer.expect_error(404, "NoSuchKey");
}

#[tokio::test]
async fn tags_are_put_listed_and_removed() {
    let (_dir, _server, client) = photos().await;
    client.put("/photos/k", b"").await.expect(200);
    let tag = |key: &str| format!("<Tag><Key>{key}</Key><Value>v</Value></Tag>");
    let body = format!("<Tagging><TagSet>{}{}</TagSet></Tagging>", tag("b"), tag("a"));
    let target = ("/photos/k", "tagging");
    client.call(Method::PUT, target, &[], body.as_bytes()).await.expect(200);
    assert_eq!(client.get_query("/photos/k", "tagging").await.elements("Key"), ["a", "b"]);
    client.call(Method::DELETE, target, &[], b"").await.expect(204);
    assert!(client.get_query("/photos/k", "tagging").await.elements("Key").is_empty());
    let body = format!("<Tagging><TagSet>{}{}</TagSet></Tagging>", tag("a"), tag("a"));
    let answer = client.call(Method::PUT, target, &[], body.as_bytes()).await;
    answer.expect_error(400, "InvalidTag");
    client.get_query("/photos/none", "tagging").await.expect_error(404, "NoSuchKey");
}

#[tokio::test]
async fn objects_are_deleted_one_by_one_or_together() {
    let (dir, _server, client) = photos().await;
    for key in ["a", "b", "c&d"] {
        client.put(&format!("/photos/{key}"), b"bytes").await.expect(200);
    }
    client.delete("/photos/a").await.expect(204);
    client.delete("/photos/a").await.expect(204);
    client.get("/photos/a").await.expect_error(404, "NoSuchKey");
    let body = "<Delete><Object><Key>b</Key></Object><Object><Key>none</Key></Object></Delete>";
    let target = ("/photos", "delete");
    let answer = client.call(Method::POST, target, &[], body.as_bytes()).await.expect(200);
    assert_eq!(answer.elements("Key"), ["b", "none"]);
    let quiet = "<Delete><Quiet>true</Quiet><Object><Key>c&amp;d</Key></Object></Delete>";
    let answer = client.call(Method::POST, target, &[], quiet.as_bytes()).await.expect(200);
    assert!(answer.elements("Key").is_empty());
    assert_eq!(blobs(dir.path()), 0);
}

#[tokio::test]
async fn buckets_come_and_go() {
    let (_dir, _server, client) = photos().await;
    client.put("/photos", b"").await.expect_error(409, "BucketAlreadyOwnedByYou");
    client.put("/Photos_1", b"").await.expect_error(400, "InvalidBucketName");
    client.put("/sthree-x", b"").await.expect_error(400, "InvalidBucketName");
    let there = "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>";
    client.put("/elsewhere", there.as_bytes()).await.expect(200);
    assert!(client.get_query("/elsewhere", "location").await.text().contains(">eu-west-1<"));
    assert!(!client.get_query("/photos", "location").await.text().contains("us-east-1"));
    let head = client.head("/elsewhere").await.expect(200);
    assert_eq!(head.header("x-amz-bucket-region"), Some("eu-west-1"));
    assert_eq!(client.get("/").await.expect(200).elements("Name"), ["elsewhere", "photos"]);
    assert_eq!(client.get_query("/photos", "versioning").await.expect(200).element("Status"), None);

    client.put("/photos/k", b"").await.expect(200);
    client.delete("/photos").await.expect_error(409, "BucketNotEmpty");
    client.delete("/photos/k").await.expect(204);
    client.delete("/photos").await.expect(204);
    client.delete("/photos").await.expect_error(404, "NoSuchBucket");
    client.put("/photos/k", b"").await.expect_error(404, "NoSuchBucket");
    client.get("/photos/k").await.expect_error(404, "NoSuchBucket");
    client.get_query("/photos", "list-type=2").await.expect_error(404, "NoSuchBucket");
    client.get_query("/elsewhere", "acl").await.expect_error(501, "NotImplemented");
}
