//! A whole Swift, configured as the guide says, whose clients are Claviger's users.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use api::identity::v1::{DeleteAccessKeyRequest, LockUserRequest, UnlockUserRequest};

use super::{script, service};
use crate::support::{Dev, Home, Key, PATIENCE, succeeded, tool};

/// `proxy-server.conf`, as the guide shows it, for this service at this Claviger.
fn configuration(dev: &Dev) -> String {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/keystone.md");
    let guide = std::fs::read_to_string(guide).expect("is there");
    let blocks = guide.split("```ini\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut found = blocks.filter(|block| block.contains("[app:proxy-server]"));
    let shown = found.next().expect("is shown");
    let (service, url) = (service(dev), dev.told["keystone"]["auth_url"].as_str().expect("text"));
    let lines = shown.lines().filter_map(|line| match line.split_once(" = ") {
        Some(("user" | "bind_port", _)) => None, // those of whoever runs this
        Some(("auth_uri", _)) => Some(format!("auth_uri = {url}")),
        Some((name, _)) => Some(match service.iter().find(|(known, _)| known == name) {
            Some((_, value)) => format!("{name} = {value}"),
            None => line.to_owned(),
        }),
        None => Some(line.to_owned()),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Swift. Killed when dropped.
struct Swift {
    endpoint: String,
    process: Child,
}

impl Drop for Swift {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Swift {
    fn start(home: &Home, dev: &Dev) -> Self {
        let (folder, conf) = (home.path().join("swift"), home.path().join("proxy-server.conf"));
        std::fs::write(&conf, configuration(dev)).expect("written");
        let log = std::fs::File::create(home.path().join("swift.log")).expect("created");
        let mut process = script("cluster.py")
            .arg(&folder)
            .arg(&conf)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("python runs");
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().expect("is piped"));
        stdout.read_line(&mut line).expect("reads");
        let log = || std::fs::read_to_string(home.path().join("swift.log")).unwrap_or_default();
        let port: u16 = line.trim().parse().unwrap_or_else(|_| panic!("{line}{}", log()));
        Self { endpoint: format!("http://127.0.0.1:{port}"), process }
    }

    fn environment(&self, dev: &Dev, key: &Key, command: &mut Command) {
        command.envs(dev.environment(key)).env("AWS_ENDPOINT_URL", &self.endpoint);
        command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_MAX_ATTEMPTS", "1");
        command.stdin(Stdio::null());
    }

    /// Runs boto3's script.
    fn boto3(&self, dev: &Dev, key: &Key, args: &[&str]) {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/openstack");
        let mut command = Command::new(tool("venv/bin/python"));
        command.arg(scripts.join("objects.py")).args(args);
        self.environment(dev, key, &mut command);
        succeeded(&format!("objects.py {args:?}"), command.output().expect("python runs"));
    }

    /// Runs the aws CLI: what it said, and whether it was done.
    fn aws(&self, dev: &Dev, key: &Key, args: &[&str]) -> (bool, String) {
        let mut command = Command::new(tool("venv/bin/aws"));
        command.args(args);
        self.environment(dev, key, &mut command);
        let output = command.output().expect("aws runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Waits until the aws CLI is answered so.
    fn until(&self, dev: &Dev, key: &Key, is_done: bool) {
        let start = Instant::now();
        while self.aws(dev, key, &["s3", "ls", "s3://photos"]).0 != is_done {
            assert!(start.elapsed() < PATIENCE, "is not {is_done}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn swift_serves_those_whom_claviger_knows() {
    let home = Home::new();
    let dev = home.start();
    let swift = Swift::start(&home, &dev);
    let (root, (user, made)) = (dev.root(), dev.user_with_key("alice").await);
    let alice = Key::from(&made);
    swift.boto3(&dev, &root, &[]);

    // A user of the account finds its buckets, as their account is Swift's.
    let (done, said) = swift.aws(&dev, &alice, &["s3", "ls", "s3://photos/a b/"]);
    assert!(done && said.contains("5 ü+1"), "{said}");
    let file = home.path().join("file");
    std::fs::write(&file, vec![7; 9 << 20]).expect("written");
    let file = file.to_str().expect("text");
    let (done, said) =
        swift.aws(&dev, &alice, &["s3", "cp", "--no-progress", file, "s3://photos/large"]);
    assert!(done, "{said}");

    let wrong = Key { secret: "wrong".repeat(8), ..alice.clone() };
    let nobody = Key { id: "AKIANOBODY0000000000".into(), ..alice.clone() };
    for key in [&wrong, &nobody] {
        swift.boto3(&dev, key, &["refused"]);
    }
    let request = LockUserRequest { name: user.name.clone(), ..Default::default() };
    dev.users().lock_user(request).await.expect("locked");
    swift.until(&dev, &alice, false);
    swift.boto3(&dev, &alice, &["refused"]);
    let request = UnlockUserRequest { name: user.name, ..Default::default() };
    dev.users().unlock_user(request).await.expect("unlocked");
    swift.until(&dev, &alice, true);
    let name = made.access_key.expect("there").name;
    let request = DeleteAccessKeyRequest { name, ..Default::default() };
    dev.access_keys().delete_access_key(request).await.expect("deleted");
    swift.until(&dev, &alice, false);
    swift.boto3(&dev, &alice, &["refused"]);
    assert!(swift.aws(&dev, &root, &["s3", "ls", "s3://photos"]).0, "others go on");
}
