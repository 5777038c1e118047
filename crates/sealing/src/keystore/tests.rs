use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::disk::SyncFn;
use super::slot::SLOT_BYTES;
use super::writer::{GROWTH_SLOTS, REWRAPPED_MAX};
use super::*;
use crate::aead::Key;
use crate::{Context, KeyEncryptionKey};

const CONTEXT: Context<'static> = Context {
    log_id: Uuid::from_u128(1),
    account: Uuid::from_u128(2),
    access_key_id: "AKIA",
    generation: 1,
};

/// Where the slots begin.
pub(super) const START: usize = HEADERS * HEADER_BYTES;

pub(super) struct Store {
    _dir: tempfile::TempDir,
    pub(super) path: PathBuf,
    pub(super) kek: KeyEncryptionKey,
}

impl Store {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keystore");
        Self { _dir: dir, path, kek: KeyEncryptionKey::generate().unwrap() }
    }

    pub(super) async fn open(&self) -> Keystore {
        Keystore::open(&self.path, Keyring::new(same(&self.kek))).await.unwrap()
    }

    pub(super) async fn try_open(&self, keyring: Keyring) -> Result<Keystore, Error> {
        Keystore::open(&self.path, keyring).await
    }

    fn open_with_sync(&self, sync: SyncFn) -> Keystore {
        self.open_with(Calls { sync, ..Calls::system() })
    }

    fn open_with(&self, calls: Calls) -> Keystore {
        Keystore::open_blocking(&self.path, Keyring::new(same(&self.kek)), calls).unwrap()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }

    fn slot(&self, number: usize) -> Vec<u8> {
        let at = START + number * SLOT_BYTES;
        self.bytes()[at..at + SLOT_BYTES].to_vec()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.bytes();
        change(&mut bytes);
        fs::write(&self.path, bytes).unwrap();
    }
}

pub(super) fn same(kek: &KeyEncryptionKey) -> KeyEncryptionKey {
    KeyEncryptionKey::from_key(Key::from_slice(kek.key().expose()).unwrap())
}

/// Whether two data keys are one: what one seals, the other opens.
pub(super) fn same_key(one: &DataKey, two: &DataKey) -> bool {
    two.open(&one.seal(b"x", &CONTEXT).unwrap(), &CONTEXT).is_ok()
}

#[tokio::test]
async fn a_data_key_is_there_after_opening_again() {
    let store = Store::new();
    let keystore = store.open().await;
    let one = keystore.create("ONE").await.unwrap();
    let two = keystore.create(&"2".repeat(128)).await.unwrap();
    assert!(!same_key(&one, &two));
    assert!(same_key(&one, &keystore.get("ONE").unwrap()));
    assert!(keystore.get("THREE").is_none());
    drop(keystore);

    let keystore = store.open().await;
    assert!(same_key(&one, &keystore.get("ONE").unwrap()));
    assert!(same_key(&two, &keystore.get(&"2".repeat(128)).unwrap()));
    let mut ids: Vec<_> = keystore.ids().collect();
    ids.sort();
    assert_eq!(ids, ["2".repeat(128).into_boxed_str(), "ONE".into()]);
    assert_eq!(keystore.damaged(), 0);
}

#[tokio::test]
async fn an_access_key_has_one_data_key_and_a_bounded_name() {
    let store = Store::new();
    let keystore = store.open().await;
    let one = keystore.create("ONE").await.unwrap();
    assert!(matches!(keystore.create("ONE").await, Err(Error::Exists)));
    assert!(same_key(&one, &keystore.get("ONE").unwrap()));
    assert!(matches!(keystore.create("").await, Err(Error::IdLength(0))));
    assert!(matches!(keystore.create(&"x".repeat(129)).await, Err(Error::IdLength(129))));
}

