//! Signed statements of where the log stood: asked for, saved, read, and checked.

use std::fs;
use std::path::Path;

use anyhow::Context;
use api::identity::v1::{Checkpoint, GetCheckpointRequest, GetCheckpointResponse};
use event_store::{Hash, Head, Position};
use sealing::SignedCheckpoint;

use super::super::files::NewFile;
use super::super::{Client, call, instant};
use super::hex;
use crate::exit::{Failure, Outcome};
use crate::output::{self, Table};

/// What is printed, saved and read.
const FULL_NAME: &str = "claviger.identity.v1.GetCheckpointResponse";

/// Shows where the log stands now, or saves it.
///
/// # Errors
/// If what the server answers is not signed.
pub(super) async fn run(client: &Client, out: Option<&Path>) -> Outcome {
    let request = call(GetCheckpointRequest::default());
    let answer = client.events().get_checkpoint(request).await?.into_inner();
    let checkpoint = answer.checkpoint.clone().unwrap_or_default();
    check(&checkpoint, None).context("the server's answer")?;
    let public_key = hex(&checkpoint.public_key);
    let Some(out) = out else {
        return client.output.show(FULL_NAME, &answer, || {
            Table::of_pairs(&[
                ("log id", &checkpoint.log_id),
                ("epoch", &checkpoint.epoch.to_string()),
                ("position", &checkpoint.position.to_string()),
                ("hash of that event", &hex(&checkpoint.hash)),
                ("signed", &instant(checkpoint.time.as_ref())),
                ("public key", &public_key),
                ("signature", &hex(&checkpoint.signature)),
            ])
        });
    };
    let mut file = NewFile::create(out)?;
    file.write(output::json(FULL_NAME, &answer)?.as_bytes())?;
    file.put_in_place()?;
    eprintln!(
        "note: position {} saved, signed with the key {public_key}: keep it where nobody who can \
         change the log can change it",
        checkpoint.position
    );
    Ok(())
}

/// Reads a saved checkpoint, and checks that it is signed with `public_key`, or else with the key
/// that stands in it.
///
/// # Errors
/// If it cannot be read or is not so signed.
pub(super) fn read(file: &Path, public_key: Option<[u8; 32]>) -> Outcome<Checkpoint> {
    let read = || {
        let text = fs::read_to_string(file)?;
        let saved: GetCheckpointResponse = output::parse_json(FULL_NAME, &text)?;
        let checkpoint = saved.checkpoint.context("it holds none")?;
        check(&checkpoint, public_key.as_ref())?;
        anyhow::Ok(checkpoint)
    };
    let checkpoint = read().with_context(|| format!("checkpoint {}", file.display()));
    let checkpoint = checkpoint.map_err(|error| Failure::failed(format!("{error:#}")))?;
    if public_key.is_none() {
        eprintln!(
            "warning: the checkpoint is only known to be signed with the key in it, {}: whoever can \
             change the log can sign with another; pin it by --public-key",
            hex(&checkpoint.public_key)
        );
    }
    Ok(checkpoint)
}

/// Where it says that the log stood.
///
/// # Errors
/// If it is not of the form that it should have.
pub(super) fn head(checkpoint: &Checkpoint) -> anyhow::Result<Head> {
    let position = Position::parse_in_epoch(checkpoint.position, checkpoint.epoch.into())?;
    Ok(Head { position, hash: Hash(bytes(&checkpoint.hash, "hash")?) })
}

/// Checks its signature. That says nothing of the log yet.
fn check(checkpoint: &Checkpoint, public_key: Option<&[u8; 32]>) -> anyhow::Result<()> {
    let own_key = bytes(&checkpoint.public_key, "public key")?;
    let signature = bytes(&checkpoint.signature, "signature")?;
    let Head { position, hash } = head(checkpoint)?;
    let time = checkpoint.time.unwrap_or_default();
    let time_ms = time.seconds * 1000 + i64::from(time.nanos) / 1_000_000;
    let statement = SignedCheckpoint {
        log_id: checkpoint.log_id.parse().context("the log id is malformed")?,
        epoch: checkpoint.epoch.into(),
        position: position.0,
        hash: hash.0,
        time_ms: u64::try_from(time_ms).context("the time is malformed")?,
        model_digest: None,
    };
    let verified = statement.verify(public_key.unwrap_or(&own_key), &signature);
    verified.context("it is not signed with that key, or was changed since")
}

fn bytes<const N: usize>(bytes: &[u8], what: &str) -> anyhow::Result<[u8; N]> {
    bytes.try_into().with_context(|| format!("the {what} must have {N} bytes"))
}
