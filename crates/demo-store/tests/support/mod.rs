//! A store on a real socket and a client that signs.

#![allow(dead_code, reason = "every test binary uses its own share of this")]

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use demo_store::DemoStore;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::net::SocketAddr;
use std::path::Path;
use std::time::SystemTime;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
pub(crate) const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// A running store.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) done: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub(crate) async fn start(dir: &Path) -> Self {
        let store = DemoStore::open(dir).expect("the store opens");
        let service = demo_store::service(store, "us-east-1", ACCESS_KEY_ID, SECRET_ACCESS_KEY);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("has an address");
        let (stop, stopped) = oneshot::channel();
        let done = tokio::spawn(demo_store::serve(listener, service, async {
            _ = stopped.await;
        }));
        Self { address, stop: Some(stop), done }
    }

    /// Asks for shutdown and leaves `done` to be awaited.
    pub(crate) fn ask_to_stop(&mut self) {
        _ = self.stop.take().map(|stop| stop.send(()));
    }

    pub(crate) async fn stop(mut self) {
        self.ask_to_stop();
        self.done.await.expect("does not panic").expect("ends well");
    }

    pub(crate) fn client(&self) -> Client {
        self.client_with(SECRET_ACCESS_KEY)
    }

    pub(crate) fn client_with(&self, secret_access_key: &str) -> Client {
        Client {
            http: HttpClient::builder(TokioExecutor::new()).build_http(),
            address: self.address,
            secret_access_key: secret_access_key.to_owned(),
        }
    }
}

/// What `x-amz-content-sha256` says.
#[derive(Clone, Copy)]
pub(crate) enum Payload {
    Signed,
    Unsigned,
    UnsignedTrailer,
    /// The hash of other bytes than are sent.
    SignedOtherwise,
}

pub(crate) struct Client {
    http: HttpClient<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    secret_access_key: String,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("is text"))
    }

    /// The first element of this name in an XML body, as it stands there.
    pub(crate) fn element(&self, name: &str) -> Option<String> {
        self.elements(name).into_iter().next()
    }

    /// All elements of this name in an XML body.
    pub(crate) fn elements(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let text = self.text();
        let found = text.split(&open).skip(1).filter_map(|rest| rest.split_once(&close));
        found.map(|(element, _)| element.to_owned()).collect()
    }

    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    pub(crate) fn expect_error(self, status: u16, code: &str) -> Self {
        assert_eq!(self.element("Code").as_deref(), Some(code), "{}", self.text());
        self.expect(status)
    }
}

impl Client {
    /// The URI of `path`, given as plain text, with a query that is already encoded.
    pub(crate) fn uri(&self, path: &str, query: &str) -> Uri {
        let mut encoded = String::new();
        for byte in path.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                    encoded.push(char::from(byte));
                }
                _ => encoded.push_str(&format!("%{byte:02X}")),
            }
        }
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        format!("http://{}{encoded}{query}", self.address).parse().expect("a URI")
    }

    /// Signs a request.
    pub(crate) fn signed(
        &self,
        method: Method,
        (path, query): (&str, &str),
        headers: &[(&str, &str)],
        body: &[u8],
        payload: Payload,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(self.uri(path, query));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Full::from(body.to_vec())).expect("a request");
        let signable = match payload {
            Payload::Signed => SignableBody::Bytes(body),
            Payload::Unsigned => SignableBody::UnsignedPayload,
            Payload::UnsignedTrailer => SignableBody::StreamingUnsignedPayloadTrailer,
            Payload::SignedOtherwise => SignableBody::Bytes(b"other bytes"),
        };
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity =
            Credentials::new(ACCESS_KEY_ID, &self.secret_access_key, None, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .expect("all there")
            .into();
        let (method, uri) = (request.method().to_string(), request.uri().to_string());
        let headers = headers.iter().copied();
        let signable =
            SignableRequest::new(&method, uri, headers, signable).expect("can be signed");
        let (instructions, _) = sign(signable, &params).expect("signs").into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let response: Response<hyper::body::Incoming> =
            self.http.request(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        target: (&str, &str),
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.send(self.signed(method, target, headers, body, Payload::Signed)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &[u8]) -> Answer {
        self.call(Method::PUT, (path, ""), &[], body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, (path, ""), &[], b"").await
    }

    pub(crate) async fn get_query(&self, path: &str, query: &str) -> Answer {
        self.call(Method::GET, (path, query), &[], b"").await
    }

    pub(crate) async fn head(&self, path: &str) -> Answer {
        self.call(Method::HEAD, (path, ""), &[], b"").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, (path, ""), &[], b"").await
    }
}

/// A store in a directory of its own with the bucket `photos`.
pub(crate) async fn photos() -> (tempfile::TempDir, Server, Client) {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path()).await;
    let client = server.client();
    client.put("/photos", b"").await.expect(200);
    (dir, server, client)
}

/// How many files of object bytes there are.
pub(crate) fn blobs(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("data")).expect("a directory").count()
}
