//! The log as JSON lines, out of identity and back.

use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use api::identity::v1::{ExportLogRequest, VerifyLogResponse};
use event_store::archive::{self, Header, LINE_BYTES_MAX};
use event_store::{SledLog, SledOptions};
use serde::Deserialize;
use tonic::Request;
use uuid::Uuid;

use super::super::Client;
use super::super::files::{self, NewFile};
use crate::exit::{Failure, Outcome};

/// How an export's last line begins: what ends otherwise is not whole.
const END: &[u8] = b"{\"end\":";

/// Exports the log of a server to a file, or to stdout.
///
/// # Errors
/// If the server or the disk fails, or what came is not whole. There is no file then.
pub(super) async fn export(client: &Client, out: Option<PathBuf>) -> Outcome {
    let mut sink = Sink::open(out)?;
    let request = Request::new(ExportLogRequest {});
    let mut pieces = client.events().export_log(request).await?.into_inner();
    let mut last = vec![];
    while let Some(piece) = pieces.message().await? {
        sink.write(&piece.lines)?;
        last = piece.lines;
    }
    let last = last.strip_suffix(b"\n").unwrap_or(&last);
    let last = last.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    if !last.starts_with(END) {
        return Err(Failure::failed("the export was cut off"));
    }
    Ok(sink.finish().await?)
}

/// Exports a log that no process has open to a file, or to stdout.
///
/// # Errors
/// If the log cannot be read or the disk fails. There is no file then.
pub(super) async fn export_offline(data_dir: &Path, out: Option<PathBuf>) -> anyhow::Result<()> {
    let sink = Sink::open(out)?;
    let exported = SledLog::export_offline(&identity::log_dir(data_dir), sink.handle()?).await;
    exported.context("the log was not exported")?;
    sink.finish().await
}

/// Where an export goes.
enum Sink {
    Stdout,
    File(NewFile),
}

impl Sink {
    fn open(out: Option<PathBuf>) -> anyhow::Result<Self> {
        Ok(match out {
            None => Self::Stdout,
            Some(path) => Self::File(NewFile::create(&path)?),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Outcome {
        match self {
            Self::Stdout => Ok(io::stdout().lock().write_all(bytes)?),
            Self::File(file) => Ok(file.write(bytes)?),
        }
    }

    fn handle(&self) -> anyhow::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Self::Stdout => Box::new(io::stdout()),
            Self::File(file) => Box::new(file.handle()?),
        })
    }

    /// Reads a file back, as importing it would, before it gets its name: a backup that cannot be
    /// restored is none.
    async fn finish(self) -> anyhow::Result<()> {
        let Self::File(mut file) = self else { return Ok(io::stdout().flush()?) };
        let written = file.read_back()?;
        let verify = move || archive::verify(BufReader::new(written));
        let (Header { log_id, epoch, head }, _) =
            tokio::task::spawn_blocking(verify).await?.context("the export is not whole")?;
        file.put_in_place()?;
        let position = head.position.in_epoch(epoch);
        eprintln!("note: the log {log_id} was saved up to position {position}, in epoch {epoch}");
        Ok(())
    }
}

/// Makes a log of an export, and tells up to where it goes, in its new epoch.
///
/// # Errors
/// If the export is not whole, or there is a log already. Nothing was changed then.
pub(super) async fn import(file: PathBuf, data_dir: &Path) -> anyhow::Result<VerifyLogResponse> {
    let mut input = BufReader::new(files::open(&file)?);
    let (first, FirstLine { log_id, epoch }) =
        first_line(&mut input).with_context(|| format!("export {}", file.display()))?;
    files::make_data_dir(data_dir)?;
    let options = SledOptions::new(identity::log_dir(data_dir));
    let import = move || archive::import(Cursor::new(first).chain(input), options);
    let verified =
        tokio::task::spawn_blocking(import).await?.context("the log was not imported")?;
    let epoch = epoch + 1;
    Ok(VerifyLogResponse {
        head_position: verified.head.position.in_epoch(epoch),
        head_hash: verified.head.hash.0.to_vec(),
        log_id: log_id.to_string(),
        complete: true,
        epoch: u32::try_from(epoch)?,
    })
}

/// What an export says of itself; importing it checks that.
#[derive(Deserialize)]
struct FirstLine {
    log_id: Uuid,
    epoch: u64,
}

fn first_line(input: &mut impl BufRead) -> anyhow::Result<(Vec<u8>, FirstLine)> {
    let mut line = vec![];
    input.take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
    ensure!(line.ends_with(b"\n"), "it is no export of a log");
    let first = serde_json::from_slice(&line).context("it is no export of a log")?;
    Ok((line, first))
}
