//! Tells of calls that were refused or failed: who made them, and why not. They are in the log, and
//! counted, and not among the recorded events: nothing has happened.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use telemetry::{CallBody, End};
use tokio::time::Instant;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::Service;

use crate::Peer;

/// The most bytes of a line's field that callers choose: nobody without a token shall fill a disk.
const FIELD_BYTES_MAX: usize = 256;

/// What is only known within: who calls. In the extensions of each request.
#[derive(Clone, Debug, Default)]
pub struct AuditTrail(Arc<Mutex<Known>>);

#[derive(Clone, Debug, Default)]
struct Known {
    caller: String,
    source_address: Option<IpAddr>,
}

impl AuditTrail {
    /// Says who calls; the last word counts.
    pub fn set_caller(&self, name: String) {
        self.lock().caller = name;
    }

    /// Says where the call comes from, if not from the peer that made it.
    pub fn set_source_address(&self, address: IpAddr) {
        self.lock().source_address = Some(address);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a line and counts whenever a call to the service within is answered with an error, at once or
/// after some messages, or is given up before it is answered: by its caller, or when its time is over.
///
/// A stream that its caller has had enough of is no failure.
#[derive(Clone, Debug)]
pub struct Audited<S> {
    inner: S,
    failed: Counter<u64>,
}

impl<S> Audited<S> {
    /// Stands around `inner`.
    pub fn new(inner: S) -> Self {
        let failed = telemetry::meter()
            .u64_counter("claviger.rpc.calls.failed")
            .with_description("Calls that were refused, failed or given up, by code and reason.")
            .build();
        Self { inner, failed }
    }
}

impl<S: NamedService> NamedService for Audited<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B, R> Service<Request<B>> for Audited<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: http_body::Body,
{
    type Response = Response<CallBody<R, AuditedCall>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let trail = AuditTrail::default();
        request.extensions_mut().insert(trail.clone());
        let address = request.extensions().get::<Peer>().and_then(|peer| peer.address);
        let mut call = AuditedCall {
            method: request.uri().path().trim_start_matches('/').to_owned(),
            trail,
            address: address.map(|peer| peer.ip()),
            request_id: request.headers().get("x-request-id").cloned(),
            deadline: telemetry::deadline(),
            failed: self.failed.clone(),
            answered: false,
        };
        let answered = self.inner.call(request);
        Box::pin(async move {
            let response = answered.await?;
            call.answered = true;
            // An error that came before any message stands in the head of the response.
            call.tell_if_failed(response.headers());
            Ok(response.map(|body| CallBody::new(body, call)))
        })
    }
}

/// A call that is not over yet.
#[derive(Debug)]
pub struct AuditedCall {
    method: String,
    trail: AuditTrail,
    address: Option<IpAddr>,
    request_id: Option<HeaderValue>,
    deadline: Option<Instant>,
    failed: Counter<u64>,
    answered: bool,
}

impl AuditedCall {
    /// Tells of the status in the head or at the end of a response, if that is an error.
    fn tell_if_failed(&self, headers: &HeaderMap) {
        if let Some(status) = Status::from_header_map(headers)
            && status.code() != Code::Ok
        {
            self.tell(&status);
        }
    }

    fn tell(&self, status: &Status) {
        let code = status.code();
        // As it stands in `google.rpc.ErrorInfo`.
        let reason = api::reason(status).map(|reason| reason.as_str_name());
        let reason = reason.and_then(|name| name.strip_prefix("REASON_")).unwrap_or_default();
        let attributes =
            [KeyValue::new("code", format!("{code:?}")), KeyValue::new("reason", reason)];
        self.failed.add(1, &attributes);
        let Known { caller, source_address } = self.trail.lock().clone();
        let source_address = source_address.or(self.address);
        tracing::info!(
            target: "claviger::audit",
            caller,
            method = cut(&self.method),
            ?code,
            reason,
            detail = cut(status.message()),
            source_address = source_address.map(|address| address.to_string()),
            request_id = self.request_id.as_ref().and_then(|id| id.to_str().ok()).map(cut),
            "call refused or failed",
        );
    }
}

impl telemetry::Call for AuditedCall {
    type Entered<'a> = ();

    fn enter(&self) {}

    fn end(&mut self, end: End<'_>) {
        match end {
            End::Whole(Some(trailers)) => self.tell_if_failed(trailers),
            End::Whole(None) => {}
            End::Broken => self.tell(&Status::unknown("the answer was broken off")),
        }
    }
}

impl Drop for AuditedCall {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        // What it asked for may have been done all the same: the recorded events say.
        let late = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        self.tell(&match late {
            true => Status::deadline_exceeded("its time was over before it was answered"),
            false => Status::cancelled("its caller gave it up before it was answered"),
        });
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(FIELD_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::fmt;
    use std::time::Duration;

    use futures::FutureExt;
    use tower::{Layer, ServiceExt};
    use tracing::field::{Field, Visit};
    use tracing::span;
    use tracing::subscriber::Subscriber;

    use super::*;

    /// The codes of the lines that this thread writes.
    #[derive(Clone, Default)]
    struct Codes(Arc<Mutex<Vec<String>>>);

    impl Visit for Codes {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if field.name() == "code" {
                self.0.lock().expect("not poisoned").push(format!("{value:?}"));
            }
        }
    }

    impl Subscriber for Codes {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            metadata.target() == "claviger::audit"
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            event.record(&mut self.clone());
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    type Body = http_body_util::Empty<&'static [u8]>;

    /// Calls what is never answered, within a server's limit of a second.
    fn call_that_stands_still() -> impl Future<Output = ()> {
        let never = tower::service_fn(|_: Request<Body>| {
            std::future::pending::<Result<Response<Body>, Infallible>>()
        });
        let layer = telemetry::rpc_server_layer(["a.B/C"]).timeout(Duration::from_secs(1));
        let server = layer.layer(Audited::new(never));
        async move { drop(server.oneshot(Request::new(Body::new())).await) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_time_is_over_leaves_a_line() {
        let codes = Codes::default();
        let _guard = tracing::subscriber::set_default(codes.clone());
        call_that_stands_still().await;
        assert_eq!(*codes.0.lock().expect("not poisoned"), ["DeadlineExceeded"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_its_caller_gives_up_leaves_a_line() {
        let codes = Codes::default();
        let _guard = tracing::subscriber::set_default(codes.clone());
        let mut call = Box::pin(call_that_stands_still());
        assert_eq!((&mut call).now_or_never(), None);
        drop(call);
        assert_eq!(*codes.0.lock().expect("not poisoned"), ["Cancelled"]);
    }
}
