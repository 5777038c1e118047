//! `claviger key`, as it is spelled.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use prost_types::Timestamp;

use super::shared::{ChangeArgs, Connection, CredentialArgs, RetryArgs};
use super::time;

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    pub(crate) command: KeyCommand,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make an access key, or take in one from elsewhere; its secret is printed once
    Create {
        /// The user that holds it, by name or UUID
        user: String,
        #[command(flatten)]
        new: Box<NewKeyArgs>,
        #[command(flatten)]
        credential: CredentialArgs,
        #[command(flatten)]
        retry: RetryArgs,
    },
    /// Show an access key, never its secret
    Get {
        /// The access key ID
        id: String,
        /// As it was at this instant
        #[arg(long, value_name = "TIME", value_parser = time::parse)]
        at: Option<Timestamp>,
        /// The user that holds it, by name or UUID; to be given where that user was deleted
        #[arg(long)]
        user: Option<String>,
    },
    /// Show the access keys of a user, or of all users of the account
    List {
        /// The user, by name or UUID
        user: Option<String>,
        /// As they were at this instant
        #[arg(long, value_name = "TIME", value_parser = time::parse)]
        at: Option<Timestamp>,
        /// Only those whose newest secret is at least so old
        #[arg(long, value_name = "DAYS", default_value_t = 0, hide_default_value = true)]
        older_than_days: u32,
        /// Those too that were deleted and can be undeleted
        #[arg(long)]
        deleted: bool,
    },
    /// Change an access key's label or slot
    Update {
        /// The access key ID
        id: String,
        #[command(flatten)]
        changes: KeyChanges,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Let an access key be used again
    Activate {
        /// The access key ID
        id: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Let an access key not be used until it is activated
    Deactivate {
        /// The access key ID
        id: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Set, move or remove the end of an access key
    Expire {
        /// The access key ID
        id: String,
        #[command(flatten)]
        end: End,
        #[command(flatten)]
        limit: LifetimeArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Give an access key a new secret, which is printed once
    Rotate {
        /// The access key ID
        id: String,
        /// How long the old secret still works, in seconds or such as PT1H, up to 90 days; as the
        /// account says if not given
        #[arg(long, value_name = "DURATION", value_parser = time::duration::<u32>)]
        grace_period: Option<u32>,
        #[command(flatten)]
        expiry: ExpiryArgs,
        #[command(flatten)]
        limit: LifetimeArgs,
        #[command(flatten)]
        credential: CredentialArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// End the old secret of an access key now
    EndGracePeriod {
        /// The access key ID
        id: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Make an access key in the place of another; its secret is printed once
    Replace {
        /// The access key ID of the one that ends
        id: String,
        /// How long that one still works, in seconds or such as PT1H, up to 90 days; with 0 it is
        /// deleted; as the account says if not given
        #[arg(long, value_name = "DURATION", value_parser = time::duration::<u32>)]
        grace_period: Option<u32>,
        #[command(flatten)]
        new: Box<NewKeyArgs>,
        #[command(flatten)]
        credential: CredentialArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Delete an access key, and destroy what its secrets are sealed with, unless the account
    /// retains it for a while
    Delete {
        /// The access key ID
        id: String,
        /// If the user is left without one that can be used, make another, whose secret is printed
        /// once
        #[arg(long)]
        replace_last: bool,
        #[command(flatten)]
        credential: CredentialArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Bring a deleted access key back as it was, while the account retains it
    Undelete {
        /// The access key ID
        id: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Destroy what a deleted access key could be brought back from
    Purge {
        /// The access key ID
        id: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// What a new access key is like.
#[derive(Debug, Args)]
pub(crate) struct NewKeyArgs {
    /// Text for people, up to 256 characters
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) label: String,
    /// One of the two places for access keys that a user has in NetApp ONTAP: 1 or 2
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=2))]
    pub(crate) slot: Option<u32>,
    /// When it begins to be valid, such as 2030-01-31T12:00:00Z; at once if not given
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) not_before: Option<Timestamp>,
    #[command(flatten)]
    pub(crate) expiry: ExpiryArgs,
    #[command(flatten)]
    pub(crate) limit: LifetimeArgs,
    /// Make it inactive: it may not be used until it is activated
    #[arg(long)]
    pub(crate) inactive: bool,
    /// Take in the access key with this ID, and not make one; its secret is read from --secret-file,
    /// or else from the variable CLAVIGER_SECRET_ACCESS_KEY
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) access_key_id: Option<String>,
    /// A file that holds its secret and that only its owner may read; - for stdin
    #[arg(long, value_name = "FILE", requires = "access_key_id")]
    pub(crate) secret_file: Option<PathBuf>,
}

/// When an access key ends. The server reads both forms, and keeps how a time to live was spelled.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct ExpiryArgs {
    /// When it ends, in ISO 8601, such as 2030-01-31T12:00:00Z, 20300131T120000Z or 2030-01-31
    #[arg(long, value_name = "TIME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) expires_at: Option<String>,
    /// How long it lives, and again after each rotation, in ISO 8601, such as P30D; 0 means that it
    /// does not end
    #[arg(long, value_name = "DURATION", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) ttl: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct End {
    /// When it ends, in ISO 8601, such as 2030-01-31T12:00:00Z, 20300131T120000Z or 2030-01-31
    #[arg(long, value_name = "TIME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) at: Option<String>,
    /// How long it lives from when it began to be valid, and again after each rotation, in ISO 8601,
    /// such as P30D
    #[arg(long, value_name = "DURATION", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) ttl: Option<String>,
    /// It does not end
    #[arg(long)]
    pub(crate) never: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LifetimeArgs {
    /// Refuse a lifetime of more than so many days, beside what the account allows
    #[arg(long, value_name = "DAYS", default_value_t = 0, hide_default_value = true)]
    pub(crate) max_lifetime_days: u32,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct KeyChanges {
    /// Text for people, up to 256 characters
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// One of the two places for access keys that a user has in NetApp ONTAP: 1 or 2
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=2))]
    pub(crate) slot: Option<u32>,
    /// Take its slot away
    #[arg(long, conflicts_with = "slot")]
    pub(crate) no_slot: bool,
}
