//! Bodies that do not match what is said of them, multipart uploads, listings page by page.

mod support;

use http::Method;
use support::{Client, Payload, blobs, photos};

const CRC32_OF_HELLO: &str = "NhCmhg==";
const PART: usize = 5 * 1024 * 1024;

async fn put_with(
    client: &Client,
    headers: &[(&str, &str)],
    payload: Payload,
    body: &[u8],
) -> support::Answer {
    client.send(client.signed(Method::PUT, ("/photos/k", ""), headers, body, payload)).await
}

#[tokio::test]
async fn a_body_that_does_not_match_never_becomes_an_object() {
    let (dir, _server, client) = photos().await;
    type Row<'a> = (Payload, &'a [(&'a str, &'a str)], &'a str);
    let rows: [Row<'_>; 5] = [
        (Payload::SignedOtherwise, &[], "XAmzContentSHA256Mismatch"),
        (Payload::Signed, &[("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")], "BadDigest"),
        (Payload::Signed, &[("content-md5", "AAAA")], "InvalidDigest"),
        (Payload::Unsigned, &[("x-amz-checksum-crc32", "AAAAAA==")], "BadDigest"),
        (Payload::Unsigned, &[("x-amz-checksum-sha256", "AAAAAA==")], "BadDigest"),
    ];
    for (payload, headers, code) in rows {
        put_with(&client, headers, payload, b"hello").await.expect_error(400, code);
    }
    client.get("/photos/k").await.expect_error(404, "NoSuchKey");
    assert_eq!(blobs(dir.path()), 0);
}

#[tokio::test]
async fn a_checksum_is_kept_and_told_when_asked_for() {
    let (_dir, _server, client) = photos().await;
    let headers = [("x-amz-checksum-crc32", CRC32_OF_HELLO)];
    put_with(&client, &headers, Payload::Unsigned, b"hello").await.expect(200);
    let get = async |headers: &[(&str, &str)]| {
        client.call(Method::GET, ("/photos/k", ""), headers, b"").await
    };
    let name = "x-amz-checksum-crc32";
    let asked = ("x-amz-checksum-mode", "ENABLED");
    let answer = get(&[asked]).await.expect(200);
    assert_eq!(answer.header(name), Some(CRC32_OF_HELLO));
    assert_eq!(answer.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    assert_eq!(get(&[]).await.expect(200).header(name), None);
    assert_eq!(get(&[asked, ("range", "bytes=0-1")]).await.expect(206).header(name), None);
}

#[tokio::test]
async fn a_trailing_checksum_is_held_against_the_chunks() {
    let (dir, _server, client) = photos().await;
    let put = async |body: &str| {
        let headers = [
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "5"),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
        ];
        put_with(&client, &headers, Payload::UnsignedTrailer, body.as_bytes()).await
    };
    let with = |value: &str| format!("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{value}\r\n\r\n");
    put(&with("AAAAAA==")).await.expect_error(400, "BadDigest");
    put("5\r\nhello\r\n0\r\n\r\n").await.expect_error(400, "MalformedTrailerError");
    put("3\r\nhel\r\n").await.expect_error(400, "IncompleteBody");
    assert_eq!(blobs(dir.path()), 0);
    put(&with(CRC32_OF_HELLO)).await.expect(200);
    let got = client.get("/photos/k").await.expect(200);
    assert_eq!((got.text().as_str(), got.header("content-encoding")), ("hello", None));
}

/// Starts an upload of `k` with CRC32 checksums and answers its ID.
async fn start(client: &Client) -> String {
    let headers = [("x-amz-checksum-algorithm", "CRC32"), ("x-amz-meta-a", "1")];
    let answer = client.call(Method::POST, ("/photos/k", "uploads"), &headers, b"").await;
    answer.expect(200).element("UploadId").expect("an upload ID")
}

async fn part(client: &Client, id: &str, number: u16, bytes: &[u8]) -> String {
    let query = format!("partNumber={number}&uploadId={id}");
    let answer = client.call(Method::PUT, ("/photos/k", &query), &[], bytes).await.expect(200);
    answer.header("etag").expect("an ETag").to_owned()
}

async fn complete(client: &Client, id: &str, parts: &[(u16, &str)]) -> support::Answer {
    let parts = parts.iter().map(|(number, etag)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    });
    let parts: String = parts.collect();
    let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    let query = format!("uploadId={id}");
    client.call(Method::POST, ("/photos/k", &query), &[], body.as_bytes()).await
}

