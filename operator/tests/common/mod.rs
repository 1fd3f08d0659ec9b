//! Pools and nodes for tests.

#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod api_server;
pub(crate) mod controller;

use api::cidrpool::{CIDRPool, CIDRPoolAllocation};
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
        .map(|name| ((*name).to_owned(), node(name, "worker").into()))
        .collect()
}

pub(crate) fn worker_selector() -> Value {
    json!({"nodeSelectorTerms": [{"matchExpressions": [
        {"key": "kubernetes.io/role", "operator": "In", "values": ["worker"]}]}]})
}

pub(crate) fn pool(spec: &Value) -> IPPool {
    pool_of(spec)
}

pub(crate) fn cidrpool(spec: &Value) -> CIDRPool {
    pool_of(spec)
}

/// A pool of any kind.
pub(crate) fn pool_of<K: Pool>(spec: &Value) -> K {
    serde_json::from_value(json!({
        "apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": K::kind(&()),
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

pub(crate) fn prefix(node: &str, prefix: &str, gateway: &str) -> CIDRPoolAllocation {
    CIDRPoolAllocation {
        node_name: node.to_owned(),
        gateway: gateway.to_owned(),
        prefix: prefix.to_owned(),
    }
}

pub(crate) fn allocations<K: Pool>(pool: &K) -> &[K::Entry] {
    pool.entries()
}

/// `pool`, with this status.
pub(crate) fn with_entries<K: Pool>(mut pool: K, entries: &[K::Entry]) -> K {
    *pool.status_mut() = Some(K::status_of(entries.to_vec(), Vec::new()));
    pool
}

/// The plan for `pool`, at a time of which each test has only one.
pub(crate) fn plan<K: Pool>(pool: &K, nodes: &Nodes, said: Option<&Said>) -> Plan<K::Status> {
    pool.plan(&World {
        nodes,
        now: Time(Timestamp::UNIX_EPOCH),
        conditions_kept: true,
        said,
    })
}

/// `pool` with what is planned for it.
pub(crate) fn planned<K: Pool>(pool: &K, nodes: &Nodes) -> K {
    let mut pool = pool.clone();
    if let Some(status) = plan(&pool, nodes, None).status {
        *pool.status_mut() = Some(status);
    }
    pool
}

/// Status, reason and message.
pub(crate) fn condition<K: Pool>(pool: &K, type_: &str) -> (String, String, String) {
    let condition = pool.conditions().iter().find(|c| c.type_ == type_).unwrap();
    (
        condition.status.clone(),
        condition.reason.clone(),
        condition.message.clone(),
    )
}
