//! Refuses requests that cannot be read as what they are: mistakes of their senders.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::Service;

/// How tonic begins to say that a request is no message of its type, is none at all, or is longer than
/// a message may be.
const MALFORMED: [(Code, &str); 4] = [
    (Code::Internal, "failed to decode Protobuf message"),
    (Code::Internal, "Unexpected EOF decoding stream"),
    (Code::Internal, "Missing request message"),
    (Code::OutOfRange, "Error, decoded message length too large"),
];

/// Answers INVALID_ARGUMENT/INVALID_FIELD to calls of the service within whose request does not decode
/// or is too long. tonic answers INTERNAL, as if the server were to blame, or OUT_OF_RANGE, and no
/// reason with it.
///
/// Stands for requests of one message: who reads a stream of them asks [`or_malformed`]. A compressed
/// message that nobody announced stays INTERNAL, as gRPC has it.
#[derive(Clone, Debug)]
pub struct Malformed<S>(S);

impl<S> Malformed<S> {
    /// Stands around `inner`.
    pub fn new(inner: S) -> Self {
        Self(inner)
    }
}

impl<S: NamedService> NamedService for Malformed<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B, R> Service<Request<B>> for Malformed<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answered = self.0.call(request);
        Box::pin(async move {
            let mut response = answered.await?;
            // No message of an answer came before it: it stands in the head.
            let status = Status::from_header_map(response.headers());
            if let Some(refusal) = status.as_ref().and_then(refusal) {
                // What is made of plain text is a header.
                let _ = refusal.add_header(response.headers_mut());
            }
            Ok(response)
        })
    }
}

/// What ends a stream of requests: INVALID_ARGUMENT/INVALID_FIELD in place of a status that says that one of
/// them does not decode or is too long; any other as it is.
pub fn or_malformed(status: Status) -> Status {
    refusal(&status).unwrap_or(status)
}

/// What to answer in place of a status that says that the request was malformed.
fn refusal(status: &Status) -> Option<Status> {
    let of_tonic = |(code, begin): &(Code, &str)| {
        status.code() == *code && status.message().starts_with(begin) && status.details().is_empty()
    };
    MALFORMED.iter().find(|malformed| of_tonic(malformed))?;
    Some(api::invalid_field("request", status.message()))
}

#[cfg(test)]
mod tests {
    use api::error::v1::Reason;
    use http_body_util::Full;
    use prost::bytes::Bytes;
    use tonic::body::Body;
    use tower::ServiceExt;

    use super::*;

    /// Asks a health service, which knows nothing, whether what `body` names is well.
    async fn check(body: &[u8], expected: (Code, Option<Reason>)) {
        let (_, health) = tonic_health::server::health_reporter();
        let request = Request::post("/grpc.health.v1.Health/Check")
            .header("content-type", "application/grpc")
            .body(Body::new(Full::new(Bytes::copy_from_slice(body))))
            .expect("a request");
        let answer = Malformed::new(health).oneshot(request).await.expect("answered");
        let status = Status::from_header_map(answer.headers()).expect("in the head");
        assert_eq!((status.code(), api::reason(&status)), expected, "{status}");
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).expect("fits").to_be_bytes();
        [&[0], &length[..], message].concat()
    }

    #[tokio::test]
    async fn what_does_not_decode_or_is_too_long_is_an_invalid_argument() {
        let invalid = (Code::InvalidArgument, Some(Reason::InvalidField));
        check(&framed(b"\xff\xff\xff"), invalid).await;
        check(&framed(b"\x0a\x05abc"), invalid).await;
        check(&framed(b"\x0a\x01\xff"), invalid).await;
        check(&framed(&vec![0; 5 << 20]), invalid).await;
        check(&framed(b"\x0a\x03abc")[..7], invalid).await;
        check(b"", invalid).await;
        check(&framed(b"\x0a\x03abc"), (Code::NotFound, None)).await;
        check(&[1, 0, 0, 0, 0], (Code::Internal, None)).await;
    }

    #[test]
    fn what_a_server_says_itself_stays() {
        let details = api::status(Code::Internal, Reason::Internal, MALFORMED[0].1);
        for status in [details, Status::internal("other"), Status::not_found(MALFORMED[0].1)] {
            assert!(refusal(&status).is_none(), "{status}");
            assert_eq!(or_malformed(status.clone()).code(), status.code(), "{status}");
        }
        let malformed = Status::internal(format!("{}: why", MALFORMED[0].1));
        assert_eq!(api::reason(&or_malformed(malformed)), Some(Reason::InvalidField));
    }
}
