//! Whose all buckets are, as identity tells it: asked at each request, without a lock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::identity::v1::bucket_service_client::BucketServiceClient;
use api::identity::v1::watch_buckets_response::Message;
use api::identity::v1::{WatchBucketsRequest, WatchBucketsResponse};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long to wait before watching again after a watch has ended.
const RETRY: Duration = Duration::from_millis(250);
/// A watch that tells nothing for so long is given up for another: there is a heartbeat each second.
const STALLED: Duration = Duration::from_secs(10);

/// The owners of all buckets.
#[derive(Debug)]
pub(crate) struct Owners {
    buckets: papaya::HashMap<Box<str>, Owned>,
    /// Held by whoever changes them, for a moment.
    changing: Mutex<()>,
    started: Instant,
    /// When identity last said that this is all, in milliseconds from the start and 1 on; 0 for never.
    heard_ms: AtomicU64,
    silence_max: Duration,
}

/// Whose a bucket is from some position of the log on.
#[derive(Clone, Copy, Debug)]
struct Owned {
    /// Nobody's, if this gateway released it and the watch has not told yet.
    account: Option<Uuid>,
    position: u64,
}

/// What a watch told that is no such message.
#[derive(Debug, thiserror::Error)]
#[error("a message of the watch cannot be read")]
struct Unreadable;

impl Owners {
    /// Nobody's. They are not relied on when identity has been silent for longer than that.
    pub(crate) fn new(silence_max: Duration) -> Self {
        Self {
            buckets: papaya::HashMap::default(),
            changing: Mutex::default(),
            started: Instant::now(),
            heard_ms: AtomicU64::new(0),
            silence_max,
        }
    }

    /// Whether what is said here can be relied on.
    pub(crate) fn is_fresh(&self) -> bool {
        match self.heard_ms.load(Ordering::Acquire) {
            0 => false,
            heard => self.now_ms().saturating_sub(heard) <= millis(self.silence_max),
        }
    }

    /// Whose a bucket is, if it is known to be somebody's.
    pub(crate) fn of(&self, bucket: &str) -> Option<Uuid> {
        self.buckets.pin().get(bucket).and_then(|owned| owned.account)
    }

    /// What this gateway itself did, recorded at that position: known before the watch tells.
    pub(crate) fn set(&self, bucket: &str, account: Option<Uuid>, position: u64) {
        let _changing = self.changing();
        let buckets = self.buckets.pin();
        // What the watch told may be of later.
        if buckets.get(bucket).is_none_or(|known| known.position < position) {
            buckets.insert(bucket.into(), Owned { account, position });
        }
    }

    /// Follows what identity tells, until `shutdown`.
    pub(crate) async fn follow(&self, channel: rpc::Channel, shutdown: &CancellationToken) {
        let following = async {
            let mut told = true;
            loop {
                if let Err(error) = self.watch(channel.clone(), &mut told).await
                    && std::mem::take(&mut told)
                {
                    tracing::warn!(error = &*error, "whose buckets are is not told");
                }
                sleep(RETRY).await;
            }
        };
        tokio::select! {
            () = following => {}
            () = shutdown.cancelled() => {}
        }
    }

    /// Follows one watch to its end. `told` becomes true as soon as it tells something.
    async fn watch(
        &self,
        channel: rpc::Channel,
        told: &mut bool,
    ) -> Result<(), crate::body::BoxError> {
        let mut client = BucketServiceClient::new(channel);
        let watched = timeout(STALLED, client.watch_buckets(WatchBucketsRequest {})).await??;
        let mut watched = watched.into_inner();
        let mut snapshot = Some(HashMap::new());
        while let Some(response) = timeout(STALLED, watched.message()).await?? {
            self.apply(response, &mut snapshot)?;
            *told = true;
        }
        Ok(())
    }

    /// Applies a message. `snapshot` gathers the state that a watch begins with, and is none after that.
    fn apply(
        &self,
        response: WatchBucketsResponse,
        snapshot: &mut Option<HashMap<Box<str>, Uuid>>,
    ) -> Result<(), Unreadable> {
        match (response.message.ok_or(Unreadable)?, snapshot.as_mut()) {
            (Message::Snapshot(records), Some(gathered)) => {
                for record in records.buckets {
                    let account = Uuid::from_slice(&record.account_id).map_err(|_| Unreadable)?;
                    gathered.insert(record.bucket_name.into(), account);
                }
            }
            (Message::SnapshotComplete(complete), Some(gathered)) => {
                self.replace(std::mem::take(gathered), complete.position);
                *snapshot = None;
            }
            (Message::Change(change), None) => {
                let account = match change.account_id.as_slice() {
                    [] => None,
                    id => Some(Uuid::from_slice(id).map_err(|_| Unreadable)?),
                };
                self.change(&change.bucket_name, account, change.position);
            }
            (Message::Heartbeat(_), None) => {
                self.heard_ms.store(self.now_ms().max(1), Ordering::Release);
            }
            (Message::Snapshot(_) | Message::SnapshotComplete(_), None)
            | (Message::Change(_) | Message::Heartbeat(_), Some(_)) => return Err(Unreadable),
        }
        Ok(())
    }

    /// Takes over all there is at a position; what is known of later stays.
    fn replace(&self, all: HashMap<Box<str>, Uuid>, position: u64) {
        let _changing = self.changing();
        let buckets = self.buckets.pin();
        buckets.retain(|name, known| known.position > position || all.contains_key(name));
        for (name, account) in all {
            if buckets.get(&name).is_none_or(|known| known.position <= position) {
                buckets.insert(name, Owned { account: Some(account), position });
            }
        }
    }

