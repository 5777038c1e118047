//! S3 and REST outside, gRPC inside: the gateway verifies each S3 request with auth and passes it
//! on to an upstream S3 server, signed anew.
//!
//! Stores that ask Keystone who signed a request may ask the gateway by the same API.
//!
//! What is a form for the endpoint itself is AWS IAM's API, which becomes calls to identity.
//!
//! Each bucket is the account's that claimed it, which identity knows and tells; where there is one account only, all
//! buckets are its.
//!
//! It keeps no state and holds no customer's secret. Bodies stream both ways and are never
//! buffered; a body whose SHA-256 was signed is hashed on its way, and its last piece is held back
//! until the hash is right, so that a body that does not match never becomes an object.
//!
//! Requests are path-style, `/{bucket}/{key}`, or virtual-host-style, `/{key}` at
//! `{bucket}.{domain}`; the upstream is spoken to path-style. As what goes on bears the upstream's
//! credential, nothing does that is not known to be an operation on buckets and objects: bucket
//! names, query parameters and headers each go on only if they are known. A body in chunks is
//! verified chunk by chunk, and one in a form goes on as an object of its own. What the upstream
//! answers to a HEAD request has no body, so a `403` that concerns the gateway's own credential
//! cannot be told from the client's there.

mod access_log;
mod auth;
mod body;
mod buckets;
mod config;
mod health;
mod iam;
mod identity;
mod keystone;
mod listener;
mod management;
mod metrics;
mod ontap;
mod osc;
mod request;
mod rest;
mod s3;
mod socket;
mod upstream;
mod xml;

use std::sync::Arc;

use hyper::body::Incoming;
use telemetry::ReadyFlag;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::{Layer, service_fn};

pub use auth::{Auth, Verify};
pub use buckets::BucketPattern;
pub use config::{
    Access, AccessLog, Config, CorsRule, DOMAINS, KEYSTONE_MAX_AGE, KEYSTONE_ROLES, Keystone,
    KeystoneService, Limits, NamedUpstream, RESERVED_BUCKETS, Upstream, UpstreamKey,
};
pub use s3::bucket_names;

/// The most connections to the management listener where a few operators use it, and no store asks by it for each
/// request.
const MANAGEMENT_CONNECTIONS_MAX: usize = 256;

/// Serves S3 and management, each on its listener, until `shutdown`; requests under way may then
/// end within [`Limits::drain_timeout`].
///
/// `ready` is set for as long as auth's health says that it serves.
///
/// # Errors
/// If the configuration cannot be used; nothing is served then.
pub async fn serve(
    config: Config,
    s3: TcpListener,
    management: TcpListener,
    ready: ReadyFlag,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let auth: Arc<dyn Verify> = match &config.auth {
        Auth::Remote(targets) => {
            let hedge_after = config.limits.auth_hedge_after;
            let (ready, shutdown) = (ready.clone(), shutdown.clone());
            Arc::new(auth::Link::new(targets.clone(), hedge_after, ready, shutdown)?)
        }
        Auth::InProcess(auth) => {
            ready.set(true); // whoever runs both knows
            Arc::new(auth::InTurn(Arc::clone(auth)))
        }
    };
    let verifier = s3::Verifier::new(auth, config.region.clone(), config.limits.auth_timeout)
        .accept_sigv4a(config.accepts_sigv4a);
    let keystone = Arc::new(keystone::Keystone::new(config.keystone.as_ref(), &verifier)?);
    let identity = config.identity.as_ref().map(rpc::Target::channel).transpose()?;
    let identity = identity.map(identity::Identity::new);
    let dialects = match &identity {
        None => None,
        Some(identity) => {
            Some(Arc::new(management::Dialects::new(&verifier, identity, &shutdown)?))
        }
    };
    let handler = Arc::new(s3::S3::new(&config, verifier, identity.as_ref())?);
    let watched = Arc::clone(&handler);
    let telemetry = telemetry::http_server_layer();
    let stores_ask = config.keystone.is_some();
    let Config { limits, s3_tls, management_tls, .. } = config;
    for (tls, shown_by) in [(&s3_tls, "s3"), (&management_tls, "management")] {
        if let Some(tls) = tls {
            tls.tell_expiry(shown_by);
        }
    }
    let s3 = listener::Port {
        listener: s3,
        tls: s3_tls,
        connections_max: limits.connections_max,
        unreadable: s3::unreadable,
    };
    let s3 = listener::serve(s3, &limits, &shutdown, {
        let (telemetry, dialects) = (telemetry.clone(), dialects.clone());
        move |client| {
            let (handler, dialects) = (Arc::clone(&handler), dialects.clone());
            telemetry.layer(service_fn(move |request: http::Request<Incoming>| {
                let (handler, dialects) = (Arc::clone(&handler), dialects.clone());
                async move {
                    let is_form = iam::is_form(&request) && !handler.is_of_bucket(&request);
                    match dialects.filter(|_| is_form) {
                        Some(dialects) => {
                            Ok(dialects.iam.handle(client.address.ip(), request).await)
                        }
                        None => handler.handle(client, request).await,
                    }
                }
            }))
        }
    });
    let management = listener::Port {
        listener: management,
        tls: management_tls,
        connections_max: match stores_ask {
            true => limits.connections_max,
            false => limits.connections_max.min(MANAGEMENT_CONNECTIONS_MAX),
        },
        unreadable: management::unreadable,
    };
    let management = listener::serve(management, &limits, &shutdown, move |client| {
        let (dialects, keystone) = (dialects.clone(), Arc::clone(&keystone));
        telemetry.layer(service_fn(move |request| {
            let (dialects, keystone) = (dialects.clone(), Arc::clone(&keystone));
            let client = client.address.ip();
            async move { management::handle(client, request, dialects.as_deref(), &keystone).await }
        }))
    });
    let upstreams = watched.watch_upstreams(&ready, &shutdown);
    let buckets = watched.follow_buckets(&shutdown);
    let not_ready = async {
        shutdown.cancelled().await;
        ready.set(false);
    };
    tokio::join!(s3, management, upstreams, buckets, not_ready);
    Ok(())
}

/// A new request ID: 32 upper-case hexadecimal digits.
fn request_id() -> String {
    format!("{:X}", uuid::Uuid::new_v4().simple())
}
