//! `VerifySignature` and `StreamVerifySignatures` on real sockets, against RPCs that do nothing.
//!
//! `cargo xtask bench unary-cpu` and so on, or `cargo bench -p auth --bench verify_signature`.
//!
//! All servers run in a process of their own, on one CPU, and the load comes from another. *Echo* is the
//! same server with a method that takes the same request and answers with an empty message; *stock* is
//! tonic as it comes, with an empty message both ways. All take turns.

#[allow(dead_code, unreachable_pub)]
#[path = "../tests/serve/harness.rs"]
mod harness;
#[allow(dead_code, unreachable_pub)]
#[path = "../tests/serve/identity.rs"]
mod identity;
#[allow(unreachable_pub)]
mod keystone;
#[allow(unreachable_pub)]
mod load;
#[allow(unreachable_pub)]
mod typical;

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use api::auth::v1::stream_verify_signatures_request::Request as Asked;
use api::auth::v1::verify_signature_response::Verdict;
use api::auth::v1::{
    BatchVerifySignaturesRequest, StreamVerifySignaturesRequest, VerifySignatureRequest,
    VerifySignatureResponse, VerifyStringToSignRequest, VerifyStringToSignResponse,
    verify_string_to_sign_response,
};
use api::identity::v1::watch_credentials_response::Message as FeedMessage;
use bytes::Bytes;
use harness::{
    ADMIN_TOKEN, Harness, ID, NOW_MS, REGION, SECRET, SERVICE_TOKEN, access_key, change, complete,
    heartbeat, raw, records, user,
};
use keystone::Keystone;
use load::{Client, Messages, framed};
use measure::{Goal, Row, process_cpu, quantile, ratios};
use prost::Message;
use sigv4::{Expected, Head, authenticate};
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::server::{NamedService, UnaryService};
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_prost::ProstCodec;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const fn row(id: &'static str, what: &'static str, unit: &'static str, goal: Goal) -> Row {
    Row { id, what, unit, goal }
}

const UNARY_CPU: Row =
    row("unary-cpu", "VerifySignature / echo, server CPU", " x", Goal::AtMost(1.25));
const UNARY_TIME: Row = row("unary-time", "VerifySignature, server CPU", " us", Goal::Told);
const UNARY_RATE: Row =
    row("unary-rate", "VerifySignature / stock tonic empty, requests/s", " x", Goal::AtLeast(1.1));
const RAW_RATE: Row =
    row("stream-raw-rate", "stream of raw heads / unary, requests/s", " x", Goal::AtLeast(5.0));
const RAW_CPU: Row =
    row("stream-raw-cpu", "unary / stream of raw heads, server CPU", " x", Goal::Told);
const STRING_RATE: Row = row(
    "stream-string-rate",
    "stream of strings to sign / unary, requests/s",
    " x",
    Goal::AtLeast(10.0),
);
const STRING_CPU: Row =
    row("stream-string-cpu", "unary / stream of strings to sign, server CPU", " x", Goal::Told);
const P50: Row =
    row("latency-p50", "p50 with one in flight, VerifySignature / echo", " x", Goal::AtMost(1.08));
const P99: Row = row(
    "latency-p99",
    "p99 at half load with 1,000 changes/s, VerifySignature / echo",
    " x",
    Goal::AtMost(1.3),
);

const UNKNOWN_RATE: Row =
    row("unknown-rate", "keys that nobody has asked for, a second", "/s", Goal::AtLeast(100_000.0));
const UNKNOWN_MEMORY: Row =
    row("unknown-memory", "memory that auth grows by meanwhile, a key", " B", Goal::AtMost(1.0));
const OVERLOAD_P99: Row = row(
    "overload-p99",
    "p99 of calls that are admitted, of four times as many as are taken on / of as many",
    " x",
    Goal::Told,
);
const OVERLOAD_REFUSED: Row =
    row("overload-refused", "calls that are refused meanwhile", " %", Goal::Told);

const PEER_KEYSTONE: Row = row(
    "peer-keystone",
    "Keystone's s3tokens / VerifyStringToSign, server CPU",
    " x",
    Goal::AtLeast(400.0),
);

