//! Limits on what anybody in the cluster's network can make a process hold open.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::http::header::CONNECTION;
use axum::middleware::map_response;
use axum::response::Response;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// So long a connection lasts, from its first moment: time enough for one request and its answer.
const LIFETIME: Duration = Duration::from_secs(10);

/// A listener with a limit on the number of connections, and on how long each lasts: 10 s.
#[derive(Debug)]
pub struct Guarded {
    listener: TcpListener,
    free: Arc<Semaphore>,
    lifetime: Duration,
}

/// A connection, which counts until it is dropped. Once its time is over, whoever reads or writes is told so by an error.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _counted: Option<OwnedSemaphorePermit>,
}

/// `router` with answers that end their connections. A second request on a connection of a [`Guarded`] might come when its
/// time is over, and get no answer.
pub fn one_request_each(router: Router) -> Router {
    router.layer(map_response(async |response: Response| {
        ([(CONNECTION, "close")], response)
    }))
}

impl Guarded {
    /// `listener`, with at most so many connections open at a time; more wait in the kernel.
    #[must_use]
    pub fn new(listener: TcpListener, connections: usize) -> Self {
        Self {
            listener,
            free: Arc::new(Semaphore::new(connections)),
            lifetime: LIFETIME,
        }
    }
}

impl Listener for Guarded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // It fails only if the semaphore was closed, which nobody does.
        let counted = self.free.clone().acquire_owned().await.ok();
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        let connection = Connection {
            stream,
            end: Box::pin(sleep(self.lifetime)),
            _counted: counted,
        };
        (connection, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connection {
    /// Fails once the time is over; before, has it noticed by whoever waits.
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(context) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::{Instant, timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    const CONNECTIONS: usize = 64;

    const SHORT: Duration = Duration::from_millis(500);

    async fn served() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "ok"));
        let mut guarded = Guarded::new(listener, CONNECTIONS);
        guarded.lifetime = SHORT;
        tokio::spawn(async move { axum::serve(guarded, router).await });
        address
    }

    /// A client that says nothing, or no more than the beginning.
    async fn silent(address: SocketAddr, beginning: &[u8]) -> TcpStream {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(beginning).await.unwrap();
        client
    }

    #[tokio::test]
    async fn whoever_does_not_finish_a_request_is_cut_off() {
        let address = served().await;
        for beginning in [&b""[..], b"GET / HTTP/1.1\r\nHost:"] {
            let mut client = silent(address, beginning).await;
            let mut answer = Vec::new();
            // A reset is an end as well.
            let _ = timeout(PATIENCE, client.read_to_end(&mut answer)).await.unwrap();
            assert_eq!(answer, b"");
        }
    }

    #[tokio::test]
    async fn beyond_the_limit_a_request_waits_for_a_connection_to_end() {
        let address = served().await;
        let start = Instant::now();
        let mut others = Vec::new();
        for _ in 0..CONNECTIONS {
            others.push(silent(address, b"").await);
        }
        let mut client = silent(address, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(start.elapsed() >= SHORT, "{:?}", start.elapsed());
    }
}
