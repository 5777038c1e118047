//! When and by whom access keys were last used.
//!
//! Kept beside the log and no part of it: a use changes nothing that is decided on, and a million access
//! keys are used far more often than anything of them changes (ADR 8). What is here may be lost, some seconds
//! of it when the machine stops and all of it when its files are damaged; then it is not known when an access
//! key was last used, and nothing else is amiss.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use api::identity::v1 as proto;
use domain::AccessKeyId;
use event_store::payload::proto_timestamp;
use prost_types::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;
use crate::model::time;

/// Uses in one report.
pub(crate) const REPORT_USES_MAX: usize = 256;
const USER_AGENT_BYTES_MAX: usize = 256;
const REGION_BYTES_MAX: usize = 64;
const SERVICE_BYTES_MAX: usize = 32;
/// So many secrets of an access key are told apart, the newest: those that may be valid at once, and one.
const GENERATIONS_MAX: usize = 3;
/// What is reported later than so long after what is kept, and tells nothing else, is not written.
const WRITE_INTERVAL_MS: i64 = 30_000;
/// How long at the most what was reported stands only in memory.
const FLUSH_INTERVAL_MS: u64 = 2000;
const CACHE_BYTES: u64 = 64 << 20;
/// How long the threads of a store that was closed may take to let go of its files.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// Begins each record: what is of another form is as good as not there.
const VERSION: u8 = 1;
/// Access keys that are looked at at once when those that are gone are swept.
const SWEPT_AT_ONCE: usize = 4096;

/// The last uses of all access keys.
#[derive(Debug)]
pub(crate) struct Uses {
    /// None if the files cannot be used.
    store: Option<sled::Db>,
    /// Held while a record is read, changed and written.
    writing: Mutex<()>,
    /// Who waits to write waits here, and not on a thread: the disk may hang.
    turns: Arc<Semaphore>,
}

/// The last use of one secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Use {
    generation: u32,
    time_ms: i64,
    source_address: String,
    user_agent: String,
    region: String,
    service: String,
}

impl Use {
    /// Reads what is reported; a time after `now_ms` counts as `now_ms`.
    ///
    /// # Errors
    /// [`Error::InvalidField`].
    pub(crate) fn read(
        record: proto::UseRecord,
        now_ms: i64,
    ) -> Result<(AccessKeyId, Self), Error> {
        let id = AccessKeyId::parse(&record.access_key_id)
            .map_err(|error| Error::invalid("uses.access_key_id", error.to_string()))?;
        let told = record.r#use.ok_or_else(|| Error::invalid("uses.use", "is missing"))?;
        let time = told.time.ok_or_else(|| Error::invalid("uses.use.time", "is missing"))?;
        let time_ms = milliseconds(&time)
            .ok_or_else(|| Error::invalid("uses.use.time", "must be an instant since 1970"))?;
        let address = &told.source_address;
        if !address.is_empty() && address.parse::<IpAddr>().is_err() {
            return Err(Error::invalid("uses.use.source_address", "must be an IP address"));
        }
        for (field, text, bytes_max) in [
            ("uses.use.user_agent", &told.user_agent, USER_AGENT_BYTES_MAX),
            ("uses.use.region", &told.region, REGION_BYTES_MAX),
            ("uses.use.service", &told.service, SERVICE_BYTES_MAX),
        ] {
            let visible = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
            if text.len() > bytes_max || !visible {
                let rule = format!("must be up to {bytes_max} bytes of visible ASCII");
                return Err(Error::invalid(field, rule));
            }
        }
        let kept = Self {
            generation: record.generation,
            time_ms: time_ms.min(now_ms),
            source_address: told.source_address,
            user_agent: told.user_agent,
            region: told.region,
            service: told.service,
        };
        Ok((id, kept))
    }

    /// Whether it says of this secret what the other does not: that is, more than a time that is little later.
    fn adds_to(&self, kept: &Self) -> bool {
        let same = (&self.source_address, &self.user_agent, &self.region, &self.service)
            == (&kept.source_address, &kept.user_agent, &kept.region, &kept.service);
        let later_ms = self.time_ms.saturating_sub(kept.time_ms);
        later_ms > if same { WRITE_INTERVAL_MS } else { 0 }
    }

    fn shown(&self) -> proto::AccessKeyUse {
        proto::AccessKeyUse {
            time: Some(proto_timestamp(time(u64::try_from(self.time_ms).unwrap_or_default()))),
            source_address: self.source_address.clone(),
            user_agent: self.user_agent.clone(),
            region: self.region.clone(),
            service: self.service.clone(),
        }
    }
}

fn milliseconds(time: &Timestamp) -> Option<i64> {
    let of_second = i64::from(time.nanos) / 1_000_000;
    let in_range = time.seconds >= 0 && (0..1000).contains(&of_second);
    time.seconds.checked_mul(1000)?.checked_add(of_second).filter(|_| in_range)
}

