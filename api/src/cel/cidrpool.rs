//! Rules of a CIDRPool, contract B.12.C. Rule 1, its name, is the API server's own: every name that it
//! accepts can name a CNI network.

use super::network::{
    self, Network, address_or_none, cidr, index_not_below, no_host_bits, pool_network, powers_of_two,
};
use super::{ADDRESS, Additions, CIDR, ENTRIES, EntryFault, NODE_NAME, Rule, selector};

/// How many static allocations, from the first on, CEL compares with each other: the comparison is quadratic, and CEL has no
/// sets. The webhook and the controller compare all.
pub const COMPARED: usize = 100;

const NETWORK: Network = Network {
    field: "self.cidr",
    has_gateway: "has(self.gatewayIndex)",
    no_default_gateway: "true: cannot be true if spec.gatewayIndex is not set",
    no_routes: "cannot be set if spec.gatewayIndex is not set",
};

/// What a CIDRPool's schema gets.
#[must_use]
pub fn cidrpool() -> Additions {
    let not_negative = || Rule::new("self >= 0", "must not be negative");
    let entry = "spec.staticAllocations[].prefix";
    let mut rules = vec![
        ("spec.cidr", pool_network("is invalid cidr")),
        ("spec.cidr", no_host_bits()),
        ("spec.gatewayIndex", not_negative()),
        ("spec.perNodeNetworkPrefix", not_negative()),
        (entry, cidr("is not a valid network prefix")),
        (entry, no_host_bits()),
        (
            "spec.staticAllocations[].gateway",
            address_or_none("is not a valid IP"),
        ),
        ("spec.staticAllocations[]", gateway_in_prefix()),
        ("spec", prefix_fits()),
        ("spec", gateway_index_fits()),
        ("spec", indexes_fit()),
        ("spec", allocations_in_cidr()),
        ("spec", allocation_lengths()),
        ("spec", one_allocation_per_node()),
        ("spec", one_allocation_per_prefix()),
    ];
    rules.extend(NETWORK.rules());
    rules.extend(selector::rules());
    let mut limits = vec![
        ("spec.cidr", CIDR),
        ("spec.staticAllocations", ENTRIES),
        ("spec.staticAllocations[].nodeName", NODE_NAME),
        ("spec.staticAllocations[].prefix", CIDR),
        ("spec.staticAllocations[].gateway", ADDRESS),
    ];
    limits.extend(network::LIMITS);
    limits.extend(selector::LIMITS);
    Additions { rules, limits }
}

/// How many bits an address of the pool has.
fn address_bits() -> String {
    format!("({} == 4 ? 32 : 128)", NETWORK.family())
}

/// True if the network can be cut: rules 2, 3, 5 and 6.
fn cut_valid() -> String {
    let (valid, cidr) = (NETWORK.valid(), NETWORK.cidr());
    format!(
        "({valid} && {cidr} == {cidr}.masked() && self.perNodeNetworkPrefix > 0 \
         && self.perNodeNetworkPrefix >= {cidr}.prefixLength() && self.perNodeNetworkPrefix <= {})",
        address_bits()
    )
}

/// The host bits of each node's prefix.
fn host_bits() -> String {
    format!("{} - self.perNodeNetworkPrefix", address_bits())
}

/// Rule 6.
fn prefix_fits() -> Rule {
    let (valid, cidr, bits) = (NETWORK.valid(), NETWORK.cidr(), address_bits());
    let message = "must be less or equal than network prefix size in the \"cidr\" field";
    Rule::new(
        format!(
            "!{valid} || self.perNodeNetworkPrefix < 0 || (self.perNodeNetworkPrefix > 0 \
             && self.perNodeNetworkPrefix >= {cidr}.prefixLength() && self.perNodeNetworkPrefix <= {bits})"
        ),
        message,
    )
    .at(".perNodeNetworkPrefix")
    .counting("self.perNodeNetworkPrefix")
}

/// Rule 7. An index is less than 2^31, so a prefix with more addresses has room for any.
fn gateway_index_fits() -> Rule {
    let (cut, family) = (cut_valid(), NETWORK.family());
    let (host_bits, powers) = (host_bits(), powers_of_two(31));
    let message = "gateway index is outside of the node prefix";
    Rule::new(
        format!(
            "!has(self.gatewayIndex) || self.gatewayIndex < 0 || !{cut} || [{host_bits}].all(bits, bits < 2 ? self.gatewayIndex <= bits : \
             self.gatewayIndex > 0 && (bits > 31 || self.gatewayIndex <= {powers}[bits] - ({family} == 4 ? 2 : 1)))"
        ),
        message,
    )
    .at(".gatewayIndex")
    .counting("self.gatewayIndex")
}

