//! Rules of an IPPool, contract B.12.I. Rule 1, its name, is the API server's own: every name that it
//! accepts can name a CNI network.

use super::network::{self, Network, address_or_none, index_not_below, pool_network, powers_of_two};
use super::{ADDRESS, Additions, CIDR, Rule, selector};

const NETWORK: Network = Network {
    field: "self.subnet",
    has_gateway: "(has(self.gateway) && self.gateway != '')",
    no_default_gateway: "true: cannot be true if spec.gateway is not set",
    no_routes: "cannot be set if spec.gateway is not set",
};

/// What an IPPool's schema gets.
#[must_use]
pub fn ippool() -> Additions {
    let mut rules = vec![
        ("spec.subnet", pool_network("is invalid subnet")),
        (
            "spec.perNodeBlockSize",
            Rule::new("self >= 1", "must be at least 1"),
        ),
        ("spec.gateway", address_or_none("is invalid IP address")),
        ("spec", block_fits()),
        ("spec", indexes_fit()),
        ("spec", gateway_in_subnet()),
    ];
    rules.extend(NETWORK.rules());
    rules.extend(selector::rules());
    let mut limits = vec![("spec.subnet", CIDR), ("spec.gateway", ADDRESS)];
    limits.extend(network::LIMITS);
    limits.extend(selector::LIMITS);
    Additions { rules, limits }
}

/// Rule 4. A block size is less than 2^63, so a subnet with that many addresses has room for any.
fn block_fits() -> Rule {
    let (valid, cidr, family) = (NETWORK.valid(), NETWORK.cidr(), NETWORK.family());
    let host_bits = format!("({family} == 4 ? 32 : 128) - {cidr}.prefixLength()");
    let powers = powers_of_two(62);
    Rule::new(
        format!(
            "!{valid} || [{host_bits}].all(bits, bits > 62 || self.perNodeBlockSize <= {powers}[bits] - (bits < 2 ? 0 : {family} == 4 ? 2 : 1))"
        ),
        "is larger then amount of IPs available in the subnet",
    )
    .at(".perNodeBlockSize")
    .counting("self.perNodeBlockSize")
}

/// Rule 6. Which of its ends is the greater is said of the entry itself.
fn indexes_fit() -> Rule {
    let outside = index_not_below("self.perNodeBlockSize");
    let first = format!("{}.endIndex", outside.first());
    outside.rule(
        "(self.perNodeBlockSize > 0)",
        "index is outside of the per-node block range",
        "%d: index is outside of the per-node block range (max: %d)",
        &[&first, "self.perNodeBlockSize - 1"],
    )
}

/// Rule 7.
fn gateway_in_subnet() -> Rule {
    let (valid, cidr) = (NETWORK.valid(), NETWORK.cidr());
    Rule::new(
        format!("!has(self.gateway) || !isIP(self.gateway) || !{valid} || {cidr}.containsIP(self.gateway)"),
        "is not part of the subnet",
    )
    .at(".gateway")
    .naming("self.gateway")
}
