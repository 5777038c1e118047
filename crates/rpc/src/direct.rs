//! Methods that are answered without tonic.
//!
//! What tonic does for a call of one message each way (a router, a codec, a stream of each side, a box
//! around each) costs more than what the shortest calls do. A direct method is given the message as it was
//! read and gives the answer as it is sent. Only the usual case is answered here: a caller who may call, and
//! one whole message that has its answer at once. All else goes on to tonic as if nothing had been read, so
//! that what is odd, refused, or has to wait, has one behaviour: tonic's.

mod body;

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use body::{AnswerBody, Unread};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::Frame;
use pin_project_lite::pin_project;
use prost::bytes::Bytes;
use tonic::body::Body;
use tower::{BoxError, Layer, Service};

use crate::callers::{Callers, Guard};

/// Before each message: whether it is compressed, and its length (gRPC over HTTP2,
/// "Length-Prefixed-Message").
const PREFIX_BYTES: usize = 5;
const CONTENT_TYPES: [&[u8]; 2] = [b"application/grpc", b"application/grpc+proto"];
const GRPC_ENCODING: &str = "grpc-encoding";
const IDENTITY: &[u8] = b"identity";

/// A method with one message each way that often has its answer at once.
pub trait Direct: Send + Sync + 'static {
    /// The answer to a message, made by [`framed`]. None if there is none yet, or if it is an error: the
    /// service of the same name will be asked, so that nothing may have been done.
    fn answer(&self, message: Bytes) -> Option<Bytes>;
}

/// An answer as it is sent, of a message that begins at `start` in `bytes`: the five before must be free.
pub fn framed(mut bytes: Vec<u8>, start: usize) -> Option<Bytes> {
    let length = u32::try_from(bytes.len().checked_sub(start)?).ok()?;
    let begin = start.checked_sub(PREFIX_BYTES)?;
    bytes[begin] = 0;
    bytes[begin + 1..start].copy_from_slice(&length.to_be_bytes());
    Some(Bytes::from(bytes).slice(begin..))
}

/// The methods that a server answers directly; none by default.
#[derive(Clone, Default)]
pub struct DirectMethods(Vec<Arc<Guarded>>);

struct Guarded {
    path: String,
    guard: Guard<Callers>,
    message_bytes_max: usize,
    direct: Box<dyn Direct>,
}

impl DirectMethods {
    /// With one more method, such as `claviger.auth.v1.AuthService/VerifySignature`. The server must have a
    /// service for it, too, behind the same guard and with the same limit.
    #[must_use]
    pub fn with(
        mut self,
        method: &str,
        guard: Guard<Callers>,
        message_bytes_max: usize,
        direct: impl Direct,
    ) -> Self {
        let (path, direct) = (format!("/{method}"), Box::new(direct));
        self.0.push(Arc::new(Guarded { path, guard, message_bytes_max, direct }));
        self
    }

    /// The one that may answer a request, as far as its head tells.
    fn find<A>(&self, request: &Request<A>) -> Option<&Arc<Guarded>> {
        let method = self.0.iter().find(|method| method.path == request.uri().path())?;
        let headers = request.headers();
        let is_usual = request.method() == Method::POST && is_plain_grpc(headers);
        (is_usual && method.guard.allows(headers, request.extensions())).then_some(method)
    }
}

impl fmt::Debug for DirectMethods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|method| &method.path)).finish()
    }
}

fn is_plain_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let encoding = headers.get(GRPC_ENCODING).map(HeaderValue::as_bytes);
    content_type.is_some_and(|given| CONTENT_TYPES.contains(&given))
        && encoding.is_none_or(|encoding| encoding == IDENTITY)
}

impl Guarded {
    /// Whether this is one message as a whole, and no more.
    fn is_whole(&self, data: &[u8]) -> bool {
        let Some((&[compressed, a, b, c, d], message)) = data.split_first_chunk::<PREFIX_BYTES>()
        else {
            return false;
        };
        let length = u32::from_be_bytes([a, b, c, d]);
        compressed == 0
            && u32::try_from(message.len()).is_ok_and(|given| given == length)
            && message.len() <= self.message_bytes_max
    }
}

/// Stands around the services of a server.
#[derive(Clone, Debug)]
pub(crate) struct DirectLayer(Arc<DirectMethods>);

impl DirectLayer {
    pub(crate) fn new(methods: DirectMethods) -> Self {
        Self(Arc::new(methods))
    }
}

