//! Any bytes get a verdict of Version 2, or are none of its business; what is fit to be verified is what the request
//! says, no longer than it, and signed by no secret that the input does not hold.
//!
//! `cargo xtask fuzz version_2`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sigv4::{
    ErrorCode, Expected, Head, authenticate, authenticate_version_2, parse_version_2,
    verify_version_2,
};

const BUCKET: &str = "/johnsmith";

fuzz_target!(|raw: &[u8]| {
    // 2007-03-27T19:36:42Z, of the examples in S3's developer guide.
    let expected = Expected::s3("us-east-1", 1_175_024_202);
    // As the string to sign that someone else made.
    if let Ok(read) = parse_version_2("AKIAIOSFODNN7EXAMPLE", raw, "", &expected, Some(604_800)) {
        assert_eq!(read.string_to_sign(), raw);
    }
    let Ok(head) = Head::parse(raw) else { return };
    let request = match authenticate_version_2(&head, &expected, None) {
        None => return,
        Some(Ok(request)) => request,
        Some(Err(denial)) => {
            assert!(matches!(denial.code.http_status(), 400 | 403));
            return;
        }
    };
    // No request is judged by two versions.
    assert!(authenticate(&head, &expected).is_err());

    let text = request.string_to_sign();
    assert!(text.len() <= raw.len());
    assert!(text.starts_with(head.method()) && text[head.method().len()] == b'\n');
    if let Some(signature) = request.signature() {
        assert!(!verify_version_2(b"a secret that no input holds", text, signature));
    }
    let signed = request.signed_headers();
    assert!(signed.is_sorted_by(|a, b| a < b), "each once");
    for (name, _) in head.headers() {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let must_be = name.starts_with("x-amz-") && name.len() > "x-amz-".len();
        assert!(!must_be || signed.contains(&name));
    }
    assert_eq!(request.is_presigned(), request.timestamp().is_none());
    assert_eq!(request.signature_does_not_match().details.len(), 4);

    // Whoever made the same text himself is told the same, unless it is of a method that nobody has.
    match parse_version_2(request.access_key_id(), text, "", &expected, None) {
        Ok(read) => assert_eq!(read.timestamp(), request.timestamp()),
        Err(denial) => assert_eq!(denial.code, ErrorCode::AuthorizationHeaderMalformed),
    }

    // The bucket of a host stands before the path, and changes nothing else.
    let of_bucket = authenticate_version_2(&head, &expected, Some(&BUCKET[1..]));
    let Some(Ok(of_bucket)) = of_bucket else { panic!("a bucket makes no denial") };
    let of_bucket = of_bucket.string_to_sign();
    assert_eq!(of_bucket.len(), text.len() + BUCKET.len());
    let same = text.iter().zip(of_bucket).take_while(|(a, b)| a == b).count();
    assert!(
        (0..=same).any(|at| of_bucket[at..].starts_with(BUCKET.as_bytes())
            && text[at..] == of_bucket[at + BUCKET.len()..])
    );
});
