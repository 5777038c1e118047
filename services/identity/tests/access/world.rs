//! Two accounts, and every kind of caller there is.

use std::sync::Arc;

use api::identity::v1::access_key_service_client::AccessKeyServiceClient;
use api::identity::v1::account_service_client::AccountServiceClient;
use api::identity::v1::event_service_client::EventServiceClient;
use api::identity::v1::user_service_client::UserServiceClient;
use api::identity::v1::*;
use tonic::metadata::{KeyAndValueRef, MetadataMap};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Status, transport};

use crate::rpcs;
use crate::support::{Certified, Home, Identity, START_MS, at};

/// A channel of a caller that says for itself who it is.
pub(crate) type CallerChannel = InterceptedService<transport::Channel, Presented>;

/// Puts metadata into each call, as it is: who calls, and whatever it claims.
#[derive(Clone, Debug)]
pub(crate) struct Presented(MetadataMap);

impl Presented {
    pub(crate) fn of(metadata: MetadataMap) -> Self {
        Self(metadata)
    }
}

impl Interceptor for Presented {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        for entry in self.0.iter() {
            match entry {
                KeyAndValueRef::Ascii(key, value) => {
                    request.metadata_mut().append(key, value.clone());
                }
                KeyAndValueRef::Binary(key, value) => {
                    request.metadata_mut().append_bin(key, value.clone());
                }
            }
        }
        Ok(request)
    }
}

/// Who calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Caller {
    /// Shows no token.
    Nobody,
    /// Shows a token that nobody holds.
    Unknown,
    /// Shows the admin token, but not as a bearer.
    Garbage,
    /// Shows the admin token of the configuration.
    Configured,
    /// Shows an admin token that may do everything.
    All,
    /// Shows an admin token that may read everything.
    ReadOnly,
    /// Shows an admin token for the account.
    Scoped,
    /// Shows an admin token to read the account.
    ScopedReadOnly,
    /// Shows an admin token for another account.
    Elsewhere,
    /// Shows an admin token that has expired.
    Expired,
    /// Shows an admin token that was revoked.
    Revoked,
    /// Shows auth's token.
    Auth,
    /// A gateway that does not say for whom it acts.
    Gateway,
    /// A gateway that acts for the account's root user, as all below act for somebody.
    Root,
    /// The user that the call is about.
    Itself,
    /// Another user of the account.
    Colleague,
    /// The root user of another account.
    ForeignRoot,
    /// A user of the account that is locked.
    Locked,
    /// A user of the account that was deleted.
    Deleted,
    /// A user that never was.
    Stranger,
    /// What is no UUID.
    NoUser,
}

impl Caller {
    pub(crate) const EVERY: [Self; 21] = [
        Self::Nobody,
        Self::Unknown,
        Self::Garbage,
        Self::Configured,
        Self::All,
        Self::ReadOnly,
        Self::Scoped,
        Self::ScopedReadOnly,
        Self::Elsewhere,
        Self::Expired,
        Self::Revoked,
        Self::Auth,
        Self::Gateway,
        Self::Root,
        Self::Itself,
        Self::Colleague,
        Self::ForeignRoot,
        Self::Locked,
        Self::Deleted,
        Self::Stranger,
        Self::NoUser,
    ];
}

/// An account with its root user.
pub(crate) struct Tenant {
    /// `accounts/{account}`.
    pub(crate) name: String,
    pub(crate) number: String,
    pub(crate) root: User,
    pub(crate) root_key: AccessKey,
}

/// What calls are about: made anew where a call uses it up.
pub(crate) struct Target {
    /// A user of the account.
    pub(crate) user: User,
    /// Its access key, in a grace period.
    pub(crate) key: AccessKey,
    /// Its access key that was deleted and can be undeleted.
    pub(crate) deleted_key: AccessKey,
    /// A bucket of the account, by name.
    pub(crate) bucket: String,
    /// An account without users.
    pub(crate) account: String,
    /// An admin token, by name.
    pub(crate) admin_token: String,
    /// A number that no other target has.
    pub(crate) number: u32,
}

