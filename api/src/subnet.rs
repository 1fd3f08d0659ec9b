//! Subnets, and which of their addresses a host may have.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::range::{Family, Range, number};

/// A subnet in CIDR notation. Host bits are allowed and ignored: `10.0.0.7/24` is `10.0.0.0/24`, as contract B.12 has it.
///
/// No text makes one with IPv4-mapped addresses in it (`::ffff:10.0.0.0/120`, `::/0`): read again, what is written of them
/// in a status or a store are IPv4 addresses, so that what a node holds would look free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Subnet(IpNet);

impl Subnet {
    /// Reads CIDR notation.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let net = parse_net(text)?;
        (!has_mapped(&net)).then(|| Self(net.trunc()))
    }

    /// Reads CIDR notation without host bits: `10.0.0.7/24` is none.
    #[must_use]
    pub fn parse_exact(text: &str) -> Option<Self> {
        Self::parse(text).filter(|subnet| parse_net(text) == Some(subnet.0))
    }

    /// The subnet of this prefix length that `ip` lies in. `None` if addresses of its family have fewer bits.
    #[must_use]
    pub fn of(ip: IpAddr, prefix_len: u8) -> Option<Self> {
        IpNet::new(ip, prefix_len).ok().map(|net| Self(net.trunc()))
    }

    /// The family of its addresses.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.0.addr())
    }

    /// The prefix length.
    #[must_use]
    pub fn prefix_len(&self) -> u8 {
        self.0.prefix_len()
    }

    /// It, in CIDR notation, without host bits.
    #[must_use]
    pub fn net(&self) -> IpNet {
        self.0
    }

    /// Whether `ip` lies in it, the network and broadcast addresses included.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip)
    }

    /// Whether every address of `other` is one of its addresses.
    #[must_use]
    pub fn contains_subnet(&self, other: &Self) -> bool {
        self.addresses().contains_range(&other.addresses())
    }

    /// All its addresses, the network and broadcast addresses included.
    #[must_use]
    pub fn addresses(&self) -> Range {
        Range::ordered(
            self.family(),
            number(self.0.network()),
            number(self.0.broadcast()),
        )
    }

    /// The addresses that hosts can have: all but the network address, and the IPv4 broadcast address. Point-to-point
    /// subnets (/31, /127; RFC 3021, RFC 6164) and single addresses (/32, /128) have no such reserved ones.
    #[must_use]
    pub fn usable(&self) -> Range {
        let (first, last) = self.addresses().numbers();
        let host_bits = self.family().bits() - self.prefix_len();
        let (first, last) = match (host_bits, self.family()) {
            (0 | 1, _) => (first, last),
            (_, Family::V4) => (first + 1, last - 1),
            (_, Family::V6) => (first + 1, last),
        };
        // Two host bits leave at least two addresses.
        Range::ordered(self.family(), first, last)
    }
}

/// Whether any address of `net` is an IPv4 address in IPv6 clothes.
fn has_mapped(net: &IpNet) -> bool {
    const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);
    match net {
        IpNet::V4(_) => false,
        IpNet::V6(net) => net.contains(&MAPPED) || MAPPED.contains(net),
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Reads CIDR notation, host bits included. Not with `ipnet`'s own parser: to it `010.0.0.0/8` is `10.0.0.0/8`, to others an
/// octal 8, and to Go (`net.ParseCIDR`) and everything else here no address.
pub(crate) fn parse_net(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    if !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    IpNet::new(address.parse().ok()?, length.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usable(text: &str) -> (String, u128) {
        let range = Subnet::parse(text).unwrap().usable();
        (range.to_string(), range.size())
    }

    #[test]
    fn hosts_get_neither_network_nor_broadcast_address() {
        assert_eq!(
            usable("192.168.0.0/24"),
            ("192.168.0.1-192.168.0.254".to_owned(), 254)
        );
        assert_eq!(usable("192.168.0.77/24").0, "192.168.0.1-192.168.0.254");
        assert_eq!(usable("10.0.0.0/30").1, 2);
        assert_eq!(usable("0.0.0.0/0").1, (1 << 32) - 2);
    }

    #[test]
    fn an_ipv6_subnet_has_no_broadcast_address() {
        assert_eq!(usable("fd00::/120"), ("fd00::1-fd00::ff".to_owned(), 255));
        assert_eq!(usable("8000::/1").1, u128::MAX >> 1);
    }

    #[test]
    fn no_subnet_has_addresses_that_text_cannot_tell_from_ipv4_ones() {
        for text in [
            "::ffff:10.0.0.0/120",
            "::ffff:0:0/96",
            "::ffff:10.0.0.1/128",
            "::/80",
            "::7/64",
            "::/0",
        ] {
            assert_eq!(
                (Subnet::parse(text), Subnet::parse_exact(text)),
                (None, None),
                "{text}"
            );
        }
        for text in ["::/81", "::fffe:0:0/96", "::1:0:0:0/96", "0.0.0.0/0", "8000::/1"] {
            assert!(Subnet::parse_exact(text).is_some(), "{text}");
        }
    }

    #[test]
    fn notation_is_what_go_takes_for_it() {
        for text in ["10.0.0.7/8", "fd00::/8", "FD00::1/8", "0.0.0.0/0", "10.0.0.0/08"] {
            assert!(parse_net(text).is_some(), "{text}");
        }
        for text in [
            "010.0.0.0/8",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.0/300",
            "10.0.0/8",
            " 10.0.0.0/8",
            "fe80::%eth0/64",
            "fd00::/129",
        ] {
            assert_eq!(parse_net(text), None, "{text}");
        }
    }

    #[test]
    fn tiny_subnets_are_used_whole() {
        assert_eq!(usable("10.0.0.0/31").1, 2);
        assert_eq!(usable("10.0.0.9/32"), ("10.0.0.9-10.0.0.9".to_owned(), 1));
        assert_eq!(usable("fd00::2/127"), ("fd00::2-fd00::3".to_owned(), 2));
        assert_eq!(usable("fd00::2/128").1, 1);
    }
}
