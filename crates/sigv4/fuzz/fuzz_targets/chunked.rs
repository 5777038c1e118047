//! An `aws-chunked` body means the same in any pieces, and is complete only with the length that was announced.
//!
//! The first two bytes say how it was announced and how it is cut. `cargo xtask fuzz chunked`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sigv4::{
    AnnouncedChunks, ChunkPiece, ChunkedBody, ChunkedProof, Date, ErrorCode, PayloadMode, Scope,
    Signature, SignatureChain, SigningKey, Timestamp,
};

const TRAILERS: [&str; 5] = [
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
];

fn read(
    announced: AnnouncedChunks,
    pieces: &mut dyn Iterator<Item = &[u8]>,
) -> (Vec<u8>, Result<ChunkedProof, ErrorCode>) {
    let date = Date::from_unix_seconds(1_369_353_600);
    let scope = Scope::new(date, "us-east-1", "s3").expect("a scope");
    let timestamp = Timestamp::from_unix_seconds(1_369_353_600);
    let key = SigningKey::from_bytes(&[7; 32]);
    let chain = SignatureChain::new(key, timestamp, &scope, Signature::from_hex(b""));
    let mut body = ChunkedBody::new(announced, Some(chain)).expect("there is a key");
    let mut data = Vec::new();
    for mut piece in pieces {
        loop {
            match body.read(&mut piece) {
                Ok(Some(ChunkPiece::Data(some))) => data.extend_from_slice(some),
                Ok(Some(ChunkPiece::Signed { decoded_bytes })) => {
                    assert_eq!(decoded_bytes, data.len() as u64);
                }
                Ok(None) => break,
                Err(denial) => {
                    assert!(body.read(&mut b"0\r\n\r\n".as_slice()).is_err());
                    assert!(body.finish().is_err());
                    return (data, Err(denial.code));
                }
            }
        }
        assert!(piece.is_empty());
    }
    (data, body.finish().map_err(|denial| denial.code))
}

fuzz_target!(|input: &[u8]| {
    let [how, cut, wire @ ..] = input else { return };
    let trailer = TRAILERS[usize::from(how / 8) % TRAILERS.len()];
    let length = ["0", "5", "8197", "5368709120"][usize::from(how / 2) % 4];
    let (mode, trailer) = match (how % 2, how / 64) {
        (0, _) => (PayloadMode::UnsignedChunksTrailer, Some(trailer)),
        (_, 0..2) => (PayloadMode::SignedChunks, None),
        (_, _) => (PayloadMode::SignedChunksTrailer, Some(trailer)),
    };
    let headers = [("x-amz-decoded-content-length", Some(length)), ("x-amz-trailer", trailer)];
    let headers =
        headers.iter().filter_map(|(name, value)| Some((name.as_bytes(), (*value)?.as_bytes())));
    let announced = AnnouncedChunks::find(mode, headers).expect("it is well announced");
    let whole = read(announced, &mut std::iter::once(wire));
    let cut = usize::from(*cut).max(1);
    assert_eq!(read(announced, &mut wire.chunks(cut)), whole);
    let (first, second) = wire.split_at(cut.min(wire.len()));
    assert_eq!(read(announced, &mut [first, second].into_iter()), whole);
    if let (data, Ok(proof)) = whole {
        assert_eq!(
            (proof.decoded_bytes(), data.len() as u64),
            (announced.decoded_bytes(), announced.decoded_bytes())
        );
        assert!(!announced.is_signed(), "nobody has the key");
    }
});
