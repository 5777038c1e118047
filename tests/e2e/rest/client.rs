//! A client of the REST API that shows everything of an answer.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::support::{Dev, PATIENCE};

/// Asks with an admin token.
pub(crate) struct Rest {
    url: String,
    token: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Rest {
    pub(crate) fn of(dev: &Dev) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let token = format!("Bearer {}", dev.text("admin_token"));
        Self { url: dev.text("rest"), token, client }
    }

    async fn respond(
        &self,
        verb: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<Incoming> {
        let verb = verb.to_uppercase();
        let mut request =
            Request::builder().method(verb.as_str()).uri(format!("{}{target}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).expect("a request");
        self.client.request(request).await.expect("answered")
    }

    /// Sends a request as it is.
    pub(crate) async fn send(
        &self,
        verb: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let (head, body) = self.respond(verb, target, headers, body).await.into_parts();
        let body = body.collect().await.expect("read").to_bytes();
        let body = String::from_utf8(body.to_vec()).expect("UTF-8");
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    /// Sends a request with the token.
    pub(crate) async fn ask(
        &self,
        verb: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let token = [("authorization", self.token.as_str())];
        self.send(verb, target, &[headers, &token].concat(), body).await
    }

    /// Opens an answer that goes on.
    pub(crate) async fn open(&self, target: &str) -> Response<Incoming> {
        self.respond("GET", target, &[("authorization", &self.token)], "").await
    }

    pub(crate) async fn document(&self) -> Value {
        self.send("GET", "/openapi.json", &[], "").await.json()
    }
}

/// The next line of an answer that goes on, each of which comes in a frame of its own.
pub(crate) async fn line(answer: &mut Response<Incoming>) -> Value {
    let frame = tokio::time::timeout(PATIENCE, answer.body_mut().frame()).await.expect("in time");
    let data = frame.expect("more").expect("whole").into_data().expect("data");
    let text = std::str::from_utf8(&data).expect("UTF-8");
    assert!(text.ends_with('\n') && text.matches('\n').count() == 1, "{text:?}");
    serde_json::from_str(text).expect("JSON")
}
