//! What is known of the file: read once when it is opened, by several threads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use smol_str::SmolStr;
use uuid::Uuid;

use super::slot::{SLOT_BYTES, Slot, Wrapped};
use crate::{Error, Keyring};

/// The most threads that try data keys.
const READERS_MAX: usize = 4;
/// How many pieces of the file wait for each of them.
const PIECES_WAITING: usize = 4;

/// The name of a data key: an access key ID, or that of a reserved key. An access key ID of the usual
/// length takes no memory of its own.
pub(super) type Name = SmolStr;

#[derive(Default)]
pub(super) struct Index {
    /// In the order of their names, so that they can be gone through a part at a time.
    pub(super) entries: BTreeMap<Name, Entry>,
    /// Names of those that are wrapped with another key than the primary. No more of them come.
    pub(super) stale: BTreeSet<Name>,
    /// Whether the header is to be written anew: a copy of it is damaged, or it or a data key is
    /// under another key than the primary.
    pub(super) header_stale: bool,
    /// How many were shredded since the keystore was opened.
    pub(super) shredded: u64,
    /// Numbers of slots that may be written to.
    pub(super) free: Vec<u64>,
    /// Numbers of slots that hold something, and nothing that can be read.
    pub(super) damaged: Vec<u64>,
    /// Numbers of slots whose access key has another slot too.
    pub(super) copies: Vec<u64>,
    /// How many slots the file has.
    pub(super) slots: u64,
}

pub(super) struct Entry {
    pub(super) slot: u64,
    pub(super) wrapped: Wrapped,
    /// Not given out before it is.
    pub(super) durable: bool,
}

/// Some consecutive slots, as they stand in the file; the last may be cut short.
struct Piece {
    first_slot: u64,
    bytes: Vec<u8>,
}

/// What one thread has found, each list in order.
#[derive(Default)]
struct Found {
    entries: Vec<(Name, Entry)>,
    free: Vec<u64>,
    damaged: Vec<u64>,
}

