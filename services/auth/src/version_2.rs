//! A request signed by Version 2, where it is accepted: identity says whose signature it is, and all else is as for
//! any other.

use api::auth::v1::{SignatureAlgorithm, Verified, VerifySignatureRequest};
use prost_types::Timestamp;
use read_model::Profile;
use sigv4::{Date, Denial, Expected, Head, Scope, SignedVersion2, authenticate_version_2};

use crate::answer::{self, Verdict};
use crate::outcome::{self, Client, Outcome};
use crate::request::Decided;
use crate::status::Error;
use crate::verifier::{Look, NoVerdict};
use crate::verify::{Claim, Signed, verify_claim};

const S3: &str = "s3";

/// What was signed by Version 2, if it is accepted and the request is signed by it and in no other way.
pub(crate) fn signed(
    request: &VerifySignatureRequest,
    head: &Head<'_>,
    expected: &Expected<'_>,
    look: Look<'_>,
) -> Option<Result<SignedVersion2, Denial>> {
    if !look.accepted.version_2 || expected.service != S3 {
        return None;
    }
    let bucket = Some(request.host_bucket.as_str()).filter(|bucket| !bucket.is_empty());
    let signed = authenticate_version_2(head, expected, bucket)?;
    // No temporary credentials are issued, so that no token can be right.
    let has_no_token = |signed: SignedVersion2| match signed.has_session_token() {
        true => Err(Denial::invalid_token()),
        false => Ok(signed),
    };
    Some(signed.and_then(has_no_token))
}

/// Decides on what was signed.
pub(crate) fn decide(
    signed: Result<SignedVersion2, Denial>,
    region: &str,
    look: Look<'_>,
    client: Client<'_>,
) -> Result<Decided, NoVerdict> {
    let signed = match signed {
        Ok(signed) => signed,
        Err(denial) => return Ok(denial.into()),
    };
    let claim = claim(&signed, region, look)?;
    let mismatch = || signed.signature_does_not_match();
    let judged = verify_claim(look.table, &claim, look.now, mismatch);
    Ok(match outcome::settle(&claim, judged, client)? {
        Outcome::Verified { profile, generation } => {
            Decided { verdict: verified(&signed, &profile, generation), failure: None }
        }
        Outcome::Denied(denied, failure) => Decided { verdict: Verdict::Denied(denied), failure },
    })
}

/// What the request claims. There is no scope in it: it is for now, here.
pub(crate) fn claim<'a>(
    signed: &'a SignedVersion2,
    region: &'a str,
    look: Look<'a>,
) -> Result<Claim<'a>, NoVerdict> {
    let today = Date::from_unix_seconds(look.now.unix_ms.div_euclid(1000));
    let description = "must be 1 to 64 graphic ASCII characters other than '/'";
    let scope =
        Scope::new(today, region, S3).ok_or(Error::Invalid { field: "region", description })?;
    let access_key_id = signed.access_key_id();
    Ok(Claim { access_key_id, scope, signed: Signed::Version2(signed, look.told) })
}

/// Says who signed, and what little the signature covers.
pub(crate) fn verified(signed: &SignedVersion2, profile: &Profile, generation: u32) -> Verdict {
    let (payload_mode, payload_sha256) = answer::payload(signed.payload_mode());
    let time = |at: sigv4::Timestamp| Timestamp { seconds: at.unix_seconds(), nanos: 0 };
    Verdict::Verified(Verified {
        principal: Some(answer::principal(profile)),
        access_key_id: signed.access_key_id().to_owned(),
        secret_generation: generation,
        signed_headers: signed.signed_headers().to_vec(),
        payload_mode: payload_mode.into(),
        payload_sha256,
        presigned: signed.is_presigned(),
        sign_time: signed.timestamp().map(time),
        algorithm: SignatureAlgorithm::AwsHmacSha1.into(),
        ..Verified::default()
    })
}
