//! Keystone's API of the gateway, as it is set.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

const VARIABLES: &str = "CLAVIGER_GATEWAY__KEYSTONE__SERVICES__";

/// Keystone's API.
#[derive(Clone, Debug, Default, Args, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Keystone")]
pub(crate) struct Keystone {
    /// A role of whoever signed, in its account, as stores are told that ask by Keystone's API; may be repeated
    /// [default: member]
    #[arg(id = "keystone_roles", long = "keystone-role", value_name = "NAME")]
    #[arg(env = "CLAVIGER_GATEWAY__KEYSTONE__ROLES", value_delimiter = ',')]
    pub(crate) roles: Option<Vec<String>>,
    /// How long ago a request may have been signed that they ask about, 900 to 604800: more for stores that ask about
    /// presigned URLs [default: 900]
    #[arg(id = "keystone_max_age_seconds", long = "keystone-max-age-seconds")]
    #[arg(env = "CLAVIGER_GATEWAY__KEYSTONE__MAX_AGE_SECONDS", value_name = "SECONDS")]
    pub(crate) max_age_seconds: Option<u64>,
    /// Who may ask. Only the file has them.
    #[arg(skip)]
    #[serde(skip_serializing)]
    pub(crate) services: Vec<KeystoneService>,
}

/// One who may ask by Keystone's API.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct KeystoneService {
    pub(crate) name: Option<String>,
    pub(crate) domain: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) old_password_file: Option<PathBuf>,
}

impl KeystoneService {
    /// The variables that hold the passwords of the service of this name: the present one, and the one before.
    pub(crate) fn secrets_of(name: &str) -> [String; 2] {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let name: String = name.chars().map(letter).collect();
        ["PASSWORD", "OLD_PASSWORD"].map(|secret| format!("{VARIABLES}{name}__{secret}"))
    }

    /// Whether this variable may hold such a password.
    pub(crate) fn is_secret(variable: &str) -> bool {
        variable
            .strip_prefix(VARIABLES)
            .is_some_and(|rest| rest.ends_with("__PASSWORD") || rest.ends_with("__OLD_PASSWORD"))
    }
}
