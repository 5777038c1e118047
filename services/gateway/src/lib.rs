//! S3 and REST outside, gRPC inside: the gateway verifies each S3 request with auth and passes it
//! on to an upstream S3 server, signed anew.
//!
//! It keeps no state and holds no customer's secret. Bodies stream both ways and are never
//! buffered; a body whose SHA-256 was signed is hashed on its way, and its last piece is held back
//! until the hash is right, so that a body that does not match never becomes an object.
//!
//! Requests are path-style: `/{bucket}/{key}`; the `Host` header names no bucket. Chunked uploads
//! (`STREAMING-...`), form uploads and CORS are not offered yet, and say so. What the upstream
//! answers to a HEAD request has no body, so a `403` that concerns the gateway's own credential
//! cannot be told from the client's there.

mod access_log;
mod body;
mod config;
mod health;
mod listener;
mod management;
mod s3;
mod socket;

use std::sync::Arc;

use hyper::body::Incoming;
use telemetry::ReadyFlag;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::{Layer, service_fn};

pub use config::{Config, Limits, Upstream};

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
    let channel = rpc::channel(&config.auth, &config.token)?;
    let handler = Arc::new(s3::S3::new(&config, channel.clone())?);
    let telemetry = telemetry::http_server_layer();
    let s3 = listener::serve(s3, &config.limits, &shutdown, |client| {
        let handler = Arc::clone(&handler);
        telemetry.layer(service_fn(move |request: http::Request<Incoming>| {
            Arc::clone(&handler).handle(client.ip(), request)
        }))
    });
    let management = listener::serve(management, &config.limits, &shutdown, |_client| {
        telemetry.layer(service_fn(management::handle))
    });
    tokio::join!(s3, management, health::watch(channel, ready, &shutdown));
    Ok(())
}

/// A new request ID: 32 upper-case hexadecimal digits.
fn request_id() -> String {
    uuid::Uuid::new_v4().simple().to_string().to_uppercase()
}
