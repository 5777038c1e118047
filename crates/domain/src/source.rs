//! Where requests come from, as lock-outs tell it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::InvalidName;

/// A source of requests: an IPv4 address, or the first half of an IPv6 address, of which whoever has one has
/// all (RFC 6177).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Source(IpAddr);

impl Source {
    /// Of an address. An IPv4 address that is spelled as an IPv6 address is the same.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
        }
    }

    /// Reads what is displayed of one, such as `192.0.2.1` or `2001:db8:1:2::/64`.
    ///
    /// # Errors
    /// [`InvalidName`] if it is anything else, also another spelling of the same.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let address = match text.strip_suffix("/64") {
            None => text.parse::<Ipv4Addr>().map(IpAddr::V4),
            Some(half) => half.parse::<Ipv6Addr>().map(IpAddr::V6),
        };
        let source = address.map(Self::of).ok().filter(|source| source.to_string() == text);
        source.ok_or(InvalidName("must be an IPv4 address or the /64 of an IPv6 address"))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_ipv4_address_or_half_an_ipv6_address() {
        for (address, source) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
        ] {
            let of = Source::of(address.parse().expect("an address"));
            assert_eq!(of.to_string(), source, "{address}");
            assert_eq!(Source::parse(source), Ok(of));
        }
    }

    #[test]
    fn a_source_has_one_spelling() {
        let wrong = ["", "x", "192.0.2.1/32", "192.0.2.01", "2001:db8::", "2001:db8::1/64"];
        for text in wrong.into_iter().chain(["2001:DB8::/64", "::ffff:192.0.2.1/64", "::/0"]) {
            assert!(Source::parse(text).is_err(), "{text}");
        }
    }
}
