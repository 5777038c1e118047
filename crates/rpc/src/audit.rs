//! Tells of calls that were refused or failed: who made them, and why not. They are in the log, and
//! counted, and not among the recorded events: nothing has happened.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tonic::server::NamedService;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Status};
use tower::Service;

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

/// Writes a line and counts whenever a call to the service within is answered with an error.
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
            .with_description("Calls that were refused or failed, by code and reason.")
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
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let method = request.uri().path().trim_start_matches('/').to_owned();
        let trail = AuditTrail::default();
        request.extensions_mut().insert(trail.clone());
        let address =
            request.extensions().get::<TcpConnectInfo>().and_then(|info| info.remote_addr());
        let request_id = request.headers().get("x-request-id").cloned();
        let answered = self.inner.call(request);
        let failed = self.failed.clone();
        Box::pin(async move {
            let response = answered.await?;
            // An error that came before any message stands in the head of the response.
            if let Some(status) = Status::from_header_map(response.headers())
                && status.code() != Code::Ok
            {
                // As it stands in `google.rpc.ErrorInfo`.
                let reason = api::reason(&status).map(|reason| reason.as_str_name());
                let reason =
                    reason.and_then(|name| name.strip_prefix("REASON_")).unwrap_or_default();
                let code = status.code();
                failed.add(
                    1,
                    &[KeyValue::new("code", format!("{code:?}")), KeyValue::new("reason", reason)],
                );
                let Known { caller, source_address } = trail.lock().clone();
                let source_address = source_address.or(address.map(|peer| peer.ip()));
                tracing::info!(
                    target: "claviger::audit",
                    caller,
                    method = cut(&method),
                    ?code,
                    reason,
                    detail = cut(status.message()),
                    source_address = source_address.map(|address| address.to_string()),
                    request_id = request_id.as_ref().and_then(|id| id.to_str().ok()).map(cut),
                    "call refused or failed",
                );
            }
            Ok(response)
        })
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(FIELD_BYTES_MAX)]
}
