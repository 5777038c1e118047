//! An auth on real sockets, a clock that stands still, and a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use api::auth::v1::auth_service_client::AuthServiceClient;
use api::auth::v1::verify_signature_request::Request as RequestForm;
use api::auth::v1::verify_signature_response::Verdict;
use api::auth::v1::{VerifySignatureRequest, VerifySignatureResponse};
use api::error::v1::Reason;
use api::identity::v1 as pb;
use api::identity::v1::watch_credentials_response::Message;
use auth::{Clock, Config};
use rpc::{Callers, Known, Target, Token};
use sigv4::{Date, DateKey, Expected, Head, Timestamp, authenticate};
use telemetry::{Readiness, ReadyFlag};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response};

use crate::identity::{FakeIdentity, date_key};

pub(crate) const ID: &str = "AKIAIOSFODNN7EXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
pub(crate) const SERVICE_TOKEN: &str = "service-token-0123456789";
pub(crate) const ADMIN_TOKEN: &str = "admin-token-0123456789";
pub(crate) const REGION: &str = "us-east-1";
/// 2026-03-01T12:00:00Z.
pub(crate) const NOW_MS: i64 = 1_772_366_400_000;
pub(crate) const DAY_MS: i64 = 86_400_000;
const TODAY: u32 = (NOW_MS / DAY_MS) as u32;

/// A clock that moves only when told to.
#[derive(Debug)]
pub(crate) struct ManualClock {
    unix_ms: AtomicI64,
    monotonic_ms: AtomicU64,
}

impl ManualClock {
    pub(crate) fn set_unix_ms(&self, unix_ms: i64) {
        self.unix_ms.store(unix_ms, Ordering::SeqCst);
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.monotonic_ms.fetch_add(time.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn unix_ms(&self) -> i64 {
        self.unix_ms.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic_ms.load(Ordering::SeqCst))
    }
}

pub(crate) struct Harness {
    pub(crate) identity: FakeIdentity,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) ready: ReadyFlag,
    pub(crate) uri: String,
    pub(crate) shutdown: CancellationToken,
    pub(crate) served: tokio::task::JoinHandle<anyhow::Result<()>>,
    client: AuthServiceClient<rpc::Channel>,
    health: HealthClient<rpc::Channel>,
}

impl Harness {
    /// An auth whose identity tells this at first.
    pub(crate) async fn start(beginning: Vec<Message>) -> Self {
        Self::start_as(beginning, |_| {}).await
    }

    /// An auth that is configured in another way than by default.
    pub(crate) async fn start_as(
        beginning: Vec<Message>,
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let known = |token| Known::by_token(Token::parse(token).expect("is one"));
        let callers = Callers { operators: known(ADMIN_TOKEN), services: known(SERVICE_TOKEN) };
        let identity = FakeIdentity::default();
        identity.begin_with(beginning);
        let uri = identity.serve(&callers, None).await;
        let token = Token::parse(SERVICE_TOKEN).expect("is one");
        let mut config = Config::new(Target::in_the_clear(uri, token.clone()), callers);
        configure(&mut config);
        let caller = Target::in_the_clear(String::new(), token);
        Self::of(identity, config, caller).await
    }

    /// An auth as it is configured, and a client that shows itself as `caller` does.
    pub(crate) async fn of(identity: FakeIdentity, mut config: Config, caller: Target) -> Self {
        let clock = Arc::new(ManualClock {
            unix_ms: AtomicI64::new(NOW_MS),
            monotonic_ms: AtomicU64::new(0),
        });
        config.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let uri = format!("{scheme}://{}", listener.local_addr().expect("has one"));
        let ready = Readiness::default().register("auth");
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(auth::serve(config, listener, ready.clone(), shutdown.clone()));
        let channel = Target { uri: uri.clone(), ..caller }.channel().expect("is a URI");
        let client = AuthServiceClient::new(channel.clone());
        let health = HealthClient::new(channel);
        Self { identity, clock, ready, uri, shutdown, served, client, health }
    }

    /// An auth that has loaded this already, at position 10.
    pub(crate) async fn with(records: pb::CredentialRecords) -> Self {
        Self::with_config(records, |_| {}).await
    }

    /// The same, configured in another way than by default.
    pub(crate) async fn with_config(
        records: pb::CredentialRecords,
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let beginning = vec![Message::Snapshot(records), complete(10)];
        let harness = Self::start_as(beginning, configure).await;
        harness.wait_for_health(ServingStatus::Serving).await;
        harness
    }

    /// Waits until health tells this of the service.
    pub(crate) async fn wait_for_health(&self, status: ServingStatus) {
        let request = HealthCheckRequest { service: "claviger.auth.v1.AuthService".into() };
        let watch = self.health.clone().watch(request).await.expect("is served");
        let mut told = watch.into_inner();
        let wanted = match status {
            ServingStatus::Serving => health_check_response::ServingStatus::Serving,
            ServingStatus::NotServing => health_check_response::ServingStatus::NotServing,
            ServingStatus::Unknown => health_check_response::ServingStatus::Unknown,
        };
        while told.message().await.expect("goes on").expect("goes on").status() != wanted {}
    }

    pub(crate) async fn call(
        &self,
        request: VerifySignatureRequest,
    ) -> Result<VerifySignatureResponse, Status> {
        Ok(self.client.clone().verify_signature(request).await?.into_inner())
    }

    /// A client that shows this token.
    pub(crate) fn client(&self, token: &str) -> AuthServiceClient<rpc::Channel> {
        AuthServiceClient::new(self.channel(token))
    }

