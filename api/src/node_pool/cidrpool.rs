//! A CIDRPool, as a node looks at it.

use kube::ResourceExt;

use super::{Neighbours, NodePool, NodeView, View, refused};
use crate::cidrpool::{CIDRPool, CIDRPoolAllocation};
use crate::cidrpool_config::CidrPoolConfig;
use crate::layout::Exclusions;
use crate::pool_key::{PoolKey, PoolKind};
use crate::range::Range;
use crate::subnet::Subnet;

impl NodeView for CIDRPool {
    const KIND: PoolKind = PoolKind::CidrPool;

    fn view(&self, node: &str, previous: Option<&NodePool>) -> View {
        let allocations = self.status.as_ref().map_or(&[][..], |status| &status.allocations);
        let Some(allocation) = allocations.iter().find(|a| a.node_name == node) else {
            return View::NotHere;
        };
        let Some(prefix) = allocated_prefix(allocation) else {
            let reason = format!(
                "its allocation for this node, {}, is not a network prefix",
                allocation.prefix
            );
            return refused(previous, self.uid(), None, reason);
        };
        match node_pool(self, node, prefix) {
            Ok(pool) => View::Current(pool),
            Err(reason) => refused(previous, self.uid(), Some(prefix.usable()), reason),
        }
    }

    /// None: a node's prefix is a subnet of its own.
    fn neighbours(&self, _: &str) -> Neighbours {
        Neighbours::default()
    }
}

/// The prefix that a status entry says. `None` if it says none.
#[must_use]
pub fn allocated_prefix(allocation: &CIDRPoolAllocation) -> Option<Subnet> {
    Subnet::parse_exact(&allocation.prefix)
}

fn node_pool(pool: &CIDRPool, node: &str, prefix: Subnet) -> Result<NodePool, String> {
    let config = CidrPoolConfig::parse(pool).map_err(|errors| format!("its spec is invalid: {errors}"))?;
    if !config.cidr.contains_subnet(&prefix) {
        return Err(format!(
            "its cidr {} doesn't contain this node's prefix {prefix}",
            config.cidr
        ));
    }
    let gateway = config.gateway_of(node, &prefix);
    if gateway.is_none() && config.has_gateways() {
        return Err(format!(
            "its gatewayIndex is outside of this node's prefix {prefix}"
        ));
    }
    let range = prefix.usable();
    let excluded = exclusions(&config, node, &prefix).of(&prefix.addresses());
    Ok(NodePool {
        key: PoolKey::new(PoolKind::CidrPool, &pool.name_any()),
        uid: pool.uid().unwrap_or_default(),
        subnet: prefix.net(),
        range,
        gateway,
        exclusions: excluded
            .iter()
            .filter_map(|(f, l)| Range::from_numbers(range.family(), f, l)?.intersection(&range))
            .collect(),
        default_gateway: config.default_gateway,
        routes: config.routes,
    })
}

