//! How much a server takes on at once, over all its connections. More is refused at once: a late answer
//! is no use to whoever waits, and what waits costs memory.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread::available_parallelism;
use std::time::Duration;

use api::error::v1::Reason;
use http::{Request, Response};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use pin_project_lite::pin_project;
use telemetry::{CallBody, End};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tonic::Code;
use tower::{Layer, Service};

/// So many calls may be under way for each processor, until their response begins. Of calls that only
/// compute, which are the many, one takes less than 50 µs, with all that carries it: whoever is admitted
/// last waits some 50 ms, which a client of S3 does not notice. What waits for a disk or for a position
/// uses no processor and finds room beside it.
const CALLS_PER_PROCESSOR_MAX: usize = 1024;
/// So many calls with streams may be under way until they end. There is one for each replica of auth, a few
/// for each gateway and for each watch of events, of which identity itself allows no more than a quarter of this.
const STREAMS_MAX: usize = 4096;
/// So many streams of health and reflection, which ask for no caller, besides.
const INQUIRIES_MAX: usize = 256;
/// How often to say again that calls are refused: a log must not grow with what is refused.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// What probes ask. It is answered from memory, at once, and never refused: a server that has enough to do
/// is well, and one that is killed for it leaves all its work to the others.
const CHECK: &str = "/grpc.health.v1.Health/Check";
const INQUIRIES: [&str; 3] = [
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// How much may be under way at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Calls without a stream, until their response begins.
    pub(crate) calls: usize,
    /// Calls with a stream, until they end.
    pub(crate) streams: usize,
    /// Streams of health and reflection, until they end.
    pub(crate) inquiries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        let calls = processors.saturating_mul(CALLS_PER_PROCESSOR_MAX);
        Self { calls, streams: STREAMS_MAX, inquiries: INQUIRIES_MAX }
    }
}

/// What a call takes a place of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Call,
    Stream,
    Inquiry,
    /// None: it is always admitted.
    Check,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Stream => "stream",
            Self::Inquiry => "inquiry",
            Self::Check => "check",
        }
    }
}

/// Stands before all services of a server. Answers RESOURCE_EXHAUSTED/OVERLOADED when it is full.
#[derive(Clone, Debug)]
pub(crate) struct AdmissionLayer(Arc<Places>);

#[derive(Debug)]
struct Places {
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    inquiries: Arc<Semaphore>,
    /// Paths of our calls with a stream.
    streaming: HashSet<String>,
    refused: Counter<u64>,
    warned: Mutex<Option<Instant>>,
}

impl AdmissionLayer {
    pub(crate) fn new(limits: Limits) -> Self {
        let places = |max: usize| Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        let refused = telemetry::meter()
            .u64_counter("claviger.rpc.calls.shed")
            .with_description("Calls that were refused because too many were under way, by kind.")
            .build();
        Self(Arc::new(Places {
            calls: places(limits.calls),
            streams: places(limits.streams),
            inquiries: places(limits.inquiries),
            streaming: crate::streaming_methods().map(|method| format!("/{method}")).collect(),
            refused,
            warned: Mutex::default(),
        }))
    }
}

impl Places {
    fn kind(&self, path: &str) -> Kind {
        if path == CHECK {
            Kind::Check
        } else if INQUIRIES.contains(&path) {
            Kind::Inquiry
        } else if self.streaming.contains(path) {
            Kind::Stream
        } else {
            Kind::Call
        }
    }

    /// A place for a call, or none if all are taken. Never waits, and allocates nothing.
    fn take(&self, kind: Kind) -> Option<Held> {
        let places = match kind {
            Kind::Call => &self.calls,
            Kind::Stream => &self.streams,
            Kind::Inquiry => &self.inquiries,
            Kind::Check => return Some(Held(None)),
        };
        Arc::clone(places).try_acquire_owned().ok().map(|place| Held(Some(place)))
    }

    fn tell(&self, kind: Kind) {
        self.refused.add(1, &[KeyValue::new("kind", kind.name())]);
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|warned| warned.elapsed() >= WARN_INTERVAL) {
            *warned = Some(Instant::now());
            tracing::warn!(kind = kind.name(), "calls are refused: too many are under way");
        }
    }
}

/// A place, given back when this is dropped or the call ends.
#[derive(Debug)]
pub(crate) struct Held(Option<OwnedSemaphorePermit>);

impl telemetry::Call for Held {
    type Entered<'a> = ();

    fn enter(&self) {}

    fn end(&mut self, _: End<'_>) {
        self.0 = None;
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<S>;

    fn layer(&self, inner: S) -> Admission<S> {
        Admission { inner, places: Arc::clone(&self.0) }
    }
}

/// A server under an [`AdmissionLayer`].
#[derive(Clone, Debug)]
pub(crate) struct Admission<S> {
    inner: S,
    places: Arc<Places>,
}

impl<S, A, B> Service<Request<A>> for Admission<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: http_body::Body + Default,
{
    type Response = Response<CallBody<B, Held>>;
    type Error = S::Error;
    type Future = Admitted<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let kind = self.places.kind(request.uri().path());
        match self.places.take(kind) {
            Some(held) => {
                Admitted::UnderWay { inner: self.inner.call(request), kind, held: Some(held) }
            }
            None => {
                self.places.tell(kind);
                Admitted::Refused
            }
        }
    }
}

pin_project! {
    /// The response of an [`Admission`].
    #[derive(Debug)]
    #[project = AdmittedProjection]
    pub(crate) enum Admitted<F> {
        UnderWay {
            #[pin]
            inner: F,
            kind: Kind,
            held: Option<Held>,
        },
        Refused,
    }
}

impl<F, B, E> Future for Admitted<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: http_body::Body + Default,
{
    type Output = Result<Response<CallBody<B, Held>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (response, held) = match self.project() {
            AdmittedProjection::UnderWay { inner, kind, held } => {
                let response = ready!(inner.poll(context))?;
                let held = held.take();
                let held = match kind {
                    Kind::Stream | Kind::Inquiry => held,
                    Kind::Call | Kind::Check => None,
                };
                (response, held)
            }
            AdmittedProjection::Refused => {
                let message = "the server has too much to do: call again a little later";
                let status = api::status(Code::ResourceExhausted, Reason::Overloaded, message);
                (status.into_http(), None)
            }
        };
        let held = held.unwrap_or(Held(None));
        Poll::Ready(Ok(response.map(|body| CallBody::new(body, held))))
    }
}

#[cfg(test)]
mod tests;
