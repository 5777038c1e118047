//! What is told of a request that is refused, and what of one that is not.

mod server;

use server::{GET, NOW, PRESIGNED, SECRET, sign};
use sha2::{Digest, Sha256};
use sigv4::explain::{Claim, Explanation, Hint, explain};
use sigv4::{DateKey, ErrorCode, Expected, Head, SignedRequest};

fn is_right(request: &SignedRequest<'_>) -> bool {
    let date_key = DateKey::derive(SECRET.as_bytes(), &request.scope().date());
    request.is_signed_by(&date_key.signing_key_of(request.scope()))
}

fn told(raw: &str, expected: &Expected<'_>, body: Option<&str>) -> Explanation {
    let head = Head::parse_lenient(raw.as_bytes()).unwrap();
    let body = body.map(|body| hex::encode(Sha256::digest(body)).into_bytes().try_into().unwrap());
    explain(&head, expected, body.as_ref(), is_right)
}

/// What is told when `sent` was put in place of `signed` on the way.
#[track_caller]
fn check(template: &str, signed: &str, sent: &str, hint: &Hint) {
    let raw = sign(template);
    assert!(raw.contains(signed), "{raw}");
    let raw = raw.replacen(signed, sent, 1);
    let found = told(&raw, &Expected::s3("us-east-1", NOW), None);
    assert_eq!(found.denial.map(|denial| denial.code), Some(ErrorCode::SignatureDoesNotMatch));
    assert_eq!(found.hints.first(), Some(hint), "{:?}", found.hints);
    assert_eq!(found.hints.last(), Some(&Hint::Secret));
}

fn host(sent: &str, signed: &str) -> Hint {
    Hint::Host { sent: sent.to_owned(), signed: signed.to_owned() }
}

#[test]
fn a_right_signature_needs_no_hint() {
    for raw in [sign(GET), sign(PRESIGNED)] {
        let found = told(&raw, &Expected::s3("us-east-1", NOW), None);
        assert_eq!((found.denial, found.hints), (None, vec![]));
        assert!(found.canonical_request.unwrap().starts_with(b"GET\n/bucket/a%20key\n"));
        assert_eq!(found.signature.unwrap().len(), 64);
    }
}

#[test]
fn what_was_signed_instead_is_found_by_trying() {
    let port = "Host: s3.example.com:9000";
    check(GET, "Host: s3.example.com", port, &host("s3.example.com:9000", "s3.example.com"));
    let with_port = GET.replace("s3.example.com", "s3.example.com:8080");
    check(&with_port, ":8080", "", &host("s3.example.com", "s3.example.com:8080"));
    check(GET, "s3.example", "S3.Example", &host("S3.Example.com", "s3.example.com"));
    check(PRESIGNED, "GET ", "HEAD ", &Hint::Method { signed: "GET" });
    let added = Hint::ParameterAdded { name: "x-id".to_owned() };
    check(GET, "?versionId=3", "?x-id=GetObject&versionId=3", &added);
    let added = Hint::ParameterAdded { name: "fbclid".to_owned() };
    check(PRESIGNED, " HTTP/1.1", "&fbclid=1 HTTP/1.1", &added);
    let spaced = GET.replace("versionId=3", "prefix=a%2Bb");
    check(&spaced, "a%2Bb", "a+b", &Hint::PlusIsNoSpace);
    check(GET, "/bucket/a", "//bucket/./a", &Hint::PathNormalised);
    // As a client would that encodes the path twice: `%2520` signed, `%20` sent.
    let twice = GET.replace("a%20key", "a%2520key");
    check(&twice, "a%2520key", "a%20key", &Hint::PathEncodedTwice);
}

