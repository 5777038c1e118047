//! The S3 servers behind the gateway: which one a request is for, and whether it is there.

mod access;
mod connector;
mod health;

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{bail, ensure};
use telemetry::ReadyFlag;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) use self::access::{Access, Identity};
pub(crate) use self::connector::Connector;
pub(crate) use self::health::Health;
use crate::config::{Config, Upstream};
use crate::s3::Forwarder;

/// The name of the upstream that has no other.
pub(crate) const DEFAULT: &str = "default";

/// All upstreams. A bucket's goes before an account's, and that before the default.
#[derive(Debug)]
pub(crate) struct Upstreams {
    default: Arc<Forwarder>,
    buckets: HashMap<String, Arc<Forwarder>>,
    /// The longest first.
    prefixes: Vec<(String, Arc<Forwarder>)>,
    accounts: HashMap<Uuid, Arc<Forwarder>>,
    all: Vec<Arc<Forwarder>>,
}

impl Upstreams {
    /// # Errors
    /// If an endpoint is not `http://host:port` or `https://host:port`, if a name is given twice or
    /// none, or if two upstreams have the same bucket or account.
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let new = |name: &str, upstream: &Upstream| {
            anyhow::Ok(Arc::new(Forwarder::new(name, upstream, &config.limits)?))
        };
        let default = new(DEFAULT, &config.upstream)?;
        let mut upstreams = Self {
            default: Arc::clone(&default),
            buckets: HashMap::new(),
            prefixes: vec![],
            accounts: HashMap::new(),
            all: vec![default],
        };
        for named in &config.upstreams {
            let name = &named.name;
            ensure!(is_name(name), "upstream {name:?}: a name has 1 to 32 of a-z, 0-9 and -");
            let is_new = upstreams.all.iter().all(|known| known.name() != name);
            ensure!(is_new, "there are two upstreams {name:?}");
            ensure!(
                !named.buckets.is_empty() || !named.accounts.is_empty(),
                "upstream {name:?} has neither buckets nor accounts: nothing would go there"
            );
            let forwarder = new(name, &named.upstream)?;
            upstreams.all.push(Arc::clone(&forwarder));
            for bucket in &named.buckets {
                let (text, is_taken) = match bucket.prefix() {
                    None => {
                        let text = bucket.text().to_owned();
                        let taken = upstreams.buckets.insert(text, Arc::clone(&forwarder));
                        (bucket.text(), taken.is_some())
                    }
                    Some(prefix) => {
                        let taken = upstreams.prefixes.iter().any(|(known, _)| known == prefix);
                        upstreams.prefixes.push((prefix.to_owned(), Arc::clone(&forwarder)));
                        (bucket.text(), taken)
                    }
                };
                ensure!(!is_taken, "the buckets {text:?} are given twice, upstream {name:?} too");
            }
            for account in &named.accounts {
                if upstreams.accounts.insert(*account, Arc::clone(&forwarder)).is_some() {
                    bail!("the account {account} is given twice, upstream {name:?} too");
                }
            }
        }
        upstreams.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(upstreams)
    }

    /// Where a request for this bucket, if it is for one, goes that is for what this account has.
    pub(crate) fn of(&self, bucket: Option<&str>, account: Uuid) -> &Arc<Forwarder> {
        let by_bucket = bucket.and_then(|bucket| {
            let by_prefix = || self.prefixes.iter().find(|(prefix, _)| bucket.starts_with(prefix));
            self.buckets.get(bucket).or_else(|| by_prefix().map(|(_, forwarder)| forwarder))
        });
        let by_account = || self.accounts.get(&account);
        by_bucket.or_else(by_account).unwrap_or(&self.default)
    }

    /// Watches over all of them until `shutdown`, and tells beside `ready` which are down.
    pub(crate) async fn watch(&self, ready: &ReadyFlag, shutdown: &CancellationToken) {
        let watches = self.all.iter().map(|forwarder| {
            let told = ready.beside(format!("upstream {}", forwarder.name()));
            async move { forwarder.watch(&told).await }
        });
        tokio::select! {
            _ = futures::future::join_all(watches) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

fn is_name(name: &str) -> bool {
    let of_names = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(of_names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NamedUpstream;
    use crate::config::tests::{config, upstream};

    fn named(name: &str, buckets: &[&str], accounts: &[u128]) -> NamedUpstream {
        let parse = |text: &&str| crate::BucketPattern::parse(text).expect("a pattern");
        NamedUpstream {
            name: name.to_owned(),
            buckets: buckets.iter().map(parse).collect(),
            accounts: accounts.iter().copied().map(Uuid::from_u128).collect(),
            upstream: upstream("http://store"),
        }
    }

    fn upstreams(named: Vec<NamedUpstream>) -> anyhow::Result<Upstreams> {
        Upstreams::new(&crate::Config { upstreams: named, ..config("http://store") })
    }

    #[tokio::test]
    async fn a_bucket_goes_before_an_account_and_that_before_the_default() {
        let upstreams = upstreams(vec![
            named("cold", &["archive-*", "ice"], &[]),
            named("colder", &["archive-old-*", "archive-"], &[7]),
            named("all-of-8", &[], &[8]),
        ])
        .expect("right");
        let check = |bucket: Option<&str>, account: u128, expected: &str| {
            let found = upstreams.of(bucket, Uuid::from_u128(account));
            assert_eq!(found.name(), expected, "{bucket:?} {account:?}");
        };
        check(None, 1, DEFAULT);
        check(None, 7, "colder");
        check(None, 8, "all-of-8");
        check(None, 9, DEFAULT);
        check(Some("photos"), 8, "all-of-8");
        check(Some("photos"), 9, DEFAULT);
        check(Some("photos"), 1, DEFAULT);
        check(Some("ice"), 8, "cold");
        check(Some("ice2"), 8, "all-of-8");
        check(Some("archive-2026"), 8, "cold");
        check(Some("archive-old-1"), 8, "colder");
        check(Some("archive-"), 1, "colder");
        check(Some("archive"), 1, DEFAULT);
    }

    #[tokio::test]
    async fn what_is_ambiguous_is_refused() {
        for wrong in [
            vec![named("a", &["b-1"], &[]), named("a", &["b-2"], &[])],
            vec![named(DEFAULT, &["b-1"], &[])],
            vec![named("A b", &["b-1"], &[])],
            vec![named("", &["b-1"], &[])],
            vec![named("a", &[], &[])],
            vec![named("a", &["b-1"], &[]), named("b", &["b-1"], &[])],
            vec![named("a", &["b-*"], &[]), named("b", &["b-*"], &[])],
            vec![named("a", &[], &[7]), named("b", &[], &[7])],
        ] {
            assert!(upstreams(wrong.clone()).is_err(), "{wrong:?}");
        }
    }
}
