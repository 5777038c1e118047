//! All tests, the end-to-end ones with a real `claviger` and real clients.

use std::path::{Path, PathBuf};

use crate::run::{Cmd, Error, Result, target_dir};
use crate::tools;

/// Runs `cargo test`, for the whole workspace unless `args` pick packages.
pub(crate) fn test(root: &Path, args: &[String]) -> Result<()> {
    let tools = tools::install(root)?;
    let binary = build(root, args)?;
    let cargo_args = || args.iter().map(String::as_str).take_while(|arg| *arg != "--");
    let picks = |arg: &str| {
        arg == "--workspace"
            || arg == "--all"
            || arg.starts_with("-p")
            || arg.starts_with("--package")
    };
    let workspace = if cargo_args().any(picks) { None } else { Some("--workspace") };
    Cmd::cargo(root)
        .args(["test"])
        .args(workspace)
        .args(args)
        .env("CLAVIGER_BIN", &binary)
        .env("CLAVIGER_TOOLS", tools.dir())
        .run()
}

/// Builds `claviger` in the profile of the tests, so that both share what is compiled.
fn build(root: &Path, args: &[String]) -> Result<PathBuf> {
    let release =
        args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--release" || arg == "-r");
    let build = Cmd::cargo(root).args(["build", "--package", "claviger", "--bin", "claviger"]);
    build.args(release.then_some("--release")).run()?;
    let profile = if release { "release" } else { "debug" };
    let binary = target_dir(root).join(profile).join("claviger");
    if binary.exists() {
        Ok(binary)
    } else {
        Err(Error(format!("{} is missing after the build", binary.display())))
    }
}
