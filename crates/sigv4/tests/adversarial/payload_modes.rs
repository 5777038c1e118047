//! What `x-amz-content-sha256` can say: a closed set.

use sigv4::{ErrorCode, Expected, Head, authenticate};

use crate::server::{GET, NOW, PRESIGNED, sign};
use crate::{and, check, check_accepted, with};

#[test]
fn a_header_signature_says_what_it_signs_of_the_body() {
    let header = "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n";
    let message = "Missing required header for this request: x-amz-content-sha256";
    check(&with(GET, header, ""), ErrorCode::InvalidRequest, message);
    let message = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
                   STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER \
                   or a valid sha256 value.";
    for value in ["", "unsigned-payload", "STREAMING-UNSIGNED-PAYLOAD", &"0A".repeat(32)] {
        let raw = with(GET, "UNSIGNED-PAYLOAD", value);
        let denial = check(&raw, ErrorCode::InvalidArgument, message);
        assert_eq!(denial.details[1], ("ArgumentValue", value.to_owned()));
        check(
            &and(PRESIGNED, &format!("x-amz-content-sha256: {value}")),
            ErrorCode::InvalidArgument,
            message,
        );
    }
}

#[test]
fn a_presigned_url_may_say_what_it_signs_of_the_body_but_only_one_thing() {
    let hash = "0a".repeat(32);
    let parameter =
        with(PRESIGNED, "&X-Amz-Date", &format!("&X-Amz-Content-Sha256={hash}&X-Amz-Date"));
    let header = with(
        &and(PRESIGNED, &format!("x-amz-content-sha256: {hash}")),
        "=host",
        "=host;x-amz-content-sha256",
    );
    let both = and(
        &with(&parameter, "=host", "=host;x-amz-content-sha256"),
        &format!("x-amz-content-sha256: {hash}"),
    );
    for raw in [&parameter, &header, &both] {
        let raw = sign(raw);
        check_accepted(&raw);
        let head = Head::parse(raw.as_bytes()).unwrap();
        let request = authenticate(&head, &Expected::s3("us-east-1", NOW)).unwrap();
        assert_eq!(request.payload_mode(), sigv4::PayloadMode::Sha256([10; 32]));
        assert!(request.canonical_request().ends_with(hash.as_bytes()));
    }
    let message = "The header and the query parameter x-amz-content-sha256 are not the same.";
    let differing = with(&both, "Sha256=0a", "Sha256=0b");
    check(&differing, ErrorCode::InvalidRequest, message);
}
