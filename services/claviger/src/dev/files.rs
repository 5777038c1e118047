//! The data directory of `claviger dev`: whose it is, and files in it that only the owner reads.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use sealing::{KeyEncryptionKey, Keyring};

/// A configuration for the aws CLI and boto3.
const AWS_CONFIG: &str = "aws-config";
const LOCK: &str = "lock";
const KEK: &str = "kek";
/// What is sealed under the key-encryption key, and so of no use without it.
const SEALED: [&str; 3] = ["keystore", "log", super::state::FILE];

/// A data directory, for this process alone.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Holds the lock until dropped.
    _lock: File,
}

impl DataDir {
    /// Opens the directory, with its key-encryption key; makes both if there are none.
    ///
    /// # Errors
    /// If another process has it, if it holds something else, or if its key is missing.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot create {shown}"))?;
        let entries = fs::read_dir(path).with_context(|| format!("cannot read {shown}"))?;
        // A volume of its own has that folder from the beginning.
        let empty = entries.flatten().all(|entry| entry.file_name() == "lost+found");
        let ours = path.join(LOCK).exists() || empty;
        ensure!(ours, "{shown} is not empty and is no data directory of `claviger dev`");
        let lock = lock(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o700))
            .with_context(|| format!("cannot close {shown} to others"))?;
        let dir = Self { path: path.to_owned(), _lock: lock };
        dir.ensure_kek()?;
        Ok(dir)
    }

    /// Writes a configuration for the aws CLI and boto3, and tells where: without it they presign
    /// URLs by the long deprecated Signature Version 2, in us-east-1 of all regions.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn aws_config(&self) -> anyhow::Result<PathBuf> {
        let path = std::path::absolute(self.path(AWS_CONFIG))?;
        write_private(&path, b"[default]\ns3 =\n    signature_version = s3v4\n")?;
        Ok(path)
    }

    /// Where a file of the directory is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.path
    }

    /// The ring with the directory's key-encryption key.
    pub(crate) fn keyring(&self) -> anyhow::Result<Keyring> {
        Ok(Keyring::new(KeyEncryptionKey::from_file(&self.path(KEK))?))
    }

    fn ensure_kek(&self) -> anyhow::Result<()> {
        let path = self.path(KEK);
        if path.exists() {
            return Ok(());
        }
        if let Some(sealed) = SEALED.iter().find(|name| self.path(name).exists()) {
            bail!(
                "{} is missing, and {sealed} cannot be read without it: put the file back, or \
                 choose another --data-dir",
                path.display()
            );
        }
        let kek = KeyEncryptionKey::generate()?;
        write_private(&path, format!("{}\n", *kek.expose_hex()).as_bytes())
    }
}

fn lock(dir: &Path) -> anyhow::Result<File> {
    let path = dir.join(LOCK);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("data directory {} is in use by another process", dir.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Writes a file that only its owner may read: whole or, if the machine stops meanwhile, not at
/// all.
///
/// # Errors
/// What the file system says. What stood there before still does then.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || {
        let temporary = path.with_extension("tmp");
        // One that a crash has left behind may be open to others.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // The new name is in the directory, which is a file too.
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("exists").permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_reads_the_directory_and_its_key() {
        let home = tempfile::tempdir().expect("a place");
        let dir = DataDir::open(&home.path().join("a/b")).expect("new");
        assert_eq!((mode(dir.root()), mode(&dir.path(KEK))), (0o700, 0o600));
        let id = dir.keyring().expect("a key").primary().id();
        drop(dir);
        let again = DataDir::open(&home.path().join("a/b")).expect("there");
        assert_eq!(again.keyring().expect("a key").primary().id(), id);
    }

    #[test]
    fn a_directory_belongs_to_one_process() {
        let home = tempfile::tempdir().expect("a place");
        let _held = DataDir::open(home.path()).expect("free");
        let error = DataDir::open(home.path()).expect_err("held").to_string();
        assert!(error.ends_with("is in use by another process"), "{error}");
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let home = tempfile::tempdir().expect("a place");
        fs::write(home.path().join("thesis.txt"), "mine").expect("written");
        let error = DataDir::open(home.path()).expect_err("not ours").to_string();
        assert!(error.contains("is not empty"), "{error}");
        assert!(!home.path().join(KEK).exists());
    }

    #[test]
    fn a_lost_key_is_not_replaced() {
        let home = tempfile::tempdir().expect("a place");
        drop(DataDir::open(home.path()).expect("new"));
        fs::write(home.path().join("keystore"), "sealed").expect("written");
        fs::remove_file(home.path().join(KEK)).expect("there");
        let error = DataDir::open(home.path()).expect_err("lost").to_string();
        assert!(error.contains("is missing, and keystore cannot be read"), "{error}");
        assert!(!home.path().join(KEK).exists());
    }

    #[test]
    fn a_private_file_is_replaced_whole() {
        let home = tempfile::tempdir().expect("a place");
        let path = home.path().join("secret");
        // Left behind by a crash, and open to all.
        fs::write(path.with_extension("tmp"), "half").expect("written");
        for text in ["one", "another"] {
            write_private(&path, text.as_bytes()).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("there"), text);
            assert_eq!(mode(&path), 0o600);
        }
        assert_eq!(fs::read_dir(home.path()).expect("there").count(), 1);
    }
}
