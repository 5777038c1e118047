//! NetApp ONTAP's REST API at the gateway: NetApp's client library for Python and its module for Ansible, with
//! what is in `tests/clients/netapp_ontap` and `tests/clients/ansible`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use api::event::v1::AccountSettings;
use api::identity::v1::{
    Account, CreateAccountRequest, CreateUserRequest, GetUserRequest, ListEventsRequest,
    SetPasswordRequest, User,
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
        .env("GUIDE", Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ontap.md"))
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

/// A process that ends with its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn netapps_module_for_ansible_manages_s3_users() {
    let home = Home::new();
    let dev = home.start();
    let playbook = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/ansible/users.yml");
    // The module speaks HTTPS only.
    let authority = test_pki::Authority::new();
    let files = authority.issue(&["127.0.0.1"]).write(home.path(), "server");
    let mut tls = Command::new(tool("venv/bin/python"));
    tls.arg(playbook.with_file_name("tls.py")).args([&files.chain, &files.key]);
    tls.arg(dev.address("rest")).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut tls = Killed(tls.spawn().expect("python runs"));
    let mut port = String::new();
    let stdout = tls.0.stdout.take().expect("is piped");
    BufReader::new(stdout).read_line(&mut port).expect("it says its port");
    // The guide's own playbook, and one of all that the module does.
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ontap.md");
    let guide = std::fs::read_to_string(guide).expect("read");
    let shown = guide.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let shown = shown
        .expect("a playbook is shown")
        .replace("7443", port.trim())
        .replace("root@123456789012", &dev.text("root/login"));
    std::fs::write(home.path().join("shown.yml"), shown).expect("written");
    let variables = serde_json::json!({
        "ansible_python_interpreter": tool("venv/bin/python"),
        "password": dev.text("root/password"),
    });
    std::fs::write(home.path().join("variables.json"), variables.to_string()).expect("written");
    let mut command = Command::new(tool("venv/bin/ansible-playbook"));
    command
        .args(["-i", "localhost,", "-c", "local", "-e", "@variables.json", "shown.yml"])
        .arg(playbook)
        .current_dir(home.path())
        .env("ANSIBLE_COLLECTIONS_PATH", tool("ansible"))
        .env("ANSIBLE_HOME", home.path())
        .env("LC_ALL", "C.UTF-8")
        .env("REQUESTS_CA_BUNDLE", authority.write(home.path(), "authority"))
        .env("ONTAP_HOST", "127.0.0.1")
        .env("ONTAP_PORT", port.trim())
        .env("ROOT_LOGIN", dev.text("root/login"))
        .env("ROOT_PASSWORD", dev.text("root/password"))
        .stdin(Stdio::null());
    let said = succeeded("users.yml", command.output().expect("ansible-playbook runs"));
    assert!(said.contains("changed=7") && said.contains("failed=0"), "{said}");
    assert!(said.contains("All is as it should be"), "{said}");
    let request =
        GetUserRequest { name: format!("{}/users/dave", dev.account()), ..Default::default() };
    dev.users().get_user(request).await.expect("made as the guide shows");
    assert!(!home.log().contains(&dev.text("root/password")), "no password is in the log");
}
