//! What must hold before the tests are run.

use std::path::Path;

use crate::run::{Cmd, Error, Result};
use crate::tools::{self, Tools};

/// Crates that must not come in through a dependency's default features: TLS is rustls with ring only.
const ABSENT: [&str; 3] = ["aws-lc-rs", "openssl-sys", "native-tls"];

/// Crates whose types cross our interfaces: two copies of one would not fit together.
const SINGLE: [&str; 6] = ["tonic", "prost", "hyper", "axum", "rustls", "opentelemetry"];

pub(crate) fn lint(root: &Path) -> Result<()> {
    let cargo = || Cmd::cargo(root);
    cargo().args(["fmt", "--all", "--check"]).run()?;
    check_dependencies(root)?;
    protos(root, &tools::install(root)?)?;
    cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).run()
}

fn protos(root: &Path, tools: &Tools) -> Result<()> {
    let buf = || Cmd::new(root, tools.buf());
    buf().args(["lint"]).run()?;
    buf().args(["format", "proto", "--diff", "--exit-code"]).run()?;
    match baseline(root)? {
        Some(commit) => {
            // Ours alone: a contract of others may be one that was not there before.
            let against = format!(".git#ref={commit},subdir=proto");
            buf().args(["breaking", "proto", "--against", &against]).run()
        }
        None => {
            eprintln!("xtask: no earlier protos to compare with");
            Ok(())
        }
    }
}

/// The commit whose protos must still be understood: the newest release, else the parent commit.
fn baseline(root: &Path) -> Result<Option<String>> {
    let git = |args: &[&str]| Cmd::new(root, "git").args(args).read();
    let tags = git(&["tag", "--list", "v*", "--sort=-version:refname", "--merged", "HEAD"])?;
    let newest = tags.as_deref().and_then(|tags| tags.lines().next()).filter(|tag| !tag.is_empty());
    let candidate = newest.unwrap_or("HEAD^");
    let Some(commit) =
        git(&["rev-parse", "--verify", "--quiet", &format!("{candidate}^{{commit}}")])?
    else {
        return Ok(None); // the first commit, or a checkout without history
    };
    let commit = commit.trim().to_owned();
    let files = git(&["ls-tree", "-r", "--name-only", &commit, "--", "proto", "buf.yaml"])?;
    let files = files.unwrap_or_default();
    let has = |end: &str| files.lines().any(|file| file.ends_with(end));
    Ok((has(".proto") && has("buf.yaml")).then_some(commit))
}

fn check_dependencies(root: &Path) -> Result<()> {
    let tree = Cmd::cargo(root)
        .args(["tree", "--workspace", "--locked", "--target", "all", "--edges", "normal,build"])
        .args(["--prefix", "none", "--format", "{p}"])
        .read()?
        .ok_or_else(|| Error("`cargo tree` failed: is Cargo.lock up to date?".to_owned()))?;
    let faults = faults(&tree);
    if faults.is_empty() { Ok(()) } else { Err(Error(faults.join("; "))) }
}

/// What is wrong with a dependency tree, given one `name version` a line.
fn faults(tree: &str) -> Vec<String> {
    let versions = |name: &str| {
        let mut versions: Vec<&str> = tree
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .map(|version| version.split(' ').next().unwrap_or(version))
            .collect();
        versions.sort_unstable();
        versions.dedup();
        versions
    };
    let present = ABSENT.iter().filter(|name| !versions(name).is_empty());
    let present = present.map(|name| format!("{name} is a dependency (`cargo tree -i {name}`)"));
    let copies = SINGLE.iter().map(|name| (name, versions(name)));
    let copies = copies.filter(|(_, versions)| versions.len() != 1);
    let copies =
        copies.map(|(name, versions)| format!("{name} should be there once: {versions:?}"));
    present.chain(copies).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "tonic v0.14.9\nprost v0.14.4\nprost v0.14.4 (*)\nhyper v1.12.0\n\
        axum v0.8.9\nrustls v0.23.46\nopentelemetry v0.33.1\nopentelemetry-otlp v0.33.0";

    #[track_caller]
    fn check(more: &str, expected: &[&str]) {
        assert_eq!(faults(&format!("{GOOD}\n{more}")), expected);
    }

    #[test]
    fn one_copy_of_each_is_well() {
        check("", &[]);
    }

    #[test]
    fn a_second_copy_is_a_fault() {
        check("prost v0.13.5", &["prost should be there once: [\"v0.13.5\", \"v0.14.4\"]"]);
    }

    #[test]
    fn a_second_tls_provider_is_a_fault() {
        check("aws-lc-rs v1.19.0", &["aws-lc-rs is a dependency (`cargo tree -i aws-lc-rs`)"]);
    }
}
