//! How the addresses of the pools are used, as metrics.

use std::collections::BTreeSet;

use api::pool_key::PoolKey;
use prometheus::GaugeVec;

use crate::ledger::Ledger;

/// The gauges of every pool, by pool and state.
pub(super) struct AddressGauges {
    gauges: GaugeVec,
    /// Pools that have some.
    shown: BTreeSet<PoolKey>,
}

impl AddressGauges {
    pub(super) fn new(gauges: GaugeVec) -> Self {
        Self {
            gauges,
            shown: BTreeSet::new(),
        }
    }

    /// Shows what `ledger` says, and no pool that it doesn't know.
    pub(super) fn show(&mut self, ledger: &Ledger) {
        let mut gone = std::mem::take(&mut self.shown);
        for (key, counts) in ledger.counts() {
            for (state, n) in [
                ("free", counts.free),
                ("used", counts.used),
                ("excluded", counts.excluded),
            ] {
                #[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
                self.gauges
                    .with_label_values(&[key.as_str(), state])
                    .set(n as f64);
            }
            gone.remove(key);
            self.shown.insert(key.clone());
        }
        for key in gone {
            for state in ["free", "used", "excluded"] {
                // It was shown, so it is there.
                let _ = self.gauges.remove_label_values(&[key.as_str(), state]);
            }
        }
    }
}
