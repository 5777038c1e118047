//! A `claviger dev` process, and clients for it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use api::auth::v1::auth_service_client::AuthServiceClient;
use api::auth::v1::verify_signature_request::Request as SignedRequest;
use api::auth::v1::verify_signature_response::Verdict;
use api::auth::v1::{VerifySignatureRequest, VerifySignatureResponse};
use api::identity::v1::access_key_service_client::AccessKeyServiceClient;
use api::identity::v1::account_service_client::AccountServiceClient;
use api::identity::v1::bucket_service_client::BucketServiceClient;
use api::identity::v1::event_service_client::EventServiceClient;
use api::identity::v1::user_service_client::UserServiceClient;
use api::identity::v1::{CreateAccessKeyRequest, CreateAccessKeyResponse, CreateUserRequest, User};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rpc::{Channel, Token};
use serde_json::Value;

/// How long anything may take that is waited for. Far more than it does take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test.
pub(crate) fn claviger() -> PathBuf {
    path_from_env("CLAVIGER_BIN")
}

/// A client that `cargo xtask tools` has installed.
pub(crate) fn tool(name: &str) -> PathBuf {
    path_from_env("CLAVIGER_TOOLS").join(name)
}

fn path_from_env(name: &str) -> PathBuf {
    let path = std::env::var_os(name)
        .unwrap_or_else(|| panic!("{name} is not set: run these tests with `cargo xtask test`"));
    let path = PathBuf::from(path);
    assert!(path.exists(), "{name} is {}, which does not exist", path.display());
    path
}

/// A directory for one test's data.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Everything that processes started here have written to stderr.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.path().join("stderr.log")
    }

    /// The command that starts `claviger dev` here, on free ports.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(claviger());
        command.args(["dev", "-o", "json", "--data-dir"]).arg(self.data_dir());
        for listener in ["s3", "rest", "identity", "auth", "admin"] {
            command.args([format!("--{listener}-listen"), "127.0.0.1:0".into()]);
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path());
        command.stderr(log.expect("opened")).stdout(Stdio::piped()).stdin(Stdio::null());
        command
    }

    pub(crate) fn start(&self) -> Dev {
        self.start_with(&mut self.command())
    }

    pub(crate) fn start_with(&self, command: &mut Command) -> Dev {
        let mut child = command.spawn().expect("claviger starts");
        let stdout = child.stdout.take().expect("is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("reads");
        let told = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{error}: {line:?}\n{}", self.log()));
        let aws_config = self.data_dir().join("aws-config").to_str().expect("text").to_owned();
        Dev { told, aws_config, auth: OnceLock::new(), child }
    }
}

/// A running `claviger dev`. Killed when dropped.
pub(crate) struct Dev {
    /// The line that it printed.
    pub(crate) told: Value,
    aws_config: String,
    auth: OnceLock<AuthServiceClient<Channel>>,
    child: Child,
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An access key to sign with.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl From<&CreateAccessKeyResponse> for Key {
    fn from(made: &CreateAccessKeyResponse) -> Self {
        let id = made.access_key.as_ref().expect("there").access_key_id.clone();
        Self { id, secret: made.secret_access_key.clone() }
    }
}

impl Dev {
    /// A text of the line, such as `root/access_key_id`.
    pub(crate) fn text(&self, path: &str) -> String {
        let value = self.told.pointer(&format!("/{path}")).unwrap_or(&Value::Null);
        value.as_str().unwrap_or_else(|| panic!("{path} is no text: {}", self.told)).to_owned()
    }

    pub(crate) fn address(&self, listener: &str) -> String {
        self.text(listener).strip_prefix("http://").expect("is a URL").to_owned()
    }

    pub(crate) fn root(&self) -> Key {
        Key { id: self.text("root/access_key_id"), secret: self.text("root/secret_access_key") }
    }

    pub(crate) fn account(&self) -> String {
        format!("accounts/{}", self.text("account/id"))
    }

    /// To `identity` or `auth`, as an operator.
    pub(crate) fn channel(&self, listener: &str) -> Channel {
        let token = Token::parse(&self.text("admin_token")).expect("a token");
        rpc::channel(&self.text(listener), &token).expect("a URI")
    }

    pub(crate) fn accounts(&self) -> AccountServiceClient<Channel> {
        AccountServiceClient::new(self.channel("identity"))
    }

