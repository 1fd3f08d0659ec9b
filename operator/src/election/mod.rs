//! Leader election on a Lease, such that controllers of this and of the Go version exclude each other.
//!
//! The rules are those of client-go: the holder renews the record; another one takes it when the record has not changed for
//! its duration, by the observer's own monotonic clock. The times in the record are for people; no clock is compared with
//! another's. Every write carries the resourceVersion that it was decided on. The holder stops a third of the duration
//! before others may take over.
//!
//! [`machine`] decides, without IO and without a clock of its own; [`elector`] does what it says; [`lease`] is the Lease at
//! the API server.

pub mod elector;
pub mod lease;
pub mod machine;
#[cfg(test)]
mod tests;

use std::time::Duration;

/// Name of the Lease, that of the Go version.
pub const LEASE: &str = "dd1643cf.nvidia.com";

/// The times of the election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A record that others have seen unchanged for this long is theirs to take. Whole seconds.
    pub lease: Duration,
    /// The holder gives up when it hasn't renewed for this long; less than `lease`.
    pub renew_deadline: Duration,
    /// Time between two attempts.
    pub retry: Duration,
    /// How long an answer is waited for.
    pub request: Duration,
}

impl Default for Timing {
    /// Those of the Go version: 15 s, 10 s and 2 s.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
            request: Duration::from_secs(4),
        }
    }
}
