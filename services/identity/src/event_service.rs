//! EventService: the audit trail, and the proof that it is whole.

use std::pin::Pin;
use std::sync::Arc;

use api::identity::v1::event_service_server::EventService;
use api::identity::v1::{
    Checkpoint, ExportLogRequest, ExportLogResponse, GetCheckpointRequest, GetCheckpointResponse,
    ListEventsRequest, ListEventsResponse, VerifyLogRequest, VerifyLogResponse, WatchEventsRequest,
    WatchEventsResponse,
};
use event_store::payload::proto_timestamp;
use event_store::{Hash, Head, Position};
use futures::{Stream, StreamExt};
use sealing::{SignedCheckpoint, SigningKey};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::caller::Call;
use crate::error::Error;
use crate::leased::{EXPORT_UNREAD_MAX, EXPORTS_MAX, Leased, Term};
use crate::model::time;
use crate::writer::{Writer, read_failed};

mod filter;
mod list;
mod watch;

use filter::Filter;
use watch::Watches;

/// The most events that are verified in one call.
const VERIFIED_EVENTS_MAX: u32 = 1_000_000;
/// Lines of an export go together in messages of about so many bytes.
const EXPORT_BYTES: usize = 256 << 10;

pub(crate) struct Events {
    writer: Arc<Writer>,
    signing_key: Arc<SigningKey>,
    shutdown: CancellationToken,
    watches: Watches,
    /// Places for exports under way.
    exports: Arc<Semaphore>,
}

impl Events {
    pub(crate) fn new(
        writer: Arc<Writer>,
        signing_key: Arc<SigningKey>,
        shutdown: CancellationToken,
    ) -> Self {
        let exports = Arc::new(Semaphore::new(EXPORTS_MAX));
        Self { writer, signing_key, shutdown, watches: Watches::new(), exports }
    }
}

#[tonic::async_trait]
impl EventService for Events {
    type WatchEventsStream =
        Pin<Box<dyn Stream<Item = Result<WatchEventsResponse, Status>> + Send>>;
    type ExportLogStream = Pin<Box<dyn Stream<Item = Result<ExportLogResponse, Status>> + Send>>;

    async fn list_events(
        &self,
        request: Request<ListEventsRequest>,
    ) -> Result<Response<ListEventsResponse>, Status> {
        let call = Call::of(&self.writer, &request)?;
        let request = request.into_inner();
        self.writer.applied(request.min_position).await?;
        let filter = Filter::of_list(&call, &request)?;
        Ok(Response::new(list::page(&self.writer, &filter, request).await?))
    }

    async fn watch_events(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let call = Call::of(&self.writer, &request)?;
        let request = request.into_inner();
        let filter = Filter::of_watch(&call, &request)?;
        let watched = self.watches.begin(&self.writer, call, filter, &request, &self.shutdown)?;
        Ok(Response::new(Box::pin(watched)))
    }

    async fn get_checkpoint(
        &self,
        request: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        Call::of(&self.writer, &request)?.reads_all()?;
        self.writer.applied(request.into_inner().min_position).await?;
        let Head { position, hash } = self.writer.model().head();
        let log = &self.writer.log;
        let time_ms = u64::try_from(self.writer.now().timestamp_millis()).unwrap_or_default();
        let statement = SignedCheckpoint {
            log_id: log.log_id(),
            epoch: log.epoch(),
            position: position.0,
            hash: hash.0,
            time_ms,
            model_digest: None,
        };
        let checkpoint = Checkpoint {
            log_id: statement.log_id.to_string(),
            epoch: u32::try_from(statement.epoch).unwrap_or(u32::MAX),
            position: self.writer.told(position),
            hash: hash.0.to_vec(),
            time: Some(proto_timestamp(time(time_ms))),
            public_key: self.signing_key.public_key().to_vec(),
            signature: statement.sign(&self.signing_key).to_vec(),
        };
        Ok(Response::new(GetCheckpointResponse { checkpoint: Some(checkpoint) }))
    }

    async fn verify_log(
        &self,
        request: Request<VerifyLogRequest>,
    ) -> Result<Response<VerifyLogResponse>, Status> {
        Call::of(&self.writer, &request)?.reads_all()?;
        let request = request.into_inner();
        let events_max = match request.events_max {
            0 => VERIFIED_EVENTS_MAX,
            events if events <= VERIFIED_EVENTS_MAX => events,
            _ => return Err(Error::invalid("events_max", "must be at most 1000000").into()),
        };
        let log = &*self.writer.log;
        let since = match request.since {
            Some(since) => Some(self.trusted(&since, events_max).await?),
            None => None,
        };
        let from = since.map_or(Position::START, |since| since.position);
        let until = Position(from.0.saturating_add(events_max.into()));
        let verified = event_store::verify_until(log, since, until).await.map_err(read_failed)?;
        let head = verified.head;
        Ok(Response::new(VerifyLogResponse {
            head_position: self.writer.told(head.position),
            head_hash: head.hash.0.to_vec(),
            log_id: log.log_id().to_string(),
            complete: head.position < until || head.position == log.head().position,
            epoch: u32::try_from(log.epoch()).unwrap_or(u32::MAX),
        }))
    }

