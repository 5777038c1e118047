//! The `Authorization` header.

use crate::asymmetric;
use crate::bytes::{find, text, trim};
use crate::denial::Denial;
use crate::expected::Expected;
use crate::marked::split;
use crate::mechanism::Mechanism;
use crate::spelling::Spelling;

/// An `Authorization` header may hold 8 KiB.
pub const AUTHORIZATION_BYTES_MAX: usize = 8192;

/// The components of `AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...`.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Authorization<'a> {
    pub(crate) spelling: Spelling,
    /// Of Version 4A.
    pub(crate) is_asymmetric: bool,
    pub(crate) credential: &'a [u8],
    pub(crate) signed_headers: &'a [u8],
    pub(crate) signature: &'a [u8],
}

impl<'a> Authorization<'a> {
    /// Takes the header's value apart. Components may come in any order, with or without spaces around the
    /// commas; each must be there once and nothing else may.
    pub(crate) fn parse(value: &'a [u8], expected: &Expected<'_>) -> Result<Self, Denial> {
        let malformed = |what: &str| Mechanism::Header.malformed(what);
        if value.len() > AUTHORIZATION_BYTES_MAX {
            return Err(malformed("it is longer than 8192 bytes."));
        }
        let scheme_len = find(value, 0, b' ');
        if scheme_len == value.len() {
            let message =
                "Authorization header is invalid -- one and only one ' ' (space) required.";
            return Err(Denial::invalid_argument(message, "Authorization", text(value)));
        }
        let (scheme, components) = value.split_at(scheme_len);
        let is_asymmetric = scheme == asymmetric::ALGORITHM.as_bytes();
        if scheme == b"AWS" || (is_asymmetric && !expected.accepts_sigv4a) {
            return Err(Denial::unsupported_mechanism());
        }
        let spelling = if is_asymmetric || scheme == Spelling::Aws4.algorithm().as_bytes() {
            Spelling::Aws4
        } else if expected.accepts_osc4 && scheme == Spelling::Osc4.algorithm().as_bytes() {
            Spelling::Osc4
        } else {
            // The rest of a header of another scheme may be a password: it is not repeated.
            let message = "Unsupported Authorization Type";
            return Err(Denial::invalid_argument(message, "Authorization", text(scheme)));
        };
        let odd = |component: &[u8]| {
            let component = text(component);
            malformed(&format!("the authorization component \"{component}\" is malformed."))
        };
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for component in split(components, b',').map(trim) {
            let (slot, value) = if let Some(value) = component.strip_prefix(b"Credential=") {
                (&mut credential, value)
            } else if let Some(value) = component.strip_prefix(b"SignedHeaders=") {
                (&mut signed_headers, value)
            } else if let Some(value) = component.strip_prefix(b"Signature=") {
                (&mut signature, value)
            } else {
                return Err(odd(component));
            };
            if value.is_empty() || slot.is_some() {
                return Err(odd(component));
            }
            *slot = Some(value);
        }
        Ok(Self {
            spelling,
            is_asymmetric,
            credential: credential.ok_or_else(|| malformed("missing Credential."))?,
            signed_headers: signed_headers.ok_or_else(|| malformed("missing SignedHeaders."))?,
            signature: signature.ok_or_else(|| malformed("missing Signature."))?,
        })
    }
}
