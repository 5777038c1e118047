//! S3 clients of all kinds, through processes of their own, before a store that is not ours.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::deployment::Deployment;
use crate::support::{Home, Key, succeeded, tool};

#[test]
fn every_kind_of_body_by_boto3_and_its_signer() {
    let deployment = Deployment::start(1);
    deployment.script("s3/payloads.py", &[]);
}

#[test]
fn boto3_signs_by_version_2_where_that_is_accepted() {
    let deployment = Deployment::start_with(1, &["--accept-signature-v2"]);
    deployment.script("s3/version_2.py", &[]);
}

/// With the small store of `claviger dev` behind, where gateway asks auth without gRPC.
#[test]
fn every_kind_of_body_in_one_process() {
    let home = Home::new();
    let dev = home.start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/s3/payloads.py");
    let mut command = Command::new(tool("venv/bin/python"));
    command.arg(script).envs(dev.environment(&dev.root()));
    succeeded("payloads.py", command.output().expect("python runs"));
}

#[test]
fn rclone_syncs_a_tree_of_2000_files_with_odd_names() {
    let deployment = Deployment::start(2);
    deployment.script("s3/tree.py", &["tree"]);
    let rclone = |args: &[&str]| {
        let mut command = deployment.command("venv/bin/rclone");
        command
            .env("RCLONE_CONFIG", "/dev/null")
            .env("RCLONE_CONFIG_STORE_TYPE", "s3")
            .env("RCLONE_CONFIG_STORE_PROVIDER", "Other")
            .env("RCLONE_CONFIG_STORE_ENV_AUTH", "true")
            .env("RCLONE_CONFIG_STORE_ENDPOINT", &deployment.s3)
            .args(args);
        deployment.run("rclone", command)
    };
    rclone(&["mkdir", "store:tree"]);
    // Some files go in parts; each is tried once, so that what fails is seen.
    let once = ["--retries", "1", "--low-level-retries", "1"];
    let sync = ["sync", "tree", "store:tree", "--transfers", "8", "--s3-upload-cutoff", "5Mi"];
    rclone(&[&sync[..], &once].concat());
    rclone(&[&["check", "--download", "tree", "store:tree"][..], &once].concat());
    rclone(&[&["sync", "store:tree", "again"][..], &once].concat());
    rclone(&["check", "again", "tree"]);
    rclone(&["purge", "store:tree"]);
    assert_eq!(rclone(&["lsf", "store:"]), "");
}

#[test]
fn s3cmd_does_what_it_does() {
    let deployment = Deployment::start(1);
    let dir = deployment.path();
    let host = deployment.s3.strip_prefix("http://").expect("a URI");
    let Key { id, secret } = &deployment.root;
    let config = format!(
        "[default]\naccess_key = {id}\nsecret_key = {secret}\nhost_base = {host}\n\
         host_bucket = {host}\nuse_https = False\nbucket_location = us-east-1\n"
    );
    std::fs::write(dir.join("s3cfg"), config).expect("written");
    let s3cmd = |args: &[&str]| {
        let mut command = deployment.command("venv/bin/s3cmd");
        command.args(["-c", "s3cfg", "--no-progress"]).args(args);
        deployment.run("s3cmd", command)
    };
    let big: Vec<u8> = (0..12_000_000_u32).flat_map(u32::to_le_bytes).take(12_000_000).collect();
    std::fs::write(dir.join("big"), &big).expect("written");
    s3cmd(&["mb", "s3://cmd"]);
    s3cmd(&["put", "--multipart-chunk-size-mb=5", "big", "s3://cmd/bïg +%2F.bin"]);
    s3cmd(&["get", "s3://cmd/bïg +%2F.bin", "back"]);
    assert!(std::fs::read(dir.join("back")).expect("read") == big);
    s3cmd(&["cp", "s3://cmd/bïg +%2F.bin", "s3://cmd/copy"]);
    assert!(s3cmd(&["info", "s3://cmd/copy"]).contains("12000000"));
    s3cmd(&["sync", "--exclude", "big", "--include", "s3cfg", ".", "s3://cmd/sync/"]);
    assert!(s3cmd(&["ls", "s3://cmd/sync/"]).contains("s3cfg"));
    s3cmd(&["del", "-r", "-f", "s3://cmd/"]);
    s3cmd(&["rb", "s3://cmd"]);
    assert_eq!(s3cmd(&["ls"]), "");
}