    pub(crate) fn buckets(&self) -> BucketServiceClient<Channel> {
        BucketServiceClient::new(self.channel("identity"))
    }

    pub(crate) fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.channel("identity"))
    }

    pub(crate) fn access_keys(&self) -> AccessKeyServiceClient<Channel> {
        AccessKeyServiceClient::new(self.channel("identity"))
    }

    pub(crate) fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.channel("identity"))
    }

    /// On one connection: tests ask it thousands of times.
    pub(crate) fn auth(&self) -> AuthServiceClient<Channel> {
        self.auth.get_or_init(|| AuthServiceClient::new(self.channel("auth"))).clone()
    }

    /// Makes a user and an access key, and waits until auth knows it.
    pub(crate) async fn user_with_key(&self, name: &str) -> (User, CreateAccessKeyResponse) {
        let user = User { user_name: name.into(), ..Default::default() };
        let request =
            CreateUserRequest { parent: self.account(), user: Some(user), ..Default::default() };
        let user = self.users().create_user(request).await.expect("created").into_inner();
        let user = user.user.expect("there");
        let key = self.key(&user.name).await;
        (user, key)
    }

    /// Makes an access key, and waits until auth knows it.
    pub(crate) async fn key(&self, user: &str) -> CreateAccessKeyResponse {
        let request = CreateAccessKeyRequest { parent: user.into(), ..Default::default() };
        let made = self.access_keys().create_access_key(request).await.expect("created");
        let made = made.into_inner();
        self.verify(&Key::from(&made), made.position).await.expect("a verdict");
        made
    }

    /// Asks auth about `GET /` signed with `key`, as of `min_position`.
    pub(crate) async fn verify(
        &self,
        key: &Key,
        min_position: u64,
    ) -> Result<VerifySignatureResponse, tonic::Status> {
        let signed = signed_get("http://s3.example/", key, SystemTime::now());
        let mut raw_head = b"GET / HTTP/1.1\r\n".to_vec();
        for (name, value) in signed.headers() {
            raw_head.extend_from_slice(name.as_str().as_bytes());
            raw_head.extend_from_slice(b": ");
            raw_head.extend_from_slice(value.as_bytes());
            raw_head.extend_from_slice(b"\r\n");
        }
        let request = VerifySignatureRequest {
            request: Some(SignedRequest::RawHead(raw_head.into())),
            region: "us-east-1".into(),
            min_position,
            ..Default::default()
        };
        self.auth().verify_signature(request).await.map(tonic::Response::into_inner)
    }

    /// `GET /` (ListBuckets) through the gateway: status and S3 error code.
    pub(crate) async fn list_buckets(&self, key: &Key) -> (u16, String) {
        let request = signed_get(&format!("{}/", self.text("s3")), key, SystemTime::now());
        send(request).await
    }

    /// Waits until a request with `key` is answered so; tells how long that took.
    pub(crate) async fn until(&self, key: &Key, status: u16, code: &str) -> Duration {
        let start = Instant::now();
        loop {
            let answer = self.list_buckets(key).await;
            if answer == (status, code.to_owned()) {
                return start.elapsed();
            }
            assert!(start.elapsed() < PATIENCE, "still {answer:?}, not {status} {code}");
        }
    }

    /// The environment that the printed lines set.
    pub(crate) fn environment(&self, key: &Key) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", key.id.clone()),
            ("AWS_SECRET_ACCESS_KEY", key.secret.clone()),
            ("AWS_DEFAULT_REGION", self.text("region")),
            ("AWS_ENDPOINT_URL", self.text("s3")),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
            ("AWS_CONFIG_FILE", self.aws_config.clone()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".into()),
        ]
    }

    /// Runs the aws CLI with `key`.
    pub(crate) fn aws(&self, key: &Key, args: &[&str]) -> Output {
        let mut command = Command::new(tool("venv/bin/aws"));
        command.args(args).envs(self.environment(key)).stdin(Stdio::null());
        command.output().expect("aws runs")
    }

    /// Runs the aws CLI with `key`, which must succeed; gives what it printed.
    pub(crate) fn aws_ok(&self, key: &Key, args: &[&str]) -> String {
        succeeded(&format!("aws {}", args.join(" ")), self.aws(key, args))
    }

    /// Runs the client side of `claviger`.
    pub(crate) fn cli(&self, args: &[&str]) -> Output {
        let mut command = Command::new(claviger());
        command
            .args(args)
            .env("CLAVIGER_ENDPOINT", self.text("identity"))
            .env("CLAVIGER_TOKEN", self.text("admin_token"))
            .stdin(Stdio::null());
        command.output().expect("claviger runs")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as power loss would, files apart: at once.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Asks it to end, and waits.
    pub(crate) fn terminate(mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        assert!(sent.success());
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return (status, start.elapsed());
            }
            assert!(start.elapsed() < PATIENCE, "does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The output of a command that must succeed.
pub(crate) fn succeeded(command: &str, output: Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {}\n{stdout}{stderr}", output.status);
    stdout
}

/// Whether the verdict is that the request was signed.
pub(crate) fn is_verified(response: &VerifySignatureResponse) -> bool {
    matches!(response.verdict, Some(Verdict::Verified(_)))
}

/// The S3 error code of a denial.
pub(crate) fn denied_code(response: &VerifySignatureResponse) -> &str {
    match &response.verdict {
        Some(Verdict::Denied(denied)) => &denied.code,
        Some(Verdict::Verified(_)) | None => "",
    }
}

/// A GET of `uri`, signed by AWS's own library.
pub(crate) fn signed_get(
    uri: &str,
    key: &Key,
    time: SystemTime,
) -> http::Request<Full<bytes::Bytes>> {
    signed(http::Method::GET, uri, key, time, bytes::Bytes::new())
}

/// A request with this body, signed by AWS's own signer.
pub(crate) fn signed(
    method: http::Method,
    uri: &str,
    key: &Key,
    time: SystemTime,
    body: bytes::Bytes,
) -> http::Request<Full<bytes::Bytes>> {
    let mut settings = s3_settings();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    signed_as((method, uri), key, time, (REGION, "s3"), body, settings)
}

/// A GET signed in this scope.
pub(crate) fn scoped(
    uri: &str,
    key: &Key,
    time: SystemTime,
    scope: (&str, &str),
) -> http::Request<Full<bytes::Bytes>> {
    let mut settings = s3_settings();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    signed_as((http::Method::GET, uri), key, time, scope, bytes::Bytes::new(), settings)
}

/// A presigned request that is good for so long.
pub(crate) fn presigned(
    method: http::Method,
    uri: &str,
    key: &Key,
    time: SystemTime,
    expires_in: Duration,
) -> http::Request<Full<bytes::Bytes>> {
    let mut settings = s3_settings();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(expires_in);
    signed_as((method, uri), key, time, (REGION, "s3"), bytes::Bytes::new(), settings)
}

const REGION: &str = "us-east-1";

/// S3 takes paths as they are.
fn s3_settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings
}

fn signed_as(
    (method, uri): (http::Method, &str),
    key: &Key,
    time: SystemTime,
    (region, service): (&str, &str),
    body: bytes::Bytes,
    settings: SigningSettings,
) -> http::Request<Full<bytes::Bytes>> {
    let signable = match settings.expires_in {
        None => SignableBody::Bytes(&body),
        Some(_) => SignableBody::UnsignedPayload,
    };
    let identity = Credentials::new(&key.id, &key.secret, None, None, "test").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(time)
        .settings(settings)
        .build()
        .expect("complete")
        .into();
    let request = http::Request::builder().method(&method).uri(uri);
    let mut request = request.body(Full::new(body.clone())).expect("a request");
    let host = request.uri().authority().expect("has a host").as_str().to_owned();
    request.headers_mut().insert("host", host.parse().expect("a host"));
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().expect("text")));
    let signable = SignableRequest::new(method.as_str(), uri, headers, signable);
    let signable = signable.expect("signable");
    let (instructions, _) = sign(signable, &params).expect("signed").into_parts();
    instructions.apply_to_request_http1x(&mut request);
    request
}

/// Sends a request; gives the status and the code of the S3 error document, if it is one.
pub(crate) async fn send(request: http::Request<Full<bytes::Bytes>>) -> (u16, String) {
    let (status, body) = send_for_body(request).await;
    (status, error_code(&body))
}

pub(crate) async fn send_for_body(request: http::Request<Full<bytes::Bytes>>) -> (u16, String) {
    let client: Client<HttpConnector, Full<bytes::Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.expect("answered");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("read").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

pub(crate) fn error_code(body: &str) -> String {
    let code = body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    code.map(|(code, _)| code.to_owned()).unwrap_or_default()
}
