//! `ExplainSignature`: how a verdict was reached.

use api::auth::v1::VerifySignatureRequest;
use read_model::Table;
use sigv4::{Denial, Expected, Head, authenticate};

use crate::answer::Verdict;
use crate::request::{Judgement, check, decide_signed, for_each_host};
use crate::status::Error;
use crate::verifier::{NoVerdict, Question};
use crate::verify::Now;

/// Asks how the verdict on a request is reached.
pub(crate) struct Explain<'r>(pub(crate) &'r VerifySignatureRequest);

/// A verdict and how it was reached.
pub(crate) struct Explained {
    pub(crate) verdict: Verdict,
    /// Empty if the request was denied before.
    pub(crate) canonical_request: Vec<u8>,
    /// Empty if the request was denied before.
    pub(crate) string_to_sign: String,
}

impl From<Denial> for Explained {
    fn from(denial: Denial) -> Self {
        Self { verdict: denial.into(), canonical_request: vec![], string_to_sign: String::new() }
    }
}

impl Judgement for Explained {
    fn verdict(&mut self) -> &mut Verdict {
        &mut self.verdict
    }
}

impl Question for Explain<'_> {
    type Answer = Explained;

    fn min_position(&self) -> u64 {
        self.0.min_position
    }

    fn check(&self) -> Result<(), Error> {
        check(self.0)
    }

    fn decide(&self, table: &Table, now: Now) -> Result<Explained, NoVerdict> {
        for_each_host(self.0, now, |head, expected| explain(table, head, expected, now))
    }
}

fn explain(
    table: &Table,
    head: &Head<'_>,
    expected: &Expected<'_>,
    now: Now,
) -> Result<Explained, NoVerdict> {
    let signed = match authenticate(head, expected) {
        Ok(signed) => signed,
        Err(denial) => return Ok(denial.into()),
    };
    let string_to_sign = signed.string_to_sign();
    Ok(Explained {
        verdict: decide_signed(table, &signed, now)?,
        canonical_request: signed.canonical_request(),
        string_to_sign: String::from_utf8_lossy(string_to_sign.as_bytes()).into_owned(),
    })
}
