//! `VerifySignature` against an RPC that does nothing, each on real sockets.
//!
//! `cargo bench -p auth --bench verify_signature`
//!
//! All servers run in a process of their own, whose CPU time is read; the load comes from this one.
//! Rounds of the contenders take turns, and medians are shown, so that what else the machine does
//! hits all alike. *Echo* is the same server with a method that takes the same request; *stock* is
//! tonic as it comes, with the same method. Both answer with an empty message.
//!
//! `ROUNDS` (default 7) and `SECONDS` (of a round, default 2) may be set in the environment.

#[allow(dead_code, unreachable_pub)]
#[path = "../tests/serve/harness.rs"]
mod harness;
#[allow(dead_code, unreachable_pub)]
#[path = "../tests/serve/identity.rs"]
mod identity;

use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use api::auth::v1::verify_signature_response::Verdict;
use api::auth::v1::{VerifySignatureRequest, VerifySignatureResponse};
use harness::{
    ADMIN_TOKEN, Harness, ID, SECRET, SERVICE_TOKEN, access_key, heartbeat, raw, records, signed,
    user,
};
use http::uri::PathAndQuery;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::{NamedService, UnaryService};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

const CONNECTIONS: usize = 4;
const IN_FLIGHT: usize = 32;
const VERIFY: &str = "/claviger.auth.v1.AuthService/VerifySignature";
const ECHO: &str = "/claviger.bench.v1.EchoService/Echo";

fn main() {
    if std::env::args().any(|argument| argument == "serve") {
        block_on(serve());
    } else if std::env::args().any(|argument| argument == "--bench") {
        block_on(measure());
    }
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().expect("starts").block_on(work);
}

/// Serves all contenders and prints their URIs.
async fn serve() {
    let auth = Harness::with(records(vec![user()], vec![access_key(ID)])).await;
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
    tokio::spawn(server.serve(routes));

    let (stock_listener, stock) = listen().await;
    let incoming = tonic::transport::server::TcpIncoming::from(stock_listener);
    let incoming = incoming.with_nodelay(Some(true));
    let server = tonic::transport::Server::builder().add_service(Echo);
    tokio::spawn(server.serve_with_incoming(incoming));

    println!("{} {echo} {stock}", auth.uri);
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        auth.identity.send(heartbeat(10));
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let uri = format!("http://{}", listener.local_addr().expect("has one"));
    (listener, uri)
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

/// What is measured.
struct Contender {
    name: &'static str,
    path: &'static str,
    channels: Vec<Channel>,
    /// Requests a second, and server CPU in nanoseconds a request, by round.
    rounds: Vec<(f64, f64)>,
}

async fn measure() {
    let from_env = |name: &str, default| {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let (rounds, seconds) = (from_env("ROUNDS", 7), from_env("SECONDS", 2));
    let mut server = Server::start();
    let mut contenders = vec![];
    for (name, path, uri) in [
        ("VerifySignature", VERIFY, &server.uris[0]),
        ("echo", ECHO, &server.uris[1]),
        ("stock tonic echo", ECHO, &server.uris[2]),
    ] {
        let mut channels = vec![];
        for _ in 0..CONNECTIONS {
            let endpoint = Endpoint::from_shared(uri.clone()).expect("is a URI").tcp_nodelay(true);
            channels.push(endpoint.connect().await.expect("connects"));
        }
        contenders.push(Contender { name, path, channels, rounds: vec![] });
    }
    check(&contenders[0]).await;
    for round in 0..=rounds {
        for contender in &mut contenders {
            let (cpu_before, start) = (server.cpu(), Instant::now());
            let calls = load(contender, Duration::from_secs(seconds)).await;
            let (cpu, time) = (server.cpu() - cpu_before, start.elapsed());
            let result = (calls as f64 / time.as_secs_f64(), cpu.as_nanos() as f64 / calls as f64);
            if round > 0 {
                contender.rounds.push(result); // the first is to warm up
            }
        }
    }
    server.process.kill().expect("is running");
    server.process.wait().expect("was running");
    report(&contenders, seconds);
}

fn report(contenders: &[Contender], seconds: u64) {
    let rounds = contenders[0].rounds.len();
    println!("{CONNECTIONS} connections x {IN_FLIGHT} in flight, {rounds} rounds of {seconds} s");
    for contender in contenders {
        println!(
            "{:<16} {:>9.0} requests/s {:>9.2} us of server CPU a request",
            contender.name,
            median(contender.rounds.iter().map(|round| round.0)),
            median(contender.rounds.iter().map(|round| round.1)) / 1000.0,
        );
    }
    let verify = &contenders[0];
    for other in &contenders[1..] {
        let pairs = || verify.rounds.iter().zip(&other.rounds);
        println!(
            "VerifySignature / {}: {:.2} x requests/s, {:.2} x server CPU",
            other.name,
            median(pairs().map(|(verify, other)| verify.0 / other.0)),
            median(pairs().map(|(verify, other)| verify.1 / other.1)),
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Calls for so long and tells how often.
async fn load(contender: &Contender, time: Duration) -> u64 {
    let calls = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + time;
    let mut tasks = tokio::task::JoinSet::new();
    for channel in &contender.channels {
        for _ in 0..IN_FLIGHT {
            let (channel, calls, path) = (channel.clone(), Arc::clone(&calls), contender.path);
            let request = raw(&signed(ID, SECRET), 0);
            tasks.spawn(async move {
                while Instant::now() < end {
                    call(&channel, path, request.clone()).await;
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    }
    tasks.join_all().await;
    calls.load(Ordering::Relaxed)
}

async fn call(
    channel: &Channel,
    path: &'static str,
    message: VerifySignatureRequest,
) -> VerifySignatureResponse {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.expect("is connected");
    let mut request = Request::new(message);
    let bearer = format!("Bearer {SERVICE_TOKEN}").parse().expect("is ASCII");
    request.metadata_mut().insert("authorization", bearer);
    let codec: ProstCodec<VerifySignatureRequest, VerifySignatureResponse> = ProstCodec::default();
    let path = PathAndQuery::from_static(path);
    client.unary(request, path, codec).await.expect("answers").into_inner()
}

async fn check(contender: &Contender) {
    let request = raw(&signed(ID, SECRET), 0);
    let answer = call(&contender.channels[0], contender.path, request).await;
    assert!(matches!(answer.verdict, Some(Verdict::Verified(_))), "{answer:?}");
}

/// The process with the servers.
struct Server {
    process: Child,
    uris: Vec<String>,
}

impl Server {
    fn start() -> Self {
        let program = std::env::current_exe().expect("is known");
        let mut process =
            Command::new(program).arg("serve").stdout(Stdio::piped()).spawn().expect("starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("is piped");
        BufReader::new(stdout).read_line(&mut line).expect("is told");
        let uris = line.split_whitespace().map(str::to_owned).collect();
        Self { process, uris }
    }

    /// CPU time of all its threads: fields 14 and 15 of `/proc/pid/stat`, in hundredths of a second.
    fn cpu(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.process.id());
        let stat = std::fs::read_to_string(path).expect("is running");
        let (_, fields) = stat.rsplit_once(')').expect("has a name");
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().expect("is a number")).sum();
        Duration::from_millis(ticks * 10)
    }
}
