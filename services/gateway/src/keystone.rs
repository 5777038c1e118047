//! Keystone's API, as far as a Ceph RGW and OpenStack Swift ask it who signed a request: `/v3` and what is below.
//!
//! A service signs in by its password, gets a token that ends soon, and asks with it about signatures. What it is told
//! has the form of a token and is none: a signature, which is in each presigned URL, is never traded for a credential.
//! For the same reason no secret access key is told, so that each request is asked about.
//!
//! Source: OpenStack Identity API v3, and what RGW, Swift and `keystoneauth1` were seen to send.

mod attempts;
mod credentials;
mod ec2;
mod error;
mod render;
mod route;
mod services;
mod sign_in;
mod token;

use std::time::{Instant, SystemTime};

use api::auth::v1::Verified;
use http::header::{ALLOW, CONTENT_TYPE, VARY, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};
use sigv4::SKEW_SECONDS_MAX;
use tokio::sync::{Semaphore, SemaphorePermit};

use self::attempts::{Attempts, network};
use self::credentials::Credentials;
use self::error::KeystoneError;
use self::route::Route;
pub(crate) use self::route::is_mine;
use self::services::{Service, Services};
use self::sign_in::SignIn;
use self::token::Token;
use crate::access_log::Entry;
use crate::body::{self, BoxBody};
use crate::config;
use crate::identity::Origin;
use crate::management::frame::{self, Dialect, Refusal};
use crate::request::{self, media_type};
use crate::s3::{S3Error, SignedText, Verifier};

/// The most requests of services under way, each with its body in memory; further ones are told to come back later.
const CALLS_MAX: usize = 1024;
/// The same of those who are not known yet.
const SIGN_INS_MAX: usize = 64;
/// No token is longer.
const TOKEN_BYTES_MAX: usize = 512;

const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");
const OPENSTACK_REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");

/// Answers Keystone's calls, or says that it does not.
#[derive(Debug)]
pub(crate) struct Keystone {
    /// Nothing where nobody may ask.
    served: Option<Served>,
}

#[derive(Debug)]
struct Served {
    verifier: Verifier,
    services: Services,
    roles: Vec<String>,
    /// If requests may have been signed longer ago than any may take.
    expires_seconds: Option<u32>,
    attempts: Attempts,
    calls: Semaphore,
    sign_ins: Semaphore,
}

impl Keystone {
    /// # Errors
    /// If what is set cannot be meant.
    pub(crate) fn new(set: Option<&config::Keystone>, verifier: &Verifier) -> anyhow::Result<Self> {
        let served = set.map(|set| {
            set.check()?;
            let seconds = u32::try_from(set.max_age.as_secs())?;
            Ok::<_, anyhow::Error>(Served {
                verifier: verifier.clone(),
                services: Services::new(&set.services),
                roles: set.roles.clone(),
                expires_seconds: (seconds > SKEW_SECONDS_MAX).then_some(seconds),
                attempts: Attempts::default(),
                calls: Semaphore::new(CALLS_MAX),
                sign_ins: Semaphore::new(SIGN_INS_MAX),
            })
        });
        Ok(Self { served: served.transpose()? })
    }

    /// The versions that there are, in the form in which clients look for them at `/`; none where none is served.
    pub(crate) fn versions(&self) -> Option<Value> {
        self.served.as_ref().map(|_| json!({ "values": [render::version()] }))
    }
}

