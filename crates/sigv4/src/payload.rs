//! What `x-amz-content-sha256` says of the body.

use crate::bytes::unhex;

/// How the body of a request is bound to its signature: the value of `x-amz-content-sha256`.
///
/// The set is closed: a value that is not here is refused, never taken for "not signed". Verifying the head
/// says nothing of the body yet; whoever reads the body must hold it to this.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PayloadMode {
    /// The body has this SHA-256, which is signed.
    Sha256([u8; 32]),
    /// `UNSIGNED-PAYLOAD`: the body is not signed.
    Unsigned,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`: `aws-chunked`, each chunk signed.
    SignedChunks,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`: as before, with a signed trailer.
    SignedChunksTrailer,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: `aws-chunked` without signatures, with a checksum trailer.
    UnsignedChunksTrailer,
}

impl PayloadMode {
    /// Reads a header value. A hash is 64 lower-case hexadecimal digits; `None` for anything unknown.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        match value {
            b"UNSIGNED-PAYLOAD" => Some(Self::Unsigned),
            b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Some(Self::SignedChunks),
            b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Some(Self::SignedChunksTrailer),
            b"STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Some(Self::UnsignedChunksTrailer),
            hash => unhex(hash).map(Self::Sha256),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modes_that_aws_documents_are_known() {
        let check =
            |value: &str, mode| assert_eq!(PayloadMode::parse(value.as_bytes()), mode, "{value}");
        check("UNSIGNED-PAYLOAD", Some(PayloadMode::Unsigned));
        check("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", Some(PayloadMode::SignedChunks));
        check("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", Some(PayloadMode::SignedChunksTrailer));
        check("STREAMING-UNSIGNED-PAYLOAD-TRAILER", Some(PayloadMode::UnsignedChunksTrailer));
        check(&"0a".repeat(32), Some(PayloadMode::Sha256([10; 32])));
    }

    #[test]
    fn any_other_value_is_refused_rather_than_taken_for_unsigned() {
        for value in [
            "",
            "unsigned-payload",
            "UNSIGNED-PAYLOAD ",
            "STREAMING-UNSIGNED-PAYLOAD",
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            &"0A".repeat(32),
            &"0a".repeat(31),
            &"0g".repeat(32),
        ] {
            assert_eq!(PayloadMode::parse(value.as_bytes()), None, "{value}");
        }
    }
}
