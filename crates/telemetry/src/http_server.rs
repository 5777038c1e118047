//! The layer for HTTP servers that are not gRPC.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http::{Method, Request, Response, StatusCode};
use opentelemetry::metrics::Histogram;
use opentelemetry::{ContextGuard, KeyValue};
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE,
};
use opentelemetry_semantic_conventions::metric::HTTP_SERVER_REQUEST_DURATION;
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tracing::field::Empty;

use crate::body::{Call, CallBody, End};
use crate::context::Trace;

/// What a request asked for, in few words, such as `GetObject` or `/v1/accounts/{account}`.
///
/// A handler that puts it into its response's extensions has it counted as `http.route`. Never a path as sent:
/// the metrics keep every value they have seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpRoute(pub Cow<'static, str>);

/// Measures and traces the requests of an HTTP server. Made by [`http_server_layer`].
#[derive(Clone, Debug)]
pub struct HttpServerLayer {
    durations: Histogram<f64>,
}

/// An HTTP service under an [`HttpServerLayer`].
#[derive(Clone, Debug)]
pub struct HttpServer<S> {
    inner: S,
    durations: Histogram<f64>,
}

/// The layer for an HTTP server, with S3 or REST on it: put it outermost, so that it sees every answer.
///
/// Each request gets a span, child of the caller's `traceparent`, and counts into
/// `http.server.request.duration` when its last byte is sent, with `http.request.method` (`_OTHER` if not
/// standard), `http.response.status_code`, `http.route` if the response says it as [`HttpRoute`], and
/// `error.type` if the server is to blame. Paths and queries are never recorded: they name customers' things.
pub fn http_server_layer() -> HttpServerLayer {
    let meter = crate::meter();
    let durations = meter.f64_histogram(HTTP_SERVER_REQUEST_DURATION).with_unit("s").build();
    HttpServerLayer { durations }
}

impl<S> Layer<S> for HttpServerLayer {
    type Service = HttpServer<S>;

    fn layer(&self, inner: S) -> HttpServer<S> {
        HttpServer { inner, durations: self.durations.clone() }
    }
}

impl<S, A, B> Service<Request<A>> for HttpServer<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: http_body::Body,
{
    type Response = Response<CallBody<B, HttpCall>>;
    type Error = S::Error;
    type Future = HttpServerFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let method = method_name(request.method());
        let span = tracing::debug_span!(
            "http.server",
            otel.kind = "server",
            otel.name = method,
            otel.status_code = Empty,
            http.request.method = method,
            http.response.status_code = Empty,
            http.route = Empty,
            "error.type" = Empty,
        );
        let call = HttpCall {
            durations: self.durations.clone(),
            trace: Trace::incoming(span, request.headers()),
            started: Instant::now(),
            method,
            status: None,
            route: None,
            ended: false,
        };
        let inner = {
            let _entered = call.enter();
            self.inner.call(request)
        };
        HttpServerFuture { inner, call: Some(call) }
    }
}

pin_project! {
    /// The response of an [`HttpServer`].
    #[derive(Debug)]
    pub struct HttpServerFuture<F> {
        #[pin]
        inner: F,
        call: Option<HttpCall>,
    }
}

impl<F, B, E> Future for HttpServerFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: http_body::Body,
{
    type Output = Result<Response<CallBody<B, HttpCall>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = {
            let _entered = this.call.as_ref().map(HttpCall::enter);
            ready!(this.inner.poll(cx))
        };
        let Some(mut call) = this.call.take() else { return Poll::Pending };
        Poll::Ready(match answer {
            Ok(response) => {
                call.status = Some(response.status());
                call.route = response.extensions().get().cloned();
                if call.method == "HEAD" {
                    call.end(End::Whole(None)); // hyper never asks for the body of its answer
                }
                Ok(response.map(|body| CallBody::new(body, call)))
            }
            Err(error) => {
                call.end(End::Broken);
                Err(error)
            }
        })
    }
}

/// One HTTP request under way.
#[derive(Debug)]
pub struct HttpCall {
    durations: Histogram<f64>,
    trace: Trace,
    started: Instant,
    method: &'static str,
    status: Option<StatusCode>,
    route: Option<HttpRoute>,
    ended: bool,
}

impl HttpCall {
    /// `failure` is why the response did not end whole.
    fn finish(&mut self, failure: Option<&'static str>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let duration = self.started.elapsed();
        let by_server = self.status.filter(StatusCode::is_server_error);
        let error: Option<Cow<'static, str>> = match (failure, by_server) {
            (Some(failure), _) => Some(failure.into()),
            (None, Some(status)) => Some(status.as_str().to_owned().into()),
            (None, None) => None,
        };
        self.describe(error.as_deref());
        let mut attributes = Vec::with_capacity(4);
        attributes.push(KeyValue::new(HTTP_REQUEST_METHOD, self.method));
        if let Some(status) = self.status {
            attributes.push(KeyValue::new(HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16())));
        }
        let route = self.route.take();
        attributes.extend(route.map(|HttpRoute(route)| KeyValue::new(HTTP_ROUTE, route)));
        attributes.extend(error.map(|error| KeyValue::new(ERROR_TYPE, error)));
        self.durations.record(duration.as_secs_f64(), &attributes);
    }

    fn describe(&self, error: Option<&str>) {
        let span = &self.trace.span;
        let status = self.status.map(|status| status.as_u16());
        if !span.is_disabled() {
            span.record("http.response.status_code", status);
            if let Some(HttpRoute(route)) = &self.route {
                span.record("http.route", &**route);
                self.trace.rename(format!("{} {route}", self.method));
            }
            if let Some(error) = error {
                span.record("error.type", error);
                span.record("otel.status_code", "ERROR");
            }
        }
        let _entered = span.enter();
        let (method, duration) = (self.method, self.started.elapsed());
        if self.status == Some(StatusCode::INTERNAL_SERVER_ERROR) {
            tracing::error!(method, status, error, ?duration, "http request failed");
        } else {
            tracing::debug!(method, status, error, ?duration, "http request ended");
        }
    }
}

impl Call for HttpCall {
    type Entered<'a> = (tracing::span::Entered<'a>, Option<ContextGuard>);

    fn enter(&self) -> Self::Entered<'_> {
        self.trace.enter()
    }

    fn end(&mut self, end: End<'_>) {
        self.finish(match end {
            End::Whole(_) => None,
            End::Broken => Some("broken"),
        });
    }
}

impl Drop for HttpCall {
    fn drop(&mut self) {
        self.finish(Some("cancelled"));
    }
}

fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] =
        ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}
