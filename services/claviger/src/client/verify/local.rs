//! Verified here, with the key itself.

use sigv4::explain::{Claim, Explanation, Hint, explain};
use sigv4::{Denial, ErrorCode, Head, authenticate};
use subtle::ConstantTimeEq;

use super::Asked;
use super::keys::Keys;
use super::report::Report;
use crate::exit::{Failure, Outcome};

const TOKEN: &str = "x-amz-security-token";

/// Explains a request by the keys that were given.
///
/// A session token is part of what is signed, or was added afterwards: for some services SDKs do that.
pub(super) fn verify(
    head: &Head<'_>,
    asked: &Asked,
    keys: &Keys,
    session_token: Option<&str>,
) -> Outcome<Report> {
    if let Some(claim) = Claim::of(head).filter(|claim| !keys.has_key_for(claim.is_asymmetric)) {
        let kind = if claim.is_asymmetric { "4A" } else { "4" };
        let message = format!(
            "the signature is of Version {kind}, which a secret verifies: give --secret-file"
        );
        return Err(Failure::usage(message));
    }
    let mut explanation = explained(head, asked, keys);
    let bare = without_token(head);
    if let (Some(_), Some(bare)) = (&explanation.denial, &bare) {
        let bare = Head::parse_lenient(bare).map_err(|error| Failure::failed(error.to_string()))?;
        let as_it_was_signed = explained(&bare, asked, keys);
        let is_unsigned_header = explanation.hints.iter().any(|hint| {
            matches!(hint, Hint::UnsignedHeaders { names } if names.iter().any(|name| name == TOKEN))
        });
        if as_it_was_signed.denial.is_none() || is_unsigned_header {
            explanation = as_it_was_signed;
        }
    }
    if explanation.denial.is_none()
        && let Some(expected) = session_token
        && !token_of(head).is_some_and(|token| token.as_bytes().ct_eq(expected.as_bytes()).into())
    {
        explanation.denial = Some(Denial::invalid_token());
    }
    Ok(Report::of(explanation).with_body(head, asked))
}

fn explained(head: &Head<'_>, asked: &Asked, keys: &Keys) -> Explanation {
    let expected = asked.expected();
    let body_sha256 = asked.known_body_sha256();
    let mut explanation = explain(head, &expected, body_sha256, |request| keys.verify(request));
    let is_mismatch = |denial: &Denial| denial.code == ErrorCode::SignatureDoesNotMatch;
    if explanation.denial.as_ref().is_some_and(is_mismatch)
        && authenticate(head, &expected).is_ok_and(|request| keys.verify_spaced(&request))
    {
        explanation.hints.insert(0, Hint::SecretSpaces);
    }
    explanation
}

/// The session token of a request, signed or not.
fn token_of(head: &Head<'_>) -> Option<String> {
    let header = head.headers().find(|(name, _)| name.eq_ignore_ascii_case(TOKEN.as_bytes()));
    if let Some((_, value)) = header {
        return Some(String::from_utf8_lossy(value).into_owned());
    }
    let pairs = head.query().split(|&byte| byte == b'&');
    let value = pairs.filter_map(|pair| pair.strip_prefix(b"X-Amz-Security-Token=")).next()?;
    Some(sigv4::explain::decoded(value))
}

/// The head as it was before a session token was added; `None` if it has none.
fn without_token(head: &Head<'_>) -> Option<Vec<u8>> {
    token_of(head)?;
    let is_token = |pair: &&[u8]| pair.starts_with(b"X-Amz-Security-Token=");
    let pairs = head.query().split(|&byte| byte == b'&').filter(|pair| !is_token(pair));
    let query = pairs.collect::<Vec<_>>().join(&b'&');
    let separator: &[u8] = if query.is_empty() { b"" } else { b"?" };
    let mut raw = [head.method(), b" ", head.path(), separator, &query, b" HTTP/1.1\r\n"].concat();
    for (name, value) in head.headers() {
        if !name.eq_ignore_ascii_case(TOKEN.as_bytes()) {
            raw.extend([name, b": ", value, b"\r\n"].concat());
        }
    }
    raw.extend(b"\r\n");
    Some(raw)
}
