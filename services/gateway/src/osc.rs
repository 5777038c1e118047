//! OUTSCALE's API: `POST /api/v1/{Call}` and `/api/latest/{Call}`, JSON in and out.
//!
//! Signed in OUTSCALE's spelling of Signature Version 4 or in AWS's, for the service `api` of any region; or,
//! on the calls on which OUTSCALE has it, with a login and a password. Each call becomes calls to identity on
//! behalf of whoever asks; nothing is kept here.
//!
//! Source: the API's OpenAPI document, 1.42, and what `osc_sdk_python` and `osc-cli` were seen to send.

mod call;
mod error;
mod json;
mod key;
mod log;
mod parameters;
mod policy;
mod render;
mod route;
mod user;

use std::net::IpAddr;
use std::sync::Arc;

use api::auth::v1::Principal;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use self::call::Call;
use self::error::OscError;
use self::parameters::Parameters;
pub(crate) use self::route::is_mine;
use self::route::{Route, Spec};
use crate::access_log::Entry;
use crate::body::{self, BoxBody};
use crate::identity::{Acting, Identity, Origin, Who};
use crate::management::frame::{self, Dialect};
use crate::request::{self, Scope, Shown, media_type};
use crate::s3::Verifier;

/// The most requests under way, each with its body in memory; further ones are told to slow down.
const CALLS_MAX: usize = 128;
/// The service that a request is signed for.
const SERVICE: &str = "api";
/// OUTSCALE's first region, where a signature's cannot be read: auth says then what is wrong.
const REGION: &str = "eu-west-2";

/// Answers calls.
#[derive(Clone, Debug)]
pub(crate) struct Osc {
    verifier: Verifier,
    identity: Identity,
    places: Arc<Semaphore>,
}

/// What a call tells, beside the context.
type Answer = Map<String, Value>;

impl Osc {
    pub(crate) fn new(verifier: Verifier, identity: Identity) -> Self {
        Self { verifier, identity, places: Arc::new(Semaphore::new(CALLS_MAX)) }
    }

    /// Who asks, as auth says of a signature or identity of a password.
    async fn caller(
        &self,
        origin: &Origin,
        head: &Parts,
        route: &Route<'_>,
        spec: &Spec,
        body: &[u8],
        entry: &mut Entry,
    ) -> Result<Principal, OscError> {
        match Shown::of(&head.headers) {
            Shown::Signature => self.signer(origin.client, head, route, body, entry).await,
            Shown::Password { login, password } if spec.takes_password => {
                let principal = self.identity.verify_password(origin, login, &password).await?;
                frame::asked_by(&principal, entry);
                Ok(principal)
            }
            Shown::Password { .. } => {
                Err(OscError::unauthenticated("This call must be signed with an access key."))
            }
            Shown::Nothing => Err(OscError::unauthenticated("The request is not signed.")),
            Shown::Token(_) | Shown::Unknown => {
                Err(OscError::unauthenticated("The authorization header is not understood."))
            }
        }
    }

    async fn signer(
        &self,
        client: IpAddr,
        head: &Parts,
        route: &Route<'_>,
        body: &[u8],
        entry: &mut Entry,
    ) -> Result<Principal, OscError> {
        let scope = Scope::of(&head.headers)
            .unwrap_or_else(|| Scope { region: REGION.to_owned(), service: SERVICE.to_owned() });
        if scope.service != SERVICE {
            let details = format!("The request must be signed for the service {SERVICE}.");
            return Err(OscError::unauthenticated(details));
        }
        let target = route.target(head.uri.query()).ok_or_else(OscError::internal)?;
        let hosts = without_port(&head.headers);
        let verified = self.verifier.verify_call(client, head, &target, scope, hosts, body).await;
        frame::signer(verified, entry, OscError::of_signature)
    }
}

impl Dialect for Osc {
    const FACADE: &'static str = "osc";
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    type Refusal = OscError;

