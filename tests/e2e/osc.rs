//! OUTSCALE's API at the gateway: `osc_sdk_python`, with the scripts in `tests/clients/osc`, and `osc-cli`.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use api::identity::v1::{Account, CreateAccountRequest, ListEventsRequest, SetPasswordRequest};
use serde_json::Value;

use crate::support::{Dev, Home, Key, succeeded, tool};

fn python(dev: &Dev, script: &str, more: &[(&str, &str)]) {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/osc");
    let mut command = Command::new(tool("venv/bin/python"));
    command.arg(scripts.join(script)).envs(dev.environment(&dev.root())).stdin(Stdio::null());
    command.env("CLAVIGER_MANAGEMENT_URL", dev.text("rest")).envs(more.iter().copied());
    succeeded(script, command.output().expect("python runs"));
}

/// Runs `osc-cli` with a profile for this key, which points it at `endpoint`.
fn osc_cli(home: &Home, key: &Key, endpoint: &str, args: &[&str]) -> Output {
    let profile = serde_json::json!({ "default": {
        "access_key": key.id,
        "secret_key": key.secret,
        "region_name": "eu-west-2",
        "https": false,
        "endpoint": endpoint,
    } });
    let path = home.path().join(".osc");
    std::fs::create_dir_all(&path).expect("made");
    std::fs::write(path.join("config.json"), profile.to_string()).expect("written");
    let mut command = Command::new(tool("venv/bin/osc-cli"));
    command.args(args).env("HOME", home.path()).env("PAGER", "cat").stdin(Stdio::null());
    command.output().expect("osc-cli runs")
}

