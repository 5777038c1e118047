//! A log as text, to keep elsewhere and to restore: one JSON object a line, whole, in order.
//!
//! ```text
//! {"format":"claviger-log/1","log_id":…,"epoch":…,"head_position":…,"head_hash":…}
//! {"position":1,"time":…,"account":…,"stream":…, … ,"hash":…,"previous_hash":…,"frame":…}
//! …
//! {"end":{"epoch":…,"position":…,"hash":…}}
//! ```
//!
//! `frame` is the event as it is stored, in Base64, and all that counts: its sealed part, too, which
//! is ciphertext. The other fields are for people and `jq`; they are made of the frame, and an archive
//! in which they say something else is refused. The last line tells that nothing is missing.
//!
//! An archive is no secret in the sense that a secret access key is, but who has it knows everything
//! else that was ever recorded.

mod read;

use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::SecondsFormat;
use domain::Timestamp;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use uuid::Uuid;

pub use self::read::{ArchiveError, LineError, verify};
pub(crate) use self::read::{Next, Reader};
use crate::log::decode_at;
pub use crate::sled_log::{ImportError, import};
use crate::verify::{Verifier, same_hash};
use crate::{Actor, EventLog, Fault, Head, OpenError, ReadError, Recorded, StoredFrame};

/// The format that is written, and the only one that is read.
pub const FORMAT: &str = "claviger-log/1";
/// The longest line that is read, in bytes, its newline included. Ours are below 12 KiB.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// How many frames are read, and lines held, at once.
const CHUNK_FRAMES: usize = 256;

/// Lines of an archive, each with its newline, from the header to the end.
pub type Lines = BoxStream<'static, Result<String, ReadError>>;

/// What an archive says of itself before the first event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// Which log it is of.
    pub log_id: Uuid,
    /// The epoch that the log was in. Restored, it is in the next.
    pub epoch: u64,
    /// Up to where it goes.
    pub head: Head,
}

/// Why there is no archive. What was written of it is refused by import, for want of its end.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log cannot be read, or is not what was written.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Whatever the archive is written to said no.
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
}

#[derive(Deserialize, Serialize)]
struct HeaderLine {
    format: String,
    log_id: Uuid,
    epoch: u64,
    head_position: u64,
    head_hash: String,
}

/// What is made of an event for its line. Only ever gains fields.
#[derive(Deserialize, Eq, PartialEq, Serialize)]
struct EventLine {
    position: u64,
    /// RFC 3339 with milliseconds, UTC; null when it is beyond the years of that form.
    time: Option<String>,
    account: Uuid,
    stream: String,
    revision: u64,
    event_type: u32,
    schema_version: u16,
    command_id: Uuid,
    actor: ActorLine,
    hash: String,
    previous_hash: String,
    frame: String,
}

#[derive(Deserialize, Eq, PartialEq, Serialize)]
struct ActorLine {
    principal: String,
    facade: String,
    source_address: String,
    request_id: String,
}

#[derive(Deserialize, Serialize)]
struct EndLine {
    end: End,
}

#[derive(Deserialize, Serialize)]
struct End {
    epoch: u64,
    position: u64,
    hash: String,
}

/// An archive's first line.
pub fn header_line(header: &Header) -> String {
    let Header { log_id, epoch, head } = *header;
    line(&HeaderLine {
        format: FORMAT.to_owned(),
        log_id,
        epoch,
        head_position: head.position.0,
        head_hash: head.hash.to_string(),
    })
}

/// The line of one event.
///
/// # Errors
/// [`Fault`] when the frame does not decode, or stands elsewhere than it says.
pub fn event_line(stored: &StoredFrame) -> Result<String, Fault> {
    let event = decode_at(stored.position, stored.clone())?;
    Ok(decoded_line(&event, stored))
}

/// The line of an event that was decoded from its frame.
pub(crate) fn decoded_line(event: &Recorded, stored: &StoredFrame) -> String {
    line(&EventLine::of(event, &stored.bytes))
}

/// An archive's last line.
pub fn end_line(header: &Header) -> String {
    let Header { epoch, head: Head { position, hash }, .. } = *header;
    line(&EndLine { end: End { epoch, position: position.0, hash: hash.to_string() } })
}

/// The archive of a log up to the head that it has now, for a file or a stream of messages: it takes
/// little memory, and appending goes on meanwhile. Chain, times and batches are checked on the way.
///
/// After an error the stream ends, without the last line.
pub fn lines(log: Arc<dyn EventLog>) -> Lines {
    let head = log.head();
    lines_up_to(log, head)
}

