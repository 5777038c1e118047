//! Keeps secrets that must be readable again, and can make them unreadable for ever.
//!
//! Each access key has a [`DataKey`] of its own, which seals its secrets before they become events.
//! Data keys stand in the [`Keystore`], a file outside the log, wrapped by a [`KeyEncryptionKey`] that
//! is in neither. To shred an access key's secrets is to overwrite its data key: a backup of the log
//! alone never gives them back.
//!
//! The keystore also holds [`ReservedKey`]s, which belong to no access key and are never shredded;
//! one of them is the [`SigningKey`] that signs what is said about the log.
//!
//! Everything is AES-256-GCM with random 96-bit nonces (NIST SP 800-38D). What is secret is zeroed on
//! drop, prints as `(redacted)`, and is read by one method, such as [`Secret::expose`].

mod aead;
mod data_key;
mod error;
mod kek;
mod keystore;
mod reserved;
mod secret;
mod signing;

pub use data_key::{Context, DataKey};
pub use error::Error;
pub use kek::{KekId, KekIds, KeyEncryptionKey, Keyring};
pub use keystore::{ACCESS_KEY_ID_BYTES_MAX, Backup, Keystore};
pub use reserved::ReservedKey;
pub use secret::Secret;
pub use signing::{SignedCheckpoint, SigningKey, public_key_id, verify};
