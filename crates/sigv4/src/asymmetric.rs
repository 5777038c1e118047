//! Signature Version 4A: signed by ECDSA on P-256 with a key pair that follows from the secret access key, so
//! that who verifies needs the public key alone, and good for a set of regions.
//!
//! Source: AWS IAM user guide, "AWS Signature Version 4 for API requests", and what AWS's SDKs do.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{self, DerSignature, VerifyingKey};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::bytes::hex_value;
use crate::string_to_sign::StringToSign;

/// What the `Authorization` header and the string to sign begin with.
pub(crate) const ALGORITHM: &str = "AWS4-ECDSA-P256-SHA256";
/// A signature in DER has at most 72 bytes: two numbers of 33 bytes and three headers of two.
const SIGNATURE_BYTES_MAX: usize = 72;
/// The order of the curve, less two (SP 800-186, section 3.2.1.3).
const ORDER_MINUS_2: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x4f,
];

/// The private key of an access key for Signature Version 4A: as good as its secret, for it has no end.
///
/// Zeroed on drop, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PrivateKey([u8; 32]);

impl PrivateKey {
    /// Derives the key from an access key ID and its secret: the KDF in counter mode of NIST SP 800-108 over
    /// HMAC-SHA-256, then FIPS 186-4, appendix B.4.2, by which a candidate above the order is not reduced but
    /// made anew with the next counter.
    ///
    /// `None` if 254 candidates are all above the order: one in 2^32 is.
    #[must_use]
    pub fn derive(access_key_id: &str, secret: &[u8]) -> Option<Self> {
        let input = Zeroizing::new([b"AWS4A", secret].concat());
        (1..=254_u8).find_map(|counter| {
            let mac = Hmac::<Sha256>::new_from_slice(&input).ok()?;
            let mac = mac
                .chain_update(1_u32.to_be_bytes())
                .chain_update(ALGORITHM)
                .chain_update([0])
                .chain_update(access_key_id)
                .chain_update([counter])
                .chain_update(256_u32.to_be_bytes());
            let candidate = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
            let is_in_range = !is_less(&ORDER_MINUS_2, &candidate);
            bool::from(is_in_range).then(|| Self(plus_one(&candidate)))
        })
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        // Always there: the scalar is between one and the order less one.
        let key = ecdsa::SigningKey::from_slice(&self.0).ok()?;
        Some(PublicKey(*key.verifying_key()))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(redacted)")
    }
}

/// Whether `a < b`, both big-endian, in constant time.
fn is_less(a: &[u8; 32], b: &[u8; 32]) -> Choice {
    let borrow = a.iter().zip(b).rev().fold(0_u16, |borrow, (a, b)| {
        u16::from(*a).wrapping_sub(u16::from(*b)).wrapping_sub(borrow) >> 15
    });
    Choice::from(borrow as u8)
}

/// One more, big-endian, in constant time.
fn plus_one(value: &[u8; 32]) -> [u8; 32] {
    let mut sum = *value;
    let mut carry = Choice::from(1);
    for byte in sum.iter_mut().rev() {
        let more = u8::conditional_select(&0, &1, carry);
        let (next, overflows) = byte.overflowing_add(more);
        *byte = next;
        carry = Choice::from(u8::from(overflows));
    }
    sum
}

/// The public key of an access key for Signature Version 4A: enough to verify, and to nothing else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a point of the curve as SEC 1 writes it, compressed (33 bytes) or not (65 bytes); `None` for
    /// anything else, a point that is not on the curve or is its neutral element among it.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let is_point = matches!((bytes.first()?, bytes.len()), (2 | 3, 33) | (4, 65));
        is_point.then(|| VerifyingKey::from_sec1_bytes(bytes).ok().map(Self)).flatten()
    }

    /// The compressed point.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 33] {
        let mut bytes = [0; 33];
        bytes.copy_from_slice(self.0.to_sec1_point(true).as_bytes());
        bytes
    }

    /// Whether `signature` is one of `string_to_sign`, which must name this algorithm.
    ///
    /// Of the two values of `s` that are as good as each other both are taken, as AWS takes and makes both: a
    /// signature is no identifier of a request.
    #[must_use]
    pub fn verify(&self, string_to_sign: &StringToSign, signature: &AsymmetricSignature) -> bool {
        let text = string_to_sign.as_bytes();
        let names_algorithm = text
            .strip_prefix(ALGORITHM.as_bytes())
            .is_some_and(|rest| rest.first() == Some(&b'\n'));
        let is_signed = |signature: &ecdsa::Signature| {
            self.0.verify_prehash(&Sha256::digest(text), signature).is_ok()
        };
        names_algorithm && signature.0.as_ref().is_some_and(is_signed)
    }
}

