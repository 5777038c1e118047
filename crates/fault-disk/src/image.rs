//! What is on a disk: files and folders.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Files with their bytes, and folders (none), by their paths below some folder.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Image(pub BTreeMap<String, Option<Vec<u8>>>);

impl Image {
    /// What is below `dir`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn load(dir: &Path) -> io::Result<Self> {
        let mut image = Self::default();
        image.load_below(dir, "")?;
        Ok(image)
    }

    fn load_below(&mut self, dir: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                self.load_below(&entry.path(), &format!("{path}/"))?;
                self.0.insert(path, None);
            } else {
                self.0.insert(path, Some(fs::read(entry.path())?));
            }
        }
        Ok(())
    }

    /// Writes it below `dir`, which is made if need be and should be empty.
    ///
    /// # Errors
    /// What the file system says.
    pub fn store(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        for (path, bytes) in &self.0 {
            match bytes {
                None => fs::create_dir_all(dir.join(path))?, // before what is in it: paths are sorted
                Some(bytes) => fs::write(dir.join(path), bytes)?,
            }
        }
        Ok(())
    }

    /// What is below one of its folders.
    pub fn below(&self, folder: &str) -> Self {
        let prefix = format!("{folder}/");
        let inside = self.0.iter().filter_map(|(path, bytes)| {
            Some((path.strip_prefix(&prefix)?.to_owned(), bytes.clone()))
        });
        Self(inside.collect())
    }
}

/// Syncs a folder with all that is in it.
///
/// # Errors
/// What the file system says.
pub fn sync_all(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => sync_all(&entry.path())?,
            false => File::open(entry.path())?.sync_all()?,
        }
    }
    File::open(dir)?.sync_all()
}
