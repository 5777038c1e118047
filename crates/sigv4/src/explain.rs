//! Why a request is accepted or not: what was canonicalised, what must have been signed, and what to look at
//! first where the signature is wrong.
//!
//! For diagnostics: allocates, and takes as long as it takes. Nothing here shows the signature that would have
//! been right, nor anything else that does not follow from the request.

mod candidates;
mod claim;
mod hint;

use crate::bytes::text;
use crate::denial::Denial;
use crate::expected::Expected;
use crate::head::Head;
use crate::percent;
use crate::request::{SignedRequest, authenticate};
use crate::string_to_sign::StringToSign;

pub use self::claim::Claim;
pub use self::hint::Hint;

/// What there is to say of a request.
///
/// Its texts are the client's own, headers with credentials of other kinds among them if it signed those:
/// for who sent the request, and for operators.
#[derive(Clone)]
pub struct Explanation {
    /// Why the request is refused; `None` if it is as expected and its signature right.
    pub denial: Option<Denial>,
    /// The canonical request. `None` if the request cannot be canonicalised; it is there where only region,
    /// service or date are not the expected ones, or where headers were left out of the signature.
    pub canonical_request: Option<Vec<u8>>,
    /// The string to sign; there whenever the canonical request is.
    pub string_to_sign: Option<StringToSign>,
    /// The signature as the client gave it.
    pub signature: Option<String>,
    /// What to look at first, most likely first; empty if nothing is wrong.
    pub hints: Vec<Hint>,
}

impl Explanation {
    /// A request that is not even a head.
    #[must_use]
    pub fn denied(denial: Denial) -> Self {
        Self {
            denial: Some(denial),
            canonical_request: None,
            string_to_sign: None,
            signature: None,
            hints: vec![],
        }
    }
}

/// Explains a request.
///
/// `verifies` says whether the signature of a request is right, by the keys of its access key ID. It is asked
/// about the request, and, if that is refused, about at most 100 others that the client may have meant to
/// sign. Who has no key gives `|_| false`, and gets the hints that need none, and a denial.
///
/// `body_sha256` is that of the body in lower-case hexadecimal, where it is known.
pub fn explain(
    head: &Head<'_>,
    expected: &Expected<'_>,
    body_sha256: Option<&[u8; 64]>,
    mut verifies: impl FnMut(&SignedRequest<'_>) -> bool,
) -> Explanation {
    let claim = Claim::of(head);
    let signature = claim.as_ref().map(|claim| text(&claim.signature));
    match authenticate(head, expected) {
        Ok(request) => {
            let is_signed = verifies(&request);
            let mut hints = vec![];
            if !is_signed {
                hints = candidates::tried(head, expected, &request, body_sha256, &mut verifies);
                hints.extend(hint::of_mismatch(head, &request, claim.as_ref()));
            }
            Explanation {
                denial: (!is_signed).then(|| request.signature_does_not_match()),
                canonical_request: Some(request.canonical_request()),
                string_to_sign: Some(request.string_to_sign()),
                signature,
                hints,
            }
        }
        Err(denial) => {
            let mut explanation = Explanation { signature, ..Explanation::denied(denial) };
            let Some(claim) = claim else { return explanation };
            let relaxed = claim.expected(expected);
            // What the client left unsigned is no part of what it signed.
            let unsigned = explanation.denial.as_ref().map(unsigned_headers).unwrap_or_default();
            let raw = candidates::without_headers(head, &unsigned);
            let signed = Head::parse_lenient(&raw);
            let signed = signed.as_ref().ok().and_then(|head| authenticate(head, &relaxed).ok());
            let is_right_otherwise = signed.as_ref().is_some_and(verifies);
            if let Some(request) = &signed {
                explanation.canonical_request = Some(request.canonical_request());
                explanation.string_to_sign = Some(request.string_to_sign());
            }
            let is_of_time =
                |denial: &Denial| denial.details.iter().any(|(name, _)| *name == "ServerTime");
            let is_of_time = explanation.denial.as_ref().is_some_and(is_of_time);
            explanation.hints = hint::of_denial(&claim, expected, unsigned, is_of_time);
            if is_right_otherwise {
                explanation.hints.push(Hint::RightOtherwise);
            }
            explanation
        }
    }
}

/// The text that a query name or value stands for; what is not UTF-8 becomes U+FFFD.
#[must_use]
pub fn decoded(value: &[u8]) -> String {
    text(&percent::decoded(value).collect::<Vec<u8>>())
}

/// The headers that a denial says must have been signed, `host` apart.
fn unsigned_headers(denial: &Denial) -> Vec<String> {
    let names = denial.details.iter().find(|(name, _)| *name == "HeadersNotSigned");
    let names = names.map(|(_, names)| names.split(", ")).into_iter().flatten();
    names.filter(|name| *name != "host").map(str::to_owned).collect()
}
