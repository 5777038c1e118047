//! Watches: whose all buckets are, and then every change.
//!
//! As with the credential feed, a watcher first subscribes to changes and then reads the state, piece by piece:
//! what changes meanwhile is sent again as a change.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use api::identity::v1::watch_buckets_response::Message;
use api::identity::v1::{
    BucketChange, BucketRecord, BucketRecords, BucketsComplete, BucketsHeartbeat,
    WatchBucketsResponse,
};
use domain::{AccountId, BucketName};
use event_store::Position;
use futures::Stream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::caller::Call;
use crate::error::Error;
use crate::model::Effect;
use crate::writer::{Change, Writer};

/// How many watches may be under way: one for each gateway, and some for operators.
const WATCHES_MAX: usize = 256;
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Buckets in one message of a snapshot: about 100 KB.
const BUCKETS_PER_MESSAGE: usize = 1000;
/// Messages under way to a watcher.
const MESSAGES_UNDER_WAY: usize = 64;
/// A watcher that takes none of these for so long is sent away.
const UNREAD_MAX: Duration = Duration::from_secs(10);

/// Begins watches.
pub(super) struct Watches {
    writer: Arc<Writer>,
    shutdown: CancellationToken,
    places: Arc<Semaphore>,
}

/// One watcher.
struct Watch {
    writer: Arc<Writer>,
    /// Who watches; none if it is a gateway.
    call: Option<Call>,
    messages: mpsc::Sender<Result<WatchBucketsResponse, Status>>,
}

impl Watches {
    pub(super) fn new(writer: Arc<Writer>, shutdown: CancellationToken) -> Self {
        Self { writer, shutdown, places: Arc::new(Semaphore::new(WATCHES_MAX)) }
    }

    /// Starts a watch.
    ///
    /// # Errors
    /// [`Error::TooManyWatches`].
    pub(super) fn begin(
        &self,
        call: Option<Call>,
    ) -> Result<impl Stream<Item = Result<WatchBucketsResponse, Status>> + use<>, Error> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Error::TooManyWatches)?;
        let (messages, receiver) = mpsc::channel(MESSAGES_UNDER_WAY);
        let watch = Watch { writer: Arc::clone(&self.writer), call, messages };
        let shutdown = self.shutdown.clone();
        let counted = Arc::clone(&self.writer.bucket_watchers);
        tokio::spawn(async move {
            let _place = (place, counted);
            let ended = tokio::select! {
                ended = watch.run() => ended,
                () = shutdown.cancelled() => Err(Error::WatchEnded),
            };
            if let Err(error) = ended {
                // The watcher may be gone, which is one way to end.
                let _ = watch.messages.try_send(Err(error.into()));
            }
        });
        Ok(ReceiverStream::new(receiver))
    }
}

impl Watch {
    async fn run(&self) -> Result<(), Error> {
        let (position, mut changes) = self.writer.watch_changes();
        self.snapshot().await?;
        let complete = BucketsComplete { position: self.writer.told(position) };
        self.send(Message::SnapshotComplete(complete)).await?;
        let mut seen = position;
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                change = changes.recv() => seen = self.change(change).await?,
                _ = heartbeat.tick() => self.heartbeat(&mut changes, &mut seen).await?,
            }
        }
    }

    async fn snapshot(&self) -> Result<(), Error> {
        let mut last: Option<BucketName> = None;
        loop {
            let from =
                last.as_ref().map_or(Bound::Unbounded, |last| Bound::Excluded(last.as_str()));
            let found: Vec<_> = {
                let model = self.writer.model();
                let buckets = model.buckets().all_from(from).take(BUCKETS_PER_MESSAGE);
                buckets.map(|(name, bucket)| (name.clone(), bucket.account)).collect()
            };
            let Some((name, _)) = found.last() else { return Ok(()) };
            last = Some(name.clone());
            let record = |(name, account): &(BucketName, AccountId)| BucketRecord {
                bucket_name: name.to_string(),
                account_id: account.0.as_bytes().to_vec(),
            };
            let buckets = found.iter().map(record).collect();
            self.send(Message::Snapshot(BucketRecords { buckets })).await?;
        }
    }

    /// Tells of a change, if it is one of a bucket, and up to where changes are told then.
    async fn change(&self, change: Result<Change, RecvError>) -> Result<Position, Error> {
        let Change { position, effect } = change.map_err(|_| Error::WatchEnded)?;
        if let Effect::Bucket(name) = effect {
            // The state of now, which may be of a later change already: that one is sent too.
            let account = self.writer.model().buckets().get(&name).map(|bucket| bucket.account);
            let change = BucketChange {
                position: self.writer.told(position),
                bucket_name: name.to_string(),
                account_id: account.map(|id| id.0.as_bytes().to_vec()).unwrap_or_default(),
            };
            self.send(Message::Change(change)).await?;
        }
        Ok(position)
    }

    /// Tells that nothing has changed beyond what was sent: first sends what has.
    async fn heartbeat(
        &self,
        changes: &mut Receiver<Change>,
        seen: &mut Position,
    ) -> Result<(), Error> {
        if let Some(call) = &self.call {
            call.is_still_known(&self.writer)?;
        }
        while !changes.is_empty() {
            *seen = self.change(changes.recv().await).await?;
        }
        let position = self.writer.told(*seen);
        self.send(Message::Heartbeat(BucketsHeartbeat { position })).await
    }

    async fn send(&self, message: Message) -> Result<(), Error> {
        let response = WatchBucketsResponse { message: Some(message) };
        let sent = self.messages.send_timeout(Ok(response), UNREAD_MAX).await;
        sent.map_err(|_| Error::WatchEnded)
    }
}
