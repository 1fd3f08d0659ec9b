//! Rules that both kinds have, said of the pool's network: an IPPool's `subnet`, a CIDRPool's `cidr`.

use super::{ADDRESS, CIDR, ENTRIES, EntryFault, Limit, Place, Rule};

/// How a kind names what both have.
pub(super) struct Network {
    /// The field with the network, `self.subnet`.
    pub(super) field: &'static str,
    /// True if the pool has a gateway.
    pub(super) has_gateway: &'static str,
    /// What is wrong with a default route without a gateway.
    pub(super) no_default_gateway: &'static str,
    /// What is wrong with routes without a gateway.
    pub(super) no_routes: &'static str,
}

/// Limits of the parts that both kinds have.
pub(super) const LIMITS: [(Place, Limit); 6] = [
    ("spec.exclusions", ENTRIES),
    ("spec.exclusions[].startIP", ADDRESS),
    ("spec.exclusions[].endIP", ADDRESS),
    ("spec.perNodeExclusions", ENTRIES),
    ("spec.routes", ENTRIES),
    ("spec.routes[].dst", CIDR),
];

impl Network {
    /// Rules of the network's own parts and of what must lie in it, contract B.12.I.5, 6, 9 and 10.
    pub(super) fn rules(&self) -> Vec<(Place, Rule)> {
        vec![
            ("spec.exclusions[].startIP", address("is invalid IP address")),
            ("spec.exclusions[].endIP", address("is invalid IP address")),
            (
                "spec.perNodeExclusions[]",
                Rule::new(
                    "self.endIndex >= self.startIndex",
                    "endIndex must be greater than or equal to startIndex",
                ),
            ),
            ("spec.routes[].dst", cidr("is invalid subnet")),
            ("spec", self.contains_exclusions("startIP")),
            ("spec", self.contains_exclusions("endIP")),
            ("spec", self.default_gateway()),
            ("spec", self.routes_need_a_gateway()),
            ("spec", self.route_families()),
            ("spec", one_default_route()),
        ]
    }

    /// True if the network can be read. Before anything else is said of it.
    pub(super) fn valid(&self) -> String {
        format!("isCIDR({})", self.field)
    }

    /// The network.
    pub(super) fn cidr(&self) -> String {
        format!("cidr({})", self.field)
    }

    /// 4 or 6.
    pub(super) fn family(&self) -> String {
        format!("{}.ip().family()", self.cidr())
    }

    fn contains_exclusions(&self, end: &str) -> Rule {
        let cidr = self.cidr();
        let outside = EntryFault {
            list: "self.exclusions",
            entry: "e",
            fault: format!("isIP(e.{end}) && !{cidr}.containsIP(e.{end})"),
        };
        let first = format!("{}.{end}", outside.first());
        outside.rule(
            &self.valid(),
            "is not part of the subnet",
            "\"%s\": is not part of the %s subnet",
            &[&first, &format!("string({cidr}.masked())")],
        )
    }

    fn default_gateway(&self) -> Rule {
        Rule::new(
            format!(
                "!has(self.defaultGateway) || !self.defaultGateway || {}",
                self.has_gateway
            ),
            self.no_default_gateway,
        )
        .at(".defaultGateway")
    }

    fn routes_need_a_gateway(&self) -> Rule {
        Rule::new(
            format!(
                "!has(self.routes) || self.routes.size() == 0 || {}",
                self.has_gateway
            ),
            self.no_routes,
        )
        .at(".routes")
    }

    fn route_families(&self) -> Rule {
        let family = self.family();
        let other = route(format!("isCIDR(r.dst) && cidr(r.dst).ip().family() != {family}"));
        other.rule(
            &self.valid(),
            "is not same address family IPv4/IPv6",
            "\"%s\": is not same address family IPv4/IPv6",
            &[&format!("{}.dst", other.first())],
        )
    }
}

fn one_default_route() -> Rule {
    let second = route("isCIDR(r.dst) && cidr(r.dst).prefixLength() == 0".to_owned());
    second.rule(
        "(has(self.defaultGateway) && self.defaultGateway)",
        "default route is not allowed if 'defaultGateway' is true",
        "\"%s\": default route is not allowed if 'defaultGateway' is true",
        &[&format!("{}.dst", second.first())],
    )
}

fn route(fault: String) -> EntryFault {
    EntryFault {
        list: "self.routes",
        entry: "r",
        fault,
    }
}

/// An address.
fn address(message: &'static str) -> Rule {
    Rule::new("isIP(self)", message)
}

/// An address, or nothing: Go clients send an empty text for "none".
pub(super) fn address_or_none(message: &'static str) -> Rule {
    Rule::new("self == '' || isIP(self)", message)
}

/// The pool's network. One of IPv6 that spans the IPv4-mapped addresses is none ([`crate::subnet::Subnet`]); those can't be
/// written in CEL, their neighbours can.
pub(super) fn pool_network(message: &'static str) -> Rule {
    Rule::new(
        "isCIDR(self) && !(cidr(self).prefixLength() < 96 && cidr(self).containsIP('::fffe:0:0'))",
        message,
    )
}

/// A network in CIDR notation.
pub(super) fn cidr(message: &'static str) -> Rule {
    Rule::new("isCIDR(self)", message)
}

/// A network without host bits. Holds also of what is no network.
pub(super) fn no_host_bits() -> Rule {
    Rule::new(
        "!isCIDR(self) || cidr(self) == cidr(self).masked()",
        "network prefix has host bits set",
    )
}

/// Greatest index too great: the entries of `perNodeExclusions` of which that is true.
pub(super) fn index_not_below(bound: &str) -> EntryFault {
    EntryFault {
        list: "self.perNodeExclusions",
        entry: "e",
        fault: format!("e.endIndex >= {bound}"),
    }
}

/// A CEL list of the powers of two from 1 to 2^`last`: CEL has neither a power nor a shift.
pub(super) fn powers_of_two(last: u32) -> String {
    let powers: Vec<String> = (0..=last).map(|n| (1_u64 << n).to_string()).collect();
    format!("[{}]", powers.join(", "))
}
