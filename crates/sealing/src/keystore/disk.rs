//! What the writer asks of the operating system: replaceable, so that tests can let it fail.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::header::{HEADER_BYTES, HEADERS};
use super::read_padded;

/// How much is read at once, and written again.
const CHUNK_BYTES: usize = 1 << 20;
/// After how much written again it is synced: so much room a file system that copies on write needs.
const SYNC_BYTES: u64 = 16 << 20;

/// Writes at a place, perhaps not all of it, and says how much.
pub(super) type WriteFn = Box<dyn FnMut(&File, u64, &[u8]) -> io::Result<usize> + Send>;
/// Makes durable whatever was written before.
pub(super) type SyncFn = Box<dyn FnMut(&File) -> io::Result<()> + Send>;
/// Gives the file so many more bytes from a place on, its end: all zero, and with room on the disk.
pub(super) type GrowFn = Box<dyn FnMut(&File, u64, u64) -> io::Result<()> + Send>;

/// The keystore's file, and how it is used.
pub(super) struct Disk {
    pub(super) file: File,
    pub(super) calls: Calls,
}

pub(super) struct Calls {
    pub(super) write: WriteFn,
    pub(super) sync: SyncFn,
    pub(super) grow: GrowFn,
}

impl Calls {
    /// Those of the operating system.
    pub(super) fn system() -> Self {
        Self {
            write: Box::new(write_at),
            sync: Box::new(File::sync_data),
            grow: Box::new(|file, at, bytes| {
                grow(file, at, bytes).inspect_err(|_| {
                    // What was grown nevertheless is given back. If not, it is zeros: free slots.
                    let longer = file.metadata().is_ok_and(|metadata| metadata.len() > at);
                    drop(longer.then(|| file.set_len(at)));
                })
            }),
        }
    }
}

impl Disk {
    /// Writes. `false` when there is no room, and then nothing was written: file systems that copy on
    /// write want room also for what is written over.
    pub(super) fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<bool> {
        let mut written = 0;
        while written < bytes.len() {
            match (self.calls.write)(&self.file, at + written as u64, &bytes[written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if written == 0 && is_full(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        (self.calls.sync)(&self.file)
    }

    /// Grows the file. `false` when there is no room.
    pub(super) fn grow(&mut self, at: u64, bytes: u64) -> io::Result<bool> {
        match (self.calls.grow)(&self.file, at, bytes) {
            Ok(()) => Ok(true),
            Err(error) if is_full(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Writes all of a file over with itself, durably: also what the kernel holds for clean and is not on
/// the disk. What a loss of power leaves of it was to be found there before, too.
///
/// The copies of the header one after the other, so that one is whole while the other is written. What
/// follows them goes to `take` on the way, in order: all that is read is then read once. It is durable
/// when this answers.
pub(super) fn write_again(mut file: &File, mut take: impl FnMut(Vec<u8>)) -> io::Result<()> {
    let (mut at, mut synced) = (0, 0);
    loop {
        let is_header = at < (HEADERS * HEADER_BYTES) as u64;
        let chunk = if is_header { HEADER_BYTES } else { CHUNK_BYTES };
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = vec![0; chunk];
        let read = read_padded(&mut file, &mut bytes)?;
        bytes.truncate(read);
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&bytes)?;
        at += read as u64;
        if !is_header {
            take(bytes);
        }
        if is_header || at - synced >= SYNC_BYTES {
            file.sync_data()?;
            synced = at;
        }
        if read < chunk {
            return file.sync_all();
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), FileTooLarge | QuotaExceeded | StorageFull)
}

fn write_at(mut file: &File, at: u64, bytes: &[u8]) -> io::Result<usize> {
    file.seek(SeekFrom::Start(at))?;
    file.write(bytes)
}

#[cfg(target_os = "linux")]
fn grow(file: &File, at: u64, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::{Errno, retry_on_intr};

    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), at, bytes)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(file, at, bytes),
        grown => Ok(grown?),
    }
}

#[cfg(not(target_os = "linux"))]
fn grow(file: &File, at: u64, bytes: u64) -> io::Result<()> {
    write_zeros(file, at, bytes)
}

fn write_zeros(mut file: &File, at: u64, bytes: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    io::copy(&mut io::repeat(0).take(bytes), &mut file).map(drop)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_file_written_again_is_as_it_was() {
        for length in [0, 100, 512, 513, 1024, 1025, CHUNK_BYTES + 1024, CHUNK_BYTES * 2 + 1500] {
            let mut file = tempfile::tempfile().unwrap();
            let whole: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            file.write_all(&whole).unwrap();
            let mut taken = Vec::new();
            write_again(&file, |bytes| {
                assert!(bytes.len() == CHUNK_BYTES || bytes.len() == (length - 1024) % CHUNK_BYTES);
                taken.extend(bytes);
            })
            .unwrap();
            let mut bytes = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut bytes).unwrap();
            assert!(bytes == whole, "{length}");
            assert!(taken == whole.get(1024..).unwrap_or_default(), "{length}");
        }
    }

    #[test]
    fn a_file_grows_by_zeros_that_have_room() {
        for grow in [grow, write_zeros] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"before").unwrap();
            grow(&file, 6, 100_000).unwrap();
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(0)).unwrap();
            file.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, [&b"before"[..], &[0; 100_000]].concat());
            file.sync_all().unwrap();
            assert!(file.metadata().unwrap().blocks() * 512 >= 100_000);
        }
    }
}
