//! An identity on a free port, and clients for it.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    reason = "each test binary uses its part"
)]

mod calls;
mod certified;
mod heard;

use std::path::PathBuf;
use std::sync::Arc;

use api::identity::v1::access_key_service_client::AccessKeyServiceClient;
use api::identity::v1::account_service_client::AccountServiceClient;
use api::identity::v1::admin_token_service_client::AdminTokenServiceClient;
use api::identity::v1::bucket_service_client::BucketServiceClient;
use api::identity::v1::credential_feed_service_client::CredentialFeedServiceClient;
use api::identity::v1::event_service_client::EventServiceClient;
use api::identity::v1::user_service_client::UserServiceClient;
use api::identity::v1::*;
pub use calls::*;
pub use certified::{Certified, OPERATORS};
use event_store::ManualClock;
pub use heard::Heard;
use identity::Callers;
use rpc::{Channel, Known, Target, Token};
use sealing::{KeyEncryptionKey, Keyring};
use test_pki::Issued;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{self, Certificate, ClientTlsConfig, Endpoint};

/// 2026-01-01T12:00:00Z, in milliseconds.
pub const START_MS: u64 = 1_767_268_800_000;
pub const DAY_MS: u64 = 86_400_000;

/// By which callers are known.
#[derive(Clone)]
pub struct Tokens {
    pub admin: Token,
    pub auth: Token,
    pub gateway: Option<Token>,
}

pub struct Identity {
    pub uri: String,
    pub clock: Arc<ManualClock>,
    pub tokens: Tokens,
    pub certified: Option<Arc<Certified>>,
    operator: Channel,
    data_dir: PathBuf,
    shutdown: CancellationToken,
    served: JoinHandle<anyhow::Result<()>>,
}

/// A data directory and the key to it, which outlive one identity.
pub struct Home {
    pub dir: tempfile::TempDir,
    kek_file: PathBuf,
    pub clock: Arc<ManualClock>,
    pub tokens: Tokens,
    /// How callers are known by certificates, if they are.
    pub certified: Option<Arc<Certified>>,
    /// Off at first.
    pub accepts_signature_v2: bool,
}

impl Home {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let kek_file = dir.path().join("kek");
        let kek = KeyEncryptionKey::generate().expect("randomness");
        std::fs::write(&kek_file, kek.expose_hex().as_bytes()).expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&kek_file, mode).expect("set");
        let token = || Token::generate().expect("randomness");
        let tokens = Tokens { admin: token(), auth: token(), gateway: Some(token()) };
        let clock = Arc::new(ManualClock::new(START_MS));
        let accepts_signature_v2 = false;
        Self { dir, kek_file, clock, tokens, certified: None, accepts_signature_v2 }
    }

    pub async fn start(&self) -> Identity {
        self.try_start().await.expect("starts")
    }

    pub async fn try_start(&self) -> anyhow::Result<Identity> {
        self.try_start_with(Keyring::new(KeyEncryptionKey::from_file(&self.kek_file)?)).await
    }

    pub async fn try_start_with(&self, keyring: Keyring) -> anyhow::Result<Identity> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let scheme = if self.certified.is_some() { "https" } else { "http" };
        let uri = format!("{scheme}://{}", listener.local_addr()?);
        let shutdown = CancellationToken::new();
        let config = identity::Config {
            data_dir: self.dir.path().join("data"),
            keyring,
            callers: self.callers(),
            tls: self.certified.as_ref().map(|certified| certified.server()),
            accepts_signature_v2: self.accepts_signature_v2,
        };
        let ready = telemetry::Readiness::default().register("identity");
        let clock = Arc::clone(&self.clock);
        let served = tokio::spawn(identity::serve(
            config,
            clock.clone(),
            listener,
            ready.clone(),
            shutdown.clone(),
        ));
        while !ready.is_ready() {
            if served.is_finished() {
                served.await??;
                anyhow::bail!("identity ended");
            }
            tokio::task::yield_now().await;
        }
        let data_dir = self.dir.path().join("data");
        let tokens = self.tokens.clone();
        let certified = self.certified.clone();
        let tls = certified.as_ref().map(|certified| certified.client(None));
        let target = Target { uri: uri.clone(), token: Some(tokens.admin.clone()), tls };
        let operator = target.channel()?;
        Ok(Identity { uri, clock, tokens, certified, operator, data_dir, shutdown, served })
    }
}

