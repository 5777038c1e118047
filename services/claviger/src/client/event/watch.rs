//! `claviger event watch`: goes on where a stream ended.

use std::time::Duration;

use api::error::v1::Reason;
use api::identity::v1::{WatchEventsRequest, WatchEventsResponse};
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, Request, Status};

use super::super::Client;
use super::{Filter, row};
use crate::exit::Outcome;

/// The longest that a stream lasts.
const STREAM_SECONDS_MAX: u32 = 86_400;
/// How long a server that has gone away is waited for.
const AWAY_MAX: Duration = Duration::from_secs(10);
/// Between two streams, or attempts at one.
const STREAM_PAUSE: Duration = Duration::from_millis(250);

/// Shows events until `seconds` are over, or for ever.
///
/// # Errors
/// If the first stream cannot be begun, or the server stays away.
pub(super) async fn run(
    client: &Client,
    filter: Filter,
    after: u64,
    seconds: Option<u32>,
) -> Outcome {
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
    let mut watch = Watch { client, filter, after, heard: None };
    let Some(end) = end else { return watch.follow().await };
    match timeout_at(end, watch.follow()).await {
        Ok(ended) => ended,
        Err(_) => {
            eprintln!("note: to go on from here, give --after {}", watch.after);
            Ok(())
        }
    }
}

struct Watch<'a> {
    client: &'a Client,
    filter: Filter,
    /// Everything up to here was shown, or is not asked for.
    after: u64,
    /// When the server was heard last.
    heard: Option<Instant>,
}

impl Watch<'_> {
    /// Goes from stream to stream until the server stays away.
    async fn follow(&mut self) -> Outcome {
        loop {
            // A stream that ends OK has said where the next one begins.
            if let Err(status) = self.stream().await? {
                let awaited = self.heard.is_some_and(|heard| heard.elapsed() < AWAY_MAX);
                if !(awaited && is_away(&status)) {
                    return Err(status.into());
                }
            }
            sleep(STREAM_PAUSE).await;
        }
    }

    /// Shows the events of one stream.
    async fn stream(&mut self) -> Outcome<Result<(), Status>> {
        let Filter { account, user, access_key_id, kinds, principal } = &self.filter;
        // Without a time limit of the call: the server ends it.
        let request = Request::new(WatchEventsRequest {
            after_position: self.after,
            account: account.clone(),
            user: user.clone(),
            access_key_id: access_key_id.clone(),
            kinds: kinds.clone(),
            principal: principal.clone(),
            duration_seconds: STREAM_SECONDS_MAX,
        });
        let mut events = match self.client.events().watch_events(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return Ok(Err(status)),
        };
        self.heard = Some(Instant::now());
        loop {
            match events.message().await {
                Ok(Some(message)) => self.show(message)?,
                Ok(None) => return Ok(Ok(())),
                Err(status) => {
                    self.heard = Some(Instant::now());
                    return Ok(Err(status));
                }
            }
        }
    }

    fn show(&mut self, message: WatchEventsResponse) -> Outcome {
        let WatchEventsResponse { event, resume_position } = message;
        if let Some(event) = event {
            let output = self.client.output;
            output.show_next("claviger.event.v1.Event", &event, || row(&event))?;
        }
        self.after = resume_position;
        Ok(())
    }
}

/// Whether the server has ended the stream, or is not to be reached, and may be back soon.
fn is_away(status: &Status) -> bool {
    api::reason(status) == Some(Reason::WatchEnded)
        || status.code() == Code::Unavailable
        // The connection broke: there is no answer of the server then.
        || std::error::Error::source(status).is_some()
}
