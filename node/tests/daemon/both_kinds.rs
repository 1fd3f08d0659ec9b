//! IPPools and CIDRPools are followed side by side, and neither depends on the other.

use axum::http::StatusCode;
use tonic::Code;

use crate::support::api_server::ApiServer;
use crate::support::endpoints::{fetch, free_address};
use crate::support::{Daemon, Interface, NODE, Node, within};

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

/// One pool of each kind, both named `pool1`.
fn with_both() -> ApiServer {
    let api_server = ApiServer::start();
    api_server.put_pool("pool1", "10.0.0.0/24", NODE, "10.0.0.1", "10.0.0.24");
    api_server.put_cidr_pool("pool1", "10.7.0.0/16", "10.7.3.0/24");
    api_server
}

async fn cidr_code(daemon: &Daemon, pool: &str) -> Code {
    daemon.add_from_cidr(pool, DB).await.unwrap_err().code()
}

#[tokio::test]
async fn a_pool_of_each_kind_is_served_and_one_that_goes_takes_no_other_along() {
    let api_server = with_both();
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    assert_eq!(daemon.add_when_known(WEB).await, "10.0.0.1/24");
    let first = within("the CIDRPool is known", async || {
        daemon.add_from_cidr("pool1", WEB).await.ok()
    });
    assert_eq!(first.await, "10.7.3.2/24");

    api_server.delete_cidr_pool("pool1");
    within("the CIDRPool is gone", async || {
        (cidr_code_or_release(&daemon).await? == Code::NotFound).then_some(())
    })
    .await;
    assert_eq!(daemon.add(DB).await.unwrap(), "10.0.0.2/24");
    daemon.stop().await;
}

/// The code of an ADD that was refused. One that was not is taken back.
async fn cidr_code_or_release(daemon: &Daemon) -> Option<Code> {
    let refused = daemon.add_from_cidr("pool1", DB).await.err();
    if refused.is_none() {
        daemon.del_from_cidr("pool1", DB).await;
    }
    refused.map(|status| status.code())
}

#[tokio::test]
async fn where_there_are_no_cidrpools_the_daemon_is_ready_and_serves_ippools() {
    for code in [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN] {
        let api_server = with_both();
        api_server.refuse_cidr_pools(Some(code));
        let node = Node::new(&api_server);
        let mut config = node.config();
        config.probe_address = free_address();
        let probes = config.probe_address.clone();
        let daemon = node.start_with(config).await;
        within("it is ready", async || {
            let answer = fetch(&probes, "/readyz").await?;
            answer.starts_with("HTTP/1.1 200").then_some(())
        })
        .await;
        assert_eq!(daemon.add(WEB).await.unwrap(), "10.0.0.1/24");
        daemon.status().await.unwrap();
        // They may exist, so none is said to be missing.
        assert_eq!(cidr_code(&daemon, "pool1").await, Code::Unavailable);

        api_server.refuse_cidr_pools(None);
        let address = within("CIDRPools are known", async || {
            daemon.add_from_cidr("pool1", WEB).await.ok()
        });
        assert_eq!(address.await, "10.7.3.2/24");
        assert_eq!(cidr_code(&daemon, "other").await, Code::NotFound);
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_kind_that_the_api_server_does_not_have_any_more_is_served_as_before() {
    let api_server = with_both();
    let node = Node::new(&api_server);
    let daemon = node.start().await;
    daemon.add_when_known(WEB).await;
    within("the CIDRPool is known", async || {
        daemon.add_from_cidr("pool1", WEB).await.ok()
    })
    .await;
    daemon.stop().await;

    api_server.refuse_cidr_pools(Some(StatusCode::NOT_FOUND));
    api_server.put_pool("pool2", "10.0.1.0/24", NODE, "10.0.1.1", "10.0.1.24");
    let daemon = node.start().await;
    within("a new IPPool is known", async || {
        daemon.add_from("pool2", DB).await.ok()
    })
    .await;
    assert_eq!(daemon.add_from_cidr("pool1", DB).await.unwrap(), "10.7.3.3/24");
    assert_eq!(cidr_code(&daemon, "other").await, Code::Unavailable);
    daemon.stop().await;
}
