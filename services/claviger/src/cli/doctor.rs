//! `claviger doctor`, as it is spelled.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

use crate::output::Format;

const EXIT_CODES: &str = "\
Nothing is written: all requests are GET, for objects that need not be there. The access key is an ordinary one. Its \
secret may stand in the variable AWS_SECRET_ACCESS_KEY instead of a file.

Exit codes: 0 all is well, 1 a setting is wrong, 2 wrong usage, 4 the access key itself is refused, 69 unavailable.";

/// Looks for what is wrong with what stands before Claviger.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(subcommand)]
    pub(crate) command: DoctorCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DoctorCommand {
    /// Send requests that are signed right through Envoy, or any proxy, and say which of its settings breaks them
    #[command(after_help = EXIT_CODES)]
    Envoy(DoctorEnvoyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DoctorEnvoyArgs {
    /// Where clients reach S3, http:// or https://, as they spell it
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) endpoint: String,
    /// The region that is served
    #[arg(long, env = "CLAVIGER_REGION", default_value = "us-east-1")]
    pub(crate) region: String,
    /// The bucket that is asked for; it need not be there
    #[arg(long, default_value = "claviger-doctor", value_parser = bucket)]
    pub(crate) bucket: String,
    /// The access key to sign with
    #[arg(long, env = "AWS_ACCESS_KEY_ID", value_name = "ID")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) access_key_id: String,
    /// A file that holds its secret and that only its owner may read
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// Authorities in PEM that make the proxy's certificate, for https [default: those of the system]
    #[arg(long, env = "CLAVIGER_TLS_CA_FILE", value_name = "FILE")]
    pub(crate) tls_ca_file: Option<PathBuf>,
    /// How what was found is printed
    #[arg(short, long, env = "CLAVIGER_OUTPUT", value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// A name that stands in a path as it is.
fn bucket(text: &str) -> Result<String, String> {
    let is_one = (3..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b));
    if is_one { Ok(text.to_owned()) } else { Err("is no name of a bucket".into()) }
}
