//! Files that this program makes: whole, or not at all, and for their owner only.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A file under a temporary name beside its own, removed unless it is put in place.
pub(super) struct NewFile {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
    in_place: bool,
}

impl NewFile {
    /// Makes it, with the mode 0600.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let create = || {
            // One that a crash has left behind may be open to others.
            match fs::remove_file(&part) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)
        };
        let file = create().with_context(|| format!("cannot write {}", part.display()))?;
        let file = BufWriter::new(file);
        Ok(Self { path: path.to_owned(), part: part.clone(), file, in_place: false })
    }

    /// # Errors
    /// What the file system says.
    pub(super) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = self.file.write_all(bytes);
        written.with_context(|| format!("cannot write {}", self.part.display()))
    }

    /// Another handle to it, for who must have one of its own.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn handle(&self) -> anyhow::Result<File> {
        Ok(self.file.get_ref().try_clone()?)
    }

    /// Opens what was written so far, to be read from its beginning.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn read_back(&mut self) -> anyhow::Result<File> {
        self.file.flush()?;
        Ok(File::open(&self.part)?)
    }

    /// Gives it its name, and so takes the place of what had that name, durably.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn put_in_place(mut self) -> anyhow::Result<()> {
        let mut put = || -> io::Result<()> {
            self.file.flush()?;
            self.file.get_ref().sync_all()?;
            fs::rename(&self.part, &self.path)?;
            self.in_place = true;
            let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty());
            File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
        };
        put().with_context(|| format!("cannot write {}", self.path.display()))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.in_place {
            // Nothing more can be done about it, and nobody takes it for whole.
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Makes identity's data directory, if there is none, as identity does.
///
/// # Errors
/// What the file system says.
pub(super) fn make_data_dir(path: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot create {}", path.display()))
}

/// Opens a file to be read; `-` stands for stdin.
///
/// # Errors
/// What the file system says.
pub(super) fn open(path: &Path) -> anyhow::Result<Box<dyn Read + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok(Box::new(file))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_there_once_it_is_whole_and_for_its_owner_only() {
        let home = tempfile::tempdir().expect("a place");
        let path = home.path().join("copy");
        fs::write(home.path().join("copy.part"), "left behind").expect("written");
        fs::write(&path, "before").expect("written");

        let mut file = NewFile::create(&path).expect("made");
        file.write(b"half").expect("written");
        drop(file);
        assert_eq!(fs::read_to_string(&path).expect("there"), "before");

        let mut file = NewFile::create(&path).expect("made");
        file.write(b"whole").expect("written");
        file.put_in_place().expect("named");
        assert_eq!(fs::read_to_string(&path).expect("there"), "whole");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(home.path()).expect("there").count(), 1);
    }
}
