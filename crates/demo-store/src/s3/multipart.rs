//! Multipart uploads: started, filled, completed, aborted.

use super::{DemoStore, checksum_type, etag, refuse_customer_key};
use crate::body::{self, Claims, Received};
use crate::catalog::{Object, Part, Upload};
use crate::checksum::{Algorithm, Checksums, set_checksums, take_checksums};
use crate::condition::WriteCondition;
use crate::record::{ObjectRecord, PartRecord, Segment, UploadRecord, now, take_properties};
use crate::tagging;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use std::sync::Arc;
use uuid::Uuid;

/// Every part but the last is at least this long.
const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;

const PART_NUMBER_MAX: u16 = 10_000;

/// Starts an upload.
pub(crate) async fn create(
    store: &DemoStore,
    request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let mut input = request.input;
    refuse_customer_key(input.sse_customer_algorithm.as_deref())?;
    let algorithm = input.checksum_algorithm.as_ref().map(ChecksumAlgorithm::as_str);
    let algorithm = algorithm.map(Algorithm::parse).transpose()?;
    let composite = composite(algorithm, input.checksum_type.as_ref())?;
    let record = UploadRecord {
        id: Uuid::now_v7().simple().to_string(),
        key: input.key.clone(),
        initiated: now(),
        properties: take_properties!(input)?,
        tags: tagging::parse_header(input.tagging.as_deref().unwrap_or_default())?,
        algorithm,
        composite,
    };
    let output = CreateMultipartUploadOutput {
        bucket: Some(input.bucket.clone()),
        checksum_type: kind(&record),
        checksum_algorithm: input.checksum_algorithm,
        key: Some(input.key),
        upload_id: Some(record.id.clone()),
        ..CreateMultipartUploadOutput::default()
    };
    let bucket = input.bucket;
    store.change(move |catalog| catalog.create_upload(&bucket, record)).await?;
    Ok(S3Response::new(output))
}

/// Whether the object's checksum will be one of its parts' checksums (S3 user guide, "Checking
/// object integrity", table of algorithms and types).
fn composite(algorithm: Option<Algorithm>, wanted: Option<&ChecksumType>) -> S3Result<bool> {
    let wanted = wanted.map(ChecksumType::as_str);
    let (composable, whole) = match algorithm {
        None => return Ok(false),
        Some(Algorithm::Crc32 | Algorithm::Crc32c) => (true, true),
        Some(Algorithm::Crc64Nvme) => (false, true),
        Some(Algorithm::Sha1 | Algorithm::Sha256) => (true, false),
    };
    match wanted {
        None => Ok(composable),
        Some(ChecksumType::COMPOSITE) if composable => Ok(true),
        Some(ChecksumType::FULL_OBJECT) if whole => Ok(false),
        Some(kind) => Err(s3_error!(
            InvalidRequest,
            "The {kind} checksum type cannot be used with the specified checksum algorithm."
        )),
    }
}

/// The kind of checksum that an upload's object will have.
pub(crate) fn kind(record: &UploadRecord) -> Option<ChecksumType> {
    let kind = if record.composite { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT };
    record.algorithm.map(|_| ChecksumType::from_static(kind))
}

/// Stores a part.
pub(crate) async fn upload_part(
    store: &DemoStore,
    request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let S3Request { mut input, headers, trailing_headers, .. } = request;
    refuse_customer_key(input.sse_customer_algorithm.as_deref())?;
    let number = part_number(input.part_number)?;
    let upload = store.catalog.upload(&input.bucket, &input.key, &input.upload_id)?;
    let claims = Claims::new(
        &headers,
        input.content_length,
        input.content_md5.as_deref(),
        take_checksums!(input),
        input.checksum_algorithm.as_ref(),
    )?;
    let claims = claims.wanting(upload.record.algorithm);
    let body = input.body.take().unwrap_or_else(|| s3s::Body::empty().into());
    let received = body::receive(&store.catalog, body, &claims, trailing_headers).await?;
    let (bucket, key, id) = (input.bucket, input.key, input.upload_id);
    let part = add_part(store, bucket, key, id, number, received).await?;
    let mut output = UploadPartOutput { e_tag: Some(etag(&part.etag)), ..Default::default() };
    set_checksums!(output, &part.checksums);
    Ok(S3Response::new(output))
}

/// Makes a part of received bytes.
pub(crate) async fn add_part(
    store: &DemoStore,
    bucket: String,
    key: String,
    id: String,
    number: u16,
    received: Received,
) -> S3Result<PartRecord> {
    let record = PartRecord {
        number,
        etag: hex::encode(received.md5),
        last_modified: now(),
        segment: Segment { blob: received.blob.id(), size: received.size },
        checksums: received.checksums,
    };
    let part = Part { record: record.clone(), blob: received.blob };
    store.change(move |catalog| catalog.put_part(&bucket, &key, &id, part)).await?;
    Ok(record)
}

/// Reads a part number.
///
/// # Errors
/// `InvalidArgument` unless it is 1 to 10,000.
pub(crate) fn part_number(number: i32) -> S3Result<u16> {
    match u16::try_from(number) {
        Ok(number @ 1..=PART_NUMBER_MAX) => Ok(number),
        Ok(_) | Err(_) => Err(s3_error!(
            InvalidArgument,
            "Part number must be an integer between 1 and 10000, inclusive"
        )),
    }
}

