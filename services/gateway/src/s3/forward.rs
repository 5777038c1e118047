//! Sending verified requests to the upstream, and its answers back.

use std::error::Error;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HeaderMap};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_util::sync::CancellationToken;

use super::error_xml::S3Error;
use super::headers;
use super::payload::{Hash, HoldBack, Mismatch};
use super::signing::Signer;
use super::target::Target;
use super::upstream_refusal;
use crate::body::{self, BoxBody, BrokenOff, Count, Cut, Stalled, Watched};
use crate::config::{Limits, Upstream};

/// Below the time after which usual stores close an idle connection, so that few requests meet
/// one that is just being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the upstream may take to begin its answer to a request of the gateway's own.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends requests to the upstream.
#[derive(Debug)]
pub(crate) struct Forwarder {
    client: Client<HttpConnector, BoxBody>,
    signer: Signer,
    authority: Authority,
    access_key_id: String,
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
    /// What the body must hash to.
    pub(crate) hash: Option<Hash>,
    /// Counts the body's bytes as they come.
    pub(crate) bytes_in: Count,
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
    /// `XAmzContentSHA256Mismatch`, `IncompleteBody` and `RequestTimeout` if the body is at fault:
    /// the upstream has then never had all of it. `ServiceUnavailable` if the upstream is.
    pub(crate) async fn forward(&self, onward: Onward<'_>) -> Result<Response<BoxBody>, S3Error> {
        let Onward { method, target, mut headers, body, content_length, hash, bytes_in } = onward;
        if let Some(length) = content_length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        self.signer.sign(&method, target, &mut headers, hash)?;
        let mut proof = None;
        let cut = CancellationToken::new();
        let body = Watched::new(body, bytes_in.clone(), self.idle_timeout);
        let body = Cut::new(body, cut.clone());
        // An answer may come before the body's end. Once it is through, the body is not wanted.
        let answered = cut.drop_guard();
        let body = match (content_length.unwrap_or(0), hash) {
            (0, Some(signed)) => {
                // Nothing can be held back of nothing.
                let computed = Hash::of(b"");
                if computed != signed {
                    return Err(mismatch(&Mismatch { signed, computed }));
                }
                body::empty()
            }
            (0, None) => body::empty(),
            (_, Some(signed)) => {
                let body = HoldBack::new(body, signed);
                proof = Some(body.proof());
                body.boxed_unsync()
            }
            (_, None) => body.boxed_unsync(),
        };
        let mut request = Request::new(body);
        *request.uri_mut() = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(target.onward.clone())
            .build()
            .map_err(|_| S3Error::invalid_uri())?;
        let head = method == Method::HEAD;
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        let response = tokio::select! {
            response = self.client.request(request) => response.map_err(|error| failure(&error))?,
            () = stands_still(&bytes_in, self.response_timeout) => {
                tracing::warn!("the upstream does not answer");
                return Err(S3Error::unavailable());
            }
        };
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

    /// The upstream's answer to a request of the gateway's own, which has no body.
    ///
    /// # Errors
    /// `ServiceUnavailable` if there is none in time.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: PathAndQuery,
    ) -> Result<Response<Incoming>, S3Error> {
        let target = Target { sent: path.clone(), onward: path };
        let mut request = Request::new(body::empty());
        let hash = Some(Hash::of(b""));
        self.signer.sign(&method, &target, request.headers_mut(), hash)?;
        *request.method_mut() = method;
        *request.uri_mut() = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(target.onward)
            .build()
            .map_err(|_| S3Error::internal())?;
        let asked = tokio::time::timeout(ASK_TIMEOUT, self.client.request(request)).await;
        let answer = asked.map_err(|_| {
            tracing::warn!("the upstream does not answer");
            S3Error::unavailable()
        })?;
        answer.map_err(|error| failure(&error))
    }

    async fn back(
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
fn failure(error: &(dyn Error + 'static)) -> S3Error {
    let causes = || std::iter::successors(Some(error), |&error| error.source());
    if let Some(found) = causes().find_map(|cause| cause.downcast_ref::<Mismatch>()) {
        return mismatch(found);
    }
    if causes().any(|cause| cause.is::<Stalled>()) {
        let message = "Your socket connection to the server was not read from or written to \
                       within the timeout period. Idle connections will be closed.";
        return S3Error::new(StatusCode::BAD_REQUEST, "RequestTimeout", message);
    }
    if causes().any(|cause| cause.is::<BrokenOff>()) {
        let message = "You did not provide the number of bytes specified by the Content-Length \
                       HTTP header.";
        return S3Error::new(StatusCode::BAD_REQUEST, "IncompleteBody", message);
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