    async fn answer(
        &self,
        head: &Parts,
        body: BoxBody,
        origin: &Origin,
        entry: &mut Entry,
    ) -> Result<Response<BoxBody>, OscError> {
        let _place = self.places.try_acquire().map_err(|_| OscError::throttling())?;
        let route = Route::of(head.uri.path()).ok_or_else(|| OscError::no_such_call(""))?;
        let spec = route.spec().ok_or_else(|| OscError::no_such_call(route.call))?;
        if head.method != Method::POST {
            return Err(OscError::method_not_allowed());
        }
        let is_json = media_type::is_one_of(&head.headers, &[media_type::JSON]);
        if !is_json || media_type::is_encoded(&head.headers) {
            return Err(OscError::content_type());
        }
        let body = request::read(body).await?;
        entry.bytes_in.add(body.len());
        let principal = self.caller(origin, head, &route, spec, &body, entry).await?;
        let parameters = Parameters::parse(&body, spec.parameters)?;
        let call = Call {
            identity: &self.identity,
            acting: Acting { who: Who::User(principal.clone()), origin: origin.clone() },
            principal,
            dry_run: parameters.flag("DryRun")?,
            parameters: &parameters,
            idempotency_id: request::idempotency_id(&head.headers),
        };
        let mut answer = call.act(spec.name).await?;
        let context = json!({ "RequestId": origin.request_id });
        answer.insert("ResponseContext".to_owned(), context);
        Ok(respond(StatusCode::OK, Value::Object(answer).to_string().into()))
    }

    fn refuse(&self, _: &Parts, refusal: &OscError, request_id: &str) -> Response<BoxBody> {
        let mut response = respond(refusal.status, refusal.document(request_id));
        if refusal.status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

fn respond(status: StatusCode, document: Bytes) -> Response<BoxBody> {
    let mut response = Response::new(body::full(document));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl Call<'_> {
    async fn act(&self, name: &str) -> Result<Answer, OscError> {
        match name {
            "CreateAccessKey" => self.create_access_key().await,
            "ReadAccessKeys" => self.read_access_keys().await,
            "UpdateAccessKey" => self.update_access_key().await,
            "DeleteAccessKey" => self.delete_access_key().await,
            "CreateUser" => self.create_user().await,
            "ReadUsers" => self.read_users().await,
            "UpdateUser" => self.update_user().await,
            "DeleteUser" => self.delete_user().await,
            "ReadApiAccessPolicy" => self.read_api_access_policy().await,
            "UpdateApiAccessPolicy" => self.update_api_access_policy().await,
            "CheckAuthentication" => self.check_authentication().await,
            "ReadApiLogs" => self.read_api_logs().await,
            _ => Err(OscError::no_such_call(name)),
        }
    }

    /// Whether login and password are somebody's, which whoever may ask is told and no more.
    async fn check_authentication(&self) -> Result<Answer, OscError> {
        let login = self.parameters.required("Login")?.to_owned();
        let password = Zeroizing::new(self.parameters.required("Password")?.to_owned());
        if !self.dry_run {
            self.identity.verify_password(&self.acting.origin, login, &password).await?;
        }
        Ok(Answer::new())
    }
}

/// The host without its port, which some of OUTSCALE's clients sign though they send both.
fn without_port(headers: &HeaderMap) -> Vec<String> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.and_then(|host| host.rsplit_once(':'));
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    host.filter(|(_, port)| is_port(port)).map(|(host, _)| host.to_owned()).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_taken_off_and_nothing_else() {
        let check = |host: &str, expected: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_str(host).expect("a value"));
            assert_eq!(without_port(&headers), expected, "{host}");
        };
        check("127.0.0.1:7101", &["127.0.0.1"]);
        check("[::1]:7101", &["[::1]"]);
        check("api.example.com", &[]);
        check("[::1]", &[]);
        check("host:", &[]);
    }
}
