//! What a gateway needs to know.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, ensure};
use http::Uri;
use http::uri::Authority;
use uuid::Uuid;
use zeroize::Zeroizing;

/// The host names of an endpoint that was told none.
pub const DOMAINS: [&str; 1] = ["localhost"];

/// Where S3 servers keep what is not S3: Ceph its administration, Swift and the log-in to it,
/// MinIO and RustFS their administration and metrics.
pub const RESERVED_BUCKETS: [&str; 6] = ["admin", "auth", "info", "minio", "rustfs", "swift"];

/// How a gateway is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where auth is, and how the gateway shows itself to it.
    pub auth: rpc::Target,
    /// Where identity is, and how the gateway shows itself to it: with another token than to auth, which
    /// knows that one. Where it is none, no users and access keys are managed here.
    pub identity: Option<rpc::Target>,
    /// The region that the gateway serves, such as `us-east-1`; a signature for another is refused.
    pub region: String,
    /// The one account whose users may use the upstream, and all its buckets. Without it, each bucket is the account's
    /// that claimed it, which identity knows: there must be one then.
    pub account_id: Option<Uuid>,
    /// The endpoint's own host names, without port and in any case, beside every IP address: a
    /// request to `{bucket}.{domain}` is for that bucket. Usually [`DOMAINS`].
    pub domains: Vec<String>,
    /// What the upstream means something else by than a bucket, such as [`RESERVED_BUCKETS`]:
    /// requests for it are refused.
    pub reserved_buckets: Vec<String>,
    /// Where verified requests go.
    pub upstream: Upstream,
    /// Sizes and times.
    pub limits: Limits,
}

/// The S3 server behind the gateway, addressed path-style.
#[derive(Clone)]
pub struct Upstream {
    /// Scheme `http`, host and port, such as `http://127.0.0.1:9000`; no path.
    pub endpoint: Uri,
    /// The region that requests are signed for.
    pub region: String,
    /// The upstream's own credential, by which it knows the gateway.
    pub access_key_id: String,
    /// The secret to it. Zeroed on drop, never printed.
    pub secret_access_key: Zeroizing<String>,
}

/// How much and how long. The defaults suit most.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most connections to each listener, 256 at the most to that of management; further ones
    /// wait to be accepted. 4,096.
    pub connections_max: usize,
    /// The most S3 requests under way; further ones are told to slow down. 2,048.
    pub requests_max: usize,
    /// How long a client may take to send a request's head, also the next one on a connection
    /// kept alive. 30 seconds.
    pub head_timeout: Duration,
    /// How long a body may stand still, in either direction, on either side. 60 seconds.
    pub idle_timeout: Duration,
    /// How long auth may take to reach a verdict. 2 seconds.
    pub auth_timeout: Duration,
    /// How long connecting to the upstream may take. 3 seconds.
    pub connect_timeout: Duration,
    /// How long, at least, the upstream may neither read on nor begin to answer. 5 minutes, as
    /// stores take their time to complete large multipart uploads.
    pub response_timeout: Duration,
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
            head_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            auth_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(3),
            response_timeout: Duration::from_secs(300),
            buckets_silence_max: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(6),
        }
    }
}

impl Upstream {
    /// Host and port of the endpoint, if that is all there is to it.
    pub(crate) fn authority(&self) -> anyhow::Result<Authority> {
        let scheme = self.endpoint.scheme_str();
        ensure!(scheme == Some("http"), "the upstream's endpoint must begin with http://");
        let bare = self.endpoint.path_and_query().is_none_or(|path| path.as_str() == "/");
        ensure!(bare, "the upstream's endpoint must have no path");
        let authority = self.endpoint.authority().context("the upstream's endpoint has no host")?;
        ensure!(!authority.as_str().contains('@'), "the upstream's endpoint must name no user");
        Ok(authority.clone())
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("access_key_id", &self.access_key_id)
            .field("secret_access_key", &"redacted")
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(endpoint: &'static str, expected: Option<&str>) {
        let upstream = Upstream {
            endpoint: Uri::from_static(endpoint),
            region: "us-east-1".to_owned(),
            access_key_id: "AKIA".to_owned(),
            secret_access_key: Zeroizing::new("s3cr3t".to_owned()),
        };
        assert!(!format!("{upstream:?}").contains("s3cr3t"));
        let found = upstream.authority().ok();
        assert_eq!(found.as_ref().map(Authority::as_str), expected, "{endpoint}");
    }

    #[test]
    fn an_endpoint_is_http_and_an_authority() {
        check("http://127.0.0.1:9000", Some("127.0.0.1:9000"));
        check("http://store/", Some("store"));
        check("https://store", None);
        check("http://store/base", None);
        check("http://store/?x", None);
        check("http://user@store", None);
        check("store:9000", None);
        check("/path", None);
    }
}
