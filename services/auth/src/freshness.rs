//! Whether the read model is fresh enough to serve from.

use std::sync::Arc;
use std::time::Duration;

use read_model::ReadModel;
use telemetry::ReadyFlag;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::Config;

/// How often to look, besides at each change.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How often to say again that the read model is stale.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// Tells `flag` and health whether there is a snapshot that is not too stale, and warns of one that
/// grows stale. Never returns.
pub(crate) async fn watch(
    config: Config,
    model: Arc<ReadModel>,
    flag: ReadyFlag,
    health: watch::Sender<bool>,
) {
    let mut positions = model.positions();
    let mut warned: Option<Instant> = None;
    loop {
        let staleness = model.staleness(config.clock.monotonic());
        let has_snapshot = positions.borrow_and_update().is_some();
        let ready = has_snapshot && staleness <= config.hard_staleness;
        flag.set(ready);
        health.send_if_modified(|told| std::mem::replace(told, ready) != ready);

        let stale = has_snapshot && staleness > config.soft_staleness;
        if stale && warned.is_none_or(|warned| warned.elapsed() >= WARN_INTERVAL) {
            let staleness_ms = staleness.as_millis();
            warn!(staleness_ms, ready, "read model is stale: identity is not heard");
            warned = Some(Instant::now());
        } else if !stale && warned.take().is_some() {
            info!("read model is fresh again");
        }
        tokio::select! {
            changed = positions.changed() => {
                if changed.is_err() {
                    return; // cannot be: the model that sends is held here
                }
            }
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
    }
}
