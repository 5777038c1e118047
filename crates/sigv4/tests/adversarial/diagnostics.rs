//! What a denial tells, and what neither it nor a log ever does.

use sigv4::{DateKey, ErrorCode, Expected, Head, SignatureChain, authenticate};

use crate::server::post::Form;
use crate::server::{GET, NOW, SECRET, sign};
use crate::{MISMATCH, and, check, with};

#[test]
fn a_wrong_signature_is_explained_with_the_clients_own_words() {
    for signature in ["0".repeat(64), "0".repeat(63), "Z".repeat(64), "x".to_owned()] {
        let raw = with(GET, "SIGNATURE", &signature);
        let denial = check(&raw, ErrorCode::SignatureDoesNotMatch, MISMATCH);
        let canonical = "GET\n/bucket/a%20key\nversionId=3\nhost:s3.example.com\n\
                         x-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:20130524T000000Z\n\n\
                         host;x-amz-content-sha256;x-amz-date\nUNSIGNED-PAYLOAD";
        let names: Vec<_> = denial.details.iter().map(|(name, _)| *name).collect();
        let expected = [
            "AWSAccessKeyId",
            "StringToSign",
            "SignatureProvided",
            "StringToSignBytes",
            "CanonicalRequest",
            "CanonicalRequestBytes",
        ];
        assert_eq!(names, expected);
        assert_eq!(denial.details[0].1, "AKIAIOSFODNN7EXAMPLE");
        assert_eq!(denial.details[2].1, signature);
        assert!(denial.details[3].1.starts_with("41 57 53 34 2d 48 4d 41 43"));
        assert_eq!(denial.details[4].1, canonical);
        assert!(denial.details[5].1.starts_with("47 45 54 0a 2f"));
        let right = sign(GET);
        let right = &right[right.find("Signature=").unwrap() + 10..][..64];
        assert!(denial.details.iter().all(|(_, text)| !text.contains(right)));
    }
}

#[test]
fn nothing_that_is_printed_for_a_log_holds_a_secret_or_a_signature() {
    let raw = sign(&with(
        &and(GET, "x-amz-security-token: T0KEN"),
        ";x-amz-date",
        ";x-amz-date;x-amz-security-token",
    ));
    let signature = &raw[raw.find("Signature=").unwrap() + 10..][..64];
    let head = Head::parse(raw.as_bytes()).unwrap();
    let request = authenticate(&head, &Expected::s3("us-east-1", NOW)).unwrap();
    let date_key = DateKey::derive(SECRET.as_bytes(), &request.scope().date());
    let key = date_key.signing_key_of(request.scope());
    let chain = SignatureChain::new(
        key.clone(),
        request.timestamp(),
        request.scope(),
        *request.signature(),
    );
    let denial = request.signature_does_not_match();
    let form = Form::signed(
        r#", {"x-amz-security-token": "T0KEN"}"#,
        &[("x-amz-security-token", "T0KEN")],
    );
    let mut shown = form.verdict(NOW, |post| format!("{post:?}")).unwrap();
    shown += &format!("{head:?} {request:?} {date_key:?} {key:?} {chain:?} {denial:?} {denial}");
    shown += &format!("{:?} {:?}", request.signature(), request.signature_does_not_match());
    let form_signature = &form.fields.last().unwrap().1;
    let date_key = hex::encode(date_key.expose());
    for hidden in [SECRET, "T0KEN", signature, form_signature, &date_key] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
}
