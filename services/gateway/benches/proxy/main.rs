//! The gateway before a store that costs nothing: what verification takes, what bodies take, and how much memory.
//!
//! `cargo xtask bench gateway-get` and so on, or `cargo bench -p gateway --bench proxy`.
//!
//! Each contender runs in a process of its own, on one CPU, and logs as the binary does; the load, the store and
//! identity are on another. The *same proxy without verification* is the gateway with an auth in its process that
//! was asked about the first request only. The other proxy is nginx, if there is one: in `PATH`, or where
//! `CLAVIGER_NGINX` says.

#[allow(dead_code)]
#[path = "../../../auth/tests/serve/identity.rs"]
mod identity;
#[allow(unreachable_pub)]
mod load;
#[allow(unreachable_pub)]
mod served;
#[allow(unreachable_pub)]
mod signed;

use std::time::{Duration, SystemTime};

use api::identity::v1 as pb;
use api::identity::v1::watch_credentials_response::Message;
use identity::{FakeIdentity, date_key};
use load::{Client, serve_store};
use measure::{Goal, Row, process_cpu, quantile, ratios};
use rpc::{Callers, Known, Token};
use served::{At, Served, Task, Verification};
use sha2::{Digest, Sha256};
use signed::{Payload, Sent, Signer};
use uuid::Uuid;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REGION: &str = "us-east-1";
const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const ACCOUNT: Uuid = Uuid::from_bytes([2; 16]);
/// Of the one snapshot.
const POSITION: u64 = 10;
const SERVED_CPU: usize = 0;
const LOAD_CPU: usize = 1;
const MIB: u64 = 1 << 20;
/// Small, so that what is done for each request counts.
const OBJECT_BYTES: u64 = 16 << 10;
/// Of the rounds that count CPU time.
const CONNECTIONS: usize = 64;

const fn row(id: &'static str, what: &'static str, unit: &'static str, goal: Goal) -> Row {
    Row { id, what, unit, goal }
}

const GET: Row = row(
    "gateway-get",
    "GET of 16 KiB, auth in process / no verification, CPU",
    " x",
    Goal::AtMost(1.08),
);
const GET_1M: Row = row(
    "gateway-get-1m",
    "GET of 1 MiB, auth in process / no verification, CPU",
    " x",
    Goal::AtMost(1.08),
);
const REMOTE: Row = row(
    "gateway-remote",
    "GET of 16 KiB, remote auth / no verification, CPU of gateway",
    " x",
    Goal::AtMost(1.2),
);
const REMOTE_1M: Row = row(
    "gateway-remote-1m",
    "GET of 1 MiB, remote auth / no verification, CPU of gateway",
    " x",
    Goal::AtMost(1.2),
);
const WITH_AUTH: Row = row(
    "gateway-remote-both",
    "GET of 16 KiB, remote auth / no verification, CPU of gateway and auth",
    " x",
    Goal::Told,
);
const TIME: Row =
    row("gateway-time", "GET of 16 KiB, remote auth, CPU of gateway", " us", Goal::Told);
const NGINX: Row =
    row("gateway-nginx", "GET of 16 KiB, no verification / nginx, CPU", " x", Goal::Told);
const NGINX_1M: Row =
    row("gateway-nginx-1m", "GET of 1 MiB, no verification / nginx, CPU", " x", Goal::Told);
const PUT_1M: Row = row(
    "gateway-put-1m",
    "PUT of 1 MiB, signed - unsigned / bare SHA-256, CPU",
    " x",
    Goal::AtMost(1.4),
);
const PUT_64M: Row = row(
    "gateway-put-64m",
    "PUT of 64 MiB, signed - unsigned / bare SHA-256, CPU",
    " x",
    Goal::AtMost(1.4),
);
/// How many connections, requests a second there with remote auth, and those of it by those without verification.
const RATES: [(usize, Row, Row); 3] = [
    (
        1,
        row("gateway-rate-1", "GET of 16 KiB, 1 connection, remote auth", "/s", Goal::Told),
        row("gateway-rates-1", "the same / no verification, requests/s", " x", Goal::Told),
    ),
    (
        64,
        row("gateway-rate-64", "GET of 16 KiB, 64 connections, remote auth", "/s", Goal::Told),
        row("gateway-rates-64", "the same / no verification, requests/s", " x", Goal::Told),
    ),
    (
        1000,
        row("gateway-rate-1000", "GET of 16 KiB, 1,000 connections, remote auth", "/s", Goal::Told),
        row("gateway-rates-1000", "the same / no verification, requests/s", " x", Goal::Told),
    ),
];
const MEMORY_1000: Row =
    row("gateway-memory-1000", "most memory with 1,000 connections", " MB", Goal::Told);