impl Home {
    fn callers(&self) -> Callers {
        let Tokens { admin, auth, gateway } = self.tokens.clone();
        let names = |list| match self.certified {
            Some(_) => certified::names(list),
            None => vec![],
        };
        Callers {
            operators: Known { token: Some(admin), names: names(certified::OPERATORS) },
            auths: Known { token: Some(auth), names: names(certified::AUTHS) },
            gateways: Known { token: gateway, names: names(certified::GATEWAYS) },
        }
    }
}

impl Identity {
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.served.await.expect("no panic").expect("ends well");
    }

    pub fn operator(&self) -> Channel {
        self.operator.clone()
    }

    pub fn accounts(&self) -> AccountServiceClient<Channel> {
        AccountServiceClient::new(self.operator())
    }

    pub fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.operator())
    }

    pub fn access_keys(&self) -> AccessKeyServiceClient<Channel> {
        AccessKeyServiceClient::new(self.operator())
    }

    pub fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.operator())
    }

    pub fn admin_tokens(&self) -> AdminTokenServiceClient<Channel> {
        AdminTokenServiceClient::new(self.operator())
    }

    pub fn buckets(&self) -> BucketServiceClient<Channel> {
        BucketServiceClient::new(self.operator())
    }

    /// A connection that says nothing of who calls.
    pub fn connection(&self) -> tonic::transport::Channel {
        self.connection_by(None)
    }

    /// A connection that shows a certificate, by another's TLS than ours.
    pub fn connection_by(&self, shown: Option<&Issued>) -> tonic::transport::Channel {
        let endpoint = Endpoint::from_shared(self.uri.clone()).expect("a URI");
        let Some(certified) = &self.certified else { return endpoint.connect_lazy() };
        let authority = Certificate::from_pem(certified.authority.pem());
        let tls = ClientTlsConfig::new().ca_certificate(authority);
        let tls = match shown {
            None => tls,
            Some(Issued { chain, key }) => tls.identity(transport::Identity::from_pem(chain, key)),
        };
        endpoint.tls_config(tls).expect("can be used").connect_lazy()
    }

    pub async fn admin_token(&self, admin_token: AdminToken) -> CreateAdminTokenResponse {
        let admin_token = Some(admin_token);
        let request = CreateAdminTokenRequest { admin_token, ..Default::default() };
        self.create_admin_token(request).await.expect("created")
    }

    pub fn feed(&self) -> CredentialFeedServiceClient<Channel> {
        let channel = rpc::channel(&self.uri, &self.tokens.auth).expect("a URI");
        CredentialFeedServiceClient::new(channel)
    }

    pub async fn account(&self, display_name: &str) -> CreateAccountResponse {
        let account = Account { display_name: display_name.into(), ..Default::default() };
        let request = CreateAccountRequest { account: Some(account), ..Default::default() };
        self.accounts().create_account(request).await.expect("created").into_inner()
    }

    pub async fn user(&self, account: &str, name: &str) -> Result<User, tonic::Status> {
        let user = User { user_name: name.into(), ..Default::default() };
        let request =
            CreateUserRequest { parent: account.into(), user: Some(user), ..Default::default() };
        let response = self.users().create_user(request).await?;
        Ok(response.into_inner().user.expect("a user"))
    }

    pub async fn access_key(&self, user: &str) -> Result<CreateAccessKeyResponse, tonic::Status> {
        let request = CreateAccessKeyRequest { parent: user.into(), ..Default::default() };
        Ok(self.access_keys().create_access_key(request).await?.into_inner())
    }

    pub async fn rotate(
        &self,
        name: &str,
        grace_period_seconds: u32,
    ) -> Result<RotateSecretAccessKeyResponse, tonic::Status> {
        let request = RotateSecretAccessKeyRequest {
            name: name.into(),
            grace_period_seconds: Some(grace_period_seconds),
            ..Default::default()
        };
        Ok(self.access_keys().rotate_secret_access_key(request).await?.into_inner())
    }
}
