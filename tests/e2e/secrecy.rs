//! No secret that was issued stands in a file or a log.

use std::path::{Path, PathBuf};

use api::identity::v1::{RotateSecretAccessKeyRequest, SetPasswordRequest};

use crate::keystone;
use crate::support::{Home, Key};

/// Also the libraries that are quiet unless they are named.
pub(crate) const EVERYTHING: &str = "trace,h2=trace,hyper=trace,hyper_util=trace,opentelemetry=trace,\
                          s3s=trace,sled=trace,tonic=trace,tower=trace";

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_data_nor_logs_at_trace_level_hold_a_secret() {
    let home = Home::new();
    let mut issued = vec![];
    for _ in 0..2 {
        let dev = home.start_with(
            home.command().env("RUST_LOG", EVERYTHING).env("CLAVIGER_LOG_FORMAT", "json"),
        );
        let root = dev.root();
        let name = format!("user-{}", issued.len());
        let (user, made) = dev.user_with_key(&name).await;
        let key = Key::from(&made);
        let password = format!("{name}: correct horse battery staple");
        let set = SetPasswordRequest {
            name: user.name,
            password: password.clone(),
            ..Default::default()
        };
        dev.users().set_password(set).await.expect("set");
        let request = RotateSecretAccessKeyRequest {
            name: made.access_key.clone().expect("there").name,
            grace_period_seconds: Some(60),
            ..Default::default()
        };
        let rotated = dev.access_keys().rotate_secret_access_key(request).await.expect("rotated");
        // Requests that are verified, refused and failed leave traces too.
        let mut wrong = key.clone();
        wrong.secret = "wrong".repeat(8);
        for key in [&root, &key, &wrong] {
            dev.list_buckets(key).await;
        }
        dev.aws_ok(&root, &["s3api", "list-buckets"]);
        let (store, token) = keystone::sign_in_and_ask(&dev, &key).await;
        issued.push(root.secret);
        issued.push(key.secret);
        issued.push(rotated.into_inner().secret_access_key);
        issued.push(dev.text("admin_token"));
        issued.push(dev.text("root/password"));
        issued.push(password);
        issued.extend([store, token]);
        let (status, _) = dev.terminate();
        assert!(status.success());
    }
    assert_eq!(issued[0], issued[8], "the root secret is told again");

    let mut found = vec![home.log_path()];
    files(&home.data_dir(), &mut found);
    let log = home.log();
    assert!(log.contains("\"level\":\"TRACE\""), "the log is at trace level");
    assert!(log.contains("\"target\":\"h2::"), "libraries write to it too");
    for path in found {
        let bytes = std::fs::read(&path).expect("read");
        for secret in &issued {
            let there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!there, "{} holds a secret", path.display());
        }
    }
}