    async fn export_log(
        &self,
        request: Request<ExportLogRequest>,
    ) -> Result<Response<Self::ExportLogStream>, Status> {
        Call::of(&self.writer, &request)?.manages_all()?;
        let place = Arc::clone(&self.exports).try_acquire_owned();
        let place = place.map_err(|_| Error::TooManyExports)?;
        let lines = event_store::archive::lines(Arc::clone(&self.writer.log));
        let messages = futures::stream::unfold(Some(lines), |lines| async move {
            let mut lines = lines?;
            let mut together = Vec::new();
            while together.len() < EXPORT_BYTES {
                match lines.next().await {
                    Some(Ok(line)) => together.extend_from_slice(line.as_bytes()),
                    Some(Err(error)) => {
                        return Some((Err(Status::from(read_failed(error))), None));
                    }
                    None if together.is_empty() => return None,
                    None => return Some((Ok(ExportLogResponse { lines: together }), None)),
                }
            }
            Some((Ok(ExportLogResponse { lines: together }), Some(lines)))
        });
        let ended = futures::stream::once(async { Err(Status::from(Error::ExportEnded)) });
        let mut over = false;
        let messages = messages.map(Some).chain(futures::stream::once(async { None }));
        // The stream ends OK when all was sent, and with an error when the server stops before.
        let messages = messages
            .take_until(self.shutdown.clone().cancelled_owned())
            .map(Some)
            .chain(ended.map(|error| Some(Some(error))))
            .filter_map(move |message| {
                let message = message.flatten();
                let told = if over { None } else { message };
                over |= told.is_none();
                async move { told }
            })
            .inspect(move |_| _ = &place);
        let last = || Err(Error::ExportEnded.into());
        let messages = Leased::new(messages, Term::Unread(EXPORT_UNREAD_MAX), last);
        Ok(Response::new(Box::pin(messages)))
    }
}

impl Events {
    /// The head that a client trusts, which the log holds.
    ///
    /// # Errors
    /// [`Error::LogCorrupt`] if the log does not hold it though this identity signed it, or is broken
    /// there; [`Error::InvalidField`] if it is only said that the log once held it.
    async fn trusted(&self, since: &Checkpoint, events_max: u32) -> Result<Head, Error> {
        let log = &*self.writer.log;
        if !since.log_id.is_empty() && since.log_id != log.log_id().to_string() {
            return Err(Error::invalid("since.log_id", "is of another log"));
        }
        let hash: [u8; 32] = since
            .hash
            .as_slice()
            .try_into()
            .map_err(|_| Error::invalid("since.hash", "must be 32 bytes"))?;
        // What was signed before a restore must still be there after it.
        let position = match since.epoch {
            0 => self.writer.asked("since.position", since.position)?,
            epoch => Position::parse_in_epoch(since.position, epoch.into()).map_err(|other| {
                let of = other.found;
                Error::invalid("since.epoch", format!("is not that of since.position, {of}"))
            })?,
        };
        let head = log.head().position;
        let said = Head { position, hash: Hash(hash) };
        if position <= head {
            let found = self.head_at(position).await?;
            if found == said {
                return Ok(said);
            }
        }
        let is_signed = signed(log.log_id(), since, said).is_some_and(|(statement, signature)| {
            statement.verify(&self.signing_key.public_key(), &signature).is_ok()
        });
        if is_signed {
            // It was signed when it was durable: what is not there any more was lost, or taken away.
            let position = position.min(head.next());
            tracing::error!(
                position = position.0,
                "the event log does not hold what was signed of it"
            );
            return Err(Error::LogCorrupt { position: position.0 });
        }
        // Anybody can say so. What the log says itself counts then: of the event there and of those
        // that are chained to it.
        let before = position.min(head).0.saturating_sub(1);
        let until = Position(before.saturating_add(events_max.into()));
        let before = self.head_at(Position(before)).await?;
        event_store::verify_until(log, Some(before), until).await.map_err(read_failed)?;
        if position > head {
            return Err(Error::invalid(
                "since.position",
                format!("is after the log's last, {head}"),
            ));
        }
        Err(Error::invalid(
            "since.hash",
            "the log does not hold this hash at this position: it never did, or was changed since",
        ))
    }

    /// The event at a position up to the head, or what the first is chained to.
    async fn head_at(&self, position: Position) -> Result<Head, Error> {
        let log = &self.writer.log;
        if position == Position::START {
            return Ok(Head { position, hash: event_store::genesis(log.log_id()) });
        }
        let read = log.read(Position(position.0 - 1), 1).await.map_err(read_failed)?;
        let event = read.first().ok_or(Error::LogCorrupt { position: position.0 })?;
        Ok(Head { position, hash: event.hash })
    }
}

/// What a checkpoint's signature is over, with that, if it has one.
fn signed(
    log_id: uuid::Uuid,
    since: &Checkpoint,
    at: Head,
) -> Option<(SignedCheckpoint, [u8; 64])> {
    let time = since.time?;
    let time_ms = time.seconds.checked_mul(1000)?.checked_add(i64::from(time.nanos / 1_000_000))?;
    let statement = SignedCheckpoint {
        log_id,
        epoch: since.epoch.into(),
        position: at.position.0,
        hash: at.hash.0,
        time_ms: u64::try_from(time_ms).ok()?,
        model_digest: None,
    };
    Some((statement, since.signature.as_slice().try_into().ok()?))
}
