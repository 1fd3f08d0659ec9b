//! An IPPool's spec, parsed: a value of [`IpPoolConfig`] has no broken rule.

use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::NodeSelector;
use kube::ResourceExt;

use crate::ippool::{IPPool, IPPoolSpec};
use crate::layout::{Exclusions, Layout};
use crate::range::parse_address;
use crate::spec_rules::{self, given};
use crate::subnet::Subnet;
use crate::validate::{self, Faults, FieldErrors};

/// What a valid IPPool says.
#[derive(Clone, Debug, PartialEq)]
pub struct IpPoolConfig {
    /// The subnet.
    pub subnet: Subnet,
    /// Its blocks.
    pub layout: Layout,
    /// The gateway, in the subnet.
    pub gateway: Option<IpAddr>,
    /// Nodes that get a block.
    pub node_selector: Option<NodeSelector>,
    /// Both kinds of exclusions.
    pub exclusions: Exclusions,
    /// Whether pods get a default route. Only with a gateway.
    pub default_gateway: bool,
    /// Destinations that pods reach through the gateway, of the subnet's family. Only with a gateway.
    pub routes: Vec<IpNet>,
}

impl IpPoolConfig {
    /// Reads `pool`, or says every rule that it breaks (contract B.12.I).
    pub fn parse(pool: &IPPool) -> Result<Self, FieldErrors> {
        let spec = &pool.spec;
        let mut faults = Faults::default();
        spec_rules::pool_name(&pool.name_any(), "IP", &mut faults);
        let subnet = Subnet::parse(&spec.subnet);
        if subnet.is_none() {
            faults.invalid("spec.subnet", &spec.subnet, "is invalid subnet");
        }
        let layout = parse_layout(spec, subnet, &mut faults);
        let ranges = spec_rules::exclusions(&spec.exclusions, subnet, &mut faults);
        let max_index = i32::try_from(spec.per_node_block_size.saturating_sub(1)).unwrap_or(i32::MAX);
        let indexes =
            spec_rules::index_exclusions(&spec.per_node_exclusions, max_index, "block", &mut faults);
        let gateway = parse_gateway(spec, subnet, &mut faults);
        if let Some(selector) = &spec.node_selector {
            validate::node_selector(selector, &mut faults);
        }
        if given(spec.gateway.as_deref()).is_none() {
            spec_rules::gateway_is_needed("spec.gateway", spec.default_gateway, &spec.routes, &mut faults);
        }
        let family = subnet.map(|subnet| subnet.family());
        let routes = spec_rules::routes(&spec.routes, family, spec.default_gateway, &mut faults);
        let config = subnet.zip(layout).map(|(subnet, layout)| Self {
            subnet,
            layout,
            gateway,
            node_selector: spec.node_selector.clone(),
            exclusions: Exclusions::new(ranges, indexes),
            default_gateway: spec.default_gateway,
            routes,
        });
        faults.or(config)
    }
}

fn parse_layout(spec: &IPPoolSpec, subnet: Option<Subnet>, faults: &mut Faults) -> Option<Layout> {
    let field = "spec.perNodeBlockSize";
    let size = u128::try_from(spec.per_node_block_size)
        .ok()
        .filter(|size| *size >= 1);
    let Some(size) = size else {
        faults.invalid(field, spec.per_node_block_size, "must be at least 1");
        return None;
    };
    let layout = Layout::blocks_of(subnet?, size);
    if layout.is_none() {
        faults.invalid(
            field,
            spec.per_node_block_size,
            "is larger then amount of IPs available in the subnet",
        );
    }
    layout
}