#[test]
fn a_path_that_was_not_encoded_is_found_by_trying() {
    let raw = GET.replace("a%20key", "a+key");
    let head = Head::parse(raw.as_bytes()).unwrap();
    let expected = Expected::s3("us-east-1", NOW);
    let request = sigv4::authenticate(&head, &expected).unwrap();
    let canonical = String::from_utf8(request.canonical_request()).unwrap();
    let canonical = canonical.replace("a%2Bkey", "a+key");
    let hash = Sha256::digest(canonical).into();
    let text = sigv4::StringToSign::new(request.timestamp(), request.scope(), &hash);
    let date_key = DateKey::derive(SECRET.as_bytes(), &request.scope().date());
    let signature = date_key.signing_key_of(request.scope()).sign(&text).to_hex();
    let raw = raw.replace("SIGNATURE", std::str::from_utf8(&signature).unwrap());
    assert_eq!(told(&raw, &expected, None).hints, [Hint::PathNotEncoded, Hint::Secret]);
}

#[test]
fn a_body_that_differs_is_told_of() {
    let hash = |body: &str| hex::encode(Sha256::digest(body));
    let template = GET.replace("UNSIGNED-PAYLOAD", &hash("a"));
    let raw = sign(&template).replace(&hash("a"), &hash("b"));
    let expected = Expected::s3("us-east-1", NOW);
    // Who signs the hash in a header signs it twice, so that no other last line alone is right.
    let found = told(&raw, &expected, Some("c"));
    assert_eq!(found.hints, [Hint::Body, Hint::Secret]);
    let found = told(&raw, &expected, Some("b"));
    assert_eq!(found.hints, [Hint::Secret]);
}

#[test]
fn a_body_that_no_header_names_is_found_by_trying() {
    let of = |body: &str| hex::encode(Sha256::digest(body)).into_bytes().try_into().unwrap();
    let (empty, sent): ([u8; 64], [u8; 64]) = (of(""), of("Action=ListUsers"));
    let raw = "POST / HTTP/1.1\r\nHost: iam.example.com\r\nX-Amz-Date: 20130524T000000Z\r\n\
        Authorization: AWS4-HMAC-SHA256 \
        Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/iam/aws4_request, \
        SignedHeaders=host;x-amz-date, Signature=SIGNATURE\r\n\r\n";
    let head = Head::parse(raw.as_bytes()).unwrap();
    let signed_for = Expected::service("us-east-1", "iam", NOW, &empty);
    let request = sigv4::authenticate(&head, &signed_for).unwrap();
    let date_key = DateKey::derive(SECRET.as_bytes(), &request.scope().date());
    let signature = date_key.signing_key_of(request.scope()).sign(&request.string_to_sign());
    let raw = raw.replace("SIGNATURE", std::str::from_utf8(&signature.to_hex()).unwrap());
    let expected = Expected::service("us-east-1", "iam", NOW, &sent);
    let found = told(&raw, &expected, Some("Action=ListUsers"));
    let signed = String::from_utf8(empty.to_vec()).unwrap();
    assert_eq!(found.hints.first(), Some(&Hint::Payload { signed }));
}

#[test]
fn without_a_key_the_request_itself_is_looked_at() {
    let template = GET
        .replace("/bucket/", "/bucket//")
        .replace("versionId=3", "a=b+c")
        .replace("SignedHeaders=host", "SignedHeaders=accept;host");
    let raw = sign(&template).replace("Signature=", "Signature=X");
    let head = Head::parse(raw.as_bytes()).unwrap();
    let found = explain(&head, &Expected::s3("us-east-1", NOW), None, |_| false);
    let changeable = Hint::ChangeableHeader { name: "accept".to_owned() };
    let expected = [Hint::SignatureForm, Hint::Segments, Hint::Plus, changeable, Hint::Secret];
    assert_eq!(found.hints, expected);
    for hint in found.hints {
        let sentence = hint.to_string();
        assert!(!sentence.is_empty() && !sentence.ends_with('.'), "{sentence}");
    }
}

