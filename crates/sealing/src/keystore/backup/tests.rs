use std::collections::BTreeSet;
use std::path::PathBuf;

use proptest::prelude::*;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::super::tests::{START, Store, same, same_key};
use super::*;
use crate::DataKey;

/// More than are looked up at a time, and more than are written at a time.
const KEYS: usize = 100;

struct Given {
    store: Store,
    keystore: Arc<Keystore>,
    keys: Vec<(String, DataKey)>,
    reserved: [u8; 32],
}

impl Given {
    async fn new() -> Self {
        let store = Store::new();
        let keystore = Arc::new(store.open().await);
        let reserved = *keystore.reserved_key("claviger/one").await.unwrap().expose();
        let mut keys = Vec::new();
        for n in 0..KEYS {
            let id = format!("KEY{n:03}");
            keys.push((id.clone(), keystore.create(&id).await.unwrap()));
        }
        Self { store, keystore, keys, reserved }
    }

    fn ring(&self) -> Keyring {
        Keyring::new(same(&self.store.kek))
    }

    fn image(&self) -> Vec<u8> {
        let mut image = Vec::new();
        self.keystore.backup(&mut image).unwrap();
        image
    }

    fn elsewhere(&self) -> PathBuf {
        self.store.path.with_file_name("elsewhere")
    }

    async fn check_same(&self, keystore: &Keystore) {
        assert_eq!((keystore.ids().count(), keystore.damaged()), (KEYS, 0));
        for (id, key) in &self.keys {
            assert!(same_key(key, &keystore.get(id).unwrap()), "{id}");
        }
        let reserved = keystore.reserved_key("claviger/one").await.unwrap();
        assert_eq!(*reserved.expose(), self.reserved);
        assert_eq!(keystore.shared.id, self.keystore.shared.id);
    }
}

