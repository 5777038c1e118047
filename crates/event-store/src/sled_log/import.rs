//! A log made of an archive: all of it, or nothing.

use std::fs::{self, File};
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use super::anchor::Anchor;
use super::files::Files;
use super::open::{database_error, io_error, lock_folder, room_of, sync_folders, write_identity};
use super::{OpenError, SledOptions, key};
use crate::archive::{ArchiveError, Next, Reader};
use crate::{EPOCH_MAX, Verified};

/// How many bytes of frames are written as one.
const CHUNK_BYTES: usize = 1 << 20;

/// Why a log was not imported. Where it was to be, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The archive is not whole, or is none.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Something is in the folder already, such as a log. Move it away first.
    #[error("{} is not empty; a log is imported only where there is none", .0.display())]
    Occupied(PathBuf),
    /// The log was restored so often that there is no number for its next epoch.
    #[error("log has no epoch left after {EPOCH_MAX}")]
    NoEpochLeft,
    /// The disk has no room for it.
    #[error("no room on the disk for the log")]
    Full,
    /// The log cannot be made, or another process is importing here.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Makes the log that an archive is of, in the folder that `options` name, and in the epoch after
/// the archive's: a position from before is then told from one that comes now. Blocks.
///
/// Every event is checked as [`crate::verify`] would. The log is made in a folder beside, named as
/// the one given with `.importing` after it, and put in place, durably, once it is whole; one that was
/// left there by a crash is made anew.
///
/// # Errors
/// [`ImportError`]; nothing usable is left behind, and trying again is safe.
pub fn import(input: impl BufRead, options: SledOptions) -> Result<Verified, ImportError> {
    let SledOptions { dir, sync, room, reserve_bytes, .. } = options;
    refuse_occupied(&dir)?;
    let mut reader = Reader::open(input)?;
    let (log_id, epoch) = (reader.header().log_id, reader.header().epoch + 1);
    if epoch > EPOCH_MAX {
        return Err(ImportError::NoEpochLeft);
    }
    let under_way = UnderWay::begin(&dir)?;
    let path = &under_way.path;
    let in_use = under_way.in_use.try_clone().map_err(|source| io_error(path, source))?;
    let files = Files::open(path, in_use)?;
    let mut sync = match sync {
        Some(sync) => sync,
        None => files.sync()?,
    };
    let mut room = match room {
        Some(room) => room,
        None => room_of(path, reserve_bytes)?,
    };
    let (mut batch, mut bytes) = (sled::Batch::default(), 0);
    let verified = loop {
        let next = reader.next()?;
        if let Next::Frame(frame) = &next {
            batch.insert(&key(frame.position), frame.bytes.as_ref());
            bytes += frame.bytes.len();
        }
        let verified = match next {
            Next::End(verified) => Some(verified),
            Next::Frame(_) => None,
        };
        if bytes >= CHUNK_BYTES || (verified.is_some() && bytes > 0) {
            if !room(bytes as u64).map_err(|source| io_error(path, source))? {
                return Err(ImportError::Full);
            }
            files.events.apply_batch(std::mem::take(&mut batch)).map_err(database_error)?;
            bytes = 0;
        }
        if let Some(verified) = verified {
            break verified;
        }
    };
    // Last, so that what is not whole is no log.
    write_identity(&files.database, &mut sync, path, log_id, epoch)?;
    let (mut anchor, _) = Anchor::open(path).map_err(|source| io_error(path, source))?;
    anchor.write(verified.head).map_err(|source| io_error(path, source))?;
    anchor.sync().map_err(|source| io_error(path, source))?;
    sync_folders(path)?;
    files.close().map_err(|source| io_error(path, source))?;
    under_way.put_in_place(&dir)?;
    Ok(verified)
}

fn refuse_occupied(dir: &Path) -> Result<(), ImportError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(ImportError::Occupied(dir.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(ImportError::Occupied(dir.to_owned()))
        }
        Err(source) => Err(io_error(dir, source).into()),
    }
}

/// A folder that is removed unless it is put in place.
struct UnderWay {
    path: PathBuf,
    in_place: bool,
    in_use: File,
}

impl UnderWay {
    fn begin(dir: &Path) -> Result<Self, OpenError> {
        let mut name = dir.file_name().unwrap_or_default().to_owned();
        name.push(".importing");
        let path = dir.with_file_name(name);
        fs::create_dir_all(&path).map_err(|source| io_error(&path, source))?;
        let in_use = lock_folder(&path)?;
        // What a crash left is of no use. The lock stays, so that nobody else comes between.
        clear(&path).map_err(|source| io_error(&path, source))?;
        Ok(Self { path, in_place: false, in_use })
    }

    fn put_in_place(mut self, dir: &Path) -> Result<(), ImportError> {
        if let Ok(given) = fs::metadata(dir) {
            let set = fs::set_permissions(&self.path, given.permissions());
            set.map_err(|source| io_error(dir, source))?;
        }
        match fs::rename(&self.path, dir) {
            Ok(()) => self.in_place = true,
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                return Err(ImportError::Occupied(dir.to_owned()));
            }
            Err(source) => return Err(io_error(dir, source).into()),
        }
        Ok(sync_folders(dir)?)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.in_place
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "half an import is left behind");
        }
    }
}

/// Removes all but the lock.
fn clear(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() == "lock" {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}
