//! What an attacker may try with a running auth: a module for each kind of attack. What needs no server is
//! tried in sigv4's own adversarial tests; what logs tell has a test of its own beside this one.

mod any_bytes;
mod callers;
#[allow(dead_code, unreachable_pub)]
#[path = "../serve/harness.rs"]
mod harness;
#[allow(dead_code, unreachable_pub)]
#[path = "../serve/identity.rs"]
mod identity;
mod kept_keys;
mod oracle;
mod preflight;
mod session_tokens;
mod unknown_keys;

use api::identity::v1 as pb;
use api::identity::v1::watch_credentials_response::Message;
use harness::*;

/// An auth that knows one key, at position 10.
async fn auth() -> Harness {
    Harness::with(records(vec![user()], vec![access_key(ID)])).await
}

fn denied(code: &str) -> Result<u32, String> {
    Err(code.to_owned())
}

/// The end of an access key.
fn deletion(position: u64, id: &str) -> Message {
    Message::Change(pb::CredentialChange {
        position,
        deleted_access_key_ids: vec![id.into()],
        ..Default::default()
    })
}

/// The signature in a head.
fn signature(head: &str) -> &str {
    let (_, after) = head.split_once("Signature=").expect("is signed");
    &after[..64]
}
