//! Callers that don't wait for their answer.

use std::time::Duration;

use rpc::v1::AllocateRequest;
use tonic::{Code, Request};

use crate::support::{connect, parameters, serve_standing, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_whose_patience_ended_gets_nothing_reserved() {
    let (served, go) = serve_standing().await;
    // The daemon is slow, not dead: it has accepted the request, which it counts when it drops it. On a slow machine the
    // caller may have given up before it asked.
    let mut patience = Duration::ZERO;
    while served.answered("Allocate", "Canceled") == 0 {
        patience += Duration::from_millis(50);
        let mut request = Request::new(AllocateRequest {
            parameters: Some(parameters("late", &["v4"])),
        });
        request.set_timeout(patience);
        let status = served.client.clone().allocate(request).await.unwrap_err();
        assert!(
            matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
            "{status}"
        );
    }
    go.send(()).unwrap();
    assert_eq!(served.writer.reservations().await.unwrap(), []);
    assert_eq!(served.add("patient", &["v4"]).await.unwrap(), ["192.168.0.1/16"]);
}

/// Its connection closes, and it never said how long it would wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_died_gets_nothing_reserved() {
    let (served, go) = serve_standing().await;
    let mut dying = connect(&served.url).await;
    let call = tokio::spawn(async move {
        let request = AllocateRequest {
            parameters: Some(parameters("dead", &["v4"])),
        };
        dying.allocate(request).await
    });
    until(|| served.metrics.requests_in_flight.get() == 1).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    until(|| served.answered("Allocate", "Canceled") == 1).await;
    go.send(()).unwrap();
    assert_eq!(served.writer.reservations().await.unwrap(), []);
    assert_eq!(served.add("patient", &["v4"]).await.unwrap(), ["192.168.0.1/16"]);
}
