//! A response body that tells its call when it has ended.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::HeaderMap;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

/// A call under way. Dropped before its end, it was given up by the caller.
pub trait Call {
    /// What is current while the call is worked on; not held across an await.
    type Entered<'a>
    where
        Self: 'a;

    /// Makes the call's trace the current one.
    fn enter(&self) -> Self::Entered<'_>;

    /// Takes note that the call has ended; the first end counts.
    fn end(&mut self, end: End<'_>);
}

/// How a response ended.
#[derive(Debug)]
pub enum End<'a> {
    /// All of it was sent, with these trailers if any.
    Whole(Option<&'a HeaderMap>),
    /// The server broke it off.
    Broken,
}

pin_project! {
    /// The body `B` of a response, and the call that it answers.
    #[derive(Debug)]
    pub struct CallBody<B, C> {
        #[pin]
        inner: Option<B>,
        call: C,
    }
}

impl<B: http_body::Body, C: Call> CallBody<B, C> {
    /// The body of a response to `call`, which has ended if there is nothing in it.
    pub fn new(inner: B, mut call: C) -> Self {
        end_if_whole(&inner, &mut call);
        CallBody { inner: Some(inner), call }
    }

    pub(crate) fn empty(mut call: C) -> Self {
        call.end(End::Whole(None));
        CallBody { inner: None, call }
    }
}

impl<B: http_body::Body, C: Call> http_body::Body for CallBody<B, C> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let Some(mut inner) = this.inner.as_pin_mut() else { return Poll::Ready(None) };
        let frame = {
            let _entered = this.call.enter();
            ready!(inner.as_mut().poll_frame(cx))
        };
        match &frame {
            None => this.call.end(End::Whole(None)),
            Some(Err(_)) => this.call.end(End::Broken),
            Some(Ok(frame)) => match frame.trailers_ref() {
                Some(trailers) => this.call.end(End::Whole(Some(trailers))),
                None => end_if_whole(&*inner, this.call),
            },
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

/// hyper drops a body once all its bytes are sent, without asking for the end of it.
fn end_if_whole(body: &impl http_body::Body, call: &mut impl Call) {
    if body.is_end_stream() || body.size_hint().exact() == Some(0) {
        call.end(End::Whole(None));
    }
}
