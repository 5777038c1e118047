//! Browsers' upload forms, as boto3 signs them.

use api::auth::v1::{
    ExplainSignatureRequest, FormField, PostForm, SignatureAlgorithm, explain_signature_response,
};
use serde_json::Value;

use super::*;

/// When the recorded forms were signed: 2013-05-24T00:00:00Z.
const SIGNED_MS: i64 = 1_369_353_600_000;

/// What `generate_presigned_post` of boto3 gave, by what it is.
fn recorded() -> Vec<(String, PostForm)> {
    let vectors = include_str!("../../../../crates/sigv4/tests/vectors/post.jsonl");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let read = |line: &str| {
        let vector: Value = serde_json::from_str(line).expect("is JSON");
        let fields = vector["fields"].as_object().expect("is an object").iter();
        let field =
            |(name, value): (&String, _)| FormField { name: name.clone(), value: text(value) };
        let form = PostForm {
            bucket: text(&vector["bucket"]),
            fields: fields.map(field).collect(),
            file_name: text(&vector["file_name"]),
            file_bytes: None,
        };
        (text(&vector["name"]), form)
    };
    vectors.lines().map(read).collect()
}

fn named(name: &str) -> PostForm {
    recorded().into_iter().find(|(known, _)| known == name).expect("is there").1
}

fn request(form: PostForm) -> VerifySignatureRequest {
    VerifySignatureRequest { request: Some(RequestForm::PostForm(form)), ..raw("", 0) }
}

async fn auth() -> Harness {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    auth.clock.set_unix_ms(SIGNED_MS);
    auth.identity.know_secret(ID, 1, SECRET);
    auth
}

/// The key of the object and what its file may have, or code and message.
async fn ask(auth: &Harness, form: PostForm) -> Result<(String, u64, u64), (String, String)> {
    match auth.call(request(form)).await.expect("a verdict").verdict.expect("is there") {
        Verdict::Verified(verified) => {
            let form = verified.form.expect("is there");
            Ok((form.key, form.content_length_min, form.content_length_max))
        }
        Verdict::Denied(denied) => Err((denied.code, denied.message)),
    }
}

async fn code(auth: &Harness, form: PostForm) -> String {
    ask(auth, form).await.expect_err("is denied").0
}

#[tokio::test]
async fn what_boto3_signs_is_verified_and_its_terms_are_told() {
    let auth = auth().await;
    let forms = recorded();
    assert_eq!(forms.len(), 10);
    for (name, form) in forms {
        let told = ask(&auth, form).await;
        match name.as_str() {
            "a key" => assert_eq!(told, Ok(("key".into(), 0, u64::MAX))),
            "a key that ends in the name of the file" => {
                assert_eq!(told.expect("verified").0, "user/user1/photo.jpg");
            }
            "a key that is the name of the file" => {
                assert_eq!(told.expect("verified").0, "photo.jpg");
            }
            "a range of lengths" => assert_eq!(told, Ok(("key".into(), 1, 1 << 20))),
            "a session token" => assert_eq!(told.expect_err("there are none").0, "InvalidToken"),
            _ => assert!(told.is_ok(), "{name}: {told:?}"),
        }
    }
    let answer = auth.call(request(named("a key"))).await.expect("a verdict");
    let Some(Verdict::Verified(verified)) = answer.verdict else { panic!("{answer:?}") };
    assert_eq!(verified.principal.clone().expect("is there").user_name, "alice");
    assert_eq!((verified.access_key_id.as_str(), verified.secret_generation), (ID, 1));
    assert_eq!(verified.scope.clone().expect("is there").date, "20130524");
    assert_eq!(verified.payload_mode(), PayloadMode::Unsigned);
    assert_eq!(verified.algorithm(), SignatureAlgorithm::Aws4HmacSha256);
    assert!(verified.signature.is_empty() && !verified.presigned);
    let end = verified.form.expect("is there").expire_time.expect("is there");
    assert_eq!(end.seconds, SIGNED_MS / 1000 + 3600);
    assert_eq!(auth.identity.uses(1).await[0].access_key_id, ID);
}

