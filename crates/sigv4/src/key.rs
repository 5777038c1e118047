//! Deriving signing keys from secrets, signing and comparing.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::block_api::compress256;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::bytes::{hex, unhex};
use crate::credential::Scope;
use crate::date::Date;
use crate::spelling::Spelling;
use crate::string_to_sign::StringToSign;

/// The first of the four derived keys: good for one secret and one UTC day, all regions and services.
///
/// Whoever holds it can sign for that day and cannot find the secret or another day's key. Zeroed on drop,
/// never printed. Source: AWS, "Create a signed AWS API request", step 4, `DateKey`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DateKey([u8; 32]);

impl DateKey {
    /// Derives the key of one day from a secret access key of any length.
    #[must_use]
    pub fn derive(secret: &[u8], date: &Date) -> Self {
        Self::derive_spelled(Spelling::Aws4, secret, date)
    }

    /// Derives the key of one day for signatures of one spelling.
    #[must_use]
    pub fn derive_spelled(spelling: Spelling, secret: &[u8], date: &Date) -> Self {
        // HMAC hashes a key longer than a block (64 bytes) first; so need not this, to stay off the heap.
        let mut key = Zeroizing::new([0; 64]);
        let len = 4 + secret.len();
        if len <= key.len() {
            key[..4].copy_from_slice(spelling.prefix());
            key[4..len].copy_from_slice(secret);
        } else {
            let digest =
                Sha256::new().chain_update(spelling.prefix()).chain_update(secret).finalize();
            key[..32].copy_from_slice(&digest);
        }
        Self(hmac(&*key, date.as_str().as_bytes())) // zeros after a short key change nothing
    }

    /// Takes a key that was derived elsewhere.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key itself, to store it or to send it to those who verify.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Derives the key that signs requests to one service in one region.
    #[must_use]
    pub fn signing_key(&self, region: &str, service: &str) -> SigningKey {
        self.derive_signing_key(region, service, Spelling::Aws4)
    }

    /// Derives the key that signs requests of one scope, in its spelling, which must be this key's.
    #[must_use]
    pub fn signing_key_of(&self, scope: &Scope<'_>) -> SigningKey {
        self.derive_signing_key(scope.region(), scope.service(), scope.spelling())
    }

    /// The same key as its 32 bytes, for those who verify elsewhere what it signs.
    #[must_use]
    pub fn signing_key_bytes(&self, scope: &Scope<'_>) -> Zeroizing<[u8; 32]> {
        self.derive_bytes(scope.region(), scope.service(), scope.spelling())
    }

    fn derive_signing_key(&self, region: &str, service: &str, spelling: Spelling) -> SigningKey {
        SigningKey::from_bytes(&self.derive_bytes(region, service, spelling))
    }

    fn derive_bytes(&self, region: &str, service: &str, spelling: Spelling) -> Zeroizing<[u8; 32]> {
        let region_key = Zeroizing::new(hmac(&self.0, region.as_bytes()));
        let service_key = Zeroizing::new(hmac(&*region_key, service.as_bytes()));
        Zeroizing::new(hmac(&*service_key, spelling.terminal().as_bytes()))
    }
}

impl fmt::Debug for DateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DateKey(redacted)")
    }
}

