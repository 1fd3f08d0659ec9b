//! What the daemon counts. No label holds a pod, a container or an address: their number has no bound.

use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    exponential_buckets,
};

/// The daemon's metrics. Cheap to clone: clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// `nv_ipam_addresses{pool,state}`: addresses of this node's range by `free`, `used` and `excluded`; `used` counts
    /// reservations outside of the range too. A float: a range of 2^62 addresses is counted as well as that allows.
    pub addresses: GaugeVec,
    /// `nv_ipam_requests_total{method,code}`: gRPC requests by method and the name of the code answered.
    pub requests: IntCounterVec,
    /// `nv_ipam_request_duration_seconds{method}`.
    pub request_duration: HistogramVec,
    /// `nv_ipam_requests_in_flight`: requests that came and are not answered yet. A writer that stands, as it does on a disk
    /// that hangs, shows here alone: what is counted otherwise is counted with its answer.
    pub requests_in_flight: IntGauge,
    /// `nv_ipam_commit_duration_seconds`: what one commit to stable storage takes.
    pub commit_duration: Histogram,
    /// `nv_ipam_batch_size`: how many requests shared a commit.
    pub batch_size: Histogram,
    /// `nv_ipam_stale_releases_total`: reservations freed because their pod is gone.
    pub stale_releases: IntCounter,
    /// `nv_ipam_garbage_releases_total`: reservations freed by a CNI GC: their pod is gone, and the runtime has no such
    /// attachment. A runtime that loses DELs shows here.
    pub garbage_releases: IntCounter,
    /// `nv_ipam_journal_entries_pending`: DELs that the plugin left and that are not applied yet, and files in its journal
    /// that can't be applied or got out of the way.
    pub journal_pending: IntGauge,
}

impl Metrics {
    /// Makes them and registers them. Fails if they are registered there already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        // 50 µs to 1.6 s: a commit takes one flush of the disk.
        let seconds = exponential_buckets(50e-6, 2.0, 16)?;
        let metrics = Self {
            addresses: GaugeVec::new(
                Opts::new(
                    "nv_ipam_addresses",
                    "Addresses of this node's range of a pool, by state.",
                ),
                &["pool", "state"],
            )?,
            requests: IntCounterVec::new(
                Opts::new(
                    "nv_ipam_requests_total",
                    "Requests of the CNI plugin, by gRPC method and code.",
                ),
                &["method", "code"],
            )?,
            request_duration: HistogramVec::new(
                HistogramOpts::new(
                    "nv_ipam_request_duration_seconds",
                    "Time to answer a request, by gRPC method.",
                )
                .buckets(seconds.clone()),
                &["method"],
            )?,
            requests_in_flight: IntGauge::new(
                "nv_ipam_requests_in_flight",
                "Requests that wait for their answer.",
            )?,
            commit_duration: Histogram::with_opts(
                HistogramOpts::new(
                    "nv_ipam_commit_duration_seconds",
                    "Time that a commit to stable storage takes.",
                )
                .buckets(seconds),
            )?,
            batch_size: Histogram::with_opts(
                HistogramOpts::new("nv_ipam_batch_size", "Requests that shared a commit.")
                    .buckets(exponential_buckets(1.0, 2.0, 9)?),
            )?,
            stale_releases: IntCounter::new(
                "nv_ipam_stale_releases_total",
                "Reservations released because their pod is gone.",
            )?,
            garbage_releases: IntCounter::new(
                "nv_ipam_garbage_releases_total",
                "Reservations released by a CNI GC because the runtime doesn't have them and their pod is gone.",
            )?,
            journal_pending: IntGauge::new(
                "nv_ipam_journal_entries_pending",
                "DELs in the CNI plugin's journal that wait to be applied, and files there that can't be.",
            )?,
        };
        registry.register(Box::new(metrics.addresses.clone()))?;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.request_duration.clone()))?;
        registry.register(Box::new(metrics.requests_in_flight.clone()))?;
        registry.register(Box::new(metrics.commit_duration.clone()))?;
        registry.register(Box::new(metrics.batch_size.clone()))?;
        registry.register(Box::new(metrics.stale_releases.clone()))?;
        registry.register(Box::new(metrics.garbage_releases.clone()))?;
        registry.register(Box::new(metrics.journal_pending.clone()))?;
        Ok(metrics)
    }
}
