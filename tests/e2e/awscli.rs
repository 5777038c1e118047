//! The aws CLI, as a person uses it with the lines that `claviger dev` prints.

use std::io::Write;

use sha2::{Digest, Sha256};

use crate::support::{Home, error_code, send_for_body};

/// A file of `size` bytes that do not compress or repeat.
fn random_file(path: &std::path::Path, size: usize) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).expect("created"));
    let mut chunk = vec![0; 1 << 20];
    let mut left = size;
    while left > 0 {
        getrandom::fill(&mut chunk).expect("randomness");
        let take = left.min(chunk.len());
        file.write_all(&chunk[..take]).expect("written");
        left -= take;
    }
    file.flush().expect("written");
}

fn digest(path: &std::path::Path) -> [u8; 32] {
    Sha256::digest(std::fs::read(path).expect("read")).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_and_a_file_of_100_mb_go_up_and_come_down() {
    let home = Home::new();
    let dev = home.start();
    let root = dev.root();
    dev.aws_ok(&root, &["s3", "mb", "s3://photos"]);
    assert!(dev.aws_ok(&root, &["s3", "ls"]).contains("photos"));

    let (up, down) = (home.path().join("up"), home.path().join("down"));
    random_file(&up, 100 << 20);
    let (up_text, down_text) = (up.to_str().expect("text"), down.to_str().expect("text"));
    dev.aws_ok(&root, &["s3", "cp", "--no-progress", up_text, "s3://photos/2026/big file.bin"]);
    dev.aws_ok(&root, &["s3", "cp", "--no-progress", "s3://photos/2026/big file.bin", down_text]);
    assert_eq!(digest(&up), digest(&down));
    let listed = dev.aws_ok(&root, &["s3", "ls", "s3://photos/2026/"]);
    assert!(listed.contains("104857600 big file.bin"), "{listed}");
    let head = ["s3api", "head-object", "--bucket", "photos", "--key", "2026/big file.bin"];
    assert!(dev.aws_ok(&root, &head).contains("-13\\\""), "an ETag of 13 parts");

    dev.aws_ok(&root, &["s3", "rm", "s3://photos/2026/big file.bin"]);
    dev.aws_ok(&root, &["s3", "rb", "s3://photos"]);
    assert!(!dev.aws_ok(&root, &["s3", "ls"]).contains("photos"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_presigned_url_works_without_a_client_and_only_unchanged() {
    let home = Home::new();
    let dev = home.start();
    let root = dev.root();
    dev.aws_ok(&root, &["s3", "mb", "s3://shared"]);
    let file = home.path().join("hello.txt");
    std::fs::write(&file, "hello").expect("written");
    let key = "s3://shared/a//b/../ü+%2F.txt";
    dev.aws_ok(&root, &["s3", "cp", file.to_str().expect("text"), key]);
    let url = dev.aws_ok(&root, &["s3", "presign", key]);
    let url = url.trim();

    let get = async |url: &str| {
        let request = http::Request::get(url).body(http_body_util::Full::default());
        send_for_body(request.expect("a request")).await
    };
    assert_eq!(get(url).await, (200, "hello".into()));
    let (status, body) = get(&url.replace("shared/a", "shared/c")).await;
    assert_eq!((status, error_code(&body).as_str()), (403, "SignatureDoesNotMatch"));
    let (status, body) = get(&format!("{url}&response-content-type=text/html")).await;
    assert_eq!((status, error_code(&body).as_str()), (403, "SignatureDoesNotMatch"));
    let unsigned = url.split('?').next().expect("a path");
    let (status, body) = get(unsigned).await;
    assert_eq!((status, error_code(&body).as_str()), (403, "AccessDenied"));

    let expired = dev.aws_ok(&root, &["s3", "presign", "--expires-in", "1", key]);
    loop {
        let (status, body) = get(expired.trim()).await;
        if status != 200 {
            assert_eq!((status, error_code(&body).as_str()), (403, "AccessDenied"));
            assert!(body.contains("<Message>Request has expired</Message>"), "{body}");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_synchronised_both_ways() {
    let home = Home::new();
    let dev = home.start();
    let root = dev.root();
    dev.aws_ok(&root, &["s3", "mb", "s3://backup"]);
    let from = home.path().join("from");
    let names = ["a.txt", "deep/er/b c.txt", "deep/ünï.txt", "deep.txt"];
    for name in names {
        let path = from.join(name);
        std::fs::create_dir_all(path.parent().expect("has one")).expect("created");
        std::fs::write(&path, name).expect("written");
        // S3 tells times in whole seconds: what is as young as its copy would be copied again.
        let file = std::fs::File::options().write(true).open(path).expect("opened");
        file.set_modified(std::time::UNIX_EPOCH).expect("set");
    }
    let from = from.to_str().expect("text");
    dev.aws_ok(&root, &["s3", "sync", "--no-progress", from, "s3://backup"]);
    let to = home.path().join("to");
    let to_text = to.to_str().expect("text");
    dev.aws_ok(&root, &["s3", "sync", "--no-progress", "s3://backup", to_text]);
    for name in names {
        assert_eq!(std::fs::read_to_string(to.join(name)).expect("came back"), name);
    }
    let again = dev.aws_ok(&root, &["s3", "sync", "--no-progress", from, "s3://backup"]);
    assert_eq!(again, "", "nothing is left to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_and_an_unknown_key_are_told_apart_as_s3_does() {
    let home = Home::new();
    let dev = home.start();
    let mut wrong = dev.root();
    wrong.secret = "x".repeat(40);
    let output = dev.aws(&wrong, &["s3api", "list-buckets"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("SignatureDoesNotMatch"), "{stderr}");
    wrong.id = "AKIAIOSFODNN7EXAMPLE".into();
    let output = dev.aws(&wrong, &["s3api", "list-buckets"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("InvalidAccessKeyId"), "{stderr}");
}
