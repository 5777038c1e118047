//! What the dialects in which users and keys are managed have in common: bad input, and accounts apart.

mod accounts;
mod bad_input;
mod expired;

use std::time::SystemTime;

use api::identity::v1::VerifyLogRequest;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::support::{Dev, Key, PATIENCE, error_code};

/// A way to manage users and access keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dialect {
    Iam,
    Osc,
    Ontap,
    Rest,
}

/// What is to be sent.
#[derive(Clone, Debug)]
struct Asked {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    content_type: String,
    body: String,
}

impl Asked {
    fn new(
        method: &'static str,
        target: impl Into<String>,
        content_type: &str,
        body: impl Into<Vec<u8>>,
    ) -> Self {
        let headers = match content_type {
            "" => vec![],
            content_type => vec![("content-type", content_type.to_owned())],
        };
        Self { method, target: target.into(), headers, body: body.into() }
    }

    /// A form for IAM.
    fn form(body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", "/", "application/x-www-form-urlencoded", body)
    }

    fn json(method: &'static str, target: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self::new(method, target, "application/json", body)
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a login and its password.
    fn logged_in(self, login: &str, password: &str) -> Self {
        let credential = STANDARD.encode(format!("{login}:{password}"));
        self.with("authorization", format!("Basic {credential}"))
    }

    /// Signed by AWS's own library, for a region that is the client's own.
    fn signed(mut self, dev: &Dev, key: &Key, service: &str, time: SystemTime) -> Self {
        let identity = Credentials::new(&key.id, &key.secret, None, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-3")
            .name(service)
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .expect("complete")
            .into();
        let host = [("host", dev.address("rest"))];
        let headers = host.iter().chain(&self.headers).map(|(name, value)| (*name, value.as_str()));
        let uri = format!("{}{}", dev.text("rest"), self.target);
        let body = SignableBody::Bytes(&self.body);
        let request = SignableRequest::new(self.method, uri, headers, body).expect("signable");
        let (instructions, _) = sign(request, &params).expect("signed").into_parts();
        for (name, value) in instructions.headers() {
            let name = ["authorization", "x-amz-date"].into_iter().find(|known| *known == name);
            self.headers.push((name.expect("one of them"), value.to_owned()));
        }
        self
    }

    async fn send(&self, dev: &Dev) -> Answer {
        let client: Client<HttpConnector, Full<Bytes>> =
            Client::builder(TokioExecutor::new()).build_http();
        let mut request = Request::builder().method(self.method).uri(format!(
            "{}{}",
            dev.text("rest"),
            self.target
        ));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(self.body.clone().into())).expect("a request");
        let answer = client.request(request).await.expect("answered");
        let status = answer.status().as_u16();
        let content_type = answer.headers().get("content-type").expect("a type");
        let content_type = content_type.to_str().expect("text").to_owned();
        let read = tokio::time::timeout(PATIENCE, answer.into_body().collect()).await;
        let body = read.expect("an end").expect("read").to_bytes();
        Answer { status, content_type, body: String::from_utf8_lossy(&body).into_owned() }
    }
}

impl Dialect {
    /// The code of a refusal, which must be of the dialect's form.
    fn code(self, answer: &Answer) -> String {
        let content_type = match self {
            Self::Iam => "text/xml",
            Self::Osc => "application/json",
            Self::Ontap => "application/hal+json",
            Self::Rest => "application/problem+json",
        };
        assert_eq!(answer.content_type, content_type, "{answer:?}");
        let path = match self {
            Self::Iam => return error_code(&answer.body),
            Self::Osc => "/Errors/0/Type",
            Self::Ontap => "/error/code",
            Self::Rest => "/reason",
        };
        let document: Value = serde_json::from_str(&answer.body).expect("JSON");
        let code = document.pointer(path).and_then(Value::as_str);
        code.unwrap_or_else(|| panic!("no code: {answer:?}")).to_owned()
    }
}

/// Where the log ends.
async fn head(dev: &Dev) -> u64 {
    let verified = dev.events().verify_log(VerifyLogRequest::default()).await.expect("whole");
    verified.into_inner().head_position
}
