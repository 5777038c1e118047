//! Logs, metrics and traces: one call per process, one layer per server.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let telemetry = telemetry::init("claviger-auth")?; // first, inside the tokio runtime
//! let readiness = telemetry::Readiness::default();
//! let caught_up = readiness.register("auth");
//!
//! let admin = tokio::net::TcpListener::bind("127.0.0.1:7190").await?;
//! let registry = telemetry.registry().clone();
//! tokio::spawn(telemetry::admin::serve(admin, readiness, registry, std::future::pending()));
//!
//! let layer = telemetry::rpc_server_layer(["claviger.auth.v1.AuthService/VerifySignature"]);
//! let server = tonic::transport::Server::builder().layer(layer);
//! # let _ = server;
//! caught_up.set(true);
//! telemetry.shutdown().await; // last
//! # Ok(())
//! # }
//! ```
//!
//! Names follow OpenTelemetry's semantic conventions for RPC and HTTP. What identifies a customer, that is a
//! URL's path or query, a header, an access key, a user, never becomes part of a span, a metric or a log here.

pub mod admin;

mod body;
mod context;
mod deadline;
mod http_server;
mod log;
mod metric;
mod otlp;
mod process;
mod readiness;
mod rpc;

pub use body::{Call, CallBody, End};
pub use context::is_sampled;
pub use deadline::deadline;
pub use http_server::{HttpRoute, HttpServer, HttpServerLayer, http_server_layer};
pub use metric::meter;
pub use opentelemetry::{KeyValue, metrics};
pub use process::{Telemetry, init};
pub use prometheus::Registry;
pub use readiness::{Readiness, ReadyFlag};
pub use rpc::{
    RpcClient, RpcClientLayer, RpcServer, RpcServerLayer, rpc_client_layer, rpc_server_layer,
};

#[cfg(test)]
mod tests;
