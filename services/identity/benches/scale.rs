//! identity with many access keys: how long it takes to start, from zero and from a checkpoint, what
//! memory it takes, and whether the last page of a list costs more than the first.
//!
//! `CLAVIGER_BENCH_KEYS` says how many access keys, 100,000 if not given. Each is of a user of its
//! own, in one account. `RUST_LOG=identity=debug` tells of the steps of each start.
//!
//! The parts run one after the other, each in a process of its own. To repeat one, name a directory
//! to keep, a key and the part: `CLAVIGER_BENCH_DIR`, `CLAVIGER_BENCH_KEK`, `CLAVIGER_BENCH_PART`.

#[allow(unreachable_pub)]
mod fill;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::identity::v1::access_key_service_client::AccessKeyServiceClient;
use api::identity::v1::account_service_client::AccountServiceClient;
use api::identity::v1::event_service_client::EventServiceClient;
use api::identity::v1::user_service_client::UserServiceClient;
use api::identity::v1::{
    ListAccessKeysRequest, ListAccountsRequest, ListEventsRequest, ListUsersRequest,
};
use event_store::SystemClock;
use fill::fill;
use identity::Callers;
use rpc::{Channel, Known, Token};
use sealing::{KeyEncryptionKey, Keyring};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const PAGE_SIZE: i32 = 1000;

/// As in the binary, so that memory is counted as there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What runs in a process of its own, so that the memory of one part is not counted for the next.
const PARTS: [&str; 3] = ["fill", "zero", "checkpoint"];
const PART: &str = "CLAVIGER_BENCH_PART";
const DIR: &str = "CLAVIGER_BENCH_DIR";
const KEK: &str = "CLAVIGER_BENCH_KEK";

fn main() {
    let keys = std::env::var("CLAVIGER_BENCH_KEYS").ok().and_then(|keys| keys.parse().ok());
    let keys: usize = keys.unwrap_or(100_000);
    let Ok(part) = std::env::var(PART) else { return run_parts() };
    let dir = std::path::PathBuf::from(std::env::var_os(DIR).expect("a directory"));
    let keyring = Keyring::new(KeyEncryptionKey::from_env(KEK).expect("a key"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        // Tells of each step of the start, if told to.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
        match part.as_str() {
            "fill" => fill(&dir, keyring, keys).await,
            "zero" => from_zero(&dir, keyring, keys).await,
            "checkpoint" => from_checkpoint(&dir, keyring, keys).await,
            part => panic!("{part} is none of {PARTS:?}"),
        }
    });
}

/// Runs each part by itself, on the same data.
fn run_parts() {
    let temporary = tempfile::tempdir().expect("a directory");
    let kept = std::env::var_os(DIR);
    let dir = kept.as_deref().unwrap_or(temporary.path().as_os_str());
    let kek = std::env::var(KEK).unwrap_or_else(|_| {
        KeyEncryptionKey::generate().expect("randomness").expose_hex().to_string()
    });
    for part in PARTS {
        let mut command = std::process::Command::new(std::env::current_exe().expect("known"));
        command.env(PART, part).env(DIR, dir).env(KEK, &kek);
        assert!(command.status().expect("started").success(), "{part} failed");
    }
}

async fn from_zero(dir: &Path, keyring: Keyring, keys: usize) {
    for checkpoint in [dir.join("checkpoint"), identity::log_dir(dir).join("checkpoint")] {
        // Those of a run before, of a directory that is kept.
        drop(std::fs::remove_file(checkpoint));
    }
    let before = resident_bytes();
    let (server, took) = Server::start(dir, keyring).await;
    println!("ready from zero           {took:>10.2?}");
    report_memory(before, keys);
    let stop = Instant::now();
    server.stop().await;
    println!("stopped with a checkpoint {:>10.2?}", stop.elapsed());
}

async fn from_checkpoint(dir: &Path, keyring: Keyring, keys: usize) {
    let before = resident_bytes();
    let (server, took) = Server::start(dir, keyring).await;
    println!("ready from a checkpoint   {took:>10.2?}");
    report_memory(before, keys);
    let channel = server.channel();
    // There is one.
    let mut accounts = AccountServiceClient::new(channel.clone());
    let accounts = accounts.list_accounts(ListAccountsRequest::default()).await.expect("listed");
    let account = accounts.into_inner().accounts.remove(0).name;
    report("ListUsers", &list_users(channel.clone(), &account).await);
    report("ListAccessKeys", &list_access_keys(channel.clone(), &account).await);
    report("ListEvents", &list_events(channel.clone(), "").await);
    report("ListEvents of the account", &list_events(channel, &account).await);
    server.stop().await;
}

