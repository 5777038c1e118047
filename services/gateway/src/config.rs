//! What a gateway needs to know.

pub(crate) mod keystone;

use std::fmt;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use http::uri::{Authority, PathAndQuery};
use http::{Method, Uri};
use uuid::Uuid;
use zeroize::Zeroizing;

pub use self::keystone::{KEYSTONE_MAX_AGE, KEYSTONE_ROLES, Keystone, KeystoneService};
use crate::BucketPattern;
use crate::auth::Auth;

/// The host names of an endpoint that was told none.
pub const DOMAINS: [&str; 1] = ["localhost"];

/// Where S3 servers keep what is not S3: Ceph its administration, Swift and the log-in to it,
/// MinIO and RustFS their administration and metrics.
pub const RESERVED_BUCKETS: [&str; 6] = ["admin", "auth", "info", "minio", "rustfs", "swift"];

/// How a gateway is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where auth is, and how the gateway shows itself to it.
    pub auth: Auth,
    /// Where identity is, and how the gateway shows itself to it: with another token than to auth, which
    /// knows that one. Where it is none, no users and access keys are managed here.
    pub identity: Option<rpc::Target>,
    /// The region that the gateway serves, such as `us-east-1`; a signature for another is refused.
    pub region: String,
    /// Whether S3 requests that are signed by Signature Version 4A are accepted too. To verify one costs a
    /// hundred times what others cost.
    pub accepts_sigv4a: bool,
    /// The one account whose users may use the upstream, and all its buckets. Without it, each bucket is the account's
    /// that claimed it, which identity knows: there must be one then.
    pub account_id: Option<Uuid>,
    /// The endpoint's own host names, without port and in any case, beside every IP address: a
    /// request to `{bucket}.{domain}` is for that bucket. Usually [`DOMAINS`].
    pub domains: Vec<String>,
    /// What the upstream means something else by than a bucket, such as [`RESERVED_BUCKETS`]:
    /// requests for it are refused.
    pub reserved_buckets: Vec<String>,
    /// Where verified requests go that go nowhere else.
    pub upstream: Upstream,
    /// Where those go that are for certain buckets, or of certain accounts.
    pub upstreams: Vec<NamedUpstream>,
    /// Encryption of the S3 listener, which is in the clear without.
    pub s3_tls: Option<rpc::HttpsServer>,
    /// Encryption of the management listener.
    pub management_tls: Option<rpc::HttpsServer>,
    /// Buckets whose objects anybody may read without a signature.
    pub anonymous_buckets: Vec<BucketPattern>,
    /// What pages of other sites may do; of the rules that fit the first counts. Nothing if there are none.
    pub cors: Vec<CorsRule>,
    /// Keystone's API on the management listener; not served if there is nothing.
    pub keystone: Option<Keystone>,
    /// What a line of the access log looks like.
    pub access_log: AccessLog,
    /// Sizes and times.
    pub limits: Limits,
}

/// What pages of some sites may do, as S3 has it in a `CORSRule`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CorsRule {
    /// Of which sites, such as `https://app.example.org`; each may have one asterisk, for anything.
    pub allowed_origins: Vec<String>,
    /// Of `GET`, `PUT`, `POST`, `DELETE` and `HEAD`.
    pub allowed_methods: Vec<Method>,
    /// The headers that they may send, beside those that any page may; each may have one asterisk.
    pub allowed_headers: Vec<String>,
    /// The headers of answers that they may read, beside those that any page may.
    pub expose_headers: Vec<String>,
    /// How long browsers may remember this, in seconds.
    pub max_age_seconds: Option<u32>,
}

/// What a line of the access log looks like, for S3 requests.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AccessLog {
    /// As other log lines do, among which it stands: in JSON, if they are.
    #[default]
    Json,
    /// As in S3's server access logs. Such lines, and nothing else, go to standard output.
    S3,
}

