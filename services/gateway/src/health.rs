//! Whether auth can answer, and so whether the gateway can.

use std::time::Duration;

use telemetry::ReadyFlag;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// The service that must serve.
const SERVICE: &str = "claviger.auth.v1.AuthService";

/// How long to wait before asking again when asking failed.
const RETRY: Duration = Duration::from_millis(250);

/// Sets `ready` as auth's health says, until `shutdown`.
pub(crate) async fn watch(channel: rpc::Channel, ready: ReadyFlag, shutdown: &CancellationToken) {
    let mut health = HealthClient::new(channel);
    let watching = async {
        loop {
            let request = HealthCheckRequest { service: SERVICE.to_owned() };
            match health.watch(request).await {
                Ok(changes) => {
                    let mut changes = changes.into_inner();
                    // A stream that ends says nothing: only if no other begins is auth away.
                    while let Ok(Some(change)) = changes.message().await {
                        let serving = change.status() == ServingStatus::Serving;
                        if serving != ready.is_ready() {
                            tracing::info!(serving, "auth's health changed");
                        }
                        ready.set(serving);
                    }
                }
                Err(status) => {
                    tracing::debug!(code = ?status.code(), "cannot watch auth's health");
                    ready.set(false);
                }
            }
            sleep(RETRY).await;
        }
    };
    tokio::select! {
        () = watching => {}
        () = shutdown.cancelled() => {}
    }
    ready.set(false);
}
