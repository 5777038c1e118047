//! `claviger dev`: everything in one process, for trying out.
//!
//! Identity, auth, gateway and a small object store each listen on loopback and meet there, as they
//! would on machines of their own; only that gateway asks auth without gRPC.

mod account;
mod buckets;
mod files;
mod password;
mod report;
mod state;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use api::auth::v1::{
    GetSigningKeyRequest, GetSigningKeyResponse, VerifySignatureRequest, VerifySignatureResponse,
    VerifyStringToSignRequest, VerifyStringToSignResponse,
};
use event_store::SystemClock;
use rpc::{Callers, Known, Target, Token};
use tokio::net::TcpListener;
use tonic::Status;
use zeroize::Zeroizing;

use self::files::DataDir;
use self::report::Report;
use self::state::{Hidden, State};
use crate::cli::{DevArgs, DevOutput};
use crate::serve::{self, Process};

const REGION: &str = "us-east-1";
/// The folder of the object store in the data directory.
const OBJECTS: &str = "objects";
/// The gateway's access key at the object store; the secret to it is a new one at each start.
const STORE_ACCESS_KEY_ID: &str = "CLAVIGERDEVGATEWAY00";
/// As whom another store may ask by Keystone's API: name, domain and project.
const KEYSTONE_SERVICE: [&str; 3] = ["store", "Default", "service"];

/// Runs until a signal.
///
/// # Errors
/// If a port or the data directory cannot be used, or a part fails.
pub(crate) async fn run(args: DevArgs) -> anyhow::Result<()> {
    // All ports come first: nothing is written if one of them is taken.
    let listeners = Listeners::bind(&args).await?;
    let dir = DataDir::open(&args.data_dir)?;
    // The directory stays locked until the last part has ended.
    serve::run("claviger-dev", async |process: &mut Process| {
        start(process, listeners, &dir, args.output).await
    })
    .await
}

struct Listeners {
    s3: TcpListener,
    rest: TcpListener,
    identity: TcpListener,
    auth: TcpListener,
    admin: TcpListener,
    store: TcpListener,
}

impl Listeners {
    async fn bind(args: &DevArgs) -> anyhow::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Ok(Self {
            s3: serve::listen(args.s3_listen, "--s3-listen").await?,
            rest: serve::listen(args.rest_listen, "--rest-listen").await?,
            identity: serve::listen(args.identity_listen, "--identity-listen").await?,
            auth: serve::listen(args.auth_listen, "--auth-listen").await?,
            admin: serve::listen(args.admin_listen, "--admin-listen").await?,
            store: serve::listen(any, "the object store").await?,
        })
    }
}

/// The folder of the program that runs.
fn program_dir() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    Ok(program.parent().map(PathBuf::from).unwrap_or_default())
}

/// Starts the parts one after the other, each when those are ready that it needs, and reports.
async fn start(
    process: &mut Process,
    listeners: Listeners,
    dir: &DataDir,
    output: DevOutput,
) -> anyhow::Result<()> {
    let mut state = State::load(dir)?;
    let admin_token = state.admin_token.token()?;
    let keystone_password = state.keystone_password(dir)?;
    // Nobody outside needs these: new ones at each start do.
    let (auth_token, gateway_token) = (Token::generate()?, Token::generate()?);
    let acting_token = Token::generate()?;
    let report = Report {
        s3: uri(&listeners.s3)?,
        rest: uri(&listeners.rest)?,
        identity: uri(&listeners.identity)?,
        auth: uri(&listeners.auth)?,
        admin: uri(&listeners.admin)?,
        region: REGION,
        keystone_password: keystone_password.clone(),
        aws_config: dir.aws_config()?,
        program_dir: program_dir()?,
    };
    let ready = ["identity", "auth", "gateway"].map(|name| process.register(name));
    let [identity_ready, auth_ready, gateway_ready] = ready;

    process.start_admin(listeners.admin);
    serve::log_listening("S3", &listeners.s3);
    serve::log_listening("management", &listeners.rest);
    serve::log_listening("identity", &listeners.identity);
    serve::log_listening("auth", &listeners.auth);
    let config = identity::Config {
        data_dir: dir.root().to_owned(),
        keyring: dir.keyring()?,
        callers: identity::Callers {
            operators: Known::by_token(admin_token.clone()),
            auths: Known::by_token(auth_token.clone()),
            gateways: Known::by_token(acting_token.clone()),
        },
        tls: None,
        accepts_signature_v2: false,
    };
    let flag = identity_ready.clone();
    process.start("identity", |shutdown| {
        identity::serve(config, Arc::new(SystemClock), listeners.identity, flag, shutdown)
    });
    process.until_ready(&identity_ready).await?;
    let channel = rpc::channel(&report.identity, &admin_token)?;
    let account = account::ensure(channel.clone(), dir, &mut state).await?;
    let login = password::ensure(channel.clone(), dir, &mut state, &account).await?;

    let callers = Callers {
        operators: Known::by_token(admin_token.clone()),
        services: Known::by_token(gateway_token),
    };
    let target = Target::in_the_clear(report.identity.as_str(), auth_token);
    let mut config = auth::Config::new(target, callers);
    config.region = Some(REGION.to_owned());
    let flag = auth_ready.clone();
    let auth = auth::Auth::new(config)?;
    let in_process = gateway::Auth::InProcess(Arc::new(InProcess(auth.handle())));
    process.start("auth", |shutdown| auth.serve(listeners.auth, flag, shutdown));
    let upstream = start_store(process, dir, listeners.store)?;
    buckets::adopt(channel.clone(), &account, &upstream).await?;
    let keystone = keystone(&keystone_password);
    let config = gateway_config(&report, in_process, acting_token, upstream, keystone);
    let flag = gateway_ready.clone();
    process.start("gateway", |shutdown| {
        gateway::serve(config, listeners.s3, listeners.rest, flag, shutdown)
    });
    process.until_ready(&auth_ready).await?;
    process.until_ready(&gateway_ready).await?;

    let secret_is_valid = account::secret_is_valid(channel, &account).await?;
    if !secret_is_valid {
        eprintln!(
            "note: the secret of {} was changed through the API, or the access key deleted: \
             `claviger dev` does not know the new one",
            account.access_key_id
        );
    }
    report.print(output, &account, secret_is_valid, &login, &admin_token)?;
    tracing::info!(s3 = report.s3, identity = report.identity, "ready");
    Ok(())
}

