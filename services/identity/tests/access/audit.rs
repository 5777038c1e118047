//! What the log says of calls that were refused or failed.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use api::identity::v1::*;
use prost::Message;
use tonic::metadata::MetadataMap;
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::subscriber::{DefaultGuard, Subscriber};

use crate::world::{Caller, World, with};
use crate::{INVALID_FIELD, MISSING_TOKEN, outcome, rpcs};

/// All that this thread logs: the server's too, which runs on it. And whether an error was ever among it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Line>>>, Arc<AtomicBool>);

/// The fields of one line.
#[derive(Clone, Debug, Default)]
struct Line {
    target: String,
    fields: BTreeMap<&'static str, String>,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = self.fields.entry(field.name()).or_default();
        assert!(text.is_empty(), "{} stands twice in a line", field.name());
        write!(text, "{value:?}").expect("a string");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let target = event.metadata().target().to_owned();
        let is_error = *event.metadata().level() == tracing::Level::ERROR;
        self.1.fetch_or(is_error, Ordering::Relaxed);
        let mut line = Line { target, ..Line::default() };
        event.record(&mut line);
        self.0.lock().expect("not poisoned").push(line);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

impl Log {
    fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        (log.clone(), tracing::subscriber::set_default(log))
    }

    /// The lines about calls since the last time.
    fn take(&self) -> Vec<Line> {
        let mut lines = std::mem::take(&mut *self.0.lock().expect("not poisoned"));
        lines.retain(|line| line.target == "claviger::audit");
        lines
    }

    /// The line about the next call, which is the only one.
    async fn next(&self) -> Line {
        loop {
            let mut lines = self.take();
            assert!(lines.len() < 2, "{lines:?}");
            match lines.pop() {
                Some(line) => return line,
                None => tokio::task::yield_now().await,
            }
        }
    }

    /// Whether anything was logged as an error.
    fn has_failures(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }

    /// All of it.
    fn text(&self) -> String {
        format!("{:?}", self.0.lock().expect("not poisoned"))
    }
}

/// Calls an RPC and gives the lines about that.
async fn lines(
    log: &Log,
    world: &World,
    presented: MetadataMap,
    rpc: &str,
    request: impl Message,
) -> Vec<Line> {
    log.take();
    let _ = rpcs::call(world.connection(), presented, rpc, request.encode_to_vec()).await;
    log.take()
}

/// Asserts what the one line says about a call to show a user: caller, code, reason, address.
async fn check(log: &Log, world: &World, target: &User, caller: Caller, expected: [&str; 4]) {
    let mut presented = world.metadata(caller, target);
    presented.insert("x-request-id", "r-1".parse().expect("ASCII"));
    let request = GetUserRequest { name: target.name.clone(), ..Default::default() };
    let lines = lines(log, world, presented, "UserService/GetUser", request).await;
    let [line] = &*lines else { panic!("{caller:?}: {lines:?}") };
    let found = |name| line.fields.get(name).map_or("", String::as_str);
    let who = ["caller", "code", "reason", "source_address"].map(found);
    assert_eq!(who, expected, "{caller:?}");
    let call = ["method", "request_id", "message"].map(found);
    let method = "claviger.identity.v1.UserService/GetUser";
    assert_eq!(call, [method, "r-1", "call refused or failed"]);
    assert!(!found("detail").is_empty());
}