const MEMORY_UP: Row =
    row("gateway-memory-up", "most memory, 5 GiB up, signed", " MB", Goal::AtMost(64.0));
const MEMORY_CHUNKS: Row = row(
    "gateway-memory-chunks",
    "most memory, 5 GiB up, signed in chunks",
    " MB",
    Goal::AtMost(64.0),
);
const MEMORY_DOWN: Row =
    row("gateway-memory-down", "most memory, 5 GiB down", " MB", Goal::AtMost(64.0));

fn main() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    if std::env::args().any(|argument| argument == "serve") {
        runtime().expect("starts").block_on(served::serve());
    } else if std::env::args().any(|argument| argument == "--bench") {
        measure::stay_on_cpu(LOAD_CPU);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("starts").block_on(measure());
    }
}

async fn measure() {
    let bench = Bench::start().await;
    bench.gets().await;
    bench.rates().await;
    bench.puts().await;
    bench.memory().await;
}

/// What all measurements share.
struct Bench {
    /// nginx's.
    _dir: tempfile::TempDir,
    /// How a gateway is told to follow identity, and the store that it serves.
    follow: At,
    store: String,
    auth: Served,
    auth_at: At,
    nginx: Result<Served, String>,
    rounds: usize,
    time: Duration,
}

impl Bench {
    async fn start() -> Self {
        let token = || Token::generate().expect("randomness");
        let (operator, service, of_auth) = (token(), token(), token());
        let callers = Callers {
            operators: Known::by_token(operator),
            services: Known::by_token(service.clone()),
        };
        let identity = FakeIdentity::default();
        identity.begin_with(vec![Message::Snapshot(records()), complete()]);
        let follow =
            At { uri: identity.serve(&callers, None).await, token: service.expose().to_owned() };
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1));
            loop {
                ticks.tick().await;
                let heartbeat = pb::Heartbeat { position: POSITION, time: None };
                identity.send(Message::Heartbeat(heartbeat));
            }
        });
        let (listener, store) = served::listen().await;
        tokio::spawn(serve_store(listener));
        let token = of_auth.expose().to_owned();
        let auth = start(Task::Auth { identity: follow.clone(), token: token.clone() }).await;
        let auth_at = At { uri: auth.uri.clone(), token };
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let nginx = Served::start_nginx(&store, dir.path());
        let quick = measure::is_quick();
        let (rounds, seconds) = if quick { (5, 1) } else { (15, 1) };
        let time = Duration::from_secs(seconds);
        Self { _dir: dir, follow, store, auth, auth_at, nginx, rounds, time }
    }

    async fn gateway(&self, verification: Verification) -> Served {
        let (store, account) = (self.store.clone(), ACCOUNT);
        start(Task::Gateway { verification, store, account }).await
    }

    /// Signs for this server.
    fn signer(&self, server: &Served) -> Signer {
        Signer { access_key_id: ID, secret: SECRET, host: server.address().to_string() }
    }

    /// Those that answer GETs: without verification, with auth in process, with remote auth, nginx.
    async fn contenders(&self, object_bytes: u64, connections: usize) -> Vec<Contender> {
        let mut contenders = vec![];
        for verification in [
            Verification::None(self.follow.clone()),
            Verification::InProcess(self.follow.clone()),
            Verification::Remote(self.auth_at.clone()),
        ] {
            let gateway = self.gateway(verification).await;
            let request = self.signer(&gateway).get(object_bytes);
            let client = Client::connect(gateway.address(), connections).await;
            let process_id = gateway.process_id();
            contenders.push(Contender::new(process_id, Some(gateway), client, request));
        }
        if let Ok(nginx) = &self.nginx {
            let request = self.signer(nginx).get(object_bytes);
            let client = Client::connect(nginx.address(), connections).await;
            contenders.push(Contender::new(nginx.process_id(), None, client, request));
        }
        for round in 0..=self.rounds {
            // There and back: what one leaves in the caches is not always the same one's.
            let order: Vec<_> = match round % 2 {
                0 => contenders.iter_mut().collect(),
                _ => contenders.iter_mut().rev().collect(),
            };
            for contender in order {
                contender.round(self.auth.process_id(), self.time).await;
            }
        }
        let names = ["no verification", "auth in process", "remote auth", "nginx"];
        for (name, contender) in names.iter().zip(&mut contenders) {
            contender.forget_first();
            let [rate, cpu] = [&contender.rates, &contender.cpu_us].map(|all| quantile(all, 0.5));
            eprintln!(
                "GET of {object_bytes} bytes, {connections:>4} connections, {name:<16} {rate:>7.0}/s {cpu:>7.1} us"
            );
        }
        contenders
    }

    async fn gets(&self) {
        for (bytes, in_process, remote, nginx) in
            [(OBJECT_BYTES, GET, REMOTE, NGINX), (MIB, GET_1M, REMOTE_1M, NGINX_1M)]
        {
            let is_small = bytes == OBJECT_BYTES;
            let rows = [in_process, remote, nginx];
            let more = [WITH_AUTH, TIME];
            if !rows.iter().chain(&more[..if is_small { 2 } else { 0 }]).any(Row::is_wanted) {
                continue;
            }
            let contenders = self.contenders(bytes, CONNECTIONS).await;
            let [none, by_itself, by_remote] = &contenders[..3] else { unreachable!() };
            tell(&in_process, &ratios(&by_itself.cpu_us, &none.cpu_us));
            tell(&remote, &ratios(&by_remote.cpu_us, &none.cpu_us));
            if is_small {
                tell(&WITH_AUTH, &ratios(&by_remote.both_us, &none.cpu_us));
                tell(&TIME, &by_remote.cpu_us);
            }
            match &self.nginx {
                Ok(_) => tell(&nginx, &ratios(&none.cpu_us, &contenders[3].cpu_us)),
                Err(reason) if nginx.is_wanted() => nginx.skip(reason),
                Err(_) => {}
            }
        }
    }

    async fn rates(&self) {
        for (connections, rate, by_none) in RATES {
            let has_many = connections == 1000;
            let is_memory_wanted = has_many && MEMORY_1000.is_wanted();
            if !is_memory_wanted && ![rate, by_none].iter().any(Row::is_wanted) {
                continue;
            }
            let contenders = self.contenders(OBJECT_BYTES, connections).await;
            let [none, _, remote] = &contenders[..3] else { unreachable!() };
            tell(&rate, &remote.rates);
            tell(&by_none, &ratios(&remote.rates, &none.rates));
            if is_memory_wanted {
                tell(&MEMORY_1000, &[most_memory(remote.process_id)]);
            }
        }
    }

    async fn puts(&self) {
        for (bytes, row) in [(MIB, PUT_1M), (64 * MIB, PUT_64M)] {
            if !row.is_wanted() {
                continue;
            }
            let gateway = self.gateway(Verification::InProcess(self.follow.clone())).await;
            let client = Client::connect(gateway.address(), 4).await;
            // So many that the CPU time is one of seconds.
            let times = if measure::is_quick() { 1 << 30 } else { 3 << 30 } / bytes;
            let mut parts = vec![];
            let mut all = [vec![], vec![], vec![]];
            for round in 0..=self.rounds {
                let mut taken = [0.0; 3];
                for (taken, payload) in taken.iter_mut().zip([Payload::Unsigned, Payload::Signed]) {
                    let request = self.signer(&gateway).put(bytes, payload);
                    let before = process_cpu(gateway.process_id());
                    client.load_times(&request, times).await;
                    let cpu = process_cpu(gateway.process_id()) - before;
                    *taken = cpu.as_secs_f64() * 1e6 / times as f64;
                }
                taken[2] = bare_sha256_us(bytes, times);
                if round > 0 {
                    parts.push((taken[1] - taken[0]) / taken[2]);
                    all.iter_mut().zip(taken).for_each(|(all, taken)| all.push(taken));
                }
            }
            let [unsigned, signed, sha256] = all.map(|all| quantile(&all, 0.5));
            eprintln!(
                "PUT of {bytes} bytes: {unsigned:.0} us unsigned, {signed:.0} us signed, {sha256:.0} us SHA-256"
            );
            row.tell(&parts);
        }
    }

    async fn memory(&self) {
        let (bytes, rounds) = if measure::is_quick() { (1 << 30, 1) } else { (5 << 30, 3) };
        for (row, payload) in [
            (MEMORY_UP, Some(Payload::Signed)),
            (MEMORY_CHUNKS, Some(Payload::Chunks)),
            (MEMORY_DOWN, None),
        ] {
            if !row.is_wanted() {
                continue;
            }
            let mut most = vec![];
            for _ in 0..rounds {
                let gateway = self.gateway(Verification::Remote(self.auth_at.clone())).await;
                let client = Client::connect(gateway.address(), 1).await;
                let signer = self.signer(&gateway);
                let request = match payload {
                    Some(payload) => signer.put(bytes, payload),
                    None => signer.get(bytes),
                };
                client.load_times(&request, 1).await;
                most.push(most_memory(gateway.process_id()));
            }
            row.tell(&most);
        }
    }
}