/// An identity with an account, another account, and callers.
pub(crate) struct World {
    pub(crate) home: Home,
    pub(crate) identity: Identity,
    pub(crate) mine: Tenant,
    pub(crate) other: Tenant,
    pub(crate) colleague: User,
    locked: User,
    pub(crate) deleted: User,
    all: String,
    read_only: String,
    scoped: String,
    scoped_read_only: String,
    elsewhere: String,
    expired: String,
    revoked: String,
    connection: transport::Channel,
    targets: std::sync::atomic::AtomicU32,
}

/// How a caller shows who it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum By {
    /// By a token, as [`Caller`] says it.
    Token,
    /// By a token, on a connection that shows an operator's certificate.
    TokenBesideCertificate,
    /// By a certificate, and no token.
    Certificate,
    /// By a token that it showed to a gateway.
    TokenAtGateway,
}

impl Caller {
    /// Whether there is a caller of this kind that shows so who it is.
    pub(crate) fn can_show(self, by: By) -> bool {
        match (by, self) {
            (By::Token, _)
            | (
                By::Certificate,
                Self::Nobody
                | Self::Configured
                | Self::Auth
                | Self::Gateway
                | Self::Root
                | Self::Itself
                | Self::Colleague
                | Self::ForeignRoot
                | Self::Locked
                | Self::Deleted
                | Self::Stranger
                | Self::NoUser,
            ) => true,
            (
                By::TokenAtGateway,
                Self::Unknown
                | Self::Configured
                | Self::All
                | Self::ReadOnly
                | Self::Scoped
                | Self::ScopedReadOnly
                | Self::Elsewhere
                | Self::Expired
                | Self::Revoked,
            ) => true,
            (By::TokenAtGateway, _) => false,
            (By::TokenBesideCertificate, Self::Nobody) => false,
            (By::TokenBesideCertificate, _) => true,
            (
                By::Certificate,
                Self::Unknown
                | Self::Garbage
                | Self::All
                | Self::ReadOnly
                | Self::Scoped
                | Self::ScopedReadOnly
                | Self::Elsewhere
                | Self::Expired
                | Self::Revoked,
            ) => false,
        }
    }

