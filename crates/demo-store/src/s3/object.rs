//! Operations on single objects, and the removal of many.

use super::{
    DemoStore, checksum_type, count, etag, length, object_of, refuse_customer_key, refuse_version,
};
use crate::body::{self, Claims};
use crate::checksum::{set_checksums, take_checksums};
use crate::condition::{self, Outcome, ReadCondition, WriteCondition};
use crate::record::{ObjectRecord, set_properties, take_properties};
use crate::tagging;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue};
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use std::ops;

/// A key may be this long.
pub(crate) const KEY_BYTES_MAX: usize = 1024;

const DELETE_KEYS_MAX: usize = 1000;

/// HEAD answers this too, but s3s has no field for it there.
const TAGGING_COUNT: HeaderName = HeaderName::from_static("x-amz-tagging-count");

/// Stores an object.
pub(crate) async fn put(
    store: &DemoStore,
    request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let S3Request { mut input, headers, trailing_headers, .. } = request;
    refuse_customer_key(input.sse_customer_algorithm.as_deref())?;
    // s3s checks the key in a path, not the one in a form.
    if input.key.len() > KEY_BYTES_MAX {
        return Err(s3_error!(KeyTooLongError, "Your key is too long"));
    }
    let condition = WriteCondition::new(input.if_match.take(), input.if_none_match.take())?;
    // Checked again when the body is here; now, to spare the client sending one in vain.
    let existing = store.catalog.find(&input.bucket, &input.key)?;
    condition.check(existing.as_ref().map(|object| &object.record))?;
    let properties = take_properties!(input)?;
    let tags = tagging::parse_header(input.tagging.as_deref().unwrap_or_default())?;
    let claims = Claims::new(
        &headers,
        input.content_length,
        input.content_md5.as_deref(),
        take_checksums!(input),
        input.checksum_algorithm.as_ref(),
    )?;
    let body = input.body.take().unwrap_or_else(|| s3s::Body::empty().into());
    let received = body::receive(&store.catalog, body, &claims, trailing_headers).await?;
    let object = object_of(input.key, received, properties, tags);
    let bucket = input.bucket;
    let object = store.change(move |c| c.put_object(&bucket, object, &condition)).await?;
    let mut output = PutObjectOutput {
        e_tag: Some(etag(&object.record.etag)),
        checksum_type: checksum_type(&object.record.checksums),
        ..PutObjectOutput::default()
    };
    set_checksums!(output, &object.record.checksums);
    Ok(S3Response::new(output))
}

/// Sets what get and head say alike of the selected bytes of an object.
macro_rules! describe {
    ($output:ident, $record:expr, $selection:expr, $mode:expr) => {
        let (record, selection): (&ObjectRecord, &Selection) = ($record, $selection);
        set_properties!($output, &record.properties);
        $output.accept_ranges = Some("bytes".to_owned());
        $output.content_length = Some(length(selection.range.end - selection.range.start));
        $output.content_range = selection.content_range.clone();
        $output.e_tag = Some(etag(&record.etag));
        $output.last_modified = Some(record.last_modified.clone());
        $output.parts_count = selection.parts.map(count);
        let wanted = $mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
        // The checksums are of the whole object: of no use with a part of it.
        if wanted && selection.content_range.is_none() {
            $output.checksum_type = checksum_type(&record.checksums);
            set_checksums!($output, &record.checksums);
        }
    };
}

/// Answers an object, or a range or part of it.
pub(crate) async fn get(
    store: &DemoStore,
    request: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    let input = request.input;
    refuse_version(input.version_id.as_deref())?;
    let object = store.catalog.object(&input.bucket, &input.key)?;
    let condition = ReadCondition {
        if_match: input.if_match.as_ref(),
        if_none_match: input.if_none_match.as_ref(),
        if_modified_since: input.if_modified_since.as_ref(),
        if_unmodified_since: input.if_unmodified_since.as_ref(),
    };
    check_read(&condition, &object.record)?;
    let selection = select(&object.record, input.range, input.part_number)?;
    let tags = object.record.tags.len();
    let mut output = GetObjectOutput {
        body: Some(body::stream(&object, selection.range.clone())),
        tag_count: (tags > 0).then(|| count(tags)),
        ..GetObjectOutput::default()
    };
    describe!(output, &object.record, &selection, input.checksum_mode);
    Ok(S3Response::new(output))
}

