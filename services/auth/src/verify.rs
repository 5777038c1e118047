//! Whether a request was signed by who it says, and may be.
//!
//! Synchronous and without a wait: reads the table, computes, compares. First the signature, then
//! the state of key and user, so that nobody learns of the state of a key that he does not hold.
//! A refusal takes the same derivations and comparisons for whatever reason it is given.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use read_model::{AccessKey, LockoutMode, OlderDay, Profile, SECRETS_MAX, Secret, Table};
use sigv4::{DateKey, Denial, Scope, Signature, SignedRequest, SigningKey, Spelling, StringToSign};
use zeroize::Zeroizing;

const DAY_SECONDS: i64 = 86_400;

/// Both clocks at the instant of verification.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Milliseconds since 1970.
    pub(crate) unix_ms: i64,
    /// Since any start, never going back.
    pub(crate) monotonic: Duration,
}

/// What there is to say of a request, and what the signature proved.
#[derive(Debug)]
pub(crate) struct Judged {
    /// What is answered, if whoever signed is not locked out.
    pub(crate) verdict: Verdict,
    pub(crate) proof: Proof,
}

/// Whether the signature was of the access key that it names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Proof {
    /// There is no such access key, or it cannot be told yet.
    None,
    /// It was, whether or not the key may be used. Its account counts failed authentications so.
    Right(LockoutMode),
    /// It was not.
    Wrong(LockoutMode),
}

/// What there is to say of a signature.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is right and the access key may be used.
    Verified {
        /// Who signed.
        profile: Arc<Profile>,
        /// With which secret of the access key.
        generation: u32,
    },
    /// The request is to be refused.
    Denied(Denial),
    /// It cannot be told before the date keys of this day are in the table.
    NeedsDateKeys(NeededDay),
}

/// The date keys that are missing.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct NeededDay {
    /// Of a known access key.
    pub(crate) access_key_id: String,
    /// The state of the access key that they are for.
    pub(crate) version: u32,
    /// How the signatures are spelled that they are for.
    pub(crate) spelling: Spelling,
    /// Days since 1970-01-01.
    pub(crate) day: u32,
}

/// A signature, and what it is said to be of.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'a> {
    /// Who is said to have signed.
    pub(crate) access_key_id: &'a str,
    /// What the signing key is good for.
    pub(crate) scope: Scope<'a>,
    /// What is said to have been signed.
    pub(crate) string_to_sign: &'a StringToSign,
    /// By what.
    pub(crate) signature: &'a Signature,
}

impl<'a> Claim<'a> {
    /// The claim that a request makes; `string_to_sign` is its own, which is made once.
    pub(crate) fn of(request: &'a SignedRequest<'_>, string_to_sign: &'a StringToSign) -> Self {
        Self {
            access_key_id: request.access_key_id(),
            scope: *request.scope(),
            string_to_sign,
            signature: request.signature(),
        }
    }
}

/// Verifies a request that has passed all checks that need no key.
///
/// Whoever answers must look at `lockout` first, unless nothing was proved.
pub(crate) fn verify(
    table: &Table,
    request: &SignedRequest<'_>,
    claim: &Claim<'_>,
    now: Now,
) -> Judged {
    if request.session_token().is_some() {
        // No temporary credentials are issued, so that no token can be right.
        return Judged { verdict: Verdict::Denied(Denial::invalid_token()), proof: Proof::None };
    }
    verify_claim(table, claim, now, || request.signature_does_not_match())
}

/// Verifies a claim that has passed all checks that need no key; `mismatch` is the answer to a wrong
/// signature.
///
/// Whoever answers must look at `lockout` first, unless nothing was proved.
pub(crate) fn verify_claim(
    table: &Table,
    claim: &Claim<'_>,
    now: Now,
    mismatch: impl FnOnce() -> Denial,
) -> Judged {
    let keys = table.pin();
    let Some(key) = keys.access_key(claim.access_key_id) else {
        spend(claim, SECRETS_MAX);
        let denial = Denial::invalid_access_key_id(claim.access_key_id);
        return Judged { verdict: Verdict::Denied(denial), proof: Proof::None };
    };
    let lockout = key.user().lockout();
    let (verdict, proof) = match find_secret(table, key, claim, now) {
        Found::Secret { generation, new_signing_key } => {
            let verdict = match refuse(key, claim, now) {
                Some(denial) => Verdict::Denied(denial),
                None => {
                    if let Some(new) = new_signing_key {
                        let (region, service) = (claim.scope.region(), claim.scope.service());
                        key.keep_signing_key(generation, day(claim), region, service, new);
                    }
                    Verdict::Verified { profile: key.user().profile(), generation }
                }
            };
            (verdict, Proof::Right(lockout))
        }
        Found::None => (Verdict::Denied(mismatch()), Proof::Wrong(lockout)),
        Found::Unknown => {
            let needed = NeededDay {
                access_key_id: claim.access_key_id.to_owned(),
                version: key.version(),
                spelling: claim.scope.spelling(),
                day: day(claim),
            };
            (Verdict::NeedsDateKeys(needed), Proof::None)
        }
    };
    Judged { verdict, proof }
}

