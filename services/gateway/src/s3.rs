//! The S3 listener: verify, then pass on.

mod anonymous;
mod buckets;
mod chain;
mod chunked;
mod content;
mod copy_source;
mod cors;
mod error_xml;
mod form;
mod forward;
mod headers;
mod host;
mod noted;
mod operation;
mod operations;
mod owners;
mod payload;
mod relayed;
mod signed;
mod signing;
mod store;
mod target;
mod tenants;
mod upstream_refusal;
mod verify;

use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, SERVER, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use telemetry::{HttpRoute, ReadyFlag};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::anonymous::Anonymous;
use self::content::Content;
use self::cors::Cors;
use self::error_xml::About;
pub(crate) use self::error_xml::S3Error;
pub(crate) use self::forward::Forwarder;
use self::forward::Onward;
use self::host::Domains;
pub(crate) use self::operation::is_plain_parameter;
pub(crate) use self::operations::Operation;
pub(crate) use self::relayed::{Relayed, SignedText};
pub(crate) use self::signed::Signed;
pub(crate) use self::signing::Signer;
pub use self::store::bucket_names;
use self::target::Resource;
pub(crate) use self::target::Target;
use self::tenants::{Asked, Course, Tenants};
pub(crate) use self::verify::Verifier;
use self::verify::{Payload, Verified};
use crate::access_log::{Entry, Logged, S3Entry, ServerRequest};
use crate::body::BoxBody;
use crate::config::{AccessLog, Config};
use crate::listener::Client;
use crate::metrics::Metrics;
use crate::request_id;
use crate::upstream::{Identity, Upstreams};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const HOST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");

/// Answers S3 requests.
#[derive(Debug)]
pub(crate) struct S3 {
    verifier: Verifier,
    upstreams: Upstreams,
    tenants: Tenants,
    anonymous: Anonymous,
    cors: Cors,
    domains: Domains,
    reserved_buckets: Vec<String>,
    places: Arc<Semaphore>,
    /// Of uploads by forms, which hold a part of their file in memory.
    form_places: Semaphore,
    /// How long a body may stand still.
    idle_timeout: Duration,
    metrics: Metrics,
    access_log: AccessLog,
    /// Which gateway answered.
    host_id: String,
}

impl S3 {
    /// # Errors
    /// If upstreams or CORS rules are not what they must be, or a domain is no host name; if there is neither
    /// one account nor an identity.
    pub(crate) fn new(
        config: &Config,
        verifier: Verifier,
        identity: Option<&crate::identity::Identity>,
    ) -> anyhow::Result<Self> {
        let limits = &config.limits;
        Ok(Self {
            verifier,
            upstreams: Upstreams::new(config)?,
            tenants: Tenants::new(config, identity)?,
            anonymous: Anonymous::new(&config.anonymous_buckets),
            cors: Cors::new(&config.cors)?,
            domains: Domains::new(&config.domains)?,
            reserved_buckets: config.reserved_buckets.clone(),
            places: Arc::new(Semaphore::new(limits.requests_max)),
            form_places: Semaphore::new(limits.forms_max),
            idle_timeout: limits.idle_timeout,
            metrics: Metrics::new(),
            access_log: config.access_log,
            host_id: Uuid::new_v4().simple().to_string(),
        })
    }