/// Answers what [`get`] would, but for the bytes.
pub(crate) async fn head(
    store: &DemoStore,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let input = request.input;
    refuse_version(input.version_id.as_deref())?;
    let object = store.catalog.object(&input.bucket, &input.key)?;
    let condition = ReadCondition {
        if_match: input.if_match.as_ref(),
        if_none_match: input.if_none_match.as_ref(),
        if_modified_since: input.if_modified_since.as_ref(),
        if_unmodified_since: input.if_unmodified_since.as_ref(),
    };
    check_read(&condition, &object.record)?;
    let selection = select(&object.record, input.range, input.part_number)?;
    let mut output = HeadObjectOutput::default();
    describe!(output, &object.record, &selection, input.checksum_mode);
    // s3s does this for a get, but not for a head.
    output.content_type = input.response_content_type.or(output.content_type);
    output.cache_control = input.response_cache_control.or(output.cache_control);
    output.content_disposition = input.response_content_disposition.or(output.content_disposition);
    output.content_encoding = input.response_content_encoding.or(output.content_encoding);
    output.content_language = input.response_content_language.or(output.content_language);
    output.expires = input.response_expires.or(output.expires);
    let mut response = S3Response::new(output);
    let tags = object.record.tags.len();
    if tags > 0 {
        response.headers.insert(TAGGING_COUNT, HeaderValue::from(tags));
    }
    Ok(response)
}

/// Removes an object, or nothing if there is none.
pub(crate) async fn delete(
    store: &DemoStore,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let DeleteObjectInput { bucket, key, version_id, if_match, .. } = request.input;
    refuse_version(version_id.as_deref())?;
    let condition = WriteCondition::new(if_match, None)?;
    store.change(move |catalog| catalog.delete_object(&bucket, &key, &condition)).await?;
    Ok(S3Response::new(DeleteObjectOutput::default()))
}

/// Removes up to a thousand objects and says of each how it went.
pub(crate) async fn delete_many(
    store: &DemoStore,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let DeleteObjectsInput { bucket, delete: Delete { objects, quiet }, .. } = request.input;
    if objects.is_empty() || objects.len() > DELETE_KEYS_MAX {
        return Err(s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        ));
    }
    store.catalog.with_bucket(&bucket, |_| ())?;
    let outcomes = store.change(move |catalog| {
        let delete = |object: ObjectIdentifier| {
            let outcome = refuse_version(object.version_id.as_deref()).and_then(|()| {
                let condition = WriteCondition::new(object.e_tag.map(ETagCondition::ETag), None)?;
                catalog.delete_object(&bucket, &object.key, &condition)
            });
            (object.key, outcome)
        };
        Ok(objects.into_iter().map(delete).collect::<Vec<_>>())
    });
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for (key, outcome) in outcomes.await? {
        match outcome {
            Ok(()) => deleted.push(DeletedObject { key: Some(key), ..DeletedObject::default() }),
            Err(error) => errors.push(Error {
                code: Some(error.code().as_str().to_owned()),
                key: Some(key),
                message: error.message().map(str::to_owned),
                version_id: None,
            }),
        }
    }
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted: Some(deleted).filter(|_| !quiet.unwrap_or(false)),
        errors: Some(errors),
        request_charged: None,
    }))
}

fn check_read(condition: &ReadCondition<'_>, object: &ObjectRecord) -> S3Result<()> {
    match condition.outcome(object) {
        Outcome::Holds => Ok(()),
        Outcome::Failed => Err(condition::failed()),
        Outcome::NotModified => {
            let mut error = S3Error::new(S3ErrorCode::NotModified);
            let mut headers = HeaderMap::new();
            headers
                .extend(HeaderValue::try_from(format!("\"{}\"", object.etag)).map(|v| (ETAG, v)));
            let mut date = Vec::new();
            if object.last_modified.format(TimestampFormat::HttpDate, &mut date).is_ok() {
                headers.extend(HeaderValue::try_from(date).map(|value| (LAST_MODIFIED, value)));
            }
            error.set_headers(headers);
            Err(error)
        }
    }
}

