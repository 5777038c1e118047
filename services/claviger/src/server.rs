//! `claviger identity`, `auth` and `gateway`: from settings to a running server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use event_store::SystemClock;
use rpc::{Callers, Token};
use sealing::{KeyEncryptionKey, Keyring};
use zeroize::Zeroizing;

use crate::cli::ServerArgs;
use crate::config::{self, secret};
use crate::exit::{Failure, Outcome};
use crate::serve::{self, Process, log_listening};

const DATA_DIR: &str = "/var/lib/claviger";
const REGION: &str = "us-east-1";

const S3_PORT: u16 = 7100;
const REST_PORT: u16 = 7101;
const IDENTITY_PORT: u16 = 7110;
const AUTH_PORT: u16 = 7120;
const ADMIN_PORT: u16 = 7190;

/// Runs identity until a signal.
///
/// # Errors
/// If its configuration is wrong or it fails.
pub(crate) async fn identity(args: ServerArgs<config::Identity>) -> Outcome {
    let given = args.settings.clone();
    let set = config::load(&args)?;
    let config = usage((|| {
        Ok(identity::Config {
            data_dir: set.data_dir.clone().unwrap_or_else(|| PathBuf::from(DATA_DIR)),
            keyring: keyring(&given, &set)?,
            tokens: identity::Tokens {
                admin: token(
                    "CLAVIGER_IDENTITY__ADMIN_TOKEN",
                    given.admin_token_file.as_deref(),
                    set.admin_token_file.as_deref(),
                )?,
                auth: token(
                    "CLAVIGER_IDENTITY__AUTH_TOKEN",
                    given.auth_token_file.as_deref(),
                    set.auth_token_file.as_deref(),
                )?,
                gateway: optional_token(
                    "CLAVIGER_IDENTITY__GATEWAY_TOKEN",
                    given.gateway_token_file.as_deref(),
                    set.gateway_token_file.as_deref(),
                )?,
            },
        })
    })())?;
    let listener = serve::listen(on(set.listen, IDENTITY_PORT), "identity.listen").await?;
    let admin = serve::listen(on(set.admin_listen, ADMIN_PORT), "identity.admin_listen").await?;
    let served = serve::run("claviger-identity", async |process: &mut Process| {
        process.start_admin(admin);
        log_listening("gRPC", &listener);
        let ready = process.register("identity");
        process.start("identity", |shutdown| {
            identity::serve(config, Arc::new(SystemClock), listener, ready, shutdown)
        });
        Ok(())
    });
    Ok(served.await?)
}

/// Runs auth until a signal.
///
/// # Errors
/// If its configuration is wrong or it fails.
pub(crate) async fn auth(args: ServerArgs<config::Auth>) -> Outcome {
    let given = args.settings.clone();
    let set = config::load(&args)?;
    let config = usage((|| {
        let callers = Callers {
            admin_token: token(
                "CLAVIGER_AUTH__ADMIN_TOKEN",
                given.admin_token_file.as_deref(),
                set.admin_token_file.as_deref(),
            )?,
            service_token: token(
                "CLAVIGER_AUTH__GATEWAY_TOKEN",
                given.gateway_token_file.as_deref(),
                set.gateway_token_file.as_deref(),
            )?,
        };
        let auth_token = token(
            "CLAVIGER_AUTH__AUTH_TOKEN",
            given.auth_token_file.as_deref(),
            set.auth_token_file.as_deref(),
        )?;
        let identity = set.identity.clone().unwrap_or_else(|| local(IDENTITY_PORT));
        let mut config = auth::Config::new(identity, callers, auth_token);
        override_with(&mut config.soft_staleness, seconds(set.soft_staleness_seconds));
        override_with(&mut config.hard_staleness, seconds(set.hard_staleness_seconds));
        Ok(config)
    })())?;
    let listener = serve::listen(on(set.listen, AUTH_PORT), "auth.listen").await?;
    let admin = serve::listen(on(set.admin_listen, ADMIN_PORT), "auth.admin_listen").await?;
    let served = serve::run("claviger-auth", async |process: &mut Process| {
        process.start_admin(admin);
        log_listening("gRPC", &listener);
        let ready = process.register("auth");
        process.start("auth", |shutdown| auth::serve(config, listener, ready, shutdown));
        Ok(())
    });
    Ok(served.await?)
}

/// Runs the gateway until a signal.
///
/// # Errors
/// If its configuration is wrong or it fails.
pub(crate) async fn gateway(args: Box<ServerArgs<config::Gateway>>) -> Outcome {
    let given = args.settings.clone();
    let set = config::load(&args)?;
    let config = usage(gateway_config(&given, &set))?;
    let s3 = serve::listen(on(set.s3_listen, S3_PORT), "gateway.s3_listen").await?;
    let rest = serve::listen(on(set.rest_listen, REST_PORT), "gateway.rest_listen").await?;
    let admin = serve::listen(on(set.admin_listen, ADMIN_PORT), "gateway.admin_listen").await?;
    let served = serve::run("claviger-gateway", async |process: &mut Process| {
        process.start_admin(admin);
        log_listening("S3", &s3);
        log_listening("management", &rest);
        let ready = process.register("gateway");
        process.start("gateway", |shutdown| gateway::serve(config, s3, rest, ready, shutdown));
        Ok(())
    });
    Ok(served.await?)
}

