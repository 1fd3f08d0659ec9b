//! The webhook's metrics: those that the Go version's libraries have for it, by the same names.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// The figures.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    requests: IntCounterVec,
    reads: IntCounter,
    read_errors: IntCounter,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
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
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.reads.clone()))?;
        registry.register(Box::new(metrics.read_errors.clone()))?;
        Ok(metrics)
    }

    pub(super) fn answered(&self, path: &str, status: u16) {
        self.requests
            .with_label_values(&[path, &status.to_string()])
            .inc();
    }

    pub(super) fn read_certificate(&self) {
        self.reads.inc();
    }

    pub(super) fn failed_to_read_certificate(&self) {
        self.read_errors.inc();
    }
}
