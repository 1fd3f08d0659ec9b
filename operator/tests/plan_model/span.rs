//! Addresses as the model sees them, without the code under test.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// First and last address, inclusive, as integers, and whether they are IPv6.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) v6: bool,
    pub(crate) first: u128,
    pub(crate) last: u128,
}

impl Span {
    pub(crate) fn intersects(self, other: Self) -> bool {
        self.v6 == other.v6 && self.first <= other.last && other.first <= self.last
    }

    /// Whether every address of it is in one of `excluded`: if one isn't, then the first, or one behind an exclusion.
    pub(crate) fn is_excluded(self, excluded: &[(u128, u128)]) -> bool {
        let candidates = excluded.iter().filter_map(|(_, last)| last.checked_add(1));
        !std::iter::once(self.first)
            .chain(candidates)
            .filter(|n| (self.first..=self.last).contains(n))
            .any(|n| !excluded.iter().any(|(first, last)| (*first..=*last).contains(&n)))
    }
}

/// The addresses of a network in CIDR notation, and how many bits of its addresses are a host's.
pub(crate) fn network(text: &str) -> Option<(Span, u32)> {
    let (base, length) = text.split_once('/')?;
    let (v6, base) = number(base.parse().ok()?);
    let host_bits = (if v6 { 128 } else { 32_u32 }).checked_sub(length.parse().ok()?)?;
    let mask = if host_bits == 128 {
        u128::MAX
    } else {
        (1_u128 << host_bits) - 1
    };
    let span = Span {
        v6,
        first: base & !mask,
        last: base | mask,
    };
    Some((span, host_bits))
}

/// The addresses that hosts of a network can have.
pub(crate) fn usable(text: &str) -> Span {
    let (Span { v6, first, last }, host_bits) = network(text).unwrap();
    let (first, last) = match host_bits {
        0 | 1 => (first, last),
        _ if v6 => (first + 1, last),
        _ => (first + 1, last - 1),
    };
    Span { v6, first, last }
}

/// An address as an integer, and whether it is IPv6.
pub(crate) fn number(ip: IpAddr) -> (bool, u128) {
    match ip {
        IpAddr::V4(ip) => (false, u32::from(ip).into()),
        IpAddr::V6(ip) => (true, ip.into()),
    }
}

pub(crate) fn address(v6: bool, n: u128) -> IpAddr {
    if v6 {
        Ipv6Addr::from(n).into()
    } else {
        Ipv4Addr::from(u32::try_from(n).unwrap()).into()
    }
}
