//! A store that believes whoever stands before it: the demo store, told by headers who asks.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::request::Parts;
use http::{Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use s3s::service::S3Service;
use s3s::{Body, HttpError, HttpResponse};

use crate::support::Home;

/// A running store. Ends with the runtime.
pub(crate) struct Store {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Parts>>>,
}

impl Store {
    pub(crate) async fn start(home: &Home) -> Self {
        let folder = home.path().join("store");
        std::fs::create_dir(&folder).expect("created");
        let store = demo_store::DemoStore::open(&folder).expect("opened");
        let service = demo_store::service_for_all(store, "us-east-1");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("has one");
        let seen = Arc::new(Mutex::new(vec![]));
        let requests = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (service, seen) = (service.clone(), Arc::clone(&requests));
                let answer = service_fn(move |request: Request<Incoming>| {
                    let (parts, body) = request.into_parts();
                    seen.lock().expect("not poisoned").push(parts.clone());
                    answer(service.clone(), Request::from_parts(parts, body))
                });
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(stream), answer));
            }
        });
        Self { address, seen }
    }

    /// The heads of all requests since this was asked last.
    pub(crate) fn seen(&self) -> Vec<Parts> {
        std::mem::take(&mut self.seen.lock().expect("not poisoned"))
    }
}

/// Answers whoever Envoy says that asks. A body in chunks it could not take apart, and is told so by a header.
async fn answer(
    service: S3Service,
    mut request: Request<Incoming>,
) -> Result<HttpResponse, HttpError> {
    let told = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let refused = match (told("x-claviger-user"), told("x-claviger-payload-mode")) {
        (Some(_), Some("sha256" | "unsigned")) => None,
        (Some(_), _) => Some(StatusCode::NOT_IMPLEMENTED),
        (None, _) => Some(StatusCode::FORBIDDEN),
    };
    if let Some(status) = refused {
        let answer = Response::builder().status(status).body(Body::empty());
        return Ok(answer.expect("an answer"));
    }
    request.headers_mut().remove(header::AUTHORIZATION);
    let uri = request.uri().clone();
    if let Some(query) = uri.query() {
        let is_signature = |parameter: &&str| {
            let signed =
                ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"];
            let name = parameter.split('=').next().and_then(|name| name.strip_prefix("X-Amz-"));
            name.is_some_and(|name| signed.contains(&name))
        };
        let kept: Vec<_> = query.split('&').filter(|parameter| !is_signature(parameter)).collect();
        let target = format!("{}?{}", uri.path(), kept.join("&"));
        *request.uri_mut() = target.parse::<Uri>().expect("is one still");
    }
    Service::call(&service, request).await
}
