//! Where the log ended, written down outside sled.
//!
//! sled takes what it cannot read for a write that a crash cut off, and forgets it and all that
//! follows: a rotten block would so take back what was acknowledged, a locked user or a deleted key,
//! and what is left would still be a whole chain. The anchor tells. It is written after each group
//! is durable and not synced itself: it may say less than there is, and never more.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::{Hash, Head, Position};

const FILE: &str = "anchor";
/// Position (8 bytes, little endian), hash (32), CRC32C of both (4, little endian), zeros.
const SLOT_BYTES: usize = 64;
const CHECKED_BYTES: usize = 40;

/// Two slots in one file, written in turn: a torn write costs one of them.
pub(super) struct Anchor {
    file: File,
    turn: u64,
}

impl Anchor {
    /// Opens the anchor in `dir`, or makes it, and tells the last head that it holds.
    pub(super) fn open(dir: &Path) -> io::Result<(Self, Option<Head>)> {
        let path = dir.join(FILE);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        let slots = (0..2).filter_map(|turn| {
            let mut slot = [0; SLOT_BYTES];
            file.read_exact_at(&mut slot, turn * SLOT_BYTES as u64).ok()?;
            Some((turn, decode(&slot)?))
        });
        let last = slots.max_by_key(|(_, head)| head.position);
        let turn = last.map_or(0, |(turn, _)| 1 - turn);
        Ok((Self { file, turn }, last.map(|(_, head)| head)))
    }

    /// Writes down where the log ends now.
    pub(super) fn write(&mut self, head: Head) -> io::Result<()> {
        self.file.write_all_at(&encode(head), self.turn * SLOT_BYTES as u64)?;
        self.turn = 1 - self.turn;
        Ok(())
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

fn encode(head: Head) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..8].copy_from_slice(&head.position.0.to_le_bytes());
    slot[8..CHECKED_BYTES].copy_from_slice(&head.hash.0);
    let crc = crc32c::crc32c(&slot[..CHECKED_BYTES]);
    slot[CHECKED_BYTES..CHECKED_BYTES + 4].copy_from_slice(&crc.to_le_bytes());
    slot
}

fn decode(slot: &[u8; SLOT_BYTES]) -> Option<Head> {
    let (position, rest) = slot.split_first_chunk()?;
    let hash = rest.first_chunk()?;
    let head = Head { position: Position(u64::from_le_bytes(*position)), hash: Hash(*hash) };
    (encode(head) == *slot).then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(position: u64) -> Head {
        Head { position: Position(position), hash: Hash([7; 32]) }
    }

    #[test]
    fn the_last_head_is_told_also_when_a_write_was_torn() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut anchor, last) = Anchor::open(dir.path()).expect("opened");
        assert_eq!(last, None);
        for position in [1, 2, 5] {
            anchor.write(head(position)).expect("written");
        }
        let (mut anchor, last) = Anchor::open(dir.path()).expect("opened");
        assert_eq!(last, Some(head(5)));
        anchor.write(head(9)).expect("written");
        assert_eq!(Anchor::open(dir.path()).expect("opened").1, Some(head(9)));
        for slot in 0..2 {
            let path = dir.path().join(FILE);
            let mut bytes = std::fs::read(&path).expect("read");
            let whole = bytes.clone();
            bytes[slot * SLOT_BYTES + 3] ^= 1;
            std::fs::write(&path, bytes).expect("written");
            let left = Anchor::open(dir.path()).expect("opened").1.expect("one is whole");
            assert!([5, 9].contains(&left.position.0), "{left:?}");
            std::fs::write(&path, whole).expect("written");
        }
    }
}
