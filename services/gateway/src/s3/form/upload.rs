//! A form's file becomes an object.
//!
//! A form does not say how long its file is, and a store wants to know before the first byte. So a file of
//! up to one part is read first and sent as a whole, and a longer one is sent in parts (multipart
//! upload), of which one at a time is held in memory.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use aws_sigv4::http_request::SignableBody;
use bytes::{Bytes, BytesMut};
use http::header::ETAG;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::BodyExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use quick_xml::de::from_reader;
use serde::Deserialize;

use super::parts::File;
use crate::body::{self, BoxBody, Count};
use crate::s3::error_xml::S3Error;
use crate::s3::forward::{Forwarder, Outgoing};
use crate::s3::payload::Hash;
use crate::s3::target::Target;
use crate::upstream::Identity;
use crate::xml::Document;

/// As much as S3 wants in each part but the last (5 MiB); so many bytes of a form are in memory at once.
const PART_BYTES: usize = 5 << 20;
/// The answers that are read here are small.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// What stays as it is in a path: as SigV4 encodes it.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// The path of an object, encoded.
pub(super) fn path(bucket: &str, key: &str) -> String {
    format!("/{bucket}/{}", utf8_percent_encode(key, PATH))
}

/// What a form makes.
#[derive(Debug)]
pub(super) struct Object<'a> {
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
    pub(super) headers: HeaderMap,
    /// Whom the upstream is told of, if it believes that.
    pub(super) identity: Identity,
}

/// That it was made.
#[derive(Debug)]
pub(super) struct Made {
    /// The object's path, encoded.
    pub(super) path: String,
    /// Those of the upstream's answer.
    pub(super) headers: HeaderMap,
}

/// An upload to the upstream.
pub(super) struct Upload<'a> {
    forwarder: Arc<Forwarder>,
    object: Object<'a>,
    path: String,
    lengths: RangeInclusive<u64>,
    bytes_in: Count,
    bytes: u64,
}

impl<'a> Upload<'a> {
    pub(super) fn new(
        forwarder: Arc<Forwarder>,
        object: Object<'a>,
        lengths: RangeInclusive<u64>,
        bytes_in: Count,
    ) -> Self {
        let path = path(object.bucket, object.key);
        Self { forwarder, object, path, lengths, bytes_in, bytes: 0 }
    }

    /// Sends the file.
    ///
    /// # Errors
    /// `EntityTooSmall` and `EntityTooLarge` as the policy has it; `NotImplemented` for a checksum of a
    /// file that is sent in parts; as the file breaks off, and as the upstream refuses it. No object
    /// is then made.
    pub(super) async fn send(mut self, mut file: File) -> Result<Made, S3Error> {
        let (first, is_whole) = self.part(&mut file).await?;
        if is_whole {
            let headers = self.object.headers.clone();
            let answer = self.ask(Method::PUT, "", headers, first).await?;
            return Ok(Made { path: self.path, headers: answer.headers().clone() });
        }
        let is_of_whole = |name: &str| name == "content-md5" || name.starts_with("x-amz-checksum-");
        if self.object.headers.keys().any(|name| is_of_whole(name.as_str())) {
            let message = "A form's file of more than 5 MiB may have no checksum.";
            return Err(S3Error::not_implemented(message));
        }
        let id = self.start().await?;
        let mut unfinished = Unfinished {
            forwarder: Arc::clone(&self.forwarder),
            path: self.path.clone(),
            identity: self.object.identity.clone(),
            id: Some(id.clone()),
        };
        let headers = self.send_parts(&id, first, &mut file).await?;
        unfinished.id = None;
        Ok(Made { path: self.path, headers })
    }

    async fn send_parts(
        &mut self,
        id: &str,
        first: Bytes,
        file: &mut File,
    ) -> Result<HeaderMap, S3Error> {
        let (mut etags, mut part, mut is_last) = (vec![], first, false);
        loop {
            let number = etags.len() + 1;
            let query = format!("partNumber={number}&uploadId={id}");
            let answer = self.ask(Method::PUT, &query, HeaderMap::new(), part).await?;
            let etag = answer.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
            etags.push(etag.ok_or_else(S3Error::unavailable)?.to_owned());
            if is_last {
                break;
            }
            (part, is_last) = self.part(file).await?;
            if part.is_empty() {
                break;
            }
        }
        let mut document = Document::new();
        document.open("CompleteMultipartUpload");
        for (n, etag) in etags.iter().enumerate() {
            document.open("Part");
            document.text("PartNumber", &(n + 1).to_string());
            document.text("ETag", etag);
            document.close();
        }
        let document = document.finish();
        let query = format!("uploadId={id}");
        let answer = self.ask(Method::POST, &query, HeaderMap::new(), document).await?;
        let (head, body) = answer.into_parts();
        // A status of 200 was sent before it was known how it would end.
        let completed: Completed = read(body).await?;
        let Some(etag) = completed.etag else { return Err(S3Error::internal()) };
        let mut headers = head.headers;
        headers.insert(ETAG, etag.parse().map_err(|_| S3Error::internal())?);
        Ok(headers)
    }

