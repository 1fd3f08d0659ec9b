//! What one node needs to know of a pool to hand out addresses.

use std::net::IpAddr;

use ipnet::IpNet;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

use crate::interval::IntervalSet;
use crate::ippool::{Allocation, IPPool};
use crate::ippool_config::IpPoolConfig;
use crate::layout;
use crate::pool_key::{PoolKey, PoolKind};
use crate::range::{Range, parse_address};

/// A pool as one node sees it: the node's range, and how addresses of it are handed out.
///
/// It can be stored and read again: the daemon goes on from what it stored while the API server is away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePool {
    /// Kind and name of the pool.
    pub key: PoolKey,
    /// UID of the pool object; a pool re-created under the same name has another one.
    pub uid: String,
    /// The subnet whose prefix length pods get, and in which static addresses must lie. In CIDR notation, without host
    /// bits.
    pub subnet: IpNet,
    /// The addresses that are this node's alone.
    pub range: Range,
    /// Gateway of the subnet, never handed out.
    pub gateway: Option<IpAddr>,
    /// Excluded addresses of the range, ascending and disjoint.
    pub exclusions: Vec<Range>,
    /// Whether pods get a default route through the gateway.
    pub default_gateway: bool,
    /// Destinations that pods reach through the gateway, in the order of the spec.
    pub routes: Vec<IpNet>,
}

impl NodePool {
    /// The addresses that can be handed out to whoever asks for any: the range without exclusions and gateway.
    #[must_use]
    pub fn available(&self) -> IntervalSet {
        let excluded = self.exclusions.iter().map(Range::numbers).collect();
        layout::available(&self.range, &excluded, self.gateway)
    }
}

/// What a node makes of a pool object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// The pool has no range for this node.
    NotHere,
    /// The pool as its object says.
    Current(NodePool),
    /// The object can't be followed, for the reason said; the configuration that was in force stays.
    Kept(NodePool, String),
    /// The object can't be followed, for the reason said, and no configuration was in force before.
    Unusable(String),
}

/// The node's view of `pool`, where `previous` is what was in force until now.
///
/// An invalid spec, or one that does not contain the range that the node has, never changes what was in force: pods run
/// with it. Gateway, exclusions and routes follow as soon as the spec is valid again and contains the range.
#[must_use]
pub fn view(pool: &IPPool, node: &str, previous: Option<&NodePool>) -> View {
    let allocations = pool
        .status
        .as_ref()
        .map(|status| &status.allocations[..])
        .unwrap_or_default();
    let Some(allocation) = allocations.iter().find(|a| a.node_name == node) else {
        return View::NotHere;
    };
    let refused = |reason: String, range: Option<Range>| match previous {
        // Of another range, or of another pool of that name, `previous` says nothing about this one.
        Some(previous)
            if range.is_none_or(|r| r == previous.range)
                && previous.uid == pool.uid().unwrap_or_default() =>
        {
            View::Kept(previous.clone(), reason)
        }
        _ => View::Unusable(reason),
    };
    let Some(range) = allocated_range(allocation) else {
        return refused(
            format!(
                "its allocation for this node, {} to {}, is not a range",
                allocation.start_ip, allocation.end_ip
            ),
            None,
        );
    };
    match IpPoolConfig::parse(pool) {
        Err(errors) => refused(format!("its spec is invalid: {errors}"), Some(range)),
        Ok(config) if !config.subnet.usable().contains_range(&range) => refused(
            format!(
                "its subnet {} doesn't contain this node's range {range}",
                config.subnet
            ),
            Some(range),
        ),
        Ok(config) => View::Current(node_pool(pool, &config, range)),
    }
}

/// The block that a status entry says. `None` if it says none.
#[must_use]
pub fn allocated_range(allocation: &Allocation) -> Option<Range> {
    let (first, last) = parse_address(&allocation.start_ip).zip(parse_address(&allocation.end_ip))?;
    Range::new(first, last).ok()
}

