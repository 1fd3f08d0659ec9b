//! Addresses as integers, and ranges of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4, 32 bits.
    V4,
    /// IPv6, 128 bits.
    V6,
}

impl Family {
    /// The family of `ip`.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// How many bits an address has.
    #[must_use]
    pub fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The address whose integer is `n`. For IPv4 only the low 32 bits count.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low 32 bits are the address, as documented"
    )]
    pub fn address(self, n: u128) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::from_bits(n as u32)),
            Self::V6 => IpAddr::V6(Ipv6Addr::from_bits(n)),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// The integer of an address: its bytes, most significant first. The two families share the numbers, so compare
/// integers only within one [`Family`].
#[must_use]
pub fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Reads an address. An IPv4 address in IPv6 clothes (`::ffff:192.0.2.1`) is the IPv4 address, as everywhere in Go.
#[must_use]
pub fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// Consecutive addresses of one family, at least one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "RangeText", into = "RangeText")]
pub struct Range {
    family: Family,
    first: u128,
    last: u128,
}

/// A range as it is written.
#[derive(Serialize, Deserialize)]
struct RangeText {
    first: IpAddr,
    last: IpAddr,
}

/// Two addresses that do not bound a range: of different families, or the wrong way round.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{first} to {last} is not a range of addresses")]
pub struct NotARange {
    first: IpAddr,
    last: IpAddr,
}

impl Range {
    /// The addresses from `first` to `last`, inclusive.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<Self, NotARange> {
        let family = Family::of(first);
        if family != Family::of(last) || number(first) > number(last) {
            return Err(NotARange { first, last });
        }
        Ok(Self {
            family,
            first: number(first),
            last: number(last),
        })
    }

    /// The range of the integers from `first` to `last`. `None` if there is none, or if they are no addresses.
    #[must_use]
    pub fn from_numbers(family: Family, first: u128, last: u128) -> Option<Self> {
        let max = u128::MAX >> (128 - u32::from(family.bits()));
        (first <= last && last <= max).then_some(Self { family, first, last })
    }

    /// The range of the integers from `first` to `last`, which the caller knows to be addresses in order.
    pub(crate) fn ordered(family: Family, first: u128, last: u128) -> Self {
        debug_assert!(
            Self::from_numbers(family, first, last).is_some(),
            "{first} to {last} is no {family} range"
        );
        Self { family, first, last }
    }

    /// The family of all its addresses.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The lowest address.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.family.address(self.first)
    }

    /// The highest address.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        self.family.address(self.last)
    }

    /// The integers of the lowest and the highest address.
    #[must_use]
    pub fn numbers(&self) -> (u128, u128) {
        (self.first, self.last)
    }

    /// How many addresses it has, saturating at [`u128::MAX`].
    #[must_use]
    pub fn size(&self) -> u128 {
        (self.last - self.first).saturating_add(1)
    }

    /// Whether `ip` is one of its addresses.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        Family::of(ip) == self.family && (self.first..=self.last).contains(&number(ip))
    }

    /// Whether every address of `other` is one of its addresses.
    #[must_use]
    pub fn contains_range(&self, other: &Range) -> bool {
        other.family == self.family && self.first <= other.first && other.last <= self.last
    }

    /// The addresses that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Range) -> Option<Range> {
        if self.family != other.family {
            return None;
        }
        Range::from_numbers(
            self.family,
            self.first.max(other.first),
            self.last.min(other.last),
        )
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first(), self.last())
    }
}

impl fmt::Debug for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<RangeText> for Range {
    type Error = NotARange;

    fn try_from(text: RangeText) -> Result<Self, NotARange> {
        Range::new(text.first, text.last)
    }
}

impl From<Range> for RangeText {
    fn from(range: Range) -> Self {
        Self {
            first: range.first(),
            last: range.last(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: &str, last: &str) -> Result<Range, NotARange> {
        Range::new(first.parse().unwrap(), last.parse().unwrap())
    }

    #[test]
    fn both_ends_belong_to_it() {
        let block = range("10.0.0.1", "10.0.0.24").unwrap();
        assert_eq!(block.size(), 24);
        assert!(block.contains("10.0.0.1".parse().unwrap()) && block.contains("10.0.0.24".parse().unwrap()));
        assert!(!block.contains("10.0.0.25".parse().unwrap()));
    }

    #[test]
    fn families_do_not_mix() {
        assert!(range("10.0.0.1", "::a00:2").is_err());
        let v4 = range("0.0.0.1", "0.0.0.9").unwrap();
        let v6 = range("::1", "::9").unwrap();
        assert!(!v4.contains("::5".parse().unwrap()));
        assert_eq!(v4.intersection(&v6), None);
        assert!(!v4.contains_range(&v6));
    }

    #[test]
    fn the_wrong_way_round_is_no_range() {
        assert!(range("10.0.0.2", "10.0.0.1").is_err());
        assert_eq!(Range::from_numbers(Family::V4, 0, 1 << 32), None);
        assert!(serde_json::from_str::<Range>(r#"{"first":"10.0.0.2","last":"10.0.0.1"}"#).is_err());
    }

    #[test]
    fn a_mapped_address_is_ipv4() {
        assert_eq!(parse_address("::ffff:192.0.2.1"), parse_address("192.0.2.1"));
        assert_eq!(parse_address("192.0.2.01"), None);
    }
}
