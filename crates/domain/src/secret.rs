//! Secret access keys, open and sealed.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::InvalidName;

/// The secret half of a credential. Zeroed on drop, never printed, never serialised.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SecretAccessKey(Box<str>); // read only by `expose()`, the one word to search for

impl SecretAccessKey {
    /// Makes 40 of `A-Z a-z 0-9 + /` out of 240 random bits, as AWS does.
    pub fn from_random(mut random: [u8; 30]) -> Self {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        // Full capacity from the start: a string that grows leaves copies behind.
        let mut text = String::with_capacity(40);
        for three in random.chunks_exact(3) {
            let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
            for index in (0..4).rev() {
                text.push(char::from(ALPHABET[(bits >> (index * 6)) as usize & 63]));
            }
        }
        random.zeroize();
        Self(text.into_boxed_str())
    }

    /// Reads a secret that a client brings: 40 to 128 visible ASCII characters. That is what every
    /// S3 client can send and no less than AWS makes.
    ///
    /// # Errors
    /// If it is not of that form; the message does not hold it.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if !(40..=128).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidName("must be 40 to 128 visible ASCII characters"));
        }
        Ok(Self(text.into()))
    }

    /// The secret in the clear.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretAccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretAccessKey(redacted)")
    }
}

/// A secret access key, encrypted under its access key's data key, or the hash of a password, under its own.
/// Opaque here.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct SealedSecret(pub Box<[u8]>);

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSecret({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_40_characters_and_is_not_printed() {
        let secret = SecretAccessKey::from_random([0xA5; 30]);
        assert_eq!(secret.expose().len(), 40);
        assert_eq!(format!("{secret:?}"), "SecretAccessKey(redacted)");
        assert_eq!(SecretAccessKey::from_random([0; 30]).expose(), "A".repeat(40));
        assert_eq!(SecretAccessKey::from_random([255; 30]).expose(), "/".repeat(40));
    }

    #[test]
    fn a_secret_of_a_clients_own_is_long_enough_and_visible() {
        for good in
            ["x".repeat(40), "BcA_HX6If458llhnx3n1TCO3mg4roCXG0ddYf_cJ".into(), "~".repeat(128)]
        {
            assert!(SecretAccessKey::parse(&good).is_ok(), "{good}");
        }
        for bad in [
            "".into(),
            "x".repeat(39),
            "x".repeat(129),
            format!("{} ", "x".repeat(39)),
            "é".repeat(20),
        ] {
            let error = SecretAccessKey::parse(&bad).expect_err("refused");
            assert!(bad.is_empty() || !error.to_string().contains(&bad), "{bad}");
        }
    }
}
