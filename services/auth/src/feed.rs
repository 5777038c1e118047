//! Follows identity's credential feed into the read model.

use std::sync::Arc;
use std::time::Duration;

use api::identity::v1::WatchCredentialsRequest;
use api::identity::v1::credential_feed_service_client::CredentialFeedServiceClient;
use api::identity::v1::watch_credentials_response::Message;
use read_model::position::{epoch, place};
use read_model::{ReadModel, Table};
use rpc::Channel;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::{debug, info, warn};

use crate::clock::Clock;
use crate::lockout::Lockouts;
use crate::record;
use crate::verify::Now;

/// A feed that is silent for so long is dead: there is a heartbeat each second.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// The first wait before connecting again, doubled each time.
const BACK_OFF_MIN: Duration = Duration::from_millis(50);
/// The longest wait before connecting again.
const BACK_OFF_MAX: Duration = Duration::from_secs(5);

/// Why a feed ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("identity ended the feed: {:?}: {}", .0.code(), .0.message())]
    Status(#[from] Status),
    #[error("identity closed the feed")]
    Closed,
    #[error("identity has been silent for too long")]
    Silent,
    #[error("identity sent a change before the snapshot was complete")]
    OutOfOrder,
    #[error("identity told a position of another epoch than that of its snapshot")]
    OtherEpoch,
    #[error(
        "identity follows another log than before, or an earlier state of it: keys that were \
         revoked may work there; start auth anew if that is meant"
    )]
    OtherLog,
}

/// Follows the feed, and connects again whenever it ends, until `shutdown`. Never returns.
///
/// Meanwhile the read model stays as it is and grows stale. Each time a new snapshot is loaded
/// beside it and put in its place once complete: if it is of the same log, and not of an earlier
/// state of it, which would bring revoked keys back. A log that an operator has restored is in a
/// later epoch, and so is not taken for an earlier state, although it may know less.
pub(crate) async fn follow(
    client: CredentialFeedServiceClient<Channel>,
    model: Arc<ReadModel>,
    lockouts: Arc<Lockouts>,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) {
    let mut back_off = BACK_OFF_MIN;
    let mut log_id = None;
    // Identity may well end first. Calls under way are then answered from what there is.
    while !shutdown.is_cancelled() {
        let loading = Some(Table::new());
        let (lockouts, log_id) = (&*lockouts, &mut log_id);
        let mut feed = Feed { model: &model, lockouts, clock: &*clock, loading, log_id };
        let ended = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Err(ended) = feed.follow(client.clone()) => ended,
        };
        if feed.loading.is_none() {
            back_off = BACK_OFF_MIN;
        }
        let wait = jittered(back_off);
        warn!(%ended, wait_ms = wait.as_millis(), "credential feed ended, connecting again");
        tokio::time::sleep(wait).await;
        back_off = (back_off * 2).min(BACK_OFF_MAX);
    }
    std::future::pending().await
}

/// One connection.
struct Feed<'m> {
    model: &'m ReadModel,
    lockouts: &'m Lockouts,
    clock: &'m dyn Clock,
    /// What the snapshot is loaded into, until it is complete.
    loading: Option<Table>,
    /// Which log the read model is of, once there was a snapshot.
    log_id: &'m mut Option<Vec<u8>>,
}

