//! Bearer tokens.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A bearer token: 16 to 512 visible ASCII characters. Zeroed on drop, never printed.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

/// A text is no token.
#[derive(Clone, Copy, Debug)]
pub struct InvalidToken;

impl fmt::Display for InvalidToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token must be 16 to 512 visible ASCII characters")
    }
}

impl std::error::Error for InvalidToken {}

impl Token {
    /// Reads a token, white space around it left out, as files end in a line feed.
    ///
    /// # Errors
    /// If it is too short, too long, or holds other than visible ASCII.
    pub fn parse(text: &str) -> Result<Self, InvalidToken> {
        let text = text.trim();
        if !(16..=512).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidToken);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// Makes a token out of 256 random bits.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn generate() -> anyhow::Result<Self> {
        let mut random = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        Ok(Self(Zeroizing::new(hex::encode(random.as_slice()))))
    }

    /// The token in the clear.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `presented` is this token, in a time that tells nothing of either.
    pub fn is(&self, presented: &[u8]) -> bool {
        let digest = |bytes: &[u8]| -> [u8; 32] { Sha256::digest(bytes).into() };
        digest(self.0.as_bytes()).ct_eq(&digest(presented)).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_visible_ascii_of_16_to_512() {
        assert_eq!(Token::parse("0123456789abcdef\n").expect("valid").expose().len(), 16);
        for bad in ["", "short", "0123456789 abcdef", "0123456789abcdé", &"x".repeat(513)] {
            assert!(Token::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_is_itself_and_is_not_printed() {
        let token = Token::generate().expect("randomness");
        assert!(token.is(token.expose().as_bytes()));
        assert!(!token.is(b"") && !token.is(&token.expose().as_bytes()[1..]));
        assert_eq!(format!("{token:?}"), "Token(redacted)");
    }
}
