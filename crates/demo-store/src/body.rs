//! Bytes in and out: request bodies to disk, checked on the way; objects from disk as streams.

use crate::catalog::{Catalog, Object, failed};
use crate::checksum::{self, Algorithm, Checksums};
use crate::files::Blob;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use http::HeaderMap;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{ChecksumAlgorithm, StreamingBlob};
use s3s::{S3Error, S3ErrorCode, S3Result, StdError, TrailingHeaders, s3_error};
use std::collections::BTreeSet;
use std::io::{self, SeekFrom};
use std::ops::Range;
use std::sync::Arc;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, BufWriter};
use tokio_util::io::ReaderStream;

/// How much of a body is in memory at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// A single put or part may be this long, as in S3.
const PUT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// What a request says of its body, to be held against what comes.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// The length, once any chunked signing is undone.
    length: Option<u64>,
    md5: Option<[u8; 16]>,
    checksums: Checksums,
    /// The checksum that the request announced to send after the body.
    trailer: Option<Algorithm>,
    /// What to work out, claimed or not.
    wanted: BTreeSet<Algorithm>,
}

impl Claims {
    /// Reads the claims of a put or part: `content_length`, `content_md5` and `checksums` as its
    /// headers give them, and the checksum it asks for.
    ///
    /// # Errors
    /// `InvalidDigest` for a `Content-MD5` that is none, `InvalidRequest` for more than one
    /// checksum or an unknown one, `EntityTooLarge`.
    pub(crate) fn new(
        headers: &HeaderMap,
        content_length: Option<i64>,
        content_md5: Option<&str>,
        checksums: Checksums,
        algorithm: Option<&ChecksumAlgorithm>,
    ) -> S3Result<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let length = content_length
            .and_then(|length| u64::try_from(length).ok())
            .or_else(|| text("x-amz-decoded-content-length")?.parse().ok());
        if length.is_some_and(|length| length > PUT_BYTES_MAX) {
            return Err(s3_error!(
                EntityTooLarge,
                "Your proposed upload exceeds the maximum allowed size"
            ));
        }
        let md5 = content_md5.map(|value| {
            BASE64.decode(value).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
                s3_error!(InvalidDigest, "The Content-MD5 you specified was invalid.")
            })
        });
        if checksums.values.len() > 1 {
            return Err(s3_error!(
                InvalidRequest,
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
            ));
        }
        let trailer = text("x-amz-trailer").and_then(Algorithm::of_header);
        // The SDKs' own name for the algorithm is not among the headers that s3s reads.
        let named = algorithm.map(ChecksumAlgorithm::as_str);
        let named = named.or_else(|| text("x-amz-sdk-checksum-algorithm"));
        let named = named.map(Algorithm::parse).transpose()?;
        let wanted = checksums.values.keys().copied().chain(trailer).chain(named).collect();
        Ok(Self { length, md5: md5.transpose()?, checksums, trailer, wanted })
    }

    /// Works these out too.
    pub(crate) fn wanting(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.wanted.extend(algorithms);
        self
    }

    fn verify(&self, received: &Received, trailers: Option<TrailingHeaders>) -> S3Result<()> {
        if self.length.is_some_and(|length| length != received.size) {
            return Err(s3_error!(
                IncompleteBody,
                "You did not provide the number of bytes specified by the Content-Length HTTP header."
            ));
        }
        if self.md5.is_some_and(|md5| md5 != received.md5) {
            return Err(s3_error!(
                BadDigest,
                "The Content-MD5 you specified did not match what we received."
            ));
        }
        received.checksums.verify(&self.checksums)?;
        if let Some(algorithm) = self.trailer {
            let trailers = trailers.and_then(|trailers| trailers.take()).unwrap_or_default();
            let value = trailers.get(algorithm.header()).and_then(|value| value.to_str().ok());
            let Some(value) = value else {
                return Err(bad_request(
                    "MalformedTrailerError",
                    "The request contained trailing data that was not well-formed",
                ));
            };
            let values = [(algorithm, value.to_owned())].into();
            received.checksums.verify(&Checksums { values, composite: false })?;
        }
        Ok(())
    }
}

/// A body that is on disk, but not yet anything's content.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) blob: Arc<Blob>,
    pub(crate) size: u64,
    pub(crate) md5: [u8; 16],
    pub(crate) checksums: Checksums,
}

