//! The validating webhook: the API server asks it before it stores a pool.
//!
//! It refuses what [`review`](review::review) refuses, which are the rules of `api`, and warns of what `api::warnings` finds.
//! It needs no lease and no rights, so every replica serves it.
//!
//! * Decisions: [`review`], for the kinds of pools in [`reviewed`]; [`other_pools`] knows the other pools.
//! * The shell: `http` in `tls`, with a [`certificate`] that may change at any time; [`metrics`] counts.

pub mod certificate;
mod http;
pub mod metrics;
pub mod other_pools;
pub mod review;
pub mod reviewed;
mod tls;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use process::Fatal;
use process::guarded::{self, Limits};
use process::listen::listen;
use process::readiness::{Gate, Readiness};
use process::shutdown::Shutdown;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::time::sleep;

use certificate::Certificate;
use metrics::Metrics;
use review::Context;
use tls::Handshakes;

/// What clients may take. How many requests are read at a time is less: see `http`.
const LIMITS: Limits = Limits::new(128);

/// How long requests that are under way may go on once the process is asked to end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Where the webhook is, and what it judges by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address: `host:port`, `:port` for all addresses, `0` or empty for none.
    pub address: String,
    /// Folder of its certificate, see [`certificate::usual_folder`].
    pub folder: PathBuf,
    /// What it judges by.
    pub context: Context,
}

/// The webhook, whose address is taken.
pub struct Webhook {
    listener: TcpListener,
    handshakes: Handshakes,
    certificate: Certificate,
    context: Context,
    gate: Gate,
    metrics: Metrics,
}

impl Webhook {
    /// Takes the address, and readiness waits for a certificate from here on. `None` if the address says so.
    pub async fn bind(
        settings: Settings,
        registry: &Registry,
        readiness: &Readiness,
    ) -> Result<Option<Self>, Fatal> {
        let address = &settings.address;
        let Some(listener) = listen(address, "the webhook", "webhook-bind-address").await? else {
            return Ok(None);
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (certificate, shown) = Certificate::new(settings.folder, provider.clone());
        let metrics = Metrics::new(registry)?;
        Ok(Some(Self {
            listener,
            handshakes: Handshakes::new(provider, Arc::new(shown), metrics.clone())?,
            certificate,
            context: settings.context,
            gate: readiness.gate("webhook"),
            metrics,
        }))
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<std::net::SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` is requested, and gives what is under way then a second.
    pub async fn serve(self, shutdown: Shutdown) -> io::Result<()> {
        let handshakes = Arc::new(self.handshakes);
        let router = http::router(self.context, self.metrics.clone());
        let served = guarded::serve(self.listener, LIMITS, router, shutdown.clone(), |stream| {
            handshakes.clone().shake(stream)
        });
        tokio::select! {
            () = served => Ok(()),
            never = self.certificate.keep(self.gate, self.metrics) => never,
            () = async { shutdown.requested().await; sleep(LAST_ANSWERS).await } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_says_nothing_keeps_others_waiting_for_less_than_the_api_server_waits() {
        let manifests = include_str!("../../../config/webhook/manifests.yaml");
        let mut patience = manifests
            .lines()
            .filter_map(|line| line.trim().strip_prefix("timeoutSeconds: "))
            .map(|seconds| Duration::from_secs(seconds.parse().unwrap()))
            .peekable();
        assert!(patience.peek().is_some());
        assert!(patience.all(|patience| LIMITS.head + http::BODY < patience));
    }
}
