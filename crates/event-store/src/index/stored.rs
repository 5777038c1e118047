//! The index as bytes, for a checkpoint. All numbers are little endian.
//!
//! ```text
//! streams   u64   how many
//! claims    u64
//! commands  u64
//! stream    16 key, u64 revision; in the order of their keys
//! claim     16 key, 16 holder; in the order of their keys
//! command   16 ID, 16 digest, u64 first position, u32 events, u64 time; oldest first
//! ```

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};

use uuid::Uuid;

use super::{COMMAND_MEMORY_MS, Command, Index, Key};
use crate::{Position, Revision};

/// The three counts, with which [`Index::bytes_of`] tells the rest.
pub(crate) const COUNTS_BYTES: usize = 24;
const STREAM_BYTES: usize = 24;
const CLAIM_BYTES: usize = 32;
const COMMAND_BYTES: usize = 52;

impl Index {
    /// What [`Self::write`] writes, or more, in bytes.
    pub(crate) fn stored_bytes_max(&self) -> u64 {
        Self::bytes_of(self.counts()).unwrap_or(u64::MAX)
    }

    /// What follows the counts, in bytes; none when there is no number for it.
    pub(crate) fn bytes_of([streams, claims, commands]: [u64; 3]) -> Option<u64> {
        let streams = streams.checked_mul(STREAM_BYTES as u64)?;
        let claims = claims.checked_mul(CLAIM_BYTES as u64)?;
        streams.checked_add(claims)?.checked_add(commands.checked_mul(COMMAND_BYTES as u64)?)
    }

    /// Writes what a log needs that goes on at `time_ms`: without the commands that are forgotten
    /// by then.
    pub(crate) fn write(&self, time_ms: u64, out: &mut impl Write) -> io::Result<()> {
        let forgotten = self.remembered.partition_point(|&(recorded_ms, _)| {
            recorded_ms.saturating_add(COMMAND_MEMORY_MS) <= time_ms
        });
        let [streams, claims, commands] = self.counts();
        for count in [streams, claims, commands - forgotten as u64] {
            out.write_all(&count.to_le_bytes())?;
        }
        for (key, revision) in &self.revisions {
            out.write_all(key)?;
            out.write_all(&revision.0.to_le_bytes())?;
        }
        for (key, holder) in &self.claims {
            out.write_all(key)?;
            out.write_all(holder.as_bytes())?;
        }
        for (_, id) in self.remembered.range(forgotten..) {
            let unknown = || io::Error::other("a remembered command is not known");
            let command = self.commands.get(id).ok_or_else(unknown)?;
            out.write_all(id.as_bytes())?;
            out.write_all(&command.digest)?;
            out.write_all(&command.first.0.to_le_bytes())?;
            out.write_all(&command.len.to_le_bytes())?;
            out.write_all(&command.time_ms.to_le_bytes())?;
        }
        Ok(())
    }

    /// Reads the counts that [`Self::write`] began with.
    pub(crate) fn read_counts(input: &mut impl Read) -> io::Result<[u64; 3]> {
        Ok([number(input)?, number(input)?, number(input)?])
    }

    /// Reads what follows the counts. The caller has made sure that there is as much as they say:
    /// memory is taken for it.
    pub(crate) fn read(
        [streams, claims, commands]: [u64; 3],
        input: &mut impl Read,
    ) -> io::Result<Self> {
        let size = |count| usize::try_from(count).map_err(io::Error::other);
        let mut revisions = Vec::with_capacity(size(streams)?);
        for _ in 0..streams {
            let key: Key = array(input)?;
            revisions.push((key, Revision(number(input)?)));
        }
        // Written in order, which is quick to make trees of; in no order by earlier versions.
        let revisions = revisions.into_iter().collect();
        let mut claims_read = Vec::with_capacity(size(claims)?);
        for _ in 0..claims {
            let key: Key = array(input)?;
            claims_read.push((key, Uuid::from_bytes(array(input)?)));
        }
        let mut index = Self {
            revisions,
            claims: claims_read.into_iter().collect(),
            commands: HashMap::with_capacity(size(commands)?),
            remembered: VecDeque::with_capacity(size(commands)?),
        };
        for _ in 0..commands {
            let id = Uuid::from_bytes(array(input)?);
            let command = Command {
                digest: array(input)?,
                first: Position(number(input)?),
                len: u32::from_le_bytes(array(input)?),
                time_ms: number(input)?,
            };
            index.commands.insert(id, command);
            index.remembered.push_back((command.time_ms, id));
        }
        Ok(index)
    }

    fn counts(&self) -> [u64; 3] {
        [self.revisions.len(), self.claims.len(), self.remembered.len()].map(|len| len as u64)
    }
}

fn number(input: &mut impl Read) -> io::Result<u64> {
    array(input).map(u64::from_le_bytes)
}

fn array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}
