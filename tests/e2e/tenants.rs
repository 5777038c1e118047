//! Several accounts before one store.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use api::identity::v1::{Account, CreateAccountRequest};
use serde_json::Value;

use crate::boto3;
use crate::servers::{Server, cli, secret};
use crate::support::{Home, Key, PATIENCE, claviger, signed_get, succeeded, tool};

#[tokio::test(flavor = "multi_thread")]
async fn each_account_has_its_buckets_and_nothing_of_the_others() {
    let home = Home::new();
    let dev = home.start();
    let account = Account { display_name: "Other".into(), ..Default::default() };
    let request = CreateAccountRequest { account: Some(account), ..Default::default() };
    let made = dev.accounts().create_account(request).await.expect("created").into_inner();
    let id = made.access_key.expect("there").access_key_id;
    let other = Key { id, secret: made.secret_access_key };
    dev.verify(&other, made.position).await.expect("a verdict");
    let mut command = boto3::command(&dev, &dev.root(), "tenants.py");
    command.env("OTHER_ACCESS_KEY_ID", &other.id).env("OTHER_SECRET_ACCESS_KEY", &other.secret);
    succeeded("tenants.py", command.output().expect("python runs"));
}

/// aws with a key at an endpoint.
fn aws(s3: &str, key: &Key, args: &[&str]) -> Output {
    let mut command = Command::new(tool("venv/bin/aws"));
    command.args(args).args(["--endpoint-url", s3, "--region", "us-east-1"]);
    command.env("AWS_ACCESS_KEY_ID", &key.id).env("AWS_SECRET_ACCESS_KEY", &key.secret);
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_MAX_ATTEMPTS", "1");
    command.stdin(Stdio::null()).output().expect("aws runs")
}

#[track_caller]
fn refused(output: &Output, code: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains(code), "{stderr}");
}