/// The signing key of a claim that has just been verified, and when its secret or its access key ends,
/// in milliseconds since 1970. `None` if that is so already, or the key has changed meanwhile.
pub(crate) fn signing_key(
    table: &Table,
    claim: &Claim<'_>,
    generation: u32,
    now: Now,
) -> Option<(Zeroizing<[u8; 32]>, Option<i64>)> {
    let keys = table.pin();
    let key = keys.access_key(claim.access_key_id)?;
    let is_its = |secret: &&Secret| secret.generation() == generation;
    let secret = key.live_secrets(now.unix_ms).find(is_its)?;
    let older = |day| {
        let (id, spelling) = (claim.access_key_id, claim.scope.spelling());
        table.older_day(id, key.version(), spelling, day, now.monotonic)
    };
    let signing_key = match secret.date_key(day(claim)) {
        Some(date_key) => date_key.signing_key_bytes(&claim.scope),
        None => older(day(claim))?.date_key(generation)?.signing_key_bytes(&claim.scope),
    };
    let ends = [secret.end_ms(), key.end_ms()];
    Some((signing_key, ends.into_iter().flatten().min()))
}

/// Which secret signed.
enum Found {
    Secret {
        generation: u32,
        /// The signing key, if it was derived just now and is worth keeping.
        new_signing_key: Option<SigningKey>,
    },
    /// None of them.
    None,
    /// None of those whose date key is known.
    Unknown,
}

/// Tries every live secret, also after one was right: which one it is does not show in the time.
fn find_secret(table: &Table, key: &AccessKey, claim: &Claim<'_>, now: Now) -> Found {
    let Claim { scope, string_to_sign, signature, .. } = claim;
    let (region, service, day) = (scope.region(), scope.service(), day(claim));
    // Only date keys of AWS's spelling are fed, and only signing keys of it are kept: a scope's other parts
    // are the same in both.
    let spelling = scope.spelling();
    let is_fed = spelling == Spelling::Aws4;
    let mut older: Option<Arc<OlderDay>> = None;
    let mut found = Found::None;
    let mut derived = 0;
    for secret in key.live_secrets(now.unix_ms) {
        let generation = secret.generation();
        let kept = is_fed.then(|| key.signing_key(generation, day, region, service)).flatten();
        if let Some(signing_key) = kept {
            if signing_key.verify(string_to_sign, signature) {
                found = Found::Secret { generation, new_signing_key: None };
            }
            continue;
        }
        let recent = is_fed.then(|| secret.date_key(day)).flatten();
        if recent.is_none() && older.is_none() {
            let id = claim.access_key_id;
            older = table.older_day(id, key.version(), spelling, day, now.monotonic);
        }
        let older = older.as_deref();
        let Some(date_key) = recent.or_else(|| older?.date_key(generation)) else {
            // Identity was asked already, if there is an older day, and knows no such secret.
            if older.is_none() && matches!(found, Found::None) {
                found = Found::Unknown;
            }
            continue;
        };
        derived += 1;
        let signing_key = date_key.signing_key_of(scope);
        if signing_key.verify(string_to_sign, signature) {
            // Signing keys of older days would fill the place of today's.
            let new_signing_key = recent.is_some().then_some(signing_key);
            found = Found::Secret { generation, new_signing_key };
        }
    }
    if matches!(found, Found::None) {
        spend(claim, SECRETS_MAX - derived.min(SECRETS_MAX));
    }
    found
}

/// Whether the access key may be used, now that it is known that its holder asks.
fn refuse(key: &AccessKey, claim: &Claim<'_>, now: Now) -> Option<Denial> {
    if key.user().is_locked() {
        return Some(Denial::access_denied("Access Denied"));
    }
    if !key.is_usable(now.unix_ms) {
        return Some(Denial::invalid_access_key_id(claim.access_key_id));
    }
    None
}

/// Derives and compares to no end, so that a refusal takes as long as any other.
fn spend(claim: &Claim<'_>, times: usize) {
    for _ in 0..times {
        let nobodys = black_box(DateKey::from_bytes([0x5a; 32]));
        let signing_key = nobodys.signing_key_of(&claim.scope);
        black_box(signing_key.verify(claim.string_to_sign, claim.signature));
    }
}

/// The day of the credential scope, counted from 1970-01-01.
fn day(claim: &Claim<'_>) -> u32 {
    let days = claim.scope.date().start_unix_seconds().div_euclid(DAY_SECONDS);
    u32::try_from(days).unwrap_or(0) // before 1970: as unknown as any day that long ago
}

#[cfg(test)]
#[path = "verify/tests.rs"] // so that it is found from where a benchmark includes this file too
mod tests;