/// One user with one access key, as identity tells it.
fn records() -> pb::CredentialRecords {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("is later");
    let today = u32::try_from(now.as_secs() / 86_400).expect("is not that late");
    let user = pb::UserRecord {
        user_id: vec![1; 16],
        account_id: ACCOUNT.as_bytes().to_vec(),
        account_number: "123456789012".into(),
        user_name: "alice".into(),
        root: false,
        locked: false,
    };
    let date_keys = (today - 1..=today + 1).map(|day| date_key(SECRET, day)).collect();
    let access_key = pb::AccessKeyRecord {
        access_key_id: ID.into(),
        user_id: user.user_id.clone(),
        active: true,
        not_before_time_ms: None,
        expire_time_ms: None,
        secrets: vec![pb::SecretRecord { generation: 1, expire_time_ms: None, date_keys }],
    };
    let (users, access_keys) = (vec![user], vec![access_key]);
    pb::CredentialRecords { users, access_keys, ..Default::default() }
}

fn complete() -> Message {
    let log_id = vec![1; 16];
    Message::SnapshotComplete(pb::SnapshotComplete { position: POSITION, log_id })
}

/// A proxy under load.
struct Contender {
    process_id: u32,
    /// If it is this one's alone.
    _served: Option<Served>,
    client: Client,
    request: Sent,
    /// Of each round: requests a second, CPU of the process for each, and the same with that of remote auth.
    rates: Vec<f64>,
    cpu_us: Vec<f64>,
    both_us: Vec<f64>,
}

