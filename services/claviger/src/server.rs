//! `claviger identity`, `auth` and `gateway`: from settings to a running server.

mod keystone;
mod upstreams;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use event_store::SystemClock;
use rpc::{Callers, Known, Target, Token};
use sealing::{KeyEncryptionKey, Keyring};
use tokio::net::TcpListener;

use crate::cli::ServerArgs;
use crate::config::tls::Tls;
use crate::config::{self, secret};
use crate::exit::{Failure, Outcome};
use crate::serve::{self, Process, log_listening, log_listening_by_tls};

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
    let config = usage(identity_config(&given, &set))?;
    let listener = serve::listen(on(set.listen, IDENTITY_PORT), "identity.listen").await?;
    let admin = serve::listen(on(set.admin_listen, ADMIN_PORT), "identity.admin_listen").await?;
    let served = serve::run("claviger-identity", async |process: &mut Process| {
        process.start_admin(admin);
        log_grpc(&listener, config.tls.is_some());
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
    let config = usage(auth_config(&given, &set))?;
    let listener = serve::listen(on(set.listen, AUTH_PORT), "auth.listen").await?;
    let admin = serve::listen(on(set.admin_listen, ADMIN_PORT), "auth.admin_listen").await?;
    let served = serve::run("claviger-auth", async |process: &mut Process| {
        process.start_admin(admin);
        log_grpc(&listener, config.tls.is_some());
        let ready = process.register("auth");
        process.start("auth", |shutdown| auth::serve(config, listener, ready, shutdown));
        Ok(())
    });
    Ok(served.await?)
}

fn identity_config(
    given: &config::Identity,
    set: &config::Identity,
) -> anyhow::Result<identity::Config> {
    let keyring = keyring(given, set)?;
    let tls = Tls::from(&set.tls);
    let operators = Known {
        token: optional_token(
            "CLAVIGER_IDENTITY__ADMIN_TOKEN",
            given.admin_token_file.as_deref(),
            set.admin_token_file.as_deref(),
        )?,
        names: tls.names("identity.operators", set.operators.as_deref())?,
    };
    let auths = Known {
        token: optional_token(
            "CLAVIGER_IDENTITY__AUTH_TOKEN",
            given.auth_token_file.as_deref(),
            set.auth_token_file.as_deref(),
        )?,
        names: tls.names("identity.auths", set.auths.as_deref())?,
    };
    let gateways = Known {
        token: optional_token(
            "CLAVIGER_IDENTITY__GATEWAY_TOKEN",
            given.gateway_token_file.as_deref(),
            set.gateway_token_file.as_deref(),
        )?,
        names: tls.names("identity.gateways", set.gateways.as_deref())?,
    };
    let callers = identity::Callers {
        operators: somebody(operators, "CLAVIGER_IDENTITY__ADMIN_TOKEN", "identity.operators")?,
        auths: somebody(auths, "CLAVIGER_IDENTITY__AUTH_TOKEN", "identity.auths")?,
        gateways,
    };
    callers.check()?;
    if tls.certificate_file.is_none() {
        let wanted = tls.name("certificate_file");
        of_no_use(&tls, "ca_file", tls.ca_file.is_some(), &wanted)?;
    }
    Ok(identity::Config {
        data_dir: set.data_dir.clone().unwrap_or_else(|| PathBuf::from(DATA_DIR)),
        keyring,
        callers,
        tls: tls.server()?,
        accepts_signature_v2: set.accept_signature_v2.unwrap_or_default(),
    })
}

fn auth_config(given: &config::Auth, set: &config::Auth) -> anyhow::Result<auth::Config> {
    let tls = Tls::from(&set.tls);
    let operators = Known {
        token: optional_token(
            "CLAVIGER_AUTH__ADMIN_TOKEN",
            given.admin_token_file.as_deref(),
            set.admin_token_file.as_deref(),
        )?,
        names: tls.names("auth.operators", set.operators.as_deref())?,
    };
    let services = Known {
        token: optional_token(
            "CLAVIGER_AUTH__GATEWAY_TOKEN",
            given.gateway_token_file.as_deref(),
            set.gateway_token_file.as_deref(),
        )?,
        names: tls.names("auth.gateways", set.gateways.as_deref())?,
    };
    let callers = Callers {
        operators: somebody(operators, "CLAVIGER_AUTH__ADMIN_TOKEN", "auth.operators")?,
        services: somebody(services, "CLAVIGER_AUTH__GATEWAY_TOKEN", "auth.gateways")?,
    };
    callers.check()?;
    let uri = set.identity.clone().unwrap_or_else(|| local(IDENTITY_PORT));
    if !Target::is_https(&uri) {
        let wanted = "https:// in auth.identity";
        of_no_use(&tls, "server_name", tls.server_name.is_some(), wanted)?;
        let no_server = tls.ca_file.is_some() && tls.certificate_file.is_none();
        of_no_use(&tls, "ca_file", no_server, wanted)?;
    }
    let token = optional_token(
        "CLAVIGER_AUTH__AUTH_TOKEN",
        given.auth_token_file.as_deref(),
        set.auth_token_file.as_deref(),
    )?;
    let identity = target(uri, "auth.identity", token, "CLAVIGER_AUTH__AUTH_TOKEN", &tls)?;
    let mut config = auth::Config::new(identity, callers);
    config.tls = tls.server()?;
    override_with(&mut config.soft_staleness, seconds(set.soft_staleness_seconds));
    override_with(&mut config.hard_staleness, seconds(set.hard_staleness_seconds));
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    config.workers = set.workers.map_or(cores, NonZeroUsize::get);
    config.accepts_signature_v2 = set.accept_signature_v2.unwrap_or_default();
    config.accepts_s3_host_candidates = set.accept_s3_host_candidates.unwrap_or_default();
    config.region.clone_from(&set.region);
    Ok(config)
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
        log_http("S3", &s3, config.s3_tls.is_some());
        log_http("management", &rest, config.management_tls.is_some());
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
    let upstream = upstreams::default(given, set)?;
    let token = optional_token(
        "CLAVIGER_GATEWAY__GATEWAY_TOKEN",
        given.gateway_token_file.as_deref(),
        set.gateway_token_file.as_deref(),
    )?;
    let (uri, tls) = (set.auth.clone().unwrap_or_else(|| local(AUTH_PORT)), Tls::from(&set.tls));
    // Whoever meant the S3 port must not believe that it is encrypted now.
    let is_https = uri.split(',').any(|uri| Target::is_https(uri.trim()))
        || set.identity.as_deref().is_some_and(Target::is_https);
    anyhow::ensure!(
        is_https || !tls.is_set(),
        "gateway.tls is for the way to auth and identity, and neither gateway.auth nor \
         gateway.identity begins with https:// (gateway.s3_tls and gateway.rest_tls are for the ports)"
    );
    let identity = identity_of_gateway(given, set, &tls)?;
    anyhow::ensure!(
        identity.is_some() || set.account_id.is_some(),
        "neither gateway.identity is set, which knows whose buckets are, nor gateway.account_id, \
         whose they all are then"
    );
    Ok(gateway::Config {
        auth: auth_of_gateway(&uri, token, &tls)?,
        identity,
        region: set.region.clone().unwrap_or_else(|| REGION.to_owned()),
        accepts_sigv4a: set.accept_sigv4a.unwrap_or_default(),
        account_id: set.account_id,
        domains: set.domains.clone().unwrap_or_else(|| gateway::DOMAINS.map(Into::into).into()),
        reserved_buckets: set
            .reserved_buckets
            .clone()
            .unwrap_or_else(|| gateway::RESERVED_BUCKETS.map(Into::into).into()),
        upstream,
        upstreams: upstreams::named(&set.upstreams)?,
        s3_tls: Tls::from(&set.s3_tls).https_server()?,
        management_tls: Tls::from(&set.rest_tls).https_server()?,
        anonymous_buckets: upstreams::buckets(
            "gateway.anonymous_buckets",
            set.anonymous_buckets.as_deref(),
        )?,
        cors: cors(&set.cors)?,
        keystone: keystone::keystone(&set.keystone)?,
        access_log: match set.access_log {
            Some(config::AccessLog::S3) => gateway::AccessLog::S3,
            Some(config::AccessLog::Json) | None => gateway::AccessLog::Json,
        },
        limits: limits(&set.limits),
    })
}

/// Where the replicas of auth are.
fn auth_of_gateway(uris: &str, token: Option<Token>, tls: &Tls) -> anyhow::Result<gateway::Auth> {
    let targets = uris.split(',').map(|uri| {
        let (uri, token) = (uri.trim().to_owned(), token.clone());
        target(uri, "gateway.auth", token, "CLAVIGER_GATEWAY__GATEWAY_TOKEN", tls)
    });
    Ok(gateway::Auth::Remote(targets.collect::<anyhow::Result<_>>()?))
}

/// Says where a port of the gateway's is served, and how.
fn log_http(what: &str, listener: &TcpListener, by_tls: bool) {
    match by_tls {
        true => log_listening_by_tls(what, listener),
        false => log_listening(what, listener),
    }
}

/// Where identity is, if the gateway is to manage users and access keys.
fn identity_of_gateway(
    given: &config::Gateway,
    set: &config::Gateway,
    tls: &Tls,
) -> anyhow::Result<Option<Target>> {
    const TOKEN: &str = "CLAVIGER_GATEWAY__IDENTITY_TOKEN";
    let (given, file) = (given.identity_token_file.as_deref(), set.identity_token_file.as_deref());
    let token = optional_token(TOKEN, given, file)?;
    let Some(uri) = set.identity.clone() else {
        let key = key_of(TOKEN);
        anyhow::ensure!(token.is_none(), "{key} is of no use without gateway.identity");
        let server_name = &set.identity_server_name;
        anyhow::ensure!(
            server_name.is_none(),
            "gateway.identity_server_name is of no use without gateway.identity"
        );
        return Ok(None);
    };
    let tls = Tls { server_name: set.identity_server_name.clone(), ..tls.clone() };
    target(uri, "gateway.identity", token, TOKEN, &tls).map(Some)
}

fn cors(set: &[config::CorsRule]) -> anyhow::Result<Vec<gateway::CorsRule>> {
    let rules = set.iter().cloned().map(|rule| {
        let methods = rule.allowed_methods.iter().map(|method| method.parse());
        Ok(gateway::CorsRule {
            allowed_origins: rule.allowed_origins,
            allowed_methods: methods.collect::<Result<_, _>>().context("gateway.cors")?,
            allowed_headers: rule.allowed_headers,
            expose_headers: rule.expose_headers,
            max_age_seconds: rule.max_age_seconds,
        })
    });
    rules.collect()
}

fn limits(set: &config::Limits) -> gateway::Limits {
    let mut limits = gateway::Limits::default();
    override_with(&mut limits.connections_max, set.connections_max);
    override_with(&mut limits.requests_max, set.requests_max);
    override_with(&mut limits.forms_max, set.forms_max);
    override_with(&mut limits.head_timeout, seconds(set.head_timeout_seconds));
    override_with(&mut limits.idle_timeout, seconds(set.idle_timeout_seconds));
    override_with(&mut limits.auth_timeout, seconds(set.auth_timeout_seconds));
    let hedge_after = set.auth_hedge_milliseconds.map(Duration::from_millis);
    override_with(&mut limits.auth_hedge_after, hedge_after);
    override_with(&mut limits.connect_timeout, seconds(set.connect_timeout_seconds));
    override_with(&mut limits.response_timeout, seconds(set.response_timeout_seconds));
    override_with(&mut limits.health_interval, seconds(set.health_interval_seconds));
    override_with(&mut limits.buckets_silence_max, seconds(set.buckets_silence_seconds_max));
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

/// Refuses a kind of callers that nobody could be of.
fn somebody(known: Known, variable: &str, list: &str) -> anyhow::Result<Known> {
    let key = key_of(variable);
    anyhow::ensure!(
        !known.is_nobody(),
        "{key}_file is not set, nor is {variable}, and {list} names nobody"
    );
    Ok(known)
}

/// Where a server is that is called, and how the caller shows itself.
fn target(
    uri: String,
    uri_key: &str,
    token: Option<Token>,
    variable: &str,
    tls: &Tls,
) -> anyhow::Result<Target> {
    let is_https = Target::is_https(&uri);
    let has_certificate = is_https && tls.certificate_file.is_some();
    let key = key_of(variable);
    anyhow::ensure!(
        token.is_some() || has_certificate,
        "{key}_file is not set, nor is {variable}, nor is there a certificate to show \
         ({}, and https:// in {uri_key})",
        tls.name("certificate_file")
    );
    let tls = if is_https { Some(tls.client()?) } else { None };
    let target = Target { uri, token, tls };
    target.check().with_context(|| uri_key.to_owned())?;
    Ok(target)
}

/// Refuses a setting that would do nothing: whoever sets it believes that it does something.
fn of_no_use(tls: &Tls, key: &str, set: bool, wanted: &str) -> anyhow::Result<()> {
    anyhow::ensure!(!set, "{} is set, and of no use without {wanted}", tls.name(key));
    Ok(())
}

fn log_grpc(listener: &TcpListener, by_tls: bool) {
    if by_tls {
        log_listening_by_tls("gRPC", listener);
    } else {
        log_listening("gRPC", listener);
    }
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
