//! TLS, and a word on those who don't get through its handshake.
//!
//! A client that refuses the certificate is most likely the API server: the certificate has expired, or is of another authority
//! than the `caBundle`, and then no pool can be edited. The port can be reached by anybody, who must not fill the log.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::{AlertDescription, Error, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::metrics::{HandshakeFailure, Metrics};

/// Refusals are spoken of no oftener.
const QUIET: Duration = Duration::from_secs(60);

/// Shakes hands, and counts those that fail.
pub(super) struct Handshakes {
    acceptor: TlsAcceptor,
    metrics: Metrics,
    refusals: Mutex<Refusals>,
}

impl Handshakes {
    /// Speaks TLS, and HTTP/1.1 in it. Nothing is resumed: each connection is shown the certificate of now.
    pub(super) fn new(
        provider: Arc<CryptoProvider>,
        certificates: Arc<dyn ResolvesServerCert>,
        metrics: Metrics,
    ) -> Result<Self, Error> {
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(certificates);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: Arc::new(config).into(),
            metrics,
            refusals: Mutex::default(),
        })
    }

    /// Makes TLS of a connection. That it failed has been said then.
    pub(super) async fn shake(self: Arc<Self>, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let peer = stream.peer_addr()?;
        let shaken = self.acceptor.accept(stream).await;
        if let Err(error) = &shaken {
            if let Some(alert) = refusal(error) {
                self.metrics.handshake_failed(HandshakeFailure::Refused);
                let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(unsaid) = refusals.count(Instant::now()) {
                    tracing::warn!(
                        client = %peer.ip(), unsaid,
                        "a client refuses the webhook's certificate with the TLS alert {alert:?}; if it is the API server, no pool can be \
                         created or edited: see whether the certificate has expired, names the Service, and is of the authority in caBundle"
                    );
                }
            } else {
                self.metrics.handshake_failed(HandshakeFailure::Other);
                tracing::debug!(client = %peer.ip(), "a client of the webhook didn't get through the TLS handshake: {error}");
            }
        }
        shaken
    }
}

/// What the client said, if it is the one who ended the handshake.
fn refusal(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// When refusals are spoken of.
#[derive(Debug, Default)]
struct Refusals {
    said: Option<Instant>,
    unsaid: u64,
}

impl Refusals {
    /// There was one. `Some` if it is to be said, with how many were not since the last one that was.
    fn count(&mut self, now: Instant) -> Option<u64> {
        if self.said.is_some_and(|said| now.duration_since(said) < QUIET) {
            self.unsaid += 1;
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_spoken_of_at_once_and_then_once_a_minute_at_most() {
        let (start, mut refusals) = (Instant::now(), Refusals::default());
        let mut at = |seconds| refusals.count(start + Duration::from_secs(seconds));
        assert_eq!([0, 1, 59].map(&mut at), [Some(0), None, None]);
        assert_eq!([60, 119, 300].map(&mut at), [Some(2), None, Some(1)]);
    }
}
