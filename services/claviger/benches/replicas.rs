//! Two replicas of auth that follow one identity, all real: how long after a write was acknowledged a
//! request is still let through, and how long a cold auth takes until it is ready.
//!
//! `cargo xtask bench write-p50` and so on, or `cargo bench -p claviger --bench replicas`.
//!
//! A write locks a user, rotates a secret without a grace period, or deletes an access key. While it is
//! made, each replica is asked about one request, over and over; what counts is from the write's answer
//! to the first denial at the slower replica, or nothing if both had denied before.

#[path = "../../identity/benches/fill/mod.rs"]
#[allow(unreachable_pub)]
mod fill;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use api::auth::v1::auth_service_client::AuthServiceClient;
use api::auth::v1::verify_signature_request::Request as RequestForm;
use api::auth::v1::verify_signature_response::Verdict;
use api::auth::v1::{VerifySignatureRequest, VerifySignatureResponse};
use api::identity::v1::access_key_service_client::AccessKeyServiceClient;
use api::identity::v1::account_service_client::AccountServiceClient;
use api::identity::v1::user_service_client::UserServiceClient;
use api::identity::v1::{
    AccessKey, Account, CreateAccountRequest, CreateUserRequest, CreateUserResponse,
    DeleteAccessKeyRequest, LockUserRequest, RotateSecretAccessKeyRequest, User,
};
use event_store::SystemClock;
use measure::{Goal, Row, quantile};
use rpc::{Callers, Channel, Known, Target, Token};
use sealing::{KeyEncryptionKey, Keyring};
use sigv4::{DateKey, Expected, Head, Timestamp, authenticate};
use telemetry::{Readiness, ReadyFlag};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const P50: Row = Row {
    id: "write-p50",
    what: "write acknowledged to denied at 2 replicas, p50",
    unit: " ms",
    goal: Goal::AtMost(5.0),
};
const P99: Row = Row {
    id: "write-p99",
    what: "write acknowledged to denied at 2 replicas, p99",
    unit: " ms",
    goal: Goal::AtMost(50.0),
};
const LOAD: Row = Row {
    id: "load",
    what: "cold auth to ready, 1M keys from identity",
    unit: " s",
    goal: Goal::AtMost(10.0),
};
const LOAD_QUICK: Row =
    Row { what: "cold auth to ready, 100k keys from identity", goal: Goal::AtMost(1.0), ..LOAD };

const REPLICAS: usize = 2;
const ROUNDS: usize = 5;
const REGION: &str = "us-east-1";

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("starts").block_on(async {
        if P50.is_wanted() || P99.is_wanted() {
            writes().await;
        }
        if LOAD.is_wanted() {
            load().await;
        }
    });
}