/// Takes a backup and does something when some of it has been written.
async fn backup_while(
    keystore: &Arc<Keystore>,
    change: impl AsyncFnOnce(&Keystore),
) -> (Vec<u8>, Backup) {
    struct Sink<F>(Vec<u8>, Option<F>);

    impl<F: FnOnce()> Write for Sink<F> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.extend_from_slice(bytes);
            if let Some(change) = self.1.take() {
                change();
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    tokio::task::block_in_place(|| {
        let change = || Handle::current().block_on(change(keystore));
        let mut sink = Sink(Vec::new(), Some(change));
        let backup = keystore.backup(&mut sink).unwrap();
        (sink.0, backup)
    })
}

#[tokio::test]
async fn a_restored_image_has_all_keys_and_nothing_else() {
    let given = Given::new().await;
    // Neither free slots nor damaged ones are in it.
    given.keystore.create("GONE").await.unwrap();
    given.keystore.shred("GONE").await.unwrap();
    let mut image = Vec::new();
    let backup = given.keystore.backup(&mut image).unwrap();
    assert_eq!(backup, Backup { keys: KEYS as u64 + 1, shredded_meanwhile: 0 });
    assert_eq!(image.len(), START + (KEYS + 2) * SLOT_BYTES);

    let path = given.elsewhere();
    assert_eq!(Keystore::restore(&image[..], &path, &given.ring()).unwrap(), backup.keys);
    assert_eq!(fs::read(&path).unwrap(), image[..image.len() - SLOT_BYTES]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let restored = Keystore::open(&path, given.ring()).await.unwrap();
    given.check_same(&restored).await;
    assert_eq!(restored.remaining(), 0);
    restored.create("MORE").await.unwrap();
    assert!(!beside(&path, ".restored").exists());
}

#[tokio::test]
async fn an_image_that_was_copied_into_place_serves_too() {
    let given = Given::new().await;
    let path = given.elsewhere();
    fs::write(&path, given.image()).unwrap();
    let copied = Keystore::open(&path, given.ring()).await.unwrap();
    given.check_same(&copied).await;
    copied.create("MORE").await.unwrap();
    drop(copied);
    let copied = Keystore::open(&path, given.ring()).await.unwrap();
    assert_eq!((copied.ids().count(), copied.damaged()), (KEYS + 1, 0));
}

#[tokio::test]
async fn an_image_opens_with_its_key_encryption_key_only() {
    let given = Given::new().await;
    let image = given.image();
    let (path, wrong) = (given.elsewhere(), KeyEncryptionKey::generate().unwrap());
    let error = Keystore::restore(&image[..], &path, &Keyring::new(same(&wrong))).unwrap_err();
    let needed = given.store.kek.id();
    assert!(matches!(error, Error::NoSuchKek { needed: id, .. } if id == needed), "{error}");
    assert!(!path.exists() && !beside(&path, ".restored").exists());

    fs::write(&path, &image).unwrap();
    let opened = Keystore::open(&path, Keyring::new(wrong)).await;
    assert!(matches!(opened, Err(Error::NoSuchKek { .. })));
    for secret in [given.store.kek.key().expose(), &given.reserved] {
        assert!(!image.windows(secret.len()).any(|window| window == secret));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_made_and_shredded_while_an_image_is_taken() {
    let given = Given::new().await;
    given.keystore.shred("KEY050").await.unwrap();
    let (image, backup) = backup_while(&given.keystore, async |keystore| {
        for id in ["KEY000", "KEY099"] {
            assert!(keystore.shred(id).await.unwrap());
        }
        for id in ["AFTER", "Z-AFTER"] {
            keystore.create(id).await.unwrap();
        }
    })
    .await;
    assert_eq!(backup.shredded_meanwhile, 2, "the image is to be taken again");

    let path = given.elsewhere();
    Keystore::restore(&image[..], &path, &given.ring()).unwrap();
    let restored = Keystore::open(&path, given.ring()).await.unwrap();
    let ids: BTreeSet<_> = restored.ids().map(String::from).collect();
    let expected = given.keys.iter().map(|(id, _)| id.clone());
    // What had its turn before the change is as it was before.
    let expected = expected.filter(|id| !["KEY050", "KEY099"].contains(&&**id));
    assert_eq!(ids, expected.chain(["Z-AFTER".into()]).collect());

    let (image, backup) = backup_while(&given.keystore, async |_| {}).await;
    assert_eq!(backup.shredded_meanwhile, 0);
    for id in ["KEY000", "KEY050", "KEY099"] {
        assert!(!image.windows(id.len()).any(|window| window == id.as_bytes()), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_taken_while_keys_are_rewrapped_has_them_all() {
    let Given { store, keystore, keys, reserved } = Given::new().await;
    drop(keystore);
    let new = KeyEncryptionKey::generate().unwrap();
    let old = same(&store.kek);
    let both = || Keyring::new(same(&new)).with(same(&old)).unwrap();
    let keystore = Arc::new(store.try_open(both()).await.unwrap());
    let given = Given { store, keystore, keys, reserved };
    let (mixed, _) = backup_while(&given.keystore, async |keystore| {
        assert_eq!(keystore.rewrap().await.unwrap(), KEYS + 1);
    })
    .await;
    let path = given.elsewhere();
    Keystore::restore(&mixed[..], &path, &both()).unwrap();
    let restored = Keystore::open(&path, both()).await.unwrap();
    given.check_same(&restored).await;
    assert!(restored.remaining() > 0);
    drop(restored);
    fs::remove_file(&path).unwrap();

    // One that is taken afterwards needs the new key only.
    Keystore::restore(&given.image()[..], &path, &Keyring::new(same(&new))).unwrap();
    given.check_same(&Keystore::open(&path, Keyring::new(new)).await.unwrap()).await;
}

#[tokio::test]
async fn an_image_that_is_not_whole_or_was_changed_is_refused() {
    let store = Store::new();
    let keystore = store.open().await;
    let other = Store::new();
    let other = other.try_open(Keyring::new(same(&store.kek))).await.unwrap();
    for id in ["ONE", "TWO", "THREE"] {
        keystore.create(id).await.unwrap();
        other.create(id).await.unwrap();
    }
    let take = |keystore: &Keystore| {
        let mut image = Vec::new();
        keystore.backup(&mut image).unwrap();
        image
    };
    let (image, other, earlier) = (take(&keystore), take(&other), take(&keystore));
    keystore.shred("TWO").await.unwrap();
    let later = take(&keystore);

    let path = store.path.with_file_name("elsewhere");
    let ring = Keyring::new(same(&store.kek));
    let refused = |image: &[u8], what: &str| {
        let error = Keystore::restore(image, &path, &ring).expect_err(what);
        assert!(matches!(error, Error::NotAnImage(_)), "{what}: {error}");
        assert!(!path.exists() && !beside(&path, ".restored").exists(), "{what}");
    };
    for length in (0..image.len()).step_by(64) {
        refused(&image[..length], &format!("first {length} bytes"));
    }
    for at in 0..image.len() {
        let mut changed = image.clone();
        changed[at] ^= 1;
        refused(&changed, &format!("byte {at}"));
    }
    let (start, slots) = image.split_at(START);
    let slots: Vec<_> = slots.chunks(SLOT_BYTES).collect();
    let end = |image: &[u8]| image[image.len() - SLOT_BYTES..].to_vec();
    let of = |slots: &[&[u8]]| [start, &slots.concat()].concat();
    refused(&of(&[slots[0], slots[2], slots[3]]), "one less");
    refused(&of(&[slots[1], slots[0], slots[2], slots[3]]), "in another order");
    refused(&of(&[slots[0], slots[0], slots[1], slots[2], slots[3]]), "one twice");
    refused(&of(&[slots[0], &[0; SLOT_BYTES], slots[1], slots[2], slots[3]]), "a free one");
    refused(&of(&[slots[0], slots[1], slots[2], slots[3], slots[3]]), "more than one end");
    refused(&of(&[slots[0], slots[1], slots[2], slots[3], b"x"]), "more than its end");
    for (image, whose) in [(&other, "another's"), (&earlier, "earlier"), (&later, "later")] {
        refused(&of(&[slots[0], slots[1], slots[2], &end(image)]), whose);
    }
    // A copy of the file has no end: nobody can tell whether it is whole.
    refused(&store.bytes(), "the file itself");

    assert_eq!(Keystore::restore(&image[..], &path, &ring).unwrap(), 3);
}

#[tokio::test]
async fn nothing_is_written_over_by_restoring() {
    let given = Given::new().await;
    let image = given.image();
    let before = given.store.bytes();
    let over = Keystore::restore(&image[..], &given.store.path, &given.ring());
    assert!(matches!(over, Err(Error::FileExists(path)) if path == given.store.path));
    assert_eq!(given.store.bytes(), before);

    let path = given.elsewhere();
    let left = beside(&path, ".restored");
    fs::write(&left, "another is at it, or was cut short").unwrap();
    let over = Keystore::restore(&image[..], &path, &given.ring());
    assert!(matches!(over, Err(Error::FileExists(path)) if path == left));
    assert!(left.exists() && !path.exists());

    // One that comes by while the image is read is not written over either.
    fs::remove_file(&left).unwrap();
    let late = path.clone();
    let image = io::Read::chain(&image[..1], Late(Some(late), &image[1..]));
    let over = Keystore::restore(image, &path, &given.ring());
    assert!(matches!(over, Err(Error::FileExists(_))));
    assert_eq!(fs::read(&path).unwrap(), b"another");
    assert!(!left.exists());
}

/// Makes a file when it is read from.
struct Late<'a>(Option<PathBuf>, &'a [u8]);

impl Read for Late<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if let Some(path) = self.0.take() {
            fs::write(path, "another")?;
        }
        self.1.read(bytes)
    }
}

#[tokio::test]
async fn a_sink_or_reader_that_fails_changes_nothing() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    let given = Given::new().await;
    let keystore = Arc::clone(&given.keystore);
    let backup = spawn_blocking(move || keystore.backup(Broken)).await.unwrap();
    assert!(matches!(backup, Err(Error::Image(_))));
    given.keystore.create("MORE").await.unwrap();

    let image = given.image();
    let path = given.elsewhere();
    let restored = Keystore::restore(image[..3000].chain(Broken), &path, &given.ring());
    assert!(matches!(restored, Err(Error::Image(_))));
    assert!(!path.exists() && !beside(&path, ".restored").exists());
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(
        keys in 0_usize..3,
        at in 0..START + 3 * SLOT_BYTES,
        bytes in proptest::collection::vec(any::<u8>(), 1..600),
    ) {
        let kek = KeyEncryptionKey::generate().unwrap();
        let header = Header::under(&kek, Uuid::from_u128(1)).unwrap().encode();
        let data_key = DataKey::random().unwrap();
        let mut image = header.repeat(HEADERS);
        for n in 0..keys {
            let id = format!("KEY{n}");
            let wrapped = Wrapped::wrap(&data_key, &kek, Uuid::from_u128(1), &id).unwrap();
            image.extend_from_slice(&wrapped.encode(&id));
        }
        let digest = Sha256::digest(&image).into();
        image.extend_from_slice(&end(&kek, Uuid::from_u128(1), keys as u64, digest).unwrap());
        let whole = image.clone();
        image.truncate(at);
        image.extend_from_slice(&bytes);

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keystore");
        let ring = Keyring::new(kek);
        prop_assert_eq!(Keystore::restore(&whole[..], &path, &ring).unwrap(), keys as u64);
        let elsewhere = dir.path().join("elsewhere");
        if image != whole {
            prop_assert!(Keystore::restore(&image[..], &elsewhere, &ring).is_err());
        }
    }
}
