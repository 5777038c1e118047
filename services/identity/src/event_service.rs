//! EventService: the audit trail.

use std::pin::Pin;
use std::sync::Arc;

use api::event::v1::payload::Event as Kind;
use api::event::v1::{Event, Payload};
use api::identity::v1::event_service_server::EventService;
use api::identity::v1::{
    ListEventsRequest, ListEventsResponse, VerifyLogRequest, VerifyLogResponse, WatchEventsRequest,
    WatchEventsResponse,
};
use domain::{AccountId, UserId};
use event_store::{Position, Recorded};
use futures::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::error::Error;
use crate::writer::{Writer, read_failed};
use crate::{page, render, resource, stream};

/// The most events that one page looks at. A page of a sparse filter ends there, with a token.
const SCANNED_MAX: usize = 50_000;

pub(crate) struct Events {
    pub(crate) writer: Arc<Writer>,
    pub(crate) shutdown: CancellationToken,
}

#[tonic::async_trait]
impl EventService for Events {
    type WatchEventsStream =
        Pin<Box<dyn Stream<Item = Result<WatchEventsResponse, Status>> + Send>>;

    async fn list_events(
        &self,
        request: Request<ListEventsRequest>,
    ) -> Result<Response<ListEventsResponse>, Status> {
        let request = request.into_inner();
        let size = page::size(request.page_size)?;
        let filter = Filter::of(&request)?;
        let list = format!("events/{}/{}/{}", request.account, request.user, request.access_key_id);
        let mut after = match page::cursor(&list, &request.page_token)? {
            None => Position::START,
            Some(cursor) => Position(cursor.parse().map_err(|_| Error::InvalidPageToken)?),
        };
        self.writer.applied(request.min_position).await?;
        let mut events = vec![];
        let mut scanned = 0;
        loop {
            let limit = event_store::READ_EVENTS_MAX.min(SCANNED_MAX - scanned);
            let read = self.writer.log.read(after, limit).await.map_err(read_failed)?;
            if read.is_empty() {
                return Ok(Response::new(ListEventsResponse {
                    events,
                    next_page_token: String::new(),
                }));
            }
            for recorded in read {
                if events.len() == size {
                    break;
                }
                scanned += 1;
                after = recorded.position;
                events.extend(filter.pass(&recorded)?);
            }
            if events.len() == size || scanned >= SCANNED_MAX {
                let at_head = after >= self.writer.log.head().position;
                let next_page_token =
                    if at_head { String::new() } else { page::token(&list, &after.to_string()) };
                return Ok(Response::new(ListEventsResponse { events, next_page_token }));
            }
        }
    }

    async fn watch_events(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let after = Position(request.into_inner().after_position);
        let head = self.writer.log.head().position;
        if after > head {
            return Err(Error::Behind { asked: after.0, head: head.0 }.into());
        }
        let events = self.writer.log.subscribe(after).map(|event| {
            let event = render::event(&*event.map_err(read_failed)?)?;
            Ok(WatchEventsResponse { event: Some(event) })
        });
        let ended = futures::stream::once(async { Err(Status::from(Error::WatchEnded)) });
        let until_shutdown = self.shutdown.clone().cancelled_owned();
        Ok(Response::new(Box::pin(events.take_until(until_shutdown).chain(ended))))
    }

    async fn verify_log(
        &self,
        _request: Request<VerifyLogRequest>,
    ) -> Result<Response<VerifyLogResponse>, Status> {
        let verified = event_store::verify(&*self.writer.log).await.map_err(read_failed)?;
        Ok(Response::new(VerifyLogResponse {
            head_position: verified.head.position.0,
            head_hash: verified.head.hash.0.to_vec(),
            log_id: self.writer.log.log_id().to_string(),
        }))
    }
}

/// Which events to show. What is not given matches everything.
struct Filter {
    account: Option<AccountId>,
    user: Option<UserId>,
    access_key_id: Option<String>,
}

impl Filter {
    fn of(request: &ListEventsRequest) -> Result<Self, Error> {
        let given = |text: &str| !text.is_empty();
        let id = Some(&request.access_key_id).filter(|id| given(id));
        if let Some(id) = id {
            domain::AccessKeyId::parse(id)
                .map_err(|error| Error::invalid("access_key_id", error.to_string()))?;
        }
        Ok(Self {
            account: Some(&request.account)
                .filter(|name| given(name))
                .map(|name| resource::account_id("account", name))
                .transpose()?,
            user: Some(&request.user)
                .filter(|name| given(name))
                .map(|name| resource::user_id("user", name))
                .transpose()?,
            access_key_id: id.cloned(),
        })
    }

    /// The event, if it is to be shown.
    fn pass(&self, recorded: &Recorded) -> Result<Option<Event>, Error> {
        if self.account.is_some_and(|account| account.0 != recorded.account) {
            return Ok(None);
        }
        let stream = stream::Stream::parse(recorded.stream.as_str());
        if self.user.is_some_and(|user| stream != Some(stream::Stream::User(user))) {
            return Ok(None);
        }
        let event = render::event(recorded)?;
        let found = event.payload.as_ref().and_then(access_key_id);
        if self.access_key_id.as_deref().is_some_and(|id| found != Some(id)) {
            return Ok(None);
        }
        Ok(Some(event))
    }
}

fn access_key_id(payload: &Payload) -> Option<&str> {
    match payload.event.as_ref()? {
        Kind::AccessKeyCreated(event) => Some(&event.access_key_id),
        Kind::AccessKeyActivated(event) => Some(&event.access_key_id),
        Kind::AccessKeyDeactivated(event) => Some(&event.access_key_id),
        Kind::AccessKeyExpiryChanged(event) => Some(&event.access_key_id),
        Kind::SecretAccessKeyRotated(event) => Some(&event.access_key_id),
        Kind::GracePeriodEnded(event) => Some(&event.access_key_id),
        Kind::AccessKeyDeleted(event) => Some(&event.access_key_id),
        Kind::AccountCreated(_)
        | Kind::UserCreated(_)
        | Kind::UserLabelChanged(_)
        | Kind::UserLocked(_)
        | Kind::UserUnlocked(_)
        | Kind::UserDeleted(_) => None,
    }
}
