//! `claviger bucket`.

mod import;

use api::identity::v1::{
    Bucket, ClaimBucketRequest, GetBucketRequest, ListBucketsRequest, ListBucketsResponse,
    ReleaseBucketRequest, TransferBucketRequest,
};

use super::{Client, PAGE_SIZE, account_name, all, call, instant, last_part, with_client};
use crate::cli::{BucketArgs, BucketCommand};
use crate::exit::{Failure, Outcome};
use crate::output::Table;

/// Does what was asked for.
pub(crate) async fn run(args: BucketArgs) -> Outcome {
    with_client(args.connection, async |client: &Client| act(client, args.command).await).await
}

async fn act(client: &Client, command: BucketCommand) -> Outcome {
    let output = client.output;
    let mut buckets = client.buckets();
    match command {
        BucketCommand::List { prefix, region, all } => list(client, prefix, region, all).await,
        BucketCommand::Get { name } => {
            let request = GetBucketRequest { name: named(&name)?, ..Default::default() };
            let answer = buckets.get_bucket(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.GetBucketResponse", &answer, || {
                details(&answer.bucket.clone().unwrap_or_default())
            })
        }
        BucketCommand::Claim { name, region, retry } => {
            let bucket = Bucket { bucket_name: name, region, ..Default::default() };
            let request = ClaimBucketRequest {
                parent: client.account().await?,
                bucket: Some(bucket),
                request_id: retry.request_id(),
            };
            let answer = buckets.claim_bucket(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.ClaimBucketResponse", &answer, || {
                details(&answer.bucket.clone().unwrap_or_default())
            })
        }
        BucketCommand::Release { name, retry } => {
            let request = ReleaseBucketRequest {
                name: named(&name)?,
                account: client.account.as_deref().map(account_name).unwrap_or_default(),
                request_id: retry.request_id(),
            };
            let answer = buckets.release_bucket(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.ReleaseBucketResponse", &answer, || {
                Table::of_pairs(&[("released", &name)])
            })
        }
        BucketCommand::Transfer { name, from, to, retry } => {
            let request = TransferBucketRequest {
                name: named(&name)?,
                source_account: account_name(&from),
                account: account_name(&to),
                request_id: retry.request_id(),
            };
            let answer = buckets.transfer_bucket(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.TransferBucketResponse", &answer, || {
                details(&answer.bucket.clone().unwrap_or_default())
            })
        }
        BucketCommand::Import(args) => import::run(client, args).await,
    }
}

async fn list(client: &Client, prefix: String, region: String, of_all: bool) -> Outcome {
    let parent = if of_all { "accounts/-".to_owned() } else { client.account().await? };
    let buckets = all(async |page_token| {
        let request = ListBucketsRequest {
            parent: parent.clone(),
            prefix: prefix.clone(),
            region: region.clone(),
            page_size: PAGE_SIZE,
            page_token,
            ..Default::default()
        };
        let page = client.buckets().list_buckets(call(request)).await?.into_inner();
        Ok((page.buckets, page.next_page_token))
    });
    let answer = ListBucketsResponse { buckets: buckets.await?, ..Default::default() };
    client
        .output
        .show("claviger.identity.v1.ListBucketsResponse", &answer, || table(&answer.buckets))
}

/// The resource name of a bucket.
fn named(name: &str) -> Outcome<String> {
    if name.contains('/') {
        return Err(Failure::usage("a bucket is named by its name, without a `/`"));
    }
    Ok(format!("buckets/{name}"))
}

fn table(buckets: &[Bucket]) -> Table<4> {
    let row = |bucket: &Bucket| {
        [
            bucket.bucket_name.clone(),
            last_part(&bucket.account).to_owned(),
            bucket.region.clone(),
            instant(bucket.create_time.as_ref()),
        ]
    };
    Table::new(["NAME", "ACCOUNT", "REGION", "CLAIMED"], buckets.iter().map(row).collect())
}

fn details(bucket: &Bucket) -> Table<2> {
    Table::of_pairs(&[
        ("name", &bucket.bucket_name),
        ("account", last_part(&bucket.account)),
        ("region", &bucket.region),
        ("claimed", &instant(bucket.create_time.as_ref())),
    ])
}
