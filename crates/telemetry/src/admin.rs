//! The port for operators: `/livez`, `/readyz`, `/metrics`, `/version`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::Readiness;

/// A connection that sends no whole request head for this long is closed; also ends idle ones.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests under way may still take after `shutdown`.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections served at once; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// A pause after a failed accept, which is most often for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves the operators' port until `shutdown` ends. HTTP/1.1, without TLS or authentication: it says nothing
/// about any customer, and belongs on a network that only operators and probes reach.
///
/// | path | answer |
/// | --- | --- |
/// | `/livez` | 200 for as long as the process can answer at all |
/// | `/readyz` | 200, or 503 with the names of what is not ready, one a line; with 200 the names of what is degraded |
/// | `/metrics` | `registry` in Prometheus' text format |
/// | `/version` | the version, as JSON |
pub async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    registry: Registry,
    shutdown: impl Future<Output = ()>,
) {
    let router = router(readiness, registry);
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accept = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept => match accepted {
                (permit, Ok((stream, _))) => (permit, stream),
                (_, Err(error)) => {
                    tracing::warn!(%error, "cannot accept a connection on the admin port");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            },
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "admin connection ended");
            }
            drop(permit);
        });
    }
    if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::debug!("admin requests were still under way");
    }
}

fn router(readiness: Readiness, registry: Registry) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz).with_state(readiness))
        .route("/metrics", get(metrics).with_state(registry))
        .route("/version", get(version))
}

async fn readyz(State(readiness): State<Readiness>) -> impl IntoResponse {
    match readiness.not_ready().as_slice() {
        [] => match readiness.degraded().as_slice() {
            [] => (StatusCode::OK, "ok\n".to_owned()),
            names => (StatusCode::OK, format!("ok\ndegraded:\n{}\n", names.join("\n"))),
        },
        names => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready:\n{}\n", names.join("\n"))),
    }
}

async fn metrics(State(registry): State<Registry>) -> impl IntoResponse {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text)),
        Err(error) => {
            tracing::error!(%error, "cannot write metrics");
            Err(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

async fn version() -> impl IntoResponse {
    axum::Json(serde_json::json!({ "name": "claviger", "version": env!("CARGO_PKG_VERSION") }))
}
