//! A CIDRPool's spec, parsed: a value of [`CidrPoolConfig`] has no broken rule.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::NodeSelector;
use kube::ResourceExt;

use crate::cidrpool::{CIDRPool, CIDRPoolSpec};
use crate::layout::{Exclusions, Layout};
use crate::range::Range;
use crate::spec_rules::{self, gateway_at};
use crate::subnet::Subnet;
use crate::validate::{self, Faults, FieldErrors};

mod statics;

pub use statics::StaticAllocation;

/// What a valid CIDRPool says.
#[derive(Clone, Debug, PartialEq)]
pub struct CidrPoolConfig {
    /// The network.
    pub cidr: Subnet,
    /// Its prefixes.
    pub layout: Layout,
    /// Prefix length of each of them.
    pub prefix_length: u8,
    /// Index of the gateway in each prefix, from the network address.
    gateway_index: Option<i32>,
    /// Prefixes that are not dealt to just any node, in the order of the spec. No two are the same, or of the same node.
    pub static_allocations: Vec<StaticAllocation>,
    /// Which of them is of a node, and which of a prefix: there may be as many as there are nodes.
    of_node: BTreeMap<String, usize>,
    of_prefix: BTreeMap<IpNet, usize>,
    /// Nodes that get a prefix.
    pub node_selector: Option<NodeSelector>,
    /// Both kinds of exclusions.
    pub exclusions: Exclusions,
    /// The entries of `spec.exclusions`, as they stand there.
    pub excluded_ranges: Vec<Range>,
    /// Whether pods get a default route. Only with a gateway.
    pub default_gateway: bool,
    /// Destinations that pods reach through the gateway, of the pool's family. Only with a gateway.
    pub routes: Vec<IpNet>,
}

impl CidrPoolConfig {
    /// Reads `pool`, or says every rule that it breaks (contract B.12.C). Of the rules 2 to 6, on the
    /// network and how it is cut, only the first broken one is said: the others make no sense then.
    pub fn parse(pool: &CIDRPool) -> Result<Self, FieldErrors> {
        let spec = &pool.spec;
        let mut faults = Faults::default();
        spec_rules::pool_name(&pool.name_any(), "CIDR", &mut faults);
        let grid = grid(spec, &mut faults);
        let gridded = grid.map(|grid| Gridded::parse(spec, grid, &mut faults));
        if let Some(selector) = &spec.node_selector {
            validate::node_selector(selector, &mut faults);
        }
        if spec.gateway_index.is_none() {
            spec_rules::gateway_is_needed(
                "spec.gatewayIndex",
                spec.default_gateway,
                &spec.routes,
                &mut faults,
            );
        }
        let family = Subnet::parse(&spec.cidr).map(|cidr| cidr.family());
        let routes = spec_rules::routes(&spec.routes, family, spec.default_gateway, &mut faults);
        let config = grid.zip(gridded).map(|(grid, gridded)| Self {
            cidr: grid.cidr,
            layout: grid.layout,
            prefix_length: grid.length,
            gateway_index: spec.gateway_index,
            of_node: indexed(&gridded.static_allocations, |allocation| allocation.node.clone()),
            of_prefix: indexed(&gridded.static_allocations, |allocation| {
                Some(allocation.prefix.net())
            }),
            static_allocations: gridded.static_allocations,
            node_selector: spec.node_selector.clone(),
            exclusions: Exclusions::new(gridded.excluded_ranges.iter().copied(), gridded.excluded_indexes),
            excluded_ranges: gridded.excluded_ranges,
            default_gateway: spec.default_gateway,
            routes,
        });
        faults.or(config)
    }

    /// The static allocation of `node`.
    #[must_use]
    pub fn static_allocation_of(&self, node: &str) -> Option<&StaticAllocation> {
        self.static_allocations.get(*self.of_node.get(node)?)
    }

    /// The static allocation of `prefix`.
    #[must_use]
    pub fn static_allocation_at(&self, prefix: &Subnet) -> Option<&StaticAllocation> {
        self.static_allocations.get(*self.of_prefix.get(&prefix.net())?)
    }

    /// The gateway that `node` has when its prefix is `prefix`: that of its static allocation of this prefix, else the one
    /// at the pool's index. `None` if neither is given, or if the prefix has no room for the index.
    #[must_use]
    pub fn gateway_of(&self, node: &str, prefix: &Subnet) -> Option<IpAddr> {
        self.static_allocation_of(node)
            .filter(|allocation| allocation.prefix == *prefix)
            .and_then(|allocation| allocation.gateway)
            .or_else(|| gateway_at(prefix, self.gateway_index?))
    }

