use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::channel::mpsc;
use futures::{FutureExt, SinkExt, StreamExt, stream};
use http_body_util::{BodyExt, Full, StreamBody};
use proptest::prelude::*;
use prost::Message;
use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::service::{Routes, RoutesBuilder};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::HealthCheckResponse;
use tonic_health::pb::health_check_response::ServingStatus;
use tower::ServiceExt;

use super::*;
use crate::{Known, Token};

const CHECK: &str = "/grpc.health.v1.Health/Check";
const OPERATOR: &str = "Bearer operator-token-0123456789";
const SERVICE: &str = "Bearer service-token-0123456789";
const MESSAGE_BYTES_MAX: usize = 64;

/// Frames of the body of a request.
type Frames = Vec<Result<Frame<Bytes>, io::Error>>;

/// Says of the process that it is well, and leaves to tonic what is asked about a service.
#[derive(Clone, Default)]
struct Well(Arc<AtomicUsize>);

impl Direct for Well {
    fn answer(&self, message: Bytes) -> Option<Bytes> {
        let request = HealthCheckRequest::decode(message).ok()?;
        request.service.is_empty().then_some(())?;
        self.0.fetch_add(1, Ordering::Relaxed);
        let answer = HealthCheckResponse { status: ServingStatus::Serving.into() };
        framed([vec![0; 8], answer.encode_to_vec()].concat(), 8)
    }
}

/// A service by itself, and under the layer; how many answers were direct.
struct Both {
    routed: Routes,
    direct: DirectServer<Routes>,
    answered: Arc<AtomicUsize>,
}

impl Both {
    fn new() -> Self {
        let known = |text: &str| Known::by_token(Token::parse(&text[7..]).expect("is one"));
        let callers = Callers { operators: known(OPERATOR), services: known(SERVICE) };
        let guard = callers.guard(|caller| caller.role == crate::Role::Service);
        let (_, health) = tonic_health::server::health_reporter();
        let health = health.max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut routes = RoutesBuilder::default();
        routes.add_service(InterceptedService::new(health, guard.clone()));
        let (routed, well) = (routes.routes(), Well::default());
        let answered = Arc::clone(&well.0);
        let methods = DirectMethods::default().with(&CHECK[1..], guard, MESSAGE_BYTES_MAX, well);
        Self { direct: DirectLayer::new(methods).layer(routed.clone()), routed, answered }
    }

    /// Checks that a call has one answer either way, and whether it is direct.
    #[track_caller]
    fn check(&self, what: &str, call: impl Fn() -> (Request<()>, Frames), is_direct: bool) {
        let before = self.answered.load(Ordering::Relaxed);
        let body = |frames| StreamBody::new(stream::iter(frames));
        let (head, frames) = call();
        let found = outcome(self.direct.clone().oneshot(head.map(|()| body(frames))));
        let (head, frames) = call();
        let routed = head.map(|()| Body::new(body(frames)));
        assert_eq!(found, outcome(self.routed.clone().oneshot(routed)), "{what}");
        let answered = self.answered.load(Ordering::Relaxed) - before;
        assert_eq!(answered, usize::from(is_direct), "{what}: {found:?}");
    }
}

/// All that a caller gets: head, message, and trailers or what broke it off.
#[derive(Debug, PartialEq)]
struct Outcome {
    status: http::StatusCode,
    headers: HeaderMap,
    body: Result<(Bytes, Option<HeaderMap>), String>,
}

/// The outcome of a call that waits for nothing.
fn outcome<B>(answer: impl Future<Output = Result<Response<B>, Infallible>>) -> Outcome
where
    B: http_body::Body<Error = Status>,
{
    let response = answer.now_or_never().expect("waits for nothing").expect("never fails");
    let (head, body) = response.into_parts();
    let body = body.collect().now_or_never().expect("waits for nothing");
    let body = body.map_err(|status| status.to_string()).map(|body| {
        let trailers = body.trailers().cloned();
        (body.to_bytes(), trailers)
    });
    Outcome { status: head.status, headers: head.headers, body }
}

fn head() -> Request<()> {
    let request = Request::post(CHECK).header(CONTENT_TYPE, "application/grpc");
    request.header("authorization", SERVICE).body(()).expect("a request")
}

