//! Operations on buckets.

use super::{DemoStore, owner};
use crate::listing::{Entry, Query};
use crate::record::{BucketRecord, now};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

/// The region whose buckets have no location constraint.
const NAMELESS_REGION: &str = "us-east-1";

const BUCKETS_MAX: usize = 10_000;

/// Makes a bucket where its creator wants it.
pub(crate) async fn create(
    store: &DemoStore,
    request: S3Request<CreateBucketInput>,
) -> S3Result<S3Response<CreateBucketOutput>> {
    let CreateBucketInput { bucket: name, create_bucket_configuration, .. } = request.input;
    if reserved(&name) {
        return Err(s3_error!(InvalidBucketName, "The specified bucket is not valid."));
    }
    let location = create_bucket_configuration
        .and_then(|configuration| configuration.location_constraint)
        .map(|location| location.as_str().to_owned());
    let output = CreateBucketOutput { location: Some(format!("/{name}")) };
    store
        .change(|catalog| catalog.create_bucket(BucketRecord { name, created: now(), location }))
        .await?;
    Ok(S3Response::new(output))
}

/// Names that S3 keeps to itself, beyond what s3s refuses of every request (S3 user guide,
/// "General purpose bucket naming rules").
fn reserved(name: &str) -> bool {
    let starts = ["xn--", "sthree-", "amzn-s3-demo-"];
    let ends = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];
    starts.iter().any(|start| name.starts_with(start)) || ends.iter().any(|end| name.ends_with(end))
}

/// Says that a bucket is there, and where.
pub(crate) async fn head(
    store: &DemoStore,
    request: S3Request<HeadBucketInput>,
) -> S3Result<S3Response<HeadBucketOutput>> {
    let region =
        store.catalog.with_bucket(&request.input.bucket, |b| region_of(store, &b.record))?;
    Ok(S3Response::new(HeadBucketOutput {
        bucket_region: Some(region),
        ..HeadBucketOutput::default()
    }))
}

/// Removes an empty bucket.
pub(crate) async fn delete(
    store: &DemoStore,
    request: S3Request<DeleteBucketInput>,
) -> S3Result<S3Response<DeleteBucketOutput>> {
    store.change(move |catalog| catalog.delete_bucket(&request.input.bucket)).await?;
    Ok(S3Response::new(DeleteBucketOutput::default()))
}

/// Lists buckets by name, all of them unless the client wants pages.
pub(crate) async fn list(
    store: &DemoStore,
    request: S3Request<ListBucketsInput>,
) -> S3Result<S3Response<ListBucketsOutput>> {
    let input = request.input;
    let entries_max = match input.max_buckets.map(usize::try_from) {
        None => usize::MAX,
        Some(Ok(max @ 1..=BUCKETS_MAX)) => max,
        Some(_) => {
            return Err(s3_error!(
                InvalidArgument,
                "Argument max-buckets must be an integer between 1 and 10000"
            ));
        }
    };
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: None,
        // Bucket names are no secret: a token is just the last name of the page before.
        after: input.continuation_token.as_deref(),
        entries_max,
    };
    let (buckets, next) = store.catalog.with_buckets(|buckets| {
        let page = query.page(buckets.iter().map(|(name, bucket)| (name.as_str(), bucket)));
        let next = page.last().filter(|_| page.truncated).map(str::to_owned);
        let buckets = page.entries.into_iter().filter_map(|entry| match entry {
            Entry::Item(name, bucket) => Some(Bucket {
                bucket_region: input.max_buckets.map(|_| region_of(store, &bucket.record)),
                creation_date: Some(bucket.record.created.clone()),
                name: Some(name.to_owned()),
            }),
            Entry::CommonPrefix(_) => None,
        });
        (buckets.collect::<Vec<_>>(), next)
    });
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(buckets),
        continuation_token: next,
        owner: Some(owner()),
        prefix: input.prefix,
    }))
}

fn region_of(store: &DemoStore, record: &BucketRecord) -> String {
    record.location.clone().unwrap_or_else(|| store.region.to_string())
}

/// Says where a bucket is.
pub(crate) async fn location(
    store: &DemoStore,
    request: S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    let region =
        store.catalog.with_bucket(&request.input.bucket, |b| region_of(store, &b.record))?;
    let location_constraint = (region != NAMELESS_REGION).then(|| region.into());
    Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
}

/// Says that a bucket has no versions.
pub(crate) async fn versioning(
    store: &DemoStore,
    request: S3Request<GetBucketVersioningInput>,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    store.catalog.with_bucket(&request.input.bucket, |_| ())?;
    Ok(S3Response::new(GetBucketVersioningOutput::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3s_own_names_are_reserved() {
        for name in ["sthree-x", "x-s3alias", "x--ol-s3", "xn--x", "amzn-s3-demo-bucket"] {
            assert!(reserved(name), "{name}");
        }
        assert!(!reserved("photos"));
    }
}
