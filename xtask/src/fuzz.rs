//! The fuzz targets of all crates, by libFuzzer, for a bounded time.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{Cmd, Error, Result, target_dir};

/// How long CI gives each target, in seconds.
pub(crate) const SECONDS_IN_CI: u32 = 4;
/// How long a developer gives each target if nothing else is said.
const SECONDS: u32 = 60;

/// Targets that run only when they are named: most of the workspace is built once more for them, which takes minutes.
const ONLY_BY_NAME: [&str; 1] = ["frame"];

/// What cargo-fuzz tells the compiler for libFuzzer's coverage, which stable Rust has too. The sanitizers, which it has
/// not, would find little: the crates here have no unsafe code.
const RUSTFLAGS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1", // two units of a crate would get two tables of the same functions
    "--cfg=fuzzing",
];

/// What `cargo xtask fuzz` was asked for.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Request {
    pub(crate) seconds: u32,
    /// The targets to run; if empty, all but those that are slow to build.
    pub(crate) targets: Vec<String>,
}

impl Request {
    /// Reads `[--seconds N] [TARGET...]`; `None` if it is anything else.
    pub(crate) fn parse(args: &[String]) -> Option<Self> {
        let mut request = Self { seconds: SECONDS, targets: Vec::new() };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if arg == "--seconds" {
                // libFuzzer takes 0 for no end.
                request.seconds = args.next()?.parse().ok().filter(|&seconds| seconds > 0)?;
            } else if arg.starts_with('-') {
                return None;
            } else {
                request.targets.push(arg.clone());
            }
        }
        Some(request)
    }
}

/// Builds the targets that are asked for and runs one after the other. The first input at fault ends it.
pub(crate) fn fuzz(root: &Path, request: &Request) -> Result<()> {
    let host = host(root)?;
    let out = target_dir(root).join("fuzz");
    let mut count = 0;
    for folder in folders(root)? {
        let is_wanted = |name: &String| {
            if request.targets.is_empty() {
                !ONLY_BY_NAME.contains(&name.as_str())
            } else {
                request.targets.contains(name)
            }
        };
        let targets: Vec<_> =
            names(&folder.join("fuzz_targets"))?.into_iter().filter(is_wanted).collect();
        if targets.is_empty() {
            continue;
        }
        let build = Cmd::cargo(&folder)
            .args(["build", "--release", "--locked", "--target", &host])
            .args(targets.iter().flat_map(|name| ["--bin", name.as_str()]))
            .env("CARGO_TARGET_DIR", &out)
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS.join("\u{1f}"));
        build.run()?;
        for name in &targets {
            run(&folder, &out, &host, name, request.seconds)?;
            count += 1;
        }
    }
    if count == 0 {
        return Err(Error(format!("no fuzz target is named {}", request.targets.join(" or "))));
    }
    Ok(())
}

fn run(folder: &Path, out: &Path, host: &str, name: &str, seconds: u32) -> Result<()> {
    // What libFuzzer finds worth keeping goes to the first folder, and not into the repository.
    let (found, at_fault) = (out.join("corpus").join(name), out.join("artifacts"));
    for folder in [&found, &at_fault] {
        fs::create_dir_all(folder)
            .map_err(|error| Error(format!("cannot make {folder:?}: {error}")))?;
    }
    let at_fault = format!("-artifact_prefix={}/{name}-", at_fault.display());
    let own = folder.join("corpus").join(name);
    Cmd::new(folder, out.join(host).join("release").join(name))
        .args([format!("-max_total_time={seconds}"), at_fault])
        .args(["-timeout=5", "-rss_limit_mb=1024", "-max_len=16384", "-verbosity=0"])
        .args([&found])
        .args(own.is_dir().then_some(&own))
        .run()
}

/// The folders `crates/*/fuzz`, in order.
fn folders(root: &Path) -> Result<Vec<PathBuf>> {
    let crates = root.join("crates");
    let names = entries(&crates)?.into_iter();
    Ok(names.map(|name| crates.join(name).join("fuzz")).filter(|fuzz| fuzz.is_dir()).collect())
}

/// The names of the Rust files in a folder, without the ending, in order.
fn names(folder: &Path) -> Result<Vec<String>> {
    let names = entries(folder)?.into_iter();
    Ok(names.filter_map(|name| Some(name.strip_suffix(".rs")?.to_owned())).collect())
}

fn entries(folder: &Path) -> Result<Vec<String>> {
    let unreadable = |error| Error(format!("cannot read {}: {error}", folder.display()));
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        names.push(entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The platform that the compiler is for. Naming it keeps the flags away from build scripts.
fn host(root: &Path) -> Result<String> {
    let version = Cmd::new(root, "rustc").args(["-vV"]).read()?.unwrap_or_default();
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Error("`rustc -vV` does not tell the host".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(args: &str, expected: Option<(u32, &[&str])>) {
        let args: Vec<_> = args.split_whitespace().map(str::to_owned).collect();
        let expected = expected.map(|(seconds, targets)| Request {
            seconds,
            targets: targets.iter().map(|&name| name.to_owned()).collect(),
        });
        assert_eq!(Request::parse(&args), expected, "{args:?}");
    }

    #[test]
    fn seconds_and_targets_are_read() {
        check("", Some((SECONDS, &[])));
        check("--seconds 5", Some((5, &[])));
        check("head --seconds 5 post", Some((5, &["head", "post"])));
    }

    #[test]
    fn other_arguments_are_refused() {
        for args in ["--seconds", "--seconds 0", "--seconds -1", "--seconds x", "--second 1", "-h"]
        {
            check(args, None);
        }
    }
}