/// Makes an object of the parts that the client names.
pub(crate) async fn complete(
    store: &DemoStore,
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let mut input = request.input;
    let condition = WriteCondition::new(input.if_match.take(), input.if_none_match.take())?;
    let claimed = take_checksums!(input);
    let upload = store.catalog.upload(&input.bucket, &input.key, &input.upload_id)?;
    let named = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    let parts = pick(&upload, named)?;
    let mut object = assemble(&upload, &parts);
    if input.mpu_object_size.is_some_and(|size| u64::try_from(size) != Ok(object.record.size)) {
        return Err(s3_error!(
            InvalidRequest,
            "The provided 'x-amz-mp-object-size' header value does not match what was computed."
        ));
    }
    object.record.checksums = match upload.record.algorithm {
        None => Checksums::default(),
        Some(algorithm) if upload.record.composite => {
            Checksums::composite(algorithm, parts.iter().map(|part| &part.record.checksums))
        }
        Some(algorithm) => body::checksum(&object, algorithm).await?,
    };
    object.record.checksums.verify(&claimed)?;
    let (bucket, id) = (input.bucket.clone(), input.upload_id);
    let object = store
        .change(move |catalog| catalog.complete_upload(&bucket, &id, &parts, object, &condition))
        .await?;
    let mut output = CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, crate::percent::encode(&input.key))),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(etag(&object.record.etag)),
        checksum_type: checksum_type(&object.record.checksums),
        ..CompleteMultipartUploadOutput::default()
    };
    set_checksums!(output, &object.record.checksums);
    Ok(S3Response::new(output))
}

/// The parts that a client names, if it may make an object of them.
fn pick(upload: &Upload, named: Vec<CompletedPart>) -> S3Result<Vec<Arc<Part>>> {
    let malformed = || {
        s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        )
    };
    if named.is_empty() {
        return Err(malformed());
    }
    let there = upload.parts();
    let mut parts: Vec<Arc<Part>> = Vec::with_capacity(named.len());
    for mut named in named {
        let number = part_number(named.part_number.ok_or_else(malformed)?)?;
        if parts.last().is_some_and(|last| last.record.number >= number) {
            return Err(s3_error!(
                InvalidPartOrder,
                "The list of parts was not in ascending order. Parts must be ordered by part number."
            ));
        }
        let etag = named.e_tag.take().ok_or_else(malformed)?;
        let part = there.get(&number).filter(|part| part.record.etag == etag.value());
        let part = part
            .filter(|part| part.record.checksums.verify(&take_checksums!(named)).is_ok())
            .ok_or_else(|| s3_error!(InvalidPart, "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."))?;
        parts.push(Arc::clone(part));
    }
    let all_but_last = &parts[..parts.len() - 1];
    if all_but_last.iter().any(|part| part.record.segment.size < PART_BYTES_MIN) {
        return Err(s3_error!(
            EntityTooSmall,
            "Your proposed upload is smaller than the minimum allowed size"
        ));
    }
    Ok(parts)
}

/// The object that `parts` make, but for its checksums.
fn assemble(upload: &Upload, parts: &[Arc<Part>]) -> Object {
    let mut md5 = Md5::new();
    for part in parts {
        // Always hex: this store made it.
        md5.update(&hex::decode(&part.record.etag).unwrap_or_default());
    }
    let record = ObjectRecord {
        key: upload.record.key.clone(),
        etag: format!("{}-{}", hex::encode(md5.finalize()), parts.len()),
        size: parts.iter().map(|part| part.record.segment.size).sum(),
        last_modified: now(),
        segments: parts.iter().map(|part| part.record.segment.clone()).collect(),
        multipart: true,
        properties: upload.record.properties.clone(),
        tags: upload.record.tags.clone(),
        checksums: Checksums::default(),
    };
    Object { record, blobs: parts.iter().map(|part| Arc::clone(&part.blob)).collect() }
}

/// Ends an upload without an object.
pub(crate) async fn abort(
    store: &DemoStore,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let AbortMultipartUploadInput { bucket, key, upload_id, .. } = request.input;
    store.change(move |catalog| catalog.abort_upload(&bucket, &key, &upload_id)).await?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_types_follow_s3s_table() {
        let check = |algorithm, wanted: Option<&'static str>| {
            composite(algorithm, wanted.map(ChecksumType::from_static).as_ref()).ok()
        };
        assert_eq!(check(None, None), Some(false));
        assert_eq!(check(Some(Algorithm::Crc32), None), Some(true));
        assert_eq!(check(Some(Algorithm::Crc32c), Some("FULL_OBJECT")), Some(false));
        assert_eq!(check(Some(Algorithm::Crc64Nvme), None), Some(false));
        assert_eq!(check(Some(Algorithm::Crc64Nvme), Some("COMPOSITE")), None);
        assert_eq!(check(Some(Algorithm::Sha256), Some("FULL_OBJECT")), None);
        assert_eq!(check(Some(Algorithm::Sha1), Some("COMPOSITE")), Some(true));
    }

    #[test]
    fn part_numbers_go_from_one_to_ten_thousand() {
        assert!(part_number(1).is_ok() && part_number(10_000).is_ok());
        assert!([0, -1, 10_001, i32::MAX].into_iter().all(|number| part_number(number).is_err()));
    }
}
