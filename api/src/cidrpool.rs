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

use crate::common::{ExcludeIndexRange, ExcludeRange, Route, conditions_schema, int32_schema};

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
    /// Network of the pool in CIDR notation, IPv4 or IPv6, without host bits. At most 49 characters.
    pub cidr: String,
    /// Index of the gateway in each node's prefix; no gateway if absent. 0 is the network address, which can be the gateway
    /// only in a /31, /127, /32 or /128; the broadcast address of IPv4 can't. `allocateIPWithIndex` of the CNI configuration
    /// counts from another base: its 0 is the first address that a host can have. A static allocation can have another gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "int32_schema")]
    pub gateway_index: Option<i32>,
    /// Prefix length in bits of the part of `cidr` that each node gets; pods get it with their address. At least 1 and the
    /// length of `cidr`, at most 32 (IPv4) or 128 (IPv6).
    #[schemars(schema_with = "int32_schema")]
    pub per_node_network_prefix: i32,
    /// Addresses of `cidr` that are not handed out, except when a pod asks for one of them by its address or index. Entries may
    /// overlap, also those of `perNodeExclusions`. A prefix that they cover is not given to a node, unless by
    /// `staticAllocations`. At most 32768 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclusions: Vec<ExcludeRange>,
    /// Addresses that are not handed out, as `exclusions`, by their index in each node's prefix. 0 is the network address, as
    /// for `gatewayIndex`; `allocateIPWithIndex` of the CNI configuration starts with the first address that a host can have.
    /// At most 32768 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_node_exclusions: Vec<ExcludeIndexRange>,
    /// Prefixes that are kept for certain nodes, or from all. No two entries have the same node or the same prefix: the API
    /// server compares the first 100 entries with each other, the controller compares all. At most 32768 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub static_allocations: Vec<CIDRPoolStaticAllocation>,
    /// Nodes that get a prefix; all nodes if absent. Terms are ORed, the requirements of a term are ANDed; a term without
    /// requirements matches no node. A node that is no longer selected keeps its prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<NodeSelector>,
    /// Whether pods get a default route through the gateway. Default: false. Only with a `gatewayIndex`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default_gateway: bool,
    /// Routes that pods get through the gateway, besides the default route of `defaultGateway`. Only with a `gatewayIndex`,
    /// and without a default route if `defaultGateway` is true. At most 32768 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

/// A prefix that is not dealt to just any node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CIDRPoolStaticAllocation {
    /// Name of the node that gets the prefix, if the selector matches it. Absent or empty: no node gets it. At most 253
    /// characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node_name: String,
    /// Gateway of this prefix, an address in it, instead of the one that `gatewayIndex` says. Absent or empty: that one. At
    /// most 45 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    /// The prefix in CIDR notation: part of `cidr`, `perNodeNetworkPrefix` bits long, without host bits. At most 49
    /// characters.
    pub prefix: String,
}

/// Which node has which prefix.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CIDRPoolStatus {
    /// Prefixes that nodes have, sorted by node name. An entry stands until an administrator removes it, whatever became of
    /// its node and of the spec.
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
    /// Gateway of the prefix; none if absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    /// The prefix of the node, in CIDR notation.
    pub prefix: String,
}
