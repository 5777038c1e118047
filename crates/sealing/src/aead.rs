//! AES-256-GCM over one key: the only file that knows the cipher.

use aes_gcm::aead::{AeadInOut, Buffer, KeyInit};
use aes_gcm::{Aes256Gcm, Error as AeadError};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Error, Secret};

pub(crate) const NONCE_BYTES: usize = 12;
pub(crate) const TAG_BYTES: usize = 16;
pub(crate) const KEY_BYTES: usize = 32;

pub(crate) type Nonce = [u8; NONCE_BYTES];

/// 32 secret bytes. `expose` is for this file and for wrapping.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Key([u8; KEY_BYTES]);

impl Key {
    pub(crate) fn random() -> Result<Self, Error> {
        let mut key = Self([0; KEY_BYTES]);
        fill(&mut key.0)?;
        Ok(key)
    }

    /// Copies a key out of bytes that the caller zeroes.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Self([0; KEY_BYTES]);
        if bytes.len() != KEY_BYTES {
            return None;
        }
        key.0.copy_from_slice(bytes);
        Some(key)
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The first 8 bytes of a hash of the key under a purpose: names it without telling it.
    pub(crate) fn fingerprint(&self, purpose: &str) -> [u8; 8] {
        let hash = Sha256::new().chain_update(purpose).chain_update([0]);
        let mut hash: [u8; 32] = hash.chain_update(self.0).finalize().into();
        let mut id = [0; 8];
        id.copy_from_slice(&hash[..8]);
        hash.zeroize();
        id
    }

    /// Seals under a fresh random nonce: gives the nonce, and ciphertext and tag.
    pub(crate) fn seal(&self, plaintext: &[u8], aad: &[u8]) -> Result<(Nonce, Vec<u8>), Error> {
        let mut nonce = Nonce::default();
        fill(&mut nonce)?;
        // Never grows, so no plaintext is left behind in a smaller buffer.
        let mut buffer = Vec::with_capacity(plaintext.len() + TAG_BYTES);
        buffer.extend_from_slice(plaintext);
        let sealed = self.cipher().encrypt_in_place(&nonce.into(), aad, &mut buffer);
        // Refused only above 64 GiB.
        sealed.map_err(|AeadError { .. }| Error::Malformed)?;
        Ok((nonce, buffer))
    }

    pub(crate) fn open(&self, nonce: &Nonce, sealed: &[u8], aad: &[u8]) -> Result<Secret, Error> {
        let mut buffer = Zeroizing::new(sealed.to_vec());
        let opened =
            self.cipher().decrypt_in_place(&(*nonce).into(), aad, &mut Opening(&mut buffer));
        opened.map_err(|AeadError { .. }| Error::Opening)?;
        Ok(Secret::new(buffer.as_slice().to_vec()))
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&self.0.into())
    }
}

/// Lets the cipher work in a vector that is zeroed afterwards.
struct Opening<'a>(&'a mut Vec<u8>);

impl AsRef<[u8]> for Opening<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

impl AsMut<[u8]> for Opening<'_> {
    fn as_mut(&mut self) -> &mut [u8] {
        self.0
    }
}

impl Buffer for Opening<'_> {
    fn extend_from_slice(&mut self, _: &[u8]) -> aes_gcm::aead::Result<()> {
        Err(AeadError) // opening only ever shortens
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

/// Fills with random bytes of the operating system.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|error| Error::Random(error.to_string().into()))
}

/// Writes associated data that no other sequence of fields writes: each with its length before it.
pub(crate) fn canonical<const N: usize>(fields: [&[u8]; N]) -> Vec<u8> {
    let mut aad = Vec::with_capacity(fields.iter().map(|field| field.len() + 8).sum());
    for field in fields {
        aad.extend_from_slice(&(field.len() as u64).to_le_bytes());
        aad.extend_from_slice(field);
    }
    aad
}
