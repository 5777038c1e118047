//! `claviger verify`, as it is spelled.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use prost_types::Timestamp;

use super::shared::CallerArgs;
use super::time;
use crate::output::Format;

const EXIT_CODES: &str = "\
The request is read from stdin as it is on the wire: request line, headers, a blank line, and the body if \
there is one. Lines may end in LF or CRLF, a header may be folded, the HTTP version may be missing, and the \
target may have spaces and UTF-8 in it.

The secret access key may stand in the variable CLAVIGER_SECRET_ACCESS_KEY instead of a file. What the request \
says is taken for region and service, if they are not given, and the file's time for now.

Exit codes: 0 verified, 4 denied; 1 failed, 2 wrong usage, 69 unavailable.";

/// Reads one HTTP request from stdin and says whether its AWS Signature Version 4 or 4A is right: by the
/// secret access key, without a server, or as auth sees it.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct VerifyArgs {
    /// Show the canonical request, the string to sign, and what to look at first if the signature is wrong
    #[arg(long)]
    pub(crate) explain: bool,
    /// Check it as of this time, such as 2015-08-30T12:36:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time::parse, conflicts_with = "endpoint")]
    pub(crate) at: Option<Timestamp>,
    /// The region that must have been signed for [default: the request's own]
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) region: Option<String>,
    /// The service that must have been signed for, such as s3 [default: the request's own]
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) service: Option<String>,
    /// A file that holds the secret access key; the access key ID is the request's own
    #[arg(long, value_name = "FILE", conflicts_with = "endpoint")]
    pub(crate) secret_file: Option<PathBuf>,
    /// The public key of a signature of Version 4A, in hexadecimal: a compressed point of 33 bytes, one of 65,
    /// or the two coordinates, 64 bytes [default: the one that follows from the secret access key]
    #[arg(long, value_name = "HEX", conflicts_with = "endpoint")]
    pub(crate) sigv4a_public_key: Option<String>,
    /// Whether `//`, `/./` and `/../` in the path are taken out, for services other than s3 [default: on]
    #[arg(long, value_name = "SWITCH", value_enum, conflicts_with = "endpoint")]
    pub(crate) path_normalization: Option<Switch>,
    /// The session token that the request must have; without this any will do, or none
    #[arg(long, value_name = "TOKEN", conflicts_with = "endpoint")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) session_token: Option<String>,
    /// URI of auth, https:// or http://, which knows the access keys: it is asked, as an operator
    #[arg(long, value_name = "URI")]
    #[arg(help_heading = "Connection and output", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) endpoint: Option<String>,
    #[command(flatten)]
    pub(crate) caller: CallerArgs,
    /// How the verdict is printed
    #[arg(short, long, env = "CLAVIGER_OUTPUT", value_enum, default_value_t)]
    #[arg(help_heading = "Connection and output")]
    pub(crate) output: Format,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Switch {
    /// Yes
    On,
    /// No
    Off,
}
