//! The write side: owns the log of user and access key events, and is its only writer.
//!
//! A command is decided on the model by `domain`, appended to the log by `event_store`, and
//! answered when the model has it. Secrets are sealed before they become events, and leave only
//! once in the answer to the command that made them; auth gets date keys derived from them.

mod access_key_service;
mod account_service;
mod admin_token_service;
mod answer;
mod authentication_service;
mod bucket_service;
mod caller;
mod checkpoint;
mod command;
mod credential_feed;
mod error;
mod event_service;
mod history;
mod keystore_service;
mod leased;
mod lockouts;
mod metrics;
mod model;
mod page;
mod password;
mod positions;
mod render;
mod resource;
mod schedule;
mod status;
mod stream;
mod turn;
mod user_service;
mod uses;
mod vault;
mod writer;

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use api::identity::v1::access_key_service_server::AccessKeyServiceServer;
use api::identity::v1::account_service_server::AccountServiceServer;
use api::identity::v1::admin_token_service_server::AdminTokenServiceServer;
use api::identity::v1::authentication_service_server::AuthenticationServiceServer;
use api::identity::v1::bucket_service_server::BucketServiceServer;
use api::identity::v1::credential_feed_service_server::CredentialFeedServiceServer;
use api::identity::v1::event_service_server::EventServiceServer;
use api::identity::v1::keystore_service_server::KeystoreServiceServer;
use api::identity::v1::user_service_server::UserServiceServer;
use event_store::{Clock, EventLog, Head, Position, SledLog, SledOptions};
use rpc::{Audited, Guard, Malformed, ServerTls};
use sealing::{Keyring, Keystore, SigningKey};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;

pub use crate::caller::Callers;
use crate::caller::{Caller, Gate};
use crate::checkpoint::{LogIdentity, Signed};
use crate::model::Model;
use crate::password::Passwords;
use crate::uses::Uses;
use crate::writer::Writer;

/// The most bytes of a request.
const REQUEST_BYTES_MAX: usize = 256 << 10;

/// Names under which health is told.
const SERVICES: [&str; 9] = [
    "claviger.identity.v1.AccountService",
    "claviger.identity.v1.UserService",
    "claviger.identity.v1.AccessKeyService",
    "claviger.identity.v1.EventService",
    "claviger.identity.v1.BucketService",
    "claviger.identity.v1.AdminTokenService",
    "claviger.identity.v1.KeystoreService",
    "claviger.identity.v1.AuthenticationService",
    "claviger.identity.v1.CredentialFeedService",
];

/// Names the keystore's key that checkpoints of the log's index are authenticated with.
const INDEX_CHECKPOINT_KEY: &str = "claviger/log-checkpoint";
/// How often it is looked whether a checkpoint is due.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);
/// A checkpoint is due when the log has grown by so many events since the last.
const CHECKPOINT_EVENTS: u64 = 10_000;

/// How often last uses of access keys that are gone are forgotten.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);

/// What identity needs to know.
#[derive(Debug)]
pub struct Config {
    /// Holds the log (`log/`), the keystore (`keystore`), and when access keys were last used (`uses/`). One
    /// process at a time.
    pub data_dir: PathBuf,
    /// Opens the keystore.
    pub keyring: Keyring,
    /// By what callers are known.
    pub callers: Callers,
    /// By which connections are encrypted, and clients may show who they are.
    pub tls: Option<ServerTls>,
    /// Whether auth is told who signed by Signature Version 2, which needs the secret itself. Off, unless there
    /// are clients that know no other.
    pub accepts_signature_v2: bool,
}

/// Where the log of a data directory is kept.
pub fn log_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("log")
}

