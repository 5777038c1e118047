//! The gateway's front, as clients find it that came with their own ideas of HTTP: three processes before
//! another S3 server.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use test_pki::Authority;

use crate::servers::{Server, secret};
use crate::support::{Dev, Home, Key, claviger, succeeded, tool};

const ANY: &str = "127.0.0.1:0";

/// identity, auth and a gateway, and the store behind it.
struct Front {
    home: Home,
    gateway: Server,
    key: Key,
    s3: String,
    management: String,
    _others: (Home, Dev, Server, Server),
}

impl Front {
    /// Starts the gateway with these flags beside those that it needs; `prepare` puts files into its
    /// folder that they name.
    fn start(args: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let store_home = Home::new();
        let store = store_home.start();
        let home = Home::new();
        let dir = home.path();
        let random = || uuid::Uuid::new_v4().simple().to_string();
        secret(dir, "kek", &(random() + &random()));
        for token in ["admin-token", "auth-token", "gateway-token"] {
            secret(dir, token, &random());
        }
        secret(dir, "upstream", &store.root().secret);
        secret(dir, "aws-config", "[default]\ns3 =\n    signature_version = s3v4\n");
        prepare(dir);
        let tokens = ["--admin-token-file", "admin-token", "--auth-token-file", "auth-token"];
        let own = ["--data-dir", "data", "--kek-file", "kek", "--listen", ANY];
        let mut identity = Server::start(dir, "identity", &[&own[..], &tokens].concat());
        let endpoint = format!("http://{}", identity.told("serving gRPC", "address"));
        let made = Command::new(claviger())
            .args(["account", "create", "Example Ltd", "-o", "json", "--endpoint", &endpoint])
            .args(["--token-file", "admin-token"])
            .current_dir(dir)
            .output()
            .expect("claviger runs");
        let made: Value = serde_json::from_str(&succeeded("create", made)).expect("JSON");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let key = Key {
            id: text(&made["accessKey"]["accessKeyId"]),
            secret: text(&made["secretAccessKey"]),
        };
        let own = ["--identity", &endpoint, "--listen", ANY, "--gateway-token-file"];
        let own = [&own[..], &["gateway-token"], &tokens].concat();
        let mut auth = Server::start(dir, "auth", &own);
        let auth_uri = format!("http://{}", auth.told("serving gRPC", "address"));
        auth.told("snapshot of all credentials is complete", "message");
        let account = text(&made["account"]["accountId"]);
        let (store_uri, store_key) = (store.text("s3"), store.root().id);
        let own = [
            ["--auth", &auth_uri],
            ["--s3-listen", ANY],
            ["--rest-listen", ANY],
            ["--gateway-token-file", "gateway-token"],
            ["--account-id", &account],
            ["--upstream-endpoint", &store_uri],
            ["--upstream-access-key-id", &store_key],
            ["--upstream-secret-access-key-file", "upstream"],
        ];
        let mut gateway = Server::start(dir, "gateway", &[own.as_flattened(), args].concat());
        let by_tls = args.contains(&"--s3-tls-certificate-file");
        let (scheme, by) = if by_tls { ("https", " by TLS") } else { ("http", "") };
        let mut at = |what: &str| {
            format!("{scheme}://{}", gateway.told(&format!("serving {what}{by}"), "address"))
        };
        let (s3, management) = (at("S3"), at("management"));
        Self { home, gateway, key, s3, management, _others: (store_home, store, identity, auth) }
    }

    /// With both ports by TLS, by certificates of this authority.
    fn by_tls(authority: &Authority) -> Self {
        let tls = [
            ["--s3-tls-certificate-file", "s3.pem"],
            ["--s3-tls-key-file", "s3.key"],
            ["--rest-tls-certificate-file", "s3.pem"],
            ["--rest-tls-key-file", "s3.key"],
        ];
        Self::start(tls.as_flattened(), |dir| certify(authority, dir))
    }

    fn dir(&self) -> &Path {
        self.home.path()
    }

