//! A large keystore comes under another key-encryption key while it is used.

use std::path::Path;
use std::sync::Arc;

use sealing::{KeyEncryptionKey, Keyring, Keystore};
use tokio::task::JoinSet;

const KEYS: usize = 10_000;
const WORKERS: usize = 16;
/// How many keys must have been made, and how many shredded, meanwhile: some by each worker.
const CHANGES_MEANWHILE_MIN: usize = 4 * WORKERS;

async fn open(path: &Path, keys: &[&str]) -> Keystore {
    let keys = keys.iter().map(|key| KeyEncryptionKey::from_text("test", key).unwrap());
    let ring = keys.fold(None, |ring, key| match ring {
        None => Some(Keyring::new(key)),
        Some(ring) => Some(Keyring::with(ring, key).unwrap()),
    });
    Keystore::open(path, ring.unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_made_and_shredded_while_ten_thousand_are_rewrapped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keystore");
    let [old, new] = [(); 2].map(|()| KeyEncryptionKey::generate().unwrap().expose_hex());

    let keystore = Arc::new(open(&path, &[&old]).await);
    let mut makers = JoinSet::new();
    for n in 0..KEYS {
        let keystore = Arc::clone(&keystore);
        makers.spawn(async move { keystore.create(&format!("OLD{n}")).await.map(drop) });
    }
    assert!(makers.join_all().await.into_iter().all(|made| made.is_ok()));
    drop(keystore);

    let keystore = Arc::new(open(&path, &[&new, &old]).await);
    assert_eq!(keystore.remaining(), KEYS + 1);
    let rewrapping = {
        let keystore = Arc::clone(&keystore);
        tokio::spawn(async move { keystore.rewrap().await.unwrap() })
    };
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let keystore = Arc::clone(&keystore);
        workers.spawn(async move {
            // From the end: many of these have not had their turn.
            let mut old = (0..KEYS).rev().skip(worker).step_by(WORKERS);
            let mut changes = 0;
            while keystore.remaining() > 0 {
                keystore.create(&format!("NEW{worker}N{changes}")).await.unwrap();
                assert!(keystore.get("OLD0").is_some(), "there at any time");
                let old = format!("OLD{}", old.next().unwrap());
                assert!(keystore.shred(&old).await.unwrap());
                changes += 1;
            }
            changes
        });
    }
    let changes: usize = workers.join_all().await.into_iter().sum();
    assert!(changes >= CHANGES_MEANWHILE_MIN, "{changes}");
    let rewrapped = rewrapping.await.unwrap();
    assert!((KEYS - changes..=KEYS).contains(&rewrapped), "{rewrapped} {changes}");
    drop(keystore);

    let keystore = open(&path, &[&new]).await;
    assert_eq!((keystore.ids().count(), keystore.damaged()), (KEYS, 0));
    assert_eq!(keystore.remaining(), 0);
}