/// Which bytes of an object a client wants.
#[derive(Debug)]
struct Selection {
    range: ops::Range<u64>,
    /// The `Content-Range` header, unless the object was asked for as a whole.
    content_range: Option<String>,
    /// How many parts there are, if one was asked for.
    parts: Option<usize>,
}

fn select(
    object: &ObjectRecord,
    range: Option<Range>,
    part_number: Option<i32>,
) -> S3Result<Selection> {
    let size = object.size;
    let (range, parts) = match (range, part_number) {
        (None, None) => {
            return Ok(Selection { range: 0..size, content_range: None, parts: None });
        }
        (Some(_), Some(_)) => {
            return Err(s3_error!(
                InvalidRequest,
                "Cannot specify both Range header and partNumber query parameter"
            ));
        }
        (Some(range), None) => {
            let satisfied = range.check(size).ok().filter(|range| !range.is_empty());
            (satisfied.ok_or_else(|| unsatisfiable(size))?, None)
        }
        (None, Some(number)) => {
            let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
            let part = index.and_then(|index| object.segments.get(index).map(|part| (index, part)));
            let (index, part) = part.ok_or_else(|| unsatisfiable(size))?;
            let start = object.segments[..index].iter().map(|part| part.size).sum();
            (start..start + part.size, object.multipart.then_some(object.segments.len()))
        }
    };
    let last = range.end.saturating_sub(1);
    let content_range = (size > 0).then(|| format!("bytes {}-{last}/{size}", range.start));
    Ok(Selection { range, content_range, parts })
}

fn unsatisfiable(size: u64) -> S3Error {
    let mut error = s3_error!(InvalidRange, "The requested range is not satisfiable");
    // An error that brings headers of its own has to bring this too.
    let xml = (CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    let mut headers: HeaderMap = [xml].into_iter().collect();
    let value = HeaderValue::try_from(format!("bytes */{size}"));
    headers.extend(value.map(|value| (CONTENT_RANGE, value)));
    error.set_headers(headers);
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Segment;

    fn check(sizes: &[u64], range: Option<&str>, part: Option<i32>, expected: Option<&str>) {
        let segment = |size: &u64| Segment { blob: uuid::Uuid::nil(), size: *size };
        let object = ObjectRecord {
            size: sizes.iter().sum(),
            segments: sizes.iter().map(segment).collect(),
            multipart: sizes.len() > 1,
            ..ObjectRecord::default()
        };
        let range = range.map(|range| Range::parse(range).expect("a range"));
        let selected = select(&object, range, part).ok();
        let content_range = selected.and_then(|selection| selection.content_range);
        assert_eq!(content_range.as_deref(), expected, "{range:?} {part:?} of {sizes:?}");
    }

    #[test]
    fn ranges_and_parts_become_content_ranges() {
        check(&[10], None, None, None);
        check(&[10], Some("bytes=0-4"), None, Some("bytes 0-4/10"));
        check(&[10], Some("bytes=5-"), None, Some("bytes 5-9/10"));
        check(&[10], Some("bytes=-3"), None, Some("bytes 7-9/10"));
        check(&[10], Some("bytes=-30"), None, Some("bytes 0-9/10"));
        check(&[10], Some("bytes=8-99"), None, Some("bytes 8-9/10"));
        check(&[10], Some("bytes=10-"), None, None);
        check(&[10], Some("bytes=-0"), None, None);
        check(&[0], Some("bytes=0-"), None, None);
        check(&[0], Some("bytes=-1"), None, None);
        check(&[6, 4], None, Some(1), Some("bytes 0-5/10"));
        check(&[6, 4], None, Some(2), Some("bytes 6-9/10"));
        check(&[6, 4], None, Some(3), None);
        check(&[6, 4], None, Some(0), None);
        check(&[10], Some("bytes=0-1"), Some(1), None);
    }
}
