//! What a CNI GC releases, and what it leaves alone.

use std::time::Duration;

use axum::http::StatusCode;
use node::clock::{BootClock, Clock};
use rpc::journal::Stamp;
use serde_json::json;
use tonic::Code;

use crate::support::api_server::ApiServer;
use crate::support::{Daemon, Interface, NODE, Node, within};

/// Of a container that the runtime has forgotten, and whose pod was deleted.
const LEAKED: Interface = Interface {
    container: "leaked",
    pod: "gone",
    uid: "u1",
};

/// Shows that the pool is known.
const PROBE: Interface = Interface {
    container: "probe",
    pod: "gone",
    uid: "u2",
};

fn of_pod(container: &'static str, pod: &'static str, uid: &'static str) -> Interface {
    Interface { container, pod, uid }
}

fn now() -> Stamp {
    BootClock::new().unwrap().stamp()
}

/// A daemon that knows its pool, and whose cleaner doesn't meddle.
async fn started(api_server: &ApiServer, node: &Node) -> Daemon {
    api_server.put_pool("pool1", "10.0.0.0/24", NODE, "10.0.0.1", "10.0.0.24");
    let mut config = node.config();
    config.cleaner_pace.interval = Duration::from_secs(3600);
    let daemon = node.start_with(config).await;
    daemon.add_when_known(PROBE).await;
    daemon.del(PROBE).await;
    daemon
}

#[tokio::test]
async fn only_what_is_dead_beyond_doubt_is_released() {
    let api_server = ApiServer::start();
    let node = Node::new(&api_server);
    let daemon = started(&api_server, &node).await;
    api_server.put_pod("web", "u3", NODE, &json!({}));
    api_server.put_pod(
        "fixed",
        "mirror",
        NODE,
        &json!({"kubernetes.io/config.hash": "u4"}),
    );
    api_server.put_pod("reborn", "u6", NODE, &json!({}));
    let live = of_pod("live", "gone", "u2");
    let with_pod = of_pod("with-pod", "web", "u3");
    let of_static_pod = of_pod("static", "fixed", "u4");
    let of_namesake = of_pod("namesake", "reborn", "u5");
    let of_no_pod = of_pod("made-up", "no pod is called so", "");
    for interface in [LEAKED, live, with_pod, of_static_pod, of_namesake, of_no_pod] {
        daemon.add_by("mynet", interface).await.unwrap();
    }
    let of_other_network = of_pod("other", "gone", "u7");
    daemon.add_by("othernet", of_other_network).await.unwrap();
    // As a Go plugin asks, which doesn't say its network.
    let of_go_plugin = of_pod("nameless", "gone", "u8");
    daemon.add(of_go_plugin).await.unwrap();

    assert_eq!(daemon.gc("mynet", &[live], now()).await.unwrap(), 3);
    for released in [LEAKED, of_namesake, of_no_pod] {
        assert!(!daemon.has(released).await, "{released:?}");
    }
    for kept in [live, with_pod, of_static_pod, of_other_network, of_go_plugin] {
        assert!(daemon.has(kept).await, "{kept:?}");
    }
    assert_eq!(daemon.gc("mynet", &[live], now()).await.unwrap(), 0);
    // Nothing is alive, which is not to say that nothing has a pod.
    assert_eq!(daemon.gc("mynet", &[], now()).await.unwrap(), 1);
    assert!(daemon.has(with_pod).await && !daemon.has(live).await);
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_reserved_while_a_gc_is_on_its_way_stands() {
    let api_server = ApiServer::start();
    let node = Node::new(&api_server);
    let daemon = started(&api_server, &node).await;
    let began = now();
    daemon.add_by("mynet", LEAKED).await.unwrap();
    assert_eq!(daemon.gc("mynet", &[], began.clone()).await.unwrap(), 0);
    let of_another_boot = Stamp {
        boot_id: "another".to_owned(),
        boottime_ns: u64::MAX,
    };
    assert_eq!(daemon.gc("mynet", &[], of_another_boot).await.unwrap(), 0);
    assert!(daemon.has(LEAKED).await);
    // Also after a restart, though nobody remembers its commit.
    daemon.stop().await;
    let daemon = node.start().await;
    assert_eq!(daemon.gc("mynet", &[], began).await.unwrap(), 0);
    assert_eq!(daemon.gc("mynet", &[], now()).await.unwrap(), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn a_reservation_made_while_its_predecessor_is_judged_stands() {
    let api_server = ApiServer::start();
    let node = Node::new(&api_server);
    let daemon = started(&api_server, &node).await;
    daemon.add_by("mynet", LEAKED).await.unwrap();
    api_server.hold_pod_answers();
    let before = api_server.pod_reads();
    let (released, ()) = tokio::join!(daemon.gc("mynet", &[], now()), async {
        within("it asks", async || {
            (api_server.pod_reads() > before).then_some(())
        })
        .await;
        daemon.del(LEAKED).await;
        daemon.add_by("mynet", LEAKED).await.unwrap();
        api_server.answer_pods(1);
    });
    assert_eq!(released.unwrap(), 0);
    assert!(daemon.has(LEAKED).await);
    api_server.answer_pods(100);
    daemon.stop().await;
}

#[tokio::test]
async fn an_api_server_that_can_not_say_releases_nothing() {
    let api_server = ApiServer::start();
    let node = Node::new(&api_server);
    let daemon = started(&api_server, &node).await;
    daemon.add_by("mynet", LEAKED).await.unwrap();
    daemon
        .add_by("mynet", of_pod("another", "gone-too", "u9"))
        .await
        .unwrap();
    for failure in [
        (StatusCode::INTERNAL_SERVER_ERROR, "etcd is away"),
        (StatusCode::NOT_FOUND, "404 page not found"),
    ] {
        api_server.fail_pod_reads(Some(failure));
        let status = daemon.gc("mynet", &[], now()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(
            status.message().starts_with("2 address(es) are held by"),
            "{status}"
        );
        assert!(daemon.has(LEAKED).await);
    }
    api_server.fail_pod_reads(None);
    assert_eq!(daemon.gc("mynet", &[], now()).await.unwrap(), 2);
    daemon.stop().await;
}
