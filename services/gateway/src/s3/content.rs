//! What a request's body must be, and how it goes on: whole only if it is that.

use aws_sigv4::http_request::SignableBody;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use sigv4::{AnnouncedChunks, ChunkedBody};

use super::chunked::{Decoded, Form};
use super::error_xml::S3Error;
use super::forward::failure;
use super::headers;
use super::payload::{Hash, HoldBack, Mismatch, Proof};
use crate::body::{self, BoxBody, BoxError};

/// What a body must be.
#[derive(Debug)]
pub(crate) enum Content {
    /// Of this SHA-256.
    Signed(Hash),
    /// Anything.
    Unsigned,
    /// In chunks, as announced.
    Chunked(AnnouncedChunks, Box<ChunkedBody>),
}

/// How a body goes on.
pub(crate) struct Prepared {
    pub(crate) body: BoxBody,
    pub(crate) content_length: Option<u64>,
    /// What the upstream is told of it.
    pub(crate) signable: SignableBody<'static>,
    /// Given once it is the one that it must be, if anything is asked of it.
    pub(crate) proof: Option<Proof>,
}

/// Makes a body one that goes on whole only if it is what it must be, and its headers those of how it does.
///
/// Of no bytes nothing can be held back: what has none is checked before anything is sent.
///
/// # Errors
/// As the body is at fault.
pub(crate) async fn prepare<B>(
    body: B,
    content_length: Option<u64>,
    content: Content,
    headers: &mut HeaderMap,
    sends_trailers: bool,
) -> Result<Prepared, S3Error>
where
    B: Body<Data = Bytes, Error = BoxError> + Send + Unpin + 'static,
{
    let is_empty = content_length.unwrap_or(0) == 0;
    let prepared = |body, signable, proof| Prepared { body, content_length, signable, proof };
    Ok(match content {
        Content::Signed(signed) => {
            let signable = SignableBody::Precomputed(signed.to_string());
            if is_empty {
                let computed = Hash::of(b"");
                if computed != signed {
                    return Err(mismatch(&Mismatch { signed, computed }));
                }
                return Ok(prepared(body::empty(), signable, None));
            }
            let body = HoldBack::new(body, signed);
            let proof = body.proof();
            prepared(body.boxed_unsync(), signable, Some(proof))
        }
        Content::Unsigned if is_empty => {
            prepared(body::empty(), SignableBody::UnsignedPayload, None)
        }
        Content::Unsigned => prepared(body.boxed_unsync(), SignableBody::UnsignedPayload, None),
        Content::Chunked(announced, chunks) => {
            let form = match announced.trailer().filter(|_| sends_trailers) {
                Some(algorithm) => Form::WithTrailer(algorithm),
                None => Form::Plain,
            };
            headers::of_chunks(headers, form);
            let body = Decoded::new(body, announced, *chunks, form);
            let content_length = Some(form.content_length(announced.decoded_bytes()));
            let signable = match form {
                Form::WithTrailer(_) => SignableBody::StreamingUnsignedPayloadTrailer,
                Form::Plain => SignableBody::UnsignedPayload,
            };
            if body.is_nothing() {
                let whole = body.whole().await.map_err(|error| failure(&*error))?;
                let (body, proof) = (body::full(whole), None);
                return Ok(Prepared { body, content_length, signable, proof });
            }
            let proof = Some(body.proof());
            Prepared { body: body.boxed_unsync(), content_length, signable, proof }
        }
    })
}

/// 400 `XAmzContentSHA256Mismatch`
pub(crate) fn mismatch(Mismatch { signed, computed }: &Mismatch) -> S3Error {
    let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
    S3Error::new(StatusCode::BAD_REQUEST, "XAmzContentSHA256Mismatch", message)
        .with("ClientComputedContentSHA256", signed.to_string())
        .with("S3ComputedContentSHA256", computed.to_string())
}
