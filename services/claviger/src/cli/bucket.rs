//! `claviger bucket`, as it is spelled.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::shared::{Connection, RetryArgs};

#[derive(Debug, Args)]
pub(crate) struct BucketArgs {
    #[command(subcommand)]
    pub(crate) command: BucketCommand,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BucketCommand {
    /// Show the buckets of the account, by name
    List {
        /// Only those whose names begin so
        #[arg(long, default_value = "")]
        prefix: String,
        /// Only those of this region
        #[arg(long, default_value = "")]
        region: String,
        /// Those of all accounts
        #[arg(long)]
        all: bool,
    },
    /// Show whose a bucket is
    Get {
        /// The bucket
        #[arg(value_name = "BUCKET")]
        name: String,
    },
    /// Make a bucket the account's; nothing is made in the store. If the store has it, with all that
    /// is in it
    Claim {
        /// The bucket
        #[arg(value_name = "BUCKET")]
        name: String,
        /// Where it is, such as us-east-1
        #[arg(long, default_value = "")]
        region: String,
        #[command(flatten)]
        retry: RetryArgs,
    },
    /// Give up a bucket's name; nothing is deleted in the store. With --account only if it is that
    /// account's
    Release {
        /// The bucket
        #[arg(value_name = "BUCKET")]
        name: String,
        #[command(flatten)]
        retry: RetryArgs,
    },
    /// Give a bucket from one account to another, with all that is in it
    Transfer {
        /// The bucket
        #[arg(value_name = "BUCKET")]
        name: String,
        /// Whose it must be, by UUID or number
        #[arg(long, value_name = "ACCOUNT")]
        from: String,
        /// Whose it is to be, by UUID or number
        #[arg(long, value_name = "ACCOUNT")]
        to: String,
        #[command(flatten)]
        retry: RetryArgs,
    },
    /// Make the account's what buckets a store has already; can be run again. The exit code is 5 if some
    /// of them are another account's
    Import(ImportArgs),
}

/// Which store, and which of its buckets.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Where the store is, as the gateway knows it, such as http://127.0.0.1:9000
    #[arg(long, env = "CLAVIGER_GATEWAY__UPSTREAM__ENDPOINT", value_name = "URI")]
    pub(crate) upstream: String,
    /// The region that requests are signed for, and that the buckets are told to be in
    #[arg(long, env = "CLAVIGER_GATEWAY__UPSTREAM__REGION", value_name = "REGION")]
    #[arg(default_value = "us-east-1")]
    pub(crate) upstream_region: String,
    /// The gateway's access key there
    #[arg(long, env = "CLAVIGER_GATEWAY__UPSTREAM__ACCESS_KEY_ID", value_name = "ID")]
    pub(crate) upstream_access_key_id: String,
    /// Holds the secret to it; or else the variable CLAVIGER_GATEWAY__UPSTREAM__SECRET_ACCESS_KEY does
    #[arg(long, env = "CLAVIGER_GATEWAY__UPSTREAM__SECRET_ACCESS_KEY_FILE", value_name = "FILE")]
    pub(crate) upstream_secret_access_key_file: Option<PathBuf>,
    /// Authorities in PEM that make its certificate, for https [default: those of the system]
    #[arg(long, env = "CLAVIGER_GATEWAY__UPSTREAM__CA_FILE", value_name = "FILE")]
    pub(crate) upstream_ca_file: Option<PathBuf>,
    /// Only buckets whose names begin so
    #[arg(long, default_value = "")]
    pub(crate) prefix: String,
    /// A name that means something else to the store, and is left out; may be repeated
    #[arg(long = "reserved-bucket", env = "CLAVIGER_GATEWAY__RESERVED_BUCKETS")]
    #[arg(value_name = "BUCKET", value_delimiter = ',', default_values = gateway::RESERVED_BUCKETS)]
    pub(crate) reserved_buckets: Vec<String>,
    /// Only tell what would become of each
    #[arg(long)]
    pub(crate) dry_run: bool,
}