/// The key that signs requests to one service in one region on one UTC day.
///
/// Kept as the two SHA-256 states that HMAC reaches after the key (64 bytes), so that signing costs only
/// the hash of the message and of the result. Zeroed on drop, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SigningKey {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl SigningKey {
    /// Takes the 32 bytes of a signing key that was derived elsewhere.
    #[must_use]
    pub fn from_bytes(key: &[u8; 32]) -> Self {
        let state_after = |pad: u8| {
            let mut block = Zeroizing::new([pad; 64]);
            for (byte, key) in block.iter_mut().zip(key) {
                *byte ^= key;
            }
            let mut state = SHA256_INITIAL;
            compress256(&mut state, &[*block]);
            state
        };
        Self { inner: state_after(0x36), outer: state_after(0x5c) }
    }

    /// Signs, as a client does.
    #[must_use]
    pub fn sign(&self, string_to_sign: &StringToSign) -> Signature {
        Signature { bytes: self.mac(string_to_sign.padded_after_block()), is_hex: true }
    }

    /// Whether `signature` is that of `string_to_sign`. Takes the same time whatever the signature is.
    #[must_use]
    pub fn verify(&self, string_to_sign: &StringToSign, signature: &Signature) -> bool {
        let bytes = self.mac(string_to_sign.padded_after_block());
        signature.is(&bytes)
    }

    /// Whether `signature` is that of a text of any length. Takes the same time whatever the signature is.
    pub(crate) fn verify_text(&self, text: &[u8], signature: &Signature) -> bool {
        let bytes = self.mac_text(text);
        signature.is(&bytes)
    }

    /// HMAC-SHA-256 of a text of any length.
    fn mac_text(&self, text: &[u8]) -> [u8; 32] {
        let (blocks, rest) = text.as_chunks::<64>();
        let mut padded = [[0; 64]; 2];
        let tail = padded.as_flattened_mut();
        tail[..rest.len()].copy_from_slice(rest);
        tail[rest.len()] = 0x80;
        let used = (rest.len() + 9).div_ceil(64) * 64;
        let bits = (64 + text.len() as u64) * 8;
        tail[used - 8..used].copy_from_slice(&bits.to_be_bytes());
        let mut state = self.inner;
        compress256(&mut state, blocks);
        self.mac_from(state, &padded[..used / 64])
    }

    /// HMAC-SHA-256 of a message that was padded as the end of a message one block longer.
    fn mac(&self, padded: &[[u8; 64]]) -> [u8; 32] {
        self.mac_from(self.inner, padded)
    }

    /// What [`SigningKey::mac`] does, from the state after a part of the message.
    fn mac_from(&self, mut state: [u32; 8], padded: &[[u8; 64]]) -> [u8; 32] {
        compress256(&mut state, padded);
        let mut block = [0; 64];
        write_state(&state, &mut block);
        block[32] = 0x80;
        block[62..].copy_from_slice(&((64 + 32) * 8_u16).to_be_bytes());
        let mut state = self.outer;
        compress256(&mut state, &[block]);
        let mut mac = [0; 32];
        write_state(&state, &mut mac);
        mac
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

/// A signature as a client sent it: 64 lower-case hexadecimal digits, or something that matches nothing.
#[derive(Clone, Copy)]
pub struct Signature {
    bytes: [u8; 32],
    is_hex: bool,
}

impl Signature {
    /// Reads a signature. Text of any other form gives one that no key verifies, as in AWS.
    #[must_use]
    pub fn from_hex(text: &[u8]) -> Self {
        let bytes = unhex(text);
        Self { bytes: bytes.unwrap_or_default(), is_hex: bytes.is_some() }
    }

    /// Whether it is this, in constant time.
    fn is(&self, bytes: &[u8; 32]) -> bool {
        // By eight bytes, and not by one.
        let words = |bytes: &[u8; 32]| {
            let (words, _) = bytes.as_chunks();
            std::array::from_fn::<_, 4, _>(|at| u64::from_ne_bytes(words[at]))
        };
        (words(bytes).ct_eq(&words(&self.bytes)) & Choice::from(u8::from(self.is_hex))).into()
    }

    /// The 64 digits; of a signature that was not in hexadecimal, zeros.
    #[must_use]
    pub fn to_hex(&self) -> [u8; 64] {
        hex(&self.bytes)
    }
}

/// Never printed: whoever has it can send the request again.
impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(redacted)")
    }
}

/// The initial state of SHA-256 (FIPS 180-4 section 5.3.3).
pub(crate) const SHA256_INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Writes the state as the hash that it is.
pub(crate) fn write_state(state: &[u32; 8], out: &mut [u8]) {
    for (bytes, word) in out.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
}

