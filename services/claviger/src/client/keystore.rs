//! `claviger keystore`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use api::identity::v1::{
    ExportKeystoreRequest, GetKeystoreRequest, GetKeystoreResponse, RewrapDataKeysRequest,
    RewrapDataKeysResponse, ScrubKeystoreRequest,
};
use sealing::{Keyring, Keystore};
use tonic::Request;

use super::files::{self, NewFile};
use super::{Client, call, with_client};
use crate::cli::{KeystoreArgs, KeystoreCommand};
use crate::exit::{Failure, Outcome};
use crate::output::{Format, Table};
use crate::server::KEK;
use crate::{config, server};

/// Identity's file in its data directory.
const FILE: &str = "keystore";

/// Does what was asked for.
pub(crate) async fn run(args: KeystoreArgs) -> Outcome {
    let KeystoreArgs { command, connection } = args;
    match command {
        KeystoreCommand::Get => {
            with_client(connection, async |client: &Client| {
                let request = call(GetKeystoreRequest {});
                let answer = client.keystore().get_keystore(request).await?.into_inner();
                show(client.output, &answer)
            })
            .await
        }
        KeystoreCommand::Rewrap => with_client(connection, rewrap).await,
        KeystoreCommand::Scrub => {
            with_client(connection, async |client: &Client| {
                let request = call(ScrubKeystoreRequest {});
                let answer = client.keystore().scrub_keystore(request).await?.into_inner();
                let full_name = "claviger.identity.v1.ScrubKeystoreResponse";
                client.output.show(full_name, &answer, || {
                    Table::of_pairs(&[("slots overwritten", &answer.scrubbed.to_string())])
                })
            })
            .await
        }
        KeystoreCommand::Export { out } => {
            with_client(connection, async |client: &Client| export(client, &out).await).await
        }
        KeystoreCommand::Restore { file, data_dir, kek_file, old_kek_files } => {
            let keyring = || keyring(kek_file.clone(), old_kek_files.clone());
            let answer = restore(&file, &data_dir, keyring()?, keyring()?).await?;
            show(connection.output, &answer)
        }
    }
}

async fn rewrap(client: &Client) -> Outcome {
    let mut rewrapped = 0;
    loop {
        // No time limit: there may be many of them.
        let request = Request::new(RewrapDataKeysRequest {});
        let answer = client.keystore().rewrap_data_keys(request).await?.into_inner();
        rewrapped += answer.rewrapped;
        if answer.remaining == 0 {
            let answer = RewrapDataKeysResponse { rewrapped, remaining: 0 };
            let full_name = "claviger.identity.v1.RewrapDataKeysResponse";
            return client.output.show(full_name, &answer, || {
                Table::of_pairs(&[("data keys rewrapped", &rewrapped.to_string())])
            });
        }
        if answer.rewrapped == 0 {
            let message = format!("{} data keys cannot be rewrapped now", answer.remaining);
            return Err(Failure::failed(message));
        }
        eprintln!("note: {rewrapped} data keys were rewrapped, {} remain", answer.remaining);
    }
}

async fn export(client: &Client, out: &Path) -> Outcome {
    let mut file = NewFile::create(out)?;
    let request = Request::new(ExportKeystoreRequest {});
    let mut chunks = client.keystore().export_keystore(request).await?.into_inner();
    let mut bytes = 0;
    while let Some(message) = chunks.message().await? {
        file.write(&message.chunk)?;
        bytes += message.chunk.len();
    }
    if bytes == 0 {
        return Err(Failure::failed("the server sent nothing"));
    }
    file.put_in_place()?;
    eprintln!("note: {bytes} bytes saved; keep them apart from the key-encryption key");
    Ok(())
}

/// The keys that the copy may be wrapped with.
fn keyring(kek_file: Option<PathBuf>, old_kek_files: Vec<PathBuf>) -> Outcome<Keyring> {
    let in_variable = std::env::var_os(KEK).is_some_and(|value| !value.is_empty());
    if kek_file.is_none() && !in_variable {
        let message = format!("no key-encryption key: give --kek-file, or set {KEK}");
        return Err(Failure::usage(message));
    }
    let old_kek_files = Some(old_kek_files);
    let set = config::Identity { kek_file, old_kek_files, ..Default::default() };
    server::keyring(&set, &set).map_err(|error| Failure::usage(format!("{error:#}")))
}

/// Puts the keystore back, and opens it once to see that it does.
async fn restore(
    file: &Path,
    data_dir: &Path,
    keyring: Keyring,
    again: Keyring,
) -> anyhow::Result<GetKeystoreResponse> {
    files::make_data_dir(data_dir)?;
    let path = data_dir.join(FILE);
    let image = files::open(file)?;
    let restored = path.clone();
    let restore = move || Keystore::restore(image, restored, &keyring);
    tokio::task::spawn_blocking(restore).await?.context("the keystore was not restored")?;
    let keystore = Keystore::open(path, again).await?;
    let kek_ids = keystore.keyring().ids().map(|id| id.to_string()).collect();
    let answer = GetKeystoreResponse {
        data_keys: keystore.data_keys() as u64,
        data_keys_to_rewrap: keystore.remaining() as u64,
        damaged_slots: keystore.damaged() as u64,
        kek_ids,
    };
    // Closing it blocks.
    tokio::task::spawn_blocking(move || drop(keystore)).await?;
    Ok(answer)
}

fn show(output: Format, answer: &GetKeystoreResponse) -> Outcome {
    output.show("claviger.identity.v1.GetKeystoreResponse", answer, || {
        Table::of_pairs(&[
            ("data keys", &answer.data_keys.to_string()),
            ("to be rewrapped", &answer.data_keys_to_rewrap.to_string()),
            ("damaged slots", &answer.damaged_slots.to_string()),
            ("key-encryption keys, the present one first", &answer.kek_ids.join(", ")),
        ])
    })
}
