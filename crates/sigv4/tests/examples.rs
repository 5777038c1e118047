//! The examples that AWS publishes for S3, byte for byte.
//!
//! Source: Amazon S3 API reference, "Authenticating Requests (AWS Signature Version 4)": "Using the
//! Authorization Header", "Using Query Parameters" and "Transferring Payload in Multiple Chunks".

mod server;

use server::{NOW, verdict};
use sha2::{Digest, Sha256};
use sigv4::{Expected, Head, PayloadMode, authenticate};

const SCOPE: &str = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Checks that a request is accepted and, when AWS shows it, that the canonical request's hash is right.
fn check(line: &str, headers: &[&str], authorization: &str, canonical_sha256: Option<&str>) {
    let mut raw = format!("{line} HTTP/1.1\r\n");
    headers.iter().for_each(|header| raw += &format!("{header}\r\n"));
    if !authorization.is_empty() {
        raw += &format!("Authorization: AWS4-HMAC-SHA256 Credential={SCOPE},{authorization}\r\n");
    }
    raw += "\r\n";
    assert_eq!(verdict(raw.as_bytes(), NOW), Ok(()));
    if let Some(expected) = canonical_sha256 {
        let head = Head::parse(raw.as_bytes()).unwrap();
        let request = authenticate(&head, &Expected::s3("us-east-1", NOW)).unwrap();
        assert_eq!(hex::encode(Sha256::digest(request.canonical_request())), expected);
        assert!(request.string_to_sign().as_bytes().ends_with(expected.as_bytes()));
    }
}

#[test]
fn get_object() {
    check(
        "GET /test.txt",
        &[
            "Host: examplebucket.s3.amazonaws.com",
            "Range: bytes=0-9",
            &format!("x-amz-content-sha256:{EMPTY}"),
            "x-amz-date: 20130524T000000Z",
        ],
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
         Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        Some("7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972"),
    );
}

#[test]
fn put_object() {
    check(
        "PUT /test$file.text",
        &[
            "Host: examplebucket.s3.amazonaws.com",
            "Date: Fri, 24 May 2013 00:00:00 GMT",
            "x-amz-date: 20130524T000000Z",
            "x-amz-storage-class: REDUCED_REDUNDANCY",
            "x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        ],
        "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,\
         Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        Some("9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d"),
    );
}

#[test]
fn get_bucket_lifecycle() {
    check(
        "GET /?lifecycle",
        &[
            "Host: examplebucket.s3.amazonaws.com",
            "x-amz-date: 20130524T000000Z",
            &format!("x-amz-content-sha256:{EMPTY}"),
        ],
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date,\
         Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        Some("9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca"),
    );
}

#[test]
fn list_objects() {
    check(
        "GET /?max-keys=2&prefix=J",
        &[
            "Host: examplebucket.s3.amazonaws.com",
            "x-amz-date: 20130524T000000Z",
            &format!("x-amz-content-sha256:{EMPTY}"),
        ],
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date,\
         Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        Some("df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7"),
    );
}

#[test]
fn presigned_get_object() {
    check(
        "GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
         &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
         &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
         &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        &["Host: examplebucket.s3.amazonaws.com"],
        "",
        Some("3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04"),
    );
}

#[test]
fn put_object_in_signed_chunks() {
    check(
        "PUT /examplebucket/chunkObject.txt",
        &[
            "Host: s3.amazonaws.com",
            "x-amz-date: 20130524T000000Z",
            "x-amz-storage-class: REDUCED_REDUNDANCY",
            "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            "Content-Encoding: aws-chunked",
            "x-amz-decoded-content-length: 66560",
            "Content-Length: 66824",
        ],
        "SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
         x-amz-decoded-content-length;x-amz-storage-class,\
         Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        None,
    );
}

#[test]
fn what_was_verified_can_be_asked_for() {
    let raw = server::sign(
        &server::PRESIGNED
            .replace("=host", "=host%3Bx-amz-security-token")
            .replace("Accept: */*", "Accept: */*\r\nX-Amz-Security-Token: to/k+en=="),
    );
    let head = Head::parse(raw.as_bytes()).unwrap();
    let request = authenticate(&head, &Expected::s3("us-east-1", NOW)).unwrap();
    assert_eq!(head.method(), b"GET");
    assert_eq!(head.path(), b"/bucket/a%20key");
    assert_eq!(head.headers().count(), 3);
    assert_eq!(request.access_key_id(), "AKIAIOSFODNN7EXAMPLE");
    assert_eq!(request.scope().to_string(), "20130524/us-east-1/s3/aws4_request");
    assert_eq!(request.timestamp().as_str(), "20130524T000000Z");
    assert!(request.is_presigned());
    assert_eq!(request.expires_at_unix_seconds(), Some(NOW + 3600));
    assert_eq!(request.payload_mode(), PayloadMode::Unsigned);
    assert_eq!(request.signed_headers().collect::<Vec<_>>(), ["host", "x-amz-security-token"]);
    assert_eq!(request.session_token().as_deref(), Some("to/k+en=="));
}

#[test]
fn nothing_that_could_be_used_is_shown_in_debug_output() {
    let raw = server::sign(server::PRESIGNED);
    let head = Head::parse(raw.as_bytes()).unwrap();
    let request = authenticate(&head, &Expected::s3("us-east-1", NOW)).unwrap();
    let date_key = sigv4::DateKey::derive(server::SECRET.as_bytes(), &request.scope().date());
    let shown = format!("{request:?} {head:?} {date_key:?} {:?}", date_key.signing_key("r", "s"));
    let signature = String::from_utf8(request.signature().to_hex().to_vec()).unwrap();
    assert!(!shown.contains(&signature) && !shown.contains("X-Amz-Signature"), "{shown}");
    assert!(
        shown.contains("DateKey(redacted)") && shown.contains("SigningKey(redacted)"),
        "{shown}"
    );
}
