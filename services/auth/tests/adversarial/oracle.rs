//! Nothing that is answered to a wrong signature helps to make a right one.

use api::auth::v1::{ExplainSignatureRequest, VerifyStringToSignRequest};
use prost::Message as _;
use sigv4::{Date, DateKey};

use crate::harness::*;
use crate::{auth, signature};

/// Whether bytes stand in an answer: as they are, or in hexadecimal, of either case.
fn holds(answer: &[u8], secret: &[u8]) -> bool {
    let has = |wanted: &[u8]| answer.windows(wanted.len()).any(|window| window == wanted);
    let hexadecimal = hex::encode(secret);
    has(secret) || has(hexadecimal.as_bytes()) || has(hexadecimal.to_uppercase().as_bytes())
}

#[tokio::test]
async fn no_answer_to_a_wrong_signature_holds_the_right_one_or_a_key() {
    let auth = auth().await;
    let date = Date::from_unix_seconds(NOW_MS / 1000);
    let date_key = DateKey::derive(SECRET.as_bytes(), &date);
    let request_heads =
        [signed(ID, SECRET), presigned(ID, SECRET, NOW_MS), presigned(ID, SECRET, NOW_MS - 1000)];
    for head in request_heads {
        let right = signature(&head).to_owned();
        let forged = head.replace(&right, &"5a".repeat(32));
        let verified = auth.call(raw(&forged, 10)).await.expect("a verdict").encode_to_vec();
        let explained = auth
            .client(ADMIN_TOKEN)
            .explain_signature(ExplainSignatureRequest { request: Some(raw(&forged, 10)) })
            .await
            .expect("an explanation")
            .into_inner()
            .encode_to_vec();
        // What the client said is told again, so that the search finds what there is.
        assert!(holds(&verified, &[0x5a; 32]) && holds(&explained, ID.as_bytes()));
        let right = hex::decode(&right).expect("is hexadecimal");
        for secret in [&right[..], date_key.expose(), SECRET.as_bytes()] {
            assert!(!holds(&verified, secret) && !holds(&explained, secret));
        }
    }
}

#[tokio::test]
async fn a_string_to_sign_with_a_wrong_signature_is_told_nothing_but_that() {
    let auth = auth().await;
    let at = sigv4::Timestamp::from_unix_seconds(NOW_MS / 1000);
    let scope = format!("{}/{REGION}/s3/aws4_request", at.date());
    let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", at.as_str(), "ab".repeat(32));
    let date_key = DateKey::derive(SECRET.as_bytes(), &at.date());
    let (_, _, parsed) = sigv4::StringToSign::parse(text.as_bytes()).expect("is one");
    let right = date_key.signing_key(REGION, "s3").sign(&parsed).to_hex();
    let right = hex::decode(right).expect("is hexadecimal");
    let request = VerifyStringToSignRequest {
        access_key_id: ID.into(),
        string_to_sign: text.into(),
        signature: "5a".repeat(32),
        region: REGION.into(),
        ..Default::default()
    };
    let mut client = auth.client(SERVICE_TOKEN);
    let verified = client.verify_string_to_sign(request.clone()).await.expect("a verdict");
    let verified = verified.into_inner().encode_to_vec();
    let proof = api::auth::v1::GetSigningKeyRequest { proof: Some(request) };
    let given = client.get_signing_key(proof).await.expect("an answer").into_inner();
    let given = given.encode_to_vec();
    for secret in [&right[..], date_key.expose(), SECRET.as_bytes()] {
        assert!(!holds(&verified, secret) && !holds(&given, secret));
    }
}