#[tokio::test]
async fn a_refused_call_leaves_one_line_that_says_who_and_why_and_no_event() {
    let (log, _guard) = Log::start();
    let world = World::new().await;
    let target = world.target().await.user;
    let head = world.head().await;
    let check = async |caller, expected| check(&log, &world, &target, caller, expected).await;
    let number = &world.mine.number;
    let (here, there) = ("127.0.0.1", "192.0.2.7");
    let (unauthenticated, denied) = ("Unauthenticated", "PermissionDenied");

    check(Caller::Nobody, ["", unauthenticated, "MISSING_TOKEN", here]).await;
    check(Caller::Unknown, ["", unauthenticated, "INVALID_TOKEN", here]).await;
    check(Caller::Expired, ["", unauthenticated, "INVALID_TOKEN", here]).await;
    check(Caller::Auth, ["auth", denied, "CALLER_NOT_ALLOWED", here]).await;
    let elsewhere = ["admin-token/elsewhere", denied, "CALLER_NOT_ALLOWED", here];
    check(Caller::Elsewhere, elsewhere).await;
    check(Caller::Gateway, ["gateway", "InvalidArgument", "INVALID_FIELD", here]).await;
    let arn = format!("arn:aws:iam::{number}:user/colleague");
    check(Caller::Colleague, [&arn, denied, "CALLER_NOT_ALLOWED", there]).await;
    let arn = format!("arn:aws:iam::{number}:user/locked");
    check(Caller::Locked, [&arn, denied, "CALLER_NOT_ALLOWED", there]).await;
    let stranger = "user/01935a3c-0000-7000-8000-000000000000";
    check(Caller::Stranger, [stranger, denied, "CALLER_NOT_ALLOWED", there]).await;
    assert_eq!(world.head().await, head);
}

#[tokio::test]
async fn a_failed_call_leaves_a_line_and_an_answered_one_none() {
    let (log, _guard) = Log::start();
    let world = World::new().await;
    let target = world.target().await;
    let by = |caller| world.metadata(caller, &target.user);
    let create = || CreateUserRequest {
        parent: world.mine.name.clone(),
        user: Some(User { user_name: "colleague".into(), ..Default::default() }),
        ..Default::default()
    };
    let failed = lines(&log, &world, by(Caller::Root), "UserService/CreateUser", create()).await;
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].fields["reason"], "USER_NAME_TAKEN");
    let watch = WatchEventsRequest::default();
    let colleague = by(Caller::Colleague);
    let refused = lines(&log, &world, colleague, "EventService/WatchEvents", watch).await;
    assert_eq!(refused.len(), 1);
    let unknown = lines(&log, &world, by(Caller::All), "UserService/Unknown", create()).await;
    assert_eq!(unknown.len(), 1);
    assert_eq!(unknown[0].fields["code"], "Unimplemented");
    let get = GetUserRequest { name: target.user.name.clone(), ..Default::default() };
    let answered = lines(&log, &world, by(Caller::Itself), "UserService/GetUser", get).await;
    assert!(answered.is_empty(), "{answered:?}");
}

