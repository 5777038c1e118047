//! The management listener: the vendors' dialects, each on its own route. The form of every answer is chosen
//! by the route.

pub(crate) mod frame;

use std::convert::Infallible;
use std::net::IpAddr;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, SERVER};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::access_log::{Entry, Logged};
use crate::body::BoxError;
use crate::iam::Iam;
use crate::identity::Identity;
use crate::keystone::{self, Keystone};
use crate::ontap::{self, Ontap};
use crate::osc::{self, Osc};
use crate::rest::{self, Rest};
use crate::s3::Verifier;
use crate::{body, request_id};

/// The dialects in which users and access keys are managed. No two have a route in common.
#[derive(Debug)]
pub(crate) struct Dialects {
    pub(crate) iam: Iam,
    ontap: Ontap,
    osc: Osc,
    rest: Rest,
}

impl Dialects {
    /// # Errors
    /// If the contracts ask for what is not served.
    pub(crate) fn new(
        verifier: &Verifier,
        identity: &Identity,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            iam: Iam::new(verifier.clone(), identity.clone()),
            ontap: Ontap::new(identity.clone()),
            osc: Osc::new(verifier.clone(), identity.clone()),
            rest: Rest::new(verifier.clone(), identity.clone(), shutdown.clone())?,
        })
    }
}

/// Answers one request of this client in the dialect of its route; Keystone's, in which nothing is managed, also where
/// the gateway manages nothing. On no dialect's route: with name and version at `/`, or that there is nothing there, as
/// a problem document (RFC 9457).
pub(crate) async fn handle<B>(
    client: IpAddr,
    request: Request<B>,
    dialects: Option<&Dialects>,
    keystone: &Keystone,
) -> Result<Response<Logged>, Infallible>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let path = request.uri().path();
    if keystone::is_mine(path) {
        return Ok(frame::handle(keystone, client, request).await);
    }
    let Some(dialects) = dialects else { return Ok(elsewhere(client, &request, keystone)) };
    let is_iam = path == "/" && *request.method() == Method::POST;
    Ok(if is_iam {
        dialects.iam.handle(client, request).await
    } else if ontap::is_mine(path) {
        frame::handle(&dialects.ontap, client, request).await
    } else if osc::is_mine(path) {
        frame::handle(&dialects.osc, client, request).await
    } else if rest::is_mine(path) {
        frame::handle(&dialects.rest, client, request).await
    } else {
        elsewhere(client, &request, keystone)
    })
}

fn elsewhere<B>(client: IpAddr, request: &Request<B>, keystone: &Keystone) -> Response<Logged> {
    let id = request_id();
    let entry = Entry::new(id.clone(), client, request.method().clone());
    let index = request.uri().path() == "/" && *request.method() == Method::GET;
    let (status, content_type, body) = if index {
        let mut body = json!({ "name": "claviger", "version": env!("CARGO_PKG_VERSION") });
        if let Some(versions) = keystone.versions() {
            body["versions"] = versions;
        }
        (StatusCode::OK, "application/json", body)
    } else {
        let body = json!({
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": "there is no such resource here",
            "instance": id,
            "reason": "NO_SUCH_ROUTE",
        });
        (StatusCode::NOT_FOUND, "application/problem+json", body)
    };
    let mut response = Response::new(body::full(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(SERVER, HeaderValue::from_static("claviger"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    entry.attach(response)
}

/// The whole answer, head and body, to a request that could not be read.
pub(crate) fn unreadable(status: StatusCode) -> Vec<u8> {
    let title = status.canonical_reason().unwrap_or("Bad Request");
    let id = request_id();
    let body = json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "detail": "the request could not be read",
        "instance": id,
        "reason": "MALFORMED_REQUEST",
    });
    let body = body.to_string();
    format!(
        "HTTP/1.1 {} {title}\r\ncontent-type: application/problem+json\r\nserver: claviger\r\n\
         date: {}\r\nconnection: close\r\nx-request-id: {id}\r\ncontent-length: {}\r\n\r\n{body}",
        status.as_u16(),
        httpdate::fmt_http_date(SystemTime::now()),
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests;