    /// Whether every prefix of a pool of this configuration is to have a gateway.
    #[must_use]
    pub fn has_gateways(&self) -> bool {
        self.gateway_index.is_some()
    }
}

/// Where in `allocations` each of these keys is.
fn indexed<K: Ord>(
    allocations: &[StaticAllocation],
    key: impl Fn(&StaticAllocation) -> Option<K>,
) -> BTreeMap<K, usize> {
    let keys = allocations.iter().enumerate();
    keys.filter_map(|(i, allocation)| Some((key(allocation)?, i)))
        .collect()
}

/// How the network is cut.
#[derive(Clone, Copy)]
struct Grid {
    cidr: Subnet,
    length: u8,
    layout: Layout,
}

/// Rules 2 to 6.
fn grid(spec: &CIDRPoolSpec, faults: &mut Faults) -> Option<Grid> {
    let Some(cidr) = Subnet::parse(&spec.cidr) else {
        faults.invalid("spec.cidr", &spec.cidr, "is invalid cidr");
        return None;
    };
    if Subnet::parse_exact(&spec.cidr).is_none() {
        faults.invalid("spec.cidr", &spec.cidr, "network prefix has host bits set");
        return None;
    }
    if spec.gateway_index.is_some_and(|index| index < 0) {
        faults.invalid("spec.gatewayIndex", spec.gateway_index, "must not be negative");
        return None;
    }
    let field = "spec.perNodeNetworkPrefix";
    let length = spec.per_node_network_prefix;
    if length < 0 {
        faults.invalid(field, length, "must not be negative");
        return None;
    }
    let cut = u8::try_from(length)
        .ok()
        .and_then(|length| Some((length, Layout::prefixes(cidr, length)?)));
    let Some((length, layout)) = cut else {
        faults.invalid(
            field,
            length,
            "must be less or equal than network prefix size in the \"cidr\" field",
        );
        return None;
    };
    Some(Grid { cidr, length, layout })
}

/// What can be read only when it is known how the network is cut: rules 7 to 10.
struct Gridded {
    excluded_ranges: Vec<Range>,
    excluded_indexes: Vec<(u128, u128)>,
    static_allocations: Vec<StaticAllocation>,
}

impl Gridded {
    fn parse(spec: &CIDRPoolSpec, grid: Grid, faults: &mut Faults) -> Self {
        let first = grid
            .layout
            .block(0)
            .and_then(|block| prefix_of(&block, grid.length));
        if let (Some(index), Some(first)) = (spec.gateway_index, first)
            && gateway_at(&first, index).is_none()
        {
            faults.invalid(
                "spec.gatewayIndex",
                index,
                "gateway index is outside of the node prefix",
            );
        }
        let max = i32::try_from(grid.layout.block_size() - 1).unwrap_or(i32::MAX);
        Self {
            excluded_ranges: spec_rules::exclusions(&spec.exclusions, Some(grid.cidr), faults),
            excluded_indexes: spec_rules::index_exclusions(&spec.per_node_exclusions, max, "subnet", faults),
            static_allocations: statics::parse(&spec.static_allocations, grid.cidr, grid.length, faults),
        }
    }
}

