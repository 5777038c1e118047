//! The command line as a whole; each client noun is in a file of its own.

mod account;
mod admin_token;
mod bucket;
mod doctor;
mod event;
mod key;
mod keystore;
mod log;
mod shared;
mod time;
mod user;
mod verify;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

pub(crate) use self::account::{AccountArgs, AccountCommand, Lockout, SettingsArgs, Spelling};
pub(crate) use self::admin_token::{AdminTokenArgs, AdminTokenCommand};
pub(crate) use self::bucket::{BucketArgs, BucketCommand, ImportArgs};
pub(crate) use self::doctor::{DoctorArgs, DoctorCommand, DoctorEnvoyArgs};
pub(crate) use self::event::{EventArgs, EventCommand, EventFilter, EventRange};
pub(crate) use self::key::{
    End, ExpiryArgs, KeyArgs, KeyChanges, KeyCommand, LifetimeArgs, NewKeyArgs,
};
pub(crate) use self::keystore::{KeystoreArgs, KeystoreCommand};
pub(crate) use self::log::{LogArgs, LogCommand};
pub(crate) use self::shared::{
    CallerArgs, ChangeArgs, Connection, CredentialArgs, CredentialFormat,
};
pub(crate) use self::user::{UserArgs, UserChanges, UserCommand};
pub(crate) use self::verify::{Switch, VerifyArgs};
use crate::config;
use crate::exit::Outcome;
use crate::output::{self, Format};

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 not found, 4 denied, 5 conflict, \
69 unavailable.
Data is written to stdout, everything else to stderr. Logs are filtered by RUST_LOG and written as \
CLAVIGER_LOG_FORMAT says, text or json.";

/// Claviger, the credential authority for S3.
///
/// It issues, rotates, locks, expires and deletes S3 access keys, and tells S3 servers who signed a
/// request. `claviger dev` starts everything on this machine, to try it out.
#[derive(Debug, Parser)]
#[command(name = "claviger", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process, with an object store, to try it out
    Dev(DevArgs),
    /// Run identity, the write side: accounts, users, access keys and their log
    Identity(ServerArgs<config::Identity>),
    /// Run auth, the read side: says who signed a request
    Auth(ServerArgs<config::Auth>),
    /// Run the gateway, which verifies S3 requests and passes them on to an S3 server
    Gateway(Box<ServerArgs<config::Gateway>>),
    /// Make, show, change and delete accounts
    Account(AccountArgs),
    /// Make, show, change, lock and delete users
    User(UserArgs),
    /// Make, show, change, rotate, expire, replace and delete access keys
    Key(KeyArgs),
    /// Show whose buckets are, claim, release and transfer them, and adopt those of a store
    Bucket(BucketArgs),
    /// Show the events of the log: the audit trail
    Event(EventArgs),
    /// Check the log, sign where it stands, and take it elsewhere and back
    Log(LogArgs),
    /// Look after the keystore, and take it elsewhere and back
    Keystore(KeystoreArgs),
    /// Make, show and revoke the tokens by which operators are known
    AdminToken(AdminTokenArgs),
    /// Say whether a request is signed right, and why not
    Verify(Box<VerifyArgs>),
    /// Look for what is wrong with a proxy before Claviger
    Doctor(DoctorArgs),
    /// Print a script that completes commands in a shell
    Completion(CompletionArgs),
    /// Print the manual page, or write one for each command
    Man(ManArgs),
    /// Print the version
    Version(VersionArgs),
}

/// Starts identity, auth, the gateway and an object store on loopback, makes an account at the first
/// start, and prints how to use it. For trying out: there is no TLS, and secrets are printed.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Keeps everything; made if it does not exist. One process at a time
    #[arg(long, env = "CLAVIGER_DEV__DATA_DIR", value_name = "DIR")]
    #[arg(default_value = "./claviger-data")]
    pub(crate) data_dir: PathBuf,
    /// Where S3 is served; port 0 takes any that is free
    #[arg(long, env = "CLAVIGER_DEV__S3_LISTEN", value_name = "ADDRESS")]
    #[arg(default_value = "127.0.0.1:7100")]
    pub(crate) s3_listen: SocketAddr,
    /// Where the management API is served
    #[arg(long, env = "CLAVIGER_DEV__REST_LISTEN", value_name = "ADDRESS")]
    #[arg(default_value = "127.0.0.1:7101")]
    pub(crate) rest_listen: SocketAddr,
    /// Where identity serves gRPC
    #[arg(long, env = "CLAVIGER_DEV__IDENTITY_LISTEN", value_name = "ADDRESS")]
    #[arg(default_value = "127.0.0.1:7110")]
    pub(crate) identity_listen: SocketAddr,
    /// Where auth serves gRPC
    #[arg(long, env = "CLAVIGER_DEV__AUTH_LISTEN", value_name = "ADDRESS")]
    #[arg(default_value = "127.0.0.1:7120")]
    pub(crate) auth_listen: SocketAddr,
    /// Where /livez, /readyz and /metrics are served
    #[arg(long, env = "CLAVIGER_DEV__ADMIN_LISTEN", value_name = "ADDRESS")]
    #[arg(default_value = "127.0.0.1:7190")]
    pub(crate) admin_listen: SocketAddr,
    /// How addresses and credentials are printed: json is one line
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: DevOutput,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum DevOutput {
    /// For people, with lines to paste
    #[default]
    Text,
    /// One line for programs
    Json,
}

/// A server's configuration: flags go before variables, those before the file, and that before
/// defaults. Secrets are read from files or variables and are never flags.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs<S: Args> {
    /// A TOML file; deploy/claviger.example.toml shows every key
    #[arg(long, env = "CLAVIGER_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: S,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// The shell
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    /// Source it, or save it in ~/.local/share/bash-completion/completions/claviger
    Bash,
    /// Save it as _claviger in a directory of $fpath
    Zsh,
    /// Save it as ~/.config/fish/completions/claviger.fish
    Fish,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command into this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// How it is printed
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// Prints a completion script.
pub(crate) fn print_completion(args: &CompletionArgs) -> Outcome {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = vec![];
    clap_complete::generate(shell, &mut Cli::command(), "claviger", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

/// Prints the manual page, or writes all of them.
pub(crate) fn print_man(args: &ManArgs) -> Outcome {
    match &args.dir {
        None => {
            let mut page = vec![];
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            output::print(&String::from_utf8_lossy(&page))
        }
        Some(dir) => {
            let write = || {
                fs::create_dir_all(dir)?;
                clap_mangen::generate_to(Cli::command(), dir)
            };
            Ok(write().with_context(|| format!("cannot write to {}", dir.display()))?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_says_what_it_is_for() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_empty(), "{} {}", command.get_name(), argument.get_id());
            }
            assert!(command.get_about().is_some(), "{}", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
