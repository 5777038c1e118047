//! Keystone's API, as OpenStack's own library, Swift and RGW ask by it.

mod rgw;
mod servers;
mod swift;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Dev, Home, Key, succeeded, tool};

/// A script in `tests/clients/openstack`, in the environment of OpenStack's packages.
fn script(name: &str) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/openstack");
    let mut command = Command::new(tool("openstack/bin/python"));
    // Swift stands on a library that says of itself that it is old.
    command.args(["-W", "ignore"]).arg(scripts.join(name)).stdin(Stdio::null());
    command
}

/// As whom a store signs in: what the configurations of OpenStack call it, and what it is.
fn service(dev: &Dev) -> Vec<(String, String)> {
    let told = dev.told["keystone"].as_object().expect("is told").iter();
    told.map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned())).collect()
}

/// Asks about a request by this key as a store does; gives the store's password and token.
pub(crate) async fn sign_in_and_ask(dev: &Dev, key: &Key) -> (String, String) {
    let rgw = rgw::Rgw::start(dev).await;
    rgw.authenticate(key, Duration::ZERO).await.expect("is let in");
    (dev.text("keystone/password"), rgw.admin_token)
}

#[tokio::test(flavor = "multi_thread")]
async fn keystoneauth_signs_in_and_asks() {
    let home = Home::new();
    let dev = home.start();
    let Key { id, secret } = dev.root();
    let mut command = script("sessions.py");
    command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
    for (name, value) in service(&dev) {
        command.env(format!("OS_{}", name.to_uppercase()), value);
    }
    succeeded("sessions.py", command.output().expect("python runs"));
}