fn head_with(name: &'static str, value: &'static str) -> Request<()> {
    let mut head = head();
    head.headers_mut().insert(name, HeaderValue::from_static(value));
    head
}

fn data(bytes: &[u8]) -> Frames {
    vec![Ok(Frame::data(Bytes::copy_from_slice(bytes)))]
}

/// A message about a service, with its prefix.
fn message(service: &str) -> Vec<u8> {
    let request = HealthCheckRequest { service: service.into() }.encode_to_vec();
    let length = u32::try_from(request.len()).expect("is short").to_be_bytes();
    [&[0], &length[..], &request].concat()
}

fn all(frames: impl IntoIterator<Item = Frames>) -> Frames {
    frames.into_iter().flatten().collect()
}

#[test]
fn an_odd_body_has_the_answer_that_tonic_gives() {
    let both = Both::new();
    let well = message("");
    let named = message("a.Service");
    let trailers = || vec![Ok(Frame::trailers(head().headers().clone()))];
    let broken = || vec![Err(io::Error::other("broken off"))];
    let check = |what, frames: &dyn Fn() -> Frames, is_direct| {
        both.check(what, || (head(), frames()), is_direct);
    };
    check("one message", &|| data(&well), true);
    check("and an empty frame", &|| all([data(&well), data(b"")]), true);
    check("empty frames first", &|| all([data(b""), data(b""), data(&well)]), true);
    check("one without a direct answer", &|| data(&named), false);
    check("nothing", &Vec::new, false);
    check("an empty frame", &|| data(b""), false);
    check("trailers alone", &trailers, false);
    check("an error alone", &broken, false);
    check("and trailers", &|| all([data(&well), trailers()]), false);
    check("and an error", &|| all([data(&well), broken()]), false);
    check("two messages in a frame", &|| data(&[&*well, &*well].concat()), false);
    check("two messages in two", &|| all([data(&well), data(&well)]), false);
    check("and a byte", &|| all([data(&well), data(b"x")]), false);
    for at in 1..named.len() {
        let (begin, end) = named.split_at(at);
        check("two halves", &|| all([data(begin), data(end)]), false);
        check("one half", &|| data(begin), false);
    }
    check("no message of its type", &|| data(b"\0\0\0\0\x03\xff\xff\xff"), false);
    check("a length too small", &|| data(b"\0\0\0\0\x01\x0a\x01a"), false);
    check("a length too large", &|| data(b"\0\0\0\0\x04\x0a\x01a"), false);
    check("a length of 4 GiB", &|| data(b"\0\xff\xff\xff\xff"), false);
    check("said to be compressed", &|| data(b"\x01\0\0\0\0"), false);
    check("neither compressed nor not", &|| data(b"\x02\0\0\0\0"), false);
    // An unknown field is no reason to refuse anything.
    let padded = |bytes: usize| {
        let padding = [&[0x12, u8::try_from(bytes - 2).expect("fits")], &*vec![b'a'; bytes - 2]];
        [&[0, 0, 0, 0, u8::try_from(bytes).expect("fits")], &*padding.concat()].concat()
    };
    check("as long as may be", &|| data(&padded(MESSAGE_BYTES_MAX)), true);
    check("too long", &|| data(&padded(MESSAGE_BYTES_MAX + 1)), false);
}

#[test]
fn an_odd_head_has_the_answer_that_tonic_gives() {
    let both = Both::new();
    let check = |what, head: &dyn Fn() -> Request<()>, is_direct| {
        both.check(what, || (head(), data(&message(""))), is_direct);
    };
    let proto = || head_with("content-type", "application/grpc+proto");
    check("a type in full", &proto, true);
    check("not compressed", &|| head_with("grpc-encoding", "identity"), true);
    check("compressed", &|| head_with("grpc-encoding", "gzip"), false);
    check("compressed in no way", &|| head_with("grpc-encoding", ""), false);
    check("of the web", &|| head_with("content-type", "application/grpc-web"), false);
    check("JSON", &|| head_with("content-type", "application/grpc+json"), false);
    for method in [Method::GET, Method::PUT, Method::OPTIONS] {
        let with_method = || {
            let mut head = head();
            *head.method_mut() = method.clone();
            head
        };
        check("a method", &with_method, false);
    }
    for path in ["/", "/grpc.health.v1.Health/check", "/grpc.health.v1.Health/Check/"] {
        let with_path = || {
            let mut head = head();
            *head.uri_mut() = path.parse().expect("is a path");
            head
        };
        check(path, &with_path, false);
    }
}

