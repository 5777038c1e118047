//! `claviger keystore`, as it is spelled.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::shared::Connection;

#[derive(Debug, Args)]
pub(crate) struct KeystoreArgs {
    #[command(subcommand)]
    pub(crate) command: KeystoreCommand,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeystoreCommand {
    /// Show how many data keys there are, and what they are wrapped with
    Get,
    /// Wrap with the present key-encryption key all data keys that are wrapped with an older one
    Rewrap,
    /// Overwrite damaged slots, once it is known that no access key is missed
    Scrub,
    /// Save a copy, which opens with the key-encryption key only. Take it after an export of the log
    Export {
        /// Where to; readable by its owner only
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Put a keystore back from a copy
    Restore {
        /// The copy; - for stdin
        file: PathBuf,
        /// Identity's data directory, without a keystore
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// Holds the key-encryption key; or else the variable CLAVIGER_IDENTITY__KEK does
        #[arg(long, env = "CLAVIGER_IDENTITY__KEK_FILE", value_name = "FILE")]
        kek_file: Option<PathBuf>,
        /// Holds a key-encryption key of before; may be repeated. The variable
        /// CLAVIGER_IDENTITY__OLD_KEKS holds more, parted by commas
        #[arg(long, env = "CLAVIGER_IDENTITY__OLD_KEK_FILES", value_name = "FILE")]
        #[arg(value_delimiter = ',')]
        old_kek_files: Vec<PathBuf>,
    },
}
