//! What is done with a log that no process has open.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use uuid::Uuid;

use super::anchor::Anchor;
use super::files::Files;
use super::open::{check_length, frame_at, identity, io_error, lock_folder, scan_with};
use super::{OpenError, VerifiedOffline, stored};
use crate::archive::{self, ExportError, Header};
use crate::index::Index;
use crate::log::decode_at;
use crate::verify::{TailIndex, Verifier, same_hash, trusted};
use crate::{Head, Position, ReadError, Recorded, StoredFrame, genesis};

/// How often verifying tells how far it has come.
const PROGRESS_EVENTS: u64 = 1024;

/// A log that is locked for as long as this is held, and read only.
pub(super) struct Offline {
    files: Files,
    log_id: Uuid,
    epoch: u64,
    /// What the anchor says.
    recorded: Option<Head>,
}

impl Offline {
    pub(super) fn open(dir: &Path) -> Result<Self, OpenError> {
        if !dir.join("db").is_file() {
            return Err(OpenError::NotFound(dir.to_owned()));
        }
        let files = Files::open(dir, lock_folder(dir)?)?;
        let identity = identity(&files.database)?;
        let (log_id, epoch) = identity.ok_or_else(|| OpenError::NoIdentity(dir.to_owned()))?;
        let (_, recorded) = Anchor::open(dir).map_err(|source| io_error(dir, source))?;
        Ok(Self { files, log_id, epoch, recorded })
    }

    fn close(self) {
        if let Err(error) = self.files.close() {
            tracing::warn!(%error, "event log is not known to be closed in order");
        }
    }

    /// The last frame.
    fn last(&self) -> Result<Option<StoredFrame>, OpenError> {
        let last = self.files.events.iter().next_back();
        Ok(last.map(|entry| stored(Position::START, entry)).transpose()?)
    }

    fn head(&self) -> Result<Head, OpenError> {
        let Some(last) = self.last()? else {
            return Ok(Head { position: Position::START, hash: genesis(self.log_id) });
        };
        let event = decode_at(last.position, last)?;
        Ok(Head { position: event.position, hash: event.hash })
    }
}

pub(super) fn export(dir: &Path, sink: impl io::Write) -> Result<Head, ExportError> {
    let log = Offline::open(dir)?;
    let Offline { files: Files { events, .. }, log_id, epoch, recorded } = &log;
    let header = Header { log_id: *log_id, epoch: *epoch, head: log.head()? };
    check_length(dir, header.head.position, recorded.as_slice())?;
    let mut sink = BufWriter::new(sink);
    let mut write = |line: String| sink.write_all(line.as_bytes()).map_err(ExportError::Write);
    write(archive::header_line(&header))?;
    let mut verifier = Verifier::new(*log_id, ());
    scan_with(&mut verifier, events, recorded.as_slice(), |event, frame| {
        write(archive::decoded_line(event, frame))
    })?;
    let verified = verifier.verified().map_err(ReadError::from)?;
    same_hash(header.head, verified.head).map_err(ReadError::from)?;
    write(archive::end_line(&header))?;
    sink.flush().map_err(ExportError::Write)?;
    log.close();
    Ok(header.head)
}

pub(super) fn verify(
    dir: &Path,
    since: Option<Head>,
    mut on_progress: impl FnMut(Head),
) -> Result<VerifiedOffline, OpenError> {
    let log = Offline::open(dir)?;
    let Offline { files: Files { events, .. }, log_id, epoch, recorded } = &log;
    let (log_id, epoch) = (*log_id, *epoch);
    let tell = |event: &Recorded, _: &StoredFrame| {
        if event.position.0.is_multiple_of(PROGRESS_EVENTS) {
            on_progress(Head { position: event.position, hash: event.hash });
        }
        Ok::<_, OpenError>(())
    };
    let verified = match since.filter(|since| since.position > Position::START) {
        Some(since) => {
            let last = log.last()?;
            let last = last.map_or(Position::START, |frame| frame.position);
            check_length(dir, last, &[since])?;
            let event = trusted(since, frame_at(events, since.position)?)?;
            let mut verifier = Verifier::after(&event, TailIndex::default())?;
            scan_with(&mut verifier, events, recorded.as_slice(), tell)?;
            verifier.verified()?
        }
        None => {
            let mut verifier = Verifier::new(log_id, Index::default());
            same_hash(since.unwrap_or(verifier.head()), verifier.head())?;
            scan_with(&mut verifier, events, recorded.as_slice(), tell)?;
            verifier.verified()?
        }
    };
    check_length(dir, verified.head.position, recorded.as_slice())?;
    on_progress(verified.head);
    log.close();
    Ok(VerifiedOffline { log_id, epoch, verified })
}
