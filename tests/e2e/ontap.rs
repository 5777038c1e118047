//! NetApp ONTAP's REST API at the gateway: NetApp's client library for Python, with the script in
//! `tests/clients/netapp_ontap`.

use std::path::Path;
use std::process::{Command, Stdio};

use api::event::v1::AccountSettings;
use api::identity::v1::{
    Account, CreateAccountRequest, CreateUserRequest, ListEventsRequest, SetPasswordRequest, User,
};

use crate::support::{Home, succeeded, tool};

const PASSWORD: &str = "correct-horse-battery-staple";

#[tokio::test(flavor = "multi_thread")]
async fn netapps_own_library_manages_s3_users() {
    let home = Home::new();
    let dev = home.start();
    let settings = AccountSettings {
        access_keys_per_user_max: 1,
        access_key_lifetime_seconds_max: 29 * 86_400,
        ..Default::default()
    };
    let account =
        Account { display_name: "Other".into(), settings: Some(settings), ..Default::default() };
    let request = CreateAccountRequest { account: Some(account), ..Default::default() };
    let other = dev.accounts().create_account(request).await.expect("created").into_inner();
    let other = other.account.expect("there").account_id;
    let user = Some(User { user_name: "alice".into(), ..Default::default() });
    let request = CreateUserRequest { parent: dev.account(), user, ..Default::default() };
    let alice = dev.users().create_user(request).await.expect("created").into_inner();
    let name = alice.user.expect("there").name;
    let request = SetPasswordRequest { name, password: PASSWORD.into(), ..Default::default() };
    dev.users().set_password(request).await.expect("set");

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/netapp_ontap/users.py");
    let mut command = Command::new(tool("venv/bin/python"));
    command
        .arg(script)
        .envs(dev.environment(&dev.root()))
        .env("CLAVIGER_MANAGEMENT_URL", dev.text("rest"))
        .env("CLAVIGER_TOKEN", dev.text("admin_token"))
        .env("SVM_UUID", dev.text("account/id"))
        .env("OTHER_SVM_UUID", other)
        .env("ROOT_LOGIN", dev.text("root/login"))
        .env("ROOT_PASSWORD", dev.text("root/password"))
        .env("ALICE_LOGIN", format!("alice@{}", dev.text("account/number")))
        .env("ALICE_PASSWORD", PASSWORD)
        .stdin(Stdio::null());
    let said = succeeded("users.py", command.output().expect("python runs"));
    assert!(said.contains("all as it should be"), "{said}");

    // The trail says through which facade, by whom, and under which request id.
    let request = ListEventsRequest {
        kinds: vec!["user_created".into()],
        page_size: 1000,
        ..Default::default()
    };
    let events = dev.events().list_events(request).await.expect("listed").into_inner().events;
    let made = events.last().and_then(|event| event.actor.clone()).expect("there");
    assert_eq!((made.facade.as_str(), made.source_address.as_str()), ("ontap", "127.0.0.1"));
    assert!(made.principal.ends_with(":root"), "{}", made.principal);
    let log = home.log();
    assert!(log.contains(&made.request_id), "the access log has the request's id");
    // Secrets that were brought, and what was shown to get in.
    for secret in [&"s".repeat(40), &dev.text("root/password"), &dev.text("admin_token"), PASSWORD]
    {
        assert!(!log.contains(secret), "a secret is in the log");
    }
}
