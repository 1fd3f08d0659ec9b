//! An IPPool, as a node looks at it.

use kube::ResourceExt;

use super::{Neighbours, NodePool, NodeView, View, refused};
use crate::interval::IntervalSet;
use crate::ippool::{Allocation, IPPool};
use crate::ippool_config::IpPoolConfig;
use crate::pool_key::{PoolKey, PoolKind};
use crate::range::{Range, parse_address};

impl NodeView for IPPool {
    const KIND: PoolKind = PoolKind::IpPool;

    fn view(&self, node: &str, previous: Option<&NodePool>) -> View {
        let Some(allocation) = allocations(self).iter().find(|a| a.node_name == node) else {
            return View::NotHere;
        };
        let Some(range) = allocated_range(allocation) else {
            let reason = format!(
                "its allocation for this node, {} to {}, is not a range",
                allocation.start_ip, allocation.end_ip
            );
            return refused(previous, self.uid(), None, reason);
        };
        match IpPoolConfig::parse(self) {
            Err(errors) => {
                let reason = format!("its spec is invalid: {errors}");
                refused(previous, self.uid(), Some(range), reason)
            }
            Ok(config) if !config.subnet.usable().contains_range(&range) => {
                let reason = format!(
                    "its subnet {} doesn't contain this node's range {range}",
                    config.subnet
                );
                refused(previous, self.uid(), Some(range), reason)
            }
            Ok(config) => View::Current(node_pool(self, &config, range)),
        }
    }

    fn neighbours(&self, node: &str) -> Neighbours {
        let mut ranges: Vec<(Range, Box<str>)> = Vec::new();
        // Its daemon goes on with the range that it had before, which is said nowhere now.
        let mut unread = None;
        for other in allocations(self).iter().filter(|other| other.node_name != node) {
            match allocated_range(other) {
                Some(range) => ranges.push((range, other.node_name.as_str().into())),
                None => {
                    unread.get_or_insert_with(|| other.node_name.as_str().into());
                }
            }
        }
        ranges.sort_unstable();
        ranges.shrink_to_fit();
        Neighbours {
            excluded: excluded(self, &ranges),
            ranges,
            unread,
        }
    }
}

/// What the nodes that have `ranges` do not hand out to just anybody, by `spec.exclusions`. None of it is if the spec is
/// invalid, and nothing of a range that the subnet doesn't contain: then a node goes on with what was in force
/// before, perhaps without the exclusion.
fn excluded(pool: &IPPool, ranges: &[(Range, Box<str>)]) -> IntervalSet {
    let Ok(config) = IpPoolConfig::parse(pool) else {
        return IntervalSet::new();
    };
    let mut excluded = config.exclusions.addresses().clone();
    let usable = config.subnet.usable();
    for (range, _) in ranges.iter().filter(|(range, _)| !usable.contains_range(range)) {
        let (first, last) = range.numbers();
        excluded.remove(first, last);
    }
    excluded
}

