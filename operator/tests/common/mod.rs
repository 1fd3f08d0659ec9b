//! Pools and nodes for tests.

#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod api_server;
pub(crate) mod controller;

use api::ippool::{Allocation, IPPool};
use api::selector::NodeLabels;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use operator::findings::Said;
use operator::nodes::Nodes;
use operator::pool::{Plan, Pool, World};
use serde_json::{Value, json};

pub(crate) fn node(name: &str, role: &str) -> NodeLabels {
    NodeLabels {
        name: name.to_owned(),
        labels: [("kubernetes.io/role".to_owned(), role.to_owned())].into(),
    }
}

pub(crate) fn workers(names: &[&str]) -> Nodes {
    names
        .iter()
        .map(|name| ((*name).to_owned(), node(name, "worker")))
        .collect()
}

pub(crate) fn worker_selector() -> Value {
    json!({"nodeSelectorTerms": [{"matchExpressions": [
        {"key": "kubernetes.io/role", "operator": "In", "values": ["worker"]}]}]})
}

pub(crate) fn pool(spec: &Value) -> IPPool {
    serde_json::from_value(json!({
        "apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": "IPPool",
        "metadata": {"name": "pool1", "namespace": "kube-system", "uid": "u1", "generation": 1},
        "spec": spec,
    }))
    .unwrap()
}

pub(crate) fn entry(node: &str, start: &str, end: &str) -> Allocation {
    Allocation {
        node_name: node.to_owned(),
        start_ip: start.to_owned(),
        end_ip: end.to_owned(),
    }
}

pub(crate) fn allocations(pool: &IPPool) -> &[Allocation] {
    pool.status.as_ref().map_or(&[], |status| &status.allocations)
}

/// The plan for `pool`, at a time of which each test has only one.
pub(crate) fn plan(
    pool: &IPPool,
    nodes: &Nodes,
    said: Option<&Said>,
) -> Plan<<IPPool as kube::core::object::HasStatus>::Status> {
    pool.plan(&World {
        nodes,
        now: Time(Timestamp::UNIX_EPOCH),
        conditions_kept: true,
        said,
    })
}

/// `pool` with what is planned for it.
pub(crate) fn planned(pool: &IPPool, nodes: &Nodes) -> IPPool {
    let mut pool = pool.clone();
    if let Some(status) = plan(&pool, nodes, None).status {
        pool.status = Some(status);
    }
    pool
}

pub(crate) fn condition(pool: &IPPool, type_: &str) -> (String, String, String) {
    let conditions = &pool.status.as_ref().unwrap().conditions;
    let condition = conditions.iter().find(|c| c.type_ == type_).unwrap();
    (
        condition.status.clone(),
        condition.reason.clone(),
        condition.message.clone(),
    )
}
