//! A Python client generated from `proto/`, with the scripts in `tests/clients/grpcio`.

use std::path::Path;
use std::process::{Command, Stdio};

use api::identity::v1::{CreateUserRequest, User};
use futures::stream::{self, StreamExt};

use crate::support::{Dev, Home, claviger, succeeded, tool};

/// Users of the account that is paged through.
const USERS: usize = 100_000;

fn command(dev: &Dev, script: &str) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/grpcio");
    let mut command = Command::new(tool("venv/bin/python"));
    command
        .arg(scripts.join(script))
        .env("CLAVIGER_IDENTITY", dev.address("identity"))
        .env("CLAVIGER_TOKEN", dev.text("admin_token"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null());
    command
}

fn run(script: &str, command: &mut Command) {
    succeeded(script, command.output().expect("python runs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_answers_and_refuses_as_its_contract_says() {
    let home = Home::new();
    let dev = home.start();
    run("every_call.py", &mut command(&dev, "every_call.py"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_exactly_one_wins() {
    let home = Home::new();
    let dev = home.start();
    run("races.py", &mut command(&dev, "races.py"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_very_many_users_is_paged_through_whole() {
    let home = Home::new();
    let dev = home.start();
    let account = dev.account();
    let users = dev.users();
    // The root user is one of them.
    let created = stream::iter(1..USERS).map(|n| {
        let (mut users, parent) = (users.clone(), account.clone());
        async move {
            let user = User { user_name: format!("user-{n:06}"), ..Default::default() };
            let request = CreateUserRequest { parent, user: Some(user), ..Default::default() };
            users.create_user(request).await.expect("created");
        }
    });
    created.buffer_unordered(256).collect::<()>().await;
    let script = "paging.py";
    run(
        script,
        command(&dev, script)
            .env("CLAVIGER_ACCOUNT", &account)
            .env("CLAVIGER_USERS", USERS.to_string()),
    );
    let listed = Command::new(claviger())
        .args(["user", "list", "-o", "json", "--endpoint", &dev.text("identity")])
        .env("CLAVIGER_TOKEN", dev.text("admin_token"))
        .output();
    let listed = succeeded("claviger user list", listed.expect("claviger runs"));
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed["users"].as_array().expect("a list").len(), USERS);
}