#[tokio::test]
async fn a_form_is_denied_that_its_policy_does_not_allow() {
    let auth = auth().await;
    let with = |change: fn(&mut PostForm)| {
        let mut form = named("a range of lengths");
        change(&mut form);
        form
    };
    fn field(name: &str, value: &str) -> FormField {
        FormField { name: name.into(), value: value.into() }
    }
    fn set(form: &mut PostForm, name: &str, value: &str) {
        form.fields.retain(|known| known.name != name);
        form.fields.push(field(name, value));
    }
    for (what, form, expected) in [
        ("another bucket", with(|f| f.bucket = "other".into()), "AccessDenied"),
        ("another key", with(|f| set(f, "key", "other")), "AccessDenied"),
        ("one more", with(|f| f.fields.push(field("acl", "public-read"))), "AccessDenied"),
        ("twice", with(|f| f.fields.push(field("KEY", "key"))), "MalformedPOSTRequest"),
        ("no field", with(|f| f.fields.clear()), "AccessDenied"),
        ("no policy", with(|f| f.fields.retain(|known| known.name != "policy")), "InvalidArgument"),
        ("no JSON", with(|f| set(f, "policy", "e30K")), "InvalidPolicyDocument"),
        (
            "another signature",
            with(|f| set(f, "x-amz-signature", &"0".repeat(64))),
            "SignatureDoesNotMatch",
        ),
        ("version 2", with(|f| f.fields.push(field("Signature", "x"))), "InvalidRequest"),
        (
            "too many",
            with(|f| f.fields.extend((0..200).map(|_| field("x-ignore-a", "")))),
            "MaxPostPreDataLengthExceededError",
        ),
        (
            "too long",
            with(|f| f.fields.push(field("x-ignore-a", &"a".repeat(20_480)))),
            "MaxPostPreDataLengthExceededError",
        ),
        ("an empty file", with(|f| f.file_bytes = Some(0)), "EntityTooSmall"),
        ("a large file", with(|f| f.file_bytes = Some((1 << 20) + 1)), "EntityTooLarge"),
    ] {
        assert_eq!(code(&auth, form).await, expected, "{what}");
    }
    for bytes in [1, 1 << 20] {
        let form = PostForm { file_bytes: Some(bytes), ..named("a range of lengths") };
        assert!(ask(&auth, form).await.is_ok());
    }
    auth.clock.set_unix_ms(SIGNED_MS + 3_600_000);
    let (code, message) = ask(&auth, named("a key")).await.expect_err("it has ended");
    assert_eq!(
        (&*code, &*message),
        ("AccessDenied", "Invalid according to Policy: Policy expired.")
    );
}

#[tokio::test]
async fn a_form_is_held_against_keys_users_and_failures_as_any_request() {
    let auth = auth().await;
    let mut nobodys = named("a key");
    for field in &mut nobodys.fields {
        field.value = field.value.replace(ID, "AKIANOBODY");
    }
    // The policy has another credential than the form: that is seen before the key is looked for.
    assert_eq!(code(&auth, nobodys).await, "AccessDenied");

    auth.identity.know_secret(ID, 2, "another secret");
    let mut rotated = access_key(ID);
    rotated.secrets = vec![secret(2, "another secret", None)];
    auth.identity.send(change(11, records(vec![], vec![rotated])));
    let from = |form| VerifySignatureRequest {
        source_address: "192.0.2.1".into(),
        min_position: 11,
        ..request(form)
    };
    let ask = async |form| match auth.call(from(form)).await.expect("a verdict").verdict {
        Some(Verdict::Denied(denied)) => denied.code,
        verdict => panic!("{verdict:?}"),
    };
    for name in ["a key", "a week", "fields", "a redirect"] {
        assert_eq!(ask(named(name)).await, "SignatureDoesNotMatch", "{name}");
    }
    assert_eq!(ask(named("a key")).await, "SlowDown");

    auth.identity.send(Message::Change(pb::CredentialChange {
        position: 12,
        deleted_access_key_ids: vec![ID.into()],
        ..Default::default()
    }));
    let request = VerifySignatureRequest { min_position: 12, ..request(named("a key")) };
    let answer = auth.call(request).await.expect("a verdict");
    let Some(Verdict::Denied(denied)) = answer.verdict else { panic!("{answer:?}") };
    assert_eq!(denied.code, "InvalidAccessKeyId");
}

#[tokio::test]
async fn a_form_is_for_s3_and_to_a_bucket() {
    let auth = auth().await;
    let invalid = (Code::InvalidArgument, Some(Reason::InvalidField));
    let no_bucket = PostForm { bucket: String::new(), ..named("a key") };
    assert_eq!(auth.ask_in_vain(request(no_bucket)).await, invalid);
    let long = PostForm { bucket: "b".repeat(256), ..named("a key") };
    assert_eq!(auth.ask_in_vain(request(long)).await, invalid);
    let iam = VerifySignatureRequest {
        service: "iam".into(),
        body_sha256: vec![0; 32],
        ..request(named("a key"))
    };
    assert_eq!(auth.ask_in_vain(iam).await, invalid);
}

#[tokio::test]
async fn what_was_signed_of_a_form_is_explained() {
    let auth = auth().await;
    let form = named("a key");
    let policy = form.fields.iter().find(|field| field.name == "policy").expect("is there");
    let policy = policy.value.clone();
    let asked = ExplainSignatureRequest { request: Some(request(form)) };
    let answer = auth.client(ADMIN_TOKEN).explain_signature(asked).await.expect("is explained");
    let answer = answer.into_inner();
    assert!(matches!(answer.verdict, Some(explain_signature_response::Verdict::Verified(_))));
    assert_eq!(answer.string_to_sign, policy);
    assert!(answer.canonical_request.is_empty());
}
