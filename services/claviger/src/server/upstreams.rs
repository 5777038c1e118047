//! The S3 servers behind the gateway, from their settings.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use gateway::{Access, BucketPattern, NamedUpstream, Upstream, UpstreamKey};

use super::REGION;
use crate::config::{self, secret};

/// The one that has no name.
///
/// # Errors
/// Says which setting is missing or wrong.
pub(super) fn default(given: &config::Gateway, set: &config::Gateway) -> anyhow::Result<Upstream> {
    let variable = "CLAVIGER_GATEWAY__UPSTREAM__SECRET_ACCESS_KEY";
    let given = given.upstream.secret_access_key_file.as_deref();
    let file = set.upstream.secret_access_key_file.as_deref();
    upstream("gateway.upstream", &set.upstream, Secret { variable, given, file })
}

/// Those that have one.
///
/// # Errors
/// As [`default()`]; and if a variable holds the secret of one that there is not.
pub(super) fn named(set: &[config::NamedUpstream]) -> anyhow::Result<Vec<NamedUpstream>> {
    let named: Vec<_> = set.iter().enumerate().map(one).collect::<anyhow::Result<_>>()?;
    let is_known = |variable: &str| {
        named.iter().any(|of| config::NamedUpstream::secret_of(&of.name) == variable)
    };
    for (variable, _) in std::env::vars_os() {
        if let Some(variable) = variable.to_str()
            && config::NamedUpstream::of_secret(variable).is_some()
        {
            ensure!(is_known(variable), "variable {variable} is of no upstream: is it misspelt?");
        }
    }
    Ok(named)
}

fn one((n, set): (usize, &config::NamedUpstream)) -> anyhow::Result<NamedUpstream> {
    let name =
        set.name.clone().with_context(|| format!("gateway.upstreams[{n}].name is not set"))?;
    let key = format!("gateway.upstreams.{name}");
    let variable = &config::NamedUpstream::secret_of(&name);
    let file = set.secret_access_key_file.as_deref();
    Ok(NamedUpstream {
        buckets: buckets(&format!("{key}.buckets"), set.buckets.as_deref())?,
        accounts: set.accounts.clone().unwrap_or_default(),
        upstream: upstream(&key, &set.upstream(), Secret { variable, given: None, file })?,
        name,
    })
}

/// Reads a list of buckets, some of them left open.
///
/// # Errors
/// Names the setting.
pub(super) fn buckets(key: &str, set: Option<&[String]>) -> anyhow::Result<Vec<BucketPattern>> {
    let parse = |text: &String| BucketPattern::parse(text).with_context(|| key.to_owned());
    set.unwrap_or_default().iter().map(parse).collect()
}

/// Where the secret of an upstream's key may be.
struct Secret<'a> {
    variable: &'a str,
    given: Option<&'a Path>,
    file: Option<&'a Path>,
}

fn upstream(key: &str, set: &config::Upstream, from: Secret<'_>) -> anyhow::Result<Upstream> {
    let missing = |name: &str| format!("{key}.{name} is not set");
    let endpoint = set.endpoint.as_deref().with_context(|| missing("endpoint"))?;
    let endpoint = endpoint.parse().with_context(|| format!("{key}.endpoint is no URI"))?;
    let found = secret::find(from.variable, from.given, from.file)?;
    let access = match (set.identity_headers.unwrap_or_default(), &set.access_key_id, found) {
        (true, None, None) => Access::IdentityHeaders,
        (true, ..) => {
            bail!("{key}.identity_headers stands instead of an access key: give one of them")
        }
        (false, id, secret) => Access::Key(UpstreamKey {
            region: set.region.clone().unwrap_or_else(|| REGION.to_owned()),
            access_key_id: id.clone().with_context(|| missing("access_key_id"))?,
            secret_access_key: secret.with_context(|| {
                format!("{key}.secret_access_key_file is not set, nor is {}", from.variable)
            })?,
        }),
    };
    let health_path = set.health_path.as_deref().map(|path| {
        ensure!(path.starts_with('/'), "{key}.health_path must begin with /");
        path.parse().with_context(|| format!("{key}.health_path"))
    });
    let tls = set.ca_file.clone().map(|file| rpc::HttpsClient::load(Some(file)));
    Ok(Upstream {
        endpoint,
        tls: tls.transpose().with_context(|| format!("{key}.ca_file"))?,
        access,
        health_path: health_path.transpose()?,
        sends_trailers: set.trailing_checksums.unwrap_or(true),
    })
}