    /// Answers one request of this client.
    pub(crate) async fn handle(
        self: Arc<Self>,
        client: Client,
        request: Request<Incoming>,
    ) -> Result<Response<Logged>, Infallible> {
        let (address, (head, body)) = (client.address.ip(), request.into_parts());
        let about = About {
            resource: head.uri.path().to_owned(),
            request_id: request_id(),
            host_id: self.host_id.clone(),
            head: head.method == Method::HEAD,
        };
        let mut entry = Entry::new(about.request_id.clone(), address, head.method.clone());
        let mut s3 = Box::new(S3Entry::new(self.metrics.clone()));
        s3.host_id.clone_from(&about.host_id);
        s3.server_format =
            (self.access_log == AccessLog::S3).then(|| ServerRequest::new(&head, client.tls));
        entry.s3 = Some(s3);
        let waits = head.headers.contains_key(EXPECT) && head.version < Version::HTTP_2;
        let is_encoded = head.headers.contains_key(TRANSFER_ENCODING);
        let granted = self.cors.grant(&head.method, &head.headers);
        let answer =
            AssertUnwindSafe(self.answer(address, head, body, &mut entry)).catch_unwind().await;
        let answer = answer.unwrap_or_else(|_panic| Err(S3Error::internal()));
        let mut response = answer.unwrap_or_else(|error| {
            entry.code = error.code().to_owned();
            entry.why = error.message().to_owned();
            if let Some(claimed) = error.detail("AWSAccessKeyId") {
                entry.claim(claimed);
            }
            error.response(&about)
        });
        // The upstream has its own, by which nobody here finds anything.
        for (name, value) in [(REQUEST_ID, about.request_id), (HOST_ID, about.host_id)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response.headers_mut().insert(SERVER, HeaderValue::from_static("claviger"));
        granted.apply(response.headers_mut());
        // What follows such a body, others may have taken for a part of it (RFC 9112 section 6.3).
        if is_encoded && !entry.why.is_empty() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if waits && entry.bytes_in.bytes() == 0 {
            // The client was to be told to send its body, and has its answer instead. Whether it sends the body now
            // is its choice (RFC 9110 section 10.1.1): what it sends next could be taken for either.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(s3) = &entry.s3 {
            response.extensions_mut().insert(HttpRoute(s3.operation.name.into()));
        }
        Ok(entry.attach(response))
    }

    /// Watches over the upstreams until `shutdown`, and tells beside `ready` which are down.
    pub(crate) async fn watch_upstreams(&self, ready: &ReadyFlag, shutdown: &CancellationToken) {
        self.upstreams.watch(ready, shutdown).await;
    }

    /// Follows whose buckets are, until `shutdown`.
    pub(crate) async fn follow_buckets(&self, shutdown: &CancellationToken) {
        self.tenants.follow(shutdown).await;
    }

    /// Whether a request is for a bucket, or for something in one: by its path, or by its host.
    pub(crate) fn is_of_bucket(&self, request: &Request<Incoming>) -> bool {
        let target = Target::parse(request.uri(), request.headers(), &self.domains);
        target.is_ok_and(|target| target.resource() != Resource::Service)
    }

    async fn answer(
        &self,
        client: IpAddr,
        head: Parts,
        body: Incoming,
        entry: &mut Entry,
    ) -> Result<Response<BoxBody>, S3Error> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        entry.place = Some(place.map_err(|_| S3Error::slow_down())?);
        let target = Target::parse(&head.uri, &head.headers, &self.domains)?;
        noted::request(entry, &head, &target);
        if head.method == Method::OPTIONS {
            return self.cors.preflight(&head.headers, target.resource());
        }
        check_method(&head, &target)?;
        if form::is_form(&head, &target) {
            return self.upload_form(client, &head, &target, body, entry).await;
        }

        let is_anonymous = self.anonymous.allow(&head, &target, !body.is_end_stream());
        let verified = if is_anonymous {
            noted::anonymous(entry);
            anonymous::nobody()
        } else {
            let verified = self.verifier.verify(client, &head, &target).await?;
            self.allow(&verified, entry)?;
            verified
        };
        let target = if verified.is_version_2 { target.less_version_2()? } else { target };
        // Only now: strangers learn nothing of what is served here.
        check_body(&head, &body, &verified)?;
        operation::check(&head.method, &target, &self.reserved_buckets)?;

        let onward_headers = headers::onward(&head.headers, &verified.signed_headers)?;
        let account = match is_anonymous {
            true => self.tenants.owner_for_anybody(&target)?,
            false => verified.account_id,
        };
        let upstream = self.upstreams.of(target.resource().bucket(), account);
        let after = if is_anonymous {
            None
        } else {
            let asked = Asked {
                method: &head.method,
                target: &target,
                headers: &onward_headers,
                verified: &verified,
                client,
                request_id: &entry.request_id,
            };
            match self.tenants.course(asked, upstream).await? {
                Course::Answered(response) => return Ok(response),
                Course::Onward(after) => Some(after),
            }
        };
        self.check_sources(&onward_headers, &target, account, upstream)?;
        noted::owner(entry, account);
        let content = match verified.payload {
            Payload::Signed(hash) => Content::Signed(hash),
            Payload::Unsigned => Content::Unsigned,
            Payload::Chunked(_) if !is_upload(&head.method) => {
                let message = "A request without a body has no chunks (x-amz-content-sha256).";
                return Err(S3Error::invalid_request(message));
            }
            Payload::Chunked(mode) => {
                let chunks = self.verifier.chunks(client, &head, &target.sent, &verified, mode);
                let (announced, chunks) = chunks.await?;
                Content::Chunked(announced, Box::new(chunks))
            }
        };
        let onward = Onward {
            content_length: content_length(&head.headers, &body),
            headers: onward_headers,
            method: head.method,
            target: &target,
            body,
            content,
            bytes_in: entry.bytes_in.clone(),
            identity: if is_anonymous { Identity::default() } else { verified.identity() },
        };
        noted::upstream(entry, upstream.name());
        let response = match after {
            None => upstream.forward(onward).await?,
            Some(after) => {
                let answer = upstream.forward(onward).await;
                self.tenants.settle(after, answer, upstream, verified.identity()).await?
            }
        };
        noted::answer(entry, &response);
        Ok(response)
    }

