//! What can be set, server by server. Every field is a flag, a variable and a key of the file.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Settings;
use super::keystone::{Keystone, KeystoneService};
use super::tls::{AuthTls, GatewayTls, IdentityTls, RestTls, S3Tls};

/// Settings of identity.
#[derive(Clone, Debug, Default, Args, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Identity {
    /// Where gRPC is served [default: 127.0.0.1:7110]
    #[arg(long, env = "CLAVIGER_IDENTITY__LISTEN", value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where /livez, /readyz and /metrics are served [default: 127.0.0.1:7190]
    #[arg(long, env = "CLAVIGER_IDENTITY__ADMIN_LISTEN", value_name = "ADDRESS")]
    pub(crate) admin_listen: Option<SocketAddr>,
    /// Holds the log and the keystore; one process at a time [default: /var/lib/claviger]
    #[arg(long, env = "CLAVIGER_IDENTITY__DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Holds the key-encryption key, 32 bytes in hexadecimal (openssl rand -hex 32); or else the
    /// variable CLAVIGER_IDENTITY__KEK does
    #[arg(long, env = "CLAVIGER_IDENTITY__KEK_FILE", value_name = "FILE")]
    pub(crate) kek_file: Option<PathBuf>,
    /// Holds a key-encryption key of before, by which older keys are still opened; may be repeated.
    /// The variable CLAVIGER_IDENTITY__OLD_KEKS holds more, parted by commas
    #[arg(long, env = "CLAVIGER_IDENTITY__OLD_KEK_FILES", value_name = "FILE")]
    #[arg(value_delimiter = ',')]
    pub(crate) old_kek_files: Option<Vec<PathBuf>>,
    /// Holds the operators' token; or else the variable CLAVIGER_IDENTITY__ADMIN_TOKEN does
    #[arg(long, env = "CLAVIGER_IDENTITY__ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,
    /// Holds the token that auth shows; or else the variable CLAVIGER_IDENTITY__AUTH_TOKEN does
    #[arg(long, env = "CLAVIGER_IDENTITY__AUTH_TOKEN_FILE", value_name = "FILE")]
    pub(crate) auth_token_file: Option<PathBuf>,
    /// Holds the token that gateways show when they act for users; or else the variable
    /// CLAVIGER_IDENTITY__GATEWAY_TOKEN does. Without it, and without --gateway, no gateway may
    #[arg(long, env = "CLAVIGER_IDENTITY__GATEWAY_TOKEN_FILE", value_name = "FILE")]
    pub(crate) gateway_token_file: Option<PathBuf>,
    /// Whose certificate is an operator's, spiffe://... or dns:HOST; may be repeated. With it there
    /// need be no admin token
    #[arg(long = "operator", env = "CLAVIGER_IDENTITY__OPERATORS", value_name = "NAME")]
    #[arg(value_delimiter = ',')]
    pub(crate) operators: Option<Vec<String>>,
    /// Whose certificate is auth's; may be repeated. With it there need be no token of auth
    #[arg(long = "auth", env = "CLAVIGER_IDENTITY__AUTHS", value_name = "NAME")]
    #[arg(value_delimiter = ',')]
    pub(crate) auths: Option<Vec<String>>,
    /// Whose certificate is a gateway's; may be repeated
    #[arg(long = "gateway", env = "CLAVIGER_IDENTITY__GATEWAYS", value_name = "NAME")]
    #[arg(value_delimiter = ',')]
    pub(crate) gateways: Option<Vec<String>>,
    /// Tell auth who signed by Signature Version 2, which is not safe any more, for clients that know
    /// no other [default: false]
    #[arg(long, env = "CLAVIGER_IDENTITY__ACCEPT_SIGNATURE_V2", value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) accept_signature_v2: Option<bool>,
    /// Encryption of the gRPC port.
    #[command(flatten)]
    pub(crate) tls: IdentityTls,
}

impl Settings for Identity {
    const NAME: &'static str = "identity";
    const SECRETS: &'static [&'static str] = &[
        "CLAVIGER_IDENTITY__KEK",
        "CLAVIGER_IDENTITY__ADMIN_TOKEN",
        "CLAVIGER_IDENTITY__AUTH_TOKEN",
        "CLAVIGER_IDENTITY__GATEWAY_TOKEN",
        "CLAVIGER_IDENTITY__OLD_KEKS",
    ];
}

