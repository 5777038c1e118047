//! AWS IAM's Query API, in which OUTSCALE's EIM speaks too, and `GetCallerIdentity` of STS.
//!
//! `POST /` with a form, signed for the service `iam`, `eim` or `sts`, of any region and any version. Each
//! action becomes calls to identity on behalf of whoever signed it; nothing is kept here. What identity
//! does not have (policies, groups, roles, devices) is listed as empty, so that whoever cleans up before
//! deleting a user finds nothing; it cannot be made.
//!
//! Source: IAM API reference; service model of botocore, `iam` 2010-05-08 and `sts` 2011-06-15.

mod error;
mod form;
mod key;
mod listing;
mod render;
mod report;
mod tag;
mod user;

use std::net::IpAddr;
use std::sync::Arc;

use api::auth::v1::Principal;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use tokio::sync::Semaphore;

use self::error::IamError;
use self::form::Form;
pub(crate) use self::render::user_id;
use crate::access_log::{Entry, Logged};
use crate::body::{self, BoxBody, BoxError};
use crate::identity::{Acting, Identity, Origin, Who};
use crate::management::frame::{self, Dialect};
use crate::request::{self, Scope, media_type};
use crate::s3::Verifier;
use crate::xml::Document;

/// The most requests under way, each with a form in memory; further ones are told to slow down.
const CALLS_MAX: usize = 128;

const IAM_NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
const STS_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
/// The services that a request may be signed for, the usual one first.
const SERVICES: [&str; 3] = ["iam", "eim", "sts"];
const STS: &str = "sts";

/// Answers forms.
#[derive(Clone, Debug)]
pub(crate) struct Iam {
    verifier: Verifier,
    identity: Identity,
    places: Arc<Semaphore>,
}

/// A request whose signature is right.
struct Call<'a> {
    identity: &'a Identity,
    acting: Acting,
    principal: Principal,
    form: &'a Form,
    /// For creations that may be sent again.
    idempotency_id: String,
}

/// Whether a request to the endpoint itself is one to IAM: S3 has no form there.
pub(crate) fn is_form<B>(request: &Request<B>) -> bool {
    let form = media_type::FORM.as_bytes();
    let (method, path) = (request.method(), request.uri().path());
    let content_type = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let is_form = content_type.get(..form.len()).is_some_and(|t| t.eq_ignore_ascii_case(form));
    *method == Method::POST && path == "/" && is_form
}

impl Iam {
    pub(crate) fn new(verifier: Verifier, identity: Identity) -> Self {
        Self { verifier, identity, places: Arc::new(Semaphore::new(CALLS_MAX)) }
    }

    /// Answers one request of this client.
    pub(crate) async fn handle<B>(&self, client: IpAddr, request: Request<B>) -> Response<Logged>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        frame::handle(self, client, request).await
    }

    /// Who signed a request.
    async fn signer(
        &self,
        client: IpAddr,
        head: &Parts,
        body: &[u8],
        entry: &mut Entry,
    ) -> Result<Principal, IamError> {
        if !head.headers.contains_key(AUTHORIZATION) {
            let message = "Request is missing Authentication Token";
            return Err(IamError::new(
                StatusCode::FORBIDDEN,
                "MissingAuthenticationToken",
                message,
            ));
        }
        let Scope { region, service } = scope_of(&head.headers);
        if !SERVICES.contains(&service.as_str()) {
            let message = "Credential should be scoped to correct service: 'iam'.";
            return Err(IamError::new(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message));
        }
        let verified = self.verifier.verify_for(client, head, region, service, body).await;
        frame::signer(verified, entry, IamError::of_signature)
    }
}

impl Dialect for Iam {
    const FACADE: &'static str = "iam";
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
    type Refusal = IamError;

