mod overload;

use std::convert::Infallible;

use api::error::v1::Reason;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use tonic::Status;
use tonic::body::Body;
use tower::ServiceExt;

use super::*;

const UNARY: &str = "/claviger.auth.v1.AuthService/VerifySignature";
const STREAM: &str = "/claviger.auth.v1.AuthService/StreamVerifySignatures";
const FEED: &str = "/claviger.identity.v1.CredentialFeedService/WatchCredentials";
const LIMITS: Limits = Limits { calls: 2, streams: 1, inquiries: 1 };

type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// A server that answers when it is told to, under limits.
#[derive(Clone)]
struct Full(AdmissionLayer);

/// A call that was sent.
struct Sent {
    response: BoxFuture<'static, Result<Response<CallBody<Body, Held>>, Infallible>>,
    answer: oneshot::Sender<Body>,
}

impl Full {
    fn send(&self, path: &str) -> Sent {
        let (answer, answered) = oneshot::channel();
        let mut answered = Some(answered);
        let server = tower::service_fn(move |_: Request<Body>| -> Answer {
            let answered = answered.take().expect("called once");
            Box::pin(async { Ok(Response::new(answered.await.expect("is answered"))) })
        });
        let request = Request::post(path).body(Body::empty()).expect("a request");
        Sent { response: self.0.layer(server).oneshot(request).boxed(), answer }
    }
}

impl Sent {
    /// Whether it is under way, or refused as what is too much must be: at once.
    fn is_admitted(&mut self) -> bool {
        let Some(refused) = (&mut self.response).now_or_never() else { return true };
        let refused = refused.expect("never fails");
        let status = Status::from_header_map(refused.headers()).expect("a refusal");
        let told = (status.code(), api::reason(&status));
        assert_eq!(told, (Code::ResourceExhausted, Some(Reason::Overloaded)));
        assert!(refused.body().is_end_stream());
        false
    }
}

fn full() -> Full {
    Full(AdmissionLayer::new(LIMITS))
}

#[test]
fn every_path_is_of_one_kind() {
    let AdmissionLayer(places) = AdmissionLayer::new(LIMITS);
    for (path, kind) in [
        (UNARY, Kind::Call),
        (STREAM, Kind::Stream),
        (FEED, Kind::Stream),
        ("/claviger.identity.v1.EventService/WatchEvents", Kind::Stream),
        ("/claviger.identity.v1.UserService/GetUser", Kind::Call),
        ("/grpc.health.v1.Health/Check", Kind::Check),
        ("/grpc.health.v1.Health/Watch", Kind::Inquiry),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Kind::Inquiry),
        ("/grpc.health.v1.Health/check", Kind::Call),
        ("/grpc.health.v1.Health/Check/", Kind::Call),
        ("/nobody.knows/This", Kind::Call),
        ("", Kind::Call),
    ] {
        assert_eq!(places.kind(path), kind, "{path}");
    }
}

#[test]
fn so_many_calls_are_admitted_and_the_next_is_refused_at_once() {
    let server = full();
    let mut under_way: Vec<_> = (0..2).map(|_| server.send(UNARY)).collect();
    assert!(under_way.iter_mut().all(Sent::is_admitted));
    assert!(!server.send(UNARY).is_admitted());
    assert!(!server.send("/nobody.knows/This").is_admitted());
    // Kinds have places of their own, and a check needs none.
    assert!(server.send(STREAM).is_admitted());
    assert!(server.send("/grpc.health.v1.Health/Watch").is_admitted());
    let mut checks: Vec<_> = (0..9).map(|_| server.send(CHECK)).collect();
    assert!(checks.iter_mut().all(Sent::is_admitted));
    // One that its caller gives up leaves its place, whether or not it was ever answered.
    drop(under_way.pop());
    let mut next = server.send(UNARY);
    assert!(next.is_admitted());
    assert!(!server.send(UNARY).is_admitted());
}

#[test]
fn the_place_of_a_call_is_free_once_its_response_begins() {
    let server = full();
    let (mut one, mut two) = (server.send(UNARY), server.send(UNARY));
    assert!(one.is_admitted() && two.is_admitted());
    one.answer.send(Body::empty()).expect("is waited for");
    let response = one.response.now_or_never().expect("has begun");
    assert!(server.send(UNARY).is_admitted());
    drop(response);
}

#[tokio::test]
async fn the_place_of_a_stream_is_free_once_it_has_ended() {
    for broken_off in [false, true] {
        let server = full();
        let mut stream = server.send(STREAM);
        assert!(stream.is_admitted() && !server.send(FEED).is_admitted());
        let message = http_body_util::Full::new(prost::bytes::Bytes::from_static(b"message"));
        stream.answer.send(Body::new(message)).expect("is waited for");
        let response = stream.response.await.expect("never fails");
        assert!(!server.send(FEED).is_admitted(), "it has begun, and goes on");
        if broken_off {
            drop(response);
        } else {
            let mut body = response.into_body();
            body.frame().await.expect("a message").expect("is sent");
            assert!(server.send(FEED).is_admitted(), "hyper asks no more, and may keep the body");
            drop(body);
        }
        assert!(server.send(FEED).is_admitted());
    }
}
