//! The daemon serves without the API server, and follows it when it is there.

use crate::support::api_server::ApiServer;
use crate::support::{Interface, NODE, Node, within};
use tonic::Code;

const WEB: Interface = Interface {
    container: "c1",
    pod: "web",
    uid: "u1",
};
const DB: Interface = Interface {
    container: "c2",
    pod: "db",
    uid: "u2",
};

fn with_pool() -> ApiServer {
    let api_server = ApiServer::start();
    api_server.put_pool("pool1", "10.0.0.0/24", NODE, "10.0.0.1", "10.0.0.24");
    api_server
}

#[tokio::test]
async fn before_it_ever_was_reached_add_is_unavailable_and_then_it_catches_up() {
    let mut api_server = ApiServer::absent();
    api_server.put_pool("pool1", "10.0.0.0/24", NODE, "10.0.0.1", "10.0.0.24");
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    assert_eq!(daemon.add(WEB).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(daemon.status().await.unwrap_err().code(), Code::Unavailable);
    daemon.del(WEB).await;

    api_server.restart();
    assert_eq!(daemon.add_when_known(WEB).await, "10.0.0.1/24");
    daemon.status().await.unwrap();
    daemon.stop().await;
}

#[tokio::test]
async fn after_a_restart_without_it_the_pools_known_before_are_handed_out() {
    let mut api_server = with_pool();
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    assert_eq!(daemon.add_when_known(WEB).await, "10.0.0.1/24");
    daemon.stop().await;
    api_server.stop();

    let daemon = node.start().await;
    daemon.status().await.unwrap();
    assert!(daemon.has(WEB).await);
    assert_eq!(daemon.add(DB).await.unwrap(), "10.0.0.2/24");
    daemon.del(WEB).await;
    assert!(!daemon.has(WEB).await);
    daemon.stop().await;
}

#[tokio::test]
async fn it_goes_on_while_it_is_away_and_catches_up_when_it_is_back() {
    let mut api_server = with_pool();
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    daemon.add_when_known(WEB).await;
    api_server.stop();
    assert_eq!(daemon.add(DB).await.unwrap(), "10.0.0.2/24");

    api_server.put_pool("pool1", "10.0.0.0/24", NODE, "10.0.0.101", "10.0.0.124");
    api_server.restart();
    daemon.del(WEB).await;
    within("the new range is used", async || {
        daemon.del(DB).await;
        let address = daemon.add(DB).await.unwrap();
        address.starts_with("10.0.0.101/").then_some(())
    })
    .await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_pool_that_a_synced_daemon_does_not_know_is_not_found() {
    let api_server = with_pool();
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    daemon.add_when_known(WEB).await;
    api_server.delete_pool("pool1");
    let refused = within("the pool is gone", async || match daemon.add(DB).await {
        Ok(_) => {
            daemon.del(DB).await;
            None
        }
        Err(status) => Some(status.code()),
    });
    assert_eq!(refused.await, Code::NotFound);
    assert!(daemon.has(WEB).await, "what was handed out stays");
    daemon.stop().await;
}

#[tokio::test]
async fn an_object_that_cannot_be_read_changes_nothing_and_hides_nothing() {
    let api_server = with_pool();
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    daemon.add_when_known(WEB).await;
    daemon.stop().await;

    api_server.put_unreadable_pool("pool1");
    api_server.put_pool("pool2", "10.0.1.0/24", NODE, "10.0.1.1", "10.0.1.24");
    let daemon = node.start().await;
    within("the other pool is known", async || {
        daemon.add_from("pool2", DB).await.ok()
    })
    .await;
    assert_eq!(daemon.add(DB).await.unwrap(), "10.0.0.2/24");
    daemon.stop().await;
}