impl<S> Layer<S> for DirectLayer {
    type Service = DirectServer<S>;

    fn layer(&self, inner: S) -> DirectServer<S> {
        DirectServer { inner, methods: Arc::clone(&self.0) }
    }
}

/// Services under a [`DirectLayer`].
#[derive(Clone, Debug)]
pub(crate) struct DirectServer<S> {
    inner: S,
    methods: Arc<DirectMethods>,
}

impl<S, A> Service<Request<A>> for DirectServer<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone,
    A: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    A::Error: Into<BoxError> + Send,
{
    type Response = Response<AnswerBody>;
    type Error = S::Error;
    type Future = Answered<S, A>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        match self.methods.find(&request) {
            Some(method) => {
                // The one that is ready, not its clone.
                let clone = self.inner.clone();
                let inner = mem::replace(&mut self.inner, clone);
                let method = Arc::clone(method);
                Answered::Reading { reading: Some(Reading { inner, method, request, first: None }) }
            }
            None => {
                Answered::Routed { answered: Box::pin(self.inner.call(request.map(Body::new))) }
            }
        }
    }
}

pin_project! {
    /// The response of a [`DirectServer`].
    #[project = AnsweredProjection]
    pub(crate) enum Answered<S, A>
    where
        S: Service<Request<Body>>,
    {
        Reading { reading: Option<Reading<S, A>> },
        // In a box, since it is much larger than the usual case.
        Routed { answered: Pin<Box<S::Future>> },
    }
}

/// A call whose message is not read yet.
pub(crate) struct Reading<S, A> {
    inner: S,
    method: Arc<Guarded>,
    request: Request<A>,
    /// What looks like the whole message.
    first: Option<Bytes>,
}

/// What came after the first frame, or in its place: nothing if the message is whole.
type Odd<E> = Option<Result<Frame<Bytes>, E>>;

impl<S, A> Reading<S, A>
where
    A: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    A::Error: Into<BoxError> + Send,
{
    /// Reads on until the message is whole, or looks like none.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<Odd<A::Error>> {
        loop {
            let body = self.request.body_mut();
            if self.first.is_some() && body.is_end_stream() {
                return Poll::Ready(None);
            }
            let odd = match ready!(Pin::new(body).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Ok(frame)) => match frame.into_data() {
                    // Of which many clients make the end.
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) if self.first.is_none() && self.method.is_whole(&data) => {
                        self.first = Some(data);
                        continue;
                    }
                    Ok(data) => Ok(Frame::data(data)),
                    Err(trailers) => Ok(trailers),
                },
                Some(Err(error)) => Err(error),
            };
            return Poll::Ready(Some(odd));
        }
    }

    /// The answer, if the message has one at once.
    fn answer(&self, odd: &Odd<A::Error>) -> Option<Bytes> {
        match (&self.first, odd) {
            (Some(first), None) => self.method.direct.answer(first.slice(PREFIX_BYTES..)),
            (_, _) => None,
        }
    }

    /// Has it answered as if nothing had been read.
    fn route(self, odd: Odd<A::Error>) -> S::Future
    where
        S: Service<Request<Body>>,
    {
        let Self { mut inner, request, first, .. } = self;
        let read = [first.map(|first| Ok(Frame::data(first))), odd];
        inner.call(request.map(|rest| Body::new(Unread { read, rest })))
    }
}

impl<S, A> Future for Answered<S, A>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    A: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    A::Error: Into<BoxError> + Send,
{
    type Output = Result<Response<AnswerBody>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let routed = match self.as_mut().project() {
                AnsweredProjection::Routed { answered } => {
                    let response = ready!(answered.as_mut().poll(context))?;
                    return Poll::Ready(Ok(response.map(AnswerBody::Routed)));
                }
                AnsweredProjection::Reading { reading } => {
                    let Some(call) = reading else { return Poll::Pending };
                    let odd = ready!(call.poll_rest(context));
                    if let Some(answer) = call.answer(&odd) {
                        let mut response = Response::new(AnswerBody::Message(answer));
                        let grpc = HeaderValue::from_static("application/grpc");
                        response.headers_mut().insert(CONTENT_TYPE, grpc);
                        return Poll::Ready(Ok(response));
                    }
                    let Some(call) = reading.take() else { return Poll::Pending };
                    Box::pin(call.route(odd))
                }
            };
            self.set(Self::Routed { answered: routed });
        }
    }
}

#[cfg(test)]
mod tests;
