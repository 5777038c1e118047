//! Configuration of the servers: flags, then variables, then the file, then defaults.
//!
//! One type per server says which flags, variables and keys of the file there are. clap reads the
//! first two, so that `--help` shows both; figment lays them over the file. Whatever is nowhere set
//! gets its default where it is used, in `server`.

mod keystone;
pub(crate) mod secret;
mod settings;
pub(crate) mod tls;

use std::path::Path;

use clap::CommandFactory;
use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) use self::keystone::{Keystone, KeystoneService};
pub(crate) use self::settings::{
    AccessLog, Auth, CorsRule, Gateway, Identity, Limits, NamedUpstream, Upstream,
};
use crate::cli::{Cli, ServerArgs};
use crate::exit::{Failure, Outcome};

/// What a configuration file may hold: one table for each server.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    #[serde(rename = "identity")]
    _identity: Identity,
    #[serde(rename = "auth")]
    _auth: Auth,
    #[serde(rename = "gateway")]
    _gateway: Gateway,
}

/// The settings of one server.
pub(crate) trait Settings: clap::Args + Serialize + DeserializeOwned {
    /// Its table in the file, and its command.
    const NAME: &'static str;
    /// The variables that hold a secret, which are no flags.
    const SECRETS: &'static [&'static str];

    /// Whether a variable of this name holds a secret.
    fn is_secret(variable: &str) -> bool {
        Self::SECRETS.contains(&variable)
    }
}

/// Lays the layers over each other.
///
/// # Errors
/// If the file cannot be read, holds a key that is not known or a value of the wrong kind, or if a
/// variable is not known.
pub(crate) fn load<S: Settings>(args: &ServerArgs<S>) -> Outcome<S> {
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    refuse_unknown::<S>(variables)?;
    layered(args.config.as_deref(), &args.settings)
        .map_err(|error| Failure::usage(format!("configuration: {error}")))
}

fn layered<S: Settings>(file: Option<&Path>, given: &S) -> Result<S, Box<figment::Error>> {
    let mut figment = Figment::new();
    if let Some(path) = file {
        figment = figment.merge(Toml::file_exact(path));
        // The tables of the other servers are checked with it: a file is right or wrong as a whole.
        figment.extract::<File>()?;
    }
    let given = serde_json::to_value(given).map(without_nulls);
    let given = given.map_err(|error| Box::new(figment::Error::from(error.to_string())))?;
    Ok(figment.merge(Serialized::default(S::NAME, given)).extract_inner(S::NAME)?)
}

/// What was not given must not hide what the file says.
fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            value
        }
    }
}

/// Refuses variables that look like settings of this server and are none: they are misspelt.
fn refuse_unknown<S: Settings>(variables: impl Iterator<Item = String>) -> Outcome {
    let prefix = format!("CLAVIGER_{}__", S::NAME.to_ascii_uppercase());
    let command = Cli::command();
    let known: Vec<_> = command
        .find_subcommand(S::NAME)
        .into_iter()
        .flat_map(clap::Command::get_arguments)
        .filter_map(clap::Arg::get_env)
        .collect();
    for name in variables.filter(|name| name.starts_with(&prefix)) {
        if !S::is_secret(&name) && !known.contains(&name.as_ref()) {
            return Err(Failure::usage(format!("variable {name} is no setting: is it misspelt?")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