#[tokio::test]
async fn parts_become_one_object() {
    let (dir, _server, client) = photos().await;
    let id = start(&client).await;
    let first = vec![b'1'; PART];
    part(&client, &id, 1, b"to be replaced").await;
    let one = part(&client, &id, 1, &first).await;
    let nine = part(&client, &id, 9, b"nine").await;
    let unused = part(&client, &id, 4, b"unused").await;
    assert_eq!(blobs(dir.path()), 3);

    let query = format!("uploadId={id}&max-parts=2");
    let listed = client.get_query("/photos/k", &query).await.expect(200);
    assert_eq!(listed.elements("PartNumber"), ["1", "4"]);
    assert_eq!(listed.element("NextPartNumberMarker").as_deref(), Some("4"));
    let listed = client.get_query("/photos/k", &format!("{query}&part-number-marker=4")).await;
    assert_eq!(listed.elements("PartNumber"), ["9"]);

    complete(&client, &id, &[]).await.expect(400);
    complete(&client, &id, &[(9, &nine), (1, &one)]).await.expect_error(400, "InvalidPartOrder");
    complete(&client, &id, &[(1, &nine)]).await.expect_error(400, "InvalidPart");
    complete(&client, &id, &[(2, &one)]).await.expect_error(400, "InvalidPart");
    let small = complete(&client, &id, &[(4, &unused), (9, &nine)]).await;
    small.expect_error(400, "EntityTooSmall");
    let done = complete(&client, &id, &[(1, &one), (9, &nine)]).await.expect(200);
    assert!(done.element("ETag").is_some_and(|etag| etag.contains("-2")));
    assert!(done.element("ChecksumCRC32").is_some_and(|sum| sum.ends_with("-2")));
    complete(&client, &id, &[(1, &one)]).await.expect_error(404, "NoSuchUpload");

    let got = client.get("/photos/k").await.expect(200);
    assert_eq!(got.body.len(), PART + 4);
    assert_eq!(&got.body[..PART], &first[..]);
    assert_eq!((&got.body[PART..], got.header("x-amz-meta-a")), (&b"nine"[..], Some("1")));
    let range = format!("bytes={}-{}", PART - 2, PART + 1);
    let across = client.call(Method::GET, ("/photos/k", ""), &[("range", &range)], b"").await;
    assert_eq!(across.expect(206).text(), "11ni");
    let second = client.get_query("/photos/k", "partNumber=2").await.expect(206);
    assert_eq!(
        (second.text().as_str(), second.header("x-amz-mp-parts-count")),
        ("nine", Some("2"))
    );
    assert_eq!(blobs(dir.path()), 2);
}

#[tokio::test]
async fn a_part_can_be_copied_from_an_object() {
    let (_dir, _server, client) = photos().await;
    client.put("/photos/source", b"0123456789").await.expect(200);
    let id = start(&client).await;
    let query = format!("partNumber=1&uploadId={id}");
    let copy = async |range: &str| {
        let headers = [("x-amz-copy-source", "/photos/source"), ("x-amz-copy-source-range", range)];
        client.call(Method::PUT, ("/photos/k", &query), &headers, b"").await
    };
    copy("bytes=5-10").await.expect_error(400, "InvalidArgument");
    let copied = copy("bytes=2-5").await.expect(200);
    let etag = copied.element("ETag").expect("an ETag");
    complete(&client, &id, &[(1, &etag)]).await.expect(200);
    assert_eq!(client.get("/photos/k").await.text(), "2345");
}

#[tokio::test]
async fn uploads_are_listed_until_aborted() {
    let (dir, _server, client) = photos().await;
    let ids = [start(&client).await, start(&client).await];
    part(&client, &ids[0], 1, b"bytes").await;
    let page = client.get_query("/photos", "uploads&max-uploads=1").await.expect(200);
    assert_eq!(page.elements("UploadId"), ids[..1]);
    assert_eq!(page.element("IsTruncated").as_deref(), Some("true"));
    let marker = page.element("NextUploadIdMarker").expect("a marker");
    let query = format!("uploads&key-marker=k&upload-id-marker={marker}");
    assert_eq!(client.get_query("/photos", &query).await.elements("UploadId"), ids[1..]);
    for id in &ids {
        let target = format!("uploadId={id}");
        let answer = client.call(Method::DELETE, ("/photos/k", &target), &[], b"").await;
        answer.expect(204);
        let answer = client.call(Method::DELETE, ("/photos/k", &target), &[], b"").await;
        answer.expect_error(404, "NoSuchUpload");
    }
    assert!(client.get_query("/photos", "uploads").await.elements("UploadId").is_empty());
    assert_eq!(blobs(dir.path()), 0);
}

#[tokio::test]
async fn pages_of_both_versions_add_up() {
    let (_dir, _server, client) = photos().await;
    for key in ["a", "b/1", "b/2", "c d", "e"] {
        client.put(&format!("/photos/{key}"), b"").await.expect(200);
    }
    let page = async |query: &str| {
        let page = client.get_query("/photos", query).await.expect(200);
        let mut names = page.elements("Key");
        names.extend(page.elements("CommonPrefixes"));
        (names, page)
    };
    let (mut told, mut more) = (vec![], String::new());
    for expected in ["false", "true", "true", "true"].iter().rev() {
        let query = format!("list-type=2&delimiter=%2F&encoding-type=url&max-keys=1{more}");
        let (names, answer) = page(&query).await;
        told.extend(names);
        assert_eq!(answer.element("IsTruncated").as_deref(), Some(*expected));
        assert_eq!(answer.element("KeyCount").as_deref(), Some("1"));
        let token = answer.element("NextContinuationToken");
        more = token.map(|token| format!("&continuation-token={token}")).unwrap_or_default();
    }
    assert_eq!(told, ["a", "<Prefix>b/</Prefix>", "c%20d", "e"]);

    let (names, answer) = page("delimiter=%2F&max-keys=2").await;
    assert_eq!(names, ["a", "<Prefix>b/</Prefix>"]);
    assert_eq!(answer.element("NextMarker").as_deref(), Some("b/"));
    assert_eq!(page("delimiter=%2F&marker=b%2F").await.0, ["c d", "e"]);
    assert_eq!(page("list-type=2&start-after=b%2F1&prefix=b").await.0, ["b/2"]);
    let (names, answer) = page("list-type=2&max-keys=0").await;
    assert_eq!((names.len(), answer.element("IsTruncated").as_deref()), (0, Some("false")));
    assert!(!answer.text().contains("<Owner>"));
    assert!(page("list-type=2&fetch-owner=true").await.1.text().contains("<Owner>"));
    for query in ["max-keys=-1", "list-type=2&continuation-token=%21", "encoding-type=x"] {
        client.get_query("/photos", query).await.expect_error(400, "InvalidArgument");
    }
}
