//! `claviger event`, as it is spelled.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use prost_types::Timestamp;

use super::shared::Connection;
use super::time;

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
        #[command(flatten)]
        range: EventRange,
        /// Stop after so many events
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
        limit: Option<u64>,
    },
    /// Show events as they are recorded, until interrupted; with -o json one a line
    ///
    /// When the server ends the stream, or restarts, it goes on from there.
    Watch {
        #[command(flatten)]
        filter: EventFilter,
        /// Begin after this position of the log; 0 shows all
        #[arg(long, value_name = "POSITION", default_value_t = 0)]
        after: u64,
        /// Stop after so many seconds
        #[arg(long = "for", value_name = "SECONDS")]
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        seconds: Option<u32>,
    },
}

/// Which events are shown, beside those of --account: those that fit all that is given.
#[derive(Debug, Args)]
pub(crate) struct EventFilter {
    /// Only events of this user: by name, or by UUID, also one that was deleted
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Only events of this access key, also one that was deleted
    #[arg(long, value_name = "ACCESS_KEY_ID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) key: Option<String>,
    /// Only events of this kind, such as UserLocked; may be repeated
    #[arg(long = "kind", value_name = "KIND")]
    pub(crate) kinds: Vec<String>,
    /// Only what this caller did, as the column ACTOR names it, such as operator
    #[arg(long, value_name = "PRINCIPAL", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) by: Option<String>,
}

/// Which part of the log is shown.
#[derive(Debug, Args)]
pub(crate) struct EventRange {
    /// Only events recorded at this instant or later
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) since: Option<Timestamp>,
    /// Only events recorded before this instant
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) until: Option<Timestamp>,
    /// Only events after this position of the log
    #[arg(long, value_name = "POSITION", default_value_t = 0, hide_default_value = true)]
    pub(crate) after: u64,
    /// Only events up to this position of the log
    #[arg(long, value_name = "POSITION", default_value_t = 0, hide_default_value = true)]
    pub(crate) until_position: u64,
}
