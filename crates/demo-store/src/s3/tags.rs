//! Operations on an object's tags.

use super::{DemoStore, refuse_version};
use crate::tagging::{self, Tags};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

/// Puts tags in place of those the object has.
pub(crate) async fn put(
    store: &DemoStore,
    request: S3Request<PutObjectTaggingInput>,
) -> S3Result<S3Response<PutObjectTaggingOutput>> {
    let PutObjectTaggingInput { bucket, key, tagging, version_id, .. } = request.input;
    refuse_version(version_id.as_deref())?;
    let tags = tagging::parse_set(tagging.tag_set)?;
    store.change(move |catalog| catalog.set_tags(&bucket, &key, tags)).await?;
    Ok(S3Response::new(PutObjectTaggingOutput::default()))
}

/// Lists an object's tags.
pub(crate) async fn get(
    store: &DemoStore,
    request: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let GetObjectTaggingInput { bucket, key, version_id, .. } = request.input;
    refuse_version(version_id.as_deref())?;
    let object = store.catalog.object(&bucket, &key)?;
    let tag = |(key, value): (&String, &String)| Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    let tag_set = object.record.tags.iter().map(tag).collect();
    Ok(S3Response::new(GetObjectTaggingOutput { tag_set, version_id: None }))
}

/// Removes an object's tags.
pub(crate) async fn delete(
    store: &DemoStore,
    request: S3Request<DeleteObjectTaggingInput>,
) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
    let DeleteObjectTaggingInput { bucket, key, version_id, .. } = request.input;
    refuse_version(version_id.as_deref())?;
    store.change(move |catalog| catalog.set_tags(&bucket, &key, Tags::new())).await?;
    Ok(S3Response::new(DeleteObjectTaggingOutput::default()))
}
