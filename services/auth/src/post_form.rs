//! A browser's upload form in a `VerifySignatureRequest`: decided on one state of the read model.

use api::auth::v1::{
    FormTerms, PayloadMode, PostForm, Scope, SignatureAlgorithm, Verified, VerifySignatureRequest,
};
use prost_types::Timestamp;
use read_model::{Profile, Table};
use sigv4::{Denial, Expected, FORM_FIELDS_MAX, SignedPost, authenticate_post};

use crate::answer::{self, Verdict};
use crate::outcome::{self, Client, Kept, Outcome};
use crate::request::source_address;
use crate::status::Error;
use crate::verifier::NoVerdict;
use crate::verify::{self, Claim, Judged, Now, Proof, Signed, verify_claim};

const BUCKET_BYTES_MAX: usize = 255;

/// Checks what the caller itself says, not the client it asks for.
pub(crate) fn check(form: &PostForm) -> Result<(), Error> {
    if (1..=BUCKET_BYTES_MAX).contains(&form.bucket.len()) {
        return Ok(());
    }
    Err(Error::Invalid { field: "bucket", description: "must have 1 to 255 bytes" })
}

/// Decides on a form that has been checked.
pub(crate) fn decide(
    request: &VerifySignatureRequest,
    form: &PostForm,
    table: &Table,
    kept: &Kept,
    now: Now,
) -> Result<Verdict, NoVerdict> {
    let fields = fields(form);
    let signed = match authenticate(form, &fields, &request.region, now) {
        Ok(signed) => signed,
        Err(denial) => return Ok(denial.into()),
    };
    let (claim, judged) = judge(table, &signed, now);
    let address = source_address(&request.source_address);
    let client = Client { kept, address, user_agent: b"", now };
    Ok(match outcome::settle(&claim, judged, client)? {
        Outcome::Verified { profile, generation } => verified(&signed, &profile, generation),
        Outcome::Denied(denied, failure) => {
            if let Some(failure) = failure {
                failure.count(&kept.lockouts, now);
            }
            denied.into()
        }
    })
}

/// The fields of a form; of too many, as many as are enough to see that.
pub(crate) fn fields(form: &PostForm) -> Vec<(&[u8], &[u8])> {
    let fields = form.fields.iter().take(FORM_FIELDS_MAX + 1);
    fields.map(|field| (field.name.as_bytes(), field.value.as_bytes())).collect()
}

/// Makes every check that needs no key: the length of the file too, if it is known.
pub(crate) fn authenticate<'a>(
    form: &'a PostForm,
    fields: &'a [(&'a [u8], &'a [u8])],
    region: &'a str,
    now: Now,
) -> Result<SignedPost<'a>, Denial> {
    let file_name = Some(form.file_name.as_bytes()).filter(|name| !name.is_empty());
    let expected = Expected::s3(region, now.unix_ms.div_euclid(1000));
    let parts = sigv4::PostForm { fields, file_name };
    let signed = authenticate_post(&parts, &form.bucket, &expected)?;
    form.file_bytes.map_or(Ok(()), |bytes| signed.check_content_length(bytes))?;
    Ok(signed)
}

/// What the form claims, and what there is to say of it.
pub(crate) fn judge<'a>(
    table: &Table,
    signed: &'a SignedPost<'a>,
    now: Now,
) -> (Claim<'a>, Judged) {
    let claim = Claim {
        access_key_id: signed.access_key_id(),
        scope: *signed.scope(),
        signed: Signed::Form(signed),
    };
    let judged = match signed.session_token() {
        // No temporary credentials are issued, so that no token can be right.
        Some(_) => {
            let verdict = verify::Verdict::Denied(Denial::invalid_token());
            Judged { verdict, proof: Proof::None }
        }
        None => verify_claim(table, &claim, now, || signed.signature_does_not_match()),
    };
    (claim, judged)
}

/// Says who signed a form, and what its policy allows.
pub(crate) fn verified(signed: &SignedPost<'_>, profile: &Profile, generation: u32) -> Verdict {
    let scope = signed.scope();
    let time = |seconds| Some(Timestamp { seconds, nanos: 0 });
    let content_length = signed.content_length();
    Verdict::Verified(Verified {
        principal: Some(answer::principal(profile)),
        access_key_id: signed.access_key_id().to_owned(),
        secret_generation: generation,
        scope: Some(Scope {
            date: scope.date().as_str().to_owned(),
            region: scope.region().to_owned(),
            service: scope.service().to_owned(),
        }),
        payload_mode: PayloadMode::Unsigned.into(),
        sign_time: time(signed.timestamp().unix_seconds()),
        algorithm: SignatureAlgorithm::Aws4HmacSha256.into(),
        form: Some(FormTerms {
            key: signed.key().to_owned(),
            content_length_min: *content_length.start(),
            content_length_max: *content_length.end(),
            expire_time: time(signed.expires_at_unix_seconds()),
        }),
        ..Verified::default()
    })
}
