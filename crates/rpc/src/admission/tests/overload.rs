//! A real server on real sockets, asked for many times what it can do.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use api::auth::v1::auth_service_client::AuthServiceClient;
use api::auth::v1::auth_service_server::{AuthService, AuthServiceServer};
use api::auth::v1::*;
use futures::future::join_all;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::direct::DirectMethods;
use crate::{Channel, Server, Target, Token, routes};

const SERVICE: &str = "claviger.auth.v1.AuthService";
/// How long a call keeps a processor busy.
const WORK: Duration = Duration::from_millis(10);
/// Those that the server has.
const PROCESSORS: usize = 2;
const LIMITS: Limits = Limits { calls: 16, streams: 8, inquiries: 8 };
const CONNECTIONS: usize = 8;
/// Twenty times as many as there are places.
const CALLERS: usize = 20 * LIMITS.calls;

/// Works for a while on each call, and counts what is under way.
#[derive(Clone, Default)]
struct Busy {
    under_way: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl AuthService for Busy {
    type StreamVerifySignaturesStream =
        futures::stream::Pending<Result<StreamVerifySignaturesResponse, Status>>;

    async fn verify_signature(
        &self,
        _: Request<VerifySignatureRequest>,
    ) -> Result<Response<VerifySignatureResponse>, Status> {
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(under_way, Ordering::SeqCst);
        tokio::task::yield_now().await;
        std::thread::sleep(WORK); // as one that computes: nothing else is done by this thread
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        Ok(Response::new(VerifySignatureResponse::default()))
    }

    async fn stream_verify_signatures(
        &self,
        _: Request<Streaming<StreamVerifySignaturesRequest>>,
    ) -> Result<Response<Self::StreamVerifySignaturesStream>, Status> {
        Ok(Response::new(futures::stream::pending()))
    }

    async fn batch_verify_signatures(
        &self,
        _: Request<BatchVerifySignaturesRequest>,
    ) -> Result<Response<BatchVerifySignaturesResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn verify_string_to_sign(
        &self,
        _: Request<VerifyStringToSignRequest>,
    ) -> Result<Response<VerifyStringToSignResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn get_signing_key(
        &self,
        _: Request<GetSigningKeyRequest>,
    ) -> Result<Response<GetSigningKeyResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn explain_signature(
        &self,
        _: Request<ExplainSignatureRequest>,
    ) -> Result<Response<ExplainSignatureResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }
}

/// A server with processors of its own.
struct Served {
    busy: Busy,
    uri: String,
    runtime: Option<Runtime>,
}