/// Settings of auth.
#[derive(Clone, Debug, Default, Args, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Auth {
    /// Where gRPC is served [default: 127.0.0.1:7120]
    #[arg(long, env = "CLAVIGER_AUTH__LISTEN", value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where /livez, /readyz and /metrics are served [default: 127.0.0.1:7190]
    #[arg(long, env = "CLAVIGER_AUTH__ADMIN_LISTEN", value_name = "ADDRESS")]
    pub(crate) admin_listen: Option<SocketAddr>,
    /// URI of identity [default: http://127.0.0.1:7110]
    #[arg(long, env = "CLAVIGER_AUTH__IDENTITY", value_name = "URI")]
    pub(crate) identity: Option<String>,
    /// Holds the operators' token; or else the variable CLAVIGER_AUTH__ADMIN_TOKEN does
    #[arg(long, env = "CLAVIGER_AUTH__ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,
    /// Holds the token that it shows to identity; or else the variable CLAVIGER_AUTH__AUTH_TOKEN
    /// does
    #[arg(long, env = "CLAVIGER_AUTH__AUTH_TOKEN_FILE", value_name = "FILE")]
    pub(crate) auth_token_file: Option<PathBuf>,
    /// Holds the token that gateways show; or else the variable CLAVIGER_AUTH__GATEWAY_TOKEN does
    #[arg(long, env = "CLAVIGER_AUTH__GATEWAY_TOKEN_FILE", value_name = "FILE")]
    pub(crate) gateway_token_file: Option<PathBuf>,
    /// Whose certificate is an operator's, spiffe://... or dns:HOST; may be repeated. With it there
    /// need be no admin token
    #[arg(long = "operator", env = "CLAVIGER_AUTH__OPERATORS", value_name = "NAME")]
    #[arg(value_delimiter = ',')]
    pub(crate) operators: Option<Vec<String>>,
    /// Whose certificate is a gateway's; may be repeated. With it there need be no token of gateways
    #[arg(long = "gateway", env = "CLAVIGER_AUTH__GATEWAYS", value_name = "NAME")]
    #[arg(value_delimiter = ',')]
    pub(crate) gateways: Option<Vec<String>>,
    /// Warn when identity has not been heard for so long [default: 5]
    #[arg(long, env = "CLAVIGER_AUTH__SOFT_STALENESS_SECONDS", value_name = "SECONDS")]
    pub(crate) soft_staleness_seconds: Option<u64>,
    /// Give no verdict when identity has not been heard for so long [default: 900]
    #[arg(long, env = "CLAVIGER_AUTH__HARD_STALENESS_SECONDS", value_name = "SECONDS")]
    pub(crate) hard_staleness_seconds: Option<u64>,
    /// Verify on so many threads [default: one for each core]
    #[arg(long, env = "CLAVIGER_AUTH__WORKERS", value_name = "NUMBER")]
    pub(crate) workers: Option<NonZeroUsize>,
    /// Verify Signature Version 2, if identity does, for clients that know no other [default: false]
    #[arg(long, env = "CLAVIGER_AUTH__ACCEPT_SIGNATURE_V2", value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) accept_signature_v2: Option<bool>,
    /// Let gateways name other hosts that may have been signed for S3, too: for those behind a proxy
    /// that rewrites the host [default: false]
    #[arg(long, env = "CLAVIGER_AUTH__ACCEPT_S3_HOST_CANDIDATES", value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) accept_s3_host_candidates: Option<bool>,
    /// The region that Envoy serves where its routes name none, and RGW
    #[arg(long, env = "CLAVIGER_AUTH__REGION", value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Encryption of the gRPC port, and of the way to identity.
    #[command(flatten)]
    pub(crate) tls: AuthTls,
}

impl Settings for Auth {
    const NAME: &'static str = "auth";
    const SECRETS: &'static [&'static str] = &[
        "CLAVIGER_AUTH__ADMIN_TOKEN",
        "CLAVIGER_AUTH__AUTH_TOKEN",
        "CLAVIGER_AUTH__GATEWAY_TOKEN",
    ];
}

