//! Signatures of Version 4A: verified with public keys, which are not fed, and slow.

use std::hint::black_box;
use std::sync::LazyLock;

use read_model::{AccessKey, SECRETS_MAX, Table};
use sigv4::{AsymmetricSignature, PrivateKey, PublicKey, StringToSign};

use super::{Claim, Found, Now};

/// What is said to have been signed, and by what.
type Signed<'a> = (&'a StringToSign, &'a AsymmetricSignature);

/// A public key by which nothing is ever accepted.
static NOBODYS: LazyLock<Option<PublicKey>> = LazyLock::new(|| {
    let private = PrivateKey::derive("nobody", b"nobody")?;
    private.public_key()
});

/// Tries every live secret, also after one was right: which one it is does not show in the time.
pub(super) fn find_secret(
    table: &Table,
    key: &AccessKey,
    claim: &Claim<'_>,
    signed: Signed<'_>,
    now: Now,
) -> Found {
    let public = table.public_keys(claim.access_key_id, key.version(), now.monotonic);
    let mut found = Found::None;
    let mut tried = 0;
    for secret in key.live_secrets(now.unix_ms) {
        let generation = secret.generation();
        let Some(public) = public.as_deref() else { return Found::Unknown };
        // Identity was asked already, and knows no such secret if it is not there.
        let Some(public) = public.key(generation) else { continue };
        tried += 1;
        if public.verify(signed.0, signed.1) {
            found = Found::Secret { generation, new_signing_key: None };
        }
    }
    if matches!(found, Found::None) {
        spend(signed, SECRETS_MAX - tried.min(SECRETS_MAX));
    }
    found
}

/// Verifies to no end, so that a refusal takes as long as any other.
pub(super) fn spend(signed: Signed<'_>, times: usize) {
    for _ in 0..times {
        if let Some(key) = black_box(&*NOBODYS) {
            black_box(key.verify(signed.0, signed.1));
        }
    }
}