/// What the IDs of keys that nobody has begin with; 16 digits follow.
const UNKNOWN: &str = "ASIA";
const CONNECTIONS: usize = 4;
/// Of Keystone, in a round.
const QUESTIONS: u32 = 200;
const IN_FLIGHT: usize = 32;
/// As many calls as auth takes on at once, on each processor that there is.
const TAKEN_ON_PER_PROCESSOR: usize = 1024;
const OVERLOAD_CONNECTIONS: usize = 64;
/// Of a batch, so that a call takes the server longer than the load.
const OVERLOAD_BATCH: usize = 16;
/// After which who was refused comes back.
const RETRY: Duration = Duration::from_millis(500);
/// Messages of one stream that are not answered yet.
const STREAM_IN_FLIGHT: u64 = 256;
const VERIFY: &str = "/claviger.auth.v1.AuthService/VerifySignature";
const STREAM: &str = "/claviger.auth.v1.AuthService/StreamVerifySignatures";
const BATCH: &str = "/claviger.auth.v1.AuthService/BatchVerifySignatures";
const STRING: &str = "/claviger.auth.v1.AuthService/VerifyStringToSign";
const ECHO: &str = "/claviger.bench.v1.EchoService/Echo";

fn main() {
    if std::env::args().any(|argument| argument == "serve") {
        tokio::runtime::Runtime::new().expect("starts").block_on(serve());
    } else if std::env::args().any(|argument| argument == "--bench") {
        let server = Server::start();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("starts").block_on(measure(server));
    }
}

/// Serves all contenders, prints their addresses, and applies changes when told to.
async fn serve() {
    // As in the binary, with nothing to push to: whether a span is looked at depends on it.
    let _telemetry = telemetry::init("claviger-auth").expect("starts");
    let beginning = FeedMessage::Snapshot(records(vec![user()], vec![access_key(ID)]));
    // One worker, as in the binary on one CPU; and so is the echo served.
    let auth = Harness::start_as(vec![beginning, complete(10)], |config| config.workers = 1).await;
    auth.wait_for_health(ServingStatus::Serving).await;
    let token = |text| rpc::Token::parse(text).expect("is one");
    let known = |text| rpc::Known::by_token(token(text));
    let callers = rpc::Callers { operators: known(ADMIN_TOKEN), services: known(SERVICE_TOKEN) };
    let guard = callers.guard(|_| true);

    let (echo_listener, echo) = listen().await;
    let mut routes = rpc::routes(&[]).expect("decodes");
    routes.add_service(InterceptedService::new(Echo, guard));
    let server = rpc::Server {
        listener: echo_listener,
        tls: None,
        services: &["claviger.bench.v1.EchoService"],
        ready: tokio::sync::watch::channel(true).1,
        shutdown: CancellationToken::new(),
    };
    tokio::spawn(server.serve_on(1, routes, rpc::DirectMethods::default()));

    let (stock_listener, stock) = listen().await;
    let incoming = tonic::transport::server::TcpIncoming::from(stock_listener);
    let incoming = incoming.with_nodelay(Some(true));
    let server = tonic::transport::Server::builder().add_service(Echo);
    tokio::spawn(server.serve_with_incoming(incoming));

    println!("{} {echo} {stock}", auth.uri.trim_start_matches("http://"));
    static CHANGES: AtomicBool = AtomicBool::new(false);
    std::thread::spawn(|| {
        for line in std::io::stdin().lines() {
            CHANGES.store(line.is_ok_and(|line| line == "changes"), Ordering::Release);
        }
    });
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for tick in 1.. {
        ticks.tick().await;
        if CHANGES.load(Ordering::Acquire) {
            let other = access_key(&format!("AKIAOTHER{:07}", tick % 1000));
            auth.identity.send(change(10 + tick, records(vec![], vec![other])));
        } else if tick % 1000 == 0 {
            auth.identity.send(heartbeat(10 + tick));
        }
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has one");
    (listener, address)
}

/// Takes what `VerifySignature` takes, and answers with nothing.
#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "claviger.bench.v1.EchoService";
}

impl UnaryService<VerifySignatureRequest> for Echo {
    type Response = VerifySignatureResponse;
    type Future = std::future::Ready<Result<Response<VerifySignatureResponse>, Status>>;

    fn call(&mut self, _: Request<VerifySignatureRequest>) -> Self::Future {
        std::future::ready(Ok(Response::new(VerifySignatureResponse::default())))
    }
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
        Box::pin(async move { Ok(grpc.unary(Echo, request).await) })
    }
}

/// What is called, and with what.
struct Contender {
    client: Arc<Client>,
    message: Bytes,
    stream: Option<Messages>,
    /// Requests a second, and microseconds of server CPU a request, by round.
    rates: Vec<f64>,
    cpu_us: Vec<f64>,
}

