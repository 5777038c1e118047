//! What is measured, each in a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use api::auth::v1::{
    GetSigningKeyRequest, GetSigningKeyResponse, VerifySignatureRequest, VerifySignatureResponse,
    VerifyStringToSignRequest, VerifyStringToSignResponse,
};
use gateway::{Access, AccessLog, Auth, Limits, Upstream, UpstreamKey};
use rpc::{Callers, Known, Target, Token};
use serde::{Deserialize, Serialize};
use telemetry::{Readiness, ReadyFlag};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::REGION;
use crate::load::address;

/// What a process is to serve.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum Task {
    /// Auth, for callers that show this token.
    Auth { identity: At, token: String },
    /// The gateway in front of a store, for one account.
    Gateway { verification: Verification, store: String, account: Uuid },
}

/// Another server, and the token to show to it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct At {
    pub uri: String,
    pub token: String,
}

/// How a gateway verifies.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum Verification {
    /// By auth in the same process, which follows this identity.
    InProcess(At),
    /// The same, but auth is asked about the first request only, and every other gets the same answer.
    None(At),
    /// By auth in another process.
    Remote(At),
}

impl At {
    fn token(&self) -> Token {
        Token::parse(&self.token).expect("is one")
    }

    fn target(&self) -> Target {
        Target::in_the_clear(self.uri.clone(), self.token())
    }
}

/// Serves what the first line on standard input asks for, as the binary does, and prints the URI.
pub async fn serve() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("is told");
    let task: Task = serde_json::from_str(&line).expect("is a task");
    let _telemetry = telemetry::init("claviger-bench").expect("starts");
    let (listener, uri) = listen().await;
    let ready = Readiness::default().register("bench");
    let (flag, shutdown) = (ready.clone(), CancellationToken::new());
    match task {
        Task::Auth { identity, token } => {
            let auth = auth(&identity, Token::parse(&token).expect("is one"));
            tokio::spawn(auth.serve(listener, flag, shutdown));
        }
        Task::Gateway { verification, store, account } => {
            let auth = match &verification {
                Verification::Remote(at) => Auth::Remote(vec![at.target()]),
                Verification::InProcess(identity) | Verification::None(identity) => {
                    let auth = auth(identity, identity.token());
                    let handle = auth.handle();
                    let ready = Readiness::default().register("auth");
                    tokio::spawn(auth.serve(listen().await.0, ready.clone(), shutdown.clone()));
                    until_ready(&ready).await;
                    let asks = matches!(verification, Verification::InProcess(_));
                    Auth::InProcess(Arc::new(InProcess { handle, asks, first: OnceLock::new() }))
                }
            };
            let config = config(auth, &store, account);
            tokio::spawn(gateway::serve(config, listener, listen().await.0, flag, shutdown));
        }
    }
    until_ready(&ready).await;
    println!("{uri}");
    std::future::pending().await
}

pub async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let uri = format!("http://{}", listener.local_addr().expect("has one"));
    (listener, uri)
}

