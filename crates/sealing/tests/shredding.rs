//! What is shredded stays unreadable, for one who has everything else; and what does not follow.

use std::fs;
use std::path::PathBuf;

use sealing::{Context, Error, KeyEncryptionKey, Keyring, Keystore};
use uuid::Uuid;

const CONTEXT: Context<'static> = Context {
    log_id: Uuid::from_u128(1),
    account: Uuid::from_u128(2),
    access_key_id: "AKIAIOSFODNN7EXAMPLE",
    generation: 1,
};
const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// No part of a wrapped key as long as this is anywhere by chance.
const PART_BYTES: usize = 6;

/// A keystore, and what the log holds of one secret.
struct Given {
    dir: tempfile::TempDir,
    kek: KeyEncryptionKey,
    keystore: Keystore,
    sealed: Vec<u8>,
}

impl Given {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let kek = KeyEncryptionKey::generate().unwrap();
        let ring = ring(&kek);
        let keystore = Keystore::open(dir.path().join("keystore"), ring).await.unwrap();
        keystore.create("AKIABEFORE").await.unwrap();
        let data_key = keystore.create(CONTEXT.access_key_id).await.unwrap();
        keystore.create("AKIAAFTER").await.unwrap();
        let sealed = data_key.seal(SECRET, &CONTEXT).unwrap();
        Self { dir, kek, keystore, sealed }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn backup(&self) -> Vec<u8> {
        let mut image = Vec::new();
        self.keystore.backup(&mut image).unwrap();
        image
    }

    async fn restore(&self, image: &[u8]) -> Keystore {
        let path = self.path("restored");
        Keystore::restore(image, &path, &ring(&self.kek)).unwrap();
        Keystore::open(path, ring(&self.kek)).await.unwrap()
    }

    /// Whether some data key of a keystore opens the secret, also one of another access key.
    fn opens(&self, keystore: &Keystore) -> bool {
        let keys = keystore.ids().filter_map(|id| keystore.get(&id));
        let opened = keys.map(|key| key.open(&self.sealed, &CONTEXT));
        let opened: Vec<_> = opened.filter_map(Result::ok).collect();
        assert!(opened.iter().all(|secret| secret.expose() == SECRET));
        !opened.is_empty()
    }
}

fn ring(kek: &KeyEncryptionKey) -> Keyring {
    Keyring::new(KeyEncryptionKey::from_text("test", &kek.expose_hex()).unwrap())
}

/// The wrapped data key as it stands in a file: nonce, ciphertext and tag; and the access key's ID.
fn wrapped(file: &[u8]) -> Vec<u8> {
    let id = CONTEXT.access_key_id.as_bytes();
    let at = file.windows(id.len()).position(|window| window == id).unwrap();
    file[at - 60..at + id.len()].to_vec()
}

fn has_part(bytes: &[u8], of: &[u8]) -> bool {
    let mut parts = of.windows(PART_BYTES);
    parts.any(|part| bytes.windows(PART_BYTES).any(|window| window == part))
}

#[tokio::test]
async fn the_log_a_later_backup_and_the_key_encryption_key_do_not_give_a_shredded_secret() {
    let given = Given::new().await;
    assert!(given.opens(&given.keystore));
    let wrapped = wrapped(&fs::read(given.path("keystore")).unwrap());
    assert!(has_part(&given.backup(), &wrapped));

    assert!(given.keystore.shred(CONTEXT.access_key_id).await.unwrap());
    assert!(!given.opens(&given.keystore));
    let live = fs::read(given.path("keystore")).unwrap();
    assert!(!has_part(&live, &wrapped), "no part of it is left in the file");

    let image = given.backup();
    assert!(!has_part(&image, &wrapped));
    let restored = given.restore(&image).await;
    assert_eq!(restored.ids().count(), 2);
    assert!(restored.get(CONTEXT.access_key_id).is_none());
    assert!(!given.opens(&restored));

    // A data key made anew under the same name is another.
    let again = restored.create(CONTEXT.access_key_id).await.unwrap();
    assert!(matches!(again.open(&given.sealed, &CONTEXT), Err(Error::Opening)));
}

#[tokio::test]
async fn no_trace_is_left_by_rewrapping_before_the_shredding() {
    let given = Given::new().await;
    let before = wrapped(&fs::read(given.path("keystore")).unwrap());
    let new = KeyEncryptionKey::generate().unwrap();
    let Given { dir, kek, keystore, .. } = given;
    drop(keystore);
    let both = ring(&new).with(kek).unwrap();
    let keystore = Keystore::open(dir.path().join("keystore"), both).await.unwrap();
    keystore.rewrap().await.unwrap();
    let after = wrapped(&fs::read(dir.path().join("keystore")).unwrap());
    let id_at = before.len() - CONTEXT.access_key_id.len();
    assert!(!has_part(&after[..id_at], &before[..id_at]), "wrapped anew");

    keystore.shred(CONTEXT.access_key_id).await.unwrap();
    let live = fs::read(dir.path().join("keystore")).unwrap();
    assert!(!has_part(&live, &before) && !has_part(&live, &after));
}

/// Why a backup of the keystore is kept for a short time only, and why what was shredded since is
/// shredded again when one is put back.
#[tokio::test]
async fn a_backup_from_before_the_shredding_opens_the_secret_until_it_is_shredded_there_too() {
    let given = Given::new().await;
    let image = given.backup();
    given.keystore.shred(CONTEXT.access_key_id).await.unwrap();
    assert!(!given.opens(&given.keystore));

    let restored = given.restore(&image).await;
    assert!(given.opens(&restored), "the backup has what the keystore has not");
    assert!(restored.shred(CONTEXT.access_key_id).await.unwrap());
    assert!(!given.opens(&restored));
    let file = fs::read(given.path("restored")).unwrap();
    assert!(!has_part(&file, &wrapped(&image)));
}

/// Without the key-encryption key neither log nor backup gives anything: destroying it, after the
/// others were rewrapped, is what ends backups that were kept too long.
#[tokio::test]
async fn without_its_key_encryption_key_no_backup_opens() {
    let given = Given::new().await;
    let image = given.backup();
    let other = KeyEncryptionKey::generate().unwrap();
    let restored = Keystore::restore(&image[..], given.path("restored"), &ring(&other));
    assert!(matches!(restored, Err(Error::NoSuchKek { needed, .. }) if needed == given.kek.id()));
}