#[test]
fn minio_s_client_does_what_it_does() {
    let deployment = Deployment::start(1);
    deployment.script("s3/minio_client.py", &[]);
}

#[test]
fn the_aws_cli_copies_with_and_without_checksums() {
    let deployment = Deployment::start(1);
    let dir = deployment.path();
    let mut file = std::fs::File::create(dir.join("file")).expect("created");
    for n in 0..3_000_000_u32 {
        file.write_all(&n.to_le_bytes()).expect("written");
    }
    drop(file);
    let aws = |args: &[&str]| deployment.run(&args.join(" "), deployment.aws(args));
    aws(&["s3", "mb", "s3://cli"]);
    // The others need a library that the CLI does not come with.
    for algorithm in ["CRC32", "SHA1", "SHA256"] {
        let key = format!("s3://cli/{algorithm}");
        let with = ["--checksum-algorithm", algorithm];
        aws(&[&["s3", "cp", "--no-progress", "file", &key][..], &with].concat());
        aws(&["s3", "cp", "--no-progress", "--checksum-mode", "ENABLED", &key, "back"]);
        assert!(
            std::fs::read(dir.join("back")).expect("read")
                == std::fs::read(dir.join("file")).expect("read")
        );
        let put = ["s3api", "put-object", "--bucket", "cli", "--key", "k", "--body", "s3cfg"];
        std::fs::write(dir.join("s3cfg"), algorithm).expect("written");
        let put = aws(&[&put[..], &with].concat());
        assert!(put.contains(&format!("Checksum{algorithm}")), "{put}");
        let head = ["s3api", "head-object", "--bucket", "cli", "--key", "k"];
        let head = aws(&[&head[..], &["--checksum-mode", "ENABLED"]].concat());
        assert!(head.contains(&format!("Checksum{algorithm}")), "{head}");
    }
    let mut plain = deployment.aws(&["s3", "cp", "--no-progress", "file", "s3://cli/plain"]);
    plain.env("AWS_REQUEST_CHECKSUM_CALCULATION", "WHEN_REQUIRED");
    deployment.run("cp without checksums", plain);
    let range =
        ["s3api", "get-object", "--bucket", "cli", "--key", "plain", "--range", "bytes=4-7"];
    aws(&[&range[..], &["part"]].concat());
    assert_eq!(std::fs::read(dir.join("part")).expect("read"), 1_u32.to_le_bytes());
    aws(&["s3", "rb", "--force", "s3://cli"]);
}

/// `curl --aws-sigv4` signs a body's hash if it is told it, and nothing else of the body.
#[test]
fn curl_signs_for_itself() {
    let deployment = Deployment::start(1);
    let Key { id, secret } = &deployment.root;
    let curl = |args: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-sS", "--aws-sigv4", "aws:amz:us-east-1:s3", "-w", "%{http_code}"]);
        command.args(["--user", &format!("{id}:{secret}")]).args(args);
        succeeded("curl", command.output().expect("curl runs"))
    };
    let unsigned = ["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"];
    let bucket = format!("{}/curl", deployment.s3);
    let put = [&["-X", "PUT", &bucket][..], &unsigned].concat();
    assert_eq!(curl(&put), "200");
    let key = format!("{bucket}/a%20b/%C3%BC.txt");
    let put = [&["-X", "PUT", &key, "--data-binary", "hello"][..], &unsigned].concat();
    assert_eq!(curl(&put), "200");
    assert_eq!(curl(&[&[key.as_str()][..], &unsigned].concat()), "hello200");
    let wrong = ["-X", "PUT", &key, "--data-binary", "hellp"];
    let of_hello = "x-amz-content-sha256: \
                    2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let answer = curl(&[&wrong[..], &["-H", of_hello]].concat());
    assert!(answer.contains("XAmzContentSHA256Mismatch") && answer.ends_with("400"), "{answer}");
    assert_eq!(curl(&[&[key.as_str()][..], &unsigned].concat()), "hello200");
}
