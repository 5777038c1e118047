//! The write side: owns the log of user and access key events, and is its only writer.
//!
//! A command is decided on the model by `domain`, appended to the log by `event_store`, and
//! answered when the model has it. Secrets are sealed before they become events, and leave only
//! once in the answer to the command that made them; auth gets date keys derived from them.

mod access_key_service;
mod account_service;
mod answer;
mod call;
mod command;
mod credential_feed;
mod error;
mod event_service;
mod metrics;
mod model;
mod page;
mod render;
mod resource;
mod status;
mod stream;
mod user_service;
mod vault;
mod writer;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use api::identity::v1::access_key_service_server::AccessKeyServiceServer;
use api::identity::v1::account_service_server::AccountServiceServer;
use api::identity::v1::credential_feed_service_server::CredentialFeedServiceServer;
use api::identity::v1::event_service_server::EventServiceServer;
use api::identity::v1::user_service_server::UserServiceServer;
use event_store::{Clock, EventLog, SledLog, SledOptions};
use rpc::{Callers, Role};
use sealing::{Keyring, Keystore};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;

use crate::writer::Writer;

/// The most bytes of a request.
const REQUEST_BYTES_MAX: usize = 256 << 10;

/// Names under which health is told.
const SERVICES: [&str; 5] = [
    "claviger.identity.v1.AccountService",
    "claviger.identity.v1.UserService",
    "claviger.identity.v1.AccessKeyService",
    "claviger.identity.v1.EventService",
    "claviger.identity.v1.CredentialFeedService",
];

/// What identity needs to know.
#[derive(Debug)]
pub struct Config {
    /// Holds the log (`log/`) and the keystore (`keystore`). One process at a time.
    pub data_dir: PathBuf,
    /// Opens the keystore.
    pub keyring: Keyring,
    /// Who may call.
    pub callers: Callers,
}

/// Where the log of a data directory is kept.
pub fn log_dir(data_dir: &std::path::Path) -> PathBuf {
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
    let Config { data_dir, keyring, callers } = config;
    anyhow::ensure!(callers.are_distinct(), "operators and services must not have the same token");
    // User names and sealed secrets are nobody else's business.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&data_dir)
        .with_context(|| format!("cannot create {}", data_dir.display()))?;
    let keystore = Keystore::open(data_dir.join("keystore"), keyring).await?;
    let keystore = Arc::new(keystore);
    if keystore.damaged() > 0 {
        tracing::warn!(slots = keystore.damaged(), "the keystore has slots that cannot be read");
    }
    let options = SledOptions::new(log_dir(&data_dir)).clock(Arc::clone(&clock));
    let log: Arc<dyn EventLog> = Arc::new(SledLog::open(options).await?);
    let vault = vault::Vault::new(Arc::clone(&keystore), log.log_id());
    let writer = Arc::new(Writer::replay(Arc::clone(&log), vault, clock).await?);
    writer.check_data_keys()?;
    let shredded = writer.shred_deleted().await?;
    let position = writer.model().position().0;
    tracing::info!(position, shredded, "the log has been replayed");

    metrics::register(&writer);

    let (serving, is_serving) = watch::channel(true);
    ready.set(true);
    let server = rpc::Server {
        listener,
        services: &SERVICES,
        ready: is_serving,
        shutdown: shutdown.clone(),
    };
    let served = server.serve(routes(&writer, &callers, &shutdown)?);
    let result = tokio::select! {
        result = served => result,
        result = writer.follow() => {
            result.and_then(|()| Err(anyhow::anyhow!("the event log ended")))
        }
        reason = log.failed() => Err(anyhow::anyhow!("the event log failed: {reason}")),
        reason = keystore.failed() => Err(anyhow::anyhow!("the keystore failed: {reason}")),
    };
    ready.set(false);
    serving.send_replace(false);
    log.close().await;
    result
}

fn routes(
    writer: &Arc<Writer>,
    callers: &Callers,
    shutdown: &CancellationToken,
) -> anyhow::Result<tonic::service::RoutesBuilder> {
    let operators = || callers.guard(&[Role::Operator]);
    let services = callers.guard(&[Role::Service]);
    let accounts = AccountServiceServer::new(account_service::Accounts(Arc::clone(writer)))
        .max_decoding_message_size(REQUEST_BYTES_MAX);
    let users = UserServiceServer::new(user_service::Users(Arc::clone(writer)))
        .max_decoding_message_size(REQUEST_BYTES_MAX);
    let access_keys =
        AccessKeyServiceServer::new(access_key_service::AccessKeys(Arc::clone(writer)))
            .max_decoding_message_size(REQUEST_BYTES_MAX);
    let events = EventServiceServer::new(event_service::Events {
        writer: Arc::clone(writer),
        shutdown: shutdown.clone(),
    })
    .max_decoding_message_size(REQUEST_BYTES_MAX);
    let feed = CredentialFeedServiceServer::new(credential_feed::CredentialFeed {
        writer: Arc::clone(writer),
        shutdown: shutdown.clone(),
    })
    .max_decoding_message_size(REQUEST_BYTES_MAX);
    let mut routes = rpc::routes(&SERVICES)?;
    routes
        .add_service(InterceptedService::new(accounts, operators()))
        .add_service(InterceptedService::new(users, operators()))
        .add_service(InterceptedService::new(access_keys, operators()))
        .add_service(InterceptedService::new(events, operators()))
        .add_service(InterceptedService::new(feed, services));
    Ok(routes)
}
