//! The S3 listener: verify, then pass on.

mod buckets;
mod copy_source;
mod error_xml;
mod forward;
mod headers;
mod host;
mod operation;
mod owners;
mod payload;
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

use futures::FutureExt;
use http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, CONNECTION, CONTENT_TYPE, EXPECT, SERVER, TRANSFER_ENCODING,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::error_xml::About;
pub(crate) use self::error_xml::S3Error;
use self::forward::{Forwarder, Onward};
use self::host::Domains;
pub use self::store::bucket_names;
use self::target::{Resource, Target};
use self::tenants::{Asked, Course, Tenants};
pub(crate) use self::verify::Verifier;
use self::verify::{Payload, Verified};
use crate::access_log::{Entry, Logged};
use crate::body::BoxBody;
use crate::config::Config;
use crate::identity::Identity;
use crate::request_id;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const HOST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");

/// Answers S3 requests.
#[derive(Debug)]
pub(crate) struct S3 {
    verifier: Verifier,
    forwarder: Forwarder,
    tenants: Tenants,
    domains: Domains,
    reserved_buckets: Vec<String>,
    places: Arc<Semaphore>,
    /// Which gateway answered.
    host_id: String,
}

impl S3 {
    /// # Errors
    /// If the upstream's endpoint is not plain `http://host:port`, or a domain is no host name; if there is neither
    /// one account nor an identity.
    pub(crate) fn new(
        config: &Config,
        verifier: Verifier,
        identity: Option<&Identity>,
    ) -> anyhow::Result<Self> {
        let limits = &config.limits;
        Ok(Self {
            verifier,
            forwarder: Forwarder::new(&config.upstream, limits)?,
            tenants: Tenants::new(config, identity)?,
            domains: Domains::new(&config.domains)?,
            reserved_buckets: config.reserved_buckets.clone(),
            places: Arc::new(Semaphore::new(limits.requests_max)),
            host_id: Uuid::new_v4().simple().to_string(),
        })
    }

    /// Answers one request of this client.
    pub(crate) async fn handle(
        self: Arc<Self>,
        client: IpAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Logged>, Infallible> {
        let about = About {
            resource: request.uri().path().to_owned(),
            request_id: request_id(),
            host_id: self.host_id.clone(),
            head: request.method() == Method::HEAD,
        };
        let waits = request.headers().contains_key(EXPECT) && request.version() < Version::HTTP_2;
        let mut entry = Entry::new(about.request_id.clone(), client, request.method().clone());
        let answer =
            AssertUnwindSafe(self.answer(client, request, &mut entry)).catch_unwind().await;
        let answer = answer.unwrap_or_else(|_panic| Err(S3Error::internal()));
        let mut response = answer.unwrap_or_else(|error| {
            entry.code = error.code().to_owned();
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
        if waits && entry.bytes_in.bytes() == 0 {
            // The client was to be told to send its body, and has its answer instead. Whether it sends the body now
            // is its choice (RFC 9110 section 10.1.1): what it sends next could be taken for either.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(entry.attach(response))
    }

    /// Follows whose buckets are, until `shutdown`.
    pub(crate) async fn follow(&self, shutdown: &CancellationToken) {
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
        request: Request<Incoming>,
        entry: &mut Entry,
    ) -> Result<Response<BoxBody>, S3Error> {
        let (head, body) = request.into_parts();
        let place = Arc::clone(&self.places).try_acquire_owned();
        entry.place = Some(place.map_err(|_| S3Error::slow_down())?);
        let target = Target::parse(&head.uri, &head.headers, &self.domains)?;
        check_method(&head, &target)?;

        let verified = self.verifier.verify(client, &head, &target.sent).await?;
        entry.account_id = verified.account_id.to_string();
        entry.user_id.clone_from(&verified.user_id);
        entry.access_key_id.clone_from(&verified.access_key_id);
        self.tenants.admit(verified.account_id)?;
        // Only now: strangers learn nothing of what is served here.
        check_body(&head, &verified)?;
        operation::check(&head.method, &target, &self.reserved_buckets)?;

        let hash = match verified.payload {
            Payload::Signed(hash) => Some(hash),
            Payload::Unsigned => None,
            Payload::Chunked if !is_upload(&head.method) => {
                let message = "A request without a body has no chunks (x-amz-content-sha256).";
                return Err(S3Error::invalid_request(message));
            }
            Payload::Chunked => {
                return Err(S3Error::not_implemented(
                    "Chunked uploads (x-amz-content-sha256: STREAMING-...) are not implemented.",
                ));
            }
        };
        let onward_headers = headers::onward(&head.headers, &verified.signed_headers)?;
        let asked = Asked {
            method: &head.method,
            target: &target,
            headers: &onward_headers,
            verified: &verified,
            client,
            request_id: &entry.request_id,
        };
        let after = match self.tenants.course(asked, &self.forwarder).await? {
            Course::Answered(response) => return Ok(response),
            Course::Onward(after) => after,
        };
        let onward = Onward {
            content_length: content_length(&head.headers, &body),
            headers: onward_headers,
            method: head.method,
            target: &target,
            body,
            hash,
            bytes_in: entry.bytes_in.clone(),
        };
        let answer = self.forwarder.forward(onward).await;
        self.tenants.settle(after, answer, &self.forwarder).await
    }
}

/// Refuses what no signature can allow.
fn check_method(head: &Parts, target: &Target) -> Result<(), S3Error> {
    match head.method {
        Method::GET | Method::HEAD | Method::PUT | Method::POST | Method::DELETE => Ok(()),
        // A browser asks before a request from another site. It cannot sign that, so what it is
        // told must not depend on anything: there is no CORS configuration.
        Method::OPTIONS => {
            let message = "CORSResponse: CORS is not enabled for this bucket.";
            let method = head.headers.get(ACCESS_CONTROL_REQUEST_METHOD);
            let method = method.and_then(|method| method.to_str().ok()).unwrap_or_default();
            Err(S3Error::new(StatusCode::FORBIDDEN, "AccessForbidden", message)
                .with("Method", method)
                .with("ResourceType", target.resource().type_name()))
        }
        _ => Err(operation::method_not_allowed(&head.method, target.resource())),
    }
}

/// Whether requests of this method have a body.
fn is_upload(method: &Method) -> bool {
    matches!(*method, Method::PUT | Method::POST)
}

/// Refuses bodies in forms that are not offered, rather than passing on what nobody checked.
fn check_body(head: &Parts, verified: &Verified) -> Result<(), S3Error> {
    if head.headers.contains_key(TRANSFER_ENCODING) {
        if is_upload(&head.method) {
            let message = "You must provide the Content-Length HTTP header.";
            let status = StatusCode::LENGTH_REQUIRED;
            return Err(S3Error::new(status, "MissingContentLength", message));
        }
        let message = "A header you provided implies functionality that is not implemented.";
        return Err(S3Error::not_implemented(message).with("Header", "Transfer-Encoding"));
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
    let told = headers.contains_key(http::header::CONTENT_LENGTH);
    // hyper has read the header and, where there are several, compared them.
    body.size_hint().exact().filter(|_| told)
}

/// The whole answer to a request that could not be read.
pub(crate) fn unreadable(status: http::StatusCode) -> Vec<u8> {
    S3Error::unreadable(status)
}