/// Writes a body to disk, synced, and holds it against its claims.
///
/// # Errors
/// What the claims say; `XAmzContentSHA256Mismatch`, `SignatureDoesNotMatch` or `IncompleteBody`
/// if the body breaks off; `InternalError` if the disk fails. The bytes are then gone again.
pub(crate) async fn receive(
    catalog: &Catalog,
    mut body: impl Stream<Item = Result<Bytes, StdError>> + Unpin,
    claims: &Claims,
    trailers: Option<TrailingHeaders>,
) -> S3Result<Received> {
    let blob = catalog.files.new_blob();
    let file = File::create_new(blob.path()).await.map_err(failed)?;
    let mut out = BufWriter::with_capacity(CHUNK_BYTES, file);
    let (mut md5, mut checksums) = (Md5::new(), checksum::hasher(&claims.wanted));
    let mut size = 0;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(broken_off)?;
        size += chunk.len() as u64;
        if size > PUT_BYTES_MAX {
            return Err(s3_error!(EntityTooLarge));
        }
        md5.update(&chunk);
        checksums.update(&chunk);
        out.write_all(&chunk).await.map_err(failed)?;
    }
    let checksums = checksums.finalize().into();
    let received = Received { blob, size, md5: md5.finalize(), checksums };
    claims.verify(&received, trailers)?;
    out.flush().await.map_err(failed)?;
    out.into_inner().sync_all().await.map_err(failed)?;
    File::open(catalog.files.data()).await.map_err(failed)?.sync_all().await.map_err(failed)?;
    Ok(received)
}

/// Streams `range` of an object's bytes.
pub(crate) fn read(
    object: &Object,
    range: Range<u64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + use<> {
    // Every piece holds its file until it is opened, so that none vanishes while it is waited for.
    let sizes = object.record.segments.iter().map(|segment| segment.size);
    let pieces: Vec<_> = pieces(sizes, range)
        .map(|(index, range)| (Arc::clone(&object.blobs[index]), range))
        .collect();
    stream::iter(pieces)
        .then(async |(blob, range)| {
            let mut file = File::open(blob.path()).await?;
            file.seek(SeekFrom::Start(range.start)).await?;
            let bytes = file.take(range.end - range.start);
            io::Result::Ok(ReaderStream::with_capacity(bytes, CHUNK_BYTES))
        })
        .try_flatten()
}

/// Streams `range` of an object's bytes to a client.
pub(crate) fn stream(object: &Object, range: Range<u64>) -> StreamingBlob {
    StreamingBlob::wrap(read(object, range))
}

/// Copies `range` of an object's bytes into a new file, with the checksums that are `wanted`.
///
/// # Errors
/// `InternalError`.
pub(crate) async fn copy(
    catalog: &Catalog,
    object: &Object,
    range: Range<u64>,
    wanted: impl IntoIterator<Item = Algorithm>,
) -> S3Result<Received> {
    let claims = Claims { length: Some(range.end - range.start), ..Claims::default() };
    let bytes = Box::pin(read(object, range).map_err(StdError::from));
    receive(catalog, bytes, &claims.wanting(wanted), None).await
}

/// Reads an object through to work out one checksum of it.
///
/// # Errors
/// `InternalError`.
pub(crate) async fn checksum(object: &Object, algorithm: Algorithm) -> S3Result<Checksums> {
    let mut hasher = checksum::hasher(&BTreeSet::from([algorithm]));
    let mut bytes = Box::pin(read(object, 0..object.record.size));
    while let Some(chunk) = bytes.try_next().await.map_err(failed)? {
        hasher.update(&chunk);
    }
    Ok(hasher.finalize().into())
}

/// Which range of which segment makes up `range` of the whole.
fn pieces(
    sizes: impl Iterator<Item = u64>,
    range: Range<u64>,
) -> impl Iterator<Item = (usize, Range<u64>)> {
    let mut start = 0;
    sizes.enumerate().filter_map(move |(index, size)| {
        let (from, to) = (range.start.max(start), range.end.min(start + size));
        let piece = (from < to).then(|| (index, from - start..to - start));
        start += size;
        piece
    })
}

/// Why a body broke off. The types of these errors are private to s3s: their texts must do.
fn broken_off(error: StdError) -> S3Error {
    // What is copied comes from our own disk, and only that fails with such an error.
    if error.is::<io::Error>() {
        return S3Error::with_source(S3ErrorCode::InternalError, error);
    }
    let text = error.to_string();
    let mut answer = if text.contains("Sha256Mismatch") {
        bad_request(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
    } else if text.contains("SignatureMismatch") {
        s3_error!(SignatureDoesNotMatch)
    } else {
        s3_error!(IncompleteBody, "The request body terminated unexpectedly")
    };
    answer.set_source(error);
    answer
}

fn bad_request(code: &'static str, message: &'static str) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), message);
    error.set_status_code(http::StatusCode::BAD_REQUEST);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_found_across_segments() {
        let check = |sizes: &[u64], range: Range<u64>, expected: &[(usize, Range<u64>)]| {
            let found: Vec<_> = pieces(sizes.iter().copied(), range).collect();
            assert_eq!(found, expected);
        };
        check(&[10], 0..10, &[(0, 0..10)]);
        check(&[10, 5, 3], 0..18, &[(0, 0..10), (1, 0..5), (2, 0..3)]);
        check(&[10, 5, 3], 9..11, &[(0, 9..10), (1, 0..1)]);
        check(&[10, 0, 5], 10..15, &[(2, 0..5)]);
        check(&[10, 5], 12..13, &[(1, 2..3)]);
        check(&[0], 0..0, &[]);
        check(&[], 0..0, &[]);
    }
}
