//! The whole controller against an API server in memory: what the two kinds of pools share, and what not.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use api::pool_key::PoolKind;
use axum::http::StatusCode;
use common::api_server::{ApiServer, CIDRPOOLS, DISCOVERY, EVENTS, LEASES, NODES, POOLS};
use common::controller::{
    Controller, allocations, allocations_in, eventually, put_cidrpool, put_node, put_pool, seed_spec,
};
use common::worker_selector;
use operator::election::LEASE;
use serde_json::{Value, json};

fn cidr_spec() -> Value {
    json!({"cidr": "192.168.0.0/16", "perNodeNetworkPrefix": 24, "gatewayIndex": 1, "nodeSelector": worker_selector()})
}

/// An API server with a pool of each kind, both named pool1, and a node for them.
async fn with_both() -> ApiServer {
    let server = ApiServer::start().await;
    put_node(&server, "host-a", "worker");
    put_pool(&server, &seed_spec());
    put_cidrpool(&server, &cidr_spec());
    server
}

fn prefixes(server: &ApiServer) -> Vec<Value> {
    allocations_in(server, CIDRPOOLS)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_kinds_are_dealt_and_nodes_are_watched_once() {
    let server = with_both().await;
    let controller = Controller::start(&server);
    server
        .until("a range of each", |s| {
            allocations(s).len() == 1 && prefixes(s).len() == 1
        })
        .await;
    put_node(&server, "infra", "infra");
    put_node(&server, "host-b", "worker");
    server
        .until("another range of each", |s| {
            allocations(s).len() == 2 && prefixes(s).len() == 2
        })
        .await;
    assert_eq!(
        prefixes(&server),
        [
            json!({"nodeName": "host-a", "gateway": "192.168.0.1", "prefix": "192.168.0.0/24"}),
            json!({"nodeName": "host-b", "gateway": "192.168.1.1", "prefix": "192.168.1.0/24"}),
        ]
    );
    assert_eq!(controller.readiness.check(), Ok(()));
    let asked = |verb: &str| server.requests(&format!("{verb} {NODES}"));
    assert_eq!((asked("GET"), asked("WATCH")), (1, 1));
    for pool in ["pool1", "cidrpool/pool1"] {
        let writes = format!(r#"nv_ipam_controller_status_writes_total{{pool="{pool}"}}"#);
        eventually("both writes to be counted", || {
            controller.metric(&writes) == Some(2)
        })
        .await;
    }
    server.delete(CIDRPOOLS, "pool1");
    let plans =
        |pool: &str| controller.metric(&format!(r#"nv_ipam_controller_plans_total{{pool="{pool}"}}"#));
    eventually("its metrics to vanish", || plans("cidrpool/pool1").is_none()).await;
    assert!(plans("pool1").is_some(), "those of the other kind stay");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_say_which_kind_they_are_about() {
    let server = ApiServer::start().await;
    put_node(&server, "host-a", "worker");
    put_node(&server, "host-b", "worker");
    put_cidrpool(
        &server,
        &json!({"cidr": "10.0.0.0/24", "perNodeNetworkPrefix": 24}),
    );
    let controller = Controller::start(&server);
    server.until("an event", |s| s.list(EVENTS).len() == 1).await;
    let event = &server.list(EVENTS)[0];
    assert_eq!(
        [
            &event["source"]["component"],
            &event["involvedObject"]["kind"],
            &event["reason"],
            &event["message"]
        ],
        [
            "CIDRPoolController",
            "CIDRPool",
            "NoFreePrefixes",
            "failed to allocated prefix for Node: host-b, no free prefixes"
        ]
    );
    controller.stop().await;
}

/// A cluster of a Go version that didn't know CIDRPools, and whose role didn't either.
#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_is_not_served_holds_up_neither_the_other_nor_readiness() {
    for (absent, absent_path, served_path) in [("cidrpools", CIDRPOOLS, POOLS), ("ippools", POOLS, CIDRPOOLS)]
    {
        let server = with_both().await;
        server.faults.lock().unwrap().unserved = vec![absent];
        server.faults.lock().unwrap().forbidden = vec![absent_path];
        let controller = Controller::start(&server);
        server
            .until("a range", |s| allocations_in(s, served_path).len() == 1)
            .await;
        eventually("it to be ready", || controller.readiness.check().is_ok()).await;
        assert_eq!(allocations_in(&server, absent_path).len(), 0);
        assert_eq!(
            server.requests(&format!("GET {absent_path}")),
            0,
            "it isn't even asked for"
        );
        // The CRD is applied: there may be pools, which it may not read yet.
        server.faults.lock().unwrap().unserved.clear();
        server
            .until("it to ask for them", |s| {
                s.requests(&format!("GET {absent_path}")) > 0
            })
            .await;
        assert_eq!(controller.readiness.check(), Err(format!("{absent}: not yet\n")));
        server.faults.lock().unwrap().forbidden.clear();
        server
            .until("a range of that kind, too", |s| {
                allocations_in(s, absent_path).len() == 1
            })
            .await;
        assert_eq!(controller.readiness.check(), Ok(()));
        controller.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_kind_of_pool_it_is_not_ready() {
    let server = with_both().await;
    server.faults.lock().unwrap().unserved = vec!["ippools", "cidrpools"];
    let controller = Controller::start(&server);
    server
        .until("several questions", |s| {
            s.requests(&format!("GET {DISCOVERY}")) >= 4
        })
        .await;
    eventually("it to know the nodes", || {
        controller.readiness.check() == Err("pools: not yet\n".to_owned())
    })
    .await;
    server.faults.lock().unwrap().unserved.clear();
    server
        .until("a range of each", |s| {
            allocations(s).len() == 1 && prefixes(s).len() == 1
        })
        .await;
    assert_eq!(controller.readiness.check(), Ok(()));
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_not_known_whether_a_kind_is_served_all_stays_as_it_is() {
    let server = with_both().await;
    let asked = |s: &ApiServer| s.requests(&format!("GET {DISCOVERY}"));
    let fail = |code| server.faults.lock().unwrap().failing_discovery = code;
    let unwell = Some(StatusCode::INTERNAL_SERVER_ERROR);
    server.faults.lock().unwrap().unserved = vec!["cidrpools"];
    fail(unwell);
    let controller = Controller::start(&server);
    server.until("questions of each kind", |s| asked(s) >= 4).await;
    eventually("it to know the nodes", || {
        controller.readiness.check()
            == Err("cidrpools: not yet\nippools: not yet\npools: not yet\n".to_owned())
    })
    .await;
    fail(None);
    server.until("a block", |s| allocations(s).len() == 1).await;
    eventually("it to be ready", || controller.readiness.check().is_ok()).await;
    fail(unwell);
    let before = asked(&server);
    server.until("a question that fails", |s| asked(s) > before).await;
    fail(None);
    server.until("another question", |s| asked(s) > before + 1).await;
    assert_eq!(controller.readiness.check(), Ok(()));
    assert_eq!(server.requests(&format!("GET {CIDRPOOLS}")), 0);
    server.faults.lock().unwrap().unserved.clear();
    server.until("a prefix", |s| prefixes(s).len() == 1).await;
    eventually("it to be ready again", || controller.readiness.check().is_ok()).await;
    controller.stop().await;
}

/// There may be pools of that kind, and nobody would know.
#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_may_not_be_read_holds_up_readiness_and_not_the_other() {
    let server = with_both().await;
    server.faults.lock().unwrap().forbidden = vec![CIDRPOOLS];
    let controller = Controller::start(&server);
    server.until("a block", |s| allocations(s).len() == 1).await;
    server
        .until("an attempt", |s| s.requests(&format!("GET {CIDRPOOLS}")) >= 2)
        .await;
    assert_eq!(
        controller.readiness.check(),
        Err("cidrpools: not yet\n".to_owned())
    );
    server.faults.lock().unwrap().forbidden.clear();
    server.until("a prefix", |s| prefixes(s).len() == 1).await;
    assert_eq!(controller.readiness.check(), Ok(()));
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_hangs_holds_up_no_pool_of_the_other_kind_and_no_end() {
    let server = with_both().await;
    server.faults.lock().unwrap().swallow_status_writes = true;
    let controller = Controller::start(&server);
    server
        .until("a write of each that hangs", |s| s.requests("PUT status") == 2)
        .await;
    controller.stop().await;
    assert_eq!(
        server.get(LEASES, LEASE).unwrap()["spec"]["holderIdentity"],
        "",
        "released"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_is_told_of_every_network_and_of_its_end() {
    let server = with_both().await;
    let controller = Controller::start(&server);
    let overlaps = |with: &str| {
        let net = "192.168.7.0/24".parse().unwrap();
        let warning = controller
            .other_pools
            .warning(PoolKind::CidrPool, "new", "spec.cidr", &net);
        warning.is_some_and(|warning| warning.contains(with))
    };
    eventually("both to be known", || {
        overlaps("ippool/pool1 (192.168.0.0/16)") && overlaps("cidrpool/pool1 (192.168.0.0/16)")
    })
    .await;
    put_cidrpool(
        &server,
        &json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": 24}),
    );
    eventually("the edit", || {
        overlaps("ippool/pool1") && !overlaps("cidrpool/pool1")
    })
    .await;
    server.delete(POOLS, "pool1");
    eventually("the end", || !overlaps("ippool/pool1")).await;
    put_cidrpool(
        &server,
        &json!({"cidr": "192.168.7.0/24", "perNodeNetworkPrefix": 24}),
    );
    eventually("another edit", || overlaps("cidrpool/pool1 (192.168.7.0/24)")).await;
    put_cidrpool(&server, &json!({"cidr": 7}));
    eventually("it to be unreadable", || !overlaps("cidrpool/pool1")).await;
    controller.stop().await;
}
