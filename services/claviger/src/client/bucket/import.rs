//! `claviger bucket import`: makes an account's what a store has already.

use api::error::v1::Reason;
use api::identity::v1::{Bucket, ClaimBucketRequest, GetAccountRequest, GetBucketRequest};
use serde::Serialize;
use tonic::Status;

use super::super::{Client, call};
use crate::cli::ImportArgs;
use crate::config::secret;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Table, table_text};

const SECRET_VARIABLE: &str = "CLAVIGER_GATEWAY__UPSTREAM__SECRET_ACCESS_KEY";

/// What became of a bucket, or would become.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Became {
    /// It is the account's from now on.
    Claimed,
    /// It was the account's before.
    Already,
    /// It is another account's.
    ExistsElsewhere,
    /// Its name means something else to the store.
    Reserved,
    /// Its name is none that S3 has today.
    Invalid,
}

impl Became {
    fn in_words(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Already => "already",
            Self::ExistsElsewhere => "exists elsewhere",
            Self::Reserved => "reserved",
            Self::Invalid => "invalid",
        }
    }
}

#[derive(Debug, Serialize)]
struct Imported {
    bucket: String,
    outcome: Became,
}

/// Claims what the store has, bucket by bucket, and tells what became of each.
pub(super) async fn run(client: &Client, args: ImportArgs) -> Outcome {
    let names = names(&args).await?;
    // Its one name, by whichever it was given.
    let request = GetAccountRequest { name: client.account().await?, ..Default::default() };
    let account = client.accounts().get_account(call(request)).await?.into_inner().account;
    let account = account.unwrap_or_default().name;
    let (mut imported, mut failure) = (vec![], None);
    for bucket in names {
        let became = if args.reserved_buckets.contains(&bucket) {
            Ok(Became::Reserved)
        } else if args.dry_run {
            would_become(client, &account, &bucket).await
        } else {
            claim(client, &account, &args.upstream_region, &bucket).await
        };
        match became {
            Ok(outcome) => imported.push(Imported { bucket, outcome }),
            Err(status) => {
                let Failure { exit, message } = status.into();
                failure = Some(Failure { exit, message: format!("{bucket}: {message}") });
                break;
            }
        }
    }
    // What was done is told, whatever came after.
    client.output.show_value(&imported, || {
        let row = |one: &Imported| [one.bucket.clone(), one.outcome.in_words().to_owned()];
        table_text(&Table::new(["BUCKET", "OUTCOME"], imported.iter().map(row).collect()))
    })?;
    let elsewhere = imported.iter().filter(|one| one.outcome == Became::ExistsElsewhere).count();
    match failure {
        Some(failure) => Err(failure),
        None if elsewhere > 0 => {
            let message = format!("{elsewhere} of the buckets are another account's");
            Err(Failure { exit: Exit::Conflict, message })
        }
        None => Ok(()),
    }
}

/// The buckets that the store has.
async fn names(args: &ImportArgs) -> Outcome<Vec<String>> {
    let wrong = |error: anyhow::Error| Failure::usage(format!("{error:#}"));
    let file = args.upstream_secret_access_key_file.as_deref();
    let found = secret::find(SECRET_VARIABLE, file, None).map_err(wrong)?;
    let secret_access_key = found.ok_or_else(|| {
        let flag = "--upstream-secret-access-key-file";
        Failure::usage(format!("no secret: set {SECRET_VARIABLE}, or give {flag}"))
    })?;
    let endpoint = args.upstream.parse();
    let endpoint = endpoint.map_err(|_| Failure::usage("--upstream: is no URI"))?;
    let tls = args.upstream_ca_file.clone().map(|file| rpc::HttpsClient::load(Some(file)));
    let upstream = gateway::Upstream {
        endpoint,
        tls: tls.transpose().map_err(|error| wrong(error.context("--upstream-ca-file")))?,
        access: gateway::Access::Key(gateway::UpstreamKey {
            region: args.upstream_region.clone(),
            access_key_id: args.upstream_access_key_id.clone(),
            secret_access_key,
        }),
        health_path: None,
        sends_trailers: true,
    };
    Ok(gateway::bucket_names(&upstream, &args.prefix).await?)
}

async fn claim(
    client: &Client,
    account: &str,
    region: &str,
    bucket: &str,
) -> Result<Became, Status> {
    let bucket =
        Bucket { bucket_name: bucket.to_owned(), region: region.to_owned(), ..Default::default() };
    let request = ClaimBucketRequest {
        parent: account.to_owned(),
        bucket: Some(bucket),
        request_id: String::new(),
    };
    match client.buckets().claim_bucket(call(request)).await {
        Ok(_) => Ok(Became::Claimed),
        Err(status) => match api::reason(&status) {
            Some(Reason::BucketAlreadyOwned) => Ok(Became::Already),
            Some(Reason::BucketAlreadyExists) => Ok(Became::ExistsElsewhere),
            // Not the region, which would be wrong for all of them.
            Some(Reason::InvalidField) if status.message().contains("bucket_name") => {
                Ok(Became::Invalid)
            }
            _ => Err(status),
        },
    }
}

async fn would_become(client: &Client, account: &str, bucket: &str) -> Result<Became, Status> {
    let request = GetBucketRequest { name: format!("buckets/{bucket}"), ..Default::default() };
    match client.buckets().get_bucket(call(request)).await {
        Ok(answer) => {
            let owner = answer.into_inner().bucket.unwrap_or_default().account;
            Ok(if owner == account { Became::Already } else { Became::ExistsElsewhere })
        }
        Err(status) => match api::reason(&status) {
            Some(Reason::NoSuchBucket) => Ok(Became::Claimed),
            Some(Reason::CallerNotAllowed) => Ok(Became::ExistsElsewhere),
            Some(Reason::InvalidField) => Ok(Became::Invalid),
            _ => Err(status),
        },
    }
}