/// Serves until `shutdown`, then drains. `ready` is set once the log has been replayed.
///
/// # Errors
/// If the log or the keystore cannot be opened or fails, or the listener does. Starting again is
/// safe; what was acknowledged is there.
pub async fn serve(
    config: Config,
    clock: Arc<dyn Clock>,
    listener: TcpListener,
    ready: telemetry::ReadyFlag,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let Config { data_dir, keyring, callers, tls, accepts_signature_v2 } = config;
    callers.check()?;
    // User names and sealed secrets are nobody else's business.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&data_dir)
        .and_then(|()| make_names_durable(&data_dir))
        .with_context(|| format!("cannot create {}", data_dir.display()))?;
    if std::fs::metadata(&data_dir)?.permissions().mode() & 0o077 != 0 {
        let dir = data_dir.display();
        tracing::warn!(%dir, "others may look into the data directory: chmod 700 it");
    }
    let start = Instant::now();
    let done = |step: &str| tracing::debug!(after_ms = start.elapsed().as_millis(), "{step}");
    let keystore = Keystore::open(data_dir.join("keystore"), keyring).await?;
    done("the keystore is open");
    let keystore = Arc::new(keystore);
    if keystore.damaged() > 0 {
        tracing::warn!(slots = keystore.damaged(), "the keystore has slots that cannot be read");
    }
    let signing_key = Arc::new(SigningKey::of(&keystore).await?);
    let index_key = keystore.reserved_key(INDEX_CHECKPOINT_KEY).await?;
    let options = SledOptions::new(log_dir(&data_dir))
        .clock(Arc::clone(&clock))
        .checkpoint_key(*index_key.expose());
    let path = data_dir.join("checkpoint");
    // Beside the log, since each takes a while and one core.
    let checkpoint = {
        let (path, public_key) = (path.clone(), signing_key.public_key());
        tokio::task::spawn_blocking(move || checkpoint::read(&path, &public_key))
    };
    let log: Arc<dyn EventLog> = Arc::new(SledLog::open(options).await?);
    done("the log is open");
    let checkpoints =
        Checkpoints { path, log: Arc::clone(&log), signing_key: Arc::clone(&signing_key) };
    let model = checkpoints.model_of(checkpoint.await?).await?;
    done("the checkpoint is read");
    let from = model.position();
    let vault = vault::Vault::new(Arc::clone(&keystore), log.log_id()).await?;
    let folder = data_dir.join("uses");
    let uses = tokio::task::spawn_blocking(move || Uses::open(&folder)).await?;
    done("the store of last uses is open");
    let writer = Arc::new(Writer::replay(Arc::clone(&log), vault, uses, clock, model).await?);
    done("what follows it is read");
    let unheld = writer.check_data_keys()?;
    done("the data keys are checked");
    let shredded = writer.shred_deleted(unheld).await?;
    let position = writer.model().position();
    tracing::info!(
        position = position.0,
        from = from.0,
        shredded,
        took_ms = start.elapsed().as_millis(),
        "the log has been replayed"
    );

    metrics::register(&writer, &keystore);

    let (serving, is_serving) = watch::channel(true);
    ready.set(true);
    let server = rpc::Server {
        listener,
        tls,
        services: &SERVICES,
        ready: is_serving,
        shutdown: shutdown.clone(),
    };
    let gate = Gate { callers: Arc::new(callers), writer: Arc::clone(&writer) };
    let served =
        server.serve(routes(&gate, &keystore, &signing_key, &shutdown, accepts_signature_v2)?);
    tokio::spawn(rewrap(Arc::clone(&keystore), shutdown.clone()));
    let swept = tokio::spawn(sweep_uses(Arc::clone(&writer)));
    let scheduled = tokio::spawn(schedule::run(Arc::clone(&writer), shutdown.clone()));
    let result = tokio::select! {
        result = served => result,
        result = writer.follow() => {
            result.and_then(|()| Err(anyhow::anyhow!("the event log ended")))
        }
        reason = log.failed() => Err(anyhow::anyhow!("the event log failed: {reason}")),
        reason = keystore.failed() => Err(anyhow::anyhow!("the keystore failed: {reason}")),
        never = checkpoints.keep(&writer, from) => match never {},
    };
    ready.set(false);
    serving.send_replace(false);
    // What is scheduled ends with the shutdown, or has nothing left to write to.
    scheduled.abort();
    swept.abort();
    if result.is_ok() {
        checkpoints.write_if_due(&writer, from).await;
    }
    let flushed = tokio::task::spawn_blocking(move || writer.uses.flush()).await;
    log.close().await;
    flushed?;
    result
}

