//! A CIDRPool's static allocations, parsed: contract B.12, rule 10.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::cidrpool::CIDRPoolStaticAllocation;
use crate::range::parse_address;
use crate::spec_rules::given;
use crate::subnet::Subnet;
use crate::validate::Faults;

/// A prefix that is kept for a node, or from all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticAllocation {
    /// The node. `None`: no node gets it.
    pub node: Option<String>,
    /// The prefix.
    pub prefix: Subnet,
    /// Its gateway, if it has one of its own.
    pub gateway: Option<IpAddr>,
}

/// What `allocations` say, each of which must be a prefix of this length of `cidr`. No two may be of one node, or the same.
pub(super) fn parse(
    allocations: &[CIDRPoolStaticAllocation],
    cidr: Subnet,
    length: u8,
    faults: &mut Faults,
) -> Vec<StaticAllocation> {
    let mut nodes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut prefixes: BTreeMap<IpNet, usize> = BTreeMap::new();
    let mut parsed = Vec::with_capacity(allocations.len());
    for (i, allocation) in allocations.iter().enumerate() {
        if !allocation.node_name.is_empty() {
            *nodes.entry(&allocation.node_name).or_default() += 1;
        }
        if let Some(prefix) = Subnet::parse_exact(&allocation.prefix) {
            *prefixes.entry(prefix.net()).or_default() += 1;
        }
        parsed.extend(one(i, allocation, cidr, length, faults));
    }
    let field = "spec.staticAllocations";
    for (node, _) in nodes.iter().filter(|(_, count)| **count > 1) {
        let detail = format!("contains multiple entries for node {node}");
        faults.invalid(field, allocations, detail);
    }
    for (prefix, _) in prefixes.iter().filter(|(_, count)| **count > 1) {
        let detail = format!("contains multiple entries for prefix {prefix}");
        faults.invalid(field, allocations, detail);
    }
    parsed
}

