//! `VerifyStringToSignRequest`: checked, and decided on one state of the read model.

use api::auth::v1::{Denied, VerifyStringToSignRequest};
use read_model::{Profile, Table};
use sigv4::{Denial, EXPIRES_SECONDS_MAX, ErrorCode, Expected, Mechanism, Signature, StringToSign};

use crate::answer::{Facts, Tell, Verdict};
use crate::outcome::{self, Client, Kept, Outcome};
use crate::request::{check_scope, check_source_address, service, source_address};
use crate::status::Error;
use crate::verifier::{Accepted, Look, NoVerdict, Question};
use crate::verify::{Claim, Now, Signed, verify_claim};
use crate::version_2;

/// A string to sign has 218 bytes at most, with the longest scope.
const STRING_TO_SIGN_BYTES_MAX: usize = 1024;
/// An access key ID has at most 128 bytes (IAM API reference, `accessKeyIdType`).
const ACCESS_KEY_ID_BYTES_MAX: usize = 128;

impl<V: Tell> Question<Verdict<V>> for VerifyStringToSignRequest {
    fn min_position(&self) -> u64 {
        self.min_position
    }

    fn check(&self, _: Accepted) -> Result<(), Error> {
        check(self)
    }

    fn decide(&self, look: Look<'_>) -> Result<Verdict<V>, NoVerdict> {
        let Look { table, kept, now, .. } = look;
        if version_2::may_be_text(self, look) {
            return Ok(version_2::decide_text(self, look)?.told());
        }
        decide(self, table, kept, now, |claim, profile, generation, timestamp| {
            Verdict::Verified(V::tell(&Facts {
                profile,
                access_key_id: claim.access_key_id,
                secret_generation: generation,
                scope: &claim.scope,
                request: None,
                presigned: self.expires_seconds.is_some(),
                signature: claim.signature().copied(),
                timestamp,
                host_candidate: "",
            }))
        })
    }
}

/// Checks what the caller itself says, not the client it asks for.
pub(crate) fn check(request: &VerifyStringToSignRequest) -> Result<(), Error> {
    check_scope(&request.region, service(&request.service))?;
    check_source_address(&request.source_address)?;
    if request.string_to_sign.is_empty() {
        let description = "must be given";
        return Err(Error::Invalid { field: "string_to_sign", description });
    }
    Ok(())
}

/// Decides on a string to sign; `verified` makes the answer if its signature is right.
pub(crate) fn decide<A: From<Denied> + From<Denial>>(
    request: &VerifyStringToSignRequest,
    table: &Table,
    kept: &Kept,
    now: Now,
    verified: impl FnOnce(&Claim<'_>, &Profile, u32, sigv4::Timestamp) -> A,
) -> Result<A, NoVerdict> {
    // All three come from the client: how long they are is its mistake, not the caller's.
    let parsed = &match &request.string_to_sign {
        text if text.len() <= STRING_TO_SIGN_BYTES_MAX => StringToSign::parse(text),
        _ => None,
    };
    let Some((timestamp, scope, string_to_sign)) = parsed else {
        return Ok(malformed("the string to sign is not that of AWS4-HMAC-SHA256.").into());
    };
    if !is_access_key_id(&request.access_key_id) {
        return Ok(malformed("the Credential is mal-formed.").into());
    }
    let expected = Expected {
        service: service(&request.service),
        ..Expected::s3(&request.region, now.unix_ms.div_euclid(1000))
    };
    let in_time = |()| match request.expires_seconds {
        None => expected.check_skew(*timestamp),
        Some(seconds) if seconds > EXPIRES_SECONDS_MAX => {
            let message = "X-Amz-Expires must be less than a week (in seconds)";
            Err(Denial::new(ErrorCode::AuthorizationQueryParametersError, message))
        }
        Some(seconds) => expected.check_expiry(*timestamp, seconds),
    };
    let mechanism = match request.expires_seconds {
        None => Mechanism::Header,
        Some(_) => Mechanism::Query,
    };
    let checked = expected.check_scope(scope, *timestamp, mechanism);
    if let Err(denial) = checked.and_then(in_time) {
        return Ok(denial.into());
    }
    let claim = Claim {
        access_key_id: &request.access_key_id,
        scope: *scope,
        signed: Signed::Text(string_to_sign, &Signature::from_hex(request.signature.as_bytes())),
    };
    let mismatch = || {
        Denial::signature_does_not_match()
            .with("AWSAccessKeyId", claim.access_key_id)
            .with("StringToSign", String::from_utf8_lossy(string_to_sign.as_bytes()))
    };
    let client = Client {
        kept,
        address: source_address(&request.source_address),
        user_agent: request.user_agent.as_bytes(),
        now,
    };
    let judged = verify_claim(table, &claim, now, mismatch);
    Ok(match outcome::settle(&claim, judged, client)? {
        Outcome::Verified { profile, generation } => {
            verified(&claim, &profile, generation, *timestamp)
        }
        Outcome::Denied(denied, failure) => {
            if let Some(failure) = failure {
                failure.count(&kept.lockouts, now);
            }
            denied.into()
        }
    })
}

fn is_access_key_id(text: &str) -> bool {
    (1..=ACCESS_KEY_ID_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

fn malformed(what: &str) -> Denial {
    let message = format!("The authorization header is malformed; {what}");
    Denial::new(ErrorCode::AuthorizationHeaderMalformed, message)
}
