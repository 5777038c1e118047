//! The layer for gRPC channels.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tonic::{Status, TimeoutExpired};
use tower::{BoxError, Layer, Service};
use tracing::field::Empty;

use super::call::{Calls, RpcCall, Side};
use crate::body::{Call, CallBody};
use crate::context::Trace;
use crate::deadline;

/// Measures and traces the calls made through a channel. Made by [`rpc_client_layer`].
#[derive(Clone, Debug)]
pub struct RpcClientLayer(Calls);

/// A channel under an [`RpcClientLayer`]; a generated client takes it in place of a channel.
#[derive(Clone, Debug)]
pub struct RpcClient<S> {
    inner: S,
    calls: Calls,
}

/// The layer for a gRPC channel.
///
/// Each call gets a client span, sends its `traceparent` (or, if this process traces nothing, the one of the
/// call that is being answered), and counts into `rpc.client.call.duration` when its last byte has come, with
/// the same attributes as on the server; here each status but OK is an error. `known` are the methods called.
///
/// A call made while a server with an [`RpcServerLayer`](crate::RpcServerLayer) answers another gets at most the
/// time that is left to that one, if it is made from the same task. A timeout of the channel's own is told as
/// DEADLINE_EXCEEDED, not as tonic's CANCELLED.
pub fn rpc_client_layer(known: impl IntoIterator<Item: Into<String>>) -> RpcClientLayer {
    RpcClientLayer(Calls::new(Side::Client, known))
}

impl<S> Layer<S> for RpcClientLayer {
    type Service = RpcClient<S>;

    fn layer(&self, inner: S) -> RpcClient<S> {
        RpcClient { inner, calls: self.0.clone() }
    }
}

impl<S, A, B> Service<Request<A>> for RpcClient<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body,
{
    type Response = Response<CallBody<B, RpcCall>>;
    type Error = BoxError;
    type Future = RpcClientFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let method = self.calls.method(request.uri().path());
        let name = self.calls.name(method);
        let span = tracing::debug_span!(
            "rpc.client",
            otel.kind = "client",
            otel.name = name,
            otel.status_code = Empty,
            rpc.system.name = "grpc",
            rpc.method = name,
            rpc.response.status_code = Empty,
            "error.type" = Empty,
        );
        deadline::hand_on(request.headers_mut());
        let call = self.calls.start(method, Trace::outgoing(span, request.headers_mut()));
        let inner = {
            let _entered = call.enter();
            self.inner.call(request)
        };
        RpcClientFuture { inner, call: Some(call) }
    }
}

pin_project! {
    /// The response of an [`RpcClient`].
    #[derive(Debug)]
    pub struct RpcClientFuture<F> {
        #[pin]
        inner: F,
        call: Option<RpcCall>,
    }
}

impl<F, B, E> Future for RpcClientFuture<F>
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
            ready!(this.inner.poll(cx))
        };
        let Some(mut call) = this.call.take() else { return Poll::Pending };
        Poll::Ready(match answer {
            Ok(response) => {
                call.end_if_in_head(response.headers());
                Ok(response.map(|body| CallBody::new(body, call)))
            }
            Err(error) => {
                let status = status(error.into());
                call.end_with(status.code());
                Err(status.into())
            }
        })
    }
}

fn status(error: BoxError) -> Status {
    let mut source: Option<&(dyn Error + 'static)> = Some(&*error);
    while let Some(error) = source {
        if error.is::<TimeoutExpired>() {
            return Status::deadline_exceeded("deadline exceeded");
        }
        source = error.source();
    }
    Status::from_error(error)
}
