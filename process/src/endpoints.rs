//! The HTTP endpoints of a process: `/metrics`, and the probes `/healthz` and `/readyz`.
//!
//! They can be reached by anybody in the cluster's network, so there are limits on connections; each serves one request.

use std::io;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::net::TcpListener;

use crate::guarded::{self, Limits};
use crate::listen::{BindError, listen};
use crate::readiness::Readiness;
use crate::shutdown::Shutdown;

/// So many connections are open at a time at each address.
const CONNECTIONS: usize = 64;

/// Where the endpoints are, and what they show.
#[derive(Debug)]
pub struct Endpoints {
    /// Address of `/metrics`: `host:port`, `:port` for all addresses, `0` or empty for none.
    pub metrics_address: String,
    /// Address of the probes, written the same way.
    pub probe_address: String,
    /// What `/metrics` shows.
    pub registry: Registry,
    /// What `/readyz` says.
    pub readiness: Readiness,
}

/// Endpoints whose addresses are taken.
#[derive(Debug)]
pub struct Bound {
    servers: Vec<(TcpListener, Router)>,
}

impl Endpoints {
    /// Takes the addresses.
    pub async fn bind(self) -> Result<Bound, BindError> {
        let mut servers = Vec::new();
        if let Some(listener) = listen(&self.metrics_address, "metrics", "metrics-bind-address").await? {
            servers.push((
                listener,
                Router::new()
                    .route("/metrics", get(metrics))
                    .with_state(self.registry),
            ));
        }
        if let Some(listener) = listen(&self.probe_address, "probes", "health-probe-bind-address").await? {
            // The Go version answers below the probes' paths too, for single checks.
            let probes = Router::new()
                .route("/healthz", get(healthz))
                .route("/healthz/{check}", get(healthz))
                .route("/readyz", get(readyz))
                .route("/readyz/{check}", get(readyz))
                .with_state(self.readiness);
            servers.push((listener, probes));
        }
        Ok(Bound { servers })
    }
}

impl Bound {
    /// Answers until `shutdown` is requested. Requests that are under way then are dropped.
    pub async fn serve(self, shutdown: Shutdown) -> io::Result<()> {
        let mut tasks = tokio::task::JoinSet::new();
        for (listener, router) in self.servers {
            let limits = Limits::new(CONNECTIONS);
            tasks.spawn(guarded::serve(
                listener,
                limits,
                router,
                shutdown.clone(),
                async |stream| Ok(stream),
            ));
        }
        tokio::select! {
            () = shutdown.requested() => Ok(()),
            Some(ended) = tasks.join_next() => ended.map_err(io::Error::other),
        }
    }
}

async fn metrics(State(registry): State<Registry>) -> Response {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&registry.gather(), &mut text) {
        Ok(()) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn healthz() -> &'static str {
    "ok"
}

async fn readyz(State(readiness): State<Readiness>) -> Response {
    match readiness.check() {
        Ok(()) => "ok".into_response(),
        Err(closed) => (StatusCode::SERVICE_UNAVAILABLE, closed).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::metrics::process_registry;

    fn endpoints(metrics_address: &str, probe_address: &str, readiness: &Readiness) -> Endpoints {
        Endpoints {
            metrics_address: metrics_address.to_owned(),
            probe_address: probe_address.to_owned(),
            registry: process_registry(),
            readiness: readiness.clone(),
        }
    }

    async fn fetch(listener: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(listener).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn probes_and_metrics_answer_until_shutdown() {
        let readiness = Readiness::new();
        let gate = readiness.gate("caches");
        let bound = endpoints("127.0.0.1:0", "127.0.0.1:0", &readiness)
            .bind()
            .await
            .unwrap();
        let addresses: Vec<_> = bound
            .servers
            .iter()
            .map(|(l, _)| l.local_addr().unwrap())
            .collect();
        let shutdown = Shutdown::new();
        let served = tokio::spawn(bound.serve(shutdown.clone()));

        assert!(
            fetch(addresses[0], "/metrics")
                .await
                .contains("process_start_time_seconds")
        );
        assert!(fetch(addresses[1], "/healthz").await.starts_with("HTTP/1.1 200"));
        let closed = fetch(addresses[1], "/readyz").await;
        assert!(
            closed.starts_with("HTTP/1.1 503") && closed.contains("caches: not yet"),
            "{closed}"
        );
        gate.open();
        assert!(fetch(addresses[1], "/readyz").await.starts_with("HTTP/1.1 200"));

        shutdown.request();
        served.await.unwrap().unwrap();
    }
}
