//! NetApp ONTAP's REST API, as far as it is about S3 users and their keys.
//!
//! `/api/protocols/s3/services/{svm.uuid}/users` and what clients ask of before: the services, the SVMs, the
//! cluster. An SVM is an account. Basic authentication with a login and a password, or a bearer token, an
//! admin token. Each request becomes calls to identity on behalf of whoever asks; nothing is kept here.
//!
//! Source: ONTAP REST API reference 9.17, "Manage S3 users"; ONTAP automation; netapp-ontap 9.19.1.

mod body;
mod change;
mod collection;
mod duration;
mod error;
mod filter;
mod query;
mod render;
mod route;
mod select;
mod service;
mod user;

use std::sync::Arc;

use api::identity::v1::{Account, GetAccountRequest};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tonic::Status;
use uuid::Uuid;

use self::error::{Doing, OntapError, To};
use self::query::Query;
use self::route::Route;
use crate::access_log::Entry;
use crate::body::{BoxBody, full};
use crate::identity::{Acting, Identity, Origin, Who};
use crate::management::frame::{self, Dialect};
use crate::request::{self, Shown, cross_origin, media_type};

pub(crate) use self::route::is_mine;

/// The most requests under way, each with records in memory; further ones are told to slow down.
const CALLS_MAX: usize = 64;

/// Answers ONTAP's requests.
#[derive(Clone, Debug)]
pub(crate) struct Ontap {
    identity: Identity,
    places: Arc<Semaphore>,
}

/// A request of somebody who showed who it is.
struct Call<'a> {
    identity: &'a Identity,
    acting: Acting,
    query: Query,
    /// As it was asked for, without its query.
    path: &'a str,
    body: Bytes,
    /// For creations that may be sent again.
    idempotency_id: String,
}

/// What is answered.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    document: Value,
    location: Option<String>,
}

impl From<Value> for Reply {
    fn from(document: Value) -> Self {
        Self { status: StatusCode::OK, document, location: None }
    }
}

impl Ontap {
    pub(crate) fn new(identity: Identity) -> Self {
        Self { identity, places: Arc::new(Semaphore::new(CALLS_MAX)) }
    }

    /// Who asks. What a bearer token is worth is seen with the first call to identity.
    async fn who(
        &self,
        head: &Parts,
        origin: &Origin,
        entry: &mut Entry,
    ) -> Result<Who, OntapError> {
        match Shown::of(&head.headers) {
            Shown::Nothing | Shown::Signature | Shown::Unknown => Err(OntapError::not_authorized()),
            Shown::Token(token) => Ok(Who::Token(token)),
            Shown::Password { login, password } => {
                let principal = self.identity.verify_password(origin, login, &password).await;
                let principal = principal.map_err(|status| of_login(&status))?;
                frame::asked_by(&principal, entry);
                Ok(Who::User(principal))
            }
        }
    }
}

impl Dialect for Ontap {
    const FACADE: &'static str = "ontap";
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    type Refusal = OntapError;

    async fn answer(
        &self,
        head: &Parts,
        body: BoxBody,
        origin: &Origin,
        entry: &mut Entry,
    ) -> Result<Response<BoxBody>, OntapError> {
        let _place = self.places.try_acquire().map_err(|_| OntapError::too_many())?;
        if head.method != Method::GET && !cross_origin::is_own(&head.headers) {
            return Err(OntapError::cross_origin());
        }
        let who = self.who(head, origin, entry).await?;
        let body = request::read(body).await?;
        entry.bytes_in.add(body.len());
        check_media_type(&head.headers, &body)?;
        let path = head.uri.path();
        let call = Call {
            identity: &self.identity,
            acting: Acting { who, origin: origin.clone() },
            query: Query::parse(head.uri.query().unwrap_or_default())?,
            path,
            body,
            idempotency_id: request::idempotency_id(&head.headers),
        };
        let reply = call.act(&head.method, &Route::of(path)).await?;
        let mut response = respond(reply.status, &reply.document);
        if let Some(location) = reply.location.and_then(|text| HeaderValue::try_from(text).ok()) {
            response.headers_mut().insert(LOCATION, location);
        }
        Ok(response)
    }

    fn refuse(&self, head: &Parts, refusal: &OntapError, _: &str) -> Response<BoxBody> {
        let mut response = respond(refusal.status, &refusal.document());
        let headers = response.headers_mut();
        if refusal.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"claviger\", charset=\"UTF-8\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if refusal.status == StatusCode::METHOD_NOT_ALLOWED {
            let route = Route::of(head.uri.path());
            headers.insert(ALLOW, HeaderValue::from_static(allowed(&route)));
        }
        response
    }
}