    fn change(&self, bucket: &str, account: Option<Uuid>, position: u64) {
        let _changing = self.changing();
        let buckets = self.buckets.pin();
        if buckets.get(bucket).is_some_and(|known| known.position > position) {
            return;
        }
        match account {
            Some(_) => drop(buckets.insert(bucket.into(), Owned { account, position })),
            None => drop(buckets.remove(bucket)),
        }
    }

    fn now_ms(&self) -> u64 {
        millis(self.started.elapsed())
    }

    /// A panic leaves each change done or not done.
    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use api::identity::v1::{
        BucketChange, BucketRecord, BucketRecords, BucketsComplete, BucketsHeartbeat,
    };

    use super::*;

    const SILENCE_MAX: Duration = Duration::from_secs(5);

    fn account(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    /// Owners, and what their watch has gathered.
    struct Told {
        owners: Owners,
        snapshot: Option<HashMap<Box<str>, Uuid>>,
    }

    impl Told {
        fn new() -> Self {
            Self { owners: Owners::new(SILENCE_MAX), snapshot: Some(HashMap::new()) }
        }

        fn tell(&mut self, message: Message) -> Result<(), Unreadable> {
            let response = WatchBucketsResponse { message: Some(message) };
            self.owners.apply(response, &mut self.snapshot)
        }

        fn snapshot(&mut self, buckets: &[(&str, u128)], position: u64) {
            self.snapshot = Some(HashMap::new());
            for (name, n) in buckets {
                let record = BucketRecord {
                    bucket_name: (*name).to_owned(),
                    account_id: account(*n).as_bytes().to_vec(),
                };
                let records = BucketRecords { buckets: vec![record] };
                self.tell(Message::Snapshot(records)).expect("read");
            }
            let complete = BucketsComplete { position };
            self.tell(Message::SnapshotComplete(complete)).expect("read");
        }

        fn change(&mut self, name: &str, n: u128, position: u64) {
            let account_id = if n == 0 { vec![] } else { account(n).as_bytes().to_vec() };
            let change = BucketChange { position, bucket_name: name.to_owned(), account_id };
            self.tell(Message::Change(change)).expect("read");
        }

        #[track_caller]
        fn check(&self, name: &str, n: u128) {
            assert_eq!(self.owners.of(name), (n > 0).then(|| account(n)), "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_is_everything_and_changes_follow() {
        let mut told = Told::new();
        told.snapshot(&[("a", 1), ("b", 2)], 5);
        told.change("b", 3, 6);
        told.change("c", 1, 7);
        told.change("a", 0, 8);
        for (name, n) in [("a", 0), ("b", 3), ("c", 1), ("d", 0)] {
            told.check(name, n);
        }
        // Another watch: what it does not tell is nobody's.
        told.snapshot(&[("c", 2)], 9);
        for (name, n) in [("a", 0), ("b", 0), ("c", 2)] {
            told.check(name, n);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_gateway_did_itself_is_known_and_not_undone_by_what_is_older() {
        let mut told = Told::new();
        told.snapshot(&[("a", 1), ("b", 1)], 5);
        told.owners.set("new", Some(account(2)), 8);
        told.owners.set("a", None, 9);
        told.check("new", 2);
        told.check("a", 0);
        // Of before.
        told.change("new", 1, 6);
        told.change("new", 0, 7);
        told.check("new", 2);
        told.change("a", 3, 8);
        told.check("a", 0);
        told.snapshot(&[("a", 1), ("b", 1)], 7);
        told.check("new", 2);
        told.check("a", 0);
        // The same again, and what comes after.
        told.change("new", 2, 8);
        told.change("a", 0, 9);
        assert_eq!(told.owners.buckets.len(), 2, "a is forgotten");
        told.change("a", 4, 10);
        told.check("a", 4);
        told.owners.set("a", Some(account(5)), 9);
        told.check("a", 4);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_not_relied_on() {
        let heartbeat = || Message::Heartbeat(BucketsHeartbeat { position: 5 });
        let mut told = Told::new();
        assert!(!told.owners.is_fresh());
        told.snapshot(&[("a", 1)], 5);
        assert!(!told.owners.is_fresh(), "only a heartbeat says that this is all");
        told.tell(heartbeat()).expect("read");
        assert!(told.owners.is_fresh());
        tokio::time::advance(SILENCE_MAX - Duration::from_millis(10)).await;
        assert!(told.owners.is_fresh());
        tokio::time::advance(Duration::from_millis(20)).await;
        assert!(!told.owners.is_fresh());
        told.tell(heartbeat()).expect("read");
        assert!(told.owners.is_fresh());
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_read_ends_a_watch() {
        let mut told = Told::new();
        let record = BucketRecord { bucket_name: "a".to_owned(), account_id: vec![1] };
        let records = || BucketRecords { buckets: vec![record.clone()] };
        assert!(told.tell(Message::Snapshot(records())).is_err());
        let heartbeat = || Message::Heartbeat(BucketsHeartbeat { position: 5 });
        assert!(told.tell(heartbeat()).is_err(), "before it is complete");
        told.snapshot(&[], 5);
        assert!(told.tell(Message::Snapshot(records())).is_err(), "after");
        let nothing = WatchBucketsResponse { message: None };
        assert!(told.owners.apply(nothing, &mut None).is_err());
    }
}
