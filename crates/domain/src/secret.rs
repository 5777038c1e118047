//! Secret access keys, open and sealed.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

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

/// A secret access key, encrypted under its access key's data key. Opaque here.
#[derive(Clone, Eq, PartialEq)]
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
}