impl Served {
    async fn answer(
        &self,
        head: &Parts,
        body: BoxBody,
        origin: &Origin,
        entry: &mut Entry,
    ) -> Result<Response<BoxBody>, KeystoneError> {
        let route = Route::of(head.uri.path()).ok_or_else(KeystoneError::no_such_route)?;
        let (get, post) =
            ([Method::GET, Method::HEAD].contains(&head.method), head.method == Method::POST);
        match route {
            Route::Version if get => {
                Ok(respond(StatusCode::OK, &json!({ "version": render::version() })))
            }
            Route::Tokens if post => {
                let _place = place(&self.sign_ins)?;
                let body = read(head, body, entry).await?;
                self.sign_in(&body, origin)
            }
            Route::Tokens if get => self.tell(head),
            Route::Tokens if head.method == Method::DELETE => {
                self.caller(head, KeystoneError::wrong_token)?;
                Err(KeystoneError::not_revocable())
            }
            Route::S3Tokens if post => {
                let (_place, credentials) = self.question(head, body, entry).await?;
                let verified = self.of_text(&credentials).await?;
                self.signer(verified, &credentials, entry)
            }
            Route::Ec2Tokens if post => {
                let (_place, credentials) = self.question(head, body, entry).await?;
                let verified = self.of_request(&credentials).await?;
                self.signer(verified, &credentials, entry)
            }
            Route::Secret if get || post || head.method == Method::DELETE => {
                self.caller(head, KeystoneError::wrong_token)?;
                Err(KeystoneError::no_secrets())
            }
            Route::Version | Route::Tokens | Route::S3Tokens | Route::Ec2Tokens | Route::Secret => {
                Err(KeystoneError::method_not_allowed(route.allow()))
            }
        }
    }

    /// The service that asks, by its token; `wrong` says that it is none.
    fn caller(
        &self,
        head: &Parts,
        wrong: fn() -> KeystoneError,
    ) -> Result<(&Service, Token), KeystoneError> {
        let shown = shown(&head.headers, &AUTH_TOKEN).ok_or_else(KeystoneError::no_token)?;
        self.services.of_token(shown, now()).ok_or_else(wrong)
    }

    /// What a service asks, and its place among those who do.
    async fn question(
        &self,
        head: &Parts,
        body: BoxBody,
        entry: &mut Entry,
    ) -> Result<(SemaphorePermit<'_>, Credentials), KeystoneError> {
        // Before anything is read that anybody may send.
        self.caller(head, KeystoneError::wrong_token_of_service)?;
        let place = place(&self.calls)?;
        let body = read(head, body, entry).await?;
        Ok((place, Credentials::read(&body)?))
    }

    /// `POST /v3/auth/tokens`.
    fn sign_in(&self, body: &[u8], origin: &Origin) -> Result<Response<BoxBody>, KeystoneError> {
        let asked = SignIn::read(body)?;
        let service = self.services.find(&asked.user);
        let row = (network(origin.client), service.map(|service| service.id));
        if let Some(seconds) = self.attempts.pause(&row, Instant::now()) {
            return Err(KeystoneError::pause(seconds));
        }
        let signed_in = self.services.signed_in(service, &asked.password);
        self.attempts.note(row, signed_in.is_some(), Instant::now());
        let signed_in = signed_in.filter(|signed_in| asked.is_for(signed_in.service));
        let signed_in = signed_in.ok_or_else(KeystoneError::not_signed_in)?;
        let (token, text) = signed_in.issue(now());
        let document = render::of_service(signed_in.service, &token);
        let mut response = respond(StatusCode::CREATED, &document);
        response.headers_mut().insert(SUBJECT_TOKEN, secret(&text)?);
        Ok(response)
    }

    /// `GET /v3/auth/tokens`: what a service's own token says.
    fn tell(&self, head: &Parts) -> Result<Response<BoxBody>, KeystoneError> {
        let (caller, _) = self.caller(head, KeystoneError::wrong_token)?;
        let subject = shown(&head.headers, &SUBJECT_TOKEN);
        let subject = subject.ok_or_else(KeystoneError::no_such_token)?;
        let found = self.services.of_token(subject, now());
        let found = found.filter(|(service, _)| service.id == caller.id);
        let (service, token) = found.ok_or_else(KeystoneError::no_such_token)?;
        let text = std::str::from_utf8(subject).map_err(|_| KeystoneError::no_such_token())?;
        let mut response = respond(StatusCode::OK, &render::of_service(service, &token));
        response.headers_mut().insert(SUBJECT_TOKEN, secret(text)?);
        Ok(response)
    }