/// Makes the names of a folder, and of those that lead to it, survive a loss of power.
fn make_names_durable(folder: &Path) -> std::io::Result<()> {
    let path = std::fs::canonicalize(folder)?;
    // Those that were there before, or are not ours, need no syncing, and may not be opened.
    for above in path.ancestors().skip(1) {
        match std::fs::File::open(above).and_then(|above| above.sync_all()) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => break,
            synced => synced?,
        }
    }
    Ok(())
}

/// Forgets, now and then, the last uses of access keys that are gone. Never returns.
async fn sweep_uses(writer: Arc<Writer>) {
    loop {
        let of = Arc::clone(&writer);
        let sweep = move || of.uses.sweep(|id| of.model().holds_access_key(id));
        let forgotten = tokio::task::spawn_blocking(sweep).await.unwrap_or_default();
        tracing::debug!(forgotten, "last uses of access keys that are gone were forgotten");
        tokio::time::sleep(SWEEP_INTERVAL).await;
    }
}

/// Wraps with the present key-encryption key whatever is wrapped with an older one.
async fn rewrap(keystore: Arc<Keystore>, shutdown: CancellationToken) {
    let mut rewrapped = 0;
    while keystore.remaining() > 0 && !shutdown.is_cancelled() {
        match keystore.rewrap().await {
            Ok(count) => rewrapped += count,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "data keys could not be wrapped with the present key");
                return;
            }
        }
    }
    if rewrapped > 0 && keystore.remaining() == 0 {
        tracing::info!(rewrapped, "older key-encryption keys are needed no more");
    }
}

/// Keeps checkpoints of the model and of the log's index.
struct Checkpoints {
    path: PathBuf,
    log: Arc<dyn EventLog>,
    signing_key: Arc<SigningKey>,
}

impl Checkpoints {
    fn identity(&self) -> LogIdentity {
        LogIdentity { log_id: self.log.log_id(), epoch: self.log.epoch() }
    }

    /// The model of the checkpoint that was read, if the log goes on from there; or else an empty one.
    async fn model_of(&self, read: anyhow::Result<Option<Signed>>) -> anyhow::Result<Model> {
        let empty = || {
            let hash = event_store::genesis(self.log.log_id());
            Model::new(Head { position: Position::START, hash })
        };
        let identity = self.identity();
        match read.and_then(|read| read.map(|signed| signed.model_of(identity)).transpose()) {
            Ok(None) => Ok(empty()),
            Ok(Some(model)) if self.log_holds(model.head()).await? => Ok(model),
            Ok(Some(_)) => {
                tracing::warn!("the checkpoint is not of this log; the log is read from the start");
                Ok(empty())
            }
            Err(error) => {
                let error: &(dyn std::error::Error + 'static) = &*error;
                tracing::warn!(
                    error,
                    "the checkpoint is of no use; the log is read from the start"
                );
                Ok(empty())
            }
        }
    }

    async fn log_holds(&self, head: Head) -> anyhow::Result<bool> {
        if head.position > self.log.head().position {
            return Ok(false);
        }
        if head.position == Position::START {
            return Ok(head.hash == event_store::genesis(self.log.log_id()));
        }
        let events = self.log.read(Position(head.position.0 - 1), 1).await?;
        Ok(events.first().is_some_and(|event| event.hash == head.hash))
    }

    /// Writes a checkpoint whenever one is due, for ever.
    async fn keep(&self, writer: &Arc<Writer>, mut last: Position) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(CHECKPOINT_INTERVAL).await;
            last = self.write_if_due(writer, last).await;
        }
    }

    /// Writes a checkpoint if the log has grown enough since `last`, and tells where the last is now.
    async fn write_if_due(&self, writer: &Arc<Writer>, last: Position) -> Position {
        if writer.model().position().0 < last.0 + CHECKPOINT_EVENTS {
            return last;
        }
        let (path, identity) = (self.path.clone(), self.identity());
        let (key, writer) = (Arc::clone(&self.signing_key), Arc::clone(writer));
        let written = tokio::task::spawn_blocking(move || {
            let snapshot = writer.model().snapshot();
            checkpoint::write(&path, identity, &snapshot, &key).map(|()| snapshot.head.position)
        });
        let position = match written.await {
            Ok(Ok(position)) => position,
            Ok(Err(error)) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(
                    error,
                    "a checkpoint could not be written; the next start is slower"
                );
                return last;
            }
            Err(_) => return last,
        };
        if let Err(error) = self.log.checkpoint().await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "the log's checkpoint could not be written");
        }
        tracing::info!(position = position.0, "a checkpoint was written");
        position
    }
}

