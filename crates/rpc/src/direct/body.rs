//! What a request is when something of it was read, and what a response is with or without tonic.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue};
use http_body::{Frame, SizeHint};
use prost::bytes::Bytes;
use tonic::Status;
use tonic::body::Body;

/// The body of a request of which something was read.
pub(crate) struct Unread<A: http_body::Body> {
    pub(crate) read: [Option<Result<Frame<Bytes>, A::Error>>; 2],
    pub(crate) rest: A,
}

// What was read is moved out, never pinned.
impl<A: http_body::Body + Unpin> Unpin for Unread<A> {}

impl<A: http_body::Body<Data = Bytes> + Unpin> http_body::Body for Unread<A> {
    type Data = Bytes;
    type Error = A::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, A::Error>>> {
        match self.read.iter_mut().find_map(Option::take) {
            Some(read) => Poll::Ready(Some(read)),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.iter().all(Option::is_none) && self.rest.is_end_stream()
    }
}

/// The body of a response: one message and the status OK, or whatever tonic says.
#[derive(Debug, Default)]
pub(crate) enum AnswerBody {
    Message(Bytes),
    Status,
    #[default]
    End,
    Routed(Body),
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let (next, frame) = match &mut *self {
            Self::Routed(body) => return Pin::new(body).poll_frame(context),
            Self::Message(message) => (Self::Status, Frame::data(mem::take(message))),
            Self::Status => {
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
                (Self::End, Frame::trailers(trailers))
            }
            Self::End => return Poll::Ready(None),
        };
        *self = next;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Message(_) | Self::Status => false,
            Self::End => true,
            Self::Routed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            // As of tonic's: hyper would make a content-length of it.
            Self::Message(_) | Self::Status => SizeHint::default(),
            Self::End => SizeHint::with_exact(0),
            Self::Routed(body) => body.size_hint(),
        }
    }
}
