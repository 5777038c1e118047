//! Date keys that are not fed, fetched from identity when they are needed: of older days for presigned URLs,
//! and of any day for signatures in OUTSCALE's spelling.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::identity::v1::credential_feed_service_client::CredentialFeedServiceClient;
use api::identity::v1::{DeriveDateKeysRequest, SignatureSpelling};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use read_model::ReadModel;
use rpc::Channel;
use sigv4::Spelling;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::{Code, Status};
use tracing::{debug, warn};

use crate::clock::Clock;
use crate::record;
use crate::verify::NeededDay;

/// This many calls are under way at once.
const FETCHES_MAX: usize = 32;
/// After this no verdict is reached.
const FETCH_TIMEOUT: Duration = Duration::from_secs(1);
/// When identity has been silent for longer, it is not even asked: there is a heartbeat each second,
/// and anybody may make requests wait that need an older day.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// How often to say again that fetches fail: anybody may make requests that need them, and a log must not
/// grow with what anybody does.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

type Client = CredentialFeedServiceClient<Channel>;

/// Fetches date keys of older days into the read model, each once for all who wait for it.
pub(crate) struct OlderDays {
    fetcher: Arc<Fetcher>,
}

/// How a fetch ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fetched {
    /// The read model has what identity has.
    Kept,
    /// The access key is gone.
    NoSuchAccessKey,
    /// Identity did not answer in time.
    Unavailable,
}

struct Fetcher {
    client: Client,
    clock: Arc<dyn Clock>,
    permits: Semaphore,
    under_way: Mutex<HashMap<NeededDay, Shared<BoxFuture<'static, Fetched>>>>,
    /// When it was last said that a fetch failed.
    warned: Mutex<Option<Instant>>,
}

impl OlderDays {
    pub(crate) fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        let (permits, under_way) = (Semaphore::new(FETCHES_MAX), Mutex::default());
        let warned = Mutex::default();
        Self { fetcher: Arc::new(Fetcher { client, clock, permits, under_way, warned }) }
    }

    /// Fetches the date keys of one day, or waits for whoever does so already.
    pub(crate) async fn fetch(&self, model: &Arc<ReadModel>, day: &NeededDay) -> Fetched {
        if model.staleness(self.fetcher.clock.monotonic()) > SILENCE_MAX {
            return Fetched::Unavailable;
        }
        Arc::clone(&self.fetcher).join(model, day).await
    }
}

impl Fetcher {
    fn join(
        self: Arc<Self>,
        model: &Arc<ReadModel>,
        day: &NeededDay,
    ) -> Shared<BoxFuture<'static, Fetched>> {
        let mut under_way = self.under_way();
        if let Some(fetch) = under_way.get(day) {
            return fetch.clone();
        }
        // In a task of its own: the caller that was first may leave before the others.
        let fetch = tokio::spawn(Arc::clone(&self).run(Arc::clone(model), day.clone()));
        let fetch = fetch.map(|ended| ended.unwrap_or(Fetched::Unavailable)).boxed().shared();
        under_way.insert(day.clone(), fetch.clone());
        fetch
    }

    async fn run(self: Arc<Self>, model: Arc<ReadModel>, day: NeededDay) -> Fetched {
        // Waiting for a permit counts: who waits for the verdict does not care why.
        let fetched = tokio::time::timeout(FETCH_TIMEOUT, self.ask(&model, &day)).await;
        self.under_way().remove(&day);
        match fetched {
            Ok(Ok(())) => Fetched::Kept,
            Ok(Err(status)) if status.code() == Code::NotFound => Fetched::NoSuchAccessKey,
            Ok(Err(status)) => {
                self.tell(status.code());
                Fetched::Unavailable
            }
            Err(_) => {
                self.tell(Code::DeadlineExceeded);
                Fetched::Unavailable
            }
        }
    }

    fn tell(&self, code: Code) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|warned| warned.elapsed() >= WARN_INTERVAL) {
            *warned = Some(Instant::now());
            warn!(?code, "could not fetch the date keys of an older day");
        }
    }

    async fn ask(&self, model: &ReadModel, needed: &NeededDay) -> Result<(), Status> {
        let NeededDay { access_key_id, version, spelling, day } = needed;
        // Never closed.
        let _permit = self.permits.acquire().await.map_err(|_| Status::cancelled("closed"))?;
        debug!(day, "fetching the date keys of an older day");
        let spelled = match spelling {
            Spelling::Aws4 => SignatureSpelling::Aws4,
            Spelling::Osc4 => SignatureSpelling::Osc4,
        };
        let request = DeriveDateKeysRequest {
            access_key_id: access_key_id.clone(),
            day: *day,
            spelling: spelled.into(),
        };
        let response = self.client.clone().derive_date_keys(request).await?.into_inner();
        let keys = record::date_keys(response.date_keys)
            .filter(|record| record.access_key_id == *access_key_id && record.day == *day)
            .map(|record| (record.generation, record.date_key))
            .collect();
        if let Some(table) = model.table().as_ref() {
            let now = self.clock.monotonic();
            table.keep_older_day(access_key_id, *version, *spelling, *day, keys, now);
        }
        Ok(())
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<NeededDay, Shared<BoxFuture<'static, Fetched>>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
