//! Whom a certificate stands for.

use std::fmt;
use std::sync::Arc;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The longest name, in bytes: what events record of a caller is no longer.
const NAME_BYTES_MAX: usize = 256;

/// Whom a certificate stands for: a SPIFFE ID, such as `spiffe://example.org/operator/ann`, or a host
/// name, such as `dns:auth.example.org`, in lower case.
///
/// At most 256 bytes. A SPIFFE ID is as the SPIFFE standard has it, section 2, with a path.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CertifiedName(Arc<str>);

/// A text is no name that a certificate could stand for.
#[derive(Clone, Copy, Debug)]
pub struct InvalidCertifiedName;

impl fmt::Display for InvalidCertifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "must be spiffe://TRUST-DOMAIN/PATH or dns:HOST, without wildcards, at most 256 bytes",
        )
    }
}

impl std::error::Error for InvalidCertifiedName {}

impl fmt::Display for CertifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl CertifiedName {
    /// Reads a name. Host names may be in any case; all else is exact.
    ///
    /// # Errors
    /// If it is of another form, or too long: what was cut off could be anybody.
    pub fn parse(text: &str) -> Result<Self, InvalidCertifiedName> {
        if text.len() > NAME_BYTES_MAX {
            return Err(InvalidCertifiedName);
        }
        if let Some(id) = text.strip_prefix("spiffe://") {
            return if is_spiffe_id(id) {
                Ok(Self(text.into()))
            } else {
                Err(InvalidCertifiedName)
            };
        }
        match text.strip_prefix("dns:") {
            Some(host) if is_host(host) => Ok(Self(text.to_ascii_lowercase().into())),
            Some(_) | None => Err(InvalidCertifiedName),
        }
    }

    /// The name as lists and events have it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whom a certificate stands for: its SPIFFE ID if it has one, or else its host names. Nobody if
    /// it has more than one URI, or one that is no SPIFFE ID, or a name that cannot be read (SPIFFE
    /// X509-SVID standard, sections 2 and 5.2).
    pub(crate) fn all_of(certificate: &[u8]) -> Vec<Self> {
        let Ok(([], certificate)) = X509Certificate::from_der(certificate) else { return vec![] };
        let Ok(Some(names)) = certificate.subject_alternative_name() else { return vec![] };
        let names = &names.value.general_names;
        if names.iter().any(|name| matches!(name, GeneralName::Invalid(..))) {
            return vec![];
        }
        let mut uris = names
            .iter()
            .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None });
        match (uris.next(), uris.next()) {
            (Some(uri), None) => {
                let id = Self::parse(uri).ok();
                id.filter(|id| id.0.starts_with("spiffe://")).into_iter().collect()
            }
            (Some(_), Some(_)) => vec![],
            (None, _) => {
                let hosts = names.iter().filter_map(|name| {
                    let GeneralName::DNSName(host) = name else { return None };
                    Self::parse(&format!("dns:{host}")).ok()
                });
                let mut hosts: Vec<_> = hosts.collect();
                hosts.sort_unstable();
                hosts.dedup();
                hosts
            }
        }
    }
}

/// Whether this, after `spiffe://`, is a trust domain and a path of at least one segment.
fn is_spiffe_id(text: &str) -> bool {
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let rest = |byte: u8| matches!(byte, b'.' | b'-' | b'_');
    let Some((domain, path)) = text.split_once('/') else { return false };
    let is_segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || rest(byte))
    };
    !domain.is_empty()
        && domain.bytes().all(|byte| lower(byte) || rest(byte))
        && path.split('/').all(is_segment)
}

/// Whether this is a host name (RFC 1123, section 2.1), and neither a wildcard nor an address.
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    const ANN: &str = "spiffe://example.org/operator/ann";

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().expect("ASCII"))
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(text.try_into().expect("ASCII"))
    }

    #[track_caller]
    fn check(names: Vec<SanType>, expected: &[&str]) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        let certificate = params.self_signed(&KeyPair::generate().expect("a key")).expect("signed");
        let found = CertifiedName::all_of(certificate.der());
        assert_eq!(found.iter().map(CertifiedName::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_certificate_stands_for_its_one_uri_or_else_for_its_hosts() {
        check(vec![uri(ANN)], &[ANN]);
        check(vec![dns("ann.example.org"), uri(ANN), dns("b.example.org")], &[ANN]);
        check(vec![dns("Ann.Example.org")], &["dns:ann.example.org"]);
        check(vec![dns("b"), dns("a"), dns("B")], &["dns:a", "dns:b"]);
    }

    #[test]
    fn a_certificate_of_no_one_name_stands_for_nobody() {
        check(vec![], &[]);
        check(vec![uri(ANN), uri("spiffe://example.org/operator/bob")], &[]);
        check(vec![uri(ANN), uri(ANN)], &[]);
        check(vec![uri(ANN), uri("https://example.org/")], &[]);
        for other in ["https://example.org/ann", "dns:ann.example.org", "spiffe://example.org"] {
            check(vec![uri(other), dns("ann.example.org")], &[]);
        }
        check(vec![dns("*.example.org")], &[]);
        check(vec![SanType::IpAddress([192, 0, 2, 7].into())], &[]);
        check(vec![SanType::Rfc822Name("ann@example.org".try_into().expect("ASCII"))], &[]);
        assert!(CertifiedName::all_of(b"").is_empty());
        assert!(CertifiedName::all_of(b"no certificate").is_empty());
    }

    #[test]
    fn what_follows_a_certificate_makes_it_none() {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![uri(ANN)];
        let certificate = params.self_signed(&KeyPair::generate().expect("a key")).expect("signed");
        let mut bytes = certificate.der().to_vec();
        bytes.push(0);
        assert!(CertifiedName::all_of(&bytes).is_empty());
    }

    #[test]
    fn names_on_lists_are_exact() {
        let longest = format!("spiffe://example.org/{}", "x".repeat(NAME_BYTES_MAX - 21));
        for good in [ANN, "spiffe://a/b", "spiffe://a_b-c.d/E.f/G_h-1", "dns:a", &longest] {
            assert_eq!(CertifiedName::parse(good).expect("a name").as_str(), good);
        }
        let mixed = CertifiedName::parse("dns:Auth.Example.ORG").expect("a name");
        assert_eq!(mixed.to_string(), "dns:auth.example.org");
        for bad in [
            "",
            "ann",
            "spiffe:",
            "spiffe://",
            "spiffe://example.org",
            "spiffe://example.org/",
            "spiffe://example.org/a/",
            "spiffe://example.org//a",
            "spiffe://example.org/../a",
            "spiffe://example.org/a b",
            "spiffe://example.org/*",
            "spiffe://example.org/a%2Fb",
            "spiffe://example.org/a?b",
            "spiffe://example.org/ä",
            "spiffe://example.org:443/a",
            "spiffe://u@example.org/a",
            "spiffe://Example.org/a",
            "SPIFFE://example.org/a",
            " spiffe://example.org/a",
            "dns:",
            "dns:*.example.org",
            "dns:example.org.",
            "dns:-a",
            "dns:a..b",
            "dns:192.0.2.7",
            "DNS:a",
            "https://example.org/a",
            &format!("{longest}x"),
            &format!("dns:{}", "a".repeat(64)),
        ] {
            assert!(CertifiedName::parse(bad).is_err(), "{bad}");
        }
    }
}
