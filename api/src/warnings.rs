//! What is legal in a pool and perhaps not meant. Whoever creates or edits the pool is told, and gets their way.
//!
//! Each warning names its field and is one line: the API server asks for short ones, and clients print them as they come. A
//! list with thousands of entries makes few of them.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::cidrpool_config::CidrPoolConfig;
use crate::interval::IntervalSet;
use crate::ippool::IPPoolSpec;
use crate::ippool_config::IpPoolConfig;
use crate::layout::Layout;
use crate::node_pool::cidrpool::exclusions;
use crate::pool_key::PoolKind;
use crate::range::{Family, Range, number, parse_address};
use crate::subnet::Subnet;

/// How many of the pools that overlap are named.
const NAMED: usize = 3;

/// How many entries of a list are warned of one by one, for each thing that can be wrong with them.
const ENTRIES: usize = 5;

/// What is suspicious in an IPPool; `config` is `spec`, parsed.
#[must_use]
pub fn of_ippool(spec: &IPPoolSpec, config: &IpPoolConfig) -> Vec<String> {
    let mut warnings = Vec::new();
    if Subnet::parse_exact(&spec.subnet).is_none() {
        warnings.push(format!(
            "spec.subnet: {} has host bits set and is read as {}",
            spec.subnet, config.subnet
        ));
    }
    warnings.extend(useless_exclusions(spec, config));
    let free = config
        .layout
        .free_blocks(&IntervalSet::new(), &config.exclusions, config.gateway)
        .next();
    if free.is_none() {
        warnings.push(
            "spec.exclusions, spec.perNodeExclusions and spec.gateway leave no address of any block: no node gets one"
                .to_owned(),
        );
    } else if config.layout.blocks() == 1 && config.node_selector.is_none() {
        warnings.push(format!(
            "spec.perNodeBlockSize: there is room for one block of {} addresses, so only one node gets addresses",
            config.layout.block_size()
        ));
    }
    warnings.extend(config.gateway.and_then(|gateway| {
        no_host("spec.gateway", &config.subnet, gateway).or_else(|| costly_gateway(config, gateway))
    }));
    warnings
}

/// What is suspicious in a CIDRPool.
#[must_use]
pub fn of_cidrpool(config: &CidrPoolConfig) -> Vec<String> {
    let mut warnings = Vec::new();
    let nothing_taken = IntervalSet::new();
    let mut free = config
        .layout
        .free_blocks(&nothing_taken, &config.exclusions, None);
    if free.next().is_none() {
        warnings.push(
            "spec.exclusions and spec.perNodeExclusions leave no address of any prefix: no node gets one, except by \
             spec.staticAllocations"
                .to_owned(),
        );
    } else if config.layout.blocks() == 1
        && config.node_selector.is_none()
        && config.static_allocations.is_empty()
    {
        warnings.push(format!(
            "spec.perNodeNetworkPrefix: {} is the only prefix of its length, so only one node gets addresses",
            config.cidr
        ));
    }
    if config.has_gateways() && config.layout.block_size() == 1 {
        warnings.push(
            "spec.gatewayIndex: each prefix is one address, which is its gateway: there is none to hand out"
                .to_owned(),
        );
    }
    let allocations = || config.static_allocations.iter().enumerate();
    let useless = allocations().filter_map(|(i, allocation)| {
        let (node, prefix) = (allocation.node.as_ref()?, &allocation.prefix);
        nothing_left(config, node, prefix).then(|| {
            format!(
                "spec.staticAllocations[{i}].prefix: every address of {prefix} is excluded: {node} has none to hand out"
            )
        })
    });
    warnings.extend(few("spec.staticAllocations", useless));
    let gateways = allocations().filter_map(|(i, allocation)| {
        let field = format!("spec.staticAllocations[{i}].gateway");
        no_host(&field, &allocation.prefix, allocation.gateway?)
    });
    warnings.extend(few("spec.staticAllocations", gateways));
    warnings
}

/// The first of the warnings that are of one kind, and how many more there are in `list`.
fn few(list: &str, mut warnings: impl Iterator<Item = String>) -> Vec<String> {
    let mut few: Vec<String> = warnings.by_ref().take(ENTRIES).collect();
    let more = warnings.count();
    if more > 0 {
        few.push(format!("{list}: and {more} more like the last one"));
    }
    few
}

