//! A gateway set up between its neighbours, and clients that send bytes.

use std::net::SocketAddr;
use std::time::Duration;

use gateway::{Access, Config, Limits, Upstream, UpstreamKey};
use telemetry::Readiness;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use zeroize::Zeroizing;

use crate::fake_auth::{ACCOUNT, FakeAuth};
use crate::fake_upstream::FakeUpstream;

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Nothing here takes that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Gateway {
    pub(crate) s3: SocketAddr,
    pub(crate) management: SocketAddr,
    pub(crate) readiness: Readiness,
    pub(crate) shutdown: CancellationToken,
    pub(crate) served: JoinHandle<anyhow::Result<()>>,
    _guard: DropGuard,
}

pub(crate) struct Rig {
    pub(crate) auth: FakeAuth,
    pub(crate) upstream: FakeUpstream,
    pub(crate) gateway: Gateway,
}

/// Limits that do not make a test wait.
pub(crate) fn limits() -> Limits {
    Limits { drain_timeout: Duration::from_millis(500), ..Limits::default() }
}

pub(crate) fn target(auth: SocketAddr) -> rpc::Target {
    rpc::Target::in_the_clear(format!("http://{auth}"), rpc::Token::parse(TOKEN).expect("a token"))
}

/// The upstream at this endpoint, with the credential that the tests know.
pub(crate) fn behind(endpoint: &str) -> Upstream {
    Upstream {
        endpoint: endpoint.parse().expect("a URI"),
        tls: None,
        access: Access::Key(UpstreamKey {
            region: "us-east-1".to_owned(),
            access_key_id: "AKIAUPSTREAM".to_owned(),
            secret_access_key: Zeroizing::new("upstream-secret".to_owned()),
        }),
        health_path: None,
        sends_trailers: true,
    }
}

pub(crate) fn config(auth: SocketAddr, upstream: SocketAddr, limits: Limits) -> Config {
    Config {
        auth: gateway::Auth::Remote(vec![target(auth)]),
        identity: None,
        region: "us-east-1".to_owned(),
        accepts_sigv4a: false,
        account_id: ACCOUNT.parse().ok(),
        domains: vec!["s3.test".to_owned()],
        reserved_buckets: gateway::RESERVED_BUCKETS.map(Into::into).into(),
        upstream: behind(&format!("http://{upstream}")),
        upstreams: vec![],
        s3_tls: None,
        management_tls: None,
        anonymous_buckets: vec![],
        cors: vec![],
        keystone: None,
        access_log: gateway::AccessLog::Json,
        limits,
    }
}

pub(crate) async fn serve(config: Config) -> Gateway {
    let s3 = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let management = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let readiness = Readiness::default();
    let shutdown = CancellationToken::new();
    let addresses = [&s3, &management].map(|listener| listener.local_addr().expect("an address"));
    let ready = readiness.register("gateway");
    let served = tokio::spawn(gateway::serve(config, s3, management, ready, shutdown.clone()));
    let [s3, management] = addresses;
    let _guard = shutdown.clone().drop_guard();
    Gateway { s3, management, readiness, shutdown, served, _guard }
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(limits()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let (auth, upstream) = (FakeAuth::start().await, FakeUpstream::start().await);
        let gateway = serve(config(auth.address, upstream.address, limits)).await;
        Self { auth, upstream, gateway }
    }

    /// Sends a request of these header lines beside `Host` and `Connection: close`.
    pub(crate) async fn send(&self, line: &str, headers: &[&str], body: &[u8]) -> Answer {
        exchange(self.gateway.s3, &request(line, headers, body)).await
    }
}

/// A request in bytes.
pub(crate) fn request(line: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{line} HTTP/1.1\r\nHost: s3.test\r\nConnection: close\r\n");
    for header in headers {
        bytes.push_str(header);
        bytes.push_str("\r\n");
    }
    if !body.is_empty() {
        bytes.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    bytes.push_str("\r\n");
    [bytes.as_bytes(), body].concat()
}

/// What came back until the connection was closed.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and header lines.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Self { status, head, body: bytes[end + 4..].to_vec() })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// The text of the first element of this name.
    pub(crate) fn element(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.text().split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0)
    }

    #[track_caller]
    pub(crate) fn is_error(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.element("Code")), (status, Some(code)), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/xml"));
        assert_eq!(self.element("RequestId"), self.header("x-amz-request-id"));
        assert_eq!(self.element("HostId"), self.header("x-amz-id-2"));
        assert!(self.header("date").is_some() && self.header("server").is_some());
    }
}

/// Sends bytes and reads until the connection is closed.
pub(crate) async fn exchange(address: SocketAddr, bytes: &[u8]) -> Answer {
    let answer = raw_exchange(address, bytes).await;
    Answer::parse(&answer).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&answer)))
}

pub(crate) async fn raw_exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // An answer may come, and the connection close, before everything is sent.
    let _ = stream.write_all(bytes).await;
    read_to_end(&mut stream).await
}

pub(crate) async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = vec![];
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    let _ = read.expect("an end");
    answer
}

/// Waits until something is so.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("to become so");
}