impl Index {
    /// Makes an index of all slots, and tries the keys in them, while `read` gives them piece by
    /// piece, in order, each but the last one of whole slots.
    pub(super) fn read(
        read: impl FnOnce(&mut dyn FnMut(Vec<u8>)) -> Result<(), Error>,
        store: Uuid,
        keyring: &Keyring,
    ) -> Result<Self, Error> {
        let readers = thread::available_parallelism().map_or(1, |cores| cores.get());
        thread::scope(|scope| {
            let readers = (0..readers.min(READERS_MAX)).map(|_| {
                let (sender, pieces) = sync_channel(PIECES_WAITING);
                (sender, scope.spawn(move || Found::of(&pieces, store, keyring)))
            });
            let (senders, readers): (Vec<_>, Vec<_>) = readers.unzip();
            let mut slots = 0;
            let mut turns = senders.iter().cycle();
            let done = read(&mut |bytes| {
                let piece = Piece { first_slot: slots, bytes };
                slots += piece.bytes.len().div_ceil(SLOT_BYTES) as u64;
                if let Some(sender) = turns.next() {
                    // One that is gone has found an error, which is told below.
                    drop(sender.send(piece));
                }
            });
            drop(senders);
            let found = readers.into_iter().map(|reader| {
                reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            let found: Vec<Found> = found.collect::<Result<_, _>>()?;
            done?;
            Ok(Self::merge(found, slots, keyring))
        })
    }

    fn merge(found: Vec<Found>, slots: u64, keyring: &Keyring) -> Self {
        let mut index = Self { slots, ..Self::default() };
        let mut entries = Vec::with_capacity(found.iter().map(|found| found.entries.len()).sum());
        for found in found {
            entries.extend(found.entries);
            index.free.extend(found.free);
            index.damaged.extend(found.damaged);
        }
        // Quick, since it is of a few pieces that are in order.
        entries.sort_by(|(one, a), (two, b)| one.cmp(two).then(a.slot.cmp(&b.slot)));
        // A change of both was cut short, and not acknowledged: either one will do.
        entries.dedup_by(|(next, entry), (name, _)| {
            let is_copy = next == name;
            index.copies.extend(is_copy.then_some(entry.slot));
            is_copy
        });
        let primary = keyring.primary().id();
        let stale = entries.iter().filter(|(_, entry)| entry.wrapped.kek() != primary);
        index.stale = stale.map(|(name, _)| name.clone()).collect();
        index.entries = entries.into_iter().collect();
        index.free.sort_unstable_by(|a, b| b.cmp(a)); // so that the first slots are taken first
        index.damaged.sort_unstable();
        index
    }
}

impl Found {
    fn of(pieces: &Receiver<Piece>, store: Uuid, keyring: &Keyring) -> Result<Self, Error> {
        let mut found = Self::default();
        for Piece { first_slot, bytes } in pieces {
            for (slot, bytes) in (first_slot..).zip(bytes.chunks(SLOT_BYTES)) {
                let mut whole = [0; SLOT_BYTES];
                whole[..bytes.len()].copy_from_slice(bytes);
                found.take(slot, &whole, store, keyring)?;
            }
        }
        found.entries.sort_unstable_by(|(one, a), (two, b)| one.cmp(two).then(a.slot.cmp(&b.slot)));
        Ok(found)
    }

    fn take(
        &mut self,
        slot: u64,
        bytes: &[u8; SLOT_BYTES],
        store: Uuid,
        keyring: &Keyring,
    ) -> Result<(), Error> {
        match Slot::decode(bytes) {
            Slot::Free | Slot::End(_) => self.free.push(slot),
            Slot::Damaged => self.damaged.push(slot),
            Slot::Used { id, wrapped } => match wrapped.unwrap(keyring, store, &id) {
                Ok(_) => self.entries.push((id, Entry { slot, wrapped, durable: true })),
                Err(error @ Error::NoSuchKek { .. }) => return Err(error),
                Err(_) => self.damaged.push(slot),
            },
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DataKey, KeyEncryptionKey};

    const STORE: Uuid = Uuid::from_u128(7);

    fn slot(kek: &KeyEncryptionKey, name: &str) -> Vec<u8> {
        let data_key = DataKey::random().unwrap();
        Wrapped::wrap(&data_key, kek, STORE, name).unwrap().encode(name).to_vec()
    }

    /// Reads slots in pieces of so many each.
    fn read(slots: &[Vec<u8>], at_once: usize, kek: &KeyEncryptionKey) -> Result<Index, Error> {
        let keyring = Keyring::new(super::super::tests::same(kek));
        let pieces = slots.chunks(at_once).map(<[Vec<u8>]>::concat);
        let read = |take: &mut dyn FnMut(Vec<u8>)| {
            pieces.for_each(take);
            Ok(())
        };
        Index::read(read, STORE, &keyring)
    }

    #[test]
    fn the_index_is_the_same_in_whatever_pieces_the_file_is_read() {
        let kek = KeyEncryptionKey::generate().unwrap();
        let names: Vec<_> = (0..50).map(|n| format!("AKIA{:016}", n * 7919 % 50)).collect();
        let mut slots: Vec<_> = names.iter().map(|name| slot(&kek, name)).collect();
        slots[20] = vec![0; SLOT_BYTES];
        slots[30] = vec![1; SLOT_BYTES];
        slots[40] = vec![0; SLOT_BYTES];
        slots.push(slot(&kek, &names[3]));
        slots.push(slot(&kek, &names[3]));
        slots.push(slot(&kek, "claviger/of-a-name-longer-than-an-access-key-id"));
        slots.push(vec![2; 10]); // the file ends in the midst of it
        for at_once in [1, 2, 7, slots.len()] {
            let index = read(&slots, at_once, &kek).unwrap();
            assert_eq!(index.slots, slots.len() as u64);
            assert_eq!(index.entries.len(), 48);
            assert_eq!(index.entries[names[3].as_str()].slot, 3);
            assert_eq!(index.entries[names[49].as_str()].slot, 49);
            assert_eq!(index.free, [40, 20]);
            assert_eq!(index.damaged, [30, 53]);
            assert_eq!(index.copies, [50, 51]);
            assert!(index.stale.is_empty());
        }
    }

    #[test]
    fn a_key_that_the_ring_cannot_open_ends_the_reading_however_much_follows() {
        let (kek, other) =
            (KeyEncryptionKey::generate().unwrap(), KeyEncryptionKey::generate().unwrap());
        let mut slots = vec![slot(&kek, "ONE"); 200];
        slots[5] = slot(&other, "TWO");
        let error = read(&slots, 1, &kek).err().unwrap();
        assert!(matches!(error, Error::NoSuchKek { needed, .. } if needed == other.id()));
    }
}