impl Contender {
    async fn new(server: SocketAddr, path: &str, message: Bytes) -> Self {
        let client = Client::connect(server, path, SERVICE_TOKEN, CONNECTIONS).await;
        let (client, stream) = (Arc::new(client), None);
        Self { client, message, stream, rates: vec![], cpu_us: vec![] }
    }

    async fn round(&mut self, server: &Server, time: Duration) {
        let (before, start) = (process_cpu(server.process.id()), Instant::now());
        let calls = match &self.stream {
            Some(messages) => self.client.stream(messages, time).await,
            None => self.client.load(&self.message, IN_FLIGHT, time).await,
        };
        let cpu = process_cpu(server.process.id()) - before;
        self.rates.push(calls as f64 / start.elapsed().as_secs_f64());
        self.cpu_us.push(cpu.as_secs_f64() * 1e6 / calls as f64);
    }

    /// Milliseconds of calls, one after the other.
    async fn one_by_one(&self, calls: usize) -> Vec<f64> {
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls {
            let start = Instant::now();
            self.client.call(&self.client.connections()[0], self.message.clone()).await;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times
    }

    /// Milliseconds of calls at so many a second, from when each was due.
    async fn at_rate(&self, rate: f64, time: Duration) -> Vec<f64> {
        let (under_way, start) = (TaskTracker::new(), tokio::time::Instant::now());
        let count = (rate * time.as_secs_f64()) as u32;
        // Each task ends once it has told: what is kept of calls that are over makes the next ones slow.
        let times = Arc::new(Mutex::new(Vec::with_capacity(count as usize)));
        for number in 0..count {
            let due = start + Duration::from_secs_f64(f64::from(number) / rate);
            tokio::time::sleep_until(due).await;
            let (client, message) = (Arc::clone(&self.client), self.message.clone());
            let times = Arc::clone(&times);
            under_way.spawn(async move {
                let connections = client.connections();
                let connection = &connections[number as usize % connections.len()];
                client.call(connection, message).await;
                times.lock().expect("not poisoned").push(due.elapsed().as_secs_f64() * 1e3);
            });
        }
        under_way.close();
        under_way.wait().await;
        std::mem::take(&mut *times.lock().expect("not poisoned"))
    }
}

async fn measure(mut server: Server) {
    let (rounds, seconds) = if measure::is_quick() { (5, 1) } else { (9, 2) };
    let head = typical::get_object(ID, SECRET.as_bytes(), NOW_MS / 1000);
    let (signature, string) = (raw(&head, 0), string_to_sign(&head));
    let [auth, echo, stock] = server.addresses;
    check(auth, &signature, &string).await;
    let stream = |request: fn(u64, &Both) -> Asked, both: &Both| {
        let message = |id| StreamVerifySignaturesRequest { id, request: Some(request(id, both)) };
        // Of one length, and so without 0.
        let ids = (1 << 20)..(1 << 20) + STREAM_IN_FLIGHT;
        Messages::new(&ids.map(message).collect::<Vec<_>>())
    };
    let message = framed(&signature);
    let both = Both { signature, string };
    let mut verify = Contender::new(auth, VERIFY, message.clone()).await;
    let mut echo = Contender::new(echo, ECHO, message).await;
    let empty = framed(&VerifySignatureRequest::default());
    let mut stock = Contender::new(stock, ECHO, empty).await;
    let mut raw_heads = Contender::new(auth, STREAM, Bytes::new()).await;
    raw_heads.stream = Some(stream(|_, both| Asked::Signature(both.signature.clone()), &both));
    let mut strings = Contender::new(auth, STREAM, Bytes::new()).await;
    strings.stream = Some(stream(|_, both| Asked::StringToSign(both.string.clone()), &both));

    for _ in 0..rounds {
        for contender in [&mut verify, &mut echo, &mut stock, &mut raw_heads, &mut strings] {
            contender.round(&server, Duration::from_secs(seconds)).await;
        }
    }
    for (name, contender) in [
        ("VerifySignature", &verify),
        ("echo", &echo),
        ("stock tonic empty", &stock),
        ("stream of raw heads", &raw_heads),
        ("stream of strings", &strings),
    ] {
        let [rate, cpu_us] = [&contender.rates, &contender.cpu_us].map(|all| quantile(all, 0.5));
        eprintln!("{name:<20} {rate:>9.0}/s {cpu_us:>7.2} us of server CPU each");
    }
    tell(&UNARY_CPU, &ratios(&verify.cpu_us, &echo.cpu_us));
    tell(&UNARY_TIME, &verify.cpu_us);
    tell(&UNARY_RATE, &ratios(&verify.rates, &stock.rates));
    tell(&RAW_RATE, &ratios(&raw_heads.rates, &verify.rates));
    tell(&RAW_CPU, &ratios(&verify.cpu_us, &raw_heads.cpu_us));
    tell(&STRING_RATE, &ratios(&strings.rates, &verify.rates));
    tell(&STRING_CPU, &ratios(&verify.cpu_us, &strings.cpu_us));

    if PEER_KEYSTONE.is_wanted() {
        measure::stay_on_cpu(0);
        let keystone = Keystone::start();
        measure::stay_on_cpu(1);
        match keystone {
            Ok(mut keystone) => {
                let message = framed(&both.string);
                let mut verify = Contender::new(auth, STRING, message).await;
                let mut cpu_us = vec![];
                for _ in 0..rounds {
                    verify.round(&server, Duration::from_secs(seconds)).await;
                    let before = process_cpu(keystone.process_id());
                    (0..QUESTIONS).for_each(|_| keystone.ask());
                    let cpu = process_cpu(keystone.process_id()) - before;
                    cpu_us.push(cpu.as_secs_f64() * 1e6 / f64::from(QUESTIONS));
                }
                let [theirs, ours] = [&cpu_us, &verify.cpu_us].map(|all| quantile(all, 0.5));
                eprintln!("s3tokens {theirs:.0} us, VerifyStringToSign {ours:.2} us of server CPU");
                PEER_KEYSTONE.tell(&ratios(&cpu_us, &verify.cpu_us));
            }
            Err(reason) => PEER_KEYSTONE.skip(&reason),
        }
    }
    if UNKNOWN_RATE.is_wanted() || UNKNOWN_MEMORY.is_wanted() {
        let mut unknown = Contender::new(auth, STREAM, Bytes::new()).await;
        let request = raw(&head.replace(ID, &format!("{UNKNOWN}{:016}", 0)), 0);
        let client = Client::connect(auth, VERIFY, SERVICE_TOKEN, 1).await;
        let answer = client.call(&client.connections()[0], framed(&request)).await;
        let verdict = VerifySignatureResponse::decode(answer).expect("decodes").verdict;
        let code = "InvalidAccessKeyId";
        assert!(matches!(&verdict, Some(Verdict::Denied(denied)) if denied.code == code));
        let both = Both { signature: request, string: both.string.clone() };
        let messages = stream(|_, both| Asked::Signature(both.signature.clone()), &both);
        unknown.stream = Some(messages.numbered_after(UNKNOWN));
        // What it takes to have so many under way at once.
        unknown.round(&server, Duration::from_secs(seconds)).await;
        unknown.rates.clear();
        let before = server.memory_bytes();
        for _ in 0..rounds {
            unknown.round(&server, Duration::from_secs(seconds)).await;
        }
        let grown = server.memory_bytes().saturating_sub(before) as f64;
        let keys = unknown.rates.iter().sum::<f64>() * seconds as f64;
        tell(&UNKNOWN_RATE, &unknown.rates);
        tell(&UNKNOWN_MEMORY, &[grown / keys]);
    }
    if OVERLOAD_P99.is_wanted() || OVERLOAD_REFUSED.is_wanted() {
        let requests = vec![both.signature.clone(); OVERLOAD_BATCH];
        let message = framed(&BatchVerifySignaturesRequest { requests });
        let client = Client::connect(auth, BATCH, SERVICE_TOKEN, OVERLOAD_CONNECTIONS).await;
        let client = Arc::new(client);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let taken_on = TAKEN_ON_PER_PROCESSOR * processors;
        let (mut p99, mut refused) = ([vec![], vec![]], vec![]);
        for _ in 0..rounds {
            for (taken, times) in p99.iter_mut().zip([1, 4]) {
                let in_flight = times * taken_on / OVERLOAD_CONNECTIONS;
                let time = Duration::from_secs(seconds);
                let (answered, count) = client.insist(&message, in_flight, time, RETRY).await;
                taken.push(quantile(&answered, 0.99));
                if times > 1 {
                    refused.push(100.0 * count as f64 / (count + answered.len()) as f64);
                }
            }
        }
        let [as_many, more] = [&p99[0], &p99[1]].map(|all| quantile(all, 0.5));
        eprintln!("p99 of as many as are taken on {as_many:.0} ms, of four times {more:.0} ms");
        tell(&OVERLOAD_P99, &ratios(&p99[1], &p99[0]));
        tell(&OVERLOAD_REFUSED, &refused);
    }
    if P50.is_wanted() {
        let mut p50 = [vec![], vec![]];
        for _ in 0..rounds {
            for (taken, contender) in p50.iter_mut().zip([&verify, &echo]) {
                taken.push(quantile(&contender.one_by_one(2000).await, 0.5));
            }
        }
        P50.tell(&ratios(&p50[0], &p50[1]));
    }
    if P99.is_wanted() {
        server.tell("changes");
        let rate = quantile(&verify.rates, 0.5) / 2.0;
        let mut p99 = [vec![], vec![]];
        for _ in 0..rounds {
            for (taken, contender) in p99.iter_mut().zip([&verify, &echo]) {
                let times = contender.at_rate(rate, Duration::from_secs(seconds)).await;
                taken.push(quantile(&times, 0.99));
            }
        }
        let [verify_ms, echo_ms] = [&p99[0], &p99[1]].map(|all| quantile(all, 0.5));
        eprintln!("p99 at {rate:.0}/s: VerifySignature {verify_ms:.2} ms, echo {echo_ms:.2} ms");
        P99.tell(&ratios(&p99[0], &p99[1]));
    }
}

fn tell(row: &Row, rounds: &[f64]) {
    if row.is_wanted() {
        row.tell(rounds);
    }
}

/// One request in both forms.
struct Both {
    signature: VerifySignatureRequest,
    string: VerifyStringToSignRequest,
}

fn string_to_sign(head: &str) -> VerifyStringToSignRequest {
    let head = Head::parse(head.as_bytes()).expect("is a head");
    let request = authenticate(&head, &Expected::s3(REGION, NOW_MS / 1000)).expect("is complete");
    VerifyStringToSignRequest {
        access_key_id: ID.into(),
        string_to_sign: request.string_to_sign().as_bytes().to_vec(),
        signature: String::from_utf8(request.signature().to_hex().into()).expect("is ASCII"),
        region: REGION.into(),
        ..Default::default()
    }
}

/// That what is measured is verified.
async fn check(
    auth: SocketAddr,
    signature: &VerifySignatureRequest,
    string: &VerifyStringToSignRequest,
) {
    let ask = async |path, message| {
        let client = Client::connect(auth, path, SERVICE_TOKEN, 1).await;
        client.call(&client.connections()[0], message).await
    };
    let answer = VerifySignatureResponse::decode(ask(VERIFY, framed(signature)).await);
    let verdict = answer.expect("decodes").verdict;
    assert!(matches!(verdict, Some(Verdict::Verified(_))), "{verdict:?}");
    let answer = VerifyStringToSignResponse::decode(ask(STRING, framed(string)).await);
    let verdict = answer.expect("decodes").verdict;
    let verified = verify_string_to_sign_response::Verdict::Verified;
    assert!(verdict.as_ref().is_some_and(|verdict| {
        std::mem::discriminant(verdict) == std::mem::discriminant(&verified(Default::default()))
    }));
}

/// The process with the servers; ends with this one.
struct Server {
    process: Child,
    stdin: ChildStdin,
    /// Of auth, of echo, of stock tonic.
    addresses: [SocketAddr; 3],
}

impl Server {
    /// Starts it on one CPU, and keeps this process on another, if there are two.
    fn start() -> Self {
        let program = std::env::current_exe().expect("is known");
        measure::stay_on_cpu(0);
        let mut command = Command::new(program);
        let mut process = command
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        measure::stay_on_cpu(1);
        let mut line = String::new();
        let stdout = process.stdout.take().expect("is piped");
        BufReader::new(stdout).read_line(&mut line).expect("is told");
        let addresses: Vec<SocketAddr> =
            line.split_whitespace().map(|address| address.parse().expect("is one")).collect();
        let addresses = addresses.try_into().expect("are three");
        let stdin = process.stdin.take().expect("is piped");
        Self { process, stdin, addresses }
    }

    fn memory_bytes(&self) -> u64 {
        measure::process_memory_bytes(self.process.id(), "VmRSS")
    }

    fn tell(&mut self, what: &str) {
        writeln!(self.stdin, "{what}").expect("is running");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().expect("is running");
        self.process.wait().expect("was running");
    }
}