fn allocations(pool: &IPPool) -> &[Allocation] {
    pool.status.as_ref().map_or(&[], |status| &status.allocations)
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
    use crate::node_pool::{Holder, View};

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
        match pool.view("host-a", previous) {
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
        assert_eq!(pool(&spec(), &host_a()).view("host-b", None), View::NotHere);
        assert_eq!(pool(&spec(), &json!([])).view("host-a", None), View::NotHere);
    }

    fn excluded_of(pool: &NodePool) -> Vec<String> {
        pool.exclusions.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn overlapping_exclusions_of_both_kinds_are_merged() {
        let mut spec = spec();
        spec["exclusions"] = json!([{"startIP": "192.168.0.10", "endIP": "192.168.0.20"},
                                    {"startIP": "192.168.0.15", "endIP": "192.168.0.16"}]);
        spec["perNodeExclusions"] = json!([{"startIndex": 0, "endIndex": 10}]);
        let mine = current(&pool(&spec, &host_a()), None);
        assert_eq!(excluded_of(&mine), ["192.168.0.1-192.168.0.20"]);
        assert_eq!(mine.available().len(), 4);
    }

    /// Contract B.7. The range is of an earlier, smaller perNodeBlockSize.
    #[test]
    fn indexes_beyond_a_range_exclude_nothing_of_the_next() {
        let mut spec = spec();
        spec["perNodeBlockSize"] = json!(100);
        spec["perNodeExclusions"] = json!([{"startIndex": 3, "endIndex": 4}, {"startIndex": 20, "endIndex": 50},
            {"startIndex": 60, "endIndex": 70}]);
        let mine = current(&pool(&spec, &host_a()), None);
        assert_eq!(
            excluded_of(&mine),
            ["192.168.0.4-192.168.0.5", "192.168.0.21-192.168.0.24"]
        );
    }

    #[test]
    fn an_invalid_edit_changes_nothing() {
        let before = current(&pool(&spec(), &host_a()), None);
        let mut broken = spec();
        broken["gateway"] = json!("10.0.0.1");
        assert!(
            matches!(pool(&broken, &host_a()).view("host-a", Some(&before)), View::Kept(p, _) if p == before)
        );
        broken = spec();
        broken["subnet"] = json!("10.0.0.0/16");
        broken["gateway"] = json!("10.0.0.1");
        assert!(
            matches!(pool(&broken, &host_a()).view("host-a", Some(&before)), View::Kept(p, _) if p == before)
        );
        assert!(matches!(
            pool(&broken, &host_a()).view("host-a", None),
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
            pool(&broken, &moved).view("host-a", Some(&before)),
            View::Unusable(_)
        ));
        let mut recreated = pool(&broken, &host_a());
        recreated.metadata.uid = Some("u2".to_owned());
        assert!(matches!(
            recreated.view("host-a", Some(&before)),
            View::Unusable(_)
        ));
    }

    #[test]
    fn a_stored_pool_is_read_again() {
        let mine = current(&pool(&spec(), &host_a()), None);
        let text = serde_json::to_string(&mine).unwrap();
        assert_eq!(serde_json::from_str::<NodePool>(&text).unwrap(), mine);
    }

    #[test]
    fn an_address_of_another_node_is_known_as_its_own_unless_it_is_excluded() {
        let allocations = json!([
            {"nodeName": "host-a", "startIP": "192.168.0.1", "endIP": "192.168.0.24"},
            {"nodeName": "host-c", "startIP": "192.168.0.49", "endIP": "192.168.0.72"},
            {"nodeName": "host-b", "startIP": "192.168.0.25", "endIP": "192.168.0.48"},
        ]);
        let mut spec = spec();
        spec["exclusions"] = json!([{"startIP": "192.168.0.30", "endIP": "192.168.0.31"}]);
        let neighbours = pool(&spec, &allocations).neighbours("host-a");
        let holder = |ip: &str| neighbours.holder_of(ip.parse().unwrap());
        assert_eq!(holder("192.168.0.25"), Holder::Node("host-b"));
        assert_eq!(holder("192.168.0.30"), Holder::Nobody, "excluded");
        assert_eq!(holder("192.168.0.72"), Holder::Node("host-c"));
        for of_nobody in ["192.168.0.24", "192.168.0.73", "192.168.0.0", "fd00::1"] {
            assert_eq!(holder(of_nobody), Holder::Nobody, "{of_nobody}");
        }
    }

    #[test]
    fn what_may_be_in_the_range_of_an_entry_that_cannot_be_read_is_not_nobodys() {
        let allocations = json!([
            {"nodeName": "host-a", "startIP": "x", "endIP": "192.168.0.24"},
            {"nodeName": "host-b", "startIP": "192.168.0.25", "endIP": "192.168.0.48"},
            {"nodeName": "host-c", "startIP": "192.168.0.72", "endIP": "192.168.0.49"},
        ]);
        let mut spec = spec();
        spec["exclusions"] = json!([{"startIP": "192.168.0.60", "endIP": "192.168.0.60"}]);
        let neighbours = pool(&spec, &allocations).neighbours("host-a");
        let holder = |ip: &str| neighbours.holder_of(ip.parse().unwrap());
        assert_eq!(holder("192.168.0.25"), Holder::Node("host-b"));
        assert_eq!(holder("192.168.0.50"), Holder::Unread("host-c"));
        assert_eq!(holder("192.168.0.200"), Holder::Unread("host-c"));
        assert_eq!(holder("192.168.0.60"), Holder::Nobody, "excluded everywhere");
    }

    /// An administrator's edit can make them; the controller doesn't.
    #[test]
    fn an_address_in_a_range_around_a_later_smaller_one_is_its_holders() {
        let allocations = json!([
            {"nodeName": "host-b", "startIP": "192.168.0.25", "endIP": "192.168.0.96"},
            {"nodeName": "host-c", "startIP": "192.168.0.49", "endIP": "192.168.0.72"},
        ]);
        let neighbours = pool(&spec(), &allocations).neighbours("host-a");
        let holder = |ip: &str| neighbours.holder_of(ip.parse().unwrap());
        assert_eq!(holder("192.168.0.48"), Holder::Node("host-b"));
        assert_ne!(holder("192.168.0.60"), Holder::Nobody);
        assert_eq!(holder("192.168.0.90"), Holder::Node("host-b"));
        assert_eq!(holder("192.168.0.97"), Holder::Nobody);
    }

    #[test]
    fn an_exclusion_that_the_holder_does_not_follow_opens_nothing() {
        let allocations = json!([
            {"nodeName": "host-b", "startIP": "192.168.0.25", "endIP": "192.168.0.48"},
            {"nodeName": "host-c", "startIP": "192.168.1.250", "endIP": "192.168.2.17"},
        ]);
        let holder = |spec: &Value, ip: &str| {
            let neighbours = pool(spec, &allocations).neighbours("host-a");
            let holder = neighbours.holder_of(ip.parse().unwrap());
            holder.node().map(str::to_owned)
        };
        let mut spec = spec();
        spec["exclusions"] = json!([{"startIP": "192.168.0.30", "endIP": "192.168.0.31"},
            {"startIP": "192.168.1.251", "endIP": "192.168.1.251"}]);
        assert_eq!(holder(&spec, "192.168.0.30"), None);
        assert_eq!(holder(&spec, "192.168.1.251"), None);

        let mut smaller = spec.clone();
        smaller["subnet"] = json!("192.168.0.0/23");
        assert_eq!(holder(&smaller, "192.168.0.30"), None);
        assert_eq!(holder(&smaller, "192.168.1.251").as_deref(), Some("host-c"));

        spec["gateway"] = json!("10.0.0.1");
        assert_eq!(holder(&spec, "192.168.0.30").as_deref(), Some("host-b"));
    }
}
