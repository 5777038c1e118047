//! AWS IAM's API at the gateway: boto3, with the script in `tests/clients/boto3`, and the aws CLI.

use std::path::Path;
use std::process::{Command, Stdio};

use api::event::v1::{AccountSettings, Spelling};
use api::identity::v1::{Account, CreateAccountRequest, ListEventsRequest, UpdateAccountRequest};
use prost_types::FieldMask;

use crate::support::{Dev, Home, Key, succeeded, tool};

fn python(dev: &Dev, key: &Key, script: &str, more: &[(&str, &str)]) {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/boto3");
    let mut command = Command::new(tool("venv/bin/python"));
    command.arg(scripts.join(script)).envs(dev.environment(key)).stdin(Stdio::null());
    command.env("CLAVIGER_MANAGEMENT_URL", dev.text("rest")).envs(more.iter().copied());
    succeeded(script, command.output().expect("python runs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_manages_users_and_access_keys_of_its_account_and_no_other() {
    let home = Home::new();
    let dev = home.start();
    let account = Some(Account { display_name: "Other".into(), ..Default::default() });
    let request = CreateAccountRequest { account, ..Default::default() };
    let other = dev.accounts().create_account(request).await.expect("created").into_inner();
    let other_id = other.access_key.expect("there").access_key_id;
    let more = [
        ("OTHER_ACCESS_KEY_ID", other_id.as_str()),
        ("OTHER_SECRET_ACCESS_KEY", &other.secret_access_key),
    ];
    python(&dev, &dev.root(), "iam.py", &more);

    // The trail says through which facade, by whom, and under which request id.
    let request = ListEventsRequest { kinds: vec!["user_created".into()], ..Default::default() };
    let events = dev.events().list_events(request).await.expect("listed").into_inner().events;
    let made = events.last().and_then(|event| event.actor.clone()).expect("there");
    assert_eq!((made.facade.as_str(), made.source_address.as_str()), ("iam", "127.0.0.1"));
    assert!(made.principal.ends_with(":root"), "{}", made.principal);
    assert!(home.log().contains(&made.request_id), "the access log has the request's id");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_cli_manages_users_and_access_keys() {
    let home = Home::new();
    let dev = home.start();
    let root = dev.root();
    let check = |args: &[&str], expected: &str| {
        let said = dev.aws_ok(&root, args);
        assert!(said.contains(expected), "{args:?}: {said}");
    };
    check(&["sts", "get-caller-identity"], ":root\"");
    check(&["iam", "get-user"], ":root\"");
    check(&["iam", "create-user", "--user-name", "bob", "--path", "/div/"], ":user/div/bob\"");
    check(&["iam", "create-user", "--user-name", "carol"], "\"carol\"");
    check(&["iam", "list-users", "--page-size", "1"], "\"carol\"");
    check(&["iam", "list-users", "--max-items", "1"], "\"NextToken\"");
    let tags = ["Key=a,Value=b", "Key=c,Value="];
    dev.aws_ok(&root, &[&["iam", "tag-user", "--user-name", "bob", "--tags"], &tags[..]].concat());
    check(&["iam", "list-user-tags", "--user-name", "bob"], "\"Key\": \"c\"");
    let created = dev.aws_ok(&root, &["iam", "create-access-key", "--user-name", "bob"]);
    let created: serde_json::Value = serde_json::from_str(&created).expect("JSON");
    let text = |name: &str| created["AccessKey"][name].as_str().expect("text").to_owned();
    let bob = Key { id: text("AccessKeyId"), secret: text("SecretAccessKey") };
    assert!(dev.aws_ok(&bob, &["s3", "ls"]).is_empty(), "a new key works at once");
    assert!(dev.aws_ok(&bob, &["iam", "get-user"]).contains("\"bob\""));
    let id = bob.id.as_str();
    let update = ["iam", "update-access-key", "--user-name", "bob", "--access-key-id", id];
    dev.aws_ok(&root, &[&update[..], &["--status", "Inactive"]].concat());
    check(&["iam", "list-access-keys", "--user-name", "bob"], "\"Inactive\"");
    check(&["iam", "get-access-key-last-used", "--access-key-id", id], "\"bob\"");
    let refused = dev.aws(&root, &["iam", "delete-user", "--user-name", "bob"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("DeleteConflict"), "{refused:?}");
    let delete = ["iam", "delete-access-key", "--user-name", "bob", "--access-key-id", id];
    dev.aws_ok(&root, &delete);
    dev.aws_ok(&root, &["iam", "delete-user", "--user-name", "bob"]);
    let gone = dev.aws(&root, &["iam", "get-user", "--user-name", "bob"]);
    assert!(String::from_utf8_lossy(&gone.stderr).contains("NoSuchEntity"), "{gone:?}");
}

#[test]
fn terraforms_calls_are_answered() {
    let home = Home::new();
    let dev = home.start();
    let mut command = Command::new(tool("bin/terraform-calls"));
    command.envs(dev.environment(&dev.root())).stdin(Stdio::null());
    let said = succeeded("terraform-calls", command.output().expect("it runs"));
    assert!(said.contains("all as it should be"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_may_have_its_users_named_as_outscale_does() {
    let home = Home::new();
    let dev = home.start();
    let (root, number) = (dev.root(), dev.text("account/number"));
    let spelled = UpdateAccountRequest {
        account: Some(Account {
            name: dev.account(),
            settings: Some(AccountSettings {
                spelling: Spelling::Outscale.into(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        update_mask: Some(FieldMask { paths: vec!["settings.spelling".into()] }),
        ..Default::default()
    };
    dev.accounts().update_account(spelled).await.expect("updated");
    let orn = format!("\"orn:ows:idauth::{number}:user/div/bob\"");
    let iam = |args: &[&str]| dev.aws_ok(&root, &[&["iam"], args].concat());
    let made = iam(&["create-user", "--user-name", "bob", "--path", "/div/"]);
    assert!(made.contains(&format!("\"Arn\": {orn}")), "{made}");
    for args in
        [["create-access-key", "--user-name", "bob"], ["list-access-keys", "--user-name", "bob"]]
    {
        let told = iam(&args);
        assert!(told.contains(&format!("\"UserName\": {orn}")), "{told}");
    }
    let own = iam(&["create-access-key"]);
    assert!(own.contains(&format!("\"UserName\": \"orn:ows:idauth::{number}:root\"")), "{own}");
}