#[tokio::test]
async fn a_reserved_key_is_made_once_and_stays_the_same() {
    let store = Store::new();
    let keystore = Arc::new(store.open().await);
    let asked = [(); 8].map(|()| {
        let keystore = Arc::clone(&keystore);
        tokio::spawn(async move { *keystore.reserved_key("claviger/one").await.unwrap().expose() })
    });
    let one = *keystore.reserved_key("claviger/one").await.unwrap().expose();
    for asked in asked {
        assert_eq!(asked.await.unwrap(), one, "whoever asked");
    }
    let two = *keystore.reserved_key("claviger/two").await.unwrap().expose();
    assert_ne!(one, two);
    drop(keystore);

    let keystore = store.open().await;
    assert_eq!(*keystore.reserved_key("claviger/one").await.unwrap().expose(), one);
    let printed = format!("{:?}", keystore.reserved_key("claviger/two").await.unwrap());
    assert_eq!(printed, "ReservedKey(redacted)");
}

#[tokio::test]
async fn a_reserved_key_is_no_access_keys() {
    let store = Store::new();
    let keystore = store.open().await;
    keystore.reserved_key("claviger/one").await.unwrap();
    keystore.create("AKIA").await.unwrap();
    assert_eq!(keystore.ids().collect::<Vec<_>>(), ["AKIA".into()]);
    assert!(keystore.get("claviger/one").is_none());
    for name in ["claviger/one", "claviger/never", "/"] {
        assert!(matches!(keystore.shred(name).await, Err(Error::Reserved)), "{name}");
        assert!(matches!(keystore.create(name).await, Err(Error::Reserved)), "{name}");
    }
    assert!(matches!(keystore.reserved_key("AKIA").await, Err(Error::NotReserved)));
    let long = "x/".repeat(65);
    assert!(matches!(keystore.reserved_key(&long).await, Err(Error::IdLength(130))));
}

#[tokio::test]
async fn a_reserved_key_that_may_be_damaged_is_not_replaced() {
    let store = Store::new();
    let keystore = store.open().await;
    keystore.reserved_key("claviger/one").await.unwrap();
    keystore.reserved_key("claviger/two").await.unwrap();
    drop(keystore);
    store.change(|bytes| bytes[START + 30] ^= 1);

    let keystore = store.open().await;
    let error = keystore.reserved_key("claviger/one").await.unwrap_err();
    assert!(matches!(error, Error::ReservedKeyLost { slots: 1, .. }), "{error}");
    keystore.reserved_key("claviger/two").await.unwrap();
    keystore.scrub().await.unwrap();
    keystore.reserved_key("claviger/one").await.unwrap();
}

#[tokio::test]
async fn what_is_shredded_is_gone_from_memory_and_file() {
    let store = Store::new();
    let keystore = store.open().await;
    keystore.create("ONE").await.unwrap();
    keystore.create("TWO").await.unwrap();
    let wrapped = store.slot(0)[2..70].to_vec();
    assert!(store.bytes().windows(wrapped.len()).any(|window| window == wrapped));

    assert!(keystore.shred("ONE").await.unwrap());
    assert!(!keystore.shred("ONE").await.unwrap());
    assert!(!keystore.shred("NEVER").await.unwrap());
    assert!(keystore.get("ONE").is_none());
    assert_eq!(store.slot(0), [0; SLOT_BYTES]);
    for part in [&wrapped[..8], &wrapped[8..20], &wrapped[20..], b"ONE"] {
        let kept = store.slot(1);
        let rest: Vec<u8> = store.bytes()[START..].to_vec();
        let elsewhere = rest.windows(part.len()).filter(|window| *window == part).count();
        let in_two = kept.windows(part.len()).filter(|window| *window == part).count();
        assert_eq!(elsewhere, in_two);
    }
    drop(keystore);

    let keystore = store.open().await;
    assert!(keystore.get("ONE").is_none());
    assert!(keystore.get("TWO").is_some());
    keystore.create("THREE").await.unwrap();
    assert!(store.slot(0)[70..].starts_with(b"THREE"), "the free slot is used again");
    assert_eq!(store.bytes().len(), START + GROWTH_SLOTS as usize * SLOT_BYTES);
}

