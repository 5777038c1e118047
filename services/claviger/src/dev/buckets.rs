//! The buckets that the object store had before each belonged to an account.

use anyhow::anyhow;
use api::error::v1::Reason;
use api::identity::v1::bucket_service_client::BucketServiceClient;
use api::identity::v1::{Bucket, ClaimBucketRequest};
use rpc::Channel;

use super::REGION;
use super::state::Account;

/// Claims for the account what the store has and nobody claimed: by an earlier version each was everybody's.
///
/// # Errors
/// If the store does not list its buckets, or identity refuses.
pub(super) async fn adopt(
    channel: Channel,
    account: &Account,
    upstream: &gateway::Upstream,
) -> anyhow::Result<()> {
    let mut client = BucketServiceClient::new(channel);
    for name in gateway::bucket_names(upstream, "").await? {
        let (bucket_name, region) = (name.clone(), REGION.to_owned());
        let request = ClaimBucketRequest {
            parent: format!("accounts/{}", account.id),
            bucket: Some(Bucket { bucket_name, region, ..Bucket::default() }),
            ..ClaimBucketRequest::default()
        };
        match client.claim_bucket(request).await {
            Ok(_) => tracing::info!(bucket = name, "a bucket of the object store is adopted"),
            Err(status) => match api::reason(&status) {
                Some(Reason::BucketAlreadyOwned | Reason::BucketAlreadyExists) => {}
                _ => return Err(anyhow!("cannot claim bucket {name}: {}", status.message())),
            },
        }
    }
    Ok(())
}