/// What is excluded in this prefix when it is `node`'s. An entry that covers all of a prefix and more keeps it from being dealt; who is given
/// it nevertheless, by a static allocation, is meant to use it (contract B.7).
pub(crate) fn exclusions(config: &CidrPoolConfig, node: &str, prefix: &Subnet) -> Exclusions {
    let addresses = prefix.addresses();
    let is_meant = config
        .static_allocation_of(node)
        .is_some_and(|allocation| allocation.prefix == *prefix);
    let (first, last) = addresses.numbers();
    let goes_beyond = |range: &Range| {
        let (f, l) = range.numbers();
        f < first && last < l
    };
    let ranges = config.excluded_ranges.iter().copied();
    config
        .exclusions
        .with_ranges(ranges.filter(|range| !(is_meant && goes_beyond(range))))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pool(spec: &Value, prefix: &str) -> CIDRPool {
        serde_json::from_value(json!({
            "apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": "CIDRPool",
            "metadata": {"name": "rail", "namespace": "kube-system", "uid": "u1"},
            "spec": spec, "status": {"allocations": [{"nodeName": "host-a", "prefix": prefix}]},
        }))
        .unwrap()
    }

    fn spec() -> Value {
        json!({"cidr": "192.168.0.0/16", "perNodeNetworkPrefix": 24, "gatewayIndex": 1})
    }

    fn current(spec: &Value, prefix: &str) -> NodePool {
        match pool(spec, prefix).view("host-a", None) {
            View::Current(node_pool) => node_pool,
            other => panic!("{other:?}"),
        }
    }

    fn excluded(pool: &NodePool) -> Vec<String> {
        pool.exclusions.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_prefix_is_a_subnet_of_its_own() {
        let mine = current(&spec(), "192.168.7.0/24");
        assert_eq!(mine.key.as_str(), "cidrpool/rail");
        assert_eq!(mine.subnet.to_string(), "192.168.7.0/24");
        assert_eq!(mine.range.to_string(), "192.168.7.1-192.168.7.254");
        assert_eq!(mine.gateway, "192.168.7.1".parse().ok());
        assert_eq!(
            pool(&spec(), "192.168.7.0/24").view("host-b", None),
            View::NotHere
        );
    }

    #[test]
    fn point_to_point_prefixes_are_used_whole() {
        let p2p = json!({"cidr": "10.0.0.0/24", "perNodeNetworkPrefix": 31, "gatewayIndex": 0});
        let mine = current(&p2p, "10.0.0.4/31");
        assert_eq!(mine.range.to_string(), "10.0.0.4-10.0.0.5");
        assert_eq!(mine.gateway, "10.0.0.4".parse().ok());
    }

    #[test]
    fn exclusions_of_both_kinds_are_merged_and_indexes_count_from_the_network_address() {
        let mut spec = spec();
        spec["exclusions"] = json!([{"startIP": "192.168.7.10", "endIP": "192.168.7.20"},
            {"startIP": "192.168.7.250", "endIP": "192.168.9.3"}]);
        spec["perNodeExclusions"] =
            json!([{"startIndex": 0, "endIndex": 10}, {"startIndex": 30, "endIndex": 31}]);
        assert_eq!(
            excluded(&current(&spec, "192.168.7.0/24")),
            [
                "192.168.7.1-192.168.7.20",
                "192.168.7.30-192.168.7.31",
                "192.168.7.250-192.168.7.254"
            ]
        );
    }

    /// Contract B.7.
    #[test]
    fn an_exclusion_beyond_a_prefix_is_ignored_by_the_node_that_is_given_it_nevertheless() {
        let mut spec = spec();
        spec["exclusions"] = json!([{"startIP": "192.168.6.0", "endIP": "192.168.8.3"},
            {"startIP": "192.168.7.9", "endIP": "192.168.7.9"}]);
        let everything = ["192.168.7.1-192.168.7.254"];
        assert_eq!(excluded(&current(&spec, "192.168.7.0/24")), everything);
        spec["staticAllocations"] = json!([{"nodeName": "host-a", "prefix": "192.168.7.0/24"}]);
        assert_eq!(
            excluded(&current(&spec, "192.168.7.0/24")),
            ["192.168.7.9-192.168.7.9"]
        );
        spec["staticAllocations"] = json!([{"nodeName": "host-a", "prefix": "192.168.9.0/24"}]);
        assert_eq!(
            excluded(&current(&spec, "192.168.7.0/24")),
            everything,
            "it is given another one"
        );
    }

    /// Contract B.7: whoever excludes addresses of a prefix means these, though they be all that it has.
    #[test]
    fn an_exclusion_that_begins_or_ends_in_a_static_prefix_holds_there() {
        for (first, last, expected) in [
            ("192.168.7.0", "192.168.7.255", "192.168.7.1-192.168.7.254"),
            ("192.168.7.0", "192.168.9.3", "192.168.7.1-192.168.7.254"),
            ("192.168.6.0", "192.168.7.255", "192.168.7.1-192.168.7.254"),
            ("192.168.6.0", "192.168.7.20", "192.168.7.1-192.168.7.20"),
            ("192.168.7.250", "192.168.9.3", "192.168.7.250-192.168.7.254"),
        ] {
            let mut spec = spec();
            spec["exclusions"] = json!([{"startIP": first, "endIP": last}]);
            spec["staticAllocations"] = json!([{"nodeName": "host-a", "prefix": "192.168.7.0/24"}]);
            assert_eq!(
                excluded(&current(&spec, "192.168.7.0/24")),
                [expected],
                "{first} {last}"
            );
        }
    }

    #[test]
    fn a_static_allocation_has_its_own_gateway_for_its_own_prefix() {
        let mut spec = spec();
        spec["staticAllocations"] =
            json!([{"nodeName": "host-a", "prefix": "192.168.7.0/24", "gateway": "192.168.7.99"}]);
        assert_eq!(
            current(&spec, "192.168.7.0/24").gateway,
            "192.168.7.99".parse().ok()
        );
        assert_eq!(
            current(&spec, "192.168.8.0/24").gateway,
            "192.168.8.1".parse().ok()
        );
    }

    #[test]
    fn an_edit_that_cannot_be_followed_changes_nothing() {
        let before = current(&spec(), "192.168.7.0/24");
        for broken in [
            json!({"cidr": "192.168.0.0/16", "perNodeNetworkPrefix": 24, "gatewayIndex": 300}),
            json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": 24, "gatewayIndex": 1}),
            json!({"cidr": "192.168.0.0/16", "perNodeNetworkPrefix": 20, "gatewayIndex": 300}),
        ] {
            let pool = pool(&broken, "192.168.7.0/24");
            assert!(
                matches!(pool.view("host-a", Some(&before)), View::Kept(kept, _) if kept == before),
                "{broken}"
            );
            assert!(matches!(pool.view("host-a", None), View::Unusable(_)), "{broken}");
        }
    }

    #[test]
    fn the_gateway_follows_a_valid_edit_even_of_the_prefix_length() {
        let edited = json!({"cidr": "192.168.0.0/16", "perNodeNetworkPrefix": 26, "gatewayIndex": 2});
        let mine = current(&edited, "192.168.7.0/24");
        assert_eq!(mine.gateway, "192.168.7.2".parse().ok());
        assert_eq!(
            mine.subnet.to_string(),
            "192.168.7.0/24",
            "what is allocated stands"
        );
    }

    #[test]
    fn an_unreadable_allocation_is_no_prefix() {
        for text in ["", "x", "192.168.7.1/24", "192.168.7.0"] {
            assert!(
                matches!(pool(&spec(), text).view("host-a", None), View::Unusable(_)),
                "{text}"
            );
        }
    }
}