/// The prefix of this length that is exactly `block`.
#[must_use]
pub fn prefix_of(block: &Range, length: u8) -> Option<Subnet> {
    let prefix = Subnet::of(block.first(), length)?;
    (prefix.addresses() == *block).then_some(prefix)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(spec: &Value) -> Result<CidrPoolConfig, Vec<String>> {
        let pool = CIDRPool::new("rail", serde_json::from_value(spec.clone()).unwrap());
        CidrPoolConfig::parse(&pool).map_err(|errors| errors.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_valid_spec_is_read() {
        let config = parse(&json!({
            "cidr": "192.168.0.0/16", "perNodeNetworkPrefix": 24, "gatewayIndex": 1,
            "exclusions": [{"startIP": "192.168.0.10", "endIP": "192.168.0.20"}],
            "perNodeExclusions": [{"startIndex": 0, "endIndex": 10}],
            "staticAllocations": [
                {"nodeName": "host-a", "prefix": "192.168.5.0/24", "gateway": "192.168.5.10"},
                {"prefix": "192.168.6.0/24"}, {"prefix": "192.168.7.0/24"},
            ],
            "routes": [{"dst": "5.5.0.0/16"}], "defaultGateway": true,
        }))
        .unwrap();
        assert_eq!(config.layout.blocks(), 256);
        let own = config.static_allocation_of("host-a").unwrap();
        assert_eq!(
            config.gateway_of("host-a", &own.prefix),
            "192.168.5.10".parse().ok()
        );
        assert_eq!(
            config.gateway_of("host-b", &own.prefix),
            "192.168.5.1".parse().ok()
        );
        assert_eq!(config.static_allocation_of("host-b"), None);
        assert_eq!(config.static_allocation_at(&own.prefix), Some(own));
        let of_nobody = Subnet::parse("192.168.6.0/24").unwrap();
        assert_eq!(config.static_allocation_at(&of_nobody).unwrap().node, None);
        assert_eq!(
            config.static_allocation_at(&Subnet::parse("192.168.8.0/24").unwrap()),
            None
        );
    }

    /// Contract B.12.C.7: the broadcast address of IPv4 and every network address are out, but for the smallest prefixes.
    #[test]
    fn gateway_indexes_end_with_the_usable_addresses() {
        let valid = |cidr: &str, prefix: u8, index: i32| {
            parse(&json!({"cidr": cidr, "perNodeNetworkPrefix": prefix, "gatewayIndex": index})).is_ok()
        };
        for (cidr, prefix, first, last) in [
            ("10.0.0.0/16", 24, 1, 254),
            ("10.0.0.0/16", 31, 0, 1),
            ("10.0.0.0/16", 32, 0, 0),
            ("fd00::/64", 120, 1, 255),
            ("fd00::/64", 127, 0, 1),
            ("fd00::/64", 128, 0, 0),
            ("fd00::/64", 64, 1, i32::MAX),
        ] {
            assert!(
                valid(cidr, prefix, first) && valid(cidr, prefix, last),
                "{cidr} {prefix}"
            );
            assert!(!valid(cidr, prefix, first - 1), "{cidr} {prefix} {first}");
            assert!(
                last == i32::MAX || !valid(cidr, prefix, last + 1),
                "{cidr} {prefix} {last}"
            );
        }
    }

    /// Each is as close to breaking a rule of contract B.12.C as can be.
    #[test]
    fn no_rule_forbids_more_than_it_says() {
        for changes in [
            json!({"perNodeNetworkPrefix": 16}),
            json!({"perNodeNetworkPrefix": 32}),
            json!({"cidr": "0.0.0.0/0", "perNodeNetworkPrefix": 1}),
            json!({"cidr": "fd00::/64", "perNodeNetworkPrefix": 128}),
            json!({"exclusions": [{"startIP": "10.0.0.0", "endIP": "10.0.255.255"}, {"startIP": "10.0.0.7", "endIP": "10.0.0.7"}]}),
            json!({"perNodeExclusions": [{"startIndex": 0, "endIndex": 255}, {"startIndex": 255, "endIndex": 255}]}),
            json!({"cidr": "fd00::/48", "perNodeNetworkPrefix": 64,
                "perNodeExclusions": [{"startIndex": 0, "endIndex": i32::MAX}]}),
            json!({"gatewayIndex": 1, "routes": [{"dst": "0.0.0.0/0"}, {"dst": "1.2.3.4/8"}]}),
            json!({"gatewayIndex": 1, "defaultGateway": true, "routes": [{"dst": "0.0.0.0/1"}]}),
            json!({"staticAllocations": [{"prefix": "10.0.0.0/24"}, {"prefix": "10.0.255.0/24", "gateway": "10.0.255.0"},
                {"nodeName": "a", "prefix": "10.0.1.0/24", "gateway": "10.0.1.255"}]}),
        ] {
            let mut spec = json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": 24});
            spec.as_object_mut()
                .unwrap()
                .extend(changes.as_object().unwrap().clone());
            assert_eq!(parse(&spec).err(), None, "{spec}");
        }
    }

    /// Each case breaks the rules whose messages follow, and no other.
    #[test]
    fn every_broken_rule_is_said() {
        let text = str::to_owned;
        let cases: Vec<(Value, Vec<String>)> = vec![
            (
                json!({"cidr": "x", "perNodeNetworkPrefix": 0, "defaultGateway": true, "routes": [{"dst": "y"}]}),
                vec![
                    text(r#"spec.cidr: Invalid value: "x": is invalid cidr"#),
                    text(
                        "spec.defaultGateway: Invalid value: true: cannot be true if spec.gatewayIndex is not set",
                    ),
                    text(
                        r#"spec.routes: Invalid value: [{"dst":"y"}]: cannot be set if spec.gatewayIndex is not set"#,
                    ),
                    text(r#"spec.routes[0].dst: Invalid value: "y": is invalid subnet"#),
                ],
            ),
            (
                json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": 24, "gatewayIndex": 1, "defaultGateway": true,
                    "nodeSelector": {"nodeSelectorTerms": []}, "routes": [{"dst": "fd00::/8"}, {"dst": "0.0.0.0/0"}]}),
                vec![
                    text("spec.nodeSelectorTerms: Required value: must have at least one node selector term"),
                    text(
                        r#"spec.routes[0].dst: Invalid value: "fd00::/8": is not same address family IPv4/IPv6"#,
                    ),
                    text(
                        r#"spec.routes[1].dst: Invalid value: "0.0.0.0/0": default route is not allowed if 'defaultGateway' is true"#,
                    ),
                ],
            ),
            (
                json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": 24, "defaultGateway": true,
                    "staticAllocations": [{"nodeName": "a", "prefix": "10.0.0.0/24", "gateway": "10.0.0.1"}]}),
                vec![text(
                    "spec.defaultGateway: Invalid value: true: cannot be true if spec.gatewayIndex is not set",
                )],
            ),
            (
                json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": 24, "gatewayIndex": 255,
                    "exclusions": [{"startIP": "10.0.0.9", "endIP": "10.0.0.8"}, {"startIP": "10.1.0.0", "endIP": "y"}],
                    "perNodeExclusions": [{"startIndex": 5, "endIndex": 256}, {"startIndex": -1, "endIndex": 4}]}),
                vec![
                    text(
                        "spec.gatewayIndex: Invalid value: 255: gateway index is outside of the node prefix",
                    ),
                    text(
                        r#"spec.exclusions[0]: Invalid value: {"startIP":"10.0.0.9","endIP":"10.0.0.8"}: endIP should be equal or greater than startIP"#,
                    ),
                    text(
                        r#"spec.exclusions[1].startIP: Invalid value: "10.1.0.0": is not part of the 10.0.0.0/16 subnet"#,
                    ),
                    text(r#"spec.exclusions[1].endIP: Invalid value: "y": is invalid IP address"#),
                    text(
                        "spec.perNodeExclusions[0].endIndex: Invalid value: 256: index is outside of the per-node subnet range (max: 255)",
                    ),
                    text("spec.perNodeExclusions[1].startIndex: Invalid value: -1: must be non-negative"),
                ],
            ),
        ];
        for (spec, expected) in cases {
            assert_eq!(parse(&spec).unwrap_err(), expected, "{spec}");
        }
    }

    /// Rules 2 to 6.
    #[test]
    fn of_the_rules_on_network_and_prefixes_the_first_broken_one_is_said() {
        let cut = r#"must be less or equal than network prefix size in the "cidr" field"#;
        let length = |value: i32| format!("spec.perNodeNetworkPrefix: Invalid value: {value}: {cut}");
        let text = str::to_owned;
        let cases: Vec<(Value, Vec<String>)> = vec![
            (
                json!({"cidr": "10.0.0.1/16", "perNodeNetworkPrefix": 24}),
                vec![text(
                    r#"spec.cidr: Invalid value: "10.0.0.1/16": network prefix has host bits set"#,
                )],
            ),
            (
                json!({"cidr": "10.0.0.1/16", "perNodeNetworkPrefix": 15, "gatewayIndex": -1}),
                vec![text(
                    r#"spec.cidr: Invalid value: "10.0.0.1/16": network prefix has host bits set"#,
                )],
            ),
            (
                json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": 24, "gatewayIndex": -1}),
                vec![text("spec.gatewayIndex: Invalid value: -1: must not be negative")],
            ),
            (
                json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": -1}),
                vec![text(
                    "spec.perNodeNetworkPrefix: Invalid value: -1: must not be negative",
                )],
            ),
            (
                json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": 0}),
                vec![length(0)],
            ),
            (
                json!({"cidr": "0.0.0.0/0", "perNodeNetworkPrefix": 0}),
                vec![length(0)],
            ),
            (
                json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": 15}),
                vec![length(15)],
            ),
            (
                json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": 33}),
                vec![length(33)],
            ),
            (
                json!({"cidr": "fd00::/16", "perNodeNetworkPrefix": 129}),
                vec![length(129)],
            ),
            (
                json!({"cidr": "fd00::/16", "perNodeNetworkPrefix": 300}),
                vec![length(300)],
            ),
        ];
        for (spec, expected) in cases {
            assert_eq!(parse(&spec).unwrap_err(), expected, "{spec}");
        }
    }

    #[test]
    fn a_name_that_no_network_can_have_is_refused() {
        let spec = json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": 24});
        let pool = CIDRPool::new("_rail", serde_json::from_value(spec).unwrap());
        assert_eq!(
            CidrPoolConfig::parse(&pool).unwrap_err().to_string(),
            r#"metadata.name: Invalid value: "_rail": invalid CIDR pool name, should be compatible with CNI network name"#
        );
    }
}