    /// Runs a client as its user does, who believes the authority in `ca.pem`.
    fn run(&self, program: PathBuf, args: &[&str]) -> Output {
        let mut command = Command::new(program);
        command
            .args(args)
            .env("AWS_ACCESS_KEY_ID", &self.key.id)
            .env("AWS_SECRET_ACCESS_KEY", &self.key.secret)
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", &self.s3)
            .env("AWS_CA_BUNDLE", "ca.pem")
            .env("SSL_CERT_FILE", "ca.pem")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "aws-config")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .current_dir(self.dir())
            .stdin(Stdio::null());
        command.output().expect("runs")
    }

    fn python(&self, script: &str) {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients");
        let script = scripts.join(script);
        let output = self.run(tool("venv/bin/python"), &[script.to_str().expect("text")]);
        succeeded("python", output);
    }

    fn curl(&self, args: &[&str]) -> Output {
        self.run("curl".into(), &[&["--silent", "--show-error", "--max-time", "60"], args].concat())
    }
}

fn certify(authority: &Authority, dir: &Path) {
    authority.write(dir, "ca");
    authority.issue(&["127.0.0.1", "localhost", "*.localhost"]).write(dir, "s3");
}

#[test]
fn clients_come_by_tls_with_the_authority_that_they_are_told() {
    let front = Front::by_tls(&Authority::new());
    let aws = |args: &[&str]| front.run(tool("venv/bin/aws"), args);
    succeeded("mb", aws(&["s3", "mb", "s3://photos", "--ca-bundle", "ca.pem"]));
    succeeded("cp", aws(&["s3", "cp", "ca.pem", "s3://photos/ca", "--ca-bundle", "ca.pem"]));
    let listed = succeeded("ls", aws(&["s3", "ls", "s3://photos", "--ca-bundle", "ca.pem"]));
    assert!(listed.contains(" ca"), "{listed}");
    Authority::new().write(front.dir(), "other");
    let refused = aws(&["s3", "ls", "--ca-bundle", "other.pem"]);
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(stderr.contains("CERTIFICATE_VERIFY_FAILED"), "{stderr}");
    front.python("boto3/objects.py");
    front.python("httpx/http2.py");
    front.gateway.terminate();
}

#[test]
fn curl_speaks_every_version_of_http() {
    let authority = Authority::new();
    let check = |front: &Front, versions: &[(&str, &str)]| {
        let sigv4 = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user"];
        let user = format!("{}:{}", front.key.id, front.key.secret);
        let told = ["--cacert", "ca.pem", "--output", "/dev/null"];
        let told = [&told[..], &["--write-out", "%{http_version} %{response_code}"]].concat();
        for (flag, version) in versions {
            // As curl before 8 signs no hash of the body, which S3 asks for, the whole of it is not asked.
            let hash = "x-amz-content-sha256: \
                        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
            let args = [&told[..], &[flag], &sigv4, &[&user, "-H", hash, &front.s3]].concat();
            let said = succeeded("curl", front.curl(&args));
            assert_eq!(said, format!("{version} 200"), "{flag}");
            let args = [&told[..], &[flag, &front.management]].concat();
            assert_eq!(succeeded("curl", front.curl(&args)), format!("{version} 200"), "{flag}");
        }
    };
    let front = Front::by_tls(&authority);
    check(&front, &[("--http2", "2"), ("--http1.1", "1.1")]);
    let front = Front::start(&[], |dir| certify(&authority, dir));
    check(&front, &[("--http2-prior-knowledge", "2"), ("--http1.1", "1.1")]);
}

