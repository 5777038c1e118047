//! Room on the disk, made before a group is numbered and not found missing when it is written.
//!
//! sled's file grows by segments of half a MiB, each written where the last one ended. A write that
//! finds no room fails the log, as any failed write must. So the blocks are taken ahead of sled: they
//! lie behind the end of its file, whose length stays as it is, and sled grows into them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

/// How far ahead of sled blocks are taken, so that it is not done for each group.
const STEP_BYTES: u64 = 16 << 20;
/// sled writes an event more than once (five to six times, measured): by itself, with its leaf, and
/// again when it tidies a segment.
const WRITTEN_TIMES: u64 = 8;
/// What sled may write without being asked: the segments that it is in and tidies.
const SEGMENTS_BYTES: u64 = 4 * (512 << 10);
/// What the file system counts blocks in, whatever their size.
const COUNTED_BYTES: u64 = 512;

/// The room ahead of sled's file, and what is left to others on its disk.
pub(super) struct Room {
    dir: PathBuf,
    file: File,
    reserve_bytes: u64,
}

impl Room {
    /// Of the log in `dir`, which must have its database.
    pub(super) fn of(dir: &Path, reserve_bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).open(dir.join("db"))?;
        Ok(Self { dir: dir.to_owned(), file, reserve_bytes })
    }

    /// Sees to it that a group of `group_bytes` can be written. False when there is no room.
    pub(super) fn make(&self, group_bytes: u64) -> io::Result<bool> {
        let needed = group_bytes.saturating_mul(WRITTEN_TIMES).saturating_add(SEGMENTS_BYTES);
        let metadata = self.file.metadata()?;
        let (length, taken) = (metadata.len(), metadata.blocks().saturating_mul(COUNTED_BYTES));
        // Asked of the file each time: sled gives back what lies ahead when it shortens its file.
        if taken.saturating_sub(length) >= needed {
            return Ok(true);
        }
        let ahead = needed.max(STEP_BYTES);
        if !has_room(&self.dir, ahead, self.reserve_bytes)? {
            return Ok(false);
        }
        loop {
            return match fallocate(&self.file, FallocateFlags::KEEP_SIZE, length, ahead) {
                Ok(()) => Ok(true),
                // The file system cannot, and there is room.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(true),
                Err(Errno::NOSPC | Errno::DQUOT) => Ok(false),
                Err(Errno::INTR) => continue,
                Err(error) => Err(error.into()),
            };
        }
    }
}

/// Whether `bytes` can be written to the disk that `dir` is on, with the reserve left over.
pub(super) fn has_room(dir: &Path, bytes: u64, reserve_bytes: u64) -> io::Result<bool> {
    let disk = statvfs(dir)?;
    let available = disk.f_bavail.saturating_mul(disk.f_frsize);
    Ok(available >= bytes.saturating_add(reserve_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(dir: &Path, bytes: usize) -> PathBuf {
        let path = dir.join("db");
        std::fs::write(&path, vec![1; bytes]).expect("written");
        path
    }

    #[test]
    fn blocks_are_taken_ahead_of_the_file_and_its_length_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = file_of(dir.path(), 1_000_000);
        let room = Room::of(dir.path(), 0).expect("opened");
        assert!(room.make(1).expect("asked"));
        let taken = || {
            let metadata = std::fs::metadata(&path).expect("there");
            (metadata.len(), metadata.blocks() * COUNTED_BYTES)
        };
        let (length, first) = taken();
        assert_eq!(length, 1_000_000);
        assert!(first >= length + STEP_BYTES, "{first}");
        assert!(room.make(1).expect("asked"));
        assert_eq!(taken().1, first, "what was taken is enough for long");

        // As sled does when it shortens its file: what lay ahead is gone, and is taken again.
        File::options().write(true).open(&path).expect("opened").set_len(500_000).expect("cut");
        assert!(taken().1 < STEP_BYTES);
        assert!(room.make(1).expect("asked"));
        assert!(taken().1 >= 500_000 + STEP_BYTES);
    }

    #[test]
    fn without_its_reserve_a_disk_has_no_room() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = file_of(dir.path(), 10);
        let room = Room::of(dir.path(), u64::MAX).expect("opened");
        assert!(!room.make(1).expect("asked"));
        assert!(std::fs::metadata(path).expect("there").blocks() < 100, "nothing was taken");
        let room = Room::of(dir.path(), 0).expect("opened");
        assert!(!room.make(u64::MAX).expect("asked"));
    }
}
