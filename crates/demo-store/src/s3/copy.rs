//! Operations that take their bytes from another object.

use super::object::KEY_BYTES_MAX;
use super::{
    DemoStore, checksum_type, etag, multipart, object_of, refuse_customer_key, refuse_version,
};
use crate::body;
use crate::catalog::Object;
use crate::checksum::{Algorithm, set_checksums};
use crate::condition::{self, Outcome, ReadCondition, WriteCondition};
use crate::record::{Properties, take_properties};
use crate::tagging;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use std::sync::Arc;

/// One copy may be this long, as in S3; what is longer is copied part by part.
const COPY_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// Copies an object.
pub(crate) async fn object(
    store: &DemoStore,
    request: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let mut input = request.input;
    refuse_customer_key(input.sse_customer_algorithm.as_deref())?;
    if input.key.len() > KEY_BYTES_MAX {
        return Err(s3_error!(KeyTooLongError, "Your key is too long"));
    }
    let condition = ReadCondition {
        if_match: input.copy_source_if_match.as_ref(),
        if_none_match: input.copy_source_if_none_match.as_ref(),
        if_modified_since: input.copy_source_if_modified_since.as_ref(),
        if_unmodified_since: input.copy_source_if_unmodified_since.as_ref(),
    };
    let source = source(store, &input.copy_source, &condition)?;
    check_size(source.record.size)?;
    store.catalog.with_bucket(&input.bucket, |_| ())?;
    let replace = |directive: Option<&str>| directive == Some("REPLACE");
    let replaces_properties =
        replace(input.metadata_directive.as_ref().map(MetadataDirective::as_str));
    let onto_itself = source.record.key == input.key && source_bucket(&input)? == input.bucket;
    if onto_itself && !replaces_properties && input.storage_class.is_none() {
        return Err(s3_error!(
            InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes."
        ));
    }
    let own = take_properties!(input)?;
    let properties = if replaces_properties {
        own
    } else {
        Properties { storage_class: own.storage_class, ..source.record.properties.clone() }
    };
    let tags = if replace(input.tagging_directive.as_ref().map(TaggingDirective::as_str)) {
        tagging::parse_header(input.tagging.as_deref().unwrap_or_default())?
    } else {
        source.record.tags.clone()
    };
    let wanted: Vec<Algorithm> = match input.checksum_algorithm {
        Some(name) => vec![Algorithm::parse(name.as_str())?],
        None => source.record.checksums.values.keys().copied().collect(),
    };
    let received = body::copy(&store.catalog, &source, 0..source.record.size, wanted).await?;
    let (bucket, copy) = (input.bucket, object_of(input.key, received, properties, tags));
    let copy = store.change(move |c| c.put_object(&bucket, copy, &WriteCondition::Always)).await?;
    let mut result = CopyObjectResult {
        e_tag: Some(etag(&copy.record.etag)),
        last_modified: Some(copy.record.last_modified.clone()),
        checksum_type: checksum_type(&copy.record.checksums),
        ..CopyObjectResult::default()
    };
    set_checksums!(result, &copy.record.checksums);
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(result),
        ..CopyObjectOutput::default()
    }))
}

/// Makes a part of an upload out of an object or a range of one.
pub(crate) async fn part(
    store: &DemoStore,
    request: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let input = request.input;
    let number = multipart::part_number(input.part_number)?;
    let upload = store.catalog.upload(&input.bucket, &input.key, &input.upload_id)?;
    let condition = ReadCondition {
        if_match: input.copy_source_if_match.as_ref(),
        if_none_match: input.copy_source_if_none_match.as_ref(),
        if_modified_since: input.copy_source_if_modified_since.as_ref(),
        if_unmodified_since: input.copy_source_if_unmodified_since.as_ref(),
    };
    let source = source(store, &input.copy_source, &condition)?;
    let size = source.record.size;
    let range = match input.copy_source_range {
        None => 0..size,
        Some(range) => match Range::parse(&range) {
            // Unlike elsewhere, the range must be spelt out and lie within the source.
            Ok(Range::Int { first, last: Some(last) }) if last < size => first..last + 1,
            Ok(Range::Int { .. } | Range::Suffix { .. }) | Err(_) => {
                return Err(s3_error!(
                    InvalidArgument,
                    "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy"
                ));
            }
        },
    };
    check_size(range.end - range.start)?;
    let received = body::copy(&store.catalog, &source, range, upload.record.algorithm).await?;
    let (bucket, key, id) = (input.bucket, input.key, input.upload_id);
    let part = multipart::add_part(store, bucket, key, id, number, received).await?;
    let mut result = CopyPartResult {
        e_tag: Some(etag(&part.etag)),
        last_modified: Some(part.last_modified),
        ..CopyPartResult::default()
    };
    set_checksums!(result, &part.checksums);
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(result),
        ..UploadPartCopyOutput::default()
    }))
}

/// The object that a copy is to be made of, if it is as the client wants it.
fn source(
    store: &DemoStore,
    source: &CopySource,
    condition: &ReadCondition<'_>,
) -> S3Result<Arc<Object>> {
    let (bucket, key, version_id) = named(source)?;
    refuse_version(version_id)?;
    let object = store.catalog.object(bucket, key)?;
    if condition.outcome(&object.record) != Outcome::Holds {
        return Err(condition::failed());
    }
    Ok(object)
}

fn check_size(bytes: u64) -> S3Result<()> {
    if bytes > COPY_BYTES_MAX {
        return Err(s3_error!(
            InvalidRequest,
            "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120"
        ));
    }
    Ok(())
}

fn source_bucket(input: &CopyObjectInput) -> S3Result<&str> {
    named(&input.copy_source).map(|(bucket, _, _)| bucket)
}

/// Bucket, key and version ID of a copy source.
fn named(source: &CopySource) -> S3Result<(&str, &str, Option<&str>)> {
    match source {
        CopySource::Bucket { bucket, key, version_id } => Ok((bucket, key, version_id.as_deref())),
        CopySource::AccessPoint { .. } | CopySource::Outpost { .. } => {
            Err(s3_error!(NotImplemented, "there are no access points"))
        }
    }
}