#[test]
fn who_may_not_call_is_refused_as_by_tonic() {
    let both = Both::new();
    let check = |what, head: &dyn Fn() -> Request<()>, is_direct| {
        both.check(what, || (head(), data(&message(""))), is_direct);
    };
    check("another caller", &|| head_with("authorization", OPERATOR), false);
    check("nobody's token", &|| head_with("authorization", "Bearer x"), false);
    let twice = || {
        let mut head = head();
        head.headers_mut().append("authorization", HeaderValue::from_static(SERVICE));
        head
    };
    check("two tokens", &twice, false);
    let nobody = || {
        let mut head = head();
        head.headers_mut().remove("authorization");
        head
    };
    check("nobody", &nobody, false);
    let certified = |name: &'static str| {
        let mut head = nobody();
        let certificate = crate::CertifiedName::parse(name).expect("is one");
        let certificate = Some([certificate].into());
        head.extensions_mut().insert(crate::Peer { address: None, certificate });
        head
    };
    check("a stranger's certificate", &|| certified("dns:stranger.example.org"), false);
}

#[test]
fn a_message_is_answered_once_its_end_has_been_read() {
    let both = Both::new();
    let (mut sender, frames) = mpsc::unbounded::<Frame<Bytes>>();
    let body = StreamBody::new(frames.map(Ok::<_, io::Error>));
    let mut answer = both.direct.clone().oneshot(head().map(|()| body)).boxed();
    assert!((&mut answer).now_or_never().is_none());
    let sent = sender.send(Frame::data(message("").into())).now_or_never();
    sent.expect("has room").expect("is read");
    assert!((&mut answer).now_or_never().is_none());
    drop(sender);
    assert_eq!(outcome(answer).status, http::StatusCode::OK);
    assert_eq!(both.answered.load(Ordering::Relaxed), 1);
}

#[test]
fn the_last_frame_tells_that_it_is_the_last() {
    let both = Both::new();
    let body = Full::new(Bytes::from(message("")));
    let found = outcome(both.direct.clone().oneshot(head().map(|()| body)));
    assert_eq!(found.headers[CONTENT_TYPE], "application/grpc");
    let (answer, trailers) = found.body.expect("is whole");
    assert_eq!(answer, &b"\0\0\0\0\x02\x08\x01"[..]);
    assert_eq!(trailers.expect("are there")[Status::GRPC_STATUS], "0");
    assert_eq!(both.answered.load(Ordering::Relaxed), 1);
}

#[test]
fn a_response_tells_no_length_and_ends_after_its_status() {
    let mut body = AnswerBody::Message(Bytes::from_static(b"x"));
    let mut next = || {
        let hint = http_body::Body::size_hint(&body).exact();
        let is_end = http_body::Body::is_end_stream(&body);
        let frame = body.frame().now_or_never().expect("waits for nothing");
        (hint, is_end, frame.map(|frame| frame.expect("never fails").is_data()))
    };
    assert_eq!(next(), (None, false, Some(true)));
    assert_eq!(next(), (None, false, Some(false)));
    assert_eq!(next(), (Some(0), true, None));
}

proptest! {
    #[test]
    fn any_bytes_in_any_frames_have_the_answer_that_tonic_gives(
        frames in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..12),
                Just(message("")),
                Just(message("a")),
                Just(vec![0, 0, 0, 0]),
            ],
            0..4,
        ),
    ) {
        let both = Both::new();
        let frames = || frames.iter().map(|frame| Ok(Frame::data(frame.clone().into()))).collect();
        let body = |frames: Frames| StreamBody::new(stream::iter(frames));
        let direct = both.direct.clone().oneshot(head().map(|()| body(frames())));
        let routed = both.routed.clone().oneshot(head().map(|()| Body::new(body(frames()))));
        prop_assert_eq!(outcome(direct), outcome(routed));
    }
}