fn lines_up_to(log: Arc<dyn EventLog>, head: Head) -> Lines {
    let header = Header { log_id: log.log_id(), epoch: log.epoch(), head };
    let start = Some(Verifier::new(header.log_id, ()));
    let chunks =
        stream::try_unfold(start, move |verifier| chunk(Arc::clone(&log), header, verifier));
    let lines = chunks.map_ok(|lines| stream::iter(lines).map(Ok)).try_flatten();
    stream::once(async move { Ok(header_line(&header)) }).chain(lines).boxed()
}

/// The next lines, and what they leave to check with; nothing after the last line.
async fn chunk(
    log: Arc<dyn EventLog>,
    header: Header,
    verifier: Option<Verifier<()>>,
) -> Result<Option<(Vec<String>, Option<Verifier<()>>)>, ReadError> {
    let Some(mut verifier) = verifier else { return Ok(None) };
    let (after, end) = (verifier.head().position, header.head.position);
    if after == end {
        verifier.verified()?;
        same_hash(header.head, verifier.head())?;
        return Ok(Some((vec![end_line(&header)], None)));
    }
    let left = usize::try_from(end.0 - after.0).unwrap_or(CHUNK_FRAMES);
    let mut lines = Vec::with_capacity(left.min(CHUNK_FRAMES));
    for frame in log.frames(after, left.min(CHUNK_FRAMES)).await? {
        let event = verifier.push(frame.clone())?;
        lines.push(decoded_line(&event, &frame));
    }
    Ok(Some((lines, Some(verifier))))
}

/// Writes what [`lines`] gives, and flushes. Gives up to where the archive goes.
///
/// # Errors
/// [`ExportError`]; what was written is then no whole archive. Starting over is safe.
pub async fn export(
    log: Arc<dyn EventLog>,
    sink: &mut (impl AsyncWrite + Unpin),
) -> Result<Head, ExportError> {
    let head = log.head();
    let mut lines = lines_up_to(log, head);
    while let Some(line) = lines.try_next().await? {
        sink.write_all(line.as_bytes()).await.map_err(ExportError::Write)?;
    }
    sink.flush().await.map_err(ExportError::Write)?;
    Ok(head)
}

impl EventLine {
    /// Of an event and the frame that it was decoded from.
    fn of(event: &Recorded, frame: &[u8]) -> Self {
        let Actor { principal, facade, source_address, request_id } = &event.actor;
        Self {
            position: event.position.0,
            time: rfc_3339(event.time_ms),
            account: event.account,
            stream: event.stream.as_str().to_owned(),
            revision: event.revision.0,
            event_type: event.event_type,
            schema_version: event.schema_version,
            command_id: event.command_id,
            actor: ActorLine {
                principal: principal.as_str().to_owned(),
                facade: facade.as_str().to_owned(),
                source_address: source_address.as_str().to_owned(),
                request_id: request_id.as_str().to_owned(),
            },
            hash: event.hash.to_string(),
            previous_hash: event.prev_hash.to_string(),
            frame: STANDARD.encode(frame),
        }
    }

    /// The first field in which two lines differ.
    fn difference(&self, other: &Self) -> Option<&'static str> {
        let fields = [
            ("position", self.position == other.position),
            ("time", self.time == other.time),
            ("account", self.account == other.account),
            ("stream", self.stream == other.stream),
            ("revision", self.revision == other.revision),
            ("event_type", self.event_type == other.event_type),
            ("schema_version", self.schema_version == other.schema_version),
            ("command_id", self.command_id == other.command_id),
            ("actor", self.actor == other.actor),
            ("hash", self.hash == other.hash),
            ("previous_hash", self.previous_hash == other.previous_hash),
            ("frame", self.frame == other.frame),
        ];
        fields.into_iter().find(|(_, same)| !same).map(|(name, _)| name)
    }
}

fn rfc_3339(time_ms: u64) -> Option<String> {
    let time = Timestamp::from_timestamp_millis(i64::try_from(time_ms).ok()?)?;
    let text = time.to_rfc3339_opts(SecondsFormat::Millis, true);
    // Beyond the year 9999 there would be a sign.
    text.starts_with(|first: char| first.is_ascii_digit()).then_some(text)
}

/// Plain structs of texts and numbers always have a form in JSON.
fn line(value: &impl Serialize) -> String {
    let mut line = serde_json::to_string(value).unwrap_or_default();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests;