#[tokio::test]
async fn a_request_that_is_malformed_or_too_large_is_its_senders_mistake() {
    let (log, _guard) = Log::start();
    let world = World::new().await;
    let target = world.target().await;
    let nothing = |length| vec![b'\x0a'; length];
    for (rpc, request) in [
        ("UserService/GetUser", b"\xff\xff".to_vec()),
        ("UserService/GetUser", b"\x0a\x05abc".to_vec()),
        ("EventService/WatchEvents", b"\x12\x01\xff".to_vec()),
        ("UserService/CreateUser", nothing((256 << 10) + 1)),
    ] {
        let presented = world.metadata(Caller::Itself, &target.user);
        log.take();
        let answer = rpcs::call(world.connection(), presented, rpc, request).await;
        assert_eq!(outcome(&answer), INVALID_FIELD, "{rpc}: {answer:?}");
        let line = log.next().await;
        let found = ["code", "reason"].map(|name| line.fields[name].as_str());
        assert_eq!(found, ["InvalidArgument", "INVALID_FIELD"]);
    }
    let presented = world.metadata(Caller::Nobody, &target.user);
    let answer = rpcs::call(world.connection(), presented, "UserService/GetUser", vec![255]).await;
    assert_eq!(outcome(&answer), MISSING_TOKEN, "nobody else is told so much");
    assert!(!log.has_failures(), "nothing in the server has failed");
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_a_line_and_a_stream_that_is_left_none() {
    let (log, _guard) = Log::start();
    let world = World::new().await;
    let target = world.target().await;
    let by = |caller| world.metadata(caller, &target.user);
    log.take();
    // Until its time is over it waits for a position that does not come.
    let get = GetUserRequest {
        name: target.user.name.clone(),
        min_position: world.head().await + 1000,
        ..Default::default()
    };
    let presented = with(by(Caller::Itself), &[("grpc-timeout", "500m")]);
    let get = get.encode_to_vec();
    rpcs::call(world.connection(), presented, "UserService/GetUser", get)
        .await
        .expect_err("its time was over");
    let line = log.next().await;
    // The client's clock and the server's run out together: either may be first.
    assert!(["DeadlineExceeded", "Cancelled"].contains(&&*line.fields["code"]), "{line:?}");
    assert_eq!(line.fields["method"], "claviger.identity.v1.UserService/GetUser");

    let watch = WatchEventsRequest::default().encode_to_vec();
    let first = rpcs::call(world.connection(), by(Caller::All), "EventService/WatchEvents", watch);
    first.await.expect("the first event");
    let refused = rpcs::call(world.connection(), by(Caller::Nobody), "UserService/GetUser", vec![]);
    refused.await.expect_err("is refused");
    assert_eq!(log.next().await.fields["reason"], "MISSING_TOKEN", "the only line since");
}

#[tokio::test]
async fn a_stream_that_ends_with_an_error_leaves_a_line() {
    let (log, _guard) = Log::start();
    let world = World::new().await;
    let target = world.target().await;
    let root = world.metadata(Caller::ForeignRoot, &target.user);
    let request = WatchEventsRequest { after_position: world.head().await, ..Default::default() };
    let mut watch = world.events(root).watch_events(request).await.expect("watched").into_inner();
    log.take();
    let lock = LockUserRequest { name: world.other.root.name.clone(), ..Default::default() };
    world.identity.users().lock_user(lock).await.expect("locked");
    watch.message().await.expect_err("is let in no more");
    let line = log.next().await;
    assert_eq!(line.fields["method"], "claviger.identity.v1.EventService/WatchEvents");
    assert_eq!(line.fields["reason"], "CALLER_NOT_ALLOWED");
}

#[tokio::test]
async fn a_line_holds_no_secret_and_not_all_that_a_caller_sends() {
    let (log, _guard) = Log::start();
    let world = World::new().await;
    let target = world.target().await;
    let secret = "canary/secret/access/key/of/40/characters";
    let import = || CreateAccessKeyRequest {
        parent: target.user.name.clone(),
        access_key: Some(AccessKey {
            access_key_id: target.key.access_key_id.clone(),
            ..Default::default()
        }),
        secret_access_key: secret.into(),
        ..Default::default()
    };
    let tokens = &world.identity.tokens;
    for caller in Caller::EVERY {
        let presented = world.metadata(caller, &target.user);
        let rpc = "AccessKeyService/CreateAccessKey";
        let request = import().encode_to_vec();
        let answer = rpcs::call(world.connection(), presented, rpc, request).await;
        assert!(answer.is_err(), "{caller:?}");
    }
    let text = log.text();
    assert!(text.contains("CALLER_NOT_ALLOWED"), "calls are told of");
    let gateway = tokens.gateway.as_ref().expect("given").expose();
    for secret in [secret, tokens.admin.expose(), tokens.auth.expose(), gateway] {
        assert!(!text.contains(secret), "{text}");
    }

    let long = "x".repeat(10_000);
    let presented = with(MetadataMap::new(), &[("x-request-id", &long)]);
    let rpc = format!("UserService/{long}");
    let lines = lines(&log, &world, presented, &rpc, import()).await;
    let [line] = &*lines else { panic!("{lines:?}") };
    assert!(line.fields.values().all(|text| text.len() <= 256), "{line:?}");
}