/// Settings of the gateway.
#[derive(Clone, Debug, Default, Args, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Gateway {
    /// Where S3 is served [default: 127.0.0.1:7100]
    #[arg(long, env = "CLAVIGER_GATEWAY__S3_LISTEN", value_name = "ADDRESS")]
    pub(crate) s3_listen: Option<SocketAddr>,
    /// Where the management API is served [default: 127.0.0.1:7101]
    #[arg(long, env = "CLAVIGER_GATEWAY__REST_LISTEN", value_name = "ADDRESS")]
    pub(crate) rest_listen: Option<SocketAddr>,
    /// Where /livez, /readyz and /metrics are served [default: 127.0.0.1:7190]
    #[arg(long, env = "CLAVIGER_GATEWAY__ADMIN_LISTEN", value_name = "ADDRESS")]
    pub(crate) admin_listen: Option<SocketAddr>,
    /// URIs of auth, with commas between; each address of each host is a replica
    /// [default: http://127.0.0.1:7120]
    #[arg(long, env = "CLAVIGER_GATEWAY__AUTH", value_name = "URIS")]
    pub(crate) auth: Option<String>,
    /// Holds the token that it shows to auth; or else the variable CLAVIGER_GATEWAY__GATEWAY_TOKEN
    /// does
    #[arg(long, env = "CLAVIGER_GATEWAY__GATEWAY_TOKEN_FILE", value_name = "FILE")]
    pub(crate) gateway_token_file: Option<PathBuf>,
    /// URI of identity. With it buckets belong to accounts, and users and access keys are managed by the APIs of AWS IAM, OUTSCALE and
    /// NetApp ONTAP, and by REST
    #[arg(long, env = "CLAVIGER_GATEWAY__IDENTITY", value_name = "URI")]
    pub(crate) identity: Option<String>,
    /// Holds the token that it shows to identity, another than auth's; or else the variable
    /// CLAVIGER_GATEWAY__IDENTITY_TOKEN does
    #[arg(long, env = "CLAVIGER_GATEWAY__IDENTITY_TOKEN_FILE", value_name = "FILE")]
    pub(crate) identity_token_file: Option<PathBuf>,
    /// Whom identity's certificate must name, spiffe://... or dns:HOST [default: the host of its URI]
    #[arg(long, env = "CLAVIGER_GATEWAY__IDENTITY_SERVER_NAME", value_name = "NAME")]
    pub(crate) identity_server_name: Option<String>,
    /// Whether S3 requests signed by Signature Version 4A are accepted too [default: false]
    #[arg(long, env = "CLAVIGER_GATEWAY__ACCEPT_SIGV4A", value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) accept_sigv4a: Option<bool>,
    /// UUID of the one account whose users may use the upstream, and all its buckets. Without it, each bucket
    /// is the account's that claimed it, which identity knows
    #[arg(long, env = "CLAVIGER_GATEWAY__ACCOUNT_ID", value_name = "UUID")]
    pub(crate) account_id: Option<Uuid>,
    /// The region that is served; signatures for another are refused [default: us-east-1]
    #[arg(long, env = "CLAVIGER_GATEWAY__REGION", value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// A host name of the endpoint: requests to BUCKET.HOST are for that bucket, requests to hosts
    /// that are neither this nor an IP address are refused; may be repeated [default: localhost]
    #[arg(long = "domain", env = "CLAVIGER_GATEWAY__DOMAINS", value_name = "HOST")]
    #[arg(value_delimiter = ',')]
    pub(crate) domains: Option<Vec<String>>,
    /// A bucket name that means something else to the upstream, and is refused; may be repeated
    /// [default: admin, auth, info, minio, rustfs and swift]
    #[arg(long = "reserved-bucket", env = "CLAVIGER_GATEWAY__RESERVED_BUCKETS")]
    #[arg(value_name = "BUCKET", value_delimiter = ',')]
    pub(crate) reserved_buckets: Option<Vec<String>>,
    /// A bucket, or how names of buckets begin and an asterisk, whose objects anybody may read without a
    /// signature; may be repeated [default: none]
    #[arg(long = "anonymous-bucket", env = "CLAVIGER_GATEWAY__ANONYMOUS_BUCKETS")]
    #[arg(value_name = "BUCKET", value_delimiter = ',')]
    pub(crate) anonymous_buckets: Option<Vec<String>>,
    /// What pages of other sites may do. Only the file has it.
    #[arg(skip)]
    #[serde(skip_serializing)]
    pub(crate) cors: Vec<CorsRule>,
    /// What lines of the access log look like: json, among those of the log; or s3, as S3's server access
    /// logs, on standard output [default: json]
    #[arg(
        long,
        env = "CLAVIGER_GATEWAY__ACCESS_LOG",
        value_name = "FORMAT",
        hide_possible_values = true
    )]
    pub(crate) access_log: Option<AccessLog>,
    /// Keystone's API on the management port.
    #[command(flatten)]
    pub(crate) keystone: Keystone,
    /// Encryption of the S3 port.
    #[command(flatten)]
    pub(crate) s3_tls: S3Tls,
    /// Encryption of the management port.
    #[command(flatten)]
    pub(crate) rest_tls: RestTls,
    /// Encryption of the way to auth and identity.
    #[command(flatten)]
    pub(crate) tls: GatewayTls,
    /// The S3 server behind it.
    #[command(flatten)]
    pub(crate) upstream: Upstream,
    /// Further S3 servers, for some buckets and accounts. Only the file has them.
    #[arg(skip)]
    #[serde(skip_serializing)]
    pub(crate) upstreams: Vec<NamedUpstream>,
    /// Sizes and times.
    #[command(flatten)]
    pub(crate) limits: Limits,
}

