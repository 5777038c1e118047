//! `claviger log`.

use std::path::Path;

use anyhow::Context;
use api::identity::v1::{VerifyLogRequest, VerifyLogResponse};
use event_store::SledLog;
use tonic::Request;

use super::{Client, with_client};
use crate::cli::{LogArgs, LogCommand};
use crate::exit::Outcome;
use crate::output::{Format, Table};

/// Does what was asked for.
pub(crate) async fn run(args: LogArgs) -> Outcome {
    match args.command {
        LogCommand::Verify { data_dir: None } => {
            with_client(args.connection, async |client: &Client| {
                // No limit of its own: identity's applies.
                let request = Request::new(VerifyLogRequest::default());
                let answer = client.events().verify_log(request).await?.into_inner();
                show(client.output, &answer)
            })
            .await
        }
        LogCommand::Verify { data_dir: Some(dir) } => {
            show(args.connection.output, &verify_offline(&dir).await?)
        }
    }
}

async fn verify_offline(data_dir: &Path) -> anyhow::Result<VerifyLogResponse> {
    let verified = SledLog::verify_offline(&identity::log_dir(data_dir), None).await;
    let head = verified.context("the log was not verified")?.head;
    Ok(VerifyLogResponse {
        head_position: head.position.0,
        head_hash: head.hash.0.to_vec(),
        log_id: String::new(),
        complete: true,
        epoch: 0,
    })
}

fn show(output: Format, answer: &VerifyLogResponse) -> Outcome {
    output.show("claviger.identity.v1.VerifyLogResponse", answer, || {
        let hash: String = answer.head_hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Table::of_pairs(&[
            ("the log is whole up to position", &answer.head_position.to_string()),
            ("hash of that event", &hash),
            ("log id", &answer.log_id),
        ])
    })
}
