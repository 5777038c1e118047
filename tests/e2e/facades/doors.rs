//! The doors, what is shown at each, and what each can say.

mod keystone;

use std::collections::HashMap;
use std::fmt;

use api::auth::v1::auth_service_client::AuthServiceClient;
use api::auth::v1::verify_signature_request::Request as Form;
use api::auth::v1::verify_string_to_sign_response::Verdict;
use api::auth::v1::{Principal, VerifySignatureRequest, VerifyStringToSignRequest};
use api::authenticator::v1::authenticator_service_client::AuthenticatorServiceClient;
use api::authenticator::v1::s3_error_details::Type;
use api::authenticator::v1::{AuthenticateRestRequest, S3ErrorDetails};
use api::envoy::config::core::v3::{HeaderMap as RawHeaders, HeaderValue as RawHeader};
use api::envoy::service::auth::v3::attribute_context::{HttpRequest, Request as Attributes};
use api::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use api::envoy::service::auth::v3::check_response::HttpResponse;
use api::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use api::rgw::auth::v1::auth_service_client::AuthServiceClient as FirstClient;
use api::rgw::auth::v1::{AuthCode, AuthRequest};
use bytes::Bytes;
use chrono::{NaiveDateTime, Utc};
use http::{HeaderMap, Method, Request};
use http_body_util::Full;
use prost::Message;
use rpc::Channel;

use self::keystone::Keystone;
use crate::support::{Dev, error_code, send_for_body};

const REGION: &str = "us-east-1";

/// A request as it stands on the wire.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    pub(super) method: Method,
    /// Where it is sent.
    pub(super) endpoint: String,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Whole {
    pub(super) fn of(request: Request<Full<Bytes>>) -> Self {
        let (parts, _) = request.into_parts();
        let authority = parts.uri.authority().expect("there");
        Self {
            method: parts.method,
            endpoint: format!("http://{authority}"),
            target: parts.uri.path_and_query().expect("there").to_string(),
            headers: parts.headers,
            body: Bytes::new(),
        }
    }

    pub(super) fn with_body(self, body: &str) -> Self {
        Self { body: body.to_owned().into(), ..self }
    }

    fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("text")))
    }

    /// As auth is asked about it.
    pub(super) fn question(&self) -> VerifySignatureRequest {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        self.headers().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        VerifySignatureRequest {
            request: Some(Form::RawHead(head.into_bytes().into())),
            region: REGION.into(),
            ..Default::default()
        }
    }
}

/// What a door is shown.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) request: &'a Whole,
    /// As the one at the door makes it of the request; empty if it cannot.
    pub(super) string_to_sign: &'a str,
    /// Whether the string to sign does not show what is wrong.
    pub(super) is_hidden: bool,
}

/// The verdict, or as much as a door says of it.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Told {
    Verified(Principal),
    /// S3's code and the HTTP status.
    Denied(String, u32),
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified(_) => f.write_str("verified"),
            Self::Denied(code, status) => write!(f, "{status} {code}"),
        }
    }
}

/// How far off a request may be dated.
const SKEW_SECONDS_MAX: i64 = 900;

/// Where it can be asked who signed a request, beside VerifySignature.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Door {
    Gateway,
    EnvoyInBytes,
    EnvoyInText,
    StringToSign,
    Rgw,
    /// By RGW's first contract.
    FirstRgw,
    /// Keystone's, by the string to sign.
    S3Tokens,
    /// Keystone's, by the request.
    Ec2Tokens,
}

impl Door {
    pub(super) const ALL: [Self; 8] = [
        Self::Gateway,
        Self::EnvoyInBytes,
        Self::EnvoyInText,
        Self::StringToSign,
        Self::Rgw,
        Self::FirstRgw,
        Self::S3Tokens,
        Self::Ec2Tokens,
    ];
}

/// What was said at a door, and what was to be said there.
pub(super) type Answer = (String, String);