fn gateway_config(
    given: &config::Gateway,
    set: &config::Gateway,
) -> anyhow::Result<gateway::Config> {
    let config::Upstream { endpoint, region, access_key_id, secret_access_key_file } =
        &set.upstream;
    let endpoint = endpoint.as_deref().context("gateway.upstream.endpoint is not set")?;
    let upstream = gateway::Upstream {
        endpoint: endpoint.parse().context("gateway.upstream.endpoint is no URI")?,
        region: region.clone().unwrap_or_else(|| REGION.to_owned()),
        access_key_id: access_key_id
            .clone()
            .context("gateway.upstream.access_key_id is not set")?,
        secret_access_key: required(
            "CLAVIGER_GATEWAY__UPSTREAM__SECRET_ACCESS_KEY",
            given.upstream.secret_access_key_file.as_deref(),
            secret_access_key_file.as_deref(),
        )?,
    };
    let token = token(
        "CLAVIGER_GATEWAY__GATEWAY_TOKEN",
        given.gateway_token_file.as_deref(),
        set.gateway_token_file.as_deref(),
    )?;
    Ok(gateway::Config {
        auth: set.auth.clone().unwrap_or_else(|| local(AUTH_PORT)),
        token,
        region: set.region.clone().unwrap_or_else(|| REGION.to_owned()),
        account_id: set.account_id.context("gateway.account_id is not set")?,
        domains: set.domains.clone().unwrap_or_else(|| gateway::DOMAINS.map(Into::into).into()),
        reserved_buckets: set
            .reserved_buckets
            .clone()
            .unwrap_or_else(|| gateway::RESERVED_BUCKETS.map(Into::into).into()),
        upstream,
        limits: limits(&set.limits),
    })
}

fn limits(set: &config::Limits) -> gateway::Limits {
    let mut limits = gateway::Limits::default();
    override_with(&mut limits.connections_max, set.connections_max);
    override_with(&mut limits.requests_max, set.requests_max);
    override_with(&mut limits.head_timeout, seconds(set.head_timeout_seconds));
    override_with(&mut limits.idle_timeout, seconds(set.idle_timeout_seconds));
    override_with(&mut limits.auth_timeout, seconds(set.auth_timeout_seconds));
    override_with(&mut limits.connect_timeout, seconds(set.connect_timeout_seconds));
    override_with(&mut limits.response_timeout, seconds(set.response_timeout_seconds));
    limits
}

/// The key-encryption keys: the one that seals, and those that still open.
pub(crate) fn keyring(given: &config::Identity, set: &config::Identity) -> anyhow::Result<Keyring> {
    let in_variable = std::env::var_os(KEK).is_some_and(|value| !value.is_empty());
    let primary = match (in_variable, &given.kek_file, &set.kek_file) {
        (true, Some(_), _) => {
            anyhow::bail!("{KEK} and --kek-file are both given: leave one of them out")
        }
        (true, None, _) => KeyEncryptionKey::from_env(KEK)?,
        (false, _, Some(path)) => KeyEncryptionKey::from_file(path)?,
        (false, _, None) => anyhow::bail!("identity.kek_file is not set, nor is {KEK}"),
    };
    let mut keyring = Keyring::new(primary);
    for path in set.old_kek_files.iter().flatten() {
        keyring = keyring.with(KeyEncryptionKey::from_file(path)?)?;
    }
    // Beside those in files: each is told apart by itself, and given twice refused.
    if let Some(old) = secret::find(OLD_KEKS, None, None)? {
        for text in old.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            keyring = keyring.with(KeyEncryptionKey::from_text(OLD_KEKS, text)?)?;
        }
    }
    Ok(keyring)
}

/// The key-encryption key that seals.
pub(crate) const KEK: &str = "CLAVIGER_IDENTITY__KEK";
/// Older key-encryption keys, parted by commas.
const OLD_KEKS: &str = "CLAVIGER_IDENTITY__OLD_KEKS";

fn optional_token(
    variable: &str,
    given: Option<&Path>,
    set: Option<&Path>,
) -> anyhow::Result<Option<Token>> {
    let found = secret::find(variable, given, set)?;
    found.map(|text| Token::parse(&text).with_context(|| key_of(variable))).transpose()
}

fn token(variable: &str, given: Option<&Path>, set: Option<&Path>) -> anyhow::Result<Token> {
    Token::parse(&required(variable, given, set)?).with_context(|| key_of(variable))
}

fn required(
    variable: &str,
    given: Option<&Path>,
    set: Option<&Path>,
) -> anyhow::Result<Zeroizing<String>> {
    let found = secret::find(variable, given, set)?;
    found.with_context(|| format!("{}_file is not set, nor is {variable}", key_of(variable)))
}

/// The key in the file that a variable stands for: `CLAVIGER_AUTH__ADMIN_TOKEN` for
/// `auth.admin_token`.
fn key_of(variable: &str) -> String {
    let key = variable.strip_prefix("CLAVIGER_").unwrap_or(variable);
    key.replace("__", ".").to_ascii_lowercase()
}

/// What is wrong with the configuration is wrong usage.
fn usage<T>(config: anyhow::Result<T>) -> Outcome<T> {
    config.map_err(|error| Failure::usage(format!("configuration: {error:#}")))
}

fn on(address: Option<SocketAddr>, port: u16) -> SocketAddr {
    address.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

fn local(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn seconds(seconds: Option<u64>) -> Option<Duration> {
    seconds.map(Duration::from_secs)
}

fn override_with<T>(value: &mut T, set: Option<T>) {
    if let Some(set) = set {
        *value = set;
    }
}
