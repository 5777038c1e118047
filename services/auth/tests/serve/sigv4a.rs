//! Signatures of Version 4A, made by AWS's own Rust signer: verified with public keys that identity derives
//! when they are needed.

use api::auth::v1::{
    ExplainSignatureRequest, GetSigningKeyRequest, SignatureAlgorithm, VerifyStringToSignRequest,
    explain_signature_response, get_signing_key_response,
};
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4a;

use super::*;

/// A GET of this instant, signed for these regions.
fn signed_for(id: &str, secret: &str, region_set: &str, is_presigned: bool) -> String {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    if is_presigned {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(3600));
    } else {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let identity = aws_credential_types::Credentials::new(id, secret, None, None, "test").into();
    let parameters = v4a::SigningParams::builder()
        .identity(&identity)
        .region_set(region_set)
        .name("s3")
        .time(std::time::UNIX_EPOCH + Duration::from_millis(NOW_MS.unsigned_abs()))
        .settings(settings)
        .build()
        .expect("is complete");
    let uri = "http://s3.example.com/bucket/key";
    let body = match is_presigned {
        true => SignableBody::UnsignedPayload,
        false => SignableBody::Bytes(b""),
    };
    let signable = SignableRequest::new("GET", uri, [].into_iter(), body).expect("is a request");
    let (signed, _) = sign(signable, &parameters.into()).expect("is signed").into_parts();
    let mut request = http::Request::get(uri).body(()).expect("is a request");
    signed.apply_to_request_http1x(&mut request);
    let target = request.uri().path_and_query().expect("has one");
    let mut head = format!("GET {target} HTTP/1.1\r\nHost: s3.example.com\r\n");
    for (name, value) in request.headers() {
        head += &format!("{name}: {}\r\n", value.to_str().expect("is ASCII"));
    }
    head + "\r\n"
}

fn request(head: &str) -> VerifySignatureRequest {
    VerifySignatureRequest { accepts_sigv4a: true, ..raw(head, 0) }
}

async fn ask(auth: &Harness, request: VerifySignatureRequest) -> Result<u32, String> {
    match auth.call(request).await.expect("a verdict").verdict.expect("is there") {
        Verdict::Verified(verified) => Ok(verified.secret_generation),
        Verdict::Denied(denied) => Err(denied.code),
    }
}

async fn auth() -> Harness {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    auth.identity.know_secret(ID, 1, SECRET);
    auth
}

#[tokio::test]
async fn a_signature_for_several_regions_is_verified_in_each_by_who_accepts_it() {
    let auth = auth().await;
    for is_presigned in [false, true] {
        let malformed = match is_presigned {
            true => denied("AuthorizationQueryParametersError"),
            false => denied("AuthorizationHeaderMalformed"),
        };
        for (region_set, expected) in [
            (REGION, Ok(1)),
            ("eu-west-1,us-*", Ok(1)),
            ("*", Ok(1)),
            ("eu-west-1", malformed.clone()),
            ("us-east-2", malformed),
        ] {
            let head = signed_for(ID, SECRET, region_set, is_presigned);
            assert_eq!(ask(&auth, request(&head)).await, expected, "{region_set}");
            assert_eq!(auth.ask(&head, 0).await, denied("InvalidRequest"), "it is not accepted");
        }
    }
    let answer = auth.call(request(&signed_for(ID, SECRET, "*", false))).await.expect("a verdict");
    let Some(Verdict::Verified(verified)) = answer.verdict else { panic!("{answer:?}") };
    assert_eq!(verified.algorithm(), SignatureAlgorithm::Aws4EcdsaP256Sha256);
    assert_eq!(verified.scope.expect("is there").region, REGION);
    assert_eq!(verified.signature, "", "no chunk goes on from it");
    assert!(verified.signed_headers.contains(&"x-amz-region-set".to_owned()));

    let answer = auth.call(request(&signed(ID, SECRET))).await.expect("a verdict");
    let Some(Verdict::Verified(verified)) = answer.verdict else { panic!("{answer:?}") };
    assert_eq!(verified.algorithm(), SignatureAlgorithm::Aws4HmacSha256, "which goes on as it did");
}

#[tokio::test]
async fn public_keys_are_asked_for_once_and_only_for_a_known_key() {
    let auth = auth().await;
    let right = signed_for(ID, SECRET, "*", false);
    let all = futures::future::join_all((0..20).map(|_| ask(&auth, request(&right)))).await;
    assert!(all.iter().all(|verdict| *verdict == Ok(1)), "{all:?}");
    let wrong = signed_for(ID, "another secret", "*", false);
    assert_eq!(ask(&auth, request(&wrong)).await, denied("SignatureDoesNotMatch"));
    let unknown = signed_for("AKIANOBODY", SECRET, "*", false);
    assert_eq!(ask(&auth, request(&unknown)).await, denied("InvalidAccessKeyId"));
    assert_eq!(auth.identity.derived(), 1);

    auth.clock.pass(Duration::from_secs(10 * 60));
    auth.identity.send(change(11, records(vec![], vec![])));
    assert_eq!(
        ask(&auth, VerifySignatureRequest { min_position: 11, ..request(&right) }).await,
        Ok(1)
    );
    assert_eq!(auth.identity.derived(), 2);
}

