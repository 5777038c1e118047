//! Listings of uploads and their parts.

use super::list::{Spelling, entries_max, given};
use super::{DemoStore, OWNER_ID, OWNER_NAME, count, etag, length, multipart, owner};
use crate::catalog::Upload;
use crate::checksum::set_checksums;
use crate::listing::Query;
use crate::record::{PartRecord, UploadRecord};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

/// Lists the parts of an upload by number.
pub(crate) async fn parts(
    store: &DemoStore,
    request: S3Request<ListPartsInput>,
) -> S3Result<S3Response<ListPartsOutput>> {
    let input = request.input;
    let max = entries_max("max-parts", input.max_parts)?;
    let upload = store.catalog.upload(&input.bucket, &input.key, &input.upload_id)?;
    let marker = input.part_number_marker.unwrap_or(0);
    let mut after: Vec<_> = upload.parts().into_values().collect();
    after.retain(|part| i32::from(part.record.number) > marker);
    let truncated = max > 0 && after.len() > max;
    after.truncate(max);
    let last = after.last().map(|part| i32::from(part.record.number));
    let UploadRecord { algorithm, properties, .. } = &upload.record;
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        checksum_algorithm: algorithm.map(|name| name.name().to_owned().into()),
        checksum_type: multipart::kind(&upload.record),
        initiator: Some(initiator()),
        is_truncated: Some(truncated),
        key: Some(input.key),
        max_parts: Some(count(max)),
        next_part_number_marker: last.filter(|_| truncated),
        owner: Some(owner()),
        part_number_marker: Some(marker),
        parts: Some(after.iter().map(|part| line(&part.record)).collect()),
        storage_class: properties.storage_class.clone().map(Into::into),
        upload_id: Some(input.upload_id),
        ..ListPartsOutput::default()
    }))
}

fn line(record: &PartRecord) -> Part {
    let mut part = Part {
        e_tag: Some(etag(&record.etag)),
        last_modified: Some(record.last_modified.clone()),
        part_number: Some(i32::from(record.number)),
        size: Some(length(record.segment.size)),
        ..Part::default()
    };
    set_checksums!(part, &record.checksums);
    part
}

/// Lists the uploads under way in a bucket by key, then by age.
pub(crate) async fn uploads(
    store: &DemoStore,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let input = request.input;
    let spelling = Spelling::new(input.encoding_type.as_ref())?;
    let max = entries_max("max-uploads", input.max_uploads)?;
    let key_marker = given(input.key_marker.as_deref());
    // Without a key marker S3 takes no notice of the other.
    let id_marker = key_marker.and(given(input.upload_id_marker.as_deref()));
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: given(input.delimiter.as_deref()),
        // With both markers some uploads of the marked key are still to come.
        after: key_marker.filter(|_| id_marker.is_none()),
        entries_max: max,
    };
    let both = key_marker.zip(id_marker);
    let output = store.catalog.with_bucket(&input.bucket, |bucket| {
        let uploads = bucket.uploads.iter().filter(|((key, id), _)| {
            both.is_none_or(|marked| (key.as_str(), id.as_str()) > marked)
        });
        let page = query.page(uploads.map(|((key, _), upload)| (key.as_str(), &**upload)));
        let truncated = page.truncated;
        let next_key = page.last().filter(|_| truncated).map(|key| spelling.of(key));
        let (uploads, prefixes) =
            spelling.split(page, |upload: &Upload| upload_line(&upload.record, spelling));
        let last = uploads.last();
        let next_id = last.filter(|last| truncated && last.key == next_key);
        ListMultipartUploadsOutput {
            next_upload_id_marker: next_id.and_then(|last| last.upload_id.clone()),
            next_key_marker: next_key,
            is_truncated: Some(truncated),
            common_prefixes: Some(prefixes),
            uploads: Some(uploads),
            ..ListMultipartUploadsOutput::default()
        }
    })?;
    Ok(S3Response::new(ListMultipartUploadsOutput {
        delimiter: query.delimiter.map(|delimiter| spelling.of(delimiter)),
        prefix: Some(spelling.of(query.prefix)),
        key_marker: Some(spelling.of(key_marker.unwrap_or_default())),
        upload_id_marker: id_marker.map(str::to_owned),
        max_uploads: Some(count(max)),
        bucket: Some(input.bucket.clone()),
        encoding_type: input.encoding_type,
        ..output
    }))
}

fn upload_line(record: &UploadRecord, spelling: Spelling) -> MultipartUpload {
    MultipartUpload {
        checksum_algorithm: record.algorithm.map(|name| name.name().to_owned().into()),
        checksum_type: multipart::kind(record),
        initiated: Some(record.initiated.clone()),
        initiator: Some(initiator()),
        key: Some(spelling.of(&record.key)),
        owner: Some(owner()),
        storage_class: record.properties.storage_class.clone().map(Into::into),
        upload_id: Some(record.id.clone()),
    }
}

fn initiator() -> Initiator {
    Initiator { display_name: Some(OWNER_NAME.to_owned()), id: Some(OWNER_ID.to_owned()) }
}
