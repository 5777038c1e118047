//! The servers as processes of their own, set up by a file: Version 2 where it is accepted, and an auth that is away.

use std::process::Command;

use serde_json::Value;

use super::script;
use crate::servers::{Server, cli, secret};
use crate::support::{Home, succeeded};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_asks_processes_that_are_set_up_by_a_file() {
    let home = Home::new();
    let dir = home.path();
    let random = || uuid::Uuid::new_v4().simple().to_string();
    let (old, new) = (random(), random());
    for name in ["admin-token", "auth-token", "gateway-token", "acting-token", "upstream"] {
        secret(dir, name, &random());
    }
    secret(dir, "kek", &(random() + &random()));
    secret(dir, "password", &new);
    secret(dir, "old-password", &old);
    let any = "127.0.0.1:0";
    let tokens = ["--admin-token-file", "admin-token", "--auth-token-file", "auth-token"];
    let args =
        ["--data-dir", "data", "--kek-file", "kek", "--listen", any, "--accept-signature-v2"];
    let mut identity = Server::start(dir, "identity", &[&args[..], &tokens].concat());
    let endpoint = format!("http://{}", identity.told("serving gRPC", "address"));
    let made = cli(dir, &endpoint, &["account", "create", "Example Ltd"]);
    let args = ["--listen", any, "--gateway-token-file", "gateway-token", "--accept-signature-v2"];
    let args = [&args[..], &["--identity", &endpoint], &tokens].concat();
    let mut auth = Server::start(dir, "auth", &args);
    let config = format!(
        r#"
        [gateway]
        s3_listen = "{any}"
        rest_listen = "{any}"
        auth = "http://{auth}"
        gateway_token_file = "gateway-token"
        account_id = {account}
        [gateway.upstream]
        endpoint = "http://127.0.0.1:9"
        access_key_id = "AKIAUPSTREAM00000000"
        secret_access_key_file = "upstream"
        [[gateway.keystone.services]]
        name = "swift"
        password_file = "password"
        old_password_file = "old-password"
        "#,
        auth = auth.told("serving gRPC", "address"),
        account = made["account"]["accountId"],
    );
    std::fs::write(dir.join("claviger.toml"), config).expect("written");
    let mut gateway = Server::start(dir, "gateway", &["--config", "claviger.toml"]);
    let url = format!("http://{}/v3", gateway.told("serving management", "address"));
    let ask = |what: &str, password: &str| {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let mut command: Command = script("version_2.py");
        command.arg(what).env("OS_AUTH_URL", &url).env("OS_USERNAME", "swift");
        command.env("OS_PASSWORD", password);
        command.env("AWS_ACCESS_KEY_ID", text(&made["accessKey"]["accessKeyId"]));
        command.env("AWS_SECRET_ACCESS_KEY", text(&made["secretAccessKey"]));
        succeeded(&format!("version_2.py {what}"), command.output().expect("python runs"));
    };
    ask("served", &new);
    ask("served", &old);
    // Without auth nobody is refused, and nobody let in.
    auth.terminate();
    ask("away", &new);
    gateway.terminate();
    identity.terminate();
}