impl Feed<'_> {
    async fn follow(
        &mut self,
        mut client: CredentialFeedServiceClient<Channel>,
    ) -> Result<std::convert::Infallible, Ended> {
        let silent = |_| Ended::Silent;
        let call = client.watch_credentials(WatchCredentialsRequest {});
        let call = tokio::time::timeout(SILENCE_MAX, call).await.map_err(silent)?;
        let mut messages = call?.into_inner();
        loop {
            let message = tokio::time::timeout(SILENCE_MAX, messages.message()).await;
            let message = message.map_err(silent)??.ok_or(Ended::Closed)?;
            match message.message {
                Some(message) => self.apply(message)?,
                None => debug!("credential feed sent a message that this version does not know"),
            }
        }
    }

    fn apply(&mut self, message: Message) -> Result<(), Ended> {
        let left_out = match (message, self.loading.as_ref()) {
            (Message::Snapshot(records), Some(loading)) => loading.apply(record::change(records)),
            // Once complete there is no part of a snapshot any more.
            (Message::Snapshot(_), None) => return Err(Ended::OutOfOrder),
            (Message::SnapshotComplete(complete), Some(_)) => {
                self.complete(complete.position, complete.log_id)?;
                0
            }
            (Message::SnapshotComplete(_), None) => return Err(Ended::OutOfOrder),
            (Message::Change(_), Some(_)) => return Err(Ended::OutOfOrder),
            (Message::Change(change), None) => {
                self.check_epoch(change.position)?;
                let left_out = self.model.apply(change.position, record::event(change));
                self.model.heard(self.clock.monotonic());
                left_out
            }
            (Message::DateKeys(keys), loading) => {
                let keys = record::date_keys(keys.date_keys);
                let missed = match loading {
                    Some(loading) => loading.add_date_keys(keys),
                    None => self.model.add_date_keys(keys),
                };
                // A key may have been deleted or rotated since.
                debug!(missed, "added date keys");
                0
            }
            (Message::Lockouts(records), _) => {
                let clock = self.clock;
                let now = Now { unix_ms: clock.unix_ms(), monotonic: clock.monotonic() };
                records.lockouts.iter().for_each(|record| self.lockouts.learn(record, now));
                0
            }
            // Until the snapshot is complete nothing is known that could be up to date.
            (Message::Heartbeat(_), Some(_)) => 0,
            (Message::Heartbeat(heartbeat), None) => {
                self.check_epoch(heartbeat.position)?;
                self.model.advance(heartbeat.position);
                self.model.heard(self.clock.monotonic());
                0
            }
        };
        if left_out > 0 {
            warn!(left_out, "left out access keys of the credential feed: their user is unknown");
        }
        Ok(())
    }

    fn complete(&mut self, position: u64, log_id: Vec<u8>) -> Result<(), Ended> {
        let other_log = self.log_id.as_ref().is_some_and(|followed| *followed != log_id);
        // Every position of a later epoch is greater than all of an earlier one.
        let before = self.model.position();
        if other_log || before > Some(position) {
            return Err(Ended::OtherLog);
        }
        let Some(table) = self.loading.take() else { return Err(Ended::OutOfOrder) };
        table.advance(position);
        *self.log_id = Some(log_id);
        let (from, to) = (before.and_then(epoch), epoch(position));
        if from.is_some() && from != to {
            warn!(
                from,
                to, "log was restored: keys that were revoked since its backup may work again"
            );
        }
        let (position, access_keys) = (place(position), table.len());
        info!(position, epoch = to, access_keys, "snapshot of all credentials is complete");
        let old = self.model.replace(table);
        self.model.heard(self.clock.monotonic());
        // An identity that was started anew has forgotten who is locked out.
        self.lockouts.report_again();
        // A table of millions takes a while to free and zero: not where calls are answered.
        tokio::task::spawn_blocking(move || drop(old));
        Ok(())
    }

    /// Refuses a position of another epoch than the snapshot's: an epoch begins with a snapshot.
    fn check_epoch(&self, position: u64) -> Result<(), Ended> {
        match (self.model.position().and_then(epoch), epoch(position)) {
            (Some(current), Some(told)) if told != current => Err(Ended::OtherEpoch),
            // Before the log's first event its epoch is not told.
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }
}

/// Half to all of `wait`, so that replicas that lost identity at once do not return at once.
fn jittered(wait: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX); // without randomness it is only less gentle
    wait.mul_f64(0.5 + f64::from(random) / f64::from(u32::MAX) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_half_of_itself_to_all() {
        for _ in 0..100 {
            let wait = jittered(BACK_OFF_MAX);
            assert!((BACK_OFF_MAX / 2..=BACK_OFF_MAX).contains(&wait), "{wait:?}");
        }
    }
}
