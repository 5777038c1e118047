//! boto3, with the scripts in `tests/clients/boto3`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Dev, Home, Key, succeeded, tool};

fn run(dev: &Dev, key: &Key, script: &str) {
    succeeded(script, command(dev, key, script).output().expect("python runs"));
}

pub(crate) fn command(dev: &Dev, key: &Key, script: &str) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/boto3");
    let mut command = Command::new(tool("venv/bin/python"));
    command.arg(scripts.join(script)).envs(dev.environment(key)).stdin(Stdio::null());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_kept_whatever_their_key() {
    let home = Home::new();
    let dev = home.start();
    run(&dev, &dev.root(), "objects.py");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_what_was_signed_is_never_stored() {
    let home = Home::new();
    let dev = home.start();
    run(&dev, &dev.root(), "tampering.py");
}
