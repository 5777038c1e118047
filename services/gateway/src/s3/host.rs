//! What the `Host` header says: nothing, or which bucket is meant.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::ensure;
use http::HeaderValue;
use http::uri::Authority;

use super::error_xml::S3Error;

/// The endpoint's own host names, in lower case.
#[derive(Clone, Debug)]
pub(crate) struct Domains(Vec<String>);

/// Where a request names its bucket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Style {
    /// In its path.
    Path,
    /// In its host: this one, in lower case, as hosts are compared; perhaps no valid name.
    VirtualHost(String),
}

impl Domains {
    /// # Errors
    /// If one of them is no host name, such as `s3.example.com`.
    pub(crate) fn new<T: AsRef<str>>(domains: impl IntoIterator<Item = T>) -> anyhow::Result<Self> {
        let domains = domains.into_iter().map(|domain| domain.as_ref().to_ascii_lowercase());
        let mut domains: Vec<String> = domains.collect();
        for domain in &domains {
            let is_valid = domain.split('.').all(|label| {
                let of_labels = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                !label.is_empty() && label.bytes().all(of_labels)
            });
            ensure!(is_valid, "{domain:?} is no host name, which a domain is, without port");
        }
        // Where one domain ends in another, the longer one leaves the shorter name of a bucket.
        domains.sort_by_key(|domain| std::cmp::Reverse(domain.len()));
        Ok(Self(domains))
    }

    /// How a request to this host names its bucket.
    ///
    /// A host that is not known is refused: it might name a bucket, and then the path would be read
    /// wrongly.
    ///
    /// # Errors
    /// `InvalidRequest`.
    pub(crate) fn style(&self, host: &HeaderValue) -> Result<Style, S3Error> {
        let refused = || {
            S3Error::invalid_request(
                "The Host header names no host of this endpoint. Use one of its host names, and \
                 path-style addressing where that is an IP address.",
            )
        };
        let authority: Authority =
            host.to_str().ok().and_then(|host| host.parse().ok()).ok_or_else(refused)?;
        if authority.as_str().contains('@') {
            return Err(refused());
        }
        let host = authority.host().to_ascii_lowercase();
        let ipv6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_ip = host.parse::<Ipv4Addr>().is_ok()
            || ipv6.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
        if is_ip || self.0.contains(&host) {
            return Ok(Style::Path);
        }
        let bucket = self.0.iter().find_map(|domain| host.strip_suffix(domain)?.strip_suffix('.'));
        match bucket {
            Some(bucket) if !bucket.is_empty() => Ok(Style::VirtualHost(bucket.to_owned())),
            Some(_) | None => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, expected: Option<Style>) {
        let domains = Domains::new(["Localhost", "example.com", "s3.example.com"]).expect("valid");
        let host = HeaderValue::from_str(host).expect("a value");
        assert_eq!(domains.style(&host).ok(), expected, "{host:?}");
    }

    #[test]
    fn a_domain_or_an_address_is_the_endpoint() {
        for host in [
            "localhost",
            "LOCALHOST:7100",
            "s3.example.com",
            "example.com:80",
            "127.0.0.1",
            "10.0.0.1:7100",
            "[::1]",
            "[2001:DB8::1]:7100",
        ] {
            check(host, Some(Style::Path));
        }
    }

    #[test]
    fn what_stands_before_a_domain_is_a_bucket() {
        for (host, bucket) in [
            ("bucket.localhost", "bucket"),
            ("Bucket.Localhost:7100", "bucket"),
            ("my.dotted.bucket.localhost", "my.dotted.bucket"),
            ("bucket.s3.example.com", "bucket"),
            ("s4.example.com", "s4"),
            ("a_b.localhost", "a_b"),
        ] {
            check(host, Some(Style::VirtualHost(bucket.to_owned())));
        }
    }

    #[test]
    fn any_other_host_is_refused() {
        for host in [
            "",
            ".localhost",
            "mylocalhost",
            "localhost.",
            "localhost.evil.test",
            "evil.test",
            "1.2.3",
            "[::1",
            "[localhost]",
            "user@localhost",
            "localhost/x",
            "a b.localhost",
        ] {
            check(host, None);
        }
    }

    #[test]
    fn a_domain_is_a_host_name() {
        for wrong in ["", ".localhost", "localhost:7100", "a..b", "http://a", "*.a", "a_b"] {
            assert!(Domains::new([wrong]).is_err(), "{wrong}");
        }
        let none: [&str; 0] = [];
        assert!(Domains::new(none).is_ok());
    }
}