fn json(output: Output) -> Value {
    let text = succeeded("osc-cli", output);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn outscales_sdk_manages_users_and_access_keys_of_its_account_and_no_other() {
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
    python(&dev, "sdk.py", &more);

    // The trail says through which facade, by whom, and under which request id.
    let request = ListEventsRequest { kinds: vec!["user_created".into()], ..Default::default() };
    let events = dev.events().list_events(request).await.expect("listed").into_inner().events;
    let made = events.last().and_then(|event| event.actor.clone()).expect("there");
    assert_eq!((made.facade.as_str(), made.source_address.as_str()), ("osc", "127.0.0.1"));
    assert!(made.principal.ends_with(":root"), "{}", made.principal);
    assert!(home.log().contains(&made.request_id), "the access log has the request's id");
    assert!(!home.log().contains(&dev.root().secret), "no secret is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_and_a_password_do_for_access_keys() {
    let home = Home::new();
    let dev = home.start();
    let (alice, _) = dev.user_with_key("alice").await;
    let password = "correct horse: battery/staple?>";
    let set = SetPasswordRequest {
        name: alice.name,
        password: password.to_owned(),
        ..Default::default()
    };
    dev.users().set_password(set).await.expect("set");
    let login = format!("alice@{}", dev.text("account/number"));
    let (root_login, root_password) = (dev.text("root/login"), dev.text("root/password"));
    let more = [
        ("LOGIN", login.as_str()),
        ("PASSWORD", password),
        ("OTHER_LOGIN", &root_login),
        ("OTHER_PASSWORD", &root_password),
    ];
    python(&dev, "password.py", &more);

    // osc-cli spells base64 in the other alphabet.
    let config = home.path().join("config.json");
    let profile = serde_json::json!({ "default": {
        "region_name": "eu-west-2",
        "https": false,
        "endpoint": dev.text("rest"),
    } });
    std::fs::write(&config, profile.to_string()).expect("written");
    let mut command = Command::new(tool("venv/bin/osc-cli"));
    command.args(["api", "ReadAccessKeys", "--authentication_method", "password"]);
    command.args(["--config_path", config.to_str().expect("text"), "--login", &root_login]);
    command.args(["--password", &root_password]);
    command.env("HOME", home.path()).env("PAGER", "cat").stdin(Stdio::null());
    let listed = json(command.output().expect("osc-cli runs"));
    assert_eq!(listed["AccessKeys"][0]["AccessKeyId"], dev.root().id.as_str());
    let log = home.log();
    assert!(!log.contains(password) && !log.contains(&root_password), "no password is in the log");
}

#[test]
fn every_refusal_is_in_outscales_form() {
    let home = Home::new();
    let dev = home.start();
    python(&dev, "wire.py", &[]);
}

#[test]
fn osc_cli_manages_users_and_access_keys() {
    let home = Home::new();
    let dev = home.start();
    let (root, endpoint) = (dev.root(), dev.text("rest"));
    let run = |args: &[&str]| osc_cli(&home, &root, &endpoint, args);
    let call = |args: &[&str]| json(run(&[&["api"], args].concat()));
    let made = call(&["CreateUser", "--UserName", "bob"]);
    assert_eq!(made["User"]["UserName"], "bob");
    let date = ["--ExpirationDate", "2063-04-05"];
    let made = call(&[&["CreateAccessKey", "--UserName", "bob"], &date[..]].concat());
    let key = &made["AccessKey"];
    assert_eq!(key["ExpirationDate"], "2063-04-05T00:00:00.000+0000");
    let bob = Key { id: text(&key["AccessKeyId"]), secret: text(&key["SecretKey"]) };
    let read = json(osc_cli(&home, &bob, &endpoint, &["api", "ReadAccessKeys"]));
    assert_eq!(read["AccessKeys"][0]["AccessKeyId"], bob.id.as_str());
    assert!(dev.aws_ok(&bob, &["s3", "ls"]).is_empty(), "the key is one for S3 too");

    let of_bob = ["--UserName", "bob", "--AccessKeyId", &bob.id];
    let cleared = [&["UpdateAccessKey"], &of_bob[..], &["--ClearExpirationDate", "true"]].concat();
    assert!(call(&cleared)["AccessKey"].get("ExpirationDate").is_none());
    let tried = [&["DeleteAccessKey"], &of_bob[..], &["--DryRun"]].concat();
    assert!(call(&tried)["ResponseContext"]["RequestId"].is_string());
    let inactive = [&["UpdateAccessKey"], &of_bob[..], &["--State", "INACTIVE"]].concat();
    assert_eq!(call(&inactive)["AccessKey"]["State"], "INACTIVE");
    let filters = ["--Filters", "{\"States\": [\"INACTIVE\"]}", "--UserName", "bob"];
    let read = call(&[&["ReadAccessKeys"], &filters[..]].concat());
    assert_eq!(read["AccessKeys"].as_array().map(Vec::len), Some(1));
    // Behind a path that it was given, osc-cli puts its own, which alone it signs.
    let behind = format!("{endpoint}/api/v1");
    let read = json(osc_cli(&home, &root, &behind, &["api", "ReadUsers"]));
    assert_eq!(read["Users"][0]["UserName"], "bob");
    call(&[&["DeleteAccessKey"], &of_bob[..]].concat());
    // A key ID of digits alone comes as a number.
    let gone = run(&["api", "DeleteAccessKey", "--AccessKeyId", "11112211111110000000"]);
    let said = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert!(!gone.status.success() && said.contains("5027"), "{said}");
    call(&["DeleteUser", "--UserName", "bob"]);
    let wrong = Key { secret: "x".repeat(40), ..dev.root() };
    let refused = osc_cli(&home, &wrong, &endpoint, &["api", "ReadUsers"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("AccessDenied"), "{said}");
}

#[test]
fn osc_cli_speaks_eim() {
    let home = Home::new();
    let dev = home.start();
    let (root, endpoint) = (dev.root(), dev.text("rest"));
    let run = |args: &[&str]| json(osc_cli(&home, &root, &endpoint, &[&["eim"], args].concat()));
    run(&["CreateUser", "--UserName", "bob"]);
    let made = run(&["CreateAccessKey", "--UserName", "bob"]);
    let key = &made["CreateAccessKeyResponse"]["CreateAccessKeyResult"]["AccessKey"];
    let bob = Key { id: text(&key["AccessKeyId"]), secret: text(&key["SecretAccessKey"]) };
    // It is the same key in OUTSCALE's API, and its user has the same id.
    let read = json(osc_cli(&home, &bob, &endpoint, &["api", "ReadAccessKeys"]));
    assert_eq!(read["AccessKeys"][0]["AccessKeyId"], bob.id.as_str());
    let user = run(&["GetUser", "--UserName", "bob"]);
    let id = user["GetUserResponse"]["GetUserResult"]["User"]["UserId"].clone();
    let read = json(osc_cli(&home, &root, &endpoint, &["api", "ReadUsers"]));
    assert_eq!(read["Users"][0]["UserId"], id);
}

#[test]
fn the_commands_of_the_guide_work() {
    let home = Home::new();
    let dev = home.start();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/outscale.md");
    let guide = std::fs::read_to_string(path).expect("read");
    let blocks: Vec<&str> = guide.split("```sh\n").skip(1).collect();
    let blocks = blocks.iter().map(|block| block.split("```").next().unwrap_or_default());
    let script: String = blocks.collect();
    let script = format!("set -e\n{script}").replace("http://127.0.0.1:7101", &dev.text("rest"));
    let mut path = tool("venv/bin").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(home.path()).envs(dev.environment(&dev.root()));
    command.env("HOME", home.path()).env("PATH", path).env("PAGER", "cat").stdin(Stdio::null());
    let shown = succeeded(&script, command.output().expect("sh runs"));
    for expected in ["SecretKey", "2063-04-05", "AccessKeyMetadata", "'UserName': 'bob'"] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
}
