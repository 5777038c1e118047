//! The directory: one file per record, one per run of bytes, and how both survive a crash.
//!
//! ```text
//! demo-store.lock                               held while the store is open
//! buckets/<bucket>/bucket.json                  a bucket is there as long as this is
//! buckets/<bucket>/objects/<sha256 of key>.json an object, likewise
//! buckets/<bucket>/uploads/<id>/upload.json     a multipart upload, likewise
//! buckets/<bucket>/uploads/<id>/<number>.json   one of its parts
//! data/<id>                                     bytes, named by some record or else left over
//! ```
//!
//! Bytes are written first and synced, then the record that names them replaces its predecessor in
//! one rename: a reader and a crash see either the old object or the new one.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

/// The paths of a store, and the lock that keeps a second process out.
#[derive(Debug)]
pub(crate) struct Files {
    dir: PathBuf,
    _lock: File,
}

impl Files {
    /// Opens the directory, made if need be, and takes its lock.
    ///
    /// # Errors
    /// `DirectoryNotEmpty` if there is something else in it, since opening a store removes what no
    /// record names; `ResourceBusy` if another process has it open; else what the file system says.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let lock = dir.join("demo-store.lock");
        if !lock.try_exists()? && fs::read_dir(dir)?.next().is_some() {
            return Err(io::Error::new(
                io::ErrorKind::DirectoryNotEmpty,
                format!("{} holds something else than a demo store", dir.display()),
            ));
        }
        let lock = File::options().create(true).append(true).open(lock)?;
        for subject in ["buckets", "data"] {
            fs::create_dir_all(dir.join(subject))?;
        }
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("{} is in use by another process", dir.display()),
            )),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub(crate) fn buckets(&self) -> PathBuf {
        self.dir.join("buckets")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(crate) fn bucket(&self, bucket: &str) -> PathBuf {
        self.buckets().join(bucket)
    }

    pub(crate) fn bucket_record(&self, bucket: &str) -> PathBuf {
        self.bucket(bucket).join("bucket.json")
    }

    pub(crate) fn objects(&self, bucket: &str) -> PathBuf {
        self.bucket(bucket).join("objects")
    }

    /// The record of the object under `key`, whose hash names the file: no key, whatever its
    /// length and bytes, leads out of the directory or into another key's way.
    pub(crate) fn object_record(&self, bucket: &str, key: &str) -> PathBuf {
        let name = hex::encode(Sha256::digest(key.as_bytes()));
        self.objects(bucket).join(format!("{name}.json"))
    }

    pub(crate) fn uploads(&self, bucket: &str) -> PathBuf {
        self.bucket(bucket).join("uploads")
    }

    /// The directory of the upload `id`, an identifier that this store made.
    pub(crate) fn upload(&self, bucket: &str, id: &str) -> PathBuf {
        self.uploads(bucket).join(id)
    }

    pub(crate) fn upload_record(&self, bucket: &str, id: &str) -> PathBuf {
        self.upload(bucket, id).join("upload.json")
    }

    pub(crate) fn part_record(&self, bucket: &str, id: &str, number: u16) -> PathBuf {
        self.upload(bucket, id).join(format!("{number}.json"))
    }

    /// A place for new bytes, which goes away again unless [kept](Blob::keep).
    pub(crate) fn new_blob(&self) -> Arc<Blob> {
        self.blob(Uuid::now_v7(), false)
    }

    /// The bytes that a record names.
    pub(crate) fn recorded_blob(&self, id: Uuid) -> Arc<Blob> {
        self.blob(id, true)
    }

    fn blob(&self, id: Uuid, recorded: bool) -> Arc<Blob> {
        let path = self.data().join(id.to_string());
        Arc::new(Blob { id, path, recorded: AtomicBool::new(recorded) })
    }

    /// Removes the bytes that no record names: uploads that a crash cut short, say.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn sweep(&self, recorded: &HashSet<Uuid>) -> io::Result<usize> {
        let mut swept = 0;
        for entry in fs::read_dir(self.data())? {
            let entry = entry?;
            let id = entry.file_name().to_str().and_then(|name| Uuid::parse_str(name).ok());
            if id.is_none_or(|id| !recorded.contains(&id)) {
                fs::remove_file(entry.path())?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}

/// A file of bytes, never changed once written, removed when its last holder is done with it
/// unless a record names it then.
#[derive(Debug)]
pub(crate) struct Blob {
    id: Uuid,
    path: PathBuf,
    recorded: AtomicBool,
}

impl Blob {
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A record is about to name this. Should writing it fail half-way, the next open decides.
    pub(crate) fn keep(&self) {
        self.recorded.store(true, Ordering::Release);
    }

    /// No record names this any more; readers that have it may finish.
    pub(crate) fn release(&self) {
        self.recorded.store(false, Ordering::Release);
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        if !self.recorded.load(Ordering::Acquire) {
            // Missing if nothing was written; what else fails is swept at the next open.
            _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes a record in place of what is at `path`: all of it or, after a crash, none.
///
/// One writer at a time per path.
///
/// # Errors
/// What the file system says; the old record or the new one is then there.
pub(crate) fn write_record<T: Serialize>(path: &Path, record: &T) -> io::Result<()> {
    let json = serde_json::to_vec(record)?;
    let written = path.with_extension("new");
    let mut file = File::create(&written)?;
    file.write_all(&json)?;
    file.sync_all()?;
    fs::rename(&written, path)?;
    sync_parent(path)
}

/// Removes a record.
///
/// # Errors
/// What the file system says; the record may then still be there.
pub(crate) fn remove_record(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    sync_parent(path)
}

/// Reads one record, `None` if there is none.
///
/// # Errors
/// What the file system says, `InvalidData` if the file is no such record.
pub(crate) fn read_record<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let json = match fs::read(path) {
        Ok(json) => json,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    serde_json::from_slice(&json).map(Some).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
    })
}

/// Reads all records in `dir` but one of the name `except`, and clears away half-written ones.
///
/// # Errors
/// As for [`read_record`].
pub(crate) fn read_records<T: DeserializeOwned>(
    dir: &Path,
    except: Option<&str>,
) -> io::Result<Vec<T>> {
    let mut records = Vec::new();
    for path in entries(dir)? {
        let excepted = except.is_some_and(|name| path.ends_with(name));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") if !excepted => records.extend(read_record(&path)?),
            Some("new") => fs::remove_file(&path)?,
            Some(_) | None => {}
        }
    }
    Ok(records)
}

/// The paths in `dir`, none if there is no such directory.
///
/// # Errors
/// What the file system says.
pub(crate) fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Makes sure that files made, renamed or removed beside `path` are so after a crash too.
///
/// # Errors
/// What the file system says.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_safe(key: &str) {
        let dir = tempfile::tempdir().expect("a directory");
        let files = Files::open(dir.path()).expect("opens");
        let path = files.object_record("bucket", key);
        assert_eq!(path.parent(), Some(files.objects("bucket").as_path()), "{key:?}");
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        assert_eq!(name.len(), 64 + ".json".len());
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'), "{name}");
    }

    #[test]
    fn awkward_keys_get_plain_file_names() {
        let long = "é".repeat(512);
        for key in ["../../x", "/", "a//b", "a/../b", "dir/", ".", "..", "%2F", "\u{1}\0", &long] {
            check_safe(key);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_key_gets_a_plain_file_name(key: String) {
            check_safe(&key);
        }
    }

    #[test]
    fn keys_do_not_share_file_names() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = Files::open(dir.path()).expect("opens");
        let keys = ["dir", "dir/", "dir/f", "a/b", "a//b", "a/./b", "A/b", "a%2Fb"];
        let paths: HashSet<_> = keys.iter().map(|key| files.object_record("b", key)).collect();
        assert_eq!(paths.len(), keys.len());
    }

    #[test]
    fn bytes_go_when_the_last_holder_does() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = Files::open(dir.path()).expect("opens");
        let blob = files.new_blob();
        fs::write(blob.path(), "bytes").expect("writes");
        blob.keep();
        let path = blob.path().to_owned();
        let reader = Arc::clone(&blob);
        blob.release();
        drop(blob);
        assert!(path.exists(), "a reader still holds it");
        drop(reader);
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_of_other_things_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(dir.path().join("data/thesis")).expect("creates");
        let error = Files::open(dir.path()).expect_err("is no store");
        assert_eq!(error.kind(), io::ErrorKind::DirectoryNotEmpty);
        assert_eq!(entries(dir.path()).expect("lists").len(), 1);
    }

    #[test]
    fn a_second_opener_is_turned_away() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = Files::open(dir.path()).expect("opens");
        let second = Files::open(dir.path()).expect_err("is locked");
        assert_eq!(second.kind(), io::ErrorKind::ResourceBusy);
        drop(first);
        Files::open(dir.path()).expect("opens again");
    }
}
