//! What the layer notes, in the order in which it happened.

use std::path::Path;
use std::{fs, io};

/// One call that succeeded, or a sync that failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Record {
    /// A process began; numbers of files, and what [`Record::Synced`] counts, begin anew.
    Started,
    /// A file or folder is called by a number from here on.
    Opened {
        /// The number.
        file: u64,
        /// Where it is, below the layer's folder; empty for that folder itself.
        path: String,
        /// Whether it was there before.
        how: Opened,
    },
    /// Bytes were written.
    Wrote {
        /// To which file.
        file: u64,
        /// Where in it.
        offset: u64,
        /// Which bytes.
        bytes: Vec<u8>,
    },
    /// A file was cut or made longer.
    Length {
        /// Which file.
        file: u64,
        /// How long it is now.
        length: u64,
    },
    /// A file or folder was synced, or should have been.
    Synced {
        /// Which one.
        file: u64,
        /// How many records of this process were there when it began: the sync covers these.
        covers: u64,
        /// Whether it succeeded.
        durable: bool,
    },
    /// A folder was made.
    MadeFolder {
        /// Where.
        path: String,
    },
    /// A file was renamed.
    Renamed {
        /// What it was called.
        from: String,
        /// What it is called.
        to: String,
    },
    /// A file or an empty folder was removed.
    Removed {
        /// Which one.
        path: String,
    },
    /// The process wrote to its standard output: what it said, it said by now.
    Said {
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The process did what this crate has no model of.
    Unmodelled {
        /// Which call.
        call: String,
    },
}

/// What was opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opened {
    /// A file that was there.
    Existing,
    /// A file that was made.
    Created,
    /// A folder.
    Folder,
}

impl Record {
    /// The record as it stands in the journal: the length of the rest (4 bytes, little endian), a byte
    /// for the kind, and its fields.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Out(vec![0; 4]);
        match self {
            Self::Started => out.kind(0),
            Self::Opened { file, path, how } => {
                out.kind(1);
                out.number(*file);
                out.number(match how {
                    Opened::Existing => 0,
                    Opened::Created => 1,
                    Opened::Folder => 2,
                });
                out.bytes(path.as_bytes());
            }
            Self::Wrote { file, offset, bytes } => {
                out.kind(2);
                out.number(*file);
                out.number(*offset);
                out.bytes(bytes);
            }
            Self::Length { file, length } => {
                out.kind(3);
                out.number(*file);
                out.number(*length);
            }
            Self::Synced { file, covers, durable } => {
                out.kind(4);
                out.number(*file);
                out.number(*covers);
                out.number(u64::from(*durable));
            }
            Self::MadeFolder { path } => {
                out.kind(5);
                out.bytes(path.as_bytes());
            }
            Self::Renamed { from, to } => {
                out.kind(6);
                out.bytes(from.as_bytes());
                out.bytes(to.as_bytes());
            }
            Self::Removed { path } => {
                out.kind(7);
                out.bytes(path.as_bytes());
            }
            Self::Said { bytes } => {
                out.kind(8);
                out.bytes(bytes);
            }
            Self::Unmodelled { call } => {
                out.kind(9);
                out.bytes(call.as_bytes());
            }
        }
        let length = out.0.len() - 4;
        out.0[..4].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        out.0
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&kind, rest) = bytes.split_first()?;
        let mut fields = Fields(rest);
        Some(match kind {
            0 => Self::Started,
            1 => {
                let file = fields.number()?;
                let how = match fields.number()? {
                    0 => Opened::Existing,
                    1 => Opened::Created,
                    2 => Opened::Folder,
                    _ => return None,
                };
                Self::Opened { file, how, path: fields.text()? }
            }
            2 => Self::Wrote {
                file: fields.number()?,
                offset: fields.number()?,
                bytes: fields.bytes()?.to_vec(),
            },
            3 => Self::Length { file: fields.number()?, length: fields.number()? },
            4 => Self::Synced {
                file: fields.number()?,
                covers: fields.number()?,
                durable: fields.number()? == 1,
            },
            5 => Self::MadeFolder { path: fields.text()? },
            6 => Self::Renamed { from: fields.text()?, to: fields.text()? },
            7 => Self::Removed { path: fields.text()? },
            8 => Self::Said { bytes: fields.bytes()?.to_vec() },
            9 => Self::Unmodelled { call: fields.text()? },
            _ => return None,
        })
    }
}

struct Out(Vec<u8>);

impl Out {
    fn kind(&mut self, kind: u8) {
        self.0.push(kind);
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }
}

/// Reads a journal, also of a process that runs or was killed: up to the last whole record.
///
/// # Errors
/// What the file system says; [`io::ErrorKind::InvalidData`] when it is no journal.
pub fn read(path: &Path) -> io::Result<Vec<Record>> {
    let bytes = fs::read(path)?;
    let (mut records, mut rest) = (Vec::new(), &bytes[..]);
    while let Some((length, after)) = rest.split_first_chunk() {
        let Some((record, after)) = after.split_at_checked(u32::from_le_bytes(*length) as usize)
        else {
            break; // the process was killed as it wrote this
        };
        let record = Record::decode(record);
        records.push(record.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?);
        rest = after;
    }
    Ok(records)
}

/// The whole lines that were said in some records.
pub fn said(records: &[Record]) -> Vec<String> {
    let mut bytes = Vec::new();
    for record in records {
        if let Record::Said { bytes: more } = record {
            bytes.extend_from_slice(more);
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_up_to_a_torn_end() {
        let text = |text: &str| text.to_owned();
        let records = vec![
            Record::Started,
            Record::Opened { file: 1, path: text("a/b"), how: Opened::Created },
            Record::Opened { file: 2, path: text(""), how: Opened::Folder },
            Record::Wrote { file: 1, offset: 1 << 40, bytes: vec![0, 1, 255] },
            Record::Length { file: 1, length: 9 },
            Record::Synced { file: 1, covers: 4, durable: true },
            Record::Synced { file: 1, covers: 4, durable: false },
            Record::MadeFolder { path: text("c") },
            Record::Renamed { from: text("a"), to: text("b") },
            Record::Removed { path: text("b") },
            Record::Said { bytes: b"one\ntwo\nhal".to_vec() },
            Record::Unmodelled { call: text("link") },
        ];
        let bytes: Vec<u8> = records.iter().flat_map(Record::encode).collect();
        let file = tempfile::NamedTempFile::new().expect("a file");
        for torn in [0, 1, 5] {
            fs::write(file.path(), &bytes[..bytes.len() - torn]).expect("written");
            let whole = records.len() - usize::from(torn > 0);
            assert_eq!(read(file.path()).expect("read"), records[..whole]);
        }
        assert_eq!(said(&records), ["one", "two"]);
    }
}
