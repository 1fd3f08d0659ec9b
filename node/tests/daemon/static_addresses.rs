//! Addresses that are asked for by name, against the ranges that other nodes have.

use rpc::v1::IpamParameters;
use tonic::{Code, Status};

use crate::support::api_server::ApiServer;
use crate::support::{Daemon, Interface, NODE, Node, within};

const WEB: Interface = Interface {
    container: "c1",
    pod: "web",
    uid: "u1",
};

const OWN: (&str, &str, &str) = (NODE, "10.0.0.1", "10.0.0.24");
const OF_B: (&str, &str, &str) = ("host-b", "10.0.0.25", "10.0.0.48");
const OF_C: (&str, &str, &str) = ("host-c", "10.0.0.49", "10.0.0.72");

fn asking_for(ip: &str) -> IpamParameters {
    IpamParameters {
        requested_ips: vec![ip.to_owned()],
        ..WEB.parameters("pool1")
    }
}

/// What is said of an address without reserving it: the second pool is none.
async fn verdict(daemon: &Daemon, ip: &str) -> Status {
    let mut parameters = asking_for(ip);
    parameters.pools.push("none".to_owned());
    daemon.add_as(parameters).await.unwrap_err()
}

#[tokio::test]
async fn a_node_that_joins_is_known_at_once_and_makes_no_daemon_write() {
    let api_server = ApiServer::start();
    api_server.put_shared_pool("pool1", "10.0.0.0/24", &[OWN, OF_B]);
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    within("the pool is known", async || {
        (verdict(&daemon, "10.0.0.9").await.code() == Code::NotFound).then_some(())
    })
    .await;
    let refusal = verdict(&daemon, "10.0.0.30").await;
    assert_eq!(refusal.code(), Code::InvalidArgument);
    assert!(
        refusal.message().contains("in the range of node host-b"),
        "{refusal}"
    );
    assert_eq!(
        verdict(&daemon, "10.0.0.60").await.code(),
        Code::NotFound,
        "it is nobody's"
    );

    let store = rusqlite::Connection::open(node.path("store")).unwrap();
    let version = || {
        store
            .pragma_query_value(None, "data_version", |row| row.get::<_, i64>(0))
            .unwrap()
    };
    let before = version();
    api_server.put_shared_pool("pool1", "10.0.0.0/24", &[OWN, OF_B, OF_C]);
    within("host-c is known", async || {
        let refusal = verdict(&daemon, "10.0.0.60").await;
        (refusal.code() == Code::InvalidArgument && refusal.message().contains("host-c")).then_some(())
    })
    .await;
    assert_eq!(version(), before, "something was stored");
    assert_eq!(
        daemon.add_as(asking_for("10.0.0.24")).await.unwrap(),
        "10.0.0.24/24"
    );
    assert_ne!(version(), before, "then this shows nothing");
    store.close().unwrap();
    daemon.stop().await;
}

#[tokio::test]
async fn after_a_restart_without_the_api_server_only_own_addresses_are_given() {
    let mut api_server = ApiServer::start();
    api_server.put_shared_pool("pool1", "10.0.0.0/24", &[OWN, OF_B]);
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    within("the pool is known", async || {
        (verdict(&daemon, "10.0.0.9").await.code() == Code::NotFound).then_some(())
    })
    .await;
    daemon.stop().await;
    api_server.stop();

    let daemon = node.start().await;
    for ip in ["10.0.0.30", "10.0.0.60"] {
        let refusal = verdict(&daemon, ip).await;
        assert_eq!(refusal.code(), Code::Unavailable);
        assert!(refusal.message().contains("is not known yet"), "{refusal}");
    }
    assert_eq!(
        daemon.add_as(asking_for("10.0.0.9")).await.unwrap(),
        "10.0.0.9/24"
    );
    daemon.del(WEB).await;

    api_server.restart();
    within("the other nodes are known", async || {
        daemon.add_as(asking_for("10.0.0.60")).await.ok()
    })
    .await;
    assert!(verdict(&daemon, "10.0.0.30").await.message().contains("host-b"));
    daemon.stop().await;
}
