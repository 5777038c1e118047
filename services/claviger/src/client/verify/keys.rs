//! What a signature is verified with, where no server is asked.

use anyhow::Context;
use sigv4::{DateKey, PrivateKey, PublicKey, SignedRequest};
use zeroize::Zeroizing;

use crate::cli::VerifyArgs;
use crate::config::secret;
use crate::exit::{Failure, Outcome};

const SECRET_VARIABLE: &str = "CLAVIGER_SECRET_ACCESS_KEY";

/// A secret access key, a public key of Version 4A, or both.
pub(super) struct Keys {
    secret: Option<Zeroizing<String>>,
    public_key: Option<PublicKey>,
}

impl Keys {
    pub(super) fn of(args: &VerifyArgs) -> Outcome<Self> {
        let secret = match &args.secret_file {
            Some(path) if path.as_os_str() == "-" => {
                return Err(Failure::usage("the request is read from stdin, not the secret"));
            }
            Some(path) => secret::read_any(path).map(Some),
            None => secret::find(SECRET_VARIABLE, None, None),
        };
        let secret = secret.map_err(|error| Failure::usage(format!("{error:#}")))?;
        let public_key = args.sigv4a_public_key.as_deref().map(parse).transpose()?;
        if secret.is_none() && public_key.is_none() {
            return Err(Failure::usage(format!(
                "nothing to verify with: give --secret-file, set {SECRET_VARIABLE}, or give --endpoint"
            )));
        }
        Ok(Self { secret, public_key })
    }

    /// Whether the signature of a request is right.
    pub(super) fn verify(&self, request: &SignedRequest<'_>) -> bool {
        let by_public_key = self.public_key.filter(|_| request.scope().is_asymmetric());
        match (by_public_key, &self.secret) {
            (Some(key), _) => request.is_signed_for(&key),
            (None, Some(secret)) => is_signed_with(secret, request),
            (None, None) => false,
        }
    }

    /// Whether there is a key for signatures of the kind.
    pub(super) fn has_key_for(&self, is_asymmetric: bool) -> bool {
        self.secret.is_some() || (is_asymmetric && self.public_key.is_some())
    }

    /// Whether the signature is right with other spaces or line ends around the secret.
    pub(super) fn verify_spaced(&self, request: &SignedRequest<'_>) -> bool {
        let Some(secret) = &self.secret else { return false };
        let trimmed = secret.trim();
        let ends = ["", " ", "\n", "\r\n", "\r", "\t"];
        let others = ends.iter().map(|end| Zeroizing::new([trimmed, end].concat()));
        let others = others.chain([Zeroizing::new([" ", trimmed].concat())]);
        others.filter(|other| *other != *secret).any(|other| is_signed_with(&other, request))
    }
}

fn is_signed_with(secret: &str, request: &SignedRequest<'_>) -> bool {
    let scope = request.scope();
    if scope.is_asymmetric() {
        let key = PrivateKey::derive(request.access_key_id(), secret.as_bytes());
        let key = key.and_then(|key| key.public_key());
        return key.is_some_and(|key| request.is_signed_for(&key));
    }
    let date_key = DateKey::derive_spelled(scope.spelling(), secret.as_bytes(), &scope.date());
    request.is_signed_by(&date_key.signing_key_of(scope))
}

/// Reads a point of P-256 in hexadecimal: as SEC 1 writes it, or its coordinates.
fn parse(text: &str) -> Outcome<PublicKey> {
    let wrong = |error: anyhow::Error| Failure::usage(format!("--sigv4a-public-key: {error:#}"));
    let mut bytes = hex::decode(text).context("is not hexadecimal").map_err(wrong)?;
    if bytes.len() == 64 {
        bytes.insert(0, 4);
    }
    PublicKey::from_bytes(&bytes).context("is no point of P-256, compressed or not").map_err(wrong)
}