#[tokio::test]
async fn public_keys_end_with_the_secret_that_they_are_of() {
    let auth = auth().await;
    let at = |head: &str, min_position| VerifySignatureRequest { min_position, ..request(head) };
    let (old, new) =
        (signed_for(ID, SECRET, "*", false), signed_for(ID, "another secret", "*", false));
    assert_eq!(ask(&auth, at(&old, 0)).await, Ok(1));

    let mut rotated = access_key(ID);
    rotated.secrets = vec![secret(2, "another secret", None)];
    auth.identity.know_secret(ID, 2, "another secret");
    auth.identity.send(change(11, records(vec![], vec![rotated.clone()])));
    assert_eq!(ask(&auth, at(&old, 11)).await, denied("SignatureDoesNotMatch"));
    assert_eq!(ask(&auth, at(&new, 11)).await, Ok(2));
    assert_eq!(auth.identity.derived(), 2);

    rotated.secrets[0].expire_time_ms = Some(NOW_MS);
    auth.identity.send(change(12, records(vec![], vec![rotated.clone()])));
    assert_eq!(ask(&auth, at(&new, 12)).await, denied("SignatureDoesNotMatch"), "it has ended");
    assert_eq!(auth.identity.derived(), 2, "there is no secret to ask for");

    rotated.secrets[0].expire_time_ms = None;
    let locked = pb::UserRecord { locked: true, ..user() };
    auth.identity.send(change(13, records(vec![locked], vec![rotated])));
    assert_eq!(ask(&auth, at(&new, 13)).await, denied("AccessDenied"));
    assert_eq!(ask(&auth, at(&old, 13)).await, denied("SignatureDoesNotMatch"));
}

#[tokio::test]
async fn without_identity_a_signature_has_no_verdict_unless_its_public_keys_are_at_hand() {
    let auth = auth().await;
    let head = signed_for(ID, SECRET, "*", true);
    auth.identity.fail_older_days(true);
    let unavailable = (Code::Unavailable, Some(Reason::DateKeysUnavailable));
    assert_eq!(auth.ask_in_vain(request(&head)).await, unavailable);
    auth.identity.fail_older_days(false);
    assert_eq!(ask(&auth, request(&head)).await, Ok(1));
    auth.identity.fail_older_days(true);
    assert_eq!(ask(&auth, request(&head)).await, Ok(1));
}

#[tokio::test]
async fn failures_count_and_uses_are_told_as_of_any_signature() {
    let auth = auth().await;
    let from =
        |head: &str| VerifySignatureRequest { source_address: "192.0.2.1".into(), ..request(head) };
    for attempt in 0..4 {
        let wrong = signed_for(ID, &format!("secret {attempt}"), "*", false);
        assert_eq!(ask(&auth, from(&wrong)).await, denied("SignatureDoesNotMatch"));
    }
    let right = signed_for(ID, SECRET, "*", false);
    assert_eq!(ask(&auth, from(&right)).await, denied("SlowDown"));
    assert_eq!(auth.identity.lockouts(1).await[0].access_key_id, ID);
    assert_eq!(ask(&auth, request(&right)).await, Ok(1));
    assert_eq!(auth.identity.uses(1).await[0].access_key_id, ID);
}

#[tokio::test]
async fn a_string_to_sign_of_version_4a_has_no_signing_key() {
    let auth = auth().await;
    let proof = VerifyStringToSignRequest {
        access_key_id: ID.into(),
        string_to_sign: format!(
            "AWS4-ECDSA-P256-SHA256\n20260301T120000Z\n20260301/s3/aws4_request\n{}",
            "ab".repeat(32)
        )
        .into(),
        signature: "0".repeat(64),
        region: REGION.into(),
        ..Default::default()
    };
    let request = GetSigningKeyRequest { proof: Some(proof) };
    let answer = auth.client(SERVICE_TOKEN).get_signing_key(request).await.expect("an answer");
    let Some(get_signing_key_response::Result::Denied(denied)) = answer.into_inner().result else {
        panic!("a key was given")
    };
    assert_eq!(denied.code, "AuthorizationHeaderMalformed");
    assert!(denied.message.contains("not that of AWS4-HMAC-SHA256"), "{}", denied.message);
}

#[tokio::test]
async fn a_verdict_is_explained() {
    let auth = auth().await;
    let mut operator = auth.client(ADMIN_TOKEN);
    let mut explain = async |head: &str| {
        let request = ExplainSignatureRequest { request: Some(request(head)) };
        operator.explain_signature(request).await.expect("is explained").into_inner()
    };
    let right = explain(&signed_for(ID, SECRET, "*", false)).await;
    assert!(matches!(right.verdict, Some(explain_signature_response::Verdict::Verified(_))));
    assert!(right.string_to_sign.starts_with("AWS4-ECDSA-P256-SHA256\n"));
    let sent_elsewhere = signed_for(ID, SECRET, "*", false).replacen("GET ", "PUT ", 1);
    let wrong = explain(&sent_elsewhere).await;
    assert!(wrong.hints[0].contains("GET"), "{:?}", wrong.hints);
}