/// Rule 9, of prefixes whose last index is an int32 that something can exceed. Which of an entry's ends is the greater is said
/// of the entry itself.
fn indexes_fit() -> Rule {
    let (cut, host_bits) = (cut_valid(), host_bits());
    let size = format!("{}[{host_bits}]", powers_of_two(30));
    let outside = index_not_below(&size);
    let first = format!("{}.endIndex", outside.first());
    outside.rule(
        &format!("({cut} && {host_bits} <= 30)"),
        "index is outside of the per-node subnet range",
        "%d: index is outside of the per-node subnet range (max: %d)",
        &[&first, &format!("{size} - 1")],
    )
}

/// Rule 10, said of one entry.
fn gateway_in_prefix() -> Rule {
    Rule::new(
        "!has(self.gateway) || !isIP(self.gateway) || !isCIDR(self.prefix) || cidr(self.prefix).containsIP(self.gateway)",
        "is outside of the node prefix",
    )
    .at(".gateway")
    .naming("self.gateway")
}

/// Rule 10. That a prefix is too short to lie in the network is said of its length.
fn allocations_in_cidr() -> Rule {
    let cidr = NETWORK.cidr();
    let outside = allocation(format!(
        "isCIDR(a.prefix) && !{cidr}.containsIP(cidr(a.prefix).ip())"
    ));
    outside.rule(
        &NETWORK.valid(),
        "prefix is not part of the pool cidr",
        "\"%s\": prefix is not part of the pool cidr",
        &[&format!("{}.prefix", outside.first())],
    )
}

/// Rule 10. Of a prefix of another family it is said that it is not part of the network.
fn allocation_lengths() -> Rule {
    let family = NETWORK.family();
    let other = allocation(format!(
        "isCIDR(a.prefix) && cidr(a.prefix).prefixLength() != self.perNodeNetworkPrefix && cidr(a.prefix).ip().family() == {family}"
    ));
    other.rule(
        &cut_valid(),
        "prefix size doesn't match spec.perNodeNetworkPrefix",
        "\"%s\": prefix size doesn't match spec.perNodeNetworkPrefix",
        &[&format!("{}.prefix", other.first())],
    )
}

fn allocation(fault: String) -> EntryFault {
    EntryFault {
        list: "self.staticAllocations",
        entry: "a",
        fault,
    }
}

/// Rule 10.
fn one_allocation_per_node() -> Rule {
    let same = |a: &str, b: &str| {
        format!(
            "has({a}.nodeName) && {a}.nodeName != '' && has({b}.nodeName) && {a}.nodeName == {b}.nodeName"
        )
    };
    no_two(same, "contains multiple entries for one node", "node", "nodeName")
}

/// Rule 10. However the prefix is written.
fn one_allocation_per_prefix() -> Rule {
    let same = |a: &str, b: &str| {
        format!("isCIDR({a}.prefix) && isCIDR({b}.prefix) && cidr({a}.prefix) == cidr({b}.prefix)")
    };
    no_two(
        same,
        "contains multiple entries for one prefix",
        "prefix",
        "prefix",
    )
}

/// Of the first [`COMPARED`] entries none is the `same` as an earlier one, which would be said of its `field`.
fn no_two(same: impl Fn(&str, &str) -> String, message: &'static str, what: &str, field: &str) -> Rule {
    let list = "self.staticAllocations";
    let indexes: Vec<String> = (0..COMPARED).map(|index| index.to_string()).collect();
    let indexes = format!("[{}]", indexes.join(", "));
    let same = same(&format!("{list}[i]"), &format!("{list}[j]"));
    let repeated = format!("i < {list}.size() && {indexes}.exists(j, j < i && {same})");
    Rule::new(
        format!("!has({list}) || !{indexes}.exists(i, {repeated})"),
        message,
    )
    .at(".staticAllocations")
    .saying(format!(
        "'contains multiple entries for {what} %s'.format([{list}[{indexes}.filter(i, {repeated})[0]].{field}])"
    ))
}
