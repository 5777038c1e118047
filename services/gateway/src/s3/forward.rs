//! Sending verified requests to the upstream, and its answers back.

use std::error::Error;
use std::time::Duration;

use aws_sigv4::http_request::SignableBody;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sigv4::{AnnouncedChunks, ChunkedBody, Denial};
use tokio_util::sync::CancellationToken;

use super::chunked::{Decoded, Form};
use super::error_xml::S3Error;
use super::headers;
use super::payload::{Hash, HoldBack, Mismatch, Proof};
use super::signing::Signer;
use super::target::Target;
use super::upstream_refusal;
use crate::body::{self, BoxBody, BrokenOff, Count, Cut, Stalled, Watched};
use crate::config::{Limits, Upstream};

/// Below the time after which usual stores close an idle connection, so that few requests meet
/// one that is just being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Sends requests to the upstream.
#[derive(Debug)]
pub(crate) struct Forwarder {
    client: Client<HttpConnector, BoxBody>,
    signer: Signer,
    authority: Authority,
    access_key_id: String,
    sends_trailers: bool,
    idle_timeout: Duration,
    response_timeout: Duration,
}

/// A verified request on its way.
#[derive(Debug)]
pub(crate) struct Onward<'a> {
    pub(crate) method: Method,
    pub(crate) target: &'a Target,
    /// Those that go on.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
    /// How many bytes the body has, if there is one.
    pub(crate) content_length: Option<u64>,
    /// What the body must be.
    pub(crate) content: Content,
    /// Counts the body's bytes as they come.
    pub(crate) bytes_in: Count,
}

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

/// A request to the upstream that is not signed yet.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    pub(crate) target: &'a Target,
    pub(crate) headers: HeaderMap,
    pub(crate) body: BoxBody,
    pub(crate) content_length: Option<u64>,
    /// What the upstream is told of the body.
    pub(crate) signable: SignableBody<'static>,
}

/// How a body goes on.
struct Prepared {
    body: BoxBody,
    content_length: Option<u64>,
    /// What the upstream is told of it.
    signable: SignableBody<'static>,
    /// Given once it is the one that it must be, if anything is asked of it.
    proof: Option<Proof>,
}

