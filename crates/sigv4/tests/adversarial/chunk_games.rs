//! Bodies in chunks that are not what was signed or announced.

use sigv4::{DECODED_BYTES_MAX, Denial, ErrorCode};

use crate::server::chunks::{SEED, Signer, announced, decode};

const SIGNED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const SIGNED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const CRC32: &str = "x-amz-checksum-crc32";

/// The denial of a body of `length` bytes, which is read in one piece and byte by byte.
#[track_caller]
fn check(mode: &str, length: usize, wire: &[u8], code: ErrorCode) -> Denial {
    let trailer = (mode != SIGNED).then_some(CRC32);
    let announced = announced(mode, length, trailer).unwrap();
    let (data, end) = decode(announced, SEED, [wire]);
    let denial = end.expect_err("complete");
    assert_eq!(denial.code, code, "{}", String::from_utf8_lossy(&wire[..wire.len().min(300)]));
    assert_eq!(decode(announced, SEED, wire.chunks(1)), (data, Err(denial.clone())));
    denial
}

#[track_caller]
fn check_unsigned(wire: &str, code: ErrorCode) {
    check(UNSIGNED_TRAILER, 5, wire.as_bytes(), code);
}

/// Three chunks of 8192, 8192 and 5 bytes, and the last one; without the line break that ends all.
fn chunks() -> Vec<Vec<u8>> {
    let mut signer = Signer::new();
    let data = [vec![1; 8192], vec![2; 8192], vec![3; 5]];
    let mut chunks: Vec<_> =
        data.iter().map(|data| [signer.chunk(data).as_slice(), b"\r\n"].concat()).collect();
    chunks.push([signer.chunk(b"").as_slice(), b"\r\n"].concat());
    chunks
}

const LENGTH: usize = 8192 + 8192 + 5;

#[test]
fn no_chunk_may_have_another_signature_or_other_data() {
    let announced = announced(SIGNED, LENGTH, None).unwrap();
    assert!(decode(announced, SEED, [chunks().concat().as_slice()]).1.is_ok());
    for at in 0..4 {
        let mut changed = chunks();
        let signature = changed[at].iter().position(|&byte| byte == b'=').unwrap() + 1;
        changed[at][signature] ^= 1;
        check(SIGNED, LENGTH, &changed.concat(), ErrorCode::SignatureDoesNotMatch);
        if at < 3 {
            let mut changed = chunks();
            let last = changed[at].len() - 3;
            changed[at][last] ^= 1;
            check(SIGNED, LENGTH, &changed.concat(), ErrorCode::SignatureDoesNotMatch);
        }
    }
}

#[test]
fn no_chunk_may_be_moved_doubled_left_out_or_of_another_upload() {
    let mut moved = chunks();
    moved.swap(0, 1);
    check(SIGNED, LENGTH, &moved.concat(), ErrorCode::SignatureDoesNotMatch);
    let mut doubled = chunks();
    doubled[1] = doubled[0].clone();
    check(SIGNED, LENGTH, &doubled.concat(), ErrorCode::SignatureDoesNotMatch);
    let mut without = chunks();
    without.remove(0);
    check(SIGNED, LENGTH - 8192, &without.concat(), ErrorCode::SignatureDoesNotMatch);
    let other = "0".repeat(64);
    let (_, end) =
        decode(announced(SIGNED, LENGTH, None).unwrap(), &other, [chunks().concat().as_slice()]);
    assert_eq!(end.unwrap_err().code, ErrorCode::SignatureDoesNotMatch);
}

#[test]
fn signatures_of_chunks_are_not_optional() {
    check(SIGNED, 5, b"5\r\nhello\r\n0\r\n\r\n", ErrorCode::SignatureDoesNotMatch);
    let wire = b"5;chunk-signature=\r\nhello\r\n";
    check(SIGNED, 5, wire, ErrorCode::SignatureDoesNotMatch);
    for extension in [
        ";",
        ";chunk-signature",
        ";x=y",
        ";chunk-signature =a",
        ";CHUNK-SIGNATURE=a",
        "; chunk-signature=a",
    ] {
        check(
            SIGNED,
            5,
            format!("5{extension}\r\nhello\r\n").as_bytes(),
            ErrorCode::IncompleteBody,
        );
        check_unsigned(&format!("5{extension}\r\nhello\r\n"), ErrorCode::IncompleteBody);
    }
    let signature = "0".repeat(64);
    check_unsigned(
        &format!("5;chunk-signature={signature}\r\nhello\r\n"),
        ErrorCode::IncompleteBody,
    );
}

#[test]
fn the_last_chunk_is_empty_and_nothing_follows_it() {
    let whole = chunks().concat();
    let without_last = chunks()[..3].concat();
    check(SIGNED, LENGTH, &without_last, ErrorCode::IncompleteBody);
    check(SIGNED, LENGTH, &whole[..whole.len() - 2], ErrorCode::IncompleteBody);
    for more in [b"\r\n".as_slice(), b"0", &chunks()[3], b"x-amz-acl:public-read\r\n\r\n"] {
        let wire = [whole.as_slice(), more].concat();
        check(SIGNED, LENGTH, &wire, ErrorCode::MalformedTrailerError);
    }
    check(SIGNED, 5, b"", ErrorCode::IncompleteBody);
}

