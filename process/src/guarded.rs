//! Serving HTTP with limits on what anybody in the cluster's network can make a process hold open.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::shutdown::Shutdown;

/// What clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// So many connections are open at a time; more wait in the kernel.
    pub connections: usize,
    /// So long a connection may take, from its first moment, until the head of its request is here. Whoever says nothing keeps
    /// others waiting for so long and no longer: well below the 5 s that the API server gives a webhook.
    pub head: Duration,
    /// So long a connection lasts, from its first moment: for one request and its answer.
    pub lifetime: Duration,
}

impl Limits {
    /// Two seconds for the head of a request, ten for all of it.
    #[must_use]
    pub const fn new(connections: usize) -> Self {
        Self {
            connections,
            head: Duration::from_secs(2),
            lifetime: Duration::from_secs(10),
        }
    }
}

/// Answers one request on each connection to `listener`, until `shutdown` is requested; then what is under way is finished.
///
/// `open` makes of a connection what HTTP is spoken on, and has the time of the head for it. A connection that it makes an error
/// of is closed; to say so is up to `open`. It waits for nobody's but its own client, so that a slow one holds up no other.
pub async fn serve<O, F, S>(
    mut listener: TcpListener,
    limits: Limits,
    router: Router,
    shutdown: Shutdown,
    open: O,
) where
    O: Fn(TcpStream) -> F,
    F: Future<Output = io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let free = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.requested() => break,
            (counted, stream) = accept(&mut listener, &free) => {
                let answered = connection(open(stream), limits, router.clone(), shutdown.clone());
                connections.spawn(async move {
                    answered.await;
                    drop(counted);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn accept(
    listener: &mut TcpListener,
    free: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, TcpStream) {
    // It fails only if the semaphore was closed, which nobody does.
    let counted = free.clone().acquire_owned().await.ok();
    // axum's, which waits where the process has no file descriptor left.
    let (stream, _) = Listener::accept(listener).await;
    (counted, stream)
}

/// One connection, from beginning to end. Whoever doesn't keep the limits is cut off.
async fn connection<S>(
    open: impl Future<Output = io::Result<S>>,
    limits: Limits,
    router: Router,
    shutdown: Shutdown,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let start = Instant::now();
    let head = start + limits.head;
    let opened = tokio::select! {
        () = shutdown.requested() => return,
        opened = timeout_at(head, open) => opened,
    };
    let Ok(Ok(stream)) = opened else {
        return;
    };
    let answered = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head.saturating_duration_since(Instant::now()))
        // A second request might come when the time is over, and get no answer.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut answered = std::pin::pin!(answered);
    let until_the_end = async {
        tokio::select! {
            ended = answered.as_mut() => ended,
            () = shutdown.requested() => {
                answered.as_mut().graceful_shutdown();
                answered.await
            }
        }
    };
    // An error is the client's, which sees it.
    let _ = timeout_at(start + limits.lifetime, until_the_end).await;
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::Router;
    use axum::body::Bytes;
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    const CONNECTIONS: usize = 64;

    const SHORT: Duration = Duration::from_millis(500);

    /// Longer than any test.
    const LONG: Duration = Duration::from_secs(3600);

    async fn served(head: Duration, lifetime: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", get(async || "ok"))
            .route("/", post(async |body: Bytes| body));
        let limits = Limits {
            connections: CONNECTIONS,
            head,
            lifetime,
        };
        tokio::spawn(serve(listener, limits, router, Shutdown::new(), async |stream| {
            Ok(stream)
        }));
        address
    }

    /// A client that says no more than the beginning.
    async fn silent(address: SocketAddr, beginning: &[u8]) -> TcpStream {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(beginning).await.unwrap();
        client
    }

    /// What the client gets before its connection ends. A reset is an end as well.
    async fn answer(mut client: TcpStream) -> String {
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, client.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn whoever_does_not_finish_a_request_is_cut_off() {
        for (head, lifetime, beginning) in [
            (SHORT, LONG, ""),
            (SHORT, LONG, "GET / HTTP/1.1\r\nHost:"),
            (
                LONG,
                SHORT,
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nfour",
            ),
        ] {
            let address = served(head, lifetime).await;
            let client = silent(address, beginning.as_bytes()).await;
            assert_eq!(answer(client).await, "", "{beginning}");
        }
    }

    #[tokio::test]
    async fn silent_connections_up_to_the_limit_keep_others_waiting_for_the_time_of_a_head_only() {
        let address = served(SHORT, LONG).await;
        let mut others = Vec::new();
        for _ in 0..CONNECTIONS {
            others.push(silent(address, b"").await);
        }
        let client = silent(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let answer = answer(client).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn beyond_the_limit_nobody_is_answered_before_a_connection_ends() {
        let address = served(LONG, LONG).await;
        let mut others = Vec::new();
        for _ in 0..CONNECTIONS {
            others.push(silent(address, b"").await);
        }
        let mut client = silent(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let mut first = [0; 12];
        timeout(SHORT, client.read_exact(&mut first)).await.unwrap_err();
        others.pop();
        timeout(PATIENCE, client.read_exact(&mut first))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
    }

    #[tokio::test]
    async fn each_connection_is_for_one_request() {
        let address = served(LONG, LONG).await;
        let twice = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
        let answer = answer(silent(address, &twice).await).await.to_lowercase();
        assert_eq!(answer.matches("http/1.1 200").count(), 1, "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}