    /// Whom its certificate stands for.
    fn certified_name(self) -> &'static str {
        match self {
            Self::Configured => "spiffe://example.org/operator/ann",
            Self::Auth => "spiffe://example.org/auth",
            Self::Gateway
            | Self::Root
            | Self::Itself
            | Self::Colleague
            | Self::ForeignRoot
            | Self::Locked
            | Self::Deleted
            | Self::Stranger
            | Self::NoUser => "spiffe://example.org/gateway",
            Self::Nobody
            | Self::Unknown
            | Self::Garbage
            | Self::All
            | Self::ReadOnly
            | Self::Scoped
            | Self::ScopedReadOnly
            | Self::Elsewhere
            | Self::Expired
            | Self::Revoked => "spiffe://example.org/nobody",
        }
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::at(Home::new()).await
    }

    /// One whose callers may show certificates.
    pub(crate) async fn certified() -> Self {
        let mut home = Home::new();
        home.certified = Some(Arc::new(Certified::new()));
        Self::at(home).await
    }

    async fn at(mut home: Home) -> Self {
        home.accepts_signature_v2 = true;
        let identity = home.start().await;
        let (mine, other) = (tenant(&identity, "Mine").await, tenant(&identity, "Other").await);
        let set = SetPasswordRequest {
            name: mine.root.name.clone(),
            password: rpcs::PASSWORD.into(),
            ..Default::default()
        };
        identity.users().set_password(set).await.expect("set");
        let user = async |name| identity.user(&mine.name, name).await.expect("created");
        let (colleague, locked, deleted) =
            (user("colleague").await, user("locked").await, user("deleted").await);
        let lock = LockUserRequest { name: locked.name.clone(), ..Default::default() };
        identity.users().lock_user(lock).await.expect("locked");
        let delete = DeleteUserRequest { name: deleted.name.clone(), ..Default::default() };
        identity.users().delete_user(delete).await.expect("deleted");

        let token = async |name: &str, account: &str, read_only, expire_time| {
            let (display_name, account) = (name.to_owned(), account.to_owned());
            let token =
                AdminToken { display_name, account, read_only, expire_time, ..Default::default() };
            identity.admin_token(token).await
        };
        let all = token("all", "", false, None).await.token;
        let read_only = token("read-only", "", true, None).await.token;
        let scoped = token("scoped", &mine.name, false, None).await.token;
        let scoped_read_only = token("scoped-read-only", &mine.name, true, None).await.token;
        let elsewhere = token("elsewhere", &other.name, false, None).await.token;
        let expired = token("expired", "", false, Some(at(START_MS + 1000))).await.token;
        let revoked = token("revoked", "", false, None).await;
        let name = revoked.admin_token.expect("there").name;
        let revoke = RevokeAdminTokenRequest { name, ..Default::default() };
        identity.admin_tokens().revoke_admin_token(revoke).await.expect("revoked");
        home.clock.advance(1000);
        let (revoked, connection) = (revoked.token, identity.connection());
        let targets = Default::default();
        Self {
            home,
            identity,
            mine,
            other,
            colleague,
            locked,
            deleted,
            all,
            read_only,
            scoped,
            scoped_read_only,
            elsewhere,
            expired,
            revoked,
            connection,
            targets,
        }
    }

    pub(crate) async fn target(&self) -> Target {
        let identity = &self.identity;
        let number = self.targets.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let user = identity.user(&self.mine.name, &format!("target-{number}")).await;
        let user = user.expect("created");
        let key = async || {
            let made = identity.access_key(&user.name).await.expect("created");
            made.access_key.expect("there")
        };
        let (key, deleted_key) = (key().await, key().await);
        identity.rotate(&key.name, 3600).await.expect("rotated");
        let delete =
            DeleteAccessKeyRequest { name: deleted_key.name.clone(), ..Default::default() };
        identity.access_keys().delete_access_key(delete).await.expect("deleted");
        let account = identity.account("Empty").await.account.expect("there").name;
        let display_name = format!("target-{number}");
        let token = identity.admin_token(AdminToken { display_name, ..Default::default() }).await;
        let admin_token = token.admin_token.expect("there").name;
        let bucket = Bucket { bucket_name: format!("bucket-{number}"), ..Default::default() };
        let claim = ClaimBucketRequest {
            parent: self.mine.name.clone(),
            bucket: Some(bucket),
            ..Default::default()
        };
        let bucket =
            identity.claim_bucket(claim).await.expect("claimed").bucket.expect("there").name;
        Target { user, key, deleted_key, bucket, account, admin_token, number }
    }

    /// What a caller presents in a call that is about `target`.
    pub(crate) fn metadata(&self, caller: Caller, target: &User) -> MetadataMap {
        let tokens = &self.identity.tokens;
        let gateway = tokens.gateway.as_ref().expect("given").expose();
        match caller {
            Caller::Nobody => MetadataMap::new(),
            Caller::Unknown => bearer(&"0".repeat(64)),
            Caller::Garbage => authorization(&format!("Basic {}", tokens.admin.expose())),
            Caller::Configured => bearer(tokens.admin.expose()),
            Caller::All => bearer(&self.all),
            Caller::ReadOnly => bearer(&self.read_only),
            Caller::Scoped => bearer(&self.scoped),
            Caller::ScopedReadOnly => bearer(&self.scoped_read_only),
            Caller::Elsewhere => bearer(&self.elsewhere),
            Caller::Expired => bearer(&self.expired),
            Caller::Revoked => bearer(&self.revoked),
            Caller::Auth => bearer(tokens.auth.expose()),
            Caller::Gateway => bearer(gateway),
            Caller::Root => acting_for(gateway, &self.mine.root.user_id),
            Caller::Itself => acting_for(gateway, &target.user_id),
            Caller::Colleague => acting_for(gateway, &self.colleague.user_id),
            Caller::ForeignRoot => acting_for(gateway, &self.other.root.user_id),
            Caller::Locked => acting_for(gateway, &self.locked.user_id),
            Caller::Deleted => acting_for(gateway, &self.deleted.user_id),
            Caller::Stranger => acting_for(gateway, "01935a3c-0000-7000-8000-000000000000"),
            Caller::NoUser => acting_for(gateway, "root"),
        }
    }

    /// What a caller presents that shows so who it is.
    pub(crate) fn metadata_by(&self, by: By, caller: Caller, target: &User) -> MetadataMap {
        let mut metadata = self.metadata(caller, target);
        let shown = match by {
            By::Token | By::TokenBesideCertificate => return metadata,
            By::Certificate | By::TokenAtGateway => metadata.remove("authorization"),
        };
        if by == By::TokenAtGateway {
            let gateway = self.identity.tokens.gateway.as_ref().expect("given").expose();
            let shown = shown.expect("a token");
            let token = shown.to_str().expect("text").trim_start_matches("Bearer ");
            return through(gateway, "claviger-acting-token", token);
        }
        metadata
    }

    pub(crate) fn connection(&self) -> transport::Channel {
        self.connection.clone()
    }

    /// The connection of a caller that shows so who it is.
    pub(crate) fn connection_by(&self, by: By, caller: Caller) -> transport::Channel {
        let name = match by {
            By::Token | By::TokenAtGateway => return self.connection(),
            By::TokenBesideCertificate => Caller::Configured.certified_name(),
            By::Certificate => caller.certified_name(),
        };
        self.connection_as(name)
    }

    /// A connection that shows a certificate of this name.
    pub(crate) fn connection_as(&self, name: &str) -> transport::Channel {
        let authority = &self.identity.certified.as_ref().expect("has certificates").authority;
        self.identity.connection_by(Some(&authority.issue(&[name])))
    }

    fn channel(&self, presented: MetadataMap) -> CallerChannel {
        CallerChannel::new(self.connection(), Presented(presented))
    }

    pub(crate) fn accounts(&self, presented: MetadataMap) -> AccountServiceClient<CallerChannel> {
        AccountServiceClient::new(self.channel(presented))
    }

    pub(crate) fn users(&self, presented: MetadataMap) -> UserServiceClient<CallerChannel> {
        UserServiceClient::new(self.channel(presented))
    }

    pub(crate) fn access_keys(
        &self,
        presented: MetadataMap,
    ) -> AccessKeyServiceClient<CallerChannel> {
        AccessKeyServiceClient::new(self.channel(presented))
    }

    pub(crate) fn events(&self, presented: MetadataMap) -> EventServiceClient<CallerChannel> {
        EventServiceClient::new(self.channel(presented))
    }

    /// Every event there is.
    pub(crate) async fn recorded(&self) -> Vec<api::event::v1::Event> {
        let request = ListEventsRequest { page_size: 1000, ..Default::default() };
        let listed = self.identity.events().list_events(request).await.expect("listed");
        listed.into_inner().events
    }

    /// Where the log ends.
    pub(crate) async fn head(&self) -> u64 {
        self.identity.head().await
    }
}

