//! What a hash says of a body.

use sha2::{Digest, Sha256};
use sigv4::{Denial, ErrorCode, Expected, Head, PayloadMode, authenticate};

use crate::check;
use crate::server::{GET, NOW, sign};

#[test]
fn the_hash_of_nothing_is_a_hash_like_any_other() {
    // Some servers took it for "not signed".
    let empty: [u8; 32] = Sha256::digest(b"").into();
    let raw = sign(&GET.replace("UNSIGNED-PAYLOAD", &hex::encode(empty)));
    let head = Head::parse(raw.as_bytes()).unwrap();
    let request = authenticate(&head, &Expected::s3("us-east-1", NOW)).unwrap();
    assert_eq!(request.payload_mode(), PayloadMode::Sha256(empty));
}

#[test]
fn a_hash_has_one_spelling() {
    let message = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
                   STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER \
                   or a valid sha256 value.";
    let empty = hex::encode(Sha256::digest(b""));
    for value in [
        &empty.to_ascii_uppercase(),
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        &empty[1..],
        "aws-chunked",
    ] {
        check(&GET.replace("UNSIGNED-PAYLOAD", value), ErrorCode::InvalidArgument, message);
    }
}

#[test]
fn a_body_that_is_not_chunked_is_not_read_as_chunks() {
    let headers = [
        (b"x-amz-decoded-content-length".as_slice(), b"5".as_slice()),
        (b"content-encoding", b"aws-chunked"),
    ];
    for mode in [PayloadMode::Unsigned, PayloadMode::Sha256([0; 32])] {
        let denial = sigv4::AnnouncedChunks::find(mode, headers).unwrap_err();
        assert_eq!(denial.code, ErrorCode::InvalidRequest);
    }
}

#[test]
fn another_body_than_the_signed_one_is_told_by_both_hashes() {
    let denial = Denial::content_sha256_mismatch(&[0xab; 32], &[0x01; 32]);
    assert_eq!(
        (denial.code.as_str(), denial.code.http_status()),
        ("XAmzContentSHA256Mismatch", 400)
    );
    let details = [
        ("ClientComputedContentSHA256", "ab".repeat(32)),
        ("S3ComputedContentSHA256", "01".repeat(32)),
    ];
    assert_eq!(denial.details, details);
}