impl Contender {
    fn new(process_id: u32, served: Option<Served>, client: Client, request: Sent) -> Self {
        let (rates, cpu_us, both_us) = (vec![], vec![], vec![]);
        Self { process_id, _served: served, client, request, rates, cpu_us, both_us }
    }

    async fn round(&mut self, auth: u32, time: Duration) {
        let before = [self.process_id, auth].map(process_cpu);
        let start = std::time::Instant::now();
        let requests = self.client.load_for(&self.request, time).await as f64;
        self.rates.push(requests / start.elapsed().as_secs_f64());
        let after = [self.process_id, auth].map(process_cpu);
        let [own, of_auth] = [0, 1].map(|n| (after[n] - before[n]).as_secs_f64() * 1e6 / requests);
        self.cpu_us.push(own);
        self.both_us.push(own + of_auth);
    }

    /// In the first round memory and caches were not warm yet.
    fn forget_first(&mut self) {
        for all in [&mut self.rates, &mut self.cpu_us, &mut self.both_us] {
            all.remove(0);
        }
    }
}

/// Microseconds of CPU that SHA-256 of so many bytes takes where the gateway is.
fn bare_sha256_us(bytes: u64, times: u64) -> f64 {
    let hash = move || {
        measure::stay_on_cpu(SERVED_CPU);
        let block = vec![0; MIB as usize];
        let before = measure::thread_cpu();
        for _ in 0..times {
            let mut hash = Sha256::new();
            (0..bytes / MIB).for_each(|_| hash.update(std::hint::black_box(&block)));
            std::hint::black_box(hash.finalize());
        }
        (measure::thread_cpu() - before).as_secs_f64() * 1e6 / times as f64
    };
    std::thread::spawn(hash).join().expect("ends")
}

/// The most memory that a process ever had, in MB.
fn most_memory(process_id: u32) -> f64 {
    measure::process_memory_bytes(process_id, "VmHWM") as f64 / 1e6
}

fn tell(row: &Row, rounds: &[f64]) {
    if row.is_wanted() {
        row.tell(rounds);
    }
}

/// Starts a process while identity, on this thread, goes on.
async fn start(task: Task) -> Served {
    tokio::task::spawn_blocking(move || Served::start(&task)).await.expect("starts")
}
