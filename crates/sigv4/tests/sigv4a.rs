//! Signature Version 4A: what AWS's own Rust signer signs is accepted in the regions that it was signed for, by
//! those who accept it, and by the key that it was signed with.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4a;
use proptest::prelude::*;
use sigv4::{DateKey, Denial, ErrorCode, Expected, Head, PayloadMode, PrivateKey, authenticate};

const NOW: i64 = 1_369_353_600;
const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

struct Request<'a> {
    secret: &'a str,
    region_set: &'a str,
    is_presigned: bool,
    body: SignableBody<'a>,
    token: Option<&'a str>,
}

const GET: Request<'static> = Request {
    secret: SECRET,
    region_set: "us-east-1",
    is_presigned: false,
    body: SignableBody::Bytes(b""),
    token: None,
};

impl Request<'_> {
    fn sign(self) -> String {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        if self.is_presigned {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(Duration::from_secs(3600));
        } else {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let token = self.token.map(str::to_owned);
        let identity = Credentials::new(ACCESS_KEY_ID, self.secret, token, None, "test").into();
        let parameters = v4a::SigningParams::builder()
            .identity(&identity)
            .region_set(self.region_set)
            .name("s3")
            .time(UNIX_EPOCH + Duration::from_secs(NOW.unsigned_abs()))
            .settings(settings)
            .build()
            .unwrap();
        let uri = "http://s3.example.com/bucket/a%20key?b=c&a";
        let body = if self.is_presigned { SignableBody::UnsignedPayload } else { self.body };
        let signable = SignableRequest::new("GET", uri, [].into_iter(), body).unwrap();
        let (instructions, _) = sign(signable, &parameters.into()).unwrap().into_parts();
        let mut request = http::Request::builder().uri(uri).body(()).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        let target = request.uri().path_and_query().unwrap();
        let mut head = format!("GET {target} HTTP/1.1\r\nHost: s3.example.com\r\n");
        for (name, value) in request.headers() {
            head += &format!("{name}: {}\r\n", value.to_str().unwrap());
        }
        head + "\r\n"
    }
}

fn expected(region: &str) -> Expected<'_> {
    Expected { accepts_sigv4a: true, ..Expected::s3(region, NOW) }
}

fn verdict(raw: &str, expected: &Expected<'_>) -> Result<PayloadMode, Denial> {
    let head = Head::parse(raw.as_bytes())?;
    let request = authenticate(&head, expected)?;
    assert_eq!(request.access_key_id(), ACCESS_KEY_ID);
    let key = PrivateKey::derive(ACCESS_KEY_ID, SECRET.as_bytes()).unwrap();
    match request.is_signed_for(&key.public_key().unwrap()) {
        true => Ok(request.payload_mode()),
        false => Err(request.signature_does_not_match()),
    }
}

#[track_caller]
fn check(raw: &str, region: &str, code: Result<(), ErrorCode>) {
    let found = verdict(raw, &expected(region));
    assert_eq!(found.as_ref().map(|_| ()).map_err(|denial| denial.code), code, "{found:?}\n{raw}");
}

fn malformed(is_presigned: bool) -> ErrorCode {
    match is_presigned {
        true => ErrorCode::AuthorizationQueryParametersError,
        false => ErrorCode::AuthorizationHeaderMalformed,
    }
}

#[test]
fn a_signature_is_good_in_the_regions_that_it_names() {
    for is_presigned in [false, true] {
        let wrong = Err(malformed(is_presigned));
        for (region_set, region, code) in [
            ("us-east-1", "us-east-1", Ok(())),
            ("us-east-1", "us-east-2", wrong),
            ("us-east-1,eu-west-3", "eu-west-3", Ok(())),
            ("*", "anywhere", Ok(())),
            ("eu-*", "eu-west-3", Ok(())),
            ("eu-*", "us-east-1", wrong),
        ] {
            check(&Request { region_set, is_presigned, ..GET }.sign(), region, code);
        }
    }
}

#[test]
fn a_set_of_regions_is_signed_and_given_once() {
    let header = GET.sign();
    let line = "x-amz-region-set: us-east-1\r\n";
    assert!(header.contains(line), "{header}");
    let changed = header.replace(line, "x-amz-region-set: *\r\n");
    check(&changed, "us-east-1", Err(ErrorCode::SignatureDoesNotMatch));
    let twice = header.replace(line, &line.repeat(2));
    check(&twice, "us-east-1", Err(ErrorCode::InvalidRequest));
    check(&header.replace(line, ""), "us-east-1", Err(malformed(false)));
    let unsigned = header.replace(";x-amz-region-set", "");
    check(&unsigned, "us-east-1", Err(ErrorCode::AccessDenied));

    let query = Request { is_presigned: true, ..GET }.sign();
    let parameter = "&X-Amz-Region-Set=us-east-1";
    assert!(query.contains(parameter), "{query}");
    let changed = query.replace(parameter, "&X-Amz-Region-Set=%2A");
    check(&changed, "us-east-1", Err(ErrorCode::SignatureDoesNotMatch));
    let twice = query.replace(parameter, &parameter.repeat(2));
    check(&twice, "us-east-1", Err(malformed(true)));
    check(&query.replace(parameter, ""), "us-east-1", Err(malformed(true)));
    let other = query.replace("\r\nHost", "\r\nx-amz-region-set: *\r\nHost");
    check(&other, "us-east-1", Err(ErrorCode::InvalidRequest));
    let long = query.replace(parameter, &format!("&X-Amz-Region-Set={}", "a,".repeat(300) + "*"));
    check(&long, "us-east-1", Err(malformed(true)));
}

