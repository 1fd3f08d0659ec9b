//! The whole controller against an API server in memory: what it deals, says and counts.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::collections::BTreeSet;

use common::api_server::{ApiServer, EVENTS, LEASES, NODES, POOLS};
use common::controller::{
    Controller, allocations, assert_disjoint, condition, eventually, put_node, put_pool, seed_spec,
};
use operator::election::LEASE;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn the_seeds_pool_is_dealt_and_a_lone_node_gets_its_block() {
    let server = ApiServer::start().await;
    for name in ["host-b", "host-a"] {
        put_node(&server, name, "worker");
    }
    put_pool(&server, &seed_spec());
    let controller = Controller::start(&server);
    server.until("two blocks", |s| allocations(s).len() == 2).await;
    assert_eq!(
        allocations(&server)[0],
        json!({"nodeName": "host-a", "startIP": "192.168.0.1", "endIP": "192.168.0.24"})
    );
    assert_eq!(controller.readiness.check(), Ok(()));
    assert_eq!(controller.metric("nv_ipam_controller_leader"), Some(1));
    put_node(&server, "host-c", "worker");
    server
        .until("the third block", |s| allocations(s).len() == 3)
        .await;
    assert_eq!(server.requests("PUT status"), 2);
    assert!(
        server
            .node_accepts()
            .iter()
            .all(|accept| accept.contains("PartialObjectMetadata")),
        "of nodes, only metadata is asked for"
    );
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_nodes_in_a_burst_take_few_writes() {
    let server = ApiServer::start().await;
    put_pool(&server, &seed_spec());
    let controller = Controller::start(&server);
    server
        .until("an empty status", |s| condition(s, "NodesAllocated").is_some())
        .await;
    for i in 0..1000 {
        put_node(&server, &format!("node-{i:04}"), "worker");
        // Let others in between, as an API server does.
        tokio::task::yield_now().await;
    }
    server
        .until("a thousand blocks", |s| allocations(s).len() == 1000)
        .await;
    assert_disjoint(&server);
    let writes = server.requests("PUT status");
    assert!(writes <= 24, "{writes} writes");
    assert_eq!(
        controller.metric(r#"nv_ipam_controller_nodes_without_range{pool="pool1"}"#),
        Some(0)
    );
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_come_during_a_write_are_dealt_with_the_next() {
    let server = ApiServer::start().await;
    put_node(&server, "host-a", "worker");
    put_pool(&server, &seed_spec());
    server.faults.lock().unwrap().before_status_write = Some(Box::new(|server| {
        for i in 0..1000 {
            put_node(server, &format!("node-{i:04}"), "worker");
        }
    }));
    let controller = Controller::start(&server);
    server
        .until("every block", |s| allocations(s).len() == 1001)
        .await;
    let writes = server.requests("PUT status");
    assert!(writes <= 8, "{writes} writes");
    controller.stop().await;
}

fn put_infra_pool(server: &ApiServer) {
    let selector = json!({"nodeSelectorTerms": [{"matchExpressions": [
        {"key": "kubernetes.io/role", "operator": "In", "values": ["infra"]}]}]});
    server.put(
        POOLS,
        json!({"apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": "IPPool",
            "metadata": {"name": "infra", "namespace": "kube-system"},
            "spec": {"subnet": "10.0.0.0/16", "perNodeBlockSize": 10, "nodeSelector": selector}}),
    );
}

fn infra_blocks(server: &ApiServer) -> usize {
    let pool = server.get(POOLS, "infra").unwrap();
    pool["status"]["allocations"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_nodes_that_change_no_membership_wake_nobody() {
    let server = ApiServer::start().await;
    put_node(&server, "host-a", "worker");
    put_node(&server, "infra", "infra");
    put_pool(&server, &seed_spec());
    let controller = Controller::start(&server);
    server.until("a block", |s| allocations(s).len() == 1).await;
    put_node(&server, "host-z", "worker");
    server
        .until("a second block", |s| allocations(s).len() == 2)
        .await;
    // A plan is counted when its write has been answered.
    eventually("both plans to be counted", || controller.plans() >= 2).await;
    let plans = controller.plans();
    // They concern another pool. Once that has been planned for one of them, whoever was woken by those before has been, too.
    put_infra_pool(&server);
    for tick in 0..5 {
        let mut node = server.get(NODES, "host-a").unwrap();
        node["metadata"]["annotations"] = json!({"tick": tick.to_string()});
        node["metadata"]["labels"]["tick"] = json!(tick.to_string());
        server.put(NODES, node);
        put_node(&server, &format!("other-{tick}"), "infra");
        let name = format!("a block for other-{tick}");
        server.until(&name, |s| infra_blocks(s) == tick + 2).await;
    }
    server.delete(NODES, "other-0");
    put_node(&server, "other-9", "infra");
    server.until("the last block", |s| infra_blocks(s) == 7).await;
    assert_eq!(controller.plans(), plans);
    // The one that does matter comes after all of them.
    put_node(&server, "host-b", "worker");
    server.until("a third block", |s| allocations(s).len() == 3).await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_room_is_an_event_once_for_each_node_also_over_a_restart() {
    let server = ApiServer::start().await;
    for name in ["a", "b", "c"] {
        put_node(&server, name, "worker");
    }
    put_pool(
        &server,
        &json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 200}),
    );
    let controller = Controller::start(&server);
    server.until("two events", |s| s.list(EVENTS).len() == 2).await;
    let messages = |server: &ApiServer| -> BTreeSet<String> {
        let text = |e: Value| {
            format!(
                "{} {} {}",
                e["type"].as_str().unwrap(),
                e["reason"].as_str().unwrap(),
                e["message"].as_str().unwrap()
            )
        };
        server.list(EVENTS).into_iter().map(text).collect()
    };
    let expected = |nodes: &[&str]| -> BTreeSet<String> {
        nodes
            .iter()
            .map(|n| format!("Warning NoFreeRanges failed to allocate IPs on Node: {n}"))
            .collect()
    };
    assert_eq!(messages(&server), expected(&["b", "c"]));
    controller.stop().await;
    let controller = Controller::start(&server);
    put_node(&server, "d", "worker");
    server.until("a third event", |s| s.list(EVENTS).len() >= 3).await;
    assert_eq!(messages(&server), expected(&["b", "c", "d"]));
    assert_eq!(
        (
            server.requests(&format!("POST {EVENTS}")),
            server.requests(&format!("PATCH {EVENTS}"))
        ),
        (3, 0)
    );
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_pool_leaves_no_metrics_and_a_new_one_of_its_name_starts_afresh() {
    let server = ApiServer::start().await;
    put_node(&server, "host-a", "worker");
    put_pool(&server, &json!({"subnet": "nonsense", "perNodeBlockSize": 1}));
    let controller = Controller::start(&server);
    server.until("an event", |s| s.list(EVENTS).len() == 1).await;
    assert!(controller.plans() > 0);
    server.delete(POOLS, "pool1");
    put_node(&server, "host-b", "worker");
    eventually("its metrics to vanish", || controller.plans() == 0).await;
    put_pool(&server, &json!({"subnet": "nonsense", "perNodeBlockSize": 1}));
    server.until("another event", |s| s.list(EVENTS).len() == 2).await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_ready_and_writes_nothing_until_it_leads() {
    let server = ApiServer::start().await;
    put_node(&server, "host-a", "worker");
    put_pool(&server, &seed_spec());
    let first = Controller::start(&server);
    server.until("a block", |s| allocations(s).len() == 1).await;
    let second = Controller::start(&server);
    server
        .until("the second to look at the lease", |s| {
            s.requests(&format!("GET {LEASES}")) >= 2
        })
        .await;
    eventually("the second to be ready", || second.readiness.check().is_ok()).await;
    assert_eq!(second.metric("nv_ipam_controller_leader"), Some(0));
    let writes = server.requests("PUT status");
    first.stop().await;
    assert_eq!(
        server.get(LEASES, LEASE).unwrap()["spec"]["holderIdentity"],
        "",
        "released"
    );
    put_node(&server, "host-b", "worker");
    server
        .until("a second block", |s| allocations(s).len() == 2)
        .await;
    assert_eq!(second.metric("nv_ipam_controller_leader"), Some(1));
    assert_eq!(server.requests("PUT status"), writes + 1);
    second.stop().await;
}
