//! Durations of many runs of the same thing.

use std::time::Duration;

use super::table::millis;

/// How long something took, each time, from the shortest to the longest.
#[derive(Debug)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    pub(super) fn median(&self) -> Duration {
        self.quantile(50)
    }

    /// What `percent` of all runs took at most. Zero if there was none.
    pub(super) fn quantile(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let at = (self.0.len() * percent / 100).min(last);
        self.0.get(at).copied().unwrap_or_default()
    }

    pub(super) fn max(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }

    /// Median, 99th percentile and longest, as cells of a table.
    pub(super) fn cells(&self) -> [String; 3] {
        [self.median(), self.quantile(99), self.max()].map(millis)
    }
}
