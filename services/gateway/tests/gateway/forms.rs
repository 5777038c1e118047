//! Uploads by forms, with the demo store behind.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::demo::{self, signed};
use crate::rig::{Answer, Gateway, Rig, exchange, read_to_end, request};

pub(crate) const TYPE: &str = "Content-Type: multipart/form-data; boundary=----edge";

/// A form of these fields before its file, and one after it, as browsers send it.
pub(crate) fn form(fields: &[(&str, &str)], file: &[u8]) -> Vec<u8> {
    let mut form = vec![];
    for (name, value) in fields {
        let head = format!("------edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        form.extend([head.as_bytes(), value.as_bytes(), b"\r\n"].concat());
    }
    let head = "------edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.txt\"\r\n\
                Content-Type: text/x-file\r\n\r\n";
    let end = "\r\n------edge\r\nContent-Disposition: form-data; name=\"submit\"\r\n\r\nUpload\r\n\
               ------edge--\r\n";
    form.extend([head.as_bytes(), file, end.as_bytes()].concat());
    form
}

async fn post(s3: SocketAddr, fields: &[(&str, &str)], file: &[u8]) -> Answer {
    exchange(s3, &request("POST /bucket", &[TYPE], &form(fields, file))).await
}

async fn start() -> (Gateway, tempfile::TempDir) {
    let (gateway, dir) = demo::start().await;
    let bucket = request("PUT /bucket", &["content-length: 0"], b"");
    assert_eq!(exchange(gateway.s3, &bucket).await.status, 200);
    (gateway, dir)
}

async fn get(gateway: &Gateway, key: &str) -> Answer {
    exchange(gateway.s3, &request(&format!("GET /bucket/{key}"), &[], b"")).await
}

#[tokio::test]
async fn a_form_makes_an_object_with_what_its_fields_say() {
    let (gateway, _dir) = start().await;
    let fields = [
        ("key", "a b/${filename}"),
        ("Content-Type", "text/plain"),
        ("x-amz-meta-who", "me"),
        ("policy", "p"),
        ("x-amz-signature", "s"),
    ];
    let answer = post(gateway.s3, &fields, b"hello").await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(answer.header("location"), Some("http://s3.test/bucket/a%20b/f.txt"));
    let etag = answer.header("etag").expect("an ETag").to_owned();
    let object = get(&gateway, "a%20b/f.txt").await;
    assert_eq!((object.status, object.text()), (200, "hello"));
    assert_eq!(object.header("content-type"), Some("text/plain"));
    assert_eq!(object.header("x-amz-meta-who"), Some("me"));
    assert_eq!(object.header("etag"), Some(etag.as_str()));

    let fields = [("key", "<k>"), ("success_action_status", "201")];
    let answer = post(gateway.s3, &fields, b"x").await;
    assert_eq!((answer.status, answer.element("Key")), (201, Some("&lt;k&gt;")), "{answer:?}");
    assert_eq!(answer.element("Bucket"), Some("bucket"));
    assert_eq!(answer.element("Location"), Some("http://s3.test/bucket/%3Ck%3E"));

    let fields = [("key", "k"), ("success_action_redirect", "https://example.com/done?a=b")];
    let answer = post(gateway.s3, &fields, b"x").await;
    assert_eq!(answer.status, 303);
    let location = answer.header("location").expect("a location");
    assert!(location.starts_with("https://example.com/done?a=b&bucket=bucket&key=k&etag=%22"));
}

#[tokio::test]
async fn a_long_file_goes_on_in_parts() {
    let (gateway, _dir) = start().await;
    for len in [5 << 20, (5 << 20) + 1, 11 << 20] {
        let file: Vec<u8> = (0..len).map(|n: u32| (n % 251) as u8).collect();
        let answer = post(gateway.s3, &[("key", "long"), ("x-amz-meta-a", "b")], &file).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        let object = get(&gateway, "long").await;
        assert!(object.body == file, "{len}: {}", object.head);
        assert_eq!(object.header("x-amz-meta-a"), Some("b"));
        assert_eq!(object.header("etag"), answer.header("etag"));
    }
    let fields = [("key", "long"), ("x-amz-checksum-crc32", "AAAAAA==")];
    post(gateway.s3, &fields, &[0; 6 << 20]).await.is_error(501, "NotImplemented");
    let uploads = exchange(gateway.s3, &request("GET /bucket?uploads", &[], b"")).await;
    assert!(!uploads.text().contains("<Upload>"), "{}", uploads.text());
}

#[tokio::test]
async fn a_wrong_form_makes_nothing() {
    let (gateway, _dir) = start().await;
    let key = [("key", "k")];
    post(gateway.s3, &key, b"").await.is_error(400, "EntityTooSmall");
    let answer = post(gateway.s3, &key, &[0; (12 << 20) + 1]).await;
    answer.is_error(400, "EntityTooLarge");
    assert_eq!(answer.element("MaxSizeAllowed"), Some("12582912"));

    let whole = form(&key, b"hello");
    let file = whole.windows(9).position(|w| w == b"x-file\r\n\r".as_slice()).expect("a file");
    for (body, code) in [
        (&whole[..file + 12], "IncompleteBody"),
        (b"", "IncompleteBody"),
        (b"--other--\r\n", "IncompleteBody"),
        (b"------edge--\r\n", "InvalidArgument"),
        (b"------edge\r\nno header\r\n\r\nx\r\n------edge--\r\n", "MalformedPOSTRequest"),
        (
            b"------edge\r\nContent-Type: text/plain\r\n\r\nx\r\n------edge--\r\n",
            "MalformedPOSTRequest",
        ),
    ] {
        let answer = exchange(gateway.s3, &request("POST /bucket", &[TYPE, "X: y"], body)).await;
        assert_eq!(answer.element("Code"), Some(code), "{answer:?}");
    }
    let long = "x".repeat(21_000);
    let many: Vec<_> = (0..129).map(|_| ("a", "b")).collect();
    let preamble = [vec![b'x'; 100_000], whole.clone()].concat();
    for body in [form(&[("a", &long)], b"x"), form(&many, b"x"), preamble] {
        let answer = exchange(gateway.s3, &request("POST /bucket", &[TYPE], &body)).await;
        answer.is_error(400, "MaxPostPreDataLengthExceededError");
    }
    let control = [("key", "k"), ("x-amz-meta-a", "a\r\nb")];
    post(gateway.s3, &control, b"x").await.is_error(400, "InvalidArgument");
    let (id, nobodys) = ("Content-Type: multipart/form-data; boundary=", form(&key, b"hello"));
    let answer = exchange(gateway.s3, &request("POST /nobodys", &[TYPE], &nobodys)).await;
    answer.is_error(404, "NoSuchBucket");
    assert_eq!(exchange(gateway.s3, &request("POST /bucket", &[id], b"x")).await.status, 501);
    assert_eq!(get(&gateway, "k").await.status, 404);
    // A form is a form only to a bucket, and an object's name is not taken from its path.
    let answer = exchange(gateway.s3, &request("POST /bucket/k", &[TYPE], &whole)).await;
    assert!(answer.status >= 400, "{answer:?}");
    assert_eq!(get(&gateway, "k").await.status, 404);
    let put = request("PUT /bucket/k", &[&signed(b"x")], b"x");
    assert_eq!(exchange(gateway.s3, &put).await.status, 200);
}

#[tokio::test]
async fn a_form_that_breaks_off_leaves_nothing_behind() {
    let rig = Rig::start().await;
    rig.upstream.answers(|seen| {
        let id = "<InitiateMultipartUploadResult><UploadId>id</UploadId>\
                  </InitiateMultipartUploadResult>";
        let text = if seen.target.ends_with("?uploads") { id } else { "" };
        let answer = http::Response::builder().header("etag", "\"e\"");
        answer.body(crate::fake_upstream::text(text)).expect("an answer")
    });
    let form = form(&[("key", "k")], &[7; 8 << 20]);
    let mut client = TcpStream::connect(rig.gateway.s3).await.expect("a connection");
    let head = format!("{TYPE}\r\nContent-Length: {}", form.len());
    client.write_all(&request("POST /bkt", &[&head], b"")).await.expect("written");
    client.write_all(&form[..7 << 20]).await.expect("written");
    // Begun, and one part sent.
    rig.upstream.seen_at_least(2).await;
    drop(client);
    let seen = rig.upstream.seen_at_least(3).await;
    let targets: Vec<_> =
        seen.iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
    assert_eq!(
        targets,
        ["POST /bkt/k?uploads", "PUT /bkt/k?partNumber=1&uploadId=id", "DELETE /bkt/k?uploadId=id"]
    );
    // And one that the client ends too early says so.
    let mut client = TcpStream::connect(rig.gateway.s3).await.expect("a connection");
    client.write_all(&request("POST /bkt", &[TYPE, "Content-Length: 20"], b"")).await.expect("ok");
    client.write_all(b"------edge").await.expect("written");
    client.shutdown().await.expect("shut down");
    let answer = read_to_end(&mut client).await;
    assert!(answer.is_empty() || Answer::parse(&answer).expect("an answer").status == 400);
}

#[tokio::test]
async fn a_place_is_held_by_who_has_signed_and_by_nobody_else() {
    let rig = Rig::with(gateway::Limits { forms_max: 1, ..crate::rig::limits() }).await;
    // It is being read, and nothing is known of it yet.
    let mut slow = TcpStream::connect(rig.gateway.s3).await.expect("a connection");
    let head = request("POST /bkt", &[TYPE, "Expect: 100-continue", "Content-Length: 500"], b"");
    slow.write_all(&head).await.expect("written");
    let mut told = [0; 25];
    slow.read_exact(&mut told).await.expect("told");
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    slow.write_all(b"------edge\r\n").await.expect("written");

    let form = form(&[("key", "k")], b"hello");
    let whole = request("POST /bkt", &[TYPE], &form);
    assert_eq!(exchange(rig.gateway.s3, &whole).await.status, 204);
    rig.upstream.hold(true);
    let (s3, first) = (rig.gateway.s3, whole.clone());
    let first = tokio::spawn(async move { exchange(s3, &first).await.status });
    rig.upstream.begun_at_least(2).await;
    exchange(rig.gateway.s3, &whole).await.is_error(503, "SlowDown");
    rig.upstream.hold(false);
    assert_eq!(first.await.expect("no panic"), 204);
}