#[tokio::test]
async fn a_wrong_key_encryption_key_is_refused_by_name() {
    let store = Store::new();
    drop(store.open().await);
    let (wrong, older) =
        (KeyEncryptionKey::generate().unwrap(), KeyEncryptionKey::generate().unwrap());
    let (wrong_id, older_id) = (wrong.id(), older.id());
    let wrong = Keyring::new(wrong).with(older).unwrap();
    let error = store.try_open(wrong).await.err().unwrap();
    assert!(
        matches!(error, Error::NoSuchKek { needed, .. } if needed == store.kek.id()),
        "{error}"
    );
    let expected = format!(
        "key-encryption key {} is not in the ring, which has {wrong_id}, {older_id}; \
         the keystore or file needs it",
        store.kek.id(),
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_ring_opens_what_an_older_key_wrapped() {
    let store = Store::new();
    let keystore = store.open().await;
    let one = keystore.create("ONE").await.unwrap();
    drop(keystore);

    let new = KeyEncryptionKey::generate().unwrap();
    let keystore =
        store.try_open(Keyring::new(same(&new)).with(same(&store.kek)).unwrap()).await.unwrap();
    assert!(same_key(&one, &keystore.get("ONE").unwrap()));
    let two = keystore.create("TWO").await.unwrap();
    drop(keystore);

    // The new key alone lacks the header's; the old alone lacks that of the second slot.
    let error = store.try_open(Keyring::new(same(&store.kek))).await.err().unwrap();
    assert!(matches!(error, Error::NoSuchKek { needed, .. } if needed == new.id()), "{error}");
    let ring = Keyring::new(same(&store.kek)).with(new).unwrap();
    let keystore = store.try_open(ring).await.unwrap();
    assert!(same_key(&two, &keystore.get("TWO").unwrap()));
}

#[tokio::test]
async fn a_torn_slot_costs_no_other_its_key_and_is_scrubbed_when_told() {
    let store = Store::new();
    let keystore = store.open().await;
    for id in ["ONE", "TWO", "THREE"] {
        keystore.create(id).await.unwrap();
    }
    drop(keystore);
    let middle = START + SLOT_BYTES;
    for torn in [0..1, 0..40, 0..200, 60..256, 252..256] {
        let whole = store.bytes();
        store.change(|bytes| bytes[middle + torn.start..middle + torn.end].fill(0));
        let keystore = store.open().await;
        assert_eq!(keystore.damaged(), 1, "{torn:?}");
        assert!(keystore.get("TWO").is_none());
        assert!(keystore.get("ONE").is_some() && keystore.get("THREE").is_some());
        keystore.create("FOUR").await.unwrap();
        drop(keystore);
        assert_ne!(store.slot(1), [0; SLOT_BYTES], "left as it is");
        fs::write(&store.path, whole).unwrap();
    }

    store.change(|bytes| bytes[middle + 30] ^= 1);
    let keystore = store.open().await;
    assert_eq!(keystore.scrub().await.unwrap(), 1);
    assert_eq!((keystore.damaged(), keystore.scrub().await.unwrap()), (0, 0));
    assert_eq!(store.slot(1), [0; SLOT_BYTES]);
    keystore.create("TWO").await.unwrap();
    assert!(store.slot(1)[70..].starts_with(b"TWO"));
}

#[tokio::test]
async fn a_slot_torn_at_the_end_of_the_file_is_damaged() {
    let store = Store::new();
    let keystore = store.open().await;
    keystore.create("ONE").await.unwrap();
    keystore.create("TWO").await.unwrap();
    drop(keystore);
    store.change(|bytes| bytes.truncate(START + SLOT_BYTES + 100));
    let keystore = store.open().await;
    assert_eq!(keystore.damaged(), 1);
    let three = keystore.create("THREE").await.unwrap();
    drop(keystore);
    let keystore = store.open().await;
    assert!(same_key(&three, &keystore.get("THREE").unwrap()));
    assert!(keystore.get("ONE").is_some());
}

#[tokio::test]
async fn a_slot_moved_to_another_access_key_or_keystore_does_not_open() {
    let (store, other) = (Store::new(), Store::new());
    let keystore = store.open().await;
    keystore.create("ONE").await.unwrap();
    drop(keystore);
    let slot = store.slot(0);

    // Under another access key's ID, with a checksum that fits.
    store.change(|bytes| {
        let slot = &mut bytes[START..];
        slot[70..73].copy_from_slice(b"TWO");
        let checksum = crc32c::crc32c(&slot[..252]);
        slot[252..256].copy_from_slice(&checksum.to_le_bytes());
    });
    let keystore = store.open().await;
    assert_eq!((keystore.damaged(), keystore.ids().count()), (1, 0));

    // In another keystore of the same key-encryption key.
    let ring = || Keyring::new(same(&store.kek));
    drop(other.try_open(ring()).await.unwrap());
    other.change(|bytes| bytes.extend_from_slice(&slot));
    let keystore = other.try_open(ring()).await.unwrap();
    assert_eq!((keystore.damaged(), keystore.ids().count()), (1, 0));
}

#[tokio::test]
async fn a_header_that_is_not_ours_is_refused() {
    let store = Store::new();
    drop(store.open().await);
    let whole = store.bytes();
    for at in [0, 8, 12, 30, 40, 50, 100, 511] {
        store.change(|bytes| bytes[at] ^= 1);
        drop(store.open().await); // the other copy is whole
        store.change(|bytes| bytes[HEADER_BYTES + at] ^= 1);
        let opened = store.try_open(Keyring::new(same(&store.kek))).await;
        assert!(matches!(opened, Err(Error::NotAKeystore { .. })), "byte {at}");
        fs::write(&store.path, &whole).unwrap();
    }
    // Another keystore's identity, with checksums that fit.
    store.change(|bytes| {
        for header in bytes.chunks_mut(HEADER_BYTES) {
            header[12] ^= 1;
            let checksum = crc32c::crc32c(&header[..508]);
            header[508..].copy_from_slice(&checksum.to_le_bytes());
        }
    });
    let opened = store.try_open(Keyring::new(same(&store.kek))).await;
    assert!(matches!(opened, Err(Error::NotAKeystore { .. })));
}

#[tokio::test]
async fn after_rewrapping_only_the_primary_key_is_needed() {
    let store = Store::new();
    let keystore = store.open().await;
    let mut keys = Vec::new();
    for n in 0..20 {
        keys.push((format!("KEY{n}"), keystore.create(&format!("KEY{n}")).await.unwrap()));
    }
    keystore.shred("KEY7").await.unwrap();
    keys.remove(7);
    drop(keystore);

    let new = KeyEncryptionKey::generate().unwrap();
    let keystore =
        store.try_open(Keyring::new(same(&new)).with(same(&store.kek)).unwrap()).await.unwrap();
    keys.push(("NEW".to_owned(), keystore.create("NEW").await.unwrap()));
    assert_eq!(keystore.remaining(), 20);
    assert_eq!(keystore.rewrap().await.unwrap(), 19);
    assert_eq!(keystore.rewrap().await.unwrap(), 0);
    assert_eq!(keystore.remaining(), 0);
    let all_there = |keystore: &Keystore| {
        assert_eq!(keystore.ids().count(), 20);
        assert!(keys.iter().all(|(id, key)| same_key(key, &keystore.get(id).unwrap())));
    };
    all_there(&keystore);
    drop(keystore);
    let old = store.kek.id().0;
    assert!(!store.bytes().windows(8).any(|window| window == old), "no trace of the old key");
    all_there(&store.try_open(Keyring::new(new)).await.unwrap());
}

/// A keystore of an old key that waits to be wrapped anew, in several changes.
struct Rewrapping {
    store: Store,
    new: KeyEncryptionKey,
    keys: Vec<(String, DataKey)>,
    reserved: [u8; 32],
}

impl Rewrapping {
    async fn new() -> Self {
        let store = Store::new();
        let keystore = store.open().await;
        let reserved = *keystore.reserved_key("claviger/one").await.unwrap().expose();
        let mut keys = Vec::new();
        for n in 0..2 * REWRAPPED_MAX + 3 {
            let id = format!("KEY{n}");
            keys.push((id.clone(), keystore.create(&id).await.unwrap()));
        }
        drop(keystore);
        Self { store, new: KeyEncryptionKey::generate().unwrap(), keys, reserved }
    }

    /// Those that are wrapped anew: the reserved key too.
    fn stale(&self) -> usize {
        self.keys.len() + 1
    }

    fn both(&self) -> Keyring {
        Keyring::new(same(&self.new)).with(same(&self.store.kek)).unwrap()
    }

    fn open_with(&self, calls: Calls) -> Keystore {
        Keystore::open_blocking(&self.store.path, self.both(), calls).unwrap()
    }

    async fn check(&self, keystore: &Keystore) {
        assert_eq!((keystore.ids().count(), keystore.damaged()), (self.keys.len(), 0));
        for (id, key) in &self.keys {
            assert!(same_key(key, &keystore.get(id).unwrap()), "{id}");
        }
        let reserved = keystore.reserved_key("claviger/one").await.unwrap();
        assert_eq!(*reserved.expose(), self.reserved);
    }

    /// Whether what a crash left is all there with both keys, and after rewrapping with the new alone.
    async fn check_left(&self) {
        let keystore = self.store.try_open(self.both()).await.unwrap();
        self.check(&keystore).await;
        keystore.rewrap().await.unwrap();
        drop(keystore);
        let keystore = self.store.try_open(Keyring::new(same(&self.new))).await.unwrap();
        self.check(&keystore).await;
        assert_eq!(keystore.remaining(), 0);
        // No copy was left over that shredding does not reach.
        keystore.shred("KEY3").await.unwrap();
        let (bytes, old) = (self.store.bytes(), self.store.kek.id().0);
        assert!(!bytes.windows(5).any(|window| window == b"KEY3\0"));
        assert!(!bytes.windows(8).any(|window| window == old), "no trace of the old key");
    }
}

#[tokio::test]
async fn rewrapping_tells_what_remains_and_writes_the_header_last() {
    let given = Rewrapping::new().await;
    let keystore = given.store.try_open(given.both()).await.unwrap();
    let header = given.store.bytes()[..START].to_vec();
    assert_eq!(keystore.remaining(), given.stale() + 1, "and the header");
    keystore.create("NEW").await.unwrap();
    keystore.shred("NEW").await.unwrap();
    assert_eq!(keystore.remaining(), given.stale() + 1, "a new key is of the new one");

    let mut left = given.stale();
    while left > 0 {
        assert_eq!(given.store.bytes()[..START], header);
        let rewrapped = keystore.change(ChangeKind::Rewrap).await.unwrap();
        assert_eq!(rewrapped, left.min(REWRAPPED_MAX), "one part of it");
        left -= rewrapped;
        assert_eq!(keystore.remaining(), left + 1);
        given.check(&keystore).await;
    }
    assert_eq!(given.store.bytes()[..START], header);
    assert_eq!(keystore.rewrap().await.unwrap(), 0);
    assert_eq!(keystore.remaining(), 0);
    drop(keystore);
    given.check_left().await;
}

#[tokio::test]
async fn a_key_shredded_before_its_turn_is_not_wrapped_anew() {
    let given = Rewrapping::new().await;
    let keystore = given.store.try_open(given.both()).await.unwrap();
    keystore.shred("KEY1").await.unwrap();
    keystore.create("KEY1").await.unwrap();
    assert_eq!(keystore.remaining(), given.stale());
    assert_eq!(keystore.rewrap().await.unwrap(), given.stale() - 1);
}

#[tokio::test]
async fn nothing_remains_only_when_what_was_rewrapped_is_durable() {
    // The header is under the first key still, and so are no data keys: it is under way back.
    let given = Rewrapping::new().await;
    let keystore = given.store.try_open(given.both()).await.unwrap();
    while keystore.remaining() > 1 {
        keystore.change(ChangeKind::Rewrap).await.unwrap();
    }
    drop(keystore);
    let back = Keyring::new(same(&given.store.kek)).with(same(&given.new)).unwrap();
    let syncs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&syncs);
    let sync: SyncFn = Box::new(move |file| {
        counted.fetch_add(1, Ordering::SeqCst);
        file.sync_data()
    });
    let calls = Calls { sync, ..Calls::system() };
    let keystore = Keystore::open_blocking(&given.store.path, back, calls).unwrap();
    assert_eq!(keystore.remaining(), given.stale() + 1, "the header is written once more");
    assert_eq!(keystore.rewrap().await.unwrap(), given.stale());
    assert_eq!(keystore.remaining(), 0);
    let parts = given.stale().div_ceil(REWRAPPED_MAX);
    assert_eq!(syncs.load(Ordering::SeqCst), 2 * parts + HEADERS);
    drop(keystore);
    given.check(&given.store.open().await).await;
}

#[tokio::test]
async fn a_damaged_header_is_mended_by_rewrapping() {
    let store = Store::new();
    drop(store.open().await);
    for copy in 0..HEADERS {
        store.change(|bytes| bytes[copy * HEADER_BYTES + 40] ^= 1);
        let keystore = store.open().await;
        assert_eq!(keystore.remaining(), 1);
        assert_eq!(keystore.rewrap().await.unwrap(), 0);
        assert_eq!(keystore.remaining(), 0);
        drop(keystore);
        assert_eq!(store.open().await.remaining(), 0);
    }
}

#[tokio::test]
async fn rewrapping_that_is_cut_short_loses_nothing() {
    for fails_at in 1.. {
        let given = Rewrapping::new().await;
        let mut calls = 0;
        let sync: SyncFn = Box::new(move |_| {
            calls += 1;
            if calls == fails_at { Err(io::Error::other("cut short")) } else { Ok(()) }
        });
        let keystore = given.open_with(Calls { sync, ..Calls::system() });
        let rewrapped = keystore.rewrap().await;
        drop(keystore);
        given.check_left().await;
        if rewrapped.is_ok() {
            // two for each part, and one for each copy of the header
            assert_eq!(fails_at, 2 * given.stale().div_ceil(REWRAPPED_MAX) + HEADERS + 1);
            return;
        }
        assert!(matches!(rewrapped, Err(Error::Unavailable(_))), "{fails_at}");
    }
}

/// A loss of power keeps any of the sectors that were written since the last sync, and loses the others.
#[tokio::test]
async fn rewrapping_loses_nothing_with_the_power() {
    const SECTOR: usize = 512;
    let given = Rewrapping::new().await;
    let images = Arc::new(Mutex::new(Vec::new()));
    let (taken, path) = (Arc::clone(&images), given.store.path.clone());
    let mut synced = given.store.bytes();
    let mut random = 1_u32;
    let sync: SyncFn = Box::new(move |_| {
        let written = fs::read(&path).unwrap();
        for _ in 0..4 {
            let mut image = synced.clone();
            image.resize(written.len(), 0);
            for at in (0..written.len()).step_by(SECTOR) {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if random >> 31 == 0 {
                    let sector = at..(at + SECTOR).min(written.len());
                    image[sector.clone()].copy_from_slice(&written[sector]);
                }
            }
            lock(&taken).push(image);
        }
        synced = written;
        Ok(())
    });
    let keystore = given.open_with(Calls { sync, ..Calls::system() });
    keystore.rewrap().await.unwrap();
    drop(keystore);
    let images = std::mem::take(&mut *lock(&images));
    assert!(images.len() > 20);
    for image in images {
        fs::write(&given.store.path, image).unwrap();
        given.check_left().await;
    }
}

#[tokio::test]
async fn rewrapping_on_a_full_disk_goes_on_where_it_stopped() {
    let given = Rewrapping::new().await;
    // All free slots are taken.
    let keystore = given.store.try_open(given.both()).await.unwrap();
    let free = given.store.bytes().len() / SLOT_BYTES - START / SLOT_BYTES - given.stale();
    for n in 0..free {
        keystore.create(&format!("MORE{n}")).await.unwrap();
    }
    drop(keystore);
    let room = Arc::new(AtomicUsize::new(0));
    let keystore = given.open_with(disk_of(&room, false));
    assert!(matches!(keystore.rewrap().await, Err(Error::Full)));
    assert_eq!(keystore.remaining(), given.stale() + 1);

    // One free slot is enough, if slow.
    keystore.shred("MORE0").await.unwrap();
    assert_eq!(keystore.rewrap().await.unwrap(), given.stale());
    for n in 1..free {
        keystore.shred(&format!("MORE{n}")).await.unwrap();
    }
    drop(keystore);
    given.check_left().await;
}

#[tokio::test]
async fn a_keystore_is_opened_once_at_a_time() {
    let store = Store::new();
    let keystore = store.open().await;
    let second = store.try_open(Keyring::new(same(&store.kek))).await;
    assert!(matches!(second, Err(Error::InUse(_))));
    drop(keystore);
    store.open().await;
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let store = Store::new();
    drop(store.open().await);
    assert_eq!(fs::metadata(&store.path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_creators_share_syncs_and_lose_nothing() {
    let store = Store::new();
    let syncs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&syncs);
    let keystore = Arc::new(store.open_with_sync(Box::new(move |file| {
        counted.fetch_add(1, Ordering::SeqCst);
        file.sync_data()
    })));
    let creators = (0..64).map(|creator| {
        let keystore = Arc::clone(&keystore);
        tokio::spawn(async move {
            for n in 0..8 {
                let id = format!("AKIA{creator}N{n}");
                let key = keystore.create(&id).await.unwrap();
                assert!(same_key(&key, &keystore.get(&id).unwrap()));
                if n % 4 == 3 {
                    keystore.shred(&id).await.unwrap();
                }
            }
        })
    });
    for creator in creators.collect::<Vec<_>>() {
        creator.await.unwrap();
    }
    let changes = 64 * (8 + 2);
    assert!(syncs.load(Ordering::SeqCst) <= changes);
    drop(keystore);
    let keystore = store.open().await;
    assert_eq!((keystore.ids().count(), keystore.damaged()), (64 * 6, 0));
}

#[tokio::test]
async fn every_change_is_synced_before_it_is_answered() {
    let store = Store::new();
    let syncs = Arc::new(AtomicUsize::new(0));
    let (counted, path) = (Arc::clone(&syncs), store.path.clone());
    let keystore = store.open_with_sync(Box::new(move |_| {
        // What is synced has been written.
        let written = fs::read(&path).unwrap();
        let has = written.windows(5).any(|window| window == b"KEY01");
        assert_eq!(has, counted.fetch_add(1, Ordering::SeqCst) == 0);
        Ok(())
    }));
    keystore.create("KEY01").await.unwrap();
    assert_eq!(syncs.load(Ordering::SeqCst), 1);
    keystore.shred("KEY01").await.unwrap();
    assert_eq!(syncs.load(Ordering::SeqCst), 2);
    keystore.shred("KEY01").await.unwrap();
    assert_eq!(syncs.load(Ordering::SeqCst), 2, "nothing to sync");
}

#[tokio::test]
async fn a_failed_sync_fails_the_keystore_for_good() {
    let store = Store::new();
    let mut calls = 0;
    let keystore = store.open_with_sync(Box::new(move |_| {
        calls += 1;
        if calls == 2 { Err(io::Error::other("disk is gone")) } else { Ok(()) }
    }));
    let failed = keystore.failed();
    keystore.create("ONE").await.unwrap();
    assert!(matches!(keystore.create("TWO").await, Err(Error::Unavailable(_))));
    assert!(failed.await.contains("disk is gone"));
    let refused = keystore.create("THREE").await.unwrap_err();
    assert!(
        matches!(&refused, Error::Unavailable(why) if why.contains("disk is gone")),
        "{refused}"
    );
    assert!(matches!(keystore.shred("ONE").await, Err(Error::Unavailable(_))));
    assert!(keystore.get("TWO").is_none(), "what is not durable is not given out");
    assert!(keystore.get("ONE").is_some());
}

#[tokio::test]
async fn a_panic_in_the_writer_fails_the_keystore() {
    let store = Store::new();
    let keystore = store.open_with_sync(Box::new(|_| panic!("bug")));
    let failed = keystore.failed();
    assert!(matches!(keystore.create("ONE").await, Err(Error::Unavailable(_))));
    assert!(failed.await.contains("bug"));
}

/// A disk with room for so many slots, and then none; with `copies_on_write`, also not for writing
/// over what there is.
fn disk_of(room: &Arc<AtomicUsize>, copies_on_write: bool) -> Calls {
    let no_room = || io::Error::from(io::ErrorKind::StorageFull);
    let (grown, written) = (Arc::clone(room), Arc::clone(room));
    let Calls { mut write, sync, mut grow } = Calls::system();
    Calls {
        write: Box::new(move |file, at, bytes| {
            let full = copies_on_write && written.load(Ordering::SeqCst) == 0;
            if full { Err(no_room()) } else { write(file, at, bytes) }
        }),
        sync,
        grow: Box::new(move |file, at, bytes| {
            let slots = bytes as usize / SLOT_BYTES;
            let left = grown
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |room| room.checked_sub(slots));
            if left.is_ok() { grow(file, at, bytes) } else { Err(no_room()) }
        }),
    }
}

#[tokio::test]
async fn on_a_full_disk_no_key_is_made_and_all_else_goes_on() {
    let store = Store::new();
    let room = Arc::new(AtomicUsize::new(GROWTH_SLOTS as usize));
    let keystore = store.open_with(disk_of(&room, false));
    for n in 0..GROWTH_SLOTS {
        keystore.create(&format!("KEY{n}")).await.unwrap();
    }
    let whole = store.bytes();
    for _ in 0..2 {
        assert!(matches!(keystore.create("ONE").await, Err(Error::Full)));
        assert!(matches!(keystore.reserved_key("claviger/one").await, Err(Error::Full)));
    }
    assert_eq!(store.bytes(), whole, "nothing was changed");
    assert!(keystore.get("ONE").is_none() && keystore.get("KEY7").is_some());

    // Shredding makes room for one, and only for one.
    assert!(keystore.shred("KEY7").await.unwrap());
    assert_eq!(store.slot(7), [0; SLOT_BYTES]);
    let one = keystore.create("ONE").await.unwrap();
    assert!(matches!(keystore.create("TWO").await, Err(Error::Full)));

    room.store(GROWTH_SLOTS as usize, Ordering::SeqCst);
    let two = keystore.create("TWO").await.unwrap();
    drop(keystore);
    let keystore = store.open().await;
    assert_eq!((keystore.ids().count(), keystore.damaged()), (GROWTH_SLOTS as usize + 1, 0));
    assert!(same_key(&one, &keystore.get("ONE").unwrap()));
    assert!(same_key(&two, &keystore.get("TWO").unwrap()));
}

#[tokio::test]
async fn on_a_full_disk_that_copies_on_write_nothing_is_changed() {
    let store = Store::new();
    let room = Arc::new(AtomicUsize::new(GROWTH_SLOTS as usize + 1));
    let keystore = store.open_with(disk_of(&room, true));
    keystore.create("ONE").await.unwrap();
    let whole = store.bytes();
    room.store(0, Ordering::SeqCst);
    assert!(matches!(keystore.create("TWO").await, Err(Error::Full)));
    assert!(matches!(keystore.shred("ONE").await, Err(Error::Full)));
    assert_eq!(store.bytes(), whole);
    assert!(keystore.get("ONE").is_some(), "it is not gone, and is not said to be");

    room.store(1, Ordering::SeqCst);
    assert!(keystore.shred("ONE").await.unwrap());
    keystore.create("TWO").await.unwrap();
    drop(keystore);
    assert_eq!(store.open().await.ids().collect::<Vec<_>>(), ["TWO".into()]);
}

#[tokio::test]
async fn a_file_that_cannot_grow_for_another_reason_fails_the_keystore() {
    let store = Store::new();
    let grow = Box::new(|_: &File, _, _| Err(io::Error::other("disk is gone")));
    let keystore = store.open_with(Calls { grow, ..Calls::system() });
    assert!(matches!(keystore.create("ONE").await, Err(Error::Unavailable(_))));
    assert!(keystore.failed().await.contains("disk is gone"));
}
