//! Clients in several languages, generated from the protos and built by the commands of `docs/clients.md`.
//!
//! That is done on a copy, so that nothing is written into the sources.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Tools, once};
use crate::run::{Cmd, Error, Result};

/// The first block of shell under the heading of a client makes it.
const GUIDE: &str = "docs/clients.md";

/// What all are made from, beside their own folders: protos, and the versions of `buf` and of Python's packages.
const SHARED: [&str; 4] = ["buf.yaml", "proto", "third_party", super::REQUIREMENTS];

/// What the commands make, where somebody ran them in the sources.
const MADE: [&str; 6] = ["__pycache__", "dist", "gen", "node_modules", "polyglot", "target"];

struct Client {
    heading: &'static str,
    folder: &'static str,
    needs: &'static [Need],
    /// A file that is made last.
    last: &'static str,
}

/// A program that is not installed here.
struct Need {
    program: &'static str,
    version: &'static str,
    /// The oldest that will do, by the first number of its version; 0 for any.
    oldest: u32,
    /// What to install.
    told: &'static str,
}

const CLIENTS: [Client; 4] = [
    Client {
        heading: "Python",
        folder: "tests/polyglot/python",
        needs: &[],
        last: "gen/claviger/identity/v1/user_service_pb2_grpc.py",
    },
    Client {
        heading: "Go",
        folder: "tests/polyglot/go",
        needs: &[Need { program: "go", version: "version", oldest: 0, told: "Go 1.24 or newer" }],
        last: "polyglot",
    },
    Client {
        heading: "TypeScript",
        folder: "tests/polyglot/typescript",
        needs: &[
            Need { program: "node", version: "--version", oldest: 20, told: "Node 20 or newer" },
            Need { program: "npm", version: "--version", oldest: 0, told: "npm" },
        ],
        last: "dist/main.js",
    },
    Client {
        heading: "Java",
        folder: "tests/polyglot/java",
        needs: &[
            Need { program: "javac", version: "-version", oldest: 17, told: "a JDK, 17 or newer" },
            Need { program: "mvn", version: "--version", oldest: 0, told: "Maven 3.8 or newer" },
        ],
        last: "target/classes/io/claviger/example/Main.class",
    },
];

/// Makes those that are missing, or whose protos, sources or commands have changed.
pub(super) fn install(root: &Path, tools: &Tools) -> Result<()> {
    let guide =
        fs::read_to_string(root.join(GUIDE)).map_err(|error| cannot("read", GUIDE, &error))?;
    let copy = tools.dir().join("polyglot");
    fs::create_dir_all(&copy).map_err(|error| cannot("make", "a folder", &error))?;
    let mut path = tools.dir().join("venv/bin").into_os_string();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    for client in &CLIENTS {
        let commands = commands(&guide, client.heading)
            .ok_or_else(|| Error(format!("{GUIDE} has no commands under {}", client.heading)))?;
        let sources = client.sources(root)?;
        let wanted = commands.to_owned() + &contents(root, &sources)?;
        let stamp = copy.join(format!("{}.installed", client.heading.to_lowercase()));
        once(&stamp, &wanted, &[copy.join(client.folder).join(client.last)], || {
            client.needs.iter().try_for_each(|need| need.check(root, client.heading))?;
            client.copy(root, &sources, &copy)?;
            Cmd::new(&copy, "sh").args(["-ec", commands]).env("PATH", &path).run()
        })?;
    }
    Ok(())
}

impl Client {
    fn made_from(&self) -> impl Iterator<Item = &'static str> {
        SHARED.into_iter().chain([self.folder])
    }

    /// The files that it is made from, below the root, in order.
    fn sources(&self, root: &Path) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for source in self.made_from() {
            find(root, source.into(), &mut files)
                .map_err(|error| cannot("read", source, &error))?;
        }
        Ok(files)
    }

    fn copy(&self, root: &Path, sources: &[PathBuf], copy: &Path) -> Result<()> {
        for source in self.made_from() {
            remove(&copy.join(source)).map_err(|error| cannot("remove", source, &error))?;
        }
        sources.iter().try_for_each(|source| {
            copy_file(&root.join(source), &copy.join(source))
                .map_err(|error| cannot("copy", &source.to_string_lossy(), &error))
        })
    }
}

