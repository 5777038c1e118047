//! `aws-chunked` bodies: AWS's examples, what other clients send, and the same in any pieces.

mod server;

use proptest::prelude::*;
use server::chunks::{SEED, Signer, announced, decode};
use sigv4::ChunkedBody;

const SIGNED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const SIGNED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

#[track_caller]
fn check(mode: &str, trailer: Option<&str>, seed: &str, wire: &[u8], data: &[u8]) {
    let announced = announced(mode, data.len(), trailer).unwrap();
    let (decoded, end) = decode(announced, seed, [wire]);
    let proof = end.unwrap_or_else(|denial| panic!("{mode} {trailer:?}: {denial}"));
    assert!(decoded == data);
    assert_eq!(proof.decoded_bytes(), data.len() as u64);
    assert_eq!(proof.checksum().map(|checksum| checksum.algorithm().header()), trailer);
    // Byte by byte it is the same.
    let (decoded, end) = decode(announced, seed, wire.chunks(1));
    assert_eq!((decoded == data, end), (true, Ok(proof)));
}

/// The body of AWS's examples: 66560 times `a`, in chunks of 64 KiB, 1 KiB and nothing.
fn documented(signatures: [&str; 3]) -> Vec<u8> {
    let mut wire = Vec::new();
    for (size, signature) in [65_536, 1024, 0].into_iter().zip(signatures) {
        wire.extend(format!("{size:x};chunk-signature={signature}\r\n").into_bytes());
        wire.extend(vec![b'a'; size]);
        if size > 0 {
            wire.extend(b"\r\n");
        }
    }
    wire
}

#[test]
fn the_example_of_the_documentation_is_accepted() {
    // Amazon S3 API reference, "Signature calculations for the Authorization header: transferring payload in
    // multiple chunks", "Example: PUT Object".
    let mut wire = documented([
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]);
    wire.extend(b"\r\n");
    check(SIGNED, None, SEED, &wire, &[b'a'; 66_560]);
}

#[test]
fn the_example_with_a_trailer_of_the_documentation_is_accepted() {
    // "... including trailing headers", "Example: PUT Object".
    let seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
    let chunks = documented([
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ]);
    for line_end in ["\n\r\n", "\r\n", "\n"] {
        let trailer = format!(
            "x-amz-checksum-crc32c:sOO8/Q=={line_end}x-amz-trailer-signature:\
             d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
        );
        let wire = [chunks.as_slice(), trailer.as_bytes()].concat();
        check(SIGNED_TRAILER, Some("x-amz-checksum-crc32c"), seed, &wire, &[b'a'; 66_560]);
    }
}

#[test]
fn what_botocore_sends_unsigned_is_accepted() {
    // `AwsChunkedWrapper` of botocore 1.44.8.
    let wire = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    check(UNSIGNED_TRAILER, Some("x-amz-checksum-crc32"), "", wire, b"hello");
}

