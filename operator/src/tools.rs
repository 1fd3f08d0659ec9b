//! What the worker works with.

use process::readiness::{Gate, Readiness};

use crate::events::Recorder;
use crate::leadership::Leadership;
use crate::metrics::Metrics;
use crate::status::StatusWriter;

/// What the loop works with.
#[derive(Debug)]
pub struct Tools<K> {
    /// Whether it may write.
    pub leadership: Leadership,
    /// Writes statuses.
    pub writer: StatusWriter<K>,
    /// Posts events.
    pub recorder: Recorder,
    /// Counts.
    pub metrics: Metrics,
    /// Opened when it knows what there is.
    pub gates: Gates,
}

/// What readiness waits for.
#[derive(Clone, Debug)]
pub struct Gates {
    pub(crate) nodes: Gate,
    pub(crate) pools: Gate,
}

impl Gates {
    /// Closed gates.
    #[must_use]
    pub fn of(readiness: &Readiness) -> Self {
        Self {
            nodes: readiness.gate("nodes"),
            pools: readiness.gate("pools"),
        }
    }
}
