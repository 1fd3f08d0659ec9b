//! The webhook's metrics: those that the Go version's libraries have for it, by the same names, and one of its own.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// The figures.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: IntCounterVec,
    reads: IntCounter,
    read_errors: IntCounter,
    failed_handshakes: IntCounterVec,
}

/// Why a TLS handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// The client refused, above all the certificate.
    Refused,
    /// Anything else: what was spoken was no TLS, or the client went away.
    Other,
}

impl HandshakeFailure {
    const fn label(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Other => "other",
        }
    }
}

impl Metrics {
    /// Registers them. Fails if that was done before.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new(
                    "controller_runtime_webhook_requests_total",
                    "Requests that the webhook answered, by path and HTTP status.",
                ),
                &["webhook", "code"],
            )?,
            reads: IntCounter::new(
                "certwatcher_read_certificate_total",
                "How often the webhook got a certificate, the first one included.",
            )?,
            read_errors: IntCounter::new(
                "certwatcher_read_certificate_errors_total",
                "How often the webhook found a certificate that it can't use, or none.",
            )?,
            failed_handshakes: IntCounterVec::new(
                Opts::new(
                    "nv_ipam_controller_webhook_failed_handshakes_total",
                    "TLS handshakes of the webhook that failed, by reason: refused (by the client) or other.",
                ),
                &["reason"],
            )?,
        };
        // There from the start, so that the first one shows as an increase.
        for failure in [HandshakeFailure::Refused, HandshakeFailure::Other] {
            metrics.failed_handshakes.with_label_values(&[failure.label()]);
        }
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.reads.clone()))?;
        registry.register(Box::new(metrics.read_errors.clone()))?;
        registry.register(Box::new(metrics.failed_handshakes.clone()))?;
        Ok(metrics)
    }

    /// A request to `path` was answered.
    pub fn answered(&self, path: &str, status: u16) {
        self.requests
            .with_label_values(&[path, &status.to_string()])
            .inc();
    }

    /// A certificate was read, which is shown from now on.
    pub fn read_certificate(&self) {
        self.reads.inc();
    }

    /// What was read can't be shown.
    pub fn failed_to_read_certificate(&self) {
        self.read_errors.inc();
    }

    /// A client didn't get through the handshake.
    pub fn handshake_failed(&self, why: HandshakeFailure) {
        self.failed_handshakes.with_label_values(&[why.label()]).inc();
    }
}