/// What a body may be said to be: JSON, or what curl says of any.
const TYPES: [&str; 3] = [media_type::JSON, "application/hal+json", media_type::FORM];

/// Whether a body is said to be JSON, or nothing is said of it.
fn check_media_type(headers: &HeaderMap, body: &[u8]) -> Result<(), OntapError> {
    let is_said = headers.contains_key(CONTENT_TYPE);
    let is_known = !is_said || media_type::is_one_of(headers, &TYPES);
    if body.is_empty() || is_known && !media_type::is_encoded(headers) {
        return Ok(());
    }
    Err(OntapError::media_type())
}

/// What is said against a login. One that has not the form of one is nobody's.
fn of_login(status: &Status) -> OntapError {
    match api::reason(status) {
        Some(api::error::v1::Reason::InvalidField) => OntapError::not_authorized(),
        _ => OntapError::of_status(status, Doing::default()),
    }
}

fn respond(status: StatusCode, document: &Value) -> Response<BoxBody> {
    let mut response = Response::new(full(document.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/hal+json"));
    response
}

/// The methods that a resource has.
fn allowed(route: &Route) -> &'static str {
    match route {
        Route::Cluster | Route::Svms | Route::Svm(_) => "GET",
        Route::Services | Route::Service(_) => "GET, PATCH",
        Route::Users(_) => "GET, POST, PATCH, DELETE",
        Route::User(..) => "GET, PATCH, DELETE",
        Route::Nothing => "",
    }
}

impl Call<'_> {
    async fn act(&self, method: &Method, route: &Route) -> Result<Reply, OntapError> {
        match (route, method) {
            (Route::Cluster, &Method::GET) => self.get_cluster().await,
            (Route::Svms, &Method::GET) => self.list_svms().await,
            (Route::Svm(svm), &Method::GET) => self.get_svm(*svm).await,
            (Route::Services, &Method::GET) => self.list_services().await,
            (Route::Services, &Method::PATCH) => self.patch_services().await,
            (Route::Service(svm), &Method::GET) => self.get_service(*svm).await,
            (Route::Service(svm), &Method::PATCH) => self.patch_service(*svm).await,
            (Route::Users(svm), &Method::GET) => self.list_users(*svm).await,
            (Route::Users(svm), &Method::POST) => self.create_user(*svm).await,
            (Route::Users(svm), &Method::PATCH) => self.patch_users(*svm).await,
            (Route::Users(svm), &Method::DELETE) => self.delete_users(*svm).await,
            (Route::User(svm, name), &Method::GET) => self.get_user(*svm, name).await,
            (Route::User(svm, name), &Method::PATCH) => self.patch_user(*svm, name).await,
            (Route::User(svm, name), &Method::DELETE) => self.delete_user(*svm, name).await,
            (Route::Nothing, _) => {
                // Nobody learns what there is without having shown who it is.
                self.check_who().await?;
                Err(OntapError::new(StatusCode::NOT_FOUND, "3", "There is no such API here."))
            }
            (_, method) => {
                self.check_who().await?;
                Err(OntapError::method(method))
            }
        }
    }

    /// The account that an SVM is. Somebody else's is not there.
    async fn account(&self, svm: Uuid) -> Result<Account, OntapError> {
        let svm = svm.to_string();
        let own = self.acting.user().map(|principal| principal.account_id == svm);
        if own == Some(false) {
            return Err(OntapError::no_entry("svm.uuid"));
        }
        let request = GetAccountRequest { name: format!("accounts/{svm}"), ..Default::default() };
        let answer = self.identity.get_account(&self.acting, request).await;
        let answer = answer.map_err(|status| {
            let refused = self.refused(To::Other)(status);
            // A token for another account.
            let foreign = own.is_none() && refused.status == StatusCode::FORBIDDEN;
            if foreign { OntapError::no_entry("svm.uuid") } else { refused }
        })?;
        answer.account.ok_or_else(OntapError::internal)
    }

    fn refused(&self, to: To) -> impl Fn(Status) -> OntapError + '_ {
        move |status| OntapError::of_status(&status, Doing { resource: self.path, to })
    }

    /// The id under which a creation for this user may be sent again; none if the client sent none.
    fn idempotency_id_for(&self, user: &str) -> String {
        if self.idempotency_id.is_empty() {
            return String::new();
        }
        let text = format!("{}/{user}", self.idempotency_id);
        let digest: [u8; 32] = Sha256::digest(text.to_ascii_lowercase()).into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
    }
}