    /// `POST /v3/s3tokens`: who signed a string to sign.
    async fn of_text(
        &self,
        credentials: &Credentials,
    ) -> Result<Result<Verified, S3Error>, KeystoneError> {
        let text = SignedText {
            access_key_id: credentials.access()?.to_owned(),
            string_to_sign: credentials.string_to_sign()?,
            signature: credentials.signature()?.to_owned(),
            expires_seconds: self.expires_seconds,
        };
        Ok(self.verifier.verify_text(text).await)
    }

    /// `POST /v3/ec2tokens`: who signed a request.
    async fn of_request(
        &self,
        credentials: &Credentials,
    ) -> Result<Result<Verified, S3Error>, KeystoneError> {
        let (access, signature) = (credentials.access()?, credentials.signature()?);
        let verified = self.verifier.verify_relayed(ec2::request(credentials)?).await;
        // What is asked about is what the request shows.
        let is_shown = |it: &Verified| {
            it.access_key_id == access && it.signature.eq_ignore_ascii_case(signature)
        };
        match verified {
            Ok(verified) if !is_shown(&verified) => {
                Err(KeystoneError::wrong_signature("The request shows another signature."))
            }
            verified => Ok(verified),
        }
    }

    fn signer(
        &self,
        verified: Result<Verified, S3Error>,
        credentials: &Credentials,
        entry: &mut Entry,
    ) -> Result<Response<BoxBody>, KeystoneError> {
        if verified.is_err() {
            entry.claim(credentials.access()?);
        }
        let principal = frame::signer(verified, entry, KeystoneError::of_signature)?;
        Ok(respond(StatusCode::OK, &render::of_signer(&principal, &self.roles, now())))
    }
}

impl Dialect for Keystone {
    const FACADE: &'static str = "keystone";
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    type Refusal = KeystoneError;

    async fn answer(
        &self,
        head: &Parts,
        body: BoxBody,
        origin: &Origin,
        entry: &mut Entry,
    ) -> Result<Response<BoxBody>, KeystoneError> {
        let served = self.served.as_ref().ok_or_else(KeystoneError::not_served)?;
        let mut response = served.answer(head, body, origin, entry).await?;
        tell_id(response.headers_mut(), &origin.request_id);
        Ok(response)
    }

    fn refuse(&self, _: &Parts, refusal: &KeystoneError, request_id: &str) -> Response<BoxBody> {
        let mut response = respond(refusal.status, &refusal.document());
        let headers = response.headers_mut();
        tell_id(headers, request_id);
        if refusal.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Keystone uri=\"/v3/\""));
        }
        if let Some(allow) = refusal.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

fn place(places: &Semaphore) -> Result<SemaphorePermit<'_>, KeystoneError> {
    places.try_acquire().map_err(|_| KeystoneError::too_many())
}

/// The token in a header. What can be none, such as several, is one of no bytes, which is nobody's.
fn shown<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|value| !value.is_empty())?;
    let is_one = values.next().is_none() && value.len() <= TOKEN_BYTES_MAX;
    Some(if is_one { value.as_bytes() } else { &[] })
}

/// Reads a body of JSON.
async fn read(
    head: &Parts,
    body: BoxBody,
    entry: &mut Entry,
) -> Result<bytes::Bytes, KeystoneError> {
    let is_json = media_type::is_one_of(&head.headers, &[media_type::JSON]);
    if !is_json || media_type::is_encoded(&head.headers) {
        return Err(KeystoneError::content_type());
    }
    let body = request::read(body).await?;
    entry.bytes_in.add(body.len());
    Ok(body)
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

fn secret(text: &str) -> Result<HeaderValue, KeystoneError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| KeystoneError::internal())?;
    value.set_sensitive(true);
    Ok(value)
}

fn respond(status: StatusCode, document: &Value) -> Response<BoxBody> {
    let mut response = Response::new(body::full(document.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(VARY, HeaderValue::from_static("X-Auth-Token"));
    response
}

/// The id in the form that OpenStack's tools look for.
fn tell_id(headers: &mut HeaderMap, request_id: &str) {
    if let Ok(id) = HeaderValue::try_from(format!("req-{request_id}")) {
        headers.insert(OPENSTACK_REQUEST_ID, id);
    }
}