impl Forwarder {
    /// # Errors
    /// If the endpoint is not plain `http://host:port`.
    pub(crate) fn new(upstream: &Upstream, limits: &Limits) -> anyhow::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(limits.connect_timeout));
        connector.set_keepalive(Some(Duration::from_secs(30)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .build(connector);
        Ok(Self {
            client,
            signer: Signer::new(upstream)?,
            authority: upstream.authority()?,
            access_key_id: upstream.access_key_id.clone(),
            sends_trailers: upstream.sends_trailers,
            idle_timeout: limits.idle_timeout,
            response_timeout: limits.response_timeout,
        })
    }

    /// The upstream's answer.
    ///
    /// A request is sent once. (It is sent anew only if its connection turned out to be closed
    /// before anything was written.) To drop the future is to break the request off.
    ///
    /// # Errors
    /// `XAmzContentSHA256Mismatch`, `IncompleteBody`, `RequestTimeout` and, of chunks, more (see
    /// [`ChunkedBody::read`]) if the body is at fault: the upstream has then never had all of it. `ServiceUnavailable` if the upstream is.
    pub(crate) async fn forward(&self, onward: Onward<'_>) -> Result<Response<BoxBody>, S3Error> {
        let Onward { method, target, mut headers, body, content_length, content, bytes_in } =
            onward;
        let cut = CancellationToken::new();
        let body = Watched::new(body, bytes_in.clone(), self.idle_timeout);
        let body = Cut::new(body, cut.clone());
        // An answer may come before the body's end. Once it is through, the body is not wanted.
        let answered = cut.drop_guard();
        let Prepared { body, content_length, signable, proof } =
            self.prepare(body, content_length, content, &mut headers).await?;
        let head = method == Method::HEAD;
        let outgoing = Outgoing { method, target, headers, body, content_length, signable };
        let response = self.send(outgoing, &bytes_in).await?;
        // It cannot have stored what it has not had.
        if response.status().is_success() && proof.is_some_and(|proof| !proof.given()) {
            tracing::error!("the upstream called a request done before it had all of it");
            return Err(S3Error::internal());
        }
        let response = self.back(response, head).await?;
        Ok(response.map(|body| {
            body.map_frame(move |frame| {
                let _held_until_the_end = &answered;
                frame
            })
            .boxed_unsync()
        }))
    }

    /// Signs a request and sends it; `moving` counts what tells that it does not stand still.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub(crate) async fn send(
        &self,
        outgoing: Outgoing<'_>,
        moving: &Count,
    ) -> Result<Response<Incoming>, S3Error> {
        let Outgoing { method, target, mut headers, body, content_length, signable } = outgoing;
        if let Some(length) = content_length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        self.signer.sign(&method, target, &mut headers, signable)?;
        let mut request = Request::new(body);
        *request.uri_mut() = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(target.onward.clone())
            .build()
            .map_err(|_| S3Error::invalid_uri())?;
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        tokio::select! {
            response = self.client.request(request) => response.map_err(|error| failure(&error)),
            () = stands_still(moving, self.response_timeout) => {
                tracing::warn!("the upstream does not answer");
                Err(S3Error::unavailable())
            }
        }
    }

    /// How long a body may stand still.
    pub(crate) fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    /// Makes a body one that goes on whole only if it is what it must be.
    ///
    /// Of no bytes nothing can be held back: what has none is checked before anything is sent.
    async fn prepare(
        &self,
        body: Cut<Watched<Incoming>>,
        content_length: Option<u64>,
        content: Content,
        headers: &mut HeaderMap,
    ) -> Result<Prepared, S3Error> {
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
                let form = match announced.trailer().filter(|_| self.sends_trailers) {
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
                    body.drain().await.map_err(|error| failure(&*error))?;
                    let (body, proof) = (body::empty(), None);
                    return Ok(Prepared { body, content_length, signable, proof });
                }
                let proof = Some(body.proof());
                Prepared { body: body.boxed_unsync(), content_length, signable, proof }
            }
        })
    }

    /// The upstream's answer, as the client may see it; `head` is whether it is one to a HEAD request.
    ///
    /// # Errors
    /// `ServiceUnavailable` if it is a refusal that concerns the gateway itself.
    pub(crate) async fn back(
        &self,
        response: Response<Incoming>,
        head: bool,
    ) -> Result<Response<BoxBody>, S3Error> {
        let (mut parts, incoming) = response.into_parts();
        if parts.status.is_informational() {
            tracing::warn!(status = parts.status.as_u16(), "the upstream does not speak S3");
            return Err(S3Error::unavailable());
        }
        headers::back(&mut parts.headers);
        let body = Watched::new(incoming, Count::default(), self.idle_timeout);
        if head || !upstream_refusal::is_possible(parts.status) {
            return Ok(Response::from_parts(parts, body.boxed_unsync()));
        }
        let id = &self.access_key_id;
        let document = upstream_refusal::examine(&parts.headers, body, id).await?;
        Ok(Response::from_parts(parts, body::full(document)))
    }
}

/// Ends when no byte has moved for that long, or up to twice that.
async fn stands_still(count: &Count, limit: Duration) {
    let mut seen = count.bytes();
    loop {
        tokio::time::sleep(limit).await;
        if std::mem::replace(&mut seen, count.bytes()) == count.bytes() {
            return;
        }
    }
}

/// Whose fault it is that there is no answer.
pub(crate) fn failure(error: &(dyn Error + 'static)) -> S3Error {
    let causes = || std::iter::successors(Some(error), |&error| error.source());
    if let Some(found) = causes().find_map(|cause| cause.downcast_ref::<Mismatch>()) {
        return mismatch(found);
    }
    if let Some(denial) = causes().find_map(|cause| cause.downcast_ref::<Denial>()) {
        return denial.clone().into();
    }
    if causes().any(|cause| cause.is::<Stalled>()) {
        let message = "Your socket connection to the server was not read from or written to \
                       within the timeout period. Idle connections will be closed.";
        return S3Error::new(StatusCode::BAD_REQUEST, "RequestTimeout", message);
    }
    if causes().any(|cause| cause.is::<BrokenOff>()) {
        return S3Error::incomplete_body();
    }
    tracing::warn!(error, "the upstream is unavailable");
    S3Error::unavailable()
}

fn mismatch(Mismatch { signed, computed }: &Mismatch) -> S3Error {
    let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
    S3Error::new(StatusCode::BAD_REQUEST, "XAmzContentSHA256Mismatch", message)
        .with("ClientComputedContentSHA256", signed.to_string())
        .with("S3ComputedContentSHA256", computed.to_string())
}
