//! S3 and REST outside, gRPC inside: the gateway verifies each S3 request with auth and passes it
//! on to an upstream S3 server, signed anew.
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
//! names, query parameters and headers each go on only if they are known. Chunked uploads
//! (`STREAMING-...`), form uploads and CORS are not offered yet, and say so. What the upstream
//! answers to a HEAD request has no body, so a `403` that concerns the gateway's own credential
//! cannot be told from the client's there.

mod access_log;
mod body;
mod config;
mod health;
mod iam;
mod identity;
mod listener;
mod management;
mod ontap;
mod osc;
mod request;
mod rest;
mod s3;
mod socket;
mod xml;

use std::sync::Arc;

use hyper::body::Incoming;
use telemetry::ReadyFlag;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::{Layer, service_fn};

pub use config::{Config, DOMAINS, Limits, RESERVED_BUCKETS, Upstream};
pub use s3::bucket_names;

/// The most connections to the management listener, which a few operators use.
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
    let channel = config.auth.channel()?;
    let verifier =
        s3::Verifier::new(channel.clone(), config.region.clone(), config.limits.auth_timeout);
    let identity = config.identity.as_ref().map(rpc::Target::channel).transpose()?;
    let identity = identity.map(identity::Identity::new);
    let dialects = match &identity {
        None => None,
        Some(identity) => {
            Some(Arc::new(management::Dialects::new(&verifier, identity, &shutdown)?))
        }
    };
    let handler = Arc::new(s3::S3::new(&config, verifier, identity.as_ref())?);
    let follower = Arc::clone(&handler);
    let telemetry = telemetry::http_server_layer();
    let connections_max = config.limits.connections_max;
    let unreadable = s3::unreadable;
    let s3 =
        listener::serve(s3, &config.limits, connections_max, &shutdown, unreadable, |client| {
            let (handler, dialects) = (Arc::clone(&handler), dialects.clone());
            telemetry.layer(service_fn(move |request: http::Request<Incoming>| {
                let (handler, dialects) = (Arc::clone(&handler), dialects.clone());
                async move {
                    let is_form = iam::is_form(&request) && !handler.is_of_bucket(&request);
                    match dialects.filter(|_| is_form) {
                        Some(dialects) => Ok(dialects.iam.handle(client.ip(), request).await),
                        None => handler.handle(client.ip(), request).await,
                    }
                }
            }))
        });
    let connections_max = connections_max.min(MANAGEMENT_CONNECTIONS_MAX);
    let unreadable = management::unreadable;
    let management = listener::serve(
        management,
        &config.limits,
        connections_max,
        &shutdown,
        unreadable,
        |client| {
            let dialects = dialects.clone();
            telemetry.layer(service_fn(move |request| {
                let dialects = dialects.clone();
                async move { management::handle(client.ip(), request, dialects.as_deref()).await }
            }))
        },
    );
    let watched = health::watch(channel, ready, &shutdown);
    tokio::join!(s3, management, watched, follower.follow(&shutdown));
    Ok(())
}

/// A new request ID: 32 upper-case hexadecimal digits.
fn request_id() -> String {
    uuid::Uuid::new_v4().simple().to_string().to_uppercase()
}