#[test]
fn the_size_of_a_chunk_is_a_hexadecimal_number_of_at_most_16_digits() {
    let sizes = [
        "",
        "+5",
        "-5",
        " 5",
        "5 ",
        "0x5",
        "5h",
        "5\t",
        "\u{0}5",
        "00000000000000005",
        "ffffffffffffffff",
        "10000000000000000",
        "fffffffffffffffffffffffff",
    ];
    for size in sizes {
        check_unsigned(&format!("{size}\r\nhello\r\n"), ErrorCode::IncompleteBody);
    }
    for size in ["5", "05", "0000000000000005"] {
        let wire = format!("{size}\r\nhello\r\n0\r\n{CRC32}:NhCmhg==\r\n\r\n");
        let announced = announced(UNSIGNED_TRAILER, 5, Some(CRC32)).unwrap();
        assert!(decode(announced, SEED, [wire.as_bytes()]).1.is_ok(), "{size}");
    }
}

#[test]
fn lines_end_in_crlf_and_are_short() {
    check_unsigned("5\nhello\r\n0\r\n", ErrorCode::IncompleteBody);
    check_unsigned("5\r\nhello\n0\r\n", ErrorCode::IncompleteBody);
    check_unsigned("5\r\nhello0\r\n", ErrorCode::IncompleteBody);
    check_unsigned("5\r\nhellohello\r\n0\r\n", ErrorCode::IncompleteBody);
    // A header of a chunk that never ends is not waited for.
    check_unsigned(&"0".repeat(129), ErrorCode::IncompleteBody);
    check(
        SIGNED,
        5,
        format!("5;chunk-signature={}", "a".repeat(200)).as_bytes(),
        ErrorCode::IncompleteBody,
    );
}

#[test]
fn more_than_was_announced_is_refused_when_it_is_declared() {
    for size in ["6", "100000000", "11000000", "12c00000", "ffffffff"] {
        check_unsigned(&format!("{size}\r\n"), ErrorCode::IncompleteBody);
    }
    let denial = check(UNSIGNED_TRAILER, 5, b"6\r\n", ErrorCode::IncompleteBody);
    let details =
        [("NumberBytesExpected", "5".to_owned()), ("NumberBytesProvided", "6".to_owned())];
    assert_eq!(denial.details, details);
    let mut signer = Signer::new();
    let wire = [&signer.chunk(b"hello"), b"\r\n".as_slice(), &signer.chunk(b""), b"\r\n"].concat();
    check(SIGNED, 6, &wire, ErrorCode::IncompleteBody);
    check(SIGNED, 4, &wire, ErrorCode::IncompleteBody);
}

#[test]
fn only_the_last_chunk_may_be_small() {
    let mut signer = Signer::new();
    let wire: Vec<_> = [vec![0; 8192], vec![0; 8191], vec![0; 1]]
        .iter()
        .flat_map(|data| [signer.chunk(data), b"\r\n".to_vec()].concat())
        .collect();
    let denial = check(SIGNED, 8192 + 8192, &wire, ErrorCode::InvalidChunkSizeError);
    let details = [("Chunk", "2".to_owned()), ("BadChunkSize", "8191".to_owned())];
    assert_eq!((denial.details.as_slice(), denial.code.http_status()), (details.as_slice(), 400));
    check_unsigned("1\r\nh\r\n4\r\nello\r\n", ErrorCode::InvalidChunkSizeError);
}

#[test]
fn the_trailer_is_what_was_announced_and_nothing_else() {
    let body = "5\r\nhello\r\n0\r\n";
    let right = "x-amz-checksum-crc32:NhCmhg==\r\n";
    let malformed = ErrorCode::MalformedTrailerError;
    for trailer in [
        "\r\n".to_owned(),
        "x-amz-acl:public-read\r\n\r\n".to_owned(),
        format!("x-amz-acl:public-read\r\n{right}\r\n"),
        format!("{right}x-amz-acl:public-read\r\n\r\n"),
        format!("{right}x-amz-meta-a:b\r\n\r\n"),
        format!("{right}{right}\r\n"),
        format!("{right}x-amz-checksum-crc32c:NhCmhg==\r\n\r\n"),
        format!("{right}x-amz-trailer-signature:{}\r\n\r\n", "0".repeat(64)),
        "x-amz-checksum-sha1:NhCmhg==\r\n\r\n".to_owned(),
        "x-amz-checksum-crc32 NhCmhg==\r\n\r\n".to_owned(),
        "x-amz-checksum-crc32 :NhCmhg==\r\n\r\n".to_owned(),
        format!("x-amz-checksum-crc32:{}", "A".repeat(200)),
        format!("{right}\n"),
        format!("{right}\r\n\r\n"),
        format!("{right}\r\nx"),
    ] {
        check_unsigned(&format!("{body}{trailer}"), malformed);
    }
    check_unsigned(body, ErrorCode::IncompleteBody);
    check_unsigned(&format!("{body}{right}"), ErrorCode::IncompleteBody);
}