fn parse_gateway(spec: &IPPoolSpec, subnet: Option<Subnet>, faults: &mut Faults) -> Option<IpAddr> {
    let text = given(spec.gateway.as_deref())?;
    let Some(gateway) = parse_address(text) else {
        faults.invalid("spec.gateway", text, "is invalid IP address");
        return None;
    };
    if subnet.is_some_and(|subnet| !subnet.contains(gateway)) {
        faults.invalid("spec.gateway", text, "is not part of the subnet");
        return None;
    }
    Some(gateway)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(spec: &serde_json::Value) -> Result<IpPoolConfig, Vec<String>> {
        let pool = IPPool::new("pool1", serde_json::from_value(spec.clone()).unwrap());
        IpPoolConfig::parse(&pool).map_err(|errors| errors.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_valid_spec_is_read() {
        let config = parse(&json!({
            "subnet": "192.168.0.7/16", "perNodeBlockSize": 24, "gateway": "192.168.0.1",
            "exclusions": [{"startIP": "192.168.0.10", "endIP": "192.168.0.20"}],
            "perNodeExclusions": [{"startIndex": 0, "endIndex": 10}],
            "routes": [{"dst": "5.5.0.0/16"}], "defaultGateway": true,
        }))
        .unwrap();
        assert_eq!(config.subnet.to_string(), "192.168.0.0/16");
        assert_eq!(config.layout.block_size(), 24);
        assert_eq!(config.gateway, "192.168.0.1".parse().ok());
        assert_eq!(config.routes, ["5.5.0.0/16".parse::<IpNet>().unwrap()]);
    }

    #[test]
    fn an_empty_gateway_is_none() {
        let config = parse(&json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 1, "gateway": ""})).unwrap();
        assert_eq!(config.gateway, None);
    }

    /// Each is as close to breaking a rule of contract B.12.I as can be.
    #[test]
    fn no_rule_forbids_more_than_it_says() {
        let requirement =
            |operator: &str, values: &[&str]| json!({"key": "a", "operator": operator, "values": values});
        for changes in [
            json!({"perNodeBlockSize": 1}),
            json!({"perNodeBlockSize": 254}),
            json!({"subnet": "fd00::/120", "perNodeBlockSize": 255}),
            json!({"subnet": "10.0.0.0/31", "perNodeBlockSize": 2}),
            json!({"exclusions": [{"startIP": "10.0.0.0", "endIP": "10.0.0.255"}, {"startIP": "10.0.0.7", "endIP": "10.0.0.7"}]}),
            json!({"perNodeExclusions": [{"startIndex": 0, "endIndex": 7}, {"startIndex": 7, "endIndex": 7}]}),
            json!({"subnet": "fd00::/64", "perNodeBlockSize": 1_u64 << 62,
                "perNodeExclusions": [{"startIndex": 0, "endIndex": i32::MAX}]}),
            json!({"gateway": "10.0.0.0"}),
            json!({"gateway": "10.0.0.255"}),
            json!({"gateway": "10.0.0.1", "routes": [{"dst": "0.0.0.0/0"}, {"dst": "1.2.3.4/8"}]}),
            json!({"gateway": "10.0.0.1", "defaultGateway": true, "routes": [{"dst": "0.0.0.0/1"}]}),
            json!({"nodeSelector": {"nodeSelectorTerms": [{}, {"matchExpressions": [requirement("In", &["b"]),
                requirement("NotIn", &["b", "c"]), requirement("Exists", &[]), requirement("DoesNotExist", &[]),
                requirement("Gt", &["1"]), requirement("Lt", &["1"])]}]}}),
            json!({"nodeSelector": {"nodeSelectorTerms": [{"matchFields": [
                {"key": "metadata.name", "operator": "NotIn", "values": ["host-a.example"]}]}]}}),
        ] {
            let mut spec = json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 8});
            spec.as_object_mut()
                .unwrap()
                .extend(changes.as_object().unwrap().clone());
            assert_eq!(parse(&spec).err(), None, "{spec}");
        }
    }

    /// Each case breaks the rules whose messages follow, and no other.
    #[test]
    fn every_broken_rule_is_said() {
        let cases = [
            (
                json!({"subnet": "x", "perNodeBlockSize": 0}),
                &[
                    r#"spec.subnet: Invalid value: "x": is invalid subnet"#,
                    "spec.perNodeBlockSize: Invalid value: 0: must be at least 1",
                ][..],
            ),
            (
                json!({"subnet": "10.0.0.0/30", "perNodeBlockSize": 3}),
                &[
                    "spec.perNodeBlockSize: Invalid value: 3: is larger then amount of IPs available in the subnet",
                ],
            ),
            (
                json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 8, "gateway": "10.0.1.1"}),
                &[r#"spec.gateway: Invalid value: "10.0.1.1": is not part of the subnet"#],
            ),
            (
                json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 8, "gateway": "ten"}),
                &[r#"spec.gateway: Invalid value: "ten": is invalid IP address"#],
            ),
            (
                json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 8, "exclusions": [
                {"startIP": "x", "endIP": "11.0.0.1"}, {"startIP": "10.0.0.9", "endIP": "10.0.0.8"}]}),
                &[
                    r#"spec.exclusions[0].startIP: Invalid value: "x": is invalid IP address"#,
                    r#"spec.exclusions[0].endIP: Invalid value: "11.0.0.1": is not part of the 10.0.0.0/24 subnet"#,
                    r#"spec.exclusions[1]: Invalid value: {"startIP":"10.0.0.9","endIP":"10.0.0.8"}: endIP should be equal or greater than startIP"#,
                ],
            ),
            (
                json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 8, "perNodeExclusions": [
                {"startIndex": -1, "endIndex": 8}, {"startIndex": 3, "endIndex": 2}]}),
                &[
                    "spec.perNodeExclusions[0].startIndex: Invalid value: -1: must be non-negative",
                    "spec.perNodeExclusions[0].endIndex: Invalid value: 8: index is outside of the per-node block range (max: 7)",
                    r#"spec.perNodeExclusions[1]: Invalid value: {"startIndex":3,"endIndex":2}: endIndex must be greater than or equal to startIndex"#,
                ],
            ),
            (
                json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 8, "defaultGateway": true, "routes": [{"dst": "1.0.0.0/8"}]}),
                &[
                    "spec.defaultGateway: Invalid value: true: cannot be true if spec.gateway is not set",
                    r#"spec.routes: Invalid value: [{"dst":"1.0.0.0/8"}]: cannot be set if spec.gateway is not set"#,
                ],
            ),
            (
                json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 8, "gateway": "", "defaultGateway": true}),
                &["spec.defaultGateway: Invalid value: true: cannot be true if spec.gateway is not set"],
            ),
            (
                json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 8, "gateway": "10.0.0.1", "defaultGateway": true,
                "routes": [{"dst": "1.2.3.4"}, {"dst": "fd00::/8"}, {"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}),
                &[
                    r#"spec.routes[0].dst: Invalid value: "1.2.3.4": is invalid subnet"#,
                    r#"spec.routes[1].dst: Invalid value: "fd00::/8": is not same address family IPv4/IPv6"#,
                    r#"spec.routes[2].dst: Invalid value: "0.0.0.0/0": default route is not allowed if 'defaultGateway' is true"#,
                    r#"spec.routes[3].dst: Invalid value: "::/0": is not same address family IPv4/IPv6"#,
                    r#"spec.routes[3].dst: Invalid value: "::/0": default route is not allowed if 'defaultGateway' is true"#,
                ],
            ),
        ];
        for (spec, expected) in cases {
            assert_eq!(parse(&spec).unwrap_err(), expected, "{spec}");
        }
    }

    /// Rule 8: each case breaks what the messages say that follow, and no more.
    #[test]
    fn every_broken_rule_of_a_node_selector_is_said() {
        let cases = [
            (
                json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 8, "nodeSelector": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "/", "operator": "In"}, {"key": "a", "operator": "Exists", "values": ["b"]},
                    {"key": "a", "operator": "Gt"}, {"key": "a", "operator": "Near"}],
                 "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["UP"]},
                    {"key": "metadata.uid", "operator": "Exists"}]}]}}),
                &[
                    "spec.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
                    r#"spec.nodeSelectorTerms[0].matchExpressions[0].key: Invalid value: "/": must be a label name: an optional DNS prefix and '/', then at most 63 alphanumeric characters, '-', '_' or '.', alphanumeric at both ends"#,
                    "spec.nodeSelectorTerms[0].matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                    "spec.nodeSelectorTerms[0].matchExpressions[2].values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'",
                    r#"spec.nodeSelectorTerms[0].matchExpressions[3].operator: Invalid value: "Near": not a valid selector operator"#,
                    r#"spec.nodeSelectorTerms[0].matchFields[0].values[0]: Invalid value: "UP": must be a node name (lower-case RFC 1123 subdomain)"#,
                    r#"spec.nodeSelectorTerms[0].matchFields[1].operator: Invalid value: "Exists": not a valid selector operator"#,
                    r#"spec.nodeSelectorTerms[0].matchFields[1].key: Invalid value: "metadata.uid": not a valid field selector key"#,
                ][..],
            ),
            (
                json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 8, "nodeSelector": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "a", "operator": "NotIn"}, {"key": "a", "operator": "DoesNotExist", "values": ["b"]},
                    {"key": "a", "operator": "Lt"}, {"key": "a", "operator": "Gt", "values": ["1", "2"]}]},
                {"matchFields": [{"key": "metadata.name", "operator": "In"},
                    {"key": "metadata.name", "operator": "NotIn", "values": ["a", "b"]}]}]}}),
                &[
                    "spec.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
                    "spec.nodeSelectorTerms[0].matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                    "spec.nodeSelectorTerms[0].matchExpressions[2].values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'",
                    "spec.nodeSelectorTerms[0].matchExpressions[3].values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'",
                    "spec.nodeSelectorTerms[1].matchFields[0].values: Required value: must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
                    "spec.nodeSelectorTerms[1].matchFields[1].values: Required value: must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
                ],
            ),
            (
                json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 8, "nodeSelector": {"nodeSelectorTerms": []}}),
                &["spec.nodeSelectorTerms: Required value: must have at least one node selector term"],
            ),
        ];
        for (spec, expected) in cases {
            assert_eq!(parse(&spec).unwrap_err(), expected, "{spec}");
        }
    }

    #[test]
    fn several_errors_read_as_one_text() {
        let pool = IPPool::new(
            "_",
            serde_json::from_value(json!({"subnet": "x", "perNodeBlockSize": 1})).unwrap(),
        );
        assert_eq!(
            IpPoolConfig::parse(&pool).unwrap_err().to_string(),
            "[metadata.name: Invalid value: \"_\": invalid IP pool name, should be compatible with CNI network name, \
             spec.subnet: Invalid value: \"x\": is invalid subnet]"
        );
    }
}
