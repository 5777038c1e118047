//! One data key in the file.
//!
//! ```text
//!   0  state      1   0 free (then all is zero), 1 used, 2 the end of an image (see `backup.rs`)
//!   1  length     1   of the ID, 1 to 128
//!   2  kek        8   ID of the key-encryption key that it is wrapped with
//!  10  nonce     12
//!  22  wrapped   48   the data key, AES-256-GCM; keystore's and access key's ID authenticated
//!  70  id       128   access key ID, or name of a reserved key, then zeros
//! 198  zeros     54
//! 252  crc32c     4   of everything before it, little endian
//! ```

use uuid::Uuid;

use super::ACCESS_KEY_ID_BYTES_MAX;
use super::index::Name;
use crate::aead::{KEY_BYTES, Key, NONCE_BYTES, Nonce, TAG_BYTES, canonical};
use crate::{DataKey, Error, KekId, KeyEncryptionKey, Keyring};

pub(super) const SLOT_BYTES: usize = 256;
const USED: u8 = 1;
const END: u8 = 2;
const ID_AT: usize = 70;
const CHECKED: usize = SLOT_BYTES - 4;

/// A data key that only its key-encryption key opens.
#[derive(Clone)]
pub(super) struct Wrapped {
    kek: KekId,
    nonce: Nonce,
    ciphertext: [u8; KEY_BYTES + TAG_BYTES],
}

/// What 256 bytes of the file are.
pub(super) enum Slot {
    Free,
    Used { id: Name, wrapped: Wrapped },
    End(Check),
    Damaged,
}

/// Shows that one who has a key-encryption key has seen what is authenticated.
pub(super) struct Check {
    kek: KekId,
    nonce: Nonce,
    tag: [u8; TAG_BYTES],
}

impl Wrapped {
    pub(super) fn wrap(
        data_key: &DataKey,
        kek: &KeyEncryptionKey,
        store: Uuid,
        id: &str,
    ) -> Result<Self, Error> {
        let (nonce, ciphertext) = kek.key().seal(data_key.key().expose(), &aad(store, id))?;
        // A key and a tag are as long as a key and a tag.
        let ciphertext = ciphertext.try_into().map_err(|_| Error::Malformed)?;
        Ok(Self { kek: kek.id(), nonce, ciphertext })
    }

    pub(super) fn unwrap(
        &self,
        keyring: &Keyring,
        store: Uuid,
        id: &str,
    ) -> Result<DataKey, Error> {
        let kek = keyring.get(self.kek)?;
        let key = kek.key().open(&self.nonce, &self.ciphertext, &aad(store, id))?;
        Key::from_slice(key.expose()).map(DataKey::from_key).ok_or(Error::Malformed)
    }

    /// The key-encryption key that opens it.
    pub(super) fn kek(&self) -> KekId {
        self.kek
    }

    /// The slot that holds it. `id` has at most 128 bytes.
    pub(super) fn encode(&self, id: &str) -> [u8; SLOT_BYTES] {
        let length = u8::try_from(id.len()).unwrap_or(u8::MAX);
        let start = [USED, length];
        let id = id.as_bytes();
        with_checksum([&start, &self.kek.0, &self.nonce, &self.ciphertext, id])
    }
}

impl Check {
    pub(super) fn of_nothing(kek: &KeyEncryptionKey, aad: &[u8]) -> Result<Self, Error> {
        let (nonce, tag) = kek.key().seal(&[], aad)?;
        // A tag is as long as a tag.
        let tag = tag.try_into().map_err(|_| Error::Malformed)?;
        Ok(Self { kek: kek.id(), nonce, tag })
    }

    pub(super) fn is_of_nothing(&self, keyring: &Keyring, aad: &[u8]) -> Result<bool, Error> {
        let kek = keyring.get(self.kek)?;
        Ok(kek.key().open(&self.nonce, &self.tag, aad).is_ok())
    }

    /// The slot that ends an image.
    pub(super) fn encode_end(&self) -> [u8; SLOT_BYTES] {
        with_checksum([&[END, 0], &self.kek.0, &self.nonce, &self.tag])
    }
}

impl Slot {
    pub(super) fn decode(bytes: &[u8; SLOT_BYTES]) -> Self {
        if bytes.iter().all(|&byte| byte == 0) {
            return Self::Free;
        }
        if crc32c::crc32c(&bytes[..CHECKED]).to_le_bytes() != field(bytes, CHECKED) {
            return Self::Damaged;
        }
        let (kek, nonce) = (KekId(field(bytes, 2)), field::<NONCE_BYTES>(bytes, 10));
        let length = usize::from(bytes[1]);
        match bytes[0] {
            USED if (1..=ACCESS_KEY_ID_BYTES_MAX).contains(&length) => {}
            END => return Self::End(Check { kek, nonce, tag: field(bytes, 22) }),
            _ => return Self::Damaged,
        }
        let Ok(id) = std::str::from_utf8(&bytes[ID_AT..ID_AT + length]) else {
            return Self::Damaged;
        };
        let wrapped = Wrapped { kek, nonce, ciphertext: field(bytes, 22) };
        Self::Used { id: id.into(), wrapped }
    }
}

fn aad(store: Uuid, id: &str) -> Vec<u8> {
    canonical([b"claviger/data-key/1", store.as_bytes(), id.as_bytes()])
}

/// Copies `N` bytes out; what is called for lies within by the layouts above.
pub(super) fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

/// Writes fields one after the other, zeros, and a checksum at the end.
pub(super) fn with_checksum<const N: usize, const FIELDS: usize>(
    fields: [&[u8]; FIELDS],
) -> [u8; N] {
    let mut bytes = [0; N];
    let mut at = 0;
    for field in fields {
        bytes[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    }
    let checksum = crc32c::crc32c(&bytes[..N - 4]);
    bytes[N - 4..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}
