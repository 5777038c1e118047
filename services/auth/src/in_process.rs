//! What a server does about a signature, without the server: for benchmarks.

use std::time::Duration;

use read_model::Table;
use sigv4::{Denial, Expected, Head, Mechanism, Signature, StringToSign, authenticate};

use crate::verify::{Claim, Now, Signed, Verdict, verify, verify_claim};

/// Whether the head of a request to S3 is signed right, by a key that may be used, at `now`, in seconds
/// since 1970.
pub fn verifies(table: &Table, head: &[u8], region: &str, now: i64) -> bool {
    // Looked at where they were made: neither is moved.
    let Ok(head) = &Head::parse(head) else { return false };
    let Ok(request) = &authenticate(head, &Expected::s3(region, now)) else { return false };
    let string_to_sign = request.string_to_sign();
    let claim = Claim::of(request, &string_to_sign);
    let judged = verify(table, request, &claim, at(now));
    matches!(judged.verdict, Verdict::Verified { .. })
}

/// The same of a string to sign.
pub fn verifies_string_to_sign(
    table: &Table,
    access_key_id: &str,
    text: &[u8],
    signature: &[u8],
    region: &str,
    now: i64,
) -> bool {
    let Some((timestamp, scope, string_to_sign)) = &StringToSign::parse(text) else { return false };
    let expected = Expected::s3(region, now);
    let checked = expected.check_scope(scope, *timestamp, Mechanism::Header);
    if checked.and_then(|()| expected.check_skew(*timestamp)).is_err() {
        return false;
    }
    let signature = Signature::from_hex(signature);
    let signed = Signed::Text(string_to_sign, &signature);
    let claim = Claim { access_key_id, scope: *scope, signed };
    let judged = verify_claim(table, &claim, at(now), Denial::signature_does_not_match);
    matches!(judged.verdict, Verdict::Verified { .. })
}

fn at(now: i64) -> Now {
    Now { unix_ms: now * 1000, monotonic: Duration::ZERO }
}