fn account(dir: &Path, identity: &str, name: &str) -> (String, Key) {
    let made = cli(dir, identity, &["account", "create", name]);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let id = text(&made["accessKey"]["accessKeyId"]);
    let key = Key { id, secret: text(&made["secretAccessKey"]) };
    (text(&made["account"]["accountId"]), key)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_has_buckets_is_shared_out() {
    // Another S3 server, with buckets that were there before, and room for one more.
    let store_home = Home::new();
    let store = store_home.start();
    for bucket in ["legacy-a", "legacy-b"] {
        store.aws_ok(&store.root(), &["s3api", "create-bucket", "--bucket", bucket]);
        let put = ["s3api", "put-object", "--bucket", bucket, "--key", "k"];
        store.aws_ok(&store.root(), &put);
    }
    let account_id = store.text("account/id");
    let room = ["account", "update", &account_id, "--buckets", "3"];
    succeeded("account update", store.cli(&room));
    let home = Home::new();
    let dir = home.path();
    let random = || uuid::Uuid::new_v4().simple().to_string();
    secret(dir, "kek", &(random() + &random()));
    for name in ["admin-token", "auth-token", "gateway-token", "acting-token"] {
        secret(dir, name, &random());
    }
    secret(dir, "upstream", &store.root().secret);
    let any = "127.0.0.1:0";
    let tokens = ["--admin-token-file", "admin-token", "--auth-token-file", "auth-token"];
    let args = ["--data-dir", "data", "--kek-file", "kek", "--listen", any];
    let acting = ["--gateway-token-file", "acting-token"];
    let mut identity = Server::start(dir, "identity", &[&args[..], &acting, &tokens].concat());
    let identity_uri = format!("http://{}", identity.told("serving gRPC", "address"));
    let (one_id, one) = account(dir, &identity_uri, "One");
    let (_, two) = account(dir, &identity_uri, "Two");
    let args =
        ["--identity", &identity_uri, "--listen", any, "--gateway-token-file", "gateway-token"];
    let mut auth = Server::start(dir, "auth", &[&args[..], &tokens].concat());
    let auth_uri = format!("http://{}", auth.told("serving gRPC", "address"));
    let upstream = [
        "--upstream-endpoint",
        &store.text("s3"),
        "--upstream-access-key-id",
        &store.root().id,
        "--upstream-secret-access-key-file",
        "upstream",
    ];
    let args = ["--auth", &auth_uri, "--s3-listen", any, "--rest-listen", any];
    let shown = ["--gateway-token-file", "gateway-token"];
    let asks = ["--identity", &identity_uri, "--identity-token-file", "acting-token"];
    // Neither one account nor identity: whose buckets are is not known.
    let unknown = Command::new(claviger())
        .arg("gateway")
        .args([&args[..], &shown, &upstream].concat())
        .args(["--admin-listen", any])
        .current_dir(dir)
        .output()
        .expect("claviger runs");
    assert_eq!(unknown.status.code(), Some(2));
    refused(&unknown, "gateway.identity");
    let args = [&args[..], &shown, &asks, &upstream].concat();
    let mut gateway = Server::start(dir, "gateway", &args);
    let s3 = format!("http://{}", gateway.told("serving S3", "address"));
    let start = Instant::now();
    for key in [&one, &two] {
        let ask = async || {
            let request = signed_get(&format!("{s3}/"), key, SystemTime::now());
            crate::support::send(request).await.0
        };
        while ask().await != 200 {
            assert!(start.elapsed() < PATIENCE, "is not ready");
        }
    }

    // What nobody claimed is nobody's, and cannot be taken.
    let get = |key: &Key, bucket: &str| {
        aws(&s3, key, &["s3api", "head-object", "--bucket", bucket, "--key", "k"])
    };
    let create =
        |key: &Key, bucket: &str| aws(&s3, key, &["s3api", "create-bucket", "--bucket", bucket]);
    for key in [&one, &two] {
        refused(&get(key, "legacy-a"), "404");
        refused(&create(key, "legacy-a"), "BucketAlreadyExists");
    }
    let import = |more: &[&str]| {
        let mut command = Command::new(claviger());
        command.args(["bucket", "import", "--account", &one_id, "--upstream", &store.text("s3")]);
        command.args(["--upstream-access-key-id", &store.root().id]);
        command.args(["--upstream-secret-access-key-file", "upstream"]);
        command.args(["--token-file", "admin-token", "--endpoint", &identity_uri]);
        command.args(more).current_dir(dir).output().expect("claviger runs")
    };
    let expected = "BUCKET    OUTCOME\nlegacy-a  claimed\nlegacy-b  claimed\n";
    assert_eq!(succeeded("bucket import", import(&["--dry-run"])), expected);
    assert_eq!(succeeded("bucket import", import(&["--prefix", "legacy-"])), expected);
    let again = succeeded("bucket import", import(&[]));
    assert_eq!(again, expected.replace("claimed", "already"));
    assert!(get(&one, "legacy-a").status.success());
    refused(&get(&two, "legacy-a"), "403");

    // Operators give buckets away, and every gateway hears of it.
    let from = ["bucket", "transfer", "legacy-b", "--from", &one_id];
    let two_id = cli(dir, &identity_uri, &["account", "list"])["accounts"][1]["accountId"].clone();
    let to = ["--to", two_id.as_str().expect("text")];
    cli(dir, &identity_uri, &[&from[..], &to].concat());
    let start = Instant::now();
    while !get(&two, "legacy-b").status.success() {
        assert!(start.elapsed() < Duration::from_secs(30), "does not hear of it");
    }
    refused(&get(&one, "legacy-b"), "403");

    // What the store refuses to make is not claimed.
    assert!(create(&one, "new-a").status.success());
    refused(&create(&one, "new-b"), "TooManyBuckets");
    let listed = cli(dir, &identity_uri, &["bucket", "list", "--all"]);
    let names = listed["buckets"].as_array().expect("a list").iter();
    let names: Vec<_> = names.map(|bucket| bucket["bucketName"].as_str().expect("text")).collect();
    assert_eq!(names, ["legacy-a", "legacy-b", "new-a"]);

    // With identity away nothing is refused for good, and nothing allowed.
    identity.terminate();
    let start = Instant::now();
    loop {
        let answer = get(&one, "legacy-a");
        if !answer.status.success() {
            refused(&answer, "503");
            break;
        }
        assert!(start.elapsed() < PATIENCE, "goes on for ever");
    }
    gateway.terminate();
    auth.terminate();
}