/// Whether `node` has nothing to hand out of a prefix that it has by a static allocation.
fn nothing_left(config: &CidrPoolConfig, node: &str, prefix: &Subnet) -> bool {
    let excluded = exclusions(config, node, prefix).of(&prefix.addresses());
    let (first, last) = prefix.usable().numbers();
    excluded.covers(first, last)
}

/// That the network `net` of a pool, which stands in `field`, overlaps those of other pools. Fine where the pools' networks
/// never meet; elsewhere two pods get the same address.
#[must_use]
pub fn overlaps<'a>(
    field: &str,
    net: &IpNet,
    others: impl IntoIterator<Item = (PoolKind, &'a str, IpNet)>,
) -> Option<String> {
    let mut overlapping = others
        .into_iter()
        .filter(|(.., other)| net.contains(other) || other.contains(net))
        .map(|(kind, name, other)| format!("{kind}/{name} ({other})"));
    let mut named: Vec<String> = overlapping.by_ref().take(NAMED).collect();
    let more = overlapping.count();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    let list = match named.split_last()? {
        (only, []) => only.clone(),
        (last, others) => format!("{} and {last}", others.join(", ")),
    };
    Some(format!(
        "{field}: {net} overlaps {list}: where their networks meet, two pods can have one address"
    ))
}

/// Exclusions that no block has an address of: of the network or broadcast address, or behind the last block.
fn useless_exclusions(spec: &IPPoolSpec, config: &IpPoolConfig) -> Vec<String> {
    let Some(dealt) = dealt(&config.layout) else {
        return Vec::new();
    };
    let read = spec.exclusions.iter().map(|exclusion| {
        let (first, last) = (
            parse_address(&exclusion.start_ip)?,
            parse_address(&exclusion.end_ip)?,
        );
        Range::new(first, last).ok()
    });
    let useless = read
        .enumerate()
        .filter_map(|(i, range)| Some((i, range?)))
        .filter(|(_, range)| dealt.intersection(range).is_none())
        .map(|(i, range)| format!("spec.exclusions[{i}]: {range} lies in no block and excludes nothing"));
    few("spec.exclusions", useless)
}

/// From the first address of the first block to the last of the last.
fn dealt(layout: &Layout) -> Option<Range> {
    let (first, last) = (layout.block(0)?, layout.block(layout.blocks().checked_sub(1)?)?);
    Range::new(first.first(), last.last()).ok()
}

/// A gateway that takes an address from the node that gets its block. A block that is nothing but the gateway is not dealt.
fn costly_gateway(config: &IpPoolConfig, gateway: IpAddr) -> Option<String> {
    let n = number(gateway);
    let offset = n.checked_sub(config.layout.block(0)?.numbers().0)?;
    let block = config.layout.block(offset / config.layout.block_size())?;
    let excluded = config.exclusions.of(&block).contains(n);
    (block.size() > 1 && !excluded).then(|| {
        format!(
            "spec.gateway: {gateway} lies in the block {block}, whose node has one address less to hand out"
        )
    })
}

