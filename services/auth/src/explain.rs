//! `ExplainSignature`: how a verdict is reached, and what to look at first if the signature is wrong.

use api::auth::v1::verify_signature_request::Request as RequestForm;
use api::auth::v1::{
    ExplainSignatureResponse, PostForm, Verified, VerifySignatureRequest,
    explain_signature_response,
};
use read_model::Table;
use sigv4::explain::{Explanation, explain as explain_head};
use sigv4::{Denial, Expected, Head, SignedRequest, SignedVersion2, authenticate};

use crate::answer::{Facts, Reached, Tell, Verdict};
use crate::post_form;
use crate::request::{Judgement, check, for_each_host};
use crate::status::Error;
use crate::verifier::{Accepted, Look, NoVerdict, Question};
use crate::verify::{self, Claim, Judged, Now, Proof, verify};
use crate::version_2;

/// Asks how the verdict on a request is reached.
pub(crate) struct Explain<'r>(pub(crate) &'r VerifySignatureRequest);

/// A verdict and how it was reached. It counts for nothing, and knows of no lock-out.
pub(crate) struct Explained {
    pub(crate) verdict: Verdict,
    /// Empty if the request cannot be canonicalised.
    pub(crate) canonical_request: Vec<u8>,
    /// Empty if the request cannot be canonicalised.
    pub(crate) string_to_sign: String,
    /// What to look at first; empty if nothing is wrong.
    pub(crate) hints: Vec<String>,
}

impl Explained {
    fn of(verdict: Verdict, explanation: Explanation) -> Self {
        let string_to_sign = explanation.string_to_sign.as_ref();
        let text = string_to_sign.map(|text| String::from_utf8_lossy(text.as_bytes()));
        Self {
            verdict,
            canonical_request: explanation.canonical_request.unwrap_or_default(),
            string_to_sign: text.unwrap_or_default().into_owned(),
            hints: explanation.hints.iter().map(ToString::to_string).collect(),
        }
    }
}

/// The answer to ExplainSignature.
pub(crate) fn told(reached: Reached<Explained>) -> ExplainSignatureResponse {
    use explain_signature_response::Verdict as Told;
    let Reached { answer, position, staleness_ms } = reached;
    let verdict = Some(match answer.verdict {
        Verdict::Verified(verified) => Told::Verified(verified),
        Verdict::Denied(denied) => Told::Denied(denied),
    });
    ExplainSignatureResponse {
        verdict,
        position,
        staleness_ms,
        canonical_request: answer.canonical_request,
        string_to_sign: answer.string_to_sign,
        hints: answer.hints,
    }
}

impl From<Denial> for Explained {
    fn from(denial: Denial) -> Self {
        Self::of(denial.clone().into(), Explanation::denied(denial))
    }
}

impl Judgement for Explained {
    fn denial_code(&self) -> Option<&str> {
        self.verdict.denial_code()
    }
}

impl Question<Explained> for Explain<'_> {
    fn min_position(&self) -> u64 {
        self.0.min_position
    }

    fn check(&self, accepted: Accepted) -> Result<(), Error> {
        check(self.0, accepted)
    }

    fn decide(&self, look: Look<'_>) -> Result<Explained, NoVerdict> {
        let Look { table, now, .. } = look;
        if let Some(RequestForm::PostForm(form)) = &self.0.request {
            return explain_form(table, form, self.0, now);
        }
        for_each_host(self.0, now, |head, expected, host| {
            let explained = match version_2::signed(self.0, head, expected, look) {
                Some(signed) => explain_version_2(signed, &self.0.region, look),
                None => explain(table, head, expected, self.0, now),
            }?;
            Ok(Explained { verdict: explained.verdict.of_host(host), ..explained })
        })
    }
}

/// What was signed of a form is its policy, which says all that there is to say.
fn explain_form(
    table: &Table,
    form: &PostForm,
    request: &VerifySignatureRequest,
    now: Now,
) -> Result<Explained, NoVerdict> {
    let fields = post_form::fields(form);
    let signed = match post_form::authenticate(form, &fields, &request.region, now) {
        Ok(signed) => signed,
        Err(denial) => return Ok(denial.into()),
    };
    let verdict = match post_form::judge(table, &signed, now).1.verdict {
        verify::Verdict::Verified { profile, generation } => {
            post_form::verified(&signed, &profile, generation)
        }
        verify::Verdict::Denied(denial) => denial.into(),
        verify::Verdict::NeedsKeys(needed) => return Err(NoVerdict::NeedsKeys(needed)),
    };
    let string_to_sign = signed.string_to_sign().to_owned();
    Ok(Explained { verdict, canonical_request: vec![], string_to_sign, hints: vec![] })
}

/// What was signed is not canonicalised any further.
fn explain_version_2(
    signed: Result<SignedVersion2, Denial>,
    region: &str,
    look: Look<'_>,
) -> Result<Explained, NoVerdict> {
    let signed = match signed {
        Ok(signed) => signed,
        Err(denial) => return Ok(denial.into()),
    };
    let claim = version_2::claim(&signed, region, look)?;
    let mismatch = || signed.signature_does_not_match();
    let verdict = match verify::verify_claim(look.table, &claim, look.now, mismatch).verdict {
        verify::Verdict::Verified { profile, generation } => {
            version_2::verified(&signed, &profile, generation)
        }
        verify::Verdict::Denied(denial) => denial.into(),
        verify::Verdict::NeedsKeys(needed) => return Err(NoVerdict::NeedsKeys(needed)),
    };
    let string_to_sign = String::from_utf8_lossy(signed.string_to_sign()).into_owned();
    Ok(Explained { verdict, canonical_request: vec![], string_to_sign, hints: vec![] })
}

fn explain(
    table: &Table,
    head: &Head<'_>,
    expected: &Expected<'_>,
    request: &VerifySignatureRequest,
    now: Now,
) -> Result<Explained, NoVerdict> {
    let verdict = match authenticate(head, expected) {
        Err(denial) => denial.into(),
        Ok(signed) => match judge(table, &signed, now).verdict {
            verify::Verdict::Verified { profile, generation } => {
                let facts = Facts::of(&signed, &profile, generation, "");
                Verdict::Verified(Verified::tell(&facts))
            }
            verify::Verdict::Denied(denial) => denial.into(),
            verify::Verdict::NeedsKeys(needed) => return Err(NoVerdict::NeedsKeys(needed)),
        },
    };
    let mut body_sha256 = [0; 64];
    let has_body = hex::encode_to_slice(&request.body_sha256, &mut body_sha256).is_ok();
    let body_sha256 = has_body.then_some(&body_sha256);
    let explanation = explain_head(head, expected, body_sha256, |signed| {
        matches!(judge(table, signed, now).proof, Proof::Right(_))
    });
    Ok(Explained::of(verdict, explanation))
}

fn judge(table: &Table, signed: &SignedRequest<'_>, now: Now) -> Judged {
    let string_to_sign = signed.string_to_sign();
    verify(table, signed, &Claim::of(signed, &string_to_sign), now)
}