    /// Refuses a copy from a bucket that is at another upstream: where it would go there may be one of the same name.
    fn check_sources(
        &self,
        headers: &HeaderMap,
        target: &Target,
        account: Uuid,
        upstream: &Forwarder,
    ) -> Result<(), S3Error> {
        let sources = copy_source::buckets(headers, target)?;
        let is_elsewhere =
            |source: &str| self.upstreams.of(Some(source), account).name() != upstream.name();
        if sources.iter().any(|source| is_elsewhere(source.as_str())) {
            let message = "Copies between the stores behind this endpoint are not implemented.";
            return Err(S3Error::not_implemented(message));
        }
        Ok(())
    }

    /// Whether whoever signed may have buckets here.
    fn allow(&self, verified: &Verified, entry: &mut Entry) -> Result<(), S3Error> {
        noted::requester(entry, verified);
        self.tenants.admit(verified.account_id)
    }
}

/// Refuses what no signature can allow.
fn check_method(head: &Parts, target: &Target) -> Result<(), S3Error> {
    match head.method {
        Method::GET | Method::HEAD | Method::PUT | Method::POST | Method::DELETE => Ok(()),
        _ => Err(operation::method_not_allowed(&head.method, target.resource())),
    }
}

/// Whether requests of this method have a body.
fn is_upload(method: &Method) -> bool {
    matches!(*method, Method::PUT | Method::POST)
}

/// Refuses bodies in forms that are not offered, rather than passing on what nobody checked.
fn check_body(head: &Parts, body: &Incoming, verified: &Verified) -> Result<(), S3Error> {
    // In HTTP/2 a body needs neither a length nor an encoding.
    let is_of_unknown_length = !head.headers.contains_key(CONTENT_LENGTH) && !body.is_end_stream();
    // The length of data in chunks is told by another header, and so that of the body need not be.
    let is_chunked = matches!(verified.payload, Payload::Chunked(_));
    let is_encoded = head.headers.contains_key(TRANSFER_ENCODING);
    if (is_encoded || is_of_unknown_length) && !is_chunked {
        if is_upload(&head.method) {
            let message = "You must provide the Content-Length HTTP header.";
            let status = StatusCode::LENGTH_REQUIRED;
            return Err(S3Error::new(status, "MissingContentLength", message));
        }
        let message = "A header you provided implies functionality that is not implemented.";
        return Err(S3Error::not_implemented(message).with("Header", "Transfer-Encoding"));
    }
    // There are servers that take such a body for the next request.
    if matches!(head.method, Method::GET | Method::HEAD) && !body.is_end_stream() {
        return Err(S3Error::invalid_request("A request of this method has no body."));
    }
    if head.headers.get_all(CONTENT_TYPE).iter().nth(1).is_some() {
        let message = "A request has at most one Content-Type header.";
        return Err(S3Error::invalid_request(message));
    }
    let content_type = head.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let form = b"multipart/form-data";
    let is_form = content_type.get(..form.len()).is_some_and(|t| t.eq_ignore_ascii_case(form));
    if head.method == Method::POST && is_form {
        // An upstream would look for a policy inside, and not at the signature outside.
        tracing::debug!(access_key_id = verified.access_key_id, "a signed form was refused");
        return Err(S3Error::not_implemented("Form uploads are not implemented."));
    }
    Ok(())
}

/// How many bytes the body has; none if the request did not speak of one.
fn content_length(headers: &HeaderMap, body: &Incoming) -> Option<u64> {
    let told = headers.contains_key(CONTENT_LENGTH);
    // hyper has read the header and, where there are several, compared them.
    body.size_hint().exact().filter(|_| told)
}

/// The whole answer to a request that could not be read.
pub(crate) fn unreadable(status: http::StatusCode) -> Vec<u8> {
    S3Error::unreadable(status)
}
