//! The client nouns: what is done, to what, and at which server.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use prost_types::Timestamp;
use uuid::Uuid;

use super::time;
use crate::output::Format;

/// Which server is asked, as whom, and how its answer is printed.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection and output")]
pub(crate) struct Connection {
    /// URI of identity
    #[arg(long, global = true, env = "CLAVIGER_ENDPOINT", value_name = "URI")]
    #[arg(default_value = "http://127.0.0.1:7110")]
    pub(crate) endpoint: String,
    /// A file that holds the admin token and that only its owner may read; or else the variable
    /// CLAVIGER_TOKEN holds it
    #[arg(long, global = true, env = "CLAVIGER_TOKEN_FILE", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The account, by UUID or number; may be left out where there is only one
    #[arg(long, global = true, env = "CLAVIGER_ACCOUNT", value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// How answers are printed: json is the proto3 JSON of the gRPC answer
    #[arg(short, long, global = true, env = "CLAVIGER_OUTPUT", value_enum, default_value_t)]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
pub(crate) struct AccountArgs {
    #[command(subcommand)]
    pub(crate) command: AccountCommand,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Make an account, its root user and that user's first access key, whose secret is printed
    /// once
    Create {
        /// Name for people, 1 to 128 characters
        name: String,
        #[command(flatten)]
        credential: CredentialArgs,
        #[command(flatten)]
        retry: RetryArgs,
    },
    /// Show an account
    Get {
        /// By UUID or number; may be left out as --account may
        #[arg(value_name = "ACCOUNT_ID")]
        id: Option<String>,
    },
    /// Show all accounts, oldest first
    List,
}

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    pub(crate) command: UserCommand,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make a user, without access keys
    Create {
        /// 1 to 64 of A-Z a-z 0-9 _ + = , . @ -
        name: String,
        /// Text for people, up to 256 characters
        #[arg(long, default_value = "", hide_default_value = true)]
        label: String,
        #[command(flatten)]
        retry: RetryArgs,
    },
    /// Show a user
    Get {
        /// By name or UUID
        user: String,
    },
    /// Show the users of the account, by name
    List,
    /// Give a user another label
    Label {
        /// By name or UUID
        user: String,
        /// Text for people, up to 256 characters
        label: String,
    },
    /// Make every request of a user fail until it is unlocked
    Lock {
        /// By name or UUID
        user: String,
    },
    /// Restore exactly what was before a user was locked
    Unlock {
        /// By name or UUID
        user: String,
    },
    /// Delete a user
    Delete {
        /// By name or UUID
        user: String,
        /// Delete its access keys with it
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    pub(crate) command: KeyCommand,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make an access key, whose secret is printed once
    Create {
        /// The user that holds it, by name or UUID
        user: String,
        /// When it ends, such as 2030-01-31T12:00:00Z or 2030-01-31; never if not given
        #[arg(long, value_name = "TIME", value_parser = time::parse)]
        expires_at: Option<Timestamp>,
        /// Make it inactive: it may not be used until it is activated
        #[arg(long)]
        inactive: bool,
        #[command(flatten)]
        credential: CredentialArgs,
        #[command(flatten)]
        retry: RetryArgs,
    },
    /// Show an access key, never its secret
    Get {
        /// The access key ID
        id: String,
    },
    /// Show the access keys of a user, or of all users of the account
    List {
        /// The user, by name or UUID
        user: Option<String>,
    },
    /// Let an access key be used again
    Activate {
        /// The access key ID
        id: String,
    },
    /// Let an access key not be used until it is activated
    Deactivate {
        /// The access key ID
        id: String,
    },
    /// Set, move or remove the end of an access key
    Expire {
        /// The access key ID
        id: String,
        #[command(flatten)]
        expiry: Expiry,
    },
    /// Give an access key a new secret, which is printed once
    Rotate {
        /// The access key ID
        id: String,
        /// How long the old secret still works, in seconds, up to 7776000 (90 days)
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        grace_period: u32,
        #[command(flatten)]
        credential: CredentialArgs,
        #[command(flatten)]
        retry: RetryArgs,
    },
    /// End the old secret of an access key now
    EndGracePeriod {
        /// The access key ID
        id: String,
    },
    /// Delete an access key, and destroy what its secrets are sealed with
    Delete {
        /// The access key ID
        id: String,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Expiry {
    /// When it ends, such as 2030-01-31T12:00:00Z or 2030-01-31
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) at: Option<Timestamp>,
    /// It does not end
    #[arg(long)]
    pub(crate) never: bool,
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

/// What makes asking again safe.
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// Makes a retry safe: within 24 hours the same id with the same arguments gets the same answer
    #[arg(long, value_name = "UUID")]
    pub(crate) request_id: Option<Uuid>,
}

impl RetryArgs {
    /// The id as it is sent; empty if none was given.
    pub(crate) fn request_id(&self) -> String {
        self.request_id.map(|id| id.to_string()).unwrap_or_default()
    }
}

#[derive(Debug, Args)]
pub(crate) struct EventArgs {
    #[command(subcommand)]
    pub(crate) command: EventCommand,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EventCommand {
    /// Show recorded events, oldest first
    List {
        #[command(flatten)]
        filter: EventFilter,
        /// Stop after so many events
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
        limit: Option<u64>,
    },
    /// Show events as they are recorded, until interrupted; with -o json one a line
    Watch {
        /// Begin after this position of the log; 0 shows all
        #[arg(long, value_name = "POSITION", default_value_t = 0)]
        after: u64,
    },
}

/// Which events are shown, beside those of --account.
#[derive(Debug, Args)]
pub(crate) struct EventFilter {
    /// Only events of this user: by name, or by UUID, also one that was deleted
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Only events of this access key, also one that was deleted
    #[arg(long, value_name = "ACCESS_KEY_ID")]
    pub(crate) key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    #[command(subcommand)]
    pub(crate) command: LogCommand,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Check the chain, the positions and the checksums of the whole log
    Verify {
        /// Check the log in identity's data directory instead of asking the server; no process may
        /// have it open
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
}