/// An S3 server behind the gateway, addressed path-style.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Scheme `http` or `https`, host and port, such as `http://127.0.0.1:9000`; no path.
    pub endpoint: Uri,
    /// Whose certificates are believed, for `https`; the system's authorities' if there is none.
    pub tls: Option<rpc::HttpsClient>,
    /// How it is told who asks.
    pub access: Access,
    /// What is got, without a signature, to see whether it is there: it is if the answer is no server
    /// error. Without, it is there if it can be connected to.
    pub health_path: Option<PathAndQuery>,
    /// Whether it takes a checksum in a trailer (`STREAMING-UNSIGNED-PAYLOAD-TRAILER`), as stores have since
    /// 2022. If not, such a checksum is checked here, and ends here.
    pub sends_trailers: bool,
}

/// How an upstream is told who asks.
#[derive(Clone, Debug)]
pub enum Access {
    /// By a signature of the gateway's, whose credential may do everything there that users may.
    Key(UpstreamKey),
    /// By the headers `x-claviger-account`, `x-claviger-user` and `x-claviger-access-key-id`, with what
    /// auth verified, and no signature. Nobody else may reach such an upstream.
    IdentityHeaders,
}

/// The gateway's own credential at an upstream.
#[derive(Clone)]
pub struct UpstreamKey {
    /// The region that requests are signed for.
    pub region: String,
    /// By which the upstream knows the gateway.
    pub access_key_id: String,
    /// The secret to it. Zeroed on drop, never printed.
    pub secret_access_key: Zeroizing<String>,
}

/// An upstream for some buckets and accounts. A bucket's goes before an account's; an exact name before a
/// pattern, and a longer pattern before a shorter one.
#[derive(Clone, Debug)]
pub struct NamedUpstream {
    /// 1 to 32 lower-case letters, digits and hyphens, for logs and metrics.
    pub name: String,
    /// Whose requests go there.
    pub buckets: Vec<BucketPattern>,
    /// Requests of whose users go there.
    pub accounts: Vec<Uuid>,
    /// Where that is.
    pub upstream: Upstream,
}

/// How much and how long. The defaults suit most.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most connections to each listener, 256 at the most to that of management unless stores ask by Keystone's
    /// API; further ones wait to be accepted. 4,096.
    pub connections_max: usize,
    /// The most S3 requests under way; further ones are told to slow down. 2,048.
    pub requests_max: usize,
    /// The most uploads by forms under way, each of which may take 10 MiB of memory; further ones are told
    /// to slow down. 16.
    pub forms_max: usize,
    /// How long a client may take to send a request's head, also the next one on a connection
    /// kept alive. 30 seconds.
    pub head_timeout: Duration,
    /// How long a body may stand still, in either direction, on either side. 60 seconds.
    pub idle_timeout: Duration,
    /// How long auth may take to reach a verdict. 2 seconds.
    pub auth_timeout: Duration,
    /// After how long another replica of auth is asked too, if there is one. 100 milliseconds.
    pub auth_hedge_after: Duration,
    /// How long connecting to the upstream may take. 3 seconds.
    pub connect_timeout: Duration,
    /// How long, at least, the upstream may neither read on nor begin to answer. 5 minutes, as
    /// stores take their time to complete large multipart uploads.
    pub response_timeout: Duration,
    /// How often upstreams are looked at. 5 seconds.
    pub health_interval: Duration,
    /// How long identity may be silent before it is asked at each request whose a bucket is. It tells
    /// something each second. 5 seconds.
    pub buckets_silence_max: Duration,
    /// How long requests under way may take to end after shutdown began. 6 seconds.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            requests_max: 2048,
            forms_max: 16,
            head_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            auth_timeout: Duration::from_secs(2),
            auth_hedge_after: Duration::from_millis(100),
            connect_timeout: Duration::from_secs(3),
            response_timeout: Duration::from_secs(300),
            health_interval: Duration::from_secs(5),
            buckets_silence_max: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(6),
        }
    }
}