/// All doors of one `claviger dev`.
pub(super) struct Doors {
    keystone: Keystone,
    auth: AuthServiceClient<Channel>,
    envoy: AuthorizationClient<Channel>,
    rgw: AuthenticatorServiceClient<Channel>,
    first: FirstClient<Channel>,
}

impl Doors {
    pub(super) async fn of(dev: &Dev) -> Self {
        let channel = dev.channel("auth");
        Self {
            keystone: Keystone::sign_in(dev).await,
            auth: AuthServiceClient::new(channel.clone()),
            envoy: AuthorizationClient::new(channel.clone()),
            rgw: AuthenticatorServiceClient::new(channel.clone()),
            first: FirstClient::new(channel),
        }
    }

    /// Shows the request at a door, if that has a use for it.
    pub(super) async fn ask(&self, door: Door, seen: &Seen<'_>, expected: &Told) -> Option<Answer> {
        let request = seen.request;
        let signed = Signed::of(seen);
        // Without a string to sign, whoever makes it has refused the request already.
        let has_text = !seen.string_to_sign.is_empty() && !seen.is_hidden;
        // Of what shows no signature, or not whose, there is nothing to ask.
        let has_signature = !signed.signature.is_empty() && !signed.access_key_id.is_empty();
        Some(match door {
            Door::Gateway => self.gateway(request, expected).await,
            Door::EnvoyInBytes => self.envoy(in_bytes(request), request, expected).await,
            Door::EnvoyInText => self.envoy(in_text(request), request, expected).await,
            Door::StringToSign if has_text => self.string_to_sign(&signed, expected).await,
            // Whether a presigned URL is in force it looks itself, and asks about no other.
            Door::Rgw if has_text && signed.is_in_force() => self.rgw(&signed, expected).await,
            // What is presigned it takes for what it is not: it has no way to say so.
            Door::FirstRgw if has_text && signed.expires_seconds.is_none() => {
                self.first(&signed, expected).await
            }
            Door::S3Tokens if has_text => self.keystone.s3(&signed, expected).await,
            Door::Ec2Tokens if has_signature => self.keystone.ec2(request, &signed, expected).await,
            Door::StringToSign | Door::Rgw | Door::FirstRgw | Door::S3Tokens | Door::Ec2Tokens => {
                return None;
            }
        })
    }

    /// A request that is verified goes on to the store, which may have no such key.
    async fn gateway(&self, request: &Whole, expected: &Told) -> Answer {
        let uri = format!("{}{}", request.endpoint, request.target);
        let mut sent = Request::builder().method(&request.method).uri(uri);
        *sent.headers_mut().expect("has none yet") = request.headers.clone();
        let sent = sent.body(Full::new(request.body.clone())).expect("a request");
        let (status, body) = send_for_body(sent).await;
        let is_read = request.method != Method::HEAD;
        match expected {
            Told::Verified(_) => {
                let by_store = [(200, ""), (204, ""), (404, "NoSuchKey"), (404, "")];
                let answer = (status, error_code(&body));
                let is_served =
                    by_store.iter().any(|known| answer == (known.0, known.1.to_owned()));
                let said = if is_served { "verified".into() } else { format!("{answer:?}") };
                (said, "verified".into())
            }
            Told::Denied(..) if is_read => {
                (format!("{status} {}", error_code(&body)), expected.to_string())
            }
            Told::Denied(_, expected) => (status.to_string(), expected.to_string()),
        }
    }

    async fn envoy(&self, http: HttpRequest, request: &Whole, expected: &Told) -> Answer {
        let http = HttpRequest {
            id: "17".into(),
            method: request.method.to_string(),
            path: request.target.clone(),
            scheme: "http".into(),
            protocol: "HTTP/1.1".into(),
            size: -1,
            ..http
        };
        let attributes = AttributeContext {
            request: Some(Attributes { http: Some(http), ..Default::default() }),
            ..Default::default()
        };
        let check = CheckRequest { attributes: Some(attributes) };
        let answer = self.envoy.clone().check(check).await.expect("answered").into_inner();
        let said = said_by_envoy(answer);
        match expected {
            Told::Verified(who) => (said, who.account_id.clone()),
            // The answer to HEAD has no document.
            Told::Denied(_, status) if request.method == Method::HEAD => {
                (said, format!("{status} "))
            }
            Told::Denied(..) => (said, expected.to_string()),
        }
    }