impl Served {
    async fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(PROCESSORS)
            // Sockets are looked at after 61 pieces of work, as a rule: of those, each takes 200 times as
            // long here.
            .event_interval(1)
            .enable_all()
            .build()
            .expect("starts");
        let busy = Busy::default();
        let listening = runtime.spawn(TcpListener::bind("127.0.0.1:0"));
        let listener = listening.await.expect("does not panic").expect("binds");
        let uri = format!("http://{}", listener.local_addr().expect("has one"));
        let server = Server {
            listener,
            tls: None,
            services: &[SERVICE],
            ready: watch::channel(true).1,
            shutdown: CancellationToken::new(),
        };
        let mut routes = routes(&[SERVICE]).expect("decodes");
        routes.add_service(AuthServiceServer::new(busy.clone()));
        runtime.spawn(server.serve_within(LIMITS, 0, routes, DirectMethods::default()));
        Self { busy, uri, runtime: Some(runtime) }
    }

    fn channel(&self) -> Channel {
        let token = Token::parse("service-token-0123456789").expect("is one");
        Target::in_the_clear(self.uri.clone(), token).channel().expect("is a URI")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn is_overloaded(status: &Status) -> bool {
    (status.code(), api::reason(status)) == (Code::ResourceExhausted, Some(Reason::Overloaded))
}

/// Asks again and again until it is over: how long each answer took, of those admitted and of those
/// refused.
async fn ask(channel: Channel, over: Arc<AtomicBool>) -> [Vec<Duration>; 2] {
    let mut client = AuthServiceClient::new(channel);
    let mut took = [vec![], vec![]];
    while !over.load(Ordering::Relaxed) {
        let started = Instant::now();
        match client.verify_signature(VerifySignatureRequest::default()).await {
            Ok(_) => took[0].push(started.elapsed()),
            Err(status) => {
                assert!(is_overloaded(&status), "{status}");
                took[1].push(started.elapsed());
                sleep(40 * WORK).await;
            }
        }
    }
    took
}

/// Checks health until it is over: how often it was well, and how long it took at most.
async fn probe(channel: Channel, over: Arc<AtomicBool>) -> (usize, Duration) {
    let (mut client, mut well, mut slowest) = (HealthClient::new(channel), 0, Duration::ZERO);
    while !over.load(Ordering::Relaxed) {
        let started = Instant::now();
        let told = client.check(HealthCheckRequest { service: SERVICE.into() }).await;
        let told = told.expect("is answered").into_inner().status;
        assert_eq!(told, ServingStatus::Serving as i32);
        (well, slowest) = (well + 1, slowest.max(started.elapsed()));
        sleep(5 * WORK).await;
    }
    (well, slowest)
}

fn nine_of_ten(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() * 9 / 10]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_many_times_its_load_a_server_answers_what_it_admits_in_time_and_stays_well() {
    let server = Served::start().await;
    let over = Arc::new(AtomicBool::new(false));
    let channels: Vec<_> = (0..CONNECTIONS).map(|_| server.channel()).collect();
    // Connections first: else it is the accepting of them that is measured.
    for channel in &channels {
        let mut client = AuthServiceClient::new(channel.clone());
        client.verify_signature(VerifySignatureRequest::default()).await.expect("is admitted");
    }
    let callers: Vec<_> = (0..CALLERS)
        .map(|at| tokio::spawn(ask(channels[at % CONNECTIONS].clone(), Arc::clone(&over))))
        .collect();
    let probe = tokio::spawn(probe(server.channel(), Arc::clone(&over)));
    sleep(Duration::from_secs(3)).await;
    over.store(true, Ordering::Relaxed);

    let (mut admitted, mut refused) = (vec![], vec![]);
    for took in join_all(callers).await {
        let [one, other] = took.expect("does not panic");
        admitted.extend(one);
        refused.extend(other);
    }
    let most = server.busy.most.load(Ordering::SeqCst);
    assert!(most <= LIMITS.calls, "{most} were under way at once");
    let ends = (admitted.len(), refused.len());
    assert!(ends.0 > 10 * LIMITS.calls && ends.1 > CALLERS, "{ends:?}");
    // The last one admitted waits for 80 ms of work. All that was sent at once would take 1.6 s.
    let unlimited = WORK * u32::try_from(CALLERS / PROCESSORS).expect("fits");
    let (admitted, refused) = (nine_of_ten(admitted), nine_of_ten(refused));
    assert!(admitted < unlimited / 2, "{admitted:?} for most that are admitted");
    assert!(refused < unlimited / 2, "{refused:?} for most that are refused");
    let (well, slowest) = probe.await.expect("stays well");
    assert!(well > 10 && slowest < unlimited, "{well} times well, at most in {slowest:?}");

    // Nothing of it stays.
    let mut client = AuthServiceClient::new(server.channel());
    client.verify_signature(VerifySignatureRequest::default()).await.expect("is admitted");
}

#[tokio::test]
async fn so_many_streams_are_admitted_over_all_connections_and_one_that_ends_makes_room() {
    let server = Served::start().await;
    let open = async || {
        let questions = futures::stream::empty::<StreamVerifySignaturesRequest>();
        let mut client = AuthServiceClient::new(server.channel());
        client.stream_verify_signatures(questions).await.map(Response::into_inner)
    };
    let mut streams = vec![];
    for _ in 0..LIMITS.streams {
        streams.push(open().await.expect("is admitted"));
    }
    assert!(is_overloaded(&open().await.expect_err("is one too many")));
    // Calls are none of them.
    let mut client = AuthServiceClient::new(server.channel());
    client.verify_signature(VerifySignatureRequest::default()).await.expect("is admitted");
    streams.pop();
    // The server has yet to hear of the end.
    let room = async {
        while open().await.is_err() {
            sleep(WORK).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), room).await.expect("there is room");
}
