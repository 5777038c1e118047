//! Listings of objects, in both versions of the operation.

use super::{DemoStore, count, etag, length, owner};
use crate::catalog::Object;
use crate::listing::{ENTRIES_MAX, Entry, Page, Query};
use crate::percent;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as TOKEN;
use s3s::dto::{
    CommonPrefix, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, ObjectStorageClass,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};
use std::ops::Bound;
use std::sync::Arc;

/// Lists objects, going on after a key.
pub(crate) async fn objects(
    store: &DemoStore,
    request: S3Request<ListObjectsInput>,
) -> S3Result<S3Response<ListObjectsOutput>> {
    let input = request.input;
    let spelling = Spelling::new(input.encoding_type.as_ref())?;
    let entries_max = entries_max("max-keys", input.max_keys)?;
    let delimiter = given(input.delimiter.as_deref());
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter,
        after: given(input.marker.as_deref()),
        entries_max,
    };
    let found = list(store, &input.bucket, &query, spelling, true)?;
    // Without a delimiter clients go on after the last key, as S3 has them do.
    let next_marker = found.next.filter(|_| delimiter.is_some());
    Ok(S3Response::new(ListObjectsOutput {
        name: Some(input.bucket.clone()),
        prefix: Some(spelling.of(query.prefix)),
        marker: Some(spelling.of(query.after.unwrap_or_default())),
        max_keys: Some(count(entries_max)),
        is_truncated: Some(found.truncated),
        contents: Some(found.objects),
        common_prefixes: Some(found.prefixes),
        delimiter: delimiter.map(|delimiter| spelling.of(delimiter)),
        next_marker: next_marker.map(|marker| spelling.of(&marker)),
        encoding_type: input.encoding_type,
        request_charged: None,
    }))
}

/// Lists objects, going on with a token.
pub(crate) async fn objects_v2(
    store: &DemoStore,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let input = request.input;
    let spelling = Spelling::new(input.encoding_type.as_ref())?;
    let entries_max = entries_max("max-keys", input.max_keys)?;
    let token = input.continuation_token.as_deref().map(read_token).transpose()?;
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: given(input.delimiter.as_deref()),
        after: token.as_deref().or(given(input.start_after.as_deref())),
        entries_max,
    };
    let fetch_owner = input.fetch_owner.unwrap_or(false);
    let found = list(store, &input.bucket, &query, spelling, fetch_owner)?;
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(input.bucket.clone()),
        prefix: Some(spelling.of(query.prefix)),
        max_keys: Some(count(entries_max)),
        key_count: Some(count(found.objects.len() + found.prefixes.len())),
        continuation_token: input.continuation_token.clone(),
        is_truncated: Some(found.truncated),
        next_continuation_token: found.next.map(|next| TOKEN.encode(next)),
        contents: Some(found.objects),
        common_prefixes: Some(found.prefixes),
        delimiter: query.delimiter.map(|delimiter| spelling.of(delimiter)),
        encoding_type: input.encoding_type,
        start_after: input.start_after.as_deref().map(|after| spelling.of(after)),
        request_charged: None,
    }))
}

/// A page in the protocol's terms.
struct Found {
    objects: Vec<s3s::dto::Object>,
    prefixes: Vec<CommonPrefix>,
    truncated: bool,
    /// Where the next page starts, if there is one.
    next: Option<String>,
}

fn list(
    store: &DemoStore,
    bucket: &str,
    query: &Query<'_>,
    spelling: Spelling,
    with_owner: bool,
) -> S3Result<Found> {
    store.catalog.with_bucket(bucket, |bucket| {
        let range = (query.start(), Bound::Unbounded);
        let objects = bucket.objects.range::<str, _>(range);
        let page = query.page(objects.map(|(key, object)| (key.as_str(), object)));
        let next = page.last().filter(|_| page.truncated).map(str::to_owned);
        let truncated = page.truncated;
        let (objects, prefixes) = spelling.split(page, |object| line(object, with_owner, spelling));
        Found { objects, prefixes, truncated, next }
    })
}

fn line(object: &Arc<Object>, with_owner: bool, spelling: Spelling) -> s3s::dto::Object {
    let record = &object.record;
    let algorithms = record.checksums.values.keys();
    let algorithms: Vec<_> = algorithms.map(|name| name.name().to_owned().into()).collect();
    let class = record.properties.storage_class.clone();
    s3s::dto::Object {
        checksum_type: super::checksum_type(&record.checksums),
        checksum_algorithm: (!algorithms.is_empty()).then_some(algorithms),
        e_tag: Some(etag(&record.etag)),
        key: Some(spelling.of(&record.key)),
        last_modified: Some(record.last_modified.clone()),
        owner: with_owner.then(owner),
        restore_status: None,
        size: Some(length(record.size)),
        storage_class: Some(class.map_or_else(
            || ObjectStorageClass::from_static(ObjectStorageClass::STANDARD),
            ObjectStorageClass::from,
        )),
    }
}

/// How keys are written in a listing: XML has no way to hold some characters that keys may have.
#[derive(Clone, Copy)]
pub(crate) struct Spelling {
    encoded: bool,
}

impl Spelling {
    /// Reads `encoding-type`.
    ///
    /// # Errors
    /// `InvalidArgument` for any but `url`.
    pub(crate) fn new(encoding: Option<&EncodingType>) -> S3Result<Self> {
        match encoding.map(EncodingType::as_str) {
            None => Ok(Self { encoded: false }),
            Some(EncodingType::URL) => Ok(Self { encoded: true }),
            Some(_) => {
                Err(s3_error!(InvalidArgument, "Invalid Encoding Method specified in Request"))
            }
        }
    }

    pub(crate) fn of(self, text: &str) -> String {
        if self.encoded { percent::encode(text) } else { text.to_owned() }
    }

    /// Parts the items of a page, each turned into a line, from its common prefixes.
    pub(crate) fn split<V, L>(
        self,
        page: Page<'_, V>,
        mut line: impl FnMut(V) -> L,
    ) -> (Vec<L>, Vec<CommonPrefix>) {
        let (mut lines, mut prefixes) = (Vec::new(), Vec::new());
        for entry in page.entries {
            match entry {
                Entry::Item(_, value) => lines.push(line(value)),
                Entry::CommonPrefix(prefix) => {
                    prefixes.push(CommonPrefix { prefix: Some(self.of(prefix)) });
                }
            }
        }
        (lines, prefixes)
    }
}

/// Reads how many entries a client wants, at most [`ENTRIES_MAX`].
///
/// # Errors
/// `InvalidArgument` for a number below 0.
pub(crate) fn entries_max(name: &str, wanted: Option<i32>) -> S3Result<usize> {
    match wanted.map(usize::try_from) {
        None => Ok(ENTRIES_MAX),
        Some(Ok(wanted)) => Ok(wanted.min(ENTRIES_MAX)),
        Some(Err(_)) => Err(s3_error!(
            InvalidArgument,
            "Argument {name} must be an integer between 0 and 2147483647"
        )),
    }
}

/// An empty parameter is as good as none.
pub(crate) fn given(parameter: Option<&str>) -> Option<&str> {
    parameter.filter(|text| !text.is_empty())
}

fn read_token(token: &str) -> S3Result<String> {
    let bytes = TOKEN.decode(token).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}