impl Upstream {
    /// Host and port of the endpoint, if that is all there is to it.
    pub(crate) fn authority(&self) -> anyhow::Result<Authority> {
        let scheme = self.endpoint.scheme_str();
        ensure!(
            matches!(scheme, Some("http" | "https")),
            "the upstream's endpoint must begin with http:// or https://"
        );
        let bare = self.endpoint.path_and_query().is_none_or(|path| path.as_str() == "/");
        ensure!(bare, "the upstream's endpoint must have no path");
        let authority = self.endpoint.authority().context("the upstream's endpoint has no host")?;
        ensure!(!authority.as_str().contains('@'), "the upstream's endpoint must name no user");
        Ok(authority.clone())
    }

    /// By what it is encrypted; none in the clear.
    ///
    /// # Errors
    /// If the system has no authorities, and none are given.
    pub(crate) fn https(&self) -> anyhow::Result<Option<rpc::HttpsClient>> {
        match (self.endpoint.scheme_str(), &self.tls) {
            (Some("https"), Some(tls)) => Ok(Some(tls.clone())),
            (Some("https"), None) => rpc::HttpsClient::load(None).map(Some),
            (Some(_) | None, None) => Ok(None),
            (Some(_) | None, Some(_)) => {
                bail!("the upstream has authorities, and its endpoint does not begin with https://")
            }
        }
    }
}

impl fmt::Debug for UpstreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamKey")
            .field("region", &self.region)
            .field("access_key_id", &self.access_key_id)
            .field("secret_access_key", &"redacted")
            .finish()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn upstream(endpoint: &'static str) -> Upstream {
        Upstream {
            endpoint: Uri::from_static(endpoint),
            tls: None,
            access: Access::Key(UpstreamKey {
                region: "us-east-1".to_owned(),
                access_key_id: "AKIA".to_owned(),
                secret_access_key: Zeroizing::new("s3cr3t".to_owned()),
            }),
            health_path: None,
            sends_trailers: true,
        }
    }

    /// With this upstream, and nothing beside it.
    pub(crate) fn config(endpoint: &'static str) -> Config {
        let token = rpc::Token::generate().expect("randomness");
        Config {
            auth: Auth::Remote(vec![rpc::Target::in_the_clear("http://auth", token)]),
            identity: None,
            region: "us-east-1".to_owned(),
            accepts_sigv4a: false,
            account_id: Some(Uuid::nil()),
            domains: vec![],
            reserved_buckets: vec![],
            upstream: upstream(endpoint),
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

    fn check(endpoint: &'static str, expected: Option<&str>) {
        let upstream = upstream(endpoint);
        assert!(!format!("{upstream:?}").contains("s3cr3t"));
        let found = upstream.authority().ok();
        assert_eq!(found.as_ref().map(Authority::as_str), expected, "{endpoint}");
    }

    #[test]
    fn an_endpoint_is_http_or_https_and_an_authority() {
        check("http://127.0.0.1:9000", Some("127.0.0.1:9000"));
        check("http://store/", Some("store"));
        check("https://store", Some("store"));
        check("ftp://store", None);
        check("http://store/base", None);
        check("http://store/?x", None);
        check("http://user@store", None);
        check("store:9000", None);
        check("/path", None);
    }

    #[test]
    fn authorities_are_of_no_use_in_the_clear() {
        let dir = tempfile::tempdir().expect("a place");
        let ca = test_pki::Authority::new().write(dir.path(), "ca");
        let tls = rpc::HttpsClient::load(Some(ca)).expect("authorities");
        let with = |endpoint| Upstream { tls: Some(tls.clone()), ..upstream(endpoint) }.https();
        assert!(with("https://store").expect("right").is_some());
        assert!(with("http://store").is_err());
        assert!(upstream("http://store").https().expect("right").is_none());
    }
}