    /// Starts an upload in parts; its ID, encoded for a query.
    async fn start(&self) -> Result<String, S3Error> {
        let headers = self.object.headers.clone();
        let answer = self.ask(Method::POST, "uploads", headers, Bytes::new()).await?;
        let started: Started = read(answer.into_body()).await?;
        Ok(utf8_percent_encode(&started.upload_id, NON_ALPHANUMERIC).to_string())
    }

    /// The next part, and whether the file ends with it.
    async fn part(&mut self, file: &mut File) -> Result<(Bytes, bool), S3Error> {
        let mut part = BytesMut::new();
        while part.len() < PART_BYTES {
            let Some(piece) = file.piece().await? else {
                if self.bytes < *self.lengths.start() {
                    let message = "Your proposed upload is smaller than the minimum allowed size";
                    return Err(self
                        .wrong_size("EntityTooSmall", message)
                        .with("MinSizeAllowed", self.lengths.start().to_string()));
                }
                return Ok((part.freeze(), true));
            };
            self.bytes += piece.len() as u64;
            if self.bytes > *self.lengths.end() {
                let message = "Your proposed upload exceeds the maximum allowed size";
                return Err(self
                    .wrong_size("EntityTooLarge", message)
                    .with("MaxSizeAllowed", self.lengths.end().to_string()));
            }
            part.extend_from_slice(&piece);
        }
        Ok((part.freeze(), false))
    }

    fn wrong_size(&self, code: &'static str, message: &'static str) -> S3Error {
        S3Error::new(StatusCode::BAD_REQUEST, code, message)
            .with("ProposedSize", self.bytes.to_string())
    }

    /// Sends one request about the object, and takes success only.
    async fn ask(
        &self,
        method: Method,
        query: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<BoxBody>, S3Error> {
        let target = Target::own(&self.path, query)?;
        let identity = self.object.identity.clone();
        ask(&self.forwarder, method, &target, headers, body, identity, &self.bytes_in).await
    }
}

/// Sends one request to the upstream, and takes success only.
async fn ask(
    forwarder: &Forwarder,
    method: Method,
    target: &Target,
    headers: HeaderMap,
    body: Bytes,
    identity: Identity,
    bytes_in: &Count,
) -> Result<Response<BoxBody>, S3Error> {
    let signable = SignableBody::Precomputed(Hash::of(&body).to_string());
    let content_length = Some(body.len() as u64);
    let body = body::full(body);
    let outgoing = Outgoing { method, target, headers, body, content_length, signable, identity };
    let response = forwarder.send(outgoing, bytes_in).await?;
    let response = forwarder.back(response, false).await?;
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    let refused: Refused = read(response.into_body()).await?;
    Err(S3Error::new(status, refused.code, refused.message))
}

/// An upload in parts that was begun: dropped unfinished, it is aborted, also if the client has gone. Its parts
/// would be kept, and paid for.
struct Unfinished {
    forwarder: Arc<Forwarder>,
    path: String,
    identity: Identity,
    /// `None` once it is finished.
    id: Option<String>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let (forwarder, path) = (Arc::clone(&self.forwarder), std::mem::take(&mut self.path));
        let identity = self.identity.clone();
        tokio::spawn(async move {
            let aborted = async {
                let target = Target::own(&path, &format!("uploadId={id}"))?;
                let (headers, count) = (HeaderMap::new(), Count::default());
                let nothing = Bytes::new();
                ask(&forwarder, Method::DELETE, &target, headers, nothing, identity, &count).await
            };
            if let Err(error) = aborted.await {
                tracing::warn!(code = error.code(), "an upload in parts could not be aborted");
            }
        });
    }
}

#[derive(Deserialize)]
struct Started {
    #[serde(rename = "UploadId")]
    upload_id: String,
}

#[derive(Deserialize)]
struct Completed {
    #[serde(rename = "ETag")]
    etag: Option<String>,
}

#[derive(Deserialize)]
struct Refused {
    #[serde(rename = "Code")]
    code: String,
    #[serde(rename = "Message", default)]
    message: String,
}

/// The document that the upstream answered with.
async fn read<T: serde::de::DeserializeOwned>(mut body: BoxBody) -> Result<T, S3Error> {
    let mut document = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unreadable(&*error))?;
        document.extend_from_slice(&frame.into_data().unwrap_or_default());
        if document.len() > ANSWER_BYTES_MAX {
            return Err(unreadable(&"it is too long"));
        }
    }
    from_reader(&*document).map_err(|error| unreadable(&error))
}

fn unreadable(error: &dyn fmt::Display) -> S3Error {
    tracing::warn!(%error, "the upstream's answer cannot be read");
    S3Error::unavailable()
}