/// Identity, and the tokens that it knows.
struct Identity {
    uri: String,
    operator: Token,
    auth: Token,
    shutdown: CancellationToken,
    served: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Identity {
    async fn start(data_dir: &Path, keyring: Keyring) -> Self {
        let token = || Token::generate().expect("randomness");
        let (operator, auth) = (token(), token());
        let callers = identity::Callers {
            operators: Known::by_token(operator.clone()),
            auths: Known::by_token(auth.clone()),
            gateways: Known::default(),
        };
        let data_dir = data_dir.to_owned();
        let config =
            identity::Config { data_dir, keyring, callers, tls: None, accepts_signature_v2: false };
        let (listener, uri) = listen().await;
        let ready = Readiness::default().register("identity");
        let shutdown = CancellationToken::new();
        let (clock, flag, stop) = (Arc::new(SystemClock), ready.clone(), shutdown.clone());
        let served = tokio::spawn(identity::serve(config, clock, listener, flag, stop));
        until_ready(&ready).await;
        Self { uri, operator, auth, shutdown, served }
    }

    fn channel(&self) -> Channel {
        rpc::channel(&self.uri, &self.operator).expect("is a URI")
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.served.await.expect("does not panic").expect("ends well");
    }
}

/// A replica of auth.
struct Replica {
    client: AuthServiceClient<Channel>,
    shutdown: CancellationToken,
    served: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Replica {
    /// Starts one and waits until it is ready.
    async fn start(identity: &Identity) -> Self {
        let token = || Token::generate().expect("randomness");
        let service = token();
        let callers = Callers {
            operators: Known::by_token(token()),
            services: Known::by_token(service.clone()),
        };
        let target = Target::in_the_clear(identity.uri.clone(), identity.auth.clone());
        let config = auth::Config::new(target, callers);
        let (listener, uri) = listen().await;
        let ready = Readiness::default().register("auth");
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(auth::serve(config, listener, ready.clone(), shutdown.clone()));
        until_ready(&ready).await;
        let channel = rpc::channel(&uri, &service).expect("is a URI");
        Self { client: AuthServiceClient::new(channel), shutdown, served }
    }

    async fn ask(&self, head: &str, min_position: u64) -> VerifySignatureResponse {
        let request = VerifySignatureRequest {
            request: Some(RequestForm::RawHead(head.to_owned().into())),
            region: REGION.into(),
            min_position,
            ..Default::default()
        };
        self.client.clone().verify_signature(request).await.expect("answers").into_inner()
    }

    /// Asks until it is denied, and tells when that was.
    async fn until_denied(&self, head: &str) -> Instant {
        loop {
            let answer = self.ask(head, 0).await;
            match answer.verdict.expect("is there") {
                Verdict::Verified(_) => {}
                Verdict::Denied(_) => return Instant::now(),
            }
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.served.await.expect("does not panic").expect("ends well");
    }
}

async fn writes() {
    let writes = if measure::is_quick() { 200 } else { 900 };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let keyring = Keyring::new(KeyEncryptionKey::generate().expect("randomness"));
    let identity = Identity::start(dir.path(), keyring).await;
    let replicas = [Replica::start(&identity).await, Replica::start(&identity).await];
    let display_name = "Acme".into();
    let account = Account { display_name, ..Default::default() };
    let request = CreateAccountRequest { account: Some(account), ..Default::default() };
    let created = AccountServiceClient::new(identity.channel()).create_account(request).await;
    let parent = created.expect("is made").into_inner().account.expect("is told").name;
    // Each round has its own 50th and 99th hundredth: all of them are told.
    let mut rounds = [vec![], vec![]];
    for round in 0..ROUNDS {
        let mut times = vec![];
        for number in 0..writes / ROUNDS {
            let name = format!("user-{round}-{number}");
            times.push(write(&identity, &replicas, &parent, name, number % 3).await);
        }
        rounds[0].push(quantile(&times, 0.5));
        rounds[1].push(quantile(&times, 0.99));
    }
    for (row, times) in [(P50, &rounds[0]), (P99, &rounds[1])] {
        if row.is_wanted() {
            row.tell(times);
        }
    }
    for replica in replicas {
        replica.stop().await;
    }
    identity.stop().await;
}

/// Makes a write, and tells how many milliseconds later the last replica denies.
async fn write(
    identity: &Identity,
    replicas: &[Replica; REPLICAS],
    parent: &str,
    user_name: String,
    kind: usize,
) -> f64 {
    let mut users = UserServiceClient::new(identity.channel());
    let mut keys = AccessKeyServiceClient::new(identity.channel());
    let request = CreateUserRequest {
        parent: parent.into(),
        user: Some(User { user_name, ..Default::default() }),
        access_key: Some(AccessKey::default()),
        ..Default::default()
    };
    let created = users.create_user(request).await.expect("is made").into_inner();
    let CreateUserResponse { user, access_key, secret_access_key, position } = created;
    let (user, access_key) = (user.expect("is told"), access_key.expect("is told"));
    let head = signed(&access_key.access_key_id, &secret_access_key);
    for replica in replicas {
        let verdict = replica.ask(&head, position).await.verdict;
        assert!(matches!(verdict, Some(Verdict::Verified(_))), "{verdict:?}");
    }
    let write = async {
        // The replicas are asked already when it is made.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let name = access_key.name;
        match kind {
            0 => {
                let request = LockUserRequest { name: user.name, ..Default::default() };
                users.lock_user(request).await.map(drop)
            }
            1 => {
                let grace_period_seconds = Some(0);
                let request = RotateSecretAccessKeyRequest {
                    name,
                    grace_period_seconds,
                    ..Default::default()
                };
                keys.rotate_secret_access_key(request).await.map(drop)
            }
            _ => {
                let request = DeleteAccessKeyRequest { name, ..Default::default() };
                keys.delete_access_key(request).await.map(drop)
            }
        }
        .expect("is acknowledged");
        Instant::now()
    };
    let [first, second] = replicas;
    let (acknowledged, first, second) =
        tokio::join!(write, first.until_denied(&head), second.until_denied(&head));
    first.max(second).saturating_duration_since(acknowledged).as_secs_f64() * 1e3
}

async fn load() {
    let (row, keys) = if measure::is_quick() { (LOAD_QUICK, 100_000) } else { (LOAD, 1_000_000) };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let kek = KeyEncryptionKey::generate().expect("randomness");
    let hex = kek.expose_hex();
    let keyring =
        || Keyring::new(KeyEncryptionKey::from_text("a benchmark", &hex).expect("is one"));
    fill::fill(dir.path(), keyring(), keys).await;
    let identity = Identity::start(dir.path(), keyring()).await;
    let mut seconds = vec![];
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let replica = Replica::start(&identity).await;
        seconds.push(start.elapsed().as_secs_f64());
        replica.stop().await;
    }
    row.tell(&seconds);
    identity.stop().await;
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let uri = format!("http://{}", listener.local_addr().expect("has one"));
    (listener, uri)
}

async fn until_ready(ready: &ReadyFlag) {
    while !ready.is_ready() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A GET signed now.
fn signed(id: &str, secret: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("is later");
    let unix_seconds = now.as_secs().cast_signed();
    let at = Timestamp::from_unix_seconds(unix_seconds);
    let head = |signature: &str| {
        format!(
            "GET /bucket/key HTTP/1.1\r\nHost: s3.example.com\r\nx-amz-date: {}\r\n\
             x-amz-content-sha256: UNSIGNED-PAYLOAD\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential={id}/{}/{REGION}/s3/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
             Signature={signature}\r\n\r\n",
            at.as_str(),
            at.date(),
        )
    };
    let unsigned = head(&"0".repeat(64));
    let parsed = Head::parse(unsigned.as_bytes()).expect("is a head");
    let request = authenticate(&parsed, &Expected::s3(REGION, unix_seconds)).expect("is complete");
    let signing_key = DateKey::derive(secret.as_bytes(), &at.date()).signing_key(REGION, "s3");
    let signature = signing_key.sign(&request.string_to_sign()).to_hex();
    head(std::str::from_utf8(&signature).expect("is ASCII"))
}