impl Need {
    fn check(&self, root: &Path, client: &str) -> Result<()> {
        let Self { program, version, oldest, told } = self;
        let found = Cmd::new(root, program).args([version]).read().ok().flatten();
        if found.is_some_and(|text| *oldest == 0 || first_number(&text) >= Some(*oldest)) {
            return Ok(());
        }
        Err(Error(format!("the client in {client} needs `{program}`: install {told}")))
    }
}

/// `20` of `v20.1.0`.
fn first_number(text: &str) -> Option<u32> {
    let digits = text.trim_start_matches(|char: char| !char.is_ascii_digit());
    digits.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok()
}

/// The first block of shell under a heading of the second level.
fn commands<'a>(guide: &'a str, heading: &str) -> Option<&'a str> {
    let section = guide.split("\n## ").find(|section| section.lines().next() == Some(heading))?;
    section.split("```sh\n").nth(1)?.split("```").next()
}

/// Names and contents.
fn contents(root: &Path, files: &[PathBuf]) -> Result<String> {
    let mut contents = String::new();
    for file in files {
        let name = file.to_string_lossy();
        let text = fs::read_to_string(root.join(file));
        contents.push_str(&name);
        contents.push_str(&text.map_err(|error| cannot("read", &name, &error))?);
    }
    Ok(contents)
}

/// Adds the files at or below `path`, in order; not those that were made there.
fn find(root: &Path, path: PathBuf, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let full = root.join(&path);
    if !full.is_dir() {
        files.push(path);
        return Ok(());
    }
    let entries = fs::read_dir(full)?.collect::<std::io::Result<Vec<_>>>()?;
    let mut names: Vec<_> = entries.iter().map(fs::DirEntry::file_name).collect();
    names.retain(|name| !MADE.iter().any(|made| name == made));
    names.sort_unstable();
    names.iter().try_for_each(|name| find(root, path.join(name), files))
}

fn remove(path: &Path) -> std::io::Result<()> {
    if path.is_dir() { fs::remove_dir_all(path) } else { Ok(()) }
}

fn copy_file(from: &Path, to: &Path) -> std::io::Result<()> {
    to.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::copy(from, to).map(drop)
}

fn cannot(what: &str, which: &str, error: &std::io::Error) -> Error {
    Error(format!("cannot {what} {which}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_known_by_its_first_number() {
        for (text, expected) in
            [("v20.1.0\n", Some(20)), ("javac 17.0.15", Some(17)), ("10", Some(10)), ("none", None)]
        {
            assert_eq!(first_number(text), expected, "{text}");
        }
    }

    #[test]
    fn a_program_that_is_missing_or_old_is_told_of() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let need = |program, oldest| Need { program, version: "--version", oldest, told: "it" };
        assert!(need("cargo", 1).check(root, "Rust").is_ok());
        for (program, oldest) in [("cargo", 1000), ("no-such-program", 0)] {
            let Err(Error(told)) = need(program, oldest).check(root, "Rust") else {
                panic!("{program} will do")
            };
            assert_eq!(told, format!("the client in Rust needs `{program}`: install it"));
        }
    }

    #[test]
    fn commands_are_the_first_shell_under_a_heading() {
        let guide = "# Clients\n\n```sh\nno\n```\n## Go\n\n```go\nno\n```\n```sh\none\ntwo\n```\n```sh\nno\n```\n";
        assert_eq!(commands(guide, "Go"), Some("one\ntwo\n"));
        assert_eq!(commands(guide, "Java"), None);
    }
}
