//! The first two sectors of a keystore, alike: which one it is, and which key-encryption key is its
//! own. Two, so that one is whole while the other is written.
//!
//! ```text
//!   0  magic      8   "CLAVKEYS"
//!   8  version    4   1, little endian
//!  12  id        16   random, bound into every wrapped key
//!  28  kek        8   ID of the key-encryption key that made it
//!  36  nonce     12
//!  48  check     16   AES-256-GCM's tag over nothing, the bytes before the nonce authenticated
//!  64  zeros    444
//! 508  crc32c     4   of everything before it, little endian
//! ```

use uuid::Uuid;

use super::slot::{field, with_checksum};
use crate::aead::{NONCE_BYTES, Nonce, TAG_BYTES};
use crate::{Error, KekId, KeyEncryptionKey, Keyring};

pub(super) const HEADER_BYTES: usize = 512;
/// How many copies of it stand at the start of the file.
pub(super) const HEADERS: usize = 2;
const MAGIC: [u8; 8] = *b"CLAVKEYS";
const VERSION: u32 = 1;
const CHECKED: usize = HEADER_BYTES - 4;

pub(super) struct Header {
    pub(super) id: Uuid,
    pub(super) kek: KekId,
    nonce: Nonce,
    check: [u8; TAG_BYTES],
}

impl Header {
    /// Of a new keystore.
    pub(super) fn new(keyring: &Keyring) -> Result<Self, Error> {
        let mut id = [0; 16];
        crate::aead::fill(&mut id)?;
        Self::under(keyring.primary(), Uuid::from_bytes(id))
    }

    /// Of a keystore that another key-encryption key becomes the own of.
    pub(super) fn under(kek: &KeyEncryptionKey, id: Uuid) -> Result<Self, Error> {
        let (nonce, check) = kek.key().seal(&[], &start(id, kek.id()))?;
        // A tag is as long as a tag.
        let check = check.try_into().map_err(|_| Error::Malformed)?;
        Ok(Self { id, kek: kek.id(), nonce, check })
    }

    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let start = start(self.id, self.kek);
        with_checksum([&start[..], &self.nonce[..], &self.check[..]])
    }

    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, &'static str> {
        if field::<8>(bytes, 0) != MAGIC {
            return Err("it does not begin as one");
        }
        if crc32c::crc32c(&bytes[..CHECKED]).to_le_bytes() != field(bytes, CHECKED) {
            return Err("its header is damaged");
        }
        if u32::from_le_bytes(field(bytes, 8)) != VERSION {
            return Err("it is of another version");
        }
        Ok(Self {
            id: Uuid::from_bytes(field(bytes, 12)),
            kek: KekId(field(bytes, 28)),
            nonce: field::<NONCE_BYTES>(bytes, 36),
            check: field::<TAG_BYTES>(bytes, 48),
        })
    }

    pub(super) fn opens_with(&self, kek: &KeyEncryptionKey) -> bool {
        kek.key().open(&self.nonce, &self.check, &start(self.id, self.kek)).is_ok()
    }
}

fn start(id: Uuid, kek: KekId) -> Vec<u8> {
    [&MAGIC[..], &VERSION.to_le_bytes(), id.as_bytes(), &kek.0].concat()
}