/// An account that retains deleted access keys.
async fn tenant(identity: &Identity, display_name: &str) -> Tenant {
    let made = identity.account(display_name).await;
    let account = made.account.expect("there");
    let settings =
        api::event::v1::AccountSettings { retention_seconds: 86_400, ..Default::default() };
    let changed =
        Account { name: account.name.clone(), settings: Some(settings), ..Default::default() };
    let request = UpdateAccountRequest {
        account: Some(changed),
        update_mask: Some(mask(&["settings.retention_seconds"])),
        ..Default::default()
    };
    identity.accounts().update_account(request).await.expect("updated");
    Tenant {
        name: account.name,
        number: account.account_number,
        root: made.root_user.expect("there"),
        root_key: made.access_key.expect("there"),
    }
}

pub(crate) fn mask(paths: &[&str]) -> prost_types::FieldMask {
    prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }
}

pub(crate) fn bearer(token: &str) -> MetadataMap {
    authorization(&format!("Bearer {token}"))
}

fn authorization(value: &str) -> MetadataMap {
    with(MetadataMap::new(), &[("authorization", value)])
}

/// What a gateway presents that acts for a user.
pub(crate) fn acting_for(gateway: &str, user_id: &str) -> MetadataMap {
    through(gateway, "claviger-acting-user", user_id)
}

/// What a gateway says of one who shows it this.
fn through(gateway: &str, name: &'static str, shown: &str) -> MetadataMap {
    with(
        bearer(gateway),
        &[
            (name, shown),
            ("claviger-facade", "iam"),
            ("claviger-source-address", "192.0.2.7"),
            ("x-request-id", "request-of-a-user"),
        ],
    )
}

/// `metadata` and these too.
pub(crate) fn with(mut metadata: MetadataMap, more: &[(&'static str, &str)]) -> MetadataMap {
    for (name, value) in more {
        metadata.append(*name, value.parse().expect("visible ASCII"));
    }
    metadata
}