    async fn string_to_sign(&self, signed: &Signed<'_>, expected: &Told) -> Answer {
        let request = VerifyStringToSignRequest {
            access_key_id: signed.access_key_id.clone(),
            string_to_sign: signed.string_to_sign.as_bytes().to_vec(),
            signature: signed.signature.clone(),
            region: REGION.into(),
            expires_seconds: signed.expires_seconds,
            ..Default::default()
        };
        let answer = self.auth.clone().verify_string_to_sign(request).await.expect("answered");
        match answer.into_inner().verdict.expect("there") {
            Verdict::Verified(verified) => {
                let who = verified.principal.expect("there");
                let expected = match expected {
                    Told::Verified(expected) => expected.arn.clone(),
                    Told::Denied(..) => expected.to_string(),
                };
                (who.arn, expected)
            }
            Verdict::Denied(denied) => {
                (Told::Denied(denied.code, denied.http_status).to_string(), expected.to_string())
            }
        }
    }

    async fn rgw(&self, signed: &Signed<'_>, expected: &Told) -> Answer {
        let request = AuthenticateRestRequest {
            string_to_sign: Some(signed.string_to_sign.to_owned()),
            authorization_header: Some(signed.header()),
            skip_timestamp_validation: signed.expires_seconds.map(|_| true),
            ..Default::default()
        };
        let said = match self.rgw.clone().authenticate_rest(request).await {
            Ok(answer) => answer.into_inner().canonical_user_id,
            Err(status) => {
                let status = tonic_types::Status::decode(status.details()).expect("has details");
                let details = S3ErrorDetails::decode(&status.details[0].value[..]).expect("such");
                format!("{} {:?}", details.http_status_code, details.r#type())
            }
        };
        let expected = match expected {
            Told::Verified(who) => who.account_id.clone(),
            Told::Denied(code, status) => {
                let name: &str = match code.as_str() {
                    "AuthorizationQueryParametersError" => "AuthorizationHeaderMalformed",
                    other => other,
                };
                let kinds = (0..32).filter_map(|n| Type::try_from(n).ok());
                let kind = kinds.map(|kind| format!("{kind:?}")).find(|kind| kind == name);
                format!("{status} {}", kind.unwrap_or_else(|| "Unspecified".into()))
            }
        };
        (said, expected)
    }

    async fn first(&self, signed: &Signed<'_>, expected: &Told) -> Answer {
        let request = AuthRequest {
            string_to_sign: signed.string_to_sign.to_owned(),
            access_key_id: signed.access_key_id.clone(),
            authorization_header: signed.header(),
            ..Default::default()
        };
        let answer = self.first.clone().auth(request).await.expect("answered").into_inner();
        let expected = match expected {
            Told::Verified(who) => (AuthCode::Ok, who.account_id.as_str()),
            Told::Denied(code, status) => {
                let code = match (code.as_str(), status) {
                    ("SignatureDoesNotMatch", _) => AuthCode::Unauthorized,
                    ("InvalidAccessKeyId", _) => AuthCode::Notfound,
                    (_, 400) => AuthCode::BadRequest,
                    (_, _) => AuthCode::Forbidden,
                };
                (code, "")
            }
        };
        (format!("{:?}", (answer.code(), answer.uid.as_str())), format!("{expected:?}"))
    }
}

/// What one who makes the string to sign knows of a request.
struct Signed<'a> {
    access_key_id: String,
    scope: String,
    signed_headers: String,
    signature: String,
    string_to_sign: &'a str,
    /// Of a presigned URL.
    expires_seconds: Option<u32>,
}

