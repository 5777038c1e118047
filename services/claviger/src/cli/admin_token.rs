//! `claviger admin-token`, as it is spelled.

use clap::{Args, Subcommand};
use prost_types::Timestamp;

use super::shared::{Connection, RetryArgs};
use super::time;

#[derive(Debug, Args)]
pub(crate) struct AdminTokenArgs {
    #[command(subcommand)]
    pub(crate) command: AdminTokenCommand,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminTokenCommand {
    /// Make a token, which is printed once: good for --account only, or for all if that is not given
    Create {
        /// 1 to 64 of A-Z a-z 0-9 _ + = , . @ -; its events name it so
        name: String,
        /// It may only read
        #[arg(long)]
        read_only: bool,
        /// When it ends, such as 2030-01-31T12:00:00Z or 2030-01-31; never if not given
        #[arg(long, value_name = "TIME", value_parser = time::parse)]
        expires_at: Option<Timestamp>,
        #[command(flatten)]
        retry: RetryArgs,
    },
    /// Show the tokens that were not revoked, oldest first
    List,
    /// Make a token worth nothing from the next call on
    Revoke {
        /// By UUID or name
        #[arg(value_name = "TOKEN")]
        token: String,
        #[command(flatten)]
        retry: RetryArgs,
    },
}
