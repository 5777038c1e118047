//! Keystone's API of the gateway, from its settings.

use std::time::Duration;

use anyhow::{Context, ensure};
use gateway::{KEYSTONE_MAX_AGE, KEYSTONE_ROLES, Keystone, KeystoneService};

use crate::config::{self, secret};

const DOMAIN: &str = "Default";
const PROJECT: &str = "service";

/// What is served, if there is anybody who may ask.
///
/// # Errors
/// Says which setting is missing or wrong, also where a variable holds the password of a service that there is not.
pub(super) fn keystone(set: &config::Keystone) -> anyhow::Result<Option<Keystone>> {
    let names: Vec<&str> = set.services.iter().filter_map(|it| it.name.as_deref()).collect();
    let known: Vec<_> =
        names.iter().flat_map(|it| config::KeystoneService::secrets_of(it)).collect();
    for (variable, _) in std::env::vars_os() {
        if let Some(variable) = variable.to_str()
            && config::KeystoneService::is_secret(variable)
        {
            let is_known = known.iter().any(|it| it == variable);
            ensure!(is_known, "variable {variable} is of no service: is it misspelt?");
        }
    }
    if set.services.is_empty() {
        ensure!(
            set.roles.is_none() && set.max_age_seconds.is_none(),
            "gateway.keystone is set, and of no use without gateway.keystone.services"
        );
        return Ok(None);
    }
    let services = set.services.iter().enumerate().map(|(n, set)| service(n, set));
    let roles = set.roles.clone();
    Ok(Some(Keystone {
        services: services.collect::<anyhow::Result<_>>()?,
        roles: roles.unwrap_or_else(|| KEYSTONE_ROLES.map(Into::into).into()),
        max_age: set.max_age_seconds.map_or(KEYSTONE_MAX_AGE, Duration::from_secs),
    }))
}

fn service(n: usize, set: &config::KeystoneService) -> anyhow::Result<KeystoneService> {
    let name = set.name.clone();
    let name = name.with_context(|| format!("gateway.keystone.services[{n}].name is not set"))?;
    let [variable, old_variable] = config::KeystoneService::secrets_of(&name);
    let password = secret::find(&variable, None, set.password_file.as_deref())?;
    let password = password.with_context(|| {
        format!("gateway.keystone.services.{name}.password_file is not set, nor is {variable}")
    })?;
    Ok(KeystoneService {
        domain: set.domain.clone().unwrap_or_else(|| DOMAIN.to_owned()),
        project: set.project.clone().unwrap_or_else(|| PROJECT.to_owned()),
        password,
        old_password: secret::find(&old_variable, None, set.old_password_file.as_deref())?,
        name,
    })
}
