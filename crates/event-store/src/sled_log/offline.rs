//! What is done with a log that no process has open.

use std::fs::File;
use std::path::Path;

use uuid::Uuid;

use super::OpenError;
use super::anchor::Anchor;
use super::open::{
    EVENTS, check_length, database_error, frame_at, identity, io_error, lock_folder, open_database,
    scan,
};
use crate::index::Index;
use crate::verify::{TailIndex, Verifier, same_hash, trusted};
use crate::{Head, Position, Verified};

/// A log that is locked for as long as this is held, and read only.
pub(super) struct Offline {
    pub(super) events: sled::Tree,
    pub(super) log_id: Uuid,
    /// What the anchor says.
    pub(super) recorded: Option<Head>,
    _database: sled::Db,
    /// Dropped last.
    _in_use: File,
}

impl Offline {
    pub(super) fn open(dir: &Path) -> Result<Self, OpenError> {
        if !dir.join("db").is_file() {
            return Err(OpenError::NotFound(dir.to_owned()));
        }
        let in_use = lock_folder(dir)?;
        let database = open_database(dir)?;
        let events = database.open_tree(EVENTS).map_err(database_error)?;
        let identity = identity(&database)?;
        let (log_id, _) = identity.ok_or_else(|| OpenError::NoIdentity(dir.to_owned()))?;
        let (_, recorded) = Anchor::open(dir).map_err(|source| io_error(dir, source))?;
        Ok(Self { events, log_id, recorded, _database: database, _in_use: in_use })
    }
}

pub(super) fn verify(dir: &Path, since: Option<Head>) -> Result<Verified, OpenError> {
    let log = Offline::open(dir)?;
    let Offline { events, log_id, recorded, .. } = &log;
    let verified = match since.filter(|since| since.position > Position::START) {
        Some(since) => {
            let last = events.last().map_err(database_error)?;
            let last =
                last.and_then(|(key, _)| Some(u64::from_be_bytes(key.as_ref().try_into().ok()?)));
            check_length(dir, Position(last.unwrap_or_default()), &[since])?;
            let event = trusted(since, frame_at(events, since.position)?)?;
            let mut verifier = Verifier::after(&event, TailIndex::default())?;
            scan(&mut verifier, events, recorded.as_slice())?;
            verifier.verified()?
        }
        None => {
            let mut verifier = Verifier::new(*log_id, Index::default());
            same_hash(since.unwrap_or(verifier.head()), verifier.head())?;
            scan(&mut verifier, events, recorded.as_slice())?;
            verifier.verified()?
        }
    };
    check_length(dir, verified.head.position, recorded.as_slice())?;
    Ok(verified)
}
