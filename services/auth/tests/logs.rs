//! What is logged at the most talkative level, by us and by the libraries below, holds nothing that lets its
//! reader sign.
//!
//! It stands alone: what one thread hears depends on what others have heard before.

#[allow(dead_code, unreachable_pub)]
#[path = "serve/harness.rs"]
mod harness;
#[allow(dead_code, unreachable_pub)]
#[path = "serve/identity.rs"]
mod identity;

use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex};

use api::auth::v1::get_signing_key_response::Result as Given;
use api::auth::v1::{ExplainSignatureRequest, GetSigningKeyRequest, VerifyStringToSignRequest};
use sigv4::{DateKey, StringToSign, Timestamp};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::harness::*;

fn denied(code: &str) -> Result<u32, String> {
    Err(code.to_owned())
}

/// The signature in a head.
fn signature(head: &str) -> &str {
    let (_, after) = head.split_once("Signature=").expect("is signed");
    &after[..64]
}

/// All that is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Only one listens at a time, for the reason above.
static LISTENS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Bytes as they might be logged: as text, in hexadecimal, as Rust shows an array.
fn spellings(secret: &[u8]) -> Vec<String> {
    let hexadecimal = hex::encode(secret);
    let array = format!("{secret:?}");
    let mut all =
        vec![hexadecimal.to_uppercase(), hexadecimal, array.trim_matches(['[', ']']).to_owned()];
    all.extend(std::str::from_utf8(secret).map(str::to_owned));
    all
}

/// Hears what this thread logs at this level and above.
fn listen(level: LevelFilter) -> (Lines, tracing::subscriber::DefaultGuard) {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    (lines, tracing::subscriber::set_default(subscriber))
}

// One thread does everything, so that its subscriber hears of everything.
#[tokio::test(flavor = "current_thread")]
async fn no_secret_no_key_no_token_and_no_signature_that_was_right_is_logged() {
    let _alone = LISTENS.lock().await;
    let (lines, _guard) = listen(LevelFilter::TRACE);

    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    auth.identity.know_secret(ID, 1, SECRET);
    let heads = [
        signed(ID, SECRET),
        presigned(ID, SECRET, NOW_MS),
        presigned(ID, SECRET, NOW_MS - 5 * DAY_MS),
    ];
    for head in &heads {
        assert_eq!(auth.ask(head, 10).await, Ok(1));
        let request = Some(raw(head, 10));
        let explained = ExplainSignatureRequest { request };
        auth.client(ADMIN_TOKEN).explain_signature(explained).await.expect("is explained");
    }
    assert_eq!(auth.ask(&signed(ID, "wrong"), 10).await, denied("SignatureDoesNotMatch"));
    assert_eq!(auth.ask(&signed("AKIANOBODY", SECRET), 10).await, denied("InvalidAccessKeyId"));
    let session_token = "a-session-token-of-somebody";
    let line = format!("\r\nx-amz-security-token: {session_token}\r\n");
    let with_token = signed(ID, SECRET).replacen("\r\n", &line, 1);
    assert_eq!(auth.ask(&with_token, 10).await, denied("AccessDenied"));

    let at = Timestamp::from_unix_seconds(NOW_MS / 1000);
    let scope = format!("{}/{REGION}/s3/aws4_request", at.date());
    let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", at.as_str(), "cd".repeat(32));
    let date_key = DateKey::derive(SECRET.as_bytes(), &at.date());
    let (_, _, parsed) = StringToSign::parse(text.as_bytes()).expect("is one");
    let of_text = date_key.signing_key(REGION, "s3").sign(&parsed).to_hex();
    let of_text = String::from_utf8(of_text.into()).expect("is hexadecimal");
    let proof = VerifyStringToSignRequest {
        access_key_id: ID.into(),
        string_to_sign: text.into(),
        signature: of_text.clone(),
        region: REGION.into(),
        ..Default::default()
    };
    let mut client = auth.client(SERVICE_TOKEN);
    let request = GetSigningKeyRequest { proof: Some(proof) };
    let given = client.get_signing_key(request).await.expect("an answer").into_inner();
    let Some(Given::SigningKey(signing_key)) = given.result else { panic!("is denied") };

    let logged = lines.0.lock().expect("not poisoned").clone();
    let logged = String::from_utf8_lossy(&logged);
    for talker in ["rpc.server", "snapshot of all credentials is complete", "TRACE", "h2"] {
        assert!(logged.contains(talker), "{talker} is not heard, so that nothing is proved");
    }
    let mut secrets = vec![
        SECRET.as_bytes().to_vec(),
        SERVICE_TOKEN.into(),
        ADMIN_TOKEN.into(),
        session_token.into(),
        date_key.expose().to_vec(),
        signing_key.key.to_vec(),
        of_text.into_bytes(),
    ];
    secrets.extend(heads.iter().map(|head| signature(head).as_bytes().to_vec()));
    for secret in &secrets {
        for spelling in spellings(secret) {
            let line = logged.lines().find(|line| line.contains(&spelling));
            assert_eq!(line, None, "{spelling}");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_log_does_not_grow_with_what_anybody_may_ask() {
    let _alone = LISTENS.lock().await;
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
    auth.identity.fail_older_days(true);
    let (lines, _guard) = listen(LevelFilter::INFO);
    let (wrong, anonymous) = (signed(ID, "wrong"), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for n in 0..50 {
        let unknown = signed(&format!("AKIA{n:08}"), SECRET);
        assert_eq!(auth.ask(&unknown, 10).await, denied("InvalidAccessKeyId"));
        assert_eq!(auth.ask(&wrong, 10).await, denied("SignatureDoesNotMatch"));
        assert_eq!(auth.ask(anonymous, 10).await, denied("AccessDenied"));
        let older = presigned(ID, SECRET, NOW_MS - (2 + n % 4) * DAY_MS);
        assert_eq!(auth.ask_in_vain(raw(&older, 10)).await.0, tonic::Code::Unavailable);
    }
    let logged = lines.0.lock().expect("not poisoned").clone();
    let logged = String::from_utf8_lossy(&logged);
    assert!(logged.contains("could not fetch"), "an operator is told: {logged}");
    assert!(logged.lines().count() < 5, "{logged}");
}

/// What a reader of logs would see of a message.
fn shown(message: &impl Debug) -> String {
    format!("{message:?} {message:#?}")
}

#[tokio::test]
async fn a_message_that_somebody_logs_shows_no_key() {
    let key = access_key(ID);
    let date_key = key.secrets[0].date_keys[0].key.clone();
    let shown =
        shown(&key) + &shown(&key.secrets) + &shown(&change(11, records(vec![], vec![key])));
    for spelling in spellings(&date_key) {
        assert!(!shown.contains(&spelling), "{spelling}");
    }
    assert!(shown.contains(ID));
}