impl Uses {
    /// Opens what is kept in a folder, or makes it. Waits for whoever is about to close it.
    ///
    /// What is damaged is put aside, once; what cannot be used at all is done without.
    pub(crate) fn open(folder: &Path) -> Self {
        let store = open(folder).or_else(|error| {
            tracing::warn!(%error, "the store of last uses is of no use; it is put aside");
            let aside = folder.with_extension("damaged");
            let gone = match fs::remove_dir_all(&aside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            };
            gone.and_then(|()| fs::rename(folder, &aside))
                .map_err(|error| error.to_string())
                .and_then(|()| open(folder))
        });
        let store = store.inspect_err(|error| {
            tracing::error!(%error, "there is no store of last uses: none is kept or told");
        });
        Self { store: store.ok(), writing: Mutex::new(()), turns: Arc::new(Semaphore::new(1)) }
    }

    /// Waits until nobody else writes.
    ///
    /// # Errors
    /// None: it is never closed.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Error::Internal)
    }

    /// Keeps what was reported, where it is later than what is kept. Reads and writes files.
    ///
    /// # Errors
    /// If that fails; what was kept by then stays. Reporting again is safe.
    pub(crate) fn keep(&self, reported: Vec<(AccessKeyId, Use)>) -> Result<(), Error> {
        let Some(store) = &self.store else { return Ok(()) };
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, used) in reported {
            let key = id.as_str().as_bytes();
            let kept = store.get(key).map_err(|error| failed(&error))?;
            let mut uses = kept.as_deref().map(decode).unwrap_or_default();
            if !merge(&mut uses, used) {
                continue;
            }
            store.insert(key, encode(&uses)).map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    /// Tells in an access key, and in each of its secrets, when it was last used.
    pub(crate) fn tell(&self, access_key: &mut proto::AccessKey) {
        let Some(store) = &self.store else { return };
        let kept = match store.get(access_key.access_key_id.as_bytes()) {
            Ok(Some(kept)) => decode(&kept),
            Ok(None) => return,
            Err(error) => {
                failed(&error);
                return;
            }
        };
        access_key.last_use = kept.iter().max_by_key(|used| used.time_ms).map(Use::shown);
        for secret in &mut access_key.secrets {
            let of_secret = kept.iter().find(|used| used.generation == secret.generation);
            secret.last_use = of_secret.map(Use::shown);
        }
    }

    /// Forgets the access keys that are not there any more. Reads all that is kept, some at a time, and
    /// answers how many were forgotten.
    pub(crate) fn sweep(&self, is_held: impl Fn(&str) -> bool) -> usize {
        let Some(store) = &self.store else { return 0 };
        let mut forgotten = 0;
        let mut after: Vec<u8> = vec![];
        loop {
            let keys = store.range(after.clone()..).keys().take(SWEPT_AT_ONCE);
            let keys: Vec<_> = match keys.collect() {
                Ok(keys) => keys,
                Err(error) => {
                    failed(&error);
                    return forgotten;
                }
            };
            let Some(last) = keys.last() else { return forgotten };
            after = [last, &[0][..]].concat();
            let gone = |key: &&sled::IVec| !std::str::from_utf8(key).is_ok_and(&is_held);
            for key in keys.iter().filter(gone) {
                if let Err(error) = store.remove(key) {
                    failed(&error);
                    return forgotten;
                }
                forgotten += 1;
            }
        }
    }

    /// Makes durable what was kept.
    pub(crate) fn flush(&self) {
        if let Some(Err(error)) = self.store.as_ref().map(|store| store.flush()) {
            failed(&error);
        }
    }
}

fn open(folder: &Path) -> Result<sled::Db, String> {
    let start = Instant::now();
    loop {
        let config = sled::Config::new()
            .path(folder)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(Some(FLUSH_INTERVAL_MS));
        // sled panics on some of what it finds in a damaged file.
        let opened = catch_unwind(AssertUnwindSafe(|| config.open()));
        match opened {
            Ok(Ok(store)) => return Ok(store),
            // Its files are still held: sled has no name for that.
            Ok(Err(sled::Error::Io(error)))
                if error.to_string().contains("lock") && start.elapsed() < LOCK_WAIT =>
            {
                thread::sleep(Duration::from_millis(20));
            }
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("it cannot be read".to_owned()),
        }
    }
}

fn failed(error: &sled::Error) -> Error {
    tracing::warn!(error = error as &dyn std::error::Error, "the store of last uses failed");
    Error::Internal
}

/// Puts a use in its place, newest secret first, unless it tells nothing new.
fn merge(uses: &mut Vec<Use>, used: Use) -> bool {
    match uses.iter_mut().find(|kept| kept.generation == used.generation) {
        Some(kept) if used.adds_to(kept) => *kept = used,
        Some(_) => return false,
        None => {
            let place = uses.partition_point(|kept| kept.generation > used.generation);
            if place == GENERATIONS_MAX {
                return false;
            }
            uses.insert(place, used);
            uses.truncate(GENERATIONS_MAX);
        }
    }
    true
}

fn encode(uses: &[Use]) -> Vec<u8> {
    // It is written to memory, and has no form that cannot be.
    postcard::to_extend(&uses, vec![VERSION]).unwrap_or_default()
}

fn decode(bytes: &[u8]) -> Vec<Use> {
    match bytes.split_first() {
        Some((&VERSION, uses)) => postcard::from_bytes(uses).unwrap_or_default(),
        Some(_) | None => vec![],
    }
}

#[cfg(test)]
mod tests;
