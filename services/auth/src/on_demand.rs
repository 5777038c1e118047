//! Keys that are not fed, fetched from identity when they are needed: date keys of older days for presigned
//! URLs, and of any day for signatures in OUTSCALE's spelling; public keys for signatures of Version 4A.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::identity::v1::credential_feed_service_client::CredentialFeedServiceClient;
use api::identity::v1::{
    DeriveDateKeysRequest, DerivePublicKeysRequest, SignatureSpelling,
    VerifySignatureVersion2Request,
};
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
use crate::verify::{Needed, Wanted};

/// This many calls are under way at once.
const FETCHES_MAX: usize = 32;
/// After this no verdict is reached.
const FETCH_TIMEOUT: Duration = Duration::from_secs(1);
/// When identity has been silent for longer, it is not even asked: there is a heartbeat each second,
/// and anybody may make requests wait that need such keys.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// How often to say again that fetches fail: anybody may make requests that need them, and a log must not
/// grow with what anybody does.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

type Client = CredentialFeedServiceClient<Channel>;

/// Fetches keys into the read model, each once for all who wait for it.
pub(crate) struct OnDemand {
    fetcher: Arc<Fetcher>,
}

/// How a fetch ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fetched {
    /// The read model has what identity has.
    Kept,
    /// It has said whose a signature of Version 2 is.
    Told(Told),
    /// The access key is gone.
    NoSuchAccessKey,
    /// Identity did not answer in time.
    Unavailable,
}

/// What identity said of one signature of Version 2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Told {
    /// The state of the access key that it was asked for.
    pub(crate) version: u32,
    /// The secret that signed; `None` if none did.
    pub(crate) generation: Option<u32>,
}

struct Fetcher {
    client: Client,
    clock: Arc<dyn Clock>,
    permits: Semaphore,
    /// Of their own, so that who signs by Version 2 holds up nobody else.
    version_2_permits: Semaphore,
    under_way: Mutex<HashMap<Needed, Shared<BoxFuture<'static, Fetched>>>>,
    /// When it was last said that a fetch failed.
    warned: Mutex<Option<Instant>>,
}

impl OnDemand {
    pub(crate) fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        let permits = || Semaphore::new(FETCHES_MAX);
        let fetcher = Fetcher {
            client,
            clock,
            permits: permits(),
            version_2_permits: permits(),
            under_way: Mutex::default(),
            warned: Mutex::default(),
        };
        Self { fetcher: Arc::new(fetcher) }
    }

    /// Fetches what is needed, or waits for whoever does so already.
    pub(crate) async fn fetch(&self, model: &Arc<ReadModel>, needed: &Needed) -> Fetched {
        if model.staleness(self.fetcher.clock.monotonic()) > SILENCE_MAX {
            return Fetched::Unavailable;
        }
        Arc::clone(&self.fetcher).join(model, needed).await
    }
}

impl Fetcher {
    fn join(
        self: Arc<Self>,
        model: &Arc<ReadModel>,
        needed: &Needed,
    ) -> Shared<BoxFuture<'static, Fetched>> {
        let mut under_way = self.under_way();
        if let Some(fetch) = under_way.get(needed) {
            return fetch.clone();
        }
        // In a task of its own: the caller that was first may leave before the others.
        let fetch = tokio::spawn(Arc::clone(&self).run(Arc::clone(model), needed.clone()));
        let fetch = fetch.map(|ended| ended.unwrap_or(Fetched::Unavailable)).boxed().shared();
        under_way.insert(needed.clone(), fetch.clone());
        fetch
    }

    async fn run(self: Arc<Self>, model: Arc<ReadModel>, needed: Needed) -> Fetched {
        // Waiting for a permit counts: who waits for the verdict does not care why.
        let fetched = tokio::time::timeout(FETCH_TIMEOUT, self.ask(&model, &needed)).await;
        self.under_way().remove(&needed);
        match fetched {
            Ok(Ok(fetched)) => fetched,
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
            warn!(?code, "could not fetch keys that are not fed");
        }
    }

    async fn ask(&self, model: &ReadModel, needed: &Needed) -> Result<Fetched, Status> {
        let permits = match needed.wanted {
            Wanted::DateKeys { .. } | Wanted::PublicKeys => &self.permits,
            Wanted::Version2 { .. } => &self.version_2_permits,
        };
        // Never closed.
        let _permit = permits.acquire().await.map_err(|_| Status::cancelled("closed"))?;
        match &needed.wanted {
            Wanted::DateKeys { spelling, day } => {
                debug!(day, "fetching date keys that are not fed");
                self.date_keys(model, needed, *spelling, *day).await?;
            }
            Wanted::PublicKeys => {
                debug!("fetching public keys");
                self.public_keys(model, needed).await?;
            }
            Wanted::Version2 { string_to_sign, signature } => {
                let request = VerifySignatureVersion2Request {
                    access_key_id: needed.access_key_id.clone(),
                    string_to_sign: string_to_sign.to_vec(),
                    signature: signature.to_vec(),
                };
                let answer = self.client.clone().verify_signature_version2(request).await?;
                let generation = answer.into_inner().generation;
                return Ok(Fetched::Told(Told { version: needed.version, generation }));
            }
        }
        Ok(Fetched::Kept)
    }

    async fn date_keys(
        &self,
        model: &ReadModel,
        needed: &Needed,
        spelling: Spelling,
        day: u32,
    ) -> Result<(), Status> {
        let Needed { access_key_id, version, .. } = needed;
        let spelled = match spelling {
            Spelling::Aws4 => SignatureSpelling::Aws4,
            Spelling::Osc4 => SignatureSpelling::Osc4,
        };
        let request = DeriveDateKeysRequest {
            access_key_id: access_key_id.clone(),
            day,
            spelling: spelled.into(),
        };
        let response = self.client.clone().derive_date_keys(request).await?.into_inner();
        let keys = record::date_keys(response.date_keys)
            .filter(|record| record.access_key_id == *access_key_id && record.day == day)
            .map(|record| (record.generation, record.date_key))
            .collect();
        if let Some(table) = model.table().as_ref() {
            let now = self.clock.monotonic();
            table.keep_older_day(access_key_id, *version, spelling, day, keys, now);
        }
        Ok(())
    }

    async fn public_keys(&self, model: &ReadModel, needed: &Needed) -> Result<(), Status> {
        let Needed { access_key_id, version, .. } = needed;
        let request = DerivePublicKeysRequest { access_key_id: access_key_id.clone() };
        let response = self.client.clone().derive_public_keys(request).await?.into_inner();
        let keys = record::public_keys(response.public_keys).collect();
        if let Some(table) = model.table().as_ref() {
            table.keep_public_keys(access_key_id, *version, keys, self.clock.monotonic());
        }
        Ok(())
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Needed, Shared<BoxFuture<'static, Fetched>>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
