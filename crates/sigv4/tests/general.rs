//! Requests to other services than S3: whatever AWS's own Rust signer signs is accepted, with the body that
//! was signed and no other.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use proptest::prelude::*;
use proptest::sample::select;
use sha2::{Digest, Sha256};
use sigv4::{DateKey, Denial, ErrorCode, Expected, Head, PayloadMode, authenticate};

const NOW: i64 = 1_440_938_160;
const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn hex_sha256(body: &[u8]) -> [u8; 64] {
    hex::encode(Sha256::digest(body)).into_bytes().try_into().unwrap()
}

/// What a server of `region` and `service` says to a head with a body.
fn verdict(head: &str, body: &[u8], region: &str, service: &str) -> Result<PayloadMode, Denial> {
    let head = Head::parse(head.as_bytes())?;
    let body = hex_sha256(body);
    let request = authenticate(&head, &Expected::service(region, service, NOW, &body))?;
    let date_key = DateKey::derive(SECRET.as_bytes(), &request.scope().date());
    let signing_key = date_key.signing_key(region, service);
    if !request.is_signed_by(&signing_key) {
        return Err(request.signature_does_not_match());
    }
    Ok(request.payload_mode())
}

fn check(head: &str, body: &[u8], service: &str, expected: Result<(), ErrorCode>) {
    let found = verdict(head, body, "us-east-1", service);
    assert_eq!(found.as_ref().map(|_| ()).map_err(|denial| denial.code), expected, "{found:?}");
}

/// The example of "Create a signed AWS API request" in AWS's general reference.
const LIST_USERS: &str = "GET /?Action=ListUsers&Version=2010-05-08 HTTP/1.1\r\n\
    Host: iam.amazonaws.com\r\n\
    Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n\
    X-Amz-Date: 20150830T123600Z\r\n\
    Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
    SignedHeaders=content-type;host;x-amz-date, \
    Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7\r\n\r\n";

#[test]
fn the_example_of_the_documentation_is_accepted_with_its_body_and_for_its_service_only() {
    check(LIST_USERS, b"", "iam", Ok(()));
    check(LIST_USERS, b"x", "iam", Err(ErrorCode::SignatureDoesNotMatch));
    check(LIST_USERS, b"", "sts", Err(ErrorCode::AuthorizationHeaderMalformed));
    let elsewhere = verdict(LIST_USERS, b"", "eu-west-3", "iam").map_err(|denial| denial.code);
    assert_eq!(elsewhere, Err(ErrorCode::AuthorizationHeaderMalformed));
}

#[test]
fn what_a_header_says_of_the_body_does_not_stand_for_it() {
    let request = Request { path: "/".into(), body: b"Action=GetUser".into(), with_checksum: true };
    let head = request.sign();
    assert!(head.contains("x-amz-content-sha256"), "{head}");
    check(&head, b"Action=GetUser", "iam", Ok(()));
    check(&head, b"Action=DeleteUser", "iam", Err(ErrorCode::SignatureDoesNotMatch));
    let unsigned = head.replace(&hex::encode(Sha256::digest(&request.body)), "UNSIGNED-PAYLOAD");
    check(&unsigned, b"Action=GetUser", "iam", Err(ErrorCode::SignatureDoesNotMatch));
    let found = verdict(&head, b"Action=GetUser", "us-east-1", "iam").unwrap();
    assert_eq!(found, PayloadMode::Sha256(Sha256::digest(b"Action=GetUser").into()));
}

#[derive(Clone, Debug)]
struct Request {
    path: String,
    body: Vec<u8>,
    with_checksum: bool,
}

impl Request {
    fn sign(&self) -> String {
        let mut settings = SigningSettings::default();
        if self.with_checksum {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let identity = Credentials::new(ACCESS_KEY_ID, SECRET, None, None, "test").into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("iam")
            .time(UNIX_EPOCH + Duration::from_secs(NOW.unsigned_abs()))
            .settings(settings)
            .build()
            .unwrap();
        let uri = format!("http://iam.example.com{}?a=b", self.path);
        let body = SignableBody::Bytes(&self.body);
        let signable = SignableRequest::new("POST", uri.as_str(), [].into_iter(), body).unwrap();
        let (instructions, _) = sign(signable, &parameters.into()).unwrap().into_parts();
        let mut request = http::Request::builder().method("POST").uri(uri).body(()).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        let mut head = format!("POST {}?a=b HTTP/1.1\r\nHost: iam.example.com\r\n", self.path);
        for (name, value) in request.headers() {
            head += &format!("{name}: {}\r\n", value.to_str().unwrap());
        }
        head + "\r\n"
    }
}

fn requests() -> impl Strategy<Value = Request> {
    let segment = select(vec![
        "",
        ".",
        "..",
        "iam",
        "a%20b",
        "a%2Fb",
        "~",
        "-._",
        "%C3%A9",
        "v1",
        "users:lock",
        "a=b",
        "(x)",
        "@",
        "%25",
        "*",
    ]);
    let path = proptest::collection::vec(segment, 0..7)
        .prop_map(|segments| format!("/{}", segments.join("/")));
    (path, any::<Vec<u8>>(), any::<bool>()).prop_map(|(path, body, with_checksum)| Request {
        path,
        body,
        with_checksum,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_aws_sigv4_signs_is_accepted_and_another_body_is_not(request in requests()) {
        let head = request.sign();
        let code = |body: &[u8]| {
            verdict(&head, body, "us-east-1", "iam").map(drop).map_err(|denial| denial.code)
        };
        prop_assert_eq!(code(&request.body), Ok(()), "{}", head);
        let mut other = request.body.clone();
        other.push(b'&');
        prop_assert_eq!(code(&other), Err(ErrorCode::SignatureDoesNotMatch));
    }
}
