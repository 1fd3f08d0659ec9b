//! The IPPool custom resource.

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

/// A subnet that is cut into blocks of equal size, one for each node that the selector matches.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "nv-ipam.nvidia.com",
    version = "v1alpha1",
    kind = "IPPool",
    plural = "ippools",
    singular = "ippool",
    namespaced,
    status = "IPPoolStatus",
    derive = "PartialEq",
    doc = "A subnet that is cut into blocks of equal size, one for each node that the selector matches. Pods on a node get addresses of its block.",
    printcolumn(name = "Subnet", type_ = "string", json_path = ".spec.subnet"),
    printcolumn(name = "Gateway", type_ = "string", json_path = ".spec.gateway"),
    printcolumn(name = "Block Size", type_ = "integer", json_path = ".spec.perNodeBlockSize")
)]
#[serde(rename_all = "camelCase")]
pub struct IPPoolSpec {
    /// Subnet of the pool in CIDR notation, IPv4 or IPv6. Pods get its prefix length with their address. Host bits are
    /// ignored: 10.0.0.7/24 is 10.0.0.0/24. At most 49 characters.
    pub subnet: String,
    /// How many consecutive addresses each node gets, at least 1. The first block starts with the first address that a host can
    /// have: after the network address, except in a /31, /127, /32 or /128. Addresses at the end of the subnet that are too few
    /// for a block are not used.
    #[schemars(schema_with = "plain_integer")]
    pub per_node_block_size: i64,
    /// Gateway of the subnet, an address in it; none if absent or empty. It is not handed out, except to who asks for it: the
    /// node whose block it lies in has one address less. At most 45 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Nodes that get a block; all nodes if absent. Terms are ORed, the requirements of a term are ANDed; a term without
    /// requirements matches no node. A node that is no longer selected keeps its block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<NodeSelector>,
    /// Addresses of the subnet that are not handed out, except when a pod asks for one of them by its address or index.
    /// Entries may overlap, also those of `perNodeExclusions`. A block that they cover is not given to a node. At most 32768
    /// entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclusions: Vec<ExcludeRange>,
    /// Addresses that are not handed out, as `exclusions`, by their index in each node's block. 0 is the first address of the
    /// node's block, `perNodeBlockSize` - 1 the last; `allocateIPWithIndex` of the CNI configuration counts the same way. At
    /// most 32768 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_node_exclusions: Vec<ExcludeIndexRange>,
    /// Whether pods get a default route through the gateway. Default: false. Only with a `gateway`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default_gateway: bool,
    /// Routes that pods get through the gateway, besides the default route of `defaultGateway`. Only with a `gateway`, and
    /// without a default route if `defaultGateway` is true. At most 32768 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

/// Which node has which block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IPPoolStatus {
    /// Blocks that nodes have, sorted by node name. An entry stands until an administrator removes it, whatever became of
    /// its node and of the spec.
    #[serde(default)]
    pub allocations: Vec<Allocation>,
    /// What the controller has to say about the pool: `SpecValid`, `NodesAllocated`, `StaleAllocations`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}

/// The block of one node, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Allocation {
    /// Name of the node.
    pub node_name: String,
    /// First address of the block.
    #[serde(rename = "startIP")]
    pub start_ip: String,
    /// Last address of the block.
    #[serde(rename = "endIP")]
    pub end_ip: String,
}

/// Go's `int`: no format, because a client that sees `int64` may treat it differently from the Go version's CRD.
fn plain_integer(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "integer" })
}
