//! Arguments that several client nouns have in common.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use uuid::Uuid;

use crate::output::Format;

/// Which server is asked, as whom, and how its answer is printed.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection and output")]
pub(crate) struct Connection {
    /// URI of identity, https:// or http://
    #[arg(long, global = true, env = "CLAVIGER_ENDPOINT", value_name = "URI")]
    #[arg(default_value = "http://127.0.0.1:7110")]
    pub(crate) endpoint: String,
    #[command(flatten)]
    pub(crate) caller: CallerArgs,
    /// The account, by UUID or number; may be left out where there is only one
    #[arg(long, global = true, env = "CLAVIGER_ACCOUNT", value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// How answers are printed: json is the proto3 JSON of the gRPC answer
    #[arg(short, long, global = true, env = "CLAVIGER_OUTPUT", value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// As whom a server is asked, and how it is known.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection and output")]
pub(crate) struct CallerArgs {
    /// A file that holds the admin token and that only its owner may read; or else the variable
    /// CLAVIGER_TOKEN holds it. It may be left out with --tls-certificate-file
    #[arg(long, global = true, env = "CLAVIGER_TOKEN_FILE", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Authorities in PEM that make the server's certificate, for https [default: those of the system]
    #[arg(long, global = true, env = "CLAVIGER_TLS_CA_FILE", value_name = "FILE")]
    pub(crate) tls_ca_file: Option<PathBuf>,
    /// A certificate in PEM by which the server knows who calls, if no token is given
    #[arg(long, global = true, env = "CLAVIGER_TLS_CERTIFICATE_FILE", value_name = "FILE")]
    pub(crate) tls_certificate_file: Option<PathBuf>,
    /// The key to it in PEM, which only its owner may read
    #[arg(long, global = true, env = "CLAVIGER_TLS_KEY_FILE", value_name = "FILE")]
    pub(crate) tls_key_file: Option<PathBuf>,
    /// Whom the server's certificate must name, spiffe://... or dns:HOST [default: the host of its URI]
    #[arg(long, global = true, env = "CLAVIGER_TLS_SERVER_NAME", value_name = "NAME")]
    pub(crate) tls_server_name: Option<String>,
}

/// What makes asking again safe.
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// Makes a retry safe: within 24 hours the same id with the same arguments gets the same answer
    #[arg(long, value_name = "UUID")]
    request_id: Option<Uuid>,
}

impl RetryArgs {
    /// The id as it is sent; empty if none was given.
    pub(crate) fn request_id(&self) -> String {
        self.request_id.map(|id| id.to_string()).unwrap_or_default()
    }
}

/// What makes a change of something safe.
#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    /// Change it only if this is its etag still, as an answer told it
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    etag: Option<String>,
    #[command(flatten)]
    retry: RetryArgs,
}

impl ChangeArgs {
    /// The etag as it is sent; empty if none was given.
    pub(crate) fn etag(&self) -> String {
        self.etag.clone().unwrap_or_default()
    }

    /// The id as it is sent; empty if none was given.
    pub(crate) fn request_id(&self) -> String {
        self.retry.request_id()
    }
}

/// How a new credential is printed.
#[derive(Debug, Args)]
pub(crate) struct CredentialArgs {
    /// Print the credential for a program; as --output says if not given
    #[arg(long, value_enum)]
    pub(crate) format: Option<CredentialFormat>,
    /// Where S3 is, for the formats that name it
    #[arg(long, env = "CLAVIGER_S3_ENDPOINT", value_name = "URI")]
    #[arg(default_value = "http://127.0.0.1:7100")]
    pub(crate) s3_endpoint: String,
    /// The region, for the formats that name it
    #[arg(long, env = "CLAVIGER_REGION", default_value = "us-east-1")]
    pub(crate) region: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum CredentialFormat {
    /// Lines for a shell: export AWS_ACCESS_KEY_ID=...
    Env,
    /// A section for ~/.aws/config
    AwsProfile,
    /// A section for rclone.conf
    Rclone,
    /// A section for ~/.s3cfg
    S3cmd,
    /// The same as --output json
    Json,
}
