//! Pages of events. What is known of where events stand is used, so that a page costs what it holds,
//! wherever in the log.

use api::event::v1::Event;
use api::identity::v1::{ListEventsRequest, ListEventsResponse};
use domain::Timestamp;
use event_store::{Position, Recorded};
use prost::Message;
use sha2::{Digest, Sha256};

use super::filter::Filter;
use crate::access_key_service::instant;
use crate::error::Error;
use crate::writer::{Writer, read_failed};
use crate::{page, positions};

/// The most events that one page looks at. A page of a sparse filter ends there, with a token.
const SCANNED_MAX: usize = 50_000;

/// What part of the log a request asks for.
struct Range {
    /// Before the first.
    after: Position,
    /// The last.
    until: Position,
    /// Recorded before this instant.
    end_ms: Option<u64>,
}

pub(super) async fn page(
    writer: &Writer,
    filter: &Filter,
    request: ListEventsRequest,
) -> Result<ListEventsResponse, Error> {
    let size = page::size(request.page_size)?;
    let list = name_of_list(&request);
    let mut range = Range::of(writer, &request).await?;
    if let Some(cursor) = page::cursor(&list, &request.page_token)? {
        let cursor = cursor.parse().map_err(|_| Error::InvalidPageToken)?;
        range.after = range.after.max(writer.asked("page_token", cursor)?);
    }
    let candidates = filter.candidates(writer);
    let mut events: Vec<Event> = vec![];
    let mut scanned = 0;
    // What a filter that lets everything pass needs; more, the less it lets pass.
    let mut at_once = size;
    while range.after < range.until {
        let limit = at_once.min(SCANNED_MAX - scanned);
        at_once = at_once.saturating_mul(2);
        let read = read(writer, &range, candidates.as_deref(), limit).await?;
        let (recorded, looked_through) = read;
        for recorded in recorded {
            if range.end_ms.is_some_and(|end| recorded.time_ms >= end) {
                return Ok(last_page(events));
            }
            scanned += 1;
            range.after = recorded.position;
            events.extend(filter.pass(writer, &recorded)?);
            if events.len() == size {
                break;
            }
        }
        if events.len() < size {
            range.after = range.after.max(looked_through);
        }
        if events.len() == size || scanned >= SCANNED_MAX {
            if range.after >= range.until {
                return Ok(last_page(events));
            }
            let next_page_token = page::token(&list, &writer.told(range.after).to_string());
            return Ok(ListEventsResponse { events, next_page_token });
        }
    }
    Ok(last_page(events))
}

fn last_page(events: Vec<Event>) -> ListEventsResponse {
    ListEventsResponse { events, next_page_token: String::new() }
}

/// Binds page tokens to the filters that they were made for.
fn name_of_list(request: &ListEventsRequest) -> String {
    let filters = ListEventsRequest {
        page_size: 0,
        page_token: String::new(),
        min_position: 0,
        ..request.clone()
    };
    let digest: [u8; 32] = Sha256::digest(filters.encode_to_vec()).into();
    format!("events/{}", hex::encode(digest))
}

impl Range {
    async fn of(writer: &Writer, request: &ListEventsRequest) -> Result<Self, Error> {
        let head = writer.model().position();
        let until = match writer.asked("until_position", request.until_position)? {
            Position::START => head,
            until => until.min(head),
        };
        let ms = |time: Timestamp| u64::try_from(time.timestamp_millis()).unwrap_or_default();
        let end_ms = instant("end_time", request.end_time.as_ref())?.map(ms);
        let mut after = writer.asked("after_position", request.after_position)?;
        if let Some(start) = instant("start_time", request.start_time.as_ref())?.map(ms) {
            after = after.max(last_before(writer, start, until).await?);
        }
        Ok(Self { after, until, end_ms })
    }
}

/// The last position up to `until` that was recorded before `time_ms`: times never go back.
async fn last_before(writer: &Writer, time_ms: u64, until: Position) -> Result<Position, Error> {
    // Everything up to `before` is earlier, everything after `not_before` is not.
    let (mut before, mut not_before) = (0, until.0);
    while before < not_before {
        let middle = before + (not_before - before).div_ceil(2);
        let event = writer.log.read(Position(middle - 1), 1).await.map_err(read_failed)?;
        let event = event.first().ok_or(Error::LogCorrupt { position: middle })?;
        if event.time_ms < time_ms {
            before = middle;
        } else {
            not_before = middle - 1;
        }
    }
    Ok(Position(before))
}

/// Reads the next events that may match, and tells up to where all that may match were read.
async fn read(
    writer: &Writer,
    range: &Range,
    candidates: Option<&[Position]>,
    limit: usize,
) -> Result<(Vec<Recorded>, Position), Error> {
    let limit = limit.min(event_store::READ_EVENTS_MAX);
    let Some(candidates) = candidates else {
        let rest = usize::try_from(range.until.0 - range.after.0).unwrap_or(limit);
        let read = writer.log.read(range.after, limit.min(rest)).await.map_err(read_failed)?;
        let last = read.last().map_or(range.until, |last| last.position);
        return Ok((read, last));
    };
    let from = candidates.partition_point(|position| *position <= range.after);
    let to = candidates.partition_point(|position| *position <= range.until);
    let run = positions::run(candidates.get(from..to).unwrap_or_default(), limit);
    let read = positions::read(writer, run).await?;
    Ok((read, run.last().copied().unwrap_or(range.until)))
}