fn node_pool(pool: &IPPool, config: &IpPoolConfig, range: Range) -> NodePool {
    let exclusions = config.exclusions.of(&range);
    NodePool {
        key: PoolKey::new(PoolKind::IpPool, &pool.name_any()),
        uid: pool.uid().unwrap_or_default(),
        subnet: config.subnet.net(),
        range,
        gateway: config.gateway,
        exclusions: exclusions
            .iter()
            .map(|(f, l)| Range::ordered(range.family(), f, l))
            .collect(),
        default_gateway: config.default_gateway,
        routes: config.routes.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pool(spec: &Value, allocations: &Value) -> IPPool {
        serde_json::from_value(json!({
            "apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": "IPPool",
            "metadata": {"name": "pool1", "namespace": "kube-system", "uid": "u1"},
            "spec": spec, "status": {"allocations": allocations},
        }))
        .unwrap()
    }

    fn spec() -> Value {
        json!({"subnet": "192.168.0.0/16", "perNodeBlockSize": 24, "gateway": "192.168.0.1"})
    }

    fn host_a() -> Value {
        json!([{"nodeName": "host-a", "startIP": "192.168.0.1", "endIP": "192.168.0.24"}])
    }

    fn current(pool: &IPPool, previous: Option<&NodePool>) -> NodePool {
        match view(pool, "host-a", previous) {
            View::Current(node_pool) => node_pool,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_node_sees_its_own_range() {
        let mine = current(&pool(&spec(), &host_a()), None);
        assert_eq!(mine.range.to_string(), "192.168.0.1-192.168.0.24");
        assert_eq!(mine.subnet.to_string(), "192.168.0.0/16");
        assert_eq!(mine.available().iter().count(), 1);
        assert_eq!(mine.available().len(), 23, "the gateway costs one");
        assert_eq!(view(&pool(&spec(), &host_a()), "host-b", None), View::NotHere);
        assert_eq!(view(&pool(&spec(), &json!([])), "host-a", None), View::NotHere);
    }

    #[test]
    fn overlapping_exclusions_of_both_kinds_are_merged() {
        let mut spec = spec();
        spec["exclusions"] = json!([{"startIP": "192.168.0.10", "endIP": "192.168.0.20"},
                                    {"startIP": "192.168.0.15", "endIP": "192.168.0.16"}]);
        spec["perNodeExclusions"] = json!([{"startIndex": 0, "endIndex": 10}]);
        let mine = current(&pool(&spec, &host_a()), None);
        assert_eq!(
            mine.exclusions
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["192.168.0.1-192.168.0.20"]
        );
        assert_eq!(mine.available().len(), 4);
    }

    #[test]
    fn an_invalid_edit_changes_nothing() {
        let before = current(&pool(&spec(), &host_a()), None);
        let mut broken = spec();
        broken["gateway"] = json!("10.0.0.1");
        assert!(
            matches!(view(&pool(&broken, &host_a()), "host-a", Some(&before)), View::Kept(p, _) if p == before)
        );
        broken = spec();
        broken["subnet"] = json!("10.0.0.0/16");
        broken["gateway"] = json!("10.0.0.1");
        assert!(
            matches!(view(&pool(&broken, &host_a()), "host-a", Some(&before)), View::Kept(p, _) if p == before)
        );
        assert!(matches!(
            view(&pool(&broken, &host_a()), "host-a", None),
            View::Unusable(_)
        ));
    }

    #[test]
    fn gateway_and_routes_follow_a_valid_edit() {
        let before = current(&pool(&spec(), &host_a()), None);
        let mut edited = spec();
        edited["gateway"] = json!("192.168.0.2");
        edited["perNodeBlockSize"] = json!(100);
        edited["routes"] = json!([{"dst": "5.5.0.0/16"}]);
        let after = current(&pool(&edited, &host_a()), Some(&before));
        assert_eq!(after.gateway, "192.168.0.2".parse().ok());
        assert_eq!(
            after.range, before.range,
            "the range is the status's, not the layout's"
        );
        assert_eq!(after.routes.len(), 1);
    }

    #[test]
    fn what_was_in_force_is_not_taken_over_by_another_range_or_pool() {
        let before = current(&pool(&spec(), &host_a()), None);
        let broken = json!({"subnet": "x", "perNodeBlockSize": 24});
        let moved = json!([{"nodeName": "host-a", "startIP": "192.168.0.25", "endIP": "192.168.0.48"}]);
        assert!(matches!(
            view(&pool(&broken, &moved), "host-a", Some(&before)),
            View::Unusable(_)
        ));
        let mut recreated = pool(&broken, &host_a());
        recreated.metadata.uid = Some("u2".to_owned());
        assert!(matches!(
            view(&recreated, "host-a", Some(&before)),
            View::Unusable(_)
        ));
    }

    #[test]
    fn a_stored_pool_is_read_again() {
        let mine = current(&pool(&spec(), &host_a()), None);
        let text = serde_json::to_string(&mine).unwrap();
        assert_eq!(serde_json::from_str::<NodePool>(&text).unwrap(), mine);
    }
}
