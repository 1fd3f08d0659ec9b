//! Parts that IPPool and CIDRPool share.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A range of addresses, both ends included. Both lie in the pool's network, and the end is not before the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExcludeRange {
    /// First address of the range. At most 45 characters.
    #[serde(rename = "startIP")]
    pub start_ip: String,
    /// Last address of the range. At most 45 characters.
    #[serde(rename = "endIP")]
    pub end_ip: String,
}

/// A range of indexes, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExcludeIndexRange {
    /// First index of the range. 0 is the first address of the node's block (IPPool), or the network address of the node's
    /// prefix (CIDRPool).
    #[schemars(schema_with = "index_schema")]
    pub start_index: i32,
    /// Last index of the range, not less than the first. Counted as `startIndex` is; at most 2147483647, in IPv6 too.
    #[schemars(schema_with = "index_schema")]
    pub end_index: i32,
}

/// A route through the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// Destination in CIDR notation, of the pool's address family. Host bits are ignored. At most 49 characters.
    pub dst: String,
}

/// An int32 that is not negative. Written by hand because schemars prints `0.0` for the minimum.
fn index_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = int32_schema(generator);
    schema.insert("minimum".to_owned(), 0.into());
    schema
}

/// An int32 that has no larger number: to the API server of Kubernetes 1.33 the format is a remark, and a number that clients
/// can't read ends their watches.
pub(crate) fn int32_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "integer", "format": "int32", "maximum": i32::MAX })
}

/// A list keyed by type, so that two writers with different conditions don't undo each other's.
pub(crate) fn conditions_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = Vec::<Condition>::json_schema(generator);
    schema.insert("x-kubernetes-list-type".to_owned(), "map".into());
    schema.insert(
        "x-kubernetes-list-map-keys".to_owned(),
        serde_json::json!(["type"]),
    );
    schema
}
