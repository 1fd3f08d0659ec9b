//! The CIDRPool custom resource.

#![expect(
    clippy::duplicated_attributes,
    reason = "printer columns of the same type have the same attribute"
)]

use k8s_openapi::api::core::v1::NodeSelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::{ExcludeIndexRange, ExcludeRange, Route, conditions_schema};

/// A network that is cut into prefixes of equal length, one for each node that the selector matches.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "nv-ipam.nvidia.com",
    version = "v1alpha1",
    kind = "CIDRPool",
    plural = "cidrpools",
    singular = "cidrpool",
    namespaced,
    status = "CIDRPoolStatus",
    derive = "PartialEq",
    doc = "A network that is cut into prefixes of equal length, one for each node that the selector matches. Each prefix is a subnet of its own, with a gateway of its own; pods on a node get addresses of its prefix.",
    printcolumn(name = "CIDR", type_ = "string", json_path = ".spec.cidr"),
    printcolumn(name = "Gateway index", type_ = "string", json_path = ".spec.gatewayIndex"),
    printcolumn(
        name = "Per Node Network Prefix",
        type_ = "integer",
        json_path = ".spec.perNodeNetworkPrefix"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct CIDRPoolSpec {
    /// Network of the pool in CIDR notation, IPv4 or IPv6, without host bits.
    pub cidr: String,
    /// Index of the gateway in each node's prefix, counted from the network address; no gateway if absent. 0 only where
    /// the network address is usable: /31, /127, /32, /128. Another base than that of the CNI option
    /// `allocateIPWithIndex`, whose 0 is the first usable address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_index: Option<i32>,
    /// Prefix length of each node's prefix; pods get it too. At least the length of `cidr`.
    pub per_node_network_prefix: i32,
    /// Addresses that are never handed out, except when a pod asks for one of them by name. Entries may overlap. A prefix
    /// that they cover is not given to a node, unless by `staticAllocations`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclusions: Vec<ExcludeRange>,
    /// Addresses that are never handed out, by their index in each node's prefix. Entries may overlap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_node_exclusions: Vec<ExcludeIndexRange>,
    /// Prefixes that are kept for certain nodes, or kept from all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub static_allocations: Vec<CIDRPoolStaticAllocation>,
    /// Nodes that get a prefix; all nodes if absent. Terms are ORed, the requirements of a term are ANDed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<NodeSelector>,
    /// Whether pods get a default route through the gateway.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default_gateway: bool,
    /// Routes that pods get through the gateway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

/// A prefix that is not dealt to just any node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CIDRPoolStaticAllocation {
    /// Name of the node that gets the prefix, if the selector matches it. Without a name no node gets it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node_name: String,
    /// Gateway of this prefix, instead of the one that `gatewayIndex` says.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    /// The prefix, in CIDR notation, `perNodeNetworkPrefix` long.
    pub prefix: String,
}

/// Which node has which prefix.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CIDRPoolStatus {
    /// Prefixes that nodes have, sorted by node name. An entry stands until its node can no longer use it.
    #[serde(default)]
    pub allocations: Vec<CIDRPoolAllocation>,
    /// What the controller has to say about the pool: `SpecValid`, `NodesAllocated`, `StaleAllocations`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}

/// The prefix of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CIDRPoolAllocation {
    /// Name of the node.
    pub node_name: String,
    /// Gateway of the prefix, if it has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    /// The prefix, in CIDR notation.
    pub prefix: String,
}