/// Says what memory a start took, and how much at the most while it went on.
fn report_memory(before: u64, keys: usize) {
    let of_a_key = |bytes: u64| bytes.saturating_sub(before) / keys as u64;
    let [now, most] = ["VmRSS:", "VmHWM:"].map(|name| of_a_key(memory_bytes(name)));
    println!(
        "memory                    {now:>10} bytes an access key with its user, at most {most}"
    );
}

/// Says what the first and the last pages of a list took.
fn report(list: &str, pages: &[Duration]) {
    let tenth = (pages.len() / 10).max(1);
    let median = |pages: &[Duration]| {
        let mut pages = pages.to_vec();
        pages.sort_unstable();
        pages[pages.len() / 2]
    };
    // The last page may be short.
    let whole = &pages[..pages.len().saturating_sub(1).max(1)];
    let (first, last) = (
        median(&whole[..tenth.min(whole.len())]),
        median(&whole[whole.len().saturating_sub(tenth)..]),
    );
    println!(
        "{list:<25} {} pages of {PAGE_SIZE}: first tenth {first:.2?}, last tenth {last:.2?} = {:.2} x",
        pages.len(),
        last.as_secs_f64() / first.as_secs_f64()
    );
}

async fn list_users(channel: Channel, parent: &str) -> Vec<Duration> {
    let mut client = UserServiceClient::new(channel);
    let mut request =
        ListUsersRequest { parent: parent.into(), page_size: PAGE_SIZE, ..Default::default() };
    let mut pages = vec![];
    loop {
        let start = Instant::now();
        let page = client.list_users(request.clone()).await.expect("listed").into_inner();
        pages.push(start.elapsed());
        if page.next_page_token.is_empty() {
            return pages;
        }
        request.page_token = page.next_page_token;
    }
}

async fn list_access_keys(channel: Channel, parent: &str) -> Vec<Duration> {
    let mut client = AccessKeyServiceClient::new(channel);
    let parent = format!("{parent}/users/-");
    let mut request = ListAccessKeysRequest { parent, page_size: PAGE_SIZE, ..Default::default() };
    let mut pages = vec![];
    loop {
        let start = Instant::now();
        let page = client.list_access_keys(request.clone()).await.expect("listed").into_inner();
        pages.push(start.elapsed());
        if page.next_page_token.is_empty() {
            return pages;
        }
        request.page_token = page.next_page_token;
    }
}

async fn list_events(channel: Channel, account: &str) -> Vec<Duration> {
    let mut client = EventServiceClient::new(channel);
    let mut request =
        ListEventsRequest { account: account.into(), page_size: PAGE_SIZE, ..Default::default() };
    let mut pages = vec![];
    loop {
        let start = Instant::now();
        let page = client.list_events(request.clone()).await.expect("listed").into_inner();
        pages.push(start.elapsed());
        if page.next_page_token.is_empty() {
            return pages;
        }
        request.page_token = page.next_page_token;
    }
}

/// An identity on a free port.
struct Server {
    uri: String,
    admin: Token,
    shutdown: CancellationToken,
    served: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Server {
    async fn start(data_dir: &Path, keyring: Keyring) -> (Self, Duration) {
        let token = || Token::generate().expect("randomness");
        let admin = token();
        let callers = Callers {
            operators: Known::by_token(admin.clone()),
            auths: Known::by_token(token()),
            gateways: Known::default(),
        };
        let data_dir = data_dir.to_owned();
        let config =
            identity::Config { data_dir, keyring, callers, tls: None, accepts_signature_v2: false };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let uri = format!("http://{}", listener.local_addr().expect("bound"));
        let shutdown = CancellationToken::new();
        let ready = telemetry::Readiness::default().register("identity");
        let start = Instant::now();
        let (clock, flag, stop) = (Arc::new(SystemClock), ready.clone(), shutdown.clone());
        let served = tokio::spawn(identity::serve(config, clock, listener, flag, stop));
        while !ready.is_ready() {
            assert!(!served.is_finished(), "identity ended");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        (Self { uri, admin, shutdown, served }, start.elapsed())
    }

    fn channel(&self) -> Channel {
        rpc::channel(&self.uri, &self.admin).expect("a URI")
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.served.await.expect("no panic").expect("ends well");
    }
}

/// Memory that the process has in use.
fn resident_bytes() -> u64 {
    memory_bytes("VmRSS:")
}

fn memory_bytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}
