//! Clients that are generated from `proto/` in several languages, in `tests/polyglot`, run as docs/clients.md says.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Home, succeeded, tool};

/// What each client tells, in this order, if all is as it should be.
const TOLD: &str = "\
made an account and a user
made an access key
verified a request that the AWS SDK signed, and refused it with another host
saw the event
rotated with a grace period: both secrets are good
rotated without one: only the new secret is good
read an error: INVALID_FIELD of user.user_name
deleted the user and the account
";

fn guide() -> String {
    read("docs/clients.md")
}

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The blocks of a language that the guide shows under a heading.
fn blocks<'a>(guide: &'a str, heading: &str, language: &str) -> Vec<&'a str> {
    let section = guide.split("\n## ").find(|section| section.lines().next() == Some(heading));
    let section = section.unwrap_or_else(|| panic!("no section {heading}"));
    let start = format!("```{language}\n");
    let blocks = section.split(&start).skip(1);
    blocks.map(|block| block.split("```").next().expect("has a first part")).collect()
}

/// Runs a client, which the installation has made by the first commands that are shown.
fn check(heading: &str) {
    let home = Home::new();
    let dev = home.start();
    let guide = guide();
    let [_make, run] = blocks(&guide, heading, "sh")[..] else { panic!("{heading}") };
    let [told] = blocks(&guide, "Where Claviger is", "sh")[..] else { panic!("one block") };
    let script = format!("set -e\n{told}{run}")
        .replace("127.0.0.1:7110", &dev.address("identity"))
        .replace("127.0.0.1:7120", &dev.address("auth"));
    let mut path = tool("venv/bin").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(tool("polyglot"))
        .env("PATH", path)
        .env("CLAVIGER_TOKEN", dev.text("admin_token"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // It runs once and shortly.
        .env("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
        .stdin(Stdio::null())
        .output();
    assert_eq!(succeeded(&script, output.expect("sh runs")), TOLD);
}

#[test]
fn a_client_in_python_does_what_the_guide_says() {
    check("Python");
}

#[test]
fn a_client_in_go_does_what_the_guide_says() {
    check("Go");
}

#[test]
fn a_client_in_typescript_does_what_the_guide_says() {
    check("TypeScript");
}

#[test]
fn a_client_in_java_does_what_the_guide_says() {
    check("Java");
}

/// Where one line follows the other, the indentation apart.
fn shows(file: &str, block: &str) -> bool {
    let lines = |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
    let (file, block) = (lines(file), lines(block));
    !block.is_empty() && file.windows(block.len()).any(|lines| lines == block)
}

#[test]
fn what_the_guide_shows_is_what_runs() {
    let guide = guide();
    for (heading, language, file) in [
        ("Python", "python", "python/main.py"),
        ("Go", "yaml", "go/buf.gen.yaml"),
        ("Go", "go", "go/main.go"),
        ("TypeScript", "yaml", "typescript/buf.gen.yaml"),
        ("TypeScript", "ts", "typescript/src/main.ts"),
        ("Java", "xml", "java/pom.xml"),
        ("Java", "java", "java/src/main/java/io/claviger/example/Main.java"),
    ] {
        let text = read(&format!("tests/polyglot/{file}"));
        let blocks = blocks(&guide, heading, language);
        assert!(!blocks.is_empty(), "{heading} shows no {language}");
        for block in blocks {
            assert!(shows(&text, block), "{file} has nowhere:\n{block}");
        }
    }
}
