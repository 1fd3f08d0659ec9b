//! Parts that IPPool and CIDRPool share.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Addresses that are never handed out, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExcludeRange {
    /// First excluded address.
    #[serde(rename = "startIP")]
    pub start_ip: String,
    /// Last excluded address.
    #[serde(rename = "endIP")]
    pub end_ip: String,
}

/// Addresses that are never handed out, by their index in each node's range, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.endIndex >= self.startIndex",
    "message": "endIndex must be greater than or equal to startIndex"
}]))]
pub struct ExcludeIndexRange {
    /// First excluded index; 0 is the first address of an IPPool's block, and the network address of a CIDRPool's prefix.
    #[schemars(schema_with = "index_schema")]
    pub start_index: i32,
    /// Last excluded index.
    #[schemars(schema_with = "index_schema")]
    pub end_index: i32,
}

/// A route that pods get through the pool's gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// Destination, in CIDR notation.
    pub dst: String,
}

/// An int32 that is not negative. Written by hand because schemars prints `0.0` for the minimum.
fn index_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "integer", "format": "int32", "minimum": 0 })
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
