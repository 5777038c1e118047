//! Puts the layer below a child process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs, io};

use crate::{Image, Record, Rule, read};

/// What the child is told, and the names of its environment variables.
pub mod environment {
    /// The folder whose files are watched; an absolute path without symbolic links.
    pub const FOLDER: &str = "FAULT_DISK_FOLDER";
    /// The journal, outside that folder.
    pub const JOURNAL: &str = "FAULT_DISK_JOURNAL";
    /// The folder of the flags, outside that folder.
    pub const FLAGS: &str = "FAULT_DISK_FLAGS";
    /// The rules, see [`crate::Rule`].
    pub const RULES: &str = "FAULT_DISK_RULES";
    /// How long a sync takes, in microseconds.
    pub const SYNC_MICROS: &str = "FAULT_DISK_SYNC_MICROS";
}

/// The flag on which the child ends.
#[doc(hidden)]
pub const STOP: &str = "stop";

const LIBRARY: &str = "libfault_disk_preload.so";
const SYNC_TAKES: Duration = Duration::from_micros(300);

/// A folder whose files are watched while a child process uses them.
pub struct Layer {
    dir: PathBuf,
    rules: Vec<Rule>,
    sync_takes: Duration,
}

impl Layer {
    /// Below a folder of its own, in `dir`, which is to hold `image`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn new(dir: &Path, image: &Image) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let dir = fs::canonicalize(dir)?;
        image.store(&dir.join("disk"))?;
        fs::create_dir_all(dir.join("flags"))?;
        Ok(Self { dir, rules: Vec::new(), sync_takes: SYNC_TAKES })
    }

    /// Lets some calls fail.
    pub fn rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules.extend(rules);
        self
    }

    /// Lets all calls succeed again, for the next child.
    pub fn without_rules(mut self) -> Self {
        self.rules.clear();
        self
    }

    /// Lets a sync take so many microseconds, in place of 300.
    pub fn sync_micros(mut self, micros: u64) -> Self {
        self.sync_takes = Duration::from_micros(micros);
        self
    }

    /// The folder that is watched.
    pub fn disk(&self) -> PathBuf {
        self.dir.join("disk")
    }

    /// A command that runs `program` with the layer below it. What it notes is added to what an earlier
    /// one did.
    ///
    /// # Panics
    /// When the library is not where cargo builds it: beside this test, since the test's package has
    /// `fault-disk-preload` among its `dev-dependencies`.
    pub fn command(&self, program: &Path) -> Command {
        let test = env::current_exe().expect("a test knows where it is");
        let library = test.with_file_name(LIBRARY);
        assert!(library.exists(), "{} is missing", library.display());
        let rules: Vec<String> = self.rules.iter().map(Rule::to_string).collect();
        let mut command = Command::new(program);
        command
            .env("LD_PRELOAD", library)
            .env(environment::FOLDER, self.disk())
            .env(environment::JOURNAL, self.journal())
            .env(environment::FLAGS, self.dir.join("flags"))
            .env(environment::RULES, rules.join(";"))
            .env(environment::SYNC_MICROS, self.sync_takes.as_micros().to_string());
        command
    }

    /// Ends the child, as a kill does, at whatever call comes next. (A kill may come when a call is made
    /// and not noted yet: what another child then finds is not what was noted.)
    ///
    /// # Errors
    /// What the file system says.
    pub fn stop(&self) -> io::Result<()> {
        fs::write(self.dir.join("flags").join(STOP), "")
    }

    /// Lets the next child run.
    ///
    /// # Errors
    /// What the file system says; also when none was stopped.
    pub fn go_on(&self) -> io::Result<()> {
        fs::remove_file(self.dir.join("flags").join(STOP))
    }

    fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }

    /// What was noted so far.
    ///
    /// # Errors
    /// As for [`read`]; also when there is no journal: the layer was not below the child.
    pub fn records(&self) -> io::Result<Vec<Record>> {
        read(&self.journal())
    }
}

/// Puts a flag up, in the child.
///
/// # Errors
/// What the file system says; [`io::ErrorKind::NotFound`] when no layer is below this process.
pub fn raise(flag: &str) -> io::Result<()> {
    fs::write(path_of(flag)?, "")
}

/// Takes a flag down, in the child.
///
/// # Errors
/// As for [`raise`]; also when it is not up.
pub fn lower(flag: &str) -> io::Result<()> {
    fs::remove_file(path_of(flag)?)
}

fn path_of(flag: &str) -> io::Result<PathBuf> {
    let flags = env::var_os(environment::FLAGS);
    let flags = flags.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    Ok(Path::new(&flags).join(flag))
}
