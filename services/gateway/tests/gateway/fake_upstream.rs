//! An upstream that remembers what it was sent, byte for byte.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    /// The body's length and whether it came whole.
    pub(crate) length: u64,
    pub(crate) whole: bool,
    /// The first bytes of the body.
    pub(crate) start: Vec<u8>,
}

type Answer = dyn Fn(&Seen) -> Response<Body> + Send + Sync;

/// Answers 200 `stored` unless told otherwise.
#[derive(Clone)]
pub(crate) struct FakeUpstream {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answer: Mutex<Arc<Answer>>,
    seen: watch::Sender<Vec<Seen>>,
    /// Requests whose head has arrived, those whose handler was dropped, and whether to answer.
    begun: watch::Sender<usize>,
    dropped: watch::Sender<usize>,
    held: watch::Sender<bool>,
}

pub(crate) fn text(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

impl FakeUpstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            answer: Mutex::new(Arc::new(|_: &Seen| Response::new(text("stored")))),
            seen: watch::Sender::default(),
            begun: watch::Sender::default(),
            dropped: watch::Sender::default(),
            held: watch::Sender::default(),
        });
        let upstream = Self { address, shared: Arc::clone(&shared) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request| handle(Arc::clone(&shared), request));
                let mut http = http1::Builder::new();
                http.max_buf_size(256 << 10);
                tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
            }
        });
        upstream
    }

    pub(crate) fn answers(&self, answer: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static) {
        *self.shared.answer.lock().expect("not poisoned") = Arc::new(answer);
    }

    /// Whether answers are held back.
    pub(crate) fn hold(&self, held: bool) {
        self.shared.held.send_replace(held);
    }

    /// All requests whose body has ended, whole or not.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.borrow().clone()
    }

    pub(crate) fn begun(&self) -> usize {
        *self.shared.begun.borrow()
    }

    /// Waits for that many requests whose body has ended.
    pub(crate) async fn seen_at_least(&self, n: usize) -> Vec<Seen> {
        let mut seen = self.shared.seen.subscribe();
        seen.wait_for(|seen| seen.len() >= n).await.expect("running").clone()
    }

    pub(crate) async fn begun_at_least(&self, n: usize) {
        let mut begun = self.shared.begun.subscribe();
        begun.wait_for(|begun| *begun >= n).await.expect("running");
    }

    /// Waits for that many requests that were broken off while being handled.
    pub(crate) async fn dropped_at_least(&self, n: usize) {
        let mut dropped = self.shared.dropped.subscribe();
        dropped.wait_for(|dropped| *dropped >= n).await.expect("running");
    }
}

/// Tells if it is dropped before it is done.
struct Handling(Arc<Shared>, bool);

impl Drop for Handling {
    fn drop(&mut self) {
        if !self.1 {
            self.0.dropped.send_modify(|dropped| *dropped += 1);
        }
    }
}

async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut handling = Handling(Arc::clone(&shared), false);
    shared.begun.send_modify(|begun| *begun += 1);
    let (head, mut body) = request.into_parts();
    let target = head.uri.path_and_query().expect("a path").as_str().to_owned();
    let mut seen = Seen {
        method: head.method,
        target,
        headers: head.headers,
        length: 0,
        whole: true,
        start: vec![],
    };
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                let data = frame.into_data().expect("data");
                seen.length += data.len() as u64;
                if seen.start.len() < 1024 {
                    seen.start.extend_from_slice(&data);
                }
            }
            Err(_) => {
                seen.whole = false;
                break;
            }
        }
    }
    shared.seen.send_modify(|all| all.push(seen.clone()));
    let mut held = shared.held.subscribe();
    held.wait_for(|held| !held).await.expect("running");
    let answer = Arc::clone(&shared.answer.lock().expect("not poisoned"));
    handling.1 = true;
    Ok(answer(&seen))
}