impl<'a> Signed<'a> {
    fn of(seen: &Seen<'a>) -> Self {
        let header = seen.request.headers.get("authorization");
        let header = header.map(|value| value.to_str().expect("text"));
        let query = seen.request.target.split_once('?').map_or("", |(_, query)| query);
        let pairs: HashMap<String, String> = match header {
            Some(header) => {
                let components = header.split_once(' ').map_or("", |(_, components)| components);
                let pairs = components.split(',').filter_map(|pair| pair.trim().split_once('='));
                pairs.map(|(name, value)| (name.into(), value.into())).collect()
            }
            None => {
                let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                let pairs =
                    pairs.filter_map(|(name, value)| Some((name.strip_prefix("X-Amz-")?, value)));
                let decoded = |value: &str| value.replace("%2F", "/").replace("%3B", ";");
                pairs.map(|(name, value)| (name.into(), decoded(value))).collect()
            }
        };
        let told = |name: &str| pairs.get(name).cloned().unwrap_or_default();
        let credential = told("Credential");
        let (access_key_id, scope) = credential.split_once('/').unwrap_or((&credential, ""));
        Self {
            access_key_id: access_key_id.into(),
            scope: scope.into(),
            signed_headers: told("SignedHeaders"),
            signature: told("Signature"),
            string_to_sign: seen.string_to_sign,
            expires_seconds: pairs.get("Expires").and_then(|seconds| seconds.parse().ok()),
        }
    }

    /// Whether it is a presigned URL that is good now, or none.
    fn is_in_force(&self) -> bool {
        let Some(expires_seconds) = self.expires_seconds else { return true };
        (-SKEW_SECONDS_MAX..i64::from(expires_seconds)).contains(&self.age_seconds())
    }

    /// How long ago it was signed, as far as the string to sign tells.
    fn age_seconds(&self) -> i64 {
        let date = self.string_to_sign.lines().nth(1).unwrap_or_default();
        let date = NaiveDateTime::parse_from_str(date, super::DATE).expect("a time").and_utc();
        (Utc::now() - date).num_seconds()
    }

    /// What RGW sends, which makes one of a presigned URL as well.
    fn header(&self) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{},SignedHeaders={},Signature={}",
            self.access_key_id, self.scope, self.signed_headers, self.signature
        )
    }
}

/// As Envoy asks with `encode_raw_headers`: Host is `:authority`.
fn in_bytes(request: &Whole) -> HttpRequest {
    let pseudo = [(":method", request.method.as_str()), (":path", request.target.as_str())];
    let headers = request.headers().map(|(name, value)| (by_envoy(name), value));
    let header = |(key, value): (&str, &str)| RawHeader {
        key: key.into(),
        raw_value: value.into(),
        value: String::new(),
    };
    let headers = pseudo.into_iter().chain(headers).map(header).collect();
    HttpRequest { header_map: Some(RawHeaders { headers }), ..Default::default() }
}

/// As it asks by default.
fn in_text(request: &Whole) -> HttpRequest {
    let pseudo = [(":method", request.method.as_str()), (":path", request.target.as_str())];
    let headers = request.headers().map(|(name, value)| (by_envoy(name), value));
    let headers =
        pseudo.into_iter().chain(headers).map(|(name, value)| (name.into(), value.into()));
    HttpRequest { headers: headers.collect(), ..Default::default() }
}

fn by_envoy(name: &str) -> &str {
    if name == "host" { ":authority" } else { name }
}

/// The account, or the status and S3's code.
fn said_by_envoy(answer: CheckResponse) -> String {
    match answer.http_response.expect("there") {
        HttpResponse::OkResponse(ok) => {
            let headers = ok.headers.into_iter().filter_map(|option| option.header);
            let account = headers.into_iter().find(|header| header.key == "x-claviger-account");
            account.expect("is told").value
        }
        HttpResponse::DeniedResponse(denied) => {
            format!("{} {}", denied.status.expect("there").code, error_code(&denied.body))
        }
        other @ HttpResponse::ErrorResponse(_) => format!("{other:?}"),
    }
}