/// A signature of Version 4A as a client sent it: lower-case hexadecimal digits of DER, or something that
/// matches nothing.
#[derive(Clone, Copy)]
pub struct AsymmetricSignature(Option<ecdsa::Signature>);

impl AsymmetricSignature {
    /// Reads a signature. Text of any other form, and numbers that are zero or not below the order of the
    /// curve, give one that no key verifies.
    #[must_use]
    pub fn from_hex(text: &[u8]) -> Self {
        Self(parse(text))
    }

    /// Its two numbers, one behind the other; zeros for what no key verifies.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 64] {
        self.0.as_ref().map_or([0; 64], |signature| signature.to_bytes().into())
    }
}

/// Never printed: whoever has it can send the request again.
impl fmt::Debug for AsymmetricSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AsymmetricSignature(redacted)")
    }
}

fn parse(text: &[u8]) -> Option<ecdsa::Signature> {
    let is_hex = text.iter().all(|digit| digit.is_ascii_digit() || matches!(digit, b'a'..=b'f'));
    let mut buffer = [0; SIGNATURE_BYTES_MAX];
    let bytes =
        buffer.get_mut(..text.len() / 2).filter(|_| is_hex && text.len().is_multiple_of(2))?;
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = hex_value(pair[0]) << 4 | hex_value(pair[1]);
    }
    ecdsa::Signature::try_from(DerSignature::from_bytes(bytes).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Scope;
    use crate::date::Timestamp;
    use p256::ecdsa::signature::hazmat::PrehashSigner;
    use proptest::prelude::*;

    const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn key() -> PrivateKey {
        PrivateKey::derive("AKISORANDOMAASORANDOM", b"q+jcrXGc+0zWN6uzclKVhvMmUsIfRPa4rlRandom")
            .unwrap()
    }

    #[test]
    fn the_key_of_aws_c_auth_is_derived() {
        // aws-c-auth, tests/key_derivation_tests.c: `s_fixed_key_derivation`.
        let expected = "7fd3bd010c0d9c292141c2b77bfbde1042c92e6836fff749d1269ec890fca1bd";
        assert_eq!(hex::encode(key().0), expected);
    }

    #[test]
    fn secrets_of_any_length_have_a_key() {
        for secret in [&b""[..], &[0; 4096]] {
            let key = PrivateKey::derive("AKIDEXAMPLE", secret).unwrap();
            assert!(key.public_key().is_some());
        }
        let key = PrivateKey::derive("AKIDEXAMPLE", SECRET).unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKey(redacted)");
    }

    #[test]
    fn a_candidate_is_held_against_the_order() {
        let mut above = ORDER_MINUS_2;
        above[31] += 1;
        let check = |candidate: &[u8; 32], expected: bool| {
            assert_eq!(bool::from(!is_less(&ORDER_MINUS_2, candidate)), expected);
        };
        check(&[0; 32], true);
        check(&ORDER_MINUS_2, true);
        check(&above, false);
        check(&[0xff; 32], false);
        assert_eq!(plus_one(&ORDER_MINUS_2)[31], 0x50);
        assert!(PrivateKey(plus_one(&ORDER_MINUS_2)).public_key().is_some());
        assert!(PrivateKey(plus_one(&above)).public_key().is_none());
    }

    proptest! {
        #[test]
        fn order_and_sum_are_those_of_numbers(a: [u8; 32], b: [u8; 32]) {
            prop_assert_eq!(bool::from(is_less(&a, &b)), a < b);
            prop_assert!(!bool::from(is_less(&a, &a)));
            let mut carried = a;
            carried[20..].fill(0xff);
            prop_assert_eq!(&plus_one(&carried)[20..], &[0; 12]);
            prop_assert_eq!(plus_one(&carried)[19], a[19].wrapping_add(1));
        }

        #[test]
        fn no_bytes_make_a_signature_of_something_else(text in "[0-9a-f]{0,200}") {
            let signature = AsymmetricSignature::from_hex(text.as_bytes());
            prop_assert!(!key().public_key().unwrap().verify(&string_to_sign(true), &signature));
        }
    }

    #[test]
    fn a_public_key_is_a_point_of_the_curve() {
        let public = key().public_key().unwrap();
        let bytes = public.to_bytes();
        assert_eq!(PublicKey::from_bytes(&bytes), Some(public));
        let long = public.0.to_sec1_point(false);
        assert_eq!(PublicKey::from_bytes(long.as_bytes()), Some(public));
        let mut off_the_curve = long.as_bytes().to_vec();
        off_the_curve[64] ^= 1;
        let of_no_point: [u8; 33] = std::array::from_fn(|at| if at == 0 { 2 } else { 0xff });
        let hybrid: Vec<u8> = [&[6], &long.as_bytes()[1..]].concat();
        for bad in [&[][..], &[0], &bytes[1..], &bytes[..32], &off_the_curve, &of_no_point, &hybrid]
        {
            assert_eq!(PublicKey::from_bytes(bad), None, "{bad:?}");
        }
    }

    fn string_to_sign(is_asymmetric: bool) -> StringToSign {
        let timestamp = Timestamp::from_unix_seconds(0);
        let scope = Scope::new(timestamp.date(), "us-east-1", "s3").unwrap();
        let scope = if is_asymmetric { scope.asymmetric() } else { scope };
        StringToSign::new(timestamp, &scope, &[7; 32])
    }

    fn der(r: &[u8], s: &[u8]) -> String {
        let number = |value: &[u8]| [&[2, value.len() as u8], value].concat();
        let both = [number(r), number(s)].concat();
        hex::encode([&[0x30, both.len() as u8], both.as_slice()].concat())
    }

    fn sign(string_to_sign: &StringToSign) -> ecdsa::Signature {
        let key = ecdsa::SigningKey::from_slice(&key().0).unwrap();
        key.sign_prehash(&Sha256::digest(string_to_sign.as_bytes())).unwrap()
    }

    #[test]
    fn both_values_of_s_are_accepted_and_no_other_spelling() {
        let public = key().public_key().unwrap();
        let text = string_to_sign(true);
        let check = |signature: &str, expected: bool| {
            let signature = AsymmetricSignature::from_hex(signature.as_bytes());
            assert_eq!(public.verify(&text, &signature), expected);
        };
        let signature = sign(&text);
        let (r, s) = signature.split_scalars();
        let mirrored = ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
        let right = hex::encode(signature.to_der().as_bytes());
        check(&right, true);
        check(&hex::encode(mirrored.to_der().as_bytes()), true);
        check(&right.to_ascii_uppercase(), false);
        check(&format!("{right}00"), false);
        check(&right[..right.len() - 2], false);
        check(&right[1..], false);
        check("", false);
        // A zero before a number that needs none, and lengths in more bytes than they need.
        let (r, s) = (r.to_bytes(), s.to_bytes());
        check(&der(&[&[0, 0], r.as_slice()].concat(), &[&[0], s.as_slice()].concat()), false);
        check(&format!("3081{}", &right[2..]), false);
        // Without DER: the two numbers beside each other.
        check(&hex::encode(signature.to_bytes()), false);
    }

    #[test]
    fn numbers_out_of_range_are_no_signature() {
        let public = key().public_key().unwrap();
        let order = plus_one(&plus_one(&ORDER_MINUS_2));
        let order = [&[0], order.as_slice()].concat();
        for (r, s) in
            [(&[0][..], &[0][..]), (&[1], &[0]), (&[0], &[1]), (&order, &[1]), (&[1], &order)]
        {
            let signature = AsymmetricSignature::from_hex(der(r, s).as_bytes());
            assert!(signature.0.is_none(), "{r:?} {s:?}");
            assert!(!public.verify(&string_to_sign(true), &signature));
        }
    }

    #[test]
    fn a_text_of_another_algorithm_is_not_verified() {
        let public = key().public_key().unwrap();
        let check = |is_asymmetric, expected| {
            let text = string_to_sign(is_asymmetric);
            let signature = hex::encode(sign(&text).to_der().as_bytes());
            let signature = AsymmetricSignature::from_hex(signature.as_bytes());
            assert_eq!(public.verify(&text, &signature), expected);
        };
        check(true, true);
        check(false, false);
    }
}
