//! Which addresses the daemon takes back when no DEL comes.

use std::time::Duration;

use crate::small_disk::{eat_everything, on_a_small_disk};
use crate::support::api_server::ApiServer;
use crate::support::{Daemon, Interface, NODE, Node, within};
use axum::http::StatusCode;
use rusqlite::Connection;
use serde_json::json;

const WEB: Interface = Interface {
    container: "c1",
    pod: "web",
    uid: "u1",
};

/// The pod of this one is deleted when a test has set up everything else: when its address is free, all others have been
/// judged as often as it takes.
const PROBE: Interface = Interface {
    container: "c9",
    pod: "probe",
    uid: "u9",
};

fn with_pool() -> ApiServer {
    let api_server = ApiServer::start();
    api_server.put_pool("pool1", "10.0.0.0/24", NODE, "10.0.0.1", "10.0.0.24");
    api_server.put_pod("probe", "u9", NODE, &json!({}));
    api_server
}

/// Waits until whatever is to be released has been.
async fn judged(node: &Node, daemon: &Daemon, api_server: &ApiServer) {
    daemon.add_when_known(PROBE).await;
    node.seen(PROBE).await;
    api_server.delete_pod("probe");
    daemon.released(PROBE).await;
}

#[tokio::test]
async fn the_address_of_a_deleted_pod_is_released_and_no_other() {
    let api_server = with_pool();
    api_server.put_pod("web", "u1", NODE, &json!({}));
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    daemon.add_when_known(WEB).await;
    judged(&node, &daemon, &api_server).await;
    assert!(daemon.has(WEB).await, "its pod is there");
    api_server.put_pod("web", "u2", NODE, &json!({}));
    daemon.released(WEB).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_pod_that_only_the_api_server_knows_keeps_its_address() {
    let api_server = with_pool();
    api_server.put_pod("web", "u1", "another-node", &json!({}));
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    daemon.add_when_known(WEB).await;
    node.seen(WEB).await;
    judged(&node, &daemon, &api_server).await;
    assert!(daemon.has(WEB).await);
    daemon.stop().await;
}

#[tokio::test]
async fn a_static_pod_keeps_its_address() {
    let api_server = with_pool();
    api_server.put_pod("web", "mirror", NODE, &json!({"kubernetes.io/config.hash": "u1"}));
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    daemon.add_when_known(WEB).await;
    node.seen(WEB).await;
    judged(&node, &daemon, &api_server).await;
    assert!(daemon.has(WEB).await);
    daemon.stop().await;
}

#[tokio::test]
async fn a_pod_that_the_api_server_never_had_keeps_its_address_until_the_machine_restarts() {
    let api_server = with_pool();
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    daemon.add_when_known(WEB).await;
    judged(&node, &daemon, &api_server).await;
    assert!(daemon.has(WEB).await);
    daemon.stop().await;

    let store = Connection::open(node.path("store")).unwrap();
    store
        .execute("UPDATE reservations SET boot_id = 'an earlier one'", [])
        .unwrap();
    store.close().unwrap();
    let daemon = node.start().await;
    daemon.released(WEB).await;
    daemon.stop().await;
}

#[tokio::test]
async fn that_a_pod_was_seen_is_recorded_at_its_events() {
    let api_server = with_pool();
    let node = Node::new(&api_server);
    let mut config = node.config();
    config.cleaner_pace.interval = Duration::from_secs(3600);
    let daemon = node.start_with(config).await;
    daemon.add_when_known(WEB).await;
    api_server.put_pod("web", "u1", NODE, &json!({}));
    node.seen(WEB).await;
    daemon.add(PROBE).await.unwrap();
    api_server.delete_pod("probe");
    node.seen(PROBE).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_full_disk_on_which_no_pod_can_be_recorded_as_seen_keeps_no_stale_address() {
    let name = "stale_addresses::a_full_disk_on_which_no_pod_can_be_recorded_as_seen_keeps_no_stale_address";
    let Some(disk) = on_a_small_disk(name) else {
        return;
    };
    let api_server = with_pool();
    api_server.put_pool("big", "10.1.0.0/16", NODE, "10.1.0.1", "10.1.255.254");
    let node = Node::new_in(&disk, &api_server);
    let daemon = node.start().await;
    daemon.add_when_known(WEB).await;
    daemon.add(PROBE).await.unwrap();
    node.seen(PROBE).await;
    eat_everything(&disk.join("other"));
    fill(&daemon).await;

    api_server.put_pod("web", "u1", NODE, &json!({}));
    api_server.delete_pod("probe");
    daemon.released(PROBE).await;
    let store = Connection::open(node.path("store")).unwrap();
    let seen = "SELECT pod_seen FROM reservations WHERE container = ?";
    let seen: bool = store.query_row(seen, [WEB.container], |row| row.get(0)).unwrap();
    assert!(!seen, "there was room to record it");
    store.close().unwrap();
    daemon.stop().await;
}

/// Adds to a big pool until the disk is full.
async fn fill(daemon: &Daemon) {
    for n in 0.. {
        let filler = Interface {
            container: format!("filler{n}").leak(),
            pod: "filler",
            uid: "f",
        };
        match daemon.add_from("big", filler).await {
            Ok(_) => {}
            Err(status) if status.message().contains("make room") => return,
            Err(status) => panic!("{status}"),
        }
    }
}

#[tokio::test]
async fn an_api_server_that_fails_releases_nothing() {
    let api_server = with_pool();
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    daemon.add_when_known(PROBE).await;
    node.seen(PROBE).await;
    let denial = r#"{"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden"}"#;
    let nobody_knows =
        r#"{"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "details": {}}"#;
    api_server.fail_pod_reads(Some((StatusCode::FORBIDDEN, denial)));
    api_server.delete_pod("probe");
    for failure in [
        (StatusCode::FORBIDDEN, denial),
        (StatusCode::INTERNAL_SERVER_ERROR, "etcd is away"),
        (StatusCode::NOT_FOUND, "404 page not found"),
        (StatusCode::NOT_FOUND, nobody_knows),
        (StatusCode::OK, "{}"),
    ] {
        api_server.fail_pod_reads(Some(failure));
        let before = api_server.pod_reads();
        within("it asked often enough", async || {
            (api_server.pod_reads() > before + 8).then_some(())
        })
        .await;
        assert!(daemon.has(PROBE).await, "{failure:?}");
    }
    api_server.fail_pod_reads(None);
    daemon.released(PROBE).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_reservation_made_while_its_predecessor_is_judged_stands() {
    let api_server = with_pool();
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    daemon.add_when_known(PROBE).await;
    node.seen(PROBE).await;
    api_server.hold_pod_answers();
    let before = api_server.pod_reads();
    api_server.delete_pod("probe");
    let asked = async |times: usize| {
        within("it asked", async || {
            (api_server.pod_reads() >= before + times).then_some(())
        })
        .await;
    };
    // The fourth miss is the last; its answer waits.
    asked(1).await;
    api_server.answer_pods(3);
    asked(4).await;
    daemon.del(PROBE).await;
    let again = daemon.add(PROBE).await.unwrap();
    api_server.answer_pods(1);
    asked(5).await;
    assert!(daemon.has(PROBE).await, "{again} is another reservation");
    api_server.answer_pods(100);
    daemon.stop().await;
}
