//! The REST API: identity's RPCs as their annotations put them into HTTP, with JSON.
//!
//! Nothing here knows an RPC by its name: routes, fields, the OpenAPI document and its page all come from
//! the contracts. A request is bound to a message ([`bind`]), handed on to identity on behalf of whoever
//! asks, and the answer rendered ([`render`], [`lines`]); every refusal is a problem document
//! ([`problem`]).
//!
//! Source: AIP-127 and the comments of `google/api/http.proto`; ProtoJSON; RFC 9457.

mod bind;
mod comments;
mod condition;
mod contract;
mod credential;
mod field;
mod lines;
mod openapi;
mod page;
mod percent;
mod problem;
mod render;
mod template;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use prost::Message;
use prost_reflect::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::contract::{Contract, Found, Rpc};
use self::page::Page;
use self::problem::Problem;
use self::template::Values;
use crate::access_log::Entry;
use crate::body::{self, BoxBody};
use crate::identity::{Acting, Identity, Origin};
use crate::management::frame::Dialect;
use crate::request::{self, cross_origin, media_type};
use crate::s3::Verifier;

/// The most requests under way, each with a body in memory; further ones are told to wait.
const CALLS_MAX: usize = 128;
/// The most answers under way that go on.
const STREAMS_MAX: usize = 64;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Answers requests for the REST API, its OpenAPI document and its page.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    contract: Arc<Contract>,
    openapi: Bytes,
    page: Page,
    verifier: Verifier,
    identity: Identity,
    places: Arc<Semaphore>,
    stream_places: Arc<Semaphore>,
    shutdown: CancellationToken,
}

/// Whether a path is one of this API.
pub(crate) fn is_mine(path: &str) -> bool {
    path == "/v1" || path.starts_with("/v1/") || path == "/openapi.json" || path == "/docs"
}

impl Rest {
    /// Makes routes and documents of the contracts. What goes on ends at `shutdown`.
    ///
    /// # Errors
    /// If the contracts ask for what is not served.
    pub(crate) fn new(
        verifier: Verifier,
        identity: Identity,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Self> {
        let contract = Contract::load()?;
        let document = openapi::document(&contract)?;
        Ok(Self {
            openapi: serde_json::to_vec_pretty(&document)?.into(),
            page: Page::of(&document),
            contract: Arc::new(contract),
            verifier,
            identity,
            places: Arc::new(Semaphore::new(CALLS_MAX)),
            stream_places: Arc::new(Semaphore::new(STREAMS_MAX)),
            shutdown,
        })
    }

    /// What anybody may read.
    fn document(&self, path: &str) -> Option<Response<BoxBody>> {
        let mut response = match path {
            "/openapi.json" => respond(JSON, body::full(self.openapi.clone())),
            "/docs" => self.page.respond(),
            _ => return None,
        };
        let cache = HeaderValue::from_static("no-cache");
        response.headers_mut().insert(CACHE_CONTROL, cache);
        Some(response)
    }

    /// Calls an RPC on behalf of whoever asks.
    async fn call(
        &self,
        rpc: &Rpc,
        values: Values,
        (head, body): (&Parts, BoxBody),
        origin: &Origin,
        entry: &mut Entry,
    ) -> Result<Response<BoxBody>, Problem> {
        if rpc.writes() && !cross_origin::is_own(&head.headers) {
            return Err(Problem::cross_origin());
        }
        let places = if rpc.streams() { &self.stream_places } else { &self.places };
        let place = Arc::clone(places).try_acquire_owned();
        entry.place = Some(place.map_err(|_| Problem::too_many_requests())?);
        let shown = credential::shown(&head.headers)?;
        let has_body = !http_body::Body::is_end_stream(&body);
        if has_body {
            check_media_type(rpc, &head.headers)?;
        }
        let body = request::read(body).await?;
        entry.bytes_in.add(body.len());
        let asked = (&self.verifier, &self.identity);
        let who = credential::check(shown, asked, (head, &body), origin, entry).await?;
        let acting = Acting { who, origin: origin.clone() };
        let mut message = bind::bind(rpc, values, head.uri.query(), &body)?;
        let conditional = condition::apply(rpc, &head.headers, &mut message)?;
        if rpc.has_request_id() && bind::text(&message, "request_id").is_empty() {
            let id = request::idempotency_id(&head.headers);
            bind::set(&mut message, "request_id", Value::String(id));
        }
        let (path, message) = (rpc.grpc_path.clone(), message.encode_to_vec());
        let refused = |status| condition::refused(conditional, Problem::of_status(&status));
        if rpc.streams() {
            let messages = self.identity.watch(&acting, path, message).await.map_err(refused)?;
            let (id, shutdown) = (origin.request_id.clone(), self.shutdown.clone());
            return Ok(respond(LINES, lines::body(messages, rpc.response.clone(), id, shutdown)));
        }
        let answer = self.identity.call(&acting, path, message).await.map_err(refused)?;
        let etag = render::etag(&rpc.response, &answer);
        let mut response = respond(JSON, body::full(render::json(&rpc.response, answer)?));
        if let Some(etag) = etag.and_then(|it| HeaderValue::try_from(format!("\"{it}\"")).ok()) {
            response.headers_mut().insert(ETAG, etag);
        }
        Ok(response)
    }
}

/// Whether a body is said to be JSON, as it is; a change may be said to be a merge patch (RFC 7396).
fn check_media_type(rpc: &Rpc, headers: &HeaderMap) -> Result<(), Problem> {
    let merge_patch = (rpc.verb == Method::PATCH).then_some("application/merge-patch+json");
    let types: Vec<&str> = [media_type::JSON].into_iter().chain(merge_patch).collect();
    if !media_type::is_one_of(headers, &types) {
        return Err(Problem::unsupported_media_type("the body must be application/json"));
    }
    if media_type::is_encoded(headers) {
        return Err(Problem::unsupported_media_type("the body must not be compressed"));
    }
    Ok(())
}

impl Dialect for Rest {
    const FACADE: &'static str = "rest";
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    type Refusal = Problem;

    async fn answer(
        &self,
        head: &Parts,
        body: BoxBody,
        origin: &Origin,
        entry: &mut Entry,
    ) -> Result<Response<BoxBody>, Problem> {
        let path = head.uri.path();
        if let Some(document) = self.document(path) {
            return match head.method {
                Method::GET | Method::HEAD => Ok(document),
                _ => Err(Problem::method_not_allowed("GET, HEAD".to_owned())),
            };
        }
        match self.contract.find(&head.method, path) {
            Found::Rpc(rpc, values) => self.call(rpc, values, (head, body), origin, entry).await,
            Found::ByOtherMethods(methods) => {
                let methods: Vec<_> = methods.iter().map(Method::as_str).collect();
                Err(Problem::method_not_allowed(methods.join(", ")))
            }
            Found::Nothing => Err(Problem::not_found()),
        }
    }

    fn refuse(&self, _: &Parts, problem: &Problem, request_id: &str) -> Response<BoxBody> {
        let mut response = respond(PROBLEM, body::full(problem.document(request_id).to_string()));
        *response.status_mut() = problem.status;
        let headers = response.headers_mut();
        if problem.status == StatusCode::UNAUTHORIZED {
            credential::challenge(headers);
        }
        let allow = problem.allow.as_ref();
        if let Some(allow) = allow.and_then(|allow| HeaderValue::try_from(allow).ok()) {
            headers.insert(ALLOW, allow);
        }
        response
    }
}

fn respond(content_type: HeaderValue, body: BoxBody) -> Response<BoxBody> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