/// One entry, or the first rule that it breaks.
fn one(
    i: usize,
    allocation: &CIDRPoolStaticAllocation,
    cidr: Subnet,
    length: u8,
    faults: &mut Faults,
) -> Option<StaticAllocation> {
    let field = |name: &str| format!("spec.staticAllocations[{i}].{name}");
    let mut refuse = |name: &str, value: &str, detail: &str| {
        faults.invalid(field(name), value, detail);
    };
    let text = &allocation.prefix;
    let Some(prefix) = Subnet::parse(text) else {
        refuse("prefix", text, "is not a valid network prefix");
        return None;
    };
    if Subnet::parse_exact(text).is_none() {
        refuse("prefix", text, "network prefix has host bits set");
        return None;
    }
    if !cidr.contains(prefix.net().addr()) {
        refuse("prefix", text, "prefix is not part of the pool cidr");
        return None;
    }
    if prefix.prefix_len() != length {
        refuse(
            "prefix",
            text,
            "prefix size doesn't match spec.perNodeNetworkPrefix",
        );
        return None;
    }
    let gateway = match given(Some(&allocation.gateway)) {
        None => None,
        Some(text) => {
            let Some(gateway) = parse_address(text) else {
                refuse("gateway", text, "is not a valid IP");
                return None;
            };
            if !prefix.contains(gateway) {
                refuse("gateway", text, "is outside of the node prefix");
                return None;
            }
            Some(gateway)
        }
    };
    Some(StaticAllocation {
        node: given(Some(&allocation.node_name)).map(str::to_owned),
        prefix,
        gateway,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::cidrpool::CIDRPool;
    use crate::cidrpool_config::CidrPoolConfig;

    fn faults(spec: &Value) -> Vec<String> {
        let pool = CIDRPool::new("rail", serde_json::from_value(spec.clone()).unwrap());
        let errors = CidrPoolConfig::parse(&pool).unwrap_err();
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_static_allocation_says_the_first_rule_that_it_breaks() {
        let entry = |value: Value| {
            let spec =
                json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": 24, "staticAllocations": [value]});
            faults(&spec)
        };
        for (value, expected) in [
            (
                json!({"prefix": "x"}),
                r#"prefix: Invalid value: "x": is not a valid network prefix"#,
            ),
            (
                json!({"prefix": "10.0.5.1/24"}),
                r#"prefix: Invalid value: "10.0.5.1/24": network prefix has host bits set"#,
            ),
            (
                json!({"prefix": "fd00::/24"}),
                r#"prefix: Invalid value: "fd00::/24": prefix is not part of the pool cidr"#,
            ),
            (
                json!({"prefix": "10.1.0.0/24"}),
                r#"prefix: Invalid value: "10.1.0.0/24": prefix is not part of the pool cidr"#,
            ),
            (
                json!({"prefix": "10.0.0.0/25"}),
                r#"prefix: Invalid value: "10.0.0.0/25": prefix size doesn't match spec.perNodeNetworkPrefix"#,
            ),
            (
                json!({"prefix": "10.0.0.0/23"}),
                r#"prefix: Invalid value: "10.0.0.0/23": prefix size doesn't match spec.perNodeNetworkPrefix"#,
            ),
            // These break all that follow, too.
            (
                json!({"prefix": "x", "gateway": "x"}),
                r#"prefix: Invalid value: "x": is not a valid network prefix"#,
            ),
            (
                json!({"prefix": "10.1.5.1/25", "gateway": "x"}),
                r#"prefix: Invalid value: "10.1.5.1/25": network prefix has host bits set"#,
            ),
            (
                json!({"prefix": "10.1.0.0/25", "gateway": "x"}),
                r#"prefix: Invalid value: "10.1.0.0/25": prefix is not part of the pool cidr"#,
            ),
            (
                json!({"prefix": "10.0.0.0/25", "gateway": "x"}),
                r#"prefix: Invalid value: "10.0.0.0/25": prefix size doesn't match spec.perNodeNetworkPrefix"#,
            ),
            (
                json!({"prefix": "10.0.0.0/24", "gateway": "x"}),
                r#"gateway: Invalid value: "x": is not a valid IP"#,
            ),
            (
                json!({"prefix": "10.0.0.0/24", "gateway": "10.0.1.1"}),
                r#"gateway: Invalid value: "10.0.1.1": is outside of the node prefix"#,
            ),
        ] {
            assert_eq!(entry(value), [format!("spec.staticAllocations[0].{expected}")]);
        }
    }

    #[test]
    fn a_node_and_a_prefix_are_allocated_once() {
        let errors = faults(
            &json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": 24, "staticAllocations": [
            {"nodeName": "a", "prefix": "10.0.0.0/24"}, {"nodeName": "a", "prefix": "10.0.1.0/24"},
            {"nodeName": "b", "prefix": "10.0.1.0/24"}, {"prefix": "10.0.2.0/24"}, {"prefix": "10.0.3.0/24"}]}),
        );
        let ends: Vec<&str> = errors
            .iter()
            .filter_map(|error| error.rsplit("]: ").next())
            .collect();
        assert_eq!(
            ends,
            [
                "contains multiple entries for node a",
                "contains multiple entries for prefix 10.0.1.0/24"
            ]
        );
    }

    /// With the whole list in each message, or a message for each entry, this would take gigabytes.
    #[test]
    fn thousands_of_faults_are_told_in_a_few_kilobytes() {
        let twice: Vec<Value> = (0..20_000)
            .map(|i| json!({"nodeName": format!("n{}", i / 2), "prefix": format!("fd00::{i:x}:0/112")}))
            .collect();
        let errors =
            faults(&json!({"cidr": "fd00::/64", "perNodeNetworkPrefix": 112, "staticAllocations": twice}));
        assert!(errors.iter().map(String::len).sum::<usize>() < 100_000);
        assert_eq!(
            errors.last().unwrap(),
            "spec: Invalid: 9900 more rules are broken"
        );
        assert!(
            errors[0].ends_with(" ...: contains multiple entries for node n0"),
            "{}",
            errors[0]
        );
    }
}
