//! Reports to identity: uses in batches, lock-outs at once.

use std::sync::Arc;
use std::time::Duration;

use api::identity::v1::credential_feed_service_client::CredentialFeedServiceClient;
use api::identity::v1::{ReportLockoutRequest, ReportUseRequest};
use rpc::Channel;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tracing::warn;

use crate::clock::Clock;
use crate::lockout::Lockouts;
use crate::uses::Uses;

/// How often uses are reported: so much of them is lost at the most when the process ends without a word.
const INTERVAL: Duration = Duration::from_secs(2);
/// What one call reports. Identity takes no more.
const RECORDS_MAX: usize = 256;
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last report may take when the process ends.
const LAST_TIMEOUT: Duration = Duration::from_secs(2);

/// What is reported, and to whom.
pub(crate) struct Reporter {
    pub(crate) client: CredentialFeedServiceClient<Channel>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) uses: Arc<Uses>,
    pub(crate) lockouts: Arc<Lockouts>,
}

impl Reporter {
    /// Reports until `shutdown`, and once more then.
    ///
    /// What could not be reported is reported with what comes next: telling it twice does no harm.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !shutdown.is_cancelled() {
            let reported = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = self.lockouts.reportable() => self.lockouts().await,
                _ = interval.tick() => async {
                    self.lockouts().await?;
                    self.uses().await
                }
                .await,
            };
            if let Err(status) = reported {
                warn!(code = ?status.code(), "could not report to identity, trying again");
            }
        }
        // Identity may have ended first.
        let last = async { self.lockouts().await.and(self.uses().await) };
        let _ = tokio::time::timeout(LAST_TIMEOUT, last).await;
    }

    async fn lockouts(&self) -> Result<(), Status> {
        loop {
            let lockouts = self.lockouts.take_reports(RECORDS_MAX, self.clock.unix_ms());
            if lockouts.is_empty() {
                return Ok(());
            }
            let mut client = self.client.clone();
            let reported = timed(client.report_lockout(ReportLockoutRequest { lockouts })).await;
            if let Err(status) = reported
                && !is_final(&status)
            {
                self.lockouts.report_later();
                return Err(status);
            }
        }
    }

    async fn uses(&self) -> Result<(), Status> {
        self.uses.collect();
        loop {
            let uses = self.uses.take(RECORDS_MAX);
            if uses.is_empty() {
                return Ok(());
            }
            let mut client = self.client.clone();
            let request = ReportUseRequest { uses: uses.clone() };
            if let Err(status) = timed(client.report_use(request)).await
                && !is_final(&status)
            {
                self.uses.give_back(uses);
                return Err(status);
            }
        }
    }
}

async fn timed<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let answer = tokio::time::timeout(TIMEOUT, call).await;
    answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))
}

/// Whether the same report would get the same answer: that of an identity that knows no such reports, say.
fn is_final(status: &Status) -> bool {
    let is_final = matches!(status.code(), Code::InvalidArgument | Code::Unimplemented);
    if is_final {
        warn!(code = ?status.code(), message = status.message(), "identity refuses a report");
    }
    is_final
}