    async fn answer(
        &self,
        head: &Parts,
        body: BoxBody,
        origin: &Origin,
        entry: &mut Entry,
    ) -> Result<Response<BoxBody>, IamError> {
        let _place = self.places.try_acquire().map_err(|_| IamError::throttling())?;
        let is_form = media_type::is_one_of(&head.headers, &[media_type::FORM]);
        if !is_form || media_type::is_encoded(&head.headers) {
            let message = "The request's body must be a form in UTF-8, as it is.";
            return Err(IamError::malformed_input(message));
        }
        let body = request::read(body).await?;
        entry.bytes_in.add(body.len());
        let principal = self.signer(origin.client, head, &body, entry).await?;
        let form = Form::parse(&body)?;
        let action = form.required("Action")?;
        let call = Call {
            identity: &self.identity,
            acting: Acting { who: Who::User(principal.clone()), origin: origin.clone() },
            principal,
            form: &form,
            idempotency_id: request::idempotency_id(&head.headers),
        };
        let namespace = namespace(&head.headers);
        let mut answer = Answer::new(action, namespace);
        if namespace == STS_NAMESPACE {
            call.act_of_sts(action, &mut answer)?;
        } else {
            call.act(action, &mut answer).await?;
        }
        Ok(respond(StatusCode::OK, answer.finish(&origin.request_id)))
    }

    fn refuse(&self, head: &Parts, refusal: &IamError, request_id: &str) -> Response<BoxBody> {
        respond(refusal.status, refusal.document(namespace(&head.headers), request_id))
    }
}

fn respond(status: StatusCode, document: Bytes) -> Response<BoxBody> {
    let mut response = Response::new(body::full(document));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}

/// Of the elements that answer a request.
fn namespace(headers: &HeaderMap) -> &'static str {
    if scope_of(headers).service == STS { STS_NAMESPACE } else { IAM_NAMESPACE }
}

/// What a request says that it was signed for; the usual where that cannot be read, for which auth says what
/// is wrong.
fn scope_of(headers: &HeaderMap) -> Scope {
    Scope::of(headers).unwrap_or_else(|| Scope {
        region: "us-east-1".to_owned(),
        service: SERVICES[0].to_owned(),
    })
}

/// An answer as it is written.
struct Answer {
    document: Document,
    /// Whether the action tells anything.
    has_result: bool,
}

impl Answer {
    fn new(action: &str, namespace: &str) -> Self {
        let mut document = Document::new();
        document.open_in(&format!("{action}Response"), namespace);
        Self { document, has_result: false }
    }

    /// What the action tells, to be filled.
    fn result(&mut self, action: &str) -> &mut Document {
        self.has_result = true;
        self.document.open(&format!("{action}Result"));
        &mut self.document
    }

    fn finish(mut self, request_id: &str) -> Bytes {
        if self.has_result {
            self.document.close();
        }
        self.document.open("ResponseMetadata");
        self.document.text("RequestId", request_id);
        self.document.finish()
    }
}

impl Call<'_> {
    async fn act(&self, action: &str, answer: &mut Answer) -> Result<(), IamError> {
        match action {
            "CreateUser" => self.create_user(answer.result(action)).await,
            "GetUser" => self.get_user(answer.result(action)).await,
            "ListUsers" => self.list_users(answer.result(action)).await,
            "UpdateUser" => self.update_user().await,
            "DeleteUser" => self.delete_user().await,
            "TagUser" => self.tag_user().await,
            "UntagUser" => self.untag_user().await,
            "ListUserTags" => self.list_user_tags(answer.result(action)).await,
            "CreateAccessKey" => self.create_access_key(answer.result(action)).await,
            "ListAccessKeys" => self.list_access_keys(answer.result(action)).await,
            "UpdateAccessKey" => self.update_access_key().await,
            "DeleteAccessKey" => self.delete_access_key().await,
            "GetAccessKeyLastUsed" => self.get_access_key_last_used(answer.result(action)).await,
            "GetAccountSummary" => self.get_account_summary(answer.result(action)).await,
            "GenerateCredentialReport" => {
                self.generate_credential_report(answer.result(action)).await
            }
            "GetCredentialReport" => self.get_credential_report(answer.result(action)).await,
            _ => self.list_nothing(action, answer).await,
        }
    }

    fn act_of_sts(&self, action: &str, answer: &mut Answer) -> Result<(), IamError> {
        if action != "GetCallerIdentity" {
            return Err(IamError::invalid_action(action, self.version()));
        }
        let principal = &self.principal;
        let document = answer.result(action);
        document.text("Arn", &principal.arn);
        let user_id = match principal.root {
            true => principal.account_number.clone(),
            false => render::user_id(&principal.user_id),
        };
        document.text("UserId", &user_id);
        document.text("Account", &principal.account_number);
        Ok(())
    }

    /// The caller's account, as identity names it.
    fn account(&self) -> String {
        format!("accounts/{}", self.principal.account_id)
    }

    fn version(&self) -> &str {
        self.form.get("Version").unwrap_or_default()
    }
}
