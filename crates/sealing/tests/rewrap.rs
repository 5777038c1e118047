//! A large keystore comes under another key-encryption key while it is used, or killed.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::{env, process, thread};

use sealing::{Context, KeyEncryptionKey, Keyring, Keystore};
use tokio::task::JoinSet;
use uuid::Uuid;

const KEYS: usize = 10_000;
const WORKERS: usize = 16;
/// How many keys must have been made, and how many shredded, meanwhile: some by each worker.
const CHANGES_MEANWHILE_MIN: usize = 4 * WORKERS;

const PATH: &str = "SEALING_REWRAP_PATH";
const KEKS: &str = "SEALING_REWRAP_KEKS";
/// How a process ends that aborts: at once, as by SIGKILL; nothing is closed or written on the way.
const SIGABRT: i32 = 6;
const REMAINING_MAX: &str = "SEALING_REWRAP_REMAINING_MAX";
/// How often a process must have been killed half way, and in how many tries.
const INTERRUPTED_MIN: usize = 4;
const ROUNDS_MAX: usize = 40;
const KEYS_IN_ROUNDS: usize = 2_000;

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

fn context(access_key_id: &str) -> Context<'_> {
    let (log_id, account) = (Uuid::from_u128(1), Uuid::from_u128(2));
    Context { log_id, account, access_key_id, generation: 1 }
}

#[tokio::test]
async fn a_process_killed_while_it_rewraps_loses_no_data_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keystore");
    let [one, two] = [(); 2].map(|()| KeyEncryptionKey::generate().unwrap().expose_hex());
    let keystore = Arc::new(open(&path, &[&one]).await);
    let mut makers = JoinSet::new();
    for n in 0..KEYS_IN_ROUNDS {
        let keystore = Arc::clone(&keystore);
        makers.spawn(async move {
            let id = format!("KEY{n}");
            let key = keystore.create(&id).await.unwrap();
            let sealed = key.seal(b"secret", &context(&id)).unwrap();
            (id, sealed)
        });
    }
    let sealed = makers.join_all().await;
    drop(keystore);

    let mut interrupted = 0;
    for round in 0..ROUNDS_MAX {
        let status = Command::new(env::current_exe().unwrap())
            .args(["--exact", "rewraps_until_killed", "--ignored"])
            .env(PATH, &path)
            .env(KEKS, format!("{} {}", *one, *two))
            .env(REMAINING_MAX, format!("{}", KEYS_IN_ROUNDS - 400 * (round % 5)))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.signal(), Some(SIGABRT));
        let keystore = open(&path, &[&two, &one]).await;
        assert_eq!((keystore.ids().count(), keystore.damaged()), (KEYS_IN_ROUNDS, 0));
        for (id, sealed) in &sealed {
            let opened = keystore.get(id).unwrap().open(sealed, &context(id)).unwrap();
            assert_eq!(opened.expose(), b"secret");
        }
        let remaining = keystore.remaining();
        interrupted += usize::from((1..=KEYS_IN_ROUNDS).contains(&remaining));
        if interrupted == INTERRUPTED_MIN {
            return;
        }
    }
    panic!("only {interrupted} were killed half way");
}

/// Rewraps to and fro, and kills itself as soon as it sees so little remaining that it is half way.
/// Being this late or that late, it dies at any point of what follows.
#[tokio::test]
#[ignore = "the half that is killed; run by the test above"]
async fn rewraps_until_killed() {
    let path = env::var_os(PATH).unwrap();
    let keks = env::var(KEKS).unwrap();
    let remaining_max: usize = env::var(REMAINING_MAX).unwrap().parse().unwrap();
    let (mut new, mut old) = keks.split_once(' ').unwrap();
    loop {
        let keystore = Arc::new(open(Path::new(&path), &[new, old]).await);
        let watched = Arc::downgrade(&keystore);
        let watcher = thread::spawn(move || {
            while let Some(keystore) = watched.upgrade() {
                if (1..=remaining_max).contains(&keystore.remaining()) {
                    process::abort();
                }
                drop(keystore);
                thread::yield_now();
            }
        });
        keystore.rewrap().await.unwrap();
        drop(keystore);
        watcher.join().unwrap();
        (new, old) = (old, new);
    }
}
