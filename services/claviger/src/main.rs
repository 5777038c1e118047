//! `claviger`: every server of the credential authority for S3, and the command line to it.

mod cli;
mod client;
mod config;
mod dev;
mod exit;
mod output;
mod serve;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::exit::Outcome;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long threads that may block are waited for when everything else has ended.
const LAST_THREADS_MAX: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Outcome {
    match command {
        Command::Dev(args) => serving(async { Ok(dev::run(args).await?) }),
        Command::Identity(args) => serving(server::identity(args)),
        Command::Auth(args) => serving(server::auth(args)),
        Command::Gateway(args) => serving(server::gateway(args)),
        Command::Account(args) => asking(client::account::run(args)),
        Command::User(args) => asking(client::user::run(args)),
        Command::Key(args) => asking(client::key::run(args)),
        Command::Bucket(args) => asking(client::bucket::run(args)),
        Command::Event(args) => asking(client::event::run(args)),
        Command::Log(args) => asking(client::log::run(args)),
        Command::Keystore(args) => asking(client::keystore::run(args)),
        Command::AdminToken(args) => asking(client::admin_token::run(args)),
        Command::Verify(args) => asking(client::verify::run(*args)),
        Command::Doctor(args) => asking(client::doctor::run(args)),
        Command::Completion(args) => cli::print_completion(&args),
        Command::Man(args) => cli::print_man(&args),
        Command::Version(args) => output::version(args.output),
    }
}

/// Servers use every core.
fn serving(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    block_on(runtime, work)
}

/// A client waits for one thing at a time.
fn asking(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    block_on(runtime, work)
}

fn block_on(
    runtime: std::io::Result<tokio::runtime::Runtime>,
    work: impl Future<Output = Outcome>,
) -> Outcome {
    let runtime = runtime.map_err(|error| exit::Failure::failed(error.to_string()))?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_THREADS_MAX);
    outcome
}
