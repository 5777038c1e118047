//! Where a request came from, as lock-outs tell it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A source of requests: an IPv4 address, or the first half of an IPv6 address, of which whoever has one has
/// all (RFC 6177).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Source(IpAddr);

impl Source {
    /// Of an address. An IPv4 address that is spelled as an IPv6 address is the same.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
        }
    }

    /// Reads what is displayed of one, such as `192.0.2.1` or `2001:db8:1:2::/64`; `None` for all else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let address = match text.strip_suffix("/64") {
            None => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            Some(half) => half.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        };
        address.map(Self::of)
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
        ] {
            let of = Source::of(address.parse().expect("an address"));
            assert_eq!((of.to_string().as_str(), Source::parse(source)), (source, Some(of)));
        }
        assert_eq!(Source::parse("2001:db8::1"), None);
    }
}