#[test]
fn who_does_not_expect_it_refuses_it() {
    for is_presigned in [false, true] {
        let raw = Request { is_presigned, ..GET }.sign();
        let denial = verdict(&raw, &Expected::s3("us-east-1", NOW)).unwrap_err();
        assert_eq!(denial.code, ErrorCode::InvalidRequest);
        assert!(denial.message.contains("not supported"), "{denial}");
    }
}

#[test]
fn time_host_and_token_count_as_in_version_4() {
    let late = Expected { now_unix_seconds: NOW + 901, ..expected("us-east-1") };
    let denial = verdict(&GET.sign(), &late).unwrap_err();
    assert_eq!(denial.code, ErrorCode::RequestTimeTooSkewed);
    let presigned = Request { is_presigned: true, ..GET }.sign();
    let ended = Expected { now_unix_seconds: NOW + 3600, ..expected("us-east-1") };
    assert_eq!(verdict(&presigned, &ended).unwrap_err().code, ErrorCode::AccessDenied);
    let host = GET.sign().replace("Host: s3", "Host: s4");
    check(&host, "us-east-1", Err(ErrorCode::SignatureDoesNotMatch));
    for is_presigned in [false, true] {
        let raw = Request { is_presigned, token: Some("token/+="), ..GET }.sign();
        check(&raw, "us-east-1", Ok(()));
        let other = raw.replace("token", "taken");
        check(&other, "us-east-1", Err(ErrorCode::SignatureDoesNotMatch));
    }
    let other = Request { secret: "another", ..GET }.sign();
    check(&other, "us-east-1", Err(ErrorCode::SignatureDoesNotMatch));
}

#[test]
fn one_algorithm_is_not_taken_for_the_other() {
    let key = PrivateKey::derive(ACCESS_KEY_ID, SECRET.as_bytes()).unwrap();
    let public_key = key.public_key().unwrap();
    // An HMAC where the algorithm says ECDSA, by a key that anyone has, and by the right one.
    let raw = GET.sign();
    let (start, _) = raw.split_once("Signature=").unwrap();
    let end = raw.split_once("Signature=").unwrap().1.split_once("\r\n").unwrap().1;
    let with = |signature: &str| format!("{start}Signature={signature}\r\n{end}");
    let head = Head::parse(raw.as_bytes()).unwrap();
    let expected = expected("us-east-1");
    let request = authenticate(&head, &expected).unwrap();
    assert!(request.is_signed_for(&public_key));
    let public: [u8; 32] = public_key.to_bytes()[1..].try_into().unwrap();
    let date_key = DateKey::derive(SECRET.as_bytes(), &request.scope().date());
    for signing_key in
        [sigv4::SigningKey::from_bytes(&public), date_key.signing_key("us-east-1", "s3")]
    {
        let hmac = signing_key.sign(&request.string_to_sign()).to_hex();
        let raw = with(std::str::from_utf8(&hmac).unwrap());
        check(&raw, "us-east-1", Err(ErrorCode::SignatureDoesNotMatch));
        let head = Head::parse(raw.as_bytes()).unwrap();
        let request = authenticate(&head, &expected).unwrap();
        assert!(!request.is_signed_by(&signing_key));
        assert!(!signing_key.verify(&request.string_to_sign(), request.signature()));
    }
    // An ECDSA key where the algorithm says HMAC: the credential has a region then.
    let scope = format!("{ACCESS_KEY_ID}/20130524/s3");
    let renamed = raw
        .replace("AWS4-ECDSA-P256-SHA256", "AWS4-HMAC-SHA256")
        .replace(&scope, &format!("{ACCESS_KEY_ID}/20130524/us-east-1/s3"));
    let head = Head::parse(renamed.as_bytes()).unwrap();
    let request = authenticate(&head, &expected).unwrap();
    assert!(request.asymmetric_signature().is_none() && !request.is_signed_for(&public_key));
    // Scopes do not pass for each other either.
    let with_region = raw.replace(&scope, &format!("{ACCESS_KEY_ID}/20130524/us-east-1/s3"));
    let head = Head::parse(with_region.as_bytes()).unwrap();
    assert!(authenticate(&head, &expected).is_err());
}

#[test]
fn chunks_that_a_signing_key_signs_do_not_go_with_it() {
    for (mode, code) in [
        ("UNSIGNED-PAYLOAD", Ok(())),
        ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", Ok(())),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", Err(ErrorCode::InvalidArgument)),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", Err(ErrorCode::InvalidArgument)),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", Err(ErrorCode::InvalidArgument)),
    ] {
        let body = SignableBody::Precomputed(mode.to_owned());
        check(&Request { body, ..GET }.sign(), "us-east-1", code);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_key_is_that_of_aws_sigv4(id in "[A-Z0-9]{16,20}", secret in "[!-~]{1,80}") {
        let theirs = v4a::generate_signing_key(&id, &secret);
        let theirs = p256::ecdsa::SigningKey::from_slice(theirs.as_ref()).unwrap();
        let ours = PrivateKey::derive(&id, secret.as_bytes()).unwrap().public_key().unwrap();
        let theirs = theirs.verifying_key().to_sec1_point(true);
        prop_assert_eq!(&ours.to_bytes()[..], theirs.as_bytes());
    }
}
