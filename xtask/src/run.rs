//! Running other programs: each is printed, timed, and an error unless it ends with 0.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A step that failed, in words for whoever started it.
#[derive(Debug)]
pub(crate) struct Error(pub(crate) String);

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A program to run.
pub(crate) struct Cmd(Command);

impl Cmd {
    /// `program`, in the directory `dir`, with nothing on standard input.
    pub(crate) fn new(dir: &Path, program: impl AsRef<OsStr>) -> Cmd {
        let mut command = Command::new(program);
        command.current_dir(dir).stdin(Stdio::null());
        Cmd(command)
    }

    /// The cargo that runs this program.
    pub(crate) fn cargo(dir: &Path) -> Cmd {
        Cmd::new(dir, std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item: AsRef<OsStr>>) -> Cmd {
        self.0.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Cmd {
        self.0.env(name, value);
        self
    }

    /// Runs it with its output on ours.
    pub(crate) fn run(mut self) -> Result<()> {
        let shown = self.shown();
        eprintln!("xtask: {shown}");
        let start = Instant::now();
        let status = self.0.status().map_err(|error| cannot_run(&shown, &error))?;
        if !status.success() {
            return Err(Error(format!("`{shown}` failed ({status})")));
        }
        eprintln!("xtask: ... {:.1} s", start.elapsed().as_secs_f64());
        Ok(())
    }

    /// Runs it and gives what it writes on standard output; `None` if it ends with other than 0.
    pub(crate) fn read(mut self) -> Result<Option<String>> {
        let output = self.0.output().map_err(|error| cannot_run(&self.shown(), &error))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(output.status.success().then_some(text))
    }

    /// Runs it, shows what it writes on standard output as it comes, and gives that, and whether it ended
    /// with 0.
    pub(crate) fn show_and_read(mut self) -> Result<(bool, String)> {
        let shown = self.shown();
        eprintln!("xtask: {shown}");
        let start = Instant::now();
        let failed = |error: std::io::Error| cannot_run(&shown, &error);
        let mut child = self.0.stdout(Stdio::piped()).spawn().map_err(failed)?;
        let mut text = String::new();
        for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
            let line = line.map_err(failed)?;
            eprintln!("{line}");
            text.push_str(&line);
            text.push('\n');
        }
        let status = child.wait().map_err(failed)?;
        eprintln!("xtask: ... {:.1} s", start.elapsed().as_secs_f64());
        Ok((status.success(), text))
    }

    /// The command without the folders of programs and arguments' quoting, for people.
    fn shown(&self) -> String {
        let name = Path::new(self.0.get_program()).file_name().unwrap_or(self.0.get_program());
        let words = std::iter::once(name).chain(self.0.get_args());
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    }
}

fn cannot_run(shown: &str, error: &std::io::Error) -> Error {
    Error(format!("cannot run `{shown}`: {error}"))
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir(root: &Path) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root.join(dir),
        None => root.join("target"),
    }
}
