//! A daemon that is told to stop.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use node::store::StoreLock;
use rpc::v1::AllocateRequest;

use crate::support::{parameters, serve, serve_standing, serve_standing_within, socket_in, until};

#[tokio::test]
async fn a_stopped_daemon_finishes_what_runs_and_leaves_no_socket() {
    let mut served = serve().await;
    served.add("a", &["v4"]).await.unwrap();
    let socket = socket_in(served.folder.path());
    // The connection of its client is open, and nothing is asked on it: nobody waits for that.
    served.stop.send(()).unwrap();
    served.service.await.unwrap().unwrap();
    served.writer.stop().await;
    served.ended.wait().await.unwrap();
    assert!(UnixStream::connect(&socket).is_err() && !socket.exists());
    // Its log has been moved into it.
    assert!(!served.folder.path().join("store-wal").exists());
    StoreLock::take(&served.folder.path().join("store")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_daemon_is_away_for_all_but_those_it_serves() {
    let (served, go) = serve_standing().await;
    let mut client = served.client.clone();
    let running = tokio::spawn(async move {
        let request = AllocateRequest {
            parameters: Some(parameters("a", &["v4"])),
        };
        client.allocate(request).await
    });
    until(|| served.metrics.requests_in_flight.get() == 1).await;
    served.stop.send(()).unwrap();
    let socket = socket_in(served.folder.path());
    // Code 11, which the plugin knows as nobody there, while the socket is.
    let refused = loop {
        match UnixStream::connect(&socket) {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(!served.service.is_finished());
    go.send(()).unwrap();
    let answer = running.await.unwrap().unwrap().into_inner();
    assert_eq!(answer.allocations[0].ip, "192.168.0.1/16");
    served.service.await.unwrap().unwrap();
    assert!(!socket.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_holds_up_no_stop() {
    let (served, go) = serve_standing_within(Duration::ZERO).await;
    let mut client = served.client.clone();
    let request = AllocateRequest {
        parameters: Some(parameters("a", &["v4"])),
    };
    let running = tokio::spawn(async move { client.allocate(request).await });
    until(|| served.metrics.requests_in_flight.get() == 1).await;
    served.stop.send(()).unwrap();
    served.service.await.unwrap().unwrap();
    assert!(!running.is_finished() && !socket_in(served.folder.path()).exists());
    drop(go);
}
