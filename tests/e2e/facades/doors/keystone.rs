//! Keystone's doors: by the string to sign, and by the request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Map, Value, json};

use super::{Answer, SKEW_SECONDS_MAX, Signed, Told, Whole};
use crate::support::Dev;

/// A service that has signed in.
pub(super) struct Keystone {
    endpoint: String,
    token: String,
    client: Client<HttpConnector, Full<bytes::Bytes>>,
}

impl Keystone {
    pub(super) async fn sign_in(dev: &Dev) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let endpoint = format!("{}/v3", dev.text("rest"));
        let mut keystone = Self { endpoint, token: String::new(), client };
        let user = json!({
            "name": dev.text("keystone/username"),
            "password": dev.text("keystone/password"),
            "domain": { "name": dev.text("keystone/user_domain_name") },
        });
        let asked = json!({ "auth": { "identity": {
            "methods": ["password"],
            "password": { "user": user },
        } } });
        let (status, token, body) = keystone.post("auth/tokens", &asked).await;
        assert_eq!(status, 201, "{body}");
        keystone.token = token;
        keystone
    }

    /// Status, token and body of an answer.
    async fn post(&self, path: &str, body: &Value) -> (u16, String, Value) {
        let request = Request::post(format!("{}/{path}", self.endpoint))
            .header("content-type", "application/json")
            .header("x-auth-token", &self.token)
            .body(Full::new(body.to_string().into()))
            .expect("a request");
        let answer = self.client.request(request).await.expect("answered");
        let status = answer.status().as_u16();
        let token = answer.headers().get("x-subject-token");
        let token = token.map(|token| token.to_str().expect("text").to_owned());
        let body = answer.into_body().collect().await.expect("read").to_bytes();
        (status, token.unwrap_or_default(), serde_json::from_slice(&body).expect("JSON"))
    }

    /// The account, or the status.
    async fn ask(&self, path: &str, credentials: &Value) -> String {
        let (status, token, body) = self.post(path, &json!({ "credentials": credentials })).await;
        assert_eq!(token, "", "a signature is no credential");
        match body.pointer("/token/project/id").and_then(Value::as_str) {
            Some(account) => account.to_owned(),
            None => status.to_string(),
        }
    }

    pub(super) async fn s3(&self, signed: &Signed<'_>, expected: &Told) -> Answer {
        let said = self
            .ask(
                "s3tokens",
                &json!({
                    "access": signed.access_key_id,
                    "signature": signed.signature,
                    "token": STANDARD.encode(signed.string_to_sign),
                }),
            )
            .await;
        // That it may be a presigned URL, which is good for longer, nobody tells.
        let is_in_time = signed.age_seconds().abs() <= SKEW_SECONDS_MAX;
        let expected = in_words_of_keystone(expected).filter(|_| is_in_time);
        (said, expected.unwrap_or_else(|| "403".into()))
    }

    pub(super) async fn ec2(
        &self,
        request: &Whole,
        signed: &Signed<'_>,
        expected: &Told,
    ) -> Answer {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let parameters = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value).into())
        });
        let headers = request.headers().map(|(name, value)| (name.to_owned(), value.into()));
        let said = self
            .ask(
                "ec2tokens",
                &json!({
                    "access": signed.access_key_id,
                    "signature": signed.signature,
                    "verb": request.method.as_str(),
                    "host": request.headers["host"].to_str().expect("text"),
                    "path": path,
                    "params": parameters.collect::<Map<_, _>>(),
                    "headers": headers.collect::<Map<_, _>>(),
                }),
            )
            .await;
        let expected = in_words_of_keystone(expected).unwrap_or_else(|| {
            // Of what is no signature of Version 4 it says no more than that it refuses it.
            let refused = ["400", "401", "403", "404"].contains(&said.as_str());
            if refused { said.clone() } else { "refused".into() }
        });
        (said, expected)
    }
}

/// The account or the status, for what Keystone has a word.
fn in_words_of_keystone(expected: &Told) -> Option<String> {
    Some(match expected {
        Told::Verified(who) => who.account_id.clone(),
        Told::Denied(code, _) => match code.as_str() {
            "SignatureDoesNotMatch"
            | "AuthorizationHeaderMalformed"
            | "AuthorizationQueryParametersError" => "401".into(),
            "InvalidAccessKeyId" => "404".into(),
            "RequestTimeTooSkewed" => "403".into(),
            _ => return None,
        },
    })
}

/// Without percent-encoding.
fn decoded(text: &str) -> String {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| hex::decode(two).ok());
        match hex {
            Some(byte) if *first == b'%' => {
                bytes.extend(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
