//! The words that differ between AWS's Signature Version 4 and that of OUTSCALE, which is the same in all else.

/// How a signature is spelled.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Spelling {
    /// AWS's: `AWS4-HMAC-SHA256`, with the date in `x-amz-date`.
    #[default]
    Aws4,
    /// OUTSCALE's: `OSC4-HMAC-SHA256`, with the date in `x-osc-date`. In the `Authorization` header alone.
    ///
    /// Source: OUTSCALE's public documentation, "Signature"; `osc_sdk_python`.
    Osc4,
}

impl Spelling {
    /// What the `Authorization` header and the string to sign begin with.
    pub(crate) const fn algorithm(self) -> &'static str {
        match self {
            Self::Aws4 => "AWS4-HMAC-SHA256",
            Self::Osc4 => "OSC4-HMAC-SHA256",
        }
    }

    /// What a credential scope ends in, and the derivation of a signing key: of one length.
    pub(crate) const fn terminal(self) -> &'static str {
        match self {
            Self::Aws4 => "aws4_request",
            Self::Osc4 => "osc4_request",
        }
    }

    /// What is put before a secret access key: of one length.
    pub(crate) const fn prefix(self) -> &'static [u8; 4] {
        match self {
            Self::Aws4 => b"AWS4",
            Self::Osc4 => b"OSC4",
        }
    }
}
