//! A request signed by Version 2, where it is accepted, or its string to sign: identity says whose signature it is, and
//! all else is as for any other.

use api::auth::v1::{
    PayloadMode, SignatureAlgorithm, Verified, VerifySignatureRequest, VerifyStringToSignRequest,
};
use prost_types::Timestamp;
use read_model::Profile;
use sigv4::{
    Date, Denial, Expected, Head, Scope, SignedVersion2, authenticate_version_2, parse_version_2,
};

use crate::answer::{self, Verdict};
use crate::outcome::{self, Client, Outcome};
use crate::request::{Decided, service, source_address};
use crate::status::Error;
use crate::verifier::{Look, NoVerdict};
use crate::verify::{Claim, Signed, verify_claim};

const S3: &str = "s3";
/// As long as a head may be, of which it is a part.
const STRING_TO_SIGN_BYTES_MAX: usize = 65_536;
/// How a string to sign of Version 4, and of its variants, begins.
const VERSION_4: &[u8] = b"AWS4";

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
    Some(signed.and_then(without_token))
}

/// No temporary credentials are issued, so that no token can be right.
fn without_token(signed: SignedVersion2) -> Result<SignedVersion2, Denial> {
    match signed.has_session_token() {
        true => Err(Denial::invalid_token()),
        false => Ok(signed),
    }
}

/// Whether a string to sign is to be judged as one of Version 2: where that is accepted, all that is none of Version 4.
pub(crate) fn may_be_text(request: &VerifyStringToSignRequest, look: Look<'_>) -> bool {
    look.accepted.version_2
        && service(&request.service) == S3
        && request.string_to_sign.len() <= STRING_TO_SIGN_BYTES_MAX
        && !request.string_to_sign.starts_with(VERSION_4)
}

/// Decides on a string to sign.
pub(crate) fn decide_text(
    request: &VerifyStringToSignRequest,
    look: Look<'_>,
) -> Result<Verdict, NoVerdict> {
    let Look { kept, now, .. } = look;
    let expected = Expected::s3(&request.region, now.unix_ms.div_euclid(1000));
    let VerifyStringToSignRequest { access_key_id, string_to_sign, signature, .. } = request;
    let signed = parse_version_2(
        access_key_id,
        string_to_sign,
        signature,
        &expected,
        request.expires_seconds,
    );
    let client = Client {
        kept,
        address: source_address(&request.source_address),
        user_agent: request.user_agent.as_bytes(),
        now,
    };
    let signed = signed.and_then(without_token);
    let Decided { mut verdict, failure } = decide(signed, &request.region, look, client)?;
    if let Some(failure) = failure {
        failure.count(&kept.lockouts, now);
    }
    if let Verdict::Verified(verified) = &mut verdict {
        // Of the request, a text does not tell all.
        verified.payload_mode = PayloadMode::Unspecified.into();
        verified.signed_headers.clear();
        verified.presigned |= request.expires_seconds.is_some();
    }
    Ok(verdict)
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
