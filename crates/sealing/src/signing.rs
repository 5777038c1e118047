//! Signs statements about the log, such as how far it went and what its chain's hash was then.
//!
//! Ed25519 (RFC 8032). Whoever keeps signed checkpoints elsewhere can tell later that the log was
//! changed before them, even by one who has the signing key.

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey as Ed25519, VerifyingKey};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::aead::canonical;
use crate::{Error, Keystore, ReservedKey};

/// The reserved key that signs the log.
const LOG_SIGNING: &str = "claviger/log-signing";

/// The key that signs what is said about the log. Zeroed on drop, never printed.
pub struct SigningKey(Ed25519);

impl SigningKey {
    /// The keystore's own: made when first asked for, the same ever after.
    ///
    /// # Errors
    /// Those of [`Keystore::reserved_key`].
    pub async fn of(keystore: &Keystore) -> Result<Self, Error> {
        Ok(Self::new(&keystore.reserved_key(LOG_SIGNING).await?))
    }

    /// The reserved key is the private key as RFC 8032 has it: it serves nothing else.
    fn new(key: &ReservedKey) -> Self {
        Self(Ed25519::from_bytes(key.expose()))
    }

    /// Signs. The statement says what it is, so that it is taken for nothing else: see
    /// [`SignedCheckpoint::sign`].
    pub fn sign(&self, statement: &[u8]) -> [u8; 64] {
        self.0.sign(statement).to_bytes()
    }

    /// What others verify with.
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Names the key: see [`public_key_id`].
    pub fn key_id(&self) -> String {
        public_key_id(&self.public_key())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, redacted)", self.key_id())
    }
}

/// Names a public key: the first 8 bytes of its SHA-256, in hexadecimal.
pub fn public_key_id(public_key: &[u8; 32]) -> String {
    hex::encode(&Sha256::digest(public_key)[..8])
}

/// Verifies a signature over a statement, strictly: no weak public key, and one signature only for
/// each statement and key.
///
/// # Errors
/// [`Error::Signature`]; retrying is no use.
pub fn verify(public_key: &[u8; 32], statement: &[u8], signature: &[u8; 64]) -> Result<(), Error> {
    let key = VerifyingKey::from_bytes(public_key).map_err(|_| Error::Signature)?;
    let verified = key.verify_strict(statement, &Signature::from_bytes(signature));
    verified.map_err(|_| Error::Signature)
}

/// What a signature says about the log: that it once went up to there, and had this hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SignedCheckpoint {
    /// The log.
    pub log_id: Uuid,
    /// Which of the log's lives: it goes up when the log is put back to an earlier state.
    pub epoch: u64,
    /// The position of the last event.
    pub position: u64,
    /// The chain's hash at this position.
    pub hash: [u8; 32],
    /// When it was signed, in milliseconds since 1970.
    pub time_ms: u64,
    /// The digest of the write model at this position, if one was made.
    pub model_digest: Option<[u8; 32]>,
}

impl SignedCheckpoint {
    /// Signs it.
    pub fn sign(&self, key: &SigningKey) -> [u8; 64] {
        key.sign(&self.statement())
    }

    /// Verifies a signature over it, as [`verify`] does.
    ///
    /// # Errors
    /// [`Error::Signature`] when it is not of this key, or not over exactly this.
    pub fn verify(&self, public_key: &[u8; 32], signature: &[u8; 64]) -> Result<(), Error> {
        verify(public_key, &self.statement(), signature)
    }

