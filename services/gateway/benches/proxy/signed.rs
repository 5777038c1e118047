//! Requests as SDKs send them, signed.

use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use sigv4::{DateKey, Expected, Head, Timestamp, authenticate};

use crate::REGION;

/// What signs the body in chunks, by each chunk.
const STREAMING: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// Data of a chunk, in bytes.
const CHUNK: usize = 1 << 20;

/// An access key and its secret.
pub struct Signer {
    pub access_key_id: &'static str,
    pub secret: &'static str,
    pub host: String,
}

/// A request: its head, and how its body is sent.
#[derive(Clone)]
pub struct Sent {
    pub head: Bytes,
    /// Sent one after the other; of which there are as many as wanted, without memory for each.
    pub body: Vec<Bytes>,
}

/// What is said of a body of zeros.
#[derive(Clone, Copy)]
pub enum Payload {
    Unsigned,
    /// Its SHA-256 is signed.
    Signed,
    /// It is signed chunk by chunk.
    Chunks,
}

impl Signer {
    /// A GET of an object of so many bytes.
    pub fn get(&self, bytes: u64) -> Sent {
        let path = format!("/examplebucket/photos/{bytes}");
        let (head, _) = self.head("GET", &path, &hex::encode(Sha256::digest(b"")), &[], 0);
        Sent { head: head.into(), body: vec![] }
    }

    /// A PUT of so many zeros: whole mebibytes.
    pub fn put(&self, bytes: u64, payload: Payload) -> Sent {
        let block = Bytes::from_static(&[0; CHUNK]);
        let blocks = vec![block; usize::try_from(bytes).expect("fits") / CHUNK];
        let path = "/examplebucket/photos/harbour";
        let put = |sha256: &str| self.head("PUT", path, sha256, &[], bytes).0.into();
        match payload {
            Payload::Unsigned => Sent { head: put(UNSIGNED), body: blocks },
            Payload::Signed => {
                let mut hash = Sha256::new();
                blocks.iter().for_each(|block| hash.update(block));
                Sent { head: put(&hex::encode(hash.finalize())), body: blocks }
            }
            Payload::Chunks => self.chunks(path, bytes, blocks),
        }
    }

    fn chunks(&self, path: &str, bytes: u64, blocks: Vec<Bytes>) -> Sent {
        let line =
            |size: usize, signature: &str| format!("{size:x};chunk-signature={signature}\r\n");
        let framing = |size| line(size, &"0".repeat(64)).len() + "\r\n".len();
        let length = (CHUNK + framing(CHUNK)) * blocks.len() + framing(0);
        let decoded = ("x-amz-decoded-content-length", bytes.to_string());
        let (head, signed) = self.head("PUT", path, STREAMING, &[decoded], length as u64);
        let Signed { mut signature, key, prefix } = signed;
        let empty = hex::encode(Sha256::digest(b""));
        let [of_block, of_end] =
            [&[0; CHUNK][..], b""].map(|data| hex::encode(Sha256::digest(data)));
        let mut next = |sha256: &str| {
            let text =
                format!("AWS4-HMAC-SHA256-PAYLOAD\n{prefix}\n{signature}\n{empty}\n{sha256}");
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("takes any");
            mac.update(text.as_bytes());
            signature = hex::encode(mac.finalize().into_bytes());
            signature.clone()
        };
        let mut body = vec![];
        for block in blocks {
            body.push(line(CHUNK, &next(&of_block)).into());
            body.extend([block, Bytes::from_static(b"\r\n")]);
        }
        body.push((line(0, &next(&of_end)) + "\r\n").into());
        Sent { head: head.into(), body }
    }

    /// A head signed now, with what its chunks are signed by.
    fn head(
        &self,
        method: &str,
        path: &str,
        sha256: &str,
        more: &[(&str, String)],
        length: u64,
    ) -> (BytesMut, Signed) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("is later");
        let unix_seconds = now.as_secs().cast_signed();
        let at = Timestamp::from_unix_seconds(unix_seconds);
        let Self { access_key_id: id, secret, host } = self;
        let head = |signature: &str| {
            let mut lines = format!(
                "{method} {path} HTTP/1.1\r\n\
                 Host: {host}\r\n\
                 User-Agent: aws-sdk-rust/1.3.14 ua/2.1 api/s3/1.112.0 os/linux lang/rust/1.95.0\r\n\
                 Accept: */*\r\n\
                 Accept-Encoding: identity\r\n\
                 amz-sdk-invocation-id: 0b2e3f5c-9f9c-4a8f-9d4e-7d1d2c9a6b1f\r\n\
                 amz-sdk-request: attempt=1; max=3\r\n\
                 Content-Length: {length}\r\n\
                 x-amz-content-sha256: {sha256}\r\n\
                 x-amz-date: {}\r\n",
                at.as_str()
            );
            let mut signed = "host;x-amz-content-sha256;x-amz-date".to_owned();
            for (name, value) in more {
                lines += &format!("{name}: {value}\r\n");
                signed += &format!(";{name}");
            }
            lines
                + &format!(
                    "Authorization: AWS4-HMAC-SHA256 \
                     Credential={id}/{}/{REGION}/s3/aws4_request, \
                     SignedHeaders={signed}, Signature={signature}\r\n\r\n",
                    at.date()
                )
        };
        let unsigned = head(&"0".repeat(64));
        let parsed = Head::parse(unsigned.as_bytes()).expect("is a head");
        let expected = Expected::s3(REGION, unix_seconds);
        let request = authenticate(&parsed, &expected).expect("is complete");
        let date_key = DateKey::derive(secret.as_bytes(), &at.date());
        let signature = date_key.signing_key(REGION, "s3").sign(&request.string_to_sign());
        let signature = String::from_utf8(signature.to_hex().into()).expect("is ASCII");
        let signed = Signed {
            key: *date_key.signing_key_bytes(request.scope()),
            prefix: format!("{}\n{}/{REGION}/s3/aws4_request", at.as_str(), at.date()),
            signature,
        };
        (head(&signed.signature).as_bytes().into(), signed)
    }
}

/// What the first chunk of a body is signed after.
struct Signed {
    key: [u8; 32],
    /// Time and scope, a line each.
    prefix: String,
    signature: String,
}