/// HMAC-SHA-256 with a key of at most 64 bytes.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = Zeroizing::new([0; 64]);
    block[..key.len()].copy_from_slice(key);
    Hmac::<Sha256>::new((&*block).into()).chain_update(message).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Scope;
    use crate::date::Timestamp;
    use proptest::prelude::*;

    fn string_to_sign(region: &str, service: &str, digest: &[u8; 32]) -> StringToSign {
        let timestamp = Timestamp::from_unix_seconds(0);
        StringToSign::new(
            timestamp,
            &Scope::new(timestamp.date(), region, service).unwrap(),
            digest,
        )
    }

    /// HMAC as in RFC 2104, by the crate that does nothing else.
    fn plain_hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
        let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.chain_update(message).finalize().into_bytes().into()
    }

    #[test]
    fn the_keys_of_the_documentation_are_derived() {
        // AWS General Reference, "Examples of how to derive a signing key".
        let secret = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let date_key = DateKey::derive(secret, &Date::parse(b"20120215").unwrap());
        let expected = "969fbb94feb542b71ede6f87fe4d5fa29c789342b0f407474670f0c2489e0a0d";
        assert_eq!(hex(date_key.expose()).as_slice(), expected.as_bytes());
        let region_key = hmac(date_key.expose(), b"us-east-1");
        let service_key = hmac(&region_key, b"iam");
        let signing_key = hmac(&service_key, b"aws4_request");
        let expected = "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d";
        assert_eq!(hex(&signing_key).as_slice(), expected.as_bytes());
        let string_to_sign = string_to_sign("us-east-1", "iam", &[0; 32]);
        let signature = date_key.signing_key("us-east-1", "iam").sign(&string_to_sign);
        assert_eq!(signature.bytes, plain_hmac(&signing_key, string_to_sign.as_bytes()));
    }

    #[test]
    fn a_signature_that_is_not_in_hexadecimal_fits_nothing_not_even_zeros() {
        let string_to_sign = string_to_sign("r", "s", &[0; 32]);
        let key = SigningKey::from_bytes(&[1; 32]);
        let right = key.sign(&string_to_sign);
        assert!(key.verify(&string_to_sign, &right));
        assert!(key.verify(&string_to_sign, &Signature::from_hex(&right.to_hex())));
        let not_hex = Signature { is_hex: false, ..right };
        assert!(!key.verify(&string_to_sign, &not_hex));
    }

    proptest! {
        #[test]
        fn a_text_of_any_length_is_signed(key: [u8; 32], text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let right = Signature { bytes: plain_hmac(&key, &text), is_hex: true };
            let not_hex = Signature { is_hex: false, ..right };
            let longer = [text.as_slice(), &[0]].concat();
            let key = SigningKey::from_bytes(&key);
            prop_assert!(key.verify_text(&text, &right));
            prop_assert!(!key.verify_text(&text, &not_hex));
            prop_assert!(!key.verify_text(&longer, &right));
        }

        #[test]
        fn a_secret_of_any_length_is_an_hmac_key(secret: Vec<u8>, length in 55usize..70) {
            let date = Date::from_unix_seconds(0);
            for secret in [secret.as_slice(), &vec![7; length]] {
                let key = [b"AWS4", secret].concat();
                let expected = plain_hmac(&key, date.as_str().as_bytes());
                prop_assert_eq!(*DateKey::derive(secret, &date).expose(), expected);
            }
        }

        #[test]
        fn signing_from_the_midstate_is_hmac(
            key: [u8; 32],
            digest: [u8; 32],
            region in "[a-z0-9-]{1,64}",
            service in "[a-z0-9-]{1,32}",
        ) {
            let string_to_sign = string_to_sign(&region, &service, &digest);
            let signature = SigningKey::from_bytes(&key).sign(&string_to_sign);
            prop_assert_eq!(signature.bytes, plain_hmac(&key, string_to_sign.as_bytes()));
        }
    }
}
