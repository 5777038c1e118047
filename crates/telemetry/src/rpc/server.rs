//! The layer for gRPC servers.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tower::{BoxError, Layer, Service};
use tracing::field::Empty;

use super::call::{Calls, RpcCall, Side};
use crate::body::{Call, CallBody};
use crate::context::Trace;
use crate::deadline;

/// Measures, traces and times out the calls of a gRPC server. Made by [`rpc_server_layer`].
#[derive(Clone, Debug)]
pub struct RpcServerLayer {
    calls: Calls,
    timeout_max: Option<Duration>,
}

/// A gRPC service under an [`RpcServerLayer`].
#[derive(Clone, Debug)]
pub struct RpcServer<S> {
    inner: S,
    calls: Calls,
    timeout_max: Option<Duration>,
}

/// The layer for a gRPC server: put it outermost, so that it sees every answer.
///
/// Each call gets a span, child of the caller's `traceparent`, and counts into `rpc.server.call.duration` when
/// its last byte is sent, with `rpc.method`, `rpc.response.status_code` and, if the server is to blame,
/// `error.type`. `known` are the methods served, such as `claviger.auth.v1.AuthService/VerifySignature`; health
/// and reflection are known already, any other is counted as `_OTHER`.
///
/// A call whose `grpc-timeout` passes before the response begins is dropped and answered DEADLINE_EXCEEDED, and
/// what is left of it limits the calls made on its behalf through an [`RpcClientLayer`](crate::RpcClientLayer).
/// Give the server's own limit to [`RpcServerLayer::timeout`]: `tonic::transport::Server::timeout` would answer
/// CANCELLED, unseen from here. An error that a layer below returns becomes a status, as in tonic.
pub fn rpc_server_layer(known: impl IntoIterator<Item: Into<String>>) -> RpcServerLayer {
    RpcServerLayer { calls: Calls::new(Side::Server, known), timeout_max: None }
}

impl RpcServerLayer {
    /// Limits each call to `max` until its response begins, whatever its caller asks for.
    #[must_use]
    pub fn timeout(mut self, max: Duration) -> Self {
        self.timeout_max = Some(max);
        self
    }
}

impl<S> Layer<S> for RpcServerLayer {
    type Service = RpcServer<S>;

    fn layer(&self, inner: S) -> RpcServer<S> {
        RpcServer { inner, calls: self.calls.clone(), timeout_max: self.timeout_max }
    }
}

impl<S, A, B> Service<Request<A>> for RpcServer<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body,
{
    type Response = Response<CallBody<B, RpcCall>>;
    type Error = BoxError;
    type Future = RpcServerFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let method = self.calls.method(request.uri().path());
        let name = self.calls.name(method);
        let span = tracing::debug_span!(
            "rpc.server",
            otel.kind = "server",
            otel.name = name,
            otel.status_code = Empty,
            rpc.system.name = "grpc",
            rpc.method = name,
            rpc.response.status_code = Empty,
            "error.type" = Empty,
        );
        let call = self.calls.start(method, Trace::incoming(span, request.headers()));
        let deadline = deadline::of_call(request.headers(), self.timeout_max);
        // Made before tonic's own timer for the same header, and so first to end.
        let sleep = deadline.map(tokio::time::sleep_until);
        let inner = {
            let _entered = call.enter();
            deadline::within(deadline, || self.inner.call(request))
        };
        RpcServerFuture { inner, sleep, deadline, call: Some(call) }
    }
}

pin_project! {
    /// The response of an [`RpcServer`].
    #[derive(Debug)]
    pub struct RpcServerFuture<F> {
        #[pin]
        inner: F,
        #[pin]
        sleep: Option<Sleep>,
        deadline: Option<Instant>,
        call: Option<RpcCall>,
    }
}

impl<F, B, E> Future for RpcServerFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: http_body::Body,
{
    type Output = Result<Response<CallBody<B, RpcCall>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = {
            let _entered = this.call.as_ref().map(RpcCall::enter);
            deadline::within(*this.deadline, || this.inner.poll(cx))
        };
        let answer = match answer {
            Poll::Ready(answer) => answer.map_err(Into::into),
            Poll::Pending => match this.sleep.as_pin_mut().map(|sleep| sleep.poll(cx)) {
                Some(Poll::Ready(())) => Err(Status::deadline_exceeded("deadline exceeded").into()),
                Some(Poll::Pending) | None => return Poll::Pending,
            },
        };
        let Some(mut call) = this.call.take() else { return Poll::Pending };
        Poll::Ready(match answer {
            Ok(response) => {
                call.end_if_in_head(response.headers());
                Ok(response.map(|body| CallBody::new(body, call)))
            }
            Err(error) => match Status::try_from_error(error) {
                Ok(status) => {
                    call.end_with(status.code());
                    Ok(status.into_http::<()>().map(|()| CallBody::empty(call)))
                }
                Err(error) => {
                    call.end_with(tonic::Code::Unknown);
                    Err(error)
                }
            },
        })
    }
}
