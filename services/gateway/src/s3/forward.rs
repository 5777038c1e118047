//! Sending verified requests to the upstream, and its answers back.

use std::error::Error;
use std::io;
use std::time::Duration;

use anyhow::Context;
use aws_sigv4::http_request::SignableBody;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::{self as client, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sigv4::Denial;
use telemetry::metrics::Counter;
use telemetry::{KeyValue, ReadyFlag};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::content::{self, Content, Prepared, mismatch};
use super::error_xml::S3Error;
use super::headers;
use super::payload::{Hash, Mismatch};
use super::target::Target;
use super::upstream_refusal;
use crate::body::{self, BoxBody, BoxError, BrokenOff, Count, Cut, Stalled, Watched};
use crate::config::{Limits, Upstream};
use crate::upstream::{Access, Connector, Health, Identity};

/// Below the time after which usual stores close an idle connection, so that few requests meet
/// one that is just being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long an upstream may take to answer when it is asked how it is.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long an upstream may take to begin its answer to a request of the gateway's own.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends requests to one upstream.
#[derive(Debug)]
pub(crate) struct Forwarder {
    name: String,
    client: Client<Connector, BoxBody>,
    connector: Connector,
    access: Access,
    scheme: Scheme,
    authority: Authority,
    health_path: Option<PathAndQuery>,
    health: Health,
    retries: Counter<u64>,
    sends_trailers: bool,
    idle_timeout: Duration,
    response_timeout: Duration,
}

/// The code of an upstream's error document, in the extensions of its answer.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamCode(pub(crate) String);

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
    /// Whom the upstream is told of, if it believes that.
    pub(crate) identity: Identity,
}

/// A request to the upstream that does not say yet who asks.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    pub(crate) target: &'a Target,
    pub(crate) headers: HeaderMap,
    pub(crate) body: BoxBody,
    pub(crate) content_length: Option<u64>,
    /// What the upstream is told of the body.
    pub(crate) signable: SignableBody<'static>,
    /// Whom the upstream is told of, if it believes that.
    pub(crate) identity: Identity,
}

impl Forwarder {
    /// # Errors
    /// If the endpoint is not `http://host:port` or `https://host:port`, or its TLS cannot be.
    pub(crate) fn new(name: &str, upstream: &Upstream, limits: &Limits) -> anyhow::Result<Self> {
        let authority = upstream.authority().with_context(|| format!("upstream {name}"))?;
        let tls = upstream.https().with_context(|| format!("upstream {name}"))?;
        let scheme = if tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let connector = Connector::new(tls, limits.connect_timeout);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .build(connector.clone());
        let retries = telemetry::meter()
            .u64_counter("claviger.gateway.upstream.retries")
            .with_description("Requests sent once more, as their connection failed.")
            .build();
        Ok(Self {
            name: name.to_owned(),
            client,
            connector,
            access: Access::new(upstream, &authority)?,
            scheme,
            authority,
            health_path: upstream.health_path.clone(),
            health: Health::new(name, limits.health_interval),
            retries,
            sends_trailers: upstream.sends_trailers,
            idle_timeout: limits.idle_timeout,
            response_timeout: limits.response_timeout,
        })
    }

    /// The upstream's name, for logs and metrics.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Watches over the upstream's health, and tells `told`.
    pub(crate) async fn watch(&self, told: &ReadyFlag) {
        self.health.watch(told, || self.probe()).await;
    }

    /// Whether the upstream is there.
    async fn probe(&self) -> Result<(), BoxError> {
        let path = self.health_path.clone();
        let uri = self.uri(path.clone().unwrap_or_else(|| PathAndQuery::from_static("/")))?;
        if path.is_none() {
            return self.connector.clone().oneshot(uri).await.map(drop);
        }
        let request = Request::get(uri).body(body::empty())?;
        let answer = tokio::time::timeout(PROBE_TIMEOUT, self.client.request(request)).await??;
        match answer.status() {
            status if status.is_server_error() => Err(format!("it answers {status}").into()),
            _ => Ok(()),
        }
    }

    fn uri(&self, path: PathAndQuery) -> Result<Uri, http::Error> {
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        uri.path_and_query(path).build()
    }