#[test]
fn the_checksum_is_one_and_that_of_the_data() {
    let body = |value: &str| format!("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{value}\r\n\r\n");
    check_unsigned(&body("NhCmhw=="), ErrorCode::BadDigest);
    check_unsigned(&body("AAAAAA=="), ErrorCode::BadDigest);
    for value in ["", "NhCmhg", "NhCmhh==", "NhCmhgA=", "3610a686", "NhCmhg==, NhCmhg=="] {
        check_unsigned(&body(value), ErrorCode::InvalidRequest);
    }
    check_unsigned(&body("NhCmhg==").replace("hello", "hellp"), ErrorCode::BadDigest);
}

#[test]
fn a_signed_trailer_needs_its_signature() {
    let mut signer = Signer::new();
    let chunks = [&signer.chunk(b"hello"), b"\r\n".as_slice(), &signer.chunk(b"")].concat();
    let line = format!("{CRC32}:NhCmhg==");
    let before = signer.previous.clone();
    let signature = signer.trailer(&format!("{line}\n"));
    let wire = |trailer: &str| [chunks.as_slice(), trailer.as_bytes()].concat();
    let signed =
        |signature: &str| wire(&format!("{line}\r\nx-amz-trailer-signature:{signature}\r\n\r\n"));
    let known = announced(SIGNED_TRAILER, 5, Some(CRC32)).unwrap();
    assert!(decode(known, SEED, [signed(&signature).as_slice()]).1.is_ok());
    for other in
        ["", "0", &before, &"0".repeat(64), &signature.to_ascii_uppercase(), &signature[1..]]
    {
        check(SIGNED_TRAILER, 5, &signed(other), ErrorCode::SignatureDoesNotMatch);
    }
    // CVE-2025-31489 in MinIO: a trailer without a signature was taken as it was.
    for trailer in [
        format!("{line}\r\n\r\n"),
        format!("x-amz-trailer-signature:{signature}\r\n{line}\r\n\r\n"),
        format!("{line}\r\nx-amz-trailer-signature:{signature}\r\nx-amz-acl:public-read\r\n\r\n"),
        format!("{line}\r\nx-amz-acl:public-read\r\nx-amz-trailer-signature:{signature}\r\n\r\n"),
    ] {
        check(SIGNED_TRAILER, 5, &wire(&trailer), ErrorCode::MalformedTrailerError);
    }
}

#[test]
fn a_body_in_chunks_is_announced_with_its_length_and_one_checksum() {
    #[track_caller]
    fn check(mode: &str, headers: &[(&str, &str)], code: ErrorCode) {
        let mode = sigv4::PayloadMode::parse(mode.as_bytes()).unwrap();
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let denial = sigv4::AnnouncedChunks::find(mode, headers).unwrap_err();
        assert_eq!(denial.code, code);
    }
    let length = ("x-amz-decoded-content-length", "5");
    check(SIGNED, &[], ErrorCode::MissingContentLength);
    for value in ["", "-1", "+5", "0x5", "5.0", "five"] {
        check(SIGNED, &[("x-amz-decoded-content-length", value)], ErrorCode::InvalidArgument);
    }
    let too_much = (DECODED_BYTES_MAX + 1).to_string();
    for value in [&too_much, "18446744073709551616", &"9".repeat(1000)] {
        check(SIGNED, &[("x-amz-decoded-content-length", value)], ErrorCode::EntityTooLarge);
    }
    check(SIGNED, &[length, ("X-Amz-Decoded-Content-Length", "5")], ErrorCode::InvalidRequest);
    check(SIGNED, &[length, ("x-amz-trailer", CRC32)], ErrorCode::InvalidRequest);
    for mode in [SIGNED_TRAILER, UNSIGNED_TRAILER] {
        check(mode, &[length], ErrorCode::MalformedTrailerError);
        for value in [
            "",
            "x-amz-acl",
            "x-amz-meta-a",
            "x-amz-checksum-md4",
            "x-amz-checksum-crc32,x-amz-acl",
            "x-amz-checksum-crc32,x-amz-checksum-sha1",
        ] {
            check(mode, &[length, ("x-amz-trailer", value)], ErrorCode::InvalidRequest);
        }
        check(
            mode,
            &[length, ("x-amz-trailer", CRC32), ("X-Amz-Trailer", CRC32)],
            ErrorCode::InvalidRequest,
        );
    }
    for mode in ["UNSIGNED-PAYLOAD", &"0a".repeat(32)] {
        check(mode, &[length], ErrorCode::InvalidRequest);
    }
}