#[test]
fn a_request_that_is_denied_early_is_canonicalised_all_the_same() {
    let time =
        |later_seconds| Hint::Time { signed: "2013-05-24T00:00:00Z".to_owned(), later_seconds };
    let check = |raw: &str, expected: Expected<'_>, code: ErrorCode, hints: &[Hint]| {
        let found = told(raw, &expected, None);
        assert_eq!(found.denial.map(|denial| denial.code), Some(code), "{raw}");
        assert_eq!(found.hints, hints, "{raw}");
        let canonical = String::from_utf8(found.canonical_request.unwrap()).unwrap();
        assert!(canonical.starts_with("GET\n/bucket/a%20key\n"), "{canonical}");
        let text = found.string_to_sign.unwrap();
        assert!(
            text.as_bytes().starts_with(b"AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/")
        );
    };
    let right = Hint::RightOtherwise;
    let malformed = ErrorCode::AuthorizationHeaderMalformed;
    let region = Hint::Region { given: "us-east-1".to_owned(), expected: "eu-west-3".to_owned() };
    check(&sign(GET), Expected::s3("eu-west-3", NOW), malformed, &[region, right.clone()]);
    let service = Hint::Service { given: "s3".to_owned(), expected: "iam".to_owned() };
    let expected = Expected { service: "iam", ..Expected::s3("us-east-1", NOW) };
    check(&sign(GET), expected, malformed, &[service, right.clone()]);
    let late = Expected::s3("us-east-1", NOW + 3600);
    let (skewed, denied) = (ErrorCode::RequestTimeTooSkewed, ErrorCode::AccessDenied);
    check(&sign(GET), late, skewed, &[time(3600), right.clone()]);
    check(&sign(PRESIGNED), late, denied, &[time(3600), right.clone()]);
    let early = Expected::s3("us-east-1", NOW - 3600);
    check(&sign(PRESIGNED), early, denied, &[time(-3600), right.clone()]);
    let added = sign(GET).replace("Accept", "x-amz-acl: public-read\r\nAccept");
    let unsigned = Hint::UnsignedHeaders { names: vec!["x-amz-acl".to_owned()] };
    check(&added, Expected::s3("us-east-1", NOW), denied, &[unsigned, right]);
    let wrong = sign(GET).replace("Host: s3", "Host: s4");
    check(&wrong, late, skewed, &[time(3600)]);
}

#[test]
fn what_cannot_be_canonicalised_is_not() {
    for raw in [
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        sign(GET).replace("Credential=", "Credential=x,Credential="),
        sign(GET).replace("SignedHeaders=host", "SignedHeaders=accept;x-missing;host"),
        sign(GET).replace("?versionId", "?X-Amz-Signature=0&versionId"),
    ] {
        let found = told(&raw, &Expected::s3("us-east-1", NOW), None);
        assert!(found.denial.is_some() && found.canonical_request.is_none(), "{raw}");
    }
}

#[test]
fn a_claim_is_what_the_request_says() {
    let raw = sign(PRESIGNED);
    let claim = Claim::of(&Head::parse(raw.as_bytes()).unwrap()).unwrap();
    assert_eq!(claim.access_key_id, server::ACCESS_KEY_ID);
    assert_eq!((claim.region.as_str(), claim.service.as_str()), ("us-east-1", "s3"));
    assert!(claim.is_presigned && !claim.is_asymmetric);
    let raw = "GET / HTTP/1.1\nX-Amz-Region-Set: eu-*,us-east-1\nX-Amz-Date: 20130524T000000Z\n\
        Authorization: AWS4-ECDSA-P256-SHA256 Credential=AKIA/20130524/s3/aws4_request,\
        SignedHeaders=host,Signature=30\n\n";
    let claim = Claim::of(&Head::parse(raw.as_bytes()).unwrap()).unwrap();
    assert_eq!((claim.region.as_str(), claim.service.as_str()), ("eu-x", "s3"));
    assert!(claim.is_asymmetric && !claim.is_presigned);
}
