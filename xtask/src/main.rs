//! What a developer and CI do with this repository: `cargo xtask <command>`.

mod bench;
mod fuzz;
mod lint;
mod run;
mod test;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::run::Result;

const HELP: &str = "\
Usage: cargo xtask <command> [arguments]

Commands:
  ci              lint, then test, then fuzz a little: what CI runs
  lint            rustfmt, clippy, proto lint, format and breaking changes, dependency rules
  test [ARGS]     install tools, build claviger, run all tests; ARGS go to `cargo test`
                  (`cargo xtask test --package e2e -- buckets` runs some)
  bench [--quick] [ROW...]
                  measure how fast verification is, and print a table of it against its goals; the
                  rows that are named, or all; a figure that misses its goal is no failure
  fuzz [--seconds N] [TARGET...]
                  build the fuzz targets and give each N seconds, 60 if not said; if none is named,
                  all but `frame`, for which most of the workspace is built again
  tools           install what tests and lints need into target/tools, at fixed versions
  help            print this

Needs Rust with clippy and rustfmt, a C++ compiler, Python 3 with venv, Go, Node 20 or newer with npm, a JDK 17 or newer
with Maven, and git; reads nothing from standard input.
Ends with 0 if all went well, 1 if a step failed, 2 if called wrongly.";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next();
    let args: Vec<String> = args.collect();
    let taken_alone = args.is_empty();
    let done = match command.as_deref() {
        Some("test") => test::test(&root(), &args),
        Some("bench") => match bench::Request::parse(&args) {
            Some(request) => bench::bench(&root(), &request),
            None => {
                let rows: Vec<&str> = bench::rows_known().collect();
                eprintln!("Rows: {}\n", rows.join(", "));
                return usage();
            }
        },
        Some("fuzz") => match fuzz::Request::parse(&args) {
            Some(request) => fuzz::fuzz(&root(), &request),
            None => return usage(),
        },
        Some("ci") if taken_alone => ci(),
        Some("lint") if taken_alone => lint::lint(&root()),
        Some("tools") if taken_alone => tools::install(&root()).map(drop),
        Some("help" | "--help" | "-h") => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some(_) | None => return usage(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{HELP}");
    ExitCode::from(2)
}

fn ci() -> Result<()> {
    let root = root();
    let lint = timed(|| lint::lint(&root))?;
    let test = timed(|| test::test(&root, &[]))?;
    let request = fuzz::Request { seconds: fuzz::SECONDS_IN_CI, targets: Vec::new() };
    let fuzz = timed(|| fuzz::fuzz(&root, &request))?;
    let [lint, test, fuzz] = [lint, test, fuzz].map(|time| time.as_secs());
    eprintln!("xtask: all is well: lint {lint} s, test {test} s, fuzz {fuzz} s");
    Ok(())
}

fn timed(step: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    step().map(|()| start.elapsed())
}

/// The root of the repository, one up from this crate.
fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}