    /// A client of another contract, that shows this token.
    pub(crate) fn channel(&self, token: &str) -> rpc::Channel {
        let token = Token::parse(token).expect("is one");
        let target = Target::in_the_clear(self.uri.clone(), token);
        target.channel().expect("is a URI")
    }

    /// Asks about a head, once the position has been applied: the secret's generation, or the S3
    /// error code.
    pub(crate) async fn ask(&self, head: &str, min_position: u64) -> Result<u32, String> {
        let answer = self.call(raw(head, min_position)).await.expect("a verdict is reached");
        assert!(answer.position >= min_position);
        match answer.verdict.expect("is there") {
            Verdict::Verified(verified) => Ok(verified.secret_generation),
            Verdict::Denied(denied) => Err(denied.code),
        }
    }

    /// Asks in vain: code and reason.
    pub(crate) async fn ask_in_vain(
        &self,
        request: VerifySignatureRequest,
    ) -> (Code, Option<Reason>) {
        let status = self.call(request).await.expect_err("no verdict is reached");
        (status.code(), api::reason(&status))
    }
}

pub(crate) fn raw(head: &str, min_position: u64) -> VerifySignatureRequest {
    VerifySignatureRequest {
        request: Some(RequestForm::RawHead(head.to_owned().into())),
        region: REGION.into(),
        min_position,
        ..Default::default()
    }
}

pub(crate) fn complete(position: u64) -> Message {
    complete_of(1, position)
}

/// A position as identity tells it, of an epoch later than the first.
pub(crate) fn in_epoch(epoch: u64, position: u64) -> u64 {
    ((epoch - 1) << 48) | position
}

/// The end of a snapshot of the log with this number.
pub(crate) fn complete_of(log: u8, position: u64) -> Message {
    Message::SnapshotComplete(pb::SnapshotComplete { position, log_id: vec![log; 16] })
}

pub(crate) fn change(position: u64, records: pb::CredentialRecords) -> Message {
    Message::Change(pb::CredentialChange { position, records: Some(records), ..Default::default() })
}

pub(crate) fn heartbeat(position: u64) -> Message {
    Message::Heartbeat(pb::Heartbeat { position, time: None })
}

pub(crate) fn records(
    users: Vec<pb::UserRecord>,
    keys: Vec<pb::AccessKeyRecord>,
) -> pb::CredentialRecords {
    pb::CredentialRecords { users, access_keys: keys, ..Default::default() }
}

pub(crate) fn user() -> pb::UserRecord {
    pb::UserRecord {
        user_id: vec![0x11; 16],
        account_id: vec![0x22; 16],
        account_number: "123456789012".into(),
        user_name: "alice".into(),
        root: false,
        locked: false,
    }
}

pub(crate) fn access_key(id: &str) -> pb::AccessKeyRecord {
    pb::AccessKeyRecord {
        access_key_id: id.into(),
        user_id: vec![0x11; 16],
        active: true,
        not_before_time_ms: None,
        expire_time_ms: None,
        secrets: vec![secret(1, SECRET, None)],
    }
}

pub(crate) fn secret(
    generation: u32,
    secret: &str,
    expire_time_ms: Option<i64>,
) -> pb::SecretRecord {
    let date_keys = (TODAY - 1..=TODAY + 1).map(|day| date_key(secret, day)).collect();
    pb::SecretRecord { generation, expire_time_ms, date_keys }
}

/// A GET signed now by a header.
pub(crate) fn signed(id: &str, secret: &str) -> String {
    signed_at(id, secret, NOW_MS)
}

/// A GET signed at this instant by a header.
pub(crate) fn signed_at(id: &str, secret: &str, at_ms: i64) -> String {
    let at = Timestamp::from_unix_seconds(at_ms / 1000);
    sign(secret, at_ms, |signature| {
        format!(
            "GET /bucket/key HTTP/1.1\r\nHost: s3.example.com\r\nx-amz-date: {}\r\n\
             x-amz-content-sha256: {}\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential={id}/{}/{REGION}/s3/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
             Signature={signature}\r\n\r\n",
            at.as_str(),
            "0a".repeat(32),
            at.date(),
        )
    })
}

/// A GET presigned at this instant for a week.
pub(crate) fn presigned(id: &str, secret: &str, at_ms: i64) -> String {
    let at = Timestamp::from_unix_seconds(at_ms / 1000);
    sign(secret, at_ms, |signature| {
        format!(
            "GET /bucket/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={id}%2F{}%2F\
             {REGION}%2Fs3%2Faws4_request&X-Amz-Date={}&X-Amz-Expires=604800&\
             X-Amz-SignedHeaders=host&X-Amz-Signature={signature} HTTP/1.1\r\n\
             Host: s3.example.com\r\n\r\n",
            at.date(),
            at.as_str(),
        )
    })
}

fn sign(secret: &str, at_ms: i64, head: impl Fn(&str) -> String) -> String {
    let unsigned = head(&"0".repeat(64));
    let parsed = Head::parse(unsigned.as_bytes()).expect("is a head");
    let request = authenticate(&parsed, &Expected::s3(REGION, at_ms / 1000)).expect("is complete");
    let date = Date::from_unix_seconds(at_ms / 1000);
    let signing_key = DateKey::derive(secret.as_bytes(), &date).signing_key(REGION, "s3");
    let signature = signing_key.sign(&request.string_to_sign()).to_hex();
    head(std::str::from_utf8(&signature).expect("is hexadecimal"))
}