    /// The bytes that are signed: what it is, then the fields in their order. Each has its length
    /// before it, and all numbers are little endian, lengths of 64 bits. No model digest is an empty
    /// one.
    pub fn statement(&self) -> Vec<u8> {
        canonical([
            b"claviger/log-checkpoint/1",
            self.log_id.as_bytes(),
            &self.epoch.to_le_bytes(),
            &self.position.to_le_bytes(),
            &self.hash,
            &self.time_ms.to_le_bytes(),
            self.model_digest.as_ref().map_or(&[], |digest| &digest[..]),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aead::Key;
    use crate::{KeyEncryptionKey, Keyring};

    const CHECKPOINT: SignedCheckpoint = SignedCheckpoint {
        log_id: Uuid::from_u128(1),
        epoch: 2,
        position: 3,
        hash: [4; 32],
        time_ms: 5,
        model_digest: Some([6; 32]),
    };

    fn key(seed: &[u8]) -> SigningKey {
        SigningKey::new(&ReservedKey::from_key(Key::from_slice(seed).unwrap()))
    }

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        hex::decode(hex).unwrap().try_into().unwrap()
    }

    /// RFC 8032, section 7.1, tests 1 to 3.
    #[test]
    fn it_signs_as_rfc_8032_does() {
        let vectors = [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac\
                 c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e\
                 458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290\
                 ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ];
        for (seed, public_key, statement, signature) in vectors {
            let key = key(&bytes::<32>(seed));
            let statement = hex::decode(statement).unwrap();
            assert_eq!(key.public_key(), bytes(public_key));
            assert_eq!(key.sign(&statement), bytes(signature));
            verify(&bytes(public_key), &statement, &bytes(signature)).unwrap();
        }
    }

    #[test]
    fn every_field_of_a_checkpoint_is_bound() {
        let key = key(&[7; 32]);
        let signature = CHECKPOINT.sign(&key);
        let others = [
            SignedCheckpoint { log_id: Uuid::from_u128(9), ..CHECKPOINT },
            SignedCheckpoint { epoch: 9, ..CHECKPOINT },
            SignedCheckpoint { position: 9, ..CHECKPOINT },
            SignedCheckpoint { hash: [9; 32], ..CHECKPOINT },
            SignedCheckpoint { time_ms: 9, ..CHECKPOINT },
            SignedCheckpoint { model_digest: Some([9; 32]), ..CHECKPOINT },
            SignedCheckpoint { model_digest: Some([0; 32]), ..CHECKPOINT },
            SignedCheckpoint { model_digest: None, ..CHECKPOINT },
            // what belongs to one field does not count for its neighbour
            SignedCheckpoint { epoch: 3, position: 2, ..CHECKPOINT },
        ];
        for other in &others {
            let verified = other.verify(&key.public_key(), &signature);
            assert!(matches!(verified, Err(Error::Signature)), "{other:?}");
        }
        CHECKPOINT.verify(&key.public_key(), &signature).unwrap();
    }

    /// The form is what others verify: it does not change without another domain.
    #[test]
    fn a_checkpoint_is_signed_in_this_form() {
        let number = |number: u64| number.to_le_bytes().to_vec();
        let expected = [
            number(25),
            b"claviger/log-checkpoint/1".to_vec(),
            number(16),
            Uuid::from_u128(1).as_bytes().to_vec(),
            number(8),
            number(2),
            number(8),
            number(3),
            number(32),
            vec![4; 32],
            number(8),
            number(5),
            number(0),
        ];
        let without = SignedCheckpoint { model_digest: None, ..CHECKPOINT };
        assert_eq!(without.statement(), expected.concat());
    }

    #[test]
    fn a_changed_signature_and_another_key_are_refused() {
        let (one, two) = (key(&[7; 32]), key(&[8; 32]));
        let signature = one.sign(b"statement");
        let refused = |key: &SigningKey, statement: &[u8], signature: &[u8; 64]| {
            matches!(verify(&key.public_key(), statement, signature), Err(Error::Signature))
        };
        assert!(refused(&two, b"statement", &signature));
        assert!(refused(&one, b"Statement", &signature));
        for at in 0..64 {
            let mut changed = signature;
            changed[at] ^= 1;
            assert!(refused(&one, b"statement", &changed), "byte {at}");
        }
    }

    /// With a public key of small order, one signature fits any statement.
    #[test]
    fn a_weak_public_key_is_refused() {
        let mut point = [0; 32];
        point[0] = 1; // the neutral element
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&point);
        assert!(matches!(verify(&point, b"anything", &signature), Err(Error::Signature)));
        assert!(matches!(verify(&[0xff; 32], b"anything", &signature), Err(Error::Signature)));
    }

    #[test]
    fn a_key_is_named_by_its_public_half_and_not_printed() {
        let key = key(&[7; 32]);
        let id = hex::encode(&Sha256::digest(key.public_key())[..8]);
        assert_eq!((key.key_id(), id.len()), (id.clone(), 16));
        assert_eq!(format!("{key:?}"), format!("SigningKey({id}, redacted)"));
    }

    #[tokio::test]
    async fn a_keystore_has_one_signing_key_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keystore");
        let kek = KeyEncryptionKey::generate().unwrap().expose_hex();
        let open = || async {
            let kek = KeyEncryptionKey::from_text("test", &kek).unwrap();
            Keystore::open(&path, Keyring::new(kek)).await.unwrap()
        };
        let made = SigningKey::of(&open().await).await.unwrap();
        let again = SigningKey::of(&open().await).await.unwrap();
        assert_eq!(made.public_key(), again.public_key());
        let signature = made.sign(b"statement");
        verify(&again.public_key(), b"statement", &signature).unwrap();
    }
}
