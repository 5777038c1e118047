//! The read side: says who signed a request, out of memory.
//!
//! [`serve`] follows identity's credential feed into a read model and answers AuthService from it. It keeps nothing on disk and never sees a secret access key: only date keys, each good
//! for one day.
//!
//! A verdict is reached by `verify`, which is synchronous and knows no gRPC. What may be asked brings
//! it there, each in a module of its own: `request`, `version_2`, `post_form`, `string_to_sign`, `signing_key`, `explain`; the
//! `verifier` waits for what they need. All around them bring the call there and the verdict back:
//! `service`, `direct`, `stream`, `answer`, `status`; those who ask in contracts of their own have `envoy` and `rgw`. The read model is filled by `feed` and, for presigned URLs
//! of older days and signatures of Version 4A, by `on_demand`. What becomes of verdicts, `outcome` decides, `uses` and
//! `lockout` keep, and `report` tells identity.

#[cfg(test)]
mod allocations;
mod answer;
mod authority;
mod clock;
mod config;
mod direct;
mod envoy;
mod error_document;
mod explain;
mod feed;
mod freshness;
mod handle;
#[doc(hidden)]
pub mod in_process;
mod lockout;
mod metrics;
mod on_demand;
mod outcome;
mod post_form;
mod record;
mod report;
mod request;
mod rgw;
mod service;
mod signing_key;
#[cfg(test)]
mod simulation;
mod source;
mod status;
mod stream;
mod string_to_sign;
mod uses;
mod verifier;
mod verify;
mod version_2;

use std::fmt;
use std::sync::Arc;

use api::auth::v1::auth_service_server::AuthServiceServer;
use api::authenticator::v1::authenticator_service_server::AuthenticatorServiceServer;
use api::envoy::service::auth::v3::authorization_server::AuthorizationServer;
use api::identity::v1::credential_feed_service_client::CredentialFeedServiceClient;
use api::rgw::auth::v1::auth_service_server::AuthServiceServer as RgwServer;
use lockout::Lockouts;
use read_model::ReadModel;
use rpc::Malformed;
use telemetry::ReadyFlag;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use uses::Uses;

pub use clock::{Clock, SystemClock};
pub use config::Config;
pub use handle::Handle;

/// The names of the services, as health and reflection tell them.
const SERVICES: [&str; 4] =
    ["claviger.auth.v1.AuthService", envoy::SERVICE, rgw::SERVICES[0], rgw::SERVICES[1]];
/// A batch of requests may have this much; one alone needs no more than 128 KiB.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Serves until `shutdown`. `ready` is set once the first snapshot is complete, and unset while
/// identity has not been heard for longer than the hard limit.
///
/// Needs no identity to start: it answers `UNAVAILABLE` until it has found one.
///
/// # Errors
/// If the configuration cannot be used or the listener fails.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    ready: ReadyFlag,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    Auth::new(config)?.serve(listener, ready, shutdown).await
}

/// Auth before it serves: whoever is in the same process may have a [`Handle`] to it.
pub struct Auth {
    config: Config,
    identity: CredentialFeedServiceClient<rpc::Channel>,
    model: Arc<ReadModel>,
    uses: Arc<Uses>,
    lockouts: Arc<Lockouts>,
    handle: Handle,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Auth {
    /// # Errors
    /// If the configuration cannot be used.
    pub fn new(config: Config) -> anyhow::Result<Self> {
        let model = Arc::new(ReadModel::new());
        config.callers.check()?;
        if let Some(region) = &config.region {
            request::check_scope(region, request::S3)?;
        }
        let identity = CredentialFeedServiceClient::new(config.identity.channel()?);
        let (uses, lockouts) = (Arc::new(Uses::default()), Arc::new(Lockouts::default()));
        let metrics = Arc::new(metrics::Metrics::new(&model, &config.clock));
        metrics::register(&uses, &lockouts);
        let on_demand = on_demand::OnDemand::new(identity.clone(), Arc::clone(&config.clock));
        let kept = outcome::Kept { uses: Arc::clone(&uses), lockouts: Arc::clone(&lockouts) };
        let verifier = verifier::Verifier::new(&config, Arc::clone(&model), on_demand, kept);
        let handle = Handle::new(Arc::new(verifier), metrics);
        Ok(Self { config, identity, model, uses, lockouts, handle })
    }

    /// Asks without gRPC. It answers once this serves.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// As [`serve`].
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        ready: ReadyFlag,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let Self { config, identity, model, uses, lockouts, handle } = self;
        let (is_ready, ready_watch) = watch::channel(false);
        let region = config.region.as_deref();
        let envoy = envoy::Service::new(handle.clone(), region);
        let rgw = rgw::Service::new(handle.clone(), region, Arc::clone(&config.clock));
        let guard = config.callers.guard(|_| true);
        let direct = direct::methods(&handle, &guard, REQUEST_BYTES_MAX);
        let service = service::Service::new(handle, shutdown.clone());
        let service = AuthServiceServer::new(service).max_decoding_message_size(REQUEST_BYTES_MAX);
        let envoy = AuthorizationServer::new(envoy).max_decoding_message_size(REQUEST_BYTES_MAX);
        let first_rgw = RgwServer::new(rgw.clone()).max_decoding_message_size(REQUEST_BYTES_MAX);
        let rgw = AuthenticatorServiceServer::new(rgw).max_decoding_message_size(REQUEST_BYTES_MAX);
        let mut routes = rpc::routes(&SERVICES)?;
        macro_rules! add {
            ($service:expr) => {
                let guarded = InterceptedService::new($service, guard.clone());
                routes.add_service(Malformed::new(guarded));
            };
        }
        add!(service);
        add!(envoy);
        add!(rgw);
        add!(first_rgw);
        let server = rpc::Server {
            listener,
            tls: config.tls.clone(),
            services: &SERVICES,
            ready: ready_watch,
            shutdown: shutdown.clone(),
        };

        let workers = config.workers;
        // Ended when this function is, in whatever way.
        let mut tasks = JoinSet::new();
        let clock = Arc::clone(&config.clock);
        let reporter = report::Reporter {
            client: identity.clone(),
            clock: Arc::clone(&clock),
            uses,
            lockouts: Arc::clone(&lockouts),
        };
        let served_all = CancellationToken::new();
        let reporting = tokio::spawn(reporter.run(served_all.clone()));
        tasks.spawn(feed::follow(identity, Arc::clone(&model), lockouts, clock, shutdown));
        tasks.spawn(freshness::watch(config, model, ready.clone(), is_ready));
        let served = tokio::select! {
            served = server.serve_on(workers, routes, direct) => served,
            ended = tasks.join_next() => match ended {
                Some(Err(error)) => Err(error.into()),
                Some(Ok(())) | None => Err(anyhow::anyhow!("a task that never ends has ended")),
            },
        };
        ready.set(false);
        served_all.cancel();
        reporting.await?;
        served
    }
}
