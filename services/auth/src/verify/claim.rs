//! What a request claims, and what must be known to judge it.

use sigv4::{
    AsymmetricSignature, Scope, Signature, SignedPost, SignedRequest, SignedVersion2, SigningKey,
    Spelling, StringToSign,
};

use crate::on_demand::Told;

/// The keys that are missing.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Needed {
    /// Of a known access key.
    pub(crate) access_key_id: String,
    /// The state of the access key that they are for.
    pub(crate) version: u32,
    /// Of which kind they are.
    pub(crate) wanted: Wanted,
}

/// What is not fed.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Wanted {
    /// Date keys.
    DateKeys {
        /// How the signatures are spelled that they are for.
        spelling: Spelling,
        /// Days since 1970-01-01.
        day: u32,
    },
    /// Public keys, for Version 4A.
    PublicKeys,
    /// Whose signature of Version 2 this is.
    Version2 {
        /// What is said to have been signed.
        string_to_sign: Box<[u8]>,
        /// By what.
        signature: [u8; 20],
    },
}

/// A signature, and what it is said to be of.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'a> {
    /// Who is said to have signed.
    pub(crate) access_key_id: &'a str,
    /// What the signing key is good for.
    pub(crate) scope: Scope<'a>,
    /// What is said to have been signed, and the signature.
    pub(crate) signed: Signed<'a>,
}

/// A text and its signature.
#[derive(Clone, Copy)]
pub(crate) enum Signed<'a> {
    /// A string to sign, by a signing key.
    Text(&'a StringToSign, &'a Signature),
    /// A string to sign, by the private key of Version 4A.
    Asymmetric(&'a StringToSign, AsymmetricSignature),
    /// The policy of an upload form, by a signing key.
    Form(&'a SignedPost<'a>),
    /// A string to sign of Version 2, by a secret access key; and what identity has said of it.
    Version2(&'a SignedVersion2, Option<Told>),
}

impl Signed<'_> {
    /// By what one is told from another: the text, and the signature in some spelling.
    pub(crate) fn parts(&self) -> (&[u8], [u8; 64]) {
        match self {
            Self::Text(text, signature) => (text.as_bytes(), signature.to_hex()),
            Self::Asymmetric(text, signature) => (text.as_bytes(), signature.to_bytes()),
            Self::Form(form) => (form.string_to_sign().as_bytes(), form.signature().to_hex()),
            Self::Version2(signed, _) => {
                let mut padded = [0; 64];
                padded[..20].copy_from_slice(signed.signature().unwrap_or(&[0; 20]));
                (signed.string_to_sign(), padded)
            }
        }
    }

    /// Whether it is that of a signing key; in the time that it takes for one that is.
    pub(super) fn is_by(&self, key: &SigningKey) -> bool {
        match self {
            Self::Text(text, signature) => key.verify(text, signature),
            Self::Asymmetric(..) | Self::Version2(..) => false,
            Self::Form(form) => form.is_signed_by(key),
        }
    }
}

impl<'a> Claim<'a> {
    /// The signature of a string to sign, if a signing key may have made it.
    pub(crate) fn signature(&self) -> Option<&'a Signature> {
        match self.signed {
            Signed::Text(_, signature) => Some(signature),
            Signed::Asymmetric(..) | Signed::Form(_) | Signed::Version2(..) => None,
        }
    }

    /// The claim that a request makes; `string_to_sign` is its own, which is made once.
    pub(crate) fn of(request: &'a SignedRequest<'_>, string_to_sign: &'a StringToSign) -> Self {
        Self {
            access_key_id: request.access_key_id(),
            scope: *request.scope(),
            signed: match request.asymmetric_signature() {
                Some(signature) => Signed::Asymmetric(string_to_sign, signature),
                None => Signed::Text(string_to_sign, request.signature()),
            },
        }
    }
}
