//! The key of one access key, and what it seals.

use std::fmt;

use uuid::Uuid;

use crate::aead::{Key, NONCE_BYTES, Nonce, canonical};
use crate::{Error, Secret};

const VERSION: u8 = 1;

/// What a sealed secret belongs to. It opens only where it belongs: all of this is authenticated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Context<'a> {
    /// The log that it stands in.
    pub log_id: Uuid,
    /// The account that the access key belongs to.
    pub account: Uuid,
    /// The access key.
    pub access_key_id: &'a str,
    /// Which of the access key's secrets.
    pub generation: u32,
}

impl Context<'_> {
    fn canonical(&self) -> Vec<u8> {
        canonical([
            b"claviger/secret/1",
            self.log_id.as_bytes(),
            self.account.as_bytes(),
            self.access_key_id.as_bytes(),
            &self.generation.to_le_bytes(),
        ])
    }
}

/// The key of one access key: 32 random bytes that seal its secrets, all generations of it.
///
/// A nonce is random, so one data key may seal about four thousand million secrets; an access key has
/// a handful.
pub struct DataKey(Key);

impl DataKey {
    pub(crate) fn random() -> Result<Self, Error> {
        Key::random().map(Self)
    }

    pub(crate) fn from_key(key: Key) -> Self {
        Self(key)
    }

    pub(crate) fn key(&self) -> &Key {
        &self.0
    }

    pub(crate) fn into_key(self) -> Key {
        self.0
    }

    /// Seals a secret for one context: a version byte, the nonce, ciphertext and tag, in all 29 bytes
    /// more than the secret.
    ///
    /// # Errors
    /// [`Error::Random`]; retrying is safe.
    pub fn seal(&self, secret: &[u8], context: &Context<'_>) -> Result<Vec<u8>, Error> {
        let (nonce, ciphertext) = self.0.seal(secret, &context.canonical())?;
        let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + ciphertext.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }

    /// Opens what [`Self::seal`] made, in the same context.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is nothing of the kind; [`Error::Opening`] when it was sealed with
    /// another data key or for another context, or was changed.
    pub fn open(&self, sealed: &[u8], context: &Context<'_>) -> Result<Secret, Error> {
        let (&version, rest) = sealed.split_first().ok_or(Error::Malformed)?;
        let (nonce, ciphertext) =
            rest.split_first_chunk::<NONCE_BYTES>().ok_or(Error::Malformed)?;
        if version != VERSION {
            return Err(Error::Malformed);
        }
        let nonce: &Nonce = nonce;
        self.0.open(nonce, ciphertext, &context.canonical())
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONTEXT: Context<'static> = Context {
        log_id: Uuid::from_u128(1),
        account: Uuid::from_u128(2),
        access_key_id: "AKIAIOSFODNN7EXAMPLE",
        generation: 3,
    };

    #[test]
    fn every_field_of_the_context_is_bound() {
        let key = DataKey::random().unwrap();
        let sealed = key.seal(b"secret", &CONTEXT).unwrap();
        let others = [
            Context { log_id: Uuid::from_u128(9), ..CONTEXT },
            Context { account: Uuid::from_u128(9), ..CONTEXT },
            Context { access_key_id: "AKIAIOSFODNN7EXAMPLF", ..CONTEXT },
            Context { generation: 4, ..CONTEXT },
            // what belongs to one field does not count for its neighbour
            Context { log_id: CONTEXT.account, account: CONTEXT.log_id, ..CONTEXT },
        ];
        for other in &others {
            assert!(matches!(key.open(&sealed, other), Err(Error::Opening)), "{other:?}");
        }
        assert_eq!(key.open(&sealed, &CONTEXT).unwrap().expose(), b"secret");
    }

    #[test]
    fn another_data_key_does_not_open_it() {
        let sealed = DataKey::random().unwrap().seal(b"secret", &CONTEXT).unwrap();
        let opened = DataKey::random().unwrap().open(&sealed, &CONTEXT);
        assert!(matches!(opened, Err(Error::Opening)));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let key = DataKey::from_key(Key::from_slice(&[0xab; 32]).unwrap());
        let sealed = key.seal(b"hush", &CONTEXT).unwrap();
        let opened = key.open(&sealed, &CONTEXT).unwrap();
        assert_eq!(format!("{key:?} {opened:?}"), "DataKey(redacted) Secret(redacted)");
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_is_never_the_same(
            secret in proptest::collection::vec(any::<u8>(), 0..200),
            access_key_id in "[A-Z0-9]{16,128}",
            generation: u32,
        ) {
            let key = DataKey::random().unwrap();
            let context = Context { access_key_id: &access_key_id, generation, ..CONTEXT };
            let (one, two) = (key.seal(&secret, &context).unwrap(), key.seal(&secret, &context).unwrap());
            prop_assert_ne!(&one, &two);
            prop_assert_eq!(one.len(), secret.len() + 29);
            let opened = key.open(&one, &context).unwrap();
            prop_assert_eq!(opened.expose(), &secret[..]);
        }

        #[test]
        fn a_changed_byte_is_noticed(at in 0_usize..35, by in 1_u8..) {
            let key = DataKey::random().unwrap();
            let mut sealed = key.seal(b"secret", &CONTEXT).unwrap();
            sealed[at] ^= by;
            prop_assert!(key.open(&sealed, &CONTEXT).is_err());
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            prop_assert!(DataKey::random().unwrap().open(&bytes, &CONTEXT).is_err());
        }
    }
}
