//! Whether auth can answer, and so whether the gateway can.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// The service that must serve.
const SERVICE: &str = "claviger.auth.v1.AuthService";

/// How long to wait before asking again when asking failed.
const RETRY: Duration = Duration::from_millis(250);

/// Tells whether auth says that it serves, whenever that changes, until `end`.
pub(crate) async fn watch(channel: rpc::Channel, tell: impl Fn(bool), end: &CancellationToken) {
    let mut health = HealthClient::new(channel);
    let watching = async {
        let mut was_serving = false;
        loop {
            let request = HealthCheckRequest { service: SERVICE.to_owned() };
            match health.watch(request).await {
                Ok(changes) => {
                    let mut changes = changes.into_inner();
                    // A stream that ends says nothing: only if no other begins is auth away.
                    while let Ok(Some(change)) = changes.message().await {
                        let serving = change.status() == ServingStatus::Serving;
                        if std::mem::replace(&mut was_serving, serving) != serving {
                            tracing::info!(serving, "auth's health changed");
                        }
                        tell(serving);
                    }
                }
                Err(status) => {
                    tracing::debug!(code = ?status.code(), "cannot watch auth's health");
                    was_serving = false;
                    tell(false);
                }
            }
            sleep(RETRY).await;
        }
    };
    tokio::select! {
        () = watching => {}
        () = end.cancelled() => {}
    }
    tell(false);
}