#[test]
fn what_minio_go_sends_is_accepted() {
    let text = include_str!("vectors/chunked.txt").strip_prefix("== ").unwrap();
    let sections: Vec<_> = text.split("\n== ").collect();
    assert_eq!(sections.len(), 9);
    for section in sections {
        let header = |name: &str| {
            section.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let length = header("X-Amz-Decoded-Content-Length").unwrap().parse().unwrap();
        let data: Vec<u8> = (b'a'..=b'z').cycle().take(length).collect();
        let mut rest = data.as_slice();
        let mut wire = Vec::new();
        for line in section.lines().filter_map(|line| line.strip_prefix("> ")) {
            wire.extend(format!("{}\n", line.replace("\\r", "\r")).into_bytes());
            let size = line.split([';', '\\']).next().unwrap();
            if let Ok(size @ 1..) = usize::from_str_radix(size, 16) {
                let (piece, after) = rest.split_at(size);
                wire.extend(piece);
                rest = after;
            }
        }
        let mode = header("X-Amz-Content-Sha256").unwrap();
        let seed = header("seed").unwrap_or_default();
        check(mode, header("X-Amz-Trailer"), seed, &wire, &data);
    }
}

#[test]
fn signed_chunks_are_not_read_without_a_key() {
    for mode in [SIGNED, SIGNED_TRAILER] {
        let trailer = (mode == SIGNED_TRAILER).then_some("x-amz-checksum-sha1");
        assert!(ChunkedBody::new(announced(mode, 5, trailer).unwrap(), None).is_none());
    }
    let unsigned = announced(UNSIGNED_TRAILER, 5, Some("x-amz-checksum-sha1")).unwrap();
    assert!(ChunkedBody::new(unsigned, None).is_some());
}

/// A right body of chunks of some sizes, with or without a signed trailer.
fn body(sizes: &[usize], has_trailer: bool) -> (Vec<u8>, Vec<u8>) {
    let mut signer = Signer::new();
    let (mut wire, mut data) = (Vec::new(), Vec::new());
    for &size in sizes {
        let piece: Vec<u8> = (0..size).map(|at| (at * 7 + size) as u8).collect();
        wire.extend(signer.chunk(&piece));
        wire.extend(b"\r\n");
        data.extend(piece);
    }
    wire.extend(signer.chunk(b""));
    if has_trailer {
        use base64::Engine as _;
        use sha2::Digest as _;
        let digest = sha2::Sha256::digest(&data);
        let digest = base64::engine::general_purpose::STANDARD.encode(digest);
        let line = format!("x-amz-checksum-sha256:{digest}");
        let signature = signer.trailer(&format!("{line}\n"));
        wire.extend(format!("{line}\r\nx-amz-trailer-signature:{signature}\r\n").into_bytes());
    }
    wire.extend(b"\r\n");
    (wire, data)
}

fn bodies() -> impl Strategy<Value = (bool, Vec<u8>, Vec<u8>)> {
    let sizes = (proptest::collection::vec(8192usize..9000, 0..3), 0usize..40);
    (sizes, any::<bool>()).prop_map(|((mut sizes, last), has_trailer)| {
        sizes.extend((last > 0).then_some(last));
        let (wire, data) = body(&sizes, has_trailer);
        (has_trailer, wire, data)
    })
}

fn announce(has_trailer: bool, length: usize) -> sigv4::AnnouncedChunks {
    let (mode, trailer) = match has_trailer {
        true => (SIGNED_TRAILER, Some("x-amz-checksum-sha256")),
        false => (SIGNED, None),
    };
    announced(mode, length, trailer).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_body_is_the_same_in_any_pieces(
        (has_trailer, wire, data) in bodies(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(wire.len())).collect();
        cuts.sort_unstable();
        let starts = std::iter::once(0).chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([wire.len()]);
        let reads: Vec<_> = starts.zip(ends).map(|(start, end)| &wire[start..end]).collect();
        let (decoded, end) = decode(announce(has_trailer, data.len()), SEED, reads);
        prop_assert!(end.is_ok(), "{:?}", end);
        prop_assert!(decoded == data);
    }

    #[test]
    fn a_body_with_one_other_bit_is_never_complete(
        (has_trailer, mut wire, data) in bodies(),
        at: prop::sample::Index,
        bit in 0..8,
    ) {
        let announced = announce(has_trailer, data.len());
        let at = at.index(wire.len());
        let before = wire[at];
        wire[at] ^= 1_u8 << bit;
        let (decoded, end) = decode(announced, SEED, [wire.as_slice()]);
        // Case means nothing in a size or in a trailer's name, and LF may end the line of a checksum.
        let is_same = decoded == data && (wire[at].eq_ignore_ascii_case(&before) || !before.is_ascii_graphic());
        prop_assert!(end.is_err() || is_same, "byte {} was {}", at, before);
    }

    #[test]
    fn a_body_that_is_cut_or_goes_on_is_never_complete(
        (has_trailer, mut wire, data) in bodies(),
        at: prop::sample::Index,
        more: u8,
    ) {
        let announced = announce(has_trailer, data.len());
        let cut = &wire[..at.index(wire.len())];
        prop_assert!(decode(announced, SEED, [cut]).1.is_err());
        wire.push(more);
        prop_assert!(decode(announced, SEED, [wire.as_slice()]).1.is_err());
    }

    #[test]
    fn any_bytes_get_an_end(wire: Vec<u8>, has_trailer: bool, length in 0usize..100) {
        let _ = decode(announce(has_trailer, length), SEED, [wire.as_slice()]);
        let unsigned = announced(UNSIGNED_TRAILER, length, Some("x-amz-checksum-crc64nvme")).unwrap();
        let _ = decode(unsigned, SEED, wire.chunks(3));
    }
}
