//! What the workers share.

use api::pool_key::PoolKind;
use process::readiness::{Gate, Readiness};

use crate::events::Recorder;
use crate::leadership::Leadership;
use crate::metrics::Metrics;
use crate::webhook::other_pools::OtherPools;

/// What a loop works with.
#[derive(Clone, Debug)]
pub struct Tools {
    /// Whether it may write.
    pub leadership: Leadership,
    /// Posts events.
    pub recorder: Recorder,
    /// Counts.
    pub metrics: Metrics,
    /// Opened when it knows what there is.
    pub gates: Gates,
    /// Told of each pool's network.
    pub other_pools: OtherPools,
}

/// What readiness waits for: the nodes, the pools of each kind that the API server serves, and one kind at least.
#[derive(Clone, Debug)]
pub struct Gates {
    pub(crate) nodes: Gate,
    /// The pools of any kind.
    pub(crate) pools: Gate,
    ippools: Gate,
    cidrpools: Gate,
}

impl Gates {
    /// Closed gates.
    #[must_use]
    pub fn of(readiness: &Readiness) -> Self {
        Self {
            nodes: readiness.gate("nodes"),
            pools: readiness.gate("pools"),
            ippools: readiness.gate("ippools"),
            cidrpools: readiness.gate("cidrpools"),
        }
    }

    /// The pools of this kind.
    pub(crate) fn of_kind(&self, kind: PoolKind) -> &Gate {
        match kind {
            PoolKind::IpPool => &self.ippools,
            PoolKind::CidrPool => &self.cidrpools,
        }
    }
}
