//! `claviger account`, as it is spelled.

use clap::{Args, Subcommand, ValueEnum};

use super::shared::{ChangeArgs, Connection, CredentialArgs, RetryArgs};
use super::time;

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
        settings: SettingsArgs,
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
    /// Change what is given, and nothing else
    Update {
        /// By UUID or number; may be left out as --account may
        #[arg(value_name = "ACCOUNT_ID")]
        id: Option<String>,
        /// Name for people, 1 to 128 characters
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        settings: SettingsArgs,
        /// Record no events ahead of the end of access keys
        #[arg(long, conflicts_with = "expiry_notice")]
        clear_expiry_notices: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Delete an account with its root user and that user's access keys; it cannot be undone
    Delete {
        /// By UUID or number
        #[arg(value_name = "ACCOUNT_ID")]
        id: String,
        /// Release the buckets that it has; what they hold stays in the store
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// What an account asks of the access keys of its users.
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    /// How many access keys a user may have, 1 to 10
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10))]
    pub(crate) keys_per_user: Option<u32>,
    /// The longest lifetime of an access key: a number of seconds or ISO 8601, such as P90D; 0 for
    /// no limit. With a limit each access key must end
    #[arg(long, value_name = "DURATION", value_parser = time::duration::<u64>)]
    pub(crate) max_lifetime: Option<u64>,
    /// How long the old secret still works after a rotation that does not say, in seconds or such
    /// as PT1H
    #[arg(long, value_name = "DURATION", value_parser = time::duration::<u32>)]
    pub(crate) default_grace_period: Option<u32>,
    /// Which failed authentications lock an access key
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) lockout: Option<Lockout>,
    /// How long a deleted access key can be undeleted, in seconds or such as P7D; 0 destroys its
    /// secrets at once
    #[arg(long, value_name = "DURATION", value_parser = time::duration::<u32>)]
    pub(crate) retention: Option<u32>,
    /// How long ahead of an access key's end an event tells of it, in seconds or such as P7D; may be
    /// repeated
    #[arg(long, value_name = "DURATION", value_parser = time::duration::<u32>)]
    pub(crate) expiry_notice: Vec<u32>,
    /// After how many days an event calls a secret old; 0 for never
    #[arg(long, value_name = "DAYS")]
    pub(crate) rotation_due_days: Option<u32>,
    /// How the full names of users are spelled, and what EIM tells as a key's UserName
    #[arg(long, value_enum, value_name = "VENDOR")]
    pub(crate) spelling: Option<Spelling>,
    /// How many buckets the account may have, 1 to 10000
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) buckets: Option<u32>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Spelling {
    /// arn:aws:iam::123456789012:user/alice
    Aws,
    /// orn:ows:idauth::123456789012:user/alice
    Outscale,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Lockout {
    /// None
    Off,
    /// Those from one source address lock that address out
    PerSource,
    /// Those from anywhere lock the access key
    PerKey,
}