/// A gateway at an address that no host can have. (In IPv6 a router may have the first one: RFC 4291, 2.6.1.)
fn no_host(field: &str, subnet: &Subnet, gateway: IpAddr) -> Option<String> {
    if subnet.family() == Family::V6 || subnet.usable().contains(gateway) {
        return None;
    }
    let which = if gateway == subnet.net().network() {
        "network"
    } else {
        "broadcast"
    };
    Some(format!("{field}: {gateway} is the {which} address of {subnet}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cidrpool::CIDRPool;
    use crate::ippool::IPPool;

    fn ippool(spec: &Value) -> Vec<String> {
        let pool = IPPool::new("pool1", serde_json::from_value(spec.clone()).unwrap());
        of_ippool(&pool.spec, &IpPoolConfig::parse(&pool).unwrap())
    }

    fn cidrpool(spec: &Value) -> Vec<String> {
        let pool = CIDRPool::new("pool1", serde_json::from_value(spec.clone()).unwrap());
        of_cidrpool(&CidrPoolConfig::parse(&pool).unwrap())
    }

    fn ippool_with(changes: &Value) -> Vec<String> {
        let mut spec = json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 100});
        spec.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        ippool(&spec)
    }

    fn cidrpool_with(changes: &Value) -> Vec<String> {
        let mut spec = json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": 24, "gatewayIndex": 1});
        spec.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        cidrpool(&spec)
    }

    #[test]
    fn what_is_usual_has_no_warning() {
        for changes in [
            json!({}),
            json!({"subnet": "fd00::/64"}),
            json!({"gateway": "10.0.0.254"}),
            json!({"gateway": "10.0.0.1", "exclusions": [{"startIP": "10.0.0.0", "endIP": "10.0.0.10"}]}),
            json!({"gateway": "10.0.0.1", "perNodeExclusions": [{"startIndex": 0, "endIndex": 0}]}),
            json!({"gateway": "10.0.0.1", "perNodeBlockSize": 1}),
            json!({"subnet": "fd00::/120", "gateway": "fd00::"}),
            json!({"perNodeBlockSize": 254, "nodeSelector": {"nodeSelectorTerms": [{"matchFields": [
                {"key": "metadata.name", "operator": "In", "values": ["host-a"]}]}]}}),
        ] {
            assert_eq!(ippool_with(&changes), [""; 0], "{changes}");
        }
        for changes in [
            json!({}),
            json!({"perNodeNetworkPrefix": 31, "gatewayIndex": 0}),
            json!({"cidr": "fd00::/48", "perNodeNetworkPrefix": 64}),
            json!({"perNodeNetworkPrefix": 16, "staticAllocations": [{"nodeName": "a", "prefix": "10.0.0.0/16"}]}),
            json!({"staticAllocations": [{"nodeName": "a", "prefix": "10.0.4.0/24", "gateway": "10.0.4.9"}]}),
            // Kept from being dealt, and given by name: the exclusion doesn't hold there (contract B.7).
            json!({"exclusions": [{"startIP": "10.0.4.0", "endIP": "10.0.6.0"}],
                "staticAllocations": [{"nodeName": "a", "prefix": "10.0.5.0/24"}]}),
        ] {
            assert_eq!(cidrpool_with(&changes), [""; 0], "{changes}");
        }
    }

    #[test]
    fn an_ippool_that_is_perhaps_not_meant_so_is_told() {
        for (changes, expected) in [
            (
                json!({"subnet": "10.0.0.7/24"}),
                "spec.subnet: 10.0.0.7/24 has host bits set and is read as 10.0.0.0/24",
            ),
            (
                json!({"exclusions": [{"startIP": "10.0.0.1", "endIP": "10.0.0.1"},
                    {"startIP": "10.0.0.201", "endIP": "10.0.0.255"}]}),
                "spec.exclusions[1]: 10.0.0.201-10.0.0.255 lies in no block and excludes nothing",
            ),
            (
                json!({"exclusions": [{"startIP": "10.0.0.0", "endIP": "10.0.0.0"}]}),
                "spec.exclusions[0]: 10.0.0.0-10.0.0.0 lies in no block and excludes nothing",
            ),
            (
                json!({"perNodeExclusions": [{"startIndex": 0, "endIndex": 99}]}),
                "spec.exclusions, spec.perNodeExclusions and spec.gateway leave no address of any block: no node gets one",
            ),
            (
                json!({"perNodeBlockSize": 254}),
                "spec.perNodeBlockSize: there is room for one block of 254 addresses, so only one node gets addresses",
            ),
            (
                json!({"gateway": "10.0.0.101"}),
                "spec.gateway: 10.0.0.101 lies in the block 10.0.0.101-10.0.0.200, whose node has one address less to hand out",
            ),
            (
                json!({"gateway": "10.0.0.0"}),
                "spec.gateway: 10.0.0.0 is the network address of 10.0.0.0/24",
            ),
            (
                json!({"gateway": "10.0.0.255"}),
                "spec.gateway: 10.0.0.255 is the broadcast address of 10.0.0.0/24",
            ),
        ] {
            assert_eq!(ippool_with(&changes), [expected]);
        }
    }

    #[test]
    fn a_cidrpool_that_is_perhaps_not_meant_so_is_told() {
        for (changes, expected) in [
            (
                json!({"perNodeExclusions": [{"startIndex": 0, "endIndex": 254}]}),
                "spec.exclusions and spec.perNodeExclusions leave no address of any prefix: no node gets one, except by spec.staticAllocations",
            ),
            (
                json!({"perNodeNetworkPrefix": 16}),
                "spec.perNodeNetworkPrefix: 10.0.0.0/16 is the only prefix of its length, so only one node gets addresses",
            ),
            (
                json!({"perNodeNetworkPrefix": 32, "gatewayIndex": 0}),
                "spec.gatewayIndex: each prefix is one address, which is its gateway: there is none to hand out",
            ),
            (
                json!({"exclusions": [{"startIP": "10.0.5.1", "endIP": "10.0.5.254"}],
                    "staticAllocations": [{"prefix": "10.0.4.0/24"}, {"nodeName": "host-a", "prefix": "10.0.5.0/24"}]}),
                "spec.staticAllocations[1].prefix: every address of 10.0.5.0/24 is excluded: host-a has none to hand out",
            ),
            (
                json!({"staticAllocations": [{"prefix": "10.0.4.0/24", "gateway": "10.0.4.255"}]}),
                "spec.staticAllocations[0].gateway: 10.0.4.255 is the broadcast address of 10.0.4.0/24",
            ),
        ] {
            assert_eq!(cidrpool_with(&changes), [expected]);
        }
    }

    #[test]
    fn a_list_with_thousands_of_suspicious_entries_makes_few_warnings() {
        let exclusions = vec![json!({"startIP": "10.0.0.255", "endIP": "10.0.0.255"}); 20_000];
        let warnings = ippool_with(&json!({ "exclusions": exclusions }));
        assert_eq!(warnings.len(), 6);
        assert_eq!(
            warnings[4..],
            [
                "spec.exclusions[4]: 10.0.0.255-10.0.0.255 lies in no block and excludes nothing",
                "spec.exclusions: and 19995 more like the last one",
            ]
        );

        let prefix = |i: u32| format!("10.0.{i}.0/24");
        let allocations: Vec<Value> = (0..7)
            .map(|i| json!({"nodeName": format!("n{i}"), "prefix": prefix(i), "gateway": format!("10.0.{i}.255")}))
            .collect();
        // Starting in each, they hold there (contract B.7).
        let exclusions: Vec<Value> = (0..7)
            .map(|i| json!({"startIP": format!("10.0.{i}.1"), "endIP": format!("10.0.{i}.254")}))
            .collect();
        let warnings = cidrpool_with(&json!({"staticAllocations": allocations, "exclusions": exclusions}));
        assert_eq!(warnings.len(), 12, "{warnings:#?}");
        assert!(warnings[0].starts_with("spec.staticAllocations[0].prefix: "));
        assert!(warnings[6].starts_with("spec.staticAllocations[0].gateway: "));
        for more in [5, 11] {
            assert_eq!(
                warnings[more],
                "spec.staticAllocations: and 2 more like the last one"
            );
        }
    }

    #[test]
    fn pools_that_overlap_are_named_up_to_a_few() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let own = net("10.0.0.0/16");
        let others = [
            (PoolKind::IpPool, "apart", net("10.1.0.0/16")),
            (PoolKind::IpPool, "v6", net("::/0")),
            (PoolKind::CidrPool, "inside", net("10.0.3.0/24")),
            (PoolKind::IpPool, "around", net("10.0.0.0/8")),
            (PoolKind::IpPool, "same", own),
            (PoolKind::IpPool, "fourth", own),
            (PoolKind::IpPool, "fifth", own),
        ];
        assert_eq!(overlaps("spec.subnet", &own, others[..2].to_vec()), None);
        assert_eq!(
            overlaps("spec.subnet", &own, others[..3].to_vec()).unwrap(),
            "spec.subnet: 10.0.0.0/16 overlaps cidrpool/inside (10.0.3.0/24): where their networks meet, two pods can have one address"
        );
        assert!(
            overlaps("spec.cidr", &own, others[..4].to_vec())
                .unwrap()
                .contains("(10.0.3.0/24) and ippool/around (10.0.0.0/8): where")
        );
        let many = overlaps("spec.cidr", &own, others).unwrap();
        assert!(
            many.contains(", ippool/same (10.0.0.0/16) and 2 more: where") && !many.contains("fourth"),
            "{many}"
        );
    }

    #[test]
    fn networks_of_2_to_the_64_prefixes_are_judged_at_once() {
        let all = json!([{"startIP": "fd00::", "endIP": "fd00::ffff:ffff:ffff:ffff:ffff"}]);
        let warnings =
            cidrpool(&json!({"cidr": "fd00::/48", "perNodeNetworkPrefix": 112, "exclusions": all}));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let warnings = ippool(&json!({"subnet": "fd00::/48", "perNodeBlockSize": 2, "exclusions": all}));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }
}