async fn until_ready(ready: &ReadyFlag) {
    while !ready.is_ready() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn auth(identity: &At, services: Token) -> auth::Auth {
    let operators = Known::by_token(Token::generate().expect("randomness"));
    let callers = Callers { operators, services: Known::by_token(services) };
    auth::Auth::new(auth::Config::new(identity.target(), callers)).expect("can be used")
}

fn config(auth: Auth, store: &str, account_id: Uuid) -> gateway::Config {
    gateway::Config {
        auth,
        identity: None,
        region: REGION.to_owned(),
        accepts_sigv4a: false,
        account_id: Some(account_id),
        domains: gateway::DOMAINS.map(Into::into).into(),
        reserved_buckets: gateway::RESERVED_BUCKETS.map(Into::into).into(),
        upstream: Upstream {
            endpoint: store.parse().expect("is a URI"),
            tls: None,
            access: Access::Key(UpstreamKey {
                region: REGION.to_owned(),
                access_key_id: "AKIAUPSTREAM".to_owned(),
                secret_access_key: Zeroizing::new("upstream-secret".to_owned()),
            }),
            health_path: None,
            sends_trailers: true,
        },
        upstreams: vec![],
        s3_tls: None,
        management_tls: None,
        anonymous_buckets: vec![],
        cors: vec![],
        keystone: None,
        access_log: AccessLog::default(),
        limits: Limits::default(),
    }
}

/// Auth, asked by the gateway without gRPC: about each request, or about the first alone.
#[derive(Debug)]
struct InProcess {
    handle: auth::Handle,
    asks: bool,
    first: OnceLock<VerifySignatureResponse>,
}

#[tonic::async_trait]
impl gateway::Verify for InProcess {
    async fn verify_signature(
        &self,
        request: VerifySignatureRequest,
    ) -> Result<VerifySignatureResponse, Status> {
        match self.first.get() {
            Some(first) => Ok(first.clone()),
            None if self.asks => self.handle.verify_signature(&request).await,
            None => {
                let answer = self.handle.verify_signature(&request).await?;
                Ok(self.first.get_or_init(|| answer).clone())
            }
        }
    }

    async fn verify_string_to_sign(
        &self,
        request: VerifyStringToSignRequest,
    ) -> Result<VerifyStringToSignResponse, Status> {
        self.handle.verify_string_to_sign(&request).await
    }

    async fn get_signing_key(
        &self,
        request: GetSigningKeyRequest,
    ) -> Result<GetSigningKeyResponse, Status> {
        self.handle.get_signing_key(&request).await
    }
}

/// A process that serves; ends with this one.
pub struct Served {
    process: Child,
    pub uri: String,
}

impl Served {
    /// Starts it on a CPU, on which this thread is no longer afterwards.
    pub fn start(task: &Task) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("is known"));
        command.arg("serve").env("CLAVIGER_LOG_FORMAT", "json");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = on_its_cpu(&mut command);
        let mut stdin = process.stdin.take().expect("is piped");
        writeln!(stdin, "{}", serde_json::to_string(task).expect("is JSON")).expect("reads");
        let (mut uri, stdout) = (String::new(), process.stdout.take().expect("is piped"));
        BufReader::new(stdout).read_line(&mut uri).expect("is told");
        assert!(!uri.is_empty(), "{task:?} ended early");
        Self { process, uri: uri.trim().to_owned() }
    }

    /// nginx in front of the same store, as `CLAVIGER_NGINX` names it or `PATH` has it.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start_nginx(store: &str, dir: &std::path::Path) -> Result<Self, String> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let at = port.expect("there is one");
        let file = dir.join("nginx.conf");
        std::fs::write(&file, nginx_conf(at, address(store))).expect("is written");
        let program = std::env::var_os("CLAVIGER_NGINX").unwrap_or_else(|| "nginx".into());
        let mut command = Command::new(program);
        command.arg("-p").arg(dir).arg("-e").arg("stderr").arg("-c").arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        measure::stay_on_cpu(crate::SERVED_CPU);
        let process = command.spawn();
        measure::stay_on_cpu(crate::LOAD_CPU);
        let mut process = process.map_err(|error| format!("nginx cannot be run: {error}"))?;
        while std::net::TcpStream::connect(at).is_err() {
            if let Ok(Some(status)) = process.try_wait() {
                return Err(format!("nginx ended with {status}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { process, uri: format!("http://{at}") })
    }

    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    pub fn address(&self) -> SocketAddr {
        address(&self.uri)
    }
}

fn on_its_cpu(command: &mut Command) -> Child {
    measure::stay_on_cpu(crate::SERVED_CPU);
    let process = command.spawn().expect("starts");
    measure::stay_on_cpu(crate::LOAD_CPU);
    process
}

/// One process, connections kept open on both sides, nothing buffered in files, a line for each request.
fn nginx_conf(at: SocketAddr, store: SocketAddr) -> String {
    format!(
        "daemon off; master_process off; pid nginx.pid;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n\
           access_log /dev/null combined; client_max_body_size 0;\n\
           client_body_temp_path client; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
           uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
           keepalive_requests 1000000000;\n\
           upstream store {{ server {store}; keepalive 1024; keepalive_requests 1000000000; }}\n\
           server {{ listen {at} backlog=4096; location / {{\n\
             proxy_pass http://store; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
             proxy_request_buffering off; proxy_max_temp_file_size 0;\n\
           }} }}\n\
         }}\n"
    )
}

impl Drop for Served {
    fn drop(&mut self) {
        self.process.kill().expect("is running");
        self.process.wait().expect("was running");
    }
}