/// Auth, asked by the gateway without gRPC.
#[derive(Debug)]
struct InProcess(auth::Handle);

#[tonic::async_trait]
impl gateway::Verify for InProcess {
    async fn verify_signature(
        &self,
        request: VerifySignatureRequest,
    ) -> Result<VerifySignatureResponse, Status> {
        self.0.verify_signature(&request).await
    }

    async fn verify_string_to_sign(
        &self,
        request: VerifyStringToSignRequest,
    ) -> Result<VerifyStringToSignResponse, Status> {
        self.0.verify_string_to_sign(&request).await
    }

    async fn get_signing_key(
        &self,
        request: GetSigningKeyRequest,
    ) -> Result<GetSigningKeyResponse, Status> {
        self.0.get_signing_key(&request).await
    }
}

fn gateway_config(
    report: &Report,
    auth: gateway::Auth,
    acting_token: Token,
    upstream: gateway::Upstream,
    keystone: gateway::Keystone,
) -> gateway::Config {
    gateway::Config {
        auth,
        identity: Some(Target::in_the_clear(report.identity.as_str(), acting_token)),
        region: REGION.to_owned(),
        accepts_sigv4a: true,
        account_id: None,
        domains: gateway::DOMAINS.map(Into::into).into(),
        reserved_buckets: gateway::RESERVED_BUCKETS.map(Into::into).into(),
        upstream,
        upstreams: vec![],
        s3_tls: None,
        management_tls: None,
        anonymous_buckets: vec![],
        cors: vec![],
        keystone: Some(keystone),
        access_log: gateway::AccessLog::default(),
        limits: gateway::Limits::default(),
    }
}

/// Keystone's API, for one store that is tried out.
fn keystone(password: &Hidden) -> gateway::Keystone {
    let [name, domain, project] = KEYSTONE_SERVICE.map(str::to_owned);
    let password = Zeroizing::new(password.expose().to_owned());
    gateway::Keystone {
        services: vec![gateway::KeystoneService {
            name,
            domain,
            project,
            password,
            old_password: None,
        }],
        roles: gateway::KEYSTONE_ROLES.map(Into::into).into(),
        max_age: gateway::KEYSTONE_MAX_AGE,
    }
}

fn start_store(
    process: &mut Process,
    dir: &DataDir,
    listener: TcpListener,
) -> anyhow::Result<gateway::Upstream> {
    let path = dir.path(OBJECTS);
    let secret = Token::generate()?;
    let upstream = gateway::Upstream {
        endpoint: uri(&listener)?.parse()?,
        tls: None,
        access: gateway::Access::Key(gateway::UpstreamKey {
            region: REGION.to_owned(),
            access_key_id: STORE_ACCESS_KEY_ID.to_owned(),
            secret_access_key: Zeroizing::new(secret.expose().to_owned()),
        }),
        health_path: None,
        sends_trailers: true,
    };
    process.start("object store", move |shutdown| async move {
        let opened = tokio::task::spawn_blocking(move || {
            demo_store::DemoStore::open(&path)
                .with_context(|| format!("cannot open {}", path.display()))
        });
        let service =
            demo_store::service(opened.await??, REGION, STORE_ACCESS_KEY_ID, secret.expose());
        Ok(demo_store::serve(listener, service, shutdown.cancelled_owned()).await?)
    });
    Ok(upstream)
}

/// Where a listener is reached from this machine.
fn uri(listener: &TcpListener) -> anyhow::Result<String> {
    let mut address = listener.local_addr()?;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    Ok(format!("http://{address}"))
}
