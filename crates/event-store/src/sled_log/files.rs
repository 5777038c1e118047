//! sled's files, from before sled opens them until it has let go of them.
//!
//! **What is read must be what the disk has.** When the kernel cannot write a page it says so once, to
//! whoever syncs, and then holds the page for clean: it is still read, no sync writes it, and it is
//! gone with the power. So a process that ends over a failed sync leaves a log that the next one reads
//! whole and goes on upon, and that a loss of power leaves a hole in, below what was acknowledged then.
//!
//! Nobody can ask the kernel which pages these are. So a log that was not closed in order is written
//! over with what is read of it, and synced, before sled opens it: every page is dirty then, and
//! durable after. Whatever a loss of power meanwhile leaves of a block, it was to be found there before
//! too. This costs a pass over the file, after a kill or a failure only.
//!
//! That a log was closed in order is told by an empty file, `closed`: made once sled has let go and
//! all is synced, removed before sled opens its files again. If in doubt it is missing, and the worst is
//! a pass too many. It needs no sync: as long as the pages in question live in memory, so does its
//! removal; and after a loss of power, when it may be there again, all that is read is on the disk.
//!
//! To ask the kernel to drop its pages instead (`posix_fadvise`), so as to read what the disk has, would
//! be as honest, were it not for the kernel to do so or not.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::open::{EVENTS, database_error, io_error, open_database};
use super::{OpenError, SyncFn};

const DATABASE: &str = "db";
const CLOSED: &str = "closed";
/// How long sled's threads may take to let go of a log that was closed.
pub(super) const SLED_LOCK_WAIT: Duration = Duration::from_secs(5);
/// How much is read at once, and written again.
const CHUNK_BYTES: usize = 1 << 20;
/// After how much written again it is synced: so much room a file system that copies on write needs.
const SYNC_BYTES: u64 = 16 << 20;

/// A log's database, open. Dropped, it is not known to be as it should be, and looked over when it is
/// opened again: see [`Self::close`].
pub(super) struct Files {
    dir: PathBuf,
    pub(super) events: sled::Tree,
    pub(super) database: sled::Db,
    /// sled's file, through a descriptor of our own: it is told of each page that cannot be written
    /// from here on.
    file: File,
    /// Dropped last.
    _in_use: File,
}

impl Files {
    /// Opens what is in `dir`, or makes it. What is read is durable from here on.
    pub(super) fn open(dir: &Path, in_use: File) -> Result<Self, OpenError> {
        let failed = |source| io_error(dir, source);
        let before = open_existing(dir).map_err(failed)?;
        if let Some(file) = &before {
            let was_closed = dir.join(CLOSED).try_exists().map_err(failed)?;
            if !was_closed {
                write_again_alone(dir, file)?;
            }
        }
        remove_if_there(&dir.join(CLOSED)).map_err(failed)?;
        let database = open_database(dir)?;
        let events = database.open_tree(EVENTS).map_err(database_error)?;
        let file = match before {
            Some(file) => file,
            None => {
                let made = open_existing(dir).map_err(failed)?;
                made.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?
            }
        };
        // What sled recovered is answered upon, too.
        file.sync_data().map_err(failed)?;
        Ok(Self { dir: dir.to_owned(), events, database, file, _in_use: in_use })
    }

    /// An `fdatasync` on sled's file.
    pub(super) fn sync(&self) -> Result<SyncFn, OpenError> {
        let file = self.file.try_clone().map_err(|source| io_error(&self.dir, source))?;
        Ok(Box::new(move || file.sync_data()))
    }

    /// Closes a log that has not failed: what it has shown and answered is durable. It is known then
    /// that it need not be looked over, if sled lets go of it soon.
    pub(super) fn close(self) -> io::Result<()> {
        let Self { dir, events, database, file, _in_use } = self;
        drop((events, database));
        if !lock_within(&file, SLED_LOCK_WAIT)? {
            return Err(io::Error::other("database still holds its files"));
        }
        let marked = file.sync_data().and_then(|()| File::create(dir.join(CLOSED)).map(drop));
        file.unlock()?; // others may have the descriptor
        marked
    }
}

fn open_existing(dir: &Path) -> io::Result<Option<File>> {
    match OpenOptions::new().read(true).write(true).open(dir.join(DATABASE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        file => file.map(Some),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Writes the database's file again while nobody else does.
fn write_again_alone(dir: &Path, file: &File) -> Result<(), OpenError> {
    let failed = |source| io_error(dir, source);
    if !lock_within(file, SLED_LOCK_WAIT).map_err(failed)? {
        return Err(OpenError::InUse(dir.to_owned()));
    }
    let start = Instant::now();
    let written = write_again(file);
    file.unlock().map_err(failed)?; // sled locks it through a descriptor of its own
    let bytes = written.map_err(failed)?;
    let took_ms = start.elapsed().as_millis();
    tracing::info!(bytes, took_ms, "event log was not closed in order; made durable what there is");
    Ok(())
}

/// Writes all of a file over with itself, durably, and says how much that was.
fn write_again(file: &File) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let (mut at, mut synced) = (0, 0);
    loop {
        let read = match file.read_at(&mut buffer, at) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        file.write_all_at(&buffer[..read], at)?;
        at += read as u64;
        if at - synced >= SYNC_BYTES {
            file.sync_data()?;
            synced = at;
        }
    }
    file.sync_all()?;
    Ok(at)
}

/// Takes sled's own lock, once nobody has it. False when that takes too long.
fn lock_within(file: &File, wait: Duration) -> io::Result<bool> {
    let until = Instant::now() + wait;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() > until => return Ok(false),
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(1)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_written_again_is_as_it_was() {
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 7] {
            let file = tempfile::tempfile().expect("a file");
            let whole: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            file.write_all_at(&whole, 0).expect("written");
            assert_eq!(write_again(&file).expect("written again"), length as u64);
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, 0).expect("read");
            assert!(bytes == whole && file.metadata().expect("there").len() == length as u64);
        }
    }

    #[test]
    fn a_log_is_marked_as_closed_only_when_it_was_closed_in_order() {
        let dir = tempfile::tempdir().expect("a folder");
        let open = || {
            let in_use = File::create(dir.path().join("lock")).expect("a file");
            let files = Files::open(dir.path(), in_use).expect("opened");
            assert!(!dir.path().join(CLOSED).exists());
            files
        };
        for _ in 0..2 {
            open().close().expect("closed");
            assert!(dir.path().join(CLOSED).exists());
        }
        drop(open());
        assert!(!dir.path().join(CLOSED).exists());
        open().close().expect("closed");
        assert!(dir.path().join(CLOSED).exists());
        // Whoever has a copy of the tree keeps sled from letting go.
        let files = open();
        let tree = files.events.clone();
        let waited = thread::spawn(move || files.close());
        thread::sleep(Duration::from_millis(50));
        assert!(!waited.is_finished() && !dir.path().join(CLOSED).exists());
        drop(tree);
        waited.join().expect("no panic").expect("closed");
        assert!(dir.path().join(CLOSED).exists());
    }
}
