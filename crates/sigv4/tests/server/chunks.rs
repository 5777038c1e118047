//! A client that signs chunks as AWS's documentation tells, with nothing of the library's.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use sigv4::{
    AnnouncedChunks, ChunkPiece, ChunkedBody, ChunkedProof, Date, DateKey, Denial, PayloadMode,
    Scope, Signature, SignatureChain, Timestamp,
};

use super::{NOW, SECRET};

/// The signature of a head that was verified.
pub(crate) const SEED: &str = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

/// Signs one chunk after the other, and then the trailer.
pub(crate) struct Signer {
    pub(crate) previous: String,
}

impl Signer {
    pub(crate) fn new() -> Self {
        Self { previous: SEED.to_owned() }
    }

    fn sign(&mut self, algorithm: &str, last: &str) -> String {
        let key = hmac(format!("AWS4{SECRET}").as_bytes(), "20130524");
        let key =
            ["us-east-1", "s3", "aws4_request"].iter().fold(key, |key, part| hmac(&key, part));
        let scope = "20130524/us-east-1/s3/aws4_request";
        let text = format!("{algorithm}\n20130524T000000Z\n{scope}\n{}\n{last}", self.previous);
        self.previous = hex::encode(hmac(&key, &text));
        self.previous.clone()
    }

    /// A chunk as it stands on the wire, without the line break behind its data.
    pub(crate) fn chunk(&mut self, data: &[u8]) -> Vec<u8> {
        let hashes = [b"".as_slice(), data].map(|data| hex::encode(Sha256::digest(data)));
        let signature = self.sign("AWS4-HMAC-SHA256-PAYLOAD", &hashes.join("\n"));
        let line = format!("{:x};chunk-signature={signature}\r\n", data.len());
        [line.as_bytes(), data].concat()
    }

    /// The signature of `name:value` lines, each ended by LF.
    pub(crate) fn trailer(&mut self, lines: &str) -> String {
        self.sign("AWS4-HMAC-SHA256-TRAILER", &hex::encode(Sha256::digest(lines)))
    }
}

/// What a server knows of a body from its head.
pub(crate) fn announced(
    mode: &str,
    length: usize,
    trailer: Option<&str>,
) -> Result<AnnouncedChunks, Denial> {
    let length = length.to_string();
    let mut headers = vec![("X-Amz-Decoded-Content-Length", length.as_str()), ("accept", "*/*")];
    headers.extend(trailer.map(|name| ("x-amz-trailer", name)));
    let mode = PayloadMode::parse(mode.as_bytes()).unwrap();
    let bytes = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    AnnouncedChunks::find(mode, bytes)
}

pub(crate) fn chain(seed: &str) -> SignatureChain {
    let date = Date::from_unix_seconds(NOW);
    let key = DateKey::derive(SECRET.as_bytes(), &date).signing_key("us-east-1", "s3");
    let scope = Scope::new(date, "us-east-1", "s3").unwrap();
    let timestamp = Timestamp::from_unix_seconds(NOW);
    SignatureChain::new(key, timestamp, &scope, Signature::from_hex(seed.as_bytes()))
}

/// All data that comes out of the reads of a body, and whether it is proven at its end.
pub(crate) fn decode<'r>(
    announced: AnnouncedChunks,
    seed: &str,
    reads: impl IntoIterator<Item = &'r [u8]>,
) -> (Vec<u8>, Result<ChunkedProof, Denial>) {
    let mut body = ChunkedBody::new(announced, Some(chain(seed))).unwrap();
    let mut data = Vec::new();
    for mut read in reads {
        loop {
            match body.read(&mut read) {
                Ok(Some(ChunkPiece::Data(piece))) => data.extend_from_slice(piece),
                Ok(Some(ChunkPiece::Signed { decoded_bytes })) => {
                    assert_eq!(decoded_bytes, data.len() as u64);
                }
                Ok(None) => break,
                Err(denial) => {
                    // Once denied, it stays so, whatever comes.
                    assert!(body.read(&mut b"0\r\n\r\n".as_slice()).is_err());
                    assert!(body.finish().is_err());
                    return (data, Err(denial));
                }
            }
        }
        assert!(read.is_empty());
    }
    (data, body.finish())
}