    /// The upstream's answer.
    ///
    /// A request is sent once; one to read or to delete, without a body, once more if its connection failed
    /// before there was an answer. (Any other is sent anew only if its connection turned out to be closed
    /// before anything was written.) To drop the future is to break the request off.
    ///
    /// # Errors
    /// `XAmzContentSHA256Mismatch`, `IncompleteBody`, `RequestTimeout` and, of chunks, more (see
    /// [`sigv4::ChunkedBody::read`]) if the body is at fault: the upstream has then never had all of it. `ServiceUnavailable` if the upstream is.
    pub(crate) async fn forward(&self, onward: Onward<'_>) -> Result<Response<BoxBody>, S3Error> {
        let Onward { method, target, mut headers, body, content_length, content, .. } = onward;
        let (bytes_in, identity) = (onward.bytes_in, onward.identity);
        let cut = CancellationToken::new();
        let body = Watched::new(body, bytes_in.clone(), self.idle_timeout);
        let body = Cut::new(body, cut.clone());
        // An answer may come before the body's end. Once it is through, the body is not wanted.
        let answered = cut.drop_guard();
        let prepared =
            content::prepare(body, content_length, content, &mut headers, self.sends_trailers);
        let Prepared { body, content_length, signable, proof } = prepared.await?;
        let head = method == Method::HEAD;
        let outgoing =
            Outgoing { method, target, headers, body, content_length, signable, identity };
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

    /// Sends a request with what proves to the upstream who asks; `moving` counts what tells that it does
    /// not stand still.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub(crate) async fn send(
        &self,
        outgoing: Outgoing<'_>,
        moving: &Count,
    ) -> Result<Response<Incoming>, S3Error> {
        if self.health.is_down() {
            return Err(S3Error::unavailable());
        }
        let Outgoing { method, target, mut headers, body, content_length, signable, identity } =
            outgoing;
        if let Some(length) = content_length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        self.access.prove(&method, target, &mut headers, signable, &identity)?;
        let is_repeatable = content_length.unwrap_or(0) == 0
            && matches!(method, Method::GET | Method::HEAD | Method::DELETE);
        let mut request = Request::new(body);
        *request.uri_mut() = self.uri(target.onward.clone()).map_err(|_| S3Error::invalid_uri())?;
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        tokio::select! {
            response = self.request(request, is_repeatable) => response.map_err(|error| {
                let error = failure(&error);
                // Else it was the client that failed.
                if error == S3Error::unavailable() {
                    self.health.suspect();
                }
                error
            }),
            () = stands_still(moving, self.response_timeout) => {
                tracing::warn!(upstream = self.name, "the upstream does not answer");
                Err(S3Error::unavailable())
            }
        }
    }

    /// The upstream's answer to a request of the gateway's own, which has no body.
    ///
    /// # Errors
    /// `ServiceUnavailable` if there is none in time.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: PathAndQuery,
        identity: Identity,
    ) -> Result<Response<Incoming>, S3Error> {
        let target = Target::of(path);
        let outgoing = Outgoing {
            method,
            target: &target,
            headers: HeaderMap::new(),
            body: body::empty(),
            content_length: None,
            signable: SignableBody::Precomputed(Hash::of(b"").to_string()),
            identity,
        };
        let moving = Count::default();
        let asked = tokio::time::timeout(ASK_TIMEOUT, self.send(outgoing, &moving)).await;
        asked.unwrap_or_else(|_| {
            tracing::warn!(upstream = self.name, "the upstream does not answer");
            Err(S3Error::unavailable())
        })
    }

    /// Sends a request, once more if it may be.
    async fn request(
        &self,
        request: Request<BoxBody>,
        is_repeatable: bool,
    ) -> Result<Response<Incoming>, client::Error> {
        let again = is_repeatable.then(|| {
            let mut again = Request::new(body::empty());
            again.method_mut().clone_from(request.method());
            again.uri_mut().clone_from(request.uri());
            again.headers_mut().clone_from(request.headers());
            again
        });
        match (self.client.request(request).await, again) {
            (Err(error), Some(again)) if is_lost(&error) => {
                tracing::debug!(upstream = self.name, %error, "a request is sent once more");
                self.retries.add(1, &[KeyValue::new("upstream", self.name.clone())]);
                self.client.request(again).await
            }
            (sent, _) => sent,
        }
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
        let Some(id) = self.access.access_key_id() else {
            return Ok(Response::from_parts(parts, body.boxed_unsync()));
        };
        let document = upstream_refusal::examine(&parts.headers, body, id).await?;
        parts.extensions.insert(UpstreamCode(upstream_refusal::code(&document)));
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

/// Whether a connection failed, rather than that something was wrong with what was said on it.
fn is_lost(error: &client::Error) -> bool {
    let first = error as &(dyn Error + 'static);
    let causes = || std::iter::successors(Some(first), |&error| error.source());
    let is_io = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof
        )
    };
    causes().any(|cause| {
        let cut = cause.downcast_ref::<hyper::Error>().is_some_and(|error| {
            error.is_incomplete_message() || error.is_closed() || error.is_canceled()
        });
        cut || cause.downcast_ref::<io::Error>().is_some_and(is_io)
    })
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
