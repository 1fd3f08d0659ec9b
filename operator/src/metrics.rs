//! The controller's metrics.

use prometheus::core::Collector;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::election::LEASE;

/// The figures. Labels: the pool, as it is named in stores (`pool1`, `cidrpool/pool1`).
#[derive(Clone, Debug)]
pub struct Metrics {
    without_range: IntGaugeVec,
    stale: IntGaugeVec,
    status_bytes: IntGaugeVec,
    plans: IntCounterVec,
    writes: IntCounterVec,
    conflicts: IntCounterVec,
    leader: IntGauge,
    master: IntGaugeVec,
}

impl Metrics {
    /// Adds the figures to `registry`.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauges =
            |name: &str, help: &str| register(registry, IntGaugeVec::new(Opts::new(name, help), &["pool"])?);
        let counters = |name: &str, help: &str| {
            register(registry, IntCounterVec::new(Opts::new(name, help), &["pool"])?)
        };
        let metrics = Self {
            without_range: gauges(
                "nv_ipam_controller_nodes_without_range",
                "Nodes that the pool's selector matches and that have no range of it.",
            )?,
            stale: gauges(
                "nv_ipam_controller_stale_allocations",
                "Ranges that stand in the pool's status and no longer fit its spec or the node.",
            )?,
            status_bytes: gauges(
                "nv_ipam_controller_status_bytes",
                "Size of the pool's status as JSON. The API server takes about 1.5 MB.",
            )?,
            plans: counters(
                "nv_ipam_controller_plans_total",
                "How often the pool was planned, because something changed that concerns it.",
            )?,
            writes: counters(
                "nv_ipam_controller_status_writes_total",
                "Status writes that the API server took.",
            )?,
            conflicts: counters(
                "nv_ipam_controller_status_conflicts_total",
                "Status writes that were refused because the pool had changed; it is planned again.",
            )?,
            leader: register(
                registry,
                IntGauge::new(
                    "nv_ipam_controller_leader",
                    "Whether this process deals ranges: 1 or 0.",
                )?,
            )?,
            // The Go version's name for it.
            master: register(
                registry,
                IntGaugeVec::new(
                    Opts::new(
                        "leader_election_master_status",
                        "Whether this process holds the lease: 1 or 0.",
                    ),
                    &["name"],
                )?,
            )?,
        };
        metrics.leads(false);
        Ok(metrics)
    }

    /// What the plan for `pool` found. What it couldn't find stays as it was.
    pub fn planned(&self, pool: &str, without_range: usize, stale: Option<usize>, status_bytes: usize) {
        for (gauge, value) in [
            (&self.without_range, Some(without_range)),
            (&self.stale, stale),
            (&self.status_bytes, Some(status_bytes)),
        ] {
            if let Some(value) = value {
                gauge
                    .with_label_values(&[pool])
                    .set(i64::try_from(value).unwrap_or(i64::MAX));
            }
        }
        // So that they are there before the first one.
        for counter in [&self.writes, &self.conflicts] {
            counter.with_label_values(&[pool]).inc_by(0);
        }
        self.plans.with_label_values(&[pool]).inc();
    }

    /// The status of `pool` was written.
    pub fn wrote(&self, pool: &str) {
        self.writes.with_label_values(&[pool]).inc();
    }

    /// The status of `pool` was not written, because the pool had changed.
    pub fn conflicted(&self, pool: &str) {
        self.conflicts.with_label_values(&[pool]).inc();
    }

    /// There is no such pool any more. Nothing of it is shown.
    pub fn forget(&self, pool: &str) {
        // Fails only if there was nothing.
        for gauge in [&self.without_range, &self.stale, &self.status_bytes] {
            let _ = gauge.remove_label_values(&[pool]);
        }
        for counter in [&self.plans, &self.writes, &self.conflicts] {
            let _ = counter.remove_label_values(&[pool]);
        }
    }

    /// Whether this process leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(leads.into());
        self.master.with_label_values(&[LEASE]).set(leads.into());
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

#[cfg(test)]
mod tests {
    use prometheus::{Encoder, TextEncoder};

    use super::*;

    fn text(registry: &Registry) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_deleted_pool_leaves_nothing() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        metrics.planned("pool1", 1, Some(2), 300);
        metrics.wrote("pool1");
        metrics.conflicted("pool1");
        let shown = text(&registry);
        for line in [
            r#"nv_ipam_controller_nodes_without_range{pool="pool1"} 1"#,
            r#"nv_ipam_controller_stale_allocations{pool="pool1"} 2"#,
            r#"nv_ipam_controller_status_bytes{pool="pool1"} 300"#,
            r#"nv_ipam_controller_plans_total{pool="pool1"} 1"#,
            r#"nv_ipam_controller_status_writes_total{pool="pool1"} 1"#,
            r#"nv_ipam_controller_status_conflicts_total{pool="pool1"} 1"#,
            r#"leader_election_master_status{name="dd1643cf.nvidia.com"} 0"#,
            "nv_ipam_controller_leader 0",
        ] {
            assert!(shown.contains(line), "{line} in {shown}");
        }
        metrics.forget("pool1");
        assert!(!text(&registry).contains("pool1"));
    }
}
