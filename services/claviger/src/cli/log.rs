//! `claviger log`, as it is spelled.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::shared::Connection;

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    #[command(subcommand)]
    pub(crate) command: LogCommand,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Check the chain, the positions and the checksums of the log
    Verify {
        /// Check the log in identity's data directory instead of asking the server; no process may
        /// have it open
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// A checkpoint that `log checkpoint` saved: check that the log holds it, and what follows it
        #[arg(long, value_name = "FILE")]
        since: Option<PathBuf>,
        /// The key that the checkpoint must be signed with, 64 hexadecimal digits; the one that
        /// stands in it if not given
        #[arg(long, value_name = "HEX", requires = "since", value_parser = public_key)]
        public_key: Option<[u8; 32]>,
    },
    /// Show where the log stands now, signed: whoever keeps it can prove later that nothing before
    /// was changed
    Checkpoint {
        /// Save it as JSON, and print nothing
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Write the whole log as JSON lines, secrets sealed as they are, to be kept elsewhere
    Export {
        /// Where to, - for stdout. A file is checked as import would, and readable by its owner only
        #[arg(long, value_name = "FILE", default_value = "-")]
        out: PathBuf,
        /// Export the log in identity's data directory instead of asking the server; no process may
        /// have it open
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Make a log of an export, in its next epoch: positions from before are then refused
    Import {
        /// The export; - for stdin
        file: PathBuf,
        /// Identity's data directory, without a log
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
}

/// Reads an Ed25519 public key.
fn public_key(text: &str) -> Result<[u8; 32], String> {
    let lower = text.to_ascii_lowercase();
    let key = event_store::Hash::parse(&lower).map(|bytes| bytes.0);
    key.ok_or_else(|| "must be 64 hexadecimal digits".to_owned())
}
