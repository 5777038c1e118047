//! `claviger log`.

mod archive;
mod checkpoint;

use std::path::{Path, PathBuf};

use anyhow::Context;
use api::identity::v1::{Checkpoint, VerifyLogRequest, VerifyLogResponse};
use event_store::{SledLog, VerifiedOffline};
use tonic::Request;

use super::{Client, with_client};
use crate::cli::{LogArgs, LogCommand};
use crate::exit::{Failure, Outcome};
use crate::output::{Format, Table};

/// Does what was asked for.
pub(crate) async fn run(args: LogArgs) -> Outcome {
    let LogArgs { command, connection } = args;
    let output = connection.output;
    match command {
        LogCommand::Verify { data_dir, since, public_key } => {
            let since = since.map(|file| checkpoint::read(&file, public_key)).transpose()?;
            if let Some(dir) = data_dir {
                return show(output, &verify_offline(&dir, since.as_ref()).await?);
            }
            with_client(connection, async |client: &Client| {
                show(client.output, &verify(client, since).await?)
            })
            .await
        }
        LogCommand::Checkpoint { out } => {
            with_client(connection, async |client: &Client| {
                checkpoint::run(client, out.as_deref()).await
            })
            .await
        }
        LogCommand::Export { out, data_dir } => {
            let out = Some(out).filter(|out| out != Path::new("-"));
            if let Some(dir) = data_dir {
                return Ok(archive::export_offline(&dir, out).await?);
            }
            with_client(connection, async |client: &Client| archive::export(client, out).await)
                .await
        }
        LogCommand::Import { file, data_dir } => import(output, file, data_dir).await,
    }
}

/// Checks piece by piece, each since the head of the one before.
async fn verify(client: &Client, mut since: Option<Checkpoint>) -> Outcome<VerifyLogResponse> {
    loop {
        // No limit of its own: identity's applies.
        let request = Request::new(VerifyLogRequest { since: since.clone(), events_max: 0 });
        let answer = client.events().verify_log(request).await?.into_inner();
        if answer.complete {
            return Ok(answer);
        }
        if since.is_some_and(|since| since.hash == answer.head_hash) {
            return Err(Failure::failed("the server checks no further"));
        }
        eprintln!("note: the log is whole up to position {}", answer.head_position);
        since = Some(Checkpoint {
            log_id: answer.log_id,
            epoch: answer.epoch,
            position: answer.head_position,
            hash: answer.head_hash,
            ..Default::default()
        });
    }
}

async fn verify_offline(
    data_dir: &Path,
    since: Option<&Checkpoint>,
) -> anyhow::Result<VerifyLogResponse> {
    let trusted = since.map(checkpoint::head).transpose()?;
    let verified = SledLog::verify_offline(&identity::log_dir(data_dir), trusted).await;
    let VerifiedOffline { log_id, epoch, verified } =
        verified.context("the log was not verified")?;
    Ok(VerifyLogResponse {
        head_position: verified.head.position.in_epoch(epoch),
        head_hash: verified.head.hash.0.to_vec(),
        log_id: log_id.to_string(),
        complete: true,
        epoch: u32::try_from(epoch).unwrap_or(u32::MAX),
    })
}

async fn import(output: Format, file: PathBuf, data_dir: PathBuf) -> Outcome {
    let answer = archive::import(file, &data_dir).await?;
    show(output, &answer)?;
    let dir = data_dir.display();
    eprintln!(
        "note: the keystore in {dir} must be that of this log, too: see `claviger keystore \
         restore`; auths take the log's new epoch, {}, from identity by themselves",
        answer.epoch
    );
    eprintln!(
        "warning: what was locked, deleted, rotated or revoked after the backup is as it was before: take \
         it away again before customers are let in, and look through `claviger admin-token list`"
    );
    Ok(())
}

fn show(output: Format, answer: &VerifyLogResponse) -> Outcome {
    output.show("claviger.identity.v1.VerifyLogResponse", answer, || {
        Table::of_pairs(&[
            ("the log is whole up to position", &answer.head_position.to_string()),
            ("hash of that event", &hex(&answer.head_hash)),
            ("log id", &answer.log_id),
            ("epoch", &answer.epoch.to_string()),
        ])
    })
}

/// Bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
