//! Secrets come from variables or from files that only their owner may read, never from flags.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use zeroize::Zeroizing;

/// More than any secret has.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The secret that a variable holds, or else a file: the one that a flag or variable names, or else
/// the one that the configuration file names. None if nothing is set.
///
/// # Errors
/// If the variable is set and so is `given_file`; if the file cannot be read, or others may.
pub(crate) fn find(
    variable: &str,
    given_file: Option<&Path>,
    configured_file: Option<&Path>,
) -> anyhow::Result<Option<Zeroizing<String>>> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty()).map(Zeroizing::new);
    match (value, given_file) {
        (Some(_), Some(path)) => bail!(
            "{variable} and the file {} are both given: leave one of them out",
            path.display()
        ),
        (Some(value), None) => Ok(Some(value)),
        (None, given) => given.or(configured_file).map(read).transpose(),
    }
}

/// Reads a secret, without the line feed that files end in. The path `-` stands for stdin.
pub(crate) fn read(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    read_if(path, |mode| {
        ensure!(mode & 0o077 == 0, "others may read it (mode {mode:o}): chmod 600 it");
        Ok(())
    })
}

/// As [`read`], but says so where others may read the file, and reads it: for a secret that may well be
/// everybody's, such as that of a published example.
pub(crate) fn read_any(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    read_if(path, |mode| {
        if mode & 0o077 != 0 {
            eprintln!("note: others may read {} (mode {mode:o})", path.display());
        }
        Ok(())
    })
}

fn read_if(
    path: &Path,
    check: impl Fn(u32) -> anyhow::Result<()>,
) -> anyhow::Result<Zeroizing<String>> {
    let read = || -> anyhow::Result<Zeroizing<String>> {
        if path == Path::new("-") {
            let mut text = Zeroizing::new(String::new());
            io::stdin().lock().take(FILE_BYTES_MAX).read_to_string(&mut text)?;
            return Ok(text);
        }
        let file = File::open(path)?;
        let mode = file.metadata()?.permissions().mode() & 0o777;
        check(mode)?;
        let mut text = Zeroizing::new(String::new());
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read().with_context(|| format!("secret file {}", path.display()))?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    /// A variable that every process has, and one that none has.
    const SET: &str = "PATH";
    const UNSET: &str = "CLAVIGER_TEST_UNSET";

    #[test]
    fn a_file_is_read_only_if_nobody_else_may() {
        let home = tempfile::tempdir().expect("a place");
        let path = home.path().join("token");
        fs::write(&path, "0123456789abcdef\n").expect("written");
        for (mode, readable) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
            let found = find(UNSET, Some(&path), None);
            if readable {
                assert_eq!(*found.expect("read").expect("set"), "0123456789abcdef");
            } else {
                let error = format!("{:#}", found.expect_err("refused"));
                assert!(error.contains("chmod 600"), "{error}");
            }
        }
    }

    #[test]
    fn a_variable_goes_before_the_configuration_and_not_with_a_flag() {
        let missing = Path::new("/nonexistent/token");
        assert!(find(UNSET, None, None).expect("unset").is_none());
        assert!(find(SET, None, Some(missing)).expect("set").is_some());
        assert!(find(UNSET, None, Some(missing)).is_err());
        let error = find(SET, Some(missing), None).expect_err("both").to_string();
        assert!(error.contains("are both given"), "{error}");
    }
}