impl Settings for Gateway {
    const NAME: &'static str = "gateway";
    const SECRETS: &'static [&'static str] = &[
        "CLAVIGER_GATEWAY__GATEWAY_TOKEN",
        "CLAVIGER_GATEWAY__IDENTITY_TOKEN",
        "CLAVIGER_GATEWAY__UPSTREAM__SECRET_ACCESS_KEY",
    ];

    fn is_secret(variable: &str) -> bool {
        Self::SECRETS.contains(&variable)
            || NamedUpstream::of_secret(variable).is_some()
            || KeystoneService::is_secret(variable)
    }
}

/// What pages of some sites may do.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CorsRule {
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) allowed_methods: Vec<String>,
    pub(crate) allowed_headers: Vec<String>,
    pub(crate) expose_headers: Vec<String>,
    pub(crate) max_age_seconds: Option<u32>,
}

/// What lines of the access log look like.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AccessLog {
    Json,
    S3,
}

/// The S3 server behind the gateway.
#[derive(Clone, Debug, Default, Args, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Upstream")]
pub(crate) struct Upstream {
    /// Where requests go that were verified, such as http://127.0.0.1:9000. Required
    #[arg(id = "upstream_endpoint", long = "upstream-endpoint", value_name = "URI")]
    #[arg(env = "CLAVIGER_GATEWAY__UPSTREAM__ENDPOINT")]
    pub(crate) endpoint: Option<String>,
    /// The region that they are signed for [default: us-east-1]
    #[arg(id = "upstream_region", long = "upstream-region", value_name = "REGION")]
    #[arg(env = "CLAVIGER_GATEWAY__UPSTREAM__REGION")]
    pub(crate) region: Option<String>,
    /// The gateway's own access key there. Required
    #[arg(id = "upstream_access_key_id", long = "upstream-access-key-id", value_name = "ID")]
    #[arg(env = "CLAVIGER_GATEWAY__UPSTREAM__ACCESS_KEY_ID")]
    pub(crate) access_key_id: Option<String>,
    /// Holds the secret to it; or else the variable
    /// CLAVIGER_GATEWAY__UPSTREAM__SECRET_ACCESS_KEY does
    #[arg(id = "upstream_secret_access_key_file", long = "upstream-secret-access-key-file")]
    #[arg(env = "CLAVIGER_GATEWAY__UPSTREAM__SECRET_ACCESS_KEY_FILE", value_name = "FILE")]
    pub(crate) secret_access_key_file: Option<PathBuf>,
    /// Whether checksums that follow a body in its trailer go on in one [default: true]
    #[arg(id = "upstream_trailing_checksums", long = "upstream-trailing-checksums")]
    #[arg(env = "CLAVIGER_GATEWAY__UPSTREAM__TRAILING_CHECKSUMS", value_name = "BOOL")]
    pub(crate) trailing_checksums: Option<bool>,
    /// Authorities in PEM that make its certificate, for https [default: those of the system]
    #[arg(id = "upstream_ca_file", long = "upstream-ca-file", value_name = "FILE")]
    #[arg(env = "CLAVIGER_GATEWAY__UPSTREAM__CA_FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Tell it in x-claviger- headers who asks, and sign nothing: instead of an access key, for one that
    /// nobody else can reach [default: false]
    #[arg(id = "upstream_identity_headers", long = "upstream-identity-headers")]
    #[arg(env = "CLAVIGER_GATEWAY__UPSTREAM__IDENTITY_HEADERS", value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) identity_headers: Option<bool>,
    /// What is got there to see whether it is well, such as /minio/health/live [default: none: it is if
    /// it can be connected to]
    #[arg(id = "upstream_health_path", long = "upstream-health-path", value_name = "PATH")]
    #[arg(env = "CLAVIGER_GATEWAY__UPSTREAM__HEALTH_PATH")]
    pub(crate) health_path: Option<String>,
}

/// Another S3 server behind the gateway, for some buckets and accounts.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NamedUpstream {
    pub(crate) name: Option<String>,
    pub(crate) buckets: Option<Vec<String>>,
    pub(crate) accounts: Option<Vec<Uuid>>,
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) access_key_id: Option<String>,
    pub(crate) secret_access_key_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) identity_headers: Option<bool>,
    pub(crate) health_path: Option<String>,
    pub(crate) trailing_checksums: Option<bool>,
}

