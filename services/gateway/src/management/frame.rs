//! What every dialect has around its calls: a request's id, its line in the access log, headers, and an answer
//! of the dialect's own whatever becomes of a call.

use std::borrow::Cow;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;

use api::auth::v1::{Principal, Verified};
use bytes::Bytes;
use futures::FutureExt;
use http::header::{CACHE_CONTROL, RETRY_AFTER, SERVER};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use uuid::Uuid;

use crate::access_log::{Entry, Logged};
use crate::body::{self, BoxBody, BoxError};
use crate::identity::Origin;
use crate::s3::S3Error;

const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// A way to ask for what identity and auth do.
pub(crate) trait Dialect: Sync {
    /// What its calls are in the audit trail.
    const FACADE: &'static str;
    /// The header that tells a request's id.
    const REQUEST_ID: HeaderName;
    type Refusal: Refusal;

    /// Does what a request asks for.
    fn answer(
        &self,
        head: &Parts,
        body: BoxBody,
        origin: &Origin,
        entry: &mut Entry,
    ) -> impl Future<Output = Result<Response<BoxBody>, Self::Refusal>> + Send;

    /// Says that it is not done.
    fn refuse(&self, head: &Parts, refusal: &Self::Refusal, request_id: &str) -> Response<BoxBody>;
}

/// Why something is not done, in the words of a dialect.
pub(crate) trait Refusal: Send + Sized {
    /// The server failed in a way that it did not foresee.
    fn internal() -> Self;

    /// What the access log has of it.
    fn code(&self) -> Cow<'static, str>;

    /// After how many seconds asking again may help, where that is known.
    fn retry_after(&self) -> Option<u32>;
}

/// Answers one request of this client, a panic too.
pub(crate) async fn handle<D, B>(
    dialect: &D,
    client: IpAddr,
    request: Request<B>,
) -> Response<Logged>
where
    D: Dialect,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let request_id = Uuid::now_v7().to_string();
    let mut entry = Entry::new(request_id.clone(), client, request.method().clone());
    let (head, body) = request.map(body::boxed).into_parts();
    let origin = Origin { facade: D::FACADE, client, request_id };
    let answer = dialect.answer(&head, body, &origin, &mut entry);
    let answer = AssertUnwindSafe(answer).catch_unwind().await;
    let answer = answer.unwrap_or_else(|_panic| Err(D::Refusal::internal()));
    let mut response = answer.unwrap_or_else(|refusal| {
        entry.code = refusal.code().into_owned();
        let mut response = dialect.refuse(&head, &refusal, &origin.request_id);
        let waits = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        let soon = waits.contains(&response.status()).then_some(1);
        if let Some(seconds) = refusal.retry_after().or(soon) {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    });
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("claviger"));
    headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    // What is told here is secret, or will have changed.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::try_from(origin.request_id) {
        headers.insert(D::REQUEST_ID, value);
    }
    entry.attach(response)
}

/// Notes in the access log who signed a request, or who is said to have.
///
/// # Errors
/// Auth's denial, as `refuse` says it.
pub(crate) fn signer<R: Refusal>(
    verified: Result<Verified, S3Error>,
    entry: &mut Entry,
    refuse: impl FnOnce(&S3Error) -> R,
) -> Result<Principal, R> {
    let verified = verified.map_err(|denial| {
        if let Some(claimed) = denial.detail("AWSAccessKeyId") {
            entry.claim(claimed);
        }
        refuse(&denial)
    })?;
    entry.access_key_id = verified.access_key_id;
    let principal = verified.principal.ok_or_else(R::internal)?;
    asked_by(&principal, entry);
    Ok(principal)
}

/// Notes in the access log who asks.
pub(crate) fn asked_by(principal: &Principal, entry: &mut Entry) {
    entry.account_id.clone_from(&principal.account_id);
    entry.user_id.clone_from(&principal.user_id);
}
