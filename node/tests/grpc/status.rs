//! Status: whether an ADD could be served now.

use node::bind_address::BindAddress;
use node::clock::BootClock;
use rusqlite::Connection;
use tonic::Code;

use crate::support::{parameters, refusal, serve, serve_at, socket_in};

#[tokio::test]
async fn before_there_are_pools_the_daemon_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let address = BindAddress::Unix(socket_in(folder.path()));
    let served = serve_at(folder, address, BootClock::new().unwrap()).await;
    let (add, _) = refusal(served.add("a", &["v4"]).await);
    let (status, reason) = refusal(served.status().await);
    assert_eq!((add, status), (Code::Unavailable, Code::Unavailable));
    assert!(reason.contains("API server"), "{reason}");
    served.del(parameters("a", &["v4"])).await.unwrap();
    served.lose_pools().await;
    served.status().await.unwrap();
}

#[tokio::test]
async fn a_full_pool_is_no_reason_to_be_unavailable() {
    let served = serve().await;
    for container in ["a", "b", "c", "d"] {
        served.add(container, &["v4"]).await.unwrap();
    }
    served.add("e", &["v4"]).await.unwrap_err();
    served.status().await.unwrap();
}

#[tokio::test]
async fn while_another_program_has_the_store_locked_the_daemon_is_unavailable() {
    let served = serve().await;
    let other = Connection::open(served.folder.path().join("store")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (code, reason) = refusal(served.status().await);
    assert_eq!(code, Code::Unavailable);
    assert!(reason.starts_with("another program"), "{reason}");
    other.execute_batch("ROLLBACK").unwrap();
    served.status().await.unwrap();
}

#[tokio::test]
async fn tcp_serves_the_same() {
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let served = serve_at(folder, BindAddress::Tcp(address), BootClock::new().unwrap()).await;
    served.lose_pools().await;
    served.status().await.unwrap();
}