fn routes(
    gate: &Gate,
    keystore: &Arc<Keystore>,
    signing_key: &Arc<SigningKey>,
    shutdown: &CancellationToken,
    accepts_signature_v2: bool,
) -> anyhow::Result<tonic::service::RoutesBuilder> {
    /// Who manages: operators, and gateways for users and operators. What each may do is for each call to
    /// say.
    fn manages(caller: &Caller) -> bool {
        matches!(caller, Caller::Operator(_) | Caller::Gateway(..))
    }
    let writer = || Arc::clone(&gate.writer);
    let accounts = AccountServiceServer::new(account_service::Accounts(writer()));
    let passwords = Arc::new(Passwords::new(writer())?);
    let users = user_service::Users { writer: writer(), passwords: Arc::clone(&passwords) };
    let users = UserServiceServer::new(users);
    let authentication = authentication_service::Authentication { writer: writer(), passwords };
    let authentication = AuthenticationServiceServer::new(authentication);
    let access_keys = AccessKeyServiceServer::new(access_key_service::AccessKeys(writer()));
    let events = event_service::Events::new(writer(), Arc::clone(signing_key), shutdown.clone());
    let events = EventServiceServer::new(events);
    let buckets = bucket_service::Buckets::new(writer(), shutdown.clone());
    let buckets = BucketServiceServer::new(buckets);
    let admin_tokens = AdminTokenServiceServer::new(admin_token_service::AdminTokens(writer()));
    let keeper = keystore_service::KeystoreKeeper::new(writer(), Arc::clone(keystore));
    let keystore = KeystoreServiceServer::new(keeper);
    let feed = CredentialFeedServiceServer::new(credential_feed::CredentialFeed {
        writer: writer(),
        shutdown: shutdown.clone(),
        accepts_version_2: accepts_signature_v2,
    });
    let mut routes = rpc::routes(&SERVICES)?;
    macro_rules! add {
        ($service:expr, $allowed:expr) => {
            let service = $service.max_decoding_message_size(REQUEST_BYTES_MAX);
            let guard = Guard::new(gate.clone(), $allowed);
            let guarded = InterceptedService::new(service, guard);
            routes.add_service(Audited::new(Malformed::new(guarded)));
        };
    }
    add!(accounts, manages);
    add!(users, manages);
    add!(access_keys, manages);
    add!(events, manages);
    add!(buckets, manages);
    add!(admin_tokens, manages);
    add!(keystore, manages);
    add!(authentication, |caller| matches!(caller, Caller::Gateway(..)));
    add!(feed, |caller| matches!(caller, Caller::Auth(_)));
    Ok(routes)
}
