//! The commands that README.md and docs/ show, as they show them, places, ids and times apart.

use std::process::{Command, Stdio};

use crate::support::{Dev, Home, succeeded, tool};

/// The shell blocks under a heading of README.md.
fn blocks(heading: &str) -> Vec<String> {
    blocks_of("README.md", heading)
}

/// The shell blocks under a heading of a file.
fn blocks_of(file: &str, heading: &str) -> Vec<String> {
    let path = format!("{}/../../{file}", env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(path).expect("read");
    let section = readme
        .split("\n#")
        .find(|section| section.trim_start_matches('#').trim_start().starts_with(heading))
        .unwrap_or_else(|| panic!("{file} has no section {heading}"));
    let blocks: Vec<_> = section
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().expect("has a first part").to_owned())
        .collect();
    assert!(!blocks.is_empty(), "{heading} shows no command");
    blocks
}

/// The headings of a file under which commands are shown.
fn headings_of(file: &str) -> Vec<String> {
    let path = format!("{}/../../{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("read");
    let sections = text.split("\n#").filter(|section| section.contains("```sh\n"));
    let headings = sections.filter_map(|section| section.lines().next());
    headings.map(|heading| heading.trim_start_matches('#').trim().to_owned()).collect()
}

/// The first block of a language that a file shows.
fn block_of(file: &str, language: &str) -> String {
    let path = format!("{}/../../{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("read");
    let block = text.split(&format!("```{language}\n")).nth(1);
    block.and_then(|rest| rest.split("```").next()).expect("is shown").to_owned()
}

/// Runs commands in a shell with the environment that `claviger dev` tells to set.
fn shell(home: &Home, dev: &Dev, script: &str) -> String {
    let mut path = tool("venv/bin").into_os_string();
    for dir in [&tool("bin"), crate::support::claviger().parent().expect("is in a directory")] {
        path.push(":");
        path.push(dir);
    }
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let script = script
        .replace("127.0.0.1:7101", &dev.address("rest"))
        .replace("127.0.0.1:7110", &dev.address("identity"))
        .replace("127.0.0.1:7120", &dev.address("auth"))
        .replace("accounts/123456789012", &dev.account());
    let mut command = Command::new("sh");
    command
        .args(["-c", &script])
        .current_dir(home.path())
        .envs(dev.environment(&dev.root()))
        .env("CLAVIGER_ENDPOINT", dev.text("identity"))
        .env("CLAVIGER_TOKEN", dev.text("admin_token"))
        .env("CLAVIGER_S3_ENDPOINT", dev.text("s3"))
        .env("PATH", path)
        .stdin(Stdio::null());
    let output = command.output().expect("sh runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    succeeded(&script, output) + &stderr
}

/// The id of the only access key of alice.
fn alices_key(home: &Home, dev: &Dev) -> String {
    let listed = shell(home, dev, "claviger key list alice -o json");
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    listed["accessKeys"][0]["accessKeyId"].as_str().expect("text").to_owned()
}

#[test]
fn the_first_minute_goes_as_described() {
    let home = Home::new();
    let dev = home.start();
    // The first block is the build; a locked user's `aws` fails, as it should.
    let script = &blocks("See it work")[1];
    let locked = "# An error occurred (AccessDenied)";
    assert!(script.contains(locked), "{script}");
    let script = script.replace(locked, "2>&1 | grep AccessDenied");
    let shown = shell(&home, &dev, &format!("set -e\n{script}"));
    assert!(shown.contains("alices") && shown.contains("UserLocked"), "{shown}");
}

#[test]
fn requests_are_verified_by_hand_as_described() {
    let home = Home::new();
    let dev = home.start();
    let script = |heading| blocks_of("docs/verify.md", heading).join("\n");
    let shown = shell(&home, &dev, &format!("set -e\n{}", script("By the secret access key")));
    let (right, wrong) =
        shown.split_once("code                SignatureDoesNotMatch").expect(&shown);
    assert!(
        right.contains("verdict             verified") && right.contains("\n  GET\n"),
        "{right}"
    );
    assert!(wrong.contains("1. the signature is right for GET") && wrong.contains("ended with 4"));
    let secret = dev.root().secret;
    assert!(!shown.contains(&secret), "{shown}");
    let shown = shell(&home, &dev, &script("By auth"));
    assert!(
        shown.contains("verdict             verified") && shown.contains("\n  GET\n"),
        "{shown}"
    );
    // auth does not know the method that was signed any better than the key's holder does.
    let other = "claviger verify --endpoint http://127.0.0.1:7120 -o json < other.http || echo $?";
    let shown = shell(&home, &dev, other);
    assert!(shown.contains("SignatureDoesNotMatch") && shown.contains("\n4\n"), "{shown}");
    let shown = shell(&home, &dev, &script("An example from a book"));
    assert!(shown.contains("Param1=value1&Param2=value2"), "{shown}");
}

#[test]
fn every_how_to_works() {
    let home = Home::new();
    let dev = home.start();
    shell(&home, &dev, "claviger user create alice && claviger key create alice");
    let id = alices_key(&home, &dev);
    for heading in [
        "Give a key an end",
        "Rotate a secret without an outage",
        "Take a key away",
        "Set rules for an account",
        "Let others in",
        "Use gRPC",
        "Use AWS IAM's API",
        "Use OUTSCALE's or NetApp ONTAP's API",
        "Use the REST API",
        "Ask who signed a request",
    ] {
        for block in blocks(heading) {
            let shown = shell(&home, &dev, &format!("set -e\n{}", block.replace("AKIA...", &id)));
            let expected = match heading {
                "Use gRPC" => "\"userName\": \"bob\"",
                "Use AWS IAM's API" => "\"carol\"",
                "Use OUTSCALE's or NetApp ONTAP's API" => "password  none",
                "Use the REST API" => "\"dave\"",
                "Ask who signed a request" => "AuthorizationHeaderMalformed",
                _ => continue,
            };
            assert!(shown.contains(expected), "{heading}: {shown}");
        }
    }
    let online = blocks("Check the log, and keep it")[0].lines().next().expect("a line").to_owned();
    shell(&home, &dev, &online);
}

#[test]
fn the_audit_goes_as_described() {
    let home = Home::new();
    let dev = home.start();
    shell(&home, &dev, "claviger user create alice && claviger key create alice");
    let id = alices_key(&home, &dev);
    for heading in ["Audit", "Prove that nothing was changed"] {
        for block in blocks_of("docs/audit.md", heading) {
            let now = "$(date -u +%Y-%m-%dT%H:%M:%SZ -d @$(($(date +%s) - 0)))";
            let script = block.replace("AKIA...", &id).replace("2026-01-31T12:00:00Z", now);
            // The key was made within this second.
            shell(&home, &dev, &format!("set -e\nsleep 1\n{script}"));
        }
    }
}

#[test]
fn iam_is_used_as_described() {
    let home = Home::new();
    let dev = home.start();
    assert_eq!(headings_of("docs/iam.md"), ["Point a client at it", "Rotate by a second key"]);
    let use_it = blocks_of("docs/iam.md", "Point a client at it").join("\n");
    let rotate = blocks_of("docs/iam.md", "Rotate by a second key").join("\n");
    let shown = shell(&home, &dev, &format!("set -e\n{use_it}\n{rotate}"));
    assert!(shown.contains(":user/engineering/bob\""), "{shown}");
    assert_eq!(shown.matches("\"SecretAccessKey\"").count(), 2, "{shown}");
    let python = block_of("docs/iam.md", "python");
    let shown = shell(&home, &dev, &format!("python - <<'END'\n{python}\nEND"));
    assert!(shown.contains(":user/engineering/bob"), "{shown}");
}

#[test]
fn rest_is_used_as_described() {
    let home = Home::new();
    let dev = home.start();
    let headings = [
        "Begin",
        "Manage an object store and its users",
        "Renew a secret",
        "Credentials",
        "Answers that go on",
    ];
    assert_eq!(headings_of("docs/rest.md"), headings);
    // Nothing is shown that does not succeed.
    let run = |heading, key: &str| -> String {
        let blocks = blocks_of("docs/rest.md", heading).into_iter();
        let blocks = blocks.map(|block| {
            let script =
                block.replace("AKIA...", key).replace("curl ", "curl -sS --fail-with-body ");
            shell(&home, &dev, &format!("set -e\n{script}"))
        });
        blocks.collect()
    };
    assert!(run("Begin", "").contains("\"dev\""));
    let shown = run("Manage an object store and its users", "");
    assert!(shown.contains("\"Initial S3 user\""), "{shown}");
    for said in ["\"Nightly backup\"", "\"Weekly backup\"", "\"USER_STATE_LOCKED\""] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    assert_eq!(shown.matches("\"secretAccessKey\"").count(), 3, "{shown}");
    let (_, id) = shown.rsplit_once("\"accessKeyId\":\"").expect("alice's");
    let shown = run("Renew a secret", id.split('"').next().expect("an id"));
    assert_eq!(shown.matches("\"secretAccessKey\"").count(), 1, "{shown}");
    let left = run("Credentials", "");
    assert!(left.contains("\"root\"") && !left.contains("\"alice\""), "{left}");
    assert!(run("Answers that go on", "").contains("\"userCreated\""));
}

#[test]
fn ontap_is_used_as_described() {
    let home = Home::new();
    let dev = home.start();
    assert_eq!(headings_of("docs/ontap.md"), ["Point a client at it", "Rotate by the second key"]);
    let use_it = blocks_of("docs/ontap.md", "Point a client at it").join("\n");
    let rotate = blocks_of("docs/ontap.md", "Rotate by the second key").join("\n");
    let script =
        format!("set -e\n{use_it}\n{rotate}").replace("127.0.0.1:7101", &dev.address("rest"));
    let shown = shell(&home, &dev, &script);
    assert_eq!(shown.matches("\"secret_key\"").count(), 2, "{shown}");
    assert!(shown.contains("\"key_time_to_live\":\"P30D\""), "{shown}");
    // The library is used as shown too.
    let python = block_of("docs/ontap.md", "python");
    std::fs::write(home.path().join("shown.py"), python).expect("written");
    let script = format!("CLAVIGER_REST={} python shown.py", dev.text("rest"));
    assert_eq!(shell(&home, &dev, &script).trim().len(), 40);
}

#[test]
fn a_backup_is_taken_and_restored_as_described() {
    let home = Home::new();
    let dev = home.start();
    shell(&home, &dev, "claviger user create alice && claviger key create alice");
    let script = |heading| blocks_of("docs/backup.md", heading).join("\n");
    let taken = script("Take a backup") + &script("Change the key-encryption key");
    shell(&home, &dev, &format!("set -e\numask 077\n{taken}"));
    let since =
        script("Take away again what was taken away since").replace("--after P", "--after 1");
    shell(&home, &dev, &format!("set -e\n{since}"));
    let (status, _) = dev.terminate();
    assert!(status.success());
    let restore = script("Restore");
    std::fs::copy(home.data_dir().join("kek"), home.path().join("kek")).expect("copied");
    let mut command = Command::new("sh");
    let path = format!(
        "{}:{}",
        crate::support::claviger().parent().expect("is in a directory").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    command.args(["-c", &format!("set -e\n{restore}")]).current_dir(home.path()).env("PATH", path);
    let shown = succeeded("restore", command.output().expect("sh runs"));
    assert!(shown.contains("whole"), "{shown}");
    // And it is what it was, to all who have it.
    let data = home.data_dir();
    for part in ["log", "keystore"] {
        let old = data.join(part);
        let aside = home.path().join(format!("old-{part}"));
        std::fs::rename(&old, aside).expect("moved");
        std::fs::rename(home.path().join("new").join(part), old).expect("moved");
    }
    let dev = home.start();
    let listed = shell(&home, &dev, "claviger user list -o json");
    assert!(listed.contains("\"alice\""), "{listed}");
}

#[test]
fn certificates_are_made_and_used_as_described() {
    let home = Home::new();
    // Ports that were free a moment ago.
    let ports = [(); 4].map(|()| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        (listener.local_addr().expect("bound").to_string(), listener)
    });
    let [identity, auth, identity_admin, auth_admin] = ports.map(|(address, _)| address);
    let make = blocks_of("docs/tls.md", "Make certificates").join("\n");
    let run = blocks_of("docs/tls.md", "Run by them").join("\n");
    let script = format!("set -e\ntrap 'kill $(jobs -p)' EXIT\n{make}\n{run}")
        .replace("127.0.0.1:7110", &identity)
        .replace("127.0.0.1:7191", &auth_admin);
    let mut path = tool("bin").into_os_string();
    path.push(":");
    path.push(crate::support::claviger().parent().expect("is in a directory"));
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command
        .args(["-c", &script])
        .current_dir(home.path())
        .env("CLAVIGER_IDENTITY__LISTEN", &identity)
        .env("CLAVIGER_IDENTITY__ADMIN_LISTEN", &identity_admin)
        .env("CLAVIGER_AUTH__LISTEN", &auth)
        .env("PATH", path)
        .stdin(Stdio::null());
    let shown = succeeded(&script, command.output().expect("bash runs"));
    assert!(shown.contains("AccountCreated") && shown.contains("\"displayName\""), "{shown}");
}

/// With another `claviger dev` for the store.
#[tokio::test(flavor = "multi_thread")]
async fn docs_buckets_adopts_what_a_store_has() {
    let store_home = Home::new();
    let store = store_home.start();
    for bucket in ["shop-a", "other"] {
        store.aws_ok(&store.root(), &["s3api", "create-bucket", "--bucket", bucket]);
    }
    let home = Home::new();
    let dev = home.start();
    std::fs::create_dir(home.path().join("secrets")).expect("made");
    crate::servers::secret(home.path(), "secrets/upstream", &store.root().secret);
    let blocks = blocks_of("docs/buckets.md", "Adopt what your store has");
    let [import, by_name] = blocks.as_slice() else { panic!("{blocks:?}") };
    let key = format!("--upstream-access-key-id {}", store.root().id);
    let run = |commands: &str| {
        let commands = commands
            .replace("http://127.0.0.1:9000", &store.text("s3"))
            .replace("--upstream-access-key-id ...", &key)
            .replace("123456789012", &dev.text("account/number"));
        shell(&home, &dev, &commands)
    };
    let list = "claviger bucket list --account 123456789012";
    assert_eq!(run(import), "BUCKET  OUTCOME\nshop-a  claimed\n");
    assert!(!run(list).contains("shop-a"), "it was only told");
    assert_eq!(run(&import.replace(" --dry-run", "")), "BUCKET  OUTCOME\nshop-a  claimed\n");
    assert!(run(by_name).contains("shop-images  "));
    let listed = run(list);
    assert!(listed.contains("shop-a") && listed.contains("shop-images"), "{listed}");
}
