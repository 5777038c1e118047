//! The request that is verified: a GET as an SDK sends it, 13 headers, 6 of them signed, about 880 bytes.

use sigv4::{DateKey, Expected, Head, Timestamp, authenticate};

pub const REGION: &str = "us-east-1";

/// The request, signed at this time. An access key ID of 20 bytes may be put in place of the other: it is
/// no part of what is signed.
pub fn get_object(id: &str, secret: &[u8], unix_seconds: i64) -> String {
    let at = Timestamp::from_unix_seconds(unix_seconds);
    let unsigned = head(id, at, &"0".repeat(64));
    let parsed = Head::parse(unsigned.as_bytes()).expect("is a head");
    let expected = Expected::s3(REGION, unix_seconds);
    let request = authenticate(&parsed, &expected).expect("is complete");
    let signing_key = DateKey::derive(secret, &at.date()).signing_key(REGION, "s3");
    let signature = signing_key.sign(&request.string_to_sign()).to_hex();
    head(id, at, std::str::from_utf8(&signature).expect("is ASCII"))
}

fn head(id: &str, at: Timestamp, signature: &str) -> String {
    let (time, date) = (at.as_str(), at.date());
    format!(
        "GET /photos/2013/05/24/harbour%20at%20dawn.jpg HTTP/1.1\r\n\
         Host: examplebucket.s3.us-east-1.amazonaws.com\r\n\
         User-Agent: aws-sdk-rust/1.3.14 ua/2.1 api/s3/1.112.0 os/linux lang/rust/1.95.0 m/E,Z,b\r\n\
         Accept: */*\r\n\
         Accept-Encoding: identity\r\n\
         Range: bytes=0-1048575\r\n\
         Connection: keep-alive\r\n\
         amz-sdk-invocation-id: 0b2e3f5c-9f9c-4a8f-9d4e-7d1d2c9a6b1f\r\n\
         amz-sdk-request: attempt=1; max=3\r\n\
         x-amz-checksum-mode: ENABLED\r\n\
         x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\r\n\
         x-amz-date: {time}\r\n\
         Content-Length: 0\r\n\
         Authorization: AWS4-HMAC-SHA256 \
         Credential={id}/{date}/us-east-1/s3/aws4_request, \
         SignedHeaders=amz-sdk-request;host;range;x-amz-checksum-mode;x-amz-content-sha256;x-amz-date, \
         Signature={signature}\r\n\r\n"
    )
}