#[test]
fn what_is_asked_is_logged_as_s3_does_and_counted() {
    let tls = ["--s3-tls-certificate-file", "s3.pem", "--s3-tls-key-file", "s3.key"];
    let tls =
        [&tls[..], &["--rest-tls-certificate-file", "s3.pem", "--rest-tls-key-file", "s3.key"]];
    let args = [&tls.concat()[..], &["--access-log", "s3"]].concat();
    let mut front = Front::start(&args, |dir| certify(&Authority::new(), dir));
    // By TLS a body goes in chunks otherwise, and is longer then.
    let plain = "[default]\ns3 =\n    signature_version = s3v4\n\
                 request_checksum_calculation = when_required\n";
    secret(front.dir(), "aws-config", plain);
    let aws = |args: &[&str]| {
        succeeded("aws", front.run(tool("venv/bin/aws"), args));
    };
    aws(&["s3api", "create-bucket", "--bucket", "photos"]);
    aws(&["s3api", "put-object", "--bucket", "photos", "--key", "a b", "--body", "ca.pem"]);
    aws(&[
        "s3api",
        "get-object",
        "--bucket",
        "photos",
        "--key",
        "a b",
        "--range",
        "bytes=0-9",
        "out",
    ]);
    let url = front.run(tool("venv/bin/aws"), &["s3", "presign", "s3://photos/a b"]);
    let url = succeeded("presign", url);
    assert!(url.contains("X-Amz-Signature="), "{url}");
    for url in [url.trim(), &url.trim().replace("a%20b", "other")] {
        succeeded("curl", front.curl(&["--cacert", "ca.pem", "--user-agent", "a \"b\"", url]));
    }

    let admin = format!("http://{}/metrics", front.gateway.told("serving admin", "address"));
    let metrics = succeeded("curl", front.curl(&[&admin]));
    let counted = |what: &str| {
        assert!(metrics.contains(what), "{what}: {metrics}");
    };
    let requests = |operation: &str, requester: &str, status: u16| {
        format!(
            "claviger_gateway_requests_total{{operation=\"{operation}\",\
             requester=\"{requester}\",status=\"{status}\"}}"
        )
    };
    counted(&format!("{} 1\n", requests("CreateBucket", "user", 200)));
    counted(&format!("{} 1\n", requests("PutObject", "user", 200)));
    counted(&format!("{} 1\n", requests("GetObject", "user", 206)));
    counted(&format!("{} 1\n", requests("GetObject", "user", 200)));
    counted(&format!("{} 1\n", requests("GetObject", "none", 403)));
    counted("claviger_gateway_request_duration_seconds_count{operation=\"PutObject\"} 1\n");
    counted("claviger_gateway_request_first_byte_seconds_count{operation=\"PutObject\"} 1\n");
    let size = std::fs::metadata(front.dir().join("ca.pem")).expect("there").len();
    counted(&format!("claviger_gateway_received_bytes_total{{operation=\"PutObject\"}} {size}\n"));
    counted("claviger_rpc_certificate_expiry_seconds{shown_by=\"s3\"} ");
    counted("claviger_rpc_certificate_expiry_seconds{shown_by=\"management\"} ");
    counted("claviger_gateway_upstream_up{upstream=\"default\"} 1\n");

    let out = front.dir().join("gateway.out");
    front.gateway.terminate();
    let log = std::fs::read_to_string(out).expect("text");
    let signature = url.split_once("X-Amz-Signature=").expect("signed").1.trim();
    assert!(!log.contains(signature) && !log.contains(&front.key.id), "{log}");
    let lines: Vec<&str> = log.lines().collect();
    let [made, put, got, presigned, refused] = lines[..] else { panic!("five lines: {log}") };
    for (line, fields) in [
        (made, ["REST.PUT.BUCKET", "\"PUT /photos HTTP/1.1\" 200 -", "SigV4 TLS_", " AuthHeader "]),
        (
            put,
            ["REST.PUT.OBJECT a%20b", "\"PUT /photos/a%20b HTTP/1.1\" 200 -", "SigV4", "photos ["],
        ),
        (got, ["REST.GET.OBJECT a%20b", "\" 206 - 10 ", "aws-cli/", " TLSv1.3 - -"]),
        (
            presigned,
            ["X-Amz-Signature=REDACTED", "HTTP/2.0\" 200 -", "\"a %22b%22\"", " QueryString "],
        ),
        (
            refused,
            [
                "HTTP/2.0\" 403 SignatureDoesNotMatch",
                "photos [",
                "REST.GET.OBJECT other",
                " 127.0.0.1 - ",
            ],
        ),
    ] {
        for field in fields {
            assert!(line.contains(field), "{field}: {line}");
        }
    }
}

#[test]
fn a_certificate_is_renewed_while_the_gateway_runs() {
    let front = Front::by_tls(&Authority::new());
    let works = |front: &Front| {
        succeeded("curl", front.curl(&["--cacert", "ca.pem", &front.management]));
    };
    works(&front);
    certify(&Authority::new(), front.dir());
    works(&front);
    let before = front.dir().join("s3.pem");
    test_pki::replace(&before, "garbage", 0o644);
    works(&front);
}