impl NamedUpstream {
    /// The variable that holds the secret of the upstream of this name.
    pub(crate) fn secret_of(name: &str) -> String {
        let name = name.to_ascii_uppercase().replace('-', "_");
        format!("CLAVIGER_GATEWAY__UPSTREAMS__{name}__SECRET_ACCESS_KEY")
    }

    /// The name of the upstream whose secret this variable holds, as [`Self::secret_of`] spells it.
    pub(crate) fn of_secret(variable: &str) -> Option<&str> {
        let rest = variable.strip_prefix("CLAVIGER_GATEWAY__UPSTREAMS__")?;
        rest.strip_suffix("__SECRET_ACCESS_KEY")
    }

    /// What it has in common with the one that has no name.
    pub(crate) fn upstream(&self) -> Upstream {
        let of = self.clone();
        Upstream {
            endpoint: of.endpoint,
            region: of.region,
            access_key_id: of.access_key_id,
            secret_access_key_file: of.secret_access_key_file,
            ca_file: of.ca_file,
            identity_headers: of.identity_headers,
            health_path: of.health_path,
            trailing_checksums: of.trailing_checksums,
        }
    }
}

/// How much the gateway takes, and how long it waits.
#[derive(Clone, Debug, Default, Args, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Limits {
    /// Connections to each listener; further ones wait [default: 4096]
    #[arg(long, env = "CLAVIGER_GATEWAY__LIMITS__CONNECTIONS_MAX", value_name = "COUNT")]
    pub(crate) connections_max: Option<usize>,
    /// S3 requests under way; further ones are told to slow down [default: 2048]
    #[arg(long, env = "CLAVIGER_GATEWAY__LIMITS__REQUESTS_MAX", value_name = "COUNT")]
    pub(crate) requests_max: Option<usize>,
    /// Uploads by forms under way, of 10 MiB of memory each; further ones are told to slow down [default: 16]
    #[arg(long, env = "CLAVIGER_GATEWAY__LIMITS__FORMS_MAX", value_name = "COUNT")]
    pub(crate) forms_max: Option<usize>,
    /// For a client to send a request's head [default: 30]
    #[arg(long, env = "CLAVIGER_GATEWAY__LIMITS__HEAD_TIMEOUT_SECONDS", value_name = "SECONDS")]
    pub(crate) head_timeout_seconds: Option<u64>,
    /// For a body that stands still [default: 60]
    #[arg(long, env = "CLAVIGER_GATEWAY__LIMITS__IDLE_TIMEOUT_SECONDS", value_name = "SECONDS")]
    pub(crate) idle_timeout_seconds: Option<u64>,
    /// For auth to reach a verdict [default: 2]
    #[arg(long, env = "CLAVIGER_GATEWAY__LIMITS__AUTH_TIMEOUT_SECONDS", value_name = "SECONDS")]
    pub(crate) auth_timeout_seconds: Option<u64>,
    /// For one replica of auth before another is asked too [default: 100]
    #[arg(long, env = "CLAVIGER_GATEWAY__LIMITS__AUTH_HEDGE_MILLISECONDS")]
    #[arg(value_name = "MILLISECONDS")]
    pub(crate) auth_hedge_milliseconds: Option<u64>,
    /// For connecting to the upstream [default: 3]
    #[arg(long, value_name = "SECONDS")]
    #[arg(env = "CLAVIGER_GATEWAY__LIMITS__CONNECT_TIMEOUT_SECONDS")]
    pub(crate) connect_timeout_seconds: Option<u64>,
    /// For the upstream to begin its answer [default: 300]
    #[arg(long, value_name = "SECONDS")]
    #[arg(env = "CLAVIGER_GATEWAY__LIMITS__RESPONSE_TIMEOUT_SECONDS")]
    pub(crate) response_timeout_seconds: Option<u64>,
    /// How often upstreams are looked at [default: 5]
    #[arg(long, env = "CLAVIGER_GATEWAY__LIMITS__HEALTH_INTERVAL_SECONDS", value_name = "SECONDS")]
    pub(crate) health_interval_seconds: Option<u64>,
    /// For identity to tell whose buckets are, before it is asked at each request [default: 5]
    #[arg(long, value_name = "SECONDS")]
    #[arg(env = "CLAVIGER_GATEWAY__LIMITS__BUCKETS_SILENCE_SECONDS_MAX")]
    pub(crate) buckets_silence_seconds_max: Option<u64>,
}
