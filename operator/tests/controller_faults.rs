//! The whole controller against an API server in memory: what goes wrong around it.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::StatusCode;
use common::api_server::{ApiServer, EVENTS, Expiry, LEASES, NODES, POOLS};
use common::controller::{
    Controller, allocations, assert_disjoint, client, condition, eventually, holders, put_node, put_pool,
    seed_spec,
};
use common::pool;
use operator::election::LEASE;
use operator::events;
use operator::findings::Notice;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_changed_meanwhile_is_planned_again() {
    let server = ApiServer::start().await;
    put_node(&server, "host-a", "worker");
    put_pool(&server, &seed_spec());
    // Another controller deals the first block while ours does.
    server.faults.lock().unwrap().before_status_write = Some(Box::new(|server| {
        let mut pool = server.get(POOLS, "pool1").unwrap();
        pool["status"] = json!({"allocations": [
            {"nodeName": "go", "startIP": "192.168.0.1", "endIP": "192.168.0.24"}]});
        server.put(POOLS, pool);
    }));
    let controller = Controller::start(&server);
    server.until("both", |s| allocations(s).len() == 2).await;
    assert_eq!(holders(&server), ["go", "host-a"]);
    assert_disjoint(&server);
    assert_eq!(server.requests("PUT status"), 2);
    let pool = r#"{pool="pool1"}"#;
    let conflicts = || controller.metric(&format!("nv_ipam_controller_status_conflicts_total{pool}"));
    eventually("the conflict to be counted", || conflicts() == Some(1)).await;
    assert!(
        condition(&server, "StaleAllocations").unwrap()["message"]
            .as_str()
            .unwrap()
            .contains("go (node is gone)")
    );
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_the_go_versions_crd_nothing_is_written_for_conditions_until_they_are_kept() {
    let server = ApiServer::start().await;
    server.faults.lock().unwrap().prune_conditions = true;
    put_node(&server, "host-a", "worker");
    put_pool(&server, &seed_spec());
    let controller = Controller::start(&server);
    server.until("a block", |s| allocations(s).len() == 1).await;
    server.delete(NODES, "host-a");
    put_node(&server, "host-b", "worker");
    server
        .until("a second block", |s| allocations(s).len() == 2)
        .await;
    assert_eq!(
        server.requests("PUT status"),
        2,
        "one for each change, none for conditions"
    );
    assert_eq!(condition(&server, "SpecValid"), None);
    // Our CRD is applied.
    server.faults.lock().unwrap().prune_conditions = false;
    put_node(&server, "host-c", "worker");
    server
        .until("conditions with the third block", |s| {
            condition(s, "SpecValid").is_some() && allocations(s).len() == 3
        })
        .await;
    assert_eq!(server.requests("PUT status"), 3);
    server.delete(NODES, "host-c");
    server
        .until("a write for a condition alone", |s| {
            condition(s, "StaleAllocations")
                .is_some_and(|c| c["message"].as_str().unwrap().contains("host-c"))
        })
        .await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_post_events_everything_else_works() {
    let server = ApiServer::start().await;
    server.faults.lock().unwrap().forbid_events = true;
    put_node(&server, "a", "worker");
    put_node(&server, "b", "worker");
    put_pool(
        &server,
        &json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 200}),
    );
    let controller = Controller::start(&server);
    let post = format!("POST {EVENTS}");
    server.until("an attempt", |s| s.requests(&post) == 1).await;
    let mut pool = server.get(POOLS, "pool1").unwrap();
    pool["spec"]["subnet"] = json!("nonsense");
    pool["metadata"]["generation"] = json!(2);
    server.put(POOLS, pool);
    server
        .until("the condition", |s| {
            condition(s, "SpecValid").is_some_and(|c| c["status"] == "False")
        })
        .await;
    assert_eq!(allocations(&server).len(), 1);
    let mut pool = server.get(POOLS, "pool1").unwrap();
    pool["spec"]["subnet"] = json!("10.0.0.0/16");
    pool["metadata"]["generation"] = json!(3);
    server.put(POOLS, pool);
    server
        .until("a second block", |s| allocations(s).len() == 2)
        .await;
    assert_eq!(server.requests(&post), 1, "not tried again at once");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_were_forbidden_are_posted_once_they_are_allowed() {
    let server = ApiServer::start().await;
    server.faults.lock().unwrap().forbid_events = true;
    let (recorder, poster) = events::recorder(client(&server), Duration::from_millis(10));
    let posting = tokio::spawn(poster.run());
    for message in ["one", "two"] {
        let notice = Notice {
            reason: "Reason",
            message: message.to_owned(),
        };
        recorder.say(&pool(&seed_spec()), notice);
    }
    drop(recorder);
    let post = format!("POST {EVENTS}");
    server.until("several attempts", |s| s.requests(&post) >= 3).await;
    server.faults.lock().unwrap().forbid_events = false;
    posting.await.unwrap();
    let there = server.list(EVENTS);
    let messages: BTreeSet<&str> = there.iter().map(|e| e["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["one", "two"].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_be_said_is_said_once_also_while_no_status_can_be_written() {
    let server = ApiServer::start().await;
    server.faults.lock().unwrap().failing_status_writes = vec![StatusCode::INTERNAL_SERVER_ERROR; 1000];
    put_node(&server, "a", "worker");
    put_node(&server, "b", "worker");
    put_pool(
        &server,
        &json!({"subnet": "10.0.0.0/24", "perNodeBlockSize": 200}),
    );
    let controller = Controller::start(&server);
    server.until("an event", |s| s.list(EVENTS).len() == 1).await;
    server
        .until("several attempts", |s| s.requests("PUT status") >= 4)
        .await;
    assert_eq!(allocations(&server).len(), 0);
    server.faults.lock().unwrap().failing_status_writes.clear();
    server.until("a block", |s| allocations(s).len() == 1).await;
    put_node(&server, "c", "worker");
    server.until("another event", |s| s.list(EVENTS).len() == 2).await;
    assert_eq!(
        server.requests(&format!("PATCH {EVENTS}")),
        0,
        "none is said twice"
    );
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_a_watch_is_cut_is_caught_up_with() {
    let server = ApiServer::start().await;
    for name in ["host-a", "host-b"] {
        put_node(&server, name, "worker");
    }
    put_pool(&server, &seed_spec());
    let controller = Controller::start(&server);
    server.until("two blocks", |s| allocations(s).len() == 2).await;
    let cuts = [None, Some(Expiry::Event), Some(Expiry::Status)];
    for (round, forget) in cuts.into_iter().enumerate() {
        server.cut_watches(forget);
        put_node(&server, &format!("host-c{round}"), "worker");
        server
            .until("a block more", |s| allocations(s).len() == 3 + round)
            .await;
    }
    server.delete(NODES, "host-a");
    server.cut_watches(Some(Expiry::Event));
    server
        .until("the condition", |s| {
            condition(s, "StaleAllocations")
                .is_some_and(|c| c["message"].as_str().unwrap().contains("host-a (node is gone)"))
        })
        .await;
    assert_eq!(allocations(&server).len(), 5, "and its block stands");
    assert_disjoint(&server);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_write_that_fails_is_tried_again() {
    let server = ApiServer::start().await;
    server.faults.lock().unwrap().failing_status_writes = vec![StatusCode::INTERNAL_SERVER_ERROR; 3];
    put_node(&server, "host-a", "worker");
    put_pool(&server, &seed_spec());
    let controller = Controller::start(&server);
    server.until("a block", |s| allocations(s).len() == 1).await;
    assert_eq!(server.requests("PUT status"), 4);
    controller.stop().await;
}

/// An API server says so of every pool while it doesn't serve the CRD, or if the CRD has no status subresource.
#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_not_found_for_a_moment_is_not_forgotten() {
    let server = ApiServer::start().await;
    server.faults.lock().unwrap().failing_status_writes = vec![StatusCode::NOT_FOUND; 2];
    put_node(&server, "host-a", "worker");
    put_pool(&server, &seed_spec());
    let controller = Controller::start(&server);
    server.until("a block", |s| allocations(s).len() == 1).await;
    assert_eq!(server.requests("PUT status"), 3);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_becomes_unreadable_leaves_no_metrics() {
    let server = ApiServer::start().await;
    put_node(&server, "host-a", "worker");
    put_pool(&server, &seed_spec());
    let controller = Controller::start(&server);
    eventually("a plan", || controller.plans() > 0).await;
    put_pool(&server, &json!({"subnet": 7}));
    eventually("its metrics to vanish", || controller.plans() == 0).await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_cannot_be_read_hinders_no_other() {
    let server = ApiServer::start().await;
    put_node(&server, "host-a", "worker");
    server.put(
        POOLS,
        json!({"apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": "IPPool",
            "metadata": {"name": "broken", "namespace": "kube-system"}, "spec": {"subnet": 7}}),
    );
    put_pool(&server, &seed_spec());
    let controller = Controller::start(&server);
    server.until("a block", |s| allocations(s).len() == 1).await;
    assert_eq!(server.get(POOLS, "broken").unwrap().get("status"), None);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_the_lease_ends_the_process_with_an_error() {
    let server = ApiServer::start().await;
    let controller = Controller::start(&server);
    server
        .until("the lease", |s| s.get(LEASES, LEASE).is_some())
        .await;
    let mut lease = server.get(LEASES, LEASE).unwrap();
    lease["spec"]["holderIdentity"] = json!("usurper");
    server.put(LEASES, lease);
    let error = controller.running.await.unwrap().unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("lost the lease dd1643cf.nvidia.com to usurper"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end_it_ends_though_a_write_hangs() {
    let server = ApiServer::start().await;
    server.faults.lock().unwrap().swallow_status_writes = true;
    put_node(&server, "host-a", "worker");
    put_pool(&server, &seed_spec());
    let controller = Controller::start(&server);
    server
        .until("a write that hangs", |s| s.requests("PUT status") == 1)
        .await;
    controller.stop().await;
    assert_eq!(server.get(LEASES, LEASE).unwrap()["spec"]["holderIdentity"], "");
}

/// Killed just when its n-th request arrives at the API server, and started again: the end is the same.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_request_the_end_is_the_same() {
    let mut ends = BTreeSet::new();
    for kill_at in 1..=16 {
        let server = ApiServer::start().await;
        for i in 0..40 {
            put_node(&server, &format!("node-{i}"), "worker");
        }
        put_pool(&server, &seed_spec());
        let controller = Controller::start(&server);
        server
            .until("the request, or the end", |s| {
                s.all_requests() >= kill_at || allocations(s).len() == 40
            })
            .await;
        controller.kill().await;
        // Its lease would have to expire first.
        if server.get(LEASES, LEASE).is_some() {
            server.delete(LEASES, LEASE);
        }
        let controller = Controller::start(&server);
        server.until("every block", |s| allocations(s).len() == 40).await;
        ends.insert(json!(allocations(&server)).to_string());
        controller.stop().await;
    }
    assert_eq!(ends.len(), 1);
}
